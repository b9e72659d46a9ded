//! How a client comes in: namespaces, credentials, refusals, and what stands in its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use socketio_driver::client::{ConnectError, NotConnected, Status, TransportError, TransportOptions};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, ClientBuilder, ConnectError as Refused, SetupError, Socket, Transport};
use socketio_tests::io::timeout;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, PATIENCE, SETTLED, Stage};
use socketio_tokio::Tokio;

use crate::support::{Guest, NOBODY, Way, gone};

async fn namespaces_share_one_connection_until_the_last_one_leaves(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        for name in ["/", "/a", "/b"] {
            stage.server.of(name).on("where", move |_: Socket, (): ()| async move { Ack(name) });
        }
        let guest = Guest::connected(&stage, way).await;
        let (a, b) = (guest.client.of("a"), guest.client.of("/b"));
        assert_eq!((a.namespace(), a.is_active(), a.id()), ("/a", false, None));
        assert_eq!(guest.client.of("/a"), a);
        a.connect();
        b.connect();
        a.connected().await.unwrap();
        b.connected().await.unwrap();
        for (socket, name) in [(&*guest.client, "/"), (&a, "/a"), (&b, "/b")] {
            assert_eq!(socket.emit_with_ack::<String, _>("where", ()).await.unwrap(), name);
        }
        assert_eq!(stage.server.clients_count(), 1, "one connection");
        assert_ne!(a.id(), b.id());
        assert_eq!(stage.server.of("/a").sockets()[0].id(), &a.id().unwrap());
        guest.client.disconnect();
        guest.expect(&["connect", "disconnect io client disconnect"]).await;
        assert_eq!(a.emit_with_ack::<String, _>("where", ()).await.unwrap(), "/a");
        a.disconnect();
        b.disconnect();
        guest.until("the connection is closed", || guest.client.status() == Status::Stopped).await;
        stage.until("the server has seen it", || stage.server.clients_count() == 0).await;
        // And back again.
        b.connect();
        b.connected().await.unwrap();
        assert_eq!(b.emit_with_ack::<String, _>("where", ()).await.unwrap(), "/b");
        drop((a, b));
        guest.leave().await;
        stage.is_empty_in_after(&["/a", "/b"], ()).await;
    }
}

async fn a_refusal_is_told_with_its_data_and_final(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let closed = Arc::new(AtomicU32::new(1));
    let is_closed = Arc::clone(&closed);
    stage.server.use_middleware(move |_: Socket| {
        let refuse = is_closed.load(Ordering::SeqCst) == 1;
        async move { if refuse { Err(Refused::new("full").with_data(json!({ "after": 7 }))) } else { Ok(()) } }
    });
    for way in Way::ALL {
        closed.store(1, Ordering::SeqCst);
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        guest.client.connect();
        let Err(NotConnected::Failed(ConnectError::Refused(refusal))) = guest.client.connected().await else {
            panic!("refused");
        };
        assert_eq!(refusal.message, "full");
        assert_eq!(refusal.data::<Value>().unwrap(), Some(json!({ "after": 7 })));
        guest.expect(&["connect_error full"]).await;
        assert!(!guest.client.is_active());
        // It was the only socket, so the connection has gone; and nobody tries again.
        guest.until("stopped", || guest.client.status() == Status::Stopped).await;
        assert_eq!(guest.client.connected().await, Err(NotConnected::Resting));
        stage.wait(SETTLED).await;
        assert!(guest.log.is_empty());
        closed.store(0, Ordering::SeqCst);
        guest.client.connect();
        guest.client.connected().await.unwrap();
        guest.expect(&["connect"]).await;
        let nowhere = guest.client.of("/nowhere");
        nowhere.connect();
        let error = nowhere.connected().await.unwrap_err();
        assert_eq!(error.to_string(), "Invalid namespace");
        assert!(guest.client.is_connected(), "the others stay");
        drop(nowhere);
        gone(&stage, guest).await;
    }
}

