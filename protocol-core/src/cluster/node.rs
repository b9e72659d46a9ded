//! One namespace on one server, among others of its kind.
//!
//! ```text
//!   commands ──►┌──────┐──► Publish ──► bus ──► Received at others
//!   Received ──►│ Node │──► Apply: do this to the sockets here
//!   answers  ──►│      │──► Ask: tell me this, with an answer
//!   time     ──►└──────┘──► Completed: all that a request brought
//! ```
//!
//! A command does what is to be done elsewhere. What it means for the sockets here the caller does itself, after the
//! command, because it can without a detour; only requests ask the caller's own side too, so that every answer is
//! counted in one place.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use thiserror::Error;

use super::request::{Answers, Completed, Request, RequestKey, Shortfall};
use super::{Details, Envelope, Message, NodeId, Options, RequestId};
use crate::Instant;
use crate::rooms::{Room, Selector};
use crate::socket::{Args, Event, Nsp};
use crate::time::earliest;

/// What holds for every node of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How a node knows of others.
    pub membership: Membership,
    /// Time other nodes have to answer, where a command has no timeout of its own. Default: 5 s.
    pub request_timeout: Duration,
    /// Most requests of this node that wait for answers; more are [`CommandError::TooManyRequests`]. Default: 10,000.
    pub max_requests: usize,
    /// Most requests of others that this node works on; more are not answered. Default: 10,000.
    pub max_answers: usize,
    /// Most other nodes known at a time; more are not counted. Default: 1,000.
    pub max_nodes: usize,
}

/// How a node knows how many others there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The bus can count them.
    Counted,
    /// They tell each other that they are there.
    Heartbeat {
        /// A node that had nothing to say for this long says that it is there.
        interval: Duration,
        /// A node that was not heard for this long is gone.
        timeout: Duration,
    },
}

impl Membership {
    /// Heartbeats as in the reference: every 5 s, gone after 10 s.
    pub const HEARTBEAT: Self =
        Self::Heartbeat { interval: Duration::from_secs(5), timeout: Duration::from_secs(10) };
}

impl Default for Config {
    fn default() -> Self {
        Self {
            membership: Membership::HEARTBEAT,
            request_timeout: Duration::from_secs(5),
            max_requests: 10_000,
            max_answers: 10_000,
            max_nodes: 1000,
        }
    }
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The bus delivered a message, perhaps the node's own.
    Received(Envelope),
    /// How many nodes the bus counts, this one included: the answer to [`Output::CountServers`].
    Servers(RequestKey, usize),
    /// How many clients here got a broadcast: the first answer to [`Query::Broadcast`].
    Clients(AskId, u64),
    /// One of them acknowledged.
    Acknowledged(AskId, Args),
    /// One of them will not.
    Unacknowledged(AskId),
    /// The sockets here: the answer to [`Query::FetchSockets`].
    Sockets(AskId, Vec<Details>),
    /// What a handler answered to [`Query::ServerSideEmit`]. The first one counts.
    Replied(AskId, Args),
    /// The bus works again: others may have come and gone meanwhile.
    BusUp,
    /// The bus does not work: silence says nothing about the others.
    BusDown,
}

/// What a node wants done. `W` is a waiter given to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<W> {
    /// Send a message.
    Publish(Destination, Envelope),
    /// Do this to the sockets here.
    Apply(Operation),
    /// Find this out and answer with the [`Input`] it names.
    Ask(AskId, Query),
    /// Find out how many nodes there are, and answer with [`Input::Servers`].
    CountServers(RequestKey),
    /// A request is over.
    Completed(Completed<W>),
    /// A node was heard for the first time.
    Joined(NodeId),
    /// A node said goodbye, or has not been heard for too long.
    Left(NodeId),
    /// [`Config::max_nodes`] or [`Config::max_answers`] made this node ignore what another one said.
    Overloaded(NodeId),
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every other node.
    All,
    /// One node. A bus may send it to all: the others ignore it.
    Node(NodeId),
}

