//! A client and a server in one process without a network, a clock or a thread: the machines of the core face each
//! other over a make-believe network, and everything that happens follows from a seed.
//!
//! [`World`] plays both drivers. It knows of HTTP that a request has an answer, of WebSocket that messages keep their
//! order, and of TCP that it can break: at either end, at both, or without a word to anybody. What the applications do
//! is an [`App`].

#![allow(unreachable_pub, reason = "each test binary has a copy of this module and uses what it needs")]

mod random;
pub mod telegrams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::client::{Failure, Input as ClientInput, Output as ClientOutput};
use socketio_core::engine::format::Format;
use socketio_core::engine::handshake::Transports;
use socketio_core::engine::http::{Query, Refusal, Response};
use socketio_core::engine::packet::BinaryEncoding;
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Input as ServerInput, Opening};
use socketio_core::engine::{Transport, close::TransportFault};
use socketio_core::peer::{self, Peer};
use socketio_core::socket::client::{Event as ClientEvent, Manager};
use socketio_core::{Bytes, Instant, Lane, Sid};

pub use random::Random;

/// What acknowledgements are waited for with, at both ends.
pub type Waiter = u32;

/// What both applications do.
pub trait App {
    /// The client has something to tell.
    fn client(&mut self, world: &mut World, event: ClientEvent<Waiter>);

    /// A peer of the server has something to tell.
    fn server(&mut self, world: &mut World, peer: usize, event: peer::Event<Waiter>);

    /// The time of [`World::tick_at`] has come.
    fn tick(&mut self, world: &mut World);
}

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// How long a message travels, at most. At least it is a tenth of it.
    pub latency: Duration,
    /// In how many of a million deliveries the connection breaks.
    pub cuts_per_million: u64,
    /// The number of the delivery at which the connection breaks in any case.
    pub cut_at: Option<(u64, Cut)>,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends hear of it.
    Loud,
    /// Only the client does, and the message at hand arrives first.
    ClientHears,
    /// Only the server does, and the message at hand arrives first.
    ServerHears,
    /// Nobody does: what is sent disappears.
    Silent,
}

impl Cut {
    pub const ALL: [Self; 4] = [Self::Loud, Self::ClientHears, Self::ServerHears, Self::Silent];

    fn delivers(self) -> bool {
        matches!(self, Self::ClientHears | Self::ServerHears)
    }
}

/// A client, a server, and what lies between them.
pub struct World {
    pub now: Instant,
    pub random: Random,
    pub client: Manager<Waiter>,
    /// Everyone who ever came; `None` is gone.
    pub peers: Vec<Option<Peer<Waiter>>>,
    /// When the app is called next.
    pub tick_at: Option<Instant>,
    /// Requests and websockets are refused until then.
    pub down_until: Instant,
    /// How many messages have arrived.
    pub deliveries: u64,
    /// How many requests and websockets were started.
    pub started: u64,
    /// What happened, for a test that fails.
    pub transcript: Vec<String>,
    network: Network,
    config: Arc<peer::Config>,
    transports: Transports,
    sessions: BTreeMap<Sid, usize>,
    wires: BTreeMap<Lane, Wire>,
    queue: BTreeMap<(Instant, u64), Delivery>,
    next_delivery: u64,
}

/// The connection behind a lane.
#[derive(Debug, Default)]
struct Wire {
    is_websocket: bool,
    peer: Option<usize>,
    /// No message arrives before one that was sent earlier in the same direction.
    up: Instant,
    down: Instant,
    /// What is sent goes nowhere.
    is_cut: bool,
}

#[derive(Clone, Debug)]
enum Delivery {
    Get(Lane, String),
    Post(Lane, String, Bytes),
    WsConnect(Lane, String),
    ToServer(ServerInput),
    ToClient(ClientInput),
}

impl Delivery {
    fn lane(&self) -> Lane {
        match self {
            Self::Get(lane, _) | Self::Post(lane, ..) | Self::WsConnect(lane, _) => *lane,
            Self::ToServer(input) => input.lane(),
            Self::ToClient(input) => input.lane(),
        }
    }

    /// Whether it is news of the connection itself, or of what one's own end has written.
    fn is_notice(&self) -> bool {
        matches!(
            self,
            Self::ToServer(ServerInput::LaneGone(_) | ServerInput::WsFault(..) | ServerInput::Flushed(_))
                | Self::ToClient(
                    ClientInput::WsClosed(_) | ClientInput::Failed(..) | ClientInput::Flushed(_)
                )
        )
    }
}

