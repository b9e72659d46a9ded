//! Who gets a message, and how: the chain between `to(..)` and `emit(..)`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use socketio_core::cluster::{Flags, Options};
use socketio_core::engine::buffer::Compression;
use socketio_core::peer::SendError;
use socketio_core::rooms::{Room, Selector};
use socketio_core::socket::{EncodeError, Encoded};

use crate::ack::{AckFuture, BroadcastAckFuture, EmitError, Refused};
use crate::cluster::link::{Link, Request};
use crate::cluster::remote::{Incomplete, RemoteSocket};
use crate::encoding;
use crate::server::hub::Hub;
use crate::server::namespace::Namespace;
use crate::server::socket::Socket;

/// One room or several: text, or a list of texts.
pub trait Rooms {
    /// Adds each room to `list`.
    fn add_to(self, list: &mut Vec<Room>);
}

impl Rooms for &str {
    fn add_to(self, list: &mut Vec<Room>) {
        list.push(self.into());
    }
}

impl Rooms for String {
    fn add_to(self, list: &mut Vec<Room>) {
        list.push(self.into());
    }
}

impl Rooms for &String {
    fn add_to(self, list: &mut Vec<Room>) {
        list.push(self.as_str().into());
    }
}

impl Rooms for Room {
    fn add_to(self, list: &mut Vec<Room>) {
        list.push(self);
    }
}

impl Rooms for &socketio_core::Sid {
    fn add_to(self, list: &mut Vec<Room>) {
        list.push(self.as_str().into());
    }
}

impl<R: Rooms, const N: usize> Rooms for [R; N] {
    fn add_to(self, list: &mut Vec<Room>) {
        self.into_iter().for_each(|room| room.add_to(list));
    }
}

impl<R: Rooms> Rooms for Vec<R> {
    fn add_to(self, list: &mut Vec<Room>) {
        self.into_iter().for_each(|room| room.add_to(list));
    }
}

impl<R: Rooms + Clone> Rooms for &[R] {
    fn add_to(self, list: &mut Vec<Room>) {
        self.iter().for_each(|room| room.clone().add_to(list));
    }
}

/// How a message reaches those who are not ready for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It waits, with all the others.
    #[default]
    Reliable,
    /// It is dropped.
    Volatile,
    /// It waits in the place of the one before it of this name.
    Latest,
}

/// A message to many sockets of a namespace (REFERENCE 4.4). Each step returns a new operator, so one can be kept and
/// used again.
#[derive(Clone, Debug)]
pub struct BroadcastOperator {
    namespace: Namespace,
    selector: Selector,
    manner: Manner,
    compression: Compression,
    timeout: Option<Duration>,
    /// Whether it is for this server alone.
    local: bool,
}

impl BroadcastOperator {
    pub(crate) fn new(namespace: Namespace, selector: Selector) -> Self {
        Self {
            namespace,
            selector,
            manner: Manner::Reliable,
            compression: Compression::Allowed,
            timeout: None,
            local: false,
        }
    }

    /// Means the sockets of this server alone, where there are others.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// The way to other servers, if they are meant and there are any.
    fn link(&self) -> Option<&Arc<Link>> {
        if self.local { None } else { self.namespace.link() }
    }

    fn options(&self) -> Options {
        // Whoever sends the newest of something does not miss one that was dropped elsewhere.
        let volatile = self.manner != Manner::Reliable;
        let flags = Flags { volatile, compress: self.compression, timeout: self.timeout };
        Options { selector: self.selector.clone(), flags }
    }

    /// Adds the sockets in any of these rooms. A socket in several of them gets one copy.
    #[must_use]
    pub fn to(mut self, rooms: impl Rooms) -> Self {
        rooms.add_to(&mut self.selector.rooms);
        self
    }

    /// Leaves out every socket that is in any of these rooms; a socket's id is a room.
    #[must_use]
    pub fn except(mut self, rooms: impl Rooms) -> Self {
        rooms.add_to(&mut self.selector.except);
        self
    }

