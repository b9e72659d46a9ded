//! The client's side of one Engine.IO session: long-polling, the probe, the upgrade and the WebSocket in one state
//! machine (REFERENCE 1.13–1.16, 5.2). The mirror of [`server`](super::server).
//!
//! It knows nothing of sockets, of HTTP beyond a status and a body, nor of clocks; nor what the messages mean, or
//! whether anybody tries again when the session is over. Requests and WebSockets are [`Lane`]s, which the session
//! numbers and the driver opens. How long opening may take is for the layer above.

mod config;
mod error;
mod session;
mod target;

use alloc::string::String;

use bytes::Bytes;

use super::Transport;
use super::buffer::Compression;
use super::packet::{Frame, Message};
use crate::{Lane, Sid};

pub use super::buffer::SendError;
pub use config::{Config, TransportConfig};
pub use error::{CloseReason, Ending, Failure, ProxyFault, TlsFault, TransportError, UpgradeError};
pub use session::Session;
pub use target::Timestamps;

/// What the driver tells a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request was answered, with this status and body.
    Response(Lane, u16, Bytes),
    /// A websocket is open.
    WsOpened(Lane),
    /// A message arrived on a websocket.
    WsFrame(Lane, Frame),
    /// Everything handed out for this websocket has been written.
    Flushed(Lane),
    /// A websocket was closed in an orderly way, or its connection ended.
    WsClosed(Lane),
    /// A request or a websocket failed. The lane is done.
    Failed(Lane, Failure),
}

impl Input {
    /// The lane it is about.
    pub const fn lane(&self) -> Lane {
        match *self {
            Self::Response(lane, ..)
            | Self::WsOpened(lane)
            | Self::WsFrame(lane, _)
            | Self::Flushed(lane)
            | Self::WsClosed(lane)
            | Self::Failed(lane, _) => lane,
        }
    }
}

/// What a session tells the driver. `E` is what the layer above makes of the session's events.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<E = Event> {
    /// Start a GET of this target (path and query).
    Get(Lane, String),
    /// Start a POST of this body to this target, with `Content-type: text/plain;charset=UTF-8`.
    Post(Lane, String, Bytes),
    /// Give up a request that was started. The lane is done; an answer that still comes is ignored.
    Abort(Lane),
    /// Open a websocket with this target.
    WsConnect(Lane, String),
    /// Send a message on a websocket, which may or may not be compressed if that [was agreed](super::deflate). When all of
    /// them are written, say [`Input::Flushed`].
    WsSend(Lane, Frame, Compression),
    /// Send a close frame without a status, then close the connection. Does nothing where it is closed, and gives up
    /// the attempt where it is not open yet. The lane is done.
    WsClose(Lane),
    /// Something for the layer above.
    Event(E),
}

/// What a session tells the layer above.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session is open.
    Opened(Sid),
    /// The session moved to this transport.
    Upgraded(Transport),
    /// An attempt to move to another transport failed; the session goes on as it was.
    UpgradeFailed(UpgradeError),
    /// A message arrived.
    Message(Message),
    /// The server sent a heartbeat, which was answered.
    Ping,
    /// There is room again after [`SendError::Full`].
    Drained,
    /// The session is over. Always the last output.
    Closed(CloseReason),
}

/// What one session leaves to the next of the same client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many sessions there were. It is the upper half of the number of a lane, so that what arrives late for an old
    /// session, or while that one is closing, is not taken for the new one's.
    pub sessions: u32,
    /// Whether the last attempt at a websocket was successful: what [`Config::remember_upgrade`] goes by
    /// (`priorWebsocketSuccess` in REFERENCE 1.14).
    pub websocket_worked: bool,
}

#[cfg(test)]
mod tests;
