//! What a peer may ask a decoder to hold.

/// The limits of one [`Decoder`](super::Decoder). The size of a single message is the engine's business
/// (`maxHttpBufferSize`); these bound what several messages, or the shape of one, add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attachments one packet may announce; more is
    /// [`DecodeError::TooManyAttachments`](super::DecodeError::TooManyAttachments).
    ///
    /// Default 10, the reference's: without a limit a packet that is never completed gathers buffers for ever
    /// (CVE-2026-33151).
    pub max_attachments: usize,
    /// Bytes in all attachments of one packet; more is
    /// [`DecodeError::AttachmentsTooLarge`](super::DecodeError::AttachmentsTooLarge).
    ///
    /// Default 10,000,000: ten attachments of the engine's default message size, so that it refuses nothing the
    /// reference would accept, and still holds when either of the two is raised.
    pub max_attachment_bytes: usize,
    /// Arrays and objects inside one another, the argument list included; more is
    /// [`DecodeError::NestingTooDeep`](super::DecodeError::NestingTooDeep).
    ///
    /// Default 128, which is also the highest value that has an effect: typed decoding recurses once per level,
    /// and JSON decoders commonly stop there.
    pub max_nesting: usize,
}

impl Limits {
    /// No limits but the one on nesting: for packets of our own.
    pub(super) const fn unbounded() -> Self {
        Self { max_attachments: usize::MAX, max_attachment_bytes: usize::MAX, max_nesting: Self::NESTING_CAP }
    }

    /// The highest effective `max_nesting`: the width of the scanners' stack of bits.
    pub(super) const NESTING_CAP: usize = 128;

    /// `max_nesting`, capped.
    pub(super) fn nesting(&self) -> usize {
        self.max_nesting.min(Self::NESTING_CAP)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_attachments: 10, max_attachment_bytes: 10_000_000, max_nesting: Self::NESTING_CAP }
    }
}
