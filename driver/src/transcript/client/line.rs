//! The lines of a client's transcript: see [the server's](super::super::Line).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_core::Instant;
use socketio_core::engine::client::Input;
use socketio_core::socket::client::{Config, Delivery, Event, Output, Reconnection, SocketConfig};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Args, Encoded};

use super::remote::{self, Again, Settings};
use crate::transcript::line::{Data, Packet, binaries};
use crate::transcript::{remote as common, tape};

/// One thing that happened to one client. [`Display`](fmt::Display) is a line of JSON, which serde reads back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Tells the clients of one process apart.
    pub connection: u64,
    /// When: microseconds on the clock of its runtime. For what takes no time of its own, that of what came before.
    #[serde(with = "common::micros")]
    pub at: Instant,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The client was made. The first line.
    Made(Box<Made>),
    /// The network said something.
    In(#[serde(with = "remote::InputDef")] Input),
    /// A deadline had come, and the manager was told.
    Due {},
    /// The application did something.
    Do(Command),
    /// The command before was not carried out, for this reason.
    Failed(String),
    /// The manager had something to say, and was asked.
    Out(Out),
    /// More happened than could be written down. The last line.
    BrokenOff {},
}

/// The terms on which a client was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// Where chance comes from.
    pub seed: u64,
    /// Everything that can be set.
    pub config: Settings,
}

/// What the application did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the methods of `Manager` of that name, and their arguments")]
pub enum Command {
    Socket {
        nsp: String,
        #[serde(with = "remote::SocketDef")]
        config: SocketConfig,
    },
    Remove {
        slot: u32,
    },
    Open,
    Close,
    CloseEngine,
    Abandon,
    Connect {
        slot: u32,
    },
    Disconnect {
        slot: u32,
    },
    Discard {
        slot: u32,
    },
    SetReconnection(Option<Again>),
    SetTimeout(Option<Duration>),
    SetQuery(Vec<(String, String)>),
    Authenticate {
        slot: u32,
        ticket: u64,
        auth: Option<Value>,
    },
    FailAuthentication {
        slot: u32,
        ticket: u64,
        reason: String,
    },
    Send {
        slot: u32,
        packet: Packet,
        volatile: bool,
    },
    /// The packet is the event without an id.
    SendWithAck {
        slot: u32,
        packet: Packet,
        volatile: bool,
        timeout: Option<Duration>,
    },
    ForgetAck {
        slot: u32,
        id: u64,
    },
    /// An acknowledgement, for the event of that id that came on that connection of the socket.
    SendReply {
        slot: u32,
        id: u64,
        epoch: u64,
        packet: Packet,
    },
}

/// What a manager said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Out {
    /// Start a GET.
    Get(u64, String),
    /// Start a POST.
    Post(u64, String, Data),
    /// Give up a request.
    Abort(u64),
    /// Open a websocket.
    WsConnect(u64, String),
    /// Send a frame on a websocket.
    WsSend(u64, Data),
    /// Close a websocket.
    WsClose(u64),
    /// Tell the application.
    Event(OutEvent),
}

/// What a manager told the application. Errors and reasons are written with all they hold, as `Debug` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the events of that name, and their fields")]
pub enum OutEvent {
    Open {},
    Error(String),
    Close(String),
    ReconnectAttempt(u32),
    Reconnect(u32),
    ReconnectError(String),
    ReconnectFailed {},
    Ping {},
    Packet(String),
    Upgraded(String),
    UpgradeFailed(String),
    AuthNeeded { slot: u32, ticket: u64 },
    Connected { slot: u32, sid: String, recovered: bool },
    ConnectError { slot: u32, error: String },
    Disconnected { slot: u32, reason: String },
    Emit { slot: u32, name: String, args: Data, attachments: Vec<Data>, reply: Option<(u64, u64)> },
    Acked { args: Data, attachments: Vec<Data> },
    AckFailed(String),
    Drained { slot: u32 },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl tape::Entry for Entry {
    fn failed(reason: String) -> Self {
        Self::Failed(reason)
    }

    fn broken_off() -> Self {
        Self::BrokenOff {}
    }
}

impl From<Command> for Entry {
    fn from(command: Command) -> Self {
        Self::Do(command)
    }
}

impl Made {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        Self { seed, config: Settings::of(config) }
    }
}

