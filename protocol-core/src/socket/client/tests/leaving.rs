//! Sockets and sessions on their way out.

use super::*;

#[test]
fn leaving_before_the_answer_waits_for_it_to_say_goodbye() {
    let abandoned = || {
        let mut client = Client::connected(Config::default());
        let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
        client.manager.connect(admin, client.now);
        client.drain();
        client.authenticate(None);
        client.drain();
        client.manager.disconnect(admin, client.now);
        assert_eq!(client.drain(), [""; 0]);
        assert!(!client.manager.is_active(admin) && !client.manager.remove(admin));
        (client, admin)
    };
    let (mut client, admin) = abandoned();
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["41/admin,"]);
    assert!(client.manager.remove(admin));

    let (mut client, admin) = abandoned();
    client.server(r#"42/admin,["to the old one"]"#);
    client.manager.connect(admin, client.now);
    assert_eq!(client.drain(), [""; 0]);
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["auth?[1]", "41/admin,"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40/admin,"]);
    client.server(r#"40/admin,{"sid":"C"}"#);
    assert_eq!(client.drain(), ["connected[1] C"]);

    let (mut client, admin) = abandoned();
    client.server(r#"44/admin,{"message":"no"}"#);
    assert_eq!(client.drain(), [""; 0]);
    assert!(client.manager.remove(admin));

    let (mut client, admin) = abandoned();
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    assert!(client.manager.remove(admin));
}

#[test]
fn a_machine_that_slept_past_the_heartbeat_holds_back_what_it_emits() {
    let mut client = Client::connected(Config::default());
    client.now += ms(80_000);
    client.emit("late", 1);
    assert_eq!(client.drain(), ["close", "closed: ping timeout", "disconnected: ping timeout"]);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected B", r#"42["late",1]"#]);
}

#[test]
fn heartbeats_are_announced_and_errors_of_an_open_connection_told_before_it_closes() {
    let mut client = Client::connected(Config::default());
    client.server("2");
    assert_eq!(client.drain(), ["Ping", "3"]);
    let waiting = client.manager.socket(&nsp("/x"), SocketConfig::default());
    client.manager.connect(waiting, client.now);
    client.drain();
    client.handle(Input::Failed(client.lane, Failure::TooLarge));
    assert_eq!(
        client.drain(),
        [
            "close",
            "error: websocket error",
            "connect error[1]: websocket error",
            "closed: transport error",
            "disconnected: transport error",
            "disconnected[1]: transport error"
        ]
    );
}

#[test]
fn removing_a_socket_fails_who_waits_for_it() {
    let mut client = Client::with(Config::default(), RETRIES);
    client.ask("queued", None);
    let other = client.manager.socket(&nsp("/x"), SocketConfig::default());
    client.manager.emit_with_ack(other, ("held", &()), Delivery::Reliable, "held", None, client.now).unwrap();
    assert!(client.manager.remove(other) && client.manager.remove(other) && client.manager.remove(ROOT));
    assert_eq!(
        client.drain(),
        ["ack failed held: socket has been disconnected", "ack failed queued: socket has been disconnected"]
    );
    assert_eq!(client.manager.emit(ROOT, "a", &(), Delivery::Reliable, client.now), Err(EmitError::Removed));
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn a_polling_session_is_closed_at_the_server_while_the_next_one_begins() {
    let mut manager = Manager::<()>::new(Arc::default(), 1);
    let slot = manager.socket(&Nsp::ROOT, SocketConfig::default());
    let respond = |manager: &mut Manager<()>, lane: Lane, body: &str| {
        manager.handle(Input::Response(lane, 200, Bytes::copy_from_slice(body.as_bytes())), at(0));
    };
    let lanes = |manager: &mut Manager<()>| -> Vec<(Lane, Option<Bytes>)> {
        core::iter::from_fn(|| manager.poll_output())
            .filter_map(|output| match output {
                Output::Get(lane, _) => Some((lane, None)),
                Output::Post(lane, _, body) => Some((lane, Some(body))),
                _ => None,
            })
            .collect()
    };
    manager.connect(slot, at(0));
    let first = lanes(&mut manager)[0].0;
    respond(&mut manager, first, HANDSHAKE);
    let get = lanes(&mut manager)[0].0;
    manager.disconnect(slot, at(0));
    manager.connect(slot, at(0));
    let started = lanes(&mut manager);
    let [(close, body), (second, None)] = &started[..] else { panic!("{started:?}") };
    assert_eq!(body.as_deref(), Some(&b"1"[..]));
    respond(&mut manager, *second, HANDSHAKE);
    assert_eq!(manager.status(), Status::Open);
    assert_eq!(manager.leaving(), 1);
    respond(&mut manager, *close, "ok");
    respond(&mut manager, get, "6");
    assert_eq!(manager.leaving(), 0);
    assert_eq!(manager.status(), Status::Open);
}

#[test]
fn sessions_on_their_way_out_are_bounded() {
    let mut manager = Manager::<()>::new(Arc::default(), 1);
    let slot = manager.socket(&Nsp::ROOT, SocketConfig::default());
    let mut aborted = 0;
    for _ in 0..7 {
        manager.connect(slot, at(0));
        manager.disconnect(slot, at(0));
        while let Some(output) = manager.poll_output() {
            aborted += usize::from(matches!(output, Output::Abort(_)));
        }
    }
    assert_eq!((manager.leaving(), aborted), (4, 3));
    manager.handle_timeout(at(10_000));
    assert_eq!((manager.leaving(), manager.poll_timeout()), (0, None));
}

#[test]
fn what_is_on_its_way_out_can_be_given_up() {
    let mut manager = Manager::<()>::new(Arc::new(Config::default()), 42);
    manager.open(at(0));
    let Some(Output::Get(lane, _)) = manager.poll_output() else { panic!("no handshake") };
    manager.close(at(0));
    assert_eq!(manager.poll_output(), Some(Output::Event(Event::Close(DisconnectReason::ForcedClose))));
    assert!(!manager.is_at_rest(), "the server may have opened a session, and is to hear of its end");
    manager.abandon();
    assert_eq!(manager.poll_output(), Some(Output::Abort(lane)));
    assert!(manager.is_at_rest() && !manager.has_output() && manager.poll_timeout().is_none());

    let mut client = Client::connected(Config::default());
    client.manager.abandon();
    assert_eq!(client.drain(), [""; 0]);
    assert!(client.manager.is_connected(ROOT), "the connection of the moment stays");
}