impl World {
    pub fn new(
        client: Manager<Waiter>,
        server: peer::Config,
        transports: Transports,
        network: Network,
        seed: u64,
    ) -> Self {
        Self {
            now: Instant::ZERO,
            random: Random::new(seed),
            client,
            peers: Vec::new(),
            tick_at: None,
            down_until: Instant::ZERO,
            deliveries: 0,
            started: 0,
            transcript: Vec::new(),
            network,
            config: Arc::new(server),
            transports,
            sessions: BTreeMap::new(),
            wires: BTreeMap::new(),
            queue: BTreeMap::new(),
            next_delivery: 0,
        }
    }

    /// Lets things happen until `until`, or until nothing would. Returns whether `done` was reached before that.
    pub fn run(&mut self, app: &mut impl App, until: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        self.settle(app);
        while !done(self) {
            let Some(next) = self.next().filter(|next| *next <= until) else {
                self.now = until.max(self.now);
                return done(self);
            };
            assert!(next >= self.now, "time runs backwards");
            self.now = next;
            self.step(app);
            self.settle(app);
        }
        true
    }

    /// From now on the network does what it should.
    pub fn heal(&mut self) {
        self.network.cuts_per_million = 0;
        self.network.cut_at = None;
        self.down_until = self.now;
    }

    /// Breaks everything there is.
    pub fn cut_all(&mut self, how: Cut) {
        let lanes: Vec<_> = self.wires.keys().copied().collect();
        lanes.into_iter().for_each(|lane| self.cut(lane, how));
    }

    /// Peers that have not closed.
    pub fn live_peers(&self) -> usize {
        self.peers.iter().flatten().count()
    }

    /// Whether nothing is on its way or waited for.
    pub fn is_silent(&self) -> bool {
        self.queue.is_empty() && self.client.poll_timeout().is_none() && self.live_peers() == 0
    }

    fn next(&self) -> Option<Instant> {
        let delivery = self.queue.keys().next().map(|(at, _)| *at);
        let peers = self.peers.iter().flatten().filter_map(Peer::poll_timeout);
        let timers = self.client.poll_timeout().into_iter().chain(peers).chain(self.tick_at);
        // A deadline may have passed while something else was happening at the same time.
        delivery.into_iter().chain(timers).min().map(|at| at.max(self.now))
    }

