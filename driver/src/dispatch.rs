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
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use socketio_core::socket::{DisconnectReason, Event, FromArgs};

use crate::ack::AckSender;
use crate::namespace::ConnectError;
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
type SocketHandler = dyn Fn(&Socket) -> Task + Send + Sync;
type ReasonHandler = dyn Fn(&Socket, DisconnectReason) -> Task + Send + Sync;
type Middleware =
    dyn Fn(Socket) -> Pin<Box<dyn Future<Output = Result<(), ConnectError>> + Send>> + Send + Sync;

/// The handlers of a namespace, or of one socket. Cloned to be changed: registering is rare, dispatching is not.
#[derive(Clone, Default)]
pub(crate) struct Table {
    events: HashMap<Arc<str>, Vec<(ListenerId, Arc<EventHandler>)>>,
    any: Vec<(ListenerId, Arc<EventHandler>)>,
    connection: Vec<(ListenerId, Arc<SocketHandler>)>,
    disconnecting: Vec<(ListenerId, Arc<ReasonHandler>)>,
    disconnect: Vec<(ListenerId, Arc<ReasonHandler>)>,
    pub(crate) middlewares: Vec<Arc<Middleware>>,
}

impl Table {
    pub(crate) fn on<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.add_event(
            event,
            typed(move |socket, args, _: &AckSender| handler(socket, args), Answer::ByReturning),
        )
    }

    pub(crate) fn on_with_ack<F, T, Fut>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = move |socket, args, ack: &AckSender| {
            handler(socket, args, AckSender { socket: ack.socket.clone(), id: ack.id })
        };
        self.add_event(event, typed(handler, Answer::BySender))
    }

    fn add_event(&mut self, event: &str, handler: Arc<EventHandler>) -> ListenerId {
        let id = ListenerId::next();
        self.events.entry(event.into()).or_default().push((id, handler));
        id
    }

    pub(crate) fn on_any<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let id = ListenerId::next();
        let handler = Arc::new(handler);
        self.any.push((
            id,
            Arc::new(move |socket, event| {
                let (handler, socket, event) = (handler.clone(), socket.clone(), event.clone());
                Some(guarded("on_any", async move { handler(socket, event).await }))
            }),
        ));
        id
    }

    pub(crate) fn on_connection<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let id = ListenerId::next();
        let handler = Arc::new(handler);
        self.connection.push((
            id,
            Arc::new(move |socket| {
                let (handler, socket) = (handler.clone(), socket.clone());
                guarded("connection", async move { handler(socket).await })
            }),
        ));
        id
    }

    pub(crate) fn on_disconnecting<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let id = ListenerId::next();
        self.disconnecting.push((id, on_reason("disconnecting", handler)));
        id
    }

    pub(crate) fn on_disconnect<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let id = ListenerId::next();
        self.disconnect.push((id, on_reason("disconnect", handler)));
        id
    }

    pub(crate) fn use_middleware<F, Fut>(&mut self, middleware: F)
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.middlewares.push(Arc::new(move |socket| Box::pin(middleware(socket))));
    }

    pub(crate) fn off(&mut self, id: ListenerId) -> bool {
        fn take<H>(handlers: &mut Vec<(ListenerId, H)>, id: ListenerId) -> bool {
            let before = handlers.len();
            handlers.retain(|(listener, _)| *listener != id);
            handlers.len() < before
        }
        let mut found = take(&mut self.any, id)
            | take(&mut self.connection, id)
            | take(&mut self.disconnecting, id)
            | take(&mut self.disconnect, id);
        self.events.retain(|_, handlers| {
            found |= take(handlers, id);
            !handlers.is_empty()
        });
        found
    }

    /// The work an event asks for, in the order in which the handlers were registered; catch-all handlers first.
    pub(crate) fn event_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        event: &'a Event,
    ) -> impl Iterator<Item = Task> {
        let named = self.events.get(event.name()).map(Vec::as_slice).unwrap_or_default();
        self.any.iter().chain(named).filter_map(|(_, handler)| handler(socket, event))
    }

    pub(crate) fn connection_tasks<'a>(&'a self, socket: &'a Socket) -> impl Iterator<Item = Task> {
        self.connection.iter().map(|(_, handler)| handler(socket))
    }

    pub(crate) fn disconnecting_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        reason: DisconnectReason,
    ) -> impl Iterator<Item = Task> {
        self.disconnecting.iter().map(move |(_, handler)| handler(socket, reason))
    }

    pub(crate) fn disconnect_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        reason: DisconnectReason,
    ) -> impl Iterator<Item = Task> {
        self.disconnect.iter().map(move |(_, handler)| handler(socket, reason))
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
        let args = match T::from_args(event.args()) {
            Ok(args) => args,
            Err(error) => {
                let event = event.name();
                tracing::warn!(socket = %socket.id(), event, %error, "arguments are not what the handler takes");
                return None;
            }
        };
        let ack = AckSender { socket: socket.clone(), id: event.ack };
        // Called here and not inside the task, so that nothing of `handler` has to be kept; its panic is caught all
        // the same.
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| handler(socket.clone(), args, &ack)));
        match called {
            Ok(future) => Some(guarded("event", async move {
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
    })
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

/// Runs the middlewares of a namespace one after the other, until one refuses.
pub(crate) fn admit(table: Arc<Table>, socket: Socket) -> Task {
    Box::pin(async move {
        let mut decision = Ok(());
        for middleware in &table.middlewares {
            let run = AssertUnwindSafe(async { middleware(socket.clone()).await }).catch_unwind();
            decision = run.await.unwrap_or_else(|_| {
                log_panic("middleware");
                Err(ConnectError::new("internal error"))
            });
            if decision.is_err() {
                break;
            }
        }
        Done::Admission(socket, decision)
    })
}

/// A task that survives the panic of the handler in it.
fn guarded(what: &'static str, handler: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(AssertUnwindSafe(handler).catch_unwind().map(move |outcome| {
        if outcome.is_err() {
            log_panic(what);
        }
        Done::Handler
    }))
}

fn log_panic(handler: &'static str) {
    // The message itself went to the panic hook.
    tracing::error!(handler, "a handler panicked");
}
