use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::packet::{Frame, Message};
use crate::socket::{
    Args, ArgsError, Body, Codec, DecodeError, Decoder, EncodeError, Encoded, Event, Limits, Nsp, Packet, Raw,
};
use crate::{AckId, Bytes};

const CODEC: Codec = Codec::Msgpack;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn decode(packet: &[u8]) -> Result<Packet, DecodeError> {
    let mut decoder = Decoder::new(CODEC, Limits::default());
    decoder.push(Message::Binary(Bytes::copy_from_slice(packet))).map(Option::unwrap)
}

fn bytes(encoded: &Encoded) -> Bytes {
    assert_eq!(encoded.frame_count(), 1);
    match encoded.head() {
        Frame::Binary(bytes) => bytes.clone(),
        Frame::Text(text) => panic!("binary expected, not {text}"),
    }
}

fn event_of(packet: Packet) -> Event {
    match packet.body {
        Body::Event(event) => event,
        other => panic!("an event expected, not {other:?}"),
    }
}

fn event<T: Serialize>(args: T) -> Args {
    let encoded = CODEC.event(&Nsp::ROOT, None, "a", &args).unwrap();
    event_of(decode(&bytes(&encoded)).unwrap()).into_args()
}

/// A packet with this type and data, both as hex; data may be left out.
fn packet(kind: &str, data: &str) -> Vec<u8> {
    let (head, data) =
        if data.is_empty() { ("82", String::new()) } else { ("83", alloc::format!("a464617461{data}")) };
    hex(&alloc::format!("{head} a474797065 {kind} {data} a36e7370 a12f"))
}

#[test]
fn the_packets_of_the_reference_are_understood() {
    let connect = Packet { nsp: Nsp::ROOT, body: Body::Connect(None) };
    assert_eq!(decode(&hex("82 a474797065 00 a36e7370 a12f")), Ok(connect.clone()));
    assert_eq!(decode(&hex("83a47479706500a36e7370a12fa464617461 d40000")), Ok(connect));

    let hello = event_of(decode(&hex("83a47479706502a46461746192a568656c6c6f01a36e7370a12f")).unwrap());
    assert_eq!((hello.name(), hello.ack, hello.args().len()), ("hello", None, 1));
    assert_eq!(hello.args().decode(), Ok(1_u8));

    let refused = decode(&hex("83a47479706504a36e7370a12fa46461746182a76d657373616765a178a464617461d40000"));
    let Body::ConnectError(Some(payload)) = refused.unwrap().body else { panic!("CONNECT_ERROR expected") };
    assert_eq!(payload.decode(), Ok(json!({"message": "x"})));
    assert_eq!(payload.detached(), payload);

    // The server's CONNECT has an undefined pid without recovery; the client's EVENT has options.
    let connect = decode(&packet("00", "82 a3736964 a178 a3706964 d40000")).unwrap();
    let Body::Connect(Some(payload)) = connect.body else { panic!("CONNECT expected") };
    assert_eq!(payload.decode(), Ok(BTreeMap::from([("sid", "x")])));
    let options = "85 a474797065 02 a464617461 91a161 a76f7074696f6e73 81a8636f6d7072657373c3 a26964 07 a36e7370 a22f6e";
    let event = decode(&hex(options)).unwrap();
    assert_eq!(event.nsp.as_str(), "/n");
    assert_eq!(event_of(event).ack, Some(AckId(7)));
}

#[test]
fn packets_are_written_as_the_reference_writes_them() {
    let n = Nsp::new("/n").unwrap();
    let rows = [
        (CODEC.connect(&Nsp::ROOT, None::<&()>), "82 a474797065 00 a36e7370 a12f"),
        (CODEC.event(&Nsp::ROOT, None, "hello", &1), "83a47479706502a46461746192a568656c6c6f01a36e7370a12f"),
        (CODEC.ack(&n, AckId(300), &()), "84 a26964 cd012c a474797065 03 a464617461 90 a36e7370 a22f6e"),
        (
            CODEC.ack(&n, AckId(0), &Bytes::from_static(&[1, 2, 3])),
            "84 a26964 00 a474797065 03 a464617461 91 c403010203 a36e7370 a22f6e",
        ),
        (CODEC.disconnect(&n), "82 a474797065 01 a36e7370 a22f6e"),
        (
            CODEC.connect_error(&n, &json!({"message": "x"})),
            "83 a474797065 04 a464617461 81a76d657373616765a178 a36e7370 a22f6e",
        ),
    ];
    for (encoded, expected) in rows {
        assert_eq!(bytes(&encoded.unwrap()), hex(expected));
    }
}

