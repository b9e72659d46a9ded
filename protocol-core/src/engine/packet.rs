//! Engine.IO packets and the frames they travel in (REFERENCE 1.1, 2.1).
//!
//! A [`Frame`] is what a WebSocket message, or one entry of a polling payload, holds. Decoding slices it; nothing
//! is copied except binary data that arrives as base64.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{alphabet, engine::DecodePaddingMode};
use bytes::{Buf as _, Bytes};
use thiserror::Error;

use super::Revision;
use crate::Str;

/// A WebSocket message or one entry of a polling payload, in the form of revision 4: text begins with the packet
/// type, binary is the bare data of a message packet.
///
/// Queues hold this form whatever the peer speaks; [`Frame::into_wire`] and the payload encoders translate it on the
/// way out, and [`Packet::decode`] takes the form of either revision on the way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `digit + data`, or `b` + base64.
    Text(Str),
    /// The data of a binary message.
    Binary(Bytes),
}

/// The content of a message packet: what the layer above sends and receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message, without the packet type.
    Text(Str),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// The size of the data in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Takes the text out of its place; nothing if it is not text.
    #[inline]
    pub(crate) fn take_text(&mut self) -> Str {
        match self {
            Self::Text(text) => mem::take(text),
            Self::Binary(_) => Str::new(),
        }
    }
}

/// A message where it arrived: its text is a part of a frame, or of a payload. To cut it out would count one reference more,
/// and one less.
#[derive(Debug)]
pub(crate) struct Arrived {
    message: Message,
    /// Where it begins and ends. What is not text is all of it.
    start: usize,
    end: usize,
}

impl Arrived {
    /// Where the message in a frame begins, unless it holds another packet, or something that needs a closer look.
    #[inline]
    pub(crate) fn start_in(revision: Revision, frame: &Frame) -> Option<usize> {
        match frame {
            Frame::Text(text) if text.starts_with('4') => Some(1),
            Frame::Binary(_) if revision == Revision::V4 => Some(0),
            _ => None,
        }
    }

    /// The message of a frame, which begins at `start`.
    #[inline]
    pub(crate) fn of_frame(frame: Frame, start: usize) -> Self {
        let end = frame.len();
        let message = match frame {
            Frame::Text(text) => Message::Text(text),
            Frame::Binary(data) => Message::Binary(data),
        };
        Self { message, start, end }
    }

    /// The message `text`, which is a part of `body`.
    #[inline]
    pub(crate) fn within(body: &Str, text: &str) -> Self {
        if body.len() > MAX_PLACE {
            return Message::Text(body.slice_ref(text)).into();
        }
        let start = text.as_ptr() as usize - body.as_ptr() as usize;
        Self { message: Message::Text(body.clone()), start, end: start + text.len() }
    }

    /// The message that `body` ends with, from `start` on.
    #[inline]
    pub(crate) fn behind(body: Str, start: usize) -> Self {
        let end = body.len();
        if end > MAX_PLACE {
            return Message::Text(body.slice_ref(&body[start..])).into();
        }
        Self { message: Message::Text(body), start, end }
    }

    /// What it is in, and what of that is its text.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut Message, Range<usize>) {
        (&mut self.message, self.start..self.end)
    }

    /// The message alone.
    pub(crate) fn to_message(&self) -> Message {
        match &self.message {
            Message::Text(text) => Message::Text(text.slice_ref(&text[self.start..self.end])),
            Message::Binary(data) => Message::Binary(data.clone()),
        }
    }
}

impl From<Message> for Arrived {
    fn from(message: Message) -> Self {
        let end = message.len();
        Self { message, start: 0, end }
    }
}

/// What is decoded of a message is places of 32 bits in its text: it is cut out of a longer one.
const MAX_PLACE: usize = u32::MAX as usize;

/// Whether a ping or pong tests a transport before an upgrade (`2probe`, `3probe`) or keeps a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// No data, or data that is not `probe`.
    Heartbeat,
    /// The data is `probe`.
    Probe,
}

