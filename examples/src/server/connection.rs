//! One connection: the bytes of HTTP/1.1, and after an upgrade those of a websocket.
//!
//! Bytes in, bytes out. Requests may be pipelined: each is taken as it comes, and the answers wait for their turn.
//!
//! ```text
//!            head            last of the body
//!   ┌─► Head ─────► Body ───┐
//!   │    │ 101        │     │        everything but Over ends in it: by an answer that says so,
//!   └────┼────────────┼─────┘        by bytes that mean nothing, by the end of the connection
//!        ▼            ▼
//!    Websocket ────► Over
//!        │            ▲
//!        └─► Closing ─┘
//! ```

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use socketio_core::engine::close::TransportFault;
use socketio_core::engine::http::{Fields, Header, Response};
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::Input;
use socketio_core::{Bytes, Instant, Lane, Str};
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

use super::clients::{Accept, Clients, Next, Wire};
use super::http1::{Body, Head, Malformed, Piece};

/// The number of a connection, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// It broke.
    Broken,
}

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    address: IpAddr,
    phase: Phase,
    /// Received, but incomplete.
    input: Vec<u8>,
    /// Requests whose answer has not been written, in order of arrival.
    unanswered: VecDeque<Slot>,
    output: Vec<u8>,
    /// Bytes that were taken out to be written, and of which nobody has said that they are.
    unwritten: usize,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Head,
    Body {
        lane: Option<Lane>,
        body: Body,
        data: Vec<u8>,
    },
    Websocket {
        lane: Lane,
        protocol: Box<WebSocketContext>,
    },
    /// Our close frame is sent; the peer's is awaited.
    Closing {
        protocol: Box<WebSocketContext>,
    },
    /// Nobody will ever answer.
    Hanging,
    /// Nothing is read any more. What is to be written is, and then the connection is closed.
    Over,
}

/// A request that waits for its answer, or for its turn.
#[derive(Debug)]
struct Slot {
    lane: Option<Lane>,
    is_head: bool,
    keep_alive: bool,
    extra: Vec<Header>,
    response: Option<Response>,
}

impl Connection {
    /// A connection that was accepted at `now`.
    pub fn new(id: ConnectionId, address: IpAddr, now: Instant) -> Self {
        Self {
            id,
            address,
            phase: Phase::Head,
            input: Vec::new(),
            unanswered: VecDeque::new(),
            output: Vec::new(),
            unwritten: 0,
            deadline: Some(now + SILENCE_TIMEOUT),
        }
    }

    /// Takes bytes that were read.
    pub fn receive<W>(&mut self, bytes: &[u8], clients: &mut Clients<W>, now: Instant) {
        let mut received = std::mem::take(&mut self.input);
        received.extend_from_slice(bytes);
        let mut rest = &received[..];
        while self.step(&mut rest, clients, now) {}
        self.input = rest.to_vec();
        self.flush_answers();
        match self.phase {
            Phase::Head => self.deadline = self.unanswered.is_empty().then_some(now + SILENCE_TIMEOUT),
            Phase::Body { .. } => self.deadline = Some(now + SILENCE_TIMEOUT),
            Phase::Websocket { .. } | Phase::Closing { .. } | Phase::Hanging | Phase::Over => {}
        }
    }

