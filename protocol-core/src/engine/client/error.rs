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
    /// The name of the server has no address, or nobody could be asked for it.
    #[error("the server's host name could not be resolved")]
    Unresolved,
    /// Nothing accepts connections there.
    #[error("the server refused the connection: nothing listens at this address and port")]
    Refused,
    /// The address to connect from is none of this machine's, or has no port left.
    #[error("the local address cannot be connected from: it is none of this machine's, or has no port left")]
    LocalAddress,
    /// No connection could be made for another reason.
    #[error("the server could not be reached")]
    Unreachable,
    /// The connection could not be encrypted.
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] TlsFault),
    /// The proxy on the way to the server could not be passed.
    #[error("cannot connect through the proxy: {0}")]
    Proxy(#[source] ProxyFault),
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

/// Why a connection could not be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// The certificate is issued by nobody that is trusted.
    #[error(
        "the certificate is issued by an authority that is not trusted; add that authority's certificate to the roots"
    )]
    UnknownIssuer,
    /// The certificate is for another host.
    #[error("the certificate is not for this host name")]
    WrongName,
    /// The certificate has expired, or the clock of this machine is wrong.
    #[error("the certificate has expired")]
    Expired,
    /// The certificate will be valid later, or the clock of this machine is wrong.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate is wrong in another way: it was revoked, for instance, or is not for servers.
    #[error("the certificate is not valid")]
    BadCertificate,
    /// The other end refuses this one. Most often it wants a client's certificate.
    #[error("the server refused it; it may ask for a client certificate")]
    Refused,
    /// What answers does not speak TLS.
    #[error("what answers does not speak TLS; is the scheme or the port wrong?")]
    NotTls,
    /// Something else: no version or cipher in common, or the connection broke.
    #[error("no agreement was reached")]
    Other,
}

/// Why a proxy could not be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyFault {
    /// Its name has no address.
    #[error("its host name could not be resolved")]
    Unresolved,
    /// No connection to it could be made.
    #[error("it could not be reached")]
    Unreachable,
    /// The connection to it could not be encrypted.
    #[error("the TLS handshake with it failed: {0}")]
    Tls(#[source] TlsFault),
    /// It wants a user name and a password, or others.
    #[error("it asks for a user name and a password (http://user:password@proxy), or those given are wrong")]
    Credentials,
    /// It does not connect to the server. The number is an HTTP status.
    #[error("it refused with status {0}")]
    Refused(u16),
    /// The connection to it broke, or its answer broke the rules.
    #[error("its answer makes no sense; is it a proxy?")]
    Connection,
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
