//! Acknowledgements, both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, AckSender, Bytes, Socket};
use socketio_tests::client::How;
use socketio_tests::every_runtime::{SEEDS, in_simulation};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage, never};

const SHORT: Duration = Duration::from_millis(40);

async fn a_return_value_is_the_acknowledgement(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let on = &stage.server;
    on.on("one", |_: Socket, text: String| async move { Ack(text.len()) });
    on.on("two", |_: Socket, (): ()| async { Ack(("a", 2)) });
    on.on("none", |_: Socket, (): ()| async { Ack(()) });
    on.on("bytes", |_: Socket, (): ()| async { Ack(Bytes::from_static(b"raw")) });
    on.on("divide", |_: Socket, (a, b): (u32, u32)| async move { a.checked_div(b).ok_or("by zero") });
    on.on("silent", |_: Socket, (): ()| async {});
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.emit_with_ack(0, "one", json!(["héé"])).await;
        c.expect("30[5]").await;
        c.emit_with_ack(1, "two", json!([])).await;
        c.expect(r#"31["a",2]"#).await;
        c.emit_with_ack(2, "none", json!([])).await;
        c.expect("32[]").await;
        c.emit_with_ack(3, "bytes", json!([])).await;
        c.expect(r#"61-3[{"_placeholder":true,"num":0}]"#).await;
        assert_eq!(c.attachment().await, b"raw");
        c.emit_with_ack(4, "divide", json!([7, 2])).await;
        c.expect("34[3]").await;
        c.emit_with_ack(5, "divide", json!([7, 0])).await;
        c.expect(r#"35["by zero"]"#).await;
        // Neither a handler without a value nor an event without an id is answered.
        c.emit_with_ack(6, "silent", json!([])).await;
        c.emit("one", json!(["x"])).await;
        c.emit_with_ack(7, "none", json!([])).await;
        c.expect("37[]").await;
        stage.is_empty_after(c).await;
    }
}

async fn a_handler_may_answer_later_and_only_once(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let clock = Arc::clone(&stage.rt);
    stage.server.on_with_ack("later", move |_: Socket, number: u32, ack: AckSender| {
        let clock = Arc::clone(&clock);
        async move {
            let spawner = Arc::clone(&clock);
            spawner.spawn(Box::pin(async move {
                sleep(&*clock, SHORT).await;
                ack.send((number, "done")).unwrap();
            }));
        }
    });
    stage.server.on_with_ack("never", |_: Socket, (): (), ack: AckSender| async move { drop(ack) });
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_with_ack("wanted", move |_: Socket, (): (), ack: AckSender| {
        seen.add(ack.is_wanted());
        async { ack.send("unasked").unwrap() }
    });
    let mut c = stage.joined().await;
    c.emit_with_ack(0, "later", json!([1])).await;
    c.emit_with_ack(1, "never", json!([])).await;
    c.emit("wanted", json!([])).await;
    c.emit_with_ack(3, "wanted", json!([])).await;
    c.expect(r#"33["unasked"]"#).await;
    c.expect(r#"30[1,"done"]"#).await;
    assert_eq!(log.lines(), ["false", "true"]);
    c.expect_nothing_for(SHORT).await;
    stage.is_empty_after(c).await;
}

async fn an_awaited_acknowledgement_is_what_the_client_answers(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        let one = socket.emit_with_ack::<u32, _>("one", "x");
        let id = ack_id(&c.packet().await, r#"["one","x"]"#);
        // Unknown ids and second answers are ignored.
        c.send(&format!("3{}[0]", id + 1000)).await;
        c.send(&format!("3{id}[42]")).await;
        assert_eq!(one.await.unwrap(), 42);
        c.send(&format!("3{id}[43]")).await;

        let several = socket.emit_with_ack::<(String, Bytes), _>("several", ());
        let next = ack_id(&c.packet().await, r#"["several"]"#);
        assert_eq!(next, id + 1);
        c.send(&format!(r#"61-{next}["a",{{"_placeholder":true,"num":0}}]"#)).await;
        c.send_binary(b"raw").await;
        assert_eq!(several.await.unwrap(), ("a".to_owned(), Bytes::from_static(b"raw")));

        let mistyped = socket.emit_with_ack::<u32, _>("mistyped", ());
        let id = ack_id(&c.packet().await, r#"["mistyped"]"#);
        c.send(&format!(r#"3{id}["text"]"#)).await;
        assert!(matches!(mistyped.await, Err(AckError::Decode(_))));
        stage.is_empty_after((c, socket)).await;
    }
}

async fn an_acknowledgement_that_does_not_come_in_time_is_an_error(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let start = stage.rt.now();
    let answer = socket.timeout(SHORT).emit_with_ack::<u32, _>("x", ());
    assert!(matches!(answer.await, Err(AckError::TimedOut)));
    assert!(stage.rt.now().saturating_since(start) >= SHORT);
    // The late answer is ignored, and the connection goes on.
    let id = ack_id(&c.packet().await, r#"["x"]"#);
    c.send(&format!("3{id}[1]")).await;
    let answer = socket.timeout(Duration::from_secs(10)).emit_with_ack::<u32, _>("y", ());
    let id = ack_id(&c.packet().await, r#"["y"]"#);
    c.send(&format!("3{id}[2]")).await;
    assert_eq!(answer.await.unwrap(), 2);
    stage.is_empty_after((c, socket)).await;
}

async fn a_socket_that_leaves_fails_its_acknowledgements(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        let waiting = socket.emit_with_ack::<u32, _>("x", ());
        ack_id(&c.packet().await, r#"["x"]"#);
        c.send("1").await;
        assert!(matches!(waiting.await, Err(AckError::Disconnected)));
        assert!(matches!(socket.emit_with_ack::<u32, _>("x", ()).await, Err(AckError::Disconnected)));
        stage.is_empty_after((c, socket)).await;

        let c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        let waiting = socket.emit_with_ack::<u32, _>("x", ());
        c.quit().await;
        assert!(matches!(waiting.await, Err(AckError::Disconnected)));
        stage.is_empty_after(socket).await;
    }
}

/// A waker that is kept wherever a future is waited for.
#[derive(Debug, Default)]
struct Traced(AtomicUsize);

impl Wake for Traced {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn a_dropped_future_leaves_nothing_that_waits(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let traced = Arc::new(Traced::default());
    let waker = Waker::from(Arc::clone(&traced));
    let alone = Arc::strong_count(&traced);
    let mut future = Box::pin(socket.emit_with_ack::<u32, _>("x", ()));
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(Arc::strong_count(&traced) > alone);
    drop(future);
    assert_eq!(Arc::strong_count(&traced), alone, "the entry is gone with the future");
    // The event was sent all the same, and its answer interests nobody.
    let id = ack_id(&c.packet().await, r#"["x"]"#);
    c.send(&format!("3{id}[1]")).await;
    socket.emit("y", ()).unwrap();
    c.expect(r#"2["y"]"#).await;
    assert_eq!(traced.0.load(Ordering::SeqCst), 0);
    stage.is_empty_after((c, socket)).await;
}

async fn awaiting_an_acknowledgement_in_a_handler_stalls_nothing(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.on("ask", |socket: Socket, number: u32| async move {
        Ack(socket.emit_with_ack::<u32, _>("asked", number).await.unwrap() + 1)
    });
    stage.server.on("other", |_: Socket, (): ()| async { Ack("at once") });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.emit_with_ack(0, "ask", json!([1])).await;
        c.emit_with_ack(1, "ask", json!([2])).await;
        let first = ack_id(&c.packet().await, r#"["asked",1]"#);
        let second = ack_id(&c.packet().await, r#"["asked",2]"#);
        c.emit_with_ack(2, "other", json!([])).await;
        c.expect(r#"32["at once"]"#).await;
        c.send(&format!("3{second}[20]")).await;
        c.expect("31[21]").await;
        c.send(&format!("3{first}[10]")).await;
        c.expect("30[11]").await;
        stage.is_empty_after(c).await;
    }
}

async fn a_broadcast_collects_the_answer_of_each_client(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut a, mut b) = (stage.joined().await, stage.joined_by(How::Polling).await);
    let all = stage.server.timeout(Duration::from_secs(5));
    let answers = all.emit_with_ack::<u32, _>("x", ()).unwrap();
    let id = ack_id(&a.packet().await, r#"["x"]"#);
    assert_eq!(ack_id(&b.packet().await, r#"["x"]"#), id, "one id for all");
    b.send(&format!(r#"3{id}[2,"the rest is ignored"]"#)).await;
    a.send(&format!("3{id}[1]")).await;
    let mut answers = answers.await.unwrap();
    answers.sort_unstable();
    assert_eq!(answers, [1, 2]);

    let hasty = stage.server.timeout(SHORT).emit_with_ack::<u32, _>("y", ()).unwrap();
    let id = ack_id(&a.packet().await, r#"["y"]"#);
    a.send(&format!("3{id}[7]")).await;
    assert_eq!(hasty.await.unwrap_err().responses, [7]);

    let left = all.emit_with_ack::<u32, _>("z", ()).unwrap();
    ack_id(&b.packet().await, r#"["y"]"#);
    let id = ack_id(&b.packet().await, r#"["z"]"#);
    a.quit().await;
    b.send(&format!("3{id}[8]")).await;
    assert_eq!(left.await.unwrap_err().responses, [8]);

    let nobody = stage.server.to("nobody").emit_with_ack::<u32, _>("x", ()).unwrap();
    assert_eq!(nobody.await.unwrap(), [0; 0]);
    stage.is_empty_after(b).await;
}

/// In simulation alone: elsewhere it takes as long as it says.
#[test]
fn a_broadcast_of_which_nobody_said_how_long_it_waits_waits_five_seconds() {
    in_simulation(SEEDS, async |rt: Arc<dyn Runtime>| {
        let stage = Stage::new(rt).await;
        let (mut a, mut b) = (stage.joined().await, stage.joined_by(How::Polling).await);
        let start = stage.rt.now();
        let answers = stage.server.everyone().emit_with_ack::<u32, _>("x", ()).unwrap();
        let id = ack_id(&a.packet().await, r#"["x"]"#);
        stage.wait(Duration::from_millis(4_900)).await;
        a.send(&format!("3{id}[1]")).await;
        assert_eq!(answers.await.unwrap_err().responses, [1]);
        let waited = stage.rt.now().saturating_since(start);
        assert!((Duration::from_secs(5)..Duration::from_millis(5_010)).contains(&waited), "{waited:?}");
        // Too late, and nothing to anybody.
        assert_eq!(ack_id(&b.packet().await, r#"["x"]"#), id);
        b.send(&format!("3{id}[2]")).await;
        stage.is_empty_after((a, b)).await;
    });
}

async fn a_handler_that_waits_for_ever_goes_with_the_server_and_not_before(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("wait", move |socket: Socket, (): ()| {
        let seen = seen.clone();
        async move {
            // The client leaves: what is awaited of it ends, and so does the handler.
            let answer = socket.emit_with_ack::<(), _>("x", ()).await;
            seen.add(format!("{}", answer.unwrap_err()));
            if socket.is_connected() {
                never().await;
            }
        }
    });
    let mut c = stage.joined().await;
    c.emit("wait", json!([])).await;
    ack_id(&c.packet().await, r#"["x"]"#);
    c.quit().await;
    log.expect(&stage, &["socket has been disconnected"]).await;
    stage.is_empty_after(()).await;
}

/// The id of an event packet that asks for an acknowledgement, and is `rest` otherwise.
fn ack_id(packet: &str, rest: &str) -> u64 {
    let id = packet.strip_prefix('2').and_then(|tail| tail.strip_suffix(rest));
    id.and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{packet} is not {rest} with an id"))
}

/// As in the reference (REFERENCE 3.5), whether they answer at once or later.
async fn of_several_handlers_the_first_to_answer_does(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.on("both", |_: Socket, (): ()| async { Ack("namespace") });
    stage.server.on("one-is-silent", |_: Socket, (): ()| async {});
    stage.server.on_connection(|socket| async move {
        socket.on("both", |_: Socket, (): ()| async { Ack("socket") });
        socket.on("one-is-silent", |_: Socket, (): ()| async { Ack("the other") });
    });
    let mut c = stage.joined().await;
    c.emit_with_ack(0, "both", json!([])).await;
    c.expect(r#"30["namespace"]"#).await;
    c.emit_with_ack(1, "one-is-silent", json!([])).await;
    c.expect(r#"31["the other"]"#).await;
    stage.is_empty_after(c).await;
}

on_every_runtime!(
    a_broadcast_collects_the_answer_of_each_client,
    a_dropped_future_leaves_nothing_that_waits,
    a_handler_may_answer_later_and_only_once,
    a_handler_that_waits_for_ever_goes_with_the_server_and_not_before,
    a_return_value_is_the_acknowledgement,
    a_socket_that_leaves_fails_its_acknowledgements,
    an_acknowledgement_that_does_not_come_in_time_is_an_error,
    an_awaited_acknowledgement_is_what_the_client_answers,
    of_several_handlers_the_first_to_answer_does,
    awaiting_an_acknowledgement_in_a_handler_stalls_nothing,
);
