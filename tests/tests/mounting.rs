//! A server on connections that somebody else accepted: pipes in memory, and axum.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, DisconnectReason, PeerAddress, SecureConnection, Server, Socket};
use socketio_tests::client::{Frame, Gone, How, Http, PATH, WebSocket};
use socketio_tests::every_runtime::on_tokio;
use socketio_tests::on_every_runtime;
use socketio_tests::pipe::{Pipe, pipe};
use socketio_tests::stage::{LOOPBACK, Log, SETTLED, Stage};

fn set_up(server: &Server) -> Log {
    let log = Log::default();
    server.on("echo", |_: Socket, value: (u32, Bytes)| async move { Ack(value) });
    let seen = log.clone();
    server.on_connection(move |socket: Socket| {
        seen.add(format!("{:?}", socket.handshake().address().map(|address| address.ip().to_string())));
        async {}
    });
    let seen = log.clone();
    server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    log
}

// Pipes

async fn nowhere(rt: Arc<dyn Runtime>) -> Stage {
    Stage::mounted(rt, async |_| SocketAddr::from(([192, 0, 2, 1], 1))).await
}

/// The client's end of a connection that the server serves.
fn served(stage: &Stage, address: Option<SocketAddr>) -> Pipe {
    let (ours, theirs) = pipe();
    let server = stage.server.clone();
    stage.rt.spawn(Box::pin(async move { server.serve_connection(theirs, address).await }));
    ours
}

