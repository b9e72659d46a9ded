//! Connection state recovery: nothing is missed, or the client is told that something was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use socketio_driver::Bytes;
use socketio_driver::runtime::Runtime;

use crate::on_real_runtimes;
use crate::support::{WAYS, World};

async fn what_was_missed_comes_in_order(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("RECOVERY", "60000")]);
    for way in WAYS {
        let teller = world.connected("/quiet", |builder| builder).await;
        let (client, notes) = world
            .followed("/quiet", |builder| {
                // Time for the other one to say something.
                let delay = Duration::from_millis(600);
                builder
                    .transports(way)
                    .reconnection_delay(delay)
                    .reconnection_delay_max(delay)
                    .randomization_factor(0.0)
            })
            .await;
        let _: Vec<String> = client.emit_with_ack("join", "tea").await.unwrap();
        client.emit_with_ack::<(), _>("set-data", json!({ "name": "Ada" })).await.unwrap();
        let id = client.id().unwrap();
        let mut events = client.events();
        let tell = async |n: u32| {
            let target = json!({ "from": "namespace", "to": ["tea"] });
            let args = (n, Bytes::from(vec![n as u8]));
            teller.emit_with_ack::<(), _>("send-to", (target, args)).await.unwrap();
        };
        tell(0).await;
        assert_eq!(world.next::<(u32, Bytes)>(&mut events, "news").await.0, 0);

        client.close_engine();
        // The server must know before it keeps anything.
        let reason = world.server.reason(id.as_str());
        assert!(["transport close", "transport error"].contains(&&*reason), "{reason}");
        for n in 1..=20 {
            tell(n).await;
        }
        world.until("it is back", || notes.has("connect")).await;
        assert!(client.is_recovered(), "{way:?}");
        assert_eq!(client.id(), Some(id));
        for n in 1..=20 {
            let (number, bytes): (u32, Bytes) = world.next(&mut events, "news").await;
            assert_eq!((number, &*bytes), (n, &[n as u8][..]), "{way:?}");
        }
        tell(21).await;
        assert_eq!(world.next::<(u32, Bytes)>(&mut events, "news").await.0, 21);
        let who: Value = client.emit_with_ack("whoami", ()).await.unwrap();
        assert_eq!((&who["recovered"], &who["data"]), (&json!(true), &json!({ "name": "Ada" })));
        world.is_empty_after([teller, client]).await;
    }
}

async fn a_server_that_has_forgotten_says_so(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("RECOVERY", "60000")]);
    let (client, notes) = world.followed("/quiet", |builder| builder).await;
    let id = client.id().unwrap();
    world.server.kill();
    world.server.start_again();
    world.until("it is back", || notes.has("connect")).await;
    assert!(!client.is_recovered());
    assert_ne!(client.id(), Some(id));
    world.is_empty_after([client]).await;
}

on_real_runtimes!(what_was_missed_comes_in_order, a_server_that_has_forgotten_says_so);
