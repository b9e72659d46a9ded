//! Events and acknowledgements, both ways, on every transport.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_driver::client::{ManagerEvent, Socket as Mine};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, AckSender, Body, Bytes, Codec, EmitError, Event, Socket};
use socketio_tests::io::{sleep, timeout};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, PATIENCE, SETTLED, Stage, never};

use crate::support::{Guest, Way, gone};

async fn events_arrive_in_order_both_ways(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on("count", |socket: Socket, (n, text): (u32, String)| async move {
            socket.emit("counted", (n + 1, text)).unwrap();
        });
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        let seen = Log::default();
        let log = seen.clone();
        guest.client.on("counted", move |_, (n, text): (u32, String)| {
            log.add(format_args!("{n} {text}"));
            async {}
        });
        // The first ones wait for the connection, the next ones are sent in the middle of an upgrade.
        for n in 0..10 {
            guest.client.emit("count", (n, "early")).unwrap();
        }
        guest.client.connect();
        guest.client.connected().await.unwrap();
        for n in 10..20 {
            guest.client.emit("count", (n, "late")).unwrap();
            sleep(&*rt, Duration::from_millis(2)).await;
        }
        let lines: Vec<String> =
            (0..20).map(|n| format!("{} {}", n + 1, if n < 10 { "early" } else { "late" })).collect();
        seen.expect(&stage, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
        gone(&stage, guest).await;
    }
}

#[derive(Deserialize, Serialize)]
struct Upload {
    name: String,
    parts: Vec<Bytes>,
}

async fn binary_data_travels_at_any_depth_with_either_parser(rt: Arc<dyn Runtime>) {
    for codec in [Codec::Text, Codec::Msgpack] {
        for way in Way::ALL {
            for base64 in [false, true] {
                let stage = Stage::with(Arc::clone(&rt), |options| options.parser(codec)).await;
                stage.server.on("up", |socket: Socket, upload: Upload| async move {
                    socket.emit("seen", (&upload.name, &upload)).unwrap();
                });
                stage.server.on("echo", |_: Socket, (a, b): (Bytes, Vec<Bytes>)| async move { Ack((b, a)) });
                let guest = Guest::new(&stage, |b| way.choose(b).parser(codec).force_base64(base64));
                let seen = Log::default();
                let log = seen.clone();
                guest.client.on("seen", move |_, (name, upload): (String, Upload)| {
                    log.add(format_args!("{name} {:?}", upload.parts));
                    async {}
                });
                guest.enter(way).await;
                let big = Bytes::from(vec![7; 100_000]);
                let (parts, whole): (Vec<Bytes>, Bytes) = guest
                    .client
                    .emit_with_ack("echo", (&big, [&b"x"[..], b""].map(Bytes::from_static).to_vec()))
                    .await
                    .unwrap();
                assert_eq!((whole, parts), (big, vec![Bytes::from_static(b"x"), Bytes::new()]));
                let parts = vec![Bytes::from_static(b"abc"); 2];
                guest.client.emit("up", Upload { name: "deep".into(), parts }).unwrap();
                seen.expect(&stage, &[r#"deep [b"abc", b"abc"]"#]).await;
                gone(&stage, guest).await;
            }
        }
    }
}

async fn a_return_value_is_the_acknowledgement(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        guest.client.on("one", |_, text: String| async move { Ack(text.len()) });
        guest.client.on("two", |_, (): ()| async { Ack(("a", 2)) });
        guest.client.on("none", |_, (): ()| async { Ack(()) });
        guest.client.on("bytes", |_, (): ()| async { Ack(Bytes::from_static(b"raw")) });
        guest.client.on("divide", |_, (a, b): (u32, u32)| async move { a.checked_div(b).ok_or("by zero") });
        guest.client.on("silent", |_, (): ()| async {});
        let clock = Arc::clone(&rt);
        guest.client.on_with_ack("later", move |_, number: u32, ack: AckSender| {
            let clock = Arc::clone(&clock);
            async move {
                sleep(&*clock, Duration::from_millis(20)).await;
                assert!(ack.is_wanted());
                ack.send((number, "done")).unwrap();
            }
        });
        guest.enter(way).await;
        let peer = stage.server.sockets().remove(0);
        assert_eq!(peer.emit_with_ack::<u32, _>("one", "héé").await.unwrap(), 5);
        assert_eq!(peer.emit_with_ack::<(String, u32), _>("two", ()).await.unwrap(), ("a".into(), 2));
        peer.emit_with_ack::<(), _>("none", ()).await.unwrap();
        assert_eq!(peer.emit_with_ack::<Bytes, _>("bytes", ()).await.unwrap(), "raw");
        assert_eq!(peer.emit_with_ack::<u32, _>("divide", (7, 2)).await.unwrap(), 3);
        assert_eq!(peer.emit_with_ack::<String, _>("divide", (7, 0)).await.unwrap(), "by zero");
        let (n, done) = peer.emit_with_ack::<(u32, String), _>("later", 4).await.unwrap();
        assert_eq!((n, &*done), (4, "done"));
        let silent = peer.timeout(SETTLED).emit_with_ack::<(), _>("silent", ()).await;
        assert!(matches!(silent, Err(AckError::TimedOut)));
        drop(peer);
        gone(&stage, guest).await;
    }
}

async fn only_the_first_answer_is_sent(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |builder| builder);
    guest.client.on("twice", |_, (): ()| async { Ack(1) });
    guest.client.on("twice", |_, (): ()| async { Ack(2) });
    let mut events = guest.client.events();
    guest.enter(Way::Upgrade).await;
    let peer = stage.server.sockets().remove(0);
    let before = peer.emit_with_ack::<u32, _>("twice", ());
    let received = timeout(&*rt, PATIENCE, events.next()).await.unwrap().unwrap();
    received.ack.send(3).unwrap();
    assert_eq!(before.await.unwrap(), 1);
    // A second acknowledgement of the id would be one of whatever came next with it.
    assert_eq!(peer.emit_with_ack::<u32, _>("twice", ()).await.unwrap(), 1);
    drop((peer, events));
    gone(&stage, guest).await;
}

