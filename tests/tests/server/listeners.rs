//! Handlers: set once, first, last, for everything, taken off; and what else an application can ask.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, BoxError, Event, Socket, SocketError};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

/// A handler that writes a line.
macro_rules! says {
    ($log:expr, $line:expr) => {{
        let log = $log.clone();
        move |_: Socket, ()| {
            log.add($line);
            async {}
        }
    }};
}

async fn a_handler_set_once_is_called_once(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    stage.server.once("x", says!(log, "first of all"));
    let own = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        socket.once("x", says!(own, "first of the socket"));
        async {}
    });
    let (mut one, mut two) = (stage.joined().await, stage.joined().await);
    stage.server.on("end", says!(log, "end"));
    let lines = ["first of all", "first of the socket", "end"];
    for (c, lines) in [(&mut one, &lines[..]), (&mut two, &lines[1..])] {
        for event in ["x", "x", "end"] {
            c.emit(event, json!([])).await;
        }
        log.expect(&stage, lines).await;
    }
    stage.is_empty_after((one, two)).await;
}

async fn handlers_are_listed_and_taken_off(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let one = socket.on("x", says!(log, "one"));
    let two = socket.on("x", says!(log, "two"));
    assert_eq!(socket.listeners("x"), [one, two]);
    assert!(socket.off(one) && !socket.off(one));
    assert_eq!(socket.listeners("x"), [two]);
    c.emit("x", json!([])).await;
    log.expect(&stage, &["two"]).await;
    socket.off_event("x");
    assert!(socket.listeners("x").is_empty());

    let any = socket.on_any(|_: Socket, _: Event| async {});
    let first = socket.prepend_any(|_: Socket, _: Event| async {});
    let out = socket.on_any_outgoing(|_, _| ());
    let first_out = socket.prepend_any_outgoing(|_, _| ());
    assert_eq!(socket.listeners_any(), [first, any]);
    assert_eq!(socket.listeners_any_outgoing(), [first_out, out]);
    for listener in [any, first, out, first_out] {
        assert!(socket.off(listener));
    }
    assert!(socket.listeners_any().is_empty() && socket.listeners_any_outgoing().is_empty());

    stage.server.on("z", says!(log, "of the namespace"));
    c.emit("z", json!([])).await;
    log.expect(&stage, &["of the namespace"]).await;
    stage.server.off_event("z");
    c.emit("z", json!([])).await;
    c.emit_with_ack(7, "x", json!([])).await;
    stage.server.on("end", says!(log, "end"));
    c.emit("end", json!([])).await;
    log.expect(&stage, &["end"]).await;
    stage.is_empty_after((c, socket)).await;
}

async fn catch_all_handlers_come_first_and_the_last_prepended_before_them(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let any = |what: &'static str| {
        let log = log.clone();
        move |_: Socket, event: Event| {
            log.add(format!("{what} {}", event.name()));
            async {}
        }
    };
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    socket.on("x", says!(log, "handler"));
    socket.on_any(any("any"));
    socket.prepend_any(any("before"));
    c.emit("x", json!([])).await;
    log.expect(&stage, &["before x", "any x", "handler"]).await;
    stage.is_empty_after((c, socket)).await;
}

