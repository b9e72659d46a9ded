//! Every state has a deadline: silent clients of all kinds, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, BufferLimits, DisconnectReason, Socket};
use socketio_tests::client::{Frame, Gone, How, Http, Message, PATH, WebSocket, encode};
use socketio_tests::sim::{Connection, Link, Net, Side, Sim};
use socketio_tests::stage::{Log, Stage};

fn simulate<F: Future<Output = ()>>(case: impl Fn(Arc<dyn Runtime>, Net) -> F) {
    for seed in socketio_tests::every_runtime::seeds(socketio_tests::every_runtime::SEEDS) {
        let mut sim = Sim::new(seed);
        sim.net().set_link(Link { ragged: seed % 2 == 0, ..Link::default() });
        sim.block_on(case(sim.runtime(), sim.net()));
    }
}

async fn stage_with_reasons(rt: Arc<dyn Runtime>) -> (Stage, Log) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    stage.server.on("echo", |_: Socket, number: u32| async move { Ack(number) });
    (stage, log)
}

/// The server's task count is back at its base within this time, whatever the client does not do.
async fn is_empty_within(stage: &Stage, limit: Duration) {
    let start = stage.rt.now();
    while stage.tasks() > 1 || stage.server.clients_count() > 0 {
        let passed = stage.rt.now().saturating_since(start);
        assert!(passed < limit, "{} tasks, {} sessions", stage.tasks() - 1, stage.server.clients_count());
        stage.wait(Duration::from_millis(500)).await;
    }
    assert_eq!((stage.server.sockets_count(), stage.server.rooms().len()), (0, 0));
}

fn last(net: &Net) -> Connection {
    net.connections().pop().expect("a connection")
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_client_that_answers_heartbeats_stays_for_hours() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for how in How::ALL {
            let mut c = stage.joined_by(how).await;
            if how == How::Polling {
                // `expect_nothing_for` may stop in the middle of an answer: read until told to stop.
                let (rt, server) = (Arc::clone(&stage.rt), stage.server.clone());
                stage.rt.spawn(Box::pin(async move {
                    socketio_tests::io::sleep(&*rt, HOUR).await;
                    server.emit("stop", ()).unwrap();
                }));
                c.expect(r#"2["stop"]"#).await;
            } else {
                c.expect_nothing_for(HOUR).await;
            }
            assert!((140..=144).contains(&c.pings()), "{how:?}: {} heartbeats", c.pings());
            c.emit_with_ack(1, "echo", json!([1])).await;
            c.expect("31[1]").await;
            stage.is_empty_after(c).await;
            log.expect(&stage, &["transport close"]).await;
        }
    });
}

#[test]
fn a_client_that_says_nothing_is_given_up_after_interval_and_timeout() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for how in How::ALL {
            let mut c = stage.joined_by(how).await;
            c.ignore_pings();
            let start = stage.rt.now();
            while stage.server.clients_count() > 0 {
                stage.wait(Duration::from_millis(50)).await;
            }
            let passed = stage.rt.now().saturating_since(start);
            assert!(passed > 44 * SECOND && passed < 46 * SECOND, "{how:?} after {passed:?}");
            log.expect(&stage, &["ping timeout"]).await;
            stage.is_empty_after(c).await;
        }
    });
}

