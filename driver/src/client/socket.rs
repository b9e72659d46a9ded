//! A socket: this client in one namespace.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use socketio_core::engine::buffer::Compression;
use socketio_core::socket::client::{ConnectError, DisconnectReason, Reply};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Args, Delivery, EncodeError, Event, FromArgs, Nsp};
use socketio_core::{AckId, Sid};

use super::auth::Auth;
use super::cell::{Cell, Glance, NotConnected};
use super::stream::{Channel, Events, Gauge, Received};
use crate::ack::{AckFuture, AckSender, EmitError, Waiter, unsent};
use crate::dispatch::{Asked, ListenerId, Position, Table};
use crate::reply;
use crate::server::operator;

/// This client in one namespace. Cheap to clone; a clone does not keep the connection alive, the
/// [`Client`](super::Client) does.
#[derive(Clone)]
pub struct Socket {
    pub(super) cell: Arc<Cell>,
    pub(super) own: Arc<Own>,
}

/// What a socket has of its own. It knows nothing of the connection, which knows it.
pub(crate) struct Own {
    pub(super) slot: Slot,
    nsp: Nsp,
    /// The client is gone. Handlers set after that are dropped at once: they would keep themselves alive by the socket
    /// they capture.
    over: AtomicBool,
    /// Whether the table has handlers for outgoing events.
    watched: AtomicBool,
    table: Mutex<Arc<Table<Socket>>>,
    streams: Mutex<Vec<Arc<Channel>>>,
    auth: Mutex<Auth>,
}

impl Own {
    pub(super) fn new(slot: Slot, nsp: Nsp, auth: Auth) -> Self {
        Self {
            slot,
            nsp,
            over: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            table: Mutex::default(),
            streams: Mutex::default(),
            auth: Mutex::new(auth),
        }
    }

    pub(super) fn auth(&self) -> Auth {
        lock(&self.auth).clone()
    }

    pub(super) fn table(&self) -> Arc<Table<Socket>> {
        lock(&self.table).clone()
    }

    pub(super) fn add_stream(&self, channel: &Arc<Channel>, gauge: &Gauge) {
        let mut streams = lock(&self.streams);
        // Asked under the lock: what is not ended here is found by `end`.
        if self.over.load(Ordering::Acquire) {
            drop(streams);
            return channel.end(gauge);
        }
        streams.push(channel.clone());
    }

    pub(super) fn remove_stream(&self, channel: &Arc<Channel>) {
        lock(&self.streams).retain(|other| !Arc::ptr_eq(other, channel));
    }

    pub(super) fn end_streams(&self, gauge: &Gauge) {
        let streams = std::mem::take(&mut *lock(&self.streams));
        for stream in streams {
            stream.end(gauge);
        }
    }

    pub(super) fn set_auth(&self, auth: Auth) {
        let mut place = lock(&self.auth);
        let before =
            if self.over.load(Ordering::Acquire) { auth } else { std::mem::replace(&mut *place, auth) };
        drop(place);
        drop(before);
    }

    /// Drops its handlers and ends its streams, those to come included.
    pub(super) fn end(&self, gauge: &Gauge) {
        self.over.store(true, Ordering::Release);
        self.end_streams(gauge);
        let auth = std::mem::take(&mut *lock(&self.auth));
        drop(auth);
        let table = std::mem::take(&mut *lock(&self.table));
        drop(table);
    }
}

impl Socket {
    pub(super) fn new(cell: &Arc<Cell>, nsp: &Nsp) -> Self {
        Self { cell: cell.clone(), own: cell.socket(nsp) }
    }

    /// The namespace it is in, beginning with a slash.
    pub fn namespace(&self) -> &str {
        &self.own.nsp
    }

    /// Its public id, while it is connected. Another one after each reconnection, unless the server has
    /// [recovered](Self::is_recovered) it.
    pub fn id(&self) -> Option<Sid> {
        self.cell.peek(|manager| manager.id(self.own.slot).cloned())
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.cell.peek(|manager| manager.is_connected(self.own.slot))
    }

