//! The text parser: `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]` (REFERENCE 3.1, 3.2).
//!
//! Stricter than the reference where it leans on JavaScript: numbers are plain decimal digits (it takes ` 1` and
//! `0x1` as counts, and spaces as digits of an id), and an id that does not fit 64 bits is refused (it would be sent
//! back rounded).

use alloc::string::String;
use core::ops::Range;

use super::args::Args;
use super::decode::{DecodeError, Fault};
use super::json::{Kind, List, Scanner};
use super::packet::Name;
use super::{Body, Event, Limits, Nsp, Packet, Payload, is_reserved, is_reserved_event, placeholder};
use crate::engine::packet::Message;
use crate::{AckId, Str};

/// What nearly every message is: an event or an answer to one, with data and without attachments, and a name that reads as
/// it is written. Where everything is in its text.
//
// Scanning is apart from making the packet, is inlined, and fails with one byte: so the places stay in registers, and the packet
// is made where it stays. To move one that has just been written costs as much as to scan a short one.
#[derive(Default)]
pub(super) struct Outline {
    head: Head,
    list: List,
    named: bool,
    /// The name of an event.
    name: Range<u32>,
}

/// What is between the type of a packet, or its number of attachments, and its data.
#[derive(Default)]
struct Head {
    nsp: Nsp,
    ack: Option<AckId>,
    /// Where it ends.
    end: usize,
}

impl Outline {
    /// Whether what is in `range` of a text is one. Otherwise it is for [`decode`].
    #[inline(always)]
    pub(super) fn scan(&mut self, whole: &Str, range: Range<usize>, limits: &Limits) -> Result<bool, Fault> {
        let Range { start, end } = range;
        let text = &whole[..end];
        let bytes = text.as_bytes();
        self.named = match bytes.get(start) {
            Some(b'2') => true,
            Some(b'3') => false,
            _ => return Ok(false),
        };
        self.head.end = start + 1;
        if bytes.get(self.head.end) != Some(&b'[') {
            self.head = head(whole, start + 1..end)?;
            if self.head.end == text.len() {
                return Ok(false);
            }
        }
        Scanner::new(text, self.head.end, limits.nesting(), None).list(self.named, &mut self.list)?;
        if self.named {
            let Some(name) = plain_name(bytes, &self.list)? else { return Ok(false) };
            self.name = name;
        }
        Ok(true)
    }

    /// The packet, which keeps the text that was scanned.
    #[inline(always)]
    pub(super) fn into_packet(mut self, message: &mut Message) -> Packet {
        let nsp = core::mem::take(&mut self.head.nsp);
        if self.named {
            return Packet { nsp, body: Body::Event(self.into_event(message)) };
        }
        let (id, args) = self.into_ack(message);
        Packet { nsp, body: Body::Ack { id, args } }
    }

    pub(super) fn nsp(&self) -> &Nsp {
        &self.head.nsp
    }

    /// Whether it is an event, and not an answer to one.
    pub(super) fn is_event(&self) -> bool {
        self.named
    }

    #[inline(always)]
    pub(super) fn into_event(self, message: &mut Message) -> Event {
        let args = Args::json(message.take_text(), self.list);
        Event { ack: self.head.ack, name: Name::Slice(self.name), args }
    }

    #[inline(always)]
    pub(super) fn into_ack(self, message: &mut Message) -> (Option<AckId>, Args) {
        (self.head.ack, Args::json(message.take_text(), self.list))
    }
}

/// Decodes a text message, which begins at `start`. Sets `missing` to the number of attachments that the packet lacks.
pub(super) fn decode(
    text: Str,
    start: usize,
    limits: &Limits,
    missing: &mut usize,
) -> Result<Packet, DecodeError> {
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
    let Head { nsp, ack, end: at } = head(&text, at..text.len())?;
    *missing = attachments.unwrap_or(0);
    let body = match kind {
        b'0' if at == text.len() => Body::Connect(None),
        b'1' if at == text.len() => Body::Disconnect,
        b'2' | b'5' if at == text.len() => Body::Unnamed,
        b'3' | b'6' if at == text.len() => Body::Ack { id: ack, args: Args::default() },
        b'4' if at == text.len() => Body::ConnectError(None),
        b'2' | b'5' => {
            let (text, list) = list(text, at, limits, attachments, true)?;
            Body::Event(Event { ack, name: name(&text, &list)?, args: Args::json(text, list) })
        }
        b'3' | b'6' => {
            let (text, list) = list(text, at, limits, attachments, false)?;
            Body::Ack { id: ack, args: Args::json(text, list) }
        }
        b'0' => Body::Connect(Some(payload(&text, at, limits, &[Kind::Object])?)),
        b'1' => return Err(DecodeError::InvalidPayload),
        _ => Body::ConnectError(Some(payload(&text, at, limits, &[Kind::Object, Kind::String])?)),
    };
    Ok(Packet { nsp, body })
}

