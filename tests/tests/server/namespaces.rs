//! Namespaces: several on one connection, each with its own sockets, handlers and end.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Namespace, Socket};
use socketio_tests::client::{Gone, How};
use socketio_tests::every_runtime::on_tokio;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, SETTLED, Stage};

async fn a_connection_carries_several_namespaces(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let admin = stage.server.of("/admin");
    stage.server.on("where", |_: Socket, (): ()| async { Ack("root") });
    admin.on("where", |_: Socket, (): ()| async { Ack("admin") });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        let (root_id, admin_id) = (c.connect("/").await, c.connect("/admin").await);
        assert_ne!(root_id, admin_id);
        assert_eq!(
            (stage.server.clients_count(), stage.server.sockets_count(), admin.sockets_count()),
            (1, 1, 1)
        );
        c.emit_with_ack(1, "where", json!([])).await;
        c.expect(r#"31["root"]"#).await;
        c.send(r#"2/admin,1["where"]"#).await;
        c.expect(r#"3/admin,1["admin"]"#).await;
        admin.emit("news", 1).unwrap();
        c.expect(r#"2/admin,["news",1]"#).await;
        stage.is_empty_in_after(&["/admin"], c).await;
    }
}

async fn an_unknown_namespace_is_refused_and_the_others_stay(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let error = c.connect_with("/nobody", &json!(null)).await.unwrap_err();
        assert_eq!(error, json!({ "message": "Invalid namespace" }));
        stage.server.emit("still", "here").unwrap();
        c.expect(r#"2["still","here"]"#).await;
        stage.is_empty_after(c).await;
    }
}

async fn who_leaves_a_namespace_stays_in_the_others_and_may_come_back(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let admin = stage.server.of("admin");
    assert_eq!(admin.name(), "/admin");
    let log = Log::default();
    let seen = log.clone();
    admin.on_disconnect(move |_: Socket, reason| {
        seen.add(reason);
        async {}
    });
    for how in How::ALL {
        let mut c = stage.client(how).await;
        c.connect("/").await;
        let first = c.connect("/admin").await;
        c.send("1/admin,").await;
        log.expect(&stage, &["client namespace disconnect"]).await;
        assert_eq!((stage.server.sockets_count(), admin.sockets_count()), (1, 0));
        let second = c.connect("/admin").await;
        assert_ne!(first, second);

        admin.sockets()[0].disconnect();
        c.expect("1/admin,").await;
        log.expect(&stage, &["server namespace disconnect"]).await;
        assert_eq!((stage.server.sockets_count(), admin.sockets_count()), (1, 0));
        stage.is_empty_in_after(&["/admin"], c).await;
    }
}

async fn leaving_the_last_namespace_does_not_end_the_connection(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    c.send("1").await;
    stage.until("no socket", || stage.server.sockets_count() == 0).await;
    assert_eq!(stage.server.clients_count(), 1);
    c.connect("/").await;
    stage.is_empty_after(c).await;
}

async fn a_family_by_name_takes_who_is_asked_for_by_the_application_too(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let rooms = stage.server.of_matching(|name| name.starts_with("/room-"));
    let later = stage.server.of_matching(|name| name.starts_with("/room"));
    for (family, name) in [(&rooms, "rooms"), (&later, "later")] {
        let seen = log.clone();
        family.on_connection(move |socket: Socket| {
            seen.add(format!("{name} {}", socket.namespace().name()));
            async {}
        });
    }
    let plain = stage.server.of("/hall");
    let mine = stage.server.of("room-1");
    assert_eq!(rooms.children().iter().map(Namespace::name).collect::<Vec<_>>(), ["/room-1"]);
    assert!(later.children().is_empty());
    let mut c = stage.websocket().await;
    for name in ["/room-1", "/room-2", "/room3", "/hall"] {
        c.connect(name).await;
    }
    log.expect(&stage, &["rooms /room-1", "rooms /room-2", "later /room3"]).await;
    rooms.emit("all", 1).unwrap();
    c.expect(r#"2/room-1,["all",1]"#).await;
    c.expect(r#"2/room-2,["all",1]"#).await;
    mine.emit("mine", ()).unwrap();
    c.expect(r#"2/room-1,["mine"]"#).await;
    assert_eq!(plain.sockets_count(), 1);
    stage.is_empty_in_after(&["/room-1", "/room-2", "/room3", "/hall"], c).await;
}

async fn clients_cannot_make_more_namespaces_than_the_limit(rt: Arc<dyn Runtime>) {
    let stage =
        Stage::with(rt, |options| options.max_dynamic_namespaces(2).cleanup_empty_child_namespaces(true))
            .await;
    stage.server.of_matching(|_| true);
    let mut c = stage.joined().await;
    c.connect("/a").await;
    c.connect("/b").await;
    c.connect_with("/c", &json!(null)).await.unwrap_err();
    // Those that exist can be joined, and one that is gone makes room.
    let mut other = stage.websocket().await;
    other.connect("/a").await;
    c.send("1/b,").await;
    stage.until("it is cleaned up", || stage.server.namespaces().len() == 2).await;
    c.connect("/c").await;
    stage.is_empty_in_after(&[], (c, other)).await;
}

async fn who_has_left_everything_may_be_given_a_time(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.idle_timeout(Some(Duration::from_millis(100)))).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.expect_nothing_for(Duration::from_millis(150)).await;
        c.send("1").await;
        let end = if how == How::Polling { Gone::ClosePacket } else { Gone::CloseFrame(None) };
        assert_eq!(c.expect_end().await, end);
        stage.is_empty_after(c).await;
    }
}

/// Two clients want a namespace that does not exist: the second one comes while the application is still told of it.
#[test]
fn nobody_enters_a_namespace_before_the_application_has_heard_of_it() {
    on_tokio("nobody_enters_a_namespace_before_the_application_has_heard_of_it", async |rt| {
        let stage = Stage::new(rt).await;
        stage.server.of_matching(|name| name == "/new");
        let log = Log::default();
        let (told, is_told) = channel();
        let (go_on, may_go_on) = channel();
        let (may_go_on, seen) = (Mutex::new(may_go_on), log.clone());
        stage.server.on_new_namespace(move |space: &Namespace| {
            told.send(()).unwrap();
            tokio::task::block_in_place(|| may_go_on.lock().unwrap().recv().unwrap());
            let seen = seen.clone();
            space.on_connection(move |_: Socket| {
                seen.add("entered");
                async {}
            });
        });
        let (mut first, mut second) = (stage.websocket().await, stage.websocket().await);
        first.send("0/new,").await;
        while is_told.try_recv().is_err() {
            stage.wait(Duration::from_millis(1)).await;
        }
        second.send("0/new,").await;
        second.expect_nothing_for(SETTLED).await;
        assert!(log.is_empty());
        go_on.send(()).unwrap();
        for client in [&mut first, &mut second] {
            assert!(client.packet().await.starts_with(r#"0/new,{"sid":"#));
        }
        log.expect(&stage, &["entered", "entered"]).await;
        stage.is_empty_in_after(&["/new"], vec![first, second]).await;
    });
}

on_every_runtime!(
    clients_cannot_make_more_namespaces_than_the_limit,
    who_has_left_everything_may_be_given_a_time,
    a_family_by_name_takes_who_is_asked_for_by_the_application_too,
    a_connection_carries_several_namespaces,
    an_unknown_namespace_is_refused_and_the_others_stay,
    leaving_the_last_namespace_does_not_end_the_connection,
    who_leaves_a_namespace_stays_in_the_others_and_may_come_back,
);
