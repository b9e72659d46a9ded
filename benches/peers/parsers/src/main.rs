//! Our codec beside socketioxide's, rust_socketio's and the limits: time per operation and allocations, as lines of JSON.
//!
//! `node/bench.js` has the same cases for the official parsers. rust_socketio's Socket.IO parser is private; its Engine.IO
//! packets are not, and are here.
mod bench;

use std::collections::VecDeque;
use std::hint::black_box;

use bench::case;
use bytes::Bytes;
use engineioxide_core::{Packet as EnginePacket, ProtocolVersion, Str};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use socketio_bench_codec as ours;
use socketio_core::socket::Codec;
use socketioxide_core::Value;
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParseError, ParserState};
use socketioxide_parser_common::CommonParser;
use socketioxide_parser_msgpack::MsgPackParser;

fn main() {
    let quick = std::env::args().any(|arg| arg == "quick");
    for case in decode_text().into_iter().chain(decode_msgpack()).chain(encode()).chain(engine()) {
        case.run(quick);
    }
}

/// What engineioxide does with text that tungstenite has checked.
fn peer_text(bytes: &Bytes) -> Str {
    // SAFETY: every input here is text.
    unsafe { Str::from_bytes_unchecked(bytes.clone()) }
}

/// A message to arguments of a type, the event's name looked at, as socketioxide does it.
struct Peer<P> {
    parser: P,
    config: ParseConfig,
    state: ParserState,
}

impl<P: Parse> Peer<P> {
    fn new(parser: P) -> Self {
        Self { parser, config: ParseConfig::default(), state: ParserState::default() }
    }

    fn value(&self, packet: Packet) -> Value {
        let (PacketData::Event(value, _) | PacketData::BinaryEvent(value, _)) = packet.inner else {
            panic!()
        };
        let name = self.parser.read_event(&value).unwrap();
        assert!(name == "chat" || name == "up");
        value
    }

    fn text(&self, bytes: &Bytes) -> Value {
        self.value(self.parser.decode_str(&self.config, &self.state, peer_text(bytes)).unwrap())
    }

    fn binary(&self, bytes: &Bytes) -> Value {
        self.value(self.parser.decode_bin(&self.config, &self.state, bytes.clone()).unwrap())
    }

    fn decode<T: DeserializeOwned>(&self, mut value: Value) -> T {
        self.parser.decode_value(&mut value, true).unwrap()
    }
}

fn decode_text() -> Vec<bench::Case> {
    let small = ours::shared(ours::SMALL.as_bytes());
    let small_text = ours::shared_text(ours::SMALL);
    let big = ours::shared(ours::big().as_bytes());
    let big_text = ours::shared_text(&ours::big());
    let head = ours::shared(ours::BINARY.as_bytes());
    let head_text = ours::shared_text(ours::BINARY);
    let blob = ours::blob();
    let mut cases = Vec::new();

    let mut decoder = ours::text_decoder();
    let rows = case("decode small")
        .ours("to String", move || ours::decode_to_string(&mut decoder, small_text.clone()));
    let mut decoder = ours::text_decoder();
    let bytes = small.clone();
    let rows = rows.ours("to raw arguments", move || ours::decode_to_raw(&mut decoder, bytes.clone()));
    let (peer, bytes) = (Peer::new(CommonParser), small.clone());
    let rows = rows.peer("socketioxide, to String", move || peer.decode::<String>(peer.text(&bytes)));
    let (peer, bytes) = (Peer::new(CommonParser), small.clone());
    let rows = rows.part("socketioxide, to the event's name", move || peer.text(&bytes));
    cases.push(limits(rows, small, 1));

    let (mut decoder, text) = (ours::text_decoder(), big_text.clone());
    let rows = case("decode 1 KiB")
        .ours("to serde_json::Value", move || ours::decode_to_value(&mut decoder, text.clone()));
    let mut decoder = ours::text_decoder();
    let rows = rows.ours("to Value", move || ours::decode_to_any(&mut decoder, big_text.clone()));
    let mut decoder = ours::text_decoder();
    let bytes = big.clone();
    let rows = rows.ours("to raw arguments", move || ours::decode_to_raw(&mut decoder, bytes.clone()));
    let (peer, bytes) = (Peer::new(CommonParser), big.clone());
    let rows = rows.peer("socketioxide, to serde_json::Value", move || {
        peer.decode::<serde_json::Value>(peer.text(&bytes))
    });
    let (peer, bytes) = (Peer::new(CommonParser), big.clone());
    let rows = rows.part("socketioxide, to the event's name", move || peer.text(&bytes));
    cases.push(limits(rows, big, 1));

    let mut decoder = ours::text_decoder();
    let (text, attachment) = (head_text, blob.clone());
    let rows = case("decode 2 x 1 KiB binary").ours("to a struct of Bytes", move || {
        ours::decode_binary(&mut decoder, text.clone(), [attachment.clone(), attachment.clone()])
    });
    let (peer, text, attachment) = (Peer::new(CommonParser), head.clone(), blob);
    let rows = rows.peer("socketioxide, to a struct of Bytes", move || {
        let (config, state) = (&peer.config, &peer.state);
        let more = peer.parser.decode_str(config, state, peer_text(&text));
        assert!(matches!(more, Err(ParseError::NeedsMoreBinaryData)));
        assert!(peer.parser.decode_bin(config, state, attachment.clone()).is_err());
        peer.decode::<ours::Pair>(peer.binary(&attachment))
    });
    cases.push(limits(rows, head, 3));
    cases
}

