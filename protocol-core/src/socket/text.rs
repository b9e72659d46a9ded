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
use super::{Body, Event, Limits, Nsp, Packet, Payload, is_reserved, is_reserved_event, placeholder};
use crate::{AckId, Str};

/// Decodes a text message, which begins at `start`. Sets `missing` to the number of attachments that the packet lacks.
//
// There always is a packet. It comes as `Decoder::push` gives it away, so that it is not moved from one result to another.
#[inline]
pub(super) fn decode(
    text: Str,
    start: usize,
    limits: &Limits,
    missing: &mut usize,
) -> Result<Option<Packet>, DecodeError> {
    let bytes = text.as_bytes();
    let kind = match bytes.get(start) {
        Some(kind @ b'0'..=b'6') => *kind,
        _ => return Err(DecodeError::UnknownType),
    };
    let mut at = start + 1;
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
    let ack = match bytes.get(at) {
        Some(b'0'..=b'9') => Some(ack_id(&text[at..], &mut at)?),
        _ => None,
    };
    *missing = attachments.unwrap_or(0);
    // Whatever is made here is made where it stays: to move a packet that has just been written costs as much as to scan
    // a short one.
    if at == text.len() {
        let body = match kind {
            b'0' => Body::Connect(None),
            b'1' => Body::Disconnect,
            b'2' | b'5' => Body::Unnamed,
            b'3' | b'6' => Body::Ack { id: ack, args: Args::default() },
            _ => Body::ConnectError(None),
        };
        return Ok(Some(Packet { nsp, body }));
    }
    match kind {
        b'2' | b'5' => {
            let mut scanner = Scanner::new(&text, at, limits.nesting(), attachments);
            let mut list = List::default();
            scanner.list(true, &mut list)?;
            if scanner.irregular() {
                let (text, list) = usual_list(&text[at..], limits, attachments, true)?;
                let name = name(&text, &list)?;
                return Ok(Some(Packet {
                    nsp,
                    body: Body::Event(Event { ack, name, args: Args::json(text, list) }),
                }));
            }
            let name = name(&text, &list)?;
            Ok(Some(Packet { nsp, body: Body::Event(Event { ack, name, args: Args::json(text, list) }) }))
        }
        b'3' | b'6' => {
            let mut scanner = Scanner::new(&text, at, limits.nesting(), attachments);
            let mut list = List::default();
            scanner.list(false, &mut list)?;
            if scanner.irregular() {
                let (text, list) = usual_list(&text[at..], limits, attachments, false)?;
                return Ok(Some(Packet { nsp, body: Body::Ack { id: ack, args: Args::json(text, list) } }));
            }
            Ok(Some(Packet { nsp, body: Body::Ack { id: ack, args: Args::json(text, list) } }))
        }
        b'0' => {
            let payload = payload(&text, at, limits, &[Kind::Object])?;
            Ok(Some(Packet { nsp, body: Body::Connect(Some(payload)) }))
        }
        b'1' => Err(DecodeError::InvalidPayload),
        _ => {
            let payload = payload(&text, at, limits, &[Kind::Object, Kind::String])?;
            Ok(Some(Packet { nsp, body: Body::ConnectError(Some(payload)) }))
        }
    }
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

/// The number that `text` begins with.
fn ack_id(text: &str, at: &mut usize) -> Result<AckId, DecodeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    *at += digits;
    text[..digits].parse().map(AckId).map_err(|_| DecodeError::InvalidAckId)
}

fn payload(text: &Str, at: usize, limits: &Limits, kinds: &[Kind]) -> Result<Payload, DecodeError> {
    let (kind, range) = Scanner::new(text, at, limits.nesting(), None).single()?;
    if !kinds.contains(&kind) {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(Payload::json(text.slice_ref(&text[range])))
}

/// The name of an event.
#[inline(always)] // its result would go through memory
fn name(text: &str, list: &List) -> Result<Name, DecodeError> {
    let quotes = match list.name {
        Some(Kind::String) if list.name_escaped => return name_apart(&text[list.name_start..list.name_end]),
        Some(Kind::String) => 1,
        Some(Kind::Number) => 0,
        _ => return Err(DecodeError::InvalidPayload),
    };
    let (start, end) = (list.name_start + quotes, list.name_end - quotes);
    if is_reserved(&text.as_bytes()[start..end]) {
        return Err(DecodeError::ReservedEvent);
    }
    // The list ends after its name, and that it ends below 4 GiB has been checked.
    Ok(Name::Slice(start as u32..end as u32))
}

/// A name with escapes.
#[cold]
fn name_apart(quoted: &str) -> Result<Name, DecodeError> {
    let name = unescape(quoted)?;
    if is_reserved_event(&name) { Err(DecodeError::ReservedEvent) } else { Ok(Name::Apart(name.into())) }
}

/// An argument list, which has been checked, with its placeholders in the usual spelling.
#[cold]
fn usual_list(
    list: &str,
    limits: &Limits,
    attachments: Option<usize>,
    named: bool,
) -> Result<(Str, List), DecodeError> {
    let usual = placeholder::normalise(list, attachments.unwrap_or(0))?;
    let mut found = List::default();
    Scanner::new(&usual, 0, limits.nesting(), None).list(named, &mut found)?;
    Ok((usual.into(), found))
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
