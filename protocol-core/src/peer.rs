//! One accepted client: an Engine.IO session and the Socket.IO connection it carries.
//!
//! This is the whole protocol as the driver sees it: bytes and time in, bytes and events out. It knows nothing of
//! rooms, handlers or other clients. Events of the session never reach the driver raw: messages become events of
//! sockets, and the end of the session ends every socket first.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Serialize;

use crate::engine::buffer::Compression;
use crate::engine::close::{CloseReason, TransportFault};
use crate::engine::packet::Frame;
use crate::engine::server::{self as engine, Opening, Session};
use crate::engine::{Revision, Transport, http};
pub use crate::socket::Delivery;
use crate::socket::server::{self as socket, CommandError, Connection, ProtocolError, RefuseError, Slot};
use crate::socket::{DisconnectReason, Encoded, Nsp};
use crate::time::earliest;
use crate::{AckId, Instant, Lane, Sid};

/// What holds for every client of a server.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Engine.IO: heartbeats, sizes, the outgoing queue.
    pub engine: Arc<engine::Config>,
    /// Socket.IO: namespaces, packets, acknowledgements.
    pub socket: socket::Config,
}

/// What a peer tells the driver. `W` is a waiter given to [`Peer::send_with_ack`].
#[derive(Clone, Debug, PartialEq)]
pub enum Output<W> {
    /// Answer an HTTP request. The lane is done.
    Respond(Lane, http::Response),
    /// Break the connection of an HTTP request without an answer. The lane is done.
    Abort(Lane),
    /// Send a message on a websocket. When all of them are written, say [`Input::Flushed`](engine::Input::Flushed).
    WsSend(Lane, Frame, Compression),
    /// Send a close frame without a status, then close the connection. The lane is done.
    WsClose(Lane),
    /// Something for the application.
    Event(Event<W>),
}

/// What a peer tells the application.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<W> {
    /// The session moved to this transport.
    Upgraded(Transport),
    /// Something about one of its sockets.
    Socket(socket::Event<W>),
    /// There is room again in the outgoing queue after [`SendError::Full`].
    Drained,
    /// The client is gone. Always the last output.
    Closed(CloseReason),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The socket has left its namespace.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The outgoing queue is at its limit.
    #[error("the outgoing queue is full")]
    Full,
    /// Too many acknowledgements are waited for.
    #[error("too many pending acknowledgements")]
    TooManyAcks,
}

/// One accepted client.
#[derive(Debug)]
pub struct Peer<W> {
    config: Arc<Config>,
    session: Session,
    connection: Connection<W>,
    outputs: VecDeque<Output<W>>,
    closed: Option<CloseReason>,
    /// What waits for the connection to be ready, in the order in which their names began to wait.
    latest: Vec<Latest>,
}

/// The newest message of its name for a socket.
#[derive(Debug)]
struct Latest {
    slot: Slot,
    name: Box<str>,
    encoded: Encoded,
}

impl<W> Peer<W> {
    /// A client that opened its session by a GET, which is answered at once.
    pub fn polling(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let session = Session::polling(config.engine.clone(), opening, lane, now);
        Self::new(config, session, now)
    }

    /// A client that opened its session on a websocket.
    pub fn websocket(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let session = Session::websocket(config.engine.clone(), opening, lane, now);
        Self::new(config, session, now)
    }

    fn new(config: Arc<Config>, session: Session, now: Instant) -> Self {
        let connection = Connection::new(&config.socket, session.revision(), now);
        let mut peer =
            Self { config, session, connection, outputs: VecDeque::new(), closed: None, latest: Vec::new() };
        peer.drain(now);
        peer
    }

    /// The secret id of its session.
    pub fn sid(&self) -> &Sid {
        self.session.sid()
    }

    /// The protocol revision of its session.
    pub fn revision(&self) -> Revision {
        self.session.revision()
    }

