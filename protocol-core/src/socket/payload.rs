//! The data of CONNECT and CONNECT_ERROR.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;

use bytes::Bytes;
use serde::Deserialize;
use thiserror::Error;

use super::args::Raw;
use super::msgpack::Reader;
use crate::Str;

/// One raw value: credentials, the answer to a CONNECT, or the reason of a refusal. Checked when it was received,
/// decoded when somebody asks.
///
/// A slice of its packet, like everything decoded: what outlives the packet takes a [`detached`](Self::detached)
/// copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Json(Str),
    Msgpack(Bytes),
}

/// The payload is not what the receiver takes: whose fault it is depends on what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct PayloadError {
    /// What the type's `Deserialize` had to say.
    pub reason: Box<str>,
}

impl Payload {
    /// Valid JSON without white space around it.
    pub(super) const fn json(text: Str) -> Self {
        Self(Repr::Json(text))
    }

    /// One valid value in msgpack.
    pub(super) const fn msgpack(bytes: Bytes) -> Self {
        Self(Repr::Msgpack(bytes))
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// [`PayloadError`] when it does not fit `T`.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, PayloadError> {
        match &self.0 {
            Repr::Json(text) => serde_json::from_str(text).map_err(PayloadError::new),
            Repr::Msgpack(bytes) => T::deserialize(&mut Reader::new(bytes)).map_err(PayloadError::new),
        }
    }

    /// The value as it was received.
    pub fn raw(&self) -> Raw<'_> {
        match &self.0 {
            Repr::Json(text) => Raw::Json(text),
            Repr::Msgpack(bytes) => Raw::Msgpack(bytes),
        }
    }

    /// A copy that keeps no packet alive.
    pub fn detached(&self) -> Self {
        match &self.0 {
            Repr::Json(text) => Self::json(Str::from(&**text)),
            Repr::Msgpack(bytes) => Self::msgpack(Bytes::copy_from_slice(bytes)),
        }
    }
}

impl PayloadError {
    fn new(error: impl fmt::Display) -> Self {
        Self { reason: error.to_string().into() }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.raw(), f)
    }
}
