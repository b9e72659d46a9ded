//! Acknowledgements, in both directions.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, AckSender, Bytes, Codec};

use crate::on_real_runtimes;
use crate::support::{Builder, WAYS, World};

async fn the_server_answers(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    server_answers(&world, |builder| builder).await;
}

async fn the_server_answers_in_msgpack(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("PARSER", "msgpack")]);
    server_answers(&world, |builder| builder.parser(Codec::Msgpack)).await;
}

async fn server_answers(world: &World, options: impl Fn(Builder) -> Builder) {
    for way in WAYS {
        let client = world.connected("/quiet", |builder| options(builder.transports(way))).await;
        let asked = (1, "two", Bytes::from_static(&[3, 0]));
        let (a, b, c): (u8, String, Bytes) = client.emit_with_ack("message-with-ack", &asked).await.unwrap();
        assert_eq!((a, &*b, c), asked, "{way:?}");
        client.emit_with_ack::<(), _>("message-with-ack", ()).await.unwrap();
        // Many at a time, each with its own answer.
        let asked: Vec<_> = (0..50).map(|i| client.emit_with_ack::<u32, _>("message-with-ack", i)).collect();
        for (i, answer) in asked.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), i as u32, "{way:?}");
        }
        world.is_empty_after([client]).await;
    }
}

async fn the_client_answers(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    client_answers(&world, |builder| builder).await;
}

async fn the_client_answers_in_msgpack(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("PARSER", "msgpack")]);
    client_answers(&world, |builder| builder.parser(Codec::Msgpack)).await;
}

async fn client_answers(world: &World, options: impl Fn(Builder) -> Builder) {
    for way in WAYS {
        let client = world.client("/quiet", |builder| options(builder.transports(way)));
        let mut events = client.events();
        client.on("question", |_, (n, bytes): (u32, Bytes)| async move { Ack((n + 1, bytes)) });
        client.connect();
        for ask in ["ask", "ask-promise"] {
            client.emit(ask, (5000, 41, Bytes::from_static(b"bin"))).unwrap();
            world.next::<(u32, Bytes)>(&mut events, "question").await;
            let (error, answer) = match ask {
                "ask" => {
                    let all: (Option<String>, u32, Bytes) = world.next(&mut events, "answered").await;
                    assert_eq!(&*all.2, b"bin", "{way:?}");
                    (all.0, all.1)
                }
                _ => world.next(&mut events, "answered").await,
            };
            assert_eq!((error, answer), (None, 42), "{way:?}");
        }
        world.is_empty_after([client]).await;
    }
}

async fn an_answer_may_come_later(rt: Arc<dyn Runtime>) {
    let world = World::new(rt.clone());
    let client = world.client("/quiet", |builder| builder);
    let mut events = client.events();
    client.on_with_ack("question", move |_, (): (), ack: AckSender| {
        let rt = rt.clone();
        async move {
            socketio_tests::io::sleep(&*rt, Duration::from_millis(50)).await;
            ack.send("at last").unwrap();
        }
    });
    client.connect();
    client.emit("ask", 5000).unwrap();
    world.next::<()>(&mut events, "question").await;
    let answered: (Option<String>, String) = world.next(&mut events, "answered").await;
    assert_eq!(answered, (None, "at last".into()));
    world.is_empty_after([client]).await;
}

async fn whoever_is_not_answered_is_told(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let client = world.client("/quiet", |builder| builder);
    let mut events = client.events();
    client.connect();
    // The server waits for nothing.
    client.emit("ask", (50, "anybody?")).unwrap();
    world.next::<String>(&mut events, "question").await;
    let answered: (String,) = world.next(&mut events, "answered").await;
    assert_eq!(answered.0, "operation has timed out");
    // We do.
    let asked = client.timeout(Duration::from_millis(50)).emit_with_ack::<(), _>("nobody-handles-this", ());
    assert!(matches!(world.soon("a timeout", asked).await, Err(AckError::TimedOut)));
    let asked = client.emit_with_ack::<(), _>("nobody-handles-this", ());
    client.disconnect();
    assert!(matches!(world.soon("the end", asked).await, Err(AckError::Disconnected)));
    world.is_empty_after([client]).await;
}

on_real_runtimes!(
    the_server_answers,
    the_server_answers_in_msgpack,
    the_client_answers,
    the_client_answers_in_msgpack,
    an_answer_may_come_later,
    whoever_is_not_answered_is_told,
);
