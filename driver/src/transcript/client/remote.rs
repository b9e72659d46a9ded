//! How types of the core's client are written in a transcript: see [the server's](super::super::remote).

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use socketio_core::engine::Transport;
use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::client::{self as engine, Failure, Input, ProxyFault, Timestamps, TlsFault};
use socketio_core::engine::packet::{BinaryEncoding, Frame};
use socketio_core::socket::client::{Config, QueueLimits, Reconnection, Retries, SocketConfig};
use socketio_core::socket::{Codec, Limits};
use socketio_core::{Bytes, Lane, Str};

use crate::transcript::remote::{BinaryDef, BufferDef, LaneDef, LimitsDef, body, codec, duration, frame};

/// What holds for a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Engine.IO.
    #[serde(with = "EngineDef")]
    pub engine: engine::Config,
    /// How packets are written.
    #[serde(with = "codec")]
    pub codec: Codec,
    /// Bounds of one packet.
    #[serde(with = "LimitsDef")]
    pub limits: Limits,
    /// Whether every packet that arrives is told.
    pub report_packets: bool,
    /// Time a packet may wait for its attachments.
    #[serde(with = "duration")]
    pub attachment_timeout: Duration,
    /// How the connection is made again.
    pub reconnection: Option<Again>,
    /// Time to make the connection.
    pub timeout: Option<Duration>,
    /// Bounds of what a socket holds back.
    #[serde(with = "QueueDef")]
    pub send_queue: QueueLimits,
    /// Bounds of what arrives before a socket is connected.
    #[serde(with = "QueueDef")]
    pub receive_queue: QueueLimits,
    /// Most acknowledgements one socket waits for.
    pub max_pending_acks: usize,
}

/// How a connection is made again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Again(#[serde(with = "ReconnectionDef")] pub Reconnection);

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let Config {
            engine,
            codec,
            limits,
            report_packets,
            attachment_timeout,
            reconnection,
            timeout,
            send_queue,
            receive_queue,
            max_pending_acks,
        } = config;
        Self {
            engine: (**engine).clone(),
            codec: *codec,
            limits: limits.clone(),
            report_packets: *report_packets,
            attachment_timeout: *attachment_timeout,
            reconnection: reconnection.map(Again),
            timeout: *timeout,
            send_queue: *send_queue,
            receive_queue: *receive_queue,
            max_pending_acks: *max_pending_acks,
        }
    }

    pub(super) fn config(&self) -> Config {
        let this = self.clone();
        Config {
            engine: this.engine.into(),
            codec: this.codec,
            limits: this.limits,
            report_packets: this.report_packets,
            attachment_timeout: this.attachment_timeout,
            reconnection: this.reconnection.map(|Again(reconnection)| reconnection),
            timeout: this.timeout,
            send_queue: this.send_queue,
            receive_queue: this.receive_queue,
            max_pending_acks: this.max_pending_acks,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "engine::Config")]
struct EngineDef {
    path: String,
    query: Vec<(String, String)>,
    #[serde(with = "transport_options")]
    transport_options: Vec<(Transport, engine::TransportConfig)>,
    #[serde(with = "transports")]
    transports: Vec<Transport>,
    try_all_transports: bool,
    upgrade: bool,
    remember_upgrade: bool,
    #[serde(with = "duration")]
    upgrade_timeout: Duration,
    #[serde(with = "TimestampsDef")]
    timestamps: Timestamps,
    timestamp_param: String,
    #[serde(with = "BinaryDef")]
    binary: BinaryEncoding,
    request_timeout: Option<Duration>,
    max_message_bytes: usize,
    max_payload_packets: usize,
    #[serde(with = "BufferDef")]
    buffer: BufferLimits,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Timestamps", rename_all = "snake_case")]
enum TimestampsDef {
    Polling,
    All,
    None,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueLimits")]
struct QueueDef {
    max_packets: usize,
    max_bytes: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Reconnection")]
struct ReconnectionDef {
    max_attempts: Option<u32>,
    #[serde(with = "duration")]
    delay: Duration,
    #[serde(with = "duration")]
    max_delay: Duration,
    #[serde(with = "fraction")]
    jitter: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SocketConfig")]
pub(super) struct SocketDef {
    ack_timeout: Option<Duration>,
    #[serde(with = "retries")]
    retries: Option<Retries>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Input", rename_all = "snake_case")]
pub(super) enum InputDef {
    Response(#[serde(with = "LaneDef")] Lane, u16, #[serde(with = "body")] Bytes),
    WsOpened(#[serde(with = "LaneDef")] Lane),
    WsFrame(#[serde(with = "LaneDef")] Lane, #[serde(with = "frame")] Frame),
    Flushed(#[serde(with = "LaneDef")] Lane),
    WsClosed(#[serde(with = "LaneDef")] Lane),
    Failed(#[serde(with = "LaneDef")] Lane, #[serde(with = "FailureDef")] Failure),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Failure", rename_all = "snake_case")]
enum FailureDef {
    Unresolved,
    Refused,
    LocalAddress,
    Unreachable,
    Tls(#[serde(with = "TlsDef")] TlsFault),
    Proxy(#[serde(with = "ProxyDef")] ProxyFault),
    Connection,
    Status {
        status: u16,
        #[serde(with = "text")]
        body: Str,
    },
    TooLarge,
    TimedOut,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TlsFault", rename_all = "snake_case")]
enum TlsDef {
    UnknownIssuer,
    WrongName,
    Expired,
    NotYetValid,
    BadCertificate,
    Refused,
    NotTls,
    Other,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProxyFault", rename_all = "snake_case")]
enum ProxyDef {
    Unresolved,
    Unreachable,
    Tls(#[serde(with = "TlsDef")] TlsFault),
    Credentials,
    Refused(u16),
    Connection,
}

/// Transports, by name.
mod transports {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        transports: &[Transport],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(transports.iter().map(|transport| transport.name()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Transport>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|name| named(name)).collect()
    }

    pub(super) fn named<E: serde::de::Error>(name: &str) -> Result<Transport, E> {
        let all = [Transport::Polling, Transport::Websocket, Transport::Webtransport];
        all.into_iter()
            .find(|transport| transport.name() == name)
            .ok_or_else(|| E::custom("no such transport"))
    }
}

/// What holds for one transport alone.
mod transport_options {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Own {
        transport: String,
        path: Option<String>,
        query: Option<Vec<(String, String)>>,
    }

    pub(super) fn serialize<S: Serializer>(
        options: &[(Transport, engine::TransportConfig)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(options.iter().cloned().map(|(transport, own)| Own {
            transport: transport.name().into(),
            path: own.path,
            query: own.query,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Transport, engine::TransportConfig)>, D::Error> {
        let all = Vec::<Own>::deserialize(deserializer)?;
        let read = |own: Own| {
            let config = engine::TransportConfig { path: own.path, query: own.query };
            Ok((transports::named(&own.transport)?, config))
        };
        all.into_iter().map(read).collect()
    }
}

/// How often, and how long.
mod retries {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        retries: &Option<Retries>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        retries.map(|Retries { count, ack_timeout }| (count, ack_timeout)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Retries>, D::Error> {
        let read = Option::<(u32, Duration)>::deserialize(deserializer)?;
        Ok(read.map(|(count, ack_timeout)| Retries { count, ack_timeout }))
    }
}

/// A number that must be the same to the last bit, which serde_json does not promise.
mod fraction {
    use serde::de::Error as _;

    use super::*;

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Text.
mod text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(text: &Str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Str, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}
