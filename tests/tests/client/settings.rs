//! What is changed about a client while it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socketio_driver::client::{ManagerEvent, NotConnected, Reconnection, Status};
use socketio_driver::runtime::Runtime;
use socketio_driver::{AckError, SetupError, Socket};
use socketio_tests::io::timeout;
use socketio_tests::on_every_runtime;
use socketio_tests::sim::{Reach, Sim};
use socketio_tests::stage::{Log, PATIENCE, Stage};

use crate::support::{Guest, NOBODY, Way, gone};

const SOON: Duration = Duration::from_millis(20);

async fn each_connection_may_say_something_else(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let log = Log::default();
        let seen = log.clone();
        stage.server.on_connection(move |socket: Socket| {
            let handshake = socket.handshake();
            let header = |name| handshake.header(name).unwrap_or("none").to_owned();
            let token = handshake.query("token").unwrap_or_else(|| "none".into());
            seen.add(format_args!("{} {} {token}", header("x-first"), header("authorization")));
            async {}
        });
        let guest = Guest::new(&stage, |builder| {
            let builder = way.choose(builder).reconnection_delay(SOON);
            builder.extra_header("x-first", "1").query("token", "a")
        });
        let count = AtomicU32::new(0);
        guest.client.on_disconnect(move |socket, _| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move {
                // In the time it takes to ask somebody.
                socket.set_extra_headers([("authorization", format!("Bearer {n}"))]).unwrap();
                if n == 0 {
                    socket.set_query([("token", "b c")])
                } else {
                    socket.set_query([("", ""); 0])
                };
            }
        });
        guest.enter(way).await;
        let wrong = guest.client.set_extra_headers([("x-last", "1"), ("connection", "close")]);
        assert!(matches!(wrong, Err(SetupError::ReservedHeader { name }) if name == "connection"));
        log.expect(&stage, &["1 none a"]).await;
        guest.client.close_engine();
        log.expect(&stage, &["none Bearer 0 b c"]).await;
        guest.until("it is back", || guest.client.is_connected()).await;
        guest.client.close_engine();
        log.expect(&stage, &["none Bearer 1 none"]).await;
        guest.until("it is back", || guest.client.is_connected()).await;
        gone(&stage, guest).await;
    }
}

async fn reconnection_can_be_switched_off_and_on(rt: Arc<dyn Runtime>) {
    let guest = Guest::at(&rt, NOBODY, |builder| {
        let long = Duration::from_secs(3600);
        Way::Websocket.choose(builder).reconnection_delay(long).reconnection_delay_max(long)
    });
    guest.log_manager();
    guest.client.connect();
    guest.until("it waits", || matches!(guest.client.status(), Status::Waiting { .. })).await;
    guest.expect(&["error websocket error", "connect_error websocket error"]).await;
    let _ = guest.client.connected().await;
    let waiting = guest.client.connected();
    guest.client.set_reconnection(None);
    let told = timeout(&*rt, PATIENCE, waiting).await.expect("in time");
    assert_eq!(told, Err(NotConnected::Resting));
    guest.expect(&["reconnect_failed"]).await;
    assert_eq!(guest.client.status(), Status::Stopped);
    // An attempt is an attempt, but there is no second one.
    guest.client.connect();
    guest.expect(&["error websocket error", "connect_error websocket error"]).await;
    guest.until("it rests", || guest.client.status() == Status::Stopped).await;
    guest.client.set_reconnection(Reconnection { delay: SOON, ..Reconnection::default() });
    guest.client.connect();
    let again = ["error websocket error", "connect_error websocket error", "reconnect_attempt 1"];
    guest.until("another attempt", || guest.log.len() >= again.len()).await;
    assert_eq!(guest.log.lines()[..3], again);
    guest.leave().await;
}

async fn what_waits_for_a_connection_can_be_discarded(rt: Arc<dyn Runtime>) {
    for (way, retries) in Way::ALL.into_iter().zip([false, true, false]) {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let log = Log::default();
        let seen = log.clone();
        stage.server.on("n", move |_: Socket, n: u32| {
            seen.add(n);
            async { socketio_driver::Ack(()) }
        });
        let guest = Guest::new(&stage, |builder| {
            let builder = way.choose(builder);
            if retries { builder.retries(3, Duration::from_secs(5)) } else { builder }
        });
        guest.client.emit("n", 1).unwrap();
        let asked = guest.client.emit_with_ack::<(), _>("n", 2);
        assert!(guest.client.buffered_bytes() > 0);
        assert_eq!(guest.client.discard_buffered(), 2);
        assert_eq!((guest.client.buffered_bytes(), guest.client.discard_buffered()), (0, 0));
        guest.client.emit("n", 3).unwrap();
        guest.enter(way).await;
        let discarded = timeout(&*rt, PATIENCE, asked).await.expect("in time");
        assert!(matches!(discarded, Err(AckError::Disconnected)), "{discarded:?}");
        log.expect(&stage, &["3"]).await;
        gone(&stage, guest).await;
    }
}

#[test]
fn an_attempt_takes_as_long_as_it_may_now() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        net.set_reach("127.0.0.1:1".parse().unwrap(), Reach::Silent);
        let log = Log::default();
        let guest = Guest::at(&rt, NOBODY, |builder| builder.reconnection(false));
        let (seen, clock) = (log.clone(), Arc::clone(&rt));
        guest.client.on_manager(move |event| {
            if let ManagerEvent::Error(error) = event {
                seen.add(format_args!("{error} at {}", clock.now().as_micros() / 1_000_000));
            }
            async {}
        });
        guest.client.connect();
        let _ = guest.client.connected().await;
        guest.client.set_connect_timeout(Duration::from_secs(7));
        guest.client.connect();
        let _ = guest.client.connected().await;
        assert_eq!(log.take(), ["timeout at 20", "timeout at 27"]);
        guest.leave().await;
    });
}

on_every_runtime!(
    each_connection_may_say_something_else,
    reconnection_can_be_switched_off_and_on,
    what_waits_for_a_connection_can_be_discarded,
);
