//! The server's side of one Engine.IO session: long-polling, the probe, the upgrade and the WebSocket in one state
//! machine (REFERENCE 1.13–1.16).
//!
//! It knows nothing of sockets, HTTP parsing or clocks. Requests and WebSockets are [`Lane`]s: numbers which the
//! driver chose and on which the session answers. Nor does it know what the messages mean.
//!
//! ```text
//!   handshake GET                                    handshake websocket
//!        │                                                   │
//!        ▼                                                   │
//!  ┌─ Polling ────────────────────────────┐                  ▼
//!  │  parked?   the pending GET           │   `5`    ┌─ Websocket ──────┐
//!  │  posting?  the POST in progress      ├─────────►│  unflushed bytes │
//!  │  probe?    a websocket being tested  │          └────────┬─────────┘
//!  └───────────────────┬──────────────────┘                   │
//!        │ close()     │ failure, timeout, packet `1`         │ close() and drained, failure, timeout
//!        ▼             ▼                                      ▼
//!   deferred until ─► Closed ◄────────────────────────────────┘
//!   the next GET
//! ```
//!
//! A probe is part of `Polling`: whatever happens to it, the session lives on (REFERENCE 9.9). Frames wait in one
//! buffer and are pulled from it when the transport can take them, so messages keep their order across the upgrade.

mod config;
mod io;
mod observe;
mod polling;
mod websocket;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use self::config::{Config, Opening};
pub use self::io::{Event, Input, Output};
pub use self::observe::EngineEvent;
use self::observe::Observed;
pub use super::buffer::SendError;
use super::buffer::{Buffer, Compression, FRAME_OVERHEAD, MAX_UNFLUSHED_BYTES};
use super::close::{CloseReason, TransportFault};
use super::format::Format;
use super::handshake::Handshake;
use super::http::Response;
use super::packet::{Arrived, BinaryEncoding, DecodeError, Frame, Packet, Purpose};
use super::payload_v3::Form;
use super::timers::{Name, Timers};
use super::{Revision, Transport};
use crate::{Instant, Lane, Sid};

/// One session, from its handshake to its close.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Session {
    config: Arc<Config>,
    sid: Sid,
    format: Format,
    link: Link,
    closing: Option<Closing>,
    buffer: Buffer,
    /// While a pong is awaited, the first packet of another kind extends the wait, once (REFERENCE 1.13).
    extension_left: bool,
    timers: Timers<Timer, 5>,
    outputs: VecDeque<Output>,
    observed: Observed,
}

/// Where the packets of a session travel; see the picture at the top of this file.
#[derive(Clone, Debug)]
enum Link {
    Polling { parked: Option<Lane>, posting: Option<Posting>, probe: Option<Websocket> },
    Websocket { current: Websocket, posting: Option<Posting> },
    Closed,
}

/// A websocket, and how many bytes were handed out for it that are not written yet.
#[derive(Clone, Copy, Debug)]
struct Websocket {
    lane: Lane,
    /// What becomes of binary data on it.
    binary: BinaryEncoding,
    unflushed: usize,
}

impl Websocket {
    const fn new(lane: Lane, binary: BinaryEncoding) -> Self {
        Self { lane, binary, unflushed: 0 }
    }

    const fn has_room(self) -> bool {
        self.unflushed < MAX_UNFLUSHED_BYTES
    }

    fn hand_out(&mut self, frame: &Frame) {
        self.unflushed += frame.len() + FRAME_OVERHEAD;
    }
}

/// A POST whose body has not arrived.
#[derive(Clone, Copy, Debug)]
struct Posting {
    lane: Lane,
    form: Form,
}

/// An orderly close that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// For the buffer to be handed over.
    Draining,
    /// For a GET to answer: the buffer is empty, but nobody is listening.
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// Send a ping (revision 4).
    Ping,
    /// No pong came (revision 4); no ping came (revision 3).
    Silence,
    /// The probed websocket was not committed to.
    Upgrade,
    /// Free the pending GET so that the client can leave polling.
    Noop,
    /// The client did not fetch the rest of a closing session.
    Close,
}

impl Name for Timer {
    const ALL: &'static [Self] = &[Self::Ping, Self::Silence, Self::Upgrade, Self::Noop, Self::Close];

    fn index(self) -> usize {
        self as usize
    }
}

