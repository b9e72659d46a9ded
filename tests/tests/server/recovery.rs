//! Connection state recovery, as far as only an application can see it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use socketio_driver::runtime::Runtime;
use socketio_driver::{RecoveryConfig, RoomEvent, Socket};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

/// A client that was told its private id and received one event, and is gone again.
async fn cut(stage: &Stage) -> Value {
    let mut c = stage.websocket().await;
    c.send("0").await;
    let connect: Value = serde_json::from_str(&c.packet().await[1..]).unwrap();
    stage.server.emit("before", ()).unwrap();
    let event: Value = serde_json::from_str(&c.packet().await[1..]).unwrap();
    drop(c);
    stage.until("it is gone", || stage.server.clients_count() == 0).await;
    json!({ "pid": connect["pid"], "offset": event[1] })
}

async fn middlewares_are_skipped_unless_they_are_not_to_be(rt: Arc<dyn Runtime>) {
    for skip_middlewares in [true, false] {
        let config = RecoveryConfig { skip_middlewares, ..RecoveryConfig::default() };
        let stage = Stage::with(Arc::clone(&rt), |options| options.connection_state_recovery(config)).await;
        let stage = stage.keeping();
        let log = Log::default();
        let asked = log.clone();
        stage.server.use_middleware(move |_: Socket| {
            asked.add("asked");
            async { Ok(()) }
        });
        let seen = log.clone();
        stage.server.on_connection(move |socket: Socket| {
            seen.add(if socket.is_recovered() { "recovered" } else { "new" });
            async {}
        });
        let claim = cut(&stage).await;
        log.expect(&stage, &["asked", "new"]).await;
        stage.server.emit("missed", ()).unwrap();
        let mut c = stage.websocket().await;
        c.send(&format!("0{claim}")).await;
        assert!(c.packet().await.starts_with(r#"2["missed","#));
        assert!(c.packet().await.starts_with("0{"));
        let lines: &[&str] = if skip_middlewares { &["recovered"] } else { &["asked", "recovered"] };
        log.expect(&stage, lines).await;
        stage.is_empty_after(c).await;
    }
}

/// The task that forgets is there as long as there is something to forget.
async fn what_was_kept_is_forgotten_in_time_even_if_nobody_comes(rt: Arc<dyn Runtime>) {
    let max_disconnection_duration = Duration::from_millis(100);
    let config = RecoveryConfig { max_disconnection_duration, ..RecoveryConfig::default() };
    let stage = Stage::with(rt, |options| options.connection_state_recovery(config)).await;
    for _ in 0..2 {
        let start = stage.rt.now();
        cut(&stage).await;
        // On a machine that was busy for so long it may be over already.
        let is_over = || stage.rt.now().saturating_since(start) >= max_disconnection_duration;
        stage.until("who is kept is looked after", || stage.tasks() == 2 || is_over()).await;
        stage.until("all is forgotten", || stage.tasks() == 1).await;
        assert!(stage.rt.now().saturating_since(start) >= max_disconnection_duration);
    }
    // Nor does it outlive the server.
    let stage = Stage::with(Arc::clone(&stage.rt), |options| {
        options.connection_state_recovery(RecoveryConfig::default())
    })
    .await;
    let claim = cut(&stage).await;
    assert!(claim["pid"].is_string());
    stage.server.close();
    stage.until("no task is left", || stage.tasks() == 0).await;
}

/// What a listener sends is kept in the log, under whose lock a client is seated.
async fn who_listens_to_rooms_may_send_when_somebody_comes(rt: Arc<dyn Runtime>) {
    let config = RecoveryConfig::default();
    let stage = Stage::with(rt, |options| options.connection_state_recovery(config)).await.keeping();
    let server = stage.server.clone();
    let listener = stage.server.on_room_event(move |event| {
        if let RoomEvent::Create(_) = event {
            server.emit("room", ()).unwrap();
        }
    });
    let mut claim = json!({});
    for recovered in [false, true] {
        let mut c = stage.websocket().await;
        c.send(&format!("0{claim}")).await;
        let connect: Value = serde_json::from_str(&c.packet().await[1..]).unwrap();
        assert_eq!(claim.get("pid").is_some_and(|pid| *pid == connect["pid"]), recovered);
        let event: Value = serde_json::from_str(&c.packet().await[1..]).unwrap();
        assert_eq!(event[0], "room");
        claim = json!({ "pid": connect["pid"], "offset": event[1] });
        drop(c);
        stage.until("it is gone", || stage.server.clients_count() == 0).await;
    }
    assert!(stage.server.off(listener));
}

on_every_runtime!(
    who_listens_to_rooms_may_send_when_somebody_comes,
    middlewares_are_skipped_unless_they_are_not_to_be,
    what_was_kept_is_forgotten_in_time_even_if_nobody_comes,
);
