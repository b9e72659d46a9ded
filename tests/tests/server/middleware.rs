//! Middlewares: who may join, who may not, and who did not wait for the answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{ConnectError, Socket};
use socketio_tests::client::How;
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage, never};

async fn a_middleware_lets_in_or_turns_away_with_data(rt: Arc<dyn Runtime>) {
    #[derive(Deserialize)]
    struct Auth {
        token: String,
    }

    let stage = Stage::new(rt).await;
    stage.server.use_middleware(|socket: Socket| async move {
        match socket.handshake().auth::<Auth>() {
            Ok(auth) if auth.token == "good" => {
                socket.set_data(json!({ "user": "ann" })).unwrap();
                Ok(())
            }
            Ok(_) => Err(ConnectError::new("wrong token").with_data(json!({ "code": 7 }))),
            Err(_) => Err(ConnectError::new("no token")),
        }
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        let error = c.connect_with("/", &json!({ "token": "bad" })).await.unwrap_err();
        assert_eq!(error, json!({ "message": "wrong token", "data": { "code": 7 } }));
        let error = c.connect_with("/", &json!(null)).await.unwrap_err();
        assert_eq!(error, json!({ "message": "no token" }));
        assert_eq!((stage.server.clients_count(), stage.server.sockets_count()), (1, 0));
        c.connect_with("/", &json!({ "token": "good" })).await.unwrap();
        let socket = stage.server.sockets().remove(0);
        assert_eq!(socket.data::<serde_json::Value>().unwrap(), json!({ "user": "ann" }));
        stage.is_empty_after((c, socket)).await;
    }
}

async fn middlewares_run_one_after_the_other_until_one_refuses(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    for number in 1..=3 {
        let (seen, clock) = (log.clone(), Arc::clone(&stage.rt));
        stage.server.use_middleware(move |socket: Socket| {
            let (seen, clock) = (seen.clone(), Arc::clone(&clock));
            async move {
                seen.add(format!("{number} begins"));
                sleep(&*clock, Duration::from_millis(10)).await;
                assert!(!socket.is_connected());
                seen.add(format!("{number} ends"));
                let refused_by =
                    socket.handshake().auth::<serde_json::Value>().unwrap()["refused_by"].clone();
                if refused_by == number { Err(ConnectError::new("no")) } else { Ok(()) }
            }
        });
    }
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        seen.add(format!("connected {}", socket.is_connected()));
        async {}
    });
    let mut c = stage.client(How::Websocket).await;
    c.connect_with("/", &json!({ "refused_by": 2 })).await.unwrap_err();
    log.expect(&stage, &["1 begins", "1 ends", "2 begins", "2 ends"]).await;
    c.connect("/").await;
    let all = ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends", "connected true"];
    log.expect(&stage, &all).await;
    stage.is_empty_after(c).await;
}