#[test]
fn invalid_packets_are_refused() {
    let rows = [
        (hex(""), DecodeError::InvalidPayload),
        (hex("01"), DecodeError::InvalidPayload),
        (hex("90"), DecodeError::InvalidPayload),
        (hex("c1"), DecodeError::InvalidPayload),
        (hex("80"), DecodeError::UnknownType),
        (packet("05", "91a161"), DecodeError::UnknownType),
        (packet("ff", "91a161"), DecodeError::UnknownType),
        (packet("a132", "91a161"), DecodeError::UnknownType),
        (packet("c0", "91a161"), DecodeError::UnknownType),
        (hex("81 a474797065 00"), DecodeError::InvalidNamespace),
        (hex("82 a474797065 00 a36e7370 01"), DecodeError::InvalidNamespace),
        (hex("83 a474797065 03 a464617461 90 a36e7370 a12f a26964 a131"), DecodeError::InvalidPayload),
        (hex("84 a474797065 03 a464617461 90 a36e7370 a12f a26964 a131"), DecodeError::InvalidAckId),
        (hex("84 a474797065 03 a464617461 90 a36e7370 a12f a26964 c0"), DecodeError::InvalidAckId),
        (hex("84 a474797065 03 a464617461 90 a36e7370 a12f a26964 ff"), DecodeError::InvalidAckId),
        // Data.
        (packet("00", "c0"), DecodeError::InvalidPayload),
        (packet("00", "90"), DecodeError::InvalidPayload),
        (packet("00", "a178"), DecodeError::InvalidPayload),
        (packet("01", "c0"), DecodeError::InvalidPayload),
        (packet("02", ""), DecodeError::InvalidPayload),
        (packet("02", "80"), DecodeError::InvalidPayload),
        (packet("02", "d40000"), DecodeError::InvalidPayload),
        (packet("03", ""), DecodeError::InvalidPayload),
        (packet("03", "01"), DecodeError::InvalidPayload),
        (packet("04", ""), DecodeError::InvalidPayload),
        (packet("04", "90"), DecodeError::InvalidPayload),
        // Lengths that promise too much, keys that are no strings, text that is not UTF-8.
        (packet("03", "91"), DecodeError::InvalidPayload),
        (packet("03", "ddffffffff"), DecodeError::InvalidPayload),
        (packet("03", "91dfffffffff"), DecodeError::InvalidPayload),
        (packet("03", "91c6ffffffff"), DecodeError::InvalidPayload),
        (packet("03", "91810102"), DecodeError::InvalidPayload),
        (packet("03", "91a1ff"), DecodeError::InvalidPayload),
        // Something after the packet.
        (hex("82 a474797065 00 a36e7370 a12f 00"), DecodeError::InvalidPayload),
    ];
    for (packet, error) in rows {
        assert_eq!(decode(&packet), Err(error), "{packet:02x?}");
    }
    let mut decoder = Decoder::new(CODEC, Limits::default());
    assert_eq!(decoder.push(Message::Text("2[\"a\"]".into())), Err(DecodeError::UnexpectedText));
}

#[test]
fn an_event_without_a_name_is_unnamed_and_reserved_names_are_not_checked() {
    for data in ["90", "91c0", "91c3", "9190", "9180", "91d40000"] {
        assert_eq!(decode(&packet("02", data)).unwrap().body, Body::Unnamed, "{data}");
    }
    for (data, name) in
        [("91a7636f6e6e656374", "connect"), ("9107", "7"), ("91ff", "-1"), ("91cb3ff8000000000000", "1.5")]
    {
        assert_eq!(event_of(decode(&packet("02", data)).unwrap()).name(), name);
    }
}

