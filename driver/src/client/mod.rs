//! The client: one connection that is made, lost and made again, and the sockets that share it.
//!
//! What happens when is decided in [`socketio_core::socket::client`]; here it is done.
//!
//! ```no_run
//! use socketio_driver::ClientBuilder;
//! # async fn f<R: socketio_driver::runtime::Runtime + Default>() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ClientBuilder::<R>::new("https://example.com").build()?;
//! client.on("news", |_, headline: String| async move { println!("{headline}") });
//! client.connect();
//! let stored: bool = client.emit_with_ack("post", ("title", "text")).await?;
//! # Ok(())
//! # }
//! ```

mod auth;
mod builder;
mod cell;
pub(crate) mod net;
mod pump;
mod settings;
mod socket;
mod stream;
mod transport_options;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};

use socketio_core::Sid;
use socketio_core::engine::Transport;
use socketio_core::socket::{Nsp, Packet};

use crate::dispatch::{ListenerId, ManagerHandlers};
use cell::Cell;

pub use crate::runtime::AddressFamily;
pub use builder::ClientBuilder;
pub use cell::NotConnected;
pub use net::{Proxy, SetupError};
#[cfg(feature = "tls")]
pub use net::{Roots, Tls, rustls};
pub use socket::{Emitter, Socket};
pub use socketio_core::engine::client::{
    Ending, Failure, ProxyFault, Timestamps, TlsFault, TransportError, UpgradeError,
};
pub use socketio_core::socket::client::{
    ConnectError, DisconnectReason, ProtocolError, QueueLimits, Reconnection, Refusal, Retries, Status,
};
pub use stream::{Events, Received};
pub use transport_options::TransportOptions;

/// A connection to a server, and its owner: the connection lives as long as this does. Everything a [`Socket`] can do it
/// does for the namespace that stood in the URL.
///
/// Dropped, every socket leaves, what was handed to the connection is still sent, and the connection is closed, in the
/// background, within [`close_timeout`](ClientBuilder::close_timeout); [`shutdown`](Self::shutdown) waits for that. What waits for a connection is lost then: its
/// acknowledgements fail, as do those that are still outstanding. Handlers that run are left to end.
pub struct Client {
    cell: Arc<Cell>,
    socket: Socket,
}

/// What happens to a connection as a whole (REFERENCE 5.3).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// The connection is open. Sockets connect next.
    Open,
    /// The connection could not be made, or failed; in the second case [`Close`](Self::Close) follows.
    Error(ConnectError),
    /// The connection is over.
    Close(DisconnectReason),
    /// The connection is about to be made again, for the nth time in a row, from 1.
    ReconnectAttempt(u32),
    /// The nth attempt was successful.
    Reconnect(u32),
    /// An attempt failed.
    ReconnectError(ConnectError),
    /// [`Reconnection::max_attempts`] have failed, or no more are [to be made](Socket::set_reconnection). Nothing happens any
    /// more until somebody connects.
    ReconnectFailed,
    /// The server sent a heartbeat.
    Ping,
    /// A Socket.IO packet arrived, of whatever type and for whatever namespace. What it is for comes next. Only with
    /// [`report_packets`](ClientBuilder::report_packets).
    Packet(Box<Packet>),
    /// The connection moved to this transport.
    Upgrade(Transport),
    /// It could not move to another transport, and goes on as it was.
    UpgradeError(UpgradeError),
}

impl Client {
    /// The socket of a namespace on this connection, always the same one; a leading slash is added if it is missing. It
    /// rests until [`Socket::connect`] is called, so that handlers can be set first.
    ///
    /// # Panics
    /// If the name contains a comma, which cannot be written on the wire.
    pub fn of(&self, name: &str) -> Socket {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let nsp = Nsp::new(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        Socket::new(&self.cell, &nsp)
    }

    /// Calls `handler` with what happens to the connection.
    pub fn on_manager<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(ManagerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit_handlers(|handlers| handlers.on(handler))
    }

    /// Takes a handler of [`on_manager`](Self::on_manager) away. Returns whether it was there.
    pub fn off_manager(&self, listener: ListenerId) -> bool {
        self.edit_handlers(|handlers| handlers.off(listener))
    }

    fn edit_handlers<R>(&self, change: impl FnOnce(&mut ManagerHandlers) -> R) -> R {
        let mut handlers = self.cell.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept until the lock is released: what a handler captured may have something to say when it is dropped.
        let before = handlers.clone();
        let result = change(Arc::make_mut(&mut handlers));
        drop(handlers);
        drop(before);
        result
    }

    /// What the connection is doing.
    pub fn status(&self) -> Status {
        self.cell.peek(|manager| manager.status())
    }

    /// The transport in use, while the connection is open.
    pub fn transport(&self) -> Option<Transport> {
        self.cell.peek(|manager| manager.transport())
    }

    /// The secret id of the session (`socket.io.engine.id`), while the connection is open.
    pub fn engine_id(&self) -> Option<Sid> {
        self.cell.peek(|manager| manager.engine_id().cloned())
    }

    /// Makes the connection, or makes it at once where the next attempt is waited for. Which sockets connect with it,
    /// [`Socket::connect`] says; that makes the connection, too.
    pub fn open(&self) {
        self.cell.connect(None);
    }

    /// Closes the connection once everything queued has been sent, and makes it no more. Its sockets will connect
    /// again with the connection, once somebody [opens](Self::open) it.
    pub fn close(&self) {
        self.cell.with_manager(|manager, now| manager.close(now));
    }

    /// Closes the connection of the moment (`socket.io.engine.close()`): it is made again as if it had been lost.
    pub fn close_engine(&self) {
        self.cell.with_manager(|manager, now| manager.close_engine(now));
    }

    /// Drops the client, and completes when it has said goodbye, no connection is left, and no handler runs. For the
    /// network it takes no longer than [`close_timeout`](ClientBuilder::close_timeout); handlers have all the time they
    /// need.
    pub async fn shutdown(self) {
        let cell = self.cell.clone();
        drop(self);
        cell.ended.raised().await;
    }
}

impl Deref for Client {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.cell.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}
