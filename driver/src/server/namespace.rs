//! A namespace: its sockets, their rooms, and the handlers they share.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use socketio_core::AckId;
use socketio_core::rooms::{Change, Room, Selector};
use socketio_core::socket::recovery::Log;
use socketio_core::socket::{Args, DisconnectReason, EncodeError, Encoded, Event, FromArgs, Nsp};

use crate::ack::AckSender;
use crate::cluster::bus::Bus;
use crate::cluster::link::{Link, Request};
use crate::cluster::remote::{Incomplete, RemoteSocket, ServerSideAckFuture};
use crate::dispatch::{BoxError, ListenerId, Position, SocketError, Table};
use crate::reply::Reply;
use crate::runtime::Runtime;
use crate::server::hub::Hub;
use crate::server::kept::Kept;
use crate::server::operator::{BroadcastOperator, Manner, Rooms};
use crate::server::registry::{Member, Registry};
use crate::server::rest::Delivered;
use crate::server::room_events::{Events, RoomEvent};
use crate::server::socket::Socket;
use crate::signal::Signal;

/// A namespace of a server. Cheap to clone; a clone keeps nothing alive but itself.
#[derive(Clone)]
pub struct Namespace(Arc<Shared>);

struct Shared {
    nsp: Nsp,
    hub: Weak<Hub>,
    table: RwLock<Arc<Table>>,
    /// How often the table was changed: whoever has a copy need not take the lock to see that it is still good.
    edits: AtomicU64,
    registry: Registry,
    /// Whether the table has handlers for outgoing events: asked for every message, so it does not take the lock.
    watched: AtomicBool,
    /// Whether the table has handlers for what happens to rooms.
    rooms_watched: AtomicBool,
    room_events: Events,
    /// The sockets that are here, or on their way: a child of a dynamic namespace without any may be cleaned up.
    members: AtomicUsize,
    /// Raised when everybody has heard of it who is told of new namespaces: then it can be entered.
    ready: Signal,
    /// Nobody will be in it any more. Handlers set after that are dropped at once: they would keep themselves alive by
    /// the namespace they capture.
    over: AtomicBool,
    /// The template it was made from, if it was made on demand.
    parent: Option<Namespace>,
    /// What clients that are away miss. Held while a message is handed out, so that its order is that of every wire.
    recovery: Option<Arc<Kept>>,
    /// One counter for every acknowledgement in the namespace, as in the reference (REFERENCE 9.14).
    next_ack: AtomicU64,
    /// The way to the same namespace on other servers, if there are any.
    link: Option<Arc<Link>>,
}

/// A namespace that is not kept alive.
pub(crate) struct WeakNamespace(Weak<Shared>);

impl WeakNamespace {
    pub(crate) fn upgrade(&self) -> Option<Namespace> {
        self.0.upgrade().map(Namespace)
    }
}

/// Why a client is turned away by a middleware: it becomes `connect_error` there, with this message and data.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectError {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

impl ConnectError {
    /// A refusal with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds data: `err.data` at the client.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl Namespace {
    pub(crate) fn new(nsp: Nsp, hub: &Arc<Hub>) -> Self {
        Self::with_table(nsp, hub, Arc::default(), None, hub.admission.bus.as_ref())
    }

    /// What is to be the parent of others. Nobody is ever in it, here or elsewhere.
    pub(crate) fn template(nsp: Nsp, hub: &Arc<Hub>) -> Self {
        Self::with_table(nsp, hub, Arc::default(), None, None)
    }

    /// A namespace made on demand, with the handlers its parent has at this time.
    pub(crate) fn child(nsp: Nsp, hub: &Arc<Hub>, parent: &Self) -> Self {
        Self::with_table(nsp, hub, parent.table(), Some(parent.clone()), hub.admission.bus.as_ref())
    }