async fn who_cannot_be_reached_is_tried_again(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let delay = Duration::from_millis(20);
        let guest = Guest::at(&rt, NOBODY, |b| way.choose(b).reconnection_delay(delay));
        guest.client.connect();
        // Each failure is told once to who waits, and calling again waits for the next attempt.
        for _ in 0..3 {
            let error = guest.client.connected().await.unwrap_err();
            let NotConnected::Failed(ConnectError::Transport(error)) = error else { panic!("{error:?}") };
            let expected = if way == Way::Websocket { "websocket error" } else { "xhr poll error" };
            assert_eq!(error.to_string(), expected);
            assert!(guest.client.is_active());
        }
        guest.until("three errors", || guest.log.len() >= 3).await;
        assert!(guest.log.lines()[0].starts_with("connect_error "));
        guest.leave().await;
    }
}

async fn credentials_are_asked_for_at_every_connect(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        seen.add(socket.handshake().auth::<Value>().unwrap());
        async {}
    });
    let count = AtomicU32::new(0);
    let guest = Guest::new(&stage, |builder| {
        builder.reconnection_delay(Duration::from_millis(10)).auth_with(move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, std::io::Error>(json!({ "token": n })) }
        })
    });
    guest.client.connect();
    guest.client.connected().await.unwrap();
    log.expect(&stage, &[r#"{"token":0}"#]).await;
    guest.client.close_engine();
    log.expect(&stage, &[r#"{"token":1}"#]).await;
    guest.client.set_auth(json!({ "fixed": true }));
    guest.until("it is back", || guest.client.is_connected()).await;
    guest.client.disconnect();
    guest.client.connect();
    log.expect(&stage, &[r#"{"fixed":true}"#]).await;
    gone(&stage, guest).await;
}

async fn without_credentials_a_socket_does_not_connect(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |builder| {
        builder.auth_with(|| async { Err::<Value, _>(std::io::Error::other("no token today")) })
    });
    guest.client.connect();
    let error = guest.client.connected().await.unwrap_err();
    assert_eq!(error, NotConnected::Failed(ConnectError::Credentials("no token today".into())));
    guest.expect(&["connect_error no credentials: no token today"]).await;
    assert!(!guest.client.is_active());
    // What is no object is no credentials either, and a panic is nobody's death.
    guest.client.set_auth(5);
    guest.client.connect();
    let error = guest.client.connected().await.unwrap_err();
    assert!(matches!(error, NotConnected::Failed(ConnectError::Credentials(_))), "{error:?}");
    guest
        .client
        .set_auth_with(|| async { if true { panic!("in auth") } else { Ok::<_, std::io::Error>(()) } });
    guest.client.connect();
    let error = guest.client.connected().await.unwrap_err();
    assert!(matches!(error, NotConnected::Failed(ConnectError::Credentials(_))), "{error:?}");
    guest.client.set_auth(json!({}));
    guest.client.connect();
    guest.client.connected().await.unwrap();
    gone(&stage, guest).await;
}

/// One that never answers holds up its own socket and nothing else, and does not pile up.
async fn who_is_asked_for_credentials_may_never_answer(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let guest = Guest::new(&stage, |builder| builder.reconnection_delay(Duration::from_millis(5)));
    guest.client.set_auth_with(move || {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, std::io::Error>(())
        }
    });
    let other = guest.client.of("/other");
    stage.server.of("/other");
    guest.client.connect();
    other.set_auth(json!({}));
    other.connect();
    for _ in 0..4 {
        other.connected().await.unwrap();
        guest.until("asked", || Arc::strong_count(&token) == 3).await;
        guest.client.close_engine();
        guest.until("closed", || !other.is_connected()).await;
    }
    assert!(guest.client.is_active() && !guest.client.is_connected());
    drop(other);
    guest.leave().await;
    assert_eq!(Arc::strong_count(&token), 1);
    stage.is_empty_in_after(&["/other"], ()).await;
}

async fn the_url_and_the_options_stand_in_the_request(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.path("/chat")).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.of("/admin").on_connection(move |socket: Socket| {
        let handshake = socket.handshake();
        seen.add(format_args!(
            "{:?} {:?} {:?}",
            handshake.query("token"),
            handshake.header("x-extra"),
            handshake.url().starts_with("/chat/?")
        ));
        async {}
    });
    for way in Way::ALL {
        let url = format!("ws://{}/admin?token=a%20b", stage.at);
        let guest = Guest::at(&stage.rt, &url, |builder| {
            way.choose(builder).path("/chat").extra_header("X-Extra", "yes")
        });
        assert_eq!(guest.client.namespace(), "/admin");
        guest.enter(way).await;
        log.expect(&stage, &[r#"Some("a b") Some("yes") true"#]).await;
        guest.leave().await;
        stage.is_empty_in_after(&["/admin"], ()).await;
    }
    // The option takes the place of what stands in the URL.
    let url = format!("http://{}/admin?token=x", stage.at);
    let guest = Guest::at(&stage.rt, &url, |b| b.path("/chat").query("token", "o").query("n", "1"));
    guest.client.connect();
    log.expect(&stage, &[r#"Some("o") None true"#]).await;
    guest.leave().await;
    stage.is_empty_in_after(&["/admin"], ()).await;
}

/// A proxy that has the websockets elsewhere, or asks for something before it lets them pass.
async fn a_transport_may_have_options_of_its_own(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        let handshake = socket.handshake();
        seen.add(format_args!("{:?} {:?}", handshake.query("q"), handshake.header("x-for")));
        async {}
    });
    let options = |builder: ClientBuilder<Tokio>| {
        builder
            .query("q", "all")
            .extra_header("X-For", "all")
            .transport_options(Transport::Websocket, TransportOptions::new().path("/nowhere/"))
            .transport_options(
                Transport::Websocket,
                TransportOptions::new().extra_header("X-For", "websocket").query("q", "own"),
            )
    };
    for (way, expected) in [
        (Way::Polling, r#"Some("all") Some("all")"#),
        (Way::Websocket, r#"Some("own") Some("websocket")"#),
        (Way::Upgrade, r#"Some("all") Some("all")"#),
    ] {
        let guest = Guest::new(&stage, |builder| options(way.choose(builder)));
        guest.enter(way).await;
        log.expect(&stage, &[expected]).await;
        gone(&stage, guest).await;
    }
    // Its own path is where it goes, and no other transport.
    let guest = Guest::new(&stage, |builder| {
        let elsewhere = TransportOptions::new().path("/nowhere/");
        builder.transport_options(Transport::Websocket, elsewhere)
    });
    guest.log_manager();
    guest.client.connect();
    // A server leaves alone for a second who asks for a websocket elsewhere, then closes.
    let refused = "UpgradeError(Transport(";
    guest.until("the probe fails", || guest.log.lines().iter().any(|line| line.starts_with(refused))).await;
    assert_eq!(guest.client.transport(), Some(Transport::Polling));
    log.expect(&stage, &["None None"]).await;
    gone(&stage, guest).await;
}

async fn what_is_wrong_with_the_settings_is_named(rt: Arc<dyn Runtime>) {
    let build = |builder: ClientBuilder<Tokio>| builder.build_on(Arc::clone(&rt)).map(drop);
    let new = ClientBuilder::<Tokio>::new;
    assert!(matches!(build(new("ftp://h")), Err(SetupError::Scheme { .. })));
    assert!(matches!(build(new("http://")), Err(SetupError::NoHost { .. })));
    assert!(matches!(build(new("http://h/a,b")), Err(SetupError::Namespace { .. })));
    assert!(matches!(build(new("http://h").path("no slash")), Err(SetupError::Path { .. })));
    assert!(matches!(build(new("http://h").extra_header("a b", "c")), Err(SetupError::Header { .. })));
    for transport in [Transport::Polling, Transport::Websocket] {
        let with = |own| build(new("http://h").transport_options(transport, own));
        let own = TransportOptions::new;
        assert!(matches!(with(own().path("no slash")), Err(SetupError::Path { .. })));
        assert!(matches!(with(own().extra_header("a b", "c")), Err(SetupError::Header { .. })));
        assert!(matches!(with(own().extra_header("Upgrade", "c")), Err(SetupError::ReservedHeader { .. })));
    }
    // Without a transport there is nothing to connect with, which is known when somebody tries.
    let guest = Guest::at(&rt, NOBODY, |b| b.transports([]).reconnection(false));
    guest.client.connect();
    let error = guest.client.connected().await.unwrap_err();
    assert_eq!(error, NotConnected::Failed(ConnectError::Transport(TransportError::NoTransports)));
    guest.leave().await;
    // What is off stays off, in whatever order the options are given.
    let guest = Guest::at(&rt, NOBODY, |b| {
        b.transports([]).reconnection(false).reconnection_delay(SETTLED).reconnection_attempts(5)
    });
    guest.client.connect();
    assert!(guest.client.connected().await.is_err());
    assert_eq!(guest.client.status(), Status::Stopped);
    guest.leave().await;
}

async fn a_client_falls_back_on_the_next_transport(rt: Arc<dyn Runtime>) {
    use socketio_driver::Transports;
    let stage = Stage::with(rt, |options| {
        options.transports(Transports { websocket: false, ..Transports::default() })
    })
    .await;
    let way = [Transport::Websocket, Transport::Polling];
    let guest = Guest::new(&stage, |builder| builder.transports(way).reconnection(false));
    guest.client.connect();
    assert!(guest.client.connected().await.is_err());
    guest.leave().await;
    let guest = Guest::new(&stage, |builder| builder.transports(way).try_all_transports(true));
    guest.client.connect();
    guest.client.connected().await.unwrap();
    assert_eq!(guest.client.transport(), Some(Transport::Polling));
    gone(&stage, guest).await;
}

async fn an_upgrade_is_remembered_if_it_is_to_be(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |b| b.remember_upgrade(true).reconnection_delay(Duration::from_millis(5)));
    guest.enter(Way::Upgrade).await;
    stage.wait(SETTLED).await;
    guest.log.take();
    guest.log_manager();
    guest.client.close_engine();
    guest.until("it is back", || guest.log.lines().contains(&"connect".to_owned())).await;
    assert_eq!(guest.client.transport(), Some(Transport::Websocket), "from the start");
    stage.wait(SETTLED).await;
    assert!(!guest.log.lines().iter().any(|line| line.starts_with("upgrade")), "{:?}", guest.log.lines());
    gone(&stage, guest).await;
    // And none is made if none is wanted.
    let guest = Guest::new(&stage, |builder| builder.upgrade(false));
    guest.enter(Way::Polling).await;
    stage.wait(SETTLED).await;
    assert_eq!(guest.client.transport(), Some(Transport::Polling));
    gone(&stage, guest).await;
}

async fn a_client_that_rests_sends_nothing(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |builder| builder);
    assert_eq!(guest.client.status(), Status::Stopped);
    stage.wait(SETTLED).await;
    assert_eq!((stage.server.clients_count(), guest.tasks.count()), (0, 0));
    assert_eq!(guest.client.connected().await, Err(NotConnected::Resting));
    // The connection alone, without a socket on it, is possible as well.
    guest.log_manager();
    guest.client.open();
    guest.until("open", || guest.client.engine_id().is_some()).await;
    assert!(!guest.client.is_active());
    let waiting = timeout(&*rt, PATIENCE, guest.client.connected()).await;
    assert_eq!(waiting, Some(Err(NotConnected::Resting)));
    guest.client.close();
    guest.until("closed", || guest.log.lines().last().is_some_and(|line| line == "close forced close")).await;
    gone(&stage, guest).await;
}

on_every_runtime!(
    a_client_falls_back_on_the_next_transport,
    a_client_that_rests_sends_nothing,
    a_refusal_is_told_with_its_data_and_final,
    a_transport_may_have_options_of_its_own,
    an_upgrade_is_remembered_if_it_is_to_be,
    credentials_are_asked_for_at_every_connect,
    namespaces_share_one_connection_until_the_last_one_leaves,
    the_url_and_the_options_stand_in_the_request,
    what_is_wrong_with_the_settings_is_named,
    who_cannot_be_reached_is_tried_again,
    who_is_asked_for_credentials_may_never_answer,
    without_credentials_a_socket_does_not_connect,
);