    /// Drops the message for each client whose connection is not ready at that instant.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.manner = Manner::Volatile;
        self
    }

    /// Sends each client the newest only: where its connection is not ready, the message waits for that in the place of
    /// the one of this event's name before it. For positions and figures, of which nobody needs those of the past. On
    /// other servers it is [volatile](Self::volatile).
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.manner = Manner::Latest;
        self
    }

    /// Whether transports may compress the message. Default: yes, from the server's threshold on.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compression = compression(compress);
        self
    }

    /// Waits this long for acknowledgements.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event: encoded once, shared by every recipient. A client whose outgoing queue is full is disconnected
    /// rather than left with a gap it does not know of.
    ///
    /// # Errors
    /// [`EncodeError`] when the name is reserved or the arguments do not serialize.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        let Some((hub, encoded)) = self.encode(event, &args)? else { return Ok(()) };
        self.namespace.publish(&self.selector, event, &encoded, self.manner, &hub);
        Ok(())
    }

    /// Sends an event like [`emit`](Self::emit), but waits for the clients of this server whose outgoing queue is full,
    /// and closes none of them: as long as they read, the sender goes at the pace of the slowest. One that does not is
    /// gone after a heartbeat. Every other client has the event before the wait begins.
    ///
    /// With connection state recovery, which keeps a copy for who is slow, it is the same as `emit`.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub async fn emit_when_ready<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        let Some((hub, encoded)) = self.encode(event, &args)? else { return Ok(()) };
        if self.manner != Manner::Reliable || self.namespace.recovery().is_some() {
            self.namespace.publish(&self.selector, event, &encoded, self.manner, &hub);
            return Ok(());
        }
        drop(hub);
        let mut full = self.namespace.select(&self.selector);
        full.iter().for_each(|socket| socket.show(&encoded));
        full.retain(|socket| socket.try_send(encoded.clone()) == Err(SendError::Full));
        // Gone by then is none of the sender's business.
        let mut waiting: FuturesUnordered<_> =
            full.iter().map(|socket| socket.send_when_ready(&encoded)).collect();
        while waiting.next().await.is_some() {}
        Ok(())
    }

    /// Encodes an event, and passes it on to other servers if they are meant.
    fn encode<T: Serialize>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Option<(Arc<Hub>, Encoded)>, EncodeError> {
        let Some(hub) = self.namespace.hub() else { return Ok(None) };
        let codec = hub.config.socket.codec;
        let encoded = encoding::event(codec, self.namespace.nsp(), None, event, args)?
            .with_compression(self.compression);
        if let Some(link) = self.link()
            && let Some(event) = encoded.to_event(codec)
        {
            link.act(|node, now| node.broadcast(event, self.options(), now));
        }
        Ok(Some((hub, encoded)))
    }

    /// Sends an event and collects the first argument of each acknowledgement, in the order of arrival, for as long
    /// as [`timeout`](Self::timeout) says (5 s unless it was said). A client that is not ready for a
    /// [volatile](Self::volatile) one does not answer.
    ///
    /// # Errors
    /// [`EncodeError`] at once; [`PartialAcks`](crate::PartialAcks) from the future when not every client answered.
    pub fn emit_with_ack<R, T: Serialize>(
        &self,
        event: &str,
        args: T,
    ) -> Result<BroadcastAckFuture<R>, EncodeError> {
        let Some(hub) = self.namespace.hub() else {
            return Ok(BroadcastAckFuture::new(Vec::new(), |_, waiter| Err((Refused::Disconnected, waiter))));
        };
        if let Some(link) = self.link() {
            let encoded = hub.config.socket.codec.event(self.namespace.nsp(), None, event, &args)?;
            let mut options = self.options();
            options.flags.timeout.get_or_insert(DEFAULT_TIMEOUT);
            let event = encoded.to_event(hub.config.socket.codec).ok_or(EncodeError::ReservedEvent)?;
            return Ok(BroadcastAckFuture::everywhere(Request::new(link, |node, waiter, now| {
                node.broadcast_with_ack(event, options, waiter, now)
            })));
        }
        let id = self.namespace.next_ack();
        let encoded = hub.config.socket.codec.event(self.namespace.nsp(), Some(id), event, &args)?;
        let encoded = encoded.with_compression(self.compression);
        let deadline = hub.now() + self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let recipients = self.namespace.select(&self.selector);
        Ok(BroadcastAckFuture::new(recipients, |socket, waiter| {
            socket.deliver_expecting(&encoded, id, waiter, Some(deadline), self.manner)
        }))
    }

    /// The sockets meant, on all servers: those of this one first, in the order of joining. Other servers have as
    /// long to answer as [`timeout`](Self::timeout) says (5 s unless it was said).
    ///
    /// # Errors
    /// [`Incomplete`], with those that were found, when not every server answered in time.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Incomplete<RemoteSocket>> {
        let Some(link) = self.link() else {
            return Ok(self.sockets().iter().map(RemoteSocket::of).collect());
        };
        let options = self.options();
        let request = Request::new(link, |node, waiter, now| node.fetch_sockets(options, waiter, now));
        RemoteSocket::collect(&self.namespace, request).await
    }

    /// The sockets meant that are on this server, in the order of joining.
    pub fn sockets(&self) -> Vec<Socket> {
        self.namespace.select(&self.selector)
    }

    /// Puts them into rooms.
    pub fn sockets_join(&self, rooms: impl Rooms) {
        let rooms = listed(rooms);
        if let Some(link) = self.link() {
            link.act(|node, now| node.sockets_join(self.options(), rooms.clone(), now));
        }
        self.sockets().iter().for_each(|socket| socket.join(&rooms[..]));
    }

    /// Takes them out of rooms.
    pub fn sockets_leave(&self, rooms: impl Rooms) {
        let rooms = listed(rooms);
        if let Some(link) = self.link() {
            link.act(|node, now| node.sockets_leave(self.options(), rooms.clone(), now));
        }
        self.sockets().iter().for_each(|socket| socket.leave(&rooms[..]));
    }

    /// Makes them leave the namespace.
    pub fn disconnect_sockets(&self) {
        self.disconnect(false);
    }

    /// Makes them leave every namespace, and closes their connections.
    pub fn disconnect_sockets_all(&self) {
        self.disconnect(true);
    }

    fn disconnect(&self, close: bool) {
        if let Some(link) = self.link() {
            link.act(|node, now| node.disconnect_sockets(self.options(), close, now));
        }
        for socket in self.sockets() {
            if close { socket.disconnect_all() } else { socket.disconnect() }
        }
    }
}

