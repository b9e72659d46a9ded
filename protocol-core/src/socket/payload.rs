//! The data of CONNECT and CONNECT_ERROR.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::args::Raw;
use super::mend::mend;
use super::msgpack::Reader;
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
    /// `{}`: what a client that sends no credentials is taken to have sent (REFERENCE 4.5).
    pub const EMPTY_OBJECT: Self = Self::json(Str::from_static("{}"));

    /// Valid JSON without white space around it.
    pub(super) const fn json(text: Str) -> Self {
        Self(Repr::Json(text))
    }

    /// The parameters of a query as an object of strings: the credentials of a revision 3 client (REFERENCE 2.5).
    pub(super) fn of_query(query: &str) -> Option<Self> {
        let mut members = Members::default();
        for (name, value) in Pairs::of(query) {
            // As in a JavaScript object: the first keeps its place, the last its value.
            let next = members.values.len();
            match *members.places.entry(name).or_insert(next) {
                place if place == next => members.values.push(value),
                place => members.values[place] = value,
            }
        }
        Some(Self::json(serde_json::to_string(&members).ok()?.into()))
    }

    /// A value of our own, as JSON; bytes become arrays of numbers.
    ///
    /// # Errors
    /// When it does not serialize.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Ok(Self::json(serde_json::to_string(value).map_err(PayloadError::new)?.into()))
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

    /// The value as a `T` that borrows nothing: unlike with [`decode`](Self::decode), half of a surrogate pair in a string is
    /// U+FFFD and no error.
    ///
    /// # Errors
    /// [`PayloadError`] when it does not fit `T`.
    pub fn decode_owned<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.decode().or_else(|error| match &self.0 {
            Repr::Json(text) => mend(text).map_or(Err(error), |mended| Self::json(mended.into()).decode()),
            Repr::Msgpack(_) => Err(error),
        })
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

/// The members of an object in the order in which they were named first.
#[derive(Default)]
struct Members<'a> {
    places: BTreeMap<Cow<'a, str>, usize>,
    values: Vec<Cow<'a, str>>,
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names: Vec<_> = self.places.iter().collect();
        names.sort_unstable_by_key(|(_, place)| **place);
        serializer.collect_map(names.into_iter().map(|(name, place)| (name, &self.values[*place])))
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
