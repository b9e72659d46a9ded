//! Acknowledgements: those we send, and those we wait for.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use socketio_core::AckId;
use socketio_core::cluster::{Answers, AskId, CommandError, Input};
use socketio_core::peer::SendError;
use socketio_core::socket::AckError as Lost;
use socketio_core::socket::client as protocol;
use socketio_core::socket::{Args, ArgsError, Codec, EncodeError, Encoded, Event, FromArgs};

use crate::client;
use crate::cluster::link::{Link, Request};
use crate::dispatch::Asked;
use crate::server::socket::Socket;

/// The way to answer an event. Answers once; a dropped sender never answers.
#[derive(Debug)]
pub struct AckSender(Asker);

#[derive(Clone, Debug)]
enum Asker {
    Client(Socket, Wanted),
    /// The server, if we are a client.
    Server(client::Socket, Asked),
    /// Another server.
    Node(Arc<Link>, Option<AskId>),
    /// No answer is wanted, as for most events.
    Nobody,
}

/// The acknowledgement that a client wants for an event.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: AckId,
    /// Where several handlers may answer: whether one has.
    answered: Option<Arc<AtomicBool>>,
}

impl Wanted {
    /// For an event that has this many handlers.
    pub(crate) fn new(id: AckId, handlers: usize) -> Self {
        Self { id, answered: (handlers > 1).then(Arc::default) }
    }

    /// Whether nobody has answered before.
    pub(crate) fn claim(&self) -> bool {
        self.answered.as_ref().is_none_or(|answered| !answered.swap(true, Ordering::Relaxed))
    }
}

impl AckSender {
    pub(crate) fn client(socket: &Socket, wanted: Option<&Wanted>) -> Self {
        Self(wanted.map_or(Asker::Nobody, |wanted| Asker::Client(socket.clone(), wanted.clone())))
    }

    pub(crate) fn server(socket: client::Socket, asked: Asked) -> Self {
        Self(Asker::Server(socket, asked))
    }

    pub(crate) fn node(link: Arc<Link>, ask: Option<AskId>) -> Self {
        Self(Asker::Node(link, ask))
    }

    /// That of an event to which no answer is wanted.
    pub(crate) const NOBODY: Self = Self(Asker::Nobody);

    /// Takes it out of its place.
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::NOBODY)
    }

    /// For another handler of the same event. The first answer counts.
    pub(crate) fn again(&self) -> Self {
        Self(self.0.clone())
    }

    /// Whether somebody waits for an answer.
    pub fn is_wanted(&self) -> bool {
        match &self.0 {
            Asker::Client(..) => true,
            Asker::Server(_, asked) => asked.is_some(),
            Asker::Node(_, ask) => ask.is_some(),
            Asker::Nobody => false,
        }
    }

    /// Answers with these arguments: a tuple for several. Does nothing if no answer is wanted, or another handler of the
    /// same event has answered.
    ///
    /// # Errors
    /// [`EmitError`] when the arguments do not serialize, or the socket has been disconnected since.
    pub fn send<T: Serialize>(self, args: T) -> Result<(), EmitError> {
        self.answer(&args)
    }

    /// The same by reference, for who has to know afterwards whose answer it was.
    fn answer<T: Serialize>(&self, args: &T) -> Result<(), EmitError> {
        match &self.0 {
            Asker::Client(socket, wanted) => socket.send_ack(wanted, args),
            Asker::Node(link, Some(ask)) => {
                link.handle(Input::Replied(*ask, Args::encode(args)?));
                Ok(())
            }
            Asker::Server(socket, Some(asked)) => {
                let Some(reply) = lock(asked).take() else { return Ok(()) };
                socket.send_ack(reply, args)
            }
            Asker::Nobody | Asker::Server(_, None) | Asker::Node(_, None) => Ok(()),
        }
    }

    /// [`send`](Self::send) for a handler's return value, whose errors nobody takes.
    pub(crate) fn reply<T: Serialize>(self, args: &T) {
        match (self.answer(args), &self.0) {
            (Ok(()), _) => {}
            // It would wait for ever.
            (Err(EmitError::Full(_)), Asker::Client(socket, _)) => socket.give_up(),
            (Err(error), _) => tracing::debug!(asker = self.name(), %error, "acknowledgement not sent"),
        }
    }

    /// Who asked, for the log.
    pub(crate) fn name(&self) -> &str {
        match &self.0 {
            Asker::Client(socket, _) => socket.id().as_str(),
            Asker::Server(..) => "the server",
            Asker::Node(..) => "another node",
            Asker::Nobody => "nobody",
        }
    }
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The socket has left its namespace; of a client: the client is gone.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The outgoing queue is at its limit. The event is not in it; here it is again, to be sent another time with
    /// `emit(event.name(), event.args())`. An acknowledgement comes back as an event without a name.
    #[error("the outgoing queue is full")]
    Full(Box<Event>),
    /// Too many acknowledgements are waited for.
    #[error("too many pending acknowledgements")]
    TooManyAcks,
    /// A volatile event whose acknowledgement is wanted cannot leave at once.
    #[error("a volatile event was dropped")]
    Dropped,
    /// The event name is reserved, or the arguments do not serialize.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl EmitError {
    /// What the sender is told of `reason`; `unsent` is handed back to be sent another time.
    pub(crate) fn new(reason: impl Into<Refused>, unsent: impl FnOnce() -> Event) -> Self {
        match reason.into() {
            Refused::Disconnected => Self::Disconnected,
            Refused::Dropped => Self::Dropped,
            Refused::Encode(error) => Self::Encode(error),
            Refused::Full => Self::Full(Box::new(unsent())),
            Refused::TooManyAcks => Self::TooManyAcks,
        }
    }
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Disconnected,
    Dropped,
    Encode(EncodeError),
    Full,
    TooManyAcks,
}

