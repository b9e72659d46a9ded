//! Transports: the upgrade, what happens when one is missing, heartbeats, sizes, cookies.

use std::sync::Arc;

use serde_json::Value;
use socketio_driver::client::{ConnectError, NotConnected};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Bytes, PerMessageDeflate, Transport, WindowBits};
use socketio_tests::tap::{Both, Tap};

use crate::on_real_runtimes;
use crate::support::{Builder, World, follow};

const BOTH: [Transport; 2] = [Transport::Polling, Transport::Websocket];

async fn a_client_moves_to_a_websocket(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    let client = world.client("/quiet", |builder| builder.transports(BOTH));
    let notes = follow(&client);
    client.connect();
    world.until("it moves", || client.transport() == Some(Transport::Websocket)).await;
    let who: Value = client.emit_with_ack("whoami", ()).await.unwrap();
    assert_eq!(who["transport"], "websocket");
    assert!(notes.has("Upgrade"), "{:?}", notes.all());
    world.is_empty_after([client]).await;
}

/// What is said while it moves arrives once, and in order, both ways.
async fn nothing_is_lost_on_the_move(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for round in 0..10 {
        let client = world.client("/quiet", |builder| builder.transports(BOTH));
        let mut events = client.events();
        client.connect();
        let mut sent = 0;
        while client.transport() != Some(Transport::Websocket) || sent < 200 {
            client.emit("message", sent).unwrap();
            sent += 1;
            if sent % 20 == 0 {
                socketio_tests::io::sleep(&*world.rt, std::time::Duration::from_millis(1)).await;
            }
        }
        for n in 0..sent {
            assert_eq!(world.next::<u32>(&mut events, "message-back").await, n, "round {round}");
        }
        world.is_empty_after([client]).await;
    }
}

async fn a_server_may_not_want_it_to_move(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("ALLOW_UPGRADES", "false"), ("PING_INTERVAL", "50")]);
    let client = world.client("/quiet", |builder| builder.transports(BOTH));
    let notes = follow(&client);
    client.connect();
    let pings = || notes.all().iter().filter(|note| *note == "Ping").count();
    world.until("it beats", || pings() >= 5).await;
    assert_eq!(client.transport(), Some(Transport::Polling));
    assert!(client.is_connected(), "{:?}", notes.all());
    world.is_empty_after([client]).await;
}

async fn a_transport_that_is_missing_is_an_error_or_skipped(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("TRANSPORTS", "websocket")]);
    let client = world.client("/quiet", |builder| builder.transports(BOTH));
    client.connect();
    let failed = world.soon("an error", client.connected()).await.unwrap_err();
    assert!(matches!(failed, NotConnected::Failed(ConnectError::Transport(_))), "{failed:?}");
    world.is_empty_after([client]).await;

    let client = world.connected("/quiet", |builder| builder.transports(BOTH).try_all_transports(true)).await;
    assert_eq!(client.transport(), Some(Transport::Websocket));
    world.is_empty_after([client]).await;
}

async fn what_is_too_large_for_the_server_costs_the_connection(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("MAX_HTTP_BUFFER_SIZE", "5000")]);
    for transport in BOTH {
        let (client, notes) = world.followed("/quiet", |builder| builder.transports([transport])).await;
        client.emit("message", "x".repeat(10_000)).unwrap();
        world.until("it is back", || notes.has("connect")).await;
        let all = notes.all();
        assert!(all.iter().any(|note| note.starts_with("disconnect: transport")), "{transport:?} {all:?}");
        assert_eq!(client.emit_with_ack::<u8, _>("message-with-ack", 1).await.unwrap(), 1);
        world.is_empty_after([client]).await;
    }
}

