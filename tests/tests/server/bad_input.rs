//! Bad input: every client that breaks the rules is answered by the rules, nothing of it is left, and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Limits, Socket};
use socketio_tests::client::{Client, Frame, Gone, How, Http, Message, PATH, WebSocket, encode, head};
use socketio_tests::io::{read_to_end, sleep, timeout, write_all};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::Stage;

/// A server whose handlers wait for answers and whose middlewares take their time, so that much is under way when it is
/// cut short.
async fn busy(rt: Arc<dyn Runtime>) -> Stage {
    let options = |options: socketio_driver::ServerBuilder<_>| {
        options.max_http_buffer_size(5000).limits(Limits {
            max_attachments: 2,
            max_attachment_bytes: 4000,
            ..Limits::default()
        })
    };
    let stage = Stage::with(rt, options).await;
    stage.server.on_connection(|socket: Socket| async move {
        socket.join(["room", "other"]);
        let _ = socket.emit_with_ack::<(), _>("hello", ()).await;
    });
    stage.server.on("wait", |socket: Socket, (): ()| async move {
        let _ = socket.emit_with_ack::<(), _>("answer me", ()).await;
    });
    let clock = Arc::clone(&stage.rt);
    stage.server.of("/slow").use_middleware(move |_: Socket| {
        let clock = Arc::clone(&clock);
        async move {
            sleep(&*clock, Duration::from_millis(20)).await;
            Ok(())
        }
    });
    stage
}

/// Does not wait long, and says for what.
async fn soon<T>(stage: &Stage, what: &str, future: impl Future<Output = T>) -> T {
    let result = timeout(&*stage.rt, Duration::from_secs(10), future).await;
    result.unwrap_or_else(|| panic!("no end after {what}"))
}

