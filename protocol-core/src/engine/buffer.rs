//! The outgoing queue of a session: frames waiting for the transport, bounded in frames and in bytes.

use alloc::collections::VecDeque;

use super::packet::Frame;

/// Bounds of a session's outgoing queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Most frames waiting. Default: 16,384.
    pub max_frames: usize,
    /// Most bytes waiting, unless it is a single message: one that is larger still goes when nothing else waits.
    /// Default: 16 MiB, some seconds of a slow mobile link.
    pub max_bytes: usize,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self { max_frames: 16_384, max_bytes: 16 << 20 }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed,
    /// The outgoing queue is at its limit ([`BufferLimits`]). The event `Drained` of the session follows when there
    /// is room again.
    #[error("the outgoing queue is full")]
    Full,
}

/// Whether a transport that can compress may do so with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// It may. A poll response is compressed if one of its messages may.
    #[default]
    Allowed,
    /// It may not: the application knows that it does not pay.
    Forbidden,
}

/// Frames waiting for the transport.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    frames: VecDeque<(Frame, Compression)>,
    bytes: usize,
    compressible: bool,
    /// A message was refused, and nobody has heard that there is room again.
    starved: bool,
}

impl Buffer {
    /// Whether `frames` more frames of `bytes` bytes in all fit.
    pub(crate) fn has_room(&self, frames: usize, bytes: usize, limits: &BufferLimits) -> bool {
        self.frames.is_empty()
            || (self.frames.len() + frames <= limits.max_frames
                && self.bytes.saturating_add(bytes) <= limits.max_bytes)
    }

    /// Takes the frames of one message, `bytes` long in all: every one of them or none.
    ///
    /// # Errors
    /// [`SendError::Full`].
    pub(crate) fn offer(
        &mut self,
        frames: impl ExactSizeIterator<Item = Frame>,
        bytes: usize,
        compression: Compression,
        limits: &BufferLimits,
    ) -> Result<(), SendError> {
        self.admit(frames.len(), bytes, limits)?;
        frames.for_each(|frame| self.push(frame, compression));
        Ok(())
    }

    /// Whether a message fits. Who is told that it does not hears when to [try again](Self::has_room_again).
    ///
    /// # Errors
    /// [`SendError::Full`].
    pub(crate) fn admit(
        &mut self,
        frames: usize,
        bytes: usize,
        limits: &BufferLimits,
    ) -> Result<(), SendError> {
        if self.has_room(frames, bytes, limits) {
            return Ok(());
        }
        self.starved = true;
        Err(SendError::Full)
    }

    /// Whether who was refused should try again, which is said once: at the limit itself it would have to wait again
    /// after every frame.
    pub(crate) fn has_room_again(&mut self, limits: &BufferLimits) -> bool {
        let again =
            self.starved && self.frames.len() <= limits.max_frames / 2 && self.bytes <= limits.max_bytes / 2;
        self.starved &= !again;
        again
    }

    /// Whether any of the frames may be compressed.
    pub(crate) fn is_compressible(&self) -> bool {
        self.compressible
    }

    #[inline]
    pub(crate) fn push(&mut self, frame: Frame, compression: Compression) {
        self.bytes += frame.len();
        self.compressible |= compression == Compression::Allowed;
        self.frames.push_back((frame, compression));
    }

    /// Adds a packet of the protocol's own, which is too short to be compressed.
    pub(crate) fn push_own(&mut self, frame: Frame) {
        self.push(frame, Compression::Forbidden);
    }

    /// Takes the next frame.
    pub(crate) fn pop(&mut self) -> Option<(Frame, Compression)> {
        let (frame, compression) = self.frames.pop_front()?;
        self.note_taken(frame.len());
        Some((frame, compression))
    }

    /// The next frame, to be looked at before it is [dropped](Self::drop_first).
    pub(crate) fn first(&self) -> Option<(&Frame, Compression)> {
        self.frames.front().map(|(frame, compression)| (frame, *compression))
    }

    /// Whether there is none behind it.
    pub(crate) fn is_last(&self) -> bool {
        self.frames.len() == 1
    }

    pub(crate) fn drop_first(&mut self) {
        if let Some((frame, _)) = self.frames.pop_front() {
            self.note_taken(frame.len());
        }
    }

    fn note_taken(&mut self, bytes: usize) {
        self.bytes -= bytes;
        // A burst must not leave its high-water mark behind on an idle connection.
        if self.frames.is_empty() {
            self.compressible = false;
            if self.frames.capacity() > IDLE_CAPACITY {
                self.frames = VecDeque::new();
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Frame> + Clone {
        self.frames.iter().map(|(frame, _)| frame)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { starved: self.starved, ..Self::default() };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes handed out for a websocket and not yet written, past which frames stay in the buffer, where they are
/// counted: about what a kernel's socket buffer takes.
pub(crate) const MAX_UNFLUSHED_BYTES: usize = 64 * 1024;

/// What a frame costs beside its payload, so that a flood of empty frames is bounded as well.
pub(crate) const FRAME_OVERHEAD: usize = 10;

/// Slots an idle connection may keep: as many as a busy one fills between two writes.
const IDLE_CAPACITY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Str;

    fn frame(text: &'static str) -> Frame {
        Frame::Text(Str::from_static(text))
    }

    #[test]
    fn the_limits_are_inclusive_and_an_empty_buffer_takes_one_message_of_any_size() {
        let limits = BufferLimits { max_frames: 2, max_bytes: 8 };
        let mut buffer = Buffer::default();
        assert!(buffer.has_room(3, 100, &limits));
        buffer.push(frame("4abc"), Compression::Forbidden);
        assert!(buffer.has_room(1, 4, &limits));
        assert!(!buffer.has_room(1, 5, &limits));
        assert!(!buffer.has_room(2, 2, &limits));
        assert_eq!(buffer.bytes(), 4);
        assert!(!buffer.is_compressible());
        assert_eq!(buffer.pop(), Some((frame("4abc"), Compression::Forbidden)));
        assert_eq!(buffer.pop(), None);
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn a_burst_does_not_leave_its_capacity_behind() {
        let mut buffer = Buffer::default();
        for _ in 0..1000 {
            buffer.push(frame("4"), Compression::Allowed);
        }
        assert!(buffer.is_compressible());
        while buffer.pop().is_some() {}
        assert!(!buffer.is_compressible());
        assert_eq!(buffer.frames.capacity(), 0);
        for _ in 0..1000 {
            buffer.push(frame("4"), Compression::Allowed);
        }
        assert_eq!(buffer.first(), Some((&frame("4"), Compression::Allowed)));
        (0..1000).for_each(|_| buffer.drop_first());
        assert_eq!((buffer.first(), buffer.bytes()), (None, 0));
        assert!(!buffer.is_compressible());
        assert_eq!(buffer.frames.capacity(), 0);
    }
}