/// An Engine.IO packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// `0`: the handshake, as JSON.
    Open(Str),
    /// `1`: the peer ends a polling session. Means nothing on a WebSocket.
    Close,
    /// `2`.
    Ping(Purpose),
    /// `3`.
    Pong(Purpose),
    /// `4`, or binary.
    Message(Message),
    /// `5`: the client commits to the probed transport.
    Upgrade,
    /// `6`: frees a pending poll.
    Noop,
}

/// A packet of text where it was read: a [`Packet`] that counts no reference yet, and whose base64 is still to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketRef<'a> {
    /// `0`: the handshake, as JSON.
    Open(&'a str),
    /// `1`.
    Close,
    /// `2`.
    Ping(Purpose),
    /// `3`.
    Pong(Purpose),
    /// `4`: a text message.
    Text(&'a str),
    /// `b`: a binary message, in base64.
    Base64(&'a str),
    /// `5`.
    Upgrade,
    /// `6`.
    Noop,
}

/// How binary data reaches a peer over a channel that could carry bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryEncoding {
    /// As bytes.
    #[default]
    Raw,
    /// As base64 text, because the peer asked for it with the query parameter `b64` (REFERENCE 1.3).
    Base64,
}

/// Why bytes are not Engine.IO packets. To the peer they are all the same `parse error`, which ends the session
/// (REFERENCE 1.1, 1.16).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A packet without a type: an empty frame, an empty payload, or nothing after the last separator of one.
    #[error("empty packet")]
    Empty,
    /// The first character is neither a packet type nor `b`.
    #[error("unknown packet type {found:?}")]
    UnknownType {
        /// The first character of the packet.
        found: char,
    },
    /// Revision 3: binary data whose type is not message (`4`, or the byte 0x04). The revision could express it, but
    /// no implementation sends it.
    #[error("a binary packet of revision 3 is not a message")]
    BinaryType,
    /// More packets in one payload than the limit.
    #[error("more than {limit} packets in one payload")]
    TooManyPackets {
        /// The limit.
        limit: usize,
    },
    /// Revision 3: a length is absent, not a number, or does not match what follows it.
    #[error("a packet length is malformed or does not match the payload")]
    Length,
    /// Revision 3: a packet of a binary payload is marked neither text (0) nor binary (1).
    #[error("unknown packet kind {found}")]
    UnknownKind {
        /// The mark.
        found: u8,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A WebTransport frame announces more bytes than the limit.
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    FrameTooLarge {
        /// The announced length.
        length: u64,
        /// The limit.
        limit: u64,
    },
}

impl Packet {
    /// Reads one frame as it came from a peer of `revision`: a WebSocket or WebTransport message, or an entry of a
    /// polling payload.
    ///
    /// Text and raw binary are slices of the frame. Base64 is decoded as leniently as in the reference, in linear time
    /// and one allocation: padding may be missing, the URL-safe alphabet is accepted, foreign characters are ignored,
    /// and the first `=` ends the data. Data of packets that have none is ignored (REFERENCE 1.1, 2.1).
    ///
    /// `4` alone, whose data is absent in the reference, is a message of empty text: the Socket.IO layer refuses both
    /// alike, as neither begins with a packet type.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Empty`], [`DecodeError::UnknownType`] or, for revision 3, [`DecodeError::BinaryType`].
    pub fn decode(revision: Revision, frame: Frame) -> Result<Self, DecodeError> {
        match (revision, frame) {
            (_, Frame::Text(text)) if text.len() <= SHORT && text.starts_with('4') => {
                Ok(Self::Message(Message::Text(behind(text, 1))))
            }
            (_, Frame::Text(text)) => Self::decode_text(revision, &text, &text),
            (Revision::V4, Frame::Binary(data)) => Ok(Self::Message(Message::Binary(data))),
            (Revision::V3, Frame::Binary(mut data)) => match data.first() {
                None => Err(DecodeError::Empty),
                Some(&V3_MESSAGE) => Ok(Self::Message(Message::Binary(data.split_off(1)))),
                Some(_) => Err(DecodeError::BinaryType),
            },
        }
    }

    /// Reads `text`, which is a part of `source`.
    #[inline]
    pub(crate) fn decode_text(revision: Revision, source: &Str, text: &str) -> Result<Self, DecodeError> {
        PacketRef::decode(revision, text).map(|packet| packet.to_packet(source))
    }

    /// The frame of revision 4 that carries this packet. Packets without data and binary messages need no allocation.
    pub fn encode(&self) -> Frame {
        Frame::Text(match self {
            Self::Open(data) => prefixed('0', data),
            Self::Close => Str::from_static("1"),
            Self::Ping(Purpose::Heartbeat) => Str::from_static("2"),
            Self::Ping(Purpose::Probe) => Str::from_static("2probe"),
            Self::Pong(Purpose::Heartbeat) => Str::from_static("3"),
            Self::Pong(Purpose::Probe) => Str::from_static("3probe"),
            Self::Message(Message::Text(data)) => prefixed('4', data),
            Self::Message(Message::Binary(data)) => return Frame::Binary(data.clone()),
            Self::Upgrade => Str::from_static("5"),
            Self::Noop => Str::from_static("6"),
        })
    }
}

impl<'a> PacketRef<'a> {
    /// Reads one text frame as it came from a peer of `revision`, by the rules of [`Packet::decode`].
    ///
    /// # Errors
    ///
    /// Those of [`Packet::decode`].
    #[inline]
    pub fn decode(revision: Revision, text: &'a str) -> Result<Self, DecodeError> {
        match text.strip_prefix('4') {
            Some(data) => Ok(Self::Text(data)), // what nearly every packet is
            None => Self::decode_other(revision, text),
        }
    }

    fn decode_other(revision: Revision, text: &'a str) -> Result<Self, DecodeError> {
        let Some(first) = text.chars().next() else { return Err(DecodeError::Empty) };
        let data = &text[first.len_utf8()..];
        Ok(match first {
            '0' => Self::Open(data),
            '1' => Self::Close,
            '2' => Self::Ping(Purpose::of(data)),
            '3' => Self::Pong(Purpose::of(data)),
            '5' => Self::Upgrade,
            '6' => Self::Noop,
            'b' => Self::Base64(match revision {
                Revision::V4 => data,
                Revision::V3 => data.strip_prefix('4').ok_or(DecodeError::BinaryType)?,
            }),
            found => return Err(DecodeError::UnknownType { found }),
        })
    }

    /// The packet by itself: text keeps `source` alive, of which it must be a part, and base64 is decoded.
    #[inline]
    pub(crate) fn to_packet(self, source: &Str) -> Packet {
        match self {
            Self::Text(data) => Packet::Message(Message::Text(source.slice_ref(data))),
            Self::Open(data) => Packet::Open(source.slice_ref(data)),
            Self::Close => Packet::Close,
            Self::Ping(purpose) => Packet::Ping(purpose),
            Self::Pong(purpose) => Packet::Pong(purpose),
            Self::Base64(data) => Packet::Message(Message::Binary(decode_base64(data.as_bytes()))),
            Self::Upgrade => Packet::Upgrade,
            Self::Noop => Packet::Noop,
        }
    }
}

impl Purpose {
    fn of(data: &str) -> Self {
        if data == "probe" { Self::Probe } else { Self::Heartbeat }
    }
}

impl Frame {
    /// Takes it out of its place.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::Binary(Bytes::new()))
    }

    /// The size of the content in bytes, packet type included.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Whether the frame has no content. Only a binary message can be empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The WebSocket message that carries this frame to a peer of `revision` (REFERENCE 1.11, 2.1): binary gains a type
    /// byte in revision 3, and becomes text for a peer that wants base64. Anything else is passed on as it is.
    pub fn into_wire(self, revision: Revision, binary: BinaryEncoding) -> Self {
        self.to_wire(revision, binary).unwrap_or(self)
    }

    /// The same where it differs from the frame.
    #[inline]
    pub(crate) fn to_wire(&self, revision: Revision, binary: BinaryEncoding) -> Option<Self> {
        match self {
            Self::Text(_) => None,
            Self::Binary(data) => Self::binary_to_wire(data, revision, binary),
        }
    }

    fn binary_to_wire(data: &Bytes, revision: Revision, binary: BinaryEncoding) -> Option<Self> {
        match (revision, binary) {
            (_, BinaryEncoding::Base64) => {
                let prefix = base64_prefix(revision);
                let mut text = String::with_capacity(prefix.len() + base64_len(data.len()));
                text.push_str(prefix);
                STANDARD.encode_string(data, &mut text);
                Some(Self::Text(text.into()))
            }
            (Revision::V3, BinaryEncoding::Raw) => {
                let mut typed = Vec::with_capacity(1 + data.len());
                typed.push(V3_MESSAGE);
                typed.extend_from_slice(data);
                Some(Self::Binary(typed.into()))
            }
            (Revision::V4, BinaryEncoding::Raw) => None,
        }
    }
}