/// What the connection handler asks.
async fn expect_hello(client: &mut Client) {
    let packet = client.packet().await;
    assert!(packet.starts_with('2') && packet.ends_with(r#"["hello"]"#), "{packet}");
}

async fn packets_that_break_the_protocol_close_their_connection_alone(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    let mut bystander = stage.joined().await;
    expect_hello(&mut bystander).await;
    let bad = [
        "",
        "7",
        "x",
        "2[",
        "2{}",
        "2[]]",
        "2[1",
        r#"2["a","#,
        r#"2["a"]trailing"#,
        "2[null]",
        "2[{}]",
        r#"2["connect"]"#,
        r#"2["disconnect"]"#,
        "20x[\"a\"]",
        "299999999999999999999[\"a\"]",
        "0/slow",
        "0",
        "0[]",
        "4{}",
        "4",
        "1/never",
        "2/never,[\"a\"]",
        "3/never,1[]",
        "31{}",
        "5",
        "5-[\"a\"]",
        "5x-[\"a\"]",
        "53-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":1}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
        "61-1[{\"_placeholder\":true,\"num\":7}]",
    ];
    for how in [How::Polling, How::Websocket] {
        for packet in bad {
            let mut c = stage.joined_by(how).await;
            c.emit("wait", json!([])).await;
            c.try_send("0/slow,").await.unwrap();
            // An incomplete packet is found out by what follows it.
            let outcome = c.try_send_frames(&[format!("4{packet}"), "42[\"a\"]".to_owned()]).await;
            if outcome.is_ok() {
                let (messages, end) = soon(&stage, packet, c.read_to_end()).await;
                let noise = |message: &Message| matches!(message, Message::Text(text) if text.starts_with(['2', '0']));
                assert!(messages.iter().all(noise), "{packet}: {messages:?}");
                let polling = matches!(end, Gone::ClosePacket | Gone::Refused(400, _));
                assert!(polling || end == Gone::CloseFrame(None), "{packet}: {end:?}");
            }
            stage.until(&format!("closed after {packet}"), || stage.server.clients_count() == 1).await;
            assert_eq!(stage.server.sockets_count(), 1, "{packet}");
        }
    }
    stage.server.emit("still", ()).unwrap();
    bystander.expect(r#"2["still"]"#).await;
    stage.is_empty_in_after(&["/slow"], bystander).await;
}

async fn attachments_out_of_place_close_the_connection(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    for how in How::ALL {
        // Nobody asked for them.
        let mut c = stage.joined_by(how).await;
        c.send_binary(b"bytes").await;
        stage.is_empty_after(c).await;
        // Text in the place of one.
        let mut c = stage.joined_by(how).await;
        c.send(r#"52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
        c.send_binary(b"bytes").await;
        c.send(r#"2["b"]"#).await;
        stage.is_empty_after(c).await;
        // Too much in all: each within the limit of a message.
        let mut c = stage.joined_by(how).await;
        c.send(r#"52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
        c.send_binary(&[0; 3000]).await;
        c.send_binary(&[0; 1001]).await;
        stage.is_empty_after(c).await;
        // Gone in the middle.
        let mut c = stage.joined_by(how).await;
        c.send(r#"51-["a",{"_placeholder":true,"num":0}]"#).await;
        stage.is_empty_after(c).await;
    }
}

async fn frames_that_break_the_rules_of_websockets_are_answered_with_a_code(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    let mut unmasked = encode(0x81, b"4");
    unmasked[1] = 1;
    let long = 5001;
    let cases: [(&str, Vec<u8>, u16); 10] = [
        ("an unknown opcode", encode(0x83, b""), 1002),
        ("an unknown control opcode", encode(0x8b, b""), 1002),
        ("a reserved bit", encode(0xc1, b"4"), 1002),
        ("no mask", unmasked, 1002),
        ("a continuation of nothing", encode(0x80, b"4"), 1002),
        ("a fragmented ping", encode(0x09, b""), 1002),
        ("a long ping", encode(0x89, &[0; 126]), 1002),
        ("text that is none", encode(0x81, b"4\xff"), 1007),
        ("a frame over the limit", head(0x81, long), 1009),
        ("a length over every limit", [&[0x82, 0xff][..], &[0x7f; 8], &[0; 4]].concat(), 1009),
    ];
    for (what, bytes, code) in cases {
        for joined in [true, false] {
            let mut c = stage.websocket().await;
            if joined {
                c.connect("/").await;
                expect_hello(&mut c).await;
            }
            c.ws().send_bytes(&bytes).await.unwrap();
            assert_eq!(soon(&stage, what, c.ws().expect_close()).await, Some(code), "{what}");
            stage.is_empty_after(c).await;
        }
        // The same on a websocket that is probed: the session goes on.
        let mut c = stage.joined_by(How::Polling).await;
        let mut probe = c.try_open_probe().await.unwrap();
        probe.send_bytes(&bytes).await.unwrap();
        soon(&stage, what, probe.expect_close()).await;
        expect_hello(&mut c).await;
        stage.server.emit("still", ()).unwrap();
        c.expect(r#"2["still"]"#).await;
        stage.is_empty_after((c, probe)).await;
    }
    // Fragments that are too much together.
    let mut c = stage.joined().await;
    expect_hello(&mut c).await;
    c.ws().send_bytes(&encode(0x01, &[b'4'; 3000])).await.unwrap();
    c.ws().send_bytes(&encode(0x00, &[b'4'; 2001])).await.unwrap();
    assert_eq!(c.ws().expect_close().await, Some(1009));
    stage.is_empty_after(c).await;
}

async fn a_message_of_the_greatest_size_passes_and_one_byte_more_does_not(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.max_http_buffer_size(200_000)).await;
    stage.server.on("big", |socket: Socket, text: String| async move {
        assert!(text.bytes().all(|byte| byte == b'x'));
        socket.emit("len", text.len()).unwrap();
        socket.emit("back", text).unwrap();
    });
    let packet = |len: usize| format!(r#"2["big","{}"]"#, "x".repeat(len - r#"42["big",""]"#.len()));
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.send(&packet(200_000)).await;
        c.expect(r#"2["len",199988]"#).await;
        assert_eq!(c.packet().await.len(), 199_988 + r#"2["back",""]"#.len());
        let refused = c.try_send(&packet(200_001)).await;
        match how {
            How::Polling => {
                // The session goes on (REFERENCE 1.10).
                assert!(matches!(refused, Err(Gone::Refused(413, _))), "{refused:?}");
                stage.server.emit("still", ()).unwrap();
                c.expect(r#"2["still"]"#).await;
            }
            How::Websocket | How::Upgrade => assert_eq!(c.expect_end().await, Gone::CloseFrame(Some(1009))),
        }
        stage.is_empty_after(c).await;
    }
}

async fn large_messages_cross_whole_in_both_directions(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.max_http_buffer_size(1 << 20)).await;
    stage.server.on("file", |socket: Socket, (name, bytes): (String, socketio_driver::Bytes)| async move {
        socket.emit("file", (name, bytes)).unwrap();
    });
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.send(r#"51-["file","big",{"_placeholder":true,"num":0}]"#).await;
        c.send_binary(&bytes).await;
        c.expect(r#"51-["file","big",{"_placeholder":true,"num":0}]"#).await;
        assert!(c.attachment().await == bytes, "{how:?}");
        stage.is_empty_after(c).await;
    }
}

async fn requests_that_break_the_rules_are_refused_and_open_nothing(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    let c = stage.joined_by(How::Polling).await;
    let target = c.target();
    let cases = [
        (format!("GET {PATH}?EIO=4&transport=polling&sid=unknown"), 400, "Session ID unknown"),
        (format!("POST {PATH}?EIO=4&transport=polling&sid=unknown"), 400, "Session ID unknown"),
        (format!("GET {PATH}?EIO=4"), 400, "Transport unknown"),
        (format!("GET {PATH}?EIO=4&transport=pigeon"), 400, "Transport unknown"),
        (format!("GET {PATH}?EIO=3&transport=polling"), 400, "Unsupported protocol version"),
        (format!("POST {PATH}?EIO=4&transport=polling"), 400, "Bad handshake method"),
        (format!("DELETE {PATH}?EIO=4&transport=polling"), 400, "Bad handshake method"),
        (format!("GET {PATH}?EIO=4&transport=websocket"), 400, "Bad request"),
        (format!("GET {PATH}?EIO=4&transport=websocket&sid={}", c.sid()), 400, "Bad request"),
        ("GET /elsewhere".to_owned(), 404, ""),
        (format!("PUT {target}"), 500, ""),
    ];
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    for (line, status, text) in cases {
        http.send(format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let response = http.response().await.unwrap();
        assert_eq!(response.status, status, "{line}");
        assert!(response.text().contains(text), "{line}: {}", response.text());
    }
    assert_eq!(stage.server.clients_count(), 1);
    stage.is_empty_after((c, http)).await;
}

async fn bytes_that_are_no_http_end_their_connection(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        long.as_bytes(),
        headers.as_bytes(),
    ] {
        let mut io = stage.rt.connect(stage.at.into()).await.unwrap();
        // It may end before all is written, and then it breaks.
        let _ = write_all(&mut *io, bytes).await;
        let _ = read_to_end(&mut *io).await;
        stage.is_empty_after(io).await;
    }
    // Nor does a connection that is closed before it says anything leave a trace.
    let io = stage.rt.connect(stage.at.into()).await.unwrap();
    stage.is_empty_after(io).await;
}

async fn bodies_that_break_the_rules_are_refused(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    // Too large, as announced, and in pieces that announce nothing. The session goes on.
    let mut c = stage.joined_by(How::Polling).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    http.post(&c.target(), &[b'4'; 5001]).await.unwrap();
    assert_eq!(http.response().await.unwrap().status, 413);
    drop(http);
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let chunk = format!("bb8\r\n{}\r\n", "4".repeat(3000));
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", c.target());
    http.send(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(http.response().await.unwrap().status, 413);
    expect_hello(&mut c).await;
    stage.is_empty_after((c, http)).await;

    // Without an end: the connection is given up, and with it the session.
    let c = stage.joined_by(How::Polling).await;
    let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", c.target());
    http.send(head.as_bytes()).await.unwrap();
    let mut ended = false;
    for _ in 0..100 {
        ended = http.send(chunk.as_bytes()).await.is_err();
        if ended {
            break;
        }
        stage.wait(Duration::from_millis(1)).await;
    }
    assert!(ended || http.response().await.is_ok_and(|response| response.status == 413), "read for ever");
    stage.is_empty_after((c, http)).await;

    // Binary content, and packets that are none.
    for (headers, body) in
        [("Content-Type: application/octet-stream\r\n", "4"), ("", ""), ("", "4a\x1e"), ("", "b*")]
    {
        let c = stage.joined_by(How::Polling).await;
        let mut http = Http::connect(&*stage.rt, stage.at).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}",
            c.target()
        );
        http.send(request.as_bytes()).await.unwrap();
        let response = http.response().await.unwrap();
        assert!([200, 400].contains(&response.status), "{body:?} {response:?}");
        stage.until("closed", || stage.server.sockets_count() == 0).await;
        stage.is_empty_after((c, http)).await;
    }
}

async fn websockets_for_no_session_are_turned_away(rt: Arc<dyn Runtime>) {
    let stage = busy(rt).await;
    let open = async |target: &str| WebSocket::open(&*stage.rt, stage.at, target).await;
    let unknown = open(&format!("{PATH}?EIO=4&transport=websocket&sid=unknown")).await;
    assert!(matches!(unknown, Err(Gone::Refused(400, body)) if body.contains("Session ID unknown")));
    let polling = open(&format!("{PATH}?EIO=4&transport=polling")).await;
    polling.unwrap().expect_close().await;
    // A second one for a session that has one.
    let mut c = stage.joined().await;
    expect_hello(&mut c).await;
    let mut second = c.try_open_probe().await.unwrap();
    assert_eq!(second.expect_close().await, None);
    // And a second one that probes.
    let mut polling = stage.joined_by(How::Polling).await;
    let mut first = polling.try_open_probe().await.unwrap();
    first.send(&Frame::text("2probe")).await.unwrap();
    assert_eq!(first.frame().await.unwrap(), Frame::text("3probe"));
    let mut second = polling.try_open_probe().await.unwrap();
    assert_eq!(second.expect_close().await, None);
    stage.server.emit("still", ()).unwrap();
    c.expect(r#"2["still"]"#).await;
    stage.is_empty_after((c, polling, first)).await;
}

on_every_runtime!(
    a_message_of_the_greatest_size_passes_and_one_byte_more_does_not,
    attachments_out_of_place_close_the_connection,
    bodies_that_break_the_rules_are_refused,
    bytes_that_are_no_http_end_their_connection,
    frames_that_break_the_rules_of_websockets_are_answered_with_a_code,
    large_messages_cross_whole_in_both_directions,
    packets_that_break_the_protocol_close_their_connection_alone,
    requests_that_break_the_rules_are_refused_and_open_nothing,
    websockets_for_no_session_are_turned_away,
);
