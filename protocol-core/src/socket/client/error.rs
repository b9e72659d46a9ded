//! What goes wrong, and whose fault it is.

use alloc::string::String;

use serde::Deserialize;
use thiserror::Error;

use crate::engine::client::{CloseReason, Ending, TransportError};
use crate::socket::{DecodeError, EncodeError, Payload, PayloadError};

/// Why a socket is not connected any more. [`Display`](core::fmt::Display) gives the reference's reason string
/// (REFERENCE 5.3), the fields its details.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DisconnectReason {
    /// The server made the socket leave.
    #[error("io server disconnect")]
    IoServerDisconnect,
    /// [`Manager::disconnect`](super::Manager::disconnect).
    #[error("io client disconnect")]
    IoClientDisconnect,
    /// The server sent no heartbeat in time.
    #[error("ping timeout")]
    PingTimeout,
    /// The server closed the connection, or it ended.
    #[error("transport close")]
    TransportClose(Ending),
    /// The connection failed.
    #[error("transport error")]
    TransportError(#[source] TransportError),
    /// The server broke the protocol.
    #[error("parse error")]
    ParseError(#[source] ProtocolError),
    /// The connection was closed on this side.
    #[error("forced close")]
    ForcedClose,
}

impl DisconnectReason {
    /// Whether the socket connects again by itself, if reconnection is on. After [`ForcedClose`](Self::ForcedClose) it
    /// depends on what was closed: all of it ([`Manager::close`](super::Manager::close)), or only the connection of
    /// that moment.
    pub const fn reconnects(&self) -> bool {
        !matches!(self, Self::IoServerDisconnect | Self::IoClientDisconnect | Self::ForcedClose)
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::TransportClose(ending) => Self::TransportClose(ending),
            CloseReason::TransportError(error) => Self::TransportError(error),
        }
    }
}

/// Why a connection could not be made, or a socket not connected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// It took longer than [`Config::timeout`](super::Config::timeout).
    #[error("timeout")]
    TimedOut,
    /// The transport failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused the socket. It does not try again by itself.
    #[error(transparent)]
    Refused(Refusal),
    /// There were no credentials to send, for this reason of the application's. It does not try again by itself.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The server answered without an id, as Socket.IO 2.x does.
    #[error(
        "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are not compatible \
         (more information here: https://socket.io/docs/v3/migrating-from-2-x-to-3-0/)"
    )]
    OldServer,
}

/// The server's reasons for refusing a socket: a message, and data if the application had some.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// The message; empty where the server sent none.
    pub message: String,
    payload: Option<Payload>,
}

impl Refusal {
    pub(super) fn new(payload: Option<&Payload>) -> Self {
        #[derive(Deserialize)]
        struct Object {
            message: String,
        }
        let message = payload.and_then(|payload| {
            let object = payload.decode::<Object>().map(|object| object.message);
            object.or_else(|_| payload.decode::<String>()).ok()
        });
        Self { message: message.unwrap_or_default(), payload: payload.map(Payload::detached) }
    }

    /// The data (`err.data`), or `None` where the server sent none.
    ///
    /// # Errors
    /// [`PayloadError`] when it does not fit `T`.
    pub fn data<'de, T: Deserialize<'de>>(&'de self) -> Result<Option<T>, PayloadError> {
        #[derive(Deserialize)]
        struct Object<T> {
            data: Option<T>,
        }
        let Some(payload) = &self.payload else { return Ok(None) };
        if payload.decode::<String>().is_ok() {
            return Ok(None);
        }
        payload.decode::<Object<T>>().map(|object| object.data)
    }
}

/// How a server broke the protocol. Each closes the connection, which is then made again (REFERENCE 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// A packet could not be decoded.
    #[error("invalid packet: {0}")]
    Decode(#[from] DecodeError),
    /// The answer to a CONNECT has fields of a wrong type.
    #[error("invalid answer to a connect packet: {0}")]
    ConnectAnswer(#[from] PayloadError),
    /// Attachments did not arrive within [`Config::attachment_timeout`](super::Config::attachment_timeout).
    #[error("the attachments of a packet did not arrive in time")]
    AttachmentTimeout,
    /// More events for a socket that is not connected yet than [`Config::receive_queue`](super::Config::receive_queue).
    #[error("too many events before the answer to a connect packet")]
    ReceiveQueueFull,
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EmitError {
    /// The socket was removed.
    #[error("the socket was removed")]
    Removed,
    /// The outgoing queue is full, or what is held back until the socket is connected
    /// ([`Config::send_queue`](super::Config::send_queue)). [`Event::Drained`](super::Event::Drained) follows when there
    /// is room again.
    #[error("the outgoing queue is full")]
    Full,
    /// It is volatile, cannot leave at once, and an acknowledgement is wanted, which nobody would send.
    #[error("the volatile event was dropped")]
    Dropped,
    /// [`Config::max_pending_acks`](super::Config::max_pending_acks) are waited for already.
    #[error("too many pending acknowledgements")]
    TooManyAcks,
    /// It does not serialize, or its name is reserved.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why an acknowledgement was not sent.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The socket has been disconnected since the event arrived. The server does not wait for the answer any more, and
    /// would take it for a breach of the protocol.
    #[error("socket has been disconnected")]
    Disconnected,
    /// As [`EmitError::Full`]; the reply may be tried again.
    #[error("the outgoing queue is full")]
    Full(super::Reply),
    /// It does not serialize.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why credentials were not sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The connection they are for is gone.
    #[error("the credentials come too late")]
    Late,
    /// They do not serialize, or not as an object. The socket still waits for them.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
