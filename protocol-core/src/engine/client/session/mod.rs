//! The state machine of a client's session.
//!
//! ```text
//!            start                                  start, remembered upgrade or fallback
//!              │                                                   │
//!              ▼                                                   ▼
//!   ┌─ Opening(polling) ─┐        failure: next transport     Opening(websocket)
//!   └──────────┬─────────┘        or Closed                        │
//!              │ `0{…}`                                            │ `0{…}`
//!              ▼                                                   │
//!   ┌─ Polling ─────────────────────────────────────────────┐      ▼
//!   │  get?   the pending GET       ┌ upgrade ────────────┐ │ ┌─ Websocket ──────┐
//!   │  post?  the POST in progress  │ Idle ◄──── failure  │ │ │  unflushed bytes │
//!   │                               │  │ ws      ▲  ▲     │ │ └───────┬──────────┘
//!   │                               │  ▼         │  │     │ │      ▲  │
//!   │                               │ Probing ───┘  │     │ │ `5`  │  │
//!   │                               │  │ `3probe`   │     ├─┼──────┘  │
//!   │                               │  ▼            │     │ │         │
//!   │                               │ Pausing ──────┘     │ │         │
//!   │                               └─────────────────────┘ │         │
//!   └──────────┬────────────────────────────────────────────┘         │
//!              │ close(), drained: POST `1`                           │ close(), drained
//!              ▼                                                      ▼
//!           Leaving ─────────────────────────────────────────────► Closed
//! ```
//!
//! While pausing, nothing new is requested: the POST in progress and the pending GET run to their ends, and only then
//! the websocket is committed to, so no message is lost or overtakes another (REFERENCE 1.14). Frames wait in one
//! buffer and are pulled from it when the transport can take them.

mod opening;
mod upgrade;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::opening::read_handshake;
use super::{
    CloseReason, Config, Ending, Event, Failure, Input, Memory, Output, SendError, TransportError,
    UpgradeError, target,
};
use crate::engine::buffer::{Buffer, Compression, FRAME_OVERHEAD, MAX_UNFLUSHED_BYTES};
use crate::engine::handshake::Handshake;
use crate::engine::packet::{DecodeError, Frame, Packet, Purpose};
use crate::engine::timers::{Name, Timers};
use crate::engine::{Revision, Transport, payload};
use crate::random::Random;
use crate::{Instant, Lane, Sid};

/// One session, from the first request to its close.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    /// Those that have not failed, in the order of preference.
    transports: Vec<Transport>,
    link: Link,
    /// An orderly close was asked for and has to wait: for the handshake, the buffer, or the end of an upgrade.
    closing: bool,
    buffer: Buffer,
    /// The number of this session among those of its client.
    number: u32,
    next_lane: u32,
    websocket_worked: bool,
    random: Random,
    timers: Timers<Timer, 3>,
    outputs: VecDeque<Output>,
}

/// Where the packets of a session travel; see the picture at the top of this file.
#[derive(Debug)]
enum Link {
    Opening {
        lane: Lane,
        transport: Transport,
    },
    Polling(Polling),
    Websocket {
        terms: Terms,
        lane: Lane,
        unflushed: usize,
    },
    /// The close packet is on its way. The pending GET is kept until that is answered: to break it before the server has
    /// read the packet would be a transport error there. Then it is of no use any more, and servers there are (in
    /// Python) that let it hang.
    Leaving {
        get: Option<Lane>,
        post: Option<Lane>,
    },
    Closed,
}

#[derive(Debug)]
struct Polling {
    terms: Terms,
    get: Option<Lane>,
    post: Option<Lane>,
    upgrade: Upgrade,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    Idle,
    /// A websocket is being opened and tested, while polling goes on.
    Probing(Lane),
    /// The test was passed; polling comes to its end.
    Pausing(Lane),
}

impl Upgrade {
    const fn lane(self) -> Option<Lane> {
        match self {
            Self::Idle => None,
            Self::Probing(lane) | Self::Pausing(lane) => Some(lane),
        }
    }
}

/// What the handshake settled.
#[derive(Debug)]
struct Terms {
    sid: Sid,
    max_payload: Option<usize>,
    /// How long the server may be silent: its interval and its timeout.
    heartbeat: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// No ping came.
    Heartbeat,
    /// The upgrade takes too long.
    Upgrade,
    /// The orderly close takes too long.
    Close,
}

impl Name for Timer {
    const ALL: &'static [Self] = &[Self::Heartbeat, Self::Upgrade, Self::Close];

