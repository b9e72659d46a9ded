//! The connection of a client: made, lost and made again; and the packets of its sockets on it (REFERENCE 5.3).
//!
//! ```text
//!                    connect()            open                  lost
//!          Stopped ────────────► Opening ──────► Open ───────────────────┐
//!           ▲  ▲                  │  ▲  │         │                      │
//!           │  │ close(), last    │  │  │ failure │ close(), last        │
//!           │  │ socket leaves    │  │  ▼         │ socket leaves        ▼
//!           │  └──────────────────┘  └─ Waiting ◄─┼──────────────────────┘
//!           │                                │    │
//!           └────────────────────────────────┴────┘
//!             close(), last socket leaves, attempts used up, no reconnection
//! ```
//!
//! That nobody reconnects after a close on purpose (`skipReconnect` in the reference) is the state `Stopped`. A session
//! that is closed lives on among `leaving` until the server knows; what it still says is of no interest.

mod connection;
mod packets;
mod sending;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::backoff::Backoff;
use super::error::{ConnectError, DisconnectReason, ProtocolError};
use super::socket::{Context, Phase, Socket, Then};
use super::{Config, Event, Reconnection, SocketConfig, Status, Ticket};
use crate::engine::Transport;
use crate::engine::client::{self as engine, CloseReason, Input, Memory, Session};
use crate::random::Random;
use crate::socket::{Decoder, Nsp, Slot};
use crate::time::earliest;
use crate::{Instant, Sid};

/// What a manager tells the driver.
pub type Output<W> = engine::Output<Event<W>>;

/// One connection of a client, with all its sockets. `W` is whatever the application wants back with an
/// acknowledgement.
#[derive(Debug)]
pub struct Manager<W> {
    config: Arc<Config>,
    state: State,
    leaving: VecDeque<Session>,
    sockets: Vec<Socket<W>>,
    next_slot: u32,
    next_ticket: u64,
    memory: Memory,
    backoff: Backoff,
    random: Random,
    outputs: VecDeque<Output<W>>,
}

/// See the picture at the top of this file.
#[derive(Debug)]
enum State {
    Stopped,
    Opening { session: Box<Session>, deadline: Option<Instant>, attempt: Attempt },
    Open(Box<Open>),
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Open {
    session: Session,
    decoder: Decoder,
    attachment_deadline: Option<Instant>,
}

/// Whether a connection is made because somebody asked, or made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

impl<W> Manager<W> {
    /// A client that does nothing yet. `seed` is where chance comes from: it need not be secret, but should differ
    /// between the clients of the world, or they return to a server that was gone all at once.
    pub fn new(config: Arc<Config>, seed: u64) -> Self {
        Self {
            config,
            state: State::Stopped,
            leaving: VecDeque::new(),
            sockets: Vec::new(),
            next_slot: 0,
            next_ticket: 0,
            memory: Memory::default(),
            backoff: Backoff::default(),
            random: Random::new(seed),
            outputs: VecDeque::new(),
        }
    }

    /// The socket for a namespace, which is made if there is none, and then rests until [`connect`](Self::connect).
    /// `config` is ignored where there is one.
    pub fn socket(&mut self, nsp: &Nsp, config: SocketConfig) -> Slot {
        if let Some(socket) = self.sockets.iter().find(|socket| socket.nsp == *nsp) {
            return socket.slot;
        }
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        self.sockets.push(Socket::new(slot, nsp.detached(), config));
        slot
    }

    /// Forgets a socket and what it holds back. Returns whether it did: a socket that is active, or for which an answer
    /// of the server is due, stays.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let Some(index) = self.index(slot) else { return true };
        if self.sockets[index].phase != Phase::Inactive {
            return false;
        }
        self.with(index, Socket::fail_all);
        self.sockets.remove(index);
        true
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        match &self.state {
            State::Stopped => Status::Stopped,
            State::Opening { .. } => Status::Opening,
            State::Open(_) => Status::Open,
            State::Waiting { until } => Status::Waiting { until: *until },
        }
    }

