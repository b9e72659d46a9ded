//! Engine.IO packets and the frames they travel in (REFERENCE 1.1, 2.1).
//!
//! A [`Frame`] is what a WebSocket message, or one entry of a polling payload, holds. Decoding slices it; nothing
//! is copied except binary data that arrives as base64.

use bytes::Bytes;

use crate::Str;

/// A WebSocket message or one entry of a polling payload, in the form of revision 4: text begins with the packet
/// type, binary is the bare data of a message packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `digit + data`, or `b` + base64.
    Text(Str),
    /// The data of a binary message.
    Binary(Bytes),
}

/// The content of a message packet: what the layer above sends and receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message, without the packet type.
    Text(Str),
    /// A binary message.
    Binary(Bytes),
}

/// Whether a ping or pong tests a transport before an upgrade (`2probe`, `3probe`) or keeps a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// No data, or data that is not `probe`.
    Heartbeat,
    /// The data is `probe`.
    Probe,
}

/// An Engine.IO packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// `0`: the handshake, as JSON.
    Open(Str),
    /// `1`: the peer ends a polling session. Means nothing on a WebSocket.
    Close,
    /// `2`.
    Ping(Purpose),
    /// `3`.
    Pong(Purpose),
    /// `4`, or binary.
    Message(Message),
    /// `5`: the client commits to the probed transport.
    Upgrade,
    /// `6`: frees a pending poll.
    Noop,
}
