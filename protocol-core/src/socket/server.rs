//! The server's side of one Socket.IO connection: the namespaces a client has joined, and the rules between its
//! packets (REFERENCE 3.3–3.6).
//!
//! It knows nothing of transports, nor of who is in which room. A namespace on a connection is a [`Slot`]; what the
//! namespace means (does it exist, who may join) the layer above decides.
//!
//! ```text
//!              CONNECT                 accept()
//!   (none) ──────────────► Joining ──────────────► Joined
//!     ▲                       │ refuse(), close      │ DISCONNECT, leave(), close
//!     └───────────────────────┴──────────────────────┘
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use serde::Serialize;

use super::acks::Acks;
use super::text::Outline;
pub use super::{AckError, Slot};
use super::{
    Args, Body, Codec, DecodeError, Decoder, DisconnectReason, EncodeError, Encoded, Limits, Nsp, Packet,
    Payload,
};
use crate::engine::Revision;
use crate::engine::packet::{Arrived, Message};
use crate::time::earliest;
use crate::{AckId, Instant, Sid};

/// What holds for every connection of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// How packets are written.
    pub codec: Codec,
    /// Time a client has to join its first namespace. Default: 45 s.
    pub connect_timeout: Duration,
    /// Time a client may stay that has left its last namespace, or `None` for as long as it answers heartbeats, which is
    /// the reference's and the default. Official clients go by themselves.
    pub idle_timeout: Option<Duration>,
    /// Bounds of one packet.
    pub limits: Limits,
    /// Time a packet may wait for its attachments. Default: 45 s, a heartbeat and its timeout: by then a client that
    /// is alive has sent something.
    pub attachment_timeout: Duration,
    /// Most namespaces one connection can be in at once. Default: 1,000.
    pub max_namespaces: usize,
    /// Most acknowledgements the server waits for from one socket. Default: 65,536.
    pub max_pending_acks: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            codec: Codec::Text,
            connect_timeout: Duration::from_secs(45),
            idle_timeout: None,
            limits: Limits::default(),
            attachment_timeout: Duration::from_secs(45),
            max_namespaces: 1000,
            max_pending_acks: 65_536,
        }
    }
}

/// What a connection tells the layer above. `W` is a waiter given to [`Connection::expect_ack`].
#[derive(Clone, Debug, PartialEq)]
pub enum Event<W> {
    /// The client asks to join a namespace: answer with [`Connection::accept`] or [`Connection::refuse`].
    ConnectRequest {
        /// Names the namespace on this connection from now on.
        slot: Slot,
        /// The namespace asked for, whether or not it exists.
        nsp: Nsp,
        /// The credentials sent along.
        auth: Option<Payload>,
    },
    /// An event arrived.
    Emit {
        /// The namespace it is for.
        slot: Slot,
        /// Name, arguments and ack id.
        event: super::Event,
    },
    /// An acknowledgement arrived.
    Acked {
        /// Who waited for it.
        waiter: W,
        /// What the client answered.
        args: Args,
    },
    /// An acknowledgement will not come.
    AckFailed {
        /// Who waited for it.
        waiter: W,
        /// Why.
        error: AckError,
    },
    /// The socket is gone from its namespace. Follows every [`Event::ConnectRequest`] that was not refused, once.
    Left {
        /// The namespace it left; nothing can be sent there any more.
        slot: Slot,
        /// Why.
        reason: DisconnectReason,
    },
    /// The client broke the protocol; every [`Event::Left`] and the close of the connection follow.
    Violation(ProtocolError),
}

