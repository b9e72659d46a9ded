//! Handlers: how closures become a table, and how the table is asked.
//!
//! Handlers of one socket start in arrival order and run up to their first `await`, as in JavaScript; what is left
//! of them runs on with the connection. A handler that panics is logged, and its socket lives on.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt;
use socketio_core::socket::server::{ProtocolError, Slot};
use socketio_core::socket::{DisconnectReason, Event, FromArgs, Nsp, Payload};

use crate::ack::AckSender;
use crate::namespace::{ConnectError, Namespace};
use crate::reply::Reply;
use crate::socket::Socket;

/// Work a pump carries on with.
pub(crate) type Task = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a [`Task`] comes to.
pub(crate) enum Done {
    /// A handler returned, or panicked.
    Handler,
    /// The middlewares of a namespace have decided.
    Admission(Socket, Result<(), ConnectError>),
    /// The middlewares of events have decided.
    Screening(Socket, Event, Result<(), BoxError>),
    /// The dynamic namespaces have been asked for one of this name.
    Lookup(Slot, Nsp, Payload, Option<Namespace>),
}

/// Names a handler, to take it [off](crate::Socket::off) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

type EventHandler = dyn Fn(&Socket, &Event) -> Option<Task> + Send + Sync;
type ServerSideHandler = dyn Fn(&Event, &AckSender) -> Option<Task> + Send + Sync;
type SocketHandler = dyn Fn(&Socket) -> Task + Send + Sync;
type ReasonHandler = dyn Fn(&Socket, DisconnectReason) -> Task + Send + Sync;
type ErrorHandler = dyn Fn(&Socket, &Arc<SocketError>) -> Task + Send + Sync;
type OutgoingHandler = dyn Fn(&Socket, &Event) + Send + Sync;
type ConnectMiddleware = dyn Fn(Socket) -> Verdict<ConnectError> + Send + Sync;
type EventMiddleware = dyn Fn(Socket, Event) -> Verdict<BoxError> + Send + Sync;
type Verdict<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// What a middleware of events may refuse one with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong on a socket, for [`Socket::on_error`].
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A middleware refused an event. The client hears nothing of it.
    #[error("{0}")]
    Refused(BoxError),
    /// The client broke the protocol; its connection is being closed.
    #[error(transparent)]
    Violation(#[from] ProtocolError),
}

/// The handlers of a namespace, or of one socket. Cloned to be changed: registering is rare, dispatching is not.
#[derive(Clone, Default)]
pub(crate) struct Table {
    events: HashMap<Arc<str>, Vec<Entry<EventHandler>>>,
    any: Vec<Entry<EventHandler>>,
    outgoing: Vec<Entry<OutgoingHandler>>,
    /// Handlers of events of other servers.
    server_side: HashMap<Arc<str>, Vec<Entry<ServerSideHandler>>>,
    connection: Vec<Entry<SocketHandler>>,
    disconnecting: Vec<Entry<ReasonHandler>>,
    disconnect: Vec<Entry<ReasonHandler>>,
    error: Vec<Entry<ErrorHandler>>,
    /// Whether any handler was ever to run once: most tables are spared the search for spent ones.
    has_once: bool,
    connect_middlewares: Vec<Arc<ConnectMiddleware>>,
    event_middlewares: Vec<Arc<EventMiddleware>>,
}

struct Entry<H: ?Sized> {
    id: ListenerId,
    /// For a handler that runs once: whether it has.
    spent: Option<Arc<AtomicBool>>,
    handler: Arc<H>,
}

impl<H: ?Sized> Entry<H> {
    fn new(handler: Arc<H>) -> Self {
        Self { id: ListenerId::next(), spent: None, handler }
    }

    /// Whether the handler may run now; one that runs once may not again.
    fn claim(&self) -> bool {
        self.spent.as_ref().is_none_or(|spent| !spent.swap(true, Ordering::Relaxed))
    }

    fn is_spent(&self) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.load(Ordering::Relaxed))
    }
}