#[test]
fn the_dialect_of_notepack_is_understood() {
    // undefined, a date, an ArrayBuffer, float32, a map with an undefined value
    let args =
        "96 a161 d40000 d700 0000018bcfe5687b c70300010203 ca3fc00000 83 a178 01 a179 d40000 a17a d40000";
    let args = event_of(decode(&packet("02", args)).unwrap()).into_args();
    assert_eq!(args.len(), 5);
    let iso = "2023-11-14T22:13:20.123Z";
    let data = Bytes::from_static(&[1, 2, 3]);
    assert_eq!(
        args.decode(),
        Ok((None::<u8>, String::from(iso), data, 1.5_f32, BTreeMap::from([("x", 1_u8)])))
    );
    let (_, millis): ((), i64) = args.decode().unwrap();
    assert_eq!(millis, 1_700_000_000_123);
    let (.., object): (Value, Value, &[u8], Value, Value) = args.decode().unwrap();
    assert_eq!(object, json!({"x": 1}));
    // Passed on to clients of the text parser.
    let text = Codec::Text.event_raw(&Nsp::ROOT, None, "a", &args).unwrap();
    let expected = r#"451-["a",null,"2023-11-14T22:13:20.123Z",{"_placeholder":true,"num":0},1.5,{"x":1}]"#;
    assert_eq!(*text.head(), Frame::Text(expected.into()));
    let text = Codec::Text.ack_raw(&Nsp::ROOT, AckId(1), &args).unwrap();
    assert_eq!(text.attachments(), [Bytes::from_static(&[1, 2, 3])]);
}

