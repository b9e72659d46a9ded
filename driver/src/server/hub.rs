//! What the clients of one server share: who is here, which namespaces exist, and where ids come from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use socketio_core::engine::deflate::PerMessageDeflate;
use socketio_core::engine::http::{Cookie, RouteConfig};
use socketio_core::peer::Config;
use socketio_core::socket::recovery;
use socketio_core::{Instant, Lane, Sid};

use crate::cluster::bus::Bus;
use crate::runtime::Runtime;
use crate::serve::client_files::ClientFiles;
use crate::serve::fallback::Fallback;
use crate::serve::hooks::Hooks;
use crate::server::cell::Cell;
use crate::server::flushers::Flushers;
use crate::server::namespace::Namespace;
use crate::server::parent::ParentNamespace;
use crate::server::shutdown::{Headcount, Present};
use crate::signal::Signal;

/// Who is let in.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) routes: RouteConfig,
    /// Whether clients are invited to leave polling. One that comes uninvited is let in all the same, as in the
    /// reference (REFERENCE 9.35).
    pub(crate) allow_upgrades: bool,
    /// Whether a namespace that was made on demand goes with its last socket.
    pub(crate) cleanup_empty_child_namespaces: bool,
    /// Most namespaces that are made on demand.
    pub(crate) max_dynamic_namespaces: usize,
    /// Whether clients that come back go on where they were.
    pub(crate) recovery: Option<recovery::Config>,
    pub(crate) hooks: Hooks,
    /// What joins this server to others.
    pub(crate) bus: Option<Arc<dyn Bus>>,
    /// Set in the answer to a polling handshake.
    pub(crate) cookie: Option<Cookie>,
    /// From how many bytes on poll responses are compressed, if at all.
    pub(crate) http_compression: Option<usize>,
    /// Whether, and how, websocket messages are compressed for clients that offer it.
    pub(crate) per_message_deflate: Option<PerMessageDeflate>,
    /// Whether clients of the third revision are let in.
    pub(crate) allow_eio3: bool,
    /// The bundles of the JavaScript client, if they are served.
    pub(crate) client_files: Option<ClientFiles>,
    /// Answers requests to other paths.
    pub(crate) fallback: Fallback,
}