async fn a_pipe_carries_a_websocket(rt: Arc<dyn Runtime>) {
    let stage = nowhere(rt).await;
    let log = set_up(&stage.server);
    for address in [None, Some(SocketAddr::from(([10, 1, 2, 3], 4)))] {
        let http = Http::over(Box::new(served(&stage, address)));
        let mut ws = WebSocket::over(http, &format!("{PATH}?EIO=4&transport=websocket")).await.unwrap();
        assert!(matches!(ws.frame().await, Ok(Frame::Text(open)) if open.starts_with("0{")));
        ws.send(&Frame::text("40")).await.unwrap();
        assert!(matches!(ws.frame().await, Ok(Frame::Text(joined)) if joined.starts_with("40{")));
        log.expect(&stage, &[&format!("{:?}", address.map(|address| address.ip().to_string()))]).await;
        // More than the pipe holds at once.
        let bytes = vec![7; 20_000];
        ws.send(&Frame::text(r#"451-9["echo",1,{"_placeholder":true,"num":0}]"#)).await.unwrap();
        ws.send(&Frame::Binary(bytes.clone())).await.unwrap();
        assert_eq!(ws.frame().await, Ok(Frame::text(r#"461-9[1,{"_placeholder":true,"num":0}]"#)));
        assert_eq!(ws.frame().await, Ok(Frame::Binary(bytes)));
        stage.is_empty_after(ws).await;
        log.expect(&stage, &["transport close"]).await;
    }
}

async fn pipes_carry_a_polling_session(rt: Arc<dyn Runtime>) {
    let stage = nowhere(rt).await;
    let log = set_up(&stage.server);
    let (mut get, mut post) =
        (Http::over(Box::new(served(&stage, None))), Http::over(Box::new(served(&stage, None))));
    let open = get.fetch(&format!("{PATH}?EIO=4&transport=polling")).await.unwrap().text();
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let target = format!("{PATH}?EIO=4&transport=polling&sid={}", open["sid"].as_str().unwrap());
    post.post(&target, b"40").await.unwrap();
    assert_eq!(post.response().await.unwrap().text(), "ok");
    assert!(get.fetch(&target).await.unwrap().text().starts_with("40{"));
    log.expect(&stage, &["None"]).await;
    stage.server.emit("x", 1).unwrap();
    assert_eq!(get.fetch(&target).await.unwrap().text(), r#"42["x",1]"#);
    // A pipe that goes while it carries a poll.
    get.get(&target).await.unwrap();
    stage.wait(Duration::from_millis(10)).await;
    drop(get);
    log.expect(&stage, &["transport error"]).await;
    stage.is_empty_after(post).await;
}

on_every_runtime!(a_pipe_carries_a_websocket, pipes_carry_a_polling_session);

// axum

async fn in_axum(rt: Arc<dyn Runtime>) -> Stage {
    Stage::mounted(rt, async |server| {
        let app = Router::new()
            .route("/", get(async || "the application's own"))
            .route_service(PATH, server.service())
            .layer(from_fn(
                async |ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next| {
                    request.extensions_mut().insert(PeerAddress(peer));
                    next.run(request).await
                },
            ));
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        at
    })
    .await
}

async fn secure_by_extension(rt: Arc<dyn Runtime>) {
    for secure in [None, Some(false), Some(true)] {
        let stage = Stage::mounted(Arc::clone(&rt), async |server| {
            let mark = from_fn(move |mut request: Request, next: Next| {
                if let Some(secure) = secure {
                    request.extensions_mut().insert(SecureConnection(secure));
                }
                next.run(request)
            });
            let app = Router::new().route_service(PATH, server.service()).layer(mark);
            let listener = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
            let at = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, app).await });
            at
        })
        .await;
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        // Anybody can send that.
        let claims = "X-Forwarded-Proto: https\r\nForwarded: proto=https\r\nFront-End-Https: on";
        let target = format!("{PATH}?EIO=4&transport=polling");
        http.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{claims}\r\n\r\n").as_bytes()).await.unwrap();
        let open = http.response().await.unwrap().text();
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        let target = format!("{target}&sid={}", open["sid"].as_str().unwrap());
        http.post(&target, b"40").await.unwrap();
        assert_eq!(http.response().await.unwrap().status, 200);
        stage.until("it has joined", || stage.server.sockets_count() == 1).await;
        assert_eq!(stage.server.sockets()[0].handshake().is_secure(), secure == Some(true));
        http.post(&target, b"1").await.unwrap();
        http.response().await.unwrap();
        stage.is_empty_after(http).await;
    }
}

async fn every_transport(rt: Arc<dyn Runtime>) {
    let stage = in_axum(rt).await;
    let log = set_up(&stage.server);
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        log.expect(&stage, &["Some(\"127.0.0.1\")"]).await;
        c.send(r#"51-9["echo",1,{"_placeholder":true,"num":0}]"#).await;
        c.send_binary(&[7; 20_000]).await;
        c.expect(r#"61-9[1,{"_placeholder":true,"num":0}]"#).await;
        assert_eq!(c.attachment().await, [7; 20_000]);
        stage.server.emit("x", json!({ "a": [] })).unwrap();
        c.expect(r#"2["x",{"a":[]}]"#).await;
        stage.is_empty_after(c).await;
        log.expect(&stage, &["transport close"]).await;
    }
}

async fn beside_the_application(rt: Arc<dyn Runtime>) {
    let stage = in_axum(rt).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    assert_eq!(http.fetch("/").await.unwrap().text(), "the application's own");
    assert_eq!(http.fetch("/elsewhere").await.unwrap().status, 404);
    assert_eq!(http.fetch(&format!("{PATH}?EIO=4&transport=polling&sid=unknown")).await.unwrap().status, 400);
    let plain = http.fetch(&format!("{PATH}?EIO=4&transport=websocket")).await.unwrap();
    assert_eq!(plain.status, 400);
    stage.is_empty_after(http).await;
}

async fn aborted_and_oversized(rt: Arc<dyn Runtime>) {
    let stage = in_axum(rt).await;
    let log = set_up(&stage.server);
    let mut c = stage.joined_by(How::Polling).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    http.post(&c.target(), &[b'4'; 1_000_001]).await.unwrap();
    assert_eq!(http.response().await.unwrap().status, 413);
    stage.server.emit("still", ()).unwrap();
    c.expect(r#"2["still"]"#).await;
    c.start_poll().await;
    stage.wait(Duration::from_millis(10)).await;
    drop(c);
    log.expect(&stage, &["Some(\"127.0.0.1\")", "transport error"]).await;
    stage.is_empty_after(http).await;
    // A session that ends under a POST: there is no breaking a connection here, only ending it.
    let mut c = stage.joined_by(How::Polling).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n42[", c.target());
    http.send(head.as_bytes()).await.unwrap();
    c.start_poll().await;
    stage.wait(SETTLED).await;
    stage.server.everyone().disconnect_sockets_all();
    assert_eq!(c.packet().await, "1");
    assert_eq!(c.expect_end().await, Gone::ClosePacket);
    let response = http.response().await.unwrap();
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
    stage.is_empty_after((c, http)).await;
}

async fn closed(rt: Arc<dyn Runtime>) {
    let stage = in_axum(rt).await;
    let log = set_up(&stage.server);
    let mut websocket = stage.joined().await;
    let mut polling = stage.joined_by(How::Polling).await;
    polling.start_poll().await;
    stage.wait(SETTLED).await;
    stage.server.close();
    assert_eq!(websocket.expect_end().await, Gone::CloseFrame(None));
    assert_eq!(polling.expect_end().await, Gone::ClosePacket);
    let address = "Some(\"127.0.0.1\")";
    log.expect(&stage, &[address, address, "server shutting down", "server shutting down"]).await;
    // The application goes on, and nobody is let in.
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    assert_eq!(http.fetch("/").await.unwrap().status, 200);
    let late = http.fetch(&format!("{PATH}?EIO=4&transport=polling")).await.unwrap();
    assert_eq!(late.status, 503);
    stage.is_empty_after((vec![websocket, polling], http)).await;
}

#[test]
fn axum_carries_every_transport() {
    on_tokio("axum_carries_every_transport", every_transport);
}

#[test]
fn axum_serves_the_application_beside_it() {
    on_tokio("axum_serves_the_application_beside_it", beside_the_application);
}

#[test]
fn a_request_says_by_an_extension_that_it_is_encrypted() {
    on_tokio("a_request_says_by_an_extension_that_it_is_encrypted", secure_by_extension);
}

#[test]
fn axum_hands_on_what_is_aborted_and_what_is_too_large() {
    on_tokio("axum_hands_on_what_is_aborted_and_what_is_too_large", aborted_and_oversized);
}

#[test]
fn a_server_in_axum_closes_without_it() {
    on_tokio("a_server_in_axum_closes_without_it", closed);
}
