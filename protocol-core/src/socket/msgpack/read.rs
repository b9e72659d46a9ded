//! Reads msgpack value by value.

use crate::socket::decode::Fault;
use crate::socket::limits::Limits;

/// A position in msgpack bytes.
#[derive(Clone, Debug)]
pub(in crate::socket) struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
}

/// A scalar, or the head of an array or a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'de> {
    Array(usize),
    Bin(&'de [u8]),
    Bool(bool),
    /// Milliseconds since 1970.
    Date(i64),
    Float(f64),
    /// Below zero.
    Int(i64),
    Map(usize),
    Nil,
    Str(&'de str),
    Uint(u64),
    /// `undefined`, which is nothing: an entry of a map with this value does not exist.
    Undefined,
}

impl<'de> Reader<'de> {
    pub(in crate::socket) const fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the reader is.
    pub(in crate::socket) const fn at(&self) -> usize {
        self.at
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'de [u8] {
        &self.bytes[self.at..]
    }

    /// Whether there are bytes in what has not been read.
    pub(in crate::socket) fn has_binary(mut self) -> bool {
        core::iter::from_fn(|| self.token().ok()).any(|token| matches!(token, Token::Bin(_)))
    }

    /// The next token, without taking it.
    pub(super) fn peek(&self) -> Result<Token<'de>, Fault> {
        self.clone().token()
    }

    /// Takes the next token.
    pub(super) fn token(&mut self) -> Result<Token<'de>, Fault> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7F => Token::Uint(marker.into()),
            0x80..=0x8F => Token::Map((marker & 0xF).into()),
            0x90..=0x9F => Token::Array((marker & 0xF).into()),
            0xA0..=0xBF => self.text((marker & 0x1F).into())?,
            0xC0 => Token::Nil,
            0xC1 => return Err(Fault::InvalidPayload),
            0xC2 => Token::Bool(false),
            0xC3 => Token::Bool(true),
            0xC4..=0xC6 => {
                let length = self.length(1 << (marker - 0xC4))?;
                Token::Bin(self.take(length)?)
            }
            0xC7..=0xC9 => {
                let length = self.length(1 << (marker - 0xC7))?;
                self.extension(length)?
            }
            0xCA => Token::Float(f32::from_be_bytes(self.array()?).into()),
            0xCB => Token::Float(f64::from_be_bytes(self.array()?)),
            0xCC => Token::Uint(u8::from_be_bytes(self.array()?).into()),
            0xCD => Token::Uint(u16::from_be_bytes(self.array()?).into()),
            0xCE => Token::Uint(u32::from_be_bytes(self.array()?).into()),
            0xCF => Token::Uint(u64::from_be_bytes(self.array()?)),
            0xD0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xD1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xD2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xD3 => signed(i64::from_be_bytes(self.array()?)),
            0xD4..=0xD8 => self.extension(1 << (marker - 0xD4))?,
            0xD9..=0xDB => {
                let length = self.length(1 << (marker - 0xD9))?;
                self.text(length)?
            }
            0xDC..=0xDD => Token::Array(self.length(2 << (marker - 0xDC))?),
            0xDE..=0xDF => Token::Map(self.length(2 << (marker - 0xDE))?),
            0xE0..=0xFF => Token::Int(i64::from(marker) - 0x100),
        })
    }

    /// Checks and skips one value, which lies within `nesting` arrays and maps.
    pub(in crate::socket) fn skip(&mut self, nesting: usize, max_nesting: usize) -> Result<(), Fault> {
        let head = self.token()?;
        self.skip_within(head, nesting, max_nesting)
    }

    /// Checks and skips what belongs to `head`, which has been taken.
    #[inline]
    pub(super) fn skip_within(
        &mut self,
        head: Token<'de>,
        nesting: usize,
        max_nesting: usize,
    ) -> Result<(), Fault> {
        match head {
            Token::Array(len) if nesting < max_nesting => {
                // Mostly it is flat, and then there is nothing to keep account of.
                let start = self.at;
                for _ in 0..len {
                    if let Token::Array(_) | Token::Map(_) = self.token()? {
                        self.at = start;
                        return self.nested(head, nesting, max_nesting);
                    }
                }
                Ok(())
            }
            Token::Array(_) | Token::Map(_) => self.nested(head, nesting, max_nesting),
            _ => Ok(()),
        }
    }

    fn nested(&mut self, head: Token<'de>, nesting: usize, max_nesting: usize) -> Result<(), Fault> {
        // What is still to come in each open array or map; a map counts its keys too, and has its bit set.
        let mut left = [0_usize; Limits::NESTING_CAP];
        let mut maps = 0_u128;
        let mut open = 0_usize;
        let max_nesting = max_nesting.min(nesting + left.len());
        let mut token = head;
        loop {
            if let Some(&left) = open.checked_sub(1).and_then(|top| left.get(top))
                && maps & 1 == 1
                && left % 2 == 0
                && !matches!(token, Token::Str(_))
            {
                return Err(Fault::InvalidPayload);
            }
            let children = match token {
                Token::Array(len) => len,
                Token::Map(len) => len.saturating_mul(2),
                _ => 0,
            };
            if let Token::Array(_) | Token::Map(_) = token {
                if nesting + open >= max_nesting {
                    return Err(Fault::NestingTooDeep);
                }
                // Every child takes at least a byte: no need to begin with what cannot end.
                if children > self.rest().len() {
                    return Err(Fault::InvalidPayload);
                }
            }
            if children > 0 {
                left[open] = children; // below `max_nesting`, and so within the stack
                maps = maps << 1 | u128::from(matches!(token, Token::Map(_)));
                open += 1;
            } else {
                // After a value: leave what ends here.
                loop {
                    let Some(top) = open.checked_sub(1) else { return Ok(()) };
                    left[top] -= 1;
                    if left[top] > 0 {
                        break;
                    }
                    open = top;
                    maps >>= 1;
                }
            }
            token = self.token()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<&'de [u8], Fault> {
        let taken = self.rest().get(..length).ok_or(Fault::InvalidPayload)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, _) = self.rest().split_first_chunk().ok_or(Fault::InvalidPayload)?;
        self.at += N;
        Ok(*taken)
    }

    /// A length of 1, 2 or 4 bytes.
    fn length(&mut self, size: usize) -> Result<usize, Fault> {
        Ok(self.take(size)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }

    fn text(&mut self, length: usize) -> Result<Token<'de>, Fault> {
        core::str::from_utf8(self.take(length)?).map(Token::Str).map_err(|_| Fault::InvalidPayload)
    }

    fn extension(&mut self, length: usize) -> Result<Token<'de>, Fault> {
        let [kind] = self.array()?;
        let data = self.take(length)?;
        Ok(match (kind, data) {
            (0, [_]) => Token::Undefined,
            (0, &[a, b, c, d, e, f, g, h]) => Token::Date(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            // Nothing but type 0 is ever sent; whatever another type means, it is bytes.
            _ => Token::Bin(data),
        })
    }
}

fn signed<'de>(value: i64) -> Token<'de> {
    u64::try_from(value).map_or(Token::Int(value), Token::Uint)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Bytes of which many are arrays, maps and small values.
    fn nearly_msgpack() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(vec![0x90]),
            Just(vec![0x92]),
            Just(vec![0x81]),
            Just(vec![0xA1, b'k']),
            Just(vec![0xC4, 1, 0]),
            Just(vec![0xD4, 0, 0]),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// The short way for flat arrays comes to the same judgement, and to the same place, as the long way.
        #[test]
        fn a_flat_array_is_judged_like_any_other(bytes in nearly_msgpack(), len in 0_u8..6, max_nesting in 0_usize..4) {
            let bytes = [&[0x90 | len], &bytes[..]].concat();
            let (mut short, mut long) = (Reader::new(&bytes), Reader::new(&bytes));
            let head = long.token().unwrap();
            let judged = short.skip(0, max_nesting);
            prop_assert_eq!(judged, long.nested(head, 0, max_nesting));
            if judged.is_ok() {
                prop_assert_eq!(short.at(), long.at());
            }
        }
    }
}