    fn step(&mut self, app: &mut impl App) {
        if let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now
        {
            let delivery = entry.remove();
            return self.deliver(delivery);
        }
        if self.tick_at.take_if(|at| *at <= self.now).is_some() {
            return app.tick(self);
        }
        let now = self.now;
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
            assert!(self.client.poll_timeout().is_none_or(|at| at > now), "the client's timer is stuck");
        }
        for peer in
            self.peers.iter_mut().flatten().filter(|peer| peer.poll_timeout().is_some_and(|at| at <= now))
        {
            peer.handle_timeout(now);
            assert!(peer.poll_timeout().is_none_or(|at| at > now), "a peer's timer is stuck");
        }
    }

    /// Carries out what both sides want, until they want nothing.
    fn settle(&mut self, app: &mut impl App) {
        loop {
            if let Some(output) = self.client.poll_output() {
                self.client_output(output, app);
            } else if let Some((index, output)) = self.peer_output() {
                self.server_output(index, output, app);
            } else {
                return;
            }
        }
    }

    fn peer_output(&mut self) -> Option<(usize, peer::Output<Waiter>)> {
        self.peers
            .iter_mut()
            .enumerate()
            .find_map(|(index, peer)| Some((index, peer.as_mut()?.poll_output()?)))
    }

    fn client_output(&mut self, output: ClientOutput<ClientEvent<Waiter>>, app: &mut impl App) {
        self.note("client", &output);
        match output {
            ClientOutput::Get(lane, target) => self.start(lane, false, Delivery::Get(lane, target)),
            ClientOutput::Post(lane, target, body) => {
                self.start(lane, false, Delivery::Post(lane, target, body))
            }
            ClientOutput::WsConnect(lane, target) => {
                self.start(lane, true, Delivery::WsConnect(lane, target))
            }
            ClientOutput::WsSend(lane, frame, _) => {
                self.send_up(lane, Delivery::ToServer(ServerInput::WsFrame(lane, frame)));
                self.later(Duration::from_millis(1), Delivery::ToClient(ClientInput::Flushed(lane)));
            }
            ClientOutput::Abort(lane) | ClientOutput::WsClose(lane) => {
                self.send_up(lane, Delivery::ToServer(ServerInput::LaneGone(lane)));
            }
            ClientOutput::Event(event) => app.client(self, event),
        }
    }

    fn server_output(&mut self, index: usize, output: peer::Output<Waiter>, app: &mut impl App) {
        self.note("server", &output);
        match output {
            peer::Output::Respond(lane, response) => self.respond(lane, response),
            peer::Output::Abort(lane) => {
                self.send_down(lane, Delivery::ToClient(ClientInput::Failed(lane, Failure::Connection)));
            }
            peer::Output::WsSend(lane, frame, _) => {
                self.send_down(lane, Delivery::ToClient(ClientInput::WsFrame(lane, frame)));
                self.later(Duration::from_millis(1), Delivery::ToServer(ServerInput::Flushed(lane)));
            }
            peer::Output::WsClose(lane) => {
                self.send_down(lane, Delivery::ToClient(ClientInput::WsClosed(lane)));
            }
            peer::Output::Event(event) => {
                let is_over = matches!(event, peer::Event::Closed(_));
                app.server(self, index, event);
                if is_over {
                    let mut peer = self.peers[index].take().expect("a peer closes once");
                    assert_eq!(peer.poll_output(), None, "nothing follows the end");
                    assert_eq!(peer.poll_timeout(), None, "nothing is due after the end");
                    self.sessions.retain(|_, live| *live != index);
                }
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let lane = delivery.lane();
        if !delivery.is_notice() {
            if self.wires.get(&lane).is_none_or(|wire| wire.is_cut) {
                return;
            }
            self.deliveries += 1;
            let cut = match self.network.cut_at {
                Some((at, cut)) if at == self.deliveries => Some(cut),
                _ if self.random.below(1_000_000) < self.network.cuts_per_million => {
                    Some(Cut::ALL[self.random.below(4) as usize])
                }
                _ => None,
            };
            if let Some(cut) = cut {
                self.cut(lane, cut);
                if !cut.delivers() {
                    return;
                }
            }
        }
        self.note("arrives", &delivery);
        match delivery {
            Delivery::Get(lane, target) => self.request(lane, &target, None),
            Delivery::Post(lane, target, body) => self.request(lane, &target, Some(body)),
            Delivery::WsConnect(lane, target) => self.websocket(lane, &target),
            Delivery::ToServer(input) => {
                let index = self.wires.get(&lane).and_then(|wire| wire.peer);
                if let Some(peer) = index.and_then(|index| self.peers[index].as_mut()) {
                    peer.handle(input.clone(), self.now);
                }
                if matches!(input, ServerInput::LaneGone(_)) {
                    self.wires.remove(&lane);
                }
            }
            Delivery::ToClient(input) => {
                if matches!(input, ClientInput::Response(..)) {
                    self.wires.remove(&lane);
                }
                self.client.handle(input, self.now);
            }
        }
    }

    /// A GET, or a POST with its body, has arrived at the server.
    fn request(&mut self, lane: Lane, target: &str, body: Option<Bytes>) {
        let query = Query::of_target(target);
        assert_eq!(
            (query.eio.as_deref(), query.transport.as_deref()),
            (Some("4"), Some("polling")),
            "{target}"
        );
        let Some(sid) = query.sid.as_deref() else {
            let opening = self.opening(Transport::Polling);
            let peer = Peer::polling(self.config.clone(), opening, lane, self.now);
            return self.welcome(lane, peer);
        };
        let Some(&index) = self.sessions.get(sid) else {
            return self.respond(lane, Refusal::UnknownSid { sid: sid.into() }.response());
        };
        self.wires.entry(lane).or_default().peer = Some(index);
        if let Some(peer) = &mut self.peers[index] {
            match body {
                None => peer.handle(ServerInput::Poll(lane), self.now),
                Some(body) => {
                    peer.handle(ServerInput::Post(lane, Form::Text), self.now);
                    peer.handle(ServerInput::PostBody(lane, body), self.now);
                }
            }
        }
    }

    /// A websocket has arrived at the server.
    fn websocket(&mut self, lane: Lane, target: &str) {
        let query = Query::of_target(target);
        assert_eq!(
            (query.eio.as_deref(), query.transport.as_deref()),
            (Some("4"), Some("websocket")),
            "{target}"
        );
        let sid = query.sid.clone();
        let known = sid.as_ref().and_then(|sid| self.sessions.get(&**sid).copied());
        if sid.is_some() && known.is_none() {
            let refused = Failure::status(400, b"Session ID unknown");
            return self.send_down(lane, Delivery::ToClient(ClientInput::Failed(lane, refused)));
        }
        self.send_down(lane, Delivery::ToClient(ClientInput::WsOpened(lane)));
        match known {
            Some(index) => {
                self.wires.entry(lane).or_default().peer = Some(index);
                if let Some(peer) = &mut self.peers[index] {
                    peer.handle(ServerInput::WsOpen(lane, BinaryEncoding::Raw), self.now);
                }
            }
            None => {
                let opening = self.opening(Transport::Websocket);
                let peer = Peer::websocket(self.config.clone(), opening, lane, self.now);
                self.welcome(lane, peer);
            }
        }
    }

    fn opening(&self, transport: Transport) -> Opening {
        let sid = Sid::generate([0; Sid::ENTROPY], u32::try_from(self.peers.len()).expect("few peers"));
        Opening { sid, format: Format::V4, upgrades: self.transports.upgrades(transport) }
    }

    fn welcome(&mut self, lane: Lane, peer: Peer<Waiter>) {
        let index = self.peers.len();
        self.sessions.insert(peer.sid().clone(), index);
        self.peers.push(Some(peer));
        self.wires.entry(lane).or_default().peer = Some(index);
    }

    fn respond(&mut self, lane: Lane, response: Response) {
        let input = ClientInput::Response(lane, response.status, response.body);
        self.send_down(lane, Delivery::ToClient(input));
    }

    fn start(&mut self, lane: Lane, is_websocket: bool, delivery: Delivery) {
        self.started += 1;
        let known = self.wires.insert(lane, Wire { is_websocket, ..Wire::default() });
        assert!(known.is_none(), "{lane:?} was used before");
        if self.now < self.down_until {
            let refused = Delivery::ToClient(ClientInput::Failed(lane, Failure::Unreachable));
            self.wires.remove(&lane);
            return self.later(Duration::from_millis(1), refused);
        }
        self.send_up(lane, delivery);
    }

    fn cut(&mut self, lane: Lane, how: Cut) {
        let Some(wire) = self.wires.get_mut(&lane).filter(|wire| !wire.is_cut) else { return };
        wire.is_cut = true;
        let is_websocket = wire.is_websocket;
        self.note("cut", &(lane, how));
        let is_rough = self.random.below(2) == 0;
        if matches!(how, Cut::Loud | Cut::ClientHears) {
            let notice = match is_websocket && !is_rough {
                true => ClientInput::WsClosed(lane),
                false => ClientInput::Failed(lane, Failure::Connection),
            };
            let latency = self.latency();
            self.later(latency, Delivery::ToClient(notice));
        }
        if matches!(how, Cut::Loud | Cut::ServerHears) {
            let notice = match is_websocket && is_rough {
                true => ServerInput::WsFault(lane, TransportFault::Connection),
                false => ServerInput::LaneGone(lane),
            };
            let latency = self.latency();
            self.later(latency, Delivery::ToServer(notice));
        }
    }

    fn send_up(&mut self, lane: Lane, delivery: Delivery) {
        let latency = self.latency();
        let Some(wire) = self.wires.get_mut(&lane).filter(|wire| !wire.is_cut) else { return };
        wire.up = (self.now + latency).max(wire.up);
        let at = wire.up;
        self.enqueue(at, delivery);
    }

    fn send_down(&mut self, lane: Lane, delivery: Delivery) {
        let latency = self.latency();
        let Some(wire) = self.wires.get_mut(&lane).filter(|wire| !wire.is_cut) else { return };
        wire.down = (self.now + latency).max(wire.down);
        let at = wire.down;
        self.enqueue(at, delivery);
    }

    fn later(&mut self, delay: Duration, delivery: Delivery) {
        self.enqueue(self.now + delay, delivery);
    }

    fn enqueue(&mut self, at: Instant, delivery: Delivery) {
        self.queue.insert((at, self.next_delivery), delivery);
        self.next_delivery += 1;
    }

    fn latency(&mut self) -> Duration {
        let most = u64::try_from(self.network.latency.as_micros()).expect("a short time");
        Duration::from_micros(most / 10 + self.random.below(most - most / 10 + 1))
    }

    fn note(&mut self, who: &str, what: &dyn std::fmt::Debug) {
        if self.transcript.capacity() > 0 {
            self.transcript.push(format!("{:?} {who} {what:?}", self.now));
        }
    }
}

/// Every item, the first time it occurs.
pub fn distinct<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.iter().filter(|item| seen.insert((*item).clone())).cloned().collect()
}

/// Bytes that follow from a number, and how many.
pub fn payload(number: u32) -> Bytes {
    let len = (number as usize * 7919) % 300;
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ number as u8).collect()
}
