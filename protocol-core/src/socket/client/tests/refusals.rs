//! What a server may refuse, and may not do.

use super::*;

#[test]
fn a_socket_that_the_server_dismissed_comes_back_only_when_asked() {
    let mut client = Client::connected(Config::default());
    let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
    client.manager.connect(admin, client.now);
    client.drain();
    client.authenticate(None);
    client.server(r#"40/admin,{"sid":"B"}"#);
    client.drain();
    client.server("41");
    assert_eq!(client.drain(), ["disconnected: io server disconnect"]);
    assert!(!client.manager.is_active(ROOT));
    client.emit("held", 1);
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["auth?"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40"]);
    client.server(r#"40{"sid":"C"}"#);
    assert_eq!(client.drain(), ["connected C", r#"42["held",1]"#]);
    client.server("41");
    client.drain();
    client.server("41/admin,");
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected[1]: io server disconnect"]);
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn a_refused_socket_rests_and_keeps_the_servers_words() {
    let mut client = Client::new(Config::default());
    client.emit("held", 1);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"44{"message":"no","data":{"code":7}}"#);
    let events: Vec<_> = core::iter::from_fn(|| client.manager.poll_output()).collect();
    let Some(Output::Event(Event::ConnectError { error: ConnectError::Refused(refusal), .. })) =
        events.get(2)
    else {
        panic!("{events:?}");
    };
    assert_eq!(refusal.message, "no");
    assert_eq!(refusal.data(), Ok(Some(json!({ "code": 7 }))));
    assert!(matches!(events[1], Output::Event(Event::Close(DisconnectReason::ForcedClose))));
    assert!(!client.manager.is_active(ROOT));
    client.reach_with_output(&["connected A", r#"42["held",1]"#]);
}

#[test]
fn a_refusal_may_be_text_or_nothing_or_anything() {
    let refusal = |packet: &str| {
        let mut client = Client::new(Config::default());
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(packet);
        core::iter::from_fn(|| client.manager.poll_output())
            .find_map(|output| match output {
                Output::Event(Event::ConnectError { error: ConnectError::Refused(refusal), .. }) => {
                    Some(refusal)
                }
                _ => None,
            })
            .unwrap()
    };
    for (packet, message, data) in [
        ("44", "", None),
        (r#"44"text""#, "text", None),
        ("44{}", "", None),
        (r#"44{"message":5,"data":6}"#, "", Some(6)),
        (r#"44{"message":"m","data":null}"#, "m", None),
    ] {
        let refusal = refusal(packet);
        assert_eq!((&*refusal.message, refusal.data::<u32>()), (message, Ok(data)), "{packet}");
    }
    assert!(refusal(r#"44{"message":"m","data":"x"}"#).data::<u32>().is_err());
}

#[test]
fn a_server_of_old_times_is_recognized() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.server("40");
    let outputs = client.drain();
    assert_eq!(outputs[..2], ["Open", "auth?"]);
    assert!(
        outputs[2].starts_with("connect error: It seems you are trying to reach a Socket.IO server in v2.x")
    );
    client.authenticate(None);
    client.drain();
    for answer in ["40", "40{}", r#"40{"sid":""}"#] {
        client.server(answer);
        assert!(client.drain().last().unwrap().contains("v2.x"), "{answer}");
    }
    assert!(client.manager.is_active(ROOT));
}

#[test]
fn a_server_that_breaks_the_protocol_is_left_and_met_again() {
    let decode = |error| DisconnectReason::ParseError(ProtocolError::Decode(error));
    for (frames, reason) in [
        (&["4"][..], decode(DecodeError::UnknownType)),
        (&["49"], decode(DecodeError::UnknownType)),
        (&["42{}"], decode(DecodeError::InvalidPayload)),
        (&["42[\"connect\"]"], decode(DecodeError::ReservedEvent)),
        (&["bAQID"], decode(DecodeError::UnexpectedBinary)),
        (&[r#"451-["a",{"_placeholder":true,"num":0}]"#, "42[\"a\"]"], decode(DecodeError::UnexpectedText)),
        (
            &["9"],
            DisconnectReason::TransportError(TransportError::Packet(
                crate::engine::packet::DecodeError::UnknownType { found: '9' },
            )),
        ),
    ] {
        let mut client = Client::connected(Config::default());
        frames.iter().for_each(|frame| client.server(frame));
        client.server(r#"42["ignored"]"#);
        let closed = core::iter::from_fn(|| client.manager.poll_output())
            .filter_map(|output| match output {
                Output::Event(Event::Close(reason) | Event::Disconnected { reason, .. }) => Some(reason),
                Output::Event(Event::Emit { .. }) => panic!("{frames:?}"),
                _ => None,
            })
            .collect::<Vec<_>>();
        assert_eq!(closed, [reason.clone(), reason], "{frames:?}");
        assert!(matches!(client.manager.status(), Status::Waiting { .. }));
    }
}

#[test]
fn an_answer_of_the_wrong_types_is_a_breach_of_the_protocol() {
    for answer in [r#"40{"sid":5}"#, r#"40{"sid":"A","pid":{}}"#] {
        let mut client = Client::new(Config::default());
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(answer);
        assert_eq!(client.drain(), ["close", "closed: parse error", "disconnected: parse error"]);
    }
}

#[test]
fn one_event_past_the_limit_before_connect_is_a_breach_of_the_protocol() {
    for (max_packets, survives) in [(2, true), (1, false)] {
        let receive_queue = QueueLimits { max_packets, max_bytes: 1000 };
        let mut client = Client::new(Config { receive_queue, ..Config::default() });
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(r#"42["a"]"#);
        client.server(r#"42["a"]"#);
        assert_eq!(client.manager.status() == Status::Open, survives);
    }
}

#[test]
fn attachments_must_arrive_in_time() {
    let mut client = Client::connected(Config { attachment_timeout: ms(100), ..Config::default() });
    client.server(r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    client.wait(50);
    client.handle(Input::WsFrame(client.lane, Frame::Binary(Bytes::from_static(b"1"))));
    client.wait(49);
    assert_eq!(client.drain(), [""; 0]);
    client.wait(1);
    assert_eq!(client.drain(), ["close", "closed: parse error", "disconnected: parse error"]);

    let mut client = Client::connected(Config { attachment_timeout: ms(100), ..Config::default() });
    client.server(r#"451-["a",{"_placeholder":true,"num":0}]"#);
    client.handle(Input::WsFrame(client.lane, Frame::Binary(Bytes::from_static(b"1"))));
    assert!(client.drain()[0].starts_with("event a"));
    client.wait(100);
    assert_eq!(client.drain(), [""; 0]);
}
