//! Sockets wherever they are, and what other servers answer.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_core::Sid;
use socketio_core::cluster::{Answers, CommandError, Details, Shortfall};
use socketio_core::rooms::{Room, Selector};
use socketio_core::socket::{Args, ArgsError, EncodeError, FromArgs, Value};

use crate::ack::AckError;
use crate::cluster::link::Request;
use crate::server::handshake::Handshake;
use crate::server::namespace::Namespace;
use crate::server::operator::{BroadcastOperator, Rooms};
use crate::server::socket::Socket;

/// A socket of this server or another one, as it was when it was asked for. What is done to it finds it wherever it is
/// then, or does nothing if it is gone.
#[derive(Clone)]
pub struct RemoteSocket {
    namespace: Namespace,
    id: Sid,
    handshake: Handshake,
    rooms: Vec<Room>,
    data: Value,
}

impl RemoteSocket {
    pub(crate) fn of(socket: &Socket) -> Self {
        Self {
            namespace: socket.namespace().clone(),
            id: socket.id().clone(),
            handshake: socket.handshake().clone(),
            rooms: socket.rooms(),
            data: value_of(&socket.raw_data()),
        }
    }

    fn told(namespace: &Namespace, details: Details) -> Self {
        let Details { id, handshake, rooms, data } = details;
        let handshake = Handshake::from_value(&handshake);
        Self { namespace: namespace.clone(), id, handshake, rooms, data }
    }

    pub(crate) async fn collect(
        namespace: &Namespace,
        request: Result<Request, CommandError>,
    ) -> Result<Vec<Self>, Incomplete<Self>> {
        let (answers, shortfall) = match request {
            Ok(request) => request.await,
            Err(error) => return Err(Incomplete { answers: Vec::new(), reason: error.into() }),
        };
        let Answers::Sockets(sockets) = answers else { return Ok(Vec::new()) };
        let answers = sockets.into_iter().map(|details| Self::told(namespace, details)).collect();
        match shortfall {
            None => Ok(answers),
            Some(shortfall) => Err(Incomplete { answers, reason: shortfall.into() }),
        }
    }

    /// Its public id.
    pub fn id(&self) -> &Sid {
        &self.id
    }

    /// The request it came with.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The rooms it was in: its own id first, then in the order of joining.
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// What the application kept with it; `{}` if nothing.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        let encoded = Args::encode(&(&self.data,));
        let args =
            encoded.map_err(|error| ArgsError::Invalid { argument: 1, reason: error.to_string().into() })?;
        args.decode::<(T,)>().map(|(data,)| data)
    }

    fn operator(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.namespace.clone(), Selector::default().to(self.id.as_str()))
    }

    /// Sends it an event.
    ///
    /// # Errors
    /// [`EncodeError`] when the name is reserved or the arguments do not serialize.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        self.operator().emit(event, args)
    }

    /// Sends it an event and waits this long for its acknowledgement, of which the first argument counts.
    ///
    /// # Errors
    /// [`AckError::Emit`] when the name is reserved or the arguments do not serialize, [`AckError::Disconnected`]
    /// when no server knows it any more, [`AckError::TimedOut`], and [`AckError::Decode`] when the answer is not an
    /// `R`.
    pub async fn emit_with_ack<R: FromArgs, T: Serialize>(
        &self,
        event: &str,
        args: T,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let sent = self.operator().timeout(timeout).emit_with_ack::<Args, T>(event, args);
        let acks =
            sent.map_err(|error| AckError::Emit(error.into()))?.await.map_err(|_| AckError::TimedOut)?;
        let answer = acks.first().ok_or(AckError::Disconnected)?;
        Ok(R::from_args(&answer.first())?)
    }

    /// Puts it into rooms.
    pub fn join(&self, rooms: impl Rooms) {
        self.operator().sockets_join(rooms);
    }

    /// Takes it out of rooms.
    pub fn leave(&self, rooms: impl Rooms) {
        self.operator().sockets_leave(rooms);
    }

    /// Makes it leave the namespace.
    pub fn disconnect(&self) {
        self.operator().disconnect_sockets();
    }

    /// Makes it leave every namespace, and closes its connection.
    pub fn disconnect_all(&self) {
        self.operator().disconnect_sockets_all();
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", &self.id)
            .field("rooms", &self.rooms)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// Not every server answered.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Incomplete<T> {
    /// What did arrive, in the order of arrival.
    pub answers: Vec<T>,
    /// Why that is not all.
    pub reason: IncompleteReason,
}

/// Why not every server answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncompleteReason {
    /// Some did not in time.
    #[error(transparent)]
    Shortfall(#[from] Shortfall),
    /// None was asked.
    #[error(transparent)]
    NotAsked(#[from] CommandError),
    /// Some answered something else than what was asked for.
    #[error(transparent)]
    Decode(#[from] ArgsError),
}

/// Waits for the answers of other servers to an event that is already sent.
#[must_use = "the event is sent, but its answers are lost unless this is awaited"]
pub struct ServerSideAckFuture<T> {
    /// `None` where there are no others.
    request: Option<Result<Request, CommandError>>,
    decodes_to: PhantomData<fn() -> T>,
}

impl<T> ServerSideAckFuture<T> {
    pub(crate) fn new(request: Option<Result<Request, CommandError>>) -> Self {
        Self { request, decodes_to: PhantomData }
    }
}

impl<T: FromArgs> Future for ServerSideAckFuture<T> {
    type Output = Result<Vec<T>, Incomplete<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (replies, shortfall) = match &mut self.request {
            None => return Poll::Ready(Ok(Vec::new())),
            Some(Err(error)) => {
                return Poll::Ready(Err(Incomplete { answers: Vec::new(), reason: (*error).into() }));
            }
            Some(Ok(request)) => match Pin::new(request).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready((Answers::Replies(replies), shortfall)) => (replies, shortfall),
                Poll::Ready((_, shortfall)) => (Vec::new(), shortfall),
            },
        };
        let mut reason = shortfall.map(IncompleteReason::from);
        let mut answers = Vec::with_capacity(replies.len());
        for reply in replies {
            match T::from_args(&reply) {
                Ok(answer) => answers.push(answer),
                // An answer of the wrong type is no answer.
                Err(error) => reason = reason.or(Some(error.into())),
            }
        }
        Poll::Ready(match reason {
            None => Ok(answers),
            Some(reason) => Err(Incomplete { answers, reason }),
        })
    }
}

impl<T> fmt::Debug for ServerSideAckFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSideAckFuture").field("request", &self.request).finish()
    }
}

/// Anything that serializes, as a value for other servers. What does not is `null`.
pub(crate) fn value_of<T: Serialize>(value: &T) -> Value {
    let args = Args::encode(&(value,)).unwrap_or_default();
    args.decode::<(Option<Value>,)>().ok().and_then(|(value,)| value).unwrap_or_default()
}