impl Command {
    pub(super) fn socket(nsp: &str, config: SocketConfig) -> Self {
        Self::Socket { nsp: nsp.into(), config }
    }

    pub(super) fn set_reconnection(reconnection: Option<Reconnection>) -> Self {
        Self::SetReconnection(reconnection.map(Again))
    }

    pub(super) fn send(slot: Slot, encoded: &Encoded, delivery: Delivery) -> Self {
        Self::Send { slot: slot.0, packet: Packet::of(encoded), volatile: delivery == Delivery::Volatile }
    }

    pub(super) fn send_with_ack(
        slot: Slot,
        encoded: &Encoded,
        delivery: Delivery,
        timeout: Option<Duration>,
    ) -> Self {
        let volatile = delivery == Delivery::Volatile;
        Self::SendWithAck { slot: slot.0, packet: Packet::of(encoded), volatile, timeout }
    }
}

impl Out {
    /// What `output` looks like in a transcript. Who waits for an acknowledgement is not part of it.
    pub fn of<W>(output: &Output<W>) -> Self {
        match output {
            Output::Get(lane, target) => Self::Get(lane.0, target.clone()),
            Output::Post(lane, target, body) => Self::Post(lane.0, target.clone(), Data::of_bytes(body)),
            Output::Abort(lane) => Self::Abort(lane.0),
            Output::WsConnect(lane, target) => Self::WsConnect(lane.0, target.clone()),
            Output::WsSend(lane, frame, _) => Self::WsSend(lane.0, Data::of_frame(frame)),
            Output::WsClose(lane) => Self::WsClose(lane.0),
            Output::Event(event) => Self::Event(OutEvent::of(event)),
        }
    }
}

impl OutEvent {
    fn of<W>(event: &Event<W>) -> Self {
        match event {
            Event::Open => Self::Open {},
            Event::Error(error) => Self::Error(format!("{error:?}")),
            Event::Close(reason) => Self::Close(format!("{reason:?}")),
            Event::ReconnectAttempt(n) => Self::ReconnectAttempt(*n),
            Event::Reconnect(n) => Self::Reconnect(*n),
            Event::ReconnectError(error) => Self::ReconnectError(format!("{error:?}")),
            Event::ReconnectFailed => Self::ReconnectFailed {},
            Event::Ping => Self::Ping {},
            Event::Packet(packet) => Self::Packet(format!("{packet:?}")),
            Event::Upgraded(transport) => Self::Upgraded(transport.name().into()),
            Event::UpgradeFailed(error) => Self::UpgradeFailed(format!("{error:?}")),
            Event::AuthNeeded { slot, ticket } => Self::AuthNeeded { slot: slot.0, ticket: ticket.number() },
            Event::Connected { slot, sid, recovered } => {
                Self::Connected { slot: slot.0, sid: sid.as_str().into(), recovered: *recovered }
            }
            Event::ConnectError { slot, error } => {
                Self::ConnectError { slot: slot.0, error: format!("{error:?}") }
            }
            Event::Disconnected { slot, reason } => {
                Self::Disconnected { slot: slot.0, reason: format!("{reason:?}") }
            }
            Event::Emit { slot, event, reply } => {
                let (args, attachments) = parts(event.args());
                let reply = reply.as_ref().map(|reply| (reply.id().0, reply.epoch()));
                Self::Emit { slot: slot.0, name: event.name().into(), args, attachments, reply }
            }
            Event::Acked { args, .. } => {
                let (args, attachments) = parts(args);
                Self::Acked { args, attachments }
            }
            Event::AckFailed { error, .. } => Self::AckFailed(error.to_string()),
            Event::Drained { slot } => Self::Drained { slot: slot.0 },
        }
    }
}

fn parts(args: &Args) -> (Data, Vec<Data>) {
    (Data::of_raw(args.raw()), binaries(args.attachments()))
}
