//! A parser of one's own, to test with: a line of text, `2/chat 7`, and the data behind it in a message of its own, in
//! a part of CBOR (RFC 8949).

use socketio_core::engine::packet::Message;
use socketio_core::socket::{
    Args, Body, DecodeError, EncodeError, Encoded, Event, Limits, Nsp, Packet, PacketDecoder, Parser,
    Payload, Value, Variadic,
};
use socketio_core::{AckId, Bytes};

/// The parser. It has a word for each way to misbehave: see [`Telegrams::decoder`].
#[derive(Clone, Copy, Debug)]
pub struct Telegrams;

impl Parser for Telegrams {
    fn encode(&self, packet: &Packet) -> Result<Encoded, EncodeError> {
        let list = |args: &Args| args.decode::<Variadic<Value>>().map(|args| args.0).unwrap_or_default();
        let value = |payload: &Payload| payload.decode::<Value>().unwrap_or_default();
        let (kind, id, data) = match &packet.body {
            Body::Connect(auth) => ('0', None, auth.as_ref().map(value)),
            Body::Disconnect => ('1', None, None),
            Body::Event(event) => {
                let mut data = vec![Value::String(event.name().to_owned())];
                data.extend(list(event.args()));
                ('2', event.ack, Some(Value::Array(data)))
            }
            Body::Unnamed => ('2', None, None),
            Body::Ack { id, args } => ('3', *id, Some(Value::Array(list(args)))),
            Body::ConnectError(reason) => ('4', None, reason.as_ref().map(value)),
        };
        let id = id.map_or_else(String::new, |AckId(id)| id.to_string());
        let head = format!("{kind}{} {id}", packet.nsp);
        let body = data.map(|data| {
            let mut body = Vec::new();
            write(&mut body, &data);
            Bytes::from(body)
        });
        // A line that ends in a space is all there is.
        let head = if body.is_some() { format!("{head}:") } else { head };
        Ok(Encoded::new(Message::Text(head.into()), body.into_iter().collect()))
    }

    /// In the place of a line: `more` takes any number of messages and is never content, `panic` panics, and `deep`
    /// makes an event nested that deeply out of nothing.
    fn decoder(&self, limits: &Limits) -> Box<dyn PacketDecoder> {
        Box::new(Telegraphist { head: None, insatiable: false, depth: limits.max_nesting })
    }
}

#[derive(Debug)]
struct Telegraphist {
    head: Option<(char, Nsp, Option<AckId>)>,
    insatiable: bool,
    depth: usize,
}

impl PacketDecoder for Telegraphist {
    fn add(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
        match message {
            _ if self.insatiable => Ok(None),
            Message::Text(text) if &*text == "more" => {
                self.insatiable = true;
                Ok(None)
            }
            Message::Text(text) if &*text == "panic" => panic!("as it was told"),
            Message::Text(text) if &*text == "deep" => {
                let list = format!("{}{}", "[".repeat(self.depth + 1), "]".repeat(self.depth + 1));
                let args = Args::parse(Message::Text(list.into()), &Limits::default())?;
                Ok(Some(Packet { nsp: Nsp::ROOT, body: Body::Event(Event::new("deep", args)) }))
            }
            Message::Text(_) if self.head.is_some() => Err(DecodeError::UnexpectedText),
            Message::Text(line) => {
                let kind = line.chars().next().ok_or(DecodeError::UnknownType)?;
                let (nsp, id) = line[1..].split_once(' ').ok_or(DecodeError::InvalidPayload)?;
                let nsp = Nsp::new(nsp).map_err(|_| DecodeError::InvalidNamespace)?;
                let (id, more) = id.strip_suffix(':').map_or((id, false), |id| (id, true));
                let id = match id {
                    "" => None,
                    id => Some(AckId(id.parse().map_err(|_| DecodeError::InvalidAckId)?)),
                };
                if more {
                    self.head = Some((kind, nsp, id));
                    return Ok(None);
                }
                body(kind, id, None).map(|body| Some(Packet { nsp, body }))
            }
            Message::Binary(bytes) => {
                let (kind, nsp, id) = self.head.take().ok_or(DecodeError::UnexpectedBinary)?;
                let mut rest = &bytes[..];
                let value = read(&mut rest, self.depth).ok_or(DecodeError::InvalidPayload)?;
                if !rest.is_empty() {
                    return Err(DecodeError::Parser { reason: "something follows the data".into() });
                }
                body(kind, id, Some(value)).map(|body| Some(Packet { nsp, body }))
            }
        }
    }
}

