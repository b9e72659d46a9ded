//! Polling payloads of revision 4: packets as text, joined by the byte 0x1E (REFERENCE 1.5).
//!
//! Knows nothing of HTTP: bodies come in as text, and go out into the caller's buffer.

use alloc::vec::Vec;
use core::iter::FusedIterator;

use bytes::Bytes;

use super::Revision;
use super::packet::{
    Arrived, DecodeError, Frame, Message, Packet, PacketRef, base64_len, behind, push_base64,
};
use crate::{Str, word};

/// What stands between two packets.
pub const SEPARATOR: u8 = 0x1E;

/// The default limit of packets in one payload.
///
/// A full POST of the default size (1,000,000 bytes, REFERENCE 1.10) holds at most 111,112 of the shortest Socket.IO
/// events (`42["a"]` and a separator), so no client that sends events meets it; half a million packets of one byte
/// each, which cost far more to hold than to send, do.
pub const DEFAULT_MAX_PACKETS: usize = 131_072;

/// Up to this many bytes it costs less to look at text twice than to keep the bytes for the case that they are no text, which
/// counts one reference more and one less.
const SHORT_BODY: usize = 512;

/// The body of a request as text. Bytes that are not UTF-8 become U+FFFD, as in the reference; a body that is UTF-8 is
/// not copied.
pub fn text(body: Bytes) -> Str {
    if body.len() <= SHORT_BODY && body.is_ascii() {
        return Str::try_from(body).unwrap_or_default(); // it cannot fail
    }
    match Str::try_from(body.clone()) {
        Ok(text) => text,
        Err(_) => alloc::string::String::from_utf8_lossy(&body).into_owned().into(),
    }
}

/// Reads the packets of a payload one by one, as slices of `body` that keep it alive.
///
/// The first error is the last item: packets before it stand, what comes after it is dropped (REFERENCE 1.5). An
/// empty body and a trailing separator are errors, since an empty packet is one.
pub const fn decode(body: Str) -> Decode {
    Decode { body, cursor: Cursor::new() }
}

/// The same where they are, by reference: for whoever looks at packets and keeps few of them.
pub const fn read(body: &str) -> Read<'_> {
    Read { body, cursor: Cursor::new() }
}

/// The packets of a payload. See [`decode`].
#[derive(Clone, Debug)]
pub struct Decode {
    body: Str,
    cursor: Cursor,
}

/// The packets of a payload, by reference. See [`read`].
#[derive(Clone, Debug)]
pub struct Read<'a> {
    body: &'a str,
    cursor: Cursor,
}

/// How far a payload has been read.
#[derive(Clone, Debug)]
struct Cursor {
    /// Where the next packet begins.
    at: Option<usize>,
    left: usize,
    limit: usize,
}

/// A packet that came in a POST.
pub(crate) enum Posted {
    /// A text message, as nearly all are.
    Text(Arrived),
    Other(Result<Packet, DecodeError>),
}

/// What comes next in a payload.
enum Step<'a> {
    /// A text message, as nearly every packet is one.
    Text(&'a str),
    /// A text message from here to the end of the body.
    Last(usize),
    /// Another packet, an error, or the end.
    Other(Option<Result<Packet, DecodeError>>),
}

impl Decode {
    /// Allows `limit` packets instead of [`DEFAULT_MAX_PACKETS`]; one more is [`DecodeError::TooManyPackets`]. To be set
    /// before the first packet is taken.
    #[must_use]
    pub fn with_max_packets(self, limit: usize) -> Self {
        Self { cursor: self.cursor.limited(limit), ..self }
    }

    /// Hands the packets to `then` until it fails. The same as a loop over them, and cheaper, since a packet stays where it
    /// was made.
    ///
    /// # Errors
    /// The first of `then`.
    #[inline]
    pub fn each<E>(
        mut self,
        mut then: impl FnMut(Result<Packet, DecodeError>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let other = match self.cursor.step(&self.body) {
                Step::Text(data) => {
                    then(message(&self.body, data))?;
                    continue;
                }
                Step::Last(start) => self.last_text(start),
                Step::Other(packet) => packet,
            };
            match other {
                Some(packet) => then(packet)?,
                None => return Ok(()),
            }
        }
    }

