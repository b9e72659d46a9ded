//! How a connection is lost and made again: the order of what is told, which reasons mean what, a server that restarts,
//! state that is recovered; and in virtual time, how long it all takes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socketio_driver::client::{DisconnectReason, NotConnected, Status};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Event, RecoveryConfig, Server, ServerBuilder, Socket, Transport};
use socketio_tests::io::{accept, read, sleep, write_all};
use socketio_tests::on_every_runtime;
use socketio_tests::sim::{Link, Reach, Sim};
use socketio_tests::stage::{LOOPBACK, Log, Stage};
use socketio_tokio::Tokio;

use crate::support::{Guest, NOBODY, Way, gone, until, url};

const SOON: Duration = Duration::from_millis(20);

async fn what_is_told_comes_in_the_order_of_the_reference(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |b| Way::Websocket.choose(b).reconnection_delay(SOON));
    guest.log_manager();
    guest.enter(Way::Websocket).await;
    guest.expect(&["open", "connect"]).await;
    guest.client.close_engine();
    guest
        .expect(&[
            "close forced close",
            "disconnect forced close",
            "reconnect_attempt 1",
            "open",
            "reconnect 1",
            "connect",
        ])
        .await;
    guest.client.disconnect();
    guest.expect(&["close forced close", "disconnect io client disconnect"]).await;
    gone(&stage, guest).await;
}

async fn only_those_who_did_not_mean_to_part_come_back(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on("kick", |socket: Socket, (): ()| async move { socket.disconnect() });
        stage.server.on("close", |socket: Socket, (): ()| async move { socket.disconnect_all() });
        let guest = Guest::new(&stage, |builder| way.choose(builder).reconnection_delay(SOON));
        guest.enter(way).await;
        // The server closes everything: each socket is dismissed first.
        for event in ["kick", "close"] {
            guest.client.emit(event, ()).unwrap();
            guest.expect(&["connect", "disconnect io server disconnect"]).await;
            assert!(!guest.client.is_active());
            stage.wait(4 * SOON).await;
            assert!(guest.log.is_empty());
            guest.client.connect();
            guest.client.connected().await.unwrap();
        }
        guest.client.disconnect();
        guest.expect(&["connect", "disconnect io client disconnect"]).await;
        stage.wait(4 * SOON).await;
        assert!(guest.log.is_empty());
        gone(&stage, guest).await;
    }
}

async fn when_the_attempts_are_used_up_nothing_happens_until_somebody_connects(rt: Arc<dyn Runtime>) {
    let guest = Guest::at(&rt, NOBODY, |b| {
        Way::Websocket.choose(b).reconnection_attempts(2).reconnection_delay(SOON).randomization_factor(0.0)
    });
    guest.log_manager();
    let mut events = guest.client.events();
    guest.client.connect();
    let told = [
        "error websocket error",
        "connect_error websocket error",
        "reconnect_attempt 1",
        "error websocket error",
        "connect_error websocket error",
        "reconnect_error websocket error",
        "reconnect_attempt 2",
        "error websocket error",
        "connect_error websocket error",
        "reconnect_failed",
        "reconnect_error websocket error",
    ];
    guest.expect(&told).await;
    assert_eq!(guest.client.status(), Status::Stopped);
    assert!(events.next().await.is_none(), "nothing will come");
    sleep(&*rt, 8 * SOON).await;
    assert!(guest.log.is_empty());
    // Whoever was active is active again, also on other namespaces.
    let other = guest.client.of("/other");
    other.connect();
    guest.expect(&told).await;
    other.connect();
    assert!(matches!(guest.client.connected().await, Err(NotConnected::Failed(_))));
    drop(other);
    guest.leave().await;
}

async fn free_address(rt: &Arc<dyn Runtime>) -> SocketAddr {
    rt.listen(LOOPBACK).await.unwrap().local_addr().unwrap()
}

fn counting_server(rt: &Arc<dyn Runtime>) -> Server {
    let server = ServerBuilder::<Tokio>::new().build_on(Arc::clone(rt));
    server.on("echo", |_: Socket, n: u32| async move { Ack(n) });
    server
}

/// A place that stays while servers come and go behind it: a port that is given back may be somebody else's at once.
#[derive(Clone, Default)]
struct Front(Arc<Mutex<Option<Server>>>);

