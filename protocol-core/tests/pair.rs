//! Our client and our server, over a network that breaks at every step: whatever happens, they find each other again,
//! nothing changes its order, and what was acknowledged arrived once.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::client as engine;
use socketio_core::engine::handshake::Transports;
use socketio_core::engine::server::Config as EngineServerConfig;
use socketio_core::engine::{Transport, packet::BinaryEncoding};
use socketio_core::peer;
use socketio_core::socket::client::{
    AuthError, Config, DisconnectReason, Event, Manager, Reconnection, Reply, ReplyError, Retries,
    SocketConfig, Status, Ticket,
};
use socketio_core::socket::server::{self, Slot};
use socketio_core::socket::{Codec, Delivery, Nsp};
use socketio_core::{AckId, Bytes, Instant, Sid};

use support::telegrams::Telegrams;
use support::{App, Cut, Network, Random, Waiter, World, distinct, payload};

const ROOT: Slot = Slot(0);

/// An application on both sides: the client counts up, and the server acknowledges and counts back.
struct Counting {
    /// How many numbers the client sends.
    total: u32,
    /// Between two of them.
    pause: Duration,
    next: u32,
    /// What the server received, in order.
    received: Vec<u32>,
    /// What became of each number the client sent: how often it was acknowledged, and how often that failed.
    outcome: BTreeMap<u32, (u32, u32)>,
    /// Per peer, the number of the next news to send, and to receive.
    news: BTreeMap<usize, (u32, u32)>,
    /// Acknowledgements of the server: what came back, and what did not.
    answered: u32,
    unanswered: u32,
    next_ack: u64,
    /// Answers that the client takes its time for.
    owed: Vec<(Reply, u32)>,
    codec: Codec,
    /// When the client tried to connect.
    attempts: Vec<Instant>,
    upgrades: u32,
    disconnects: Vec<DisconnectReason>,
}

impl Counting {
    fn new(total: u32, pause: Duration, seed: u64) -> Self {
        Self {
            total,
            pause,
            next: 0,
            received: Vec::new(),
            outcome: BTreeMap::new(),
            news: BTreeMap::new(),
            answered: 0,
            unanswered: 0,
            next_ack: 0,
            owed: Vec::new(),
            codec: codec(seed),
            attempts: Vec::new(),
            upgrades: 0,
            disconnects: Vec::new(),
        }
    }

