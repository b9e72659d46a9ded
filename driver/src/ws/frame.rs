//! Frames of RFC 6455 (5.2): only as much as plain messages need.

/// The header of a frame (RFC 6455, 5.2).
pub(super) struct Header {
    first: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// Of the header itself.
    pub(super) len: usize,
    /// Of what follows it.
    pub(super) payload: u64,
}

impl Header {
    /// `None`: it is not complete.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (payload, extended) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            short => (u64::from(short), 0),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => Some(*rest[extended..].first_chunk()?),
        };
        let len = 2 + extended + mask.map_or(0, |mask| mask.len());
        Some(Self { first, mask, len, payload })
    }

    pub(super) const fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    /// Whether this is all of a message, and uses no extension.
    pub(super) const fn is_message(&self) -> bool {
        self.first & !OPCODE == FINAL && matches!(self.opcode(), TEXT | BINARY)
    }

    /// Whether it begins a message.
    pub(super) const fn begins_message(&self) -> bool {
        matches!(self.opcode(), TEXT | BINARY)
    }

    /// Whether it is the last one of its message.
    pub(super) const fn is_final(&self) -> bool {
        self.first & FINAL != 0
    }

    /// Whether it begins a message that is compressed (RFC 7692, 6).
    pub(super) const fn begins_compressed(&self) -> bool {
        self.begins_message() && self.first & RESERVED == COMPRESSED
    }

    /// Whether it carries on a message, and says nothing else.
    pub(super) const fn continues(&self) -> bool {
        self.opcode() == CONTINUATION && self.first & RESERVED == 0
    }

    /// Whether more fragments have to follow it; `None` if it is about something else.
    pub(super) const fn leaves_fragmented(&self) -> Option<bool> {
        match self.opcode() {
            CONTINUATION | TEXT | BINARY => Some(self.first & FINAL == 0),
            _ => None,
        }
    }
}

/// Masks what is not masked, and the other way round: eight bytes at a time, of which the compiler makes more.
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// Appends a message in one frame. `opcode` may be one of a [compressed](COMPRESSED) message.
pub(super) fn push_frame(out: &mut Vec<u8>, opcode: u8, mask: Option<&[u8; 4]>, payload: &[u8]) {
    out.reserve(payload.len() + MAX_HEADER_BYTES);
    push_header(out, opcode, mask, payload.len());
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], *mask);
    }
}

fn push_header(out: &mut Vec<u8>, opcode: u8, mask: Option<&[u8; 4]>, payload: usize) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    out.push(FINAL | opcode);
    match payload {
        0..=125 => out.push(masked | payload as u8),
        126..=0xFFFF => {
            out.push(masked | 126);
            out.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(mask.map_or(&[], |mask| mask));
}

/// The longest header of a frame, mask included.
const MAX_HEADER_BYTES: usize = 14;

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const CONTINUATION: u8 = 0;
/// RSV1: the message is compressed (RFC 7692, 6).
pub(super) const COMPRESSED: u8 = 0x40;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
