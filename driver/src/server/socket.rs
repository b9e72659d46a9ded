//! A socket: one client in one namespace.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use socketio_core::cluster::Details;
use socketio_core::engine::Transport;
use socketio_core::engine::buffer::Compression;
use socketio_core::peer::{Delivery, SendError};
use socketio_core::rooms::{Room, Selector};
use socketio_core::socket::recovery::{self, Position};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Args, Codec, DisconnectReason, EncodeError, Encoded, Event, FromArgs};
use socketio_core::{AckId, Instant, Sid};

use crate::ack::{AckFuture, AckSender, EmitError, Refused, Waiter, Wanted, unsent};
use crate::cluster::remote::value_of;
use crate::dispatch::{self, BoxError, ListenerId, SocketError, Table};
use crate::encoding;
use crate::reply::Reply;
use crate::server::cell::{Cell, Sender};
use crate::server::conn::{Conn, Disconnect};
use crate::server::handshake::Handshake;
use crate::server::namespace::Namespace;
use crate::server::operator::{self, BroadcastOperator, Emitter, Manner, Rooms, listed};
use crate::server::rest::Delivered;
use crate::transcript::Recorded;

/// One client in one namespace. Cheap to clone; a clone does not keep the connection alive.
#[derive(Clone)]
pub struct Socket(Arc<Shared>);

#[repr(C)] // in this order: what every message asks for comes first and lies together
struct Shared {
    cell: Arc<Cell>,
    namespace: Namespace,
    slot: Slot,
    /// How often its own table was changed.
    edits: AtomicU32,
    leaving: AtomicBool,
    connected: AtomicBool,
    /// Whether its own table has handlers for outgoing events.
    watched: AtomicBool,
    /// It has left its namespace, or was never let in. Handlers set after that are dropped at once: they would keep
    /// themselves alive by the socket they capture.
    over: AtomicBool,
    /// It is in its namespace's registry of rooms, or was.
    seated: AtomicBool,
    identity: Identity,
    key: u64,
    handshake: Handshake,
    /// Set when it leaves.
    disconnection: OnceLock<Box<Disconnect>>,
    /// Most sockets have neither handlers nor data of their own.
    own: Mutex<Option<Box<Own>>>,
}

#[derive(Default)]
struct Own {
    table: Arc<Table>,
    data: Option<Value>,
    past_rooms: Vec<Room>,
    /// Those it entered in a middleware, before it was in the namespace.
    early_rooms: Vec<Room>,
}

/// Which handlers a socket has: two that are equal are of the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    namespace: u64,
    own: u32,
}

/// Who a socket is, and who it was before.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: Sid,
    /// The secret by which the client is known when it comes back, if that is of use.
    pub(crate) pid: Option<Sid>,
    /// Where the log of the namespace stood: behind the last thing it received, or when it came.
    pub(crate) since: Option<Position>,
    pub(crate) recovered: bool,
}

impl Socket {
    pub(crate) fn new(
        cell: Arc<Cell>,
        slot: Slot,
        key: u64,
        identity: Identity,
        namespace: Namespace,
        handshake: Handshake,
    ) -> Self {
        Self(Arc::new(Shared {
            cell,
            namespace,
            slot,
            edits: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            over: AtomicBool::new(false),
            seated: AtomicBool::new(false),
            identity,
            key,
            handshake,
            disconnection: OnceLock::new(),
            own: Mutex::new(None),
        }))
    }

    /// Its public id: what other clients may know, and a room of its own.
    pub fn id(&self) -> &Sid {
        &self.0.identity.id
    }

