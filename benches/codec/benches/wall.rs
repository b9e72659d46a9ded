//! Time and allocations of each case: `cargo bench -p socketio-bench-codec --bench wall`.
use divan::{AllocProfiler, Bencher};
use socketio_bench_codec as cases;
use socketio_core::socket::Codec;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn decode_small_to_string(bencher: Bencher<'_, '_>) {
    let (mut decoder, text) = (cases::text_decoder(), cases::shared_text(cases::SMALL));
    bencher.bench_local(|| cases::decode_to_string(&mut decoder, text.clone()));
}

#[divan::bench]
fn decode_small_to_raw(bencher: Bencher<'_, '_>) {
    let (mut decoder, bytes) = (cases::text_decoder(), cases::shared(cases::SMALL.as_bytes()));
    bencher.bench_local(|| cases::decode_to_raw(&mut decoder, bytes.clone()));
}

#[divan::bench]
fn decode_1k_to_value(bencher: Bencher<'_, '_>) {
    let (mut decoder, text) = (cases::text_decoder(), cases::shared_text(&cases::big()));
    bencher.bench_local(|| cases::decode_to_value(&mut decoder, text.clone()));
}

#[divan::bench]
fn decode_1k_to_raw(bencher: Bencher<'_, '_>) {
    let (mut decoder, bytes) = (cases::text_decoder(), cases::shared(cases::big().as_bytes()));
    bencher.bench_local(|| cases::decode_to_raw(&mut decoder, bytes.clone()));
}

#[divan::bench]
fn decode_binary(bencher: Bencher<'_, '_>) {
    let (mut decoder, head, blob) = (cases::text_decoder(), cases::shared_text(cases::BINARY), cases::blob());
    bencher.bench_local(|| cases::decode_binary(&mut decoder, head.clone(), [blob.clone(), blob.clone()]));
}

#[divan::bench]
fn decode_msgpack_small(bencher: Bencher<'_, '_>) {
    let (mut decoder, message) = (cases::msgpack_decoder(), cases::msgpack_small());
    bencher.bench_local(|| cases::decode_msgpack_to_string(&mut decoder, message.clone()));
}

#[divan::bench]
fn decode_msgpack_binary(bencher: Bencher<'_, '_>) {
    let (mut decoder, message) = (cases::msgpack_decoder(), cases::msgpack_binary());
    bencher.bench_local(|| cases::decode_msgpack_binary(&mut decoder, message.clone()));
}

#[divan::bench]
fn decode_payload_16(bencher: Bencher<'_, '_>) {
    let body = cases::shared(cases::polling_payload().as_bytes());
    bencher.bench_local(|| cases::decode_payload(body.clone()));
}

#[divan::bench]
fn read_payload_16(bencher: Bencher<'_, '_>) {
    let body = cases::shared(cases::polling_payload().as_bytes());
    bencher.bench_local(|| cases::read_payload(body.clone()));
}

#[divan::bench]
fn receive_post_16(bencher: Bencher<'_, '_>) {
    let (mut peer, body) = (cases::polling_peer(), cases::shared(cases::polling_payload().as_bytes()));
    bencher.bench_local(|| cases::receive_post(&mut peer, body.clone()));
}

#[divan::bench]
fn encode_small_into(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(128);
    bencher.bench_local(|| cases::encode_into(Codec::Text, &mut out, &divan::black_box("hello world")));
}

#[divan::bench]
fn encode_small(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| cases::encode(Codec::Text, "chat", &divan::black_box("hello world")));
}

#[divan::bench]
fn encode_1k(bencher: Bencher<'_, '_>) {
    let object = cases::object();
    bencher.bench_local(|| cases::encode(Codec::Text, "chat", &object));
}

#[divan::bench]
fn encode_binary(bencher: Bencher<'_, '_>) {
    let pair = cases::Pair { a: cases::blob(), b: cases::blob() };
    bencher.bench_local(|| cases::encode(Codec::Text, "up", &pair));
}

#[divan::bench]
fn encode_msgpack_small(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(128);
    bencher.bench_local(|| cases::encode_into(Codec::Msgpack, &mut out, &divan::black_box("hello world")));
}

#[divan::bench]
fn encode_msgpack_binary(bencher: Bencher<'_, '_>) {
    let pair = cases::Pair { a: cases::blob(), b: cases::blob() };
    bencher.bench_local(|| cases::encode(Codec::Msgpack, "up", &pair));
}

#[divan::bench]
fn encode_payload_16(bencher: Bencher<'_, '_>) {
    let (frames, mut out) = (cases::polling_frames(), Vec::with_capacity(1024));
    bencher.bench_local(|| cases::encode_payload(&frames, &mut out));
}

#[divan::bench]
fn one_more_recipient(bencher: Bencher<'_, '_>) {
    let encoded = cases::encode(Codec::Text, "chat", &cases::object()).expect("it serializes");
    bencher.bench_local(|| cases::one_more_recipient(&encoded));
}