impl Session {
    /// Opens a session by a GET, which is answered with the handshake (and [`Config::initial_message`]) at once.
    pub fn polling(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let link = Link::Polling { parked: None, posting: None, probe: None };
        let mut session = Self::new(config, &opening, link, now);
        let mut frames = Vec::with_capacity(2);
        frames.push(session.open_packet(&opening));
        frames.extend(session.initial_frame());
        frames.iter().for_each(|frame| session.observed.note_created(frame));
        session.observed.note_flushed(frames.iter(), true);
        session.respond(lane, &frames);
        session
    }

    /// Opens a session on a websocket, which receives the handshake as its first message.
    pub fn websocket(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let link = Link::Websocket { current: Websocket::new(lane, opening.format.binary), posting: None };
        let mut session = Self::new(config, &opening, link, now);
        session.queue(session.open_packet(&opening), Compression::Forbidden);
        if let Some(frame) = session.initial_frame() {
            session.queue(frame, Compression::Allowed);
        }
        session
    }

    fn new(config: Arc<Config>, opening: &Opening, link: Link, now: Instant) -> Self {
        let observed = Observed::new(config.observe);
        let mut session = Self {
            config,
            sid: opening.sid.clone(),
            format: opening.format.clone(),
            link,
            closing: None,
            buffer: Buffer::default(),
            extension_left: false,
            timers: Timers::new(),
            outputs: VecDeque::new(),
            observed,
        };
        session.observed.note(|| EngineEvent::Connection);
        session.restart_heartbeat(now);
        session
    }

    fn open_packet(&self, opening: &Opening) -> Frame {
        let handshake = Handshake {
            sid: self.sid.clone(),
            upgrades: opening.upgrades.clone(),
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: Some(self.config.max_payload_bytes),
        };
        handshake.to_packet().encode()
    }

    fn initial_frame(&self) -> Option<Frame> {
        Some(Packet::Message(self.config.initial_message.clone()?).encode())
    }

    /// Its secret id.
    pub fn sid(&self) -> &Sid {
        &self.sid
    }

    /// Its protocol revision.
    pub fn revision(&self) -> Revision {
        self.format.revision
    }

    /// The transport its packets travel on now, or `None` once it is closed.
    pub fn transport(&self) -> Option<Transport> {
        match self.link {
            Link::Polling { .. } => Some(Transport::Polling),
            Link::Websocket { .. } => Some(Transport::Websocket),
            Link::Closed => None,
        }
    }

    /// Whether messages are still taken and delivered.
    pub fn is_open(&self) -> bool {
        self.closing.is_none() && !matches!(self.link, Link::Closed)
    }

    /// Whether a message sent now would leave at once: what a volatile message asks (REFERENCE 4.4).
    pub fn is_writable(&self) -> bool {
        self.is_open()
            && self.buffer.is_empty()
            && match self.link {
                Link::Polling { parked, .. } => parked.is_some(),
                Link::Websocket { current, .. } => current.unflushed == 0,
                Link::Closed => false,
            }
    }

    /// Bytes waiting in the outgoing queue.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// Queues the frames of one message, `bytes` long in all: every frame or none.
    ///
    /// # Errors
    /// [`SendError::Closed`] on a session that is closing or closed, [`SendError::Full`] when the outgoing queue is
    /// at its limit.
    pub fn send(
        &mut self,
        frames: impl ExactSizeIterator<Item = Frame>,
        bytes: usize,
    ) -> Result<(), SendError> {
        self.send_with(frames, bytes, Compression::Allowed)
    }

