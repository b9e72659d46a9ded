//! Leaving: in which order it is told, with which reason, and what is true meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{DisconnectReason, Socket};
use socketio_tests::client::{Frame, Gone, How, Http, WebSocket, head};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, SETTLED, Stage};

/// Writes down why sockets leave.
fn log_reasons(stage: &Stage) -> Log {
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    log
}

async fn disconnecting_still_sees_the_rooms_and_disconnect_does_not(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let state = |what: &str, socket: &Socket| {
        let rooms = socket.rooms().iter().filter(|room| &***room != socket.id().as_str()).count();
        let members = socket.namespace().to("room").sockets().len();
        format!("{what}: {}, {rooms} rooms, {members} members", socket.is_connected())
    };
    let seen = log.clone();
    stage.server.on_disconnecting(move |socket: Socket, _| {
        seen.add(state("disconnecting", &socket));
        async {}
    });
    let seen = log.clone();
    stage.server.on_disconnect(move |socket: Socket, _| {
        seen.add(state("disconnect", &socket));
        assert!(socket.emit("late", ()).is_err());
        async {}
    });
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        socket.join(["room", "other"]);
        for (what, seen) in [("own disconnecting", seen.clone()), ("own disconnect", seen.clone())] {
            let handler = move |_: Socket, _| {
                seen.add(what);
                async {}
            };
            match what {
                "own disconnecting" => socket.on_disconnecting(handler),
                _ => socket.on_disconnect(handler),
            };
        }
        async {}
    });
    for how in How::ALL {
        let c = stage.joined_by(how).await;
        c.quit().await;
        let expected = [
            "disconnecting: true, 2 rooms, 1 members",
            "own disconnecting",
            "disconnect: false, 0 rooms, 0 members",
            "own disconnect",
        ];
        log.expect(&stage, &expected).await;
        stage.is_empty_after(()).await;
    }
}

async fn a_server_that_disconnects_a_socket_says_so(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = log_reasons(&stage);
    stage.server.of("/other");
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        stage.server.sockets()[0].disconnect();
        c.expect("1").await;
        log.expect(&stage, &["server namespace disconnect"]).await;
        assert_eq!(stage.server.clients_count(), 1, "the connection stays");

        c.connect("/").await;
        c.connect("/other").await;
        stage.server.emit("last words", ()).unwrap();
        let socket = stage.server.sockets().remove(0);
        socket.disconnect_all();
        socket.disconnect();
        c.expect(r#"2["last words"]"#).await;
        c.expect("1").await;
        c.expect("1/other,").await;
        let end = if how == How::Polling { Gone::ClosePacket } else { Gone::CloseFrame(None) };
        assert_eq!(c.expect_end().await, end);
        log.expect(&stage, &["server namespace disconnect"]).await;
        stage.is_empty_in_after(&["/other"], (c, socket)).await;
    }
}

async fn a_websocket_that_ends_is_a_transport_close(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = log_reasons(&stage);
    let c = stage.joined().await;
    drop(c);
    log.expect(&stage, &["transport close"]).await;
    for code in [None, Some(1000), Some(4000)] {
        let mut c = stage.joined().await;
        c.ws().send(&Frame::Close(code)).await.unwrap();
        assert_eq!(c.expect_end().await, Gone::CloseFrame(code));
        log.expect(&stage, &["transport close"]).await;
        stage.is_empty_after(c).await;
    }
    // A packet `1` closes a polling session only.
    let mut c = stage.joined().await;
    c.try_send_frames(&["1".to_owned()]).await.unwrap();
    stage.server.emit("still", ()).unwrap();
    c.expect(r#"2["still"]"#).await;
    stage.is_empty_after(c).await;
}

async fn a_close_packet_ends_a_polling_session(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = log_reasons(&stage);
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    c.try_send_frames(&["42[\"x\"]".to_owned(), "1".to_owned(), "42[\"y\"]".to_owned()]).await.unwrap();
    log.expect(&stage, &["transport close"]).await;
    // The pending GET is answered with a noop, the next one finds nobody.
    assert!(matches!(c.expect_end().await, Gone::Refused(400, body) if body.contains("Session ID unknown")));
    stage.is_empty_after(c).await;
}

async fn broken_transports_are_transport_errors(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.max_http_buffer_size(1000)).await;
    let log = log_reasons(&stage);

    let mut c = stage.joined().await;
    c.ws().send_bytes(&head(0x81, 1001)).await.unwrap();
    assert_eq!(c.expect_end().await, Gone::CloseFrame(Some(1009)));
    log.expect(&stage, &["transport error"]).await;
    stage.is_empty_after(c).await;

    let mut c = stage.joined().await;
    c.ws().send_bytes(&head(0x83, 0)).await.unwrap();
    assert_eq!(c.expect_end().await, Gone::CloseFrame(Some(1002)));
    log.expect(&stage, &["transport error"]).await;
    stage.is_empty_after(c).await;

    // Two GETs at once.
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    let mut other = Http::connect(&*stage.rt, stage.at).await.unwrap();
    stage.wait(SETTLED).await;
    assert_eq!(other.fetch(&c.target()).await.unwrap().status, 400);
    log.expect(&stage, &["transport error"]).await;
    assert_eq!(c.expect_end().await, Gone::ClosePacket);
    stage.is_empty_after((c, other)).await;

    // The wrong half of a heartbeat.
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.try_send_frames(&["2".to_owned()]).await.unwrap();
        log.expect(&stage, &["transport error"]).await;
        stage.is_empty_after(c).await;
    }
}

