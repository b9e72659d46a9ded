//! Polling payloads of revision 3: packets with their length in front, as text or as bytes (REFERENCE 2.2, 2.3).
//!
//! Knows nothing of HTTP; which form a body has is in its content type.

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::FusedIterator;

use bytes::{Buf as _, Bytes};

use super::Revision;
use super::packet::{
    BinaryEncoding, DecodeError, Frame, Packet, V3_MESSAGE, base64_len, base64_prefix, push_base64,
};
use super::payload::DEFAULT_MAX_PACKETS;
use crate::Str;

/// The form of a payload, which its content type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `text/plain; charset=UTF-8`.
    Text,
    /// `application/octet-stream`.
    Binary,
}

/// Reads a text payload: `<length>:<packet>` repeated, lengths in UTF-16 code units. Packets are slices of `body`.
///
/// The first error is the last item. Empty packets (`0:`) are skipped; an empty body is [`DecodeError::Empty`], a length
/// that is not a number or that does not end on a character within the body is [`DecodeError::Length`].
pub const fn decode_text(body: Str) -> DecodeText {
    DecodeText { body, at: Some(0), left: DEFAULT_MAX_PACKETS, limit: DEFAULT_MAX_PACKETS }
}

/// Reads a binary payload: kind, length with one raw digit per byte, 0xFF, content. Packets are slices of `body`.
///
/// The first error is the last item. As in the reference an empty body has no packets and text may hold surrogates,
/// which become U+FFFD; a length that exceeds the body, which the reference cuts short, is [`DecodeError::Length`].
pub const fn decode_binary(body: Bytes) -> DecodeBinary {
    DecodeBinary { body, left: DEFAULT_MAX_PACKETS, limit: DEFAULT_MAX_PACKETS }
}

/// Appends the payload of `frames` to `out`, and tells its form: bytes if the peer takes them (`binary`) and there is a
/// binary message among the frames, text otherwise. No frames at all are the text `0:`.
pub fn encode<'a, I>(frames: I, binary: BinaryEncoding, out: &mut Vec<u8>) -> Form
where
    I: IntoIterator<Item = &'a Frame>,
    I::IntoIter: Clone,
{
    let mut frames = frames.into_iter().peekable();
    let as_bytes =
        binary == BinaryEncoding::Raw && frames.clone().any(|frame| matches!(frame, Frame::Binary(_)));
    if frames.peek().is_none() {
        out.extend_from_slice(b"0:");
    }
    for frame in frames {
        match (as_bytes, frame) {
            (false, Frame::Text(text)) => {
                push_decimal(utf16_len(text), b'0', out);
                out.push(b':');
                out.extend_from_slice(text.as_bytes());
            }
            (false, Frame::Binary(data)) => {
                push_decimal(base64_prefix(Revision::V3).len() + base64_len(data.len()), b'0', out);
                out.push(b':');
                push_base64(Revision::V3, data, out);
            }
            (true, Frame::Text(text)) => {
                out.push(KIND_TEXT);
                push_decimal(text.len(), 0, out);
                out.push(END_OF_LENGTH);
                out.extend_from_slice(text.as_bytes());
            }
            (true, Frame::Binary(data)) => {
                out.push(KIND_BINARY);
                push_decimal(1 + data.len(), 0, out);
                out.extend_from_slice(&[END_OF_LENGTH, V3_MESSAGE]);
                out.extend_from_slice(data);
            }
        }
    }
    if as_bytes { Form::Binary } else { Form::Text }
}

/// The packets of a text payload. See [`decode_text`].
#[derive(Clone, Debug)]
pub struct DecodeText {
    body: Str,
    /// Where the next length begins.
    at: Option<usize>,
    left: usize,
    limit: usize,
}

impl DecodeText {
    /// Allows `limit` packets instead of [`DEFAULT_MAX_PACKETS`]; one more is [`DecodeError::TooManyPackets`]. To be set
    /// before the first packet is taken.
    #[must_use]
    pub fn with_max_packets(self, limit: usize) -> Self {
        Self { left: limit, limit, ..self }
    }