fn body(kind: char, id: Option<AckId>, data: Option<Value>) -> Result<Body, DecodeError> {
    let payload = |data: Option<Value>| data.and_then(|data| Payload::encode(&data).ok());
    let list = |list| Args::encode(&Variadic::<Value>(list)).map_err(|_| DecodeError::InvalidPayload);
    Ok(match (kind, data) {
        ('0', auth) => Body::Connect(payload(auth)),
        ('1', None) => Body::Disconnect,
        ('2', Some(Value::Array(mut data))) if !data.is_empty() => match data.remove(0) {
            Value::String(name) => Body::Event(Event::new(name, list(data)?).with_ack(id)),
            _ => return Err(DecodeError::InvalidPayload),
        },
        ('3', Some(Value::Array(data))) => Body::Ack { id, args: list(data)? },
        ('4', reason) => Body::ConnectError(payload(reason)),
        ('1' | '2' | '3', _) => return Err(DecodeError::InvalidPayload),
        _ => return Err(DecodeError::UnknownType),
    })
}

/// A value in CBOR.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xF6),
        Value::Bool(value) => out.push(0xF4 + u8::from(*value)),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write_head(out, 0, number),
            (None, Some(number)) => write_head(out, 1, number.unsigned_abs() - 1),
            (None, None) => {
                out.push(0xFB);
                out.extend(number.as_f64().unwrap_or(f64::NAN).to_be_bytes());
            }
        },
        Value::Binary(bytes) => write_bytes(out, 2, bytes),
        Value::String(text) => write_bytes(out, 3, text.as_bytes()),
        Value::Array(values) => {
            write_head(out, 4, values.len() as u64);
            values.iter().for_each(|value| write(out, value));
        }
        Value::Object(members) => {
            write_head(out, 5, members.len() as u64);
            for (name, value) in members {
                write_bytes(out, 3, name.as_bytes());
                write(out, value);
            }
        }
    }
}

fn write_bytes(out: &mut Vec<u8>, major: u8, bytes: &[u8]) {
    write_head(out, major, bytes.len() as u64);
    out.extend(bytes);
}

fn write_head(out: &mut Vec<u8>, major: u8, number: u64) {
    match u8::try_from(number) {
        Ok(small @ 0..=23) => out.push(major << 5 | small),
        _ => {
            out.push(major << 5 | 27);
            out.extend(number.to_be_bytes());
        }
    }
}

/// A value in CBOR, within `depth` arrays and maps, taken off `rest`.
pub fn read(rest: &mut &[u8], depth: usize) -> Option<Value> {
    let head = take(rest, 1)?[0];
    if head == 0xFB {
        let number = f64::from_be_bytes(take(rest, 8)?.try_into().ok()?);
        return Some(serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number));
    }
    let number = match head & 31 {
        small @ 0..=23 => u64::from(small),
        27 => u64::from_be_bytes(take(rest, 8)?.try_into().ok()?),
        _ => return None,
    };
    let len = usize::try_from(number).ok()?;
    Some(match head >> 5 {
        0 => Value::Number(number.into()),
        1 => Value::Number((-1 - i64::try_from(number).ok()?).into()),
        2 => Value::Binary(Bytes::copy_from_slice(take(rest, len)?)),
        3 => Value::String(str::from_utf8(take(rest, len)?).ok()?.to_owned()),
        4 => {
            let depth = depth.checked_sub(1)?;
            Value::Array((0..len).map(|_| read(rest, depth)).collect::<Option<_>>()?)
        }
        5 => {
            let depth = depth.checked_sub(1)?;
            let member = |_| match read(rest, depth)? {
                Value::String(name) => Some((name, read(rest, depth)?)),
                _ => None,
            };
            Value::Object((0..len).map(member).collect::<Option<_>>()?)
        }
        7 if number == 20 || number == 21 => Value::Bool(number == 21),
        7 if number == 22 => Value::Null,
        _ => return None,
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}