#[test]
fn what_arrives_with_the_deadline_counts_however_much_comes_before_it() {
    simulate(|rt, net| async move {
        net.set_link(Link::default());
        let (stage, log) = stage_with_reasons(rt).await;
        let mut c = stage.joined().await;
        let message = || Frame::text(r#"42["x"]"#);
        assert_eq!(c.ws().frame().await.unwrap(), Frame::text("2"));
        // Extends the wait for the pong, once: to twenty seconds from its arrival.
        c.ws().send(&message()).await.unwrap();
        stage.wait(20 * SECOND).await;
        let mut late = vec![message(); 20];
        late.push(Frame::text("3"));
        c.ws().send_all(&late).await.unwrap();
        stage.wait(SECOND).await;
        assert!(log.is_empty(), "{:?}", log.lines());
        c.emit_with_ack(1, "echo", json!([1])).await;
        c.expect("31[1]").await;
        stage.is_empty_after(c).await;
    });
}

#[test]
fn an_unplugged_client_is_given_up_and_its_connection_with_it() {
    simulate(|rt, net| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for how in How::ALL {
            let mut c = stage.joined_by(how).await;
            if how == How::Polling {
                c.start_poll().await;
                stage.wait(SECOND).await;
            }
            net.connections().iter().for_each(Connection::blackhole);
            stage.server.emit("into the void", "x".repeat(10_000)).unwrap();
            // Heartbeat, then the wait for the answer to the close; hyper's own for the polling connections.
            is_empty_within(&stage, 150 * SECOND).await;
            log.expect(&stage, &["ping timeout"]).await;
            net.connections().iter().for_each(Connection::heal);
            drop(c);
            stage.wait(SECOND).await;
        }
    });
}

#[test]
fn a_client_that_joins_nothing_is_closed_after_its_time() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for how in How::ALL {
            let mut c = stage.client(how).await;
            let start = stage.rt.now();
            if how == How::Polling {
                let (messages, end) = c.read_to_end().await;
                assert_eq!((messages, end), (vec![], Gone::ClosePacket));
            } else {
                assert_eq!(c.expect_end().await, Gone::CloseFrame(None));
            }
            let passed = stage.rt.now().saturating_since(start);
            assert!(passed > 44 * SECOND && passed < 46 * SECOND, "{how:?} after {passed:?}");
            stage.is_empty_after(c).await;
        }
        assert!(log.is_empty(), "nobody had joined");
    });
}

#[test]
fn a_probe_that_is_not_committed_to_is_closed_and_the_session_goes_on() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for says in [&[][..], &["2probe"]] {
            let mut c = stage.joined_by(How::Polling).await;
            let start = stage.rt.now();
            let mut probe = c.try_open_probe().await.unwrap();
            for frame in says {
                probe.send(&Frame::text(frame)).await.unwrap();
                assert_eq!(probe.frame().await.unwrap(), Frame::text("3probe"));
            }
            assert_eq!(probe.expect_close().await, None);
            let passed = stage.rt.now().saturating_since(start);
            assert!(passed > 9 * SECOND && passed < 11 * SECOND, "after {passed:?}");
            c.upgrade().await;
            c.emit_with_ack(1, "echo", json!([1])).await;
            c.expect("31[1]").await;
            stage.is_empty_after((c, probe)).await;
            log.expect(&stage, &["transport close"]).await;
        }
    });
}

#[test]
fn attachments_that_do_not_come_end_the_connection() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        for how in How::ALL {
            let mut c = stage.joined_by(how).await;
            c.send(r#"51-["x",{"_placeholder":true,"num":0}]"#).await;
            let (messages, _) = c.read_to_end().await;
            assert_eq!(messages, [] as [Message; 0]);
            let reason = if how == How::Polling {
                &["forced close", "forced server close"][..]
            } else {
                &["forced close"]
            };
            stage.until("it left", || log.len() == 1).await;
            assert!(reason.contains(&&*log.lines()[0]), "{:?}", log.lines());
            log.expect(&stage, &[&*log.lines()[0]]).await;
            stage.is_empty_after(c).await;
        }
    });
}

#[test]
fn a_body_that_stops_on_its_way_is_given_up_with_its_session() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        let c = stage.joined_by(How::Polling).await;
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42[", c.target());
        http.send(head.as_bytes()).await.unwrap();
        is_empty_within(&stage, 120 * SECOND).await;
        log.expect(&stage, &["ping timeout"]).await;
        drop((c, http));
    });
}