async fn what_is_sent_can_be_seen(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let see = |what: &'static str| {
        let log = log.clone();
        move |_: &Socket, event: &Event| log.add(format!("{what} {}", event.name()))
    };
    stage.server.on_any_outgoing(see("namespace:"));
    stage.server.on("ask", |_: Socket, ()| async { Ack("answer") });
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    socket.on_any_outgoing(see("socket:"));
    socket.prepend_any_outgoing(see("first:"));
    socket.emit("one", 1).unwrap();
    log.expect(&stage, &["namespace: one", "first: one", "socket: one"]).await;
    stage.server.emit("all", ()).unwrap();
    log.expect(&stage, &["namespace: all", "first: all", "socket: all"]).await;
    socket.broadcast().emit("others", ()).unwrap();
    c.emit_with_ack(1, "ask", json!([])).await;
    c.expect(r#"2["one",1]"#).await;
    c.expect(r#"2["all"]"#).await;
    c.expect(r#"31["answer"]"#).await;
    assert!(log.is_empty(), "neither what is for others nor an acknowledgement: {:?}", log.lines());
    stage.is_empty_after((c, socket)).await;
}

async fn a_middleware_of_events_refuses_to_the_error_handler(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_error(move |_: Socket, error: Arc<SocketError>| {
        seen.add(error);
        async {}
    });
    let no = |what: &'static str| {
        move |_: Socket, event: Event| async move {
            if event.name() == what { Err(BoxError::from(format!("no {what}"))) } else { Ok(()) }
        }
    };
    stage.server.use_event_middleware(no("a"));
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    socket.use_middleware(no("b"));
    for event in ["a", "b", "c"] {
        socket.on(event, says!(log, "handled"));
        c.emit(event, json!([])).await;
    }
    log.expect(&stage, &["no a", "no b", "handled"]).await;
    stage.is_empty_after((c, socket)).await;
}

async fn a_socket_keeps_data(rt: Arc<dyn Runtime>) {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct User {
        name: String,
    }
    let stage = Stage::new(rt).await;
    let c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    assert_eq!(socket.data::<serde_json::Value>().unwrap(), json!({}));
    assert!(socket.data::<User>().is_err());
    socket.set_data(User { name: "alice".into() }).unwrap();
    assert_eq!(stage.server.sockets()[0].data::<User>().unwrap(), User { name: "alice".into() });
    stage.is_empty_after((c, socket)).await;
}

async fn namespaces_are_made_on_demand_by_the_first_that_matches(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_new_namespace(move |namespace| seen.add(namespace.name()));
    let early = stage.server.of_dynamic(|name: String, _| async move { name.starts_with("/a") });
    let late = stage.server.of_dynamic(|_, auth| async move {
        auth.decode::<serde_json::Value>().is_ok_and(|auth| auth["any"] == true)
    });
    stage.server.of("/always");
    log.expect(&stage, &["/always"]).await;
    let mut c = stage.websocket().await;
    c.connect("/ab").await;
    c.connect("/always").await;
    c.connect_with("/x", &json!({ "any": true })).await.unwrap();
    let refusal = c.connect_with("/y", &json!({})).await.unwrap_err();
    assert_eq!(refusal["message"], "Invalid namespace");
    log.expect(&stage, &["/ab", "/x"]).await;
    let names = |list: Vec<socketio_driver::Namespace>| -> Vec<String> {
        list.iter().map(|namespace| namespace.name().to_owned()).collect()
    };
    assert_eq!(names(early.children()), ["/ab"]);
    assert_eq!(names(late.children()), ["/x"]);
    assert_eq!(names(stage.server.namespaces()), ["/", "/ab", "/always", "/x"]);
    early.emit("to the children", 1).unwrap();
    c.expect(r#"2/ab,["to the children",1]"#).await;
    stage.is_empty_in_after(&["/ab", "/x", "/always"], c).await;
}

async fn an_operator_can_be_kept_and_used_again(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    stage.server.sockets()[0].join("room");
    let all = stage.server.everyone();
    let nobody = all.clone().except("room");
    let room = all.clone().to("room");
    for name in ["one", "two"] {
        nobody.emit("nobody", ()).unwrap();
        room.emit(name, ()).unwrap();
        c.expect(&format!(r#"2["{name}"]"#)).await;
    }
    all.emit("all", ()).unwrap();
    c.expect(r#"2["all"]"#).await;
    stage.is_empty_after(c).await;
}

on_every_runtime!(
    an_operator_can_be_kept_and_used_again,
    a_handler_set_once_is_called_once,
    handlers_are_listed_and_taken_off,
    catch_all_handlers_come_first_and_the_last_prepended_before_them,
    what_is_sent_can_be_seen,
    a_middleware_of_events_refuses_to_the_error_handler,
    a_socket_keeps_data,
    namespaces_are_made_on_demand_by_the_first_that_matches,
);
