//! How types of the core are written in a transcript. Each definition lists all fields or variants of its original: one
//! more there does not compile here.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::close::TransportFault;
use socketio_core::engine::packet::{BinaryEncoding, Message};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{self as engine, Input};
use socketio_core::peer::Config;
use socketio_core::socket::server as socket;
use socketio_core::socket::{Codec, Limits};
use socketio_core::{Bytes, Lane};

use super::line::Data;

/// What holds for every client of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Engine.IO.
    #[serde(with = "EngineDef")]
    pub engine: engine::Config,
    /// Socket.IO.
    #[serde(with = "SocketDef")]
    pub socket: socket::Config,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let Config { engine, socket } = config;
        Self { engine: (**engine).clone(), socket: socket.clone() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "engine::Config")]
struct EngineDef {
    #[serde(with = "duration")]
    ping_interval: Duration,
    #[serde(with = "duration")]
    ping_timeout: Duration,
    #[serde(with = "duration")]
    upgrade_timeout: Duration,
    max_payload_bytes: usize,
    max_payload_packets: usize,
    #[serde(with = "BufferDef")]
    buffer: BufferLimits,
    #[serde(with = "message")]
    initial_message: Option<Message>,
    /// Nothing depends on it.
    #[serde(skip)]
    observe: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BufferLimits")]
pub(super) struct BufferDef {
    max_frames: usize,
    max_bytes: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "socket::Config")]
struct SocketDef {
    #[serde(with = "codec")]
    codec: Codec,
    #[serde(with = "duration")]
    connect_timeout: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<Duration>,
    #[serde(with = "LimitsDef")]
    limits: Limits,
    #[serde(with = "duration")]
    attachment_timeout: Duration,
    max_namespaces: usize,
    max_pending_acks: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
pub(super) struct LimitsDef {
    max_attachments: usize,
    max_attachment_bytes: usize,
    max_nesting: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Input", rename_all = "snake_case")]
pub(super) enum InputDef {
    Poll(#[serde(with = "LaneDef")] Lane),
    Post(#[serde(with = "LaneDef")] Lane, #[serde(with = "FormDef")] Form),
    PostBody(#[serde(with = "LaneDef")] Lane, #[serde(with = "body")] Bytes),
    PostTooLarge(#[serde(with = "LaneDef")] Lane),
    WsOpen(#[serde(with = "LaneDef")] Lane, #[serde(with = "BinaryDef")] BinaryEncoding),
    WsFrame(#[serde(with = "LaneDef")] Lane, #[serde(with = "frame")] socketio_core::engine::packet::Frame),
    WsFault(#[serde(with = "LaneDef")] Lane, #[serde(with = "FaultDef")] TransportFault),
    Flushed(#[serde(with = "LaneDef")] Lane),
    LaneGone(#[serde(with = "LaneDef")] Lane),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lane")]
pub(super) struct LaneDef(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Form", rename_all = "snake_case")]
enum FormDef {
    Text,
    Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BinaryEncoding", rename_all = "snake_case")]
pub(crate) enum BinaryDef {
    Raw,
    Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TransportFault", rename_all = "snake_case")]
enum FaultDef {
    Connection,
    Content,
    HeartbeatDirection,
    MessageTooLarge,
    PollOverlap,
    PollClosed,
    PostClosed,
    PostOverlap,
    SlowConsumer,
}

/// The name of a parser. One of the application's own can be written down, but not read back: it is code.
pub(super) mod codec {
    use serde::de::Error as _;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(codec: &Codec, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match codec {
            Codec::Text => "text",
            Codec::Msgpack => "msgpack",
            Codec::Custom(_) => "custom",
        };
        serializer.serialize_str(name)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Codec, D::Error> {
        match &*String::deserialize(deserializer)? {
            "text" => Ok(Codec::Text),
            "msgpack" => Ok(Codec::Msgpack),
            "custom" => {
                Err(D::Error::custom("a parser of the application's own is not part of a transcript"))
            }
            _ => Err(D::Error::custom("no such parser")),
        }
    }
}

/// A point in time, as microseconds.
pub(super) mod micros {
    use socketio_core::Instant;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        at.as_micros().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        u64::deserialize(deserializer).map(Instant::from_micros)
    }
}

/// A duration, as microseconds.
pub(super) mod duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// Bytes, as text.
pub(super) mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Into::into).map_err(D::Error::custom)
    }
}

/// The body of a request.
pub(super) mod body {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        Data::of_bytes(bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Data::deserialize(deserializer).map(Data::into_bytes)
    }
}

/// A websocket message.
pub(super) mod frame {
    use socketio_core::engine::packet::Frame;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(frame: &Frame, serializer: S) -> Result<S::Ok, S::Error> {
        Data::of_frame(frame).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Frame, D::Error> {
        Data::deserialize(deserializer).map(Data::into_frame)
    }
}

/// A message of the engine, if there is one.
mod message {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        message: &Option<Message>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let data = message.as_ref().map(|message| match message {
            Message::Text(text) => Data::Text((**text).into()),
            Message::Binary(bytes) => Data::Base64(bytes.clone()),
        });
        data.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Message>, D::Error> {
        let data = Option::<Data>::deserialize(deserializer)?;
        Ok(data.map(|data| match data {
            Data::Text(text) => Message::Text(text.into()),
            Data::Base64(bytes) => Message::Binary(bytes),
        }))
    }
}
