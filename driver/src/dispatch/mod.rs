//! Handlers: how closures become a table, and how the table is asked.
//!
//! Handlers of one socket start in arrival order and run up to their first `await`, as in JavaScript; what is left
//! of them runs on with the connection. A handler that panics is logged, and its socket lives on.
//!
//! Both [sides](Side) of the protocol are served; what only one of them has is in a file of its own.

pub(crate) mod backlog;
mod client;
mod names;
mod server;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use pin_project_lite::pin_project;
use socketio_core::socket::{ArgsError, Event, FromArgs};

use self::names::Names;
use crate::ack::AckSender;
use crate::reply::Reply;
use crate::server::socket::Socket;

pub(crate) use client::{Asked, ClientDone, ManagerHandlers};
pub use server::{BoxError, SocketError};
pub(crate) use server::{Done, admit, screen};

/// Whose handlers they are: the type is the socket that they get.
pub(crate) trait Side: Clone + Send + Sync + 'static {
    /// What an event says of the answer that is wanted.
    type Ask;
    /// What a task comes to. The default is that a handler returned, or panicked.
    type Done: Default + 'static;
    /// The handlers that only this side has.
    type Own: Own;
    /// Why a socket is not connected any more.
    type Reason: Clone + Send + 'static;

    /// Who sends it events, for the log.
    fn name(&self) -> &str;

    /// The way to answer.
    fn ack_sender(&self, ask: &Self::Ask) -> AckSender;
}

/// The part of a table that only one side has.
pub(crate) trait Own: Clone + Default {
    /// Takes a handler away. Returns whether it was there.
    fn off(&mut self, id: ListenerId) -> bool;
}

/// Work a pump carries on with.
pub(crate) type Task<S = Socket> = Pin<Box<dyn Future<Output = <S as Side>::Done> + Send>>;

/// Names a handler, to take it [off](crate::Socket::off) again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

type EventHandler<S> = dyn Fn(&S, &Event, &<S as Side>::Ask) -> Option<Task<S>> + Send + Sync;
type AnyHandler<S> = dyn Fn(&S, &Event) -> Task<S> + Send + Sync;
type OutgoingHandler<S> = dyn Fn(&S, &Event) + Send + Sync;
type ReasonHandler<S> = dyn Fn(&S, <S as Side>::Reason) -> Task<S> + Send + Sync;
type SocketHandler<S> = dyn Fn(&S) -> Task<S> + Send + Sync;

/// The handlers of a namespace, or of one socket. Cloned to be changed: registering is rare, dispatching is not.
pub(crate) struct Table<S: Side = Socket> {
    events: Names<Entry<EventHandler<S>>>,
    any: Vec<Entry<AnyHandler<S>>>,
    outgoing: Vec<Entry<OutgoingHandler<S>>>,
    disconnect: Vec<Entry<ReasonHandler<S>>>,
    /// Whether any handler was ever to run once: most tables are spared the search for spent ones.
    has_once: bool,
    own: S::Own,
}

impl<S: Side> Default for Table<S> {
    fn default() -> Self {
        Self {
            events: Names::default(),
            any: Vec::new(),
            outgoing: Vec::new(),
            disconnect: Vec::new(),
            has_once: false,
            own: S::Own::default(),
        }
    }
}

impl<S: Side> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            any: self.any.clone(),
            outgoing: self.outgoing.clone(),
            disconnect: self.disconnect.clone(),
            has_once: self.has_once,
            own: self.own.clone(),
        }
    }
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

fn take<H: ?Sized>(handlers: &mut Vec<Entry<H>>, id: ListenerId) -> bool {
    let before = handlers.len();
    handlers.retain(|entry| entry.id != id);
    handlers.len() < before
}

impl<S: Side> Table<S> {
    pub(crate) fn on<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(S, T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let handler = typed(move |socket, args, _: &AckSender| handler(socket, args), Answer::ByReturning);
        self.add_event(event, Entry::new(handler))
    }

