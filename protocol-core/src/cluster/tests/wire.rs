//! The bytes of the reference.

use alloc::string::ToString;
use alloc::{format, vec};

use super::*;
use crate::Bytes;
use crate::engine::buffer::Compression;
use crate::engine::packet::Message as Bus;
use crate::rooms::Room;

const UID: &str = "ab4bd57562c3a119";

fn envelope(message: Message) -> Envelope {
    Envelope { message, uid: UID.into(), nsp: Some(Nsp::ROOT) }
}

fn emit(name: &str, args: Args) -> Message {
    Message::Broadcast { event: Event::new(name, args), request: None, options: Options::default() }
}

fn decode(text: &str) -> Result<Envelope, WireError> {
    Envelope::decode(&Bus::Text(text.into()))
}

fn list(args: &impl serde::Serialize) -> Args {
    Args::encode(args).unwrap()
}

/// Every type, with the JSON of the reference.
fn every_type() -> [(Message, &'static str); 17] {
    let request = || RequestId::from("0123456789abcdef");
    let rooms = || -> Vec<Room> { vec!["b".into(), "c".into()] };
    let mut options = Options::from(Selector::default().to("a").except("x"));
    let plain = options.clone();
    options.flags = Flags {
        volatile: true,
        compress: Compression::Forbidden,
        timeout: Some(Duration::from_millis(1000)),
    };
    let event = || Event::new("ev", list(&(1, "x")));
    let none = Args::default;
    [
        (Message::InitialHeartbeat, r#"{"type":1,"uid":"U","nsp":"/"}"#),
        (Message::Heartbeat, r#"{"type":2,"uid":"U","nsp":"/"}"#),
        (
            emit("ev", list(&(1, "x"))),
            r#"{"type":3,"data":{"packet":{"type":2,"data":["ev",1,"x"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::Broadcast { event: event(), request: Some(request()), options: options.clone() },
            r#"{"type":3,"data":{"packet":{"type":2,"data":["ev",1,"x"]},"requestId":"0123456789abcdef","opts":{"rooms":["a"],"except":["x"],"flags":{"volatile":true,"compress":false,"timeout":1000}}},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::SocketsJoin { options: plain.clone(), rooms: rooms() },
            r#"{"type":4,"data":{"opts":{"rooms":["a"],"except":["x"],"flags":{}},"rooms":["b","c"]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::SocketsLeave { options: plain.clone(), rooms: rooms() },
            r#"{"type":5,"data":{"opts":{"rooms":["a"],"except":["x"],"flags":{}},"rooms":["b","c"]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::DisconnectSockets { options: plain.clone(), close: true },
            r#"{"type":6,"data":{"opts":{"rooms":["a"],"except":["x"],"flags":{}},"close":true},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::FetchSockets { options: plain, request: request() },
            r#"{"type":7,"data":{"opts":{"rooms":["a"],"except":["x"],"flags":{}},"requestId":"0123456789abcdef"},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::FetchSocketsResponse { request: request(), sockets: vec![details("s")] },
            r#"{"type":8,"data":{"requestId":"0123456789abcdef","sockets":[{"id":"s","handshake":{},"rooms":["s"],"data":{}}]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::ServerSideEmit { request: None, event: event() },
            r#"{"type":9,"data":{"packet":["ev",1,"x"]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::ServerSideEmit { request: Some(request()), event: event() },
            r#"{"type":9,"data":{"requestId":"0123456789abcdef","packet":["ev",1,"x"]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::ServerSideEmitResponse { request: request(), answer: list(&(vec![1, 2],)) },
            r#"{"type":10,"data":{"requestId":"0123456789abcdef","packet":[1,2]},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::BroadcastClientCount { request: request(), clients: 3 },
            r#"{"type":11,"data":{"requestId":"0123456789abcdef","clientCount":3},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::BroadcastAck { request: request(), answer: list(&"x") },
            r#"{"type":12,"data":{"requestId":"0123456789abcdef","packet":"x"},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::BroadcastAck { request: request(), answer: list(&None::<u8>) },
            r#"{"type":12,"data":{"requestId":"0123456789abcdef","packet":null},"uid":"U","nsp":"/"}"#,
        ),
        (
            Message::BroadcastAck { request: request(), answer: none() },
            r#"{"type":12,"data":{"requestId":"0123456789abcdef"},"uid":"U","nsp":"/"}"#,
        ),
        (Message::AdapterClose, r#"{"type":13,"uid":"U","nsp":"/"}"#),
    ]
}

#[test]
fn every_type_is_written_as_the_reference_does_and_read_back() {
    for (message, json) in every_type() {
        let envelope = envelope(message);
        let json = json.replace("\"U\"", &format!("{UID:?}"));
        assert_eq!(envelope.to_json().unwrap(), json);
        assert_eq!(decode(&json).as_ref(), Ok(&envelope));
        assert!(!envelope.message.has_binary());
        let packed = Bus::Binary(envelope.to_msgpack().unwrap());
        assert_eq!(Envelope::decode(&packed).as_ref(), Ok(&envelope), "{json}");
    }
}

#[test]
fn keys_come_in_any_order() {
    for (message, json) in every_type() {
        let json = json.replace("\"U\"", &format!("{UID:?}"));
        // serde_json sorts them.
        let sorted = serde_json::from_str::<serde_json::Value>(&json).unwrap().to_string();
        assert_eq!(decode(&sorted), Ok(envelope(message)), "{sorted}");
    }
}

#[test]
fn bytes_are_msgpack_as_the_reference_writes_it() {
    let envelope = envelope(emit("ev", list(&Bytes::from_static(&[1, 2, 3]))));
    assert!(envelope.message.has_binary());
    let packed = envelope.to_msgpack().unwrap();
    let mut expected = b"\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x92\xa2ev\xc4\x03\x01\x02\x03\xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80\xa3uid\xb0".to_vec();
    expected.extend_from_slice(UID.as_bytes());
    expected.extend_from_slice(b"\xa3nsp\xa1/");
    assert_eq!(packed, expected);
    let read = Envelope::decode(&Bus::Binary(packed)).unwrap();
    let Message::Broadcast { event, .. } = &read.message else { panic!("{read:?}") };
    assert_eq!(event.args().decode(), Ok(Bytes::from_static(&[1, 2, 3])));
    assert_eq!(read, envelope);
}

#[test]
fn bytes_survive_anywhere_and_before_the_type_is_known() {
    let deep =
        Value::Object(vec![("b".into(), Value::Array(vec![Value::Binary(vec![7].into()), Value::Null]))]);
    let mut details = details("s");
    details.data = deep.clone();
    for message in [
        emit("ev", list(&(1, &deep, "x"))),
        Message::ServerSideEmit { request: None, event: Event::new("s", list(&deep)) },
        Message::BroadcastAck { request: "r".into(), answer: list(&deep) },
        Message::FetchSocketsResponse { request: "r".into(), sockets: vec![details] },
    ] {
        let envelope = envelope(message);
        assert!(envelope.message.has_binary());
        let packed = envelope.to_msgpack().unwrap();
        assert_eq!(Envelope::decode(&Bus::Binary(packed.clone())).as_ref(), Ok(&envelope));
        // The same with the type at the end.
        let mut turned = vec![0x84];
        turned.extend_from_slice(&packed[7..]);
        turned.extend_from_slice(&packed[1..7]);
        assert_eq!(Envelope::decode(&Bus::Binary(turned.into())).as_ref(), Ok(&envelope));
    }
}

#[test]
fn msgpack_arguments_of_a_client_are_passed_on() {
    let args =
        Args::parse(Bus::Binary(Bytes::from_static(b"\x92\xc4\x01\x09\xa1x")), &Default::default()).unwrap();
    let envelope = envelope(Message::BroadcastAck { request: "r".into(), answer: args.first() });
    assert!(envelope.message.has_binary());
    let read = Envelope::decode(&Bus::Binary(envelope.to_msgpack().unwrap())).unwrap();
    let Message::BroadcastAck { answer, .. } = read.message else { panic!("not an acknowledgement") };
    assert_eq!((answer.len(), answer.decode()), (1, Ok(Bytes::from_static(&[9]))));
}

#[test]
fn emitters_are_understood() {
    let emitted = r#"{"type":3,"data":{"packet":{"type":2,"data":["ev"],"nsp":"/"},"opts":{"rooms":[1,"a"],"except":[]}},"uid":"emitter"}"#;
    let Envelope { message, uid, nsp } = decode(emitted).unwrap();
    let Message::Broadcast { event, options, .. } = message else { panic!("{message:?}") };
    assert_eq!((event.name(), event.args().len()), ("ev", 0));
    // A number names a room like the text of it.
    assert_eq!(options, Selector::default().to("1").to("a").into());
    assert!(uid.is_emitter() && nsp.is_none());
}

#[test]
fn what_is_not_a_message_is_malformed() {
    let data = r#""data":{"opts":{"rooms":[]},"rooms":[]}"#;
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"type":2}"#,
        r#"{"uid":"a","nsp":"/"}"#,
        r#"{"type":0,"uid":"a","nsp":"/"}"#,
        r#"{"type":14,"uid":"a","nsp":"/"}"#,
        r#"{"type":"2","uid":"a","nsp":"/"}"#,
        r#"{"type":-1,"uid":"a","nsp":"/"}"#,
        r#"{"type":2,"uid":null,"nsp":"/"}"#,
        r#"{"type":4,"uid":"a","nsp":"/"}"#,
        r#"{"type":4,"data":{"opts":{"rooms":[[]]},"rooms":[]},"uid":"a"}"#,
        r#"{"type":4,"data":{"rooms":[]},"uid":"a"}"#,
        r#"{"type":3,"data":{"packet":{"type":2,"data":[]},"opts":{}},"uid":"a"}"#,
        r#"{"type":3,"data":{"packet":{"type":3,"data":["a"]},"opts":{}},"uid":"a"}"#,
        r#"{"type":9,"data":{"packet":"a"},"uid":"a"}"#,
        r#"{"type":11,"data":{"requestId":"r","clientCount":-1},"uid":"a"}"#,
        &format!(r#"{{"type":4,{data},"uid":"a","nsp":"/a,b"}}"#),
    ] {
        assert!(decode(text).is_err(), "{text}");
    }
    assert!(decode(&format!(r#"{{"type":4,{data},"uid":"a"}}"#)).is_ok());
    for bytes in
        [&b""[..], b"\x80", b"\xff", b"\x82\xa4type\x02\xa3uid\xa1", b"\x82\xa4type\x02\xa3uid\xa1a\x00"]
    {
        assert!(Envelope::decode(&Bus::Binary(Bytes::from_static(bytes))).is_err());
    }
}

#[test]
fn nesting_is_refused_before_it_can_overflow_the_stack() {
    let deep = vec![0x91; 1_000_000];
    assert!(Envelope::decode(&Bus::Binary(deep.into())).is_err());
    let deep = format!(r#"{{"type":12,"data":{}"#, "[".repeat(1_000_000));
    assert!(decode(&deep).is_err());
}

#[test]
fn no_timeout_of_another_node_is_beyond_time() {
    for (written, expected) in [("1e300", u64::MAX), ("-5", 0), ("1.5", 1), ("5000", 5000)] {
        let text = format!(
            r#"{{"type":7,"data":{{"opts":{{"flags":{{"timeout":{written}}}}},"requestId":"r"}},"uid":"a"}}"#
        );
        let Message::FetchSockets { options, .. } = decode(&text).unwrap().message else { panic!("{text}") };
        assert_eq!(options.flags.timeout, Some(Duration::from_millis(expected)));
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    let error = decode(r#"{"type":14,"data":{},"uid":"a"}"#).unwrap_err().to_string();
    assert!(error.contains("14"), "{error}");
}
