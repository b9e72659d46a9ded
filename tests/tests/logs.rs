//! What is logged of a client's life. In a process of its own: whoever logs first decides what is kept.

use std::sync::Arc;

use socketio_driver::{ConnectError, Socket};
use socketio_tests::client::{Client, Gone, How};
use socketio_tests::every_runtime::on_tokio;
use socketio_tests::logs;
use socketio_tests::stage::Stage;
use tracing::Level;

#[test]
fn a_client_can_be_followed_in_the_log() {
    logs::keep_up_to(Level::DEBUG);
    on_tokio("logs", |rt| async move {
        let stage = Stage::new(Arc::clone(&rt)).await;
        stage.server.of("/closed").use_middleware(|_: Socket| async { Err(ConnectError::new("not today")) });
        let refused = Client::try_polling(&rt, stage.at, "&transport=nothing").await;
        assert!(matches!(refused, Err(Gone::Refused(400, _))), "{refused:?}");

        let mut c = stage.client(How::Polling).await;
        let sid = c.sid().to_owned();
        let socket = c.connect("/").await;
        c.connect_with("/closed", &serde_json::json!({})).await.unwrap_err();
        c.upgrade().await;
        stage.until("it moved", || !logs::containing("upgraded").is_empty()).await;
        c.send("7").await;
        assert_eq!(c.expect_end().await, Gone::CloseFrame(None));
        stage.is_empty_after(c).await;

        for (who, what) in [
            ("method=\"GET\" code=0", "request refused"),
            (&*sid, "session opened"),
            (&*socket, "socket connected"),
            ("not today", "refused by a middleware"),
            (&*sid, "upgraded"),
            (&*sid, "closed: the client broke the protocol"),
            (&*socket, "socket left"),
            (&*sid, "session closed"),
        ] {
            let lines = logs::containing(who);
            assert!(lines.iter().any(|line| line.contains(what)), "{what} is not in {lines:#?}");
        }
    });
}
