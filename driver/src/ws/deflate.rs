//! Messages that are compressed (RFC 7692): what the core [negotiated](socketio_core::engine::deflate), done.
//!
//! Without context takeover every message stands for itself, so one compressor and one decompressor serve all websockets of
//! a thread, and a websocket owns nothing. With it each direction owns a window, made for its first compressed message.

use std::cell::RefCell;
use std::fmt;

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use socketio_core::engine::deflate::{Agreement, PerMessageDeflate, Stream, WindowBits};
use socketio_core::engine::packet::Frame;

use super::inbox::Part;

/// The compression of one websocket.
pub(crate) struct Deflate {
    /// `None`: nothing is compressed that leaves.
    send: Option<Stream>,
    receive: Stream,
    threshold: usize,
    level: Level,
    /// With the window of what was sent, if messages may refer to it.
    compressor: Option<Compress>,
    decompressor: Option<Decompress>,
    /// A message that came in fragments and is not complete, as it came.
    incomplete: Vec<u8>,
    is_text: bool,
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate")
            .field("send", &self.send)
            .field("receive", &self.receive)
            .finish_non_exhaustive()
    }
}

/// A message that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is larger than a message may be, compressed or not.
    TooLarge,
    /// It is no compressed data.
    Corrupt,
}

/// A message as it was before it was compressed.
#[derive(Debug)]
pub(super) struct Inflated {
    pub(super) is_text: bool,
    pub(super) payload: Vec<u8>,
}

impl Deflate {
    pub(crate) fn new(options: &PerMessageDeflate, agreement: Agreement) -> Self {
        Self {
            send: agreement.send,
            receive: agreement.receive,
            threshold: options.threshold.max(1),
            level: Level::new(u32::from(options.level.min(9))),
            compressor: None,
            decompressor: None,
            incomplete: Vec::new(),
            is_text: false,
        }
    }

    /// Gives `write` what `frame` comes to. Returns false where it has to be sent as it is: it is too short, or would not
    /// become shorter.
    pub(super) fn compress(&mut self, frame: &Frame, write: impl FnOnce(&[u8])) -> bool {
        let Some(stream) = self.send.filter(|_| frame.len() >= self.threshold) else { return false };
        SHARED.with_borrow_mut(|shared| {
            let compressed = if stream.takeover {
                // What is written over is not what came of the last frame any more.
                shared.last = None;
                let compressor = self.compressor.get_or_insert_with(|| compressor(stream.window, self.level));
                // Longer or not: what follows may refer to it.
                deflate(compressor, bytes_of(frame), &mut shared.scratch).then_some(&shared.scratch[..])
            } else {
                shared.compress(frame, stream.window, self.level)
            };
            let is_compressed = compressed.map(write).is_some();
            shared.trim();
            is_compressed
        })
    }

    /// Takes a frame of a compressed message; the message, if that was its last.
    ///
    /// # Errors
    /// [`Fault`]. Not more than `max_bytes` are held of a message, and at most that many of what it was.
    pub(super) fn inflate(&mut self, part: Part, max_bytes: usize) -> Result<Option<Inflated>, Fault> {
        self.is_text = part.begins_text.unwrap_or(self.is_text);
        if self.incomplete.len() + part.payload().len() > max_bytes {
            return Err(Fault::TooLarge);
        }
        if !part.is_last || !self.incomplete.is_empty() {
            self.incomplete.extend_from_slice(part.payload());
        }
        if !part.is_last {
            return Ok(None);
        }
        let gathered = std::mem::take(&mut self.incomplete);
        let input = if gathered.is_empty() { part.payload() } else { &gathered };
        let payload = if self.receive.takeover {
            let window = self.receive.window.bits();
            inflate(
                self.decompressor.get_or_insert_with(|| Decompress::new_with_window_bits(false, window)),
                input,
                max_bytes,
            )
        } else {
            SHARED.with_borrow_mut(|shared| {
                shared.decompressor.reset(false);
                inflate(&mut shared.decompressor, input, max_bytes)
            })
        }?;
        Ok(Some(Inflated { is_text: self.is_text, payload }))
    }
}