async fn an_awaited_acknowledgement_is_what_the_server_answers(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on("sum", |_: Socket, (a, b): (u32, u32)| async move { Ack(a + b) });
        stage.server.on("fails", |_: Socket, (): ()| async { Err::<(), _>("no") });
        stage.server.on("hangs", |_: Socket, (): ()| never());
        let guest = Guest::connected(&stage, way).await;
        let (client, short) = (&guest.client, Duration::from_millis(40));
        assert_eq!(client.emit_with_ack::<u32, _>("sum", (1, 2)).await.unwrap(), 3);
        assert_eq!(client.emit_with_ack::<String, _>("fails", ()).await.unwrap(), "no");
        let start = rt.now();
        let late = client.timeout(short).emit_with_ack::<u32, _>("hangs", ()).await;
        assert!(matches!(late, Err(AckError::TimedOut)), "{late:?}");
        assert!(rt.now().saturating_since(start) >= short);
        let mistyped = client.emit_with_ack::<String, _>("sum", (1, 2)).await;
        assert!(matches!(mistyped, Err(AckError::Decode(_))), "{mistyped:?}");
        // Many at once, each its own.
        let answers: Vec<_> = (0..100).map(|n| client.emit_with_ack::<u32, _>("sum", (n, 1))).collect();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap() as usize, n + 1);
        }
        // One that is given up leaves nothing behind.
        drop(client.emit_with_ack::<u32, _>("hangs", ()));
        let cut = client.emit_with_ack::<u32, _>("hangs", ());
        client.disconnect();
        assert!(matches!(cut.await, Err(AckError::Disconnected)));
        // The server's handlers that hang end with it, not with the client.
        guest.leave().await;
    }
}

async fn what_cannot_be_sent_is_refused(rt: Arc<dyn Runtime>) {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let stage = Stage::new(rt).await;
    let guest = Guest::connected(&stage, Way::Upgrade).await;
    for name in ["connect", "connect_error", "disconnect"] {
        assert!(matches!(guest.client.emit(name, ()), Err(EmitError::Encode(_))), "{name}");
    }
    assert!(matches!(guest.client.emit("x", Broken), Err(EmitError::Encode(_))));
    let answer = guest.client.emit_with_ack::<(), _>("x", Broken).await;
    assert!(matches!(answer, Err(AckError::Emit(EmitError::Encode(_)))));
    guest.client.send("text").unwrap();
    assert!(guest.client.is_connected());
    gone(&stage, guest).await;
}

