//! What nodes say to each other.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::Sid;
use crate::engine::buffer::Compression;
use crate::rooms::{Room, Selector};
use crate::socket::{Args, Event, Nsp, Value};

/// The id of a node: text that no other node of the cluster has, in ours and the reference's 16 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The id under which programs write to a cluster without being part of it. It is never counted as a node.
    pub const EMITTER: &str = "emitter";

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is no node but somebody who only writes.
    pub fn is_emitter(&self) -> bool {
        &*self.0 == Self::EMITTER
    }
}

impl From<&str> for NodeId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The text by which answers find their request. Its form is the requester's business.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A message and its sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// What is said.
    pub message: Message,
    /// Who says it.
    pub uid: NodeId,
    /// The namespace it is about. `None` where the sender left it to the channel, as some emitters do.
    pub nsp: Option<Nsp>,
}

/// What one node says to others (REFERENCE 6.3), in the order of the types 1 to 13.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A node has come; whoever hears it says so with a [`Heartbeat`](Self::Heartbeat).
    InitialHeartbeat,
    /// A node is there.
    Heartbeat,
    /// An event for clients.
    Broadcast {
        /// The event. The id under which its receivers acknowledge it is each node's own.
        event: Event,
        /// Present when acknowledgements are wanted.
        request: Option<RequestId>,
        /// For whom, and how.
        options: Options,
    },
    /// Sockets enter rooms.
    SocketsJoin {
        /// Which sockets.
        options: Options,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Sockets leave rooms.
    SocketsLeave {
        /// Which sockets.
        options: Options,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Sockets leave the namespace.
    DisconnectSockets {
        /// Which sockets.
        options: Options,
        /// Whether their connections are closed too.
        close: bool,
    },
    /// A request for sockets.
    FetchSockets {
        /// Which sockets.
        options: Options,
        /// What to answer with.
        request: RequestId,
    },
    /// The answer to it.
    FetchSocketsResponse {
        /// What it answers.
        request: RequestId,
        /// The sockets of one node.
        sockets: Vec<Details>,
    },
    /// An event for the servers themselves.
    ServerSideEmit {
        /// Present when answers are wanted.
        request: Option<RequestId>,
        /// The event.
        event: Event,
    },
    /// The answer to it.
    ServerSideEmitResponse {
        /// What it answers.
        request: RequestId,
        /// The first argument of the handler's answer, or nothing.
        answer: Args,
    },
    /// How many clients got a broadcast from one node.
    BroadcastClientCount {
        /// What it answers.
        request: RequestId,
        /// Their number.
        clients: u64,
    },
    /// One client's acknowledgement of a broadcast.
    BroadcastAck {
        /// What it answers.
        request: RequestId,
        /// Its first argument, or nothing.
        answer: Args,
    },
    /// A node goes.
    AdapterClose,
}

/// Which sockets are meant, and what else holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The rooms a socket must be in, and must not be in.
    pub selector: Selector,
    /// The rest.
    pub flags: Flags,
}

/// The flags that mean something to another node. Others are ignored; `local` messages never get here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Whether the message is dropped for clients that are not ready for it.
    pub volatile: bool,
    /// Whether transports may compress it; a boolean on the wire.
    pub compress: Compression,
    /// How long answers are waited for; milliseconds on the wire.
    pub timeout: Option<Duration>,
}

impl From<Selector> for Options {
    fn from(selector: Selector) -> Self {
        Self { selector, flags: Flags::default() }
    }
}

/// A socket of some node, as others get to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// Its public id.
    pub id: Sid,
    /// The request it came with: the object of REFERENCE 4.5.
    pub handshake: Value,
    /// The rooms it is in.
    pub rooms: Vec<Room>,
    /// What the application keeps with it.
    pub data: Value,
}

impl Message {
    /// The number of its type.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::InitialHeartbeat => 1,
            Self::Heartbeat => 2,
            Self::Broadcast { .. } => 3,
            Self::SocketsJoin { .. } => 4,
            Self::SocketsLeave { .. } => 5,
            Self::DisconnectSockets { .. } => 6,
            Self::FetchSockets { .. } => 7,
            Self::FetchSocketsResponse { .. } => 8,
            Self::ServerSideEmit { .. } => 9,
            Self::ServerSideEmitResponse { .. } => 10,
            Self::BroadcastClientCount { .. } => 11,
            Self::BroadcastAck { .. } => 12,
            Self::AdapterClose => 13,
        }
    }

    /// Whether there are bytes in it, which JSON has no place for.
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Broadcast { event, .. } | Self::ServerSideEmit { event, .. } => event.args().has_binary(),
            Self::ServerSideEmitResponse { answer, .. } | Self::BroadcastAck { answer, .. } => {
                answer.has_binary()
            }
            Self::FetchSocketsResponse { sockets, .. } => {
                sockets.iter().any(|socket| socket.handshake.has_binary() || socket.data.has_binary())
            }
            Self::InitialHeartbeat
            | Self::Heartbeat
            | Self::SocketsJoin { .. }
            | Self::SocketsLeave { .. }
            | Self::DisconnectSockets { .. }
            | Self::FetchSockets { .. }
            | Self::BroadcastClientCount { .. }
            | Self::AdapterClose => false,
        }
    }
}

/// Sixteen hexadecimal digits.
pub(super) fn hex(number: u64) -> String {
    alloc::format!("{number:016x}")
}

impl From<u64> for NodeId {
    /// The id of a node that drew this number at random.
    fn from(number: u64) -> Self {
        Self(hex(number).into())
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(hex(number).into())
    }
}
