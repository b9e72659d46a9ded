//! One socket of a client: what it holds back, what it waits for, what it knows of its connection (REFERENCE 5.4).
//!
//! It knows nothing of the connection it shares but whether there is a session to write to.
//!
//! ```text
//!               connect()          the connection is open       authenticate()
//!   Inactive ─────────────► Pending ────────────────► Authorizing ───────────► Connecting
//!      ▲                      ▲                            │                     │ │ CONNECT
//!      │                      └────────────────────────────┴──────◄──────────────┘ ▼
//!      │                        the connection is lost (also from Connected)    Connected
//!      │
//!      ├── DISCONNECT, CONNECT_ERROR; disconnect(), from every state but Connecting
//!      └── Abandoned: disconnect() while the server still has to answer, which must be waited for
//! ```

use alloc::collections::VecDeque;
use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{AuthError, DisconnectReason, EmitError, ProtocolError, ReplyError};
use super::manager::Output;
use super::queue::{Queue, Weight};
use super::retries::Item;
use super::{Config, ConnectError, Delivery, Event, Reply, SocketConfig, Ticket};
use crate::engine::client::Session;
use crate::socket::acks::Acks;
use crate::socket::{self, AckError, Args, Codec, EncodeError, Encoded, Nsp, Payload, Raw, Slot};
use crate::{AckId, Instant, Sid};

/// One socket.
#[derive(Debug)]
pub(super) struct Socket<W> {
    pub(super) slot: Slot,
    pub(super) nsp: Nsp,
    config: SocketConfig,
    pub(super) phase: Phase,
    /// Counts the connections, so that replies find the one they belong to.
    epoch: u64,
    recovery: Option<Recovery>,
    next_ack: u64,
    acks: Acks<Waiter<W>>,
    /// What could not be sent yet. While there is something, everything queues up behind it, so acknowledgements that
    /// are waited for belong to what was sent or, from the first id in here on, to what is in here.
    outbox: Queue<Outgoing>,
    /// What arrived before the answer to CONNECT.
    inbox: Queue<socket::Event>,
    retries: Queue<Item<W>>,
    /// An event was refused with [`EmitError::Full`] and nobody has heard that there is room again.
    starved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Inactive,
    /// Wants to connect; there is no connection.
    Pending,
    /// Waits for credentials.
    Authorizing(Ticket),
    /// CONNECT was sent.
    Connecting,
    Connected {
        sid: Sid,
        recovered: bool,
    },
    /// Left while CONNECT was being answered. The server would take both a DISCONNECT and a second CONNECT for a breach
    /// of the protocol until it has answered (REFERENCE 3.4).
    Abandoned(Then),
}

/// What follows the answer that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Rest,
    Connect,
}

/// What the server needs to restore the state of a connection (REFERENCE 4.8).
#[derive(Debug)]
struct Recovery {
    pid: Sid,
    offset: Option<String>,
}

#[derive(Debug)]
enum Waiter<W> {
    User(W),
    /// The first of [`Socket::retries`].
    Retry,
}

#[derive(Debug)]
enum Outgoing {
    Event {
        encoded: Encoded,
        ack: Option<AckId>,
    },
    /// Means nothing on another connection.
    Reply(Encoded),
}

impl Weight for Outgoing {
    fn bytes(&self) -> usize {
        self.encoded().bytes_len()
    }
}

impl Outgoing {
    const fn encoded(&self) -> &Encoded {
        match self {
            Self::Event { encoded, .. } | Self::Reply(encoded) => encoded,
        }
    }

    const fn ack(&self) -> Option<AckId> {
        match self {
            Self::Event { ack, .. } => *ack,
            Self::Reply(_) => None,
        }
    }
}

impl Weight for socket::Event {
    fn bytes(&self) -> usize {
        let args = match self.args().raw() {
            Raw::Json(text) => text.len(),
            Raw::Msgpack(bytes) => bytes.len(),
        };
        args + self.name().len() + self.args().attachments().iter().map(Bytes::len).sum::<usize>()
    }
}

/// An acknowledgement that is wanted.
#[derive(Debug)]
pub(super) struct Wanted<W> {
    pub(super) waiter: W,
    pub(super) timeout: Option<Duration>,
}