    pub(crate) fn once<F, T, Fut, R>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(S, T) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        let handler = typed(move |socket, args, _: &AckSender| handler(socket, args), Answer::ByReturning);
        self.has_once = true;
        self.add_event(event, Entry { spent: Some(Arc::default()), ..Entry::new(handler) })
    }

    pub(crate) fn on_with_ack<F, T, Fut>(&mut self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(S, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = move |socket, args, ack: &AckSender| handler(socket, args, ack.again());
        self.add_event(event, Entry::new(typed(handler, Answer::BySender)))
    }

    fn add_event(&mut self, event: &str, entry: Entry<EventHandler<S>>) -> ListenerId {
        let id = entry.id;
        self.events.add(event, |handlers| handlers.push(entry));
        id
    }

    pub(crate) fn on_any<F, Fut>(&mut self, position: Position, handler: F) -> ListenerId
    where
        F: Fn(S, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |socket: &S, event: &Event| {
            let (handler, socket, event) = (handler.clone(), socket.clone(), event.clone());
            guarded("on_any", async move { handler(socket, event).await })
        };
        add(&mut self.any, position, Arc::new(handler))
    }

    pub(crate) fn on_any_outgoing<F>(&mut self, position: Position, handler: F) -> ListenerId
    where
        F: Fn(&S, &Event) + Send + Sync + 'static,
    {
        add(&mut self.outgoing, position, Arc::new(handler))
    }

    pub(crate) fn on_disconnect<F, Fut>(&mut self, handler: F) -> ListenerId
    where
        F: Fn(S, S::Reason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        add(&mut self.disconnect, Position::Last, on_reason("disconnect", handler))
    }

    pub(crate) fn off(&mut self, id: ListenerId) -> bool {
        let mut found = take(&mut self.any, id)
            | take(&mut self.outgoing, id)
            | take(&mut self.disconnect, id)
            | self.own.off(id);
        self.events.retain(|entry| {
            let is_meant = entry.id == id;
            found |= is_meant;
            !is_meant
        });
        found
    }

    /// Takes away every handler of an event.
    pub(crate) fn off_event(&mut self, event: &str) {
        self.events.remove(event);
    }

    /// Takes away the handlers that have run once and may not again.
    pub(crate) fn off_spent(&mut self) {
        self.events.retain(|entry| !entry.is_spent());
    }

    pub(crate) fn has_spent(&self, event: &Event) -> bool {
        self.has_once && self.events.get(event.name()).iter().any(Entry::is_spent)
    }

    pub(crate) fn listeners(&self, event: &str) -> Vec<ListenerId> {
        self.events.get(event).iter().map(|entry| entry.id).collect()
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

    /// Shows an outgoing event to whoever wants to see it.
    pub(crate) fn see_outgoing(&self, socket: &S, event: &Event) {
        for entry in &self.outgoing {
            let seen = catch_unwind(AssertUnwindSafe(|| (entry.handler)(socket, event)));
            if seen.is_err() {
                log_panic("on_any_outgoing");
            }
        }
    }

    /// The work of the catch-all handlers, which come before everything else.
    pub(crate) fn any_tasks<'a>(&'a self, socket: &'a S, event: &'a Event) -> impl Iterator<Item = Task<S>> {
        self.any.iter().map(|entry| (entry.handler)(socket, event))
    }

    /// The work an event asks for, in the order in which the handlers were registered.
    pub(crate) fn event_tasks<'a>(
        &'a self,
        socket: &'a S,
        event: &'a Event,
        ask: &'a S::Ask,
    ) -> impl Iterator<Item = Task<S>> {
        let named = self.events.get(event.name());
        named
            .iter()
            .filter(|entry| entry.claim())
            .filter_map(move |entry| (entry.handler)(socket, event, ask))
    }

    /// How many handlers an event of this name has.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.events.get(event).len()
    }

    pub(crate) fn disconnect_tasks<'a>(
        &'a self,
        socket: &'a S,
        reason: S::Reason,
    ) -> impl Iterator<Item = Task<S>> {
        self.disconnect.iter().map(move |entry| (entry.handler)(socket, reason.clone()))
    }
}