    fn read(&mut self, mut start: usize) -> Result<Option<Packet>, DecodeError> {
        if self.body.is_empty() {
            return Err(DecodeError::Empty);
        }
        loop {
            let rest = &self.body[start..];
            if rest.is_empty() {
                return Ok(None);
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).take(MAX_DIGITS + 1).count();
            let length =
                decimal(rest[..digits].bytes().map(|digit| digit - b'0')).ok_or(DecodeError::Length)?;
            let content = rest[digits..].strip_prefix(':').ok_or(DecodeError::Length)?;
            let content = &content[..utf16_prefix(content, length).ok_or(DecodeError::Length)?];
            start += digits + 1 + content.len();
            if !content.is_empty() {
                self.left =
                    self.left.checked_sub(1).ok_or(DecodeError::TooManyPackets { limit: self.limit })?;
                let packet = Packet::decode_text(Revision::V3, &self.body, content)?;
                self.at = Some(start);
                return Ok(Some(packet));
            }
        }
    }
}

impl Iterator for DecodeText {
    type Item = Result<Packet, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.take()?;
        self.read(start).transpose()
    }
}

impl FusedIterator for DecodeText {}

/// The packets of a binary payload. See [`decode_binary`].
#[derive(Clone, Debug)]
pub struct DecodeBinary {
    /// What is not read yet; nothing after an error.
    body: Bytes,
    left: usize,
    limit: usize,
}

impl DecodeBinary {
    /// Allows `limit` packets instead of [`DEFAULT_MAX_PACKETS`]; one more is [`DecodeError::TooManyPackets`]. To be set
    /// before the first packet is taken.
    #[must_use]
    pub fn with_max_packets(self, limit: usize) -> Self {
        Self { left: limit, limit, ..self }
    }

    fn read(&mut self, kind: u8) -> Result<Packet, DecodeError> {
        self.left = self.left.checked_sub(1).ok_or(DecodeError::TooManyPackets { limit: self.limit })?;
        let digits = self.body[1..].iter().take_while(|&&b| b <= 9).take(MAX_DIGITS + 1).count();
        let length = decimal(self.body[1..=digits].iter().copied()).ok_or(DecodeError::Length)?;
        if self.body.get(1 + digits) != Some(&END_OF_LENGTH) {
            return Err(DecodeError::Length);
        }
        self.body.advance(digits + 2);
        if length > self.body.len() {
            return Err(DecodeError::Length);
        }
        let content = self.body.split_to(length);
        match kind {
            KIND_TEXT => {
                let text = text(content)?;
                Packet::decode_text(Revision::V3, &text, &text)
            }
            KIND_BINARY => Packet::decode(Revision::V3, Frame::Binary(content)),
            found => Err(DecodeError::UnknownKind { found }),
        }
    }
}

impl Iterator for DecodeBinary {
    type Item = Result<Packet, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let &kind = self.body.first()?;
        let packet = self.read(kind);
        if packet.is_err() {
            self.body.clear();
        }
        Some(packet)
    }
}

impl FusedIterator for DecodeBinary {}

const KIND_TEXT: u8 = 0;
const KIND_BINARY: u8 = 1;
const END_OF_LENGTH: u8 = 0xFF;

/// More digits than these are not a length (the reference's limit, the digits of its largest number).
const MAX_DIGITS: usize = 310;

/// The number of these digits; `None` if there are none or too many. A number too large for `usize` saturates, and is
/// then larger than any body.
fn decimal(digits: impl ExactSizeIterator<Item = u8>) -> Option<usize> {
    (1..=MAX_DIGITS)
        .contains(&digits.len())
        .then(|| digits.fold(0_usize, |n, digit| n.saturating_mul(10).saturating_add(usize::from(digit))))
}

/// Appends `n` in decimal digits, counted from `zero`.
fn push_decimal(n: usize, zero: u8, out: &mut Vec<u8>) {
    let magnitude = n.checked_ilog10().unwrap_or(0);
    // Each digit is below 10.
    out.extend((0..=magnitude).rev().map(|power| zero + (n / 10_usize.pow(power) % 10) as u8));
}

fn utf16_len(text: &str) -> usize {
    // One unit per character, two for those outside the basic plane, which take four bytes in UTF-8.
    text.bytes().map(|b| usize::from(b & 0xC0 != 0x80) + usize::from(b >= 0xF0)).sum()
}

