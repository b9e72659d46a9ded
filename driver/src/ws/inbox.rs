//! Where frames begin and end in what was read.
//!
//! Nearly everything a peer sends is a message in one frame. Those are unmasked in place and handed out as slices of one
//! buffer for each read. The rest (control frames, fragments, whatever breaks the rules) is tungstenite's, one whole
//! frame at a time, so that it never waits for half of one while the other half lies here.

use std::mem;

use bytes::Buf as _;
use socketio_core::engine::packet::Frame;
use socketio_core::{Bytes, Str};
use tungstenite::protocol::Role;

use super::frame::{Header, TEXT, apply_mask};

/// What was read and not handed out.
#[derive(Debug)]
pub(super) struct Inbox {
    unread: Vec<u8>,
    /// A message came in fragments and is not complete: whatever comes next is about it.
    fragmented: bool,
    /// That message is compressed.
    compressed: bool,
    /// Whether there may be compressed messages.
    pub(super) inflates: bool,
    /// Who reads: a server's frames have no masks, a client's have.
    pub(super) role: Role,
    /// Of a whole message, and so of a frame.
    pub(super) max_message_bytes: usize,
}

/// Whole frames.
pub(super) enum Frames {
    /// Each is a message.
    Messages(Messages),
    /// Of a compressed message.
    Compressed(Part),
    /// The beginning of a message in the midst of a compressed one.
    OutOfTurn,
    /// One of another kind, as it was received; or what there is of one that is too large.
    Other(Vec<u8>),
}

/// A frame of a compressed message, unmasked.
pub(super) struct Part {
    /// For the first one: whether the message is text.
    pub(super) begins_text: Option<bool>,
    pub(super) is_last: bool,
    /// With the header.
    frame: Vec<u8>,
    header_len: usize,
}

impl Part {
    pub(super) fn payload(&self) -> &[u8] {
        &self.frame[self.header_len..]
    }
}

impl Inbox {
    pub(super) const fn new(role: Role, max_message_bytes: usize) -> Self {
        Self {
            unread: Vec::new(),
            fragmented: false,
            compressed: false,
            inflates: false,
            role,
            // Also without a limit, there is one to what memory holds.
            max_message_bytes: if max_message_bytes < MAX_PAYLOAD { max_message_bytes } else { MAX_PAYLOAD },
        }
    }

    pub(super) fn push(&mut self, read: &[u8]) {
        self.unread.extend_from_slice(read);
    }

    /// The next frames, as far as they are complete.
    pub(super) fn next(&mut self) -> Option<Frames> {
        let mut messages = 0;
        while let Some(header) = Header::parse(&self.unread[messages..]) {
            let available = self.unread.len() - messages;
            // One that is too large is refused for its header, before it grows.
            let is_too_large = header.payload > self.max_message_bytes as u64;
            let len = if is_too_large { available } else { header.len + header.payload as usize };
            if len > available {
                break;
            }
            if is_too_large || !self.is_plain(&header) {
                if messages > 0 {
                    break;
                }
                return Some(self.other(&header, len, is_too_large));
            }
            if let Some(mask) = header.mask {
                apply_mask(&mut self.unread[messages + header.len..messages + len], mask);
            }
            messages += len;
        }
        (messages > 0).then(|| Frames::Messages(Messages(self.cut(messages).into())))
    }

    /// Takes a frame that is not a message as nearly all are.
    fn other(&mut self, header: &Header, len: usize, is_too_large: bool) -> Frames {
        let is_of_compressed = !is_too_large && self.is_of_compressed(header);
        let is_out_of_turn = self.compressed && header.begins_message();
        if let Some(fragmented) = header.leaves_fragmented() {
            self.fragmented = fragmented;
            self.compressed = fragmented && is_of_compressed;
        }
        let mut frame = self.cut(len);
        if is_out_of_turn {
            return Frames::OutOfTurn;
        }
        if !is_of_compressed {
            return Frames::Other(frame);
        }
        if let Some(mask) = header.mask {
            apply_mask(&mut frame[header.len..], mask);
        }
        Frames::Compressed(Part {
            begins_text: header.begins_message().then(|| header.opcode() == TEXT),
            is_last: header.is_final(),
            frame,
            header_len: header.len,
        })
    }

    /// Whether a frame is one of a compressed message, and as it should be. The others tungstenite refuses.
    fn is_of_compressed(&self, header: &Header) -> bool {
        let is_next = match self.fragmented {
            true => self.compressed && header.continues(),
            false => header.begins_compressed(),
        };
        self.inflates && is_next && self.is_masked_as_due(header)
    }

    /// Whether a frame is a message as nearly all are.
    fn is_plain(&self, header: &Header) -> bool {
        !self.fragmented && header.is_message() && self.is_masked_as_due(header)
    }

    fn is_masked_as_due(&self, header: &Header) -> bool {
        header.mask.is_some() == (self.role == Role::Server)
    }

    /// Takes the first `len` bytes away.
    fn cut(&mut self, len: usize) -> Vec<u8> {
        // `split_off` allocates even for nothing.
        let rest = if len == self.unread.len() { Vec::new() } else { self.unread.split_off(len) };
        mem::replace(&mut self.unread, rest)
    }
}

/// Half of what can be addressed: lengths are added and doubled.
const MAX_PAYLOAD: usize = isize::MAX as usize / 2;

/// One message after the other, unmasked, all of them slices of one buffer.
pub(super) struct Messages(Bytes);

/// A message that is meant to be text, and is not.
pub(super) struct NotUtf8;

impl Iterator for Messages {
    type Item = Result<Frame, NotUtf8>;

    fn next(&mut self) -> Option<Result<Frame, NotUtf8>> {
        let header = Header::parse(&self.0)?;
        self.0.advance(header.len);
        // Of the last one this is all that is left: no reference is counted.
        let payload = self.0.split_to(header.payload as usize);
        Some(match header.opcode() {
            TEXT => Str::try_from(payload).map(Frame::Text).map_err(|_| NotUtf8),
            _ => Ok(Frame::Binary(payload)),
        })
    }
}
