//! The lines of a transcript. Inputs and commands can be read back; outputs are there to be compared.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_core::engine::http::Jsonp;
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::engine::{Revision, Transport};
use socketio_core::peer::{Config, Delivery, Event, Output};
use socketio_core::socket::server::{self as socket, Slot};
use socketio_core::socket::{Args, Encoded, Payload, Raw};
use socketio_core::{AckId, Bytes, Instant, Lane, Sid};

use super::{remote, tape};

/// One thing that happened to one client. [`Display`](fmt::Display) is a line of JSON, which serde reads back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Tells the clients of one process apart.
    pub client: u64,
    /// When: microseconds on the server's own clock. For what takes no time of its own, that of what came before.
    #[serde(with = "remote::micros")]
    pub at: Instant,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The session opened. The first line of a client.
    Open(Box<Opened>),
    /// The network said something.
    In(#[serde(with = "remote::InputDef")] Input),
    /// A deadline had come, and the peer was told.
    Due {},
    /// The application did something.
    Do(Command),
    /// The command before was not carried out, for this reason.
    Failed(String),
    /// The peer had something to say, and was asked.
    Out(Out),
    /// More happened than could be written down. The last line of a client.
    BrokenOff {},
}

/// The terms on which a session opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// On which transport.
    pub transport: String,
    /// The lane of its first request, or of its websocket.
    pub lane: u64,
    /// Its secret id.
    pub sid: String,
    /// The Engine.IO revision, 3 or 4.
    pub revision: u8,
    /// Whether binary data is written in base64.
    pub base64: bool,
    /// The index of the callback that polls are answered with, if the client polls by script tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonp: Option<String>,
    /// The transports it was told it may upgrade to.
    pub upgrades: Vec<String>,
    /// What holds for every client of the server.
    pub config: remote::Settings,
}

/// What the application did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the arguments of the method of that name")]
pub enum Command {
    /// [`Peer::accept`](socketio_core::peer::Peer::accept).
    Accept { slot: u32, sid: String, pid: Option<String> },
    /// [`Peer::refuse`](socketio_core::peer::Peer::refuse).
    Refuse { slot: u32, message: String, data: Option<Value> },
    /// [`Peer::refuse_unknown`](socketio_core::peer::Peer::refuse_unknown).
    RefuseUnknown { slot: u32 },
    /// [`Peer::send`](socketio_core::peer::Peer::send).
    Send { slot: u32, packet: Packet, volatile: bool },
    /// [`Peer::send_latest`](socketio_core::peer::Peer::send_latest).
    SendLatest { slot: u32, name: String, packet: Packet },
    /// [`Peer::send_with_ack`](socketio_core::peer::Peer::send_with_ack), with the deadline in microseconds.
    SendWithAck { slot: u32, packet: Packet, id: u64, deadline: Option<u64> },
    /// [`Peer::forget_ack`](socketio_core::peer::Peer::forget_ack).
    ForgetAck { slot: u32, id: u64 },
    /// [`Peer::leave`](socketio_core::peer::Peer::leave).
    Leave { slot: u32 },
    /// [`Peer::disconnect`](socketio_core::peer::Peer::disconnect).
    Disconnect,
    /// [`Peer::close`](socketio_core::peer::Peer::close).
    Close,
    /// [`Peer::shut_down`](socketio_core::peer::Peer::shut_down).
    ShutDown,
    /// [`Peer::wind_down`](socketio_core::peer::Peer::wind_down).
    WindDown,
    /// [`Peer::give_up`](socketio_core::peer::Peer::give_up).
    GiveUp,
}

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Out {
    /// Answer a request.
    Respond {
        /// Which.
        lane: u64,
        /// The status code.
        status: u16,
        /// The header fields, a `name: value` each.
        headers: Vec<String>,
        /// The body.
        body: Data,
    },
    /// Break off a request.
    Abort(u64),
    /// Send a frame on a websocket.
    WsSend(u64, Data),
    /// Close a websocket.
    WsClose(u64),
    /// Tell the application.
    Event(OutEvent),
}

/// What a peer told the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the fields of the event of that name")]
pub enum OutEvent {
    /// A client wants to join a namespace.
    ConnectRequest { slot: u32, nsp: String, auth: Option<Data> },
    /// An event arrived.
    Emit { slot: u32, ack: Option<u64>, name: String, args: Data, attachments: Vec<Data> },
    /// An acknowledgement arrived.
    Acked { args: Data, attachments: Vec<Data> },
    /// An acknowledgement will not come, for this reason.
    AckFailed(String),
    /// A socket left.
    Left { slot: u32, reason: String },
    /// The client broke the protocol in this way.
    Violation(String),
    /// The session moved to this transport.
    Upgraded(String),
    /// There is room again.
    Drained {},
    /// The client is gone, for this reason.
    Closed(String),
}

/// A packet, as its frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// The frame that begins it.
    pub head: Data,
    /// Those that follow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Data>,
    /// Whether a transport may not compress it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncompressed: bool,
}

/// Bytes: as text if they were text, else in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Text.
    Text(String),
    /// Anything else.
    Base64(#[serde(with = "remote::base64")] Bytes),
}

impl tape::Entry for Entry {
    fn failed(reason: String) -> Self {
        Self::Failed(reason)
    }