/// What another node wants done to the sockets here.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Send them an event.
    Broadcast(Event, Options),
    /// Put them into rooms.
    Join(Selector, Vec<Room>),
    /// Take them out of rooms.
    Leave(Selector, Vec<Room>),
    /// Disconnect them, with their connections if it says so.
    Disconnect(Selector, bool),
    /// Hand an event to the server's own handlers.
    ServerSideEmit(Event),
}

/// What another node, or this one, wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Send an event, and tell who acknowledged it: [`Input::Clients`], then [`Input::Acknowledged`] or
    /// [`Input::Unacknowledged`] for each.
    Broadcast(Event, Options),
    /// [`Input::Sockets`].
    FetchSockets(Selector),
    /// Hand an event to the server's own handlers: [`Input::Replied`] if one of them answers.
    ServerSideEmit(Event),
}

/// Names something that a node has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(u64);

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// [`Config::max_requests`] wait for answers.
    #[error("too many pending requests to other nodes")]
    TooManyRequests,
    /// The node was closed.
    #[error("the server is closed")]
    Closed,
}

/// One namespace on one server.
#[derive(Debug)]
pub struct Node<W> {
    config: Config,
    nsp: Nsp,
    uid: NodeId,
    state: State,
    /// When each other node was heard last; empty where the bus counts.
    others: BTreeMap<NodeId, Instant>,
    next_heartbeat: Option<Instant>,
    /// What request keys are made of.
    seed: u64,
    next_request: u64,
    next_ask: u64,
    requests: BTreeMap<u64, Request<W>>,
    asks: BTreeMap<AskId, Ask>,
    /// How many of them are for other nodes.
    answers: usize,
    deadlines: BTreeSet<(Instant, Due)>,
    outputs: VecDeque<Output<W>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Request(u64),
    Ask(AskId),
}

/// Something that was asked here, until it is answered.
#[derive(Debug)]
enum Ask {
    /// For a request of this node, which also ends it.
    Own(u64),
    /// For another node, until its patience is over.
    Other(Answer),
}

#[derive(Debug)]
struct Answer {
    to: NodeId,
    request: RequestId,
    deadline: Instant,
    /// How many clients have yet to acknowledge a broadcast.
    clients: Option<u64>,
}

