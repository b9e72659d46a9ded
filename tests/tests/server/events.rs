//! Events: typed arguments, attachments, who is called and in which order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Args, Bytes, EmitError, Event, Socket};
use socketio_tests::client::How;
use socketio_tests::sim::Sim;
use socketio_tests::stage::{Log, SETTLED, Stage};
use socketio_tests::{logs, on_every_runtime};

#[derive(Debug, Deserialize, Serialize)]
struct Picture {
    name: String,
    #[serde(default)]
    size: Option<(u32, u32)>,
    data: Bytes,
}

async fn arguments_arrive_as_what_the_handler_takes(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let on = &stage.server;
    let seen = log.clone();
    on.on("none", move |_: Socket, (): ()| {
        seen.add("none");
        async {}
    });
    let seen = log.clone();
    on.on("one", move |_: Socket, text: String| {
        seen.add(text);
        async {}
    });
    let seen = log.clone();
    on.on("several", move |_: Socket, (name, age, admin): (String, u8, Option<bool>)| {
        seen.add(format!("{name} {age} {admin:?}"));
        async {}
    });
    let seen = log.clone();
    on.on("list", move |_: Socket, (numbers,): (Vec<i64>,)| {
        seen.add(format!("{numbers:?}"));
        async {}
    });
    let seen = log.clone();
    on.on("raw", move |_: Socket, args: Args| {
        seen.add(format!("{:?}", args.raw()));
        async {}
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.emit("none", json!([])).await;
        c.emit("one", json!(["grüß 👋 \u{2028}"])).await;
        c.emit("several", json!(["ann", 42, true])).await;
        c.emit("several", json!(["bob", 7])).await;
        c.emit("list", json!([[1, -2, 3]])).await;
        c.emit("raw", json!([1, { "a": [] }])).await;
        let expected = [
            "none",
            "grüß 👋 \u{2028}",
            "ann 42 Some(true)",
            "bob 7 None",
            "[1, -2, 3]",
            "Json(\"1,{\\\"a\\\":[]}\")",
        ];
        log.expect(&stage, &expected).await;
        stage.is_empty_after(c).await;
    }
}

async fn bytes_anywhere_in_the_arguments_are_attachments(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.on("picture", |socket: Socket, (number, mut picture): (u32, Picture)| async move {
        picture.name += "!";
        socket.emit("copy", (number, picture)).unwrap();
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.send(r#"51-["picture",7,{"name":"cat","size":[2,1],"data":{"_placeholder":true,"num":0}}]"#).await;
        c.send_binary(b"\x00\xff pixels").await;
        c.expect(r#"51-["copy",7,{"name":"cat!","size":[2,1],"data":{"_placeholder":true,"num":0}}]"#).await;
        assert_eq!(c.attachment().await, b"\x00\xff pixels");
        stage.is_empty_after(c).await;
    }
}

/// JavaScript cuts texts between the halves of a character. What is left of one must not cost the whole event.
async fn half_of_a_surrogate_pair_is_a_replacement_character(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.on("say", |socket: Socket, (text, picture): (String, Picture)| async move {
        let name = socket.handshake().auth::<Value>().unwrap()["name"].clone();
        Ack((text, picture.name, picture.data.len(), name))
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.send(r#"0{"name":"\udc4b"}"#).await;
        assert!(c.packet().await.starts_with("0{"));
        c.send(
            r#"51-7["say","\ud83d\ud83d\ude00 \\ud83d",{"name":"\udc4b","data":{"_placeholder":true,"num":0}}]"#,
        )
        .await;
        c.send_binary(b"pixels").await;
        c.expect("37[\"\u{fffd}\u{1f600} \\\\ud83d\",\"\u{fffd}\",6,\"\u{fffd}\"]").await;
        stage.is_empty_after(c).await;
    }
}

async fn an_event_with_arguments_of_another_type_is_logged_and_skipped(rt: Arc<dyn Runtime>) {
    logs::keep();
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("mistyped", move |_: Socket, number: u32| {
        seen.add(number);
        async {}
    });
    let seen = log.clone();
    stage.server.on("mistyped", move |_: Socket, value: Value| {
        seen.add(value);
        async {}
    });
    let mut c = stage.websocket().await;
    let id = c.connect("/").await;
    c.emit("mistyped", json!(["seven"])).await;
    c.emit("mistyped", json!([])).await;
    c.emit("mistyped", json!([7])).await;
    log.expect(&stage, &["\"seven\"", "7", "7"]).await;
    let lines = logs::containing(&id);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("WARN") && line.contains("event=\"mistyped\"")),
        "{lines:?}"
    );
    assert!(lines[0].contains("argument 1: invalid type: string"), "{lines:?}");
    stage.is_empty_after(c).await;
}

async fn an_event_nobody_handles_is_ignored(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.on("known", |socket: Socket, (): ()| async move { socket.emit("yes", ()).unwrap() });
    let mut c = stage.joined().await;
    c.emit_with_ack(1, "unknown", json!([1])).await;
    c.emit("known", json!([])).await;
    c.expect(r#"2["yes"]"#).await;
    stage.is_empty_after(c).await;
}

async fn handlers_are_called_in_the_order_of_registration_and_catch_all_first(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    for number in [1, 2] {
        let seen = log.clone();
        stage.server.on("x", move |_: Socket, (): ()| {
            seen.add(format!("namespace {number}"));
            async {}
        });
    }
    let seen = log.clone();
    stage.server.on_any(move |_: Socket, event: Event| {
        seen.add(format!("any {}", event.name()));
        async {}
    });
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        let seen = seen.clone();
        async move {
            socket.on("x", move |_: Socket, (): ()| {
                seen.add("socket");
                async {}
            });
        }
    });
    let mut c = stage.joined().await;
    c.emit("x", json!([])).await;
    log.expect(&stage, &["any x", "namespace 1", "namespace 2", "socket"]).await;
    stage.is_empty_after(c).await;
}

async fn a_handler_taken_off_is_not_called_again(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    let listener = stage.server.on("x", move |_: Socket, (): ()| {
        seen.add("first");
        async {}
    });
    let seen = log.clone();
    stage.server.on("x", move |_: Socket, (): ()| {
        seen.add("second");
        async {}
    });
    let mut c = stage.joined().await;
    c.emit("x", json!([])).await;
    log.expect(&stage, &["first", "second"]).await;
    assert!(stage.server.off(listener));
    assert!(!stage.server.off(listener));
    c.emit("x", json!([])).await;
    log.expect(&stage, &["second"]).await;
    stage.is_empty_after(c).await;
}

async fn reserved_names_cannot_be_emitted(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert!(matches!(socket.emit(name, ()), Err(EmitError::Encode(_))), "{name}");
        assert!(stage.server.emit(name, ()).is_err(), "{name}");
    }
    socket.emit("fine", ()).unwrap();
    c.expect(r#"2["fine"]"#).await;
    stage.is_empty_after((c, socket)).await;
}

/// Not also by what its own handler sends. In simulation, where a message is one read.
#[test]
fn an_echo_wakes_the_task_of_its_client_once() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let stage = Stage::new(rt).await;
        stage.server.on("echo", |socket: Socket, (): ()| {
            socket.emit("echo", ()).unwrap();
            async {}
        });
        let mut c = stage.joined().await;
        stage.wait(SETTLED).await;
        let before = stage.polls();
        for _ in 0..10 {
            c.send(r#"2["echo"]"#).await;
            c.expect(r#"2["echo"]"#).await;
        }
        stage.wait(SETTLED).await;
        assert_eq!(stage.polls() - before, 10);
    });
}

on_every_runtime!(
    a_handler_taken_off_is_not_called_again,
    an_event_nobody_handles_is_ignored,
    an_event_with_arguments_of_another_type_is_logged_and_skipped,
    arguments_arrive_as_what_the_handler_takes,
    bytes_anywhere_in_the_arguments_are_attachments,
    half_of_a_surrogate_pair_is_a_replacement_character,
    handlers_are_called_in_the_order_of_registration_and_catch_all_first,
    reserved_names_cannot_be_emitted,
);