// Derived, it would ask for `H: Clone`.
impl<H: ?Sized> Clone for Entry<H> {
    fn clone(&self) -> Self {
        Self { id: self.id, spent: self.spent.clone(), handler: self.handler.clone() }
    }
}

/// Before or after the handlers that are there.
#[derive(Clone, Copy)]
pub(crate) enum Position {
    First,
    Last,
}

fn add<H: ?Sized>(handlers: &mut Vec<Entry<H>>, position: Position, handler: Arc<H>) -> ListenerId {
    let entry = Entry::new(handler);
    let id = entry.id;
    match position {
        Position::First => handlers.insert(0, entry),
        Position::Last => handlers.push(entry),
    }
    id
}

impl Table {
    pub(crate) fn on<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let handler = typed(move |socket, args, _: &AckSender| handler(socket, args), Answer::ByReturning);
        add(self.named(event), Position::Last, handler)
    }

    pub(crate) fn once<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let id = self.on(event, handler);
        if let Some(entry) = self.named(event).last_mut() {
            entry.spent = Some(Arc::default());
        }
        self.has_once = true;
        id
    }

    pub(crate) fn on_with_ack<F, T, Fut>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = move |socket, args, ack: &AckSender| handler(socket, args, ack.again());
        add(self.named(event), Position::Last, typed(handler, Answer::BySender))
    }

    pub(crate) fn on_server_side<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let handler = move |event: &Event, ack: &AckSender| {
            call(event, ack.again(), Answer::ByReturning, |args, _| handler(args))
        };
        add(self.server_side.entry(event.into()).or_default(), Position::Last, Arc::new(handler))
    }

    fn named(&mut self, event: &str) -> &mut Vec<Entry<EventHandler>> {
        self.events.entry(event.into()).or_default()
    }

    pub(crate) fn on_any<F, Fut>(&mut self, position: Position, handler: F) -> ListenerId
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |socket: &Socket, event: &Event| {
            let (handler, socket, event) = (handler.clone(), socket.clone(), event.clone());
            Some(guarded("on_any", async move { handler(socket, event).await }))
        };
        add(&mut self.any, position, Arc::new(handler))
    }

    pub(crate) fn on_any_outgoing<F>(&mut self, position: Position, handler: F) -> ListenerId
    where
        F: Fn(&Socket, &Event) + Send + Sync + 'static,
    {
        add(&mut self.outgoing, position, Arc::new(handler))
    }

    pub(crate) fn on_connection<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |socket: &Socket| {
            let (handler, socket) = (handler.clone(), socket.clone());
            guarded("connection", async move { handler(socket).await })
        };
        add(&mut self.connection, Position::Last, Arc::new(handler))
    }

    pub(crate) fn on_disconnecting<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.disconnecting, Position::Last, on_reason("disconnecting", handler))
    }

    pub(crate) fn on_disconnect<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.disconnect, Position::Last, on_reason("disconnect", handler))
    }

    pub(crate) fn on_error<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Arc<SocketError>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |socket: &Socket, error: &Arc<SocketError>| {
            let (handler, socket, error) = (handler.clone(), socket.clone(), error.clone());
            guarded("error", async move { handler(socket, error).await })
        };
        add(&mut self.error, Position::Last, Arc::new(handler))
    }

    pub(crate) fn use_connect_middleware<F, Fut>(&mut self, middleware: F)
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.connect_middlewares.push(Arc::new(move |socket| Box::pin(middleware(socket))));
    }

    pub(crate) fn use_event_middleware<F, Fut>(&mut self, middleware: F)
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.event_middlewares.push(Arc::new(move |socket, event| Box::pin(middleware(socket, event))));
    }

    pub(crate) fn off(&mut self, id: ListenerId) -> bool {
        fn take<H: ?Sized>(handlers: &mut Vec<Entry<H>>, id: ListenerId) -> bool {
            let before = handlers.len();
            handlers.retain(|entry| entry.id != id);
            handlers.len() < before
        }
        let mut found = take(&mut self.any, id)
            | take(&mut self.outgoing, id)
            | take(&mut self.connection, id)
            | take(&mut self.disconnecting, id)
            | take(&mut self.disconnect, id)
            | take(&mut self.error, id);
        self.events.retain(|_, handlers| {
            found |= take(handlers, id);
            !handlers.is_empty()
        });
        self.server_side.retain(|_, handlers| {
            found |= take(handlers, id);
            !handlers.is_empty()
        });
        found
    }

    /// Takes away every handler of an event.
    pub(crate) fn off_event(&mut self, event: &str) {
        self.events.remove(event);
    }

    /// Takes away the handlers that have run once and may not again.
    pub(crate) fn off_spent(&mut self, event: &str) {
        if let Some(handlers) = self.events.get_mut(event) {
            handlers.retain(|entry| !entry.is_spent());
            if handlers.is_empty() {
                self.events.remove(event);
            }
        }
    }

    pub(crate) fn has_spent(&self, event: &str) -> bool {
        self.has_once && self.events.get(event).is_some_and(|handlers| handlers.iter().any(Entry::is_spent))
    }

    pub(crate) fn listeners(&self, event: &str) -> Vec<ListenerId> {
        self.events.get(event).into_iter().flatten().map(|entry| entry.id).collect()
    }

    pub(crate) fn listeners_any(&self) -> Vec<ListenerId> {
        self.any.iter().map(|entry| entry.id).collect()
    }

    pub(crate) fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.outgoing.iter().map(|entry| entry.id).collect()
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(crate) fn has_connect_middlewares(&self) -> bool {
        !self.connect_middlewares.is_empty()
    }

    pub(crate) fn has_event_middlewares(&self) -> bool {
        !self.event_middlewares.is_empty()
    }

    /// Shows an outgoing event to whoever wants to see it.
    pub(crate) fn see_outgoing(&self, socket: &Socket, event: &Event) {
        for entry in &self.outgoing {
            let seen = std::panic::catch_unwind(AssertUnwindSafe(|| (entry.handler)(socket, event)));
            if seen.is_err() {
                log_panic("on_any_outgoing");
            }
        }
    }

    /// The work of the catch-all handlers, which come before everything else.
    pub(crate) fn any_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        event: &'a Event,
    ) -> impl Iterator<Item = Task> {
        self.any.iter().filter_map(|entry| (entry.handler)(socket, event))
    }

    /// The work an event asks for, in the order in which the handlers were registered.
    pub(crate) fn event_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        event: &'a Event,
    ) -> impl Iterator<Item = Task> {
        let named = self.events.get(event.name()).map(Vec::as_slice).unwrap_or_default();
        named.iter().filter(|entry| entry.claim()).filter_map(|entry| (entry.handler)(socket, event))
    }

    /// The work an event of another server asks for, in the order in which the handlers were registered.
    pub(crate) fn server_side_tasks<'a>(
        &'a self,
        event: &'a Event,
        ack: &'a AckSender,
    ) -> impl Iterator<Item = Task> {
        let named = self.server_side.get(event.name()).map(Vec::as_slice).unwrap_or_default();
        named.iter().filter_map(move |entry| (entry.handler)(event, ack))
    }

    pub(crate) fn connection_tasks<'a>(&'a self, socket: &'a Socket) -> impl Iterator<Item = Task> {
        self.connection.iter().map(|entry| (entry.handler)(socket))
    }

    pub(crate) fn disconnecting_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        reason: DisconnectReason,
    ) -> impl Iterator<Item = Task> {
        self.disconnecting.iter().map(move |entry| (entry.handler)(socket, reason))
    }

    pub(crate) fn disconnect_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        reason: DisconnectReason,
    ) -> impl Iterator<Item = Task> {
        self.disconnect.iter().map(move |entry| (entry.handler)(socket, reason))
    }

    pub(crate) fn error_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        error: &'a Arc<SocketError>,
    ) -> impl Iterator<Item = Task> {
        self.error.iter().map(move |entry| (entry.handler)(socket, error))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events: Vec<_> = self.events.keys().collect();
        events.sort_unstable();
        f.debug_struct("Table").field("events", &events).finish_non_exhaustive()
    }
}

