//! What is logged at trace level of real clients happens again in a peer without any IO. In a process of its own: whoever
//! logs first decides what is kept.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_core::engine::server::Input;
use socketio_driver::transcript::{Data, Entry, Mismatch, Out};
use socketio_driver::{Ack, Bytes, ConnectError, Socket};
use socketio_tests::client::How;
use socketio_tests::every_runtime::on_tokio;
use socketio_tests::logs;
use socketio_tests::replay::{Fault, Replayed, replay, transcripts};
use socketio_tests::stage::Stage;
use tracing::Level;

#[test]
fn a_fresh_recording_replays() {
    logs::keep_up_to(Level::TRACE);
    on_tokio("replay", |rt| async move {
        let stage = Stage::new(Arc::clone(&rt)).await;
        play(&stage).await;
    });
    let log = logs::containing("").join("\n");
    let replayed = replay(&log).unwrap_or_else(|failure| panic!("{failure}\n{log}"));
    let Replayed { clients, ended, lines, .. } = replayed;
    assert_eq!((clients, ended), (4, 4), "{log}");
    assert!(lines > 100, "{log}");
    for part in [
        r#""in":{"post_body":["#,
        r#""in":{"ws_frame":["#,
        r#""in":{"flushed":"#,
        r#""do":{"accept":"#,
        r#""do":{"refuse":{"slot":1,"message":"not today","data":{"until":8}}"#,
        r#""do":{"refuse_unknown":"#,
        r#""do":{"send_with_ack":"#,
        r#""do":{"leave":"#,
        r#""do":"disconnect""#,
        r#""out":{"event":{"upgraded":"websocket"}"#,
        r#""out":{"event":{"acked":{"args":{"text":"\"pong\""}"#,
        r#""out":{"event":{"ack_failed":"operation has timed out"}"#,
        r#""attachments":[{"base64":"AQID"}]"#,
        r#""out":{"event":{"left":{"slot":0,"reason":"transport close"}"#,
    ] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
}

