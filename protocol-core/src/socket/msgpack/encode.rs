//! Writes packets, with the keys in the order of the official server.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::Serialize;

use super::read::{Reader, Token};
use super::ser::{Msgpack, write_array, write_map, write_str, write_uint};
use crate::AckId;
use crate::socket::limits::Limits;
use crate::socket::{EncodeError, Nsp};

/// The types of packets; bytes need none of their own.
const CONNECT: u8 = 0;
const DISCONNECT: u8 = 1;
const EVENT: u8 = 2;
const ACK: u8 = 3;
const CONNECT_ERROR: u8 = 4;

/// Appends an EVENT (with a name) or an ACK. After an error `out` is as it was.
pub(in crate::socket) fn list<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    args: &T,
) -> Result<(), EncodeError> {
    let start = out.len();
    begin(out, id, name);
    let head = out.len();
    // One byte for up to fifteen elements; more are rare, and pay for moving what follows.
    out.push(0);
    let mut count = 0;
    if let Some(name) = name {
        write_str(out, name);
        count += 1;
    }
    if let Err(error) = args.serialize(Msgpack::arguments(out, &mut count)) {
        out.truncate(start);
        return Err(error);
    }
    let mut array = Vec::new();
    match out.get_mut(head) {
        Some(byte) if count <= 15 => *byte = 0x90 | count as u8,
        _ => {
            write_array(&mut array, count);
            out.splice(head..=head, array);
        }
    }
    end(out, nsp);
    Ok(())
}

/// An EVENT or an ACK with `len` arguments that are msgpack already.
pub(in crate::socket) fn raw_list(
    nsp: &Nsp,
    id: Option<AckId>,
    name: Option<&str>,
    raw: &[u8],
    len: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + name.map_or(0, str::len) + raw.len());
    begin(&mut out, id, name);
    write_array(&mut out, len + usize::from(name.is_some()));
    if let Some(name) = name {
        write_str(&mut out, name);
    }
    out.extend_from_slice(raw);
    end(&mut out, nsp);
    out
}

/// A CONNECT.
pub(in crate::socket) fn connect<T: Serialize + ?Sized>(
    nsp: &Nsp,
    payload: Option<&T>,
) -> Result<Vec<u8>, EncodeError> {
    packet(CONNECT, nsp, payload)
}

/// A CONNECT_ERROR.
pub(in crate::socket) fn connect_error<T: Serialize + ?Sized>(
    nsp: &Nsp,
    payload: &T,
) -> Result<Vec<u8>, EncodeError> {
    packet(CONNECT_ERROR, nsp, Some(payload))
}

/// A DISCONNECT.
pub(in crate::socket) fn disconnect(nsp: &Nsp) -> Vec<u8> {
    let mut out = Vec::new();
    write_map(&mut out, 2);
    kind(&mut out, DISCONNECT);
    end(&mut out, nsp);
    out
}

/// An event with one more argument; `packet` was written by this module.
pub(in crate::socket) fn with_offset(packet: &Bytes, offset: &str) -> Bytes {
    let Some((head, first, end, len)) = event_list(packet) else { return packet.clone() };
    let mut out = Vec::with_capacity(packet.len() + offset.len() + 8);
    out.extend_from_slice(&packet[..head]);
    write_array(&mut out, len + 1);
    out.extend_from_slice(&packet[first..end]);
    write_str(&mut out, offset);
    out.extend_from_slice(&packet[end..]);
    out.into()
}

/// Where the array of an event begins, where its first element and where its end is, and its length.
fn event_list(packet: &[u8]) -> Option<(usize, usize, usize, usize)> {
    let mut reader = Reader::new(packet);
    let Ok(Token::Map(_)) = reader.token() else { return None };
    let mut event = false;
    while let Ok(Token::Str(key)) = reader.token() {
        match key {
            "type" => event = reader.peek().ok()? == Token::Uint(EVENT.into()),
            "data" if event => {
                let head = reader.at();
                let mut elements = reader.clone();
                let Ok(Token::Array(len)) = elements.token() else { return None };
                reader.skip(0, Limits::NESTING_CAP).ok()?;
                return Some((head, elements.at(), reader.at(), len));
            }
            _ => {}
        }
        reader.skip(0, Limits::NESTING_CAP).ok()?;
    }
    None
}

fn packet<T: Serialize + ?Sized>(of: u8, nsp: &Nsp, payload: Option<&T>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(64);
    write_map(&mut out, 2 + usize::from(payload.is_some()));
    kind(&mut out, of);
    if let Some(payload) = payload {
        write_str(&mut out, "data");
        payload.serialize(Msgpack::value(&mut out))?;
    }
    end(&mut out, nsp);
    Ok(out)
}

/// Everything before the array of an EVENT or an ACK.
fn begin(out: &mut Vec<u8>, id: Option<AckId>, name: Option<&str>) {
    write_map(out, 3 + usize::from(id.is_some()));
    if let Some(AckId(id)) = id {
        write_str(out, "id");
        write_uint(out, id);
    }
    kind(out, if name.is_some() { EVENT } else { ACK });
    write_str(out, "data");
}

fn kind(out: &mut Vec<u8>, kind: u8) {
    write_str(out, "type");
    out.push(kind);
}

fn end(out: &mut Vec<u8>, nsp: &Nsp) {
    write_str(out, "nsp");
    write_str(out, nsp);
}
