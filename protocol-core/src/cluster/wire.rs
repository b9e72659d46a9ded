//! Messages as the reference writes them: `{type, data?, uid, nsp}`, in JSON or in msgpack (REFERENCE 6.3).
//!
//! Keys are written in the order of the reference and read in any order.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{Details, Envelope, Flags, Message, NodeId, Options, RequestId};
use crate::engine::buffer::Compression;
use crate::engine::packet;
use crate::rooms::{Room, Selector};
use crate::socket::{Args, EncodeError, Event, First, Limits, Listed, Nsp, Value, msgpack};
use crate::{Bytes, Sid, Str};

/// Bytes from the bus are no [`Envelope`]: not JSON or msgpack, too deeply nested, or no message of a known type. The
/// receiver ignores them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct WireError {
    /// What is wrong.
    pub reason: Box<str>,
}

impl Envelope {
    /// JSON text. Bytes become arrays of numbers: [`Message::has_binary`] tells whether there are any.
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn to_json(&self) -> Result<Str, EncodeError> {
        serde_json::to_string(self).map(Str::from).map_err(serde::ser::Error::custom)
    }

    /// Msgpack.
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn to_msgpack(&self) -> Result<Bytes, EncodeError> {
        msgpack::to_bytes(self)
    }

    /// Reads what [`to_json`](Self::to_json) (text) or [`to_msgpack`](Self::to_msgpack) (binary), or any other
    /// implementation, has written.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(message: &packet::Message) -> Result<Self, WireError> {
        match message {
            packet::Message::Text(text) => serde_json::from_str(text).map_err(WireError::new),
            packet::Message::Binary(bytes) => {
                msgpack::from_bytes(bytes, &Limits::default()).map_err(WireError::new)
            }
        }
    }
}

impl WireError {
    fn new(error: impl fmt::Display) -> Self {
        Self { reason: error.to_string().into() }
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            r#type: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Data<'a>>,
            uid: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            nsp: Option<&'a str>,
        }
        let written = Written {
            r#type: self.message.kind(),
            data: Data::of(&self.message),
            uid: self.uid.as_str(),
            nsp: self.nsp.as_deref(),
        };
        written.serialize(serializer)
    }
}

/// The data of a message, with the fields in the order of the reference.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Broadcast {
        packet: Packet<'a>,
        #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
        request: Option<&'a RequestId>,
        opts: &'a Options,
    },
    Rooms {
        opts: &'a Options,
        rooms: List<'a>,
    },
    Disconnect {
        opts: &'a Options,
        close: bool,
    },
    Fetch {
        opts: &'a Options,
        #[serde(rename = "requestId")]
        request: &'a RequestId,
    },
    Fetched {
        #[serde(rename = "requestId")]
        request: &'a RequestId,
        sockets: &'a [Details],
    },
    ServerSideEmit {
        #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
        request: Option<&'a RequestId>,
        packet: Listed<'a>,
    },
    Answer {
        #[serde(rename = "requestId")]
        request: &'a RequestId,
        #[serde(skip_serializing_if = "is_nothing")]
        packet: First<'a>,
    },
    Count {
        #[serde(rename = "requestId")]
        request: &'a RequestId,
        #[serde(rename = "clientCount")]
        clients: u64,
    },
}

#[derive(Serialize)]
struct Packet<'a> {
    r#type: u8,
    data: Listed<'a>,
}

/// JavaScript leaves `undefined` out.
fn is_nothing(answer: &First<'_>) -> bool {
    answer.0.is_empty()
}

impl<'a> Data<'a> {
    fn of(message: &'a Message) -> Option<Self> {
        Some(match message {
            Message::InitialHeartbeat | Message::Heartbeat | Message::AdapterClose => return None,
            Message::Broadcast { event, request, options: opts } => {
                // Events with bytes keep the type of those without.
                let packet = Packet { r#type: EVENT, data: Listed(event) };
                Self::Broadcast { packet, request: request.as_ref(), opts }
            }
            Message::SocketsJoin { options: opts, rooms }
            | Message::SocketsLeave { options: opts, rooms } => Self::Rooms { opts, rooms: List(rooms) },
            Message::DisconnectSockets { options: opts, close } => Self::Disconnect { opts, close: *close },
            Message::FetchSockets { options: opts, request } => Self::Fetch { opts, request },
            Message::FetchSocketsResponse { request, sockets } => Self::Fetched { request, sockets },
            Message::ServerSideEmit { request, event } => {
                Self::ServerSideEmit { request: request.as_ref(), packet: Listed(event) }
            }
            Message::ServerSideEmitResponse { request, answer }
            | Message::BroadcastAck { request, answer } => Self::Answer { request, packet: First(answer) },
            Message::BroadcastClientCount { request, clients } => Self::Count { request, clients: *clients },
        })
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            rooms: List<'a>,
            except: List<'a>,
            flags: &'a Flags,
        }
        let Selector { rooms, except } = &self.selector;
        Written { rooms: List(rooms), except: List(except), flags: &self.flags }.serialize(serializer)
    }
}

