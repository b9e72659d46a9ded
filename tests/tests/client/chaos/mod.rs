//! Our client and our server on a bad network, in virtual time, over many seeds: what is acknowledged arrived exactly
//! once, in order; a client always comes back, never spins, and leaves nothing behind.

mod namespaces;

use std::cell::Cell;
use std::env;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use socketio_core::Instant;
use socketio_driver::client::Socket as Mine;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, RecoveryConfig, Server, ServerBuilder, Socket};
use socketio_tests::dice::Dice;
use socketio_tests::io::{sleep, timeout};
use socketio_tests::sim::{Link, Net, Side, Sim};
use socketio_tests::stage::{LOOPBACK, Log};
use socketio_tokio::Tokio;

use crate::support::{Guest, Way, url};

/// How many seeds a run tries, unless the environment variable `SIM_SEEDS` says how many, or `SIM_SEED` which one.
const SEEDS: u64 = 1000;

fn seeds() -> std::ops::RangeInclusive<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_SEEDS").unwrap_or(SEEDS),
    }
}

/// What the servers of one run have seen, one after the other where they restart.
#[derive(Clone)]
struct Seen {
    rt: Arc<dyn Runtime>,
    /// Every arrival of a numbered event.
    arrivals: Arc<Mutex<Vec<(u64, Instant)>>>,
    /// Requests, refused ones included.
    requests: Arc<AtomicU64>,
}

impl Seen {
    fn server(&self, recovers: bool) -> Server {
        let requests = Arc::clone(&self.requests);
        let mut builder = ServerBuilder::<Tokio>::new().headers(move |_, _| {
            requests.fetch_add(1, Ordering::Relaxed);
        });
        let requests = Arc::clone(&self.requests);
        builder = builder.on_connection_error(move |_| {
            requests.fetch_add(1, Ordering::Relaxed);
        });
        if recovers {
            builder = builder.connection_state_recovery(RecoveryConfig::default());
        }
        let server = builder.build_on(Arc::clone(&self.rt));
        let seen = self.clone();
        server.on("n", move |_: Socket, (n, _): (u64, String)| {
            seen.arrivals.lock().unwrap().push((n, seen.rt.now()));
            async move { Ack(n) }
        });
        server
    }
}

/// Does something bad to a connection now and then.
async fn misfortune(rt: Arc<dyn Runtime>, net: Net, mut dice: Dice) {
    for _ in 0..dice.below(10) {
        let pause = if dice.below(2) == 0 { 50 } else { 3000 };
        sleep(&*rt, dice.millis(pause)).await;
        let connections = net.connections();
        if connections.is_empty() {
            continue;
        }
        let connection = &connections[dice.below(connections.len() as u64) as usize];
        match dice.below(8) {
            0..=3 => connection.cut(),
            4 => connection.half_close(Side::Client),
            5 => connection.half_close(Side::Server),
            6 => connection.blackhole(),
            _ => net.cut_all(),
        }
    }
}