/// How a client broke the protocol. Each closes the connection with all its namespaces (REFERENCE 3.3, 3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A packet could not be decoded.
    #[error("invalid packet: {0}")]
    Decode(#[from] DecodeError),
    /// CONNECT to a namespace that is joined, or being joined.
    #[error("the namespace {0} is already connected")]
    AlreadyConnected(Nsp),
    /// A packet other than CONNECT for a namespace that is not joined.
    #[error("the namespace {0} is not connected")]
    NotConnected(Nsp),
    /// CONNECT_ERROR, which only a server sends.
    #[error("unexpected packet type from a client")]
    Unexpected,
    /// More namespaces than [`Config::max_namespaces`] at once, or more than 4,294,967,295 one after the other.
    #[error("too many namespaces on one connection")]
    TooManyNamespaces,
    /// Attachments did not arrive within [`Config::attachment_timeout`].
    #[error("the attachments of a packet did not arrive in time")]
    AttachmentTimeout,
    /// No namespace was joined within [`Config::connect_timeout`].
    #[error("no namespace joined in time")]
    ConnectTimeout,
    /// No namespace was joined for [`Config::idle_timeout`] after the last one was left.
    #[error("no namespace joined for too long")]
    Idle,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The socket has left its namespace.
    #[error("socket has been disconnected")]
    Disconnected,
    /// [`Config::max_pending_acks`] are waited for already.
    #[error("too many pending acknowledgements")]
    TooManyAcks,
    /// The application's own [`Parser`](super::Parser) did not write the packet. Its client waits for it in vain, and
    /// is to be given up.
    #[error("the parser did not write the packet")]
    Unwritable,
}

/// The namespaces of one client.
#[derive(Debug)]
pub struct Connection<W> {
    revision: Revision,
    /// `None` once the connection is over: then it listens to nothing.
    decoder: Option<Decoder>,
    sockets: Vec<Socket<W>>,
    next_slot: u32,
    connect_deadline: Option<Instant>,
    attachment_deadline: Option<Instant>,
    idle_deadline: Option<Instant>,
    events: VecDeque<Event<W>>,
}

#[derive(Debug)]
struct Socket<W> {
    slot: Slot,
    nsp: Nsp,
    state: State,
    acks: Acks<W>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    Joined,
}

impl<W> Connection<W> {
    /// A connection that has joined nothing. In revision 3 the client is asked for nothing: it is in `/` as soon as
    /// the request that this raises is accepted (REFERENCE 2.5).
    pub fn new(config: &Config, revision: Revision, now: Instant) -> Self {
        let mut connection = Self {
            revision,
            decoder: Some(Decoder::new(config.codec, config.limits.clone())),
            sockets: Vec::new(),
            next_slot: u32::from(revision == Revision::V3),
            connect_deadline: Some(now + config.connect_timeout),
            attachment_deadline: None,
            idle_deadline: None,
            events: VecDeque::new(),
        };
        if revision == Revision::V3 {
            connection.request_connect(Slot(0), Nsp::ROOT, None);
        }
        connection
    }

    /// Takes a message of the engine session. Ignored after [`close`](Self::close).
    ///
    /// # Errors
    /// Whatever is wrong with it; the connection is beyond repair then and must be closed with
    /// [`close`](Self::close).
    pub fn handle_message(
        &mut self,
        message: Message,
        config: &Config,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        self.handle_arrived(&mut message.into(), config, now)
    }

    /// The same for a message where it arrived, which it leaves.
    pub(crate) fn handle_arrived(
        &mut self,
        arrived: &mut Arrived,
        config: &Config,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut outline = Outline::default();
        let (message, range) = arrived.parts();
        match decoder.scan(message, range.clone(), &mut outline) {
            Ok(true) => self.handle_plain(outline, message),
            Ok(false) => self.handle_other(message, range, config, now),
            Err(fault) => decoder.fail(fault).map(drop).map_err(Into::into),
        }
    }

    #[inline(always)] // and so its event is made where it waits
    fn handle_plain(&mut self, outline: Outline, message: &mut Message) -> Result<(), ProtocolError> {
        let index = self.joined(outline.nsp())?;
        let socket = &mut self.sockets[index];
        if outline.is_event() {
            self.events.push_back(Event::Emit { slot: socket.slot, event: outline.into_event(message) });
        } else {
            let (id, args) = outline.into_ack(message);
            Self::handle_ack(socket, id, args, &mut self.events);
        }
        Ok(())
    }

