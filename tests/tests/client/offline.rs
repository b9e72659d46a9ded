//! What becomes of events while there is no connection: held back within bounds, dropped if volatile, sent again with
//! retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socketio_driver::client::QueueLimits;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, EmitError, Socket};
use socketio_tests::io::timeout;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, PATIENCE, SETTLED, Stage, never};

use crate::support::{Guest, Way, gone};

fn log_numbers(stage: &Stage) -> Log {
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("n", move |_: Socket, n: u32| {
        seen.add(n);
        async move { Ack(n) }
    });
    log
}

async fn what_is_emitted_offline_waits_within_its_bounds(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let log = log_numbers(&stage);
        let limits = QueueLimits { max_packets: 4, max_bytes: 1000 };
        let guest = Guest::new(&stage, |builder| way.choose(builder).send_queue(limits));
        let client = &guest.client;
        for n in 0..4 {
            client.emit("n", n).unwrap();
        }
        assert!(client.buffered_bytes() > 0);
        let full = client.emit("n", 4);
        assert!(matches!(&full, Err(EmitError::Full(unsent)) if unsent.args().decode() == Ok(4)), "{full:?}");
        let refused = client.emit_with_ack::<u32, _>("n", 4).await;
        assert!(matches!(refused, Err(AckError::Emit(EmitError::Full(_)))), "{refused:?}");
        // Another socket has its own.
        client.of("/other").emit("x", ()).unwrap();
        client.connect();
        log.expect(&stage, &["0", "1", "2", "3"]).await;
        assert_eq!(client.buffered_bytes(), 0);
        // Left and back: the same again, also for one that the server does not know yet.
        client.disconnect();
        for n in 5..9 {
            client.emit("n", n).unwrap();
        }
        assert!(matches!(client.emit("n", 9), Err(EmitError::Full(_))));
        client.connect();
        log.expect(&stage, &["5", "6", "7", "8"]).await;
        gone(&stage, guest).await;
    }
}

async fn who_was_refused_can_wait_for_room(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = log_numbers(&stage);
    let limits = QueueLimits { max_packets: 10, max_bytes: 10_000 };
    let guest = Guest::new(&stage, |builder| builder.send_queue(limits));
    let client = &guest.client;
    client.drained().await;
    // Filled while nobody takes anything away: later it depends on who is faster whether there is room.
    (0..10).for_each(|n| client.emit("n", n).unwrap());
    assert!(matches!(client.emit("n", 10), Err(EmitError::Full(_))));
    client.connect();
    for n in 10..200 {
        while client.emit("n", n).is_err() {
            timeout(&*rt, PATIENCE, client.drained()).await.expect("room");
        }
    }
    stage.until("all of them", || log.len() == 200).await;
    assert!(log.lines().iter().map(|line| line.parse::<u32>().unwrap()).eq(0..200));
    // Nobody waits for a client that is gone.
    client.disconnect();
    while client.emit("n", 0).is_ok() {}
    let socket = client.of("/");
    let waits = async { timeout(&*rt, PATIENCE, socket.drained()).await.expect("it ends") };
    futures_util::join!(waits, gone(&stage, guest));
}

async fn the_acknowledgement_of_what_waits_outlives_the_connection(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    log_numbers(&stage);
    stage.server.on("hangs", |_: Socket, (): ()| never());
    let guest = Guest::connected(&stage, Way::Websocket).await;
    let sent = guest.client.emit_with_ack::<u32, _>("hangs", ());
    guest.client.disconnect();
    let held = guest.client.emit_with_ack::<u32, _>("n", 5);
    let short = Duration::from_millis(20);
    let late = guest.client.timeout(short).emit_with_ack::<u32, _>("n", 6).await;
    assert!(matches!(late, Err(AckError::TimedOut)), "{late:?}");
    assert!(matches!(sent.await, Err(AckError::Disconnected)));
    guest.client.connect();
    assert_eq!(held.await.unwrap(), 5);
    // The one whose time was over was not sent at all.
    let last = guest.client.emit_with_ack::<u32, _>("n", 7).await.unwrap();
    assert_eq!(last, 7);
    guest.leave().await;
}

async fn a_volatile_event_is_sent_at_once_or_not_at_all(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = log_numbers(&stage);
    let guest = Guest::new(&stage, |builder| Way::Websocket.choose(builder));
    let client = &guest.client;
    client.volatile().emit("n", 1).unwrap();
    let dropped = client.volatile().emit_with_ack::<u32, _>("n", 2).await;
    assert!(matches!(dropped, Err(AckError::Emit(EmitError::Dropped))), "{dropped:?}");
    guest.enter(Way::Websocket).await;
    stage.wait(SETTLED).await;
    let answer = client.volatile().timeout(PATIENCE).emit_with_ack::<u32, _>("n", 3).await;
    assert_eq!(answer.unwrap(), 3);
    client.emit("n", 4).unwrap();
    log.expect(&stage, &["3", "4"]).await;
    gone(&stage, guest).await;
}

async fn with_retries_events_are_sent_until_they_are_acknowledged(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let (log, tries) = (Log::default(), Arc::new(AtomicU32::new(0)));
        let (seen, count) = (log.clone(), Arc::clone(&tries));
        stage.server.on_with_ack("n", move |_: Socket, n: u32, ack: socketio_driver::AckSender| {
            seen.add(n);
            // Every third time is answered.
            if count.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
                ack.send(n).unwrap();
            }
            async {}
        });
        let short = Duration::from_millis(60);
        let guest = Guest::new(&stage, |builder| way.choose(builder).retries(3, short));
        guest.client.emit("n", 1).unwrap();
        let second = guest.client.emit_with_ack::<u32, _>("n", 2);
        guest.client.connect();
        assert_eq!(timeout(&*rt, PATIENCE, second).await.unwrap().unwrap(), 2);
        log.expect(&stage, &["1", "1", "1", "2", "2", "2"]).await;
        assert_eq!(guest.client.buffered_bytes(), 0);
        gone(&stage, guest).await;
    }
}

async fn after_the_last_retry_an_event_is_given_up_and_the_next_one_sent(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = log_numbers(&stage);
    let seen = log.clone();
    stage.server.on("silent", move |_: Socket, (): ()| {
        seen.add("silent");
        async {}
    });
    let guest = Guest::new(&stage, |builder| builder.retries(2, Duration::from_millis(60)));
    guest.enter(Way::Upgrade).await;
    let silent = guest.client.emit_with_ack::<(), _>("silent", ());
    let next = guest.client.emit_with_ack::<u32, _>("n", 1);
    assert!(matches!(silent.await, Err(AckError::TimedOut)));
    assert_eq!(next.await.unwrap(), 1);
    log.expect(&stage, &["silent", "silent", "silent", "1"]).await;
    gone(&stage, guest).await;
}

on_every_runtime!(
    a_volatile_event_is_sent_at_once_or_not_at_all,
    after_the_last_retry_an_event_is_given_up_and_the_next_one_sent,
    the_acknowledgement_of_what_waits_outlives_the_connection,
    what_is_emitted_offline_waits_within_its_bounds,
    who_was_refused_can_wait_for_room,
    with_retries_events_are_sent_until_they_are_acknowledged,
);