impl From<SendError> for Refused {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Disconnected => Self::Disconnected,
            SendError::Full => Self::Full,
            SendError::TooManyAcks => Self::TooManyAcks,
        }
    }
}

impl From<protocol::EmitError> for Refused {
    fn from(error: protocol::EmitError) -> Self {
        match error {
            protocol::EmitError::Removed => Self::Disconnected,
            protocol::EmitError::Full => Self::Full,
            protocol::EmitError::Dropped => Self::Dropped,
            protocol::EmitError::TooManyAcks => Self::TooManyAcks,
            protocol::EmitError::Encode(error) => Self::Encode(error),
        }
    }
}

impl From<protocol::ReplyError> for Refused {
    fn from(error: protocol::ReplyError) -> Self {
        match error {
            protocol::ReplyError::Disconnected => Self::Disconnected,
            protocol::ReplyError::Full(_) => Self::Full,
            protocol::ReplyError::Encode(error) => Self::Encode(error),
        }
    }
}

/// The event in a packet, without the id it asked to be acknowledged by.
pub(crate) fn unsent(encoded: &Encoded, codec: Codec) -> Event {
    let event = encoded.to_event(codec).unwrap_or_else(|| Event::new("", Args::default()));
    event.with_ack(None)
}

/// Why there is no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// None came within the timeout.
    #[error("operation has timed out")]
    TimedOut,
    /// The socket left its namespace first.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event was not sent.
    #[error(transparent)]
    Emit(EmitError),
    /// One came, but it is not what was asked for.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

impl From<Lost> for AckError {
    fn from(error: Lost) -> Self {
        match error {
            Lost::TimedOut => Self::TimedOut,
            Lost::Disconnected => Self::Disconnected,
        }
    }
}

impl From<EmitError> for AckError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Disconnected => Self::Disconnected,
            error => Self::Emit(error),
        }
    }
}

/// Who waits for an acknowledgement: what the core hands back with it.
#[derive(Debug)]
pub(crate) enum Waiter {
    One(Arc<Mutex<Reception>>),
    Many(Arc<Mutex<Collection>>),
    /// A broadcast of this node or another one.
    Relay(Arc<Link>, AskId),
}

