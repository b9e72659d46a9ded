//! The options and hooks of a server that decide about requests.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::http::HeaderValue;
use socketio_driver::runtime::Runtime;
use socketio_driver::{BoxError, Cors, Handshake, Message, Origin, Sid, Socket};
use socketio_tests::client::{Client, Frame, Gone, How, Http, PATH, Response, WebSocket};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::pipe::pipe;
use socketio_tests::stage::{Log, Stage};

async fn get(stage: &Stage, query: &str, headers: &str) -> Response {
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let target = format!("{PATH}?EIO=4&{query}");
    http.send(format!("GET {target} HTTP/1.1\r\nHost: server\r\n{headers}\r\n").as_bytes()).await.unwrap();
    http.response().await.unwrap()
}

async fn requests_are_allowed_or_refused_with_words(rt: Arc<dyn Runtime>) {
    let asked = Log::default();
    let log = asked.clone();
    let stage = Stage::with(rt, |options| {
        options.allow_request(move |request: Handshake| {
            let token = request.query("token").unwrap_or_default();
            log.add(&token);
            async move {
                match &*token {
                    "good" => Ok(()),
                    "panic" => panic!("on purpose"),
                    _ => Err(token),
                }
            }
        })
    })
    .await;
    for (token, message) in [("", "Forbidden"), ("bad token", "bad token"), ("panic", "Forbidden")] {
        let token = token.replace(' ', "+");
        let body = format!(r#"{{"code":4,"message":"{message}"}}"#);
        let refused = get(&stage, &format!("transport=polling&token={token}"), "").await;
        assert_eq!((refused.status, refused.text()), (403, body));
        let refused = Client::try_websocket(&stage.rt, stage.at, &format!("&token={token}")).await;
        assert!(refused.is_err(), "{token}");
    }
    asked.expect(&stage, &["", "", "bad token", "bad token", "panic", "panic"]).await;
    let mut c = Client::try_polling(&stage.rt, stage.at, "&token=good").await.unwrap();
    c.connect("/").await;
    // Neither for a poll nor for the upgrade is it asked again.
    c.upgrade().await;
    asked.expect(&stage, &["good"]).await;
    stage.is_empty_after(c).await;
}

async fn ids_are_made_by_the_application(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| {
        options.generate_id(|request: Handshake| async move {
            let id = request.query("id").ok_or_else(|| BoxError::from("no id"))?;
            Ok(Sid::from(id.as_str()))
        })
    })
    .await;
    let mut c = Client::try_polling(&stage.rt, stage.at, "&id=mine").await.unwrap();
    assert_eq!(c.sid(), "mine");
    assert_ne!(c.connect("/").await, "mine", "the id of a socket is public, that of a session is not");
    let refused = get(&stage, "transport=polling", "").await;
    assert_eq!((refused.status, refused.text().as_str()), (400, r#"{"code":3,"message":"Bad request"}"#));
    stage.is_empty_after(c).await;
}

async fn headers_are_edited_once_or_every_time(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| {
        options
            .initial_headers(|headers, _| {
                headers.insert("x-first", HeaderValue::from_static("1"));
            })
            .headers(|headers, request| {
                let method = HeaderValue::from_str(request.method.as_str()).unwrap();
                headers.insert("x-every", method);
            })
    })
    .await;
    let first = get(&stage, "transport=polling", "").await;
    assert_eq!((first.header("x-first"), first.header("x-every")), (Some("1"), Some("GET")));
    let sid = first.text().split('"').nth(3).unwrap().to_owned();
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let target = format!("{PATH}?EIO=4&transport=polling&sid={sid}");
    http.post(&target, b"40").await.unwrap();
    let post = http.response().await.unwrap();
    assert_eq!((post.header("x-first"), post.header("x-every")), (None, Some("POST")));
    let poll = http.fetch(&target).await.unwrap();
    assert_eq!((poll.header("x-first"), poll.header("x-every")), (None, Some("GET")));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let probe = get(&stage, &format!("transport=websocket&sid={sid}"), upgrade).await;
    assert_eq!((probe.status, probe.header("x-first"), probe.header("x-every")), (101, None, Some("GET")));
    let opened = get(&stage, "transport=websocket", upgrade).await;
    assert_eq!((opened.status, opened.header("x-first")), (101, Some("1")));
    let refused = get(&stage, "transport=polling&sid=unknown", "").await;
    assert_eq!((refused.status, refused.header("x-every")), (400, None));
    http.post(&target, b"1").await.unwrap();
    http.response().await.unwrap();
    stage.is_empty_after(http).await;
}

async fn an_initial_packet_comes_with_the_handshake(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.initial_packet(Message::Text("hello".into()))).await;
    let response = get(&stage, "transport=polling", "").await.text();
    let (open, initial) = response.split_once('\x1e').unwrap();
    assert!(open.starts_with("0{"));
    assert_eq!(initial, "4hello");
    let mut c = Client::try_websocket(&stage.rt, stage.at, "").await.unwrap();
    c.expect("hello").await;
    stage.server.close();
    stage.until("everybody left", || stage.server.clients_count() == 0).await;
}

