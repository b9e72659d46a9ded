//! The arguments of an event or an acknowledgement: raw until somebody asks for a type.

mod binary;
mod list;
mod transcode;

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::de::StrRead;
use thiserror::Error;

use self::list::{Progress, Source, TopLevel};
pub(crate) use self::transcode::{First, Followed, Listed};
use super::json::{List, Scanner, Span};
use super::mend::mend;
use super::msgpack::Reader;
use super::{Attachments, DecodeError, Limits, placeholder};
use crate::Str;
use crate::engine::packet::Message;

/// The arguments of an event or an acknowledgement, as they were received, and their attachments.
///
/// Cloning costs reference counts. They are slices of their packet and keep its buffer alive.
///
/// Two of them are equal when they hold the same text (or msgpack bytes) and the same attachments.
#[derive(Clone)]
pub struct Args(Repr);

#[derive(Clone)]
enum Repr {
    Json(JsonArgs),
    Msgpack(MsgpackArgs),
}

/// A checked argument list within the text of its packet, or of the payload in which the packet came.
#[derive(Clone)]
struct JsonArgs {
    text: Str,
    span: Span,
    /// Whether the list begins with the name of an event.
    named: bool,
    /// Whether there is one argument, a string that reads as it is written.
    verbatim: bool,
    attachments: Attachments,
}

// What stands behind the list, such as the next packet of a payload, is not cut off: the list has been checked, and a
// deserializer stops where it ends. Of a list that was cut to its first argument, `span` ends before the list does.
impl JsonArgs {
    /// The list, and what stands behind it.
    fn list(&self) -> &str {
        &self.text[self.span.start as usize..]
    }

    /// The same from the first argument on.
    fn rest(&self) -> &str {
        &self.text[self.span.first as usize..]
    }
}

/// A checked array, its attachments within it.
#[derive(Clone)]
struct MsgpackArgs {
    list: Bytes,
    /// The first argument, or the end.
    first: usize,
    len: usize,
    /// Whether the array begins with the name of an event.
    named: bool,
}

/// Arguments, or one of them, as they were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// JSON text, valid, and with `{"_placeholder":true,"num":N}` for the attachment `N`.
    Json(&'a str),
    /// Valid msgpack.
    Msgpack(&'a [u8]),
}

impl Raw<'_> {
    /// Whether the arrays and objects in it, and the `nesting` around it, are within the limit.
    pub(super) fn is_nested_within(self, nesting: usize, limits: &Limits) -> bool {
        match self {
            Self::Json(text) => Scanner::new(text, 0, limits.nesting(), None).value(nesting).is_ok(),
            Self::Msgpack(bytes) => Reader::new(bytes).skip(nesting, limits.nesting()).is_ok(),
        }
    }
}

/// Why arguments do not fit the type that was asked for. Arguments count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArgsError {
    /// There are fewer arguments than the type has required elements.
    #[error("argument {argument} is missing")]
    Missing {
        /// Its number.
        argument: usize,
    },
    /// An argument is of the wrong kind.
    #[error("argument {argument}: {reason}")]
    Invalid {
        /// Its number.
        argument: usize,
        /// What the type's `Deserialize` had to say.
        reason: Box<str>,
    },
}

impl Args {
    /// A list that a scanner found in `text`.
    #[inline]
    pub(super) fn json(text: Str, list: List) -> Self {
        let List { name, span, verbatim, .. } = list;
        let named = name.is_some();
        Self(Repr::Json(JsonArgs { text, span, named, verbatim, attachments: Attachments::NONE }))
    }

    /// A checked array.
    pub(super) const fn msgpack(list: Bytes, first: usize, len: usize, named: bool) -> Self {
        Self(Repr::Msgpack(MsgpackArgs { list, first, len, named }))
    }

    /// Adds the attachments that the packet announced.
    pub(super) fn attach(&mut self, received: Attachments) {
        match &mut self.0 {
            Repr::Json(args) => args.attachments = received,
            Repr::Msgpack(_) => {}
        }
    }

    /// A part of the packet that is text.
    #[inline]
    pub(super) fn slice(&self, range: Range<u32>) -> &str {
        let range = range.start as usize..range.end as usize;
        match &self.0 {
            Repr::Json(args) => &args.text[range],
            Repr::Msgpack(args) => core::str::from_utf8(&args.list[range]).unwrap_or_default(),
        }
    }

    /// An argument list that came by another way than an event, such as from another node of a cluster: text is a
    /// JSON array, which has no attachments, and binary is a msgpack array.
    ///
    /// # Errors
    /// [`DecodeError::InvalidPayload`] when it is not a valid array, and [`DecodeError::NestingTooDeep`].
    pub fn parse(list: Message, limits: &Limits) -> Result<Self, DecodeError> {
        match list {
            Message::Text(text) => {
                let mut list = List::default();
                Scanner::new(&text, 0, limits.nesting(), None).list(false, &mut list)?;
                Ok(Self::json(text, list))
            }
            Message::Binary(bytes) => {
                let mut reader = Reader::new(&bytes);
                reader.skip(0, limits.nesting())?;
                if reader.at() < bytes.len() {
                    return Err(DecodeError::InvalidPayload);
                }
                super::msgpack::arguments(bytes)
            }
        }
    }

