//! The framing of packets on a WebTransport stream (REFERENCE 1.12).
//!
//! Knows nothing of streams or sessions: bytes in, frames out, and the reverse. Frames have the form of revision 4,
//! the only one that has this transport.

use alloc::vec::Vec;

use bytes::{Buf as _, Bytes};

use super::packet::{DecodeError, Frame};
use crate::Str;

/// Cuts a stream of bytes into frames.
///
/// Bytes that hold whole frames are sliced, not copied; a frame that is spread over several chunks is collected in one
/// buffer, which grows with what has arrived and never with what was announced.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    max_frame_bytes: u64,
}

#[derive(Clone, Debug)]
enum State {
    Header { seen: [u8; MAX_HEADER], len: usize },
    Payload { kind: Kind, length: usize, seen: Vec<u8> },
    Failed(DecodeError),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Binary,
}

impl Decoder {
    /// A decoder that takes frames of up to `max_frame_bytes` bytes of payload (a server takes `maxHttpBufferSize`,
    /// REFERENCE 1.10).
    pub const fn new(max_frame_bytes: usize) -> Self {
        // A `usize` has no more than 64 bits.
        Self { state: START, max_frame_bytes: max_frame_bytes as u64 }
    }

    /// Takes the next frame off the front of `input`.
    ///
    /// `None` means that `input` is used up and the next frame is not complete; to be called until then, and again
    /// with the bytes that follow.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Empty`] for a frame of length 0, [`DecodeError::FrameTooLarge`] before any of the payload is
    /// kept, and [`DecodeError::NotUtf8`] where the reference would put replacement characters. There is no way back
    /// into step after an error: it is returned for ever.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        let frame = self.advance(input);
        if let Err(error) = &frame {
            self.state = State::Failed(error.clone());
            input.clear();
        }
        frame
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        loop {
            match &mut self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Header { seen, len } => {
                    let needed = if *len == 0 { 1 } else { header_len(seen[0]) };
                    if *len < needed {
                        let taken = input.len().min(needed - *len);
                        input.copy_to_slice(&mut seen[*len..*len + taken]);
                        *len += taken;
                        if taken == 0 {
                            return Ok(None);
                        }
                        continue;
                    }
                    let (kind, length) = read_header(seen);
                    if length == 0 {
                        return Err(DecodeError::Empty);
                    }
                    let too_large = DecodeError::FrameTooLarge { length, limit: self.max_frame_bytes };
                    if length > self.max_frame_bytes {
                        return Err(too_large);
                    }
                    let length = usize::try_from(length).map_err(|_| too_large)?;
                    self.state = State::Payload { kind, length, seen: Vec::new() };
                }
                State::Payload { kind, length, seen } => {
                    let kind = *kind;
                    let missing = *length - seen.len();
                    if input.len() < missing {
                        seen.extend_from_slice(input);
                        input.clear();
                        return Ok(None);
                    }
                    let payload = if seen.is_empty() {
                        input.split_to(missing)
                    } else {
                        seen.extend_from_slice(&input.split_to(missing));
                        core::mem::take(seen).into()
                    };
                    self.state = START;
                    return match kind {
                        Kind::Binary => Ok(Some(Frame::Binary(payload))),
                        Kind::Text => Str::try_from(payload)
                            .map(Frame::Text)
                            .map(Some)
                            .map_err(|_| DecodeError::NotUtf8),
                    };
                }
            }
        }
    }
}