    /// Takes what is no plain packet.
    #[inline(never)]
    fn handle_other(
        &mut self,
        message: &mut Message,
        range: Range<usize>,
        config: &Config,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let Some(Packet { nsp, body }) = decoder.push_other(message, range)? else {
            self.attachment_deadline = self.attachment_deadline.or(Some(now + config.attachment_timeout));
            return Ok(());
        };
        self.attachment_deadline = None;
        if let Body::Connect(auth) = body {
            return self.handle_connect(&nsp, auth, config);
        }
        let index = self.joined(&nsp)?;
        let socket = &mut self.sockets[index];
        match body {
            Body::Event(event) => self.events.push_back(Event::Emit { slot: socket.slot, event }),
            Body::Ack { id, args } => Self::handle_ack(socket, id, args, &mut self.events),
            Body::Unnamed => {}
            Body::Disconnect => self.remove(index, DisconnectReason::ClientNamespaceDisconnect),
            Body::Connect(_) | Body::ConnectError(_) => return Err(ProtocolError::Unexpected),
        }
        Ok(())
    }

    fn handle_ack(socket: &mut Socket<W>, id: Option<AckId>, args: Args, events: &mut VecDeque<Event<W>>) {
        if let Some(waiter) = id.and_then(|id| socket.acks.take(id)) {
            events.push_back(Event::Acked { waiter, args });
        }
    }

    /// Which of the sockets has joined a namespace.
    fn joined(&self, nsp: &Nsp) -> Result<usize, ProtocolError> {
        let (name, _) = self.split_query(nsp);
        let joined = |socket: &Socket<W>| *socket.nsp == *name && socket.state == State::Joined;
        let not_connected = || ProtocolError::NotConnected(nsp.detached());
        self.sockets.iter().position(joined).ok_or_else(not_connected)
    }

    fn handle_connect(
        &mut self,
        nsp: &Nsp,
        auth: Option<Payload>,
        config: &Config,
    ) -> Result<(), ProtocolError> {
        let (name, query) = self.split_query(nsp);
        // Kept for the life of the socket, so it must not pin the buffer it came in. What was decoded has no comma.
        let nsp = Nsp::new(name).unwrap_or_default();
        let auth = match self.revision {
            // What stands behind the namespace is not looked at, as in the reference.
            Revision::V3 => query.and_then(Payload::of_query),
            Revision::V4 => auth,
        };
        if self.sockets.iter().any(|socket| socket.nsp == nsp) {
            return Err(ProtocolError::AlreadyConnected(nsp));
        }
        // Slots run out for who joins and leaves for hours at full speed, and for nobody else.
        let next_slot = self.next_slot.checked_add(1).filter(|_| self.sockets.len() < config.max_namespaces);
        let Some(next_slot) = next_slot else { return Err(ProtocolError::TooManyNamespaces) };
        let slot = Slot(core::mem::replace(&mut self.next_slot, next_slot));
        self.request_connect(slot, nsp, auth);
        Ok(())
    }

    fn request_connect(&mut self, slot: Slot, nsp: Nsp, auth: Option<Payload>) {
        self.sockets.push(Socket { slot, nsp: nsp.clone(), state: State::Joining, acks: Acks::default() });
        self.events.push_back(Event::ConnectRequest { slot, nsp, auth });
    }