    fn index(self) -> usize {
        self as usize
    }
}

impl Session {
    /// Opens a session: the first request is the first output. `seed` is where chance comes from; it need not be
    /// secret, but should differ between the sessions of the world.
    pub fn open(config: Arc<Config>, memory: Memory, seed: u64) -> Self {
        let known = |transport: &Transport| matches!(transport, Transport::Polling | Transport::Websocket);
        let mut session = Self {
            transports: config.transports.iter().copied().filter(known).collect(),
            config,
            link: Link::Closed,
            closing: false,
            buffer: Buffer::default(),
            number: memory.sessions,
            next_lane: 0,
            websocket_worked: memory.websocket_worked,
            random: Random::new(seed),
            timers: Timers::new(),
            outputs: VecDeque::new(),
        };
        let remembered = session.config.remember_upgrade
            && memory.websocket_worked
            && session.transports.contains(&Transport::Websocket);
        match session.transports.first() {
            Some(_) if remembered => session.start(Transport::Websocket),
            Some(&first) => session.start(first),
            None => {
                let reason = CloseReason::TransportError(TransportError::NoTransports);
                session.outputs.push_back(Output::Event(Event::Closed(reason)));
            }
        }
        session
    }

    /// Its secret id, once it is open and until it is closed.
    pub fn sid(&self) -> Option<&Sid> {
        match &self.link {
            Link::Polling(Polling { terms, .. }) | Link::Websocket { terms, .. } => Some(&terms.sid),
            Link::Opening { .. } | Link::Leaving { .. } | Link::Closed => None,
        }
    }

    /// The transport its packets travel on now, or `None` while it is not open.
    pub fn transport(&self) -> Option<Transport> {
        match self.link {
            Link::Polling(_) => Some(Transport::Polling),
            Link::Websocket { .. } => Some(Transport::Websocket),
            Link::Opening { .. } | Link::Leaving { .. } | Link::Closed => None,
        }
    }

    /// Whether messages are taken.
    pub fn is_open(&self) -> bool {
        !self.closing && self.transport().is_some()
    }

