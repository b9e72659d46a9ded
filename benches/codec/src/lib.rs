//! The cases by which the codec is measured, each the whole way: from what a transport hands over to what the application
//! asked for, or from a value to the frames that leave.
//!
//! The same functions are timed alone (`cargo bench -p socketio-bench-codec --bench wall`), timed beside other parsers
//! (`cargo xtask bench --codec`), and counted in instructions (`cargo xtask bench --gate`).

use std::convert::Infallible;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socketio_core::engine::format::Format;
use socketio_core::engine::packet::{Frame, Message, Packet as EnginePacket};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::engine::{Revision, payload};
use socketio_core::peer::{Config, Event as PeerEvent, Output, Peer};
use socketio_core::socket::{
    Attachments, Body, Codec, Decoder, Encoded, Event, Limits, Nsp, Packet, Raw, Value, server as socket,
};
use socketio_core::{Bytes, Instant, Lane, Sid, Str};

/// A small event in text.
pub const SMALL: &str = r#"2["chat","hello world"]"#;

/// An event with two attachments in a struct.
pub const BINARY: &str = r#"52-["up",{"a":{"_placeholder":true,"num":0},"b":{"_placeholder":true,"num":1}}]"#;

/// An object of 1 KiB, with nesting, numbers, escapes and a character that is not ASCII.
pub const OBJECT: &str = include_str!("../fixtures/obj1k.json");

/// What the two attachments are decoded into.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "two attachments")]
pub struct Pair {
    pub a: Bytes,
    pub b: Bytes,
}

/// A decoder of the text parser.
pub fn text_decoder() -> Decoder {
    Decoder::new(Codec::Text, Limits::default())
}

/// A decoder of the msgpack parser.
pub fn msgpack_decoder() -> Decoder {
    Decoder::new(Codec::Msgpack, Limits::default())
}

/// An attachment of 1 KiB.
pub fn blob() -> Bytes {
    shared(&[7; 1024])
}

/// Bytes in the form in which a transport has them: a reference count and a slice.
pub fn shared(bytes: &[u8]) -> Bytes {
    let bytes = Bytes::copy_from_slice(bytes);
    drop(bytes.clone()); // a first clone allocates the count
    bytes
}

/// The same for text.
pub fn shared_text(text: &str) -> Str {
    Str::try_from(shared(text.as_bytes())).unwrap_or_default()
}

/// An event of [`OBJECT`] in text.
pub fn big() -> String {
    format!("2[\"chat\",{OBJECT}]")
}

/// [`OBJECT`] as a value.
pub fn object() -> serde_json::Value {
    serde_json::from_str(OBJECT).unwrap_or_default()
}

/// A polling payload of 16 small events.
pub fn polling_payload() -> String {
    vec![format!("4{SMALL}"); 16].join("\u{1e}")
}

/// The frames of such a payload.
pub fn polling_frames() -> Vec<Frame> {
    vec![Frame::Text(shared_text(&format!("4{SMALL}"))); 16]
}

/// A small event as one msgpack message.
pub fn msgpack_small() -> Bytes {
    msgpack(&"hello world", "chat")
}

/// An event with two attachments as one msgpack message.
pub fn msgpack_binary() -> Bytes {
    msgpack(&Pair { a: blob(), b: blob() }, "up")
}

fn msgpack<T: Serialize>(value: &T, name: &str) -> Bytes {
    match Codec::Msgpack.event(&Nsp::ROOT, None, name, value).map(|encoded| encoded.head().clone()) {
        Ok(Frame::Binary(bytes)) => shared(&bytes),
        _ => Bytes::new(),
    }
}

/// Does something with the event in a message. Its name is looked at, as a server does to find the handler.
///
/// # Panics
/// When there is none.
pub fn with_event<T>(decoder: &mut Decoder, message: Message, then: impl FnOnce(&Event) -> T) -> T {
    // Looked at where it is: nobody who needs an event has to move it.
    match &decoder.push(message) {
        Ok(Some(Packet { body: Body::Event(event), .. })) if matches!(event.name(), "chat" | "up") => {
            then(event)
        }
        other => panic!("not the event: {other:?}"),
    }
}

/// A small event, to the application's `String`.
pub fn decode_to_string(decoder: &mut Decoder, text: Str) -> Option<String> {
    with_event(decoder, Message::Text(text), |event| event.args().decode().ok())
}

/// Bytes of a websocket message to raw arguments, the check for UTF-8 included; how many bytes they are.
pub fn decode_to_raw(decoder: &mut Decoder, bytes: Bytes) -> usize {
    let Ok(text) = Str::try_from(bytes) else { return 0 };
    with_event(decoder, Message::Text(text), |event| match event.args().raw() {
        Raw::Json(text) => text.len(),
        Raw::Msgpack(bytes) => bytes.len(),
    })
}