async fn a_slow_middleware_holds_up_nothing_else(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.of("/slow").use_middleware(|_: Socket| async {
        never().await;
        Ok(())
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.send("0/slow,").await;
        c.connect("/").await;
        stage.server.emit("x", ()).unwrap();
        c.expect(r#"2["x"]"#).await;
        assert_eq!(stage.server.of("/slow").sockets_count(), 0, "not before it is let in");
        c.quit().await;
        stage.until("no session", || stage.server.clients_count() == 0).await;
        assert_eq!(stage.server.sockets_count(), 0);
    }
}

async fn a_client_that_leaves_during_a_middleware_never_joined(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let kept: Arc<Mutex<Vec<Socket>>> = Arc::default();
    let (seen, clock, sockets) = (log.clone(), Arc::clone(&stage.rt), Arc::clone(&kept));
    let token = Arc::new(());
    let has_left = Arc::new(AtomicBool::new(false));
    let left = Arc::clone(&has_left);
    let captured = Arc::clone(&token);
    stage.server.use_middleware(move |socket: Socket| {
        let (seen, clock, captured) = (seen.clone(), Arc::clone(&clock), Arc::clone(&captured));
        let left = Arc::clone(&left);
        sockets.lock().unwrap().push(socket.clone());
        async move {
            seen.add("asked");
            while !left.load(Ordering::Relaxed) {
                sleep(&*clock, Duration::from_millis(5)).await;
            }
            // Too late: nothing of this may stay.
            socket.join("room");
            let capture = (socket.clone(), captured);
            socket.on("x", move |_: Socket, (): ()| {
                let _ = &capture;
                async {}
            });
            seen.add(format!("answered {}", socket.emit("late", ()).is_err()));
            Ok(())
        }
    });
    for (event, seen) in [("connection", log.clone()), ("second connection", log.clone())] {
        stage.server.on_connection(move |_: Socket| {
            seen.add(event);
            async {}
        });
    }
    for seen in [log.clone(), log.clone()] {
        stage.server.on_disconnect(move |_: Socket, reason| {
            seen.add(reason);
            async {}
        });
    }
    for how in How::ALL {
        has_left.store(false, Ordering::Relaxed);
        let mut c = stage.client(how).await;
        c.send("0").await;
        log.expect(&stage, &["asked"]).await;
        c.quit().await;
        stage.until("no session", || stage.server.clients_count() == 0).await;
        has_left.store(true, Ordering::Relaxed);
        log.expect(&stage, &["answered true"]).await;
        stage.is_empty_after(()).await;
        assert!(log.is_empty(), "{:?}", log.lines());
        let socket = kept.lock().unwrap().pop().unwrap();
        assert!(!socket.is_connected());
        assert!(socket.emit("x", ()).is_err());
        assert_eq!(Arc::strong_count(&token), 2, "the case's and the middleware's");
    }
}

async fn what_a_middleware_emits_comes_before_the_answer(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.use_middleware(|socket: Socket| async move {
        socket.emit("early", 1).unwrap();
        Ok(())
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.send("0").await;
        c.expect(r#"2["early",1]"#).await;
        assert!(c.packet().await.starts_with("0{"));
        stage.is_empty_after(c).await;
    }
}

async fn handlers_set_by_a_middleware_that_lets_in_are_called(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.use_middleware(move |socket: Socket| {
        let seen = seen.clone();
        async move {
            socket.on("x", move |_: Socket, (): ()| {
                seen.add("x");
                async {}
            });
            Ok(())
        }
    });
    let mut c = stage.joined().await;
    c.emit("x", json!([])).await;
    log.expect(&stage, &["x"]).await;
    stage.is_empty_after(c).await;
}

async fn rooms_entered_in_a_middleware_are_kept_by_who_is_let_in(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let clock = Arc::clone(&stage.rt);
    stage.server.use_middleware(move |socket: Socket| {
        let clock = Arc::clone(&clock);
        async move {
            assert_eq!(socket.rooms(), []);
            socket.join(["vip", "left", "vip"]);
            socket.leave("left");
            assert_eq!(socket.rooms().len(), 1);
            sleep(&*clock, Duration::from_millis(5)).await;
            assert_eq!(socket.namespace().to("vip").sockets(), [], "not before it is let in");
            let wanted = socket.handshake().auth::<serde_json::Value>().unwrap();
            if wanted["refuse"] == true { Err(ConnectError::new("no")) } else { Ok(()) }
        }
    });
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        seen.add(format!("{:?}", &socket.rooms()[1..]));
        async {}
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.connect_with("/", &json!({ "refuse": true })).await.unwrap_err();
        assert_eq!(stage.server.rooms(), []);
        c.connect("/").await;
        log.expect(&stage, &[r#"["vip"]"#]).await;
        stage.server.to("vip").emit("x", ()).unwrap();
        c.expect(r#"2["x"]"#).await;
        stage.is_empty_after(c).await;
    }
}

/// Handlers often capture their socket. That of a socket which was turned away must not keep it in memory.
async fn handlers_set_by_a_middleware_that_refuses_are_dropped(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let token = Arc::new(());
    let captured = Arc::clone(&token);
    stage.server.use_middleware(move |socket: Socket| {
        let capture = (socket.clone(), Arc::clone(&captured));
        socket.on("x", move |_: Socket, (): ()| {
            let _ = &capture;
            async {}
        });
        async { Err(ConnectError::new("no")) }
    });
    let mut c = stage.client(How::Websocket).await;
    c.connect_with("/", &json!(null)).await.unwrap_err();
    stage.is_empty_after(c).await;
    assert_eq!(Arc::strong_count(&token), 2, "the case's and the middleware's");
}

on_every_runtime!(
    a_client_that_leaves_during_a_middleware_never_joined,
    a_middleware_lets_in_or_turns_away_with_data,
    a_slow_middleware_holds_up_nothing_else,
    handlers_set_by_a_middleware_that_lets_in_are_called,
    handlers_set_by_a_middleware_that_refuses_are_dropped,
    rooms_entered_in_a_middleware_are_kept_by_who_is_let_in,
    middlewares_run_one_after_the_other_until_one_refuses,
    what_a_middleware_emits_comes_before_the_answer,
);
