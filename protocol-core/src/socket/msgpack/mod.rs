//! The msgpack parser: a packet is one binary message (REFERENCE 3.8).
//!
//! The dialect is that of notepack 2.2, which the official parser uses: `undefined` and dates are extensions of type
//! 0, and so are the bytes of an `ArrayBuffer`. Written are plain msgpack values only. Unlike the official decoder
//! this one refuses text that is not UTF-8, map keys that are not strings, and negative ids.

mod date;
mod de;
mod decode;
mod encode;
mod read;
mod ser;

pub(super) use decode::{arguments, decode};
pub(super) use encode::{connect, connect_error, disconnect, list, raw_list, with_offset};
pub(super) use read::Reader;

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::decode::Fault;
use super::{EncodeError, Limits};

/// Any value, as msgpack.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut out = Vec::new();
    value.serialize(ser::Msgpack::value(&mut out))?;
    Ok(out.into())
}

/// A value that is all of `bytes`, which come from anywhere.
pub(crate) fn from_bytes<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    limits: &Limits,
) -> Result<T, de::Error> {
    let mut checked = Reader::new(bytes);
    checked.skip(0, limits.nesting())?;
    if checked.at() < bytes.len() {
        return Err(Fault::InvalidPayload.into());
    }
    T::deserialize(&mut Reader::new(bytes))
}

#[cfg(test)]
mod tests;
