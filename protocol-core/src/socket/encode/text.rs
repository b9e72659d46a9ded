//! Writes the packets of the text parser (REFERENCE 3.1).

use alloc::vec::Vec;

use serde::Serialize;

use super::json::{self, Json};
use super::{EncodeError, SMALL};
use crate::socket::{Attachments, Nsp};
use crate::{AckId, Str};

/// Appends an EVENT (with a name) or an ACK. After an error `out` is as it was.
pub(super) fn list<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    kind: u8,
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    args: &T,
) -> Result<Attachments, EncodeError> {
    let start = out.len();
    let mut attachments = Attachments::NONE;
    head(out, kind, 0, nsp, id);
    begin_list(out, name);
    let empty = out.len();
    if name.is_some() {
        out.push(b',');
    }
    let separated = out.len();
    if let Err(error) = args.serialize(Json::arguments(out, &mut attachments)) {
        out.truncate(start);
        return Err(error);
    }
    if out.len() == separated {
        out.truncate(empty);
    }
    out.push(b']');
    if !attachments.is_empty() {
        // Only now is their number known; binary packets pay for one move of the text.
        let mut count = itoa::Buffer::new();
        let count = count.format(attachments.len()).bytes().chain([b'-']);
        out[start + 1] = binary(kind);
        out.splice(start + 2..start + 2, count);
    }
    Ok(attachments)
}

/// An EVENT or an ACK with arguments in the form of [`Args::raw`](crate::socket::Args::raw).
pub(super) fn raw_list(
    kind: u8,
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    raw: &str,
    attachments: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(SMALL / 2 + name.map_or(0, str::len) + raw.len());
    head(&mut out, kind, attachments, nsp, id);
    begin_list(&mut out, name);
    if name.is_some() && !raw.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(raw.as_bytes());
    out.push(b']');
    out
}

/// A CONNECT or a CONNECT_ERROR.
pub(super) fn payload<T: Serialize + ?Sized>(
    kind: u8,
    nsp: &Nsp,
    payload: Option<&T>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(SMALL);
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
    let mut out = Vec::with_capacity(open.len() + offset.len() + 4);
    out.extend_from_slice(open.as_bytes());
    out.push(b',');
    json::write_string(&mut out, offset);
    out.push(b']');
    // Text, a string, and text: what is put together here is UTF-8.
    Str::try_from(out).unwrap_or_else(|_| packet.clone())
}

/// Everything before the data, the digit of the Engine.IO message included.
fn head(out: &mut Vec<u8>, kind: u8, attachments: usize, nsp: &Nsp, id: Option<AckId>) {
    if attachments == 0 {
        out.extend_from_slice(&[b'4', kind]);
    } else {
        out.extend_from_slice(&[b'4', binary(kind)]);
        out.extend_from_slice(itoa::Buffer::new().format(attachments).as_bytes());
        out.push(b'-');
    }
    if !nsp.is_root() {
        out.extend_from_slice(nsp.as_bytes());
        out.push(b',');
    }
    if let Some(AckId(id)) = id {
        out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    }
}

/// BINARY_EVENT and BINARY_ACK come three after their kin.
const fn binary(kind: u8) -> u8 {
    kind + 3
}

fn begin_list(out: &mut Vec<u8>, name: Option<&str>) {
    out.push(b'[');
    if let Some(name) = name {
        json::write_string(out, name);
    }
}
