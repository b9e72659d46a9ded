//! The packets of a Socket.IO connection, message by message, and what their arguments can be turned into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use socketio_core::engine::Revision;
use socketio_core::engine::packet::{Message, Packet as EnginePacket};
use socketio_core::socket::{
    Args, Body, Codec, Decoder, Encoded, Limits, Nsp, Packet, Payload, is_reserved_event,
};
use socketio_core::{AckId, Bytes, Str};

use crate::any::Any;

/// Messages separated by the byte 0x1E, which JSON cannot hold. One that begins with the byte 0, or is not UTF-8, is
/// binary.
pub fn socket_text(data: &[u8]) {
    for limits in limits() {
        let mut decoder = Decoder::new(Codec::Text, limits.clone());
        for message in data.split(|&b| b == 0x1E).map(message) {
            match decoder.push(message) {
                Ok(None) => assert!(decoder.is_reconstructing()),
                Ok(Some(packet)) => {
                    assert!(!decoder.is_reconstructing());
                    check(Codec::Text, &packet, &limits);
                }
                Err(error) => {
                    let next = Message::Text(r#"2["a"]"#.into());
                    assert_eq!(decoder.push(next), Err(error), "errors are final");
                    break;
                }
            }
        }
    }
}

/// One message, which is one packet.
pub fn socket_msgpack(data: &[u8]) {
    for limits in limits() {
        let mut decoder = Decoder::new(Codec::Msgpack, limits.clone());
        match decoder.push(Message::Binary(Bytes::copy_from_slice(data))) {
            Ok(packet) => check(Codec::Msgpack, &packet.expect("no message follows"), &limits),
            Err(error) => {
                assert_eq!(decoder.push(Message::Binary(Bytes::new())), Err(error), "errors are final")
            }
        }
    }
}

/// The default, and limits that short inputs reach.
fn limits() -> [Limits; 2] {
    [Limits::default(), Limits { max_attachments: 2, max_attachment_bytes: 8, max_nesting: 3 }]
}

fn message(bytes: &[u8]) -> Message {
    match (bytes.strip_prefix(&[0]), Str::try_from(bytes)) {
        (None, Ok(text)) => Message::Text(text),
        (binary, _) => Message::Binary(Bytes::copy_from_slice(binary.unwrap_or(bytes))),
    }
}

fn check(codec: Codec, packet: &Packet, limits: &Limits) {
    // With msgpack a client can name any text; no such namespace exists, but its name goes back in the refusal.
    assert!(codec != Codec::Text || packet.nsp.as_str().starts_with('/'));
    assert_eq!(packet.nsp.detached(), packet.nsp);
    match &packet.body {
        Body::Connect(payload) | Body::ConnectError(payload) => check_payload(codec, payload.as_ref()),
        Body::Disconnect => {
            assert_eq!(decode(codec, &codec.disconnect(&packet.nsp).expect("it is built in")), *packet)
        }
        Body::Unnamed => {}
        Body::Event(event) => {
            check_args(event.args(), limits);
            let name = event.name();
            // The msgpack parser of the reference lets them in, and nothing may send them.
            if is_reserved_event(name) {
                return assert_eq!(codec, Codec::Msgpack);
            }
            let again = codec.event_raw(&packet.nsp, event.ack, name, event.args()).expect("it was received");
            assert_eq!(decode(codec, &again), *packet);
            let offset = again.with_offset("an-offset");
            let Body::Event(with_offset) = decode(codec, &offset).body else { panic!("still an event") };
            assert_eq!(with_offset.args().len(), event.args().len() + 1);
            if let Some(encoded) = Head::Event(name, event.ack).transcode(codec, &packet.nsp, event.args()) {
                let Body::Event(again) = decode(codec, &encoded).body else { panic!("still an event") };
                assert_eq!((again.name(), again.ack), (name, event.ack));
                assert_same(again.args(), event.args());
            }
        }
        Body::Ack { id, args } => {
            check_args(args, limits);
            let Some(id) = *id else { return };
            let again = codec.ack_raw(&packet.nsp, id, args).expect("it was received");
            assert_eq!(decode(codec, &again), *packet);
            if let Some(encoded) = Head::Ack(id).transcode(codec, &packet.nsp, args) {
                let Body::Ack { args: again, .. } = decode(codec, &encoded).body else {
                    panic!("still an ack")
                };
                assert_same(&again, args);
            }
        }
    }
}

fn check_payload(codec: Codec, payload: Option<&Payload>) {
    let Some(payload) = payload else { return };
    assert_eq!(payload.detached(), *payload);
    if let Ok(any) = payload.decode::<Any>() {
        let again = codec.connect(&Nsp::ROOT, Some(&any)).expect("what was read can be written");
        // A server sends objects only, a client may be refused with text: both kinds come here, one kind goes back.
        if let Any::Map(_) = any {
            let Body::Connect(Some(again)) = decode(codec, &again).body else { panic!("still a CONNECT") };
            assert_eq!(again.decode::<Any>(), Ok(any));
        }
    }
    let _ = payload.decode::<BTreeMap<String, Option<String>>>();
    let _ = payload.decode::<serde_json::Value>();
}

fn check_args(args: &Args, limits: &Limits) {
    assert!(args.attachments().len() <= limits.max_attachments);
    assert!(args.attachments().iter().map(Bytes::len).sum::<usize>() <= limits.max_attachment_bytes);
    assert_eq!(args.iter().count(), args.len());
    assert_eq!(args.is_empty(), args.iter().next().is_none());
    macro_rules! decodes_or_not {
        ($($type:ty),* $(,)?) => { $(let _ = args.decode::<$type>();)* };
    }
    decodes_or_not!(
        (),
        bool,
        i8,
        u128,
        f32,
        char,
        &str,
        &[u8],
        Bytes,
        Option<Bytes>,
        [Any; 2],
        (String, Bytes),
        (Option<Any>, Option<Bytes>, ()),
        Vec<Any>,
        Vec<Bytes>,
        BTreeMap<String, Any>,
        BTreeMap<u8, Bytes>,
        &serde_json::value::RawValue,
        serde_json::Value,
        Upload,
        (Shape, Shape),
        Untagged,
        Tagged,
    );
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding is the test")]
struct Upload {
    name: Option<String>,
    data: Bytes,
    #[serde(flatten)]
    rest: BTreeMap<String, Any>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding is the test")]
enum Shape {
    Unit,
    One(Bytes),
    Two(u8, String),
    Fields { at: i64, data: Option<Bytes> },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "decoding is the test")]
enum Untagged {
    Number(f64),
    Data { data: Bytes },
    Other(Any),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "value")]
#[expect(dead_code, reason = "decoding is the test")]
enum Tagged {
    Bytes(Bytes),
    Text(String),
}

/// What stands before the arguments of a packet.
enum Head<'a> {
    Event(&'a str, Option<AckId>),
    Ack(AckId),
}

impl Head<'_> {
    /// Reads arguments as values and writes them anew, as far as there is a type here for that number of them.
    fn transcode(&self, codec: Codec, nsp: &Nsp, args: &Args) -> Option<Encoded> {
        match args.len() {
            0 => Some(self.write(codec, nsp, &())),
            1 => args.decode::<(Any,)>().ok().map(|args| self.write(codec, nsp, &args)),
            2 => args.decode::<(Any, Any)>().ok().map(|args| self.write(codec, nsp, &args)),
            3 => args.decode::<(Any, Any, Any)>().ok().map(|args| self.write(codec, nsp, &args)),
            _ => None,
        }
    }

    fn write<T: Serialize>(&self, codec: Codec, nsp: &Nsp, args: &T) -> Encoded {
        match *self {
            Self::Event(name, ack) => codec.event(nsp, ack, name, args),
            Self::Ack(id) => codec.ack(nsp, id, args),
        }
        .expect("what was read can be written")
    }
}

fn assert_same(again: &Args, args: &Args) {
    assert_eq!(again.len(), args.len());
    match args.len() {
        0 => {}
        1 => assert_eq!(again.decode::<(Any,)>(), args.decode()),
        2 => assert_eq!(again.decode::<(Any, Any)>(), args.decode()),
        _ => assert_eq!(again.decode::<(Any, Any, Any)>(), args.decode()),
    }
}

/// Reads what was written.
fn decode(codec: Codec, encoded: &Encoded) -> Packet {
    let mut decoder = Decoder::new(codec, Limits { max_attachments: 1000, ..Limits::default() });
    let mut packet = None;
    for frame in encoded.frames() {
        assert_eq!(packet, None, "attachments after the end");
        let Ok(EnginePacket::Message(message)) = EnginePacket::decode(Revision::V4, frame) else {
            panic!("not a message")
        };
        packet = decoder.push(message).expect("what is written can be read");
    }
    packet.expect("what is written is complete")
}
