//! How a socket ends, what each side calls it, and what reconnects.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::runtime::Runtime;
use socketio_tests::io::sleep;

use crate::on_real_runtimes;
use crate::support::{WAYS, World};

async fn the_server_makes_the_socket_leave(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for (way, close) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        let id = client.id().unwrap();
        client.emit("disconnect-me", close).unwrap();
        assert_eq!(world.server.reason(id.as_str()), "server namespace disconnect");
        world.until("it is noted", || notes.has("disconnect: io server disconnect")).await;
        // It stays away, until it is told otherwise.
        sleep(&*world.rt, Duration::from_millis(300)).await;
        assert!(!client.is_active() && !notes.has("connect"), "{way:?} {:?}", notes.all());
        client.connect();
        world.soon("connected", client.connected()).await.unwrap();
        world.is_empty_after([client]).await;
    }
}

async fn the_client_leaves(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        let id = client.id().unwrap();
        client.disconnect();
        assert_eq!(world.server.reason(id.as_str()), "client namespace disconnect");
        world.until("it is noted", || notes.has("disconnect: io client disconnect")).await;
        client.connect();
        world.soon("connected", client.connected()).await.unwrap();
        assert_ne!(client.id(), Some(id));
        world.is_empty_after([client]).await;
    }
}

async fn a_dropped_client_says_goodbye(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world.connected("/quiet", |builder| builder.transports(way)).await;
        let id = client.id().unwrap();
        client.emit("message", "the last word").unwrap();
        drop(client);
        assert_eq!(world.server.reason(id.as_str()), "client namespace disconnect", "{way:?}");
        world.is_empty_after([]).await;
    }
}

async fn a_connection_that_is_lost_is_made_again(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        let id = client.id().unwrap();
        client.close_engine();
        client.emit("message", "meanwhile").unwrap();
        world.until("it is back", || notes.has("connect")).await;
        assert!(!client.is_recovered());
        assert_ne!(client.id(), Some(id));
        let notes = notes.all();
        let expected = ["disconnect: forced close", "ReconnectAttempt", "Open", "Reconnect", "connect"];
        assert!(is_subsequence(&expected, &notes), "{way:?} {notes:?}");
        world.is_empty_after([client]).await;
    }
}

async fn a_server_that_falls_silent_is_left(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("PING_INTERVAL", "200"), ("PING_TIMEOUT", "300")]);
    for way in WAYS {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports(way)).await;
        world.until("it beats", || notes.has("Ping")).await;
        world.server.freeze();
        world.until("it is noted", || notes.has("disconnect: ping timeout")).await;
        world.server.thaw();
        world.until("it is back", || notes.has("connect")).await;
        assert_eq!(client.emit_with_ack::<u8, _>("message-with-ack", 7).await.unwrap(), 7);
        world.is_empty_after([client]).await;
    }
}

/// Whether `part` is in `whole`, in that order.
pub(crate) fn is_subsequence(part: &[&str], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|expected| whole.any(|found| found == expected))
}

on_real_runtimes!(
    the_server_makes_the_socket_leave,
    the_client_leaves,
    a_dropped_client_says_goodbye,
    a_connection_that_is_lost_is_made_again,
    a_server_that_falls_silent_is_left,
);
