//! What lives how long: the connection as long as its owner, and nothing longer.

use std::sync::Arc;
use std::time::Duration;

use socketio_driver::client::{NotConnected, Socket as Mine};
use socketio_driver::runtime::Runtime;
use socketio_driver::{AckError, EmitError, Event, Socket};
use socketio_tests::io::{accept, sleep, timeout};
use socketio_tests::on_every_runtime;
use socketio_tests::sim::{Connection, Reach, Sim};
use socketio_tests::stage::{LOOPBACK, Log, PATIENCE, Stage, never};

use crate::support::{Guest, NOBODY, Way, gone, until, url};

fn log_reasons(stage: &Stage) -> Log {
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason| {
        seen.add(reason);
        async {}
    });
    log
}

async fn dropping_a_client_says_goodbye_and_leaves_no_task(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let reasons = log_reasons(&stage);
        stage.server.on("last", |_: Socket, (): ()| async {});
        let seen = reasons.clone();
        stage.server.on_any(move |_: Socket, event: Event| {
            seen.add(event.name());
            async {}
        });
        let guest = Guest::connected(&stage, way).await;
        let (socket, log) = (guest.client.of("/"), guest.log.clone());
        stage.server.on("hangs", |_: Socket, (): ()| never());
        let waiting = socket.emit_with_ack::<(), _>("last", ());
        guest.leave().await;
        // What was handed to the connection is sent, and the handlers have heard of it.
        reasons.expect(&stage, &["last", "client namespace disconnect"]).await;
        assert_eq!(log.take(), ["connect", "disconnect io client disconnect"]);
        assert!(matches!(waiting.await, Err(AckError::Disconnected)));
        // A handle keeps nothing alive.
        assert!(matches!(socket.emit("x", ()), Err(EmitError::Disconnected)));
        assert!(matches!(socket.emit_with_ack::<(), _>("x", ()).await, Err(AckError::Disconnected)));
        assert_eq!(socket.connected().await, Err(NotConnected::Resting));
        assert!(socket.events().next().await.is_none());
        socket.connect();
        socket.disconnect();
        assert!(!socket.is_active());
        stage.is_empty_after(()).await;
    }
}

async fn a_shutdown_is_over_when_nothing_is_left(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let reasons = log_reasons(&stage);
        let Guest { client, tasks, .. } = Guest::connected(&stage, way).await;
        timeout(&*rt, PATIENCE, client.shutdown()).await.expect("it ends");
        reasons.expect(&stage, &["client namespace disconnect"]).await;
        until(&rt, "the task ends", || tasks.count() == 0).await;
        let Guest { client, .. } = Guest::new(&stage, |builder| builder);
        timeout(&*rt, PATIENCE, client.shutdown()).await.expect("one that never connected");
        stage.is_empty_after(()).await;
    }
}

async fn a_client_may_go_at_any_time(rt: Arc<dyn Runtime>) {
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let at = listener.local_addr().unwrap();
    let stage = Stage::new(Arc::clone(&rt)).await;
    for way in Way::ALL {
        // Nobody answers.
        let guest = Guest::at(&rt, &url(at), |builder| way.choose(builder));
        let held = guest.client.emit_with_ack::<(), _>("x", ());
        guest.client.connect();
        let silent = accept(&mut *listener).await.unwrap();
        let waiting = guest.client.of("/");
        let waits = async {
            let outcome = waiting.connected().await;
            assert_eq!(outcome, Err(NotConnected::Resting));
        };
        let leaves = async {
            sleep(&*rt, Duration::from_millis(5)).await;
            let Guest { client, tasks, .. } = guest;
            drop(client);
            // It waits for a while, to say goodbye to a session that it does not know yet.
            drop(silent);
            until(&rt, "no task of the client is left", || tasks.count() == 0).await;
        };
        futures_util::join!(waits, leaves);
        assert!(matches!(held.await, Err(AckError::Disconnected)));
        // The connection is being made, at whatever stage.
        for micros in [0, 500, 1500, 2500, 3500, 4500, 5500, 7000, 9000, 12_000] {
            let guest = Guest::new(&stage, |builder| way.choose(builder));
            guest.client.connect();
            sleep(&*rt, Duration::from_micros(micros)).await;
            gone(&stage, guest).await;
        }
    }
}