/// The type byte of a binary message in revision 3.
pub(crate) const V3_MESSAGE: u8 = 4;

/// What stands before the base64 data of a message.
pub(crate) const fn base64_prefix(revision: Revision) -> &'static str {
    match revision {
        Revision::V3 => "b4",
        Revision::V4 => "b",
    }
}

/// The length of `bytes` bytes in padded base64.
pub(crate) const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Appends a binary message as text, prefix included.
pub(crate) fn push_base64(revision: Revision, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(base64_prefix(revision).as_bytes());
    let start = out.len();
    out.resize(start + base64_len(data.len()), 0);
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
}

fn prefixed(digit: char, data: &str) -> Str {
    let mut text = String::with_capacity(1 + data.len());
    text.push(digit);
    text.push_str(data);
    text.into()
}

/// Decodes what `Buffer.from(text, "base64")` of Node.js accepts, to the same bytes.
fn decode_base64(text: &[u8]) -> Bytes {
    let text = &text[..memchr::memchr(b'=', text).unwrap_or(text.len())];
    // Three bytes for four characters; a single left-over character says nothing.
    let mut data = vec![0; text.len() / 4 * 3 + (text.len() % 4 * 3) / 4];
    let len = match LENIENT.decode_slice(text, &mut data) {
        Ok(len) => len,
        Err(_) => decode_base64_slowly(text, &mut data),
    };
    data.truncate(len);
    data.into()
}