    /// Whether it is connected, or will connect with the connection: not before [`connect`](Self::connect), nor after it
    /// left, was dismissed or refused.
    pub fn is_active(&self) -> bool {
        self.cell.peek(|manager| manager.is_active(self.own.slot))
    }

    /// Whether the server has restored the state of the last connection, so that no event is missing.
    pub fn is_recovered(&self) -> bool {
        self.cell.peek(|manager| manager.is_recovered(self.own.slot))
    }

    /// Bytes that wait to be sent: what was emitted while it was not connected, and what waits for an acknowledgement
    /// with [`retries`](crate::ClientBuilder::retries).
    pub fn buffered_bytes(&self) -> usize {
        self.cell.peek(|manager| manager.buffered_bytes(self.own.slot))
    }

    /// Forgets what waits to be sent, and says how many events that were: what nobody needs any more after a long time without
    /// a connection (`socket.sendBuffer = []`). Their acknowledgements fail with
    /// [`AckError::Disconnected`](crate::AckError::Disconnected). An event that waits for its acknowledgement with
    /// [`retries`](crate::ClientBuilder::retries) stays.
    pub fn discard_buffered(&self) -> usize {
        self.cell.with_manager(|manager, _| manager.discard(self.own.slot)).unwrap_or_default()
    }

    // Connecting

    /// Connects, with the connection, which is made where there is none. From then on it connects again by itself when
    /// the connection was lost. Does nothing while it is active, except to try at once when the attempts were used up.
    pub fn connect(&self) {
        self.cell.connect(Some(self.own.slot));
    }