/// The pump may be about to sleep when the owner goes: it must not miss that.
async fn one_that_goes_while_its_task_falls_asleep_is_gone(rt: Arc<dyn Runtime>) {
    for _ in 0..500 {
        // It cannot connect, so there is nothing else that would wake the task.
        let guest = Guest::at(&rt, NOBODY, |b| b.transports([]).reconnection(false));
        guest.client.connect();
        assert!(guest.client.connected().await.is_err());
        guest.leave().await;
    }
}

/// Handlers often capture the socket they are set on: such a ring must break when the client goes.
async fn what_handlers_capture_goes_with_the_client(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    for connects in [false, true] {
        let token = Arc::new(());
        let guest = Guest::new(&stage, |builder| builder);
        let other = guest.client.of("/other");
        for socket in [&*guest.client, &other] {
            let held = (socket.clone(), Arc::clone(&token));
            socket.on("x", move |_: Mine, (): ()| {
                let _ = &held;
                async {}
            });
            let held = (socket.clone(), Arc::clone(&token));
            socket.on_any_outgoing(move |_, _| drop(held.clone()));
            let held = (socket.clone(), Arc::clone(&token));
            socket.set_auth_with(move || {
                let _ = &held;
                async { Ok::<_, std::io::Error>(()) }
            });
            socket.set_auth(serde_json::json!({}));
            let held = (socket.clone(), Arc::clone(&token));
            guest.client.on_manager(move |_| {
                let _ = &held;
                async {}
            });
        }
        if connects {
            guest.enter(Way::Upgrade).await;
        }
        assert_eq!(Arc::strong_count(&token), 7);
        gone(&stage, guest).await;
        assert_eq!(Arc::strong_count(&token), 1);
        let held = (other.clone(), Arc::clone(&token));
        other.on("late", move |_: Mine, (): ()| {
            let _ = &held;
            async {}
        });
        assert_eq!(Arc::strong_count(&token), 1, "what comes too late is dropped at once");
    }
}

async fn a_handler_that_panics_is_the_only_one_that_dies(rt: Arc<dyn Runtime>) {
    fn panics() {
        if true {
            panic!("as it should");
        }
    }
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        let (client, log) = (&guest.client, Log::default());
        client.on("e", |_: Mine, (): ()| {
            panics();
            async {}
        });
        client.on("e", |_: Mine, (): ()| async { panics() });
        let clock = Arc::clone(&rt);
        client.on("e", move |_: Mine, (): ()| {
            let clock = Arc::clone(&clock);
            async move {
                sleep(&*clock, Duration::from_millis(1)).await;
                panics();
            }
        });
        client.on_any(|_, _| async { panics() });
        client.on_connect(|_| async { panics() });
        client.on_disconnect(|_, _| async { panics() });
        client.on_manager(|_| async { panics() });
        let seen = log.clone();
        client.on("e", move |_: Mine, (): ()| {
            seen.add("survivor");
            async {}
        });
        guest.enter(way).await;
        let peer = stage.server.sockets().remove(0);
        for _ in 0..2 {
            peer.emit("e", ()).unwrap();
            log.expect(&stage, &["survivor"]).await;
        }
        client.disconnect();
        client.connect();
        client.connected().await.unwrap();
        drop(peer);
        gone(&stage, guest).await;
    }
}