/// What no parser can do without: to copy, or to look at every byte of the payload, which begins at `at`.
fn limits(rows: bench::Case, packet: Bytes, at: usize) -> bench::Case {
    let raw = move |packet: &[u8]| {
        let text = std::str::from_utf8(packet).unwrap();
        serde_json::from_str::<&RawValue>(&text[at..]).unwrap().get().len()
    };
    let (bytes, owned) = (packet.clone(), packet.clone());
    rows.part("memcpy", move || bytes.to_vec())
        .part("utf-8 check and &RawValue", move || raw(&packet))
        // Whoever takes a message drops it. The rows that do not borrow theirs clone it first.
        .part("the same, and a clone and a drop of the message", move || raw(&owned.clone()))
}

fn decode_msgpack() -> Vec<bench::Case> {
    let (small, pair) = (ours::msgpack_small(), ours::msgpack_binary());
    let mut decoder = ours::msgpack_decoder();
    let bytes = small.clone();
    let rows = case("decode small, msgpack")
        .ours("to String", move || ours::decode_msgpack_to_string(&mut decoder, bytes.clone()));
    let peer = Peer::new(MsgPackParser);
    let first = rows.peer("socketioxide, to String", move || peer.decode::<String>(peer.binary(&small)));

    let mut decoder = ours::msgpack_decoder();
    let bytes = pair.clone();
    let rows = case("decode 2 x 1 KiB binary, msgpack")
        .ours("to a struct of Bytes", move || ours::decode_msgpack_binary(&mut decoder, bytes.clone()));
    let peer = Peer::new(MsgPackParser);
    let second = rows
        .peer("socketioxide, to a struct of Bytes", move || peer.decode::<ours::Pair>(peer.binary(&pair)));
    vec![first, second]
}

/// To what goes into websocket frames, the `4` of Engine.IO included.
fn peer_frames(value: Value) -> (String, Option<VecDeque<Bytes>>) {
    let Value::Str(text, attachments) = CommonParser.encode(Packet::event("/", value)) else { panic!() };
    (EnginePacket::Message(text).into(), attachments)
}

fn peer_encode<T: Serialize>(name: &str, value: &T) -> (String, Option<VecDeque<Bytes>>) {
    peer_frames(CommonParser.encode_value(value, Some(name)).unwrap())
}

fn peer_encode_msgpack<T: Serialize>(name: &str, value: &T) -> Bytes {
    let value = MsgPackParser.encode_value(value, Some(name)).unwrap();
    let Value::Bytes(bytes) = MsgPackParser.encode(Packet::event("/", value)) else { panic!() };
    bytes
}

