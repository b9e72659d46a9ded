//! Instructions of each case, a hundred times over, by valgrind: the same on a busy machine as on a quiet one.
//! `cargo xtask bench --gate` compares them with `benches/baseline.json`.
#![allow(missing_docs, unreachable_pub, reason = "what the macros of gungraun make")]

use std::hint::black_box;

use gungraun::prelude::*;
use socketio_bench_codec as cases;
use socketio_core::engine::packet::Frame;
use socketio_core::peer::Peer;
use socketio_core::socket::{Attachments, Codec, Decoder, Encoded};
use socketio_core::{Bytes, Str};

/// So often that what happens once in a process does not count.
const TIMES: usize = 100;

type Text = (Decoder, Str);
type Message = (Decoder, Bytes);

fn text(text: &str) -> Text {
    (cases::text_decoder(), cases::shared_text(text))
}

fn message(message: Bytes) -> Message {
    (cases::msgpack_decoder(), message)
}

fn small() -> Message {
    (cases::text_decoder(), cases::shared(cases::SMALL.as_bytes()))
}

fn big() -> Message {
    (cases::text_decoder(), cases::shared(cases::big().as_bytes()))
}

#[library_benchmark]
#[bench::small(text(cases::SMALL))]
fn decode_to_string((mut decoder, text): Text) {
    for _ in 0..TIMES {
        black_box(cases::decode_to_string(&mut decoder, text.clone()));
    }
}

#[library_benchmark]
#[bench::small(small())]
#[bench::one_kib(big())]
fn decode_to_raw((mut decoder, bytes): Message) {
    for _ in 0..TIMES {
        black_box(cases::decode_to_raw(&mut decoder, bytes.clone()));
    }
}

#[library_benchmark]
#[bench::one_kib(text(&cases::big()))]
fn decode_to_value((mut decoder, text): Text) {
    for _ in 0..TIMES {
        black_box(cases::decode_to_value(&mut decoder, text.clone()));
    }
}

#[library_benchmark]
#[bench::two_attachments((text(cases::BINARY), cases::blob()))]
fn decode_binary(((mut decoder, head), blob): (Text, Bytes)) {
    for _ in 0..TIMES {
        black_box(cases::decode_binary(&mut decoder, head.clone(), [blob.clone(), blob.clone()]));
    }
}

#[library_benchmark]
#[bench::small(message(cases::msgpack_small()))]
fn decode_msgpack_to_string((mut decoder, message): Message) {
    for _ in 0..TIMES {
        black_box(cases::decode_msgpack_to_string(&mut decoder, message.clone()));
    }
}

#[library_benchmark]
#[bench::two_attachments(message(cases::msgpack_binary()))]
fn decode_msgpack_binary((mut decoder, message): Message) {
    for _ in 0..TIMES {
        black_box(cases::decode_msgpack_binary(&mut decoder, message.clone()));
    }
}

#[library_benchmark]
#[bench::small(cases::shared_text("42[\"chat\",\"hello world\"]"))]
fn decode_engine_packet(frame: Str) {
    for _ in 0..TIMES {
        black_box(cases::decode_engine_packet(frame.clone()));
    }
}

#[library_benchmark]
#[bench::sixteen(cases::shared(cases::polling_payload().as_bytes()))]
fn decode_payload(body: Bytes) {
    for _ in 0..TIMES {
        black_box(cases::decode_payload(body.clone()));
    }
}

#[library_benchmark]
#[bench::sixteen(cases::shared(cases::polling_payload().as_bytes()))]
fn read_payload(body: Bytes) {
    for _ in 0..TIMES {
        black_box(cases::read_payload(body.clone()));
    }
}

#[library_benchmark]
#[bench::sixteen(cases::polling_peer(), cases::shared(cases::polling_payload().as_bytes()))]
fn receive_post(mut peer: Peer<()>, body: Bytes) -> Peer<()> {
    for _ in 0..TIMES {
        black_box(cases::receive_post(&mut peer, body.clone()));
    }
    peer
}

#[library_benchmark]
#[bench::small(Codec::Text, Vec::with_capacity(128))]
#[bench::small_msgpack(Codec::Msgpack, Vec::with_capacity(128))]
fn encode_into(codec: Codec, mut out: Vec<u8>) -> Vec<u8> {
    for _ in 0..TIMES {
        let attachments: Option<Attachments> = cases::encode_into(codec, &mut out, &black_box("hello world"));
        black_box(attachments);
    }
    out
}

#[library_benchmark]
#[bench::small(Codec::Text)]
#[bench::small_msgpack(Codec::Msgpack)]
fn encode(codec: Codec) {
    for _ in 0..TIMES {
        black_box(cases::encode(codec, "chat", &black_box("hello world")));
    }
}

#[library_benchmark]
#[bench::one_kib(cases::object())]
fn encode_object(object: serde_json::Value) {
    for _ in 0..TIMES {
        black_box(cases::encode(Codec::Text, "chat", &object));
    }
}

#[library_benchmark]
#[bench::text(Codec::Text, cases::Pair { a: cases::blob(), b: cases::blob() })]
#[bench::msgpack(Codec::Msgpack, cases::Pair { a: cases::blob(), b: cases::blob() })]
fn encode_two_attachments(codec: Codec, pair: cases::Pair) {
    for _ in 0..TIMES {
        black_box(cases::encode(codec, "up", &pair));
    }
}

#[library_benchmark]
#[bench::sixteen(cases::polling_frames(), Vec::with_capacity(1024))]
fn encode_payload(frames: Vec<Frame>, mut out: Vec<u8>) -> Vec<u8> {
    for _ in 0..TIMES {
        black_box(cases::encode_payload(&frames, &mut out));
    }
    out
}

#[library_benchmark]
#[bench::one_kib(cases::encode(Codec::Text, "chat", &cases::object()).expect("it serializes"))]
fn one_more_recipient(encoded: Encoded) {
    for _ in 0..TIMES {
        black_box(cases::one_more_recipient(&encoded));
    }
}

library_benchmark_group!(
    name = codec,
    benchmarks = [
        decode_to_string,
        decode_to_raw,
        decode_to_value,
        decode_binary,
        decode_msgpack_to_string,
        decode_msgpack_binary,
        decode_engine_packet,
        decode_payload,
        read_payload,
        receive_post,
        encode_into,
        encode,
        encode_object,
        encode_two_attachments,
        encode_payload,
        one_more_recipient,
    ]
);

main!(library_benchmark_groups = codec);