struct List<'a>(&'a [Room]);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|room| &**room))
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            #[serde(skip_serializing_if = "core::ops::Not::not")]
            volatile: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            compress: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            timeout: Option<u64>,
        }
        let timeout = self.timeout.map(|timeout| timeout.as_millis().try_into().unwrap_or(u64::MAX));
        let compress = (self.compress == Compression::Forbidden).then_some(false);
        Written { volatile: self.volatile, compress, timeout }.serialize(serializer)
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            id: &'a str,
            handshake: &'a Value,
            rooms: List<'a>,
            data: &'a Value,
        }
        let Self { id, handshake, rooms, data } = self;
        Written { id: id.as_str(), handshake, rooms: List(rooms), data }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let (mut kind, mut message, mut early, mut uid, mut nsp) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "type" => kind = Some(map.next_value::<u8>()?),
                "data" => match kind {
                    Some(kind) => message = Some(map.next_value_seed(DataSeed(kind))?),
                    // Only the type says what the data mean: kept until it is known.
                    None => early = Some(map.next_value::<Answer>()?.0),
                },
                "uid" => uid = Some(NodeId::from(&*map.next_value::<Text<'de>>()?.0)),
                "nsp" => {
                    let name = map.next_value::<Text<'de>>()?.0;
                    nsp = Some(Nsp::new(&name).map_err(A::Error::custom)?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        let message = match (message, early) {
            (Some(message), _) => message,
            (None, Some(early)) => early.read_first(DataSeed(kind)).map_err(A::Error::custom)?,
            (None, None) => without_data(kind).ok_or_else(|| A::Error::missing_field("data"))?,
        };
        Ok(Envelope { message, uid: uid.ok_or_else(|| A::Error::missing_field("uid"))?, nsp })
    }
}

fn without_data(kind: u8) -> Option<Message> {
    Some(match kind {
        1 => Message::InitialHeartbeat,
        2 => Message::Heartbeat,
        13 => Message::AdapterClose,
        _ => return None,
    })
}

/// Reads the data of a message of this type.
struct DataSeed(u8);

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Message, D::Error> {
        if let Some(message) = without_data(self.0) {
            IgnoredAny::deserialize(from)?;
            return Ok(message);
        }
        Ok(match self.0 {
            3 => {
                let BroadcastData { packet, request, opts } = Deserialize::deserialize(from)?;
                Message::Broadcast { event: packet.data.0, request, options: opts }
            }
            4 => {
                let RoomsData { opts, rooms } = Deserialize::deserialize(from)?;
                Message::SocketsJoin { options: opts, rooms: rooms.0 }
            }
            5 => {
                let RoomsData { opts, rooms } = Deserialize::deserialize(from)?;
                Message::SocketsLeave { options: opts, rooms: rooms.0 }
            }
            6 => {
                let DisconnectData { opts, close } = Deserialize::deserialize(from)?;
                Message::DisconnectSockets { options: opts, close }
            }
            7 => {
                let FetchData { opts, request } = Deserialize::deserialize(from)?;
                Message::FetchSockets { options: opts, request }
            }
            8 => {
                let FetchedData { request, sockets } = Deserialize::deserialize(from)?;
                Message::FetchSocketsResponse { request, sockets }
            }
            9 => {
                let EmitData { request, packet } = Deserialize::deserialize(from)?;
                Message::ServerSideEmit { request, event: packet.0 }
            }
            10 => {
                let AnswerData { request, packet } = Deserialize::deserialize(from)?;
                Message::ServerSideEmitResponse { request, answer: packet.0 }
            }
            11 => {
                let CountData { request, clients } = Deserialize::deserialize(from)?;
                Message::BroadcastClientCount { request, clients }
            }
            12 => {
                let AnswerData { request, packet } = Deserialize::deserialize(from)?;
                Message::BroadcastAck { request, answer: packet.0 }
            }
            kind => return Err(D::Error::invalid_value(Unexpected::Unsigned(kind.into()), &"a known type")),
        })
    }
}

#[derive(Deserialize)]
struct BroadcastData {
    packet: ReadPacket,
    #[serde(rename = "requestId", default)]
    request: Option<RequestId>,
    opts: Options,
}

#[derive(Deserialize)]
struct ReadPacket {
    #[serde(rename = "type", deserialize_with = "event_type")]
    _kind: (),
    data: EventList,
}

#[derive(Deserialize)]
struct RoomsData {
    opts: Options,
    rooms: RoomList,
}

#[derive(Deserialize)]
struct DisconnectData {
    opts: Options,
    #[serde(default)]
    close: bool,
}

#[derive(Deserialize)]
struct FetchData {
    opts: Options,
    #[serde(rename = "requestId")]
    request: RequestId,
}

#[derive(Deserialize)]
struct FetchedData {
    #[serde(rename = "requestId")]
    request: RequestId,
    sockets: Vec<Details>,
}

#[derive(Deserialize)]
struct EmitData {
    #[serde(rename = "requestId", default)]
    request: Option<RequestId>,
    packet: EventList,
}

#[derive(Deserialize)]
struct AnswerData {
    #[serde(rename = "requestId")]
    request: RequestId,
    #[serde(default)]
    packet: Answer,
}

#[derive(Deserialize)]
struct CountData {
    #[serde(rename = "requestId")]
    request: RequestId,
    #[serde(rename = "clientCount")]
    clients: u64,
}

/// The packet of a broadcast is an event; nothing else is ever broadcast.
fn event_type<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    match u8::deserialize(from)? {
        EVENT | BINARY_EVENT => Ok(()),
        kind => Err(D::Error::invalid_value(Unexpected::Unsigned(kind.into()), &"an event")),
    }
}