impl<W> Node<W> {
    /// A node that has not said anything yet. `entropy` is random: no other node of the cluster may have the same.
    pub fn new(config: Config, nsp: Nsp, entropy: [u8; 8]) -> Self {
        let seed = u64::from_be_bytes(entropy);
        Self {
            config,
            nsp,
            uid: seed.into(),
            state: State::Up,
            others: BTreeMap::new(),
            next_heartbeat: None,
            seed,
            next_request: 0,
            next_ask: 0,
            requests: BTreeMap::new(),
            asks: BTreeMap::new(),
            answers: 0,
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Its own id.
    pub fn uid(&self) -> &NodeId {
        &self.uid
    }

    /// The other nodes that are known, in the order of their ids; none where the bus counts.
    pub fn others(&self) -> impl Iterator<Item = &NodeId> {
        self.others.keys()
    }

    /// How many requests wait, those of this node and those of others.
    pub fn pending(&self) -> usize {
        debug_assert_eq!(self.deadlines.len(), self.requests.len() + self.answers, "each has its deadline");
        debug_assert!(self.asks.len() >= self.answers && self.asks.len() <= self.deadlines.len());
        self.requests.len() + self.answers
    }

    /// Introduces the node to the others. To be called once, when it can receive.
    pub fn start(&mut self, now: Instant) {
        if self.beats() {
            self.publish(Message::InitialHeartbeat, now);
        }
    }

    /// Says goodbye. Every request ends with what it has, and nothing happens any more.
    pub fn close(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        if self.beats() {
            self.publish(Message::AdapterClose, now);
        }
        self.state = State::Closed;
        self.next_heartbeat = None;
        self.others.clear();
        self.asks.clear();
        self.answers = 0;
        self.deadlines.clear();
        for request in core::mem::take(&mut self.requests).into_values() {
            self.outputs.push_back(Output::Completed(request.end(Shortfall::Closed)));
        }
    }

    // Commands

    /// Sends an event to the sockets of other nodes.
    pub fn broadcast(&mut self, event: Event, options: Options, now: Instant) {
        self.publish(Message::Broadcast { event, request: None, options }, now);
    }

    /// Sends an event to the sockets of all nodes, this one included, and collects their acknowledgements for as long
    /// as [`Flags::timeout`](super::Flags::timeout) says. Complete when every node has told how many clients got the
    /// event, and every one of those has acknowledged (REFERENCE 4.4).
    ///
    /// # Errors
    /// With the waiter handed back: [`CommandError`].
    pub fn broadcast_with_ack(
        &mut self,
        event: Event,
        mut options: Options,
        waiter: W,
        now: Instant,
    ) -> Result<RequestKey, (CommandError, W)> {
        let timeout = *options.flags.timeout.get_or_insert(self.config.request_timeout);
        let ask = Query::Broadcast(event.clone(), options.clone());
        let key = self.request(waiter, now + timeout, Answers::Acks(Vec::new()), true)?;
        self.publish(Message::Broadcast { event, request: Some(key.0.into()), options }, now);
        self.ask_self(key, ask);
        self.count_servers(key);
        Ok(key)
    }

    /// Puts sockets of other nodes into rooms.
    pub fn sockets_join(&mut self, options: Options, rooms: Vec<Room>, now: Instant) {
        self.publish(Message::SocketsJoin { options, rooms }, now);
    }

    /// Takes sockets of other nodes out of rooms.
    pub fn sockets_leave(&mut self, options: Options, rooms: Vec<Room>, now: Instant) {
        self.publish(Message::SocketsLeave { options, rooms }, now);
    }

    /// Disconnects sockets of other nodes, with their connections if `close` says so.
    pub fn disconnect_sockets(&mut self, options: Options, close: bool, now: Instant) {
        self.publish(Message::DisconnectSockets { options, close }, now);
    }

    /// Asks all nodes, this one included, for sockets, and waits for as long as
    /// [`Flags::timeout`](super::Flags::timeout) says.
    ///
    /// # Errors
    /// With the waiter handed back: [`CommandError`].
    pub fn fetch_sockets(
        &mut self,
        options: Options,
        waiter: W,
        now: Instant,
    ) -> Result<RequestKey, (CommandError, W)> {
        let timeout = options.flags.timeout.unwrap_or(self.config.request_timeout);
        let ask = Query::FetchSockets(options.selector.clone());
        let key = self.request(waiter, now + timeout, Answers::Sockets(Vec::new()), true)?;
        self.ask_self(key, ask);
        if !self.is_alone() {
            self.publish(Message::FetchSockets { options, request: key.0.into() }, now);
            self.count_servers(key);
        }
        Ok(key)
    }

    /// Hands an event to the handlers of other servers.
    pub fn server_side_emit(&mut self, event: Event, now: Instant) {
        self.publish(Message::ServerSideEmit { request: None, event }, now);
    }

    /// Hands an event to the handlers of other servers and collects an answer from each.
    ///
    /// # Errors
    /// With the waiter handed back: [`CommandError`].
    pub fn server_side_emit_with_ack(
        &mut self,
        event: Event,
        waiter: W,
        now: Instant,
    ) -> Result<RequestKey, (CommandError, W)> {
        let deadline = now + self.config.request_timeout;
        let key = self.request(waiter, deadline, Answers::Replies(Vec::new()), false)?;
        if self.is_alone() {
            self.settle(key.0);
        } else {
            self.publish(Message::ServerSideEmit { request: Some(key.0.into()), event }, now);
            self.count_servers(key);
        }
        Ok(key)
    }

    /// Stops waiting for a request: nobody wants its answers any more.
    pub fn forget(&mut self, key: RequestKey) -> Option<W> {
        self.take_request(key.0).map(|request| request.waiter)
    }

    // Inputs

    /// Takes what happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Received(envelope) => self.handle_message(envelope, now),
            Input::Servers(key, servers) => self.with_request(key.0, |request| request.set_servers(servers)),
            Input::Clients(ask, clients) => self.handle_clients(ask, clients, now),
            Input::Acknowledged(ask, answer) => self.handle_acknowledgement(ask, Some(answer.first()), now),
            Input::Unacknowledged(ask) => self.handle_acknowledgement(ask, None, now),
            Input::Sockets(ask, sockets) => match self.take_ask(ask) {
                Some(Ask::Own(key)) => self.with_request(key, |request| request.add_sockets(None, sockets)),
                Some(Ask::Other(Answer { to, request, .. })) => {
                    self.answer(to, Message::FetchSocketsResponse { request, sockets }, now);
                }
                None => {}
            },
            Input::Replied(ask, answer) => {
                if let Some(Ask::Other(Answer { to, request, .. })) = self.take_ask(ask) {
                    let answer = answer.first();
                    self.answer(to, Message::ServerSideEmitResponse { request, answer }, now);
                }
            }
            Input::BusUp => {
                self.state = State::Up;
                self.others.values_mut().for_each(|heard| *heard = now);
                if self.beats() {
                    self.publish(Message::InitialHeartbeat, now);
                }
            }
            Input::BusDown => self.state = State::Down,
        }
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, due)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            match due {
                Due::Request(key) => {
                    if let Some(request) = self.take_request(key) {
                        self.outputs.push_back(Output::Completed(request.time_out()));
                    }
                }
                Due::Ask(ask) => {
                    self.take_ask(ask);
                }
            }
        }
        if self.state != State::Up {
            return;
        }
        if let Membership::Heartbeat { timeout, .. } = self.config.membership {
            let silent: Vec<_> = self
                .others
                .iter()
                .filter(|(_, heard)| **heard + timeout <= now)
                .map(|(uid, _)| uid.clone())
                .collect();
            silent.iter().for_each(|uid| self.remove_node(uid));
        }
        if self.next_heartbeat.is_some_and(|at| at <= now) {
            self.publish(Message::Heartbeat, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        match (self.state, self.config.membership) {
            (State::Up, Membership::Heartbeat { timeout, .. }) => {
                let silent = self.others.values().min().map(|heard| *heard + timeout);
                earliest(deadline, earliest(silent, self.next_heartbeat))
            }
            _ => deadline,
        }
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        self.outputs.pop_front()
    }

    fn handle_message(&mut self, envelope: Envelope, now: Instant) {
        let Envelope { message, uid, nsp } = envelope;
        if uid == self.uid || nsp.is_some_and(|nsp| nsp != self.nsp) {
            return;
        }
        if self.beats() && message != Message::AdapterClose {
            self.hear(&uid, now);
        }
        match message {
            Message::InitialHeartbeat if self.beats() => self.publish(Message::Heartbeat, now),
            Message::AdapterClose if self.beats() => self.remove_node(&uid),
            Message::InitialHeartbeat | Message::Heartbeat | Message::AdapterClose => {}
            Message::Broadcast { event, request: None, options } => {
                self.outputs.push_back(Output::Apply(Operation::Broadcast(event, options)));
            }
            Message::Broadcast { event, request: Some(request), options } => {
                let timeout = options.flags.timeout.unwrap_or(self.config.request_timeout);
                self.ask_for(uid, request, Query::Broadcast(event, options), now + timeout);
            }
            Message::SocketsJoin { options, rooms } => {
                self.outputs.push_back(Output::Apply(Operation::Join(options.selector, rooms)));
            }
            Message::SocketsLeave { options, rooms } => {
                self.outputs.push_back(Output::Apply(Operation::Leave(options.selector, rooms)));
            }
            Message::DisconnectSockets { options, close } => {
                self.outputs.push_back(Output::Apply(Operation::Disconnect(options.selector, close)));
            }
            Message::FetchSockets { options, request } => {
                let deadline = now + self.config.request_timeout;
                self.ask_for(uid, request, Query::FetchSockets(options.selector), deadline);
            }
            Message::ServerSideEmit { request: None, event } => {
                self.outputs.push_back(Output::Apply(Operation::ServerSideEmit(event)));
            }
            Message::ServerSideEmit { request: Some(request), event } => {
                let deadline = now + self.config.request_timeout;
                self.ask_for(uid, request, Query::ServerSideEmit(event), deadline);
            }
            Message::FetchSocketsResponse { request, sockets } => {
                self.with_answered(&request, |request| request.add_sockets(Some(&uid), sockets));
            }
            Message::ServerSideEmitResponse { request, answer } => {
                self.with_answered(&request, |request| request.add_reply(&uid, answer));
            }
            Message::BroadcastClientCount { request, clients } => {
                self.with_answered(&request, |request| request.announce(Some(&uid), clients));
            }
            Message::BroadcastAck { request, answer } => {
                self.with_answered(&request, |request| request.acknowledge(Some(&uid), answer));
            }
        }
    }

    // Others

    fn beats(&self) -> bool {
        matches!(self.config.membership, Membership::Heartbeat { .. })
    }

    /// Whether there is certainly no other node.
    fn is_alone(&self) -> bool {
        self.beats() && self.others.is_empty()
    }

    fn hear(&mut self, uid: &NodeId, now: Instant) {
        if uid.is_emitter() {
            return;
        }
        if let Some(heard) = self.others.get_mut(uid) {
            *heard = now;
        } else if self.others.len() >= self.config.max_nodes {
            self.outputs.push_back(Output::Overloaded(uid.clone()));
        } else {
            self.others.insert(uid.clone(), now);
            self.outputs.push_back(Output::Joined(uid.clone()));
        }
    }

    fn remove_node(&mut self, uid: &NodeId) {
        if self.others.remove(uid).is_none() {
            return;
        }
        self.outputs.push_back(Output::Left(uid.clone()));
        self.requests.values_mut().for_each(|request| request.release(uid));
        let complete: Vec<_> =
            self.requests.iter().filter(|(_, request)| request.is_complete()).map(|(key, _)| *key).collect();
        complete.into_iter().for_each(|key| self.settle(key));
    }

    fn publish(&mut self, message: Message, now: Instant) {
        self.send(Destination::All, message, now);
    }

    fn answer(&mut self, to: NodeId, message: Message, now: Instant) {
        self.send(Destination::Node(to), message, now);
    }

    fn send(&mut self, to: Destination, message: Message, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        if let Membership::Heartbeat { interval, .. } = self.config.membership {
            // Whatever is said is a sign of life.
            self.next_heartbeat = Some(now + interval.max(SHORTEST));
        }
        let envelope = Envelope { message, uid: self.uid.clone(), nsp: Some(self.nsp.clone()) };
        self.outputs.push_back(Output::Publish(to, envelope));
    }

    // Requests of this node

    fn request(
        &mut self,
        waiter: W,
        deadline: Instant,
        answers: Answers,
        asks_self: bool,
    ) -> Result<RequestKey, (CommandError, W)> {
        if self.state == State::Closed {
            return Err((CommandError::Closed, waiter));
        }
        if self.requests.len() >= self.config.max_requests {
            return Err((CommandError::TooManyRequests, waiter));
        }
        // A bijection of the counter: no key comes twice, and those of other nodes are hardly ever the same.
        let key = scramble(self.seed.wrapping_add(self.next_request.wrapping_mul(GOLDEN)));
        self.next_request += 1;
        let ask = asks_self.then(|| self.next_ask());
        let known = self.beats().then(|| self.others.keys().cloned().collect());
        self.requests.insert(key, Request::new(waiter, deadline, answers, ask, known));
        self.deadlines.insert((deadline, Due::Request(key)));
        Ok(RequestKey(key))
    }

    fn ask_self(&mut self, key: RequestKey, query: Query) {
        if let Some(ask) = self.requests.get(&key.0).and_then(|request| request.ask) {
            self.asks.insert(ask, Ask::Own(key.0));
            self.outputs.push_back(Output::Ask(ask, query));
        }
    }

    fn count_servers(&mut self, key: RequestKey) {
        if !self.beats() {
            self.outputs.push_back(Output::CountServers(key));
        }
    }

    /// The request that an answer names, if it is one of ours.
    fn with_answered(&mut self, id: &RequestId, change: impl FnOnce(&mut Request<W>)) {
        if let Ok(key) = u64::from_str_radix(id.as_str(), 16)
            && RequestId::from(key) == *id
        {
            self.with_request(key, change);
        }
    }

    fn with_request(&mut self, key: u64, change: impl FnOnce(&mut Request<W>)) {
        let Some(request) = self.requests.get_mut(&key) else { return };
        change(request);
        self.settle(key);
    }

    /// Ends a request that is complete.
    fn settle(&mut self, key: u64) {
        if self.requests.get(&key).is_some_and(Request::is_complete)
            && let Some(request) = self.take_request(key)
        {
            self.outputs.push_back(Output::Completed(request.complete()));
        }
    }

    fn take_request(&mut self, key: u64) -> Option<Request<W>> {
        let request = self.requests.remove(&key)?;
        self.deadlines.remove(&(request.deadline, Due::Request(key)));
        if let Some(ask) = request.ask {
            self.asks.remove(&ask);
        }
        Some(request)
    }

    // Requests of others

    fn next_ask(&mut self) -> AskId {
        self.next_ask += 1;
        AskId(self.next_ask)
    }

    fn ask_for(&mut self, to: NodeId, request: RequestId, query: Query, deadline: Instant) {
        if self.answers >= self.config.max_answers {
            self.outputs.push_back(Output::Overloaded(to));
            return;
        }
        let ask = self.next_ask();
        self.answers += 1;
        self.asks.insert(ask, Ask::Other(Answer { to, request, deadline, clients: None }));
        self.deadlines.insert((deadline, Due::Ask(ask)));
        self.outputs.push_back(Output::Ask(ask, query));
    }

    fn take_ask(&mut self, ask: AskId) -> Option<Ask> {
        let taken = self.asks.remove(&ask)?;
        if let Ask::Other(answer) = &taken {
            self.answers -= 1;
            self.deadlines.remove(&(answer.deadline, Due::Ask(ask)));
        }
        Some(taken)
    }

    fn handle_clients(&mut self, ask: AskId, clients: u64, now: Instant) {
        match self.asks.get_mut(&ask) {
            Some(Ask::Own(key)) => {
                let key = *key;
                self.with_request(key, |request| request.announce(None, clients));
            }
            Some(Ask::Other(answer)) if answer.clients.is_none() => {
                answer.clients = Some(clients);
                let (to, request) = (answer.to.clone(), answer.request.clone());
                self.answer(to, Message::BroadcastClientCount { request, clients }, now);
                if clients == 0 {
                    self.take_ask(ask);
                }
            }
            Some(Ask::Other(_)) | None => {}
        }
    }

    /// `answer` is `None` when it will not come: other nodes have no word for that and find out by waiting.
    fn handle_acknowledgement(&mut self, ask: AskId, answer: Option<Args>, now: Instant) {
        match self.asks.get_mut(&ask) {
            Some(Ask::Own(key)) => {
                let key = *key;
                self.with_request(key, |request| match answer {
                    Some(answer) => request.acknowledge(None, answer),
                    None => request.lose(),
                });
            }
            Some(Ask::Other(Answer { to, request, clients: Some(clients), .. })) if *clients > 0 => {
                *clients -= 1;
                let is_last = *clients == 0;
                if let Some(answer) = answer {
                    let (to, request) = (to.clone(), request.clone());
                    self.answer(to, Message::BroadcastAck { request, answer }, now);
                }
                if is_last {
                    self.take_ask(ask);
                }
            }
            Some(Ask::Other(_)) | None => {}
        }
    }
}

/// The least time between heartbeats: with none at all, time would stand still.
const SHORTEST: Duration = Duration::from_millis(1);

/// The finalizer of splitmix64.
const fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