    /// Leaves the namespace. When it was the last active socket, the connection is closed. What it holds back is kept
    /// for the next [`connect`](Self::connect).
    pub fn disconnect(&self) {
        self.cell.disconnect(self.own.slot);
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// [`NotConnected::Failed`] when the attempt that is being made fails, or the last one has failed since
    /// [`connect`](Self::connect) and nobody was told. There will be another one where [`is_active`](Self::is_active)
    /// says so, and calling this again waits for that. [`NotConnected::Resting`] when it does not try.
    pub async fn connected(&self) -> Result<(), NotConnected> {
        let mut seen = None;
        loop {
            match self.cell.glance(self.own.slot, &mut seen) {
                Glance::Done(outcome) => return outcome,
                Glance::Wait(changed) => changed.raised().await,
            }
        }
    }

    // Receiving

    /// Calls `handler` for every event of this name.
    ///
    /// The arguments are decoded into `T`: one argument as what it is, several as a tuple, `bytes::Bytes` anywhere
    /// inside for binary data. An event whose arguments are something else is logged and dropped. What the handler
    /// returns may be the acknowledgement: see [`Reply`](crate::Reply).
    ///
    /// Handlers start in the order of arrival and run up to their first `await` before the next one starts. They are
    /// dropped with the client.
    pub fn on<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Self, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: reply::Reply,
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
        R: reply::Reply,
    {
        self.edit(|table| table.once(event, handler))
    }

    /// Calls `handler` for every event, whatever its name, before the handlers of that name.
    pub fn on_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_any(Position::Last, handler))
    }

    /// Like [`on_any`](Self::on_any), before the catch-all handlers that are there.
    pub fn prepend_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_any(Position::First, handler))
    }

    /// Shows `handler` every event that is emitted, before it is sent or held back. Acknowledgements are not shown.
    pub fn on_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Self, &Event) + Send + Sync + 'static,
    {
        self.edit(|table| table.on_any_outgoing(Position::Last, handler))
    }

    /// Like [`on_any_outgoing`](Self::on_any_outgoing), before the handlers that are there.
    pub fn prepend_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Self, &Event) + Send + Sync + 'static,
    {
        self.edit(|table| table.on_any_outgoing(Position::First, handler))
    }

    /// Calls `handler` when the socket is connected, for the first time and again. What the server had sent before came
    /// before.
    pub fn on_connect<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_connect(handler))
    }

    /// Calls `handler` when the socket could not connect. It tries again by itself where [`is_active`](Self::is_active)
    /// says so: not when the server refused it, or there were no credentials.
    pub fn on_connect_error<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, ConnectError) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_connect_error(handler))
    }

    /// Calls `handler` when the socket is not connected any more. [`DisconnectReason::reconnects`] and
    /// [`is_active`](Self::is_active) say whether it connects again by itself.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Self, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.edit(|table| table.on_disconnect(handler))
    }

    /// The events to come, to be received in a loop. Handlers get them as well.
    ///
    /// ```no_run
    /// # async fn f(socket: socketio_driver::client::Socket) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut events = socket.events();
    /// while let Some(received) = events.next().await {
    ///     if received.event.name() == "sum" {
    ///         let (a, b): (i64, i64) = received.event.args().decode()?;
    ///         received.ack.send(a + b)?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Events::new(self.clone())
    }

    /// Takes a handler away. Returns whether it was there.
    pub fn off(&self, listener: ListenerId) -> bool {
        // Kept until the lock is released: what a handler captured may have something to say when it is dropped.
        let _removed = self.own.table();
        self.edit(|table| table.off(listener))
    }

    /// Takes every handler of an event away.
    pub fn off_event(&self, event: &str) {
        let _removed = self.own.table();
        self.edit(|table| table.off_event(event));
    }

    /// The handlers of an event, in the order in which they run.
    pub fn listeners(&self, event: &str) -> Vec<ListenerId> {
        self.own.table().listeners(event)
    }

    /// The catch-all handlers, in the order in which they run.
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        self.own.table().listeners_any()
    }

    /// The handlers of outgoing events, in the order in which they run.
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.own.table().listeners_any_outgoing()
    }

    pub(super) fn edit<R>(&self, change: impl FnOnce(&mut Table<Self>) -> R) -> R {
        let mut table = lock(&self.own.table);
        // Asked under the lock: what is not dropped here is found by `Own::end`.
        if self.own.over.load(Ordering::Acquire) {
            drop(table);
            return change(&mut Table::default());
        }
        let table = Arc::make_mut(&mut table);
        let result = change(table);
        self.own.watched.store(table.has_outgoing(), Ordering::Release);
        result
    }

    /// Gives an event to the streams.
    pub(super) fn stream(&self, event: &Event, asked: &Asked) {
        let streams = lock(&self.own.streams).clone();
        for stream in streams {
            let ack = AckSender::server(self.clone(), asked.clone());
            stream.push(Received { event: event.clone(), ack }, &self.cell.full_streams);
        }
    }

    // Sending

    /// Sends an event, or holds it back until the socket is connected, within the
    /// [bounds](crate::ClientBuilder::send_queue) of that: `args` is one argument as what it is, several as a tuple,
    /// none as `()`.
    ///
    /// Events of one connection arrive in order. With [`retries`](crate::ClientBuilder::retries) each is sent until it is
    /// acknowledged, in order across connections too. Without, what was handed to a connection that then breaks may be
    /// lost, and what one that is being closed still hands over may arrive behind what is already sent on the next.
    ///
    /// # Errors
    /// [`EmitError::Full`] when the bounds are reached, [`EmitError::Encode`] when the name is reserved or the arguments
    /// do not serialize, [`EmitError::Disconnected`] when the client is gone.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Waits, after [`EmitError::Full`], until there is room again: until half of what is held back has been sent. Completes
    /// at once where nothing was refused, or the client is gone.
    pub async fn drained(&self) {
        while let Some(changed) = self.cell.starvation(self.own.slot) {
            changed.raised().await;
        }
    }

    /// Sends the event `message`: see [`emit`](Self::emit).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send<T: Serialize>(&self, args: T) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event as [`emit`](Self::emit) does, and waits for its acknowledgement: as long as
    /// [`ack_timeout`](crate::ClientBuilder::ack_timeout) or [`timeout`](Self::timeout) say, or else for ever, or until
    /// the socket is disconnected. The answer is decoded like the arguments of an event.
    ///
    /// # Errors
    /// From the future: [`AckError`](crate::AckError).
    pub fn emit_with_ack<R, T: Serialize>(&self, event: &str, args: T) -> AckFuture<R> {
        self.emitter().emit_with_ack(event, args)
    }

    /// Waits this long for the acknowledgement, the time that the event is held back included.
    pub fn timeout(&self, timeout: Duration) -> Emitter {
        Emitter { timeout: Some(timeout), ..self.emitter() }
    }

    /// Drops the event if the connection is not ready at that instant.
    pub fn volatile(&self) -> Emitter {
        Emitter { delivery: Delivery::Volatile, ..self.emitter() }
    }

    /// Whether transports may compress the event, if they can. Default: yes.
    pub fn compress(&self, compress: bool) -> Emitter {
        self.emitter().compress(compress)
    }

    fn emitter(&self) -> Emitter {
        let (delivery, compression) = (Delivery::Reliable, Compression::Allowed);
        Emitter { socket: self.clone(), delivery, compression, timeout: None }
    }

    pub(crate) fn send_ack<T: Serialize>(&self, reply: Reply, args: &T) -> Result<(), EmitError> {
        let encoded = self.cell.codec().ack(&self.own.nsp, reply.id(), args)?;
        let sent = self.cell.with_manager(|manager, _| manager.send_reply(reply, &encoded));
        let unsent = || Event::new("", Args::encode(args).unwrap_or_default());
        sent.ok_or(EmitError::Disconnected)?.map_err(|error| EmitError::new(error, unsent))
    }

    pub(crate) fn forget_ack(&self, id: AckId) {
        let waiter = self.cell.pump(|manager| manager.forget_ack(self.own.slot, id));
        drop(waiter);
    }
}