impl Waiter {
    pub(crate) fn resolve(self, answer: Result<Args, Lost>) {
        let waker = match self {
            Self::One(reception) => {
                let mut reception = lock(&reception);
                reception.answer = Some(answer);
                reception.waker.take()
            }
            Self::Many(collection) => lock(&collection).add(answer),
            Self::Relay(link, ask) => return link.relay(ask, answer),
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// One awaited acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    answer: Option<Result<Args, Lost>>,
    waker: Option<Waker>,
}

/// The awaited acknowledgements of a broadcast.
#[derive(Debug)]
pub(crate) struct Collection {
    pending: usize,
    answers: Vec<Args>,
    complete: bool,
    waker: Option<Waker>,
}

impl Collection {
    fn add(&mut self, answer: Result<Args, Lost>) -> Option<Waker> {
        self.pending -= 1;
        match answer {
            // The first argument alone counts (REFERENCE 4.4).
            Ok(args) => self.answers.push(args.first()),
            Err(_) => self.complete = false,
        }
        if self.pending == 0 { self.waker.take() } else { None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the acknowledgement of an event that is already sent. Dropping it gives up the answer, not the event.
#[must_use = "the event is sent, but its acknowledgement is lost unless this is awaited"]
pub struct AckFuture<T> {
    state: Result<Waiting, Option<AckError>>,
    decodes_to: PhantomData<fn() -> T>,
}

struct Waiting {
    reception: Arc<Mutex<Reception>>,
    /// Who forgets about it when nobody waits any more.
    sender: Sender,
}

enum Sender {
    Server(Socket, AckId),
    /// No id where the event is sent until it is acknowledged: that comes to an end by itself.
    Client(client::Socket, Option<AckId>),
}

impl<T> AckFuture<T> {
    pub(crate) fn new(
        socket: Socket,
        id: AckId,
        send: impl FnOnce(&Socket, Waiter) -> Result<(), EmitError>,
    ) -> Self {
        let reception = Arc::new(Mutex::new(Reception::default()));
        match send(&socket, Waiter::One(reception.clone())) {
            Ok(()) => Self::waiting(reception, Sender::Server(socket, id)),
            Err(error) => Self::failed(error),
        }
    }

    pub(crate) fn of_client(
        socket: client::Socket,
        send: impl FnOnce(&client::Socket, Waiter) -> Result<Option<AckId>, EmitError>,
    ) -> Self {
        let reception = Arc::new(Mutex::new(Reception::default()));
        match send(&socket, Waiter::One(reception.clone())) {
            Ok(id) => Self::waiting(reception, Sender::Client(socket, id)),
            Err(error) => Self::failed(error),
        }
    }

    fn waiting(reception: Arc<Mutex<Reception>>, sender: Sender) -> Self {
        Self { state: Ok(Waiting { reception, sender }), decodes_to: PhantomData }
    }

    pub(crate) fn failed(error: EmitError) -> Self {
        Self { state: Err(Some(error.into())), decodes_to: PhantomData }
    }
}

impl<T: FromArgs> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.state {
            Err(error) => return Poll::Ready(Err(error.take().unwrap_or(AckError::Disconnected))),
            Ok(waiting) => {
                let mut reception = lock(&waiting.reception);
                let Some(answer) = reception.answer.take() else {
                    reception.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                };
                answer
            }
        };
        self.state = Err(None);
        Poll::Ready(answer.map_err(AckError::from).and_then(|args| Ok(T::from_args(&args)?)))
    }
}

impl<T> Drop for AckFuture<T> {
    fn drop(&mut self) {
        if let Ok(waiting) = &self.state {
            match &waiting.sender {
                Sender::Server(socket, id) => socket.forget_ack(*id),
                Sender::Client(socket, id) => id.iter().for_each(|id| socket.forget_ack(*id)),
            }
        }
    }
}

impl<T> fmt::Debug for AckFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").field("is_waiting", &self.state.is_ok()).finish()
    }
}

/// Not every client of a broadcast answered in time.
#[derive(Debug, thiserror::Error)]
#[error("operation has timed out")]
pub struct PartialAcks<T> {
    /// What did arrive, in the order of arrival.
    pub responses: Vec<T>,
}

/// Waits for the acknowledgements of a broadcast that is already sent. Resolves to the first argument of each, in
/// the order of arrival (REFERENCE 4.4).
#[must_use = "the event is sent, but its acknowledgements are lost unless this is awaited"]
pub struct BroadcastAckFuture<T> {
    source: Source,
    decodes_to: PhantomData<fn() -> T>,
}

enum Source {
    /// This server.
    Here(Arc<Mutex<Collection>>),
    /// All servers of the cluster.
    Everywhere(Request),
    /// Nobody: the broadcast was not sent.
    Nowhere,
}

impl<T> BroadcastAckFuture<T> {
    /// The answers of all servers of the cluster.
    pub(crate) fn everywhere(request: Result<Request, CommandError>) -> Self {
        let source = request.map_or_else(
            |error| {
                tracing::warn!(%error, "a broadcast was not sent");
                Source::Nowhere
            },
            Source::Everywhere,
        );
        Self { source, decodes_to: PhantomData }
    }

    /// `send` is called with a waiter for each of `recipients`.
    pub(crate) fn new(
        recipients: Vec<Socket>,
        send: impl Fn(&Socket, Waiter) -> Result<(), (Refused, Waiter)>,
    ) -> Self {
        let pending = recipients.len();
        let collection = Collection { pending, answers: Vec::new(), complete: true, waker: None };
        let collection = Arc::new(Mutex::new(collection));
        for socket in recipients {
            if let Err((_, waiter)) = send(&socket, Waiter::Many(collection.clone())) {
                waiter.resolve(Err(Lost::Disconnected));
            }
        }
        Self { source: Source::Here(collection), decodes_to: PhantomData }
    }
}

impl Source {
    /// The answers, and whether they are all.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Vec<Args>, bool)> {
        match self {
            Self::Here(collection) => {
                let mut collection = lock(collection);
                if collection.pending > 0 {
                    collection.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready((std::mem::take(&mut collection.answers), collection.complete))
            }
            Self::Everywhere(request) => Pin::new(request).poll(cx).map(|(answers, shortfall)| {
                let Answers::Acks(acks) = answers else { return (Vec::new(), false) };
                (acks, shortfall.is_none())
            }),
            Self::Nowhere => Poll::Ready((Vec::new(), false)),
        }
    }
}

impl<T: FromArgs> Future for BroadcastAckFuture<T> {
    type Output = Result<Vec<T>, PartialAcks<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready((answers, mut complete)) = self.source.poll(cx) else { return Poll::Pending };
        let count = answers.len();
        let responses: Vec<T> = answers.iter().filter_map(|args| T::from_args(args).ok()).collect();
        // An answer of the wrong type is no answer.
        complete &= responses.len() == count;
        Poll::Ready(if complete { Ok(responses) } else { Err(PartialAcks { responses }) })
    }
}

impl<T> fmt::Debug for BroadcastAckFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAckFuture").finish_non_exhaustive()
    }
}