    fn answer(&mut self, world: &mut World) {
        for (reply, number) in std::mem::take(&mut self.owed) {
            match world.client.reply(reply, &(number, payload(number))) {
                Ok(()) | Err(ReplyError::Disconnected) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.next == self.total && self.outcome.values().all(|(acked, failed)| acked + failed > 0)
    }
}

impl App for Counting {
    fn client(&mut self, world: &mut World, event: Event<Waiter>) {
        match event {
            Event::AuthNeeded { slot, ticket } => {
                world.client.authenticate(slot, ticket, None::<&()>).expect("the connection is new");
                // A late answer to the last connection would be the end of this one.
                self.answer(world);
            }
            Event::Emit { event, reply, .. } => {
                assert_eq!(event.name(), "news");
                let (peer, number, data): (usize, u32, Bytes) =
                    event.args().decode().expect("as it was sent");
                assert_eq!(data, payload(number));
                let next = &mut self.news.entry(peer).or_default().1;
                assert_eq!(number, *next, "news of peer {peer} out of order");
                *next += 1;
                match reply {
                    Some(reply) if world.random.below(4) == 0 => self.owed.push((reply, number)),
                    Some(reply) => world.client.reply(reply, &(number, data)).expect("it has just arrived"),
                    None => {}
                }
            }
            Event::Acked { waiter, args } => {
                let (number, data): (u32, Bytes) = args.decode().expect("as it was sent");
                assert_eq!((number, data), (waiter, payload(waiter)));
                self.outcome.get_mut(&waiter).expect("it was sent").0 += 1;
            }
            Event::AckFailed { waiter, .. } => self.outcome.get_mut(&waiter).expect("it was sent").1 += 1,
            Event::Upgraded(_) => self.upgrades += 1,
            Event::Disconnected { reason, .. } => self.disconnects.push(reason),
            Event::ReconnectAttempt(_) => self.attempts.push(world.now),
            _ => {}
        }
    }

    fn server(&mut self, world: &mut World, index: usize, event: peer::Event<Waiter>) {
        let peer::Event::Socket(event) = event else { return };
        let peer = world.peers[index].as_mut().expect("it has just spoken");
        match event {
            server::Event::ConnectRequest { slot, .. } => {
                // A client that is gone already is none of our business.
                let _ = peer.accept(slot, &Sid::from(&*format!("socket {index}")), None);
            }
            server::Event::Emit { slot, event } => {
                let (number, data): (u32, Bytes) = event.args().decode().expect("as it was sent");
                assert_eq!(data, payload(number));
                self.received.push(number);
                let id = event.ack.expect("the client waits for it");
                let answer = self.codec.ack(&Nsp::ROOT, id, &(number, data)).expect("it encodes");
                let _ = peer.send(slot, &answer, Delivery::Reliable);
                let next = &mut self.news.entry(index).or_default().0;
                let ack = (*next % 2 == 1).then_some(AckId(self.next_ack));
                let news = (index, *next, payload(*next));
                let encoded = self.codec.event(&Nsp::ROOT, ack, "news", &news).expect("it encodes");
                let sent = match ack {
                    None => peer.send(slot, &encoded, Delivery::Reliable).is_ok(),
                    Some(id) => peer.send_with_ack(slot, &encoded, id, *next, None).is_ok(),
                };
                if sent {
                    self.next_ack += u64::from(ack.is_some());
                    *next += 1;
                }
            }
            server::Event::Acked { waiter, args } => {
                let (number, data): (u32, Bytes) = args.decode().expect("as it was sent");
                assert_eq!((number, data), (waiter, payload(waiter)));
                self.answered += 1;
            }
            server::Event::AckFailed { .. } => self.unanswered += 1,
            server::Event::Left { .. } => {}
            server::Event::Violation(error) => panic!("the client broke the protocol: {error}"),
        }
    }

    fn tick(&mut self, world: &mut World) {
        self.answer(world);
        let number = self.next;
        self.next += 1;
        self.outcome.insert(number, (0, 0));
        let args = (number, payload(number));
        let timeout = Some(Duration::from_secs(3));
        let sent = world.client.emit_with_ack(
            ROOT,
            ("number", &args),
            Delivery::Reliable,
            number,
            timeout,
            world.now,
        );
        sent.expect("there is room");
        if self.next < self.total {
            let pause = u64::try_from(self.pause.as_micros()).expect("a short time");
            world.tick_at = Some(world.now + Duration::from_micros(1 + world.random.below(2 * pause)));
        }
    }
}

/// The seeds take turns with the dialects.
fn codec(seed: u64) -> Codec {
    [Codec::Text, Codec::Msgpack, Codec::custom(&Telegrams)][(seed % 3) as usize]
}

/// A world in which the client is about to connect.
fn world(engine: engine::Config, socket: SocketConfig, network: Network, seed: u64) -> World {
    let config = Config {
        engine: Arc::new(engine),
        codec: codec(seed),
        timeout: Some(Duration::from_secs(2)),
        reconnection: Some(Reconnection { max_delay: Duration::from_secs(2), ..Reconnection::default() }),
        ..Config::default()
    };
    let server = peer::Config {
        engine: Arc::new(EngineServerConfig {
            ping_interval: Duration::from_millis(1500),
            ping_timeout: Duration::from_millis(1000),
            upgrade_timeout: Duration::from_millis(800),
            max_payload_bytes: 700,
            ..EngineServerConfig::default()
        }),
        socket: server::Config { codec: codec(seed), ..server::Config::default() },
    };
    let mut client = Manager::new(Arc::new(config), seed);
    client.socket(&Nsp::ROOT, socket);
    let mut world = World::new(client, server, Transports::default(), network, seed);
    world.client.connect(ROOT, world.now);
    world.tick_at = Some(world.now);
    world
}

fn network(latency: u64) -> Network {
    Network { latency: Duration::from_millis(latency), cuts_per_million: 0, cut_at: None }
}

const RETRIES: SocketConfig = SocketConfig {
    ack_timeout: None,
    retries: Some(Retries { count: u32::MAX, ack_timeout: Duration::from_millis(700) }),
};

fn polling() -> engine::Config {
    engine::Config { transports: vec![Transport::Polling], ..engine::Config::default() }
}

fn websocket() -> engine::Config {
    engine::Config { transports: vec![Transport::Websocket], ..engine::Config::default() }
}

/// Every way to connect.
fn engines() -> [engine::Config; 6] {
    [
        engine::Config::default(),
        polling(),
        websocket(),
        engine::Config { remember_upgrade: true, ..engine::Config::default() },
        engine::Config {
            transports: vec![Transport::Websocket, Transport::Polling],
            try_all_transports: true,
            ..engine::Config::default()
        },
        engine::Config { binary: BinaryEncoding::Base64, ..engine::Config::default() },
    ]
}

/// Lets the application do its work and everybody go home; checks what holds in any case.
fn live(world: &mut World, app: &mut Counting) {
    let patience = world.now + Duration::from_secs(600);
    // The first half of the way the network is as bad as it is; then it heals, and all must end well.
    let half = app.total / 2;
    while app.next < half && world.now < patience {
        let until = world.now + Duration::from_millis(100);
        world.run(app, until, |_| false);
    }
    world.heal();
    // What was not retried may be settled, by its timeout, before the client is back.
    let is_well = |app: &Counting, world: &World| app.is_done() && world.client.is_connected(ROOT);
    while !is_well(app, world) && world.now < patience {
        let until = world.now + Duration::from_millis(100);
        world.run(app, until, |_| false);
    }
    assert!(app.is_done(), "not everything was settled");
    assert!(world.client.is_connected(ROOT), "the client is not back: {:?}", world.client.status());
    // What the server sent last is still on its way.
    let until = world.now + Duration::from_secs(1);
    world.run(app, until, |_| false);
    world.client.disconnect(ROOT, world.now);
    let until = world.now + Duration::from_secs(60);
    assert!(world.run(app, until, World::is_silent), "something is left");
    assert_eq!(world.client.status(), Status::Stopped);

    for (number, (acked, failed)) in &app.outcome {
        assert_eq!(acked + failed, 1, "{number} was settled {acked} + {failed} times");
    }
    for pair in app.attempts.windows(2) {
        let apart = pair[1].saturating_since(pair[0]);
        assert!(apart >= Duration::from_millis(500), "attempts only {apart:?} apart");
    }
}

/// At most once: what arrived did so in order and never twice, and what was acknowledged arrived.
fn check_at_most_once(app: &Counting) {
    assert!(app.received.is_sorted_by(|a, b| a < b), "out of order or twice: {:?}", app.received);
    for (number, (acked, _)) in &app.outcome {
        assert!(
            *acked == 0 || app.received.binary_search(number).is_ok(),
            "{number} was acknowledged unseen"
        );
    }
}

/// With retries: everything arrived, in order, and was acknowledged once.
fn check_exactly_once(app: &Counting) {
    let all: Vec<_> = (0..app.total).collect();
    assert_eq!(distinct(&app.received), all);
    // One at a time: a number may come again, but not after a later one.
    assert!(app.received.is_sorted());
    assert!(app.outcome.values().all(|outcome| *outcome == (1, 0)), "{:?}", app.outcome);
}

/// Runs a test for a seed and says which one it was when it fails.
fn with_seed(name: &str, seed: u64, mut world: World, test: impl FnOnce(&mut World)) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut world)));
    if let Err(panic) = result {
        eprintln!("{name}, seed {seed}, at {:?} after {} deliveries", world.now, world.deliveries);
        for line in world.transcript.iter().rev().take(80).rev() {
            eprintln!("{line}");
        }
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn without_faults_every_way_to_connect_loses_nothing() {
    for (index, engine) in engines().into_iter().enumerate() {
        for seed in 0..20 {
            let upgrades =
                u32::from(engine.transports[0] == Transport::Polling && engine.transports.len() > 1);
            let world = world(engine.clone(), SocketConfig::default(), network(40), seed);
            with_seed(&format!("way {index}"), seed, world, |world| {
                let mut app = Counting::new(60, Duration::from_millis(15), seed);
                live(world, &mut app);
                let all: Vec<_> = (0..app.total).collect();
                assert_eq!(app.received, all);
                assert!(app.outcome.values().all(|outcome| *outcome == (1, 0)));
                assert_eq!(app.news[&0], (60, 60));
                let owed = u32::try_from(app.owed.len()).expect("few");
                assert_eq!((app.answered, app.unanswered), (30 - owed, owed));
                assert_eq!(app.upgrades, upgrades);
                assert_eq!(app.disconnects, [DisconnectReason::IoClientDisconnect]);
                assert_eq!(world.peers.len(), 1);
            });
        }
    }
}

#[test]
fn a_break_at_any_step_of_any_way_to_connect_is_survived() {
    for (index, engine) in engines().into_iter().enumerate() {
        for cut in Cut::ALL {
            for at in 1..48 {
                let network = Network { cut_at: Some((at, cut)), ..network(30) };
                for (socket, check) in [
                    (SocketConfig::default(), check_at_most_once as fn(&Counting)),
                    (RETRIES, check_exactly_once),
                ] {
                    let world = world(engine.clone(), socket, network, at);
                    with_seed(&format!("way {index}, {cut:?}"), at, world, |world| {
                        let mut app = Counting::new(16, Duration::from_millis(20), at);
                        live(world, &mut app);
                        check(&app);
                    });
                }
            }
        }
    }
}

#[test]
fn on_a_bad_network_what_is_retried_arrives_exactly_once_and_in_order() {
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let engine = engines()[random.below(6) as usize].clone();
        let network = Network { cuts_per_million: random.below(60_000), ..network(1 + random.below(120)) };
        with_seed("retries", seed, world(engine, RETRIES, network, seed), |world| {
            let mut app = Counting::new(24, Duration::from_millis(1 + random.below(80)), seed);
            live(world, &mut app);
            check_exactly_once(&app);
        });
    }
}