#[test]
fn numbers_take_their_shortest_form() {
    let rows: [(i128, &str); 14] = [
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (256, "cd0100"),
        (65_536, "ce00010000"),
        (1 << 32, "cf0000000100000000"),
        (u64::MAX.into(), "cfffffffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-129, "d1ff7f"),
        (-32_769, "d2ffff7fff"),
        (-2_147_483_649, "d3ffffffff7fffffff"),
        (i64::MIN.into(), "d38000000000000000"),
    ];
    for (number, expected) in rows {
        let args = event(number);
        assert_eq!(args.raw(), Raw::Msgpack(&hex(expected)), "{number}");
        if let Ok(number) = i64::try_from(number) {
            assert_eq!(args.decode(), Ok(number));
            assert_eq!(event(number), args);
        }
    }
    assert_eq!(event(1.5_f32).raw(), Raw::Msgpack(&hex("cb3ff8000000000000")));
    assert!(matches!(CODEC.event(&Nsp::ROOT, None, "a", &i128::MAX), Err(EncodeError::Serialize { .. })));
}

#[test]
fn lengths_take_their_shortest_form() {
    for (len, head) in [(31, "bf"), (32, "d920"), (255, "d9ff"), (256, "da0100"), (65_536, "db00010000")] {
        let text = "x".repeat(len);
        let args = event(&text);
        let Raw::Msgpack(raw) = args.raw() else { panic!("msgpack expected") };
        assert!(raw.starts_with(&hex(head)), "{len}");
        assert_eq!(args.decode(), Ok(text));
    }
    for len in [0, 255, 256, 65_535, 65_536] {
        let value = Bytes::from(vec![7; len]);
        assert_eq!(event(&value).decode(), Ok(value));
    }
    for len in [15, 16, 65_536] {
        let list = vec![1_u8; len];
        assert_eq!(event(&list).decode(), Ok(list.clone()));
        let map: BTreeMap<u32, u8> = (0..len as u32).map(|key| (key, 1)).collect();
        assert_eq!(event(&map).decode(), Ok(map));
    }
}

#[test]
fn an_argument_list_may_have_more_than_fifteen_elements() {
    let fourteen = event([1_u8; 14]);
    let fifteen = event([1_u8; 15]);
    assert_eq!((fourteen.len(), fifteen.len()), (14, 15));
    assert_eq!(fifteen.decode(), Ok([1_u8; 15]));
    let encoded = CODEC.event(&Nsp::ROOT, None, "a", &[1_u8; 14]).unwrap().with_offset("o");
    let args = event_of(decode(&bytes(&encoded)).unwrap()).into_args();
    assert_eq!(args.len(), 15);
    assert_eq!(args.iter().last(), Some(Raw::Msgpack(b"\xA1o")));
}

#[test]
fn the_rule_of_tuples_holds() {
    assert_eq!(event(()).len(), 0);
    assert_eq!(event((1, "x")).len(), 2);
    assert_eq!(event(vec![1, 2]).len(), 1);
    assert_eq!(event(Some((1, 2))).len(), 1);
    assert_eq!(event((1, "x")).decode(), Ok((1, "x")));
    assert_eq!(event((1, "x")).decode(), Ok(1));
    assert_eq!(event((1, "x")).decode(), Ok((1,)));
    assert_eq!(event(1).decode(), Ok((1, None::<u8>)));
    assert_eq!(event(1).decode::<(u8, u8)>(), Err(ArgsError::Missing { argument: 2 }));
    assert!(matches!(event(1).decode::<String>(), Err(ArgsError::Invalid { argument: 1, .. })));
    assert_eq!(event(None::<u8>).decode(), Ok(None::<u8>));
}

#[test]
fn a_buffer_is_left_alone_after_an_error() {
    let mut out = b"before".to_vec();
    let args = BTreeMap::from([(vec![1], 1)]);
    assert!(CODEC.event_into(&mut out, &Nsp::ROOT, None, "a", &args).is_err());
    assert_eq!(out, b"before");
    assert_eq!(CODEC.event(&Nsp::ROOT, None, "connect", &()), Err(EncodeError::ReservedEvent));
}

#[test]
fn an_offset_is_added_to_events_only() {
    let event = CODEC.event(&Nsp::ROOT, Some(AckId(1)), "a", &1).unwrap();
    let args = event_of(decode(&bytes(&event.with_offset("o"))).unwrap()).into_args();
    assert_eq!(args.decode(), Ok((1, "o")));
    let ack = CODEC.ack(&Nsp::ROOT, AckId(1), &1).unwrap();
    assert_eq!(ack.with_offset("o"), ack);
    let connect = CODEC.connect(&Nsp::ROOT, Some(&json!({"data": []}))).unwrap();
    assert_eq!(connect.with_offset("o"), connect);
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| packet("03", &("91".repeat(depth - 2) + "90"));
    assert!(decode(&nested(128)).is_ok());
    assert_eq!(decode(&nested(129)), Err(DecodeError::NestingTooDeep));
}

#[test]
fn lists_from_elsewhere_are_checked() {
    let parse = |list: &[u8]| Args::parse(Message::Binary(Bytes::copy_from_slice(list)), &Limits::default());
    assert_eq!(parse(&hex("9201a178")).unwrap().decode(), Ok((1, "x")));
    for list in ["", "01", "91", "9000", "91ff00"] {
        assert_eq!(parse(&hex(list)), Err(DecodeError::InvalidPayload), "{list}");
    }
    let json = |list: &str| Args::parse(Message::Text(list.into()), &Limits::default());
    assert_eq!(json("[1,\"x\"]").unwrap().decode(), Ok((1, "x")));
    assert_eq!(json("{}"), Err(DecodeError::InvalidPayload));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    Newtype(Bytes),
    Tuple(u8, Bytes),
    Struct { x: Option<Bytes> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    choices: Vec<Choice>,
    map: BTreeMap<i16, (char, f64)>,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<bool>>,
}

fn everything() -> impl Strategy<Value = Everything> {
    let bytes = || any::<Vec<u8>>().prop_map(Bytes::from);
    let choice = prop_oneof![
        Just(Choice::Unit),
        bytes().prop_map(Choice::Newtype),
        (any::<u8>(), bytes()).prop_map(|(number, bytes)| Choice::Tuple(number, bytes)),
        proptest::option::of(bytes()).prop_map(|x| Choice::Struct { x }),
    ];
    (
        proptest::collection::vec(choice, 0..20),
        any::<BTreeMap<i16, (char, f64)>>(),
        "[a-z]{7}",
        any::<Option<bool>>(),
    )
        .prop_map(|(choices, map, key, value)| Everything {
            choices,
            map,
            rest: BTreeMap::from([(key, value)]),
        })
}

proptest! {
    #[test]
    fn what_is_sent_is_received(value in everything(), number in any::<i64>()) {
        let args = event((&value, number));
        prop_assert_eq!(args.decode::<(Everything, i64)>(), Ok((value.clone(), number)));
        // As it is, and by way of serde.
        let raw = CODEC.event_raw(&Nsp::ROOT, None, "b", &args).unwrap();
        prop_assert_eq!(&event_of(decode(&bytes(&raw)).unwrap()).into_args(), &args);
        prop_assert_eq!(event(&args).decode::<(Everything, i64)>(), Ok((value.clone(), number)));
        let offset = event_of(decode(&bytes(&raw.with_offset("o"))).unwrap()).into_args();
        prop_assert_eq!(offset.decode::<(Everything, i64, &str)>(), Ok((value, number, "o")));
    }

    #[test]
    fn no_bytes_panic(data in any::<Vec<u8>>(), tail in any::<Vec<u8>>()) {
        let _ = decode(&data);
        let mut packet = packet("02", "92a161");
        let end = packet.split_off(packet.len() - 6);
        packet.extend_from_slice(&tail);
        packet.extend_from_slice(&end);
        if let Ok(Packet { body: Body::Event(event), .. }) = decode(&packet) {
            let _ = event.args().decode::<(Value, Everything)>();
            let _ = event.args().decode::<Everything>();
            prop_assert_eq!(event.args().iter().count(), event.args().len());
            // Whatever was accepted can be passed on.
            prop_assert!(Codec::Text.event_raw(&Nsp::ROOT, None, "a", event.args()).is_ok());
            prop_assert!(CODEC.event_raw(&Nsp::ROOT, None, "a", event.args()).is_ok());
        }
    }

    #[test]
    fn json_becomes_msgpack_and_back(value in everything()) {
        let text = Codec::Text.event(&Nsp::ROOT, None, "a", &value).unwrap();
        let mut decoder = Decoder::new(Codec::Text, Limits { max_attachments: 100, ..Limits::default() });
        let packet = text.frames().filter_map(|frame| {
            decoder.push(match frame {
                Frame::Text(text) => Message::Text(text.slice_ref(&text[1..])),
                Frame::Binary(bytes) => Message::Binary(bytes),
            }).unwrap()
        }).last().unwrap();
        let msgpack = CODEC.event_raw(&Nsp::ROOT, None, "a", event_of(packet).args()).unwrap();
        let args = event_of(decode(&bytes(&msgpack)).unwrap()).into_args();
        let back: Everything = args.decode().unwrap();
        prop_assert_eq!(back.choices, value.choices);
    }
}

#[test]
fn what_does_not_know_its_length_gets_the_same_head() {
    struct List(usize);

    impl Serialize for List {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // A filter hides how many there are.
            serializer.collect_seq((0..self.0).filter(|_| true))
        }
    }

    struct Map(usize);

    impl Serialize for Map {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer
                .collect_map((0..self.0).filter(|_| true).map(|number| (alloc::format!("{number}"), number)))
        }
    }

    for len in [0, 1, 15, 16, 17, 0xFFFF, 0x1_0000] {
        let known: Vec<usize> = (0..len).collect();
        let known = CODEC.event(&Nsp::ROOT, None, "a", &(known,)).unwrap();
        let hidden = CODEC.event(&Nsp::ROOT, None, "a", &(List(len),)).unwrap();
        assert!(hidden == known, "a list of {len}");
        let hidden = event((Map(len), "behind"));
        let (map, behind): (BTreeMap<String, usize>, String) = hidden.decode().unwrap();
        assert_eq!((map.len(), behind.as_str()), (len, "behind"));
    }
}