/// A `Serialize` is the application's code: it may do what it likes, even emit.
async fn serializing_may_emit(rt: Arc<dyn Runtime>) {
    struct Nested(Mine);
    impl Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.emit("inner", ()).unwrap();
            serializer.serialize_str("outer")
        }
    }
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_any(move |_: Socket, event: Event| {
        seen.add(event.name());
        async {}
    });
    let guest = Guest::connected(&stage, Way::Websocket).await;
    guest.client.emit("outer", Nested(guest.client.clone())).unwrap();
    log.expect(&stage, &["inner", "outer"]).await;
    drop(guest.client.emit_with_ack::<(), _>("outer", Nested(guest.client.clone())));
    log.expect(&stage, &["inner", "outer"]).await;
    gone(&stage, guest).await;
}

async fn handlers_come_and_go_as_they_are_told(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let guest = Guest::new(&stage, |builder| builder);
    let (client, log) = (&guest.client, Log::default());
    let add = |line: &'static str| {
        let log = log.clone();
        move |_: Mine, (): ()| {
            log.add(line);
            async {}
        }
    };
    let watch = |line: &'static str| {
        let log = log.clone();
        move |_: Mine, event: Event| {
            log.add(format_args!("{line} {}", event.name()));
            async {}
        }
    };
    let first = client.on("e", add("first"));
    client.once("e", add("once"));
    let third = client.on("e", add("third"));
    let any = client.on_any(watch("any"));
    let before = client.prepend_any(watch("before"));
    assert_eq!(client.listeners("e").len(), 3);
    assert_eq!(client.listeners_any(), [before, any]);
    guest.enter(Way::Upgrade).await;
    let peer = stage.server.sockets().remove(0);
    peer.emit("e", ()).unwrap();
    log.expect(&stage, &["before e", "any e", "first", "once", "third"]).await;
    assert_eq!(client.listeners("e"), [first, third]);
    assert!(client.off(first) && client.off(any) && !client.off(first));
    peer.emit("e", ()).unwrap();
    log.expect(&stage, &["before e", "third"]).await;
    client.off_event("e");
    assert!(client.listeners("e").is_empty());
    peer.emit("e", ()).unwrap();
    log.expect(&stage, &["before e"]).await;
    // What does not fit is dropped, and the next one is not.
    client.on("n", {
        let log = log.clone();
        move |_, n: u32| {
            log.add(n);
            async {}
        }
    });
    client.off(before);
    peer.emit("n", "text").unwrap();
    peer.emit("n", 5).unwrap();
    log.expect(&stage, &["5"]).await;
    drop(peer);
    gone(&stage, guest).await;
}

async fn what_is_emitted_can_be_watched(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let guest = Guest::new(&stage, |builder| builder);
    let log = Log::default();
    let watch = |line: &'static str| {
        let log = log.clone();
        move |_: &Mine, event: &Event| {
            log.add(format_args!(
                "{line} {} {}",
                event.name(),
                event.args().decode::<serde_json::Value>().unwrap()
            ));
        }
    };
    let last = guest.client.on_any_outgoing(watch("last"));
    let first = guest.client.prepend_any_outgoing(watch("first"));
    assert_eq!(guest.client.listeners_any_outgoing(), [first, last]);
    guest.client.on_any_outgoing(|_, _| panic!("in the middle of an emit"));
    guest.client.emit("a", json!({ "x": 1 })).unwrap();
    drop(guest.client.emit_with_ack::<(), _>("b", 2));
    log.expect(&stage, &["first a {\"x\":1}", "last a {\"x\":1}", "first b 2", "last b 2"]).await;
    guest.client.off(first);
    guest.client.off(last);
    guest.client.emit("c", ()).unwrap();
    assert!(log.is_empty());
    gone(&stage, guest).await;
}

