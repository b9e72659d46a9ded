//! What a socket stands on: its connection, and the description of how it ended.

use std::sync::Arc;

use serde_json::json;
use socketio_driver::core::engine::close::TransportFault;
use socketio_driver::runtime::Runtime;
use socketio_driver::{BufferLimits, Description, DisconnectReason, Revision, Socket, Transport};
use socketio_tests::client::{Gone, How, Http, head};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, SETTLED, Stage};

async fn what_was_wrong_is_said_beside_the_reason(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.max_http_buffer_size(1000)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnecting(move |socket: Socket, reason: DisconnectReason| {
        let disconnection = socket.disconnection().expect("it is leaving").clone();
        assert_eq!(disconnection.reason, reason);
        seen.add(format!("disconnecting {disconnection}"));
        async {}
    });
    let seen = log.clone();
    stage.server.on_disconnect(move |socket: Socket, _: DisconnectReason| {
        seen.add(socket.disconnection().expect("it has left"));
        async {}
    });
    let expect = async |disconnection: &str| {
        log.expect(&stage, &[&format!("disconnecting {disconnection}"), disconnection]).await;
    };

    // Nothing was wrong.
    let c = stage.joined().await;
    assert!(stage.server.sockets()[0].disconnection().is_none());
    drop(c);
    expect("transport close").await;
    let mut c = stage.joined().await;
    c.send("1").await;
    expect("client namespace disconnect").await;
    // The end of the connection adds nothing to that.
    c.ws().send_bytes(&head(0x83, 0)).await.unwrap();
    assert_eq!(c.expect_end().await, Gone::CloseFrame(Some(1002)));
    stage.is_empty_after(c).await;
    let c = stage.joined().await;
    stage.server.sockets()[0].disconnect_all();
    expect("server namespace disconnect").await;
    stage.is_empty_after(c).await;

    // The transport was.
    let mut c = stage.joined().await;
    c.ws().send_bytes(&head(0x81, 1001)).await.unwrap();
    expect("transport error: Max payload size exceeded").await;
    assert_eq!(c.expect_end().await, Gone::CloseFrame(Some(1009)));
    stage.is_empty_after(c).await;
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    let mut other = Http::connect(&*stage.rt, stage.at).await.unwrap();
    stage.wait(SETTLED).await;
    assert_eq!(other.fetch(&c.target()).await.unwrap().status, 400);
    expect("transport error: overlap from client").await;
    stage.is_empty_after((c, other)).await;
    let mut c = stage.joined_by(How::Polling).await;
    c.start_poll().await;
    stage.wait(SETTLED).await;
    drop(c);
    expect("transport error: poll connection closed prematurely").await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.try_send_frames(&["2".to_owned()]).await.unwrap();
        expect("transport error: invalid heartbeat direction").await;
        stage.is_empty_after(c).await;

        // Socket.IO was.
        let mut c = stage.joined_by(how).await;
        c.send("2[").await;
        expect("forced close: invalid packet: invalid payload").await;
        stage.is_empty_after(c).await;
        let mut c = stage.joined_by(how).await;
        c.send("0").await;
        let reason = if how == How::Polling { "forced server close" } else { "forced close" };
        expect(&format!("{reason}: the namespace / is already connected")).await;
        stage.is_empty_after(c).await;
    }
}

async fn a_client_that_reads_too_slowly_hears_of_it(rt: Arc<dyn Runtime>) {
    let limits = BufferLimits { max_frames: 4, max_bytes: 1000 };
    let stage = Stage::with(rt, move |options| options.send_buffer(limits)).await;
    let c = stage.joined_by(How::Polling).await;
    let socket = stage.server.sockets()[0].clone();
    for number in 0..6 {
        stage.server.emit("flood", number).unwrap();
    }
    stage.until("it is given up", || socket.disconnection().is_some()).await;
    let description = Some(Description::Transport(TransportFault::SlowConsumer));
    assert_eq!(socket.disconnection().unwrap().description, description);
    drop(socket);
    stage.is_empty_after(c).await;
}

async fn a_connection_tells_what_it_is(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let admin = stage.server.of("/admin");
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.connect("/admin").await;
        stage.until("it has joined both", || admin.sockets_count() == 1).await;
        let conn = stage.server.sockets()[0].conn();
        assert_eq!(conn, admin.sockets()[0].conn());
        assert_eq!(conn.id().as_str(), c.sid());
        let transport = if how == How::Polling { Transport::Polling } else { Transport::Websocket };
        assert_eq!((conn.transport(), conn.protocol()), (Some(transport), Some(Revision::V4)));
        assert_eq!(conn.remote_address().unwrap().ip(), stage.at.ip());
        assert!(conn.request().url().contains("EIO=4"));
        assert_eq!(conn.request().auth::<serde_json::Value>().unwrap(), json!({}));
        stage.is_empty_in_after(&["/admin"], c).await;
        assert_eq!((conn.transport(), conn.protocol()), (None, None));
    }
}

async fn a_connection_can_be_closed_with_all_its_sockets(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    for name in ["/", "/admin"] {
        let seen = log.clone();
        stage.server.of(name).on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            seen.add(format!("{} {reason}", socket.namespace().name()));
            async {}
        });
    }
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.connect("/admin").await;
        stage.server.emit("queued", ()).unwrap();
        let conn = stage.server.sockets()[0].conn();
        conn.close();
        // Closing again changes nothing.
        conn.close();
        let reason = if how == How::Polling { "forced server close" } else { "forced close" };
        log.expect(&stage, &[&format!("/ {reason}"), &format!("/admin {reason}")]).await;
        // What was queued arrives; no DISCONNECT does, so that the client comes back.
        c.expect(r#"2["queued"]"#).await;
        let end = if how == How::Polling { Gone::ClosePacket } else { Gone::CloseFrame(None) };
        assert_eq!(c.expect_end().await, end);
        stage.is_empty_in_after(&["/admin"], c).await;
    }
}

on_every_runtime!(
    a_client_that_reads_too_slowly_hears_of_it,
    a_connection_can_be_closed_with_all_its_sockets,
    a_connection_tells_what_it_is,
    what_was_wrong_is_said_beside_the_reason,
);
