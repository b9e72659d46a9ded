//! One client, used from many tasks at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, EmitError, Socket};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::Stage;

use crate::support::{Guest, Way, gone};

const TASKS: u32 = 6;
const EVENTS: u32 = 150;
const OTHERS: u32 = 100;

async fn many_may_emit_while_the_connection_comes_and_goes(rt: Arc<dyn Runtime>) {
    for way in Way::ALL {
        // On a machine that is busy the client comes and goes faster than it can say goodbye, and gives up the oldest of its
        // sessions (`MAX_LEAVING` in the core): the server finds out by the heartbeat.
        let short = Duration::from_secs(4);
        let stage = Stage::with(Arc::clone(&rt), |b| b.ping_interval(short).ping_timeout(short)).await;
        let seen = Mutex::new(BTreeMap::new());
        let wrong = Arc::new(AtomicU32::new(0));
        let disorder = Arc::clone(&wrong);
        stage.server.on("n", move |socket: Socket, (task, n): (u32, u32)| {
            // On one connection, that is: what the last one still hands over may come later than what is on the next.
            let before = seen.lock().unwrap().insert((socket.id().clone(), task), n);
            if task != OTHERS && before >= Some(n) {
                disorder.fetch_add(1, Ordering::SeqCst);
            }
            async move { Ack(n) }
        });
        let guest = Guest::new(&stage, |b| way.choose(b).reconnection_delay(Duration::from_millis(5)));
        let (done, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for task in 0..TASKS {
            let (socket, clock) = (guest.client.of("/"), Arc::clone(&rt));
            let (done, lost) = (Arc::clone(&done), Arc::clone(&lost));
            rt.spawn(Box::pin(async move {
                for n in 0..EVENTS {
                    let answer = socket.emit_with_ack::<u32, _>("n", (task, n));
                    if n % 5 == 0 {
                        socket.volatile().emit("volatile", ()).unwrap();
                        sleep(&*clock, Duration::from_micros(100 * u64::from(n % 7))).await;
                    }
                    match answer.await {
                        Ok(answer) => assert_eq!(answer, n),
                        // It was on its way when the connection went.
                        Err(AckError::Disconnected) => drop(lost.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => panic!("{error}"),
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        guest.client.connect();
        let mut rounds = 0;
        while done.load(Ordering::SeqCst) < TASKS {
            sleep(&*rt, Duration::from_millis(7)).await;
            rounds += 1;
            match rounds % 3 {
                0 if rounds < 40 => guest.client.disconnect(),
                1 if rounds < 40 => guest.client.close_engine(),
                _ => guest.client.connect(),
            }
        }
        guest.client.connect();
        guest.client.connected().await.unwrap();
        assert_eq!(wrong.load(Ordering::SeqCst), 0, "each task's events come in order, on each connection");
        assert!(lost.load(Ordering::SeqCst) < TASKS * EVENTS);
        // Gone, while others still emit.
        for _ in 0..TASKS {
            let socket = guest.client.of("/");
            rt.spawn(Box::pin(async move {
                loop {
                    match socket.emit_with_ack::<u32, _>("n", (OTHERS, 0)).await {
                        Ok(_) | Err(AckError::Emit(EmitError::Full(_))) => {}
                        Err(AckError::Disconnected) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        gone(&stage, guest).await;
    }
}

on_every_runtime!(many_may_emit_while_the_connection_comes_and_goes);
