//! The client's side of Socket.IO: one connection that is made, lost and made again, and the sockets that share it
//! (REFERENCE 3.5, 3.6, 5).
//!
//! [`Manager`] is the whole protocol as the driver of a client sees it: answers, frames and time in, requests, frames
//! and events out. It knows nothing of URLs beyond path and query, of TLS, proxies or cookies; nor of handlers. Where
//! credentials come from it does not know either: it asks for them ([`Event::AuthNeeded`]) at every connection.
//!
//! ```
//! use std::sync::Arc;
//! use socketio_core::Instant;
//! use socketio_core::socket::Nsp;
//! use socketio_core::socket::client::{Config, Delivery, Event, Manager, Output, SocketConfig};
//!
//! let mut now = Instant::ZERO;
//! let mut manager = Manager::<()>::new(Arc::new(Config::default()), 42);
//! let socket = manager.socket(&Nsp::ROOT, SocketConfig::default());
//! manager.connect(socket, now);
//! manager.emit(socket, "hello", &("world", 1), Delivery::Reliable, now)?; // waits for the connection
//!
//! // The run loop of a driver: do what there is to do, then wait for the network or the time, whichever is first.
//! while let Some(output) = manager.poll_output() {
//!     match output {
//!         Output::Get(lane, target) => println!("GET {target}; its answer is for {lane:?}"),
//!         Output::Event(Event::AuthNeeded { slot, ticket }) => manager.authenticate(slot, ticket, None::<&()>)?,
//!         output => println!("{output:?}"),
//!     }
//! }
//! while let Some(deadline) = manager.poll_timeout().filter(|_| now.as_micros() < 60_000_000) {
//!     now = deadline; // nothing came from the network
//!     manager.handle_timeout(now);
//!     while let Some(output) = manager.poll_output() {
//!         println!("{now:?} {output:?}"); // timeout, reconnect_attempt 1, GET, …
//!     }
//! }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod config;
mod error;
mod manager;
mod queue;
mod retries;
mod socket;

use alloc::boxed::Box;

use super::{AckError, Args, Packet, Slot};
use crate::engine::Transport;
use crate::engine::client::UpgradeError;
use crate::{AckId, Instant, Sid};

pub use super::Delivery;
pub use config::{Config, Reconnection, Retries, SocketConfig};
pub use error::{AuthError, ConnectError, DisconnectReason, EmitError, ProtocolError, Refusal, ReplyError};
pub use manager::{Manager, Output};
pub use queue::QueueLimits;

/// What a manager tells the application. `W` is a waiter given to [`Manager::emit_with_ack`].
#[derive(Debug, PartialEq)]
pub enum Event<W> {
    /// The connection is open. Each active socket asks for its credentials next.
    Open,
    /// The connection could not be made, or failed. In the second case [`Event::Close`] follows.
    Error(ConnectError),
    /// The connection is over, or the attempt to make it.
    Close(DisconnectReason),
    /// The connection is about to be made again, for the nth time in a row, from 1.
    ReconnectAttempt(u32),
    /// The nth attempt was successful.
    Reconnect(u32),
    /// An attempt failed. After [`Event::ReconnectFailed`] when it was the last one.
    ReconnectError(ConnectError),
    /// [`Reconnection::max_attempts`] have failed, or no more are [to be made](Manager::set_reconnection). Nothing happens
    /// any more until somebody connects.
    ReconnectFailed,
    /// The server sent a heartbeat.
    Ping,
    /// A packet arrived, its attachments in place; for whom, and whether anybody wants it, is seen to next. Only with
    /// [`Config::report_packets`].
    Packet(Box<Packet>),
    /// The connection moved to this transport.
    Upgraded(Transport),
    /// An attempt to move to another transport failed; the connection goes on as it was.
    UpgradeFailed(UpgradeError),
    /// A socket is about to connect: answer with [`Manager::authenticate`], now or later.
    AuthNeeded {
        /// The socket.
        slot: Slot,
        /// Which connection the answer is for.
        ticket: Ticket,
    },
    /// A socket is connected. What the server sent to it before came before this event.
    Connected {
        /// The socket.
        slot: Slot,
        /// Its public id (`socket.id`).
        sid: Sid,
        /// Whether the server has restored the state of the last connection, so that no event is missing.
        recovered: bool,
    },
    /// A socket could not connect. It tries again with the connection, unless the server refused it
    /// ([`Manager::is_active`]).
    ConnectError {
        /// The socket.
        slot: Slot,
        /// Why.
        error: ConnectError,
    },
    /// A socket is not connected any more, or not about to be: the connection is over, or it left.
    Disconnected {
        /// The socket.
        slot: Slot,
        /// Why, and thereby whether it connects again by itself ([`DisconnectReason::reconnects`]).
        reason: DisconnectReason,
    },
    /// An event arrived.
    Emit {
        /// The socket it is for.
        slot: Slot,
        /// Name and arguments.
        event: super::Event,
        /// What to answer with, when the server wants an acknowledgement.
        reply: Option<Reply>,
    },
    /// An acknowledgement arrived.
    Acked {
        /// Who waited for it.
        waiter: W,
        /// What the server answered.
        args: Args,
    },
    /// An acknowledgement will not come.
    AckFailed {
        /// Who waited for it.
        waiter: W,
        /// Why.
        error: AckError,
    },
    /// There is room again after [`EmitError::Full`].
    Drained {
        /// The socket.
        slot: Slot,
    },
}

/// Which connection of a socket credentials are for: those of an earlier one come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ticket {
    /// What tells it apart from the others of its client: they are counted from 0.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The right to answer an event, once: [`Manager::reply`]. It lapses when the socket disconnects.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    slot: Slot,
    id: AckId,
    /// The connection of the socket that the event came on.
    epoch: u64,
}

impl Reply {
    /// The socket that is to answer.
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The id of the event, which the acknowledgement carries.
    pub const fn id(&self) -> AckId {
        self.id
    }

    /// Which connection of the socket the event came on: they are counted from 0.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// What a manager is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing, until somebody connects: at first, after closing on purpose, and after giving up.
    Stopped,
    /// Making the connection.
    Opening,
    /// The connection is there.
    Open,
    /// Waiting to make it again.
    Waiting {
        /// Until then.
        until: Instant,
    },
}

#[cfg(test)]
mod tests;
