//! A parser of the application's own: what holds with the built-in ones holds with it, and what it does wrong is the
//! end of one client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socketio_driver::core::socket::recovery;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Args, Bytes, Codec, ConnectError, Limits, Socket, SocketError, Value, Variadic};
use socketio_tests::client::{Client, Gone, How};
use socketio_tests::stage::{Log, SETTLED, Stage};
use socketio_tests::telegrams::{self, Telegrams};
use socketio_tests::{logs, on_every_runtime};

async fn stage(rt: Arc<dyn Runtime>) -> Stage {
    Stage::with(rt, |builder| builder.parser(Codec::custom(&Telegrams))).await
}

/// Sends a packet: its line, and its data.
async fn send(c: &mut Client, line: &str, data: impl Serialize) {
    c.send(&format!("{line}:")).await;
    let mut body = Vec::new();
    telegrams::write(&mut body, &value(data));
    c.send_binary(&body).await;
}

/// The next packet must be this one.
async fn expect(c: &mut Client, line: &str, data: impl Serialize) {
    assert_eq!(receive(c).await, (line.to_owned(), value(data)));
}

async fn receive(c: &mut Client) -> (String, Value) {
    let line = c.packet().await;
    let line = line.strip_suffix(':').unwrap_or_else(|| panic!("{line} comes with no data")).to_owned();
    let body = c.attachment().await;
    (line, telegrams::read(&mut &body[..], 100).expect("CBOR"))
}

fn value(data: impl Serialize) -> Value {
    let args = Args::encode(&(data,)).expect("it encodes");
    args.decode::<(Value,)>().expect("any value").0
}

async fn join(c: &mut Client, nsp: &str) -> String {
    c.send(&format!("0{nsp} ")).await;
    let (line, answer) = receive(c).await;
    assert_eq!(line, format!("0{nsp} "));
    match answer.get("sid") {
        Some(Value::String(sid)) => sid.clone(),
        other => panic!("a sid, not {other:?}"),
    }
}

async fn joined(stage: &Stage, how: How) -> Client {
    let mut c = stage.client(how).await;
    join(&mut c, "/").await;
    c
}

#[derive(Debug, Deserialize, Serialize)]
struct Picture {
    name: String,
    size: Option<(u32, i32)>,
    data: Bytes,
}

#[derive(Serialize)]
struct Refusal {
    message: &'static str,
    data: &'static str,
}

async fn typed_arguments_and_bytes_go_both_ways(rt: Arc<dyn Runtime>) {
    let stage = stage(rt).await;
    stage.server.on("picture", |socket: Socket, (number, mut picture): (f64, Picture)| async move {
        picture.name += "!";
        socket.emit("copy", (number, picture)).unwrap();
    });
    for how in How::ALL {
        let mut c = joined(&stage, how).await;
        let picture = |name: &str| Picture {
            name: name.to_owned(),
            size: Some((2, -1)),
            data: Bytes::from_static(b"\x00\xff pixels"),
        };
        send(&mut c, "2/ ", ("picture", 1.5, picture("cat"))).await;
        expect(&mut c, "2/ ", ("copy", 1.5, picture("cat!"))).await;
        stage.is_empty_after(c).await;
    }
}

