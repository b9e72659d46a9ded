//! A server: its clients, namespaces and rooms, and the loop that serves each client.

mod builder;
pub(crate) mod cell;
pub(crate) mod conn;
mod flushers;
pub(crate) mod handshake;
pub(crate) mod hub;
pub(crate) mod kept;
pub(crate) mod namespace;
pub(crate) mod operator;
pub(crate) mod parent;
pub(crate) mod pump;
mod registry;
mod rest;
pub(crate) mod room_events;
pub(crate) mod shutdown;
pub(crate) mod socket;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Deref;
use std::sync::Arc;

use socketio_core::socket::{Nsp, Payload};

use crate::runtime::Io;
use crate::serve::accept;
use crate::serve::service::{From, Service};
use crate::server::hub::Hub;
use crate::server::namespace::Namespace;
use crate::server::parent::ParentNamespace;

pub use builder::ServerBuilder;

/// A Socket.IO server. Cheap to clone. Everything a [`Namespace`] can do it does for the namespace `/`.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) hub: Arc<Hub>,
    root: Namespace,
}

impl Server {
    fn new(hub: Arc<Hub>) -> Self {
        let root = hub.namespace_or_insert("/", || Namespace::new(Nsp::ROOT, &hub));
        Self { hub, root }
    }

    /// The namespace of this name, made if there is none: as the child of the first family
    /// [by name](Self::of_matching) that takes it, or else to stand by itself. A leading slash is added if it is
    /// missing.
    ///
    /// # Panics
    /// If the name contains a comma, which cannot be written on the wire.
    pub fn of(&self, name: &str) -> Namespace {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let nsp = Nsp::new(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(namespace) = self.hub.namespace(&name) {
            return namespace;
        }
        // Asked without a lock: matchers are the application's.
        let parent = self.hub.parents().into_iter().find(|parent| parent.takes(&name));
        self.hub.namespace_or_insert(&name, || match parent {
            Some(parent) => parent.child(nsp, &self.hub),
            None => Namespace::new(nsp, &self.hub),
        })
    }

    /// A family of namespaces that are made when they are asked for, by a client or with [`of`](Self::of): `matcher`
    /// says of a name whether there is such a namespace. Where several families match, the first one registered
    /// counts.
    ///
    /// ```
    /// # fn f(io: &socketio_driver::Server) {
    /// # use socketio_driver::Socket;
    /// let rooms = io.of_matching(|name| name.starts_with("/room-"));
    /// rooms.on_connection(|socket: Socket| async move { println!("in {}", socket.namespace().name()) });
    /// # }
    /// ```
    pub fn of_matching(&self, matcher: impl Fn(&str) -> bool + Send + Sync + 'static) -> ParentNamespace {
        self.add_parent(|template| ParentNamespace::by_name(template, matcher))
    }

    /// A family of namespaces that are made when the first client asks for them: `matcher` gets the name and the
    /// credentials, and says whether there is such a namespace. Where several families match, the first one
    /// registered counts; a namespace that exists already comes before all of them.
    pub fn of_dynamic<F, Fut>(&self, matcher: F) -> ParentNamespace
    where
        F: Fn(String, Payload) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.add_parent(|template| ParentNamespace::by_request(template, matcher))
    }

    fn add_parent(&self, make: impl FnOnce(Namespace) -> ParentNamespace) -> ParentNamespace {
        let name = format!("/_{}", self.hub.parents().len());
        let nsp = Nsp::new(&name).unwrap_or_default();
        let parent = make(Namespace::template(nsp, &self.hub));
        self.hub.add_parent(parent.clone());
        parent
    }

    /// Every namespace that exists, in name order.
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.hub.namespaces()
    }

    /// Calls `handler` for every namespace that comes into being from now on, before anybody can enter it.
    pub fn on_new_namespace(&self, handler: impl Fn(&Namespace) + Send + Sync + 'static) {
        self.hub.on_new_namespace(Arc::new(handler));
    }

    /// Listens on an address, and serves it in the background until [`close`](Self::close). Returns the address, with
    /// the port that was chosen where 0 was asked for. Any number of addresses can be listened on.
    ///
    /// # Errors
    /// When the address does not resolve or cannot be bound; the message says which and why.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
        for address in address.to_socket_addrs()? {
            match self.hub.runtime.listen(address).await {
                Ok(listener) => {
                    let bound = listener.local_addr()?;
                    self.hub.runtime.spawn(Box::pin(accept::accept_all(self.hub.clone(), listener)));
                    return Ok(bound);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Serves one connection that was accepted elsewhere: TLS, a Unix socket, a pipe. Completes when its HTTP part is
    /// over; a websocket lives on in a task of its own. The task that polls it first is to poll it to its end: it is that one
    /// which wakes when the server closes, or when time is up.
    pub async fn serve_connection(&self, io: impl Io, address: Option<SocketAddr>) {
        accept::serve(self.hub.clone(), Box::new(io), From { address, secure: false }).await;
    }

    /// Like [`serve_connection`](Self::serve_connection), for one that is encrypted: `handshake().is_secure()`.
    pub async fn serve_secure_connection(&self, io: impl Io, address: Option<SocketAddr>) {
        accept::serve(self.hub.clone(), Box::new(io), From { address, secure: true }).await;
    }

    /// The server as a tower service, for axum or another server.
    pub fn service(&self) -> Service {
        Service { hub: self.hub.clone() }
    }

    /// How many clients are connected, on whatever namespaces.
    pub fn clients_count(&self) -> usize {
        self.hub.len()
    }

    /// Stops listening and closes every connection at once: each socket leaves with `server shutting down`
    /// (REFERENCE 4.10). Nobody is let in after that. To let clients have what is queued for them, use
    /// [`shutdown`](Self::shutdown).
    pub fn close(&self) {
        self.hub.close_all();
    }

    /// Completes when the server is [closed](Self::close).
    pub async fn closed(&self) {
        self.hub.closing.raised().await;
    }
}

impl Deref for Server {
    type Target = Namespace;

    /// The namespace `/`.
    fn deref(&self) -> &Namespace {
        &self.root
    }
}
