//! Options that are not about connecting: another parser, and what bounds there are for handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use socketio_driver::client::Socket as Mine;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, Codec, ConnectError, Socket};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::Stage;
use socketio_tests::telegrams::Telegrams;

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

on_every_runtime!(
    a_parser_of_ones_own_is_used_both_ways,
    events_that_pile_up_in_handlers_are_bounded_and_none_is_lost,
);