async fn compression_has_a_threshold_and_can_be_off(rt: Arc<dyn Runtime>) {
    for (threshold, encoding) in [(None, None), (Some(10), Some("gzip")), (Some(100_000), None)] {
        let stage = Stage::with(Arc::clone(&rt), |options| options.http_compression(threshold)).await;
        let c = stage.joined_by(How::Polling).await;
        stage.server.emit("a message of some length", ()).unwrap();
        let query = format!("transport=polling&sid={}", c.sid());
        let polled = get(&stage, &query, "Accept-Encoding: gzip\r\n").await;
        assert_eq!(polled.header("content-encoding"), encoding, "{threshold:?}");
        stage.server.close();
    }
}

async fn a_server_has_its_own_path(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.path("/chat/")).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    for (path, status) in [("/chat/", 200), ("/chat/more", 200), ("/chat", 404), ("/socket.io/", 404)] {
        let response = http.fetch(&format!("{path}?EIO=4&transport=polling")).await.unwrap();
        assert_eq!(response.status, status, "{path}");
    }
    stage.server.close();
}

async fn the_slash_at_the_end_can_be_left_out(rt: Arc<dyn Runtime>) {
    // In whatever order they are said.
    for slash_first in [true, false] {
        let stage = Stage::with(Arc::clone(&rt), |options| match slash_first {
            true => options.add_trailing_slash(false).path("/chat/"),
            false => options.path("/chat").add_trailing_slash(false),
        })
        .await;
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        for (path, status) in [("/chat", 200), ("/chat/", 200), ("/chats", 200), ("/cha", 404)] {
            let response = http.fetch(&format!("{path}?EIO=4&transport=polling")).await.unwrap();
            assert_eq!(response.status, status, "{path}");
        }
        stage.server.close();
    }
}

async fn cors_may_be_decided_for_each_request_in_its_own_time(rt: Arc<dyn Runtime>) {
    let clock = Arc::clone(&rt);
    let stage = Stage::with(rt, |options| {
        options.cors_for(move |request: Handshake| {
            let clock = Arc::clone(&clock);
            async move {
                sleep(&*clock, Duration::from_millis(5)).await;
                match request.header("origin")? {
                    "http://ours" => Cors::new(Origin::Mirror).ok().map(|cors| cors.credentials(true)),
                    "http://theirs" => Cors::new(Origin::List(Vec::new())).ok(),
                    "http://broken" => panic!("as it was told"),
                    _ => None,
                }
            }
        })
    })
    .await;
    let target = format!("{PATH}?EIO=4&transport=polling");
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let rows = [
        ("http://ours", Some("http://ours"), Some("Origin"), Some("true")),
        ("http://theirs", None, Some("Origin"), None),
        ("http://nobodys", None, None, None),
        ("http://broken", None, None, None),
    ];
    for (origin, allowed, vary, credentials) in rows {
        for method in ["GET", "OPTIONS"] {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n");
            http.send(head.as_bytes()).await.unwrap();
            let response = http.response().await.unwrap();
            let is_preflight = method == "OPTIONS" && vary.is_some();
            let status = if is_preflight {
                204
            } else if method == "GET" {
                200
            } else {
                400
            };
            assert_eq!(response.status, status, "{method} {origin}");
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{origin}");
            let named_first = response.header("vary").map(|vary| vary.split(',').next().unwrap());
            assert_eq!(named_first, vary, "{origin}");
            assert_eq!(response.header("access-control-allow-credentials"), credentials, "{origin}");
        }
    }
    stage.server.close();
}

async fn refused_requests_are_shown(rt: Arc<dyn Runtime>) {
    let log = Log::default();
    let seen = log.clone();
    let stage = Stage::with(rt, |options| {
        options.on_connection_error(move |error| {
            let (code, message, name) = (error.code(), error.message(), error.name().unwrap_or("-"));
            seen.add(format!("{code} {message} {name} {}", error.request.method));
        })
    })
    .await;
    let refused = Client::try_polling(&stage.rt, stage.at, "&sid=unknown").await;
    assert!(matches!(refused, Err(Gone::Refused(400, _))));
    get(&stage, "transport=websocket", "").await;
    log.expect(&stage, &["1 Session ID unknown - GET", "3 Bad request TRANSPORT_HANDSHAKE_ERROR GET"]).await;
    stage.is_empty_after(()).await;
}

async fn an_encrypted_connection_is_known_as_one(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        seen.add(socket.handshake().is_secure());
        async {}
    });
    for secure in [false, true] {
        let (ours, theirs) = pipe();
        let server = stage.server.clone();
        stage.rt.spawn(Box::pin(async move {
            match secure {
                true => server.serve_secure_connection(theirs, None).await,
                false => server.serve_connection(theirs, None).await,
            }
        }));
        let http = Http::over(Box::new(ours));
        let mut ws = WebSocket::over(http, &format!("{PATH}?EIO=4&transport=websocket")).await.unwrap();
        ws.frame().await.unwrap();
        ws.send(&Frame::text("40")).await.unwrap();
        ws.frame().await.unwrap();
        log.expect(&stage, &[&secure.to_string()]).await;
        stage.is_empty_after(ws).await;
    }
}

on_every_runtime!(
    cors_may_be_decided_for_each_request_in_its_own_time,
    the_slash_at_the_end_can_be_left_out,
    an_encrypted_connection_is_known_as_one,
    requests_are_allowed_or_refused_with_words,
    ids_are_made_by_the_application,
    headers_are_edited_once_or_every_time,
    an_initial_packet_comes_with_the_handshake,
    compression_has_a_threshold_and_can_be_off,
    a_server_has_its_own_path,
    refused_requests_are_shown,
);
