//! Clients that read too slowly, and clients that send faster than their events are handled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, AckSender, BufferLimits, Bytes, DisconnectReason, EmitError, Socket};
use socketio_tests::client::{Frame, How, event_packet};
use socketio_tests::io::timeout;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, PATIENCE, SETTLED, Stage};

async fn a_volatile_message_is_dropped_where_nobody_listens(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut absent = stage.joined_by(How::Polling).await;
    let mut listening = stage.joined_by(How::Polling).await;
    let mut websocket = stage.joined().await;
    listening.start_poll().await;
    stage.wait(SETTLED).await;
    stage.server.volatile().emit("v", 1).unwrap();
    websocket.expect(r#"2["v",1]"#).await;
    listening.expect(r#"2["v",1]"#).await;
    for socket in stage.server.sockets() {
        socket.emit("r", 2).unwrap();
    }
    for client in [&mut absent, &mut listening, &mut websocket] {
        client.expect(r#"2["r",2]"#).await;
    }
    // One by one, and together with something that waits.
    let sockets = stage.server.sockets();
    sockets[0].volatile().emit("v", 3).unwrap();
    sockets[0].emit("r", 4).unwrap();
    sockets[0].volatile().emit("v", 5).unwrap();
    absent.expect(r#"2["r",4]"#).await;
    stage.is_empty_after((vec![absent, listening], websocket)).await;
}

async fn a_full_queue_is_an_error_and_loses_nothing(rt: Arc<dyn Runtime>) {
    let limits = BufferLimits { max_frames: 3, max_bytes: 1000 };
    let stage = Stage::with(rt, move |options| options.send_buffer(limits)).await;
    let mut c = stage.joined_by(How::Polling).await;
    let socket = stage.server.sockets().remove(0);
    for round in 0..3 {
        for number in 0..3 {
            socket.emit("n", round * 10 + number).unwrap();
        }
        // What was not sent comes back, to be sent another time.
        let Err(EmitError::Full(unsent)) = socket.emit("n", ("again", Bytes::from_static(b"x"))) else {
            panic!("it is full")
        };
        assert_eq!((unsent.name(), unsent.ack), ("n", None));
        assert_eq!(unsent.args().decode(), Ok(("again", &b"x"[..])));
        assert!(socket.is_connected(), "it is the caller's to decide");
        for number in 0..3 {
            c.expect(&format!(r#"2["n",{}]"#, round * 10 + number)).await;
        }
    }
    // Bytes count as well, and a message goes whole or not at all.
    socket.emit("n", "x".repeat(900)).unwrap();
    assert!(matches!(socket.emit("n", "x".repeat(100)), Err(EmitError::Full(_))));
    assert!(c.packet().await.len() > 900);
    socket.emit("n", 1).unwrap();
    socket.emit("n", 2).unwrap();
    assert!(matches!(socket.emit("n", Bytes::from_static(b"two frames")), Err(EmitError::Full(_))));
    socket.emit("n", 3).unwrap();
    for number in 1..=3 {
        c.expect(&format!(r#"2["n",{number}]"#)).await;
    }
    // A message with an acknowledgement that does not fit waits for none.
    for number in 0..3 {
        socket.emit("n", number).unwrap();
    }
    let error = socket.emit_with_ack::<u32, _>("n", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "the outgoing queue is full");
    stage.is_empty_after((c, socket)).await;
}

async fn a_websocket_that_is_not_read_fills_its_queue_and_no_more(rt: Arc<dyn Runtime>) {
    let limits = BufferLimits { max_frames: 16, max_bytes: 4 << 20 };
    let stage = Stage::with(rt, move |options| options.send_buffer(limits)).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let mut sent = 0;
    let chunk = "x".repeat(256 * 1024);
    // The system takes some megabytes, the queue takes sixteen messages.
    loop {
        match socket.emit("chunk", (sent, &chunk)) {
            Ok(()) => sent += 1,
            Err(EmitError::Full(_)) => {
                stage.wait(Duration::from_millis(5)).await;
                if socket.emit("chunk", (sent, &chunk)).is_err() {
                    break;
                }
                sent += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 400, "a queue without an end");
    }
    for number in 0..sent {
        let packet = c.packet().await;
        assert!(packet.starts_with(&format!(r#"2["chunk",{number},"xx"#)), "{number}");
    }
    socket.emit("room again", ()).unwrap();
    c.expect(r#"2["room again"]"#).await;
    stage.is_empty_after((c, socket)).await;
}

async fn a_broadcast_gives_up_only_who_does_not_read(rt: Arc<dyn Runtime>) {
    let limits = BufferLimits { max_frames: 8, max_bytes: 1 << 20 };
    let stage = Stage::with(rt, move |options| options.send_buffer(limits)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        seen.add(format!("{} {reason}", socket.id()));
        async {}
    });
    let mut reading = stage.joined().await;
    let mut stuck = stage.polling().await;
    let id = stuck.connect("/").await;
    for number in 0..20 {
        stage.server.emit("n", number).unwrap();
        reading.expect(&format!(r#"2["n",{number}]"#)).await;
        if number == 7 {
            // The queue is full now. A volatile message is no reason to give anybody up.
            stage.server.to(id.as_str()).volatile().emit("v", ()).unwrap();
            stage.wait(Duration::from_millis(5)).await;
            assert_eq!(stage.server.sockets_count(), 2);
        }
    }
    log.expect(&stage, &[&format!("{id} transport error")]).await;
    assert_eq!((stage.server.clients_count(), stage.server.sockets_count()), (1, 1));
    stage.is_empty_after((reading, stuck)).await;
}

fn narrow() -> BufferLimits {
    BufferLimits { max_frames: 3, max_bytes: 1000 }
}

async fn a_sender_that_waits_goes_at_the_pace_of_its_client(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let mut c = stage.joined_by(How::Polling).await;
    let socket = stage.server.sockets().remove(0);
    let sent = AtomicUsize::new(0);
    let sender = async {
        for number in 0..50 {
            socket.emit_when_ready("n", number).await.unwrap();
            sent.store(number + 1, Ordering::SeqCst);
        }
    };
    let reader = async {
        stage.wait(SETTLED).await;
        assert_eq!(sent.load(Ordering::SeqCst), 3, "the fourth waits");
        for number in 0..50 {
            c.expect(&format!(r#"2["n",{number}]"#)).await;
        }
    };
    futures_util::join!(sender, reader);
    assert!(socket.is_connected());
    stage.is_empty_after((c, socket)).await;
}

async fn answers_to_what_came_in_one_read_do_not_fill_the_queue(rt: Arc<dyn Runtime>) {
    let stage =
        Stage::with(rt, |options| options.send_buffer(BufferLimits { max_frames: 8, max_bytes: 1000 })).await;
    stage.server.on("a", async |_: Socket, number: u32| Ack(number));
    stage.server.on("b", async |_: Socket, bytes: Bytes| Ack(bytes.len()));
    let mut c = stage.joined().await;
    let text = |number: u32| Frame::text(&format!(r#"42{number}["a",{number}]"#));
    c.ws().send_all(&(0..50).map(text).collect::<Vec<_>>()).await.unwrap();
    for number in 0..50 {
        c.expect(&format!("3{number}[{number}]")).await;
    }
    let binary = |number: u32| {
        let head = format!(r#"451-{number}["b",{{"_placeholder":true,"num":0}}]"#);
        [Frame::text(&head), Frame::Binary(vec![0; 3])]
    };
    c.ws().send_all(&(0..50).flat_map(binary).collect::<Vec<_>>()).await.unwrap();
    for number in 0..50 {
        c.expect(&format!("3{number}[3]")).await;
    }
    stage.is_empty_after(c).await;
}

async fn nothing_that_came_with_it_is_heard_after_a_socket_was_sent_away(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let (seen, left) = (log.clone(), log.clone());
    stage.server.on("n", move |socket: Socket, number: u32| {
        seen.add(number);
        if number == 2 {
            socket.disconnect();
        }
        async {}
    });
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        left.add(reason);
        async {}
    });
    for how in [How::Polling, How::Websocket] {
        let mut c = stage.joined_by(how).await;
        c.send_all(&(0..20).map(|number| format!(r#"2["n",{number}]"#)).collect::<Vec<_>>()).await;
        log.expect(&stage, &["0", "1", "2", "server namespace disconnect"]).await;
        c.expect("1").await;
        stage.is_empty_after(c).await;
    }
}

/// More than the system and the queue take together.
const MANY: usize = 400;

fn chunk(number: usize) -> (usize, String) {
    (number, "x".repeat(64 * 1024))
}

async fn a_sender_that_waits_for_a_websocket_is_woken_each_time_there_is_room(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let sent = AtomicUsize::new(0);
    let sender = async {
        for number in 0..MANY {
            socket.emit_when_ready("chunk", chunk(number)).await.unwrap();
            sent.store(number + 1, Ordering::SeqCst);
        }
    };
    let reader = async {
        stage.wait(SETTLED).await;
        assert!(sent.load(Ordering::SeqCst) < MANY, "it waits");
        for number in 0..MANY {
            let packet = c.packet().await;
            assert!(packet.starts_with(&format!(r#"2["chunk",{number},"xx"#)), "{number}");
        }
    };
    futures_util::join!(sender, reader);
    stage.is_empty_after((c, socket)).await;
}

async fn a_sender_that_waits_goes_on_through_an_upgrade(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let mut c = stage.joined_by(How::Polling).await;
    let socket = stage.server.sockets().remove(0);
    let sender = async {
        for number in 0..20 {
            socket.emit_when_ready("n", number).await.unwrap();
        }
    };
    let reader = async {
        stage.wait(SETTLED).await;
        c.upgrade().await;
        for number in 0..20 {
            c.expect(&format!(r#"2["n",{number}]"#)).await;
        }
    };
    futures_util::join!(sender, reader);
    stage.is_empty_after((c, socket)).await;
}

/// However the session ends, who waits hears of it at once, and who comes later need not wait.
async fn waiting_ends_with_the_session(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    for how in How::ALL {
        for end in 0..4 {
            let c = stage.joined_by(how).await;
            let socket = stage.server.sockets().remove(0);
            let sender = async {
                let mut number = 0;
                loop {
                    if let Err(error) = socket.emit_when_ready("chunk", chunk(number)).await {
                        break error;
                    }
                    number += 1;
                }
            };
            let ending = async {
                stage.wait(SETTLED).await;
                match end {
                    0 => socket.disconnect(),
                    1 => socket.disconnect_all(),
                    2 => socket.conn().close(),
                    // A broadcast gives up whose queue is full.
                    _ => stage.server.emit("full", ()).unwrap(),
                }
                c.quit().await;
            };
            let ended =
                timeout(&*stage.rt, Duration::from_secs(10), async { futures_util::join!(sender, ending).0 });
            let error = ended.await.unwrap_or_else(|| panic!("{how:?} {end}: nobody was woken"));
            assert!(matches!(error, EmitError::Disconnected), "{how:?} {end}: {error:?}");
            let late = socket.emit_when_ready("n", ()).await;
            assert!(matches!(late, Err(EmitError::Disconnected)), "{late:?}");
            stage.is_empty_after(socket).await;
        }
    }
}

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Two that wait in one task, as in a `select`: who gives up leaves nothing behind, and takes nothing from the other.
async fn who_gives_up_waiting_is_forgotten_alone(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let mut c = stage.joined_by(How::Polling).await;
    let socket = stage.server.sockets().remove(0);
    for number in 0..3 {
        socket.emit("n", number).unwrap();
    }
    let counted = Arc::new(Counted::default());
    let waker = Waker::from(Arc::clone(&counted));
    let alone = Arc::strong_count(&counted);
    let wait = || {
        let mut waiting = Box::pin(socket.emit_when_ready("late", ()));
        for _ in 0..3 {
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        waiting
    };
    for _ in 0..5 {
        drop(wait());
        assert_eq!(Arc::strong_count(&counted), alone, "nothing of it is left");
    }
    let (one, mut other) = (wait(), wait());
    drop(one);
    for number in 0..3 {
        c.expect(&format!(r#"2["n",{number}]"#)).await;
    }
    stage.until("the other is woken", || counted.0.load(Ordering::SeqCst) > 0).await;
    assert!(matches!(other.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(()))));
    c.expect(r#"2["late"]"#).await;
    drop(other);
    assert_eq!(Arc::strong_count(&counted), alone);
    stage.is_empty_after((c, socket)).await;
}

async fn waiting_ends_with_the_socket(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    for leaves_alone in [true, false] {
        let mut c = stage.joined_by(How::Polling).await;
        let socket = stage.server.sockets().remove(0);
        for number in 0..3 {
            socket.emit("n", number).unwrap();
        }
        let waiting = socket.emit_when_ready("n", 3);
        let leaving = async {
            stage.wait(Duration::from_millis(5)).await;
            if leaves_alone {
                c.send("1").await;
            } else {
                c.try_send_frames(&["1".to_owned()]).await.unwrap();
            }
        };
        let (sent, ()) = futures_util::join!(waiting, leaving);
        assert!(matches!(sent, Err(EmitError::Disconnected)), "{sent:?}");
        stage.is_empty_after((c, socket)).await;
    }
}

async fn a_broadcast_that_waits_gives_nobody_up(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let mut slow = stage.joined_by(How::Polling).await;
    let mut reading = stage.joined().await;
    let sender = async {
        for number in 0..20 {
            stage.server.everyone().emit_when_ready("n", number).await.unwrap();
        }
    };
    let reader = async {
        // Whoever reads has the event before the wait for others begins.
        for number in 0..4 {
            reading.expect(&format!(r#"2["n",{number}]"#)).await;
        }
        reading.expect_nothing_for(SETTLED).await;
        assert_eq!(stage.server.sockets_count(), 2);
        for number in 0..20 {
            slow.expect(&format!(r#"2["n",{number}]"#)).await;
        }
        for number in 4..20 {
            reading.expect(&format!(r#"2["n",{number}]"#)).await;
        }
    };
    futures_util::join!(sender, reader);
    stage.is_empty_after((slow, reading)).await;
}

async fn of_the_latest_a_slow_client_gets_the_newest(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut absent = stage.joined_by(How::Polling).await;
    let mut reading = stage.joined().await;
    for number in 0..5 {
        stage.server.latest().emit("position", number).unwrap();
        reading.expect(&format!(r#"2["position",{number}]"#)).await;
        stage.server.sockets()[0].latest().emit("figure", number * 10).unwrap();
    }
    // Each name keeps the place of its first that waited.
    absent.expect(r#"2["position",4]"#).await;
    absent.expect(r#"2["figure",40]"#).await;
    // Where the client listens it is sent at once.
    absent.start_poll().await;
    stage.wait(SETTLED).await;
    stage.server.latest().emit("position", 5).unwrap();
    absent.expect(r#"2["position",5]"#).await;
    reading.expect(r#"2["position",5]"#).await;
    stage.is_empty_after((absent, reading)).await;
}

async fn a_volatile_message_that_asks_fails_where_nobody_listens(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let absent = stage.joined_by(How::Polling).await;
    let mut listening = stage.joined().await;
    let sockets = stage.server.sockets();
    // An answer shows that what was sent before has left: the connection is ready.
    let ready = sockets[1].emit_with_ack::<u32, _>("r", ());
    let answering = async {
        let id = answer(&listening.packet().await);
        listening.send(&id).await;
    };
    assert_eq!(futures_util::join!(ready, answering).0.unwrap(), 1);
    let dropped = sockets[0].volatile().emit_with_ack::<u32, _>("v", ()).await;
    assert!(matches!(dropped, Err(AckError::Emit(EmitError::Dropped))), "{dropped:?}");
    let asked = sockets[1].volatile().emit_with_ack::<u32, _>("v", ());
    let answering = async {
        let id = answer(&listening.packet().await);
        listening.send(&id).await;
    };
    assert_eq!(futures_util::join!(asked, answering).0.unwrap(), 1);
    // A broadcast misses the answer of who was not asked, at once.
    let asked = stage.server.volatile().timeout(PATIENCE).emit_with_ack::<u32, _>("v", ()).unwrap();
    let answering = async {
        let id = answer(&listening.packet().await);
        listening.send(&id).await;
    };
    let (acks, ()) = futures_util::join!(asked, answering);
    assert_eq!(acks.unwrap_err().responses, [1]);
    drop(sockets);
    stage.is_empty_after((absent, listening)).await;
}

async fn a_client_that_has_no_room_for_an_answer_is_given_up(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.send_buffer(narrow())).await;
    let log = Log::default();
    stage.server.on("ask", |_: Socket, number: u32| async move { Ack(number) });
    let seen = log.clone();
    stage.server.on_with_ack("sender", move |_: Socket, (): (), ack: AckSender| {
        let seen = seen.clone();
        async move {
            match ack.send("late") {
                Err(EmitError::Full(unsent)) => seen.add(format!("{:?}", unsent.args().raw())),
                other => seen.add(format!("{other:?}")),
            }
        }
    });
    let seen = log.clone();
    stage.server.on_disconnect(move |socket: Socket, _: DisconnectReason| {
        seen.add(socket.disconnection().unwrap());
        async {}
    });
    let mut c = stage.joined_by(How::Polling).await;
    for id in 0..3 {
        c.emit_with_ack(id, "ask", json!([id])).await;
    }
    // Who answers by hand is told, and decides.
    c.emit_with_ack(3, "sender", json!([])).await;
    log.expect(&stage, &[r#"Json("\"late\"")"#]).await;
    // Nobody is told what becomes of a returned value: the client must not wait for ever.
    c.emit_with_ack(4, "ask", json!([4])).await;
    log.expect(&stage, &["transport error: send buffer exceeded"]).await;
    stage.is_empty_after(c).await;
}

/// A door that many wait at.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    async fn pass(&self) {
        std::future::poll_fn(|cx| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn open(&self) {
        let wakers = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

async fn events_that_pile_up_in_handlers_are_bounded_and_none_is_lost(rt: Arc<dyn Runtime>) {
    const EVENTS: usize = 5000;

    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let (gate, running, handled) = (Gate::default(), Arc::new(AtomicUsize::new(0)), Log::default());
        let (inside, count, seen) = (gate.clone(), Arc::clone(&running), handled.clone());
        let listener = stage.server.on("e", move |_: Socket, number: u32| {
            count.fetch_add(1, Ordering::SeqCst);
            seen.add(number);
            let inside = inside.clone();
            async move { inside.pass().await }
        });
        let mut c = stage.joined_by(how).await;
        let rt = Arc::clone(&stage.rt);
        let sender = async {
            let packets: Vec<_> = (0..EVENTS).map(|n| event_packet("", "e", json!([n]))).collect();
            for chunk in packets.chunks(500) {
                c.send_all(chunk).await;
            }
        };
        let opener = async {
            stage.until("some handlers run", || running.load(Ordering::SeqCst) >= 1000).await;
            socketio_tests::io::sleep(&*rt, Duration::from_millis(100)).await;
            let running = running.load(Ordering::SeqCst);
            assert!(running <= 1024, "{running} handlers run at once");
            gate.open();
        };
        futures_util::join!(sender, opener);
        stage.until("all are handled", || handled.len() == EVENTS).await;
        assert!(handled.lines().iter().enumerate().all(|(index, line)| *line == index.to_string()));
        stage.server.off(listener);
        stage.is_empty_after(c).await;
    }
}

/// More handlers than may run at once, each of which waits for an answer that stands behind all of them.
async fn handlers_that_all_wait_for_their_client_do_not_lock_it_out(rt: Arc<dyn Runtime>) {
    const EVENTS: u32 = 2500;

    let stage = Stage::new(rt).await;
    let sum = Arc::new(AtomicUsize::new(0));
    let total = Arc::clone(&sum);
    stage.server.on("ask", move |socket: Socket, number: u32| {
        let total = Arc::clone(&total);
        async move {
            if let Ok(answer) = socket.emit_with_ack::<usize, _>("asked", number).await {
                total.fetch_add(answer, Ordering::SeqCst);
            }
        }
    });
    for how in How::ALL {
        sum.store(0, Ordering::SeqCst);
        let mut c = stage.joined_by(how).await;
        let packets: Vec<_> = (0..EVENTS).map(|n| event_packet("", "ask", json!([n]))).collect();
        c.send_all(&packets).await;
        let mut asked = 0;
        while asked < EVENTS {
            // All that has come so far is answered at once.
            let mut answers = vec![answer(&c.packet().await)];
            while let Some(packet) = timeout(&*stage.rt, Duration::from_millis(5), c.packet()).await {
                answers.push(answer(&packet));
            }
            asked += answers.len() as u32;
            c.send_all(&answers).await;
        }
        stage.until("every answer", || sum.load(Ordering::SeqCst) == EVENTS as usize).await;
        stage.is_empty_after(c).await;
    }
}

fn answer(packet: &str) -> String {
    let id = packet[1..].split('[').next().unwrap();
    format!("3{id}[1]")
}

async fn a_client_may_leave_while_its_events_pile_up(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let gate = Gate::default();
    let inside = gate.clone();
    stage.server.on("e", move |_: Socket, (): ()| {
        let inside = inside.clone();
        async move { inside.pass().await }
    });
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    let packets = vec![event_packet("", "e", json!([])); 1500];

    // The server is told at once when it disconnects somebody itself.
    let mut c = stage.joined().await;
    c.send_all(&packets).await;
    stage.wait(Duration::from_millis(20)).await;
    stage.server.sockets()[0].disconnect();
    log.expect(&stage, &["server namespace disconnect"]).await;
    let mut other = stage.joined().await;
    other.send_all(&packets).await;
    stage.wait(Duration::from_millis(20)).await;
    stage.server.close();
    log.expect(&stage, &["server shutting down"]).await;
    stage.until("nobody is here", || stage.server.clients_count() == 0).await;
    assert_eq!(stage.server.sockets_count(), 0);
    gate.open();
    stage.is_empty_after((c, other)).await;
}

on_every_runtime!(
    a_broadcast_gives_up_only_who_does_not_read,
    a_broadcast_that_waits_gives_nobody_up,
    a_client_that_has_no_room_for_an_answer_is_given_up,
    a_client_may_leave_while_its_events_pile_up,
    a_full_queue_is_an_error_and_loses_nothing,
    a_sender_that_waits_for_a_websocket_is_woken_each_time_there_is_room,
    a_sender_that_waits_goes_at_the_pace_of_its_client,
    a_sender_that_waits_goes_on_through_an_upgrade,
    a_volatile_message_that_asks_fails_where_nobody_listens,
    a_volatile_message_is_dropped_where_nobody_listens,
    a_websocket_that_is_not_read_fills_its_queue_and_no_more,
    answers_to_what_came_in_one_read_do_not_fill_the_queue,
    nothing_that_came_with_it_is_heard_after_a_socket_was_sent_away,
    events_that_pile_up_in_handlers_are_bounded_and_none_is_lost,
    handlers_that_all_wait_for_their_client_do_not_lock_it_out,
    of_the_latest_a_slow_client_gets_the_newest,
    waiting_ends_with_the_session,
    waiting_ends_with_the_socket,
    who_gives_up_waiting_is_forgotten_alone,
);
