//! Why a session ended (REFERENCE 1.16).

use thiserror::Error;

/// Why a session ended. [`Display`](core::fmt::Display) gives the reference's reason string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("forced close")]
    ForcedClose,
    /// A packet could not be decoded.
    #[error("parse error")]
    ParseError,
    /// The peer did not answer a heartbeat in time.
    #[error("ping timeout")]
    PingTimeout,
    /// The peer closed the session, or its connection ended.
    #[error("transport close")]
    TransportClose,
    /// The transport failed, or the peer broke its rules; the fault says which.
    #[error("transport error")]
    TransportError(TransportFault),
}

/// What was wrong with a transport. [`Display`](core::fmt::Display) gives the reference's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum TransportFault {
    /// The connection broke, or its bytes broke the rules of HTTP or WebSocket.
    #[error("connection failed")]
    Connection,
    /// A POST with binary content on a revision 4 session.
    #[error("invalid content")]
    Content,
    /// A ping from the side that must only answer pings, or the other way round.
    #[error("invalid heartbeat direction")]
    HeartbeatDirection,
    /// A WebSocket message over the size limit.
    #[error("Max payload size exceeded")]
    MessageTooLarge,
    /// A second GET while one was pending.
    #[error("overlap from client")]
    PollOverlap,
    /// The connection of a pending GET ended.
    #[error("poll connection closed prematurely")]
    PollClosed,
    /// The connection of a POST ended before its body did.
    #[error("data request connection closed prematurely")]
    PostClosed,
    /// A second POST while one was in progress.
    #[error("data request overlap from client")]
    PostOverlap,
    /// The outgoing buffer overflowed: the client reads too slowly.
    #[error("send buffer exceeded")]
    SlowConsumer,
}
