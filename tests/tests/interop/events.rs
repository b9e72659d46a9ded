//! Events: every kind of argument on every transport, and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketio_driver::client::Events;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Bytes, Client, Codec, Transport};
use socketio_tests::io::timeout;

use crate::on_real_runtimes;
use crate::support::{Builder, WAYS, World, args};

/// Binary at every depth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parcel {
    label: String,
    parts: Vec<Part>,
    by_name: BTreeMap<String, Vec<Bytes>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    bytes: Bytes,
    note: Option<String>,
}

fn parcel() -> Parcel {
    let part = |bytes: &'static [u8]| Part { bytes: Bytes::from_static(bytes), note: None };
    Parcel {
        label: "naïve 👋".into(),
        parts: vec![part(&[0, 255, 10]), part(&[])],
        by_name: BTreeMap::from([("deep".into(), vec![Bytes::from_static(b"x"), Bytes::from_static(b"yz")])]),
    }
}

async fn every_kind_of_argument_comes_back_as_it_was(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    talk(&world, |builder| builder).await;
}

async fn so_it_does_in_msgpack(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("PARSER", "msgpack")]);
    talk(&world, |builder| builder.parser(Codec::Msgpack)).await;
}

async fn so_it_does_in_base64(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    talk(&world, |builder| builder.force_base64(true)).await;
}

async fn talk(world: &World, options: impl Fn(Builder) -> Builder) {
    for way in WAYS {
        let client = world.client("/quiet", |builder| options(builder.transports(way)));
        let mut events = client.events();
        client.connect();
        let plain =
            (json!({ "a": [1, -2.5, null, true, "é\u{2028}\"\\"] }), "text", 9_007_199_254_740_991_u64);
        client.emit("message", &plain).unwrap();
        let back: (Value, String, u64) = world.next(&mut events, "message-back").await;
        assert_eq!((back.0, &*back.1, back.2), plain, "{way:?}");

        client.emit("message", ()).unwrap();
        world.next::<()>(&mut events, "message-back").await;

        client.emit("message", (parcel(), Bytes::from_static(b"last"))).unwrap();
        let back: (Parcel, Bytes) = world.next(&mut events, "message-back").await;
        assert_eq!(back, (parcel(), Bytes::from_static(b"last")), "{way:?}");

        client.emit("message-uncompressed", "x").unwrap();
        assert_eq!(world.next::<String>(&mut events, "message-back").await, "x", "{way:?}");
        let large = "0123456789€".repeat(20_000);
        client.emit("message", (&large, Bytes::from(vec![7; 300_000]))).unwrap();
        let back: (String, Bytes) = world.next(&mut events, "message-back").await;
        assert!(back.0 == large && back.1 == vec![7; 300_000], "{way:?}");
        // Last, since more than one may come in the end.
        volatile(world, &client, &mut events).await;
        world.is_empty_after([client]).await;
    }
}

/// A volatile answer arrives if the server can send at that moment, which it cannot before the next GET is there: it is
/// asked for until it comes.
async fn volatile(world: &World, client: &Client, events: &mut Events) {
    loop {
        client.emit("message-volatile", "now").unwrap();
        let answer = timeout(&*world.rt, Duration::from_millis(200), events.next()).await;
        if let Some(Some(received)) = answer {
            assert_eq!((received.event.name(), args::<String>(&received)), ("message-back", "now".into()));
            return;
        }
    }
}

async fn a_burst_arrives_in_order(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world.client("/quiet", |builder| builder.transports(way));
        let mut events = client.events();
        client.connect();
        client.emit("burst", (1000, 7)).unwrap();
        for i in 0..1000_u32 {
            if i % 7 == 0 {
                let (number, bytes): (u32, Bytes) = world.next(&mut events, "burst").await;
                assert_eq!((number, &*bytes), (i, &[i as u8][..]), "{way:?}");
            } else {
                assert_eq!(world.next::<u32>(&mut events, "burst").await, i, "{way:?}");
            }
        }
        world.is_empty_after([client]).await;
    }
}

/// What is emitted at once goes in as few requests as `maxPayload` allows, across the upgrade too, and in order.
async fn what_is_sent_at_once_is_cut_to_the_size_that_the_server_takes(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("MAX_HTTP_BUFFER_SIZE", "4000")]);
    for way in WAYS {
        let client = world.client("/quiet", |builder| builder.transports(way));
        let mut events = client.events();
        client.connect();
        for i in 0..200_u32 {
            client.emit("message", (i, "x".repeat(300))).unwrap();
        }
        for i in 0..200_u32 {
            let (number, _): (u32, String) = world.next(&mut events, "message-back").await;
            assert_eq!(number, i, "{way:?}");
        }
        world.is_empty_after([client]).await;
    }
}

async fn a_broadcast_reaches_the_others(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let speaker = world.connected("/quiet", |builder| builder).await;
    let websocket = world.connected("/quiet", |builder| builder.transports([Transport::Websocket])).await;
    let polling = world.connected("/quiet", |builder| builder.transports([Transport::Polling])).await;
    let rooms: Vec<String> = polling.emit_with_ack("join", "tea").await.unwrap();
    assert!(rooms.contains(&"tea".into()));
    let (mut heard, mut also_heard) = (websocket.events(), polling.events());
    let target = json!({ "from": "socket" });
    speaker.emit_with_ack::<(), _>("send-to", (target, [json!("all")])).await.unwrap();
    let target = json!({ "from": "namespace", "to": ["tea"] });
    speaker.emit_with_ack::<(), _>("send-to", (target, [json!("tea only")])).await.unwrap();
    assert_eq!(world.next::<String>(&mut heard, "news").await, "all");
    assert_eq!(world.next::<String>(&mut also_heard, "news").await, "all");
    assert_eq!(world.next::<String>(&mut also_heard, "news").await, "tea only");
    world.is_empty_after([speaker, websocket, polling]).await;
}

on_real_runtimes!(
    every_kind_of_argument_comes_back_as_it_was,
    so_it_does_in_msgpack,
    so_it_does_in_base64,
    a_burst_arrives_in_order,
    what_is_sent_at_once_is_cut_to_the_size_that_the_server_takes,
    a_broadcast_reaches_the_others,
);