    /// The transport its packets travel on now, or `None` once it is closed.
    pub fn transport(&self) -> Option<Transport> {
        self.session.transport()
    }

    /// Why its session ended, from the time on at which the sockets leave; `None` before.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.closed
    }

    /// The id of a socket of this client: `generated`, or in revision 3 one that tells the session's, since its clients
    /// work it out themselves (REFERENCE 2.5).
    pub fn socket_id(&self, nsp: &Nsp, generated: impl FnOnce() -> Sid) -> Sid {
        match self.revision() {
            Revision::V3 if nsp.is_root() => self.sid().clone(),
            Revision::V3 => alloc::format!("{nsp}#{}", self.sid()).as_str().into(),
            Revision::V4 => generated(),
        }
    }

    /// Takes what happened below.
    pub fn handle(&mut self, input: engine::Input, now: Instant) {
        // What it has still to say comes before what is said of messages now.
        if self.session.has_queued() {
            self.drain(now);
        }
        let Self { session, connection, config, .. } = self;
        let mut heard = Ok(());
        session.handle_with(input, now, |_, message| {
            if heard.is_ok() {
                heard = connection.handle_arrived(message, &config.socket, now);
            }
        });
        if let Err(error) = heard {
            self.violation(error, now);
        }
        self.drain(now);
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.drain(now);
        if let Err(error) = self.connection.handle_timeout(now) {
            self.violation(error, now);
        }
        self.drain(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.session.poll_timeout(), self.connection.poll_timeout())
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll_output(&mut self) -> Option<Output<W>> {
        if let Some(output) = self.outputs.pop_front() {
            // A burst must not leave its high-water mark behind on an idle connection.
            if self.outputs.is_empty() && self.outputs.capacity() > IDLE_OUTPUTS {
                self.outputs = VecDeque::new();
            }
            return Some(output);
        }
        if let Some(event) = self.connection.poll_event() {
            return Some(Output::Event(Event::Socket(event)));
        }
        let output = self.session.poll_output()?;
        let output = self.take(output)?;
        if self.outputs.is_empty() {
            return Some(output);
        }
        self.outputs.push_back(output);
        self.outputs.pop_front()
    }

    /// Moves what [`poll_output`](Self::poll_output) would return next behind what is in `events`, as far as it is events of
    /// sockets. Whether there were any.
    pub fn drain_events(&mut self, events: &mut VecDeque<socket::Event<W>>) -> bool {
        self.outputs.is_empty() && self.connection.drain_events(events)
    }

    /// Lends the next frame for the websocket, where frames are all there is to hand out: see [`Session::lend_frame`].
    pub fn lend_frame<R>(&mut self, borrow: impl FnOnce(Lane, &Frame, Compression) -> R) -> Option<R> {
        if !self.outputs.is_empty() || self.connection.has_event() {
            return None;
        }
        self.session.lend_frame(borrow)
    }

    /// The answer to an HTTP request, if there is one: see [`Session::poll_response`].
    pub fn poll_response(&mut self, lane: Lane) -> Option<http::Response> {
        let is_answer = |output: &Output<W>| matches!(output, Output::Respond(to, _) if *to == lane);
        match self.outputs.iter().position(is_answer) {
            Some(position) => match self.outputs.remove(position) {
                Some(Output::Respond(_, response)) => Some(response),
                _ => None,
            },
            None => self.session.poll_response(lane),
        }
    }

    /// What its session did, for who watches: see [`Session::poll_engine_event`].
    pub fn poll_engine_event(&mut self) -> Option<engine::EngineEvent> {
        self.session.poll_engine_event()
    }

    /// Whether [`poll_engine_event`](Self::poll_engine_event) would return something.
    pub fn has_engine_event(&self) -> bool {
        self.session.has_engine_event()
    }

    /// Whether a socket is in its namespace, or joining it.
    pub fn is_live(&self, slot: Slot) -> bool {
        self.connection.is_live(slot)
    }

    /// Whether [`poll_output`](Self::poll_output) would return something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty() || self.connection.has_event() || self.session.has_output()
    }

    /// Lets the client join: see [`Connection::accept`].
    ///
    /// # Errors
    /// [`CommandError::Disconnected`] when the client gave up meanwhile, or is closed because it has no room for the
    /// answer; [`CommandError::Unwritable`] when it is closed because its parser does not write the answer.
    pub fn accept(&mut self, slot: Slot, sid: &Sid, pid: Option<&Sid>) -> Result<(), CommandError> {
        let accepted = self.connection.accept(slot, sid, pid, self.config.socket.codec);
        if accepted == Err(CommandError::Unwritable) {
            self.session.abort(CloseReason::ForcedClose);
        }
        let encoded = accepted?;
        self.answer(&encoded).map_err(|_| CommandError::Disconnected)
    }

    /// Turns the client away: see [`Connection::refuse`].
    ///
    /// # Errors
    /// [`RefuseError`]; [`RefuseError::Disconnected`] also when the client is given up now because its outgoing
    /// queue is full.
    pub fn refuse<T: Serialize>(
        &mut self,
        slot: Slot,
        message: &str,
        data: Option<&T>,
    ) -> Result<(), RefuseError> {
        let encoded = self.connection.refuse(slot, message, data, self.config.socket.codec)?;
        self.answer(&encoded).map_err(|_| RefuseError::Disconnected)
    }

    /// Queues what a CONNECT is answered with. A client that has no room for it would wait for ever in a namespace that
    /// it has or has not joined: it reads too slowly and is closed.
    fn answer(&mut self, encoded: &Encoded) -> Result<(), engine::SendError> {
        let sent = self.session.send_with(encoded.frames(), encoded.bytes_len(), encoded.compression());
        if sent == Err(engine::SendError::Full) {
            self.session.abort(SLOW_CONSUMER);
        }
        sent
    }

    /// Turns the client away because there is no such namespace. Both revisions say it with an object, unlike other
    /// refusals (REFERENCE 2.5).
    ///
    /// # Errors
    /// [`RefuseError::Disconnected`] when the client gave up meanwhile.
    pub fn refuse_unknown(&mut self, slot: Slot) -> Result<(), RefuseError> {
        let message = "Invalid namespace";
        let object = BTreeMap::from([("message", message)]);
        self.refuse(slot, message, (self.revision() == Revision::V3).then_some(&object))
    }

    /// Queues an event, or an acknowledgement of one, for a socket. One that is borrowed is shared.
    ///
    /// # Errors
    /// [`SendError::Disconnected`] when the socket has left; [`SendError::Full`] when it is not volatile and does
    /// not fit.
    pub fn send(
        &mut self,
        slot: Slot,
        encoded: impl Into<Encoded>,
        delivery: Delivery,
    ) -> Result<(), SendError> {
        self.send_from(slot, &mut encoded.into(), delivery)
    }

    /// The same for a packet that nobody else wants, which is not moved about: it leaves its place, and something empty stays
    /// there. When it is not queued, for an error or because it is volatile, it stays.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_from(
        &mut self,
        slot: Slot,
        encoded: &mut Encoded,
        delivery: Delivery,
    ) -> Result<(), SendError> {
        if !self.connection.is_live(slot) {
            return Err(SendError::Disconnected);
        }
        if delivery == Delivery::Volatile && !self.session.is_writable() {
            return Ok(());
        }
        self.session.admit(encoded.frame_count(), encoded.bytes_len())?;
        let compression = encoded.compression();
        if encoded.attachments().is_empty() {
            self.session.queue(encoded.take_head(), compression); // nearly every packet
        } else {
            encoded.take().into_frames().for_each(|frame| self.session.queue(frame, compression));
        }
        Ok(())
    }

    /// Whether a message would leave at once: what [`Delivery::Volatile`] asks.
    pub fn is_writable(&self) -> bool {
        self.session.is_writable()
    }

    /// Sends an event of which only the newest of its name matters: at once, or else when the connection is ready, in
    /// the place of the one of this name that waits for the same. A client is owed at most 64 of them; the one whose
    /// name has waited longest is dropped first.
    ///
    /// # Errors
    /// [`SendError::Disconnected`] when the socket has left.
    pub fn send_latest(&mut self, slot: Slot, name: &str, encoded: &Encoded) -> Result<(), SendError> {
        if !self.connection.is_live(slot) {
            return Err(SendError::Disconnected);
        }
        match self.latest.iter_mut().find(|latest| latest.slot == slot && *latest.name == *name) {
            Some(latest) => latest.encoded = encoded.clone(),
            None => self.latest.push(Latest { slot, name: name.into(), encoded: encoded.clone() }),
        }
        if self.latest.len() > MAX_LATEST {
            self.latest.remove(0);
        }
        self.release_latest();
        Ok(())
    }

    /// Queues what waited for the connection to be ready, if it is.
    fn release_latest(&mut self) {
        if self.latest.is_empty() || !self.session.is_writable() {
            return;
        }
        for Latest { slot, encoded, .. } in core::mem::take(&mut self.latest) {
            if self.connection.is_live(slot) {
                // Only a queue that is bounded by less than one such message is too small for it.
                let _ = self.session.send_with(encoded.frames(), encoded.bytes_len(), encoded.compression());
            }
        }
    }

    /// Queues an event and waits for its acknowledgement `id`, which must be the one in `encoded`.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::TooManyAcks`], with the waiter handed back.
    pub fn send_with_ack(
        &mut self,
        slot: Slot,
        encoded: &Encoded,
        id: AckId,
        waiter: W,
        deadline: Option<Instant>,
    ) -> Result<(), (SendError, W)> {
        self.connection
            .expect_ack(slot, id, waiter, deadline, &self.config.socket)
            .map_err(|(error, waiter)| (error.into(), waiter))?;
        if let Err(error) =
            self.session.send_with(encoded.frames(), encoded.bytes_len(), encoded.compression())
            && let Some(waiter) = self.connection.forget_ack(slot, id)
        {
            return Err((error.into(), waiter));
        }
        Ok(())
    }

    /// Stops waiting for an acknowledgement.
    pub fn forget_ack(&mut self, slot: Slot, id: AckId) -> Option<W> {
        self.connection.forget_ack(slot, id)
    }

    /// Makes a socket leave its namespace and tells the client. Does nothing when it has left already.
    pub fn leave(&mut self, slot: Slot, now: Instant) {
        let was_joined = self.connection.is_joined(slot);
        match self.connection.leave(slot, self.config.socket.codec) {
            // News that must not get lost: the client would go on sending there. The namespaces that are joined bound
            // it, and each of them took an answer that found room.
            Ok(encoded) if was_joined => {
                self.session.send_past_limit(encoded.frames(), encoded.compression());
            }
            // A failure has closed the session.
            Ok(encoded) => drop(self.answer(&encoded)),
            Err(CommandError::Unwritable) => self.session.abort(CloseReason::ForcedClose),
            Err(CommandError::Disconnected | CommandError::TooManyAcks) => {}
        }
        self.drain(now);
    }

    /// Makes every socket leave its namespace, tells the client, and closes the connection when that is sent.
    pub fn disconnect(&mut self, now: Instant) {
        let slots: Vec<_> = self.connection.slots().collect();
        slots.into_iter().for_each(|slot| self.leave(slot, now));
        self.close(now);
    }

    /// Closes the connection once everything queued has been handed over. Every socket leaves now.
    pub fn close(&mut self, now: Instant) {
        if !self.session.is_open() {
            return;
        }
        self.session.close(now);
        // REFERENCE 4.5: the reason tells whether the client could be told at once.
        let reason = match self.session.transport() {
            Some(Transport::Polling) => DisconnectReason::ForcedServerClose,
            _ => DisconnectReason::ForcedClose,
        };
        self.connection.close(reason);
        self.drain(now);
    }

    /// Closes the connection at once because the whole server closes (REFERENCE 4.10).
    pub fn shut_down(&mut self, now: Instant) {
        self.connection.close(DisconnectReason::ServerShuttingDown);
        self.session.abort(CloseReason::ForcedClose);
        self.drain(now);
    }

    /// Closes the connection because the whole server closes, once everything queued has been handed over. Every socket
    /// leaves now; the client is not told which, so that it comes back.
    pub fn wind_down(&mut self, now: Instant) {
        self.connection.close(DisconnectReason::ServerShuttingDown);
        self.session.close(now);
        self.drain(now);
    }

    /// Closes the connection at once because the client reads too slowly.
    pub fn give_up(&mut self, now: Instant) {
        self.session.abort(SLOW_CONSUMER);
        self.drain(now);
    }

    /// Lets each of the two machines hear what the other one has to say. Events of the connection stay there until they are
    /// asked for, or something comes behind them.
    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.session.poll_queued() {
            if let Some(output) = self.take(output) {
                self.outputs.push_back(output);
            }
        }
        self.connection.watch_idle(&self.config.socket, now);
        self.release_latest();
    }

    /// What an output of the session is to the driver. It comes behind all that is in `outputs`.
    fn take(&mut self, output: engine::Output) -> Option<Output<W>> {
        self.take_events();
        Some(match output {
            engine::Output::Respond(lane, response) => Output::Respond(lane, response),
            engine::Output::Abort(lane) => Output::Abort(lane),
            engine::Output::WsSend(lane, frame, compression) => Output::WsSend(lane, frame, compression),
            engine::Output::WsClose(lane) => Output::WsClose(lane),
            engine::Output::Event(event) => Output::Event(match event {
                engine::Event::Upgraded(transport) => Event::Upgraded(transport),
                // `handle` hears them at once.
                engine::Event::Message(_) => return None,
                engine::Event::Drained => Event::Drained,
                engine::Event::Closed(reason) => {
                    self.closed = Some(reason);
                    self.latest = Vec::new();
                    self.connection.close(reason.into());
                    self.take_events();
                    Event::Closed(reason)
                }
            }),
        })
    }

    /// Moves the events of the connection to where something is to come behind them.
    fn take_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.outputs.push_back(Output::Event(Event::Socket(event)));
        }
    }

    fn violation(&mut self, error: ProtocolError, now: Instant) {
        self.take_events();
        // A packet that cannot be read is no decision of the server's, wherever the client may be (REFERENCE 3.3).
        let unreadable = matches!(error, ProtocolError::Decode(_));
        // The engine heard the rest of the payload before the packet was read, and has closed already.
        let too_late = !self.session.is_open();
        self.outputs.push_back(Output::Event(Event::Socket(socket::Event::Violation(error))));
        if unreadable || too_late {
            self.connection.close(DisconnectReason::ForcedClose);
        }
        self.close(now);
    }
}

/// Outputs an idle client may keep room for: as many as a busy one has between two turns.
const IDLE_OUTPUTS: usize = 16;

/// Names of which one client is owed the newest message: more than any page shows at a time.
const MAX_LATEST: usize = 64;

const SLOW_CONSUMER: CloseReason = CloseReason::TransportError(TransportFault::SlowConsumer);

impl From<engine::SendError> for SendError {
    fn from(error: engine::SendError) -> Self {
        match error {
            engine::SendError::Closed => Self::Disconnected,
            engine::SendError::Full => Self::Full,
        }
    }
}

impl From<CommandError> for SendError {
    fn from(error: CommandError) -> Self {
        match error {
            // A client that cannot be told is closed.
            CommandError::Disconnected | CommandError::Unwritable => Self::Disconnected,
            CommandError::TooManyAcks => Self::TooManyAcks,
        }
    }
}

#[cfg(test)]
mod tests;
