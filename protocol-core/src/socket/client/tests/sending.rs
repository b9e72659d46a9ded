//! Events and acknowledgements, sent or held back.

use super::*;

#[test]
fn what_was_emitted_offline_is_sent_in_order_when_the_socket_connects() {
    let mut client = Client::new(Config::default());
    client.emit("early", 1);
    client.ask("asked", None);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.emit("late", 2);
    client.authenticate(None);
    client.server(r#"42["before",1]"#);
    client.server(r#"42["before",2]"#);
    assert_eq!(client.drain(), ["40"]);
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(
        client.drain(),
        [
            "event before [1]",
            "event before [2]",
            "connected A",
            r#"42["early",1]"#,
            r#"420["asked"]"#,
            r#"42["late",2]"#
        ]
    );
    assert_eq!(client.manager.buffered_bytes(ROOT), 0);
}

#[test]
fn what_is_held_back_can_be_discarded() {
    let send_queue = QueueLimits { max_packets: 3, max_bytes: 1000 };
    let mut client = Client::connected(Config { send_queue, ..Config::default() });
    client.ask("sent", None);
    assert_eq!(client.drain(), [r#"420["sent"]"#]);
    assert_eq!(client.manager.discard(ROOT), 0, "it was handed to the connection");
    client.server(r#"430[1]"#);
    assert_eq!(client.drain(), ["acked sent [1]"]);
    client.cut();
    client.drain();
    client.emit("a", 1);
    client.ask("b", Some(100));
    client.emit("c", 3);
    let refused = client.manager.emit(ROOT, "d", &4, Delivery::Reliable, client.now);
    assert_eq!(refused, Err(EmitError::Full));
    assert_eq!(client.manager.discard(ROOT), 3);
    assert_eq!(client.drain(), ["ack failed b: socket has been disconnected", "Drained { slot: Slot(0) }"]);
    assert_eq!((client.manager.buffered_bytes(ROOT), client.manager.discard(ROOT)), (0, 0));
    client.emit("e", 5);
    client.skip(); // when `b` would have been given up
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected B", r#"42["e",5]"#]);
    assert_eq!(client.manager.discard(Slot(7)), 0, "there is no such socket");
}

#[test]
fn what_waits_for_its_turn_to_be_retried_can_be_discarded() {
    let mut client = Client::with(Config::default(), RETRIES);
    client.reach("A");
    client.ask("one", None);
    client.ask("two", None);
    client.emit("three", 3);
    assert_eq!(client.drain(), [r#"420["one"]"#]);
    assert_eq!(client.manager.discard(ROOT), 2, "the first one is on its way");
    assert_eq!(client.drain(), ["ack failed two: socket has been disconnected"]);
    client.server(r#"430[1]"#);
    assert_eq!(client.drain(), ["acked one [1]"]);
    client.ask("four", None);
    client.drain();
    client.cut();
    client.drain();
    assert_eq!(client.manager.discard(ROOT), 1, "nothing is on its way any more");
    assert_eq!(client.drain(), ["ack failed four: socket has been disconnected"]);
    assert_eq!(client.manager.buffered_bytes(ROOT), 0);
}

#[test]
fn what_is_held_back_is_bounded_and_the_limit_has_a_name() {
    let send_queue = QueueLimits { max_packets: 2, max_bytes: 1000 };
    let mut client = Client::new(Config { send_queue, ..Config::default() });
    client.emit("a", 1);
    client.emit("a", 2);
    let refused = client.manager.emit(ROOT, "a", &3, Delivery::Reliable, client.now);
    assert_eq!(refused, Err(EmitError::Full));
    let refused =
        client.manager.emit_with_ack(ROOT, ("a", &3), Delivery::Reliable, "waiter", None, client.now);
    assert_eq!(refused, Err((EmitError::Full, "waiter")));
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["Drained { slot: Slot(0) }", "connected A", r#"42["a",1]"#, r#"42["a",2]"#]);
    // The refused one has taken no id.
    client.ask("b", None);
    assert_eq!(client.drain(), [r#"420["b"]"#]);
}

#[test]
fn what_the_session_does_not_take_waits_and_keeps_its_order() {
    let mut client = Client::connected(Config::default());
    let large = "x".repeat(9 << 20);
    let emit = |client: &mut Client, name: &str| {
        client.manager.emit(ROOT, name, &large, Delivery::Reliable, client.now).unwrap();
    };
    emit(&mut client, "first");
    emit(&mut client, "second");
    client.emit("third", 3);
    client.ask("fourth", None);
    assert!(client.manager.buffered_bytes(ROOT) > large.len());
    let names: Vec<_> =
        client.drain().into_iter().map(|sent| sent.chars().take(9).collect::<String>()).collect();
    assert_eq!(names, [r#"42["first"#, r#"42["secon"#, r#"42["third"#, r#"420["four"#]);
    assert_eq!(client.manager.buffered_bytes(ROOT), 0);
}

#[test]
fn a_volatile_event_leaves_at_once_or_never() {
    let mut client = Client::new(Config::default());
    let emit = |client: &mut Client| client.manager.emit(ROOT, "v", &(), Delivery::Volatile, client.now);
    assert_eq!(emit(&mut client), Ok(()));
    let dropped = client.manager.emit_with_ack(ROOT, ("v", &()), Delivery::Volatile, "w", None, client.now);
    assert_eq!(dropped, Err((EmitError::Dropped, "w")));
    client.reach("A");
    assert_eq!(emit(&mut client), Ok(()));
    assert_eq!(emit(&mut client), Ok(()));
    assert_eq!(client.drain(), [r#"42["v"]"#]);
    client.manager.emit_with_ack(ROOT, ("v", &()), Delivery::Volatile, "w", None, client.now).unwrap();
    assert_eq!(client.drain(), [r#"420["v"]"#]);
}

#[test]
fn acknowledgements_find_their_waiters_by_ids_that_are_never_used_again() {
    let mut client = Client::connected(Config::default());
    client.ask("a", None);
    client.ask("b", None);
    assert_eq!(client.drain(), [r#"420["a"]"#, r#"421["b"]"#]);
    client.server("431[7]");
    client.server("431[8]");
    client.server("43[9]");
    client.server("439[9]");
    assert_eq!(client.drain(), ["acked b [7]"]);
    client.cut();
    let lost = [
        "closed: transport close",
        "disconnected: transport close",
        "ack failed a: socket has been disconnected",
    ];
    assert_eq!(client.drain(), lost);
    client.skip();
    client.drain();
    client.reach("B");
    client.ask("c", None);
    assert_eq!(client.drain(), [r#"422["c"]"#]);
}

#[test]
fn an_acknowledgement_that_does_not_come_in_time_fails() {
    let mut client = Client::connected(Config::default());
    client.ask("a", Some(100));
    client.drain();
    client.wait(99);
    assert_eq!(client.drain(), [""; 0]);
    client.wait(1);
    assert_eq!(client.drain(), ["ack failed a: operation has timed out"]);
    client.server("430[]");
    assert_eq!(client.drain(), [""; 0]);

    let socket = SocketConfig { ack_timeout: Some(ms(50)), retries: None };
    let mut client = Client::with(Config::default(), socket);
    client.ask("default", None);
    client.ask("own", Some(60));
    client.wait(50);
    assert_eq!(client.drain(), ["ack failed default: operation has timed out"]);
    client.wait(10);
    assert_eq!(client.drain(), ["ack failed own: operation has timed out"]);
}

#[test]
fn an_event_that_is_held_back_until_its_time_is_over_is_not_sent() {
    let mut client = Client::new(Config::default());
    client.emit("stays", 1);
    client.ask("goes", Some(100));
    client.ask("waits", Some(5000));
    client.wait(100);
    assert_eq!(client.drain(), ["ack failed goes: operation has timed out"]);
    client.reach_with_output(&["connected A", r#"42["stays",1]"#, r#"421["waits"]"#]);
}

#[test]
fn an_acknowledgement_of_what_is_still_held_back_outlives_a_disconnect() {
    let mut client = Client::connected(Config::default());
    client.ask("sent", None);
    client.drain();
    client.cut();
    client.drain();
    client.ask("held", None);
    // The next connection is lost before the socket is back.
    client.skip();
    client.drain();
    client.welcome();
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected B", r#"421["held"]"#]);
    client.server("431[1]");
    assert_eq!(client.drain(), ["acked held [1]"]);
}

#[test]
fn more_acknowledgements_than_the_limit_are_not_waited_for() {
    let mut client = Client::connected(Config { max_pending_acks: 1, ..Config::default() });
    client.ask("a", None);
    let refused = client.manager.emit_with_ack(ROOT, ("b", &()), Delivery::Reliable, "b", None, client.now);
    assert_eq!(refused, Err((EmitError::TooManyAcks, "b")));
}

#[test]
fn an_event_is_answered_once_and_only_on_its_own_connection() {
    let mut client = Client::connected(Config::default());
    client.server(r#"427["q",1]"#);
    client.server(r#"428["q",2]"#);
    client.server(r#"42["q",3]"#);
    assert_eq!(client.drain(), ["event q [1]", "event q [2]", "event q [3]"]);
    let (old, reply) = (client.replies.pop().unwrap(), client.replies.pop().unwrap());
    assert_eq!(reply.slot(), ROOT);
    client.manager.reply(reply, &("yes", Bytes::from_static(b"!"))).unwrap();
    assert_eq!(client.drain(), [r#"461-7["yes",{"_placeholder":true,"num":0}]"#, r#"b"!""#]);
    client.cut();
    client.skip();
    client.drain();
    client.welcome();
    let again = Reply { ..old };
    let stale = Reply { slot: ROOT, id: AckId(8), epoch: again.epoch };
    assert_eq!(client.manager.reply(again, &()), Err(ReplyError::Disconnected));
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.manager.reply(stale, &()), Err(ReplyError::Disconnected));
    assert_eq!(client.drain(), ["connected B"]);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    for socket in [SocketConfig::default(), RETRIES] {
        let mut client = Client::with(Config::default(), socket);
        let refused = client.manager.emit(ROOT, "connect", &(), Delivery::Reliable, client.now);
        assert_eq!(refused, Err(EmitError::Encode(EncodeError::ReservedEvent)));
        assert_eq!(client.manager.buffered_bytes(ROOT), 0);
    }
}

#[test]
fn boxed_and_borrowed_arguments_are_taken_alike() {
    let mut client = Client::connected(Config::default());
    let boxed: Box<str> = "x".into();
    client.manager.emit(ROOT, "a", &*boxed, Delivery::Reliable, client.now).unwrap();
    client.manager.emit(ROOT, "a", &("x", 1), Delivery::Reliable, client.now).unwrap();
    assert_eq!(client.drain(), [r#"42["a","x"]"#, r#"42["a","x",1]"#]);
}
