//! Credentials, and sockets that share a connection.

use super::*;
use crate::engine::buffer::Compression;

#[test]
fn a_socket_connects_with_its_credentials() {
    let mut client = Client::new(Config::default());
    assert_eq!(client.manager.status(), Status::Stopped);
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["ws 0"]);
    assert_eq!(client.manager.status(), Status::Opening);
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?"]);
    assert_eq!(client.manager.status(), Status::Open);
    client.authenticate(Some(json!({ "token": "x" })));
    assert_eq!(client.drain(), [r#"40{"token":"x"}"#]);
    assert!(!client.manager.is_connected(ROOT) && client.manager.is_active(ROOT));
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["connected A"]);
    assert_eq!(client.manager.id(ROOT), Some(&Sid::from("A")));
    assert_eq!(client.manager.engine_id(), Some(&Sid::from("S")));
    // Connecting what is connected does nothing.
    client.manager.connect(ROOT, client.now);
    client.manager.open(client.now);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn credentials_that_are_no_object_are_refused_and_may_be_given_again() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, ticket) = client.ticket.unwrap();
    let refused = client.manager.authenticate(slot, ticket, Some(&"token"));
    assert!(matches!(refused, Err(AuthError::Encode(EncodeError::Serialize { .. }))), "{refused:?}");
    assert_eq!(client.manager.authenticate(slot, ticket, None::<&()>), Ok(()));
    assert_eq!(client.drain(), ["40"]);
    assert_eq!(client.manager.authenticate(slot, ticket, None::<&()>), Err(AuthError::Late));
}

#[test]
fn without_credentials_a_socket_rests_as_if_it_had_been_refused() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, ticket) = client.ticket.take().unwrap();
    assert_eq!(client.manager.fail_authentication(slot, ticket, "no token".into(), client.now), Ok(()));
    let told = ["close", "closed: forced close", "connect error: no credentials: no token"];
    assert_eq!(client.drain(), told);
    assert!(!client.manager.is_active(ROOT) && client.manager.poll_timeout().is_none());
    let late = client.manager.fail_authentication(slot, ticket, String::new(), client.now);
    assert_eq!(late, Err(AuthError::Late));
    // Another try, and others stay.
    let other = client.manager.socket(&nsp("/a"), SocketConfig::default());
    client.reach("A");
    client.manager.connect(other, client.now);
    client.drain();
    let (slot, ticket) = client.ticket.take().unwrap();
    client.manager.fail_authentication(slot, ticket, "none".into(), client.now).unwrap();
    assert_eq!(client.drain(), ["connect error[1]: no credentials: none"]);
    assert!(client.manager.is_connected(ROOT));
}

#[test]
fn what_was_encoded_before_is_sent_as_what_is_encoded_then() {
    for retries in [None, Some(Retries { count: 1, ack_timeout: ms(100) })] {
        let mut client = Client::with(Config::default(), SocketConfig { retries, ..SocketConfig::default() });
        client.reach("A");
        let encoded = Codec::Text.event(&Nsp::ROOT, None, "a", &(1, "x")).unwrap();
        client.manager.send(ROOT, &encoded, Delivery::Reliable, client.now).unwrap();
        let event = encoded.to_event(Codec::Text).unwrap();
        let event = (&event, Compression::Allowed);
        let id = client.manager.send_with_ack(ROOT, event, Delivery::Reliable, "w", None, client.now);
        let Some(_) = retries else {
            assert_eq!(client.drain(), [r#"42["a",1,"x"]"#, r#"420["a",1,"x"]"#]);
            assert_eq!(id, Ok(Some(AckId(0))));
            continue;
        };
        // Nothing to forget it by: it comes to an end by itself.
        assert_eq!(id, Ok(None));
        assert_eq!(client.drain(), [r#"420["a",1,"x"]"#]);
        assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), None);
        client.server("430[]");
        assert_eq!(client.drain(), [r#"421["a",1,"x"]"#]);
        client.server("431[]");
        assert_eq!(client.drain(), ["acked w []"]);
    }
    let mut client = Client::connected(Config::default());
    client.server(r#"427["q"]"#);
    client.drain();
    let reply = client.replies.pop().unwrap();
    assert_eq!(reply.id(), AckId(7));
    let encoded = Codec::Text.ack(&Nsp::ROOT, reply.id(), &"yes").unwrap();
    client.manager.send_reply(reply, &encoded).unwrap();
    assert_eq!(client.drain(), [r#"437["yes"]"#]);
}

#[test]
fn an_acknowledgement_that_is_forgotten_is_not_waited_for() {
    let mut client = Client::connected(Config::default());
    client.ask("a", Some(100));
    client.ask("b", Some(200));
    assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), Some("a"));
    assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), None);
    client.drain();
    client.server("430[1]");
    client.server("431[2]");
    assert_eq!(client.drain(), ["acked b [2]"]);
    assert_eq!(client.manager.forget_ack(Slot(9), AckId(1)), None);
}

#[test]
fn a_manager_is_at_rest_once_the_last_session_is_closed() {
    let mut client = Client::new(Config::default());
    assert!(client.manager.is_at_rest());
    client.reach("A");
    assert!(!client.manager.is_at_rest());
    client.manager.disconnect(ROOT, client.now);
    client.drain();
    assert!(client.manager.is_at_rest());
    client.reach("B");
    client.cut();
    client.drain();
    assert!(!client.manager.is_at_rest(), "it waits to try again");
    client.manager.close(client.now);
    client.drain();
    assert!(client.manager.is_at_rest());
}

#[test]
fn credentials_for_a_connection_that_is_gone_come_too_late() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, old) = client.ticket.unwrap();
    client.cut();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(1)"]);
    assert_eq!(client.manager.authenticate(slot, old, None::<&()>), Err(AuthError::Late));
    client.authenticate(None);
    assert_eq!(client.drain(), ["40"]);
}

#[test]
fn sockets_share_the_connection_until_the_last_one_leaves() {
    let mut client = Client::connected(Config::default());
    let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
    assert_eq!(client.manager.socket(&nsp("admin"), SocketConfig::default()), admin);
    client.manager.connect(admin, client.now);
    assert_eq!(client.drain(), ["auth?[1]"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40/admin,"]);
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected[1] B"]);
    client.server(r#"42/admin,["a",1]"#);
    client.server(r#"42/nobody,["a",1]"#);
    assert_eq!(client.drain().len(), 1);

    client.manager.disconnect(admin, client.now);
    assert_eq!(client.drain(), ["disconnected[1]: io client disconnect", "41/admin,"]);
    assert!(!client.manager.remove(ROOT));
    assert!(client.manager.remove(admin));
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), ["41", "close", "closed: forced close", "disconnected: io client disconnect"]);
    assert_eq!(client.manager.status(), Status::Stopped);
    assert_eq!(client.manager.poll_timeout(), None);
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), [""; 0]);
}