impl<S: Side> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("events", &self.events.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Who answers an event: the handler's return value, or the sender it was given.
#[derive(Clone, Copy)]
enum Answer {
    ByReturning,
    BySender,
}

/// Wraps a typed handler: decodes the arguments, runs it, answers.
fn typed<S, F, T, Fut, R>(handler: F, answer: Answer) -> Arc<EventHandler<S>>
where
    S: Side,
    F: Fn(S, T, &AckSender) -> Fut + Send + Sync + 'static,
    T: FromArgs,
    Fut: Future<Output = R> + Send + 'static,
    R: Reply,
{
    Arc::new(move |socket, event, ask| {
        let ack = socket.ack_sender(ask);
        call::<S, _, _, _>(socket.name(), event, ack, answer, |args, ack| handler(socket.clone(), args, ack))
    })
}

/// Calls a handler with the arguments of an event. It is called here and not inside the task, so that nothing of it has
/// to be kept; its panic, or that of a `Deserialize`, is caught all the same.
fn call<S, T, Fut, R>(
    sender: &str,
    event: &Event,
    ack: AckSender,
    answer: Answer,
    handler: impl FnOnce(T, &AckSender) -> Fut,
) -> Option<Task<S>>
where
    S: Side,
    T: FromArgs,
    Fut: Future<Output = R> + Send + 'static,
    R: Reply,
{
    let called = catch_unwind(AssertUnwindSafe(|| -> Result<Task<S>, ArgsError> {
        // First of all, so that the handler and its arguments are made in it.
        let place = Box::new_uninit();
        let handler = Some(handler(T::from_args(event.args())?, &ack));
        let mut ack = ack;
        let end = move |reply: R| match answer {
            Answer::ByReturning if ack.is_wanted() => reply.send(ack.take()),
            // Most events: nothing is moved for an answer that nobody waits for.
            Answer::ByReturning => reply.send(AckSender::NOBODY),
            Answer::BySender => {}
        };
        let task = Box::write(place, Guarded { handler, end, what: "event", done: PhantomData });
        Ok(Box::into_pin(task))
    }));
    match called {
        Ok(Ok(task)) => Some(task),
        Ok(Err(error)) => {
            let event = event.name();
            tracing::warn!(sender, event, %error, "arguments are not what the handler takes");
            None
        }
        Err(_) => {
            log_panic("event");
            None
        }
    }
}

fn on_socket<S, F, Fut>(what: &'static str, handler: F) -> Arc<SocketHandler<S>>
where
    S: Side,
    F: Fn(S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |socket: &S| {
        let (handler, socket) = (handler.clone(), socket.clone());
        guarded(what, async move { handler(socket).await })
    })
}

fn on_reason<S, F, Fut>(what: &'static str, handler: F) -> Arc<ReasonHandler<S>>
where
    S: Side,
    F: Fn(S, S::Reason) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |socket: &S, reason| {
        let (handler, socket) = (handler.clone(), socket.clone());
        guarded(what, async move { handler(socket, reason).await })
    })
}

/// A task that survives the panic of the handler in it.
fn guarded<D: Default + 'static>(
    what: &'static str,
    handler: impl Future<Output = ()> + Send + 'static,
) -> Pin<Box<dyn Future<Output = D> + Send>> {
    Box::pin(Guarded { handler: Some(handler), end: |()| (), what, done: PhantomData })
}

pin_project! {
    /// A handler that runs, and what is to be done with what it returns. Its panic, and that of what follows, is its end.
    struct Guarded<F, E, D> {
        #[pin]
        handler: Option<F>,
        end: E,
        what: &'static str,
        done: PhantomData<fn() -> D>,
    }
}

impl<F: Future, E: FnMut(F::Output), D: Default> Future for Guarded<F, E, D> {
    type Output = D;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D> {
        let mut this = self.project();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let Some(handler) = this.handler.as_mut().as_pin_mut() else { return Poll::Ready(()) };
            let returned = ready!(handler.poll(cx));
            // What it holds is given back before anybody hears of its answer.
            this.handler.set(None);
            (this.end)(returned);
            Poll::Ready(())
        }));
        match ran {
            Ok(ran) => ran.map(|()| D::default()),
            Err(_) => {
                log_panic(this.what);
                Poll::Ready(D::default())
            }
        }
    }
}

/// Runs user code; `None` if it panics.
pub(crate) fn survive<T>(
    what: &'static str,
    user: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    AssertUnwindSafe(user).catch_unwind().map(move |outcome| outcome.map_err(|_| log_panic(what)).ok())
}

/// Runs user code that is called from the core; false if it panics.
pub(crate) fn ended(user: &mut dyn FnMut()) -> bool {
    let ended = catch_unwind(AssertUnwindSafe(user)).is_ok();
    if !ended {
        log_panic("parser");
    }
    ended
}

fn log_panic(handler: &'static str) {
    // The message itself went to the panic hook.
    tracing::error!(handler, "a handler panicked");
}
