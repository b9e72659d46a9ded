//! A handler that panics takes down neither its connection nor the server.
//!
//! The panics are [resumed](resume_unwind): they unwind like any other, and no hook prints them.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, DisconnectReason, Event, Namespace, Socket};
use socketio_tests::client::{Client, How};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

fn panics<T>() -> T {
    resume_unwind(Box::new("on purpose"))
}

/// `/` echoes; everything that panics is elsewhere on the same connections.
async fn stage_with_echo(rt: Arc<dyn Runtime>) -> Stage {
    let stage = Stage::new(rt).await;
    stage.server.on("echo", |_: Socket, number: u32| async move { Ack(number) });
    stage
}

async fn expect_echo(client: &mut Client) {
    client.emit_with_ack(7, "echo", json!([7])).await;
    client.expect("37[7]").await;
}

async fn soon(rt: &Arc<dyn Runtime>) {
    sleep(&**rt, Duration::from_millis(2)).await;
}

struct Explosive;

/// A future that is done at once, and cannot be dropped.
struct Mine;

impl Future for Mine {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        panics()
    }
}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panics()
    }
}

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panics()
    }
}

async fn a_panic_in_an_event_handler(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    let log = Log::default();
    stage.server.on_any(|_: Socket, event: Event| async move {
        if event.name() == "any" {
            panics()
        }
    });
    stage.server.on("called", |_: Socket, (): ()| {
        panics::<()>();
        async {}
    });
    stage.server.on("before", |_: Socket, (): ()| async { panics::<()>() });
    let rt = Arc::clone(&stage.rt);
    stage.server.on("after", move |_: Socket, (): ()| {
        let rt = Arc::clone(&rt);
        async move {
            soon(&rt).await;
            panics::<()>()
        }
    });
    stage.server.on("decoding", |_: Socket, _: Explosive| async {});
    stage.server.on("answering", |_: Socket, (): ()| async { Ack(Explosive) });
    stage.server.on("dropped", |_: Socket, (): ()| Mine);
    for name in ["any", "called", "before", "after", "decoding", "answering", "dropped"] {
        let seen = log.clone();
        stage.server.on(name, move |_: Socket, _: Option<u32>| {
            seen.add(name);
            async {}
        });
    }
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        for name in ["any", "called", "before", "after", "decoding", "answering", "dropped"] {
            c.emit_with_ack(1, name, json!([])).await;
            // The next handler of the same event is called all the same.
            log.expect(&stage, &[name]).await;
            expect_echo(&mut c).await;
        }
        stage.wait(Duration::from_millis(5)).await;
        expect_echo(&mut c).await;
        stage.is_empty_after(c).await;
    }
}

async fn a_panic_in_a_connection_handler(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    let log = Log::default();
    stage.server.on_connection(|_: Socket| {
        panics::<()>();
        async {}
    });
    stage.server.on_connection(|_: Socket| async { panics() });
    let rt = Arc::clone(&stage.rt);
    stage.server.on_connection(move |_: Socket| {
        let rt = Arc::clone(&rt);
        async move {
            soon(&rt).await;
            panics()
        }
    });
    let seen = log.clone();
    stage.server.on_connection(move |_: Socket| {
        seen.add("the last one");
        async {}
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        log.expect(&stage, &["the last one"]).await;
        stage.wait(Duration::from_millis(5)).await;
        expect_echo(&mut c).await;
        stage.is_empty_after(c).await;
    }
}

async fn a_panic_in_a_middleware_refuses(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    let names = ["/called", "/before", "/after"];
    let of = |name| -> Namespace { stage.server.of(name) };
    of(names[0]).use_middleware(|_: Socket| {
        panics::<()>();
        async { Ok(()) }
    });
    of(names[1]).use_middleware(|_: Socket| async { panics() });
    let rt = Arc::clone(&stage.rt);
    of(names[2]).use_middleware(move |_: Socket| {
        let rt = Arc::clone(&rt);
        async move {
            soon(&rt).await;
            panics()
        }
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        for name in names {
            let error = c.connect_with(name, &json!(null)).await.unwrap_err();
            assert_eq!(error, json!({ "message": "internal error" }), "{name}");
            expect_echo(&mut c).await;
        }
        stage.is_empty_in_after(&names, c).await;
    }
}

async fn a_panic_in_a_middleware_of_events_drops_the_event(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    let log = Log::default();
    let rt = Arc::clone(&stage.rt);
    stage.server.use_event_middleware(move |_: Socket, event: Event| {
        let rt = Arc::clone(&rt);
        async move {
            match event.name() {
                "before" => panics(),
                "after" => {
                    soon(&rt).await;
                    panics()
                }
                _ => Ok(()),
            }
        }
    });
    stage.server.on_error(|_: Socket, _| async { panics() });
    for name in ["before", "after"] {
        let seen = log.clone();
        stage.server.on(name, move |_: Socket, (): ()| {
            seen.add(name);
            async {}
        });
    }
    let mut c = stage.joined().await;
    c.emit("before", json!([])).await;
    c.emit("after", json!([])).await;
    stage.wait(Duration::from_millis(5)).await;
    expect_echo(&mut c).await;
    assert!(log.is_empty(), "{:?}", log.lines());
    stage.is_empty_after(c).await;
}

async fn a_panic_when_a_socket_leaves(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    let log = Log::default();
    let room = stage.server.of("/room");
    room.on_disconnecting(|_: Socket, _| {
        panics::<()>();
        async {}
    });
    room.on_disconnecting(|_: Socket, _| async { panics() });
    room.on_disconnect(|_: Socket, _| async { panics() });
    let rt = Arc::clone(&stage.rt);
    room.on_disconnect(move |_: Socket, _| {
        let rt = Arc::clone(&rt);
        async move {
            soon(&rt).await;
            panics()
        }
    });
    let seen = log.clone();
    room.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.connect("/room").await;
        c.send("1/room,").await;
        log.expect(&stage, &["client namespace disconnect"]).await;
        stage.wait(Duration::from_millis(5)).await;
        expect_echo(&mut c).await;
        // And when the connection ends with it.
        c.connect("/room").await;
        c.quit().await;
        log.expect(&stage, &["transport close"]).await;
        stage.is_empty_in_after(&["/room"], ()).await;
    }
}

async fn a_panic_where_namespaces_are_made(rt: Arc<dyn Runtime>) {
    let stage = stage_with_echo(rt).await;
    stage.server.of_dynamic(|name: String, _| async move {
        match name.as_str() {
            "/matcher" => panics(),
            _ => true,
        }
    });
    stage.server.on_new_namespace(|namespace| {
        if namespace.name() == "/made" {
            panics()
        }
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let error = c.connect_with("/matcher", &json!(null)).await.unwrap_err();
        assert_eq!(error, json!({ "message": "Invalid namespace" }));
        c.connect("/made").await;
        expect_echo(&mut c).await;
        stage.is_empty_in_after(&["/made"], c).await;
    }
}

on_every_runtime!(
    a_panic_in_a_connection_handler,
    a_panic_in_a_middleware_of_events_drops_the_event,
    a_panic_in_a_middleware_refuses,
    a_panic_in_an_event_handler,
    a_panic_when_a_socket_leaves,
    a_panic_where_namespaces_are_made,
);
