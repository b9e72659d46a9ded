//! Shutting down in order: who is told what, who is waited for, and for how long.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{DisconnectReason, Shutdown, Socket};
use socketio_tests::client::{Gone, How, Http, PATH};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage, never};

/// Longer than any client needs, and short enough to wait for.
const PATIENCE: Duration = Duration::from_secs(5);
/// For those that do not go by themselves.
const IMPATIENCE: Duration = Duration::from_millis(100);

async fn clients_that_listen_get_what_is_queued_and_go(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        seen.add(reason);
        async {}
    });
    let mut ws = stage.joined().await;
    let mut polling = stage.joined_by(How::Polling).await;
    let mut waiting = stage.joined_by(How::Polling).await;
    waiting.start_poll().await;
    // Not sure to be there yet, and that is all right: it is answered when it comes.
    stage.server.emit("last", json!("words")).unwrap();
    let start = rt.now();

    let server = stage.server.clone();
    let done = Log::default();
    let report = done.clone();
    rt.spawn(Box::pin(async move {
        let Shutdown { left, cut } = server.shutdown(PATIENCE).await;
        report.add(format!("{left} left, {cut} cut"));
    }));
    log.expect(&stage, &["server shutting down"; 3]).await;
    for c in [&mut ws, &mut polling, &mut waiting] {
        c.expect(r#"2["last","words"]"#).await;
    }
    // No DISCONNECT: the clients are to come back.
    assert_eq!(polling.expect_end().await, Gone::ClosePacket);
    assert_eq!(waiting.expect_end().await, Gone::ClosePacket);
    assert!(done.is_empty(), "one is still here");
    assert_eq!(ws.expect_end().await, Gone::CloseFrame(None));
    drop((ws, polling, waiting));
    done.expect(&stage, &["3 left, 0 cut"]).await;
    assert!(rt.now() < start + PATIENCE, "nobody was waited for in vain");
    stage.until("the listener is gone", || stage.tasks() == 0).await;
}

async fn clients_that_do_not_listen_are_cut_at_the_deadline(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let idle = stage.joined_by(How::Polling).await;
    let mut good = stage.joined().await;
    let start = rt.now();
    let server = stage.server.clone();
    let (good, report) = {
        let log = Log::default();
        let told = log.clone();
        rt.spawn(Box::pin(async move {
            let report = server.shutdown(IMPATIENCE).await;
            told.add(format!("{} left, {} cut", report.left, report.cut));
        }));
        assert_eq!(good.expect_end().await, Gone::CloseFrame(None));
        (good, log)
    };
    drop(good);
    report.expect(&stage, &["1 left, 1 cut"]).await;
    assert!(rt.now() >= start + IMPATIENCE);
    stage.until("no session is left", || stage.server.clients_count() == 0).await;
    drop(idle);
    stage.until("nothing is left", || stage.tasks() == 0).await;
}

async fn a_handler_is_waited_for(rt: Arc<dyn Runtime>) {
    for (pause, expected) in [(Some(IMPATIENCE), "1 left, 0 cut"), (None, "0 left, 1 cut")] {
        let stage = Stage::new(Arc::clone(&rt)).await;
        let log = Log::default();
        let (seen, clock) = (log.clone(), Arc::clone(&rt));
        stage.server.on_disconnect(move |_: Socket, _: DisconnectReason| {
            let (seen, clock) = (seen.clone(), clock.clone());
            async move {
                match pause {
                    Some(pause) => sleep(&*clock, pause).await,
                    None => never().await,
                }
                seen.add("saved");
            }
        });
        let mut c = stage.joined().await;
        let (server, told) = (stage.server.clone(), Log::default());
        let report = told.clone();
        let patience = pause.map_or(IMPATIENCE, |_| PATIENCE);
        rt.spawn(Box::pin(async move {
            let Shutdown { left, cut } = server.shutdown(patience).await;
            report.add(format!("{left} left, {cut} cut"));
        }));
        assert_eq!(c.expect_end().await, Gone::CloseFrame(None));
        drop(c);
        told.expect(&stage, &[expected]).await;
        assert_eq!(log.len(), usize::from(pause.is_some()));
    }
}

async fn nobody_is_let_in_meanwhile(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    let idle = stage.joined_by(How::Polling).await;
    let (server, done) = (stage.server.clone(), Log::default());
    let told = done.clone();
    rt.spawn(Box::pin(async move {
        let Shutdown { left, cut } = server.shutdown(PATIENCE).await;
        told.add(format!("{left} left, {cut} cut"));
    }));
    stage.until("it has begun", || stage.server.sockets_count() == 0).await;
    for transport in ["polling", "websocket"] {
        let target = format!("{PATH}?EIO=4&transport={transport}");
        let mut http = Http::connect(&*rt, stage.at).await.unwrap();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
        let more = if transport == "websocket" { upgrade } else { "" };
        http.send(format!("GET {target} HTTP/1.1\r\nHost: server\r\n{more}\r\n").as_bytes()).await.unwrap();
        assert_eq!(http.response().await.unwrap().status, 503, "{transport}");
    }
    // Whoever was here is still served, on a new connection if need be.
    let mut http = Http::connect(&*rt, stage.at).await.unwrap();
    let response = http.fetch(&idle.target()).await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "6\x1e1"));
    done.expect(&stage, &["1 left, 0 cut"]).await;
    stage.until("nothing is left", || stage.tasks() == 0).await;
}

async fn an_empty_server_goes_at_once(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    for _ in 0..2 {
        assert_eq!(stage.server.shutdown(Duration::from_secs(3600)).await, Shutdown { left: 0, cut: 0 });
    }
    stage.server.closed().await;
    stage.until("nothing is left", || stage.tasks() == 0).await;
}

on_every_runtime!(
    clients_that_listen_get_what_is_queued_and_go,
    clients_that_do_not_listen_are_cut_at_the_deadline,
    a_handler_is_waited_for,
    nobody_is_let_in_meanwhile,
    an_empty_server_goes_at_once,
);