    /// Whether it is over: nothing will be asked of the driver any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed)
    }

    /// Whether a message sent now would leave at once: what a volatile message asks (REFERENCE 5.4).
    pub fn is_writable(&self) -> bool {
        self.is_open()
            && self.buffer.is_empty()
            && match &self.link {
                Link::Polling(polling) => polling.can_post(),
                Link::Websocket { unflushed, .. } => *unflushed == 0,
                Link::Opening { .. } | Link::Leaving { .. } | Link::Closed => false,
            }
    }

    /// Bytes waiting in the outgoing queue.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// Whether this session numbered `lane`.
    pub fn owns(&self, lane: Lane) -> bool {
        lane.0 >> 32 == u64::from(self.number)
    }

    /// What the next session is to know. Changes as long as this one lives.
    pub const fn memory(&self) -> Memory {
        Memory { sessions: self.number.wrapping_add(1), websocket_worked: self.websocket_worked }
    }

    /// Queues the frames of one message, `bytes` long in all: every frame or none.
    ///
    /// # Errors
    /// [`SendError::Closed`] on a session that is not open yet, closing or closed, [`SendError::Full`] when the outgoing
    /// queue is at its limit.
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
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        self.buffer.offer(frames, bytes, compression, &self.config.buffer)
    }

    /// Queues the frames of one message past the limits: for what belongs to the protocol, of which the caller bounds the
    /// number. Does nothing on a session that does not take messages.
    pub(crate) fn send_past_limit(&mut self, frames: impl Iterator<Item = Frame>, compression: Compression) {
        if self.is_open() {
            frames.for_each(|frame| self.buffer.push(frame, compression));
        }
    }

    /// Closes the session once everything queued has been handed over and an upgrade has come to its end
    /// (REFERENCE 1.14, 1.15), or after 10 s. Does nothing on a closed session.
    pub fn close(&mut self, now: Instant) {
        if self.closing || self.is_closed() {
            return;
        }
        self.closing = true;
        self.timers.set(Timer::Close, now + CLOSE_TIMEOUT);
        match self.link {
            // Nothing is lost, as the server has not told us of a session.
            Link::Opening { transport: Transport::Websocket, .. } => self.end(CloseReason::ForcedClose),
            // The server may have opened the session: wait, to close it there as well.
            Link::Opening { .. } => {}
            _ => self.settle(),
        }
    }

    /// Closes the session at once, whatever is queued.
    pub fn abort(&mut self) {
        self.end(CloseReason::ForcedClose);
    }

    /// Takes what happened below. Whatever a server does wrong becomes outputs and, at the worst, one
    /// [`Event::Closed`]. What concerns a lane that is done is ignored.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Response(lane, status, body) => self.handle_response(lane, status, body, now),
            Input::WsOpened(lane) => {
                if let Link::Polling(Polling { upgrade: Upgrade::Probing(probe), .. }) = self.link
                    && probe == lane
                {
                    self.outputs.push_back(Output::WsSend(
                        lane,
                        Packet::Ping(Purpose::Probe).encode(),
                        Compression::Forbidden,
                    ));
                }
            }
            Input::WsFrame(lane, frame) => self.handle_ws_frame(lane, frame, now),
            Input::Flushed(lane) => {
                if let Link::Websocket { lane: current, unflushed, .. } = &mut self.link
                    && *current == lane
                {
                    *unflushed = 0;
                }
            }
            Input::WsClosed(lane) => match self.role(lane) {
                Some(Role::Probe) => self.fail_upgrade(UpgradeError::Closed),
                Some(Role::Websocket) => self.end(CloseReason::TransportClose(Ending::Connection)),
                Some(Role::Opening(_)) => self.handle_failure(lane, Failure::Connection),
                Some(Role::Get | Role::Post) | None => {}
            },
            Input::Failed(lane, failure) => self.handle_failure(lane, failure),
        }
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Heartbeat => self.end(CloseReason::PingTimeout),
                Timer::Upgrade => self.fail_upgrade(UpgradeError::TimedOut),
                Timer::Close => self.end(CloseReason::ForcedClose),
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
        if self.closing && self.buffer.is_empty() && matches!(self.link, Link::Websocket { .. }) {
            self.end(CloseReason::ForcedClose);
        }
        self.poll_queued()
    }

    /// Whether [`poll_output`](Self::poll_output) would return something.
    pub fn has_output(&self) -> bool {
        let can_transmit = match &self.link {
            Link::Polling(polling) => polling.can_post() && !self.buffer.is_empty(),
            Link::Websocket { .. } if self.buffer.is_empty() => self.closing,
            Link::Websocket { unflushed, .. } => *unflushed < MAX_UNFLUSHED_BYTES,
            Link::Opening { .. } | Link::Leaving { .. } | Link::Closed => false,
        };
        can_transmit || !self.outputs.is_empty()
    }

    /// What the machine itself has to say, without the frames that wait for the transport. A parent drains this
    /// inside its own `handle*`, because an event here may become more frames.
    pub(crate) fn poll_queued(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn handle_response(&mut self, lane: Lane, status: u16, body: Bytes, now: Instant) {
        if status != 200 {
            return self.handle_failure(lane, Failure::status(status, &body));
        }
        match self.role(lane) {
            Some(Role::Opening(Transport::Polling)) => match self.read_first_payload(body) {
                Ok((handshake, packets)) => self.open_polling(handshake, packets, now),
                Err(error) => self.fail_opening(error),
            },
            Some(role @ (Role::Get | Role::Post)) => {
                self.finish(role);
                if role == Role::Get && matches!(self.link, Link::Polling(_)) {
                    let packets = self.read_payload(body);
                    return self.handle_payload(packets, now);
                }
                self.settle();
            }
            Some(Role::Opening(_) | Role::Probe | Role::Websocket) | None => {}
        }
    }

    fn handle_ws_frame(&mut self, lane: Lane, frame: Frame, now: Instant) {
        let packet = Packet::decode(Revision::V4, frame);
        match self.role(lane) {
            Some(Role::Opening(_)) => match read_handshake(Some(packet)) {
                Ok(handshake) => self.open_websocket(lane, &handshake, now),
                Err(error) => self.fail_opening(error),
            },
            Some(Role::Probe) => match packet {
                Ok(Packet::Pong(Purpose::Probe)) => self.pause(lane),
                _ => self.fail_upgrade(UpgradeError::UnexpectedPacket),
            },
            Some(Role::Websocket) => {
                if let Err(reason) = self.handle_packet(packet, Transport::Websocket, now) {
                    self.end(reason);
                }
            }
            Some(Role::Get | Role::Post) | None => {}
        }
    }

    fn handle_failure(&mut self, lane: Lane, failure: Failure) {
        let error = match self.role(lane) {
            Some(Role::Opening(Transport::Polling)) => {
                return self.fail_opening(TransportError::Poll(failure));
            }
            Some(Role::Opening(_)) => return self.fail_opening(TransportError::Websocket(failure)),
            Some(Role::Probe) => return self.fail_upgrade(UpgradeError::Transport(failure)),
            Some(role @ (Role::Get | Role::Post)) if matches!(self.link, Link::Leaving { .. }) => {
                // There is nothing left to tell the server.
                self.finish(role);
                return self.end(CloseReason::ForcedClose);
            }
            Some(Role::Get) => {
                self.finish(Role::Get);
                TransportError::Poll(failure)
            }
            Some(Role::Post) => {
                self.finish(Role::Post);
                TransportError::Post(failure)
            }
            Some(Role::Websocket) => TransportError::Websocket(failure),
            None => return,
        };
        self.end(CloseReason::TransportError(error));
    }

    /// The packets of a poll's answer. Those before an error stand.
    fn handle_payload(&mut self, packets: payload::Decode, now: Instant) {
        match packets.each(|packet| self.handle_packet(packet, Transport::Polling, now)) {
            Ok(()) => self.settle(),
            Err(reason) => self.end(reason),
        }
    }

    /// A packet from the current transport.
    fn handle_packet(
        &mut self,
        packet: Result<Packet, DecodeError>,
        from: Transport,
        now: Instant,
    ) -> Result<(), CloseReason> {
        match packet {
            Ok(Packet::Ping(_)) => {
                // A server that pings faster than it reads must not grow the queue without a bound.
                if self.buffer.has_room(1, 1, &self.config.buffer) {
                    self.buffer.push_own(Packet::Pong(Purpose::Heartbeat).encode());
                }
                self.restart_heartbeat(now);
                self.outputs.push_back(Output::Event(Event::Ping));
            }
            Ok(Packet::Message(message)) => self.outputs.push_back(Output::Event(Event::Message(message))),
            Ok(Packet::Close) if from == Transport::Polling => {
                return Err(CloseReason::TransportClose(Ending::Packet));
            }
            Ok(Packet::Open(_) | Packet::Close | Packet::Pong(_) | Packet::Upgrade | Packet::Noop) => {}
            Err(error) => return Err(CloseReason::TransportError(TransportError::Packet(error))),
        }
        Ok(())
    }

    fn read_payload(&self, body: Bytes) -> payload::Decode {
        payload::decode(payload::text(body)).with_max_packets(self.config.max_payload_packets)
    }

    /// Does what a polling session can do now that something has ended: commit to the websocket, say goodbye, or poll.
    fn settle(&mut self) {
        match &mut self.link {
            Link::Polling(Polling { get, post, upgrade: Upgrade::Pausing(lane), .. }) => {
                if get.is_none() && post.is_none() {
                    let lane = *lane;
                    self.complete_upgrade(lane);
                }
            }
            Link::Polling(polling) if self.closing && self.buffer.is_empty() && polling.post.is_none() => {
                self.leave();
            }
            Link::Polling(Polling { get: None, .. }) => {
                let (lane, target) = self.new_request(Transport::Polling);
                if let Link::Polling(polling) = &mut self.link {
                    polling.get = Some(lane);
                }
                self.outputs.push_back(Output::Get(lane, target));
            }
            Link::Leaving { post: None, .. } => self.end(CloseReason::ForcedClose),
            Link::Opening { .. } | Link::Polling(_) | Link::Websocket { .. } | Link::Leaving { .. } => {}
            Link::Closed => {}
        }
    }

    /// Sends the close packet, after everything else.
    fn leave(&mut self) {
        let (post, target) = self.new_request(Transport::Polling);
        let Link::Polling(Polling { get, upgrade, .. }) = &self.link else { return };
        let (get, upgrade) = (*get, *upgrade);
        self.link = Link::Leaving { get, post: Some(post) };
        self.timers.clear(Timer::Heartbeat);
        self.timers.clear(Timer::Upgrade);
        self.outputs.extend(upgrade.lane().map(Output::WsClose));
        self.outputs.push_back(Output::Post(post, target, Bytes::from_static(b"1")));
    }

    /// The next frames for a transport that can take them.
    fn transmit(&mut self) -> Option<Output> {
        match &mut self.link {
            Link::Polling(polling) if polling.can_post() && !self.buffer.is_empty() => {
                let count = payload::take_prefix(self.buffer.iter(), polling.terms.max_payload);
                let frames = self.buffer.iter().take(count);
                let mut body = Vec::with_capacity(payload::encoded_len(frames.clone()));
                payload::encode(frames, &mut body);
                (0..count).for_each(|_| drop(self.buffer.pop()));
                let (lane, target) = self.new_request(Transport::Polling);
                if let Link::Polling(polling) = &mut self.link {
                    polling.post = Some(lane);
                }
                Some(Output::Post(lane, target, body.into()))
            }
            Link::Websocket { lane, unflushed, .. } if *unflushed < MAX_UNFLUSHED_BYTES => {
                let (frame, compression) = self.buffer.pop()?;
                *unflushed += frame.len() + FRAME_OVERHEAD;
                Some(Output::WsSend(*lane, frame.into_wire(Revision::V4, self.config.binary), compression))
            }
            Link::Polling(_) | Link::Websocket { .. } | Link::Opening { .. } => None,
            Link::Leaving { .. } | Link::Closed => None,
        }
    }

    fn announce_room(&mut self) {
        if self.buffer.has_room_again(&self.config.buffer) {
            self.outputs.push_back(Output::Event(Event::Drained));
        }
    }

    /// Ends the session: every lane is given up, every timer and frame is dropped, and nothing follows
    /// [`Event::Closed`].
    fn end(&mut self, reason: CloseReason) {
        match core::mem::replace(&mut self.link, Link::Closed) {
            Link::Opening { lane, transport: Transport::Polling } => {
                self.outputs.push_back(Output::Abort(lane));
            }
            Link::Opening { lane, .. } | Link::Websocket { lane, .. } => {
                self.outputs.push_back(Output::WsClose(lane));
            }
            Link::Polling(Polling { get, post, upgrade, .. }) => {
                self.outputs.extend(get.into_iter().chain(post).map(Output::Abort));
                self.outputs.extend(upgrade.lane().map(Output::WsClose));
            }
            Link::Leaving { get, post } => {
                self.outputs.extend(get.into_iter().chain(post).map(Output::Abort));
            }
            Link::Closed => return,
        }
        if matches!(reason, CloseReason::TransportError(_)) {
            self.websocket_worked = false;
        }
        self.buffer.clear();
        self.timers.clear_all();
        self.outputs.push_back(Output::Event(Event::Closed(reason)));
    }

    fn restart_heartbeat(&mut self, now: Instant) {
        if let Link::Polling(Polling { terms, .. }) | Link::Websocket { terms, .. } = &self.link {
            self.timers.set(Timer::Heartbeat, now + terms.heartbeat);
        }
    }

    /// What a lane is used for, unless it is done.
    fn role(&self, lane: Lane) -> Option<Role> {
        let is = |other: Option<Lane>| other == Some(lane);
        match &self.link {
            Link::Opening { lane: opening, transport } if *opening == lane => Some(Role::Opening(*transport)),
            Link::Polling(Polling { get, .. }) | Link::Leaving { get, .. } if is(*get) => Some(Role::Get),
            Link::Polling(Polling { post, .. }) | Link::Leaving { post, .. } if is(*post) => Some(Role::Post),
            Link::Polling(Polling { upgrade, .. }) if is(upgrade.lane()) => Some(Role::Probe),
            Link::Websocket { lane: current, .. } if *current == lane => Some(Role::Websocket),
            _ => None,
        }
    }

    /// A request is done.
    fn finish(&mut self, role: Role) {
        if let Link::Polling(Polling { get, post, .. }) | Link::Leaving { get, post } = &mut self.link {
            *(if role == Role::Get { get } else { post }) = None;
        }
    }

    /// The lane and the target of a request to be made.
    fn new_request(&mut self, transport: Transport) -> (Lane, String) {
        // By the time a session has used up its numbers, the first ones are long done.
        let lane = Lane(u64::from(self.number) << 32 | u64::from(self.next_lane));
        self.next_lane = self.next_lane.wrapping_add(1);
        let sid = self.sid().cloned();
        (lane, target::target(&self.config, transport, sid.as_ref(), &mut self.random))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Opening(Transport),
    Get,
    Post,
    Probe,
    Websocket,
}

impl Polling {
    /// Whether a POST may be started.
    fn can_post(&self) -> bool {
        self.post.is_none() && !matches!(self.upgrade, Upgrade::Pausing(_))
    }
}

impl Terms {
    fn of(handshake: &Handshake) -> Self {
        Self {
            sid: handshake.sid.clone(),
            max_payload: handshake.max_payload,
            heartbeat: handshake.ping_interval.saturating_add(handshake.ping_timeout),
        }
    }
}

/// How long an orderly close may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