    /// How many arguments there are.
    #[inline]
    pub const fn len(&self) -> usize {
        match &self.0 {
            Repr::Json(args) => args.span.len as usize,
            Repr::Msgpack(args) => args.len,
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arguments as a `T`, which may borrow from them.
    ///
    /// - A tuple, a tuple struct or a fixed-size array takes the argument list, one argument for each element.
    ///   Arguments beyond its length are ignored. Missing ones are an error, unless the element is an `Option` or
    ///   `()`.
    /// - `()` takes none and ignores all.
    /// - Every other type takes the first argument only: `Vec<u32>` is a first argument that is an array. An
    ///   `Option` without arguments is `None`.
    /// - Newtype structs are transparent.
    ///
    /// [`Bytes`], and every other type that deserializes from bytes (a `&[u8]` without a copy), gets its attachment
    /// wherever it stands: in structs, maps, tuples, options and enums. A type that takes whatever comes is given
    /// bytes too, so untagged enums and flattened structs work; `serde_json::Value`, which has no bytes, refuses
    /// them. Use [`raw`](Self::raw) to look at placeholders.
    ///
    /// # Errors
    /// [`ArgsError`], with the number of the argument that did not fit.
    #[inline(always)] // what comes out of a call is moved by whoever called
    pub fn decode<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        match &self.0 {
            Repr::Json(args) if args.attachments.is_empty() => {
                let progress = Progress::default();
                let source = Plain { args, slot: &mut None };
                T::deserialize(TopLevel::new(source, &progress)).map_err(|error| progress.error(error))
            }
            _ => self.decode_apart(),
        }
    }

    /// The same for arguments that are not only text.
    fn decode_apart<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ArgsError> {
        let progress = Progress::default();
        match &self.0 {
            Repr::Json(args) => {
                let source = WithAttachments { args, slot: &mut None };
                T::deserialize(TopLevel::new(source, &progress)).map_err(|error| progress.error(error))
            }
            Repr::Msgpack(args) => {
                let source = Msgpack { args, slot: &mut None };
                T::deserialize(TopLevel::new(source, &progress)).map_err(|error| progress.error(error))
            }
        }
    }

    /// The same arguments without halves of surrogate pairs, if there are any: those are the only valid JSON strings that
    /// are no text.
    pub(super) fn mended(&self) -> Option<Self> {
        let Repr::Json(args) = &self.0 else { return None };
        let Raw::Json(raw) = self.raw() else { return None };
        let text = Str::from(alloc::format!("[{}]", mend(raw)?));
        let mut list = List::default();
        Scanner::new(&text, 0, usize::MAX, None).list(false, &mut list).ok()?;
        let mut mended = Self::json(text, list);
        mended.attach(args.attachments.clone());
        Some(mended)
    }

    /// The first argument alone, as a list of one; of no arguments, none. What an acknowledgement is worth to a
    /// broadcast (REFERENCE 4.4).
    #[must_use]
    pub fn first(&self) -> Self {
        let Some(argument) = self.iter().next() else { return Self::default() };
        let mut first = self.clone();
        match (&mut first.0, argument) {
            (Repr::Json(args), Raw::Json(argument)) => {
                args.span.end = args.span.first + argument.len() as u32; // shorter than what it is part of
                args.span.len = 1;
            }
            (Repr::Msgpack(args), Raw::Msgpack(argument)) => {
                let list = [&[ARRAY_OF_ONE], argument].concat();
                *args = MsgpackArgs { list: list.into(), first: 1, len: 1, named: false };
            }
            _ => {}
        }
        first
    }

    /// All arguments as they were received, without the brackets around them: JSON separated by commas, or msgpack
    /// values one after the other.
    #[inline]
    pub fn raw(&self) -> Raw<'_> {
        match &self.0 {
            Repr::Json(args) => Raw::Json(&args.text[args.span.first as usize..args.span.end as usize]),
            Repr::Msgpack(args) => Raw::Msgpack(&args.list[args.first..]),
        }
    }

    /// The arguments one by one, as they were received.
    pub const fn iter(&self) -> RawArgs<'_> {
        RawArgs { args: self, next: 0, at: 0 }
    }

    /// The attachments, in the order they travelled. Bytes in msgpack are none.
    #[inline]
    pub fn attachments(&self) -> &[Bytes] {
        match &self.0 {
            Repr::Json(args) => &args.attachments,
            Repr::Msgpack(_) => &[],
        }
    }

    /// Whether there are bytes among them, or in them.
    pub fn has_binary(&self) -> bool {
        match &self.0 {
            Repr::Json(args) => !args.attachments.is_empty(),
            Repr::Msgpack(args) => Reader::new(&args.list[args.first..]).has_binary(),
        }
    }

    pub(super) fn shared_attachments(&self) -> Attachments {
        match &self.0 {
            Repr::Json(args) => args.attachments.clone(),
            Repr::Msgpack(_) => Attachments::NONE,
        }
    }
}