/// The path for everything but a clean standard alphabet. Returns the number of bytes written.
fn decode_base64_slowly(text: &[u8], out: &mut [u8]) -> usize {
    let (mut bits, mut held, mut written) = (0_u32, 0, 0);
    for &c in text {
        let sextet = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            out[written] = (bits >> held) as u8; // the upper bits were written before
            written += 1;
        }
    }
    written
}

/// Takes unpadded text (the caller cuts at `=`) and does not mind bits left over in the last character.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Up to this many bytes it costs less to check for UTF-8 again, which cannot fail, than to count one reference more and one
/// less.
const SHORT: usize = 64;

/// What of `text` begins at `start`.
#[inline(always)] // and so `text` is not moved
pub(crate) fn behind(text: Str, start: usize) -> Str {
    if text.len() - start > SHORT {
        return text.slice_ref(&text[start..]);
    }
    let mut bytes = text.into_bytes();
    bytes.advance(start);
    Str::try_from(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const BOTH: [Revision; 2] = [Revision::V3, Revision::V4];

    fn text(text: &str) -> Frame {
        Frame::Text(text.into())
    }

    fn binary(data: &[u8]) -> Frame {
        Frame::Binary(Bytes::copy_from_slice(data))
    }

    fn message(data: &[u8]) -> Packet {
        Packet::Message(Message::Binary(Bytes::copy_from_slice(data)))
    }

    #[test]
    fn every_packet_type_is_read_in_both_revisions() {
        for revision in BOTH {
            let decode = |t| Packet::decode(revision, text(t)).unwrap();
            assert_eq!(decode("0{}"), Packet::Open("{}".into()));
            assert_eq!(decode("0"), Packet::Open("".into()));
            assert_eq!(decode("1"), Packet::Close);
            assert_eq!(decode("2"), Packet::Ping(Purpose::Heartbeat));
            assert_eq!(decode("2probe"), Packet::Ping(Purpose::Probe));
            assert_eq!(decode("2probes"), Packet::Ping(Purpose::Heartbeat));
            assert_eq!(decode("3"), Packet::Pong(Purpose::Heartbeat));
            assert_eq!(decode("3probe"), Packet::Pong(Purpose::Probe));
            assert_eq!(decode("4hello €"), Packet::Message(Message::Text("hello €".into())));
            assert_eq!(decode("5"), Packet::Upgrade);
            assert_eq!(decode("6"), Packet::Noop);
        }
    }

    #[test]
    fn four_alone_is_a_message_of_empty_text() {
        assert_eq!(Packet::decode(Revision::V4, text("4")), Ok(Packet::Message(Message::Text("".into()))));
    }

    #[test]
    fn an_empty_or_unknown_text_is_refused() {
        for revision in BOTH {
            let decode = |t: &str| Packet::decode(revision, text(t)).unwrap_err();
            assert_eq!(decode(""), DecodeError::Empty);
            for bad in ['7', '9', '/', 'B', ' ', '€', '\0', '𐀀', '٣'] {
                assert_eq!(decode(&bad.to_string()), DecodeError::UnknownType { found: bad });
            }
        }
    }

    #[test]
    fn binary_has_a_type_byte_in_revision_3_only() {
        assert_eq!(Packet::decode(Revision::V4, binary(&[4, 1])), Ok(message(&[4, 1])));
        assert_eq!(Packet::decode(Revision::V4, binary(&[])), Ok(message(&[])));
        assert_eq!(Packet::decode(Revision::V3, binary(&[4, 1])), Ok(message(&[1])));
        assert_eq!(Packet::decode(Revision::V3, binary(&[4])), Ok(message(&[])));
        assert_eq!(Packet::decode(Revision::V3, binary(&[])), Err(DecodeError::Empty));
        assert_eq!(Packet::decode(Revision::V3, binary(&[2])), Err(DecodeError::BinaryType));
    }

    #[test]
    fn base64_has_a_type_digit_in_revision_3_only() {
        assert_eq!(Packet::decode(Revision::V4, text("bAQIDBA==")), Ok(message(&[1, 2, 3, 4])));
        assert_eq!(Packet::decode(Revision::V4, text("b")), Ok(message(&[])));
        assert_eq!(Packet::decode(Revision::V3, text("b4AQIDBA==")), Ok(message(&[1, 2, 3, 4])));
        assert_eq!(Packet::decode(Revision::V3, text("bAQIDBA==")), Err(DecodeError::BinaryType));
        assert_eq!(Packet::decode(Revision::V3, text("b")), Err(DecodeError::BinaryType));
    }

    /// Every expectation is what Node.js answers to `Buffer.from(text, "base64")`.
    #[test]
    fn base64_is_decoded_as_leniently_as_in_node() {
        for (base64, data) in [
            ("YQ==YQ==", b"a".as_slice()),
            ("=bad", b""),
            ("YWI=YWI", b"ab"),
            ("YQ", b"a"),
            ("Y", b""),
            ("YWJ", b"ab"),
            ("_-_-", &[0xFF, 0xEF, 0xFE]),
            ("Y W\nI=", b"ab"),
            ("YQ=", b"a"),
            ("YQ===", b"a"),
            ("é_YWI", &[0xFD, 0x85, 0x88]),
            ("YWI\u{2028}Y", b"ab\x18"),
            ("YW=", b"a"),
            ("YQ==!", b"a"),
            ("YWJjZ", b"abc"),
        ] {
            let read = Packet::decode(Revision::V4, text(&alloc::format!("b{base64}")));
            assert_eq!(read, Ok(message(data)), "{base64:?}");
        }
    }

    #[test]
    fn packets_without_data_are_static_text() {
        for packet in ["1", "2", "2probe", "3", "3probe", "5", "6"] {
            let Frame::Text(encoded) = Packet::decode(Revision::V4, text(packet)).unwrap().encode() else {
                panic!("text expected")
            };
            assert_eq!(encoded, packet);
        }
    }

    #[test]
    fn decoded_data_is_a_slice_of_the_frame() {
        let frame = Str::from("4hello".to_string());
        let Ok(Packet::Message(Message::Text(data))) =
            Packet::decode(Revision::V4, Frame::Text(frame.clone()))
        else {
            panic!("message expected")
        };
        assert_eq!(data.as_ptr(), frame[1..].as_ptr());
    }

    #[test]
    fn a_frame_takes_the_form_its_peer_reads() {
        let wire = |revision, encoding| binary(&[1, 2, 3, 4]).into_wire(revision, encoding);
        assert_eq!(wire(Revision::V4, BinaryEncoding::Raw), binary(&[1, 2, 3, 4]));
        assert_eq!(wire(Revision::V3, BinaryEncoding::Raw), binary(&[4, 1, 2, 3, 4]));
        assert_eq!(wire(Revision::V4, BinaryEncoding::Base64), text("bAQIDBA=="));
        assert_eq!(wire(Revision::V3, BinaryEncoding::Base64), text("b4AQIDBA=="));
        for revision in BOTH {
            assert_eq!(text("4a").into_wire(revision, BinaryEncoding::Base64), text("4a"));
        }
    }

    #[test]
    fn messages_are_the_same_on_both_sides_of_short() {
        for len in SHORT - 3..SHORT + 3 {
            for letter in ["a", "é", "€"] {
                let data = letter.repeat(len / letter.len()) + &"b".repeat(len % letter.len());
                let frame = Frame::Text(alloc::format!("4{data}").into());
                assert_eq!(
                    Packet::decode(Revision::V4, frame),
                    Ok(Packet::Message(Message::Text(data.into())))
                );
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(raw: Vec<u8>, string: String) {
            for revision in BOTH {
                let _ = Packet::decode(revision, Frame::Binary(raw.clone().into()));
                let _ = Packet::decode(revision, text(&string));
                let _ = Packet::decode(revision, text(&alloc::format!("b4{string}")));
            }
        }

        #[test]
        fn any_message_survives_the_wire_of_either_revision(raw: Vec<u8>, string: String) {
            let messages =
                [Packet::Message(Message::Text(string.as_str().into())), Packet::Message(Message::Binary(raw.into()))];
            for packet in messages {
                for revision in BOTH {
                    for encoding in [BinaryEncoding::Raw, BinaryEncoding::Base64] {
                        let frame = packet.encode().into_wire(revision, encoding);
                        prop_assert_eq!(Packet::decode(revision, frame), Ok(packet.clone()));
                    }
                }
            }
        }

        /// Both ways of decoding base64 agree on what the fast one accepts.
        #[test]
        fn the_slow_base64_path_agrees_with_the_fast_one(raw: Vec<u8>) {
            let mut encoded = String::new();
            STANDARD.encode_string(&raw, &mut encoded);
            let mut slow = vec![0; raw.len()];
            let text = encoded.trim_end_matches('=');
            prop_assert_eq!(decode_base64_slowly(text.as_bytes(), &mut slow), raw.len());
            prop_assert_eq!(&slow, &raw);
            prop_assert_eq!(LENIENT.decode_slice(text, &mut slow), Ok(raw.len()));
            prop_assert_eq!(decode_base64(encoded.as_bytes()), raw);
        }
    }
}
