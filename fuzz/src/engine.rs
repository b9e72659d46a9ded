//! Packets, payloads and framing of Engine.IO.

use socketio_core::engine::packet::{BinaryEncoding, DecodeError, Frame, Packet};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::{Revision, payload, payload_v3, webtransport as framing};
use socketio_core::{Bytes, Str};

/// One frame, text and binary, in both revisions. A packet that was read can be written so that it is read as the same.
pub fn engine_packet(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let text = Str::try_from(bytes.clone()).ok().map(Frame::Text);
    for frame in [Some(Frame::Binary(bytes)), text].into_iter().flatten() {
        for revision in [Revision::V3, Revision::V4] {
            let Ok(packet) = Packet::decode(revision, frame.clone()) else { continue };
            for binary in [BinaryEncoding::Raw, BinaryEncoding::Base64] {
                let wire = packet.encode().into_wire(revision, binary);
                assert_eq!(Packet::decode(revision, wire).as_ref(), Ok(&packet));
            }
        }
    }
}

/// The body of a POST in revision 4.
pub fn payload_v4(data: &[u8]) {
    let body = payload::text(Bytes::copy_from_slice(data));
    let frames = frames(payload::decode(body).with_max_packets(MAX_PACKETS));
    if frames.is_empty() {
        return;
    }
    let mut again = Vec::new();
    payload::encode(&frames, &mut again);
    assert_eq!(payload::encoded_len(&frames), again.len());
    assert_eq!(self::frames(payload::decode(payload::text(again.into()))), frames);
    let taken = payload::take_prefix(&frames, Some(data.len() / 2));
    assert!((1..=frames.len()).contains(&taken));
}

/// The text body of a POST in revision 3.
pub fn payload_v3_text(data: &[u8]) {
    let body = payload::text(Bytes::copy_from_slice(data));
    let frames = frames(payload_v3::decode_text(body).with_max_packets(MAX_PACKETS));
    round_trip_v3(&frames, BinaryEncoding::Base64);
}

/// The binary body of a POST in revision 3.
pub fn payload_v3_binary(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let frames = frames(payload_v3::decode_binary(body).with_max_packets(MAX_PACKETS));
    round_trip_v3(&frames, BinaryEncoding::Raw);
}

/// A stream of frames; the first byte says how it is cut up, which must make no difference.
pub fn webtransport(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = deframe(stream, stream.len().max(1));
    assert_eq!(deframe(stream, usize::from(cut).max(1)), whole);
    let mut again = Vec::new();
    for frame in &whole.0 {
        framing::encode(frame, &mut again);
    }
    let expected: Vec<_> = whole.0.into_iter().map(as_framed).collect();
    assert_eq!(deframe(&again, again.len().max(1)), (expected, None));
}

/// What a stream holds, when it arrives in chunks of this size.
fn deframe(stream: &[u8], chunk: usize) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = framing::Decoder::new(MAX_FRAME_BYTES);
    let mut frames = Vec::new();
    for chunk in stream.chunks(chunk) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= MAX_FRAME_BYTES);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        decoder.decode(&mut Bytes::from_static(b"\x014")),
                        Err(error.clone()),
                        "errors are final"
                    );
                    return (frames, Some(error));
                }
            }
        }
        assert!(chunk.is_empty(), "asking for more means that all was taken");
    }
    (frames, None)
}

/// An empty binary message has no frame of its own and travels as text.
fn as_framed(frame: Frame) -> Frame {
    match frame {
        Frame::Binary(data) if data.is_empty() => Frame::Text("b".into()),
        frame => frame,
    }
}

fn round_trip_v3(frames: &[Frame], binary: BinaryEncoding) {
    let mut again = Vec::new();
    let form = payload_v3::encode(frames, binary, &mut again);
    let again = match form {
        Form::Text => self::frames(payload_v3::decode_text(payload::text(again.into()))),
        Form::Binary => self::frames(payload_v3::decode_binary(again.into())),
    };
    assert_eq!(again, frames);
}

/// The packets of a payload in the form that queues hold, without the error that may end them.
fn frames(packets: impl Iterator<Item = Result<Packet, DecodeError>>) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut is_over = false;
    for packet in packets {
        assert!(!is_over, "the first error is the last item");
        match packet {
            Ok(packet) => frames.push(packet.encode()),
            Err(_) => is_over = true,
        }
    }
    frames
}

/// Few, so that short inputs reach the limit.
const MAX_PACKETS: usize = 8;

/// Small, for the same reason, and above the length that the first extended header begins at.
const MAX_FRAME_BYTES: usize = 300;