    /// Whether there is nothing to do until somebody connects: no connection, nor one that is still being closed.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Stopped) && self.leaving.is_empty()
    }

    /// The transport in use, while the connection is open.
    pub fn transport(&self) -> Option<Transport> {
        self.session()?.transport()
    }

    /// The secret id of the session, while the connection is open.
    pub fn engine_id(&self) -> Option<&Sid> {
        self.session()?.sid()
    }

    /// The id of a socket, while it is connected.
    pub fn id(&self, slot: Slot) -> Option<&Sid> {
        match &self.sockets[self.index(slot)?].phase {
            Phase::Connected { sid, .. } => Some(sid),
            _ => None,
        }
    }

    /// Whether a socket is connected.
    pub fn is_connected(&self, slot: Slot) -> bool {
        self.id(slot).is_some()
    }

    /// Whether a socket is connected or will connect with the connection.
    pub fn is_active(&self, slot: Slot) -> bool {
        self.index(slot).is_some_and(|index| self.sockets[index].is_active())
    }

    /// Whether a socket is connected and the server has restored its state.
    pub fn is_recovered(&self, slot: Slot) -> bool {
        let phase = self.index(slot).map(|index| &self.sockets[index].phase);
        matches!(phase, Some(Phase::Connected { recovered: true, .. }))
    }

    /// Bytes that a socket holds back.
    pub fn buffered_bytes(&self, slot: Slot) -> usize {
        self.index(slot).map_or(0, |index| self.sockets[index].buffered_bytes())
    }

    /// Whether an event was refused with [`EmitError::Full`](super::EmitError::Full) and [`Event::Drained`] has not
    /// followed yet.
    pub fn is_starved(&self, slot: Slot) -> bool {
        self.index(slot).is_some_and(|index| self.sockets[index].is_starved())
    }

    /// Makes the connection, or makes it at once where that is waited for. Does nothing when it is there.
    pub fn open(&mut self, now: Instant) {
        match self.state {
            State::Stopped => self.start(Attempt::First, now),
            State::Waiting { .. } => self.try_again(now),
            State::Opening { .. } | State::Open(_) => {}
        }
        self.drain(now);
    }

    /// Closes the connection once everything queued has been sent, and makes it no more. Sockets stay active: they
    /// connect with the connection, if somebody makes it.
    pub fn close(&mut self, now: Instant) {
        self.stop(now);
        self.drain(now);
    }

    /// Closes the connection of the moment as [`close`](Self::close) does; it is made again as if it had been lost.
    pub fn close_engine(&mut self, now: Instant) {
        if matches!(self.state, State::Open(_)) {
            self.lose(DisconnectReason::ForcedClose, now);
        }
        self.drain(now);
    }

    /// Gives up the sessions that are still on their way out: nobody waits any longer to hand over what they have, nor
    /// for the server to hear of it. The connection of the moment is left as it is.
    pub fn abandon(&mut self) {
        self.leaving.iter_mut().for_each(Session::abort);
        self.pull_leaving();
    }

    /// Lets a socket connect, with the connection or as soon as there is one, which is made where nobody has made it.
    /// Does nothing when it is active, unless the connection is not being made any more.
    pub fn connect(&mut self, slot: Slot, now: Instant) {
        let Some(index) = self.index(slot) else { return };
        let socket = &mut self.sockets[index];
        match socket.phase {
            Phase::Inactive => {
                socket.phase = Phase::Pending;
                if matches!(self.state, State::Open(_)) {
                    self.authorize(index);
                }
            }
            Phase::Abandoned(_) => socket.phase = Phase::Abandoned(Then::Connect),
            Phase::Pending | Phase::Authorizing(_) | Phase::Connecting | Phase::Connected { .. } => {}
        }
        if matches!(self.state, State::Stopped) {
            self.start(Attempt::First, now);
        }
        self.drain(now);
    }

    /// Lets a socket leave. When it was the last active one, the connection is closed. What it holds back is kept.
    pub fn disconnect(&mut self, slot: Slot, now: Instant) {
        let Some(index) = self.index(slot) else { return };
        if self.sockets[index].is_active() {
            let was_connected = self.sockets[index].is_connected();
            if was_connected && let Ok(encoded) = self.config.codec.disconnect(&self.sockets[index].nsp) {
                self.with(index, |_, cx| cx.send(&encoded));
            }
            self.retire(index, now);
            if was_connected {
                self.disconnected(index, DisconnectReason::IoClientDisconnect);
            }
        }
        self.drain(now);
    }

    /// Forgets what a socket holds back, and says how many events that were; their acknowledgements fail. What was handed to
    /// the connection, or waits for its acknowledgement with retries, stays.
    pub fn discard(&mut self, slot: Slot) -> usize {
        self.index(slot).map_or(0, |index| self.with(index, Socket::discard))
    }

    /// Sets whether, and how, the connection is made again, in the place of [`Config::reconnection`]. Where the next
    /// attempt is waited for, its time stands; with `None` it is not made, and [`Event::ReconnectFailed`] says so.
    pub fn set_reconnection(&mut self, reconnection: Option<Reconnection>) {
        if reconnection.is_none() && matches!(self.state, State::Waiting { .. }) {
            self.state = State::Stopped;
            self.backoff.reset();
            self.event(Event::ReconnectFailed);
        }
        Arc::make_mut(&mut self.config).reconnection = reconnection;
    }

    /// Sets how long making the connection may take, in the place of [`Config::timeout`], from the next attempt on.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        Arc::make_mut(&mut self.config).timeout = timeout;
    }

    /// Sets the parameters that requests carry, in the place of [`engine::Config::query`], from the next session on.
    pub fn set_query(&mut self, query: Vec<(String, String)>) {
        Arc::make_mut(&mut Arc::make_mut(&mut self.config).engine).query = query;
    }

    /// Takes what happened below. Whatever a server does wrong becomes outputs.
    pub fn handle(&mut self, input: Input, now: Instant) {
        let lane = input.lane();
        if let Some(session) = self.session_mut().filter(|session| session.owns(lane)) {
            session.handle(input, now);
        } else if let Some(session) = self.leaving.iter_mut().find(|session| session.owns(lane)) {
            session.handle(input, now);
        }
        self.drain(now);
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.leaving.iter_mut().for_each(|session| session.handle_timeout(now));
            if let Some(session) = self.session_mut() {
                session.handle_timeout(now);
            }
            self.drain(now);
            self.handle_deadline(now);
            for index in 0..self.sockets.len() {
                self.with(index, |socket, cx| socket.handle_timeout(cx, now));
            }
            self.drain(now);
        }
    }

    fn handle_deadline(&mut self, now: Instant) {
        let is_due = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        match &mut self.state {
            State::Opening { deadline, .. } if is_due(deadline) => self.fail(ConnectError::TimedOut, now),
            State::Open(open) if is_due(&open.attachment_deadline) => {
                self.lose(DisconnectReason::ParseError(ProtocolError::AttachmentTimeout), now);
            }
            State::Waiting { until } if *until <= now => self.try_again(now),
            State::Stopped | State::Opening { .. } | State::Open(_) | State::Waiting { .. } => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Stopped => None,
            State::Opening { session, deadline, .. } => earliest(session.poll_timeout(), *deadline),
            State::Open(open) => earliest(open.session.poll_timeout(), open.attachment_deadline),
            State::Waiting { until } => Some(*until),
        };
        let leaving = self.leaving.iter().filter_map(Session::poll_timeout).min();
        let sockets = self.sockets.iter().filter_map(Socket::poll_timeout).min();
        earliest(own, earliest(leaving, sockets))
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        while self.outputs.is_empty() && self.has_output() {
            self.pull_leaving();
            if let Some(session) = self.session_mut()
                && let Some(output) = session.poll_output()
            {
                match output {
                    engine::Output::Event(engine::Event::Drained) => self.flush(),
                    // Whatever else a session has to tell was taken when it was handled.
                    engine::Output::Event(_) => {}
                    output => self.forward(output),
                }
            }
        }
        self.outputs.pop_front()
    }

    /// Whether [`poll_output`](Self::poll_output) would look for something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
            || self.session().is_some_and(Session::has_output)
            || self.leaving.iter().any(Session::has_output)
    }

    /// Moves what the session has to say into `outputs`, in causal order.
    fn drain(&mut self, now: Instant) {
        while let Some(session) = self.session_mut()
            && let Some(output) = session.poll_queued()
        {
            match output {
                engine::Output::Event(event) => self.handle_event(event, now),
                output => self.forward(output),
            }
        }
        self.pull_leaving();
    }

    /// Moves what the sessions that are closed still want to do into `outputs`, and forgets those that are done.
    fn pull_leaving(&mut self) {
        for session in &mut self.leaving {
            while let Some(output) = session.poll_output() {
                self.outputs.extend(without_event(output));
            }
        }
        self.leaving.retain(|session| !session.is_closed());
    }

    fn forward(&mut self, output: engine::Output) {
        self.outputs.extend(without_event(output));
    }

    fn handle_event(&mut self, event: engine::Event, now: Instant) {
        match event {
            engine::Event::Opened(_) => self.opened(),
            engine::Event::Upgraded(transport) => self.event(Event::Upgraded(transport)),
            engine::Event::UpgradeFailed(error) => self.event(Event::UpgradeFailed(error)),
            engine::Event::Message(message) => {
                if let Err(error) = self.handle_message(message, now) {
                    self.lose(DisconnectReason::ParseError(error), now);
                }
            }
            engine::Event::Ping => self.event(Event::Ping),
            engine::Event::Drained => self.flush(),
            engine::Event::Closed(reason) => match (&self.state, reason) {
                (State::Opening { .. }, CloseReason::TransportError(error)) => self.fail(error.into(), now),
                (_, reason) => {
                    if let CloseReason::TransportError(error) = &reason {
                        self.announce_error(&error.clone().into());
                    }
                    self.lose(reason.into(), now);
                }
            },
        }
    }

    /// An active socket leaves: with it, perhaps, the connection.
    fn retire(&mut self, index: usize, now: Instant) {
        let socket = &mut self.sockets[index];
        socket.reset(match socket.phase {
            Phase::Connecting | Phase::Abandoned(_) => Phase::Abandoned(Then::Rest),
            _ => Phase::Inactive,
        });
        self.stop_if_idle(now);
    }

    fn disconnected(&mut self, index: usize, reason: DisconnectReason) {
        let phase = self.sockets[index].phase.clone();
        self.with(index, |socket, cx| socket.handle_disconnect(phase, reason, cx));
    }

    fn authorize(&mut self, index: usize) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.with(index, |socket, cx| socket.authorize(ticket, cx));
    }

    /// The session has room again.
    fn flush(&mut self) {
        for index in 0..self.sockets.len() {
            self.with(index, Socket::flush);
        }
    }

    fn event(&mut self, event: Event<W>) {
        self.outputs.push_back(Output::Event(event));
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Opening { session, .. } => Some(session),
            State::Open(open) => Some(&open.session),
            State::Stopped | State::Waiting { .. } => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Opening { session, .. } => Some(session),
            State::Open(open) => Some(&mut open.session),
            State::Stopped | State::Waiting { .. } => None,
        }
    }

    #[cfg(test)]
    pub(super) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.slot == slot)
    }

    fn with<R>(&mut self, index: usize, act: impl FnOnce(&mut Socket<W>, &mut Context<'_, W>) -> R) -> R {
        let session = match &mut self.state {
            State::Open(open) => Some(&mut open.session),
            State::Stopped | State::Opening { .. } | State::Waiting { .. } => None,
        };
        let mut cx = Context { config: &self.config, session, outputs: &mut self.outputs };
        act(&mut self.sockets[index], &mut cx)
    }
}

fn without_event<W>(output: engine::Output) -> Option<Output<W>> {
    Some(match output {
        engine::Output::Get(lane, target) => engine::Output::Get(lane, target),
        engine::Output::Post(lane, target, body) => engine::Output::Post(lane, target, body),
        engine::Output::Abort(lane) => engine::Output::Abort(lane),
        engine::Output::WsConnect(lane, target) => engine::Output::WsConnect(lane, target),
        engine::Output::WsSend(lane, frame, compression) => engine::Output::WsSend(lane, frame, compression),
        engine::Output::WsClose(lane) => engine::Output::WsClose(lane),
        engine::Output::Event(_) => return None,
    })
}
