//! What other implementations got wrong (REFERENCE 8.1 and 9), where no other suite looks at it.

use std::sync::Arc;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, ConnectError, Event, Socket};
use socketio_tests::client::{Gone, How, Http, PATH};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, SETTLED, Stage};

/// CVE-2024-38355: in Node.js an event `error` without a listener ends the process.
async fn error_is_an_event_like_any_other(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    stage.server.on("ask", |_: Socket, (): ()| async { Ack("still here") });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        // With nobody who listens, and then with somebody.
        for name in ["error", "connection", "message", "newListeners", "__proto__", "constructor", ""] {
            c.emit(name, json!(["boom"])).await;
        }
        c.emit_with_ack(1, "ask", json!([])).await;
        c.expect(r#"31["still here"]"#).await;
        let seen = log.clone();
        let listener = stage.server.on("error", move |_: Socket, text: String| {
            seen.add(text);
            async {}
        });
        c.emit("error", json!(["heard"])).await;
        log.expect(&stage, &["heard"]).await;
        stage.server.off(listener);
        stage.is_empty_after(c).await;
    }
}

/// CVE-2020-36049, and the limits of numbers: a packet that is all digits costs no more than any other of its size.
async fn numbers_without_end_are_refused(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let digits = "9".repeat(500_000);
    for how in How::ALL {
        for packet in
            [format!("5{digits}"), format!("5{digits}-[\"a\"]"), format!("2{digits}[\"a\"]"), digits.clone()]
        {
            let mut c = stage.joined_by(how).await;
            c.send(&packet).await;
            let end = if how == How::Polling { Gone::ClosePacket } else { Gone::CloseFrame(None) };
            assert_eq!(c.expect_end().await, end);
            stage.is_empty_after(c).await;
        }
    }
}

/// CVE-2022-41940: the client of an upgrade that is being refused is gone already.
async fn a_refused_upgrade_may_find_nobody_there(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut bystander = stage.joined().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for query in ["sid=unknown", "sid=__proto__", "EIO=3", "EIO=4&transport=__proto__", "EIO=4"] {
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let target = format!("{PATH}?transport=websocket&{query}");
        let method = if query == "EIO=4" { "POST" } else { "GET" };
        http.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        drop(http);
    }
    stage.wait(SETTLED).await;
    stage.server.emit("still", ()).unwrap();
    bystander.expect(r#"2["still"]"#).await;
    stage.is_empty_after(bystander).await;
}

/// CVE-2024-37890: a request with more headers than the server keeps, the one for the upgrade behind them.
async fn a_request_of_too_many_headers_is_refused(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let many: String = (0..3000).map(|number| format!("X-{number}: x\r\n")).collect();
    for last in ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n"] {
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let target = format!("{PATH}?EIO=4&transport=websocket");
        http.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{many}{last}\r\n").as_bytes()).await.unwrap();
        let status = http.response().await.unwrap().status;
        assert!([400, 431].contains(&status), "{status}");
        assert_eq!(stage.server.clients_count(), 0);
        stage.is_empty_after(http).await;
    }
}

/// It is refused before it ends: nobody keeps more of it than that.
async fn a_request_of_too_long_a_head_is_refused(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for (bytes, end, status) in [(60_000, "\r\n\r\n", 404), (70_000, "", 431)] {
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}{end}", "x".repeat(bytes));
        http.send(head.as_bytes()).await.unwrap();
        assert_eq!(http.response().await.unwrap().status, status);
        stage.is_empty_after(http).await;
    }
}

/// Trap 37.
async fn the_request_of_a_session_is_its_first_one_for_life(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined_by(How::Polling).await;
    let before = stage.server.sockets()[0].handshake().clone();
    assert_eq!(before.query("transport").as_deref(), Some("polling"));
    assert_eq!(before.query("sid"), None);
    c.upgrade().await;
    let other = stage.server.of("/other");
    c.connect("/other").await;
    stage.until("it has joined", || other.sockets_count() == 1).await;
    let after = other.sockets()[0].handshake().clone();
    assert_eq!((after.url(), after.issued()), (before.url(), before.issued()));
    assert_eq!(after.header("upgrade"), None);
    stage.is_empty_in_after(&["/other"], c).await;
}

/// Traps 2 and 20 from the other side: what is emitted in a middleware that refuses comes before the refusal.
async fn what_a_refusing_middleware_emits_comes_before_the_refusal(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.use_middleware(|socket: Socket| async move {
        socket.emit("early", ()).unwrap();
        Err(ConnectError::new("no"))
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.send("0").await;
        c.expect(r#"2["early"]"#).await;
        c.expect(r#"4{"message":"no"}"#).await;
        stage.is_empty_after(c).await;
    }
}

/// Traps 16 and 40: an attachment may be named twice, and others may come by other requests.
async fn attachments_may_be_named_twice_and_come_one_by_one(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_any(move |_: Socket, event: Event| {
        let (one, two, again): (&[u8], &[u8], &[u8]) = event.args().decode().unwrap();
        seen.add(format!("{one:?} {two:?} {again:?}"));
        async {}
    });
    let placeholder = |num| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let (zero, one) = (placeholder(0), placeholder(1));
        c.send(&format!(r#"52-["x",{one},{zero},{one}]"#)).await;
        c.send_binary(&[0]).await;
        stage.wait(SETTLED).await;
        assert!(log.is_empty());
        c.send_binary(&[1]).await;
        log.expect(&stage, &["[1] [0] [1]"]).await;
        stage.is_empty_after(c).await;
    }
}

on_every_runtime!(
    a_refused_upgrade_may_find_nobody_there,
    a_request_of_too_long_a_head_is_refused,
    a_request_of_too_many_headers_is_refused,
    attachments_may_be_named_twice_and_come_one_by_one,
    error_is_an_event_like_any_other,
    numbers_without_end_are_refused,
    the_request_of_a_session_is_its_first_one_for_life,
    what_a_refusing_middleware_emits_comes_before_the_refusal,
);