impl Front {
    async fn listen(&self, rt: &Arc<dyn Runtime>) -> SocketAddr {
        let mut listener = rt.listen(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (front, spawner) = (self.clone(), Arc::clone(rt));
        rt.spawn(Box::pin(async move {
            while let Ok((io, address)) = accept(&mut *listener).await {
                // Nobody at home: the connection breaks.
                let Some(server) = front.0.lock().unwrap().clone() else { continue };
                spawner.spawn(Box::pin(async move { server.serve_connection(io, Some(address)).await }));
            }
        }));
        at
    }

    fn set(&self, server: Option<Server>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap(), server);
        drop(before);
    }
}

async fn a_server_that_restarts_is_found_again(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let (front, server) = (Front::default(), counting_server(&rt));
        front.set(Some(server.clone()));
        let at = front.listen(&rt).await;
        let guest = Guest::at(&rt, &url(at), |b| way.choose(b).reconnection_delay(SOON));
        guest.enter(way).await;
        let before = guest.client.id();
        front.set(None);
        server.close();
        guest.until("it has noticed", || !guest.client.is_connected()).await;
        // What is asked for meanwhile is answered afterwards.
        let answer = guest.client.emit_with_ack::<u32, _>("echo", 7);
        sleep(&*rt, 3 * SOON).await;
        let server = counting_server(&rt);
        front.set(Some(server.clone()));
        assert_eq!(answer.await.unwrap(), 7);
        assert_ne!(guest.client.id(), before);
        assert!(!guest.client.is_recovered());
        guest.leave().await;
        server.close();
    }
}

async fn a_recovered_client_misses_nothing(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage =
            Stage::with(Arc::clone(&rt), |b| b.connection_state_recovery(RecoveryConfig::default())).await;
        let stage = stage.keeping();
        stage.server.on_connection(|socket: Socket| async move {
            if !socket.is_recovered() {
                socket.join("room");
            }
        });
        // While it is away. It comes back later than the server notices that, on any machine.
        let rooms = stage.server.clone();
        stage.server.on_disconnect(move |_: Socket, reason| {
            let rooms = rooms.clone();
            async move {
                for n in if reason.is_recoverable() { 2..5 } else { 0..0 } {
                    rooms.to("room").emit("n", n).unwrap();
                }
            }
        });
        let guest = Guest::new(&stage, |b| way.choose(b).reconnection_delay(Duration::from_millis(400)));
        let log = Log::default();
        let seen = log.clone();
        guest.client.on("n", move |_, n: u32| {
            seen.add(n);
            async {}
        });
        guest.enter(way).await;
        let id = guest.client.id();
        stage.server.to("room").emit("n", 1).unwrap();
        log.expect(&stage, &["1"]).await;
        let seen = log.clone();
        guest.client.on_connect(move |socket| {
            seen.add(format_args!("recovered: {}", socket.is_recovered()));
            async {}
        });
        guest.client.close_engine();
        // In order, and before it is said to be connected.
        log.expect(&stage, &["2", "3", "4", "recovered: true"]).await;
        assert_eq!(guest.client.id(), id);
        stage.server.to("room").emit("n", 5).unwrap();
        log.expect(&stage, &["5"]).await;
        // Who leaves on purpose is forgotten.
        guest.client.disconnect();
        guest.client.connect();
        log.expect(&stage, &["recovered: false"]).await;
        assert_ne!(guest.client.id(), id);
        gone(&stage, guest).await;
    }
}

async fn answers_to_an_earlier_connection_are_not_sent(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_any(move |_: Socket, event: Event| {
        seen.add(event.name());
        async {}
    });
    let guest = Guest::new(&stage, |builder| builder.reconnection_delay(SOON));
    let clock = Arc::clone(&rt);
    guest.client.on("slow", move |socket: socketio_driver::client::Socket, (): ()| {
        let clock = Arc::clone(&clock);
        async move {
            sleep(&*clock, 4 * SOON).await;
            // Had the stale answer been sent, the server would have closed the connection for it.
            socket.emit("after", ()).unwrap();
            Ack("stale")
        }
    });
    guest.enter(Way::Upgrade).await;
    let peer = stage.server.sockets().remove(0);
    let answer = peer.emit_with_ack::<String, _>("slow", ());
    sleep(&*rt, SOON).await;
    guest.client.close_engine();
    assert!(answer.await.is_err());
    log.expect(&stage, &["after"]).await;
    sleep(&*rt, 4 * SOON).await;
    assert_eq!(guest.log.take(), ["connect", "disconnect forced close", "connect"]);
    drop(peer);
    gone(&stage, guest).await;
}

