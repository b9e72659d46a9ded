//! Why a socket left its namespace (REFERENCE 4.5, 5.3).

use thiserror::Error;

use crate::engine::close::CloseReason;

/// Why a socket left its namespace. [`Display`](core::fmt::Display) gives the reference's reason string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum DisconnectReason {
    /// The server made the socket leave.
    #[error("server namespace disconnect")]
    ServerNamespaceDisconnect,
    /// The client left.
    #[error("client namespace disconnect")]
    ClientNamespaceDisconnect,
    /// The whole server closes.
    #[error("server shutting down")]
    ServerShuttingDown,
    /// The client did not answer a heartbeat in time.
    #[error("ping timeout")]
    PingTimeout,
    /// The client closed the connection, or it ended.
    #[error("transport close")]
    TransportClose,
    /// The connection failed.
    #[error("transport error")]
    TransportError,
    /// An Engine.IO packet could not be decoded.
    #[error("parse error")]
    ParseError,
    /// The server closed the connection, for instance because a Socket.IO packet broke the protocol.
    #[error("forced close")]
    ForcedClose,
    /// The same, where the close had to wait for a polling client's next request.
    #[error("forced server close")]
    ForcedServerClose,
}

impl DisconnectReason {
    /// Whether nobody meant to part, so that a client which comes back may go on where it was (REFERENCE 4.8).
    pub const fn is_recoverable(self) -> bool {
        match self {
            Self::ServerShuttingDown
            | Self::PingTimeout
            | Self::TransportClose
            | Self::TransportError
            | Self::ForcedClose
            | Self::ForcedServerClose => true,
            Self::ServerNamespaceDisconnect | Self::ClientNamespaceDisconnect | Self::ParseError => false,
        }
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::ForcedClose => Self::ForcedClose,
            CloseReason::ParseError => Self::ParseError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError(_) => Self::TransportError,
        }
    }
}
