//! Several namespaces on one connection, events with binary data, volatile ones between them, and state that is recovered,
//! with events that come from another node in every other run.

use std::cell::Cell;

use socketio_driver::{Bytes, Client, LocalBus};

use super::*;

const NAMES: [&str; 3] = ["/", "/a", "/b"];

/// What one namespace has seen, on both sides.
#[derive(Clone, Default)]
struct Traffic {
    /// Every arrival of a numbered event at the server.
    reliable: Arc<Mutex<Vec<u64>>>,
    volatile: Arc<Mutex<Vec<u64>>>,
    /// What the server sent to everybody, as it arrived at the client.
    pushed: Arc<Mutex<Vec<u64>>>,
    /// How the socket connected, each time.
    connects: Log,
    /// What should not be. A handler that panics would be the only one to know.
    faults: Log,
}

impl Traffic {
    fn expect(&self, holds: bool, what: impl std::fmt::Display) {
        if !holds {
            self.faults.add(what);
        }
    }
}

/// The data of an event: of any length, and no two alike.
fn blob(n: u64) -> Bytes {
    (0..n * 37 % 2000).map(|i| (n + i) as u8).collect()
}

fn serve(rt: &Arc<dyn Runtime>, bus: Option<&LocalBus>, traffic: &[Traffic; 3]) -> Server {
    let mut builder = ServerBuilder::<Tokio>::new().connection_state_recovery(RecoveryConfig::default());
    if let Some(bus) = bus {
        builder = builder.bus(bus.clone());
    }
    let server = builder.build_on(Arc::clone(rt));
    for (name, traffic) in NAMES.into_iter().zip(traffic) {
        let nsp = server.of(name);
        let seen = traffic.clone();
        nsp.on("n", move |_: Socket, (n, data): (u64, Bytes)| {
            seen.expect(data == blob(n), format_args!("{n} is damaged"));
            seen.reliable.lock().unwrap().push(n);
            async move { Ack((n, data)) }
        });
        let (seen, clock) = (traffic.clone(), Arc::clone(rt));
        nsp.on("volatile", move |_: Socket, (n, emitted, data): (u64, u64, Bytes)| {
            seen.expect(data == blob(n), format_args!("volatile {n} is damaged"));
            let age = clock.now().saturating_since(Instant::from_micros(emitted));
            seen.expect(age < FRESH, format_args!("volatile {n} was held back for {age:?}"));
            seen.volatile.lock().unwrap().push(n);
            async {}
        });
    }
    server
}

fn listen_to(client: &Client, traffic: &[Traffic; 3]) -> [Mine; 3] {
    let sockets = NAMES.map(|name| client.of(name));
    for (socket, traffic) in sockets.iter().zip(traffic) {
        let seen = traffic.clone();
        socket.on("pushed", move |_: Mine, (n, data): (u64, Bytes)| {
            seen.expect(data == blob(n), format_args!("pushed {n} is damaged"));
            seen.pushed.lock().unwrap().push(n);
            async {}
        });
        let connects = traffic.connects.clone();
        socket.on_connect(move |socket| {
            connects.add(socket.is_recovered());
            async {}
        });
        socket.connect();
    }
    sockets
}