/// An object, to any JSON value.
pub fn decode_to_value(decoder: &mut Decoder, text: Str) -> Option<serde_json::Value> {
    with_event(decoder, Message::Text(text), |event| event.args().decode().ok())
}

/// An object, to this library's type for any value.
pub fn decode_to_any(decoder: &mut Decoder, text: Str) -> Option<Value> {
    with_event(decoder, Message::Text(text), |event| event.args().decode().ok())
}

/// Text and two attachments, to a struct of [`Bytes`].
pub fn decode_binary(decoder: &mut Decoder, head: Str, blobs: [Bytes; 2]) -> Option<Pair> {
    let [a, b] = blobs;
    for message in [Message::Text(head), Message::Binary(a)] {
        if !matches!(decoder.push(message), Ok(None)) {
            return None;
        }
    }
    with_event(decoder, Message::Binary(b), |event| event.args().decode().ok())
}

/// A small msgpack message, to the application's `String`.
pub fn decode_msgpack_to_string(decoder: &mut Decoder, message: Bytes) -> Option<String> {
    with_event(decoder, Message::Binary(message), |event| event.args().decode().ok())
}

/// A msgpack message with two byte strings, to a struct of [`Bytes`].
pub fn decode_msgpack_binary(decoder: &mut Decoder, message: Bytes) -> Option<Pair> {
    with_event(decoder, Message::Binary(message), |event| event.args().decode().ok())
}

/// One Engine.IO packet out of its websocket frame.
pub fn decode_engine_packet(frame: Str) -> Option<EnginePacket> {
    EnginePacket::decode(Revision::V4, Frame::Text(frame)).ok()
}

/// A polling payload, from the bytes of the body to packets that keep it alive; how many.
pub fn decode_payload(body: Bytes) -> usize {
    let mut count = 0;
    let _: Result<(), Infallible> = payload::decode(payload::text(body)).each(|packet| {
        count += usize::from(std::hint::black_box(&packet).is_ok());
        Ok(())
    });
    count
}

/// The same to packets by reference, which is all but the last step of the above; how many.
pub fn read_payload(body: Bytes) -> usize {
    let mut count = 0;
    for packet in payload::read(&payload::text(body)) {
        count += usize::from(std::hint::black_box(&packet).is_ok());
    }
    count
}

/// A client that polls and has joined the namespace `/`.
///
/// # Panics
/// When it has not joined.
pub fn polling_peer() -> Peer<()> {
    let opening = Opening { sid: Sid::generate([7; 12], 1), format: Format::V4, upgrades: vec![] };
    let mut peer = Peer::polling(Arc::new(Config::default()), opening, Lane(1), Instant::ZERO);
    peer.handle(Input::Post(Lane(2), Form::Text), Instant::ZERO);
    peer.handle(Input::PostBody(Lane(2), "40".into()), Instant::ZERO);
    while let Some(output) = peer.poll_output() {
        if let Output::Event(PeerEvent::Socket(socket::Event::ConnectRequest { slot, .. })) = output {
            peer.accept(slot, &Sid::from("public-id"), None).expect("it is there");
        }
    }
    peer.handle(Input::Poll(Lane(3)), Instant::ZERO);
    while peer.poll_output().is_some() {}
    peer
}

/// What the whole core does with a POST: session, payload, packets, events to the application's `String`; how many.
pub fn receive_post(peer: &mut Peer<()>, body: Bytes) -> usize {
    let mut count = 0;
    peer.handle(Input::Post(Lane(4), Form::Text), Instant::ZERO);
    peer.handle(Input::PostBody(Lane(4), body), Instant::ZERO);
    while let Some(output) = peer.poll_output() {
        if let Output::Event(PeerEvent::Socket(socket::Event::Emit { event, .. })) = output {
            count += usize::from(event.args().decode::<String>().is_ok());
        }
    }
    count
}

/// A value to the frames of an event.
pub fn encode<T: Serialize>(codec: Codec, name: &str, value: &T) -> Option<Encoded> {
    codec.event(&Nsp::ROOT, None, name, value).ok()
}

/// The same into a buffer that is used again.
pub fn encode_into<T: Serialize>(codec: Codec, out: &mut Vec<u8>, value: &T) -> Option<Attachments> {
    out.clear();
    codec.event_into(out, &Nsp::ROOT, None, "chat", value).ok()
}

/// Frames to the body of a poll, into a buffer that is used again.
pub fn encode_payload(frames: &[Frame], out: &mut Vec<u8>) -> usize {
    out.clear();
    payload::encode(frames, out);
    out.len()
}

/// What a further recipient of a broadcast costs the codec.
pub fn one_more_recipient(encoded: &Encoded) -> Frame {
    encoded.head().clone()
}