#[test]
fn what_is_acknowledged_arrived_once_and_in_order_whatever_breaks() {
    let mut reconnections = 0;
    for seed in seeds() {
        let mut sim = Sim::new(seed);
        let (rt, net) = (sim.runtime(), sim.net());
        let mut dice = Dice(seed);
        net.set_link(Link {
            latency: dice.millis(40),
            ragged: dice.below(4) == 0,
            window_bytes: 1 << (10 + dice.below(9)),
            bytes_per_second: (dice.below(4) == 0).then_some(200_000),
        });
        let count = 1 + dice.below(25);
        let way = Way::ALL[dice.below(3) as usize];
        let recovers = dice.below(2) == 0;
        let restarts = dice.below(4) == 0;
        let seen = Seen { rt: Arc::clone(&rt), arrivals: Arc::default(), requests: Arc::default() };
        let mut server = seen.server(recovers);
        let times = Rc::new(Cell::new(0));
        sim.block_on(async {
            let at = server.listen(LOOPBACK).await.unwrap();
            let guest = Guest::at(&rt, &url(at), |builder| {
                way.choose(builder).retries(1_000_000, Duration::from_millis(800))
            });
            let pushed = Arc::new(Mutex::new(Vec::new()));
            let received = Arc::clone(&pushed);
            guest.client.on("pushed", move |_: Mine, n: u64| {
                received.lock().unwrap().push(n);
                async {}
            });
            guest.client.connect();
            let sending = async {
                let mut dice = dice.clone();
                let mut answers = Vec::new();
                for n in 0..count {
                    let clock = Arc::clone(&rt);
                    let text = "x".repeat(dice.below(3000) as usize);
                    let answer = guest.client.emit_with_ack::<u64, _>("n", (n, text));
                    answers.push(async move { (answer.await, clock.now()) });
                    let pause = if dice.below(3) == 0 { 1500 } else { 20 };
                    sleep(&*rt, dice.millis(pause)).await;
                    // Events of the server may be lost, but are never doubled or out of order.
                    let _ = server.emit("pushed", n);
                }
                join_all(answers).await
            };
            let breaking = misfortune(Arc::clone(&rt), net.clone(), Dice(seed ^ 0xBAD));
            let acked =
                timeout(&*rt, Duration::from_secs(400), async { futures_util::join!(sending, breaking).0 });
            let acked = acked.await.unwrap_or_else(|| panic!("never acknowledged; {:?}", guest.log.lines()));

            let arrivals = seen.arrivals.lock().unwrap().clone();
            let mut first = Vec::new();
            for (n, _) in &arrivals {
                if !first.contains(n) {
                    first.push(*n);
                }
            }
            assert_eq!(first, (0..count).collect::<Vec<_>>(), "all of them, in order");
            for (n, (answer, at)) in (0..).zip(&acked) {
                assert_eq!(answer.as_ref().ok(), Some(&n), "its own answer");
                // What was on its way when the acknowledgement came may still arrive; nothing was sent after that.
                let grace = *at + Duration::from_millis(500);
                let late = arrivals.iter().find(|(other, arrival)| *other == n && *arrival > grace);
                assert_eq!(late, None, "acknowledged at {at:?}");
            }
            let pushed = pushed.lock().unwrap().clone();
            assert!(pushed.is_sorted_by(|a, b| a < b), "{pushed:?}");

            // Whatever was done to it, it comes back, even to a server that was away.
            if restarts {
                server.close();
                server.closed().await;
                sleep(&*rt, Duration::from_secs(20)).await;
                server = seen.server(recovers);
                while server.listen(at).await.is_err() {
                    sleep(&*rt, Duration::from_millis(5)).await;
                }
            }
            let back =
                guest.client.timeout(Duration::from_secs(200)).emit_with_ack::<u64, _>("n", (count, ""));
            assert_eq!(timeout(&*rt, Duration::from_secs(200), back).await.unwrap().unwrap(), count);
            times.set(guest.log.lines().iter().filter(|line| *line != "connect").count());

            // It never spins: not while all that went on, nor when nothing goes on.
            let (requests, seconds) =
                (seen.requests.load(Ordering::Relaxed), rt.now().as_micros() / 1_000_000);
            let limit = 60 + 10 * seconds + 20 * count;
            assert!(requests <= limit, "{requests} requests in {seconds} s for {count} events");
            sleep(&*rt, Duration::from_secs(100)).await;
            let idle = seen.requests.load(Ordering::Relaxed) - requests;
            assert!(idle <= 24, "{idle} requests in 100 s in which nothing happens");

            drop(guest.client);
            sleep(&*rt, Duration::from_secs(100)).await;
            assert_eq!(guest.tasks.count(), 0, "no task of the client is left");
            assert_eq!(server.clients_count(), 0);
        });
        reconnections += times.get();
        assert!(sim.net().connections().is_empty(), "{:?}", sim.net().connections());
        server.close();
        sim.run_for(Duration::from_secs(1));
        assert_eq!(sim.tasks(), 0);
    }
    // Otherwise nothing was tried. A single seed may well be a quiet one.
    assert!(seeds().count() < 50 || reconnections > seeds().count(), "{reconnections} times disconnected");
}

/// The same seed is the same run: otherwise no failure above could be repeated.
#[test]
fn a_seed_decides_everything() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        let (rt, net) = (sim.runtime(), sim.net());
        sim.block_on(async {
            let seen = Seen { rt: Arc::clone(&rt), arrivals: Arc::default(), requests: Arc::default() };
            let server = seen.server(false);
            let at = server.listen(LOOPBACK).await.unwrap();
            let guest = Guest::at(&rt, &url(at), |builder| builder.retries(50, Duration::from_secs(1)));
            guest.client.connect();
            let breaking = misfortune(Arc::clone(&rt), net, Dice(seed));
            let asking = guest.client.emit_with_ack::<u64, _>("n", (1, ""));
            let (_, answer) = futures_util::join!(breaking, asking);
            answer.unwrap();
        });
        sim.fingerprint()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
