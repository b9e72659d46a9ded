//! A packet that is written: its frames.

use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::{Codec, text};
use crate::Str;
use crate::engine::buffer::Compression;
use crate::engine::packet::{Frame, Message};
#[cfg(doc)]
use crate::socket::Parser;
use crate::socket::attachments::Each;
use crate::socket::{Args, Attachments, Body, Decoder, Event, Limits, Packet, msgpack};

/// A packet as the engine sends it: a head, which is text that already begins with the digit of an Engine.IO message
/// or else a binary message, and its attachments. Cloning costs reference counts, so a broadcast is encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(super) head: Frame,
    pub(super) attachments: Attachments,
    pub(super) compression: Compression,
}

impl Encoded {
    /// A packet of these messages, in this order: what a [`Parser`] makes.
    pub fn new(head: Message, attachments: Vec<Bytes>) -> Self {
        let head = match head {
            Message::Text(text) => Frame::Text([MESSAGE, &text].concat().into()),
            Message::Binary(bytes) => Frame::Binary(bytes),
        };
        Self { head, attachments: attachments.into(), compression: Compression::Allowed }
    }

    /// A packet that was encoded before: its frames as they were, such as those of a recorded one.
    pub fn from_frames(head: Frame, attachments: Vec<Bytes>) -> Self {
        Self { head, attachments: attachments.into(), compression: Compression::Allowed }
    }

    /// The frames, in the order they must be sent, with nothing in between.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame> + '_ {
        Frames { encoded: self, next: 0 }
    }

    /// The frames, of a packet that is not needed any more.
    pub(crate) fn into_frames(self) -> impl ExactSizeIterator<Item = Frame> {
        IntoFrames { head: Some(self.head), attachments: self.attachments.into_each() }
    }

    /// The frame that begins the packet.
    pub const fn head(&self) -> &Frame {
        &self.head
    }

    /// The same, taken out of its place.
    #[inline]
    pub(crate) fn take_head(&mut self) -> Frame {
        self.head.take()
    }

    /// All of it, taken out of its place.
    pub(crate) fn take(&mut self) -> Self {
        Self { head: self.head.take(), attachments: mem::take(&mut self.attachments), ..*self }
    }

    /// The frames that follow it.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The same packet, which transports may or may not compress.
    #[must_use]
    pub const fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Whether a transport may compress it.
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> usize {
        1 + self.attachments.len()
    }

    /// The bytes in all frames, without what a transport adds.
    pub fn bytes_len(&self) -> usize {
        let head = match &self.head {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) => bytes.len(),
        };
        head + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The event this encodes, as its receiver will decode it. `None` for every other packet.
    pub fn to_event(&self, codec: Codec) -> Option<Event> {
        match self.to_packet(codec)?.body {
            Body::Event(event) => Some(event),
            _ => None,
        }
    }

    /// The arguments of the acknowledgement this encodes. `None` for every other packet.
    pub(in crate::socket) fn to_ack_args(&self, codec: Codec) -> Option<Args> {
        match self.to_packet(codec)?.body {
            Body::Ack { args, .. } => Some(args),
            _ => None,
        }
    }

    pub(super) fn to_packet(&self, codec: Codec) -> Option<Packet> {
        let mut decoder = Decoder::new(codec, Limits::unbounded());
        self.frames().find_map(|frame| {
            let message = match frame {
                Frame::Text(text) => Message::Text(text.slice_ref(text.get(1..)?)),
                Frame::Binary(bytes) => Message::Binary(bytes),
            };
            decoder.push(message).ok()?
        })
    }

    /// The head goes to a buffer, its bytes behind what is there.
    pub(super) fn append_to(self, out: &mut Vec<u8>) -> Attachments {
        out.extend_from_slice(match &self.head {
            Frame::Text(text) => text.as_bytes(),
            Frame::Binary(bytes) => bytes,
        });
        self.attachments
    }

    /// The same event with `offset` behind its arguments, as connection state recovery wants it (REFERENCE 4.8).
    /// The arguments are copied as they are. A packet that is no event stays as it is.
    ///
    /// It must have been written by a built-in parser: for others see [`Codec::with_offset`].
    pub fn with_offset(&self, offset: &str) -> Self {
        let head = match &self.head {
            Frame::Text(text) => Frame::Text(text::with_offset(text, offset)),
            Frame::Binary(bytes) => Frame::Binary(msgpack::with_offset(bytes, offset)),
        };
        Self { head, attachments: self.attachments.clone(), compression: self.compression }
    }

    pub(super) const fn text(head: Str, attachments: Attachments) -> Self {
        Self { head: Frame::Text(head), attachments, compression: Compression::Allowed }
    }

    pub(super) const fn msgpack(packet: Bytes) -> Self {
        let head = Frame::Binary(packet);
        Self { head, attachments: Attachments::NONE, compression: Compression::Allowed }
    }
}

struct Frames<'a> {
    encoded: &'a Encoded,
    next: usize,
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = match self.next.checked_sub(1) {
            None => self.encoded.head.clone(),
            Some(index) => Frame::Binary(self.encoded.attachments.get(index)?.clone()),
        };
        self.next += 1;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.encoded.frame_count() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

struct IntoFrames {
    head: Option<Frame>,
    attachments: Each,
}

impl Iterator for IntoFrames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        self.head.take().or_else(|| self.attachments.next().map(Frame::Binary))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.head.is_some()) + self.attachments.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for IntoFrames {}

/// Shares it.
impl From<&Self> for Encoded {
    fn from(encoded: &Self) -> Self {
        encoded.clone()
    }
}

/// The type of an Engine.IO message, before its text.
const MESSAGE: &str = "4";