/// The shared state of a server.
pub(crate) struct Hub {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) config: Arc<Config>,
    pub(crate) admission: Admission,
    /// Raised when the server closes; nobody is let in any more.
    pub(crate) closing: Signal,
    /// Whether it is about to close: those who are here may finish, nobody is let in any more.
    winding_down: AtomicBool,
    /// Sessions, with the handlers that outlast them.
    pub(crate) clients: Arc<Headcount>,
    /// HTTP connections of ours.
    pub(crate) connections: Arc<Headcount>,
    /// In shards, so that clients who come and go on several cores do not queue for one lock.
    sessions: [Mutex<HashMap<Sid, Arc<Cell>>>; SHARDS],
    namespaces: RwLock<HashMap<Arc<str>, Namespace>>,
    /// Who is asked for namespaces that do not exist, in the order of registration.
    parents: RwLock<Vec<ParentNamespace>>,
    on_new_namespace: RwLock<Vec<Arc<NamespaceHandler>>>,
    /// Write what is broadcast.
    pub(crate) flushers: Arc<Flushers>,
    next_lane: AtomicU64,
    next_key: AtomicU64,
    next_id: AtomicU32,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("sessions", &self.len()).finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, config: Arc<Config>, admission: Admission) -> Self {
        Self {
            runtime,
            config,
            admission,
            closing: Signal::default(),
            winding_down: AtomicBool::new(false),
            clients: Arc::default(),
            connections: Arc::default(),
            sessions: Default::default(),
            namespaces: RwLock::default(),
            parents: RwLock::default(),
            on_new_namespace: RwLock::default(),
            flushers: Arc::default(),
            next_lane: AtomicU64::new(0),
            next_key: AtomicU64::new(0),
            next_id: AtomicU32::new(0),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    /// A number for an HTTP request or a websocket.
    pub(crate) fn next_lane(&self) -> Lane {
        Lane(self.next_lane.fetch_add(1, Ordering::Relaxed))
    }

    /// A number for a socket.
    pub(crate) fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::Relaxed)
    }

    /// A fresh secret or public id.
    pub(crate) fn generate_id(&self) -> Sid {
        let mut entropy = [0; Sid::ENTROPY];
        self.runtime.fill_random(&mut entropy);
        Sid::generate(entropy, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes a session known, and counts it until its task ends. Does nothing once the server closes.
    pub(crate) fn insert(&self, cell: Arc<Cell>) -> Option<Present> {
        let mut shard = self.shard(cell.sid().as_str());
        // Asked under the lock: whoever is not refused here is found by `each_cell`.
        if !self.is_open() {
            return None;
        }
        match shard.entry(cell.sid().clone()) {
            // An id of the application's own that is not unique.
            Entry::Occupied(_) => None,
            Entry::Vacant(entry) => {
                entry.insert(cell);
                Some(self.clients.enter())
            }
        }
    }

    /// Whether anybody is let in.
    pub(crate) fn is_open(&self) -> bool {
        !self.winding_down.load(Ordering::Acquire) && !self.closing.is_raised()
    }

    /// Forgets a session.
    pub(crate) fn remove(&self, cell: &Arc<Cell>) {
        let removed = match self.shard(cell.sid().as_str()).entry(cell.sid().clone()) {
            Entry::Occupied(entry) if Arc::ptr_eq(entry.get(), cell) => Some(entry.remove()),
            Entry::Occupied(_) | Entry::Vacant(_) => None,
        };
        drop(removed);
    }

    /// The session with this id.
    pub(crate) fn find(&self, sid: &str) -> Option<Arc<Cell>> {
        self.shard(sid).get(sid).cloned()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Closes every session at once.
    pub(crate) fn close_all(&self) {
        self.closing.raise();
        let now = self.now();
        self.each_cell(|cell| {
            cell.with_peer(|peer| peer.shut_down(now));
        });
        self.namespaces().iter().for_each(Namespace::stop);
        self.retire_if_over();
    }

    /// Closes every session when what is queued for it is handed over.
    pub(crate) fn wind_down(&self) {
        self.winding_down.store(true, Ordering::Release);
        let now = self.now();
        self.each_cell(|cell| {
            cell.with_peer(|peer| peer.wind_down(now));
        });
    }

    fn each_cell(&self, change: impl Fn(&Cell)) {
        for shard in &self.sessions {
            let mut cells: Vec<_> = lock(shard).values().cloned().collect();
            // What is visible must not depend on the order of a hash table.
            cells.sort_unstable_by(|a, b| a.sid().cmp(b.sid()));
            cells.iter().for_each(|cell| change(cell));
        }
    }

    fn shard(&self, sid: &str) -> MutexGuard<'_, HashMap<Sid, Arc<Cell>>> {
        // The last bytes of a generated id are a counter: neighbours land in different shards.
        let last = sid.bytes().last().unwrap_or_default();
        lock(&self.sessions[usize::from(last) % SHARDS])
    }

    /// The namespace of this name, if it exists, with one more socket on its way into it.
    pub(crate) fn enter(&self, name: &str) -> Option<Entered> {
        let namespaces = read(&self.namespaces);
        // Under the lock: a child that is about to be cleaned up is either gone or saved.
        namespaces.get(name).map(Entered::new)
    }

    /// Somebody has left a namespace, or not got there. Cleans up after the last one.
    fn exit(&self, namespace: &Namespace) {
        if namespace.exit() && self.admission.cleanup_empty_child_namespaces {
            let removed = {
                let mut namespaces = write(&self.namespaces);
                let is_abandoned = namespaces.get(namespace.name()).is_some_and(Namespace::is_abandoned);
                if is_abandoned { namespaces.remove(namespace.name()) } else { None }
            };
            if let Some(removed) = removed {
                removed.stop();
                removed.retire();
            }
        }
    }

    /// Whether one more namespace may be made on demand.
    pub(crate) fn has_room_for_child(&self) -> bool {
        let children = read(&self.namespaces).values().filter(|namespace| namespace.is_child()).count();
        children < self.admission.max_dynamic_namespaces
    }

    /// The namespace of this name, if it exists.
    pub(crate) fn namespace(&self, name: &str) -> Option<Namespace> {
        read(&self.namespaces).get(name).cloned()
    }

    /// The namespace of this name, made by `make` if there is none.
    pub(crate) fn namespace_or_insert(&self, name: &str, make: impl FnOnce() -> Namespace) -> Namespace {
        let (namespace, is_new) = self.find_or_insert(name, make, Namespace::clone);
        if is_new {
            self.announce(&namespace);
        }
        namespace
    }

    /// The same for a client on its way in. Whether the namespace is new, and has to be [announced](Self::announce).
    pub(crate) fn enter_or_insert(&self, name: &str, make: impl FnOnce() -> Namespace) -> (Entered, bool) {
        self.find_or_insert(name, make, Entered::new)
    }

    fn find_or_insert<T>(
        &self,
        name: &str,
        make: impl FnOnce() -> Namespace,
        take: impl FnOnce(&Namespace) -> T,
    ) -> (T, bool) {
        // `take` under the lock: nobody cleans it up before.
        match write(&self.namespaces).entry(name.into()) {
            Entry::Occupied(entry) => (take(entry.get()), false),
            Entry::Vacant(entry) => (take(entry.insert(make())), true),
        }
    }

    /// Tells user code of a namespace that was made; clients may join it then.
    pub(crate) fn announce(&self, namespace: &Namespace) {
        // Whatever the handlers come to.
        let _ready = Ready(namespace);
        if !self.closing.is_raised() {
            namespace.start();
        }
        let handlers = read(&self.on_new_namespace).clone();
        handlers.iter().for_each(|handler| handler(namespace));
    }

    /// Lets go of everything that the application has left here, once the server is closed and no session is left:
    /// handlers may hold the server that holds them. Those that run end by themselves, and a connection that lingers
    /// calls none.
    pub(crate) fn retire_if_over(&self) {
        if !self.closing.is_raised() || self.len() > 0 {
            return;
        }
        self.namespaces().iter().for_each(Namespace::retire);
        let parents = std::mem::take(&mut *write(&self.parents));
        parents.iter().for_each(ParentNamespace::retire);
        let handlers = std::mem::take(&mut *write(&self.on_new_namespace));
        drop((parents, handlers));
    }

    /// Every namespace, in name order.
    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        let mut namespaces: Vec<_> = read(&self.namespaces).values().cloned().collect();
        namespaces.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        namespaces
    }

    pub(crate) fn add_parent(&self, parent: ParentNamespace) {
        write(&self.parents).push(parent);
    }

    pub(crate) fn parents(&self) -> Vec<ParentNamespace> {
        read(&self.parents).clone()
    }

    pub(crate) fn on_new_namespace(&self, handler: Arc<NamespaceHandler>) {
        write(&self.on_new_namespace).push(handler);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Handles to namespaces may outlive the server, but nobody is in them.
        for namespace in self.namespaces() {
            namespace.stop();
            namespace.retire();
        }
    }
}

/// A namespace with a socket in it, or on its way: as long as this is held. Whatever becomes of the way, the place is
/// given back.
pub(crate) struct Entered(Namespace);

impl Entered {
    fn new(namespace: &Namespace) -> Self {
        namespace.enter();
        Self(namespace.clone())
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Without a hub there is nothing to be cleaned up.
        if let Some(hub) = self.0.hub() {
            hub.exit(&self.0);
        }
    }
}

/// Opens a namespace when it is dropped.
struct Ready<'a>(&'a Namespace);

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.0.set_ready();
    }
}

/// Told of every namespace that comes into being.
type NamespaceHandler = dyn Fn(&Namespace) + Send + Sync;

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 16;
