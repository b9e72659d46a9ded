//! Engine.IO: a session that survives on long-polling HTTP requests or on a WebSocket, and moves from one to the
//! other without losing or reordering a message.

pub mod buffer;
pub mod client;
pub mod close;
pub mod deflate;
pub mod format;
pub mod handshake;
pub mod http;
pub mod packet;
pub mod payload;
pub mod payload_v3;
pub mod server;
mod timers;
pub mod webtransport;

/// The protocol revision of a session, chosen by the client's `EIO` query parameter and fixed for its life
/// (REFERENCE 1.3). A value rather than a feature: one server talks to clients of both revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// Engine.IO v3, which carries Socket.IO v4 (clients of socket.io 1.0.3 to 2.x).
    V3,
    /// Engine.IO v4, which carries Socket.IO v5 (clients of socket.io 3 and 4).
    V4,
}

/// How the packets of a session travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Long-polling: one pending GET to receive, POST requests to send.
    Polling,
    /// A WebSocket.
    Websocket,
    /// A WebTransport session (one bidirectional stream).
    Webtransport,
}

impl Transport {
    /// The name in queries and handshakes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
            Self::Webtransport => "webtransport",
        }
    }
}