async fn acknowledgements_go_both_ways(rt: Arc<dyn Runtime>) {
    let stage = stage(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("ask", move |socket: Socket, text: String| {
        let seen = seen.clone();
        async move {
            let answer = socket.emit_with_ack::<(u32, Bytes), _>("and you", text.len()).await.unwrap();
            seen.add(format!("{answer:?}"));
            socketio_driver::Ack((text, Bytes::from_static(&[7])))
        }
    });
    for how in How::ALL {
        let mut c = joined(&stage, how).await;
        send(&mut c, "2/ 12", ("ask", "grüß")).await;
        let (line, data) = receive(&mut c).await;
        assert_eq!(data, value(("and you", 6)));
        let id = line.strip_prefix("2/ ").expect("an event that asks");
        send(&mut c, &format!("3/ {id}"), (7, Bytes::from_static(b"b"))).await;
        expect(&mut c, "3/ 12", ("grüß", Bytes::from_static(&[7]))).await;
        log.expect(&stage, &[r#"(7, b"b")"#]).await;
        stage.is_empty_after(c).await;
    }
}

async fn namespaces_rooms_and_refusals_work(rt: Arc<dyn Runtime>) {
    let stage = stage(rt).await;
    let admin = stage.server.of("/admin");
    admin.use_middleware(|socket: Socket| async move {
        match socket.handshake().auth::<BTreeMap<String, u32>>() {
            Ok(auth) if auth.get("token") == Some(&1) => Ok(()),
            _ => Err(ConnectError::new("no").with_data("at all")),
        }
    });
    admin.on_connection(|socket: Socket| async move { socket.join("tea") });
    let mut c = joined(&stage, How::Websocket).await;
    send(&mut c, "0/admin ", BTreeMap::from([("token", 2)])).await;
    expect(&mut c, "4/admin ", Refusal { message: "no", data: "at all" }).await;
    c.send("0/unknown ").await;
    expect(&mut c, "4/unknown ", BTreeMap::from([("message", "Invalid namespace")])).await;
    send(&mut c, "0/admin ", BTreeMap::from([("token", 1)])).await;
    assert_eq!(receive(&mut c).await.0, "0/admin ");
    stage.until("it is in its room", || admin.to("tea").sockets().len() == 1).await;
    admin.to("tea").emit("news", Variadic(vec![1, 2])).unwrap();
    expect(&mut c, "2/admin ", ("news", 1, 2)).await;
    admin.everyone().disconnect_sockets();
    assert_eq!(c.packet().await, "1/admin ");
    // The other namespace lives on.
    stage.server.emit("still", ()).unwrap();
    expect(&mut c, "2/ ", ("still",)).await;
    stage.is_empty_in_after(&["/admin"], c).await;
}

async fn what_a_client_missed_is_recovered(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |builder| {
        builder.parser(Codec::custom(&Telegrams)).connection_state_recovery(recovery::Config::default())
    })
    .await
    .keeping();
    let mut c = stage.websocket().await;
    c.send("0/ ").await;
    let (_, answer) = receive(&mut c).await;
    stage.server.emit("before", 1).unwrap();
    let (_, event) = receive(&mut c).await;
    let Value::Array(event) = event else { panic!("an event, not {event:?}") };
    assert_eq!(event.len(), 3);
    drop(c);
    stage.until("it is gone", || stage.server.clients_count() == 0).await;
    stage.server.emit("missed", Bytes::from_static(b"m")).unwrap();
    let mut c = stage.websocket().await;
    let claim = BTreeMap::from([("pid", answer.get("pid").expect("a pid")), ("offset", &event[2])]);
    send(&mut c, "0/ ", claim).await;
    let (line, missed) = receive(&mut c).await;
    let Value::Array(missed) = missed else { panic!("an event, not {missed:?}") };
    assert_eq!(line, "2/ ");
    assert_eq!(missed[..2], [value("missed"), Value::Binary(Bytes::from_static(b"m"))]);
    let (_, again) = receive(&mut c).await;
    assert_eq!(again.get("sid"), answer.get("sid"));
    stage.is_empty_after(c).await;
}

async fn what_is_sent_can_be_seen(rt: Arc<dyn Runtime>) {
    let stage = stage(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_any_outgoing(move |_, event| {
        let number: u32 = event.args().decode().unwrap();
        seen.add(format!("{} {number}", event.name()));
    });
    let mut c = joined(&stage, How::Websocket).await;
    stage.server.emit("out", 7).unwrap();
    expect(&mut c, "2/ ", ("out", 7)).await;
    log.expect(&stage, &["out 7"]).await;
    stage.is_empty_after(c).await;
}

async fn what_it_cannot_read_closes_with_the_reason_of_every_parser(rt: Arc<dyn Runtime>) {
    logs::keep();
    let limits = Limits { max_attachments: 3, max_attachment_bytes: 100, max_nesting: 5 };
    let stage = Stage::with(rt, |builder| builder.parser(Codec::custom(&Telegrams)).limits(limits)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_error(move |_: Socket, error: Arc<SocketError>| {
        seen.add(error);
        async {}
    });
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason| {
        seen.add(reason);
        async {}
    });
    let close = |how| match how {
        How::Polling => Gone::ClosePacket,
        How::Websocket | How::Upgrade => Gone::CloseFrame(None),
    };
    for how in How::ALL {
        // A line, the messages behind it, and what is wrong with them.
        let rows: [(&str, usize, &str); 6] = [
            ("9/ ", 0, "invalid packet: unknown packet type"),
            ("2/ :", 1, "invalid packet: invalid payload"),
            ("panic", 0, "invalid packet: the parser panicked"),
            // Whatever it makes of a message, and however much it wants, has the limits of the connection.
            ("deep", 0, "invalid packet: payload is nested too deeply"),
            ("more", 3, "invalid packet: too many attachments"),
            ("more", 101, "invalid packet: attachments are too large"),
        ];
        for (line, bytes, error) in rows {
            let mut c = joined(&stage, how).await;
            c.send(line).await;
            let messages = if bytes == 101 { vec![101] } else { vec![1; bytes] };
            for bytes in messages {
                // It may be gone already.
                let _ = c.try_send_binary(&vec![b'x'; bytes]).await;
            }
            log.expect(&stage, &[error, "forced close"]).await;
            assert_eq!(c.expect_end().await, close(how), "{line}");
            stage.is_empty_after(c).await;
        }
    }
}

async fn a_packet_that_is_never_complete_holds_its_client_only_so_long(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |builder| {
        builder.parser(Codec::custom(&Telegrams)).attachment_timeout(Duration::from_millis(200))
    })
    .await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_error(move |_: Socket, error: Arc<SocketError>| {
        seen.add(error);
        async {}
    });
    let mut c = joined(&stage, How::Websocket).await;
    c.send("2/ :").await;
    c.expect_nothing_for(SETTLED).await;
    log.expect(&stage, &["the attachments of a packet did not arrive in time"]).await;
    assert_eq!(c.expect_end().await, Gone::CloseFrame(None));
    stage.is_empty_after(c).await;
}

on_every_runtime!(
    a_packet_that_is_never_complete_holds_its_client_only_so_long,
    acknowledgements_go_both_ways,
    namespaces_rooms_and_refusals_work,
    typed_arguments_and_bytes_go_both_ways,
    what_a_client_missed_is_recovered,
    what_is_sent_can_be_seen,
    what_it_cannot_read_closes_with_the_reason_of_every_parser,
);