/// The head that `range` of a text begins with.
#[inline(never)] // most messages have none
fn head(whole: &Str, range: Range<usize>) -> Result<Head, Fault> {
    let (mut at, text) = (range.start, &whole[..range.end]);
    let bytes = text.as_bytes();
    let nsp = if bytes.get(at) == Some(&b'/') {
        let name = &text[at..];
        let (name, length) = match name.find(',') {
            Some(comma) => (&name[..comma], comma + 1),
            None => (name, name.len()),
        };
        at += length;
        if name == "/" { Nsp::ROOT } else { Nsp::received(whole.slice_ref(name)) }
    } else {
        Nsp::ROOT
    };
    let ack = match bytes.get(at) {
        Some(b'0'..=b'9') => Some(ack_id(&text[at..], &mut at)?),
        _ => None,
    };
    Ok(Head { nsp, ack, end: at })
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
fn ack_id(text: &str, at: &mut usize) -> Result<AckId, Fault> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    *at += digits;
    text[..digits].parse().map(AckId).map_err(|_| Fault::InvalidAckId)
}

fn payload(text: &Str, at: usize, limits: &Limits, kinds: &[Kind]) -> Result<Payload, DecodeError> {
    let (kind, range) = Scanner::new(text, at, limits.nesting(), None).single()?;
    if !kinds.contains(&kind) {
        return Err(DecodeError::InvalidPayload);
    }
    Ok(Payload::json(text.slice_ref(&text[range])))
}

/// The name of an event.
fn name(text: &str, list: &List) -> Result<Name, DecodeError> {
    Ok(match plain_name(text.as_bytes(), list)? {
        Some(name) => Name::Slice(name),
        None => name_apart(&text[list.name_start..list.name_end])?,
    })
}

/// Where the name of an event is, unless it has escapes.
#[inline(always)]
fn plain_name(bytes: &[u8], list: &List) -> Result<Option<Range<u32>>, Fault> {
    let quotes = match list.name {
        Some(Kind::String) if list.name_escaped => return Ok(None),
        Some(Kind::String) => 1,
        Some(Kind::Number) => 0,
        _ => return Err(Fault::InvalidPayload),
    };
    let (start, end) = (list.name_start + quotes, list.name_end - quotes);
    if is_reserved(&bytes[start..end]) {
        return Err(Fault::ReservedEvent);
    }
    // The list ends after its name, and that it ends below 4 GiB has been checked.
    Ok(Some(start as u32..end as u32))
}

/// A name with escapes.
#[cold]
fn name_apart(quoted: &str) -> Result<Name, DecodeError> {
    let name = unescape(quoted)?;
    if is_reserved_event(&name) { Err(DecodeError::ReservedEvent) } else { Ok(Name::Apart(name.into())) }
}

/// The argument list at `at`, in a text with its placeholders in the usual spelling.
fn list(
    text: Str,
    at: usize,
    limits: &Limits,
    attachments: Option<usize>,
    named: bool,
) -> Result<(Str, List), DecodeError> {
    let mut list = List::default();
    let mut scanner = Scanner::new(&text, at, limits.nesting(), attachments);
    scanner.list(named, &mut list)?;
    if !scanner.irregular() {
        return Ok((text, list));
    }
    let usual = placeholder::normalise(&text[at..], attachments.unwrap_or(0))?;
    let mut list = List::default();
    Scanner::new(&usual, 0, limits.nesting(), None).list(named, &mut list)?;
    Ok((usual.into(), list))
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
