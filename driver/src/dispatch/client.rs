//! The handlers that only a client has: those of the connection, and of what becomes of a socket on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use socketio_core::socket::client::{ConnectError, DisconnectReason, Reply, Ticket};
use socketio_core::socket::server::Slot;

use super::{
    Entry, ListenerId, Own, Position, Side, SocketHandler, Table, Task, add, guarded, on_socket, take,
};
use crate::ack::AckSender;
use crate::client::{ManagerEvent, Socket};

impl Side for Socket {
    type Ask = Asked;
    type Done = ClientDone;
    type Own = Handlers;
    type Reason = DisconnectReason;

    fn name(&self) -> &str {
        "the server"
    }

    fn ack_sender(&self, ask: &Asked) -> AckSender {
        AckSender::server(self.clone(), ask.clone())
    }
}

/// The right to answer an event, if an answer is wanted: shared by its handlers, for the first one to use.
pub(crate) type Asked = Option<Arc<Mutex<Option<Reply>>>>;

/// What a [`Task`] of a client comes to.
#[derive(Default)]
pub(crate) enum ClientDone {
    /// A handler returned, or panicked.
    #[default]
    Handler,
    /// The credentials of a socket are there, or a reason why not.
    Credentials(Slot, Ticket, Result<Option<Value>, String>),
}

type ConnectErrorHandler = dyn Fn(&Socket, &ConnectError) -> Task<Socket> + Send + Sync;
type ManagerHandler = dyn Fn(ManagerEvent) -> Pin<Box<dyn Future<Output = ClientDone> + Send>> + Send + Sync;

/// The part of a table that only a client has.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    connect: Vec<Entry<SocketHandler<Socket>>>,
    connect_error: Vec<Entry<ConnectErrorHandler>>,
}

impl Own for Handlers {
    fn off(&mut self, id: ListenerId) -> bool {
        take(&mut self.connect, id) | take(&mut self.connect_error, id)
    }
}

impl Table<Socket> {
    pub(crate) fn on_connect<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.own.connect, Position::Last, on_socket("connect", handler))
    }

    pub(crate) fn on_connect_error<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(Socket, ConnectError) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |socket: &Socket, error: &ConnectError| {
            let (handler, socket, error) = (handler.clone(), socket.clone(), error.clone());
            guarded("connect_error", async move { handler(socket, error).await })
        };
        add(&mut self.own.connect_error, Position::Last, Arc::new(handler))
    }

    pub(crate) fn connect_tasks<'a>(&'a self, socket: &'a Socket) -> impl Iterator<Item = Task<Socket>> {
        self.own.connect.iter().map(|entry| (entry.handler)(socket))
    }

    pub(crate) fn connect_error_tasks<'a>(
        &'a self,
        socket: &'a Socket,
        error: &'a ConnectError,
    ) -> impl Iterator<Item = Task<Socket>> {
        self.own.connect_error.iter().map(move |entry| (entry.handler)(socket, error))
    }
}

/// The handlers of what happens to a connection as a whole.
#[derive(Clone, Default)]
pub(crate) struct ManagerHandlers(Vec<Entry<ManagerHandler>>);

impl ManagerHandlers {
    pub(crate) fn on<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(ManagerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |event: ManagerEvent| {
            let handler = handler.clone();
            guarded("manager", async move { handler(event).await })
        };
        add(&mut self.0, Position::Last, Arc::new(handler))
    }

    pub(crate) fn off(&mut self, id: ListenerId) -> bool {
        take(&mut self.0, id)
    }

    pub(crate) fn tasks<'a>(&'a self, event: &'a ManagerEvent) -> impl Iterator<Item = Task<Socket>> {
        self.0.iter().map(|entry| (entry.handler)(event.clone()))
    }
}

impl fmt::Debug for ManagerHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagerHandlers").field(&self.0.len()).finish()
    }
}
