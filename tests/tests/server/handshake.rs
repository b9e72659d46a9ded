//! Opening a session and joining a namespace: what the server says, and what handlers learn of the client.

use std::sync::Arc;

use serde_json::{Value, json};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Socket, Transport};
use socketio_tests::client::{Client, Frame, How, Http, PATH, WebSocket};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

async fn a_client_joins_with_an_id_of_its_own(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.client(how).await;
        assert_eq!(stage.server.clients_count(), 1);
        assert_eq!(stage.server.sockets_count(), 0);
        let id = c.connect("/").await;
        assert_eq!(id.len(), 20);
        assert_ne!(id, c.sid(), "the id of a socket is public, that of its session is not");
        let sockets = stage.server.sockets();
        assert_eq!(sockets.len(), 1);
        assert_eq!(sockets[0].id().as_str(), id);
        let transport = if how == How::Polling { Transport::Polling } else { Transport::Websocket };
        assert_eq!(sockets[0].transport(), Some(transport));
        stage.is_empty_after((c, sockets)).await;
    }
}

async fn the_handshake_announces_the_terms(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let polling = stage.polling().await;
    assert_eq!(polling.handshake()["upgrades"], json!(["websocket"]));
    assert_eq!(polling.handshake()["pingInterval"], 25000);
    assert_eq!(polling.handshake()["pingTimeout"], 20000);
    assert_eq!(polling.handshake()["maxPayload"], 1_000_000);
    let websocket = stage.websocket().await;
    assert_eq!(websocket.handshake()["upgrades"], json!([]));
    let mut c = polling;
    c.upgrade().await;
    drop(websocket);
    stage.is_empty_after(c).await;
}

async fn handlers_see_the_credentials_and_the_request(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        let handshake = socket.handshake();
        seen.add(handshake.auth::<Value>().unwrap());
        seen.add(format!("{:?}", handshake.query("room")));
        seen.add(format!("{:?} {:?}", handshake.header("host"), handshake.header("cookie")));
        seen.add(handshake.address().unwrap().ip());
        seen.add(handshake.is_secure());
        async {}
    });
    let mut c = Client::try_websocket(&stage.rt, stage.at, "&room=caf%C3%A9").await.unwrap();
    c.connect_with("/", &json!({ "token": "🔑" })).await.unwrap();
    let expected = ["{\"token\":\"🔑\"}", "Some(\"café\")", "Some(\"server\") None", "127.0.0.1", "false"];
    log.expect(&stage, &expected).await;
    stage.is_empty_after(c).await;
}

async fn frames_that_come_with_the_request_for_a_websocket_are_not_lost(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let target = format!("{PATH}?EIO=4&transport=websocket");
    let mut ws = WebSocket::over_with(http, &target, &[Frame::text("40")]).await.unwrap();
    assert!(matches!(ws.frame().await, Ok(Frame::Text(open)) if open.starts_with("0{")));
    assert!(matches!(ws.frame().await, Ok(Frame::Text(joined)) if joined.starts_with("40{")));
    stage.is_empty_after(ws).await;
    // And with that for a probe.
    let mut c = stage.joined_by(How::Polling).await;
    let http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let target = format!("{target}&sid={}", c.sid());
    let mut probe = WebSocket::over_with(http, &target, &[Frame::text("2probe")]).await.unwrap();
    assert_eq!(probe.frame().await, Ok(Frame::text("3probe")));
    stage.server.emit("x", ()).unwrap();
    c.expect(r#"2["x"]"#).await;
    stage.is_empty_after((c, probe)).await;
}

async fn no_credentials_are_an_empty_object(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        seen.add(socket.handshake().auth::<Value>().unwrap());
        async {}
    });
    let c = stage.joined_by(How::Polling).await;
    log.expect(&stage, &["{}"]).await;
    stage.is_empty_after(c).await;
}

on_every_runtime!(
    a_client_joins_with_an_id_of_its_own,
    frames_that_come_with_the_request_for_a_websocket_are_not_lost,
    handlers_see_the_credentials_and_the_request,
    no_credentials_are_an_empty_object,
    the_handshake_announces_the_terms,
);
