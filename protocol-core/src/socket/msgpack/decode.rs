//! Checks a packet and takes it apart.

use bytes::Bytes;

use super::read::{Reader, Token};
use crate::socket::args::Args;
use crate::socket::decode::DecodeError;
use crate::socket::packet::Name;
use crate::socket::{Body, Event, Limits, Nsp, Packet, Payload};
use crate::{AckId, Str};

/// Decodes a packet. It is complete, bytes are within it, and so there always is one; it comes as `Decoder::push` gives
/// it away.
pub(in crate::socket) fn decode(bytes: &Bytes, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let Token::Map(entries) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
    let max_nesting = limits.nesting();
    if max_nesting == 0 {
        return Err(DecodeError::NestingTooDeep);
    }
    // Of several entries with one name the last counts. `id` is `None` when it is no number.
    let (mut kind, mut nsp, mut id, mut data) = (None, None, Some(None), None);
    for _ in 0..entries {
        let Token::Str(key) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
        let start = reader.at();
        let token = reader.token()?;
        reader.skip_within(token, 1, max_nesting)?;
        match (key, token) {
            ("type", Token::Uint(number)) => kind = Some(number),
            ("type", _) => kind = None,
            ("nsp", Token::Str(name)) => nsp = Some(name),
            ("nsp", _) => nsp = None,
            ("id", Token::Uint(number)) => id = Some(Some(AckId(number))),
            ("id", Token::Undefined) => id = Some(None),
            ("id", _) => id = None,
            ("data", Token::Undefined) => data = None,
            ("data", token) => data = Some((Data::of(token), start, reader.at())),
            _ => {}
        }
    }
    if !reader.rest().is_empty() {
        return Err(DecodeError::InvalidPayload);
    }

    let Some(kind @ 0..=4) = kind else { return Err(DecodeError::UnknownType) };
    let Some(nsp) = nsp else { return Err(DecodeError::InvalidNamespace) };
    let nsp = if nsp == "/" { Nsp::ROOT } else { Nsp::received(text(bytes, nsp)?) };
    let Some(id) = id else { return Err(DecodeError::InvalidAckId) };
    let body = match (kind, data) {
        (2, Some((Data::Array, start, end))) => return event(nsp, bytes, id, start, end),
        (0, None) => Body::Connect(None),
        (0, Some((Data::Map, start, end))) => Body::Connect(Some(Payload::msgpack(bytes.slice(start..end)))),
        (1, None) => Body::Disconnect,
        (3, Some((Data::Array, start, end))) => Body::Ack { id, args: arguments(bytes.slice(start..end))? },
        (4, Some((Data::Map | Data::Str, start, end))) => {
            Body::ConnectError(Some(Payload::msgpack(bytes.slice(start..end))))
        }
        _ => return Err(DecodeError::InvalidPayload),
    };
    Ok(Some(Packet { nsp, body }))
}

/// What the data of a packet is.
#[derive(Clone, Copy)]
enum Data {
    Array,
    Map,
    Str,
    Other,
}

impl Data {
    const fn of(token: Token<'_>) -> Self {
        match token {
            Token::Array(_) => Self::Array,
            Token::Map(_) => Self::Map,
            Token::Str(_) => Self::Str,
            _ => Self::Other,
        }
    }
}

/// The arguments in a checked array.
pub(in crate::socket) fn arguments(list: Bytes) -> Result<Args, DecodeError> {
    let mut reader = Reader::new(&list);
    let Token::Array(len) = reader.token()? else { return Err(DecodeError::InvalidPayload) };
    let first = reader.at();
    Ok(Args::msgpack(list, first, len, false))
}

/// An event. What has no name (any array will do here) is no event that anybody can have asked for.
#[inline]
fn event(
    nsp: Nsp,
    bytes: &Bytes,
    ack: Option<AckId>,
    start: usize,
    end: usize,
) -> Result<Option<Packet>, DecodeError> {
    let mut reader = Reader::new(&bytes[start..end]);
    let unnamed = |nsp| Ok(Some(Packet { nsp, body: Body::Unnamed }));
    let Token::Array(len @ 1..) = reader.token()? else { return unnamed(nsp) };
    let name = match reader.token()? {
        Token::Str(name) => {
            let offset = |at: usize| u32::try_from(at).map_err(|_| DecodeError::InvalidPayload);
            Name::Slice(offset(reader.at() - name.len())?..offset(reader.at())?)
        }
        Token::Uint(number) => Name::Apart(itoa::Buffer::new().format(number).into()),
        Token::Int(number) => Name::Apart(itoa::Buffer::new().format(number).into()),
        Token::Float(number) => Name::Apart(zmij::Buffer::new().format(number).into()),
        _ => return unnamed(nsp),
    };
    let args = Args::msgpack(bytes.slice(start..end), reader.at(), len - 1, true);
    Ok(Some(Packet { nsp, body: Body::Event(Event { ack, name, args }) }))
}

/// A slice of the packet.
fn text(bytes: &Bytes, text: &str) -> Result<Str, DecodeError> {
    Str::try_from(bytes.slice_ref(text.as_bytes())).map_err(|_| DecodeError::InvalidPayload)
}