#[test]
fn on_a_bad_network_order_is_kept_and_nothing_arrives_twice() {
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let engine = engines()[random.below(6) as usize].clone();
        let network = Network { cuts_per_million: random.below(40_000), ..network(1 + random.below(120)) };
        with_seed("order", seed, world(engine, SocketConfig::default(), network, seed), |world| {
            let mut app = Counting::new(60, Duration::from_millis(1 + random.below(60)), seed);
            live(world, &mut app);
            check_at_most_once(&app);
        });
    }
}

#[test]
fn a_server_that_is_gone_for_a_minute_is_met_again_without_haste() {
    for seed in 0..50 {
        let world = world(engine::Config::default(), RETRIES, network(20), seed);
        with_seed("gone", seed, world, |world| {
            let mut app = Counting::new(40, Duration::from_secs(2), seed);
            world.run(&mut app, Instant::from_micros(5_000_000), |_| false);
            let before = world.started;
            world.down_until = world.now + Duration::from_secs(60);
            world.cut_all(Cut::Loud);
            let until = world.down_until;
            world.run(&mut app, until, |_| false);
            let attempts = world.started - before;
            // The delay is between one and two seconds, but for the first: half a second at least.
            assert!((29..=62).contains(&attempts), "{attempts} attempts");
            live(world, &mut app);
            check_exactly_once(&app);
        });
    }
}

