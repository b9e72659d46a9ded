//! The data of CONNECT and CONNECT_ERROR.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serializer};
use thiserror::Error;

use super::args::Raw;
use crate::Str;
use crate::engine::http::Pairs;

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
}

/// The payload is not what the receiver takes: whose fault it is depends on what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct PayloadError {
    /// What the type's `Deserialize` had to say.
    pub reason: Box<str>,
}

impl Payload {
    /// `{}`: what a client that sends no credentials is taken to have sent (REFERENCE 4.5).
    pub const EMPTY_OBJECT: Self = Self::json(Str::from_static("{}"));

    /// Valid JSON without white space around it.
    pub(super) const fn json(text: Str) -> Self {
        Self(Repr::Json(text))
    }

    /// The parameters of a query as an object of strings: the credentials of a revision 3 client (REFERENCE 2.5).
    pub(super) fn of_query(query: &str) -> Option<Self> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in Pairs::of(query) {
            // As in a JavaScript object: the first keeps its place, the last its value.
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        let mut json = Vec::new();
        serde_json::Serializer::new(&mut json).collect_map(pairs).ok()?;
        Some(Self::json(Str::try_from(json).ok()?))
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// [`PayloadError`] when it does not fit `T`.
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, PayloadError> {
        match &self.0 {
            Repr::Json(text) => serde_json::from_str(text).map_err(PayloadError::new),
        }
    }

    /// The value as it was received.
    pub fn raw(&self) -> Raw<'_> {
        match &self.0 {
            Repr::Json(text) => Raw::Json(text),
        }
    }

    /// A copy that keeps no packet alive.
    pub fn detached(&self) -> Self {
        match &self.0 {
            Repr::Json(text) => Self::json(Str::from(&**text)),
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