/// How one event is sent.
#[derive(Clone, Debug)]
pub struct Emitter {
    socket: Socket,
    delivery: Delivery,
    compression: Compression,
    timeout: Option<Duration>,
}

impl Emitter {
    /// Drops the event if the connection is not ready at that instant.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.delivery = Delivery::Volatile;
        self
    }

    /// Whether transports may compress the event.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compression = operator::compression(compress);
        self
    }

    /// Waits this long for the acknowledgement.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EmitError> {
        let Socket { cell, own } = &self.socket;
        // Encoded without the lock: `Serialize` is the application's.
        let encoded = cell.codec().event(&own.nsp, None, event, &args)?.with_compression(self.compression);
        if own.watched.load(Ordering::Acquire)
            && let Some(event) = encoded.to_event(cell.codec())
        {
            own.table().see_outgoing(&self.socket, &event);
        }
        let sent = cell.with_manager(|manager, now| manager.send(own.slot, &encoded, self.delivery, now));
        let unsent = || unsent(&encoded, cell.codec());
        sent.ok_or(EmitError::Disconnected)?.map_err(|error| EmitError::new(error, unsent))
    }

    /// Sends an event and waits for its acknowledgement.
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`]; [`EmitError::Dropped`] when it is volatile and cannot leave at once.
    pub fn emit_with_ack<R, T: Serialize>(&self, event: &str, args: T) -> AckFuture<R> {
        AckFuture::of_client(self.socket.clone(), |socket, waiter| {
            let Socket { cell, own } = socket;
            let encoded = cell.codec().event(&own.nsp, None, event, &args)?;
            let event = encoded
                .to_event(cell.codec())
                .ok_or_else(|| <EncodeError as serde::ser::Error>::custom("too deeply nested"))?;
            if own.watched.load(Ordering::Acquire) {
                own.table().see_outgoing(socket, &event);
            }
            self.ask(&event, waiter)
        })
    }

    fn ask(&self, event: &Event, waiter: Waiter) -> Result<Option<AckId>, EmitError> {
        let Socket { cell, own } = &self.socket;
        let sent = cell.with_manager(|manager, now| {
            let event = (event, self.compression);
            manager.send_with_ack(own.slot, event, self.delivery, waiter, self.timeout, now)
        });
        // The waiter that comes back is dropped without the lock.
        sent.ok_or(EmitError::Disconnected)?.map_err(|(error, _)| EmitError::new(error, || event.clone()))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("namespace", &self.namespace()).field("id", &self.id()).finish()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.own, &other.own)
    }
}

impl Eq for Socket {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
