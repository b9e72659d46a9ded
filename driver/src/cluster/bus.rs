//! How the servers of a cluster reach each other.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socketio_core::cluster::{Destination, Envelope, Input, Membership, NodeId};
use socketio_core::socket::Nsp;

use crate::cluster::link::Link;
use crate::runtime::BoxFuture;

/// What carries messages between servers: memory, or a broker.
///
/// A server holds one for all its namespaces; in each of them it is a node with an id of its own.
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// How nodes on this bus know of each other.
    fn membership(&self) -> Membership;

    /// Delivers to a node from now on what is published in its namespace.
    fn subscribe(&self, subscriber: Subscriber);

    /// Delivers nothing to this node any more.
    fn unsubscribe(&self, nsp: &Nsp, uid: &NodeId);

    /// Sends a message, in the order of the calls, and without waiting: whatever takes time happens in the background.
    /// A message that cannot be sent is lost, as in the reference; the bus should say so with
    /// [`Subscriber::down`] when it knows.
    ///
    /// It may be delivered to nodes that are not meant, the sender included: they ignore it.
    fn publish(&self, to: Destination, envelope: Envelope);

    /// How many nodes there are in a namespace, the asking one included. Only asked where nodes are
    /// [counted](Membership::Counted).
    ///
    /// # Errors
    /// When it cannot be found out. The request then ends with its timeout.
    fn count_servers(&self, nsp: &Nsp) -> BoxFuture<io::Result<usize>>;
}

/// A node as a bus sees it. Keeps nothing alive.
#[derive(Clone, Debug)]
pub struct Subscriber {
    nsp: Nsp,
    uid: NodeId,
    link: Weak<Link>,
}

impl Subscriber {
    pub(crate) fn new(nsp: Nsp, uid: NodeId, link: Weak<Link>) -> Self {
        Self { nsp, uid, link }
    }

    /// The namespace it is in.
    pub fn nsp(&self) -> &Nsp {
        &self.nsp
    }

    /// Its id.
    pub fn uid(&self) -> &NodeId {
        &self.uid
    }

    /// Hands it a message. What that causes for the sockets of the server is done when this returns.
    pub fn deliver(&self, envelope: Envelope) {
        self.input(Input::Received(envelope));
    }

    /// Tells it that the bus does not work for the time being: the silence of others means nothing.
    pub fn down(&self) {
        self.input(Input::BusDown);
    }

    /// Tells it that the bus works again.
    pub fn up(&self) {
        self.input(Input::BusUp);
    }

    fn input(&self, input: Input) {
        if let Some(link) = self.link.upgrade() {
            link.handle(input);
        }
    }
}

/// Joins servers of one process. Clones are the same bus.
///
/// Messages are delivered at once, to the nodes in the order in which they subscribed, and without being written out
/// as bytes: a broadcast costs what it costs on one server with all the sockets.
///
/// ```
/// # use socketio_driver::{LocalBus, ServerBuilder};
/// # fn f<R: socketio_driver::runtime::Runtime + Default>() {
/// let bus = LocalBus::new();
/// let one = ServerBuilder::<R>::new().bus(bus.clone()).build();
/// let two = ServerBuilder::<R>::new().bus(bus).build();
/// # drop((one, two));
/// # }
/// ```
#[derive(Clone)]
pub struct LocalBus(Arc<Local>);

struct Local {
    membership: Membership,
    subscribers: Mutex<HashMap<Nsp, Vec<Subscriber>>>,
}

impl LocalBus {
    /// A bus whose nodes know of each other by heartbeats.
    pub fn new() -> Self {
        Self::with_membership(Membership::HEARTBEAT)
    }

    /// A bus whose nodes know of each other in this way.
    pub fn with_membership(membership: Membership) -> Self {
        Self(Arc::new(Local { membership, subscribers: Mutex::default() }))
    }

    /// How many nodes are on it: one for each namespace of each server.
    pub fn nodes(&self) -> usize {
        self.subscribers().values().map(Vec::len).sum()
    }

    fn subscribers(&self) -> MutexGuard<'_, HashMap<Nsp, Vec<Subscriber>>> {
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus").field("nodes", &self.nodes()).finish()
    }
}

impl Bus for LocalBus {
    fn membership(&self) -> Membership {
        self.0.membership
    }

    fn subscribe(&self, subscriber: Subscriber) {
        self.subscribers().entry(subscriber.nsp.clone()).or_default().push(subscriber);
    }

    fn unsubscribe(&self, nsp: &Nsp, uid: &NodeId) {
        let mut subscribers = self.subscribers();
        if let Some(nodes) = subscribers.get_mut(nsp) {
            nodes.retain(|node| node.uid != *uid);
            if nodes.is_empty() {
                subscribers.remove(nsp);
            }
        }
    }

    fn publish(&self, to: Destination, envelope: Envelope) {
        let is_meant = |node: &&Subscriber| match &to {
            Destination::All => node.uid != envelope.uid,
            Destination::Node(uid) => node.uid == *uid,
        };
        let nodes: Vec<_> = match envelope.nsp.as_ref().and_then(|nsp| self.subscribers().get(nsp).cloned()) {
            Some(nodes) => nodes.iter().filter(is_meant).cloned().collect(),
            None => return,
        };
        // Without the lock: what is delivered causes answers.
        nodes.iter().for_each(|node| node.deliver(envelope.clone()));
    }

    fn count_servers(&self, nsp: &Nsp) -> BoxFuture<io::Result<usize>> {
        let count = self.subscribers().get(nsp).map_or(0, Vec::len);
        Box::pin(std::future::ready(Ok(count)))
    }
}
