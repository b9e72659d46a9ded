//! What is said of the connection before.

use super::*;

#[test]
fn pid_and_offset_are_sent_and_a_recovered_connection_is_told_from_a_new_one() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"42["before","o1"]"#);
    client.server(r#"40{"sid":"A","pid":"P"}"#);
    // Neither an event to answer nor one that does not end in text moves the offset.
    client.server(r#"42["a",1,"o2"]"#);
    client.server(r#"421["a","no"]"#);
    client.server(r#"42["a","no",3]"#);
    client.server(r#"42["none"]"#);
    client.drain();
    let reconnect = |client: &mut Client| {
        client.cut();
        client.skip();
        client.drain();
        client.server(HANDSHAKE);
        client.drain();
        client.authenticate(Some(json!({ "token": 1 })));
        client.drain()
    };
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"P","offset":"o2","token":1}"#]);
    client.server(r#"42["missed","o3"]"#);
    client.server(r#"40{"sid":"A","pid":"P"}"#);
    assert_eq!(client.drain(), [r#"event missed ["o3"]"#, "connected A recovered"]);
    assert!(client.manager.is_recovered(ROOT));
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"P","offset":"o3","token":1}"#]);
    assert!(!client.manager.is_recovered(ROOT));
    client.server(r#"40{"sid":"B","pid":"Q"}"#);
    assert_eq!(client.drain(), ["connected B"]);
    // The old offset belongs to another session.
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"Q","token":1}"#]);
    client.server(r#"40{"sid":"C"}"#);
    client.drain();
    assert_eq!(reconnect(&mut client), [r#"40{"token":1}"#]);
}

#[test]
fn recovery_and_retries_work_with_msgpack_as_well() {
    let codec = Codec::Msgpack;
    let mut client = Client::with(Config { codec, ..Config::default() }, RETRIES);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.authenticate(None);
    client.drain();
    let receive = |client: &mut Client, encoded: Encoded| {
        encoded.frames().for_each(|frame| client.handle(Input::WsFrame(client.lane, frame)));
        client.drain()
    };
    let answer = codec.connect(&Nsp::ROOT, Some(&json!({ "sid": "A", "pid": "P" }))).unwrap();
    assert_eq!(receive(&mut client, answer).last().unwrap(), "connected A");
    let event = codec.event(&Nsp::ROOT, None, "a", &(1, "a string longer than thirty-one bytes")).unwrap();
    receive(&mut client, event);
    receive(&mut client, codec.event(&Nsp::ROOT, None, "a", &("no", 1)).unwrap());
    client.emit("b", 7);
    let sent = |id| {
        let encoded = codec.event(&Nsp::ROOT, Some(AckId(id)), "b", &7).unwrap();
        let Frame::Binary(bytes) = encoded.head() else { unreachable!() };
        format!("{bytes:?}")
    };
    assert_eq!(client.drain(), [sent(0)]);
    client.cut();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.authenticate(None);
    let credentials = json!({ "pid": "P", "offset": "a string longer than thirty-one bytes" });
    let connect = codec.connect(&Nsp::ROOT, Some(&credentials)).unwrap();
    let read = |frame: &Frame| match Packet::decode(Revision::V4, frame.clone()) {
        Ok(Packet::Message(message)) => {
            let body = Decoder::new(codec, Limits::default()).push(message).unwrap().unwrap().body;
            let Body::Connect(Some(payload)) = body else { panic!("{body:?}") };
            payload.decode::<serde_json::Value>().unwrap()
        }
        other => panic!("{other:?}"),
    };
    let frames: Vec<_> = core::iter::from_fn(|| client.manager.poll_output())
        .filter_map(|output| match output {
            Output::WsSend(_, frame, _) => Some(read(&frame)),
            _ => None,
        })
        .collect();
    assert_eq!(frames, [read(connect.head())]);
    client.handle(Input::Flushed(client.lane));
    let answer = codec.connect(&Nsp::ROOT, Some(&json!({ "sid": "A", "pid": "P" }))).unwrap();
    assert_eq!(receive(&mut client, answer), ["connected A recovered".to_string(), sent(1)]);
}

#[test]
fn what_arrived_before_a_connect_that_never_came_is_forgotten() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"42["missed",1]"#);
    client.cut();
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["connected A"]);
}
