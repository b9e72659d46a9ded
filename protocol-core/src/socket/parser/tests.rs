extern crate std;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::AckId;
use crate::engine::packet::Frame;
use crate::socket::{Codec, Decoder, Nsp, Payload};

/// Writes nothing, and reads whatever a test has put into a message.
#[derive(Debug)]
struct Puppet;

impl Parser for Puppet {
    fn encode(&self, packet: &Packet) -> Result<Encoded, EncodeError> {
        match &packet.body {
            Body::Event(event) if event.name() == "panic" => panic!("as it was told"),
            Body::Event(event) => Ok(Encoded::new(Message::Text(event.name().into()), vec![])),
            _ => Err(serde::ser::Error::custom("not I")),
        }
    }

    fn decoder(&self, _: &Limits) -> Box<dyn PacketDecoder> {
        Box::new(Self)
    }
}

impl PacketDecoder for Puppet {
    fn add(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        let Message::Text(text) = message else { return Ok(None) };
        let (name, args) = match text.split_once(' ') {
            None if &*text == "more" => return Ok(None),
            None if &*text == "panic" => panic!("as it was told"),
            None if &*text == "auth" => {
                let payload = Payload::encode(&json!([[[[]]]])).ok();
                return Ok(Some(Packet { nsp: Nsp::ROOT, body: Body::Connect(payload) }));
            }
            None => (&*text, Args::default()),
            Some(("bytes", lengths)) => {
                let lengths = lengths.split(' ').map(|length| Bytes::from(vec![0; length.parse().unwrap()]));
                ("bytes", Args::encode(&super::super::Variadic(lengths.collect())).unwrap())
            }
            Some((name, args)) => (name, Args::parse(Message::Text(args.into()), &Limits::default())?),
        };
        Ok(Some(Packet { nsp: Nsp::ROOT, body: Body::Event(Event::new(name, args)) }))
    }
}

const CODEC: Codec = Codec::custom(&Puppet).guarded(|call| catch_unwind(AssertUnwindSafe(call)).is_ok());

fn decoder() -> Decoder {
    let limits = Limits { max_attachments: 2, max_attachment_bytes: 10, max_nesting: 3 };
    Decoder::new(CODEC, limits)
}

fn push(text: &str) -> Result<(), DecodeError> {
    decoder().push(Message::Text(text.into())).map(drop)
}

#[test]
fn what_it_reads_is_held_to_the_limits_of_the_connection() {
    let rows = [
        ("a [1,[[]]]", Ok(())),
        ("a [[[[]]]]", Err(DecodeError::NestingTooDeep)),
        ("auth", Err(DecodeError::NestingTooDeep)),
        ("connect", Err(DecodeError::ReservedEvent)),
        ("disconnecting [1]", Err(DecodeError::ReservedEvent)),
        ("bytes 5 5", Ok(())),
        ("bytes 5 6", Err(DecodeError::AttachmentsTooLarge)),
        ("bytes 1 1 1", Err(DecodeError::TooManyAttachments)),
    ];
    for (text, result) in rows {
        assert_eq!(push(text), result, "{text}");
    }
}

#[test]
fn a_packet_may_be_of_as_many_messages_and_bytes_as_the_limits_say() {
    let more = |bytes: usize| Message::Binary(vec![0; bytes].into());
    let mut content = decoder();
    // The first message is bounded by the engine.
    assert_eq!(content.push(more(100)), Ok(None));
    assert!(content.is_reconstructing());
    assert_eq!(content.push(more(9)), Ok(None));
    assert!(content.push(Message::Text("a".into())).unwrap().is_some());
    assert!(!content.is_reconstructing());
    // Counted anew for the next one.
    assert_eq!(content.push(more(1)), Ok(None));
    assert_eq!(content.push(more(10)), Ok(None));
    assert_eq!(content.push(more(1)), Err(DecodeError::AttachmentsTooLarge));
    assert_eq!(content.push(Message::Text("a".into())), Err(DecodeError::AttachmentsTooLarge));
    let mut insatiable = decoder();
    for _ in 0..2 {
        assert_eq!(insatiable.push(more(1)), Ok(None));
    }
    assert_eq!(insatiable.push(more(1)), Err(DecodeError::TooManyAttachments));
}

#[test]
fn a_panic_is_contained_where_there_is_a_guard() {
    let panicked = DecodeError::Parser { reason: "the parser panicked".into() };
    let mut decoder = decoder();
    assert_eq!(decoder.push(Message::Text("panic".into())), Err(panicked.clone()));
    assert_eq!(decoder.push(Message::Text("a".into())), Err(panicked));
    let error = CODEC.event(&Nsp::ROOT, None, "panic", &()).unwrap_err();
    assert_eq!(error.to_string(), "the parser panicked");
}

#[test]
fn what_it_does_not_write_is_an_error_and_text_is_a_message_of_the_engine() {
    let error = CODEC.ack(&Nsp::ROOT, AckId(1), &()).unwrap_err();
    assert_eq!(error.to_string(), "not I");
    assert_eq!(CODEC.disconnect(&Nsp::ROOT), Err(error));
    assert_eq!(CODEC.event(&Nsp::ROOT, None, "connect", &()), Err(EncodeError::ReservedEvent));
    let event = CODEC.event(&Nsp::ROOT, None, "a", &()).unwrap();
    assert_eq!(event.frames().collect::<Vec<_>>(), [Frame::Text("4a".into())]);
    let mut buffer = b"x".to_vec();
    assert!(CODEC.event_into(&mut buffer, &Nsp::ROOT, None, "a", &()).unwrap().is_empty());
    assert_eq!(buffer, b"x4a");
}

#[test]
fn an_offset_goes_behind_the_arguments() {
    /// Keeps arguments as they are.
    #[derive(Debug)]
    struct Verbatim;
    impl Parser for Verbatim {
        fn encode(&self, packet: &Packet) -> Result<Encoded, EncodeError> {
            let Body::Event(event) = &packet.body else { return Err(serde::ser::Error::custom("not I")) };
            let args = event.args().decode::<super::super::Variadic<serde_json::Value>>().unwrap().0;
            let text = [event.name(), " ", &json!(args).to_string()].concat();
            Ok(Encoded::new(Message::Text(text.into()), vec![]))
        }

        fn decoder(&self, _: &Limits) -> Box<dyn PacketDecoder> {
            Box::new(Puppet)
        }
    }
    let codec = Codec::custom(&Verbatim);
    let event = codec.event(&Nsp::ROOT, None, "a", &(1, "x")).unwrap();
    assert_eq!(codec.with_offset(&event, "o\"").head(), &Frame::Text(r#"4a [1,"x","o\""]"#.into()));
    // Not an event to this decoder.
    let other = Encoded::new(Message::Binary(Bytes::new()), vec![]);
    assert_eq!(codec.with_offset(&other, "o"), other);
}
