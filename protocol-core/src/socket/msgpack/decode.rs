//! Checks a packet and takes it apart.

use bytes::Bytes;

use super::read::{Reader, Token};
use crate::socket::args::Args;
use crate::socket::decode::DecodeError;
use crate::socket::packet::Name;
use crate::socket::{Body, Event, Limits, Nsp, Packet, Payload};
use crate::{AckId, Str};

/// Decodes a packet. It is complete: bytes are within it.
pub(in crate::socket) fn decode(bytes: &Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(bytes);
    let Token::Map(entries) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
    let max_nesting = limits.nesting();
    if max_nesting == 0 {
        return Err(DecodeError::NestingTooDeep);
    }
    let [mut kind, mut nsp, mut id, mut data] = [None; 4];
    for _ in 0..entries {
        let Token::Str(key) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
        let start = reader.at();
        let token = reader.token()?;
        reader.skip_within(token, 1, max_nesting)?;
        let slot = match key {
            "type" => &mut kind,
            "nsp" => &mut nsp,
            "id" => &mut id,
            "data" => &mut data,
            _ => continue,
        };
        *slot = (token != Token::Undefined).then_some((token, start, reader.at()));
    }
    if !reader.rest().is_empty() {
        return Err(DecodeError::InvalidPayload);
    }

    let Some((Token::Uint(kind @ 0..=4), ..)) = kind else { return Err(DecodeError::UnknownType) };
    let Some((Token::Str(nsp), ..)) = nsp else { return Err(DecodeError::InvalidNamespace) };
    let nsp = if nsp == "/" { Nsp::ROOT } else { Nsp::received(text(bytes, nsp)?) };
    let id = match id {
        None => None,
        Some((Token::Uint(id), ..)) => Some(AckId(id)),
        Some(_) => return Err(DecodeError::InvalidAckId),
    };
    let body = match (kind, data) {
        (0, None) => Body::Connect(None),
        (0, Some((Token::Map(_), start, end))) => {
            Body::Connect(Some(Payload::msgpack(bytes.slice(start..end))))
        }
        (1, None) => Body::Disconnect,
        (2, Some((Token::Array(_), start, end))) => event(bytes, id, start, end)?,
        (3, Some((Token::Array(_), start, end))) => {
            Body::Ack { id, args: arguments(bytes.slice(start..end))? }
        }
        (4, Some((Token::Map(_) | Token::Str(_), start, end))) => {
            Body::ConnectError(Some(Payload::msgpack(bytes.slice(start..end))))
        }
        _ => return Err(DecodeError::InvalidPayload),
    };
    Ok(Packet { nsp, body })
}

/// The arguments in a checked array.
pub(in crate::socket) fn arguments(list: Bytes) -> Result<Args, DecodeError> {
    let mut reader = Reader::new(&list);
    let Token::Array(len) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
    let first = reader.at();
    Ok(Args::msgpack(list, first, len, false))
}

/// An event. What has no name (any array will do here) is no event that anybody can have asked for.
fn event(bytes: &Bytes, ack: Option<AckId>, start: usize, end: usize) -> Result<Body, DecodeError> {
    let mut reader = Reader::new(&bytes[start..end]);
    let Token::Array(len @ 1..) = reader.token()? else { return Ok(Body::Unnamed) };
    let name = match reader.token()? {
        Token::Str(name) => {
            let offset = |at: usize| u32::try_from(at).map_err(|_| DecodeError::InvalidPayload);
            Name::Slice(offset(reader.at() - name.len())?..offset(reader.at())?)
        }
        Token::Uint(number) => Name::Apart(itoa::Buffer::new().format(number).into()),
        Token::Int(number) => Name::Apart(itoa::Buffer::new().format(number).into()),
        Token::Float(number) => Name::Apart(zmij::Buffer::new().format(number).into()),
        _ => return Ok(Body::Unnamed),
    };
    let args = Args::msgpack(bytes.slice(start..end), reader.at(), len - 1, true);
    Ok(Body::Event(Event { ack, name, args }))
}

/// A slice of the packet.
fn text(bytes: &Bytes, text: &str) -> Result<Str, DecodeError> {
    Str::try_from(bytes.slice_ref(text.as_bytes())).map_err(|_| DecodeError::InvalidPayload)
}
