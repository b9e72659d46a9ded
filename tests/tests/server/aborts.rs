//! Clients that go in the middle of something.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{DisconnectReason, Socket};
use socketio_tests::client::{Frame, Gone, How, Http, PATH};
use socketio_tests::io::shutdown;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, SETTLED, Stage};

async fn stage_with_reasons(rt: Arc<dyn Runtime>) -> (Stage, Log) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    (stage, log)
}

async fn a_poll_that_is_aborted_ends_the_session(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    stage.wait(Duration::from_millis(10)).await;
    drop(c);
    log.expect(&stage, &["transport error"]).await;
    stage.is_empty_after(()).await;
}

async fn a_poll_whose_client_only_stops_writing_is_aborted_as_well(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    let c = stage.joined_by(How::Polling).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    http.get(&c.target()).await.unwrap();
    stage.wait(Duration::from_millis(10)).await;
    let (mut io, _) = http.into_io();
    shutdown(&mut *io).await.unwrap();
    log.expect(&stage, &["transport error"]).await;
    stage.is_empty_after((c, io)).await;
}

async fn a_post_that_is_aborted_ends_the_session(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    for body in ["", "42[\"x\"]\x1e42[\"y"] {
        let c = stage.joined_by(How::Polling).await;
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{body}", c.target());
        http.send(head.as_bytes()).await.unwrap();
        stage.wait(Duration::from_millis(10)).await;
        assert!(log.is_empty());
        drop(http);
        log.expect(&stage, &["transport error"]).await;
        stage.is_empty_after(c).await;
    }
}

async fn half_a_request_leaves_nothing(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let handshake = format!("GET {PATH}?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
    for end in [0, 1, 20, handshake.len() - 2] {
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        http.send(&handshake.as_bytes()[..end]).await.unwrap();
        stage.wait(Duration::from_millis(2)).await;
        stage.is_empty_after(http).await;
    }
}

async fn a_client_that_opens_and_goes_is_forgotten(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    // On a websocket, before and after the handshake is read.
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let request = format!(
        "GET {PATH}?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    http.send(request.as_bytes()).await.unwrap();
    stage.is_empty_after(http).await;
    let c = stage.websocket().await;
    stage.is_empty_after(c).await;
    // While its CONNECT is on the way, and with the answer unread: then the connection breaks.
    let mut c = stage.websocket().await;
    c.send("0").await;
    drop(c);
    stage.is_empty_after(()).await;
    assert!(log.lines().iter().all(|reason| reason.starts_with("transport ")), "{:?}", log.lines());
}

async fn a_probe_that_goes_harms_nobody(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    stage.server.on("echo", |_: Socket, (): ()| async { socketio_driver::Ack(()) });
    let mut c = stage.joined_by(How::Polling).await;
    for sent in [&[][..], &["2probe"], &["nonsense"], &["2probe", "2probe"], &["2probe", "4x"]] {
        let mut probe = c.try_open_probe().await.unwrap();
        for frame in sent {
            probe.send(&Frame::text(frame)).await.unwrap();
        }
        if sent.first() == Some(&"2probe") {
            assert_eq!(probe.frame().await.unwrap(), Frame::text("3probe"));
        }
        drop(probe);
        c.emit_with_ack(1, "echo", json!([])).await;
        c.expect("31[]").await;
        stage.wait(Duration::from_millis(5)).await;
    }
    c.upgrade().await;
    c.emit_with_ack(2, "echo", json!([])).await;
    c.expect("32[]").await;
    assert!(log.is_empty());
    stage.is_empty_after(c).await;
}

async fn a_session_that_ends_while_it_is_probed_ends_the_probe(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    let mut c = stage.joined_by(How::Polling).await;
    let mut probe = c.try_open_probe().await.unwrap();
    probe.send(&Frame::text("2probe")).await.unwrap();
    assert_eq!(probe.frame().await.unwrap(), Frame::text("3probe"));
    c.quit().await;
    log.expect(&stage, &["transport close"]).await;
    assert_eq!(probe.expect_close().await, None);
    stage.is_empty_after(probe).await;
}

async fn a_commit_without_a_probe_is_an_upgrade_and_a_pending_poll_is_let_go(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    stage.wait(SETTLED).await;
    let mut ws = c.try_open_probe().await.unwrap();
    ws.send(&Frame::text("5")).await.unwrap();
    assert_eq!(c.expect_end().await, Gone::ClosePacket);
    stage.server.emit("x", ()).unwrap();
    assert_eq!(ws.frame().await.unwrap(), Frame::text("42[\"x\"]"));
    // The polling transport is gone for good, and asking for it harms nobody.
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let refused = http.fetch(&c.target()).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("\"code\":3"), "{}", refused.text());
    stage.server.emit("y", ()).unwrap();
    assert_eq!(ws.frame().await.unwrap(), Frame::text("42[\"y\"]"));
    assert!(log.is_empty());
    stage.is_empty_after((c, http, ws)).await;
    log.expect(&stage, &["transport close"]).await;
}

/// A socket that the application keeps must not keep the connection, nor the other way round.
async fn a_kept_socket_does_not_keep_the_connection(rt: Arc<dyn Runtime>) {
    let (stage, log) = stage_with_reasons(rt).await;
    for how in How::ALL {
        let c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        let operator = stage.server.to(socket.id());
        c.quit().await;
        log.expect(&stage, &["transport close"]).await;
        stage.is_empty_after(()).await;
        assert!(!socket.is_connected());
        assert_eq!(socket.transport(), None);
        assert_eq!(socket.rooms(), []);
        assert!(socket.emit("x", ()).is_err());
        socket.volatile().emit("x", ()).unwrap_err();
        socket.broadcast().emit("x", ()).unwrap();
        operator.emit("x", ()).unwrap();
        socket.disconnect();
        socket.disconnect_all();
        assert_eq!(socket.handshake().header("host"), Some("server"));
    }
}

on_every_runtime!(
    a_client_that_opens_and_goes_is_forgotten,
    a_commit_without_a_probe_is_an_upgrade_and_a_pending_poll_is_let_go,
    a_kept_socket_does_not_keep_the_connection,
    a_poll_that_is_aborted_ends_the_session,
    a_poll_whose_client_only_stops_writing_is_aborted_as_well,
    a_post_that_is_aborted_ends_the_session,
    a_probe_that_goes_harms_nobody,
    a_session_that_ends_while_it_is_probed_ends_the_probe,
    half_a_request_leaves_nothing,
);