    /// The same with messages as places in the body.
    pub(crate) fn each_within<E>(mut self, mut then: impl FnMut(Posted) -> Result<(), E>) -> Result<(), E> {
        loop {
            then(match self.cursor.step(&self.body) {
                Step::Text(text) => Posted::Text(Arrived::within(&self.body, text)),
                Step::Last(start) => Posted::Text(Arrived::behind(core::mem::take(&mut self.body), start)),
                Step::Other(Some(packet)) => Posted::Other(packet),
                Step::Other(None) => return Ok(()),
            })?;
        }
    }

    /// The last packet, a text message: the body itself from `start` on, which nobody needs any more.
    #[inline(never)]
    fn last_text(&mut self, start: usize) -> Option<Result<Packet, DecodeError>> {
        let text = behind(core::mem::take(&mut self.body), start);
        Some(Ok(Packet::Message(Message::Text(text))))
    }
}

impl Read<'_> {
    /// As [`Decode::with_max_packets`].
    #[must_use]
    pub const fn with_max_packets(self, limit: usize) -> Self {
        Self { body: self.body, cursor: self.cursor.limited(limit) }
    }
}

impl Cursor {
    const fn new() -> Self {
        Self { at: Some(0), left: DEFAULT_MAX_PACKETS, limit: DEFAULT_MAX_PACKETS }
    }

    const fn limited(self, limit: usize) -> Self {
        Self { at: self.at, left: limit, limit }
    }

    /// The text of the next packet; without one, [`end`](Self::end) says why.
    //
    // An error beside the text would send both through memory.
    #[inline(always)]
    fn next<'a>(&mut self, body: &'a str) -> Option<&'a str> {
        let start = self.at?;
        self.left = self.left.checked_sub(1)?;
        let rest = &body[start..];
        let end = separator(rest.as_bytes());
        self.at = end.map(|end| start + end + 1);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// The next packet of `body`, with text messages left to be made by the caller.
    #[inline(always)]
    fn step<'a>(&mut self, body: &'a Str) -> Step<'a> {
        let Some(text) = self.next(body) else { return Step::Other(self.end()) };
        match text.strip_prefix('4') {
            Some(data) if self.at.is_none() => Step::Last(body.len() - data.len()),
            Some(data) => Step::Text(data),
            None => Step::Other(self.other(body, text)),
        }
    }

    /// The packet in `text`, which is no text message.
    //
    // Apart from `next`: what it gives is laid out in many ways, and beside them a message would be moved byte by byte.
    #[inline(never)]
    fn other(&mut self, body: &Str, text: &str) -> Option<Result<Packet, DecodeError>> {
        match Packet::decode_text(Revision::V4, body, text) {
            Err(error) => self.stop(error),
            packet => Some(packet),
        }
    }

    /// The same by reference.
    #[inline(never)]
    fn other_ref<'a>(&mut self, text: &'a str) -> Option<Result<PacketRef<'a>, DecodeError>> {
        match PacketRef::decode(Revision::V4, text) {
            Err(error) => self.stop(error),
            packet => Some(packet),
        }
    }

    /// What is given when there is no further packet: an error when one is left, and may not be.
    #[cold]
    fn end<T>(&mut self) -> Option<Result<T, DecodeError>> {
        self.at.take().map(|_| Err(DecodeError::TooManyPackets { limit: self.limit }))
    }

    /// Nothing follows an error.
    #[cold]
    fn stop<T>(&mut self, error: DecodeError) -> Option<Result<T, DecodeError>> {
        self.at = None;
        Some(Err(error))
    }
}

impl Iterator for Decode {
    type Item = Result<Packet, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.cursor.step(&self.body) {
            // Made where it is given back.
            Step::Text(data) => Some(Ok(Packet::Message(Message::Text(self.body.slice_ref(data))))),
            Step::Last(start) => self.last_text(start),
            Step::Other(packet) => packet,
        }
    }
}

