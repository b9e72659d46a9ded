//! What the application sends: credentials, events, acknowledgements (REFERENCE 3.5, 5.4).

use alloc::string::String;
use core::time::Duration;

use serde::Serialize;

use super::Manager;
use crate::engine::buffer::Compression;
use crate::engine::client::Session;
use crate::socket::client::error::{AuthError, ConnectError, EmitError, ReplyError};
use crate::socket::client::socket::{Phase, Wanted};
use crate::socket::client::{Delivery, Event, Reply, Ticket};
use crate::socket::{self, Codec, EncodeError, Encoded, Nsp, Slot};
use crate::{AckId, Instant};

impl<W> Manager<W> {
    /// Answers [`Event::AuthNeeded`]: with an object, or nothing.
    ///
    /// # Errors
    /// [`AuthError::Late`] when that connection is gone; [`AuthError::Encode`] when `auth` does not serialize as an
    /// object, and then the socket still waits.
    pub fn authenticate<T: Serialize>(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        auth: Option<&T>,
    ) -> Result<(), AuthError> {
        let index = self.index(slot).ok_or(AuthError::Late)?;
        self.with(index, |socket, cx| socket.authenticate(ticket, auth, cx))
    }

    /// Sends an event, or holds it back until the socket is connected. `args` as in
    /// [`Codec::event`](crate::socket::Codec::event).
    ///
    /// With [`retries`](crate::socket::client::SocketConfig::retries) it is sent until it is acknowledged. A volatile one is sent at once or not at all.
    ///
    /// # Errors
    /// All but [`EmitError::Dropped`] and [`EmitError::TooManyAcks`].
    pub fn emit<T: Serialize + ?Sized>(
        &mut self,
        slot: Slot,
        name: &str,
        args: &T,
        delivery: Delivery,
        now: Instant,
    ) -> Result<(), EmitError> {
        let encode = |codec: Codec, nsp: &Nsp, id| codec.event(nsp, id, name, args);
        self.emit_any(slot, encode, delivery, None, now).map(|_| ()).map_err(|(error, _)| error)
    }

