//! Socket.IO and Engine.IO as a sans-IO state machine.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cluster;
pub mod engine;
mod id;
pub mod peer;
pub mod rooms;
pub mod socket;
mod time;

/// Text checked for UTF-8 once and shared by reference: cloning and slicing never copy.
///
/// A slice keeps the buffer it was cut from alive, so whatever outlives the request it came with is copied first.
pub type Str = bytestring::ByteString;

pub use bytes::Bytes;
pub use id::{AckId, Lane, Sid};
pub use time::Instant;