    fn with_table(
        nsp: Nsp,
        hub: &Arc<Hub>,
        table: Arc<Table>,
        parent: Option<Self>,
        bus: Option<&Arc<dyn Bus>>,
    ) -> Self {
        let recovery = hub.admission.recovery.clone().map(|config| {
            let epoch = hub.generate_id();
            Arc::new(Kept::new(Log::new(config, hub.config.socket.codec, &epoch.as_str()[..8])))
        });
        let link = |weak: &Weak<Shared>| {
            let (weak, codec) = (WeakNamespace(weak.clone()), hub.config.socket.codec);
            bus.map(|bus| Arc::new(Link::new(nsp.clone(), weak, bus.clone(), hub.runtime.clone(), codec)))
        };
        Self(Arc::new_cyclic(|weak| Shared {
            link: link(weak),
            nsp: nsp.clone(),
            hub: Arc::downgrade(hub),
            recovery,
            watched: AtomicBool::new(table.has_outgoing()),
            rooms_watched: AtomicBool::new(table.has_room_handlers()),
            room_events: Events::default(),
            table: RwLock::new(table),
            edits: AtomicU64::new(0),
            members: AtomicUsize::new(0),
            ready: Signal::default(),
            over: AtomicBool::new(false),
            parent,
            registry: Registry::default(),
            next_ack: AtomicU64::new(0),
        }))
    }

    /// It can be entered.
    pub(crate) fn set_ready(&self) {
        self.0.ready.raise();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.0.ready.is_raised()
    }

    /// Completes when it can be entered.
    pub(crate) async fn ready(&self) {
        self.0.ready.raised().await;
    }

    /// Drops its handlers, those to come included, and with them what they captured: nobody is in it, nor will be.
    pub(crate) fn retire(&self) {
        self.0.over.store(true, Ordering::Release);
        if let Some(kept) = &self.0.recovery {
            kept.retire();
        }
        let table = std::mem::take(&mut *self.0.table.write().unwrap_or_else(PoisonError::into_inner));
        self.0.watched.store(false, Ordering::Release);
        self.0.rooms_watched.store(false, Ordering::Release);
        self.0.edits.fetch_add(1, Ordering::Release);
        drop(table);
    }

    /// Joins the same namespace on other servers.
    pub(crate) fn start(&self) {
        if let Some(link) = self.link() {
            link.start();
        }
    }

    /// Leaves it again.
    pub(crate) fn stop(&self) {
        if let Some(link) = self.link() {
            link.close();
        }
    }