/// `[name, …arguments]`.
struct EventList(Event);

impl<'de> Deserialize<'de> for EventList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct EventVisitor;

        impl<'de> Visitor<'de> for EventVisitor {
            type Value = EventList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<EventList, A::Error> {
                let name: Text<'de> =
                    seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                Ok(EventList(Event::new(name.0, Args::rest(seq)?)))
            }
        }

        from.deserialize_seq(EventVisitor)
    }
}

/// One value as an argument.
#[derive(Default)]
struct Answer(Args);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Args::single(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Text::deserialize(from).map(|text| Self::from(&*text.0))
    }
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Read {
            #[serde(default)]
            rooms: RoomList,
            #[serde(default)]
            except: RoomList,
            #[serde(default)]
            flags: Option<ReadFlags>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct ReadFlags {
            volatile: Option<bool>,
            compress: Option<bool>,
            timeout: Option<f64>,
        }
        let Read { rooms, except, flags } = Read::deserialize(from)?;
        let ReadFlags { volatile, compress, timeout } = flags.unwrap_or_default();
        let compress = if compress == Some(false) { Compression::Forbidden } else { Compression::Allowed };
        // The cast saturates, and makes nothing of what is no number.
        let timeout = timeout.map(|timeout| Duration::from_millis(timeout as u64));
        Ok(Self {
            selector: Selector { rooms: rooms.0, except: except.0 },
            flags: Flags { volatile: volatile.unwrap_or(false), compress, timeout },
        })
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Read {
            id: String,
            #[serde(default)]
            handshake: Value,
            #[serde(default)]
            rooms: RoomList,
            #[serde(default)]
            data: Value,
        }
        let Read { id, handshake, rooms, data } = Read::deserialize(from)?;
        Ok(Self { id: Sid::from(id.as_str()), handshake, rooms: rooms.0, data })
    }
}

#[derive(Default)]
struct RoomList(Vec<Room>);

impl<'de> Deserialize<'de> for RoomList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rooms = Vec::<Text<'de>>::deserialize(from)?;
        Ok(Self(rooms.into_iter().map(|room| Room::from(&*room.0)).collect()))
    }
}

/// Text, or a number, which JavaScript takes for a name as well.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor<'de>(PhantomData<&'de str>);

        impl<'de> Visitor<'de> for TextVisitor<'de> {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }

        from.deserialize_any(TextVisitor(PhantomData))
    }
}

const EVENT: u8 = 2;
const BINARY_EVENT: u8 = 5;
