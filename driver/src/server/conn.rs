//! What a socket stands on: the connection it shares with the client's sockets in other namespaces, and why it left it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use socketio_core::Sid;
use socketio_core::engine::close::TransportFault;
use socketio_core::engine::{Revision, Transport};
use socketio_core::socket::server::ProtocolError;
use socketio_core::socket::{DisconnectReason, Payload};

use crate::server::cell::Cell;
use crate::server::handshake::{Handshake, RequestInfo};

/// The connection of one client: `socket.conn` (REFERENCE 4.5). Cheap to clone; a clone does not keep it alive.
#[derive(Clone)]
pub struct Conn {
    cell: Arc<Cell>,
    request: Handshake,
}

impl Conn {
    pub(crate) fn new(cell: Arc<Cell>, request: Arc<RequestInfo>) -> Self {
        Self { cell, request: Handshake { request, auth: Payload::EMPTY_OBJECT } }
    }

    /// The id of the session. Whoever knows it can speak for the client: unlike a socket's id, it is a secret.
    pub fn id(&self) -> &Sid {
        self.cell.sid()
    }

    /// The transport its packets travel on now, or `None` once it is closed.
    pub fn transport(&self) -> Option<Transport> {
        self.cell.peek(|peer| peer.transport()).flatten()
    }

    /// The revision of Engine.IO its client speaks, or `None` once it is closed.
    pub fn protocol(&self) -> Option<Revision> {
        self.cell.peek(|peer| peer.revision())
    }

    /// The client's address, as [`Handshake::address`].
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.request.address()
    }

    /// The request that opened it. The credentials, which belong to a socket, are empty here.
    pub fn request(&self) -> &Handshake {
        &self.request
    }

    /// Closes it once everything queued has been handed over, whatever namespaces it is in. The client is not told that
    /// it was meant, so official ones come back: [`Socket::disconnect_all`](crate::Socket::disconnect_all) tells it.
    pub fn close(&self) {
        let now = self.cell.hub.now();
        self.cell.with_peer(|peer| peer.close(now));
    }
}

impl PartialEq for Conn {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl Eq for Conn {}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its id is a secret.
        f.debug_struct("Conn").field("remote_address", &self.remote_address()).finish_non_exhaustive()
    }
}

/// Why a socket left its namespace, with all that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why, in the reference's words.
    pub reason: DisconnectReason,
    /// What was wrong, where something was: with [`TransportError`](DisconnectReason::TransportError), and with a
    /// [`ForcedClose`](DisconnectReason::ForcedClose) or [`ForcedServerClose`](DisconnectReason::ForcedServerClose)
    /// because the client broke the protocol.
    pub description: Option<Description>,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            None => write!(f, "{}", self.reason),
            Some(description) => write!(f, "{}: {description}", self.reason),
        }
    }
}

/// What was wrong with a client or its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Description {
    /// The transport failed, or the client broke its rules.
    #[error(transparent)]
    Transport(#[from] TransportFault),
    /// The client broke the rules of Socket.IO.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}