/// An iterator over raw arguments.
#[derive(Clone, Debug)]
pub struct RawArgs<'a> {
    args: &'a Args,
    next: usize,
    /// How much of the raw list has gone by.
    at: usize,
}

impl<'a> Iterator for RawArgs<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        if self.next == self.args.len() {
            return None;
        }
        self.next += 1;
        match self.args.raw() {
            Raw::Json(list) => {
                let mut scanner = Scanner::new(list, self.at, usize::MAX, None);
                scanner.space();
                let start = scanner.at();
                // The list was checked when it was received.
                scanner.value(0).ok()?;
                let argument = list.get(start..scanner.at())?;
                scanner.space();
                self.at = scanner.at() + 1;
                Some(Raw::Json(argument))
            }
            Raw::Msgpack(list) => {
                let rest = list.get(self.at..)?;
                let mut reader = Reader::new(rest);
                reader.skip(0, Limits::NESTING_CAP).ok()?;
                self.at += reader.at();
                Some(Raw::Msgpack(rest.get(..reader.at())?))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.args.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for RawArgs<'_> {}

impl<'a> IntoIterator for &'a Args {
    type Item = Raw<'a>;
    type IntoIter = RawArgs<'a>;

    fn into_iter(self) -> RawArgs<'a> {
        self.iter()
    }
}

impl Default for Args {
    /// No arguments.
    fn default() -> Self {
        Self(Repr::Json(JsonArgs {
            text: Str::from_static("[]"),
            span: Span { start: 0, first: 1, end: 1, len: 0 },
            named: false,
            verbatim: false,
            attachments: Attachments::NONE,
        }))
    }
}

impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw() && self.attachments() == other.attachments()
    }
}

impl Eq for Args {}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args = f.debug_struct("Args");
        args.field("raw", &self.raw());
        if !self.attachments().is_empty() {
            args.field("attachments", &self.attachments());
        }
        args.finish()
    }
}

/// The head of a msgpack array with one element.
const ARRAY_OF_ONE: u8 = 0x91;

type JsonDeserializer<'de> = serde_json::Deserializer<StrRead<'de>>;

/// JSON without attachments: plain `serde_json`.
struct Plain<'a, 'de> {
    args: &'de JsonArgs,
    slot: &'a mut Option<JsonDeserializer<'de>>,
}

/// JSON with attachments.
struct WithAttachments<'a, 'de> {
    args: &'de JsonArgs,
    slot: &'a mut Option<JsonDeserializer<'de>>,
}

impl<'a, 'de> Source<'de> for Plain<'a, 'de> {
    type Deserializer = &'a mut JsonDeserializer<'de>;

    fn len(&self) -> usize {
        self.args.span.len as usize
    }

    fn named(&self) -> bool {
        self.args.named
    }

    fn text(&self) -> Option<&'de str> {
        let Span { first, end, .. } = self.args.span;
        // Without its quotes.
        self.args.verbatim.then(|| &self.args.text[first as usize + 1..end as usize - 1])
    }

    fn first(self) -> Self::Deserializer {
        self.slot.insert(JsonDeserializer::from_str(self.args.rest()))
    }

    fn list(self) -> Self::Deserializer {
        self.slot.insert(JsonDeserializer::from_str(self.args.list()))
    }
}

impl<'a, 'de> Source<'de> for WithAttachments<'a, 'de> {
    type Deserializer = binary::Placeholders<'de, &'a mut JsonDeserializer<'de>>;

    fn len(&self) -> usize {
        self.args.span.len as usize
    }

    fn named(&self) -> bool {
        self.args.named
    }

    fn bytes(&self) -> Option<&'de [u8]> {
        let first = self.args.rest().as_bytes();
        let (num, _) = placeholder::canonical(first)?;
        self.args.attachments.get(num).map(|attachment| &attachment[..])
    }

    fn first(self) -> Self::Deserializer {
        let Self { args, slot } = self;
        binary::Placeholders::new(Plain { args, slot }.first(), &args.attachments)
    }

    fn list(self) -> Self::Deserializer {
        let Self { args, slot } = self;
        binary::Placeholders::new(Plain { args, slot }.list(), &args.attachments)
    }
}

struct Msgpack<'a, 'de> {
    args: &'de MsgpackArgs,
    slot: &'a mut Option<Reader<'de>>,
}

impl<'a, 'de> Source<'de> for Msgpack<'a, 'de> {
    type Deserializer = &'a mut Reader<'de>;

    fn len(&self) -> usize {
        self.args.len
    }

    fn named(&self) -> bool {
        self.args.named
    }

    fn first(self) -> Self::Deserializer {
        self.slot.insert(Reader::new(&self.args.list[self.args.first..]))
    }

    fn list(self) -> Self::Deserializer {
        self.slot.insert(Reader::new(&self.args.list))
    }
}

impl Progress {
    fn error(&self, error: impl fmt::Display) -> ArgsError {
        let argument = self.argument();
        if self.missing() {
            ArgsError::Missing { argument }
        } else {
            ArgsError::Invalid { argument, reason: error.to_string().into() }
        }
    }
}

#[cfg(test)]
mod tests;