#[test]
fn namespaces_keep_their_promises_each_and_what_is_recovered_is_complete() {
    let (recovered, volatile) = (Cell::new(0), Cell::new(0));
    for seed in seeds() {
        let mut sim = Sim::new(seed);
        let (rt, net) = (sim.runtime(), sim.net());
        let mut dice = Dice(seed ^ 0x1A5E);
        net.set_link(Link {
            latency: dice.millis(40),
            ragged: dice.below(4) == 0,
            window_bytes: 1 << (10 + dice.below(9)),
            bytes_per_second: None,
        });
        let count = 3 + dice.below(20);
        let way = Way::ALL[dice.below(3) as usize];
        let bus = (dice.below(2) == 0).then(LocalBus::new);
        let traffic: [Traffic; 3] = Default::default();
        let server = serve(&rt, bus.as_ref(), &traffic);
        // Nobody connects to it: what it says goes over the bus.
        let neighbour = bus.is_some().then(|| serve(&rt, bus.as_ref(), &Default::default()));
        sim.block_on(async {
            let at = server.listen(LOOPBACK).await.unwrap();
            let guest = Guest::at(&rt, &url(at), |builder| {
                way.choose(builder).retries(1_000_000, Duration::from_millis(800))
            });
            let sockets = listen_to(&guest.client, &traffic);
            let sending = async {
                let mut answers = Vec::new();
                for n in 0..count {
                    for ((socket, name), seen) in sockets.iter().zip(NAMES).zip(&traffic) {
                        let answer = socket.emit_with_ack::<(u64, Bytes), _>("n", (n, blob(n)));
                        answers.push(async move { (n, answer.await) });
                        let _ = socket.volatile().emit("volatile", (n, rt.now().as_micros(), blob(n)));
                        let pause = if dice.below(5) == 0 { 1500 } else { 10 };
                        sleep(&*rt, dice.millis(pause)).await;
                        // To everybody, once it is clear that there is somebody.
                        if !seen.connects.is_empty() {
                            let from = neighbour.as_ref().filter(|_| dice.below(2) == 0).unwrap_or(&server);
                            from.of(name).emit("pushed", (n, blob(n))).unwrap();
                        }
                    }
                }
                join_all(answers).await
            };
            let breaking = misfortune(Arc::clone(&rt), net.clone(), Dice(seed ^ 0xBAD));
            let acked = timeout(&*rt, PATIENCE, async { futures_util::join!(sending, breaking).0 }).await;
            for (n, answer) in acked.expect("all are acknowledged") {
                assert_eq!(answer.unwrap(), (n, blob(n)), "its own answer");
            }
            // What was pushed is before this answer on the wire.
            for socket in &sockets {
                let last =
                    socket.timeout(PATIENCE).emit_with_ack::<(u64, Bytes), _>("n", (count, blob(count)));
                assert_eq!(timeout(&*rt, PATIENCE, last).await.expect("an answer").unwrap().0, count);
            }
            for (name, traffic) in NAMES.into_iter().zip(&traffic) {
                let always = check(name, traffic, count, neighbour.is_some());
                recovered.set(recovered.get() + usize::from(always));
                volatile.set(volatile.get() + traffic.volatile.lock().unwrap().len());
            }
            drop(sockets);
            guest.leave().await;
            sleep(&*rt, Duration::from_secs(100)).await;
            assert_eq!(server.clients_count(), 0);
        });
        server.close();
        drop(neighbour);
        sim.run_for(Duration::from_secs(1));
        assert_eq!(sim.tasks(), 0);
    }
    let (recovered, volatile, runs) = (recovered.get(), volatile.get(), seeds().count());
    assert!(runs < 50 || recovered > runs / 10, "{recovered} times recovered in {runs} runs");
    assert!(runs < 50 || volatile > runs, "{volatile} volatile events in {runs} runs");
}

/// Says whether the socket was lost, and recovered each time.
fn check(name: &str, traffic: &Traffic, count: u64, has_neighbour: bool) -> bool {
    assert!(traffic.faults.is_empty(), "{name}: {:?}", traffic.faults);
    let mut first = Vec::new();
    for n in traffic.reliable.lock().unwrap().iter() {
        if !first.contains(n) {
            first.push(*n);
        }
    }
    assert_eq!(first, (0..=count).collect::<Vec<_>>(), "{name}: all of them, in order");
    let volatile = traffic.volatile.lock().unwrap();
    assert!(volatile.is_sorted_by(|a, b| a < b), "{name}: {volatile:?}");
    let mut pushed = traffic.pushed.lock().unwrap();
    let connects = traffic.connects.lines();
    if has_neighbour {
        // Each node has an order of its own.
        pushed.sort_unstable();
    }
    assert!(pushed.is_sorted_by(|a, b| a < b), "{name}: {pushed:?}");
    let always = connects[1..].iter().all(|recovered| recovered == "true");
    if let (true, Some(&first)) = (always, pushed.first()) {
        assert_eq!(*pushed, (first..count).collect::<Vec<_>>(), "{name}: {connects:?}");
    }
    always && connects.len() > 1
}

/// How old a volatile event can be that was sent at once.
const FRESH: Duration = Duration::from_millis(500);

/// How long anything may take: a connection that vanished is missed after 45 s.
const PATIENCE: Duration = Duration::from_secs(400);