fn encode() -> Vec<bench::Case> {
    let pair = || ours::Pair { a: ours::blob(), b: ours::blob() };
    let small = || black_box("hello world");
    let mut out = Vec::with_capacity(128);
    let first = case("encode small")
        .ours("to the frame, buffer reused", move || {
            ours::encode_into(Codec::Text, &mut out, &small()).is_some()
        })
        .ours("to a shared frame", move || ours::encode(Codec::Text, "chat", &small()))
        .peer("socketioxide, to the frame", move || peer_encode("chat", &small()))
        .part("memcpy", || black_box(ours::SMALL).as_bytes().to_vec())
        .part("serde_json::to_writer into one sized Vec", move || {
            let mut out = Vec::with_capacity(64);
            out.extend_from_slice(b"42");
            serde_json::to_writer(&mut out, &("chat", small())).unwrap();
            out
        });
    let (object, theirs, plain) = (ours::object(), ours::object(), ours::object());
    let mut out = Vec::with_capacity(2048);
    let reused = ours::object();
    let second = case("encode 1 KiB")
        .ours("to the frame, buffer reused", move || {
            ours::encode_into(Codec::Text, &mut out, &reused).is_some()
        })
        .ours("to a shared frame", move || ours::encode(Codec::Text, "chat", &object))
        .peer("socketioxide, to the frame", move || peer_encode("chat", &theirs))
        .part("serde_json::to_writer into one sized Vec", move || {
            let mut out = Vec::with_capacity(1100);
            out.extend_from_slice(b"42");
            serde_json::to_writer(&mut out, &("chat", &plain)).unwrap();
            out
        });
    let (mine, theirs) = (pair(), pair());
    let third = case("encode 2 x 1 KiB binary")
        .ours("to shared frames", move || ours::encode(Codec::Text, "up", &mine))
        .peer("socketioxide, to the frames", move || peer_encode("up", &theirs));
    let mut out = Vec::with_capacity(128);
    let fourth = case("encode small, msgpack")
        .ours("to the message, buffer reused", move || {
            ours::encode_into(Codec::Msgpack, &mut out, &small()).is_some()
        })
        .ours("to a shared message", move || ours::encode(Codec::Msgpack, "chat", &small()))
        .peer("socketioxide, to the message", move || peer_encode_msgpack("chat", &small()));
    let (mine, theirs) = (pair(), pair());
    let fifth = case("encode 2 x 1 KiB binary, msgpack")
        .ours("to a shared message", move || ours::encode(Codec::Msgpack, "up", &mine))
        .peer("socketioxide, to the message", move || peer_encode_msgpack("up", &theirs));

    // For each recipient: the encoded packet is shared in both, the `4` before it in ours only.
    let encoded = ours::encode(Codec::Text, "chat", &ours::object()).unwrap();
    let value = CommonParser.encode_value(&ours::object(), Some("chat")).unwrap();
    let Value::Str(text, _) = CommonParser.encode(Packet::event("/", value)) else { panic!() };
    let frame = ours::shared(ours::big().as_bytes());
    let sixth = case("per recipient, 1 KiB")
        .ours("clone of the frame", move || ours::one_more_recipient(&encoded))
        .peer("engineioxide, Packet::Message to String", move || {
            String::from(EnginePacket::Message(text.clone()))
        })
        .part("Bytes::clone", move || frame.clone());
    vec![first, second, third, fourth, fifth, sixth]
}

fn engine() -> Vec<bench::Case> {
    let packet = format!("4{}", ours::SMALL);
    let (text, theirs, rust) =
        (ours::shared_text(&packet), ours::shared(packet.as_bytes()), ours::shared(packet.as_bytes()));
    let first = case("decode 1 packet of Engine.IO")
        .ours("from text", move || ours::decode_engine_packet(text.clone()))
        .peer("engineioxide, from text", move || {
            EnginePacket::parse(ProtocolVersion::V4, peer_text(&theirs)).unwrap()
        })
        .peer("rust_engineio, from bytes", move || rust_engineio::Packet::try_from(rust.clone()).unwrap());

    let body = || ours::shared(ours::polling_payload().as_bytes());
    let (kept, mine, theirs, rust, copied, split) = (body(), body(), body(), body(), body(), body());
    let second = case("decode payload of 16")
        .ours("packets read in the body", move || assert_eq!(ours::read_payload(mine.clone()), 16))
        .ours("packets that keep the body", move || assert_eq!(ours::decode_payload(kept.clone()), 16))
        .peer("engineioxide", move || {
            let body = http_body_util::Full::new(theirs.clone());
            let packets = engineioxide_core::payload::decoder(body, None, ProtocolVersion::V4, 100_000);
            let count = packets
                .fold(0, |count, packet| async move { count + usize::from(black_box(packet).is_ok()) });
            assert_eq!(count.now_or_never(), Some(16));
        })
        // Its `Payload` is private; this is the body of its `TryFrom`.
        .peer("rust_engineio", move || {
            let packet = |packet| rust_engineio::Packet::try_from(rust.slice_ref(packet)).unwrap();
            rust.split(|byte| *byte == 0x1e).map(packet).collect::<Vec<_>>()
        })
        .part("memcpy", move || copied.to_vec())
        .part("utf-8 check and split", move || {
            std::str::from_utf8(&split).unwrap().split('\x1e').map(str::len).sum::<usize>()
        });

    let (frames, mut out) = (ours::polling_frames(), Vec::with_capacity(1024));
    let message = peer_text(&ours::shared(ours::SMALL.as_bytes()));
    let third = case("encode payload of 16")
        .ours("buffer reused", move || assert_eq!(ours::encode_payload(&frames, &mut out), 16 * 24 + 15))
        .peer("engineioxide", move || {
            let packets = (0..16).map(|_| smallvec::smallvec![EnginePacket::Message(message.clone())]);
            let packets = futures_util::stream::iter(packets);
            engineioxide_core::payload::encoder(packets, ProtocolVersion::V4, true, 100_000)
                .now_or_never()
                .unwrap()
                .data
        });
    vec![first, second, third]
}