    /// The namespace it is in.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Whether it is a client that came back and goes on where it was: with its id, rooms and data, and what it missed.
    pub fn is_recovered(&self) -> bool {
        self.0.identity.recovered
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The request it came with.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// Whether it is in its namespace: false in a middleware, and after it has left.
    pub fn is_connected(&self) -> bool {
        self.was_connected() && !self.is_leaving()
    }

    /// Whether it is known to be in its namespace, even if it has been told to leave.
    pub(crate) fn was_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Whether the server has made it leave: what the client sent before it knew is not heard any more.
    pub(crate) fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire) || self.0.cell.is_leaving()
    }

    /// Why it left its namespace, with a description where something was wrong; `None` before. Known from the
    /// [disconnecting](Self::on_disconnecting) handlers on.
    pub fn disconnection(&self) -> Option<&Disconnect> {
        self.0.disconnection.get().map(|disconnection| &**disconnection)
    }

    pub(crate) fn set_disconnection(&self, disconnection: Disconnect) {
        // It leaves once.
        let _ = self.0.disconnection.set(Box::new(disconnection));
    }

    /// The connection it shares with the client's sockets in other namespaces.
    pub fn conn(&self) -> Conn {
        Conn::new(self.0.cell.clone(), self.0.handshake.request.clone())
    }

    /// The transport its packets travel on now, or `None` once the connection is closed.
    pub fn transport(&self) -> Option<Transport> {
        self.0.cell.peek(|peer| peer.transport()).flatten()
    }

    /// Its number, unique on this server: older sockets have smaller ones.
    pub(crate) fn key(&self) -> u64 {
        self.0.key
    }

    pub(crate) fn cell(&self) -> &Cell {
        &self.0.cell
    }

    pub(crate) fn slot(&self) -> Slot {
        self.0.slot
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Release);
    }

    // Handlers

    /// Calls `handler` for every event of this name on this socket: see [`Namespace::on`], which serves all sockets
    /// with one table. The handler is dropped when the socket has left.
    pub fn on<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Self, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.edit(|table| table.on(event, handler))
    }

    /// Like [`on`](Self::on), for a handler that answers in its own time.
    pub fn on_with_ack<F, T, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Self, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_with_ack(event, handler))
    }

    /// Like [`on`](Self::on), for the next event of this name alone.
    pub fn once<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Self, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.edit(|table| table.once(event, handler))
    }

    /// Calls `handler` for every event, whatever its name, before middlewares and before the handlers of that name.
    pub fn on_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_any(dispatch::Position::Last, handler))
    }

    /// Like [`on_any`](Self::on_any), before the catch-all handlers that are there.
    pub fn prepend_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_any(dispatch::Position::First, handler))
    }

    /// Shows `handler` every event sent to this socket, broadcasts too, before it is sent. Acknowledgements are not
    /// shown.
    pub fn on_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Self, &Event) + Send + Sync + 'static,
    {
        self.edit(|table| table.on_any_outgoing(dispatch::Position::Last, handler))
    }

    /// Like [`on_any_outgoing`](Self::on_any_outgoing), before the handlers that are there.
    pub fn prepend_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Self, &Event) + Send + Sync + 'static,
    {
        self.edit(|table| table.on_any_outgoing(dispatch::Position::First, handler))
    }

    /// Calls `handler` when a middleware refuses an event, or the client breaks the protocol.
    pub fn on_error<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, Arc<SocketError>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_error(handler))
    }

    /// Asks `middleware` about every event, after the catch-all handlers and before the others. A refusal goes to the
    /// [error handlers](Self::on_error); the client hears nothing.
    pub fn use_middleware<F, Fut>(&self, middleware: F)
    where
        F: Fn(Self, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.edit(|table| table.use_event_middleware(middleware));
    }

    /// Calls `handler` when the socket is about to leave, its rooms still known. What goes beyond the reason
    /// [`disconnection`](Self::disconnection) says.
    pub fn on_disconnecting<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_disconnecting(handler))
    }

    /// Calls `handler` when the socket has left. What goes beyond the reason [`disconnection`](Self::disconnection) says.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_disconnect(handler))
    }

    /// Takes a handler away. Returns whether it was there.
    pub fn off(&self, listener: ListenerId) -> bool {
        // Kept until the lock is released: what a handler captured may have something to say when it is dropped.
        let _removed = self.table();
        self.edit(|table| table.off(listener))
    }

    /// Takes every handler of an event away.
    pub fn off_event(&self, event: &str) {
        let _removed = self.table();
        self.edit(|table| table.off_event(event));
    }

    /// This socket's handlers of an event, in the order in which they run.
    pub fn listeners(&self, event: &str) -> Vec<ListenerId> {
        self.table().map_or_else(Vec::new, |table| table.listeners(event))
    }

    /// This socket's catch-all handlers, in the order in which they run.
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        self.table().map_or_else(Vec::new, |table| table.listeners_any())
    }

    /// This socket's handlers of outgoing events, in the order in which they run.
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.table().map_or_else(Vec::new, |table| table.listeners_any_outgoing())
    }

    pub(crate) fn edit<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut own = self.own();
        // Asked under the lock: what is not dropped here is found by `clear_handlers`.
        if self.0.over.load(Ordering::Acquire) {
            drop(own);
            return change(&mut Table::default());
        }
        let table = Arc::make_mut(&mut own.get_or_insert_default().table);
        let result = change(table);
        self.0.watched.store(table.has_outgoing(), Ordering::Release);
        self.0.edits.fetch_add(1, Ordering::Release);
        result
    }

    /// The state of its handlers, the namespace's and its own.
    pub(crate) fn edition(&self) -> Edition {
        Edition { namespace: self.0.namespace.edits(), own: self.0.edits.load(Ordering::Acquire) }
    }

    /// Shows an event to whoever wants to see what is sent to this socket.
    pub(crate) fn show(&self, encoded: &Encoded) {
        if !self.0.namespace.is_watched() && !self.0.watched.load(Ordering::Acquire) {
            return;
        }
        let Some(event) = encoded.to_event(self.0.cell.hub.config.socket.codec) else { return };
        for table in [Some(self.0.namespace.table()), self.table()].into_iter().flatten() {
            table.see_outgoing(self, &event);
        }
    }

    /// The socket's own handlers, if it has any.
    pub(crate) fn table(&self) -> Option<Arc<Table>> {
        if self.0.edits.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.own().as_ref().map(|own| own.table.clone())
    }

    /// Drops its handlers, those to come included, and with them what they captured.
    pub(crate) fn clear_handlers(&self) {
        self.0.over.store(true, Ordering::Release);
        let table = self.own().as_mut().map(|own| std::mem::take(&mut own.table));
        drop(table);
    }

    /// Makes it what it was before the client went away.
    pub(crate) fn restore(&self, past: recovery::Session<Value>) {
        let mut own = self.own();
        let own = own.get_or_insert_default();
        own.data = Some(past.data);
        own.past_rooms = past.rooms;
    }

    /// The rooms it was in before the client went away.
    pub(crate) fn past_rooms(&self) -> Vec<Room> {
        self.own().as_ref().map_or_else(Vec::new, |own| own.past_rooms.clone())
    }

    pub(crate) fn raw_data(&self) -> Value {
        let data = self.own().as_ref().and_then(|own| own.data.clone());
        data.unwrap_or_else(|| Value::Object(Map::new()))
    }

    fn own(&self) -> MutexGuard<'_, Option<Box<Own>>> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Data

    /// Keeps a value with the socket, in the place of the one before.
    ///
    /// # Errors
    /// When it does not serialize: the data of a socket can be asked for by other nodes.
    pub fn set_data<T: Serialize>(&self, data: T) -> Result<(), serde_json::Error> {
        let data = serde_json::to_value(data)?;
        self.own().get_or_insert_default().data = Some(data);
        Ok(())
    }

    /// The value kept with the socket; `{}` if none was.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.raw_data())
    }

    // Rooms

    /// Enters rooms; in a middleware, for the case that it is let in. Does nothing once the socket has left its namespace.
    pub fn join(&self, rooms: impl Rooms) {
        for room in listed(rooms) {
            let early = self.with_early_rooms(|early| {
                if !early.contains(&room) {
                    early.push(room.clone());
                }
            });
            if early.is_none() {
                self.0.namespace.join(self, &room);
            }
        }
    }

    /// Leaves rooms.
    pub fn leave(&self, rooms: impl Rooms) {
        for room in listed(rooms) {
            if self.with_early_rooms(|early| early.retain(|entered| *entered != room)).is_none() {
                self.0.namespace.leave(self, &room);
            }
        }
    }

    /// The rooms it is in: its own id first, then in the order of joining.
    pub fn rooms(&self) -> Vec<Room> {
        self.with_early_rooms(|early| early.clone()).unwrap_or_else(|| self.0.namespace.rooms_of(self))
    }

    /// Looks after the rooms of a socket that is not in its namespace yet.
    fn with_early_rooms<R>(&self, look: impl FnOnce(&mut Vec<Room>) -> R) -> Option<R> {
        let mut own = self.own();
        // Asked under the lock: what is entered here is found by `take_seat`.
        let early = !self.0.seated.load(Ordering::Acquire) && !self.0.over.load(Ordering::Acquire);
        early.then(|| look(&mut own.get_or_insert_default().early_rooms))
    }

    /// The registry of rooms knows it from now on. Returns the rooms to enter there.
    pub(crate) fn take_seat(&self) -> Vec<Room> {
        let mut own = self.own();
        self.0.seated.store(true, Ordering::Release);
        own.as_mut().map_or_else(Vec::new, |own| std::mem::take(&mut own.early_rooms))
    }

    /// An operator for the sockets in any of these rooms, without this one.
    #[doc(alias = "in")]
    pub fn to(&self, rooms: impl Rooms) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// An operator for every other socket that is in none of these rooms.
    pub fn except(&self, rooms: impl Rooms) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// An operator for every other socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        let selector = Selector::default().except(self.id().as_str());
        BroadcastOperator::new(self.0.namespace.clone(), selector)
    }

    /// An operator for every other socket of this server, where there are more servers.
    pub fn local(&self) -> BroadcastOperator {
        self.broadcast().local()
    }

    /// What other servers may know of it.
    pub(crate) fn details(&self) -> Details {
        Details {
            id: self.id().clone(),
            handshake: self.handshake().to_value(),
            rooms: self.rooms(),
            data: value_of(&self.raw_data()),
        }
    }

    // Messages

    /// Sends an event to the client: `args` is one argument as what it is, several as a tuple, none as `()`.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`] when the socket has left, [`EmitError::Full`] when the client reads too slowly,
    /// [`EmitError::Encode`] when the name is reserved or the arguments do not serialize.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EmitError> {
        self.send_event(event, &args, Manner::Reliable, Compression::Allowed)
    }

    /// Sends the event `message` to the client.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    #[doc(alias = "write")]
    pub fn send<T: Serialize>(&self, args: T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event like [`emit`](Self::emit), but waits for room where the outgoing queue is full: the sender goes at
    /// the pace of the client. One that does not read at all is gone after a heartbeat.
    ///
    /// With connection state recovery nothing is waited for: a client that is too slow is closed, and gets the rest when
    /// it comes back.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), but never [`EmitError::Full`].
    pub async fn emit_when_ready<T: Serialize>(&self, event: &str, args: T) -> Result<(), EmitError> {
        let encoded = match self.encode(event, &args)? {
            encoded if self.identity().pid.is_some() => {
                return self.send_kept(event, &encoded);
            }
            encoded => encoded,
        };
        self.show(&encoded);
        let sent = self.send_when_ready(&encoded).await;
        sent.map_err(|error| EmitError::new(error, || unsent(&encoded, self.codec())))
    }

    /// Sends an event and waits for its acknowledgement, for ever unless a [`timeout`](Self::timeout) says otherwise
    /// or the client leaves. The answer is decoded like the arguments of an event.
    ///
    /// # Errors
    /// From the future: [`AckError`](crate::AckError).
    pub fn emit_with_ack<R, T: Serialize>(&self, event: &str, args: T) -> AckFuture<R> {
        self.emitter().emit_with_ack(event, args)
    }

    /// Waits this long for the acknowledgement.
    pub fn timeout(&self, timeout: Duration) -> Emitter {
        Emitter { timeout: Some(timeout), ..self.emitter() }
    }

    /// Drops the message if the connection is not ready at that instant.
    pub fn volatile(&self) -> Emitter {
        Emitter { manner: Manner::Volatile, ..self.emitter() }
    }

    /// Sends the newest of an event's name only: see [`BroadcastOperator::latest`].
    pub fn latest(&self) -> Emitter {
        Emitter { manner: Manner::Latest, ..self.emitter() }
    }

    /// Whether transports may compress the message. Default: yes, from the server's threshold on.
    pub fn compress(&self, compress: bool) -> Emitter {
        Emitter { compression: operator::compression(compress), ..self.emitter() }
    }

    fn emitter(&self) -> Emitter {
        let (manner, compression) = (Manner::Reliable, Compression::Allowed);
        Emitter { socket: self.clone(), manner, compression, timeout: None }
    }

    fn codec(&self) -> Codec {
        self.0.cell.hub.config.socket.codec
    }

    fn encode<T: Serialize>(&self, event: &str, args: &T) -> Result<Encoded, EncodeError> {
        encoding::event(self.codec(), self.0.namespace.nsp(), None, event, args)
    }

    pub(crate) fn send_event<T: Serialize>(
        &self,
        event: &str,
        args: &T,
        manner: Manner,
        compression: Compression,
    ) -> Result<(), EmitError> {
        let mut encoded = self.encode(event, args)?.with_compression(compression);
        if manner == Manner::Reliable && self.identity().pid.is_some() {
            return self.send_kept(event, &encoded);
        }
        self.show(&encoded);
        let unsent = || Event::new(event, Args::encode(args).unwrap_or_default());
        self.send_encoded(event, &mut encoded, manner).map_err(|error| EmitError::new(error, unsent))
    }

    /// To its own room, as in the reference: so it is kept for the time that it is away.
    fn send_kept(&self, event: &str, encoded: &Encoded) -> Result<(), EmitError> {
        if !self.is_live() {
            return Err(EmitError::Disconnected);
        }
        let own = Selector::default().to(self.id().as_str());
        self.0.namespace.publish(&own, event, encoded, Manner::Reliable, &self.0.cell.hub);
        Ok(())
    }

    /// Whether messages still reach it, in its namespace or on the way there.
    fn is_live(&self) -> bool {
        self.0.cell.peek(|peer| peer.is_live(self.0.slot)) == Some(true)
    }

    pub(crate) fn send_with_ack<R, T: Serialize>(
        &self,
        event: &str,
        args: &T,
        manner: Manner,
        compression: Compression,
        timeout: Option<Duration>,
    ) -> AckFuture<R> {
        let hub = &self.0.cell.hub;
        let id = self.0.namespace.next_ack();
        match encoding::event(self.codec(), self.0.namespace.nsp(), Some(id), event, args) {
            Ok(encoded) => AckFuture::new(self.clone(), id, |socket, waiter| {
                let encoded = encoded.with_compression(compression);
                let deadline = timeout.map(|timeout| hub.now() + timeout);
                let sent = socket.send_expecting(&encoded, id, waiter, deadline, manner);
                sent.map_err(|(reason, _)| EmitError::new(reason, || unsent(&encoded, self.codec())))
            }),
            Err(error) => AckFuture::failed(error.into()),
        }
    }

    pub(crate) fn send_ack<T: Serialize>(&self, wanted: &Wanted, args: &T) -> Result<(), EmitError> {
        let encoded = encoding::ack(self.codec(), self.0.namespace.nsp(), wanted.id, args)?;
        if !wanted.claim() {
            return Ok(());
        }
        let unsent = || Event::new("", Args::encode(args).unwrap_or_default());
        self.try_send(encoded).map_err(|error| EmitError::new(error, unsent))
    }

    /// Sends what must not get lost, if there is room for it.
    pub(crate) fn try_send(&self, mut encoded: Encoded) -> Result<(), SendError> {
        self.send_encoded("", &mut encoded, Manner::Reliable)
    }

    /// The packet leaves its place, which is where it was made: it is not moved about.
    fn send_encoded(&self, name: &str, encoded: &mut Encoded, manner: Manner) -> Result<(), SendError> {
        let sent = self.0.cell.with_peer(|peer| self.send_to(peer, name, encoded, manner));
        sent.unwrap_or(Err(SendError::Disconnected))
    }

    fn send_to(
        &self,
        peer: &mut Recorded,
        name: &str,
        encoded: &mut Encoded,
        manner: Manner,
    ) -> Result<(), SendError> {
        let slot = self.0.slot;
        match manner {
            Manner::Reliable => peer.send(slot, encoded, Delivery::Reliable),
            Manner::Volatile => peer.send(slot, encoded, Delivery::Volatile),
            Manner::Latest => peer.send_latest(slot, name, encoded),
        }
    }

    /// Sends it when there is room.
    pub(crate) fn send_when_ready(&self, encoded: &Encoded) -> impl Future<Output = Result<(), SendError>> {
        let slot = self.0.slot;
        let mut sender = Sender::new(&self.0.cell);
        poll_fn(move |cx| {
            sender.poll_send(cx, |peer| peer.send(slot, &mut encoded.clone(), Delivery::Reliable))
        })
    }

    pub(crate) fn send_expecting(
        &self,
        encoded: &Encoded,
        id: AckId,
        waiter: Waiter,
        deadline: Option<Instant>,
        manner: Manner,
    ) -> Result<(), (Refused, Waiter)> {
        self.show(encoded);
        let mut waiter = Some(waiter);
        let sent = self.0.cell.with_peer(|peer| match waiter.take() {
            Some(waiter) if manner != Manner::Reliable && !peer.is_writable() => {
                Err((Refused::Dropped, waiter))
            }
            Some(waiter) => peer
                .send_with_ack(self.0.slot, encoded, id, waiter, deadline)
                .map_err(|(error, waiter)| (error.into(), waiter)),
            None => Ok(()),
        });
        match (sent, waiter) {
            (None, Some(waiter)) => Err((Refused::Disconnected, waiter)),
            (sent, _) => sent.unwrap_or(Ok(())),
        }
    }

    pub(crate) fn forget_ack(&self, id: AckId) {
        let waiter = self.0.cell.pump(|peer| peer.forget_ack(self.0.slot, id));
        drop(waiter);
    }

    /// Its share of a broadcast. A client with a full queue is given up: it must not go on with a gap.
    pub(crate) fn deliver(&self, name: &str, encoded: &Encoded, manner: Manner) -> Delivered {
        let delivered = self.0.cell.deliver(|peer| self.send_to(peer, name, &mut encoded.clone(), manner));
        match delivered {
            None => Delivered::Done,
            Some((sent, delivered)) => {
                if sent == Err(SendError::Full) {
                    self.give_up();
                }
                delivered
            }
        }
    }

    /// Its share of a broadcast that is to be acknowledged, by the same rule.
    pub(crate) fn deliver_expecting(
        &self,
        encoded: &Encoded,
        id: AckId,
        waiter: Waiter,
        deadline: Option<Instant>,
        manner: Manner,
    ) -> Result<(), (Refused, Waiter)> {
        let sent = self.send_expecting(encoded, id, waiter, deadline, manner);
        if matches!(sent, Err((Refused::Full, _))) {
            self.give_up();
        }
        sent
    }

    pub(crate) fn give_up(&self) {
        tracing::debug!(socket = %self.id(), "closed: reads too slowly");
        let now = self.0.cell.hub.now();
        self.0.cell.with_peer(|peer| peer.give_up(now));
    }

    /// Leaves the namespace; the connection stays open for others.
    pub fn disconnect(&self) {
        self.0.leaving.store(true, Ordering::Release);
        let now = self.0.cell.hub.now();
        self.0.cell.with_peer(|peer| peer.leave(self.0.slot, now));
    }

    /// Leaves every namespace and closes the connection.
    pub fn disconnect_all(&self) {
        self.0.cell.leave();
        let now = self.0.cell.hub.now();
        self.0.cell.with_peer(|peer| peer.disconnect(now));
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", self.id()).field("namespace", &self.0.namespace.name()).finish()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