/// Answers every request with `response`.
async fn impostor(rt: &Arc<dyn Runtime>, response: &'static str) -> SocketAddr {
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let at = listener.local_addr().unwrap();
    rt.spawn(Box::pin(async move {
        while let Ok((mut io, _)) = accept(&mut *listener).await {
            let _ = read(&mut *io).await;
            let _ = write_all(&mut *io, response.as_bytes()).await;
        }
    }));
    at
}

async fn what_is_no_server_is_named_and_tried_again(rt: Arc<dyn Runtime>) {
    for (response, polling, websocket) in [
        ("", "xhr poll error", "websocket error"),
        ("garbage\r\n\r\n", "xhr poll error", "websocket error"),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
            "the answer is not an Engine.IO handshake",
            "websocket error",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            "xhr poll error",
            "websocket error",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n9:0{\"sid\":1",
            "the server speaks Engine.IO protocol revision 3 (Socket.IO 2.x), which this client does not",
            "websocket error",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0{\"sid\":\"x\"",
            "invalid handshake",
            "websocket error",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n0", "xhr poll error", "websocket error"),
    ] {
        let at = impostor(&rt, response).await;
        for (way, expected) in [(Way::Polling, polling), (Way::Websocket, websocket)] {
            let guest = Guest::at(&rt, &url(at), |b| way.choose(b).reconnection_delay(SOON));
            guest.client.connect();
            for _ in 0..2 {
                let error = guest.client.connected().await.unwrap_err();
                assert_eq!(error.to_string(), expected, "{response}");
            }
            assert!(guest.client.is_active());
            guest.leave().await;
        }
    }
}

on_every_runtime!(
    a_recovered_client_misses_nothing,
    a_server_that_restarts_is_found_again,
    answers_to_an_earlier_connection_are_not_sent,
    only_those_who_did_not_mean_to_part_come_back,
    what_is_no_server_is_named_and_tried_again,
    what_is_told_comes_in_the_order_of_the_reference,
    when_the_attempts_are_used_up_nothing_happens_until_somebody_connects,
);

// What follows goes by virtual time alone.

/// When each attempt to connect was made, in milliseconds.
async fn attempts(guest: &Guest, count: usize) -> Vec<u64> {
    let times = Log::default();
    let (seen, clock) = (times.clone(), Arc::clone(&guest.rt));
    guest.client.on_manager(move |event| {
        if let socketio_driver::client::ManagerEvent::ReconnectAttempt(_) = event {
            seen.add(clock.now().as_micros() / 1000);
        }
        async {}
    });
    let start = guest.rt.now().as_micros() / 1000;
    guest.client.connect();
    while times.len() < count {
        sleep(&*guest.rt, Duration::from_millis(100)).await;
    }
    times.take()[..count].iter().map(|at| at.parse::<u64>().unwrap() - start).collect()
}

#[test]
fn attempts_are_made_after_delays_that_double_up_to_the_cap() {
    let mut sim = Sim::new(1);
    sim.net().set_link(Link { latency: Duration::ZERO, ..Link::default() });
    let rt = sim.runtime();
    sim.block_on(async {
        let at = free_address(&rt).await;
        let guest = Guest::at(&rt, &url(at), |builder| builder.randomization_factor(0.0));
        let times = attempts(&guest, 6).await;
        assert_eq!(times, [1000, 3000, 7000, 12_000, 17_000, 22_000]);
        guest.leave().await;
        let guest = Guest::at(&rt, &url(at), |builder| {
            builder
                .randomization_factor(0.0)
                .reconnection_delay(Duration::from_millis(100))
                .reconnection_delay_max(Duration::from_millis(350))
        });
        assert_eq!(attempts(&guest, 4).await, [100, 300, 650, 1000]);
        guest.leave().await;
    });
}

#[test]
fn clients_of_a_server_that_was_gone_do_not_return_at_once() {
    let mut sim = Sim::new(1);
    sim.net().set_link(Link { latency: Duration::ZERO, ..Link::default() });
    let rt = sim.runtime();
    sim.block_on(async {
        let at = free_address(&rt).await;
        let mut first = Vec::new();
        for _ in 0..20 {
            let guest = Guest::at(&rt, &url(at), |builder| builder);
            let times = attempts(&guest, 3).await;
            for (n, pair) in
                [0].into_iter().chain(times.iter().copied()).collect::<Vec<_>>().windows(2).enumerate()
            {
                let (base, wait) = (1000 << n, pair[1] - pair[0]);
                // Half of it, more or less; then the cap.
                assert!((base / 2..=(base * 3 / 2).min(5000)).contains(&wait), "{n}: {wait}");
            }
            first.push(times[0]);
            guest.leave().await;
        }
        first.sort_unstable();
        first.dedup();
        assert!(first.len() > 15, "{first:?}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        for way in Way::ALL {
            let at = free_address(&rt).await;
            net.set_reach(at, Reach::Silent);
            for limit in [Some(Duration::from_secs(3)), None] {
                let guest = Guest::at(&rt, &url(at), |builder| {
                    let builder = way.choose(builder).reconnection(false);
                    if limit.is_some() { builder.timeout(limit) } else { builder }
                });
                let start = rt.now();
                guest.client.connect();
                let error = guest.client.connected().await.unwrap_err();
                assert_eq!(error.to_string(), "timeout");
                let limit = limit.unwrap_or(Duration::from_secs(20));
                assert_eq!(rt.now().saturating_since(start), limit);
                let start = rt.now();
                guest.leave().await;
                // To close a session that may have been opened, it waits; but not for ever.
                assert!(rt.now().saturating_since(start) < Duration::from_secs(11));
            }
        }
    });
}

/// A connection that is dead and does not show it: the heartbeats find out, and the client is back.
#[test]
fn a_dead_connection_is_found_by_its_missing_heartbeats() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        for way in Way::ALL {
            let stage = Stage::new(Arc::clone(&rt)).await;
            let guest = Guest::connected(&stage, way).await;
            guest.log_manager();
            sleep(&*rt, Duration::from_secs(60)).await;
            assert_eq!(guest.log.take().into_iter().filter(|line| line == "ping").count(), 2);
            net.connections().iter().for_each(socketio_tests::sim::Connection::blackhole);
            let start = rt.now();
            while guest.log.len() < 6 {
                sleep(&*rt, Duration::from_millis(100)).await;
                assert!(
                    rt.now().saturating_since(start) < Duration::from_secs(60),
                    "{:?}",
                    guest.log.lines()
                );
            }
            assert_eq!(
                guest.log.take()[..6],
                [
                    "close ping timeout",
                    "disconnect ping timeout",
                    "reconnect_attempt 1",
                    "open",
                    "reconnect 1",
                    "connect"
                ]
            );
            // The dead one is waited for, to answer the close frame, for 30 s.
            sleep(&*rt, Duration::from_secs(31)).await;
            guest.leave().await;
            sleep(&*rt, Duration::from_secs(60)).await;
            stage.is_empty_after(()).await;
        }
    });
}

