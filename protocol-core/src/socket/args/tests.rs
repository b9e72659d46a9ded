use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::engine::packet::{Frame, Message};
use crate::socket::{Body, Codec, Decoder, Limits, Nsp};
use crate::{AckId, Bytes};

/// The arguments of an event, off the wire.
fn receive(encoded: &crate::socket::Encoded) -> Args {
    let mut decoder = Decoder::new(Codec::Text, Limits { max_attachments: 100, ..Limits::default() });
    let mut last = None;
    for frame in encoded.frames() {
        assert_eq!(last, None);
        last = decoder
            .push(match frame {
                Frame::Text(text) => Message::Text(text.slice_ref(&text[1..])),
                Frame::Binary(bytes) => Message::Binary(bytes),
            })
            .unwrap();
    }
    match last.unwrap().body {
        Body::Event(event) => event.into_args(),
        Body::Ack { args, .. } => args,
        other => panic!("arguments expected, not {other:?}"),
    }
}

fn event<T: Serialize>(args: T) -> Args {
    receive(&Codec::Text.event(&Nsp::ROOT, None, "a", &args).unwrap())
}

fn ack<T: Serialize>(args: T) -> Args {
    receive(&Codec::Text.ack(&Nsp::ROOT, AckId(1), &args).unwrap())
}

/// The rule is the same with a name before the arguments, without one, and with attachments about.
fn all(args: Value) -> [Args; 3] {
    let Value::Array(list) = args else { panic!("a list expected") };
    let list = serde_json::to_string(&list).unwrap();
    let inner = &list[1..list.len() - 1];
    let push = |head: String, attachments| {
        let mut decoder = Decoder::new(Codec::Text, Limits::default());
        let mut packet = decoder.push(Message::Text(head.into())).unwrap();
        for _ in 0..attachments {
            packet = decoder.push(Message::Binary(Bytes::from_static(b"x"))).unwrap();
        }
        match packet.unwrap().body {
            Body::Event(event) => event.into_args(),
            Body::Ack { args, .. } => args,
            other => panic!("arguments expected, not {other:?}"),
        }
    };
    let comma = if inner.is_empty() { "" } else { "," };
    [
        push(alloc::format!("2[\"a\"{comma}{inner}]"), 0),
        push(alloc::format!("31{list}"), 0),
        push(alloc::format!("51-[\"a\"{comma}{inner}]"), 1),
    ]
}

