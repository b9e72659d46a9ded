//! Namespaces on one connection, credentials, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use socketio_driver::client::{ConnectError, NotConnected, Refusal};
use socketio_driver::runtime::Runtime;

use crate::on_real_runtimes;
use crate::support::{WAYS, World, follow};

async fn namespaces_share_a_connection(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world.client("/", |builder| builder.transports(way));
        let sockets = ["/custom", "/quiet", "/dynamic-7"].map(|name| client.of(name));
        for socket in [&*client].into_iter().chain(&sockets) {
            socket.connect();
            world.soon("connected", socket.connected()).await.unwrap();
        }
        let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id().unwrap()).collect();
        ids.extend(client.id());
        ids.dedup();
        assert_eq!(ids.len(), 4);
        assert_eq!(world.server.stats()[..2], [1, 4], "{way:?}");
        for (i, socket) in sockets.iter().enumerate() {
            let answer: (usize, String) =
                socket.emit_with_ack("message-with-ack", (i, socket.namespace())).await.unwrap();
            assert_eq!(answer, (i, socket.namespace().to_owned()));
        }
        let id = sockets[0].id().unwrap();
        sockets[0].disconnect();
        assert_eq!(world.server.reason(id.as_str()), "client namespace disconnect");
        assert!(!sockets[0].is_connected() && sockets[1].is_connected());
        assert_eq!(sockets[1].emit_with_ack::<u8, _>("message-with-ack", 1).await.unwrap(), 1);
        world.is_empty_after([client]).await;
    }
}

async fn credentials_arrive(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let given = json!({ "token": "t", "deep": { "é": [1, null] } });
    let client = world.client("/", |builder| builder.auth(given.clone()));
    let mut events = client.events();
    client.connect();
    assert_eq!(world.next::<Value>(&mut events, "auth").await, given);
    world.is_empty_after([client]).await;
}

async fn credentials_are_asked_for_again_with_each_connection(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let asked = AtomicU32::new(0);
    let client = world.client("/", |builder| {
        builder.auth_with(move || {
            let token = asked.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, std::io::Error>(json!({ "token": token })) }
        })
    });
    let mut events = client.events();
    client.connect();
    assert_eq!(world.next::<Value>(&mut events, "auth").await, json!({ "token": 0 }));
    client.close_engine();
    assert_eq!(world.next::<Value>(&mut events, "auth").await, json!({ "token": 1 }));
    world.is_empty_after([client]).await;
}

async fn a_refusal_says_why_and_is_final_until_asked_again(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world.client("/auth", |builder| builder.transports(way));
        let notes = follow(&client);
        client.connect();
        let refusal = refused(world.soon("an answer", client.connected()).await);
        assert_eq!(refusal.message, "not authorized");
        assert_eq!(refusal.data(), Ok(Some(json!({ "code": 401, "hint": "bring a token" }))));
        assert!(!client.is_active(), "{way:?}");

        client.set_auth(json!({ "token": "plain" }));
        client.connect();
        let refusal = refused(world.soon("an answer", client.connected()).await);
        assert_eq!((&*refusal.message, refusal.data::<Value>()), ("plain refusal", Ok(None)));

        client.set_auth(json!({ "token": "secret" }));
        client.connect();
        world.soon("connected", client.connected()).await.unwrap();
        let who: Value = client.emit_with_ack("whoami", ()).await.unwrap();
        assert_eq!(who["data"], json!({ "user": "alice" }));
        let refusals = ["connect_error: not authorized", "connect_error: plain refusal", "connect"];
        world.until("it is noted", || refusals.iter().all(|note| notes.has(note))).await;
        world.is_empty_after([client]).await;
    }
}

async fn a_namespace_that_does_not_exist_is_refused(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let client = world.client("/nowhere", |builder| builder);
    client.connect();
    let refusal = refused(world.soon("an answer", client.connected()).await);
    // The reference's words, and those of python-socketio.
    assert!(["Invalid namespace", "Unable to connect"].contains(&&*refusal.message), "{refusal}");
    world.is_empty_after([client]).await;
}

async fn what_comes_before_the_answer_to_connect_is_kept(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let client = world.client("/early", |builder| builder);
    let mut events = client.events();
    client.connect();
    assert_eq!(world.next::<String>(&mut events, "early").await, "before CONNECT");
    assert!(client.is_connected());
    world.is_empty_after([client]).await;
}

async fn a_handshake_carries_headers_and_query(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for way in WAYS {
        let client = world
            .connected("/quiet?from=url", |builder| {
                builder.transports(way).extra_header("X-Mine", "yes").query("a", "b & c")
            })
            .await;
        let who: Value = client.emit_with_ack("whoami", ()).await.unwrap();
        assert_eq!(who["id"], client.id().unwrap().as_str());
        assert_eq!(who["handshake"]["headers"]["x-mine"], "yes", "{way:?}");
        assert_eq!(who["handshake"]["query"]["a"], "b & c", "{way:?}");
        world.is_empty_after([client]).await;
    }
}

fn refused(outcome: Result<(), NotConnected>) -> Refusal {
    match outcome {
        Err(NotConnected::Failed(ConnectError::Refused(refusal))) => refusal,
        outcome => panic!("{outcome:?}"),
    }
}

on_real_runtimes!(
    namespaces_share_a_connection,
    credentials_arrive,
    credentials_are_asked_for_again_with_each_connection,
    a_refusal_says_why_and_is_final_until_asked_again,
    a_namespace_that_does_not_exist_is_refused,
    what_comes_before_the_answer_to_connect_is_kept,
    a_handshake_carries_headers_and_query,
);