/// A message to one socket, with a timeout or volatile.
#[derive(Clone, Debug)]
pub struct Emitter {
    pub(crate) socket: Socket,
    pub(crate) manner: Manner,
    pub(crate) compression: Compression,
    pub(crate) timeout: Option<Duration>,
}

impl Emitter {
    /// Drops the message if the connection is not ready at that instant.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.manner = Manner::Volatile;
        self
    }

    /// Sends the newest only: see [`BroadcastOperator::latest`].
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.manner = Manner::Latest;
        self
    }

    /// Whether transports may compress the message.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compression = compression(compress);
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
        self.socket.send_event(event, &args, self.manner, self.compression)
    }

    /// Sends an event and waits for its acknowledgement.
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`], and [`AckError::TimedOut`](crate::AckError::TimedOut). When it is volatile and
    /// cannot leave at once, [`EmitError::Dropped`] at once.
    pub fn emit_with_ack<R, T: Serialize>(&self, event: &str, args: T) -> AckFuture<R> {
        self.socket.send_with_ack(event, &args, self.manner, self.compression, self.timeout)
    }
}

pub(crate) fn listed(rooms: impl Rooms) -> Vec<Room> {
    let mut list = Vec::new();
    rooms.add_to(&mut list);
    list
}

pub(crate) fn compression(compress: bool) -> Compression {
    if compress { Compression::Allowed } else { Compression::Forbidden }
}

/// How long a broadcast waits for acknowledgements when nobody said. The reference gives up at once there
/// (REFERENCE 9.15), which is never what is meant.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