async fn handlers_start_in_order_and_run_to_their_first_await(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        let log = Log::default();
        let (seen, clock) = (log.clone(), Arc::clone(&rt));
        guest.client.on("work", move |_, millis: u64| {
            let (seen, clock) = (seen.clone(), Arc::clone(&clock));
            seen.add(format_args!("begin {millis}"));
            async move {
                sleep(&*clock, Duration::from_millis(millis)).await;
                seen.add(format_args!("end {millis}"));
            }
        });
        guest.enter(way).await;
        let peer = stage.server.sockets().remove(0);
        for millis in [60, 20, 40] {
            peer.emit("work", millis).unwrap();
        }
        stage.until("all begin", || log.len() >= 3).await;
        stage.until("all end", || log.len() == 6).await;
        assert_eq!(log.lines()[..3], ["begin 60", "begin 20", "begin 40"]);
        drop(peer);
        gone(&stage, guest).await;
    }
}

/// An acknowledgement that a handler waits for does not stand behind that handler.
async fn a_handler_may_wait_for_an_acknowledgement(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on("half", |_: Socket, n: u32| async move { Ack(n / 2) });
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        guest.client.on("ask", |socket: Mine, n: u32| async move {
            Ack(socket.emit_with_ack::<u32, _>("half", n).await.unwrap())
        });
        guest.enter(way).await;
        let peer = stage.server.sockets().remove(0);
        assert_eq!(peer.emit_with_ack::<u32, _>("ask", 8).await.unwrap(), 4);
        drop(peer);
        gone(&stage, guest).await;
    }
}

/// As the manager's `packet` of the reference: everything that arrives, before what comes of it.
async fn every_packet_can_be_seen_by_who_asks_for_it(rt: Arc<dyn Runtime>) {
    for (way, reports) in Way::ALL.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on("ask", |socket: Socket, n: u32| async move {
            socket.emit("binary", Bytes::from_static(b"x")).unwrap();
            Ack(n)
        });
        let guest = Guest::new(&stage, |builder| way.choose(builder).report_packets(reports));
        let log = Log::default();
        let seen = log.clone();
        guest.client.on_manager(move |event| {
            if let ManagerEvent::Packet(packet) = event {
                let what = match &packet.body {
                    Body::Connect(_) => "connect".to_owned(),
                    Body::Event(event) => {
                        format!("event {} {}", event.name(), event.args().attachments().len())
                    }
                    Body::Ack { id, args } => format!("ack {:?} {:?}", id.map(|id| id.0), args.raw()),
                    Body::ConnectError(_) => "connect_error".to_owned(),
                    body => format!("{body:?}"),
                };
                seen.add(format_args!("{} {what}", packet.nsp));
            }
            async {}
        });
        let handled = log.clone();
        guest.client.on("binary", move |_: Mine, _: Bytes| {
            handled.add("handled");
            async {}
        });
        let nowhere = guest.client.of("/nowhere");
        guest.enter(way).await;
        guest.client.emit_with_ack::<u32, _>("ask", 7).await.unwrap();
        nowhere.connect();
        nowhere.connected().await.unwrap_err();
        stage.server.sockets()[0].disconnect();
        guest.until("it left", || !guest.client.is_connected()).await;
        let expected: &[&str] = match reports {
            true => &[
                "/ connect",
                "/ event binary 1",
                "handled",
                "/ ack Some(0) Json(\"7\")",
                "/nowhere connect_error",
                "/ Disconnect",
            ],
            false => &["handled"],
        };
        log.expect(&stage, expected).await;
        gone(&stage, guest).await;
    }
}

on_every_runtime!(
    every_packet_can_be_seen_by_who_asks_for_it,
    a_handler_may_wait_for_an_acknowledgement,
    a_return_value_is_the_acknowledgement,
    an_awaited_acknowledgement_is_what_the_server_answers,
    binary_data_travels_at_any_depth_with_either_parser,
    events_arrive_in_order_both_ways,
    handlers_come_and_go_as_they_are_told,
    handlers_start_in_order_and_run_to_their_first_await,
    only_the_first_answer_is_sent,
    serializing_may_emit,
    what_cannot_be_sent_is_refused,
    what_is_emitted_can_be_watched,
);
