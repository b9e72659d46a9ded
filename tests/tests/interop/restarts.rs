//! A server that goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::runtime::Runtime;

use crate::endings::is_subsequence;
use crate::on_real_runtimes;
use crate::support::{WAYS, World};

async fn what_was_emitted_meanwhile_arrives(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        let mut events = client.events();
        world.server.kill();
        world.until("it notices", || !client.is_connected()).await;
        for n in 0..100_u32 {
            client.emit("message", n).unwrap();
        }
        client.volatile().emit("message", "of the moment").unwrap();
        world.until("it has tried", || notes.has("ReconnectError")).await;
        world.server.start_again();
        for n in 0..100_u32 {
            assert_eq!(world.next::<u32>(&mut events, "message-back").await, n, "{way:?}");
        }
        client.emit("message", 100).unwrap();
        assert_eq!(world.next::<u32>(&mut events, "message-back").await, 100, "{way:?}");
        let notes = notes.all();
        let expected = ["ReconnectAttempt", "ReconnectError", "Open", "Reconnect", "connect"];
        assert!(is_subsequence(&expected, &notes), "{way:?} {notes:?}");
        world.is_empty_after([client]).await;
    }
}

async fn a_server_that_closes_is_left_and_waited_for(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        let id = client.id().unwrap();
        world.server.close();
        assert_eq!(world.server.reason(id.as_str()), "server shutting down", "{way:?}");
        world
            .until("it notices", || notes.all().iter().any(|note| note.starts_with("disconnect: transport")))
            .await;
        world.server.kill();
        world.server.start_again();
        world.until("it is back", || notes.has("connect")).await;
        world.is_empty_after([client]).await;
    }
}

/// With `retries` the acknowledged is not sent again, and what was not comes in order, across a restart.
async fn retries_outlive_a_restart(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world
            .connected("/quiet", |builder| builder.transports(way).retries(50, Duration::from_millis(500)))
            .await;
        let before: Vec<_> = (0..5).map(|n| client.emit_with_ack::<u32, _>("message-with-ack", n)).collect();
        for (n, answer) in before.into_iter().enumerate() {
            assert_eq!(world.soon("an answer", answer).await.unwrap(), n as u32, "{way:?}");
        }
        world.server.kill();
        let during: Vec<_> = (5..10).map(|n| client.emit_with_ack::<u32, _>("message-with-ack", n)).collect();
        world.server.start_again();
        for (n, answer) in (5..).zip(during) {
            assert_eq!(world.soon("an answer", answer).await.unwrap(), n, "{way:?}");
        }
        world.is_empty_after([client]).await;
    }
}

async fn attempts_may_be_used_up(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let (client, notes) = world.followed("/quiet", |builder| builder.reconnection_attempts(2)).await;
    world.server.kill();
    world.until("it gives up", || notes.has("ReconnectFailed")).await;
    let tries = notes.all().iter().filter(|note| *note == "ReconnectAttempt").count();
    assert_eq!(tries, 2, "{:?}", notes.all());
    world.server.start_again();
    client.connect();
    world.until("it is back", || client.is_connected()).await;
    world.is_empty_after([client]).await;
}

on_real_runtimes!(
    what_was_emitted_meanwhile_arrives,
    a_server_that_closes_is_left_and_waited_for,
    retries_outlive_a_restart,
    attempts_may_be_used_up,
);
