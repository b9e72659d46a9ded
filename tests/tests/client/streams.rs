//! Events received in a loop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, Socket};
use socketio_tests::io::timeout;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{PATIENCE, Stage};

use crate::support::{Guest, Way, flooding, gone};

async fn events_are_received_in_a_loop_and_answered(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.on_connection(|socket: Socket| async move {
            for n in 0..5 {
                assert_eq!(socket.emit_with_ack::<u32, _>("double", n).await.unwrap(), 2 * n);
            }
            socket.emit("done", ()).unwrap();
        });
        let guest = Guest::new(&stage, |builder| way.choose(builder));
        let mut events = guest.client.events();
        guest.client.connect();
        let mut count = 0;
        while let Some(received) = timeout(&*rt, PATIENCE, events.next()).await.unwrap() {
            if received.event.name() == "done" {
                assert!(!received.ack.is_wanted());
                break;
            }
            let n: u32 = received.event.args().decode().unwrap();
            received.ack.send(2 * n).unwrap();
            count += 1;
        }
        assert_eq!(count, 5);
        drop(events);
        gone(&stage, guest).await;
    }
}

async fn it_ends_when_nothing_more_can_come(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    stage.server.on("kick", |socket: Socket, (): ()| async move { socket.disconnect() });
    stage.server.on("n", |socket: Socket, n: u32| async move { socket.emit("n", n).unwrap() });
    let guest = Guest::new(&stage, |b| b.reconnection_delay(Duration::from_millis(5)));
    // It may begin before the socket does, whatever becomes of others, and goes on when the connection is lost.
    let mut events = guest.client.events();
    let nowhere = guest.client.of("/nowhere");
    nowhere.connect();
    assert!(nowhere.connected().await.is_err());
    nowhere.disconnect();
    guest.client.emit("n", 1).unwrap();
    guest.client.connect();
    assert_eq!(events.next().await.unwrap().event.args().decode::<u32>().unwrap(), 1);
    guest.client.close_engine();
    guest.client.emit("n", 2).unwrap();
    assert_eq!(events.next().await.unwrap().event.args().decode::<u32>().unwrap(), 2);
    // Dismissed: what was received before is still given out.
    guest.client.emit("n", 3).unwrap();
    guest.client.emit("kick", ()).unwrap();
    guest.until("dismissed", || !guest.client.is_active()).await;
    let rest =
        timeout(&*rt, PATIENCE, events.map(|r| r.event.args().decode::<u32>().unwrap()).collect::<Vec<_>>())
            .await
            .expect("it ends");
    assert_eq!(rest, [3]);
    // Left, before it was connected and after.
    for wait in [false, true] {
        let mut events = guest.client.events();
        guest.client.connect();
        if wait {
            guest.client.connected().await.unwrap();
        }
        guest.client.disconnect();
        assert!(timeout(&*rt, PATIENCE, events.next()).await.expect("it ends").is_none());
    }
    // Dropped.
    let mut events = guest.client.events();
    guest.client.connect();
    guest.client.connected().await.unwrap();
    let waits = async { assert!(events.next().await.is_none()) };
    futures_util::join!(waits, guest.leave());
    stage.is_empty_after(()).await;
}

/// The reader takes nothing until the server cannot send any more, because nobody reads; then everything is there, and in
/// order.
async fn one_that_is_full_stops_the_reading_and_loses_nothing(rt: Arc<dyn Runtime>) {
    for way in [Way::Polling, Way::Websocket] {
        let (stage, stuck) = flooding(&rt, 50_000).await;
        stage.server.on("alive", |_: Socket, (): ()| async { Ack(true) });
        let guest = Guest::connected(&stage, way).await;
        let mut events = guest.client.events();
        guest.client.emit("flood", ()).unwrap();
        stage.until("the server is stuck", || stuck.load(Ordering::SeqCst) > 0).await;
        for n in 0..stuck.load(Ordering::SeqCst) {
            let received = timeout(&*rt, PATIENCE, events.next()).await.expect("in time").expect("no end");
            assert_eq!(received.event.args().decode::<(u32, Bytes)>().unwrap().0, n);
        }
        assert!(guest.client.emit_with_ack::<bool, _>("alive", ()).await.unwrap());
        assert_eq!(guest.log.take(), ["connect"], "the connection was never lost");
        if way == Way::Polling {
            guest.leave().await;
            continue;
        }
        // One that is dropped while it is full holds up nobody.
        stuck.store(0, Ordering::SeqCst);
        guest.client.emit("flood", ()).unwrap();
        stage.until("the server is stuck", || stuck.load(Ordering::SeqCst) > 0).await;
        drop(events);
        let alive = guest.client.timeout(PATIENCE).emit_with_ack::<bool, _>("alive", ()).await;
        assert!(alive.unwrap());
        guest.leave().await;
    }
}

/// Its socket leaves; those of the other namespaces go on.
async fn one_that_ends_while_it_is_full_holds_up_nobody(rt: Arc<dyn Runtime>) {
    let (stage, stuck) = flooding(&rt, 50_000).await;
    stage.server.of("/other").on("alive", |_: Socket, (): ()| async { Ack(true) });
    let guest = Guest::connected(&stage, Way::Websocket).await;
    let other = guest.client.of("/other");
    other.connect();
    other.connected().await.unwrap();
    let mut events = guest.client.events();
    guest.client.emit("flood", ()).unwrap();
    stage.until("the server is stuck", || stuck.load(Ordering::SeqCst) > 0).await;
    guest.client.disconnect();
    let alive = other.timeout(PATIENCE).emit_with_ack::<bool, _>("alive", ()).await;
    assert!(alive.unwrap());
    assert!(events.next().await.is_some(), "what was received is still given out");
    drop(events);
    guest.leave().await;
}

on_every_runtime!(
    events_are_received_in_a_loop_and_answered,
    it_ends_when_nothing_more_can_come,
    one_that_is_full_stops_the_reading_and_loses_nothing,
    one_that_ends_while_it_is_full_holds_up_nobody,
);