impl<'a> Iterator for Read<'a> {
    type Item = Result<PacketRef<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some(text) = self.cursor.next(self.body) else { return self.cursor.end() };
        match text.strip_prefix('4') {
            Some(data) => Some(Ok(PacketRef::Text(data))),
            None => self.cursor.other_ref(text),
        }
    }
}

impl FusedIterator for Read<'_> {}

/// A text message, which keeps `body`.
#[inline(never)] // so it is made where it is handed over, instead of being moved by loads that wait for its stores
fn message(body: &Str, data: &str) -> Result<Packet, DecodeError> {
    Ok(Packet::Message(Message::Text(body.slice_ref(data))))
}

/// Where the first separator is. Packets are mostly shorter than it takes a vectorized search to begin.
#[inline(always)] // into the loop over packets
fn separator(bytes: &[u8]) -> Option<usize> {
    for at in [0, 16] {
        let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            let tail = bytes[at..].iter().position(|&byte| byte == SEPARATOR);
            return tail.map(|tail| at + tail);
        };
        if let Some(found) = separator_in(block) {
            return Some(at + found);
        }
    }
    memchr::memchr(SEPARATOR, &bytes[32..]).map(|at| 32 + at)
}

/// The same in a block, of which the compiler makes a vector.
#[inline]
fn separator_in(block: &[u8; 16]) -> Option<usize> {
    if !block.iter().fold(false, |found, &byte| found | (byte == SEPARATOR)) {
        return None;
    }
    let (words, _) = block.as_chunks();
    let found = |bytes: [u8; 8]| word::equal(u64::from_le_bytes(bytes), SEPARATOR);
    let [first, second] = [found(words[0]), found(words[1])];
    Some(if first != 0 { word::first(first) } else { 8 + word::first(second) })
}

impl FusedIterator for Decode {}

/// Appends the payload of `frames` to `out`: binary messages as `b` + base64, without a detour.
pub fn encode<'a>(frames: impl IntoIterator<Item = &'a Frame>, out: &mut Vec<u8>) {
    for (i, frame) in frames.into_iter().enumerate() {
        if i > 0 {
            out.push(SEPARATOR);
        }
        match frame {
            Frame::Text(text) => out.extend_from_slice(text.as_bytes()),
            Frame::Binary(data) => push_base64(Revision::V4, data, out),
        }
    }
}

/// The size of the payload of `frames`, in bytes: what [`encode`] appends.
pub fn encoded_len<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> usize {
    frames.into_iter().map(entry_len).sum::<usize>().saturating_sub(1)
}

/// How many of `frames` a client puts into one POST: the longest prefix whose payload stays within `max_payload`
/// bytes, but at least one frame, since one that is too large is the server's to refuse (REFERENCE 1.15). Without a
/// limit (a server that announced none, or zero) it is all of them.
///
/// The reference estimates base64 at 1.33 times the data, which falls short of 4/3 and, close to the limit, makes a
/// POST that the server answers with 413; here the size is exact. For text there is no difference.
pub fn take_prefix<'a>(frames: impl IntoIterator<Item = &'a Frame>, max_payload: Option<usize>) -> usize {
    let max_payload = max_payload.filter(|&max| max > 0).unwrap_or(usize::MAX);
    let mut size = 0_usize;
    let mut taken = 0;
    for frame in frames {
        size = size.saturating_add(entry_len(frame));
        // The last entry has no separator.
        if taken > 0 && size - 1 > max_payload {
            break;
        }
        taken += 1;
    }
    taken
}