#[track_caller]
fn check<T: for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(args: Value, expected: Result<T, ArgsError>) {
    for args in all(args) {
        assert_eq!(args.decode::<T>(), expected, "{args:?}");
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Newtype<T>(T);

#[derive(Debug, PartialEq, Deserialize)]
struct Pair(u8, String);

#[derive(Debug, PartialEq, Deserialize)]
struct Fields {
    x: u8,
    y: Option<u8>,
}

#[test]
fn a_tuple_takes_the_list() {
    check(json!([1, "x"]), Ok((1_u8, "x".to_owned())));
    check(json!([1, "x"]), Ok(Pair(1, "x".into())));
    check(json!([1, "x"]), Ok(Newtype((1_u8, "x".to_owned()))));
    check(json!([1, 2]), Ok([1_u8, 2]));
    check(json!([[1, 2], 3]), Ok((vec![1_u8, 2], 3_u8)));
    check(json!([[1, 2], 3]), Ok(((1_u8, 2_u8), 3_u8)));
    check(json!([1]), Ok((1_u8,)));
}

#[test]
fn anything_else_takes_the_first_argument() {
    check(json!([1, "x"]), Ok(1_u8));
    check(json!(["x"]), Ok("x".to_owned()));
    check(json!([[1, 2], 3]), Ok(vec![1_u8, 2]));
    check(json!([{"x": 1}, 3]), Ok(Fields { x: 1, y: None }));
    check(json!([{"x": 1}]), Ok(BTreeMap::from([("x".to_owned(), 1_u8)])));
    check(json!([{"x": 1}]), Ok(Newtype(Fields { x: 1, y: None })));
    check(json!([[1, null], 3]), Ok(json!([1, null])));
    check(json!([[1, 2], 3]), Ok(Some((1_u8, 2_u8))));
    check(json!(["x"]), Ok('x'));
    check(json!([1.5]), Ok(1.5_f64));
}

#[test]
fn unit_takes_none_and_ignores_all() {
    check(json!([]), Ok(()));
    check(json!([1, 2]), Ok(()));
}

#[test]
fn extra_arguments_are_ignored() {
    check(json!([1, 2, {"x": []}, "y"]), Ok((1_u8, 2_u8)));
    check(json!([1, 2]), Ok([0_u8; 0]));
}

#[test]
fn missing_arguments_have_a_number_unless_they_are_optional() {
    check::<u8>(json!([]), Err(ArgsError::Missing { argument: 1 }));
    check::<(u8, u8)>(json!([]), Err(ArgsError::Missing { argument: 1 }));
    check::<(u8, u8)>(json!([1]), Err(ArgsError::Missing { argument: 2 }));
    check::<(u8, Newtype<u8>)>(json!([1]), Err(ArgsError::Missing { argument: 2 }));
    check(json!([1]), Ok((1_u8, None::<u8>)));
    check(json!([1]), Ok((1_u8, Newtype(None::<u8>))));
    check(json!([1]), Ok((1_u8, ())));
    check(json!([]), Ok(None::<u8>));
    check(json!([null]), Ok(None::<u8>));
    check(json!([]), Ok((None::<u8>, None::<u8>)));
}

#[test]
fn an_argument_of_the_wrong_kind_has_a_number() {
    fn number<T: for<'de> Deserialize<'de> + fmt::Debug>(args: Value) -> [usize; 3] {
        all(args).map(|args| match args.decode::<T>() {
            Err(ArgsError::Invalid { argument, .. }) => argument,
            other => panic!("an invalid argument expected, not {other:?}"),
        })
    }
    assert_eq!(number::<u8>(json!(["x"])), [1; 3]);
    assert_eq!(number::<(u8, u8)>(json!([1, "x"])), [2; 3]);
    assert_eq!(number::<(u8, Fields)>(json!([1, {"y": 1}])), [2; 3]);
}

#[test]
fn arguments_may_be_borrowed() {
    for args in all(json!(["x", {"y": 1.0}])) {
        assert_eq!(args.decode(), Ok(("x", BTreeMap::from([("y", 1.0)]))));
        let (_, raw): (&str, &RawValue) = args.decode().unwrap();
        assert_eq!(raw.get(), r#"{"y":1.0}"#);
    }
    for args in all(json!([{"y": 1.0}])) {
        assert_eq!(args.decode::<&RawValue>().unwrap().get(), r#"{"y":1.0}"#);
    }
}

#[test]
fn raw_arguments_come_one_by_one() {
    for args in all(json!([1, {"x": [","]}, "]"])) {
        assert_eq!(args.raw(), Raw::Json(r#"1,{"x":[","]},"]""#));
        let expected = ["1", r#"{"x":[","]}"#, r#""]""#].map(Raw::Json);
        assert_eq!(args.iter().collect::<Vec<_>>(), expected);
        assert_eq!(args.iter().len(), 3);
    }
    assert_eq!(Args::default().iter().next(), None);
}

mod attachments {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Newtype(Bytes),
        Tuple(u8, Bytes),
        Struct { x: Bytes },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Everywhere {
        plain: Bytes,
        option: Option<Bytes>,
        none: Option<Bytes>,
        list: Vec<Bytes>,
        map: BTreeMap<u32, Bytes>,
        tuple: (Bytes, u8),
        choices: Vec<Choice>,
        text: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u32),
        Binary(Bytes),
        Object { x: Bytes, y: Value },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        name: String,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rest {
        data: Bytes,
        more: BTreeMap<String, Bytes>,
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        let value = Everywhere {
            plain: bytes("a"),
            option: Some(bytes("b")),
            none: None,
            list: vec![bytes("c"), bytes("")],
            map: BTreeMap::from([(1, bytes("d"))]),
            tuple: (bytes("e"), 1),
            choices: vec![
                Choice::Newtype(bytes("f")),
                Choice::Tuple(1, bytes("g")),
                Choice::Struct { x: bytes("h") },
            ],
            text: "i".into(),
        };
        assert_eq!(event(&value).decode(), Ok(value.clone()));
        assert_eq!(ack((1, &value)).decode(), Ok((1, value)));
    }

    #[test]
    fn types_that_take_anything_get_bytes_too() {
        let values = vec![
            Untagged::Number(7),
            Untagged::Binary(bytes("a")),
            Untagged::Object { x: bytes("b"), y: json!({"_placeholder": false, "é\n": [1.5, null]}) },
        ];
        assert_eq!(event(&values).decode(), Ok(values));
        let flat = Flat {
            name: "n".into(),
            rest: Rest { data: bytes("a"), more: BTreeMap::from([("k".into(), bytes("b"))]) },
        };
        assert_eq!(event(&flat).decode(), Ok(flat));
    }

    #[test]
    fn a_value_without_bytes_refuses_them() {
        let args = event((bytes("a"), json!({"x": 1})));
        assert!(matches!(args.decode::<Value>(), Err(ArgsError::Invalid { argument: 1, .. })));
        assert_eq!(args.decode::<(Bytes, Value)>(), Ok((bytes("a"), json!({"x": 1}))));
    }

    #[test]
    fn slices_are_borrowed_from_the_attachment() {
        #[derive(Deserialize)]
        struct Slice<'a> {
            x: &'a [u8],
        }
        let args = event(BTreeMap::from([("x", bytes("abc"))]));
        let slice: Slice<'_> = args.decode().unwrap();
        assert_eq!(slice.x, b"abc");
        assert_eq!(slice.x.as_ptr(), args.attachments()[0].as_ptr());
    }

    #[test]
    fn text_and_lists_of_numbers_are_bytes_as_well() {
        let args = event((bytes("a"), "text", vec![1, 2]));
        let expected = (bytes("a"), bytes("text"), Bytes::from_static(&[1, 2]));
        assert_eq!(args.decode(), Ok(expected));
    }
}

/// Any value that can travel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Any {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    Binary(Bytes),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{Error, MapAccess, SeqAccess, Visitor};

        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
                Ok(Any::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
                Ok(Any::Number(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Any, E> {
                value.try_into().map(Any::Number).map_err(E::custom)
            }

            fn visit_str<E>(self, value: &str) -> Result<Any, E> {
                Ok(Any::Text(value.into()))
            }

            fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
                Ok(Any::Binary(Bytes::copy_from_slice(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Any::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut object = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    object.insert(key, value);
                }
                Ok(Any::Object(object))
            }
        }

        deserializer.deserialize_any(AnyVisitor)
    }
}

fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::Null),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Number),
        any::<String>().prop_map(Any::Text),
        any::<Vec<u8>>().prop_map(|bytes| Any::Binary(bytes.into())),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        let key =
            prop_oneof!["[a-c]", any::<String>(), Just("_placeholder".to_owned()), Just("num".to_owned())];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Any::List),
            proptest::collection::btree_map(key, inner, 0..4).prop_map(Any::Object),
        ]
    })
    .prop_filter("the reference cannot send such an object either", |value| !forges_a_placeholder(value))
}

