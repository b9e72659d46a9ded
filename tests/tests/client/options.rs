//! Options that are not about connecting: another parser, and what bounds there are for handlers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use socketio_driver::client::{
    AddressFamily, ConnectError as Failed, Failure, NotConnected, Socket as Mine, TransportError,
};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, ClientBuilder, Codec, ConnectError, Proxy, SetupError, Socket};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::Stage;
use socketio_tests::telegrams::Telegrams;
use socketio_tokio::Tokio;

use crate::support::{Guest, Way, flooding, gone};

async fn a_parser_of_ones_own_is_used_both_ways(rt: Arc<dyn Runtime>) {
    let codec = || Codec::custom(&Telegrams);
    for (way, retries) in Way::ALL.into_iter().zip([false, true, true]) {
        let stage = Stage::with(Arc::clone(&rt), |options| options.parser(codec())).await;
        stage
            .server
            .on("reverse", |_: Socket, (text, data): (String, Bytes)| async move { Ack((data, text)) });
        stage.server.of("/no").use_middleware(|_: Socket| async { Err(ConnectError::new("never")) });
        let guest = Guest::new(&stage, |builder| {
            let builder = way.choose(builder).parser(codec()).auth(serde_json::json!({ "token": 5 }));
            if retries { builder.retries(3, Duration::from_secs(5)) } else { builder }
        });
        guest.client.on("double", |_, n: u32| async move { Ack(2 * n) });
        // Held back, and sent once there is a connection.
        let early =
            guest.client.emit_with_ack::<(Bytes, String), _>("reverse", ("a", Bytes::from_static(b"b")));
        guest.enter(way).await;
        assert_eq!(early.await.unwrap(), (Bytes::from_static(b"b"), "a".to_owned()));
        let peer = stage.server.sockets().remove(0);
        assert_eq!(peer.handshake().auth::<serde_json::Value>().unwrap()["token"], 5);
        assert_eq!(peer.emit_with_ack::<u32, _>("double", 4).await.unwrap(), 8);
        let no = guest.client.of("/no");
        no.connect();
        assert_eq!(no.connected().await.unwrap_err().to_string(), "never");
        drop((peer, no));
        guest.leave().await;
        stage.is_empty_in_after(&["/no"], ()).await;
    }
}

/// Handlers that wait for something are bounded in number, what waits for them in bytes, and then the server has to
/// wait; nothing is lost, and the order is kept.
async fn events_that_pile_up_in_handlers_are_bounded_and_none_is_lost(rt: Arc<dyn Runtime>) {
    for way in [Way::Polling, Way::Websocket] {
        let (stage, stuck) = flooding(&rt, 4000).await;
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        let (open, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (gate, count, clock) = (Arc::clone(&open), Arc::clone(&started), Arc::clone(&rt));
        guest.client.on("n", move |_: Mine, (n, _): (u32, Bytes)| {
            assert_eq!(count.fetch_add(1, Ordering::SeqCst), n, "in order");
            let (gate, clock) = (Arc::clone(&gate), Arc::clone(&clock));
            async move {
                while !gate.load(Ordering::SeqCst) {
                    sleep(&*clock, Duration::from_millis(100)).await;
                }
            }
        });
        guest.enter(way).await;
        guest.client.emit("flood", ()).unwrap();
        stage.until("the server is stuck", || stuck.load(Ordering::SeqCst) > 0).await;
        assert_eq!(started.load(Ordering::SeqCst), 1024);
        open.store(true, Ordering::SeqCst);
        let all = || started.load(Ordering::SeqCst) == stuck.load(Ordering::SeqCst);
        stage.until("all of them have started", all).await;
        assert_eq!(guest.log.take(), ["connect"], "the connection was never lost");
        gone(&stage, guest).await;
    }
}

/// All of 127.0.0.0/8 is this machine's, at least on Linux.
const LOCAL: [u8; 4] = if cfg!(target_os = "linux") { [127, 0, 0, 2] } else { [127, 0, 0, 1] };

async fn the_local_address_is_what_the_server_sees(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let guest = Guest::new(&stage, |builder| {
            way.choose(builder).local_address(IpAddr::from(LOCAL)).family(AddressFamily::V4)
        });
        guest.enter(way).await;
        let seen = stage.server.sockets()[0].handshake().address().unwrap();
        assert_eq!(seen.ip(), IpAddr::from(LOCAL));
        gone(&stage, guest).await;
    }
}

async fn a_local_address_that_cannot_be_used_is_named(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    for way in Way::ALL {
        // It is nobody's (RFC 5737).
        let nobodys = IpAddr::from([192, 0, 2, 1]);
        let guest = Guest::new(&stage, |builder| {
            let delay = Duration::from_millis(20);
            way.choose(builder).local_address(nobodys).reconnection_delay(delay)
        });
        guest.client.connect();
        for _ in 0..2 {
            let Err(NotConnected::Failed(Failed::Transport(error))) = guest.client.connected().await else {
                panic!("from nowhere");
            };
            let (TransportError::Poll(failure) | TransportError::Websocket(failure)) = error else {
                panic!("{error:?}")
            };
            assert_eq!(failure, Failure::LocalAddress);
        }
        gone(&stage, guest).await;
    }
}

async fn addresses_of_two_families_are_refused(rt: Arc<dyn Runtime>) {
    let refused = |url: &str, options: fn(ClientBuilder<Tokio>) -> ClientBuilder<Tokio>| match options(
        ClientBuilder::new(url),
    )
    .build_on(Arc::clone(&rt))
    {
        Err(SetupError::Family { address, family }) => (address.to_string(), family),
        other => panic!("{other:?}"),
    };
    let (local, v6) = (IpAddr::from(LOCAL), AddressFamily::V6);
    assert_eq!(
        refused("http://h", |builder| builder.local_address(IpAddr::from(LOCAL)).family(AddressFamily::V6)),
        (local.to_string(), v6)
    );
    assert_eq!(
        refused("http://[::1]:1", |builder| builder.local_address(IpAddr::from(LOCAL))),
        ("::1".to_owned(), AddressFamily::V4)
    );
    // What is connected to is the proxy.
    assert_eq!(
        refused("http://[2001:db8::1]", |builder| {
            builder.proxy(Proxy::url("http://127.0.0.1:3128")).family(AddressFamily::V6)
        }),
        ("127.0.0.1".to_owned(), v6)
    );
}

on_every_runtime!(
    a_local_address_that_cannot_be_used_is_named,
    a_parser_of_ones_own_is_used_both_ways,
    addresses_of_two_families_are_refused,
    events_that_pile_up_in_handlers_are_bounded_and_none_is_lost,
    the_local_address_is_what_the_server_sees,
);