    /// The way to the same namespace on other servers, if there are any.
    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.0.link.as_ref()
    }

    /// Its name, beginning with a slash.
    pub fn name(&self) -> &str {
        &self.0.nsp
    }

    pub(crate) fn nsp(&self) -> &Nsp {
        &self.0.nsp
    }

    /// Calls `handler` for every event of this name on any socket of the namespace.
    ///
    /// The arguments are decoded into `T`: one argument as what it is, several as a tuple, `bytes::Bytes` anywhere
    /// inside for binary data. An event whose arguments are something else is logged and dropped. What the handler
    /// returns may be the acknowledgement: see [`Reply`].
    ///
    /// One table serves all sockets: handlers registered here cost no memory per socket, unlike
    /// [`Socket::on`].
    pub fn on<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.edit(|table| table.on(event, handler))
    }

    /// Like [`on`](Self::on), for a handler that answers in its own time.
    pub fn on_with_ack<F, T, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_with_ack(event, handler))
    }

    /// Like [`on`](Self::on), for the next event of this name alone, on whatever socket it comes.
    pub fn once<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.edit(|table| table.once(event, handler))
    }

    /// Calls `handler` for every event, whatever its name, before middlewares and before the handlers of that name.
    pub fn on_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_any(Position::Last, handler))
    }

    /// Shows `handler` every event sent to a socket of the namespace, once for each receiver, before it is sent.
    /// Acknowledgements are not shown.
    pub fn on_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Socket, &Event) + Send + Sync + 'static,
    {
        self.edit(|table| table.on_any_outgoing(Position::Last, handler))
    }

    /// Calls `handler` when a middleware of events refuses one, or a client breaks the protocol.
    pub fn on_error<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Arc<SocketError>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_error(handler))
    }

    /// Asks `middleware` about every event on any socket of the namespace, after the catch-all handlers and before the
    /// others. A refusal goes to the [error handlers](Self::on_error); the client hears nothing.
    pub fn use_event_middleware<F, Fut>(&self, middleware: F)
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.edit(|table| table.use_event_middleware(middleware));
    }

    /// Calls `handler` when a socket has joined the namespace.
    pub fn on_connection<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_connection(handler))
    }

    /// Calls `handler` when a socket is about to leave, its rooms still known.
    pub fn on_disconnecting<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_disconnecting(handler))
    }

    /// Calls `handler` when a socket has left.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_disconnect(handler))
    }

    /// Tells `handler` what happens to the rooms of the namespace on this server, in order: which begin and end, and who
    /// joins and leaves. It is called where the change is made, or right after by whoever makes another one; it must not
    /// block.
    ///
    /// ```
    /// # use socketio_driver::{RoomEvent, Server};
    /// # fn f(io: &Server) {
    /// io.on_room_event(|event| match event {
    ///     RoomEvent::Create(room) => println!("{room} begins"),
    ///     RoomEvent::Delete(room) => println!("{room} is over"),
    ///     RoomEvent::Join(..) | RoomEvent::Leave(..) => {}
    /// });
    /// # }
    /// ```
    pub fn on_room_event(&self, handler: impl Fn(&RoomEvent) + Send + Sync + 'static) -> ListenerId {
        self.edit(|table| table.on_room_event(handler))
    }

    /// Asks `middleware` about every client that wants to join, after those registered before. At that time the
    /// socket has its id but is not connected.
    pub fn use_middleware<F, Fut>(&self, middleware: F)
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.edit(|table| table.use_connect_middleware(middleware));
    }

    /// Calls `handler` for every event of this name that another server sends with
    /// [`server_side_emit`](Self::server_side_emit). What the handler returns may be the answer to it: see [`Reply`].
    ///
    /// Handlers start in the order of arrival and run up to their first `await`.
    pub fn on_server_side<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.edit(|table| table.on_server_side(event, handler))
    }

    /// Sends an event to the other servers of the cluster: to the handlers of
    /// [`on_server_side`](Self::on_server_side) there, not to those here. On a server that is in no cluster nothing
    /// happens.
    ///
    /// # Errors
    /// [`EncodeError`] when the name is reserved (`connect`, `connection`, `new_namespace`) or the arguments do not
    /// serialize.
    pub fn server_side_emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        let event = server_side_event(event, &args)?;
        match self.link() {
            Some(link) => link.act(|node, now| node.server_side_emit(event, now)),
            None => tracing::debug!(event = event.name(), "no cluster to send a server-side event to"),
        }
        Ok(())
    }

    /// Sends an event to the other servers of the cluster and collects the first argument of each one's answer, in the
    /// order of arrival. Each has 5 s.
    ///
    /// # Errors
    /// [`EncodeError`] at once, as [`server_side_emit`](Self::server_side_emit); [`Incomplete`](crate::Incomplete)
    /// from the future when not every server answered.
    pub fn server_side_emit_with_ack<R, T: Serialize>(
        &self,
        event: &str,
        args: T,
    ) -> Result<ServerSideAckFuture<R>, EncodeError> {
        let event = server_side_event(event, &args)?;
        let request = self.link().map(|link| {
            Request::new(link, |node, waiter, now| node.server_side_emit_with_ack(event, waiter, now))
        });
        Ok(ServerSideAckFuture::new(request))
    }

    /// Takes every handler of an event away.
    pub fn off_event(&self, event: &str) {
        let _removed = self.table();
        self.edit(|table| table.off_event(event));
    }

    /// Takes a handler away. Returns whether it was there.
    pub fn off(&self, listener: ListenerId) -> bool {
        // Kept until the lock is released: what a handler captured may have something to say when it is dropped.
        let _removed = self.table();
        self.edit(|table| table.off(listener))
    }

    pub(crate) fn edit<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock: what is not dropped here is found by `retire`.
        if self.0.over.load(Ordering::Acquire) {
            drop(table);
            return change(&mut Table::default());
        }
        let result = change(Arc::make_mut(&mut table));
        self.0.watched.store(table.has_outgoing(), Ordering::Release);
        self.0.edits.fetch_add(1, Ordering::Release);
        self.0.rooms_watched.store(table.has_room_handlers(), Ordering::Release);
        result
    }

    /// How often its handlers were changed.
    pub(crate) fn edits(&self) -> u64 {
        self.0.edits.load(Ordering::Acquire)
    }

    /// Whether somebody wants to see what is sent.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends an event to every socket of the namespace.
    ///
    /// # Errors
    /// [`EncodeError`] when the name is reserved or the arguments do not serialize.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        self.everyone().emit(event, args)
    }

    /// An operator for the sockets in any of these rooms.
    #[doc(alias = "in")]
    pub fn to(&self, rooms: impl Rooms) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// An operator for every socket that is in none of these rooms.
    pub fn except(&self, rooms: impl Rooms) -> BroadcastOperator {
        self.everyone().except(rooms)
    }

    /// An operator whose messages are dropped for clients that are not ready for them.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// An operator whose messages transports may or may not compress (`io.compress`).
    pub fn compress(&self, compress: bool) -> BroadcastOperator {
        self.everyone().compress(compress)
    }

    /// An operator that sends each client the newest of an event's name only: see [`BroadcastOperator::latest`].
    pub fn latest(&self) -> BroadcastOperator {
        self.everyone().latest()
    }

    /// An operator whose acknowledgements are waited for this long.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.everyone().timeout(timeout)
    }

    /// An operator for the sockets of this server alone, where there are others.
    pub fn local(&self) -> BroadcastOperator {
        self.everyone().local()
    }

    /// Puts every socket of the namespace into rooms, on all servers.
    pub fn sockets_join(&self, rooms: impl Rooms) {
        self.everyone().sockets_join(rooms);
    }

    /// Takes every socket of the namespace out of rooms, on all servers.
    pub fn sockets_leave(&self, rooms: impl Rooms) {
        self.everyone().sockets_leave(rooms);
    }

    /// Makes every socket leave the namespace, on all servers.
    pub fn disconnect_sockets(&self) {
        self.everyone().disconnect_sockets();
    }

    /// Makes every client of the namespace leave all namespaces and closes its connection, on all servers.
    pub fn disconnect_sockets_all(&self) {
        self.everyone().disconnect_sockets_all();
    }

    /// Sends the event `message` to every socket of the namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    #[doc(alias = "write")]
    pub fn send<T: Serialize>(&self, args: T) -> Result<(), EncodeError> {
        self.emit("message", args)
    }

    /// Every socket of the namespace, on all servers: see [`BroadcastOperator::fetch_sockets`].
    ///
    /// # Errors
    /// [`Incomplete`] when not every server answered in time.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Incomplete<RemoteSocket>> {
        self.everyone().fetch_sockets().await
    }

    /// An operator for every socket of the namespace.
    pub fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.clone(), Selector::default())
    }

    /// Every socket of the namespace, in the order of joining.
    pub fn sockets(&self) -> Vec<Socket> {
        self.select(&Selector::default())
    }

    /// How many sockets there are.
    pub fn sockets_count(&self) -> usize {
        self.0.registry.len()
    }

    /// Every room with a member, without the sockets' own, in name order.
    pub fn rooms(&self) -> Vec<Room> {
        self.0.registry.names()
    }

    /// Announces a socket that wants to join.
    pub(crate) fn enter(&self) {
        self.0.members.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes that back when it has left, or was refused. Returns whether nobody is left in a child.
    pub(crate) fn exit(&self) -> bool {
        self.0.members.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.parent.is_some()
    }

    /// Whether it is a child that nobody is in, or about to be.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.parent.is_some() && self.0.members.load(Ordering::Acquire) == 0
    }

    pub(crate) fn is_child(&self) -> bool {
        self.0.parent.is_some()
    }

    pub(crate) fn is_child_of(&self, template: &Self) -> bool {
        self.0.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(&parent.0, &template.0))
    }

    pub(crate) fn hub(&self) -> Option<Arc<Hub>> {
        self.0.hub.upgrade()
    }

    /// What clients that are away miss, if that is kept.
    pub(crate) fn recovery(&self) -> Option<MutexGuard<'_, Log<Value>>> {
        Some(self.0.recovery.as_ref()?.lock())
    }

    /// Sees to it that what was put there is forgotten in time. To be called without the lock.
    pub(crate) fn watch_recovery(&self, runtime: &Arc<dyn Runtime>) {
        if let Some(kept) = &self.0.recovery {
            kept.watch(runtime);
        }
    }

    /// Sends an event to the sockets meant by `selector`, and keeps it for those that are away.
    pub(crate) fn publish(
        &self,
        selector: &Selector,
        name: &str,
        encoded: &Encoded,
        manner: Manner,
        hub: &Hub,
    ) {
        let mut receivers = self.select(selector);
        receivers.iter().for_each(|socket| socket.show(encoded));
        match self.recovery() {
            Some(mut log) if manner == Manner::Reliable => {
                let stamped = log.record(selector, encoded, hub.now());
                // Asked again under the lock: a client that came back meanwhile missed this one, or gets it now.
                let meant = self.select(selector).into_iter();
                let is_listed = |socket: &Socket| socket.deliver(name, &stamped, manner) == Delivered::Listed;
                let (listed, others): (Vec<_>, Vec<_>) = meant.partition(is_listed);
                drop(log);
                // Without the lock: they may be the last of a socket, and of what its application keeps there.
                drop((others, std::mem::replace(&mut receivers, listed)));
                self.watch_recovery(&hub.runtime);
            }
            _ => receivers.retain(|socket| socket.deliver(name, encoded, manner) == Delivered::Listed),
        }
        hub.flushers.flush(receivers);
    }

    pub(crate) fn next_ack(&self) -> AckId {
        AckId(self.0.next_ack.fetch_add(1, Ordering::Relaxed))
    }

    /// The sockets meant by `selector`, each once, in the order of joining.
    pub(crate) fn select(&self, selector: &Selector) -> Vec<Socket> {
        self.0.registry.select(selector, |member| member.socket.clone())
    }

    /// Makes a socket known. Whoever wants to know is told by [`tell_of_rooms`](Self::tell_of_rooms).
    pub(crate) fn insert(&self, socket: &Socket) {
        let insert = |member: &Member| self.0.registry.insert(member);
        self.enter_room(socket, socket.id().as_str(), insert);
    }

    /// Puts a socket into a room; the rest as for [`insert`](Self::insert). Returns whether anybody may want to know.
    pub(crate) fn put(&self, socket: &Socket, room: &str) -> bool {
        self.enter_room(socket, room, |member| self.0.registry.join(member, room))
    }

    pub(crate) fn remove(&self, socket: &Socket) {
        let member = Member::from(socket);
        if !self.0.rooms_watched.load(Ordering::Acquire) {
            return self.0.registry.remove(&member, |_, _| {});
        }
        let mut queue = self.0.room_events.lock();
        self.0.registry.remove(&member, |room, change| queue.left(room, socket.id(), change));
        drop(queue);
        self.tell_of_rooms();
    }

    pub(crate) fn join(&self, socket: &Socket, room: &str) {
        // Asked for by its answer: where nobody listens, there is no lock that all who join share.
        if self.put(socket, room) {
            self.tell_of_rooms();
        }
    }

    pub(crate) fn leave(&self, socket: &Socket, room: &str) {
        let member = Member::from(socket);
        if !self.0.rooms_watched.load(Ordering::Acquire) {
            self.0.registry.leave(&member, room);
            return;
        }
        let mut queue = self.0.room_events.lock();
        let change = self.0.registry.leave(&member, room);
        queue.left(room.into(), socket.id(), change);
        drop(queue);
        self.tell_of_rooms();
    }

    /// Puts a socket into a room by `enter`, and keeps what there is to tell of it. Returns whether anybody may want to know.
    fn enter_room(&self, socket: &Socket, room: &str, enter: impl FnOnce(&Member) -> Change) -> bool {
        let member = Member::from(socket);
        if !self.0.rooms_watched.load(Ordering::Acquire) {
            enter(&member);
            return false;
        }
        let mut queue = self.0.room_events.lock();
        let change = enter(&member);
        queue.entered(room.into(), socket.id(), change);
        true
    }

    /// Tells of what happened to rooms, which runs user code: to be called without any lock.
    pub(crate) fn tell_of_rooms(&self) {
        let table = self.table();
        self.0.room_events.tell(|event| table.tell_of_room(event));
    }

    pub(crate) fn rooms_of(&self, socket: &Socket) -> Vec<Room> {
        self.0.registry.rooms_of(&Member::from(socket))
    }
}

fn server_side_event<T: Serialize>(name: &str, args: &T) -> Result<Event, EncodeError> {
    // These have a meaning on a namespace of the reference (REFERENCE 4.3).
    if let "connect" | "connection" | "new_namespace" = name {
        return Err(EncodeError::ReservedEvent);
    }
    Ok(Event::new(name, Args::encode(args)?))
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.name()).finish()
    }
}