/// The length in bytes of the first `units` UTF-16 code units of `text`, if there are so many and they end between two
/// characters.
fn utf16_prefix(text: &str, units: usize) -> Option<usize> {
    if text.as_bytes().get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (at, c) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(c.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// Text of a binary payload. Lone surrogates, which clients write as if they were characters, become U+FFFD.
fn text(content: Bytes) -> Result<Str, DecodeError> {
    if let Ok(text) = Str::try_from(content.clone()) {
        return Ok(text);
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = &content[..];
    loop {
        match core::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return Ok(text.into());
            }
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                let [0xED, 0xA0..=0xBF, 0x80..=0xBF, after @ ..] = invalid else {
                    return Err(DecodeError::NotUtf8);
                };
                text.push_str(core::str::from_utf8(valid).map_err(|_| DecodeError::NotUtf8)?);
                text.push(char::REPLACEMENT_CHARACTER);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::super::packet::{Message, Purpose};
    use super::*;

    fn message(text: &str) -> Packet {
        Packet::Message(Message::Text(text.into()))
    }

    fn binary(data: &[u8]) -> Packet {
        Packet::Message(Message::Binary(Bytes::copy_from_slice(data)))
    }

    fn text_of(body: &str) -> Vec<Result<Packet, DecodeError>> {
        decode_text(body.into()).collect()
    }

    fn binary_of(body: &[u8]) -> Vec<Result<Packet, DecodeError>> {
        decode_binary(Bytes::copy_from_slice(body)).collect()
    }

    #[test]
    fn text_lengths_are_utf16_units() {
        assert_eq!(text_of("2:40"), [Ok(message("0"))]);
        assert_eq!(text_of("8:437[\"€\"]"), [Ok(message("37[\"€\"]"))]);
        assert_eq!(text_of("3:4😀1:2"), [Ok(message("😀")), Ok(Packet::Ping(Purpose::Heartbeat))]);
        assert_eq!(text_of("4:4😀"), [Err(DecodeError::Length)]);
    }

    #[test]
    fn a_length_that_splits_a_character_is_refused() {
        assert_eq!(text_of("2:4😀"), [Err(DecodeError::Length)]);
    }

    #[test]
    fn binary_in_text_is_base64_with_a_type() {
        assert_eq!(text_of("10:b4AQIDBA=="), [Ok(binary(&[1, 2, 3, 4]))]);
    }

    #[test]
    fn every_malformed_text_length_is_refused_after_the_packets_before_it() {
        for bad in [
            "x",
            ":",
            ":4",
            "1",
            "12",
            "x:4",
            "-1:4",
            "+1:4",
            "1 :4",
            "1.0:4",
            "2:4",
            "99999999999999999999:4",
        ] {
            assert_eq!(text_of(bad), [Err(DecodeError::Length)], "{bad}");
            assert_eq!(text_of(&format!("2:4a{bad}")), [Ok(message("a")), Err(DecodeError::Length)], "{bad}");
        }
        assert_eq!(text_of(""), [Err(DecodeError::Empty)]);
        assert_eq!(text_of("1:9"), [Err(DecodeError::UnknownType { found: '9' })]);
    }

    #[test]
    fn empty_text_packets_are_skipped() {
        assert_eq!(text_of("0:"), []);
        assert_eq!(text_of("0:2:4a0:"), [Ok(message("a"))]);
    }

    #[test]
    fn a_length_may_have_310_digits_and_not_311() {
        let zeros = "0".repeat(309);
        assert_eq!(text_of(&format!("{zeros}2:4a")), [Ok(message("a"))]);
        assert_eq!(text_of(&format!("{zeros}02:4a")), [Err(DecodeError::Length)]);
        let mut body = vec![0; 310];
        body.extend_from_slice(&[2, 0xFF, b'4', b'a']);
        assert_eq!(binary_of(&body), [Ok(message("a"))]);
        body.insert(0, 0);
        assert_eq!(binary_of(&body), [Err(DecodeError::Length)]);
    }

    #[test]
    fn a_binary_payload_is_read_as_measured() {
        let mut body = vec![0, 4, 7, 0xFF];
        body.extend_from_slice("451-[\"bin\",\"€\",{\"_placeholder\":true,\"num\":0}]".as_bytes());
        body.extend_from_slice(&[1, 5, 0xFF, 4, 1, 2, 3, 4]);
        assert_eq!(
            binary_of(&body),
            [Ok(message("51-[\"bin\",\"€\",{\"_placeholder\":true,\"num\":0}]")), Ok(binary(&[1, 2, 3, 4]))]
        );
        let frames = decode_binary(body.clone().into()).map(|packet| packet.unwrap().encode());
        let frames: Vec<_> = frames.collect();
        let mut out = Vec::new();
        assert_eq!(encode(&frames, BinaryEncoding::Raw, &mut out), Form::Binary);
        assert_eq!(out, body);
    }

    #[test]
    fn every_malformed_binary_payload_is_refused() {
        for bad in [
            &[0][..],
            &[0, 0xFF],
            &[0, 1],
            &[0, 1, 0xFF],
            &[0, 2, 0xFF, b'4'],
            &[0, 10, 0xFF, b'4'],
            &[0, b'1', 0xFF, b'4'],
            &[1, 2, 0xFF, 4],
        ] {
            assert_eq!(binary_of(bad), [Err(DecodeError::Length)], "{bad:?}");
        }
        assert_eq!(binary_of(&[0, 0, 0xFF]), [Err(DecodeError::Empty)]);
        assert_eq!(binary_of(&[1, 0, 0xFF]), [Err(DecodeError::Empty)]);
        assert_eq!(binary_of(&[1, 1, 0xFF, 3]), [Err(DecodeError::BinaryType)]);
        assert_eq!(binary_of(&[2, 1, 0xFF, 4]), [Err(DecodeError::UnknownKind { found: 2 })]);
        assert_eq!(binary_of(&[0, 2, 0xFF, b'4', 0xC0]), [Err(DecodeError::NotUtf8)]);
        assert_eq!(binary_of(&[]), []);
    }

    #[test]
    fn surrogates_in_a_binary_payload_are_replaced() {
        assert_eq!(binary_of(&[0, 5, 0xFF, b'4', 0xED, 0xA0, 0x80, b'a']), [Ok(message("\u{FFFD}a"))]);
    }

    #[test]
    fn one_packet_past_the_limit_is_an_error() {
        let past = Some(Err(DecodeError::TooManyPackets { limit: 2 }));
        assert_eq!(decode_text("1:61:6".into()).with_max_packets(2).filter(Result::is_ok).count(), 2);
        assert_eq!(decode_text("1:61:61:6".into()).with_max_packets(2).last(), past);
        let two = [0, 1, 0xFF, b'6'].repeat(2);
        assert_eq!(decode_binary(two.into()).with_max_packets(2).filter(Result::is_ok).count(), 2);
        let three = [0, 1, 0xFF, b'6'].repeat(3);
        assert_eq!(decode_binary(three.into()).with_max_packets(2).last(), past);
    }

    #[test]
    fn the_form_follows_the_frames_and_the_peer() {
        let text = Frame::Text("4€".into());
        let data = Frame::Binary(Bytes::from_static(&[1, 2, 3, 4]));
        let form = |frames: &[&Frame], binary| {
            let mut out = Vec::new();
            let form = encode(frames.iter().copied(), binary, &mut out);
            (form, out)
        };
        assert_eq!(form(&[&text], BinaryEncoding::Raw), (Form::Text, "2:4€".into()));
        assert_eq!(form(&[&data], BinaryEncoding::Base64), (Form::Text, "10:b4AQIDBA==".into()));
        assert_eq!(
            form(&[&text, &data], BinaryEncoding::Raw),
            (Form::Binary, b"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04".to_vec())
        );
        assert_eq!(form(&[], BinaryEncoding::Raw), (Form::Text, "0:".into()));
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(
            body: String,
            numbered in "[0-9]{1,3}:\\PC{0,9}",
            raw: Vec<u8>,
            near in prop::collection::vec(prop_oneof![0_u8..10, Just(0xFF), any::<u8>()], 0..40),
        ) {
            decode_text(body.into()).for_each(drop);
            decode_text(numbered.into()).for_each(drop);
            decode_binary(raw.into()).for_each(drop);
            decode_binary(near.into()).for_each(drop);
        }

        #[test]
        fn payloads_survive_the_wire(
            frames in prop::collection::vec(prop_oneof![
                any::<String>().prop_map(|text| Frame::Text(format!("4{text}").into())),
                any::<Vec<u8>>().prop_map(|data| Frame::Binary(data.into())),
            ], 1..10),
            base64: bool,
        ) {
            let binary = if base64 { BinaryEncoding::Base64 } else { BinaryEncoding::Raw };
            let mut out = Vec::new();
            let read: Vec<_> = match encode(&frames, binary, &mut out) {
                Form::Text => decode_text(String::from_utf8(out).unwrap().into()).collect(),
                Form::Binary => decode_binary(out.into()).collect(),
            };
            // Frames hold the form of revision 4.
            let sent: Vec<_> = frames.into_iter().map(|frame| Packet::decode(Revision::V4, frame)).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn lengths_are_those_of_utf16(text: String) {
            prop_assert_eq!(utf16_len(&text), text.encode_utf16().count());
            prop_assert_eq!(utf16_prefix(&text, utf16_len(&text)), Some(text.len()));
            prop_assert_eq!(utf16_prefix(&text, utf16_len(&text) + 1), None);
        }
    }
}