async fn packets_that_cannot_be_read_have_reasons_of_their_own(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = log_reasons(&stage);
    for how in How::ALL {
        // No packet of the engine.
        let mut c = stage.joined_by(how).await;
        c.try_send_frames(&["9".to_owned()]).await.unwrap();
        log.expect(&stage, &["parse error"]).await;
        stage.is_empty_after(c).await;
        // No packet of Socket.IO.
        let mut c = stage.joined_by(how).await;
        c.send("2[").await;
        log.expect(&stage, &["forced close"]).await;
        stage.is_empty_after(c).await;
        // One that makes no sense here: the reason tells whether the client could be told at once.
        let mut c = stage.joined_by(how).await;
        c.send("0").await;
        let reason = if how == How::Polling { "forced server close" } else { "forced close" };
        log.expect(&stage, &[reason]).await;
        let (messages, _) = c.read_to_end().await;
        assert_eq!(messages, []);
        stage.is_empty_after(c).await;
    }
}

async fn a_client_that_answers_no_heartbeat_is_given_up(rt: Arc<dyn Runtime>) {
    let millis = Duration::from_millis;
    let options = move |rt| {
        Stage::with(rt, move |options| options.ping_interval(millis(150)).ping_timeout(millis(250)))
    };
    let stage = options(rt).await;
    let log = log_reasons(&stage);
    for how in How::ALL {
        let start = stage.rt.now();
        let mut c = stage.joined_by(how).await;
        c.ignore_pings();
        let end = c.expect_end().await;
        let expected = if how == How::Polling { Gone::ClosePacket } else { Gone::CloseFrame(None) };
        assert_eq!(end, expected);
        assert!(stage.rt.now().saturating_since(start) >= millis(400));
        log.expect(&stage, &["ping timeout"]).await;
        stage.is_empty_after(c).await;
    }
}

async fn closing_the_server_tells_everybody(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = log_reasons(&stage);
    let mut websocket = stage.joined().await;
    let mut polling = stage.joined_by(How::Polling).await;
    polling.start_poll().await;
    let absent = stage.joined_by(How::Polling).await;
    let mut probing = stage.joined_by(How::Polling).await;
    let mut probe = probing.try_open_probe().await.unwrap();
    probe.send(&Frame::text("2probe")).await.unwrap();
    assert_eq!(probe.frame().await.unwrap(), Frame::text("3probe"));
    let unjoined = stage.websocket().await;
    let mut idle = Http::connect(&*stage.rt, stage.at).await.unwrap();
    assert_eq!(idle.fetch("/elsewhere").await.unwrap().status, 404);
    stage.wait(SETTLED).await;

    let server = stage.server.clone();
    stage.server.emit("queued", ()).unwrap();
    server.close();
    server.closed().await;
    log.expect(&stage, &["server shutting down"; 4]).await;
    // No DISCONNECT is sent: it would keep clients from coming back. What was queued may or may not arrive.
    let (messages, end) = websocket.read_to_end().await;
    assert!(messages.len() <= 1, "{messages:?}");
    assert_eq!(end, Gone::CloseFrame(None));
    let (messages, end) = polling.read_to_end().await;
    assert!(messages.len() <= 1, "{messages:?}");
    assert!(matches!(end, Gone::ClosePacket | Gone::End | Gone::Broken(_)), "{end:?}");
    assert_eq!(probe.expect_close().await, None);
    assert_eq!(idle.end().await.unwrap(), b"");
    assert_eq!(stage.server.clients_count(), 0);

    // Nobody is let in any more, and closing again changes nothing.
    server.close();
    let late = WebSocket::open(&*stage.rt, stage.at, "/socket.io/?EIO=4&transport=websocket").await;
    assert!(late.is_err(), "{late:?}");
    drop((absent, unjoined));
    stage.is_empty_after((websocket, polling, probing)).await;
    stage.until("no task, not even the one that accepts", || stage.tasks() == 0).await;
}

async fn handlers_that_run_when_the_server_closes_end_in_their_own_time(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let (seen, clock) = (log.clone(), Arc::clone(&stage.rt));
    stage.server.on("work", move |socket: Socket, (): ()| {
        let (seen, clock) = (seen.clone(), Arc::clone(&clock));
        async move {
            seen.add("begins");
            socketio_tests::io::sleep(&*clock, Duration::from_millis(50)).await;
            seen.add(format!("ends {}", socket.emit("late", ()).is_err()));
        }
    });
    let mut c = stage.joined().await;
    c.emit("work", json!([])).await;
    log.expect(&stage, &["begins"]).await;
    stage.server.close();
    log.expect(&stage, &["ends true"]).await;
    stage.is_empty_after(c).await;
}

on_every_runtime!(
    a_client_that_answers_no_heartbeat_is_given_up,
    a_close_packet_ends_a_polling_session,
    a_server_that_disconnects_a_socket_says_so,
    a_websocket_that_ends_is_a_transport_close,
    broken_transports_are_transport_errors,
    closing_the_server_tells_everybody,
    disconnecting_still_sees_the_rooms_and_disconnect_does_not,
    handlers_that_run_when_the_server_closes_end_in_their_own_time,
    packets_that_cannot_be_read_have_reasons_of_their_own,
);