/// Who answers an event: the handler's return value, or the sender it was given.
#[derive(Clone, Copy)]
enum Answer {
    ByReturning,
    BySender,
}

/// Wraps a typed handler: decodes the arguments, runs it, answers.
fn typed<F, T, Fut, R>(handler: F, answer: Answer) -> Arc<EventHandler>
where
    F: Fn(Socket, T, &AckSender) -> Fut + Send + Sync + 'static,
    T: FromArgs,
    Fut: Future<Output = R> + Send + 'static,
    R: Reply,
{
    Arc::new(move |socket, event| {
        let ack = AckSender::client(socket.clone(), event.ack);
        call(event, ack, answer, |args, ack| handler(socket.clone(), args, ack))
    })
}

/// Calls a handler with the arguments of an event. It is called here and not inside the task, so that nothing of it has
/// to be kept; its panic, or that of a `Deserialize`, is caught all the same.
fn call<T, Fut, R>(
    event: &Event,
    ack: AckSender,
    answer: Answer,
    handler: impl FnOnce(T, &AckSender) -> Fut,
) -> Option<Task>
where
    T: FromArgs,
    Fut: Future<Output = R> + Send + 'static,
    R: Reply,
{
    let called = std::panic::catch_unwind(AssertUnwindSafe(|| {
        T::from_args(event.args()).map(|args| handler(args, &ack))
    }));
    match called {
        Ok(Err(error)) => {
            let (event, sender) = (event.name(), ack.name());
            tracing::warn!(sender, event, %error, "arguments are not what the handler takes");
            None
        }
        Ok(Ok(future)) => Some(guarded("event", async move {
            let reply = future.await;
            if matches!(answer, Answer::ByReturning) {
                reply.send(ack);
            }
        })),
        Err(_) => {
            log_panic("event");
            None
        }
    }
}

