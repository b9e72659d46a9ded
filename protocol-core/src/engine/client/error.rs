//! Why a client's session ended, and what was wrong with its transport (REFERENCE 1.16).

use thiserror::Error;

use crate::Str;
use crate::engine::handshake::HandshakeError;
use crate::engine::packet::DecodeError;

/// Why a session ended. [`Display`](core::fmt::Display) gives the reference's reason string.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("forced close")]
    ForcedClose,
    /// The server sent no ping in time.
    #[error("ping timeout")]
    PingTimeout,
    /// The server ended the session, or the connection ended in an orderly way.
    #[error("transport close")]
    TransportClose(Ending),
    /// The transport failed, or the server broke its rules.
    #[error("transport error")]
    TransportError(TransportError),
}

/// How a server ended a session. [`Display`](core::fmt::Display) gives the reference's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Ending {
    /// By closing the WebSocket.
    #[error("websocket connection closed")]
    Connection,
    /// With a close packet, on polling.
    #[error("transport closed by the server")]
    Packet,
}

/// What was wrong with a transport. [`Display`](core::fmt::Display) gives the reference's message where it has one,
/// and [`source`](core::error::Error::source) the cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// A GET failed.
    #[error("xhr poll error")]
    Poll(#[source] Failure),
    /// A POST failed.
    #[error("xhr post error")]
    Post(#[source] Failure),
    /// The WebSocket could not be opened, or failed.
    #[error("websocket error")]
    Websocket(#[source] Failure),
    /// The server sent what is not a packet.
    #[error("server error")]
    Packet(#[source] DecodeError),
    /// What answers is not an Engine.IO server: an HTML page with status 200, for instance.
    #[error("the answer is not an Engine.IO handshake")]
    NotEngineIo,
    /// The answer is a payload of protocol revision 3: the server is a Socket.IO 2.x.
    #[error("the server speaks Engine.IO protocol revision 3 (Socket.IO 2.x), which this client does not")]
    OldServer,
    /// The first packet is a handshake with wrong or missing fields.
    #[error("invalid handshake")]
    Handshake(#[source] HandshakeError),
    /// No transport of [`Config::transports`](super::Config::transports) is known.
    #[error("No transports available")]
    NoTransports,
}

/// Why a request or a WebSocket failed. What the driver knows beyond it, it logs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The name of the server, or of the proxy, has no address.
    #[error("the host name could not be resolved")]
    Unresolved,
    /// No connection could be made.
    #[error("the server could not be reached")]
    Unreachable,
    /// The TLS handshake failed: for instance, the certificate is not trusted.
    #[error("the TLS handshake failed")]
    Tls,
    /// The connection broke, or its bytes broke the rules of HTTP or WebSocket.
    #[error("the connection failed")]
    Connection,
    /// The HTTP status is not 200 for a request, or not 101 for a WebSocket. Redirects are not followed.
    #[error("the server answered with status {status}: {body}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body, at most 1,024 bytes: the server's words on it (REFERENCE 1.6).
        body: Str,
    },
    /// A response or a message exceeds [`Config::max_message_bytes`](super::Config::max_message_bytes).
    #[error("the message exceeds the size limit")]
    TooLarge,
    /// A request took longer than [`Config::request_timeout`](super::Config::request_timeout).
    #[error("the request timed out")]
    TimedOut,
}

impl Failure {
    /// A status that means failure, with the beginning of `body`, whose bytes that are not UTF-8 are replaced.
    pub fn status(status: u16, body: &[u8]) -> Self {
        let text = alloc::string::String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
        Self::Status { status, body: text.into_owned().into() }
    }
}

/// Why an attempt to change the transport failed. The session lives on (REFERENCE 1.14).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpgradeError {
    /// The new transport failed.
    #[error("probe error: {0}")]
    Transport(#[source] Failure),
    /// The new transport was closed.
    #[error("probe error: transport closed")]
    Closed,
    /// The first packet on it is not the answer to the probe.
    #[error("probe error: unexpected packet")]
    UnexpectedPacket,
    /// It took longer than [`Config::upgrade_timeout`](super::Config::upgrade_timeout).
    #[error("probe error: timeout")]
    TimedOut,
}

/// How much of an error page is kept.
const MAX_BODY: usize = 1024;