/// The size of one packet and the separator after it.
fn entry_len(frame: &Frame) -> usize {
    1 + match frame {
        Frame::Text(text) => text.len(),
        Frame::Binary(data) => 1 + base64_len(data.len()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::packet::Purpose;

    fn message(text: &str) -> Packet {
        Packet::Message(Message::Text(text.into()))
    }

    fn read(body: &str) -> Vec<Result<Packet, DecodeError>> {
        decode(body.into()).collect()
    }

    #[test]
    fn packets_are_split_at_the_separator() {
        assert_eq!(
            read("4a\x1e2\x1ebAQID\x1e4"),
            [
                Ok(message("a")),
                Packet::decode(Revision::V4, Frame::Text("2".into())),
                Ok(Packet::Message(Message::Binary(Bytes::from_static(&[1, 2, 3])))),
                Ok(message("")),
            ]
        );
    }

    #[test]
    fn packets_are_read_where_they_are() {
        let body = "4a\x1e2probe\x1ebAQID\x1e9";
        let packets: Vec<_> = super::read(body).collect();
        let expected = [
            Ok(PacketRef::Text("a")),
            Ok(PacketRef::Ping(Purpose::Probe)),
            Ok(PacketRef::Base64("AQID")),
            Err(DecodeError::UnknownType { found: '9' }),
        ];
        assert_eq!(packets, expected);
        assert_eq!(
            super::read(body).with_max_packets(1).nth(1),
            Some(Err(DecodeError::TooManyPackets { limit: 1 }))
        );
    }

    #[test]
    fn packets_are_slices_of_the_body() {
        for length in [0, 1, 64, 65, 100] {
            let last = "b".repeat(length);
            let body = Str::from(format!("4a\x1e4{last}"));
            let (start, mut packets) = (body.as_ptr() as usize, decode(body));
            for (text, offset) in [("a", 1), (&last, 4)] {
                let Some(Ok(Packet::Message(Message::Text(packet)))) = packets.next() else {
                    panic!("{text}")
                };
                assert_eq!(packet, text);
                assert!(text.is_empty() || packet.as_ptr() as usize == start + offset);
            }
            assert_eq!((packets.next(), packets.next()), (None, None));
        }
    }

    #[test]
    fn an_empty_body_is_an_error() {
        assert_eq!(read(""), [Err(DecodeError::Empty)]);
    }

    #[test]
    fn a_trailing_separator_is_an_error_after_the_packets() {
        assert_eq!(read("4a\x1e"), [Ok(message("a")), Err(DecodeError::Empty)]);
        assert_eq!(read("\x1e4a"), [Err(DecodeError::Empty)]);
    }

    #[test]
    fn nothing_follows_the_first_error() {
        let mut packets = decode("4a\x1e9\x1e4b".into());
        assert_eq!(packets.next(), Some(Ok(message("a"))));
        assert_eq!(packets.next(), Some(Err(DecodeError::UnknownType { found: '9' })));
        assert_eq!(packets.next(), None);
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn one_packet_past_the_limit_is_an_error() {
        for three in ["6\x1e6\x1e6", "4a\x1e4b\x1e4c"].map(Str::from) {
            assert!(decode(three.clone()).with_max_packets(3).all(|packet| packet.is_ok()));
            let read: Vec<_> = decode(three).with_max_packets(2).collect();
            assert_eq!(read[2..], [Err(DecodeError::TooManyPackets { limit: 2 })]);
        }
    }

    #[test]
    fn the_default_limit_is_131072_packets() {
        let at = "6\x1e".repeat(DEFAULT_MAX_PACKETS);
        assert_eq!(decode(at[..at.len() - 1].into()).filter(Result::is_ok).count(), DEFAULT_MAX_PACKETS);
        let past = decode(format!("{at}6").into()).last();
        assert_eq!(past, Some(Err(DecodeError::TooManyPackets { limit: DEFAULT_MAX_PACKETS })));
    }

    #[test]
    fn a_body_that_is_not_utf8_is_read_with_replacements() {
        assert_eq!(text(Bytes::from_static(b"4a\xff")), "4a\u{FFFD}");
        let body = Bytes::from_static(b"4a");
        assert_eq!(text(body.clone()).as_ptr(), body.as_ptr());
        for length in [SHORT_BODY, SHORT_BODY + 1] {
            for unit in ["4", "é"] {
                let long = Bytes::from(format!("{}{}", "4".repeat(length - unit.len()), unit));
                assert_eq!(text(long.clone()).as_ptr(), long.as_ptr(), "{length} {unit}");
            }
            let broken = Bytes::from([&b"4".repeat(length - 1)[..], b"\xff"].concat());
            assert_eq!(text(broken), format!("{}\u{FFFD}", "4".repeat(length - 1)));
        }
    }

    #[test]
    fn binary_is_written_as_base64() {
        let frames = [Frame::Text("4a".into()), Frame::Binary(Bytes::from_static(&[1, 2, 3, 4]))];
        let mut out = b"before".to_vec();
        encode(&frames, &mut out);
        assert_eq!(out, b"before4a\x1ebAQIDBA==");
        assert_eq!(encoded_len(&frames), out.len() - "before".len());
        assert_eq!(encoded_len([]), 0);
    }

    #[test]
    fn a_batch_fills_the_limit_exactly() {
        let frames = ["4ab", "4c", "4d"].map(|text| Frame::Text(text.into()));
        for (limit, taken) in [(9, 3), (8, 2), (6, 2), (5, 1), (3, 1)] {
            assert_eq!(take_prefix(&frames, Some(limit)), taken, "{limit}");
        }
    }

    #[test]
    fn a_packet_over_the_limit_is_sent_alone() {
        let frames = [Frame::Text("4too large".into()), Frame::Text("4".into())];
        assert_eq!(take_prefix(&frames, Some(1)), 1);
        assert_eq!(take_prefix([], Some(1)), 0);
    }

    #[test]
    fn without_a_limit_a_batch_is_everything() {
        let frames = vec![Frame::Text("4".into()); 5];
        assert_eq!(take_prefix(&frames, None), 5);
        assert_eq!(take_prefix(&frames, Some(0)), 5);
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let text = "[^\x1e]{0,20}".prop_map(|text: String| Frame::Text(format!("4{text}").into()));
        let binary = any::<Vec<u8>>().prop_map(|data| Frame::Binary(data.into()));
        prop::collection::vec(prop_oneof![text, binary], 1..10)
    }

    proptest! {
        #[test]
        fn a_separator_is_found_wherever_it_is(
            bytes in prop::collection::vec(prop_oneof![Just(SEPARATOR), Just(b'4'), Just(0x1F), Just(0x9E), any::<u8>()], 0..80),
            plain in 0_usize..80,
        ) {
            let bytes = [vec![b'4'; plain], bytes].concat();
            prop_assert_eq!(separator(&bytes), bytes.iter().position(|&byte| byte == SEPARATOR));
        }

        #[test]
        fn arbitrary_bodies_never_panic(body: String, raw: Vec<u8>) {
            decode(body.into()).for_each(drop);
            decode(text(raw.into())).for_each(drop);
        }

        #[test]
        fn packets_that_are_handed_over_are_those_of_the_iterator(
            texts in prop::collection::vec(
                prop_oneof![4 => "4[ -~é]{0,40}", 1 => "[0-9]", 1 => "b(AQID)?", 1 => "[ -~]{0,3}"], 0..8
            ),
            limit in 0_usize..10,
            wanted in 0_usize..8,
        ) {
            let body = texts.join("\x1e");
            let packets = || decode(body.as_str().into()).with_max_packets(limit);
            let mut handed = Vec::new();
            let end = packets().each(|packet| {
                handed.push(packet);
                if handed.len() > wanted { Err(handed.len()) } else { Ok(()) }
            });
            prop_assert_eq!(&handed, &packets().take(wanted + 1).collect::<Vec<_>>());
            prop_assert_eq!(end, if handed.len() > wanted { Err(wanted + 1) } else { Ok(()) });
        }

        #[test]
        fn payloads_survive_the_wire(frames in frames()) {
            let mut out = Vec::new();
            encode(&frames, &mut out);
            prop_assert_eq!(out.len(), encoded_len(&frames));
            let read: Vec<_> = decode(text(out.into())).collect();
            let sent: Vec<_> =
                frames.into_iter().map(|frame| Packet::decode(Revision::V4, frame)).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn a_batch_of_several_stays_within_the_limit(frames in frames(), limit in 1_usize..500) {
            let taken = take_prefix(&frames, Some(limit));
            prop_assert!(taken == 1 || encoded_len(&frames[..taken]) <= limit);
            prop_assert!(taken == frames.len() || encoded_len(&frames[..=taken]) > limit);
        }
    }
}