/// On the wire, both ways, with windows that are kept and without, large and small.
async fn messages_are_compressed_where_both_sides_want_that(rt: Arc<dyn Runtime>) {
    let kept = PerMessageDeflate {
        threshold: 1,
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..PerMessageDeflate::default()
    };
    let bounded = PerMessageDeflate { threshold: 1, ..PerMessageDeflate::default() };
    let narrow = PerMessageDeflate {
        server_max_window_bits: Some(WindowBits::Nine),
        client_max_window_bits: Some(WindowBits::Ten),
        ..kept
    };
    let world = World::with(rt, &[("PER_MESSAGE_DEFLATE", r#"{"threshold":1}"#)]);
    for (wanted, compresses) in
        [(Some(kept), true), (Some(bounded), true), (Some(narrow), true), (None, false)]
    {
        let tap = Tap::new(&world.rt, ([127, 0, 0, 1], world.server.port()).into()).await;
        let builder = Builder::new(format!("http://{}/quiet", tap.at));
        let builder = builder.transports([Transport::Websocket]).per_message_deflate(wanted);
        let client = builder.build_on(world.rt.clone()).unwrap();
        client.connect();
        world.soon("connected", client.connected()).await.unwrap();
        tap.take();
        let text: String = (0..10_000_u32).map(|n| format!("{}-", n * n % 9973)).collect();
        let large = (text.clone(), Bytes::from(text), Bytes::from(vec![0; 100_000]));
        let echo: (String, Bytes, Bytes) = client.emit_with_ack("message-with-ack", &large).await.unwrap();
        assert_eq!(echo, large);
        let Both { up, down } = tap.take();
        let expected = if compresses { (3, 0) } else { (0, 3) };
        assert_eq!([up, down].map(|way| (way.compressed, way.plain)), [expected; 2], "{wanted:?}");
        assert_eq!(up.largest < 40_000 && down.largest < 40_000, compresses, "{up:?} {down:?}");
        for n in 0..200 {
            let small = (n, "words that come again, words that come again".to_owned());
            let echo: (u32, String) = client.emit_with_ack("message-with-ack", &small).await.unwrap();
            assert_eq!(echo, small);
        }
        let Both { up, down } = tap.take();
        assert_eq!((up.compressed > 0, down.compressed > 0), (compresses, compresses), "{wanted:?}");
        world.is_empty_after([client]).await;
    }
}

async fn cookies_are_kept_when_asked_to(rt: Arc<dyn Runtime>) {
    let world = World::with(rt, &[("COOKIE", r#"{"name":"node","path":"/"}"#)]);
    for keep in [true, false] {
        let client = world
            .connected("/quiet", |builder| builder.transports([Transport::Polling]).with_credentials(keep))
            .await;
        // The handshake had none; what the next connection has to show is in its own.
        client.close_engine();
        world.until("it is gone", || !client.is_connected()).await;
        world.until("it is back", || client.is_connected()).await;
        let who: Value = client.emit_with_ack("whoami", ()).await.unwrap();
        let cookie = who["handshake"]["headers"]["cookie"].as_str().unwrap_or_default();
        assert_eq!(cookie.starts_with("node="), keep, "{who}");
        world.is_empty_after([client]).await;
    }
}

async fn a_path_where_no_server_is_says_so(rt: Arc<dyn Runtime>) {
    let world = World::new(rt);
    for transport in BOTH {
        let client = world.client("/quiet", |builder| builder.path("/elsewhere").transports([transport]));
        let notes = follow(&client);
        client.connect();
        let failed = world.soon("an error", client.connected()).await.unwrap_err();
        assert!(failed.to_string().contains("404") || failed.to_string().contains("error"), "{failed}");
        // It goes on trying.
        world.until("it tries again", || notes.has("ReconnectError")).await;
        world.is_empty_after([client]).await;
    }
}

on_real_runtimes!(
    a_client_moves_to_a_websocket,
    nothing_is_lost_on_the_move,
    a_server_may_not_want_it_to_move,
    a_transport_that_is_missing_is_an_error_or_skipped,
    what_is_too_large_for_the_server_costs_the_connection,
    messages_are_compressed_where_both_sides_want_that,
    cookies_are_kept_when_asked_to,
    a_path_where_no_server_is_says_so,
);