/// Every way a client comes in, binary both ways, acknowledgements both ways, namespaces, refusals, rooms, every end.
async fn play(stage: &Stage) {
    let io = &stage.server;
    io.on_connection(|socket: Socket| async move {
        socket.on("echo", |socket: Socket, (text, bytes): (String, Bytes)| async move {
            socket.emit("echoed", (&text, &bytes)).unwrap();
            Ack((text.len(), bytes))
        });
        socket.on("ask me", |socket: Socket, ()| async move {
            let answer = socket.emit_with_ack::<String, _>("ping", ()).await;
            socket.emit("heard", answer.unwrap()).unwrap();
        });
        socket.on("ask in vain", |socket: Socket, ()| async move {
            let asked = socket.timeout(Duration::from_millis(20)).emit_with_ack::<String, _>("ping", ());
            socket.emit("nothing", asked.await.unwrap_err().to_string()).unwrap();
        });
        socket.on("join", |socket: Socket, room: String| async move {
            socket.join(room.clone());
            socket.namespace().to(room).emit("joined", json!({ "by": socket.id().as_str() })).unwrap();
        });
        socket.on("leave", |socket: Socket, ()| async move { socket.disconnect() });
        socket.on("end", |socket: Socket, ()| async move { socket.disconnect_all() });
    });
    io.of("/closed").use_middleware(|_: Socket| async {
        Err(ConnectError::new("not today").with_data(json!({ "until": 8 })))
    });

    for how in How::ALL {
        let mut c = stage.client(how).await;
        let sid = c.connect("/").await;
        c.connect_with("/closed", &json!({})).await.unwrap_err();
        c.connect_with("/nowhere", &json!({})).await.unwrap_err();
        c.send(r#"51-7["echo","naïve",{"_placeholder":true,"num":0}]"#).await;
        c.send_binary(&[1, 2, 3]).await;
        c.expect(r#"51-["echoed","naïve",{"_placeholder":true,"num":0}]"#).await;
        assert_eq!(c.attachment().await, [1, 2, 3]);
        c.expect(r#"61-7[6,{"_placeholder":true,"num":0}]"#).await;
        assert_eq!(c.attachment().await, [1, 2, 3]);
        c.emit("ask me", json!([])).await;
        let asked = c.packet().await;
        let id =
            asked.strip_prefix('2').and_then(|rest| rest.strip_suffix(r#"["ping"]"#)).unwrap().to_owned();
        c.send(&format!(r#"3{id}["pong"]"#)).await;
        c.expect(r#"2["heard","pong"]"#).await;
        c.emit("ask in vain", json!([])).await;
        assert!(c.packet().await.ends_with(r#"["ping"]"#));
        c.expect(r#"2["nothing","operation has timed out"]"#).await;
        c.emit("join", json!(["tea"])).await;
        c.expect(&format!(r#"2["joined",{{"by":"{sid}"}}]"#)).await;
        match how {
            How::Polling => {
                c.emit("leave", json!([])).await;
                c.expect("1").await;
                c.quit().await;
            }
            How::Websocket => {
                c.emit("end", json!([])).await;
                c.expect("1").await;
                c.expect_end().await;
            }
            How::Upgrade => {
                stage.is_empty_after(c).await;
            }
        }
    }
    // One that talks nonsense.
    let mut c = stage.client(How::Websocket).await;
    c.connect("/").await;
    c.send("9").await;
    c.expect_end().await;
    stage.is_empty_after(c).await;
}

/// Recorded from official clients: socket.io-client 4, 2 with polling and its upgrade, msgpack.
#[test]
fn recordings_of_official_clients_replay() {
    let mut files = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/replay")).unwrap() {
        let path = entry.unwrap().path();
        let log = fs::read_to_string(&path).unwrap();
        let replayed = replay(&log).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
        assert!(replayed.ended > 0, "{}: {replayed}", path.display());
        files += 1;
    }
    assert!(files >= 4, "{files} recordings");
}

/// A log as people paste it: prefixed, with other things in between.
const LOG: &str = r#"
2026-11-24T10:00:00Z DEBUG client{number=3}: socketio_driver::pump: session opened sid="a"
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":10,"open":{"transport":"websocket","lane":1,"sid":"a","revision":4,"base64":false,"upgrades":[],"config":{"engine":{"ping_interval":25000000,"ping_timeout":20000000,"upgrade_timeout":10000000,"max_payload_bytes":1000000,"max_payload_packets":1000,"buffer":{"max_frames":16384,"max_bytes":16777216},"initial_message":null},"socket":{"codec":"text","connect_timeout":45000000,"limits":{"max_attachments":10,"max_attachment_bytes":10000000,"max_nesting":128},"attachment_timeout":45000000,"max_namespaces":1000,"max_pending_acks":65536}}}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":10,"out":{"ws_send":[1,{"text":"0{\"sid\":\"a\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"}]}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"in":{"ws_frame":[1,{"text":"40"}]}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"out":{"event":{"connect_request":{"slot":0,"nsp":"/","auth":null}}}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"do":{"accept":{"slot":0,"sid":"s","pid":null}}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"out":{"ws_send":[1,{"text":"40{\"sid\":\"s\"}"}]}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"do":{"send":{"slot":7,"packet":{"head":{"text":"42[\"x\"]"}},"volatile":false}}}
2026-11-24T10:00:00Z TRACE client{number=3}: socketio_driver::transcript: {"client":3,"at":20,"failed":"socket has been disconnected"}
"#;

#[test]
fn a_pasted_log_replays() {
    assert_eq!(replay(LOG), Ok(Replayed { clients: 1, lines: 8, ..Replayed::default() }));
}

#[test]
fn a_difference_is_found_in_its_line() {
    let other = LOG.replace(r#"40{\"sid\":\"s\"}"#, r#"40{\"sid\":\"t\"}"#);
    let failure = replay(&other).unwrap_err();
    assert_eq!(failure.line, 8);
    let out = |sid: &str| Box::new(Out::WsSend(1, Data::Text(format!(r#"40{{"sid":"{sid}"}}"#))));
    let mismatch = Mismatch::Output { expected: out("t"), found: Some(out("s")) };
    assert_eq!(failure.fault, Fault::Mismatch(mismatch.to_string()));
    assert!(failure.to_string().starts_with("line 8: the transcript has {\"ws_send\":["), "{failure}");
}

#[test]
fn a_command_that_ends_differently_is_found() {
    let lines: Vec<_> = LOG.lines().filter(|line| !line.contains("failed")).collect();
    let log = lines.join("\n") + "\n" + lines[3];
    let failure = replay(&log).unwrap_err();
    let found = Some("socket has been disconnected".to_owned());
    assert_eq!(failure.fault, Fault::Mismatch(Mismatch::<Out>::Result { expected: None, found }.to_string()));
}

#[test]
fn missing_and_mangled_lines_are_named() {
    let without_first: Vec<_> = LOG.lines().filter(|line| !line.contains("\"open\"")).collect();
    let failure = replay(&without_first.join("\n")).unwrap_err();
    assert_eq!((failure.line, failure.fault), (3, Fault::Mismatch(Mismatch::<Out>::OutOfPlace.to_string())));
    let failure = replay(&LOG[..LOG.len() - 10]).unwrap_err();
    assert!(matches!((failure.line, failure.fault), (10, Fault::Unreadable(_))));
}

#[test]
fn bytes_of_a_recording_are_the_bytes_that_came() {
    let line = r#"{"client":1,"at":2,"in":{"ws_frame":[3,{"base64":"AP8="}]}}"#;
    let transcripts = transcripts(line).unwrap();
    let (_, read) = &transcripts[&1][0];
    let Entry::In(Input::WsFrame(lane, frame)) = &read.entry else { panic!("{read:?}") };
    assert_eq!((lane.0, frame.len()), (3, 2));
    assert_eq!(read.to_string(), line);
}