    /// As [`emit`](Self::emit), for an event that was [encoded](Codec::event) already, for the namespace of the socket
    /// and without an id. So no `Serialize` of the application's runs in here.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(
        &mut self,
        slot: Slot,
        encoded: &Encoded,
        delivery: Delivery,
        now: Instant,
    ) -> Result<(), EmitError> {
        let encode = |_: Codec, _: &Nsp, _| Ok(encoded.clone());
        self.emit_any(slot, encode, delivery, None, now).map(|_| ()).map_err(|(error, _)| error)
    }

    /// Sends an event as [`emit`](Self::emit) does, and waits for its acknowledgement: for `timeout` from now, while the
    /// event is held back as well, or else for [`ack_timeout`](crate::socket::client::SocketConfig::ack_timeout). An event that is held back when the time
    /// is over is not sent. With retries, it is the time to wait for each of them.
    ///
    /// Returns what to [forget](Self::forget_ack) the acknowledgement by; nothing with retries, which come to an end by
    /// themselves.
    ///
    /// # Errors
    /// With the waiter handed back, any [`EmitError`].
    pub fn emit_with_ack<T: Serialize + ?Sized>(
        &mut self,
        slot: Slot,
        (name, args): (&str, &T),
        delivery: Delivery,
        waiter: W,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Option<AckId>, (EmitError, W)> {
        let encode = |codec: Codec, nsp: &Nsp, id| codec.event(nsp, id, name, args);
        self.emit_any(slot, encode, delivery, Some(Wanted { waiter, timeout }), now).map_err(handed_back)
    }

    /// As [`emit_with_ack`](Self::emit_with_ack), for an event whose arguments are encoded already, and that transports may
    /// or may not compress.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn send_with_ack(
        &mut self,
        slot: Slot,
        (event, compression): (&socket::Event, Compression),
        delivery: Delivery,
        waiter: W,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Option<AckId>, (EmitError, W)> {
        let encode = |codec: Codec, nsp: &Nsp, id| {
            let encoded = codec.event_raw(nsp, id, event.name(), event.args())?;
            Ok(encoded.with_compression(compression))
        };
        self.emit_any(slot, encode, delivery, Some(Wanted { waiter, timeout }), now).map_err(handed_back)
    }

    /// Answers [`Event::AuthNeeded`] with the confession that there are no credentials. The socket does not connect, as if
    /// the server had refused it, and hears [`ConnectError::Credentials`].
    ///
    /// # Errors
    /// [`AuthError::Late`] when that connection is gone.
    pub fn fail_authentication(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        reason: String,
        now: Instant,
    ) -> Result<(), AuthError> {
        let index = self.index(slot).ok_or(AuthError::Late)?;
        if self.sockets[index].phase != Phase::Authorizing(ticket) {
            return Err(AuthError::Late);
        }
        self.refuse(index, ConnectError::Credentials(reason), now);
        self.drain(now);
        Ok(())
    }

    /// A socket could not connect, and does not try again by itself.
    pub(super) fn refuse(&mut self, index: usize, error: ConnectError, now: Instant) {
        let slot = self.sockets[index].slot;
        self.sockets[index].reset(Phase::Inactive);
        self.stop_if_idle(now);
        self.event(Event::ConnectError { slot, error });
    }

    fn emit_any(
        &mut self,
        slot: Slot,
        encode: impl FnOnce(Codec, &Nsp, Option<AckId>) -> Result<Encoded, EncodeError>,
        delivery: Delivery,
        wanted: Option<Wanted<W>>,
        now: Instant,
    ) -> Result<Option<AckId>, (EmitError, Option<W>)> {
        // A machine that slept finds its connection dead by the clock before the timer says so; what is emitted now
        // must be held back, not handed to a session that will lose it (REFERENCE 1.13).
        if self.session().and_then(Session::poll_timeout).is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
        let Some(index) = self.index(slot) else {
            return Err((EmitError::Removed, wanted.map(|wanted| wanted.waiter)));
        };
        self.with(index, |socket, cx| socket.emit(encode, delivery, wanted, cx, now))
    }

    /// Waits for an acknowledgement no more, and hands the waiter back. The event is sent all the same.
    pub fn forget_ack(&mut self, slot: Slot, id: AckId) -> Option<W> {
        let index = self.index(slot)?;
        self.sockets[index].forget_ack(id)
    }

    /// Acknowledges an event, with `args` as in [`Codec::ack`](crate::socket::Codec::ack).
    ///
    /// # Errors
    /// Any [`ReplyError`].
    pub fn reply<T: Serialize + ?Sized>(&mut self, reply: Reply, args: &T) -> Result<(), ReplyError> {
        self.reply_any(reply, |codec, nsp, id| codec.ack(nsp, id, args))
    }

    /// As [`reply`](Self::reply), with an acknowledgement that was [encoded](Codec::ack) already, for the namespace of the
    /// socket and with the [id](Reply::id) of the event.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn send_reply(&mut self, reply: Reply, encoded: &Encoded) -> Result<(), ReplyError> {
        self.reply_any(reply, |_, _, _| Ok(encoded.clone()))
    }

    fn reply_any(
        &mut self,
        reply: Reply,
        encode: impl FnOnce(Codec, &Nsp, AckId) -> Result<Encoded, EncodeError>,
    ) -> Result<(), ReplyError> {
        let index = self.index(reply.slot).ok_or(ReplyError::Disconnected)?;
        self.with(index, |socket, cx| socket.reply(reply, encode, cx))
    }
}

fn handed_back<W>((error, waiter): (EmitError, Option<W>)) -> (EmitError, W) {
    match waiter {
        Some(waiter) => (error, waiter),
        None => unreachable!("a waiter that is not taken is handed back"),
    }
}
