//! Our client and our server, over a network that breaks at every step: whatever happens, they find each other again,
//! nothing changes its order, and what was acknowledged arrived once.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::client as engine;
use socketio_core::engine::handshake::Transports;
use socketio_core::engine::server::Config as EngineServerConfig;
use socketio_core::engine::{Transport, packet::BinaryEncoding};
use socketio_core::peer;
use socketio_core::socket::client::{
    Config, DisconnectReason, Event, Manager, Reconnection, Retries, SocketConfig, Status,
};
use socketio_core::socket::server::{self, Slot};
use socketio_core::socket::{Codec, Delivery, Nsp};
use socketio_core::{AckId, Bytes, Instant, Sid};

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
    codec: Codec,
    /// When the client tried to connect.
    attempts: Vec<Instant>,
    upgrades: u32,
    disconnects: Vec<DisconnectReason>,
}

impl Counting {
    fn new(total: u32, pause: Duration) -> Self {
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
            codec: Codec::Text,
            attempts: Vec::new(),
            upgrades: 0,
            disconnects: Vec::new(),
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
            }
            Event::Emit { event, reply, .. } => {
                assert_eq!(event.name(), "news");
                let (peer, number, data): (usize, u32, Bytes) =
                    event.args().decode().expect("as it was sent");
                assert_eq!(data, payload(number));
                let next = &mut self.news.entry(peer).or_default().1;
                assert_eq!(number, *next, "news of peer {peer} out of order");
                *next += 1;
                if let Some(reply) = reply {
                    world.client.reply(reply, &(number, data)).expect("the event has just arrived");
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

/// A world in which the client is about to connect.
fn world(engine: engine::Config, socket: SocketConfig, network: Network, seed: u64) -> World {
    let config = Config {
        engine: Arc::new(engine),
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
        socket: server::Config::default(),
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
                let mut app = Counting::new(60, Duration::from_millis(15));
                live(world, &mut app);
                let all: Vec<_> = (0..app.total).collect();
                assert_eq!(app.received, all);
                assert!(app.outcome.values().all(|outcome| *outcome == (1, 0)));
                assert_eq!(app.news[&0], (60, 60));
                assert_eq!((app.answered, app.unanswered), (30, 0));
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
            for at in 1..60 {
                let network = Network { cut_at: Some((at, cut)), ..network(30) };
                for (socket, check) in [
                    (SocketConfig::default(), check_at_most_once as fn(&Counting)),
                    (RETRIES, check_exactly_once),
                ] {
                    let world = world(engine.clone(), socket, network, at);
                    with_seed(&format!("way {index}, {cut:?}"), at, world, |world| {
                        let mut app = Counting::new(16, Duration::from_millis(20));
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
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let engine = engines()[random.below(6) as usize].clone();
        let network = Network { cuts_per_million: random.below(60_000), ..network(1 + random.below(120)) };
        with_seed("retries", seed, world(engine, RETRIES, network, seed), |world| {
            let mut app = Counting::new(24, Duration::from_millis(1 + random.below(80)));
            live(world, &mut app);
            check_exactly_once(&app);
        });
    }
}

#[test]
fn on_a_bad_network_order_is_kept_and_nothing_arrives_twice() {
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let engine = engines()[random.below(6) as usize].clone();
        let network = Network { cuts_per_million: random.below(40_000), ..network(1 + random.below(120)) };
        with_seed("order", seed, world(engine, SocketConfig::default(), network, seed), |world| {
            let mut app = Counting::new(60, Duration::from_millis(1 + random.below(60)));
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
            let mut app = Counting::new(40, Duration::from_secs(2));
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
