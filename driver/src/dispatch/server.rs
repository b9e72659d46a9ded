//! The handlers that only a server has: those of connections, of errors, of other servers, and the middlewares.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use socketio_core::socket::server::{ProtocolError, Slot};
use socketio_core::socket::{DisconnectReason, Event, FromArgs, Nsp, Payload};

use super::{
    Answer, Entry, ListenerId, Own, Position, ReasonHandler, Side, SocketHandler, Table, Task, add, call,
    guarded, log_panic, on_reason, on_socket, survive, take,
};
use crate::ack::{AckSender, Wanted};
use crate::reply::Reply;
use crate::server::hub::Entered;
use crate::server::namespace::ConnectError;
use crate::server::room_events::RoomEvent;
use crate::server::socket::Socket;

impl Side for Socket {
    type Ask = Option<Wanted>;
    type Done = Done;
    type Own = Handlers;
    type Reason = DisconnectReason;

    fn name(&self) -> &str {
        self.id().as_str()
    }

    fn ack_sender(&self, ask: &Option<Wanted>) -> AckSender {
        AckSender::client(self, ask.as_ref())
    }
}

/// What a [`Task`] of a server comes to.
#[derive(Default)]
pub(crate) enum Done {
    /// A handler returned, or panicked.
    #[default]
    Handler,
    /// The middlewares of a namespace have decided.
    Admission(Socket, Result<(), ConnectError>),
    /// The middlewares of events have decided.
    Screening(Socket, Event, Result<(), BoxError>),
    /// The dynamic namespaces have been asked for one of this name.
    Lookup(Slot, Nsp, Payload, Option<Entered>),
}

type ServerSideHandler = dyn Fn(&Event, &AckSender) -> Option<Task> + Send + Sync;
type RoomHandler = dyn Fn(&RoomEvent) + Send + Sync;
type ErrorHandler = dyn Fn(&Socket, &Arc<SocketError>) -> Task + Send + Sync;
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

/// The part of a table that only a server has.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    /// Handlers of events of other servers.
    server_side: HashMap<Arc<str>, Vec<Entry<ServerSideHandler>>>,
    connection: Vec<Entry<SocketHandler<Socket>>>,
    disconnecting: Vec<Entry<ReasonHandler<Socket>>>,
    error: Vec<Entry<ErrorHandler>>,
    rooms: Vec<Entry<RoomHandler>>,
    connect_middlewares: Vec<Arc<ConnectMiddleware>>,
    event_middlewares: Vec<Arc<EventMiddleware>>,
}

impl Own for Handlers {
    fn off(&mut self, id: ListenerId) -> bool {
        let mut found = take(&mut self.connection, id)
            | take(&mut self.disconnecting, id)
            | take(&mut self.error, id)
            | take(&mut self.rooms, id);
        self.server_side.retain(|_, handlers| {
            found |= take(handlers, id);
            !handlers.is_empty()
        });
        found
    }
}

impl Table {
    pub(crate) fn on_server_side<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let handler = move |event: &Event, ack: &AckSender| {
            call::<Socket, _, _, _>(ack.name(), event, ack.again(), Answer::ByReturning, |args, _| {
                handler(args)
            })
        };
        add(self.own.server_side.entry(event.into()).or_default(), Position::Last, Arc::new(handler))
    }

    pub(crate) fn on_connection<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.own.connection, Position::Last, on_socket("connection", handler))
    }

    pub(crate) fn on_disconnecting<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.own.disconnecting, Position::Last, on_reason("disconnecting", handler))
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
        add(&mut self.own.error, Position::Last, Arc::new(handler))
    }

    pub(crate) fn on_room_event(
        &mut self,
        handler: impl Fn(&RoomEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        add(&mut self.own.rooms, Position::Last, Arc::new(handler))
    }

    pub(crate) fn has_room_handlers(&self) -> bool {
        !self.own.rooms.is_empty()
    }

    /// Tells of something that happened to a room.
    pub(crate) fn tell_of_room(&self, event: &RoomEvent) {
        for entry in &self.own.rooms {
            if catch_unwind(AssertUnwindSafe(|| (entry.handler)(event))).is_err() {
                log_panic("on_room_event");
            }
        }
    }

    pub(crate) fn use_connect_middleware<F, Fut>(&mut self, middleware: F)
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.own.connect_middlewares.push(Arc::new(move |socket| Box::pin(middleware(socket))));
    }

    pub(crate) fn use_event_middleware<F, Fut>(&mut self, middleware: F)
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.own.event_middlewares.push(Arc::new(move |socket, event| Box::pin(middleware(socket, event))));
    }

    pub(crate) fn has_connect_middlewares(&self) -> bool {
        !self.own.connect_middlewares.is_empty()
    }

    pub(crate) fn has_event_middlewares(&self) -> bool {
        !self.own.event_middlewares.is_empty()
    }

    /// The work an event of another server asks for, in the order in which the handlers were registered.
    pub(crate) fn server_side_tasks<'a>(
        &'a self,
        event: &'a Event,
        ack: &'a AckSender,
    ) -> impl Iterator<Item = Task> {
        let named = self.own.server_side.get(event.name()).map(Vec::as_slice).unwrap_or_default();
        named.iter().filter_map(move |entry| (entry.handler)(event, ack))
    }

    pub(crate) fn connection_tasks<'a>(&'a self, socket: &'a Socket) -> impl Iterator<Item = Task> {
        self.own.connection.iter().map(|entry| (entry.handler)(socket))
    }

    pub(crate) fn disconnecting_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        reason: DisconnectReason,
    ) -> impl Iterator<Item = Task> {
        self.own.disconnecting.iter().map(move |entry| (entry.handler)(socket, reason))
    }

    pub(crate) fn error_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        error: &'a Arc<SocketError>,
    ) -> impl Iterator<Item = Task> {
        self.own.error.iter().map(move |entry| (entry.handler)(socket, error))
    }
}

/// Asks the middlewares of a namespace about a client, one after the other, until one refuses.
pub(crate) fn admit(table: Arc<Table>, socket: Socket) -> Task {
    Box::pin(async move {
        for middleware in &table.own.connect_middlewares {
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
        for middleware in tables.iter().flatten().flat_map(|table| &table.own.event_middlewares) {
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