/// What the websockets of a thread share.
struct Shared {
    compressor: Option<(WindowBits, Level, Compress)>,
    decompressor: Decompress,
    /// What was compressed last, and what it came to. A broadcast is one frame for all who get it, and is compressed once
    /// for those of them on this thread.
    last: Option<Frame>,
    scratch: Vec<u8>,
}

impl Shared {
    fn new() -> Self {
        Self { compressor: None, decompressor: Decompress::new(false), last: None, scratch: Vec::new() }
    }

    fn compress(&mut self, frame: &Frame, window: WindowBits, level: Level) -> Option<&[u8]> {
        let is_other = self.compressor.as_ref().is_none_or(|(w, l, _)| (*w, *l) != (window, level));
        if is_other {
            self.compressor = Some((window, level, compressor(window, level)));
            self.last = None;
        }
        if !self.last.as_ref().is_some_and(|last| std::ptr::eq(bytes_of(last), bytes_of(frame))) {
            let (.., compressor) = self.compressor.as_mut()?;
            compressor.reset();
            self.last = None;
            if !deflate(compressor, bytes_of(frame), &mut self.scratch) {
                return None;
            }
            // Held, so that no other frame can come to lie where it does.
            self.last = Some(frame.clone());
        }
        Some(&self.scratch[..]).filter(|compressed| compressed.len() < frame.len())
    }

    /// An exceptionally large message leaves nothing behind.
    fn trim(&mut self) {
        if self.scratch.capacity() > MAX_KEPT_BYTES
            || self.last.as_ref().is_some_and(|last| last.len() > MAX_KEPT_BYTES)
        {
            self.last = None;
            self.scratch = Vec::new();
        }
    }
}

fn bytes_of(frame: &Frame) -> &[u8] {
    match frame {
        Frame::Text(text) => text.as_bytes(),
        Frame::Binary(bytes) => bytes,
    }
}

fn compressor(window: WindowBits, level: Level) -> Compress {
    Compress::new_with_window_bits(level, false, window.bits())
}

/// Puts what `input` comes to into `out`, without the four bytes with which it always ends (RFC 7692, 7.2.1).
fn deflate(compressor: &mut Compress, mut input: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    // There always is room left at the end, which is how it is known that this is the end.
    while !input.is_empty() || out.len() == out.capacity() {
        out.reserve(input.len() / 2 + SLACK_BYTES);
        let before = compressor.total_in();
        if compressor.compress_vec(input, out, FlushCompress::Sync).is_err() {
            return false;
        }
        input = &input[(compressor.total_in() - before) as usize..];
    }
    out.truncate(out.len().saturating_sub(TRAILER.len()));
    true
}

/// What `input` was (RFC 7692, 7.2.2), unless it is more than `max_bytes`.
fn inflate(decompressor: &mut Decompress, input: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    for mut input in [input, &TRAILER] {
        loop {
            if out.len() == out.capacity() {
                let wanted = (out.len() * 2).max(input.len() * 2).max(SLACK_BYTES);
                // One more than there may be shows that there is more.
                out.reserve_exact(wanted.min(max_bytes.saturating_add(1)).saturating_sub(out.len()).max(1));
            }
            let before = decompressor.total_in();
            let status = decompressor.decompress_vec(input, &mut out, FlushDecompress::Sync);
            let status = status.map_err(|_| Fault::Corrupt)?;
            input = &input[(decompressor.total_in() - before) as usize..];
            if out.len() > max_bytes {
                return Err(Fault::TooLarge);
            }
            // Some end the stream with every message. What comes is another one, as the reference sees it.
            if status == Status::StreamEnd {
                decompressor.reset(false);
                out.shrink_to_fit();
                return Ok(out);
            }
            if out.len() < out.capacity() {
                break;
            }
        }
    }
    out.shrink_to_fit();
    Ok(out)
}

/// How every compressed message ends, which is not sent.
const TRAILER: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Room for what does not become shorter, and for a trailer.
const SLACK_BYTES: usize = 256;

/// Of the last message, compressed or not, that a thread keeps.
const MAX_KEPT_BYTES: usize = 256 * 1024;

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::new(Shared::new());
}

#[cfg(test)]
mod tests;