/// Users and servers that cannot make up their minds, on several namespaces at once.
struct Restless {
    actions: u32,
    /// Whether the server dismisses sockets. Then a packet may cross the dismissal, and the server has to close the
    /// connection (REFERENCE 3.4).
    dismisses: bool,
    next: u32,
    pending: BTreeSet<u32>,
    tickets: Vec<(Slot, Ticket)>,
    requests: Vec<(usize, Slot)>,
    codec: Codec,
    /// What the slots of each peer stand for.
    names: BTreeMap<(usize, Slot), Nsp>,
}

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

impl Restless {
    fn authenticate(&mut self, world: &mut World) {
        for (slot, ticket) in std::mem::take(&mut self.tickets) {
            match world.client.authenticate(slot, ticket, Some(&BTreeMap::from([("token", slot.0)]))) {
                Ok(()) | Err(AuthError::Late) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn decide(&mut self, world: &mut World) {
        for (index, slot) in std::mem::take(&mut self.requests) {
            let Some(peer) = &mut world.peers[index] else { continue };
            // Whether the client is still there is not known here.
            let _ = match self.actions > 0 && world.random.below(5) == 0 {
                true => peer.refuse(slot, "not today", Some(&1)).is_ok(),
                false => peer.accept(slot, &Sid::from(&*format!("{index}.{}", slot.0)), None).is_ok(),
            };
        }
    }

    fn act(&mut self, world: &mut World) {
        let now = world.now;
        let slot = Slot(u32::try_from(world.random.below(3)).expect("below three"));
        let count = world.peers.len().max(1) as u64;
        let chosen = world.random.below(count) as usize;
        match world.random.below(16) {
            0..4 => world.client.connect(slot, now),
            4..6 => world.client.disconnect(slot, now),
            6 => {
                world.client.disconnect(slot, now);
                world.client.connect(slot, now);
            }
            7 if world.random.below(4) == 0 => world.client.close_engine(now),
            8 if world.random.below(4) == 0 => world.client.close(now),
            9 if world.random.below(4) == 0 => world.client.open(now),
            10 if self.dismisses => {
                if let Some(peer) = world.peers.get_mut(chosen).and_then(Option::as_mut) {
                    peer.leave(Slot(0), now);
                }
            }
            11 if world.random.below(4) == 0 => {
                if let Some(peer) = world.peers.get_mut(chosen).and_then(Option::as_mut) {
                    peer.close(now);
                }
            }
            _ => {
                let waiter = self.next;
                self.next += 1;
                let args = (waiter, payload(waiter));
                let timeout = Some(Duration::from_secs(2));
                let event = ("ask", &args);
                world
                    .client
                    .emit_with_ack(slot, event, Delivery::Reliable, waiter, timeout, now)
                    .expect("room");
                self.pending.insert(waiter);
            }
        }
    }
}

impl App for Restless {
    fn client(&mut self, world: &mut World, event: Event<Waiter>) {
        match event {
            Event::AuthNeeded { slot, ticket } => {
                self.tickets.push((slot, ticket));
                if self.actions == 0 || world.random.below(2) == 0 {
                    self.authenticate(world);
                }
            }
            Event::Acked { waiter, .. } | Event::AckFailed { waiter, .. } => {
                assert!(self.pending.remove(&waiter), "{waiter} was settled twice");
            }
            Event::Disconnected { slot, .. } => assert!(!world.client.is_connected(slot)),
            Event::Close(reason) => assert!(!matches!(reason, DisconnectReason::ParseError(_)), "{reason:?}"),
            _ => {}
        }
    }

    fn server(&mut self, world: &mut World, index: usize, event: peer::Event<Waiter>) {
        let peer::Event::Socket(event) = event else { return };
        match event {
            server::Event::ConnectRequest { slot, nsp, .. } => {
                self.names.insert((index, slot), nsp);
                self.requests.push((index, slot));
                if self.actions == 0 || world.random.below(2) == 0 {
                    self.decide(world);
                }
            }
            server::Event::Emit { slot, event } => {
                let id = event.ack.expect("the client waits for it");
                let (waiter, data): (u32, Bytes) = event.args().decode().expect("as it was sent");
                assert_eq!(data, payload(waiter));
                let answer = self.codec.ack(&self.names[&(index, slot)], id, &waiter).expect("it encodes");
                if let Some(peer) = &mut world.peers[index] {
                    let _ = peer.send(slot, &answer, Delivery::Reliable);
                }
            }
            server::Event::Violation(server::ProtocolError::NotConnected(_)) if self.dismisses => {}
            server::Event::Violation(error) => panic!("the client broke the protocol: {error}"),
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World) {
        self.actions = self.actions.saturating_sub(1);
        if self.actions > 0 {
            self.act(world);
            world.tick_at = Some(world.now + Duration::from_millis(1 + world.random.below(60)));
        }
        if world.random.below(4) == 0 || self.actions == 0 {
            self.authenticate(world);
            self.decide(world);
        }
    }
}

#[test]
fn whoever_comes_and_goes_breaks_no_rule_and_is_well_in_the_end() {
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let engine = engines()[random.below(6) as usize].clone();
        let cuts_per_million = if random.below(2) == 0 { 0 } else { random.below(20_000) };
        let network = Network { cuts_per_million, ..network(1 + random.below(100)) };
        let mut world = world(engine, SocketConfig::default(), network, seed);
        for name in &NAMESPACES[1..] {
            world.client.socket(&Nsp::new(name).expect("a name"), SocketConfig::default());
        }
        with_seed("restless", seed, world, |world| {
            let mut app = Restless {
                actions: 150,
                dismisses: random.below(2) == 0,
                next: 0,
                pending: BTreeSet::new(),
                tickets: Vec::new(),
                requests: Vec::new(),
                codec: codec(seed),
                names: BTreeMap::new(),
            };
            let slots = [Slot(0), Slot(1), Slot(2)];
            while app.actions > 0 {
                let until = world.now + Duration::from_secs(1);
                world.run(&mut app, until, |_| false);
            }
            world.heal();
            let patience = world.now + Duration::from_secs(60);
            let is_well = |world: &World| slots.iter().all(|slot| world.client.is_connected(*slot));
            while !is_well(world) && world.now < patience {
                slots.iter().for_each(|slot| world.client.connect(*slot, world.now));
                let until = world.now + Duration::from_secs(1);
                world.run(&mut app, until, is_well);
            }
            assert!(is_well(world), "not everybody is back");
            slots.iter().for_each(|slot| world.client.disconnect(*slot, world.now));
            let until = world.now + Duration::from_secs(60);
            assert!(world.run(&mut app, until, World::is_silent), "something is left");
            assert!(app.pending.is_empty(), "nobody heard of {:?}", app.pending);
        });
    }
}
