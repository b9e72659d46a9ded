//! The text parser: `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]` (REFERENCE 3.1, 3.2).
//!
//! Stricter than the reference where it leans on JavaScript: numbers are plain decimal digits (it takes ` 1` and
//! `0x1` as counts, and spaces as digits of an id), and an id that does not fit 64 bits is refused (it would be sent
//! back rounded).

use alloc::string::String;

use super::args::Args;
use super::decode::DecodeError;
use super::json::{Kind, List, Scanner};
use super::packet::Name;
use super::{Body, Event, Limits, Nsp, Packet, Payload, is_reserved_event, placeholder};
use crate::{AckId, Str};

/// Decodes a text message. Sets `missing` to the number of attachments that the packet lacks.
#[inline]
pub(super) fn decode(text: Str, limits: &Limits, missing: &mut usize) -> Result<Packet, DecodeError> {
    let bytes = text.as_bytes();
    let kind = match bytes.first() {
        Some(kind @ b'0'..=b'6') => *kind,
        _ => return Err(DecodeError::UnknownType),
    };
    let mut at = 1;
    let mut attachments = None;
    if let b'5' | b'6' = kind {
        attachments = Some(attachment_count(&bytes[at..], limits, &mut at)?);
    }
    let nsp = if bytes.get(at) == Some(&b'/') {
        let name = &text[at..];
        let (name, length) = match name.find(',') {
            Some(comma) => (&name[..comma], comma + 1),
            None => (name, name.len()),
        };
        at += length;
        if name == "/" { Nsp::ROOT } else { Nsp::received(text.slice_ref(name)) }
    } else {
        Nsp::ROOT
    };
    let ack = ack_id(&text[at..], &mut at)?;
    let empty = at == text.len();
    let body = match kind {
        b'0' => Body::Connect(payload(&text, at, limits, &[Kind::Object])?),
        b'1' if empty => Body::Disconnect,
        b'1' => return Err(DecodeError::InvalidPayload),
        b'2' | b'5' if empty => Body::Unnamed,
        b'2' | b'5' => {
            let mut list = List::default();
            let text = check_list(text, at, limits, attachments, true, &mut list)?;
            let name = name(&text, &list)?;
            Body::Event(Event { ack, name, args: Args::json(text, &list) })
        }
        b'3' | b'6' if empty => Body::Ack { id: ack, args: Args::default() },
        b'3' | b'6' => {
            let mut list = List::default();
            let text = check_list(text, at, limits, attachments, false, &mut list)?;
            Body::Ack { id: ack, args: Args::json(text, &list) }
        }
        _ => Body::ConnectError(payload(&text, at, limits, &[Kind::Object, Kind::String])?),
    };
    *missing = attachments.unwrap_or(0);
    Ok(Packet { nsp, body })
}

fn attachment_count(bytes: &[u8], limits: &Limits, at: &mut usize) -> Result<usize, DecodeError> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || bytes.get(digits) != Some(&b'-') {
        return Err(DecodeError::IllegalAttachments);
    }
    *at += digits + 1;
    let count = bytes[..digits]
        .iter()
        .try_fold(0_usize, |count, digit| count.checked_mul(10)?.checked_add(usize::from(digit - b'0')))
        .unwrap_or(usize::MAX);
    match count {
        0 => Err(DecodeError::IllegalAttachments),
        _ if count > limits.max_attachments => Err(DecodeError::TooManyAttachments),
        _ => Ok(count),
    }
}

fn ack_id(text: &str, at: &mut usize) -> Result<Option<AckId>, DecodeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok(None);
    }
    *at += digits;
    text[..digits].parse().map(|id| Some(AckId(id))).map_err(|_| DecodeError::InvalidAckId)
}

fn payload(text: &Str, at: usize, limits: &Limits, kinds: &[Kind]) -> Result<Option<Payload>, DecodeError> {
    if at == text.len() {
        return Ok(None);
    }
    let (kind, range) = Scanner::new(text, at, limits.nesting(), None).single()?;
    if !kinds.contains(&kind) {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(Some(Payload::json(text.slice_ref(&text[range]))))
}

/// The name of an event.
#[inline]
fn name(text: &str, list: &List) -> Result<Name, DecodeError> {
    let range = match list.name {
        Some(Kind::String) => list.name_range.start + 1..list.name_range.end - 1,
        Some(Kind::Number) => list.name_range.clone(),
        _ => return Err(DecodeError::InvalidPayload),
    };
    if list.name_escaped {
        let name = unescape(&text[list.name_range.clone()])?;
        return if is_reserved_event(&name) {
            Err(DecodeError::ReservedEvent)
        } else {
            Ok(Name::Apart(name.into()))
        };
    }
    if is_reserved_event(&text[range.clone()]) {
        return Err(DecodeError::ReservedEvent);
    }
    // The list ends after its name, and that it ends below 4 GiB has been checked.
    Ok(Name::Slice(range.start as u32..range.end as u32))
}

/// Checks an argument list. Gives back the text in which it is: another one, where placeholders are not in the usual
/// spelling.
#[inline]
fn check_list(
    text: Str,
    at: usize,
    limits: &Limits,
    attachments: Option<usize>,
    named: bool,
    list: &mut List,
) -> Result<Str, DecodeError> {
    let mut scanner = Scanner::new(&text, at, limits.nesting(), attachments);
    scanner.list(named, list)?;
    let Some(count) = attachments.filter(|_| scanner.irregular()) else { return Ok(text) };
    let usual = placeholder::normalise(&text[at..], count)?;
    Scanner::new(&usual, 0, limits.nesting(), None).list(named, list)?;
    Ok(usual.into())
}

/// The text of a JSON string.
fn unescape(quoted: &str) -> Result<String, DecodeError> {
    /// `serde_json` gives halves of surrogate pairs to those who ask for bytes.
    struct Lossy;

    impl serde::de::Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    serde::Deserializer::deserialize_bytes(&mut serde_json::Deserializer::from_str(quoted), Lossy)
        .map_err(|_| DecodeError::InvalidPayload)
}