#[test]
fn a_connection_that_breaks_is_a_transport_error_or_close_and_comes_back() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        for way in Way::ALL {
            let stage = Stage::new(Arc::clone(&rt)).await;
            let guest = Guest::connected(&stage, way).await;
            guest.log.take();
            let reasons = Log::default();
            let seen = reasons.clone();
            guest.client.on_disconnect(move |_, reason| {
                assert!(reason.reconnects());
                seen.add(matches!(
                    reason,
                    DisconnectReason::TransportError(_) | DisconnectReason::TransportClose(_)
                ));
                async {}
            });
            net.cut_all();
            until(&rt, "it is back", || guest.log.len() == 2 && guest.client.is_connected()).await;
            assert_eq!(reasons.take(), ["true"]);
            if way != Way::Polling {
                until(&rt, "websocket", || guest.client.transport() == Some(Transport::Websocket)).await;
                net.connections().iter().for_each(|c| c.half_close(socketio_tests::sim::Side::Server));
                until(&rt, "it is back again", || guest.log.len() == 4).await;
                assert_eq!(reasons.take(), ["true"]);
            }
            guest.client.emit("x", json!({})).unwrap();
            guest.leave().await;
            sleep(&*rt, Duration::from_secs(60)).await;
            stage.is_empty_after(()).await;
        }
    });
}