    fn broken_off() -> Self {
        Self::BrokenOff {}
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<Command> for Entry {
    fn from(command: Command) -> Self {
        Self::Do(command)
    }
}

impl Opened {
    pub(super) fn polling(lane: Lane, opening: &Opening, config: &Config) -> Self {
        Self::new(Transport::Polling, lane, opening, config)
    }

    pub(super) fn websocket(lane: Lane, opening: &Opening, config: &Config) -> Self {
        Self::new(Transport::Websocket, lane, opening, config)
    }

    fn new(transport: Transport, lane: Lane, opening: &Opening, config: &Config) -> Self {
        let format = &opening.format;
        Self {
            transport: transport.name().into(),
            lane: lane.0,
            sid: opening.sid.as_str().into(),
            revision: match format.revision {
                Revision::V3 => 3,
                Revision::V4 => 4,
            },
            base64: format.binary == socketio_core::engine::packet::BinaryEncoding::Base64,
            jsonp: format.jsonp.as_ref().map(Jsonp::index).map(Into::into),
            upgrades: opening.upgrades.iter().map(|transport| transport.name().into()).collect(),
            config: remote::Settings::of(config),
        }
    }
}

impl Command {
    pub(super) fn accept(slot: Slot, sid: &Sid, pid: Option<&Sid>) -> Self {
        Self::Accept { slot: slot.0, sid: sid.as_str().into(), pid: pid.map(|pid| pid.as_str().into()) }
    }

    pub(super) fn refuse<T: Serialize>(slot: Slot, message: &str, data: Option<&T>) -> Self {
        // What does not serialize makes the command fail, and its replay with `null` does not: the reader is told.
        let data = data.map(|data| serde_json::to_value(data).unwrap_or_default());
        Self::Refuse { slot: slot.0, message: message.into(), data }
    }

    pub(super) fn send(slot: Slot, encoded: &Encoded, delivery: Delivery) -> Self {
        Self::Send { slot: slot.0, packet: Packet::of(encoded), volatile: delivery == Delivery::Volatile }
    }

    pub(super) fn send_latest(slot: Slot, name: &str, encoded: &Encoded) -> Self {
        Self::SendLatest { slot: slot.0, name: name.into(), packet: Packet::of(encoded) }
    }

    pub(super) fn send_with_ack(slot: Slot, encoded: &Encoded, id: AckId, deadline: Option<Instant>) -> Self {
        let deadline = deadline.map(Instant::as_micros);
        Self::SendWithAck { slot: slot.0, packet: Packet::of(encoded), id: id.0, deadline }
    }
}

impl Packet {
    pub(super) fn of(encoded: &Encoded) -> Self {
        Self {
            head: Data::of_frame(encoded.head()),
            attachments: binaries(encoded.attachments()),
            uncompressed: encoded.compression() == socketio_core::engine::buffer::Compression::Forbidden,
        }
    }
}

impl Out {
    /// What `output` looks like in a transcript. Who waits for an acknowledgement is not part of it.
    pub fn of<W>(output: &Output<W>) -> Self {
        match output {
            Output::Respond(lane, response) => Self::Respond {
                lane: lane.0,
                status: response.status,
                headers: response
                    .fields()
                    .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
                    .collect(),
                body: Data::of_bytes(&response.body),
            },
            Output::Abort(lane) => Self::Abort(lane.0),
            Output::WsSend(lane, frame, _) => Self::WsSend(lane.0, Data::of_frame(frame)),
            Output::WsClose(lane) => Self::WsClose(lane.0),
            Output::Event(event) => Self::Event(OutEvent::of(event)),
        }
    }
}

impl OutEvent {
    fn of<W>(event: &Event<W>) -> Self {
        match event {
            Event::Upgraded(transport) => Self::Upgraded(transport.name().into()),
            Event::Socket(event) => Self::of_socket(event),
            Event::Drained => Self::Drained {},
            // The fault is not part of the reason's text.
            Event::Closed(reason) => Self::Closed(format!("{reason:?}")),
        }
    }

    fn of_socket<W>(event: &socket::Event<W>) -> Self {
        match event {
            socket::Event::ConnectRequest { slot, nsp, auth } => Self::ConnectRequest {
                slot: slot.0,
                nsp: nsp.to_string(),
                auth: auth.as_ref().map(Payload::raw).map(Data::of_raw),
            },
            socket::Event::Emit { slot, event } => Self::Emit {
                slot: slot.0,
                ack: event.ack.map(|id| id.0),
                name: event.name().into(),
                args: Data::of_raw(event.args().raw()),
                attachments: binaries(event.args().attachments()),
            },
            socket::Event::Acked { args, .. } => Self::acked(args),
            socket::Event::AckFailed { error, .. } => Self::AckFailed(error.to_string()),
            socket::Event::Left { slot, reason } => Self::Left { slot: slot.0, reason: reason.to_string() },
            socket::Event::Violation(error) => Self::Violation(error.to_string()),
        }
    }

    fn acked(args: &Args) -> Self {
        Self::Acked { args: Data::of_raw(args.raw()), attachments: binaries(args.attachments()) }
    }
}

impl Data {
    /// A body, which says nothing of what it is.
    pub(super) fn of_bytes(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Base64(bytes.clone()),
        }
    }

    pub(super) fn of_frame(frame: &Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text((**text).into()),
            Frame::Binary(bytes) => Self::Base64(bytes.clone()),
        }
    }

    pub(super) fn of_raw(raw: Raw<'_>) -> Self {
        match raw {
            Raw::Json(text) => Self::Text(text.into()),
            Raw::Msgpack(bytes) => Self::Base64(Bytes::copy_from_slice(bytes)),
        }
    }

    /// The frame this is.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::Text(text) => Frame::Text(text.into()),
            Self::Base64(bytes) => Frame::Binary(bytes),
        }
    }

    /// The bytes this is.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Base64(bytes) => bytes,
        }
    }
}

pub(super) fn binaries(attachments: &[Bytes]) -> Vec<Data> {
    attachments.iter().cloned().map(Data::Base64).collect()
}