#[test]
fn a_connection_that_never_asks_for_anything_is_closed() {
    simulate(|rt, _| async move {
        let stage = Stage::new(rt).await;
        for says in ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
            http.send(says.as_bytes()).await.unwrap();
            is_empty_within(&stage, 90 * SECOND).await;
            drop(http);
        }
        // One that asked once, and then no more.
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        assert_eq!(http.fetch("/elsewhere").await.unwrap().status, 404);
        is_empty_within(&stage, 90 * SECOND).await;
        drop(http);
    });
}

#[test]
fn a_websocket_that_is_turned_away_and_does_not_go_is_dropped() {
    simulate(|rt, _| async move {
        let stage = Stage::new(rt).await;
        // For the wrong transport, for a session that has one, and one that is closed by the server.
        let mut wrong =
            WebSocket::open(&*stage.rt, stage.at, &format!("{PATH}?EIO=4&transport=polling")).await.unwrap();
        assert_eq!(wrong.frame().await.unwrap(), Frame::Close(None));
        is_empty_within(&stage, 60 * SECOND).await;
        drop(wrong);

        let mut c = stage.joined().await;
        let mut second = c.try_open_probe().await.unwrap();
        assert_eq!(second.frame().await.unwrap(), Frame::Close(None));
        stage.server.sockets()[0].disconnect_all();
        c.expect("1").await;
        assert_eq!(c.expect_end().await, Gone::CloseFrame(None));
        // It may go on talking: nobody listens.
        c.ws().send(&Frame::text("42[\"x\"]")).await.unwrap();
        is_empty_within(&stage, 60 * SECOND).await;
        drop((c, second));
    });
}

#[test]
fn a_client_that_breaks_the_rules_and_reads_nothing_is_dropped() {
    simulate(|rt, net| async move {
        let limits = BufferLimits { max_frames: 100, max_bytes: 1 << 20 };
        let stage = Stage::with(rt, move |options| options.send_buffer(limits)).await;
        for bad in [encode(0x83, b""), encode(0x81, b"9"), encode(0x88, b""), encode(0x81, b"42[\"x\"")] {
            let mut c = stage.joined().await;
            last(&net).hold(Side::Server);
            // More than the window takes, so that there is always something left to write.
            for _ in 0..10 {
                stage.server.emit("much", "x".repeat(100_000)).unwrap();
            }
            stage.wait(SECOND).await;
            c.ws().send_bytes(&bad).await.unwrap();
            // Half a minute for what is queued, and as long again for the answer to the close.
            is_empty_within(&stage, 70 * SECOND).await;
            drop(c);
        }
    });
}

#[test]
fn a_client_that_does_not_read_what_it_polled_is_dropped() {
    simulate(|rt, net| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        let mut c = stage.joined_by(How::Polling).await;
        stage.server.emit("much", "x".repeat(900_000)).unwrap();
        net.connections().iter().for_each(|connection| connection.hold(Side::Server));
        c.start_poll().await;
        is_empty_within(&stage, 180 * SECOND).await;
        log.expect(&stage, &["ping timeout"]).await;
        drop(c);
    });
}

#[test]
fn a_close_that_a_polling_client_does_not_fetch_is_over_in_half_a_minute() {
    simulate(|rt, _| async move {
        let (stage, log) = stage_with_reasons(rt).await;
        let mut c = stage.joined_by(How::Polling).await;
        stage.server.sockets()[0].disconnect_all();
        log.expect(&stage, &["server namespace disconnect"]).await;
        let start = stage.rt.now();
        while stage.server.clients_count() > 0 {
            stage.wait(SECOND).await;
        }
        let passed = stage.rt.now().saturating_since(start);
        assert!(passed > 28 * SECOND && passed < 32 * SECOND, "{passed:?}");
        assert!(matches!(c.expect_end().await, Gone::Refused(400, _)));
        stage.is_empty_after(c).await;
    });
}