/// Appends a frame to `out`.
///
/// An empty binary message goes as the text `b` (empty base64), which every decoder reads as one: a frame of length 0
/// is an error to the peer, and the reference, which sends it, loses the session.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let (flag, payload) = match frame {
        Frame::Text(text) => (0, text.as_bytes().as_ref()),
        Frame::Binary(data) if data.is_empty() => (0, b"b".as_slice()),
        Frame::Binary(data) => (BINARY, data.as_ref()),
    };
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < LENGTH_16 => out.push(flag | short),
        (_, Ok(medium)) => {
            out.push(flag | LENGTH_16);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(flag | LENGTH_64);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

const START: State = State::Header { seen: [0; MAX_HEADER], len: 0 };
const MAX_HEADER: usize = 9;
/// The bit of the first byte that marks a binary message.
const BINARY: u8 = 0x80;
/// Says that the length follows in two bytes.
const LENGTH_16: u8 = 126;
/// Says that the length follows in eight bytes.
const LENGTH_64: u8 = 127;

const fn header_len(first: u8) -> usize {
    match first & !BINARY {
        LENGTH_64 => 9,
        LENGTH_16 => 3,
        _ => 1,
    }
}

fn read_header(header: &[u8; MAX_HEADER]) -> (Kind, u64) {
    let [first, a, b, c, d, e, f, g, h] = *header;
    let length = match first & !BINARY {
        LENGTH_64 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        LENGTH_16 => u64::from(u16::from_be_bytes([a, b])),
        short => u64::from(short),
    };
    (if first & BINARY == 0 { Kind::Text } else { Kind::Binary }, length)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1_000_000;

    fn encoded(frame: &Frame) -> Vec<u8> {
        let mut out = Vec::new();
        encode(frame, &mut out);
        out
    }

    fn decoded(max_frame_bytes: usize, bytes: &[u8]) -> (Vec<Frame>, Option<DecodeError>) {
        let (mut decoder, mut input) = (Decoder::new(max_frame_bytes), Bytes::copy_from_slice(bytes));
        let mut frames = Vec::new();
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    #[test]
    fn frames_are_written_as_measured() {
        assert_eq!(encoded(&Frame::Text("0".into())), [1, 0x30]);
        assert_eq!(encoded(&Frame::Text("2probe".into())), b"\x062probe");
        assert_eq!(encoded(&Frame::Text("4hello".into())), b"\x064hello");
        assert_eq!(encoded(&Frame::Text("0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\"}".into()))[0], 0x1F);
        assert_eq!(encoded(&Frame::Binary(Bytes::from_static(&[1, 2, 3]))), [0x83, 1, 2, 3]);
        assert_eq!(encoded(&Frame::Text("4".repeat(201).into()))[..3], [0x7E, 0, 0xC9]);
        let large = encoded(&Frame::Binary(vec![0; 70_000].into()));
        assert_eq!(large[..9], [0xFF, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }

    #[test]
    fn the_header_grows_at_126_and_65536() {
        for (length, header) in [(125, 1), (126, 3), (65_535, 3), (65_536, 9)] {
            let frame = Frame::Binary(vec![7; length].into());
            let bytes = encoded(&frame);
            assert_eq!(bytes.len(), header + length);
            assert_eq!(decoded(LIMIT, &bytes), (vec![frame], None));
        }
    }

    #[test]
    fn an_empty_frame_is_refused_for_ever() {
        for header in [0, BINARY] {
            let mut decoder = Decoder::new(LIMIT);
            let mut input = Bytes::copy_from_slice(&[header, 1, 0x30]);
            assert_eq!(decoder.decode(&mut input), Err(DecodeError::Empty));
            assert_eq!(decoder.decode(&mut Bytes::from_static(&[1, 0x30])), Err(DecodeError::Empty));
        }
    }

    #[test]
    fn an_empty_binary_message_arrives() {
        let bytes = encoded(&Frame::Binary(Bytes::new()));
        assert_eq!(decoded(LIMIT, &bytes), (vec![Frame::Text("b".into())], None));
    }

    #[test]
    fn a_frame_past_the_limit_is_refused_by_its_header() {
        assert_eq!(decoded(2, &[2, 0x34, 0x34]), (vec![Frame::Text("44".into())], None));
        let error = DecodeError::FrameTooLarge { length: 3, limit: 2 };
        assert_eq!(decoded(2, &[3]), (vec![], Some(error)));
        let error = DecodeError::FrameTooLarge { length: u64::MAX, limit: LIMIT as u64 };
        assert_eq!(decoded(LIMIT, &[0xFF; 9]), (vec![], Some(error)));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(decoded(LIMIT, &[1, 0xFF]), (vec![], Some(DecodeError::NotUtf8)));
    }

    #[test]
    fn a_whole_frame_is_a_slice_of_the_input() {
        let mut input = Bytes::from(vec![0x83, 1, 2, 3]);
        let at = input[1..].as_ptr();
        let frame = Decoder::new(LIMIT).decode(&mut input);
        assert!(matches!(frame, Ok(Some(Frame::Binary(data))) if data.as_ptr() == at));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            decoded(100, &bytes);
        }

        #[test]
        fn frames_survive_any_chunking(
            frames in prop::collection::vec(prop_oneof![
                any::<String>().prop_map(|text| Frame::Text(format!("4{text}").into())),
                prop::collection::vec(any::<u8>(), 1..300).prop_map(|data| Frame::Binary(data.into())),
            ], 1..6),
            chunk in 1_usize..40,
        ) {
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| encode(frame, &mut bytes));
            let mut decoder = Decoder::new(LIMIT);
            let mut read = Vec::new();
            for chunk in bytes.chunks(chunk) {
                let mut input = Bytes::copy_from_slice(chunk);
                while let Some(frame) = decoder.decode(&mut input).unwrap() {
                    read.push(frame);
                }
                prop_assert!(input.is_empty());
            }
            prop_assert_eq!(read, frames);
        }
    }
}