fn on_reason<F, Fut>(what: &'static str, handler: F) -> Arc<ReasonHandler>
where
    F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |socket, reason| {
        let (handler, socket) = (handler.clone(), socket.clone());
        guarded(what, async move { handler(socket, reason).await })
    })
}

/// Asks the middlewares of a namespace about a client, one after the other, until one refuses.
pub(crate) fn admit(table: Arc<Table>, socket: Socket) -> Task {
    Box::pin(async move {
        for middleware in &table.connect_middlewares {
            let asked = survive("middleware", async { middleware(socket.clone()).await }).await;
            let verdict = asked.unwrap_or_else(|| Err(ConnectError::new("internal error")));
            if verdict.is_err() {
                return Done::Admission(socket, verdict);
            }
        }
        Done::Admission(socket, Ok(()))
    })
}

/// Asks the middlewares of events about one, one after the other, until one refuses.
pub(crate) fn screen(tables: [Option<Arc<Table>>; 2], socket: Socket, event: Event) -> Task {
    Box::pin(async move {
        for middleware in tables.iter().flatten().flat_map(|table| &table.event_middlewares) {
            let ask = async { middleware(socket.clone(), event.clone()).await };
            let verdict =
                survive("middleware", ask).await.unwrap_or_else(|| Err("a middleware panicked".into()));
            if verdict.is_err() {
                return Done::Screening(socket, event, verdict);
            }
        }
        Done::Screening(socket, event, Ok(()))
    })
}

/// A task that survives the panic of the handler in it.
fn guarded(what: &'static str, handler: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(survive(what, handler).map(|_| Done::Handler))
}

/// Runs user code; `None` if it panics.
pub(crate) fn survive<T>(
    what: &'static str,
    user: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    AssertUnwindSafe(user).catch_unwind().map(move |outcome| outcome.map_err(|_| log_panic(what)).ok())
}

fn log_panic(handler: &'static str) {
    // The message itself went to the panic hook.
    tracing::error!(handler, "a handler panicked");
}
