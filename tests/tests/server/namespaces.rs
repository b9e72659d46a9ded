//! Namespaces: several on one connection, each with its own sockets, handlers and end.

use std::sync::Arc;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Socket};
use socketio_tests::client::How;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

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

on_every_runtime!(
    a_connection_carries_several_namespaces,
    an_unknown_namespace_is_refused_and_the_others_stay,
    leaving_the_last_namespace_does_not_end_the_connection,
    who_leaves_a_namespace_stays_in_the_others_and_may_come_back,
);