    /// In revision 3 a namespace may carry a query, which is not part of its name (REFERENCE 2.5).
    fn split_query<'a>(&self, nsp: &'a Nsp) -> (&'a str, Option<&'a str>) {
        match self.revision {
            Revision::V3 => nsp.split_once('?').map_or((&**nsp, None), |(name, query)| (name, Some(query))),
            Revision::V4 => (nsp, None),
        }
    }

    /// Lets the client join, under the id `sid`; `pid` is its private id where recovery is on. Returns the CONNECT
    /// packet to send.
    ///
    /// # Errors
    /// [`CommandError::Disconnected`] when the client gave up meanwhile, and [`CommandError::Unwritable`].
    pub fn accept(
        &mut self,
        slot: Slot,
        sid: &Sid,
        pid: Option<&Sid>,
        codec: Codec,
    ) -> Result<Encoded, CommandError> {
        let revision = self.revision;
        let socket = self.socket(slot)?;
        socket.state = State::Joined;
        let encoded = match revision {
            Revision::V3 => codec.connect(&socket.nsp, None::<&()>),
            Revision::V4 => {
                codec.connect(&socket.nsp, Some(&Accepted { sid: sid.as_str(), pid: pid.map(Sid::as_str) }))
            }
        };
        self.connect_deadline = None;
        encoded.map_err(|_| CommandError::Unwritable)
    }

    /// Turns the client away with a message, and data if the application has some. Returns the CONNECT_ERROR packet
    /// to send. Frees the slot without an [`Event::Left`].
    ///
    /// # Errors
    /// [`RefuseError::Disconnected`] when the client gave up meanwhile; [`RefuseError::Encode`] when `data` does not
    /// serialize, and then the slot is still joining.
    pub fn refuse<T: Serialize>(
        &mut self,
        slot: Slot,
        message: &str,
        data: Option<&T>,
        codec: Codec,
    ) -> Result<Encoded, RefuseError> {
        let index = self.index(slot).ok_or(RefuseError::Disconnected)?;
        let nsp = &self.sockets[index].nsp;
        let encoded = match (self.revision, data) {
            (Revision::V3, Some(data)) => codec.connect_error(nsp, data),
            (Revision::V3, None) => codec.connect_error(nsp, message),
            (Revision::V4, data) => codec.connect_error(nsp, &Refused { message, data }),
        }?;
        let mut socket = self.sockets.remove(index);
        self.fail_acks(&mut socket.acks);
        Ok(encoded)
    }

    /// Makes the socket leave its namespace. Returns the DISCONNECT packet to send.
    ///
    /// # Errors
    /// [`CommandError::Disconnected`] when it has left already. [`CommandError::Unwritable`]; it has left even so.
    pub fn leave(&mut self, slot: Slot, codec: Codec) -> Result<Encoded, CommandError> {
        let index = self.index(slot).ok_or(CommandError::Disconnected)?;
        let encoded = codec.disconnect(&self.sockets[index].nsp);
        self.remove(index, DisconnectReason::ServerNamespaceDisconnect);
        encoded.map_err(|_| CommandError::Unwritable)
    }

    /// Whether the socket is in its namespace, or joining it: packets may be sent to it (REFERENCE 3.6).
    pub fn is_live(&self, slot: Slot) -> bool {
        self.index(slot).is_some()
    }

    /// Whether the client has been told that it is in the namespace.
    pub(crate) fn is_joined(&self, slot: Slot) -> bool {
        self.sockets.iter().any(|socket| socket.slot == slot && socket.state == State::Joined)
    }

    /// The namespaces in use, in the order of joining.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.sockets.iter().map(|socket| socket.slot)
    }

    /// Waits for the acknowledgement `id` of an event about to be sent, for ever if `deadline` is `None`.
    ///
    /// # Errors
    /// With the waiter handed back: [`CommandError::Disconnected`] when the socket has left,
    /// [`CommandError::TooManyAcks`] past [`Config::max_pending_acks`].
    pub fn expect_ack(
        &mut self,
        slot: Slot,
        id: AckId,
        waiter: W,
        deadline: Option<Instant>,
        config: &Config,
    ) -> Result<(), (CommandError, W)> {
        let Ok(socket) = self.socket(slot) else {
            return Err((CommandError::Disconnected, waiter));
        };
        if socket.acks.len() >= config.max_pending_acks {
            return Err((CommandError::TooManyAcks, waiter));
        }
        if let Some(waiter) = socket.acks.insert(id, waiter, deadline) {
            self.events.push_back(Event::AckFailed { waiter, error: AckError::TimedOut });
        }
        Ok(())
    }

    /// Stops waiting for an acknowledgement: its event could not be sent, or nobody wants it any more.
    pub fn forget_ack(&mut self, slot: Slot, id: AckId) -> Option<W> {
        self.socket(slot).ok()?.acks.take(id)
    }

    /// Looks whether the client is in no namespace any more: then it has so much time. To be called after whatever may
    /// have changed that.
    pub(crate) fn watch_idle(&mut self, config: &Config, now: Instant) {
        let Some(timeout) = config.idle_timeout else { return };
        let is_idle = self.sockets.is_empty() && self.connect_deadline.is_none() && self.decoder.is_some();
        self.idle_deadline = is_idle.then(|| self.idle_deadline.unwrap_or(now + timeout));
    }

    /// Makes every socket leave, without a packet: the connection is over.
    pub fn close(&mut self, reason: DisconnectReason) {
        for socket in core::mem::take(&mut self.sockets) {
            self.leave_socket(socket, reason);
        }
        self.decoder = None;
        self.connect_deadline = None;
        self.attachment_deadline = None;
        self.idle_deadline = None;
    }

    /// Does whatever is due at `now`.
    ///
    /// # Errors
    /// [`ProtocolError::ConnectTimeout`], [`ProtocolError::AttachmentTimeout`] or [`ProtocolError::Idle`]: the connection
    /// must be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        for socket in &mut self.sockets {
            let failed = socket.acks.take_due(now);
            self.events
                .extend(failed.map(|(_, waiter)| Event::AckFailed { waiter, error: AckError::TimedOut }));
        }
        if self.attachment_deadline.take_if(|at| *at <= now).is_some() {
            return Err(ProtocolError::AttachmentTimeout);
        }
        if self.connect_deadline.take_if(|at| *at <= now).is_some() {
            return Err(ProtocolError::ConnectTimeout);
        }
        if self.idle_deadline.take_if(|at| *at <= now).is_some() {
            return Err(ProtocolError::Idle);
        }
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let acks = self.sockets.iter().filter_map(|socket| socket.acks.next_deadline()).min();
        let joining = earliest(self.connect_deadline, self.idle_deadline);
        earliest(acks, earliest(joining, self.attachment_deadline))
    }

    /// The next thing to tell the layer above.
    #[inline] // most often there is nothing
    pub fn poll_event(&mut self) -> Option<Event<W>> {
        let event = self.events.pop_front()?;
        // A burst must not leave its high-water mark behind on an idle connection.
        if self.events.is_empty() && self.events.capacity() > IDLE_EVENTS {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Moves all of them behind what is in `events`. Whether there were any. Costs a copy of each, unless they are many and
    /// nothing is there.
    pub fn drain_events(&mut self, events: &mut VecDeque<Event<W>>) -> bool {
        let any = self.has_event();
        if events.is_empty() && self.events.len() > IDLE_EVENTS {
            *events = core::mem::take(&mut self.events);
            return any;
        }
        events.append(&mut self.events);
        if self.events.capacity() > IDLE_EVENTS {
            self.events = VecDeque::new();
        }
        any
    }

    /// Whether [`poll_event`](Self::poll_event) would return something.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    fn remove(&mut self, index: usize, reason: DisconnectReason) {
        let socket = self.sockets.remove(index);
        self.leave_socket(socket, reason);
    }

    fn leave_socket(&mut self, mut socket: Socket<W>, reason: DisconnectReason) {
        self.fail_acks(&mut socket.acks);
        self.events.push_back(Event::Left { slot: socket.slot, reason });
    }

    fn fail_acks(&mut self, acks: &mut Acks<W>) {
        let failed = acks.take_all();
        self.events.extend(failed.map(|waiter| Event::AckFailed { waiter, error: AckError::Disconnected }));
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.slot == slot)
    }

    fn socket(&mut self, slot: Slot) -> Result<&mut Socket<W>, CommandError> {
        self.sockets.iter_mut().find(|socket| socket.slot == slot).ok_or(CommandError::Disconnected)
    }
}

/// Events an idle client may keep room for: as many as a busy one has between two turns.
const IDLE_EVENTS: usize = 16;

/// Why a client could not be refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefuseError {
    /// The client gave up meanwhile.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The data does not serialize.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[derive(Serialize)]
struct Accepted<'a> {
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
}

#[derive(Serialize)]
struct Refused<'a, T> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
}

#[cfg(test)]
mod tests;
