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

#[cfg(test)]
mod tests;