    /// Takes one step through what was received. Returns false when there is nothing to do with it yet.
    fn step<W>(&mut self, rest: &mut &[u8], clients: &mut Clients<W>, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Head => match Head::parse(rest) {
                Ok(None) => false,
                Ok(Some((head, len))) => {
                    *rest = &rest[len..];
                    self.handle_head(&head, clients, now);
                    true
                }
                Err(Malformed) => self.break_off(),
            },
            Phase::Body { lane, body, data } => match body.next(rest) {
                Ok(Piece::Partial) => false,
                Ok(Piece::Data(bytes)) => {
                    if lane.is_none() {
                        return true;
                    }
                    data.extend_from_slice(bytes);
                    if data.len() > clients.config().engine.max_payload_bytes
                        && let Some(lane) = lane.take()
                    {
                        // The rest is read all the same, so that the client gets to read the answer.
                        *data = Vec::new();
                        clients.handle(Input::PostTooLarge(lane), now);
                    }
                    true
                }
                Ok(Piece::End) => {
                    let (lane, data) = (lane.take(), std::mem::take(data));
                    self.phase = Phase::Head;
                    if let Some(lane) = lane {
                        clients.handle(Input::PostBody(lane, data.into()), now);
                    }
                    true
                }
                Err(Malformed) => self.break_off(),
            },
            Phase::Websocket { .. } | Phase::Closing { .. } => {
                let bytes = std::mem::take(rest);
                self.receive_frames(bytes, clients, now);
                false
            }
            Phase::Hanging | Phase::Over => {
                *rest = &[];
                false
            }
        }
    }

    fn handle_head<W>(&mut self, head: &Head, clients: &mut Clients<W>, now: Instant) {
        let request = head.request();
        let is_upgrade = request.is_upgrade();
        if self.unanswered.len() >= MAX_PIPELINED || (is_upgrade && !self.unanswered.is_empty()) {
            self.break_off();
            return;
        }
        let next = clients.request(self.id, head, self.address, now);
        let mut slot = Slot {
            lane: None,
            is_head: request.method == "HEAD",
            keep_alive: head.keep_alive && !is_upgrade,
            extra: clients.extra_headers(head),
            response: None,
        };
        let mut body_lane = None;
        match next {
            Next::Respond(response) => slot.response = Some(response),
            Next::Wait(lane) => slot.lane = Some(lane),
            Next::ReadBody(lane) => {
                slot.lane = Some(lane);
                body_lane = Some(lane);
            }
            Next::Upgrade(accept, lane) => return self.upgrade(&accept, &slot.extra, lane, clients, now),
            Next::ForeignUpgrade => {
                self.phase = Phase::Hanging;
                self.deadline = Some(now + FOREIGN_UPGRADE_TIMEOUT);
                return;
            }
        }
        self.phase = Phase::Body { lane: body_lane, body: Body::new(head.framing), data: Vec::new() };
        self.unanswered.push_back(slot);
    }

    fn upgrade<W>(
        &mut self,
        accept: &Accept,
        extra: &[Header],
        lane: Option<Lane>,
        clients: &Clients<W>,
        now: Instant,
    ) {
        self.output.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        );
        let mut field = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                self.output.extend_from_slice(part);
            }
        };
        field("Sec-WebSocket-Accept", accept.key.as_bytes());
        if let Some(protocol) = &accept.protocol {
            field("Sec-WebSocket-Protocol", protocol.as_bytes());
        }
        extra.iter().for_each(|header| field(header.name, &header.value));
        self.output.extend_from_slice(b"\r\n");
        let limit = clients.config().engine.max_payload_bytes;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let protocol = Box::new(WebSocketContext::new(Role::Server, Some(config)));
        self.deadline = None;
        match lane {
            Some(lane) => self.phase = Phase::Websocket { lane, protocol },
            None => {
                self.phase = Phase::Closing { protocol };
                self.close(now);
            }
        }
    }

    fn receive_frames<W>(&mut self, bytes: &[u8], clients: &mut Clients<W>, now: Instant) {
        let (lane, protocol) = match &mut self.phase {
            Phase::Websocket { lane, protocol } => (Some(*lane), protocol),
            Phase::Closing { protocol } => (None, protocol),
            _ => return,
        };
        let mut wire = Memory { input: bytes, output: &mut self.output };
        let fault = loop {
            let frame = match protocol.read(&mut wire) {
                Ok(Message::Text(text)) => match Str::try_from(Bytes::from(text)) {
                    Ok(text) => Frame::Text(text),
                    Err(_) => break Some((CloseCode::Invalid, TransportFault::Connection)),
                },
                Ok(Message::Binary(bytes)) => Frame::Binary(bytes),
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break None,
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    break Some((CloseCode::Size, TransportFault::MessageTooLarge));
                }
                Err(Error::Utf8(_)) => break Some((CloseCode::Invalid, TransportFault::Connection)),
                Err(_) => break Some((CloseCode::Protocol, TransportFault::Connection)),
            };
            if let Some(lane) = lane {
                clients.handle(Input::WsFrame(lane, frame), now);
            }
        };
        if let Some((code, _)) = fault {
            let frame = CloseFrame { code, reason: Utf8Bytes::default() };
            // What is wrong has been found out; whether it can be said does not matter.
            let _ = protocol.close(&mut wire, Some(frame));
        }
        self.finish();
        if let Some(lane) = lane {
            let input = match fault {
                Some((_, fault)) => Input::WsFault(lane, fault),
                None => Input::LaneGone(lane),
            };
            clients.handle(input, now);
        }
    }

    /// Takes the end of the connection. Also to be called for one that [is over](Self::is_over), so that nobody waits
    /// for it.
    pub fn handle_end<W>(&mut self, end: End, clients: &mut Clients<W>, now: Instant) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        self.output = Vec::new();
        self.unwritten = 0;
        self.deadline = None;
        for lane in self.unanswered.drain(..).filter_map(|slot| slot.lane) {
            clients.handle(Input::LaneGone(lane), now);
        }
        if let Phase::Websocket { lane, .. } = phase {
            clients.handle(
                match end {
                    End::Closed => Input::LaneGone(lane),
                    End::Broken => Input::WsFault(lane, TransportFault::Connection),
                },
                now,
            );
        }
    }

    /// Takes what a client has to say on this connection.
    pub fn carry_out(&mut self, wire: Wire, now: Instant) {
        match wire {
            Wire::Respond(lane, response) => {
                if let Some(slot) = self.unanswered.iter_mut().find(|slot| slot.lane == Some(lane)) {
                    slot.lane = None;
                    slot.response = Some(response);
                }
                self.flush_answers();
                if matches!(self.phase, Phase::Head) && self.unanswered.is_empty() {
                    self.deadline = Some(now + SILENCE_TIMEOUT);
                }
            }
            Wire::Abort => self.finish(),
            Wire::Send(frame) => {
                let (data, payload) = match &frame {
                    Frame::Text(text) => (Data::Text, text.as_bytes()),
                    Frame::Binary(bytes) => (Data::Binary, bytes),
                };
                let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
                // Writing to a Vec does not fail.
                let _ = header.format(payload.len() as u64, &mut self.output);
                self.output.extend_from_slice(payload);
            }
            Wire::Close => {
                if let Phase::Websocket { protocol, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
                    self.phase = Phase::Closing { protocol };
                    self.close(now);
                }
            }
        }
    }

    /// Sends a close frame without a status, and gives the peer some time to answer it.
    fn close(&mut self, now: Instant) {
        if let Phase::Closing { protocol } = &mut self.phase {
            let _ = protocol.close(&mut Memory { input: &[], output: &mut self.output }, None);
            self.deadline = Some(now + CLOSE_TIMEOUT);
        }
    }

    /// Ends the connection over bytes that mean nothing.
    fn break_off(&mut self) -> bool {
        let response = Response {
            status: 400,
            headers: Fields::CLOSE,
            extra: Vec::new(),
            body: Bytes::new(),
            compressible: false,
        };
        self.output.extend_from_slice(&response.to_http1());
        self.finish();
        false
    }

    /// Writes the answers whose turn it is.
    fn flush_answers(&mut self) {
        while !self.is_over()
            && let Some(response) = self.unanswered.front_mut().and_then(|slot| slot.response.take())
            && let Some(slot) = self.unanswered.pop_front()
        {
            let response = response.with(slot.extra);
            let mut bytes = response.to_http1();
            if slot.is_head {
                bytes.truncate(bytes.len() - response.body.len());
            }
            self.output.append(&mut bytes);
            if !slot.keep_alive {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        self.phase = Phase::Over;
        self.deadline = None;
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The peer had its time, whatever for.
    pub fn handle_timeout(&mut self) {
        self.finish();
    }

    /// Takes out what is to be written.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.unwritten += self.output.len();
        std::mem::take(&mut self.output)
    }

    /// So many bytes of what was taken out are written.
    pub fn handle_written<W>(&mut self, len: usize, clients: &mut Clients<W>, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(len);
        if let Phase::Websocket { lane, .. } = self.phase
            && self.unwritten == 0
            && self.output.is_empty()
        {
            clients.handle(Input::Flushed(lane), now);
        }
    }

    /// Whether the connection is to be closed once everything is written.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }
}

/// What tungstenite takes for a connection.
struct Memory<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a connection may be silent when the client has the word.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a request for somebody else's upgrade is left hanging (REFERENCE 1.4).
const FOREIGN_UPGRADE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a peer may take to answer a close frame (REFERENCE 1.11).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that a client may send ahead of their answers.
const MAX_PIPELINED: usize = 16;

/// What an idle websocket keeps.
const READ_BUFFER_BYTES: usize = 1024;