    /// Like [`send`](Self::send), for a message that need not be compressed.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_with(
        &mut self,
        frames: impl ExactSizeIterator<Item = Frame>,
        bytes: usize,
        compression: Compression,
    ) -> Result<(), SendError> {
        self.admit(frames.len(), bytes)?;
        frames.for_each(|frame| self.queue(frame, compression));
        Ok(())
    }

    /// Whether a message of so many frames, `bytes` long in all, may be [queued](Self::queue) now.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) fn admit(&mut self, frames: usize, bytes: usize) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        self.buffer.admit(frames, bytes, &self.config.buffer)
    }

    /// Queues frames even in a full queue: for news that must not get lost, and that something else bounds.
    pub(crate) fn send_past_limit(&mut self, frames: impl Iterator<Item = Frame>, compression: Compression) {
        if self.is_open() {
            frames.for_each(|frame| self.queue(frame, compression));
        }
    }

    #[inline]
    pub(crate) fn queue(&mut self, frame: Frame, compression: Compression) {
        self.observed.note_created(&frame);
        self.buffer.push(frame, compression);
    }

    /// Closes the session once everything queued has been handed over (REFERENCE 1.15). A polling client learns of
    /// it from the answer to its pending GET, or to its next one within 30 s. Does nothing on a closed session.
    pub fn close(&mut self, now: Instant) {
        if !self.is_open() {
            return;
        }
        if let Some(output) = self.transmit() {
            self.outputs.push_back(output);
        }
        if matches!(self.link, Link::Polling { parked: Some(_), .. }) {
            return self.end(CloseReason::ForcedClose, Packet::Close);
        }
        let deferred = self.buffer.is_empty() && matches!(self.link, Link::Polling { .. });
        self.closing = Some(if deferred { Closing::Deferred } else { Closing::Draining });
        // Nobody listens to pongs any more: from here on there is one deadline.
        self.timers.clear(Timer::Ping);
        self.timers.clear(Timer::Silence);
        self.timers.set(Timer::Close, now + CLOSE_TIMEOUT);
    }

    /// Closes the session at once, whatever is queued: for a server that shuts down, or a client that misbehaves.
    pub fn abort(&mut self, reason: CloseReason) {
        if !matches!(self.link, Link::Closed) {
            self.end(reason, Packet::Close);
        }
    }

    /// Takes what happened below. Whatever a peer does wrong becomes outputs and, at the worst, one
    /// [`Event::Closed`].
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.handle_with(input, now, |outputs, message| {
            outputs.push_back(Output::Event(Event::Message(message.to_message())));
        });
    }

    /// The same for a parent that hears each message at once, instead of as an [`Event::Message`], which would come behind
    /// what is among the outputs by then.
    #[inline]
    pub(crate) fn handle_with(
        &mut self,
        input: Input,
        now: Instant,
        mut hear: impl FnMut(&mut VecDeque<Output>, &mut Arrived),
    ) {
        match input {
            Input::Poll(lane) => self.handle_poll(lane),
            Input::Post(lane, form) => self.handle_post(lane, form),
            Input::PostBody(lane, body) => self.handle_post_body(lane, body, now, &mut hear),
            Input::PostTooLarge(lane) => {
                if self.take_posting(lane).is_some() {
                    self.outputs.push_back(Output::Respond(lane, Response::payload_too_large()));
                }
            }
            Input::WsOpen(lane, binary) => self.handle_ws_open(lane, binary, now),
            Input::WsFrame(lane, frame) => self.handle_ws_frame(lane, frame, now, &mut hear),
            Input::WsFault(lane, fault) => self.handle_ws_end(lane, CloseReason::TransportError(fault)),
            Input::Flushed(lane) => {
                if let Link::Websocket { current: ws, .. } | Link::Polling { probe: Some(ws), .. } =
                    &mut self.link
                    && ws.lane == lane
                {
                    ws.unflushed = 0;
                }
            }
            Input::LaneGone(lane) => self.handle_lane_gone(lane),
        }
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Ping => {
                    let ping = Packet::Ping(Purpose::Heartbeat).encode();
                    // A client that sends pongs but never fetches the pings does not gather them.
                    if !self.buffer.iter().any(|queued| *queued == ping) {
                        self.queue(ping, Compression::Forbidden);
                    }
                    self.extension_left = true;
                    self.timers.set(Timer::Silence, now + self.config.ping_timeout);
                }
                Timer::Silence => self.end(CloseReason::PingTimeout, Packet::Close),
                Timer::Upgrade => self.drop_probe(),
                Timer::Noop => self.free_pending_poll(now),
                Timer::Close => self.end(CloseReason::ForcedClose, Packet::Close),
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.poll_queued() {
            return Some(output);
        }
        if let Some(output) = self.transmit() {
            self.announce_room();
            return Some(output);
        }
        if self.closing == Some(Closing::Draining)
            && self.buffer.is_empty()
            && matches!(self.link, Link::Websocket { .. })
        {
            self.end(CloseReason::ForcedClose, Packet::Close);
        }
        self.poll_queued()
    }

    /// Lends the next frame for the websocket, where frames are all there is to hand out: `None` while anything else comes
    /// first. For a driver that copies frames into what it writes, or has them written by somebody who can do nothing else.
    pub fn lend_frame<R>(&mut self, borrow: impl FnOnce(Lane, &Frame, Compression) -> R) -> Option<R> {
        let Link::Websocket { current, .. } = &mut self.link else { return None };
        if !self.outputs.is_empty() || !current.has_room() {
            return None;
        }
        let (frame, compression) = self.buffer.first()?;
        current.hand_out(frame);
        let result = match frame.to_wire(self.format.revision, current.binary) {
            None => borrow(current.lane, frame, compression),
            Some(frame) => borrow(current.lane, &frame, compression),
        };
        self.observed.note_flushed([frame].into_iter(), self.buffer.is_last());
        self.buffer.drop_first();
        self.announce_room();
        Some(result)
    }

    /// The answer to an HTTP request, if there is one: for a driver whose request waits right here, and that would only
    /// pass it on. Out of turn, which nobody can tell, as an answer stands for itself.
    pub fn poll_response(&mut self, lane: Lane) -> Option<Response> {
        let is_answer = |output: &Output| matches!(output, Output::Respond(to, _) if *to == lane);
        let output = match self.outputs.iter().position(is_answer) {
            Some(position) => self.outputs.remove(position),
            None if matches!(self.link, Link::Polling { parked, .. } if parked == Some(lane)) => {
                let output = self.transmit();
                self.announce_room();
                output
            }
            None => None,
        };
        match output {
            Some(Output::Respond(_, response)) => Some(response),
            _ => None,
        }
    }

    /// Whether [`poll_output`](Self::poll_output) would return something.
    pub fn has_output(&self) -> bool {
        let can_transmit = match self.link {
            Link::Polling { parked, .. } => parked.is_some() && !self.buffer.is_empty(),
            Link::Websocket { .. } if self.buffer.is_empty() => self.closing == Some(Closing::Draining),
            Link::Websocket { current, .. } => current.has_room(),
            Link::Closed => false,
        };
        can_transmit || !self.outputs.is_empty()
    }

    /// What this session did, for who watches. Only with [`Config::observe`]; call until `None` where
    /// [`poll_output`](Self::poll_output) is called.
    pub fn poll_engine_event(&mut self) -> Option<EngineEvent> {
        self.observed.pop()
    }

    /// Whether [`poll_engine_event`](Self::poll_engine_event) would return something.
    pub fn has_engine_event(&self) -> bool {
        !self.observed.is_empty()
    }

    /// What the machine itself has to say, without the frames that wait for the transport. A parent drains this
    /// inside its own `handle*`, because an event here may become more frames.
    #[inline]
    pub(crate) fn poll_queued(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`poll_queued`](Self::poll_queued) would return something.
    pub(crate) fn has_queued(&self) -> bool {
        !self.outputs.is_empty()
    }

    fn handle_lane_gone(&mut self, lane: Lane) {
        let fault = match &mut self.link {
            Link::Polling { parked: Some(parked), .. } if *parked == lane => TransportFault::PollClosed,
            Link::Polling { posting: Some(posting), .. } if posting.lane == lane => {
                TransportFault::PostClosed
            }
            Link::Websocket { posting: posting @ Some(_), .. } if posting.is_some_and(|p| p.lane == lane) => {
                *posting = None;
                return;
            }
            _ => return self.handle_ws_end(lane, CloseReason::TransportClose),
        };
        self.forget_lane(lane);
        self.end(CloseReason::TransportError(fault), Packet::Close);
    }

    /// A packet from the current transport, or what was there in the place of one.
    fn handle_packet(
        &mut self,
        packet: Result<Packet, DecodeError>,
        from: Transport,
        now: Instant,
        hear: &mut impl FnMut(&mut VecDeque<Output>, &mut Arrived),
    ) -> Result<(), CloseReason> {
        let packet = match packet {
            Ok(Packet::Close) if from == Transport::Polling => return Err(CloseReason::TransportClose),
            // A session that is closing listens to nothing else (REFERENCE 1.15).
            _ if self.closing.is_some() => return Ok(()),
            Ok(Packet::Message(message)) => {
                self.handle_message(&mut message.into(), now, hear);
                return Ok(());
            }
            packet => packet.map_err(|_| CloseReason::ParseError)?,
        };
        self.observed.note(|| EngineEvent::Packet(packet.clone()));
        let reversed = CloseReason::TransportError(TransportFault::HeartbeatDirection);
        match (packet, self.format.revision) {
            (Packet::Ping(_), Revision::V3) => {
                let pong = Packet::Pong(Purpose::Heartbeat).encode();
                // A client that does not read could fill the memory with pongs. In a queue that is full it will find
                // other signs of life.
                if self.buffer.has_room(1, pong.len(), &self.config.buffer) {
                    self.queue(pong, Compression::Forbidden);
                }
                self.restart_heartbeat(now);
                self.observed.note(|| EngineEvent::Heartbeat);
            }
            (Packet::Pong(_), Revision::V4) => {
                self.timers.clear(Timer::Silence);
                self.restart_heartbeat(now);
                self.observed.note(|| EngineEvent::Heartbeat);
                return Ok(());
            }
            (Packet::Ping(_), Revision::V4) | (Packet::Pong(_), Revision::V3) => return Err(reversed),
            (Packet::Open(_) | Packet::Close | Packet::Message(_) | Packet::Upgrade | Packet::Noop, _) => {}
        }
        self.extend_wait(now);
        Ok(())
    }

    fn handle_message(
        &mut self,
        message: &mut Arrived,
        now: Instant,
        hear: &mut impl FnMut(&mut VecDeque<Output>, &mut Arrived),
    ) {
        // As in `handle_packet`.
        if self.closing.is_some() {
            return;
        }
        self.observed.note(|| EngineEvent::Packet(Packet::Message(message.to_message())));
        hear(&mut self.outputs, message);
        self.extend_wait(now);
    }

    fn extend_wait(&mut self, now: Instant) {
        if self.extension_left && self.timers.is_set(Timer::Silence) && self.format.revision == Revision::V4 {
            self.extension_left = false;
            self.timers.set(Timer::Silence, now + self.config.ping_timeout);
        }
    }

    fn restart_heartbeat(&mut self, now: Instant) {
        match self.format.revision {
            Revision::V3 => {
                self.timers.set(Timer::Silence, now + self.config.ping_interval + self.config.ping_timeout);
            }
            Revision::V4 => self.timers.set(Timer::Ping, now + self.config.ping_interval),
        }
    }

    /// The next frames for a transport that can take them.
    fn transmit(&mut self) -> Option<Output> {
        if self.buffer.is_empty() {
            return None;
        }
        match &mut self.link {
            Link::Polling { parked, .. } => {
                let lane = parked.take()?;
                let mut response = self.format.poll_response(self.buffer.iter());
                response.compressible = self.buffer.is_compressible();
                self.observed.note_flushed(self.buffer.iter(), true);
                self.buffer.clear();
                if self.closing.is_some() {
                    self.closing = Some(Closing::Deferred);
                }
                Some(Output::Respond(lane, response))
            }
            Link::Websocket { current, .. } if current.has_room() => {
                let (frame, compression) = self.buffer.pop()?;
                current.hand_out(&frame);
                self.observed.note_flushed([&frame].into_iter(), self.buffer.is_empty());
                Some(Output::WsSend(
                    current.lane,
                    frame.into_wire(self.format.revision, current.binary),
                    compression,
                ))
            }
            Link::Websocket { .. } | Link::Closed => None,
        }
    }

    fn announce_room(&mut self) {
        if self.buffer.has_room_again(&self.config.buffer) {
            self.outputs.push_back(Output::Event(Event::Drained));
        }
    }

    /// Ends the session: every lane gets its farewell, every timer and frame is dropped, and nothing follows
    /// [`Event::Closed`].
    fn end(&mut self, reason: CloseReason, farewell: Packet) {
        match core::mem::replace(&mut self.link, Link::Closed) {
            Link::Polling { parked, posting, probe } => {
                if let Some(lane) = parked {
                    self.respond(lane, &[farewell.encode()]);
                }
                self.outputs.extend(posting.map(|posting| Output::Abort(posting.lane)));
                self.outputs.extend(probe.map(|probe| Output::WsClose(probe.lane)));
            }
            Link::Websocket { current, posting } => {
                self.outputs.extend(posting.map(|posting| Output::Abort(posting.lane)));
                self.outputs.push_back(Output::WsClose(current.lane));
            }
            Link::Closed => return,
        }
        self.finish(reason);
    }

    /// The rest of [`end`](Self::end), when no lane is left.
    fn finish(&mut self, reason: CloseReason) {
        self.link = Link::Closed;
        self.buffer.clear();
        self.timers.clear_all();
        self.outputs.push_back(Output::Event(Event::Closed(reason)));
        self.observed.note(|| EngineEvent::Close(reason));
    }

    fn respond(&mut self, lane: Lane, frames: &[Frame]) {
        let response = self.format.poll_response(frames.iter());
        self.outputs.push_back(Output::Respond(lane, response));
    }

    fn forget_lane(&mut self, lane: Lane) {
        if let Link::Polling { parked, posting, .. } = &mut self.link {
            parked.take_if(|parked| *parked == lane);
            posting.take_if(|posting| posting.lane == lane);
        }
    }
}

/// How long a client may take to fetch the end of a session that was closed (REFERENCE 1.15).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
