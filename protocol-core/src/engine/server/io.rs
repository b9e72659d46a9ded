//! What goes into a session, and what comes out.

use bytes::Bytes;

use crate::Lane;
use crate::engine::Transport;
use crate::engine::buffer::Compression;
use crate::engine::close::{CloseReason, TransportFault};
use crate::engine::http::Response;
use crate::engine::packet::{BinaryEncoding, Frame, Message};
use crate::engine::payload_v3::Form;

/// What the driver tells a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// A GET arrived.
    Poll(Lane),
    /// The head of a POST arrived, claiming this form for its body (see [`http::post_form`](crate::engine::http::post_form)).
    /// The body follows, unless the answer comes first.
    Post(Lane, Form),
    /// The whole body of a POST.
    PostBody(Lane, Bytes),
    /// The body of a POST is over [`Config::max_payload_bytes`](super::Config::max_payload_bytes).
    PostTooLarge(Lane),
    /// A websocket with this session's id was opened, which wants binary data like this: what its own request says counts,
    /// not what the session began with.
    WsOpen(Lane, BinaryEncoding),
    /// A message arrived on a websocket.
    WsFrame(Lane, Frame),
    /// A websocket broke its rules or its connection. The lane is done.
    WsFault(Lane, TransportFault),
    /// Everything handed out for this websocket has been written.
    Flushed(Lane),
    /// The connection behind a lane ended in an orderly way. The lane is done, answered or not.
    LaneGone(Lane),
}

impl Input {
    /// The lane it is about.
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Poll(lane)
            | Self::Post(lane, _)
            | Self::PostBody(lane, _)
            | Self::PostTooLarge(lane)
            | Self::WsOpen(lane, _)
            | Self::WsFrame(lane, _)
            | Self::WsFault(lane, _)
            | Self::Flushed(lane)
            | Self::LaneGone(lane) => *lane,
        }
    }
}

/// What a session tells the driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer an HTTP request. The lane is done.
    Respond(Lane, Response),
    /// Break the connection of an HTTP request without an answer. The lane is done.
    Abort(Lane),
    /// Send a message on a websocket, which may or may not be compressed if that [was agreed](crate::engine::deflate).
    /// When all of them are written, say [`Input::Flushed`].
    WsSend(Lane, Frame, Compression),
    /// Send a close frame without a status, then close the connection. The lane is done.
    WsClose(Lane),
    /// Something for the layer above.
    Event(Event),
}

/// What a session tells the layer above.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session moved to this transport.
    Upgraded(Transport),
    /// A message arrived.
    Message(Message),
    /// There is room again after [`SendError::Full`](super::SendError::Full).
    Drained,
    /// The session is over. The last output, but for the refusal of lanes that come later.
    Closed(CloseReason),
}
