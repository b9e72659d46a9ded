//! Writes the packets of the text parser (REFERENCE 3.1).

use alloc::string::String;

use serde::Serialize;

use super::json::{self, Json};
use super::{EncodeError, SMALL};
use crate::socket::attachments::Gathered;
use crate::socket::{Attachments, Nsp};
use crate::{AckId, Str};

/// Appends an EVENT (with a name) or an ACK. After an error `out` is as it was.
pub(super) fn list<T: Serialize + ?Sized>(
    out: &mut String,
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    args: &T,
) -> Result<Attachments, EncodeError> {
    let start = out.len();
    let kind = kind(name);
    let mut attachments = Gathered::default();
    head(out, kind, 0, nsp, id);
    begin_list(out, name);
    let empty = out.len();
    if name.is_some() {
        out.push(',');
    }
    let separated = out.len();
    if let Err(error) = args.serialize(Json::arguments(out, &mut attachments)) {
        out.truncate(start);
        return Err(error);
    }
    if out.len() == separated {
        out.truncate(empty);
    }
    out.push(']');
    let attachments = Attachments::from(attachments);
    if !attachments.is_empty() {
        // Only now is their number known; binary packets pay for two moves of the text.
        out.replace_range(start + 1..start + 2, binary(kind).encode_utf8(&mut [0; 4]));
        out.insert(start + 2, '-');
        out.insert_str(start + 2, itoa::Buffer::new().format(attachments.len()));
    }
    Ok(attachments)
}

/// An EVENT or an ACK with arguments in the form of [`Args::raw`](crate::socket::Args::raw).
pub(super) fn raw_list(
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    raw: &str,
    attachments: usize,
) -> String {
    let mut out = String::with_capacity(SMALL / 2 + name.map_or(0, str::len) + raw.len());
    head(&mut out, kind(name), attachments, nsp, id);
    begin_list(&mut out, name);
    if name.is_some() && !raw.is_empty() {
        out.push(',');
    }
    out.push_str(raw);
    out.push(']');
    out
}

/// A CONNECT or a CONNECT_ERROR.
pub(super) fn payload<T: Serialize + ?Sized>(
    kind: char,
    nsp: &Nsp,
    payload: Option<&T>,
) -> Result<String, EncodeError> {
    let mut out = String::with_capacity(SMALL);
    head(&mut out, kind, 0, nsp, None);
    if let Some(payload) = payload {
        payload.serialize(Json::value(&mut out))?;
    }
    Ok(out)
}

/// A DISCONNECT.
pub(super) fn disconnect(nsp: &Nsp) -> Str {
    if nsp.is_root() { Str::from_static("41") } else { alloc::format!("41{nsp},").into() }
}

/// An event with one more argument; `packet` was written by this module.
pub(super) fn with_offset(packet: &Str, offset: &str) -> Str {
    let Some(open) =
        packet.strip_suffix(']').filter(|_| packet.starts_with("42") || packet.starts_with("45"))
    else {
        return packet.clone();
    };
    let mut out = String::with_capacity(open.len() + offset.len() + 4);
    out.push_str(open);
    out.push(',');
    json::write_string(&mut out, offset);
    out.push(']');
    out.into()
}

pub(super) const CONNECT: char = '0';
pub(super) const CONNECT_ERROR: char = '4';
const EVENT: char = '2';
const ACK: char = '3';

/// Only events have names.
const fn kind(name: Option<&str>) -> char {
    if name.is_some() { EVENT } else { ACK }
}

/// Everything before the data, the digit of the Engine.IO message included.
fn head(out: &mut String, kind: char, attachments: usize, nsp: &Nsp, id: Option<AckId>) {
    out.push('4');
    if attachments == 0 {
        out.push(kind);
    } else {
        out.push(binary(kind));
        out.push_str(itoa::Buffer::new().format(attachments));
        out.push('-');
    }
    if !nsp.is_root() {
        out.push_str(nsp);
        out.push(',');
    }
    if let Some(AckId(id)) = id {
        out.push_str(itoa::Buffer::new().format(id));
    }
}

/// BINARY_EVENT and BINARY_ACK come three after their kin.
const fn binary(kind: char) -> char {
    if kind == EVENT { '5' } else { '6' }
}

fn begin_list(out: &mut String, name: Option<&str>) {
    out.push('[');
    if let Some(name) = name {
        json::write_string(out, name);
    }
}
