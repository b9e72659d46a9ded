//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455, 9.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use super::FIELD;
use crate::engine::http::{Headers, is_token, list};

/// One extension, offered or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Option<String>)>,
}

/// What is there breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The elements of all fields, in order.
pub(super) fn elements(headers: &dyn Headers) -> Result<Vec<Element>, Malformed> {
    let mut elements = Ok(Vec::new());
    headers.each(FIELD, &mut |value| {
        // Between quotes stand only the characters of a token, so a comma or a semicolon always separates.
        for element in list(value) {
            let parsed = parse(element);
            elements = core::mem::replace(&mut elements, Err(Malformed)).and_then(|mut all: Vec<_>| {
                all.push(parsed?);
                Ok(all)
            });
        }
    });
    elements
}

fn parse(element: &[u8]) -> Result<Element, Malformed> {
    let mut parts = element.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let name = token(parts.next().unwrap_or_default())?.into();
    let parameters = parts.map(parameter).collect::<Result<_, _>>()?;
    Ok(Element { name, parameters })
}

fn parameter(part: &[u8]) -> Result<(String, Option<String>), Malformed> {
    let Some(at) = part.iter().position(|&b| b == b'=') else { return Ok((token(part)?.into(), None)) };
    Ok((token(&part[..at])?.into(), Some(value(&part[at + 1..])?.into_owned())))
}

/// A token, or one in quotes, where a backslash stands before a character for nothing but that character.
fn value(value: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let Some(quoted) = value.strip_prefix(b"\"") else { return token(value).map(Cow::Borrowed) };
    let quoted = quoted.strip_suffix(b"\"").ok_or(Malformed)?;
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { *bytes.next().ok_or(Malformed)? } else { byte });
    }
    token(&plain).map(|plain| Cow::Owned(plain.into()))
}

fn token(bytes: &[u8]) -> Result<&str, Malformed> {
    if is_token(bytes) { str::from_utf8(bytes).map_err(|_| Malformed) } else { Err(Malformed) }
}