/// Until it is done, a handler has its client's task.
async fn a_handler_that_runs_is_left_to_end(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let guest = Guest::new(&stage, |builder| builder);
    let (log, clock) = (Log::default(), Arc::clone(&rt));
    let seen = log.clone();
    guest.client.on("work", move |_: Mine, (): ()| {
        let (seen, clock) = (seen.clone(), Arc::clone(&clock));
        async move {
            seen.add("begin");
            sleep(&*clock, Duration::from_millis(100)).await;
            seen.add("end");
        }
    });
    guest.enter(Way::Upgrade).await;
    stage.server.emit("work", ()).unwrap();
    log.expect(&stage, &["begin"]).await;
    gone(&stage, guest).await;
    log.expect(&stage, &["end"]).await;
}

/// Whoever does not answer any more, be it to the goodbye of a session or of a websocket, or to a handshake, holds up a
/// shutdown for the time to close, and no longer.
#[test]
fn a_shutdown_does_not_wait_for_who_does_not_answer() {
    for (timeout, bound) in [(None, Duration::from_secs(10)), (Some(BRIEF), BRIEF)] {
        let options = |way: Way| {
            move |builder| match timeout {
                Some(timeout) => way.choose(builder).close_timeout(timeout),
                None => way.choose(builder),
            }
        };
        for way in Way::ALL {
            let mut sim = Sim::new(1);
            let (rt, net) = (sim.runtime(), sim.net());
            sim.block_on(async {
                // The connection is there, and vanishes.
                let stage = Stage::new(Arc::clone(&rt)).await;
                let guest = Guest::new(&stage, options(way));
                guest.enter(way).await;
                net.connections().iter().for_each(Connection::blackhole);
                is_over_within(&rt, guest, bound).await;
                // It has been found dead, and its websocket is still to be closed.
                let guest = Guest::new(&stage, options(way));
                guest.enter(way).await;
                net.connections().iter().for_each(Connection::blackhole);
                guest.client.close_engine();
                is_over_within(&rt, guest, bound).await;
                // It is being made, and nobody answers, or nothing even arrives.
                let mut listener = rt.listen(LOOPBACK).await.unwrap();
                let at = listener.local_addr().unwrap();
                let guest = Guest::at(&rt, &url(at), options(way));
                guest.client.connect();
                let silent = accept(&mut *listener).await.unwrap();
                is_over_within(&rt, guest, bound).await;
                drop(silent);
                net.set_reach(at, Reach::Silent);
                let guest = Guest::at(&rt, &url(at), options(way));
                guest.client.connect();
                sleep(&*rt, Duration::from_millis(5)).await;
                is_over_within(&rt, guest, bound).await;
            });
        }
    }
}

async fn is_over_within(rt: &Arc<dyn Runtime>, guest: Guest, bound: Duration) {
    let Guest { client, tasks, .. } = guest;
    let start = rt.now();
    client.shutdown().await;
    let took = rt.now().saturating_since(start);
    assert!(took <= bound, "{took:?}");
    until(rt, "no task of the client is left", || tasks.count() == 0).await;
}

/// What a program may have left when it is told to end.
const BRIEF: Duration = Duration::from_millis(300);

/// What waits on another runtime would wait for ever.
#[test]
fn a_runtime_that_is_shut_down_fails_whoever_waits() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = {
        let _inside = runtime.enter();
        socketio_tokio::ClientBuilder::new("http://127.0.0.1:9").connect().unwrap()
    };
    let answer = client.emit_with_ack::<(), _>("never", ());
    drop(runtime);
    async_std::task::block_on(async {
        answer.await.unwrap_err();
        client.connected().await.unwrap_err();
        client.shutdown().await;
    });
}

on_every_runtime!(
    a_client_may_go_at_any_time,
    a_handler_that_panics_is_the_only_one_that_dies,
    a_handler_that_runs_is_left_to_end,
    a_shutdown_is_over_when_nothing_is_left,
    dropping_a_client_says_goodbye_and_leaves_no_task,
    one_that_goes_while_its_task_falls_asleep_is_gone,
    what_handlers_capture_goes_with_the_client,
);