fn forges_a_placeholder(value: &Any) -> bool {
    match value {
        Any::List(list) => list.iter().any(forges_a_placeholder),
        Any::Object(map) => {
            map.get("_placeholder") == Some(&Any::Bool(true)) || map.values().any(forges_a_placeholder)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_received(values in (any_value(), any_value())) {
        let args = event(&values);
        prop_assert_eq!(args.len(), 2);
        prop_assert_eq!(args.decode::<(Any, Any)>(), Ok(values.clone()));
        prop_assert_eq!(ack((&values.0,)).decode::<Any>(), Ok(values.0));
    }

    #[test]
    fn what_is_passed_on_is_received(values in (any_value(), any_value())) {
        let args = event(&values);
        prop_assert_eq!(&receive(&Codec::Text.event_raw(&Nsp::ROOT, None, "b", &args).unwrap()), &args);
        prop_assert_eq!(&receive(&Codec::Text.ack_raw(&Nsp::ROOT, AckId(0), &args).unwrap()), &args);
        let written = event(&args);
        prop_assert_eq!(written.decode::<(Any, Any)>(), Ok(values.clone()));
        let offset = Codec::Text.event(&Nsp::ROOT, None, "c", &args).unwrap().with_offset("o");
        let offset = receive(&offset);
        prop_assert_eq!(offset.decode::<(Any, Any, &str)>(), Ok((values.0, values.1, "o")));
    }
}

#[test]
fn text_reads_the_same_whether_or_not_it_stands_there_as_it_is() {
    let rows = [
        (r#"31["x é"]"#, "x é"),
        (r#"31[ "x" ]"#, "x"),
        (r#"31["x" , 1]"#, "x"),
        (r#"31["x","y"]"#, "x"),
        (r#"31[""]"#, ""),
        (r#"31["\u0078"]"#, "x"),
        (r#"31["\""]"#, "\""),
        (r#"31["\\"]"#, "\\"),
        (r#"2["a","x"]"#, "x"),
        (r#"2["\u0061","x"]"#, "x"),
        (r#"2["a","\t"]"#, "\t"),
        (r#"2["a",["x"]]"#, r#"["x"]"#),
    ];
    for (packet, text) in rows {
        let packet = Decoder::new(Codec::Text, Limits::default()).push(Message::Text(packet.into()));
        let args = match packet.unwrap().unwrap().body {
            Body::Event(event) => event.into_args(),
            Body::Ack { args, .. } => args,
            other => panic!("arguments expected, not {other:?}"),
        };
        let is_list = text.starts_with('[');
        assert_eq!(args.decode::<String>().is_ok(), !is_list, "{args:?}");
        assert_eq!(args.first().decode::<String>(), args.decode::<String>());
        assert_eq!(args.first().decode::<(Value,)>().ok(), args.decode::<(Value,)>().ok());
        assert_eq!(args.first().decode::<crate::socket::Variadic<Value>>().map(|all| all.0.len()), Ok(1));
        if !is_list {
            assert_eq!(args.decode::<String>().as_deref(), Ok(text));
            assert_eq!(args.decode::<Value>(), Ok(json!(text)));
            assert_eq!(args.decode::<(Option<String>,)>(), Ok((Some(text.to_owned()),)));
        }
    }
}