/// What a socket works with.
pub(super) struct Context<'a, W> {
    pub(super) config: &'a Config,
    pub(super) session: Option<&'a mut Session>,
    pub(super) outputs: &'a mut VecDeque<Output<W>>,
}

impl<W> Context<'_, W> {
    pub(super) fn event(&mut self, event: Event<W>) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Sends a packet of the protocol, of which there is one for each change of a socket's state.
    pub(super) fn send(&mut self, encoded: &Encoded) {
        if let Some(session) = &mut self.session {
            session.send_past_limit(encoded.frames(), encoded.compression());
        }
    }
}

impl<W> Socket<W> {
    pub(super) fn new(slot: Slot, nsp: Nsp, config: SocketConfig) -> Self {
        Self {
            slot,
            nsp,
            config,
            phase: Phase::Inactive,
            epoch: 0,
            recovery: None,
            next_ack: 0,
            acks: Acks::default(),
            outbox: Queue::default(),
            inbox: Queue::default(),
            retries: Queue::default(),
            starved: false,
        }
    }

    /// Whether it is connected or wants to be.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Inactive | Phase::Abandoned(Then::Rest))
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected { .. })
    }

    pub(super) const fn is_starved(&self) -> bool {
        self.starved
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.outbox.bytes() + self.retries.bytes()
    }

    /// Asks for credentials.
    pub(super) fn authorize(&mut self, ticket: Ticket, cx: &mut Context<'_, W>) {
        self.phase = Phase::Authorizing(ticket);
        cx.event(Event::AuthNeeded { slot: self.slot, ticket });
    }

    /// Sends CONNECT.
    pub(super) fn authenticate<T: Serialize>(
        &mut self,
        ticket: Ticket,
        auth: Option<&T>,
        cx: &mut Context<'_, W>,
    ) -> Result<(), AuthError> {
        #[derive(Serialize)]
        struct Credentials<'a, T> {
            #[serde(skip_serializing_if = "Option::is_none")]
            pid: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            offset: Option<&'a str>,
            // Last: a field of the same name wins, as in the reference.
            #[serde(flatten)]
            auth: Option<&'a T>,
        }
        if self.phase != Phase::Authorizing(ticket) {
            return Err(AuthError::Late);
        }
        let recovery = self.recovery.as_ref();
        let pid = recovery.map(|recovery| recovery.pid.as_str());
        let offset = recovery.and_then(|recovery| recovery.offset.as_deref());
        let credentials = Credentials { pid, offset, auth };
        let is_empty = pid.is_none() && auth.is_none();
        let encoded = cx.config.codec.connect(&self.nsp, Some(&credentials).filter(|_| !is_empty))?;
        cx.send(&encoded);
        self.phase = Phase::Connecting;
        Ok(())
    }

    /// The server let the socket in. The order of what follows is the reference's (REFERENCE 5.4).
    pub(super) fn handle_connect(
        &mut self,
        answer: Option<&Payload>,
        cx: &mut Context<'_, W>,
        now: Instant,
    ) -> Result<(), ProtocolError> {
        #[derive(Default, Deserialize)]
        struct Answer {
            sid: Option<String>,
            pid: Option<String>,
        }
        let answer = answer.map_or(Ok(Answer::default()), Payload::decode)?;
        let Some(sid) = answer.sid.filter(|sid| !sid.is_empty()) else {
            cx.event(Event::ConnectError { slot: self.slot, error: ConnectError::OldServer });
            return Ok(());
        };
        let sid = Sid::from(&*sid);
        let known = self.recovery.take();
        let mut recovered = false;
        self.recovery = answer.pid.filter(|pid| !pid.is_empty()).map(|pid| match known {
            Some(known) if known.pid.as_str() == pid => {
                recovered = true;
                known
            }
            // The offset was one of the old connection's.
            _ => Recovery { pid: Sid::from(&*pid), offset: None },
        });
        self.phase = Phase::Connected { sid: sid.clone(), recovered };
        while let Some(event) = self.inbox.pop() {
            self.deliver(event, cx);
        }
        self.flush(cx);
        self.drain_retries(cx, now);
        cx.event(Event::Connected { slot: self.slot, sid, recovered });
        Ok(())
    }

    pub(super) fn handle_event(
        &mut self,
        event: socket::Event,
        cx: &mut Context<'_, W>,
    ) -> Result<(), ProtocolError> {
        match self.phase {
            Phase::Connected { .. } => self.deliver(event, cx),
            Phase::Connecting => self
                .inbox
                .push(event, &cx.config.receive_queue)
                .map_err(|_| ProtocolError::ReceiveQueueFull)?,
            Phase::Inactive | Phase::Pending | Phase::Authorizing(_) | Phase::Abandoned(_) => {}
        }
        Ok(())
    }

    fn deliver(&mut self, event: socket::Event, cx: &mut Context<'_, W>) {
        if let Some(recovery) = &mut self.recovery
            && event.ack.is_none()
            && let Some(offset) = last_string(event.args())
        {
            recovery.offset = Some(offset);
        }
        let reply = event.ack.map(|id| Reply { slot: self.slot, id, epoch: self.epoch });
        cx.event(Event::Emit { slot: self.slot, event, reply });
    }

    pub(super) fn handle_ack(&mut self, id: AckId, args: Args, cx: &mut Context<'_, W>, now: Instant) {
        match self.acks.take(id) {
            Some(Waiter::User(waiter)) => cx.event(Event::Acked { waiter, args }),
            Some(Waiter::Retry) => {
                if let Some(Item { waiter: Some(waiter), .. }) = self.retries.pop() {
                    cx.event(Event::Acked { waiter, args });
                }
                self.announce_room(cx);
                self.drain_retries(cx, now);
            }
            None => {}
        }
    }

    /// `encode` writes the event, with an id if an acknowledgement is wanted.
    pub(super) fn emit(
        &mut self,
        encode: impl FnOnce(Codec, &Nsp, Option<AckId>) -> Result<Encoded, EncodeError>,
        delivery: Delivery,
        wanted: Option<Wanted<W>>,
        cx: &mut Context<'_, W>,
        now: Instant,
    ) -> Result<Option<AckId>, (EmitError, Option<W>)> {
        let result = match (self.config.retries, delivery) {
            (Some(retries), Delivery::Reliable) => {
                let encoded = encode(cx.config.codec, &self.nsp, None);
                let (waiter, timeout) =
                    wanted.map_or((None, None), |wanted| (Some(wanted.waiter), wanted.timeout));
                let timeout = timeout.unwrap_or(retries.ack_timeout);
                return self.enqueue(encoded, waiter, timeout, cx, now).map(|()| None);
            }
            (_, Delivery::Volatile) if !self.is_writable(cx) => match wanted {
                None => return Ok(None),
                Some(_) => Err(EmitError::Dropped),
            },
            _ if wanted.is_some() && self.acks.len() >= cx.config.max_pending_acks => {
                Err(EmitError::TooManyAcks)
            }
            _ => {
                let ack = wanted.as_ref().map(|_| AckId(self.next_ack));
                let encoded = encode(cx.config.codec, &self.nsp, ack);
                encoded.map_err(EmitError::from).and_then(|encoded| {
                    self.dispatch(Outgoing::Event { encoded, ack }, cx).map_err(|_| EmitError::Full)
                })
            }
        };
        match (result, wanted) {
            (Ok(()), Some(Wanted { waiter, timeout })) => {
                let deadline = timeout.or(self.config.ack_timeout).map(|timeout| now + timeout);
                let id = AckId(self.next_ack);
                self.acks.insert(id, Waiter::User(waiter), deadline);
                self.next_ack += 1;
                Ok(Some(id))
            }
            (Ok(()), None) => Ok(None),
            (Err(error), wanted) => Err((error, wanted.map(|wanted| wanted.waiter))),
        }
    }

    pub(super) fn forget_ack(&mut self, id: AckId) -> Option<W> {
        // Nobody was given the id of a retry.
        let Waiter::User(_) = self.acks.get(id)? else { return None };
        match self.acks.take(id)? {
            Waiter::User(waiter) => Some(waiter),
            Waiter::Retry => None,
        }
    }

    fn enqueue(
        &mut self,
        encoded: Result<Encoded, EncodeError>,
        waiter: Option<W>,
        ack_timeout: Duration,
        cx: &mut Context<'_, W>,
        now: Instant,
    ) -> Result<(), (EmitError, Option<W>)> {
        let codec = cx.config.codec;
        let item = encoded.and_then(|encoded| Item::new(codec, &encoded, None, ack_timeout));
        match item {
            Err(error) => Err((error.into(), waiter)),
            Ok(mut item) => {
                item.waiter = waiter;
                if let Err(item) = self.retries.push(item, &cx.config.send_queue) {
                    self.starved = true;
                    return Err((EmitError::Full, item.waiter));
                }
                self.drain_retries(cx, now);
                Ok(())
            }
        }
    }

    /// Sends the first of [`Self::retries`], unless it is on its way.
    fn drain_retries(&mut self, cx: &mut Context<'_, W>, now: Instant) {
        if self.is_connected()
            && let Some(item) = self.retries.front_mut()
            && !item.in_flight
        {
            let ack = AckId(self.next_ack);
            self.next_ack += 1;
            item.in_flight = true;
            item.tries += 1;
            let encoded = item.encode(cx.config.codec, &self.nsp, ack);
            self.acks.insert(ack, Waiter::Retry, Some(now + item.ack_timeout));
            if let Err(outgoing) = self.dispatch(Outgoing::Event { encoded, ack: Some(ack) }, cx) {
                // It is held in `retries` anyway, and it is one.
                self.outbox.push_unbounded(outgoing);
            }
        }
    }

    /// The first of [`Self::retries`] was not acknowledged.
    fn fail_retry(&mut self, error: AckError, cx: &mut Context<'_, W>) {
        let count = self.config.retries.map_or(0, |retries| retries.count);
        match self.retries.front_mut() {
            Some(item) if item.tries <= count => item.in_flight = false,
            _ => {
                if let Some(Item { waiter: Some(waiter), .. }) = self.retries.pop() {
                    cx.event(Event::AckFailed { waiter, error });
                }
                self.announce_room(cx);
            }
        }
    }

    /// Whether an event would leave at once.
    fn is_writable(&self, cx: &Context<'_, W>) -> bool {
        self.is_connected()
            && self.outbox.is_empty()
            && cx.session.as_ref().is_some_and(|session| session.is_writable())
    }

    /// Sends a packet, or holds it back; hands it back when there is no room.
    fn dispatch(&mut self, outgoing: Outgoing, cx: &mut Context<'_, W>) -> Result<(), Outgoing> {
        if self.is_connected() && self.outbox.is_empty() && try_send(&outgoing, cx) {
            return Ok(());
        }
        let result = self.outbox.push(outgoing, &cx.config.send_queue);
        self.starved |= result.is_err();
        result
    }

    /// Sends what was held back, as much as the session takes. The rest waits for its queue to drain.
    pub(super) fn flush(&mut self, cx: &mut Context<'_, W>) {
        if !self.is_connected() {
            return;
        }
        while let Some(outgoing) = self.outbox.front()
            && try_send(outgoing, cx)
        {
            self.outbox.pop();
        }
        self.announce_room(cx);
    }

    fn announce_room(&mut self, cx: &mut Context<'_, W>) {
        let limits = &cx.config.send_queue;
        if self.starved && self.outbox.has_room_again(limits) && self.retries.has_room_again(limits) {
            self.starved = false;
            cx.event(Event::Drained { slot: self.slot });
        }
    }

    /// `encode` writes the acknowledgement.
    pub(super) fn reply(
        &mut self,
        reply: Reply,
        encode: impl FnOnce(Codec, &Nsp, AckId) -> Result<Encoded, EncodeError>,
        cx: &mut Context<'_, W>,
    ) -> Result<(), ReplyError> {
        if reply.epoch != self.epoch {
            return Err(ReplyError::Disconnected);
        }
        let encoded = encode(cx.config.codec, &self.nsp, reply.id)?;
        self.dispatch(Outgoing::Reply(encoded), cx).map_err(|_| ReplyError::Full(reply))
    }

    /// The socket is not connected any more: what belongs to that connection is dropped, what does not is kept.
    pub(super) fn handle_disconnect(
        &mut self,
        phase: Phase,
        reason: DisconnectReason,
        cx: &mut Context<'_, W>,
    ) {
        self.reset(phase);
        cx.event(Event::Disconnected { slot: self.slot, reason });
        // What is still in the outbox will be sent, and its acknowledgement come (REFERENCE 5.4).
        let end = self.outbox.iter().find_map(Outgoing::ack).unwrap_or(AckId(u64::MAX));
        let failed: alloc::vec::Vec<_> = self.acks.take_before(end).collect();
        for waiter in failed {
            self.fail(waiter, AckError::Disconnected, cx);
        }
    }

    /// Forgets what belongs to the connection, without a word.
    pub(super) fn reset(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
        self.inbox.clear();
        self.outbox.retain(|outgoing| matches!(outgoing, Outgoing::Event { .. }));
    }

    fn fail(&mut self, waiter: Waiter<W>, error: AckError, cx: &mut Context<'_, W>) {
        match waiter {
            Waiter::User(waiter) => cx.event(Event::AckFailed { waiter, error }),
            Waiter::Retry => self.fail_retry(error, cx),
        }
    }

    /// Forgets what is held back, and says how many events that were. What is on its way stays, and so do answers.
    pub(super) fn discard(&mut self, cx: &mut Context<'_, W>) -> usize {
        let mut failed = alloc::vec::Vec::new();
        let mut count = 0;
        let acks = &mut self.acks;
        self.outbox.retain(|outgoing| {
            let Outgoing::Event { ack, .. } = outgoing else { return true };
            if ack.is_some_and(|ack| matches!(acks.get(ack), Some(Waiter::Retry))) {
                return true;
            }
            count += 1;
            failed.extend(ack.and_then(|ack| acks.take(ack)));
            false
        });
        self.retries.retain_mut(|item| {
            if item.in_flight {
                return true;
            }
            count += 1;
            failed.extend(item.waiter.take().map(Waiter::User));
            false
        });
        for waiter in failed {
            self.fail(waiter, AckError::Disconnected, cx);
        }
        self.announce_room(cx);
        count
    }

    /// Gives up every acknowledgement: the socket is removed.
    pub(super) fn fail_all(&mut self, cx: &mut Context<'_, W>) {
        let waiting = self.acks.take_all().filter_map(|waiter| match waiter {
            Waiter::User(waiter) => Some(waiter),
            Waiter::Retry => None,
        });
        let queued = core::iter::from_fn(|| self.retries.pop()).filter_map(|item| item.waiter);
        for waiter in waiting.chain(queued) {
            cx.event(Event::AckFailed { waiter, error: AckError::Disconnected });
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_, W>, now: Instant) {
        let due: alloc::vec::Vec<_> = self.acks.take_due(now).collect();
        if due.is_empty() {
            return;
        }
        // What was not sent in time is not sent at all.
        let is_due = |ack: AckId| due.binary_search_by_key(&ack, |(id, _)| *id).is_ok();
        self.outbox.retain(|outgoing| !outgoing.ack().is_some_and(is_due));
        for (_, waiter) in due {
            self.fail(waiter, AckError::TimedOut, cx);
        }
        self.announce_room(cx);
        self.drain_retries(cx, now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.acks.next_deadline()
    }
}

fn try_send<W>(outgoing: &Outgoing, cx: &mut Context<'_, W>) -> bool {
    let encoded = outgoing.encoded();
    let (frames, bytes, compression) = (encoded.frames(), encoded.bytes_len(), encoded.compression());
    cx.session.as_mut().is_some_and(|session| session.send_with(frames, bytes, compression).is_ok())
}

/// The last argument, if that is text: where the server puts the offset of an event (REFERENCE 4.8).
fn last_string(args: &Args) -> Option<String> {
    match args.iter().last()? {
        Raw::Json(text) => serde_json::from_str(text).ok(),
        Raw::Msgpack(bytes @ [0xA0..=0xBF | 0xD9..=0xDB, ..]) => {
            Payload::msgpack(Bytes::copy_from_slice(bytes)).decode().ok()
        }
        Raw::Msgpack(_) => None,
    }
}
