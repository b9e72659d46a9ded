//! The transitions of a session, one test each; then all orders of events up to a depth, and long random ones.
//!
//! A [`Rig`] drives a session as a driver does, writes down what comes out as text, and checks on the way what must
//! hold whatever happens: every lane is answered exactly once, nothing follows the close, no deadline stays behind.

extern crate std;

mod chaos;
mod closing;
mod heartbeat;
mod limits;
mod model;
mod observe;
mod orders;
mod polling;
mod revision3;
mod upgrade;
mod walk;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::engine::buffer::BufferLimits;
use crate::engine::http::Jsonp;
use crate::engine::packet::{BinaryEncoding, Message};
use crate::engine::payload_v3::Form;

/// A session, the time, and the lanes it has been given.
struct Rig {
    session: Session,
    now: Instant,
    lanes: Lanes,
    said: Vec<String>,
}

impl Rig {
    /// A session that has just opened by polling; the answer to that is checked elsewhere.
    fn polling() -> Self {
        Self::open(Config::default(), Format::V4, Transport::Polling)
    }

    /// A session that has just opened on websocket 0.
    fn websocket() -> Self {
        let mut rig = Self::open(Config::default(), Format::V4, Transport::Websocket);
        rig.flushed(0).says(&[]);
        rig
    }

    /// A session on websocket 7 that began by polling.
    fn upgraded() -> Self {
        let mut rig = Self::polling();
        rig.ws(7).frame(7, "2probe").frame(7, "5").flushed(7).says(&["7> 3probe", "upgraded"]);
        rig
    }

    fn open(config: Config, format: Format, transport: Transport) -> Self {
        let mut rig = Self::handshake(config, format, transport);
        rig.said.clear();
        rig
    }

    /// The same, with what it said at the handshake.
    fn handshake(config: Config, format: Format, transport: Transport) -> Self {
        let upgrades = match transport {
            Transport::Polling => alloc::vec![Transport::Websocket],
            _ => Vec::new(),
        };
        let opening = Opening { sid: "S".into(), format, upgrades };
        let now = Instant::from_micros(1_000_000);
        let (config, lane) = (Arc::new(config), Lane(0));
        let (session, kind) = match transport {
            Transport::Polling => (Session::polling(config, opening, lane, now), Kind::Get),
            _ => (Session::websocket(config, opening, lane, now), Kind::Ws),
        };
        let mut rig = Self { session, now, lanes: Lanes::default(), said: Vec::new() };
        rig.lanes.open(lane, kind, &rig.session);
        rig.drain();
        rig
    }

    fn get(&mut self, lane: u64) -> &mut Self {
        self.lanes.open(Lane(lane), Kind::Get, &self.session);
        self.handle(Input::Poll(Lane(lane)))
    }

    /// A POST whose body has not come.
    fn post_head(&mut self, lane: u64) -> &mut Self {
        self.post_head_as(lane, Form::Text)
    }

    fn post_head_as(&mut self, lane: u64, form: Form) -> &mut Self {
        self.lanes.open(Lane(lane), Kind::Post, &self.session);
        self.handle(Input::Post(Lane(lane), form))
    }

    fn post_body(&mut self, lane: u64, body: impl AsRef<[u8]>) -> &mut Self {
        let body = Bytes::copy_from_slice(body.as_ref());
        self.handle(Input::PostBody(Lane(lane), body))
    }

    /// A whole POST; `␞` stands for the separator.
    fn post(&mut self, lane: u64, body: &str) -> &mut Self {
        self.post_head(lane).post_body(lane, body.replace('␞', "\x1E"))
    }

    fn ws(&mut self, lane: u64) -> &mut Self {
        self.ws_that_wants(lane, BinaryEncoding::Raw)
    }

    fn ws_that_wants(&mut self, lane: u64, binary: BinaryEncoding) -> &mut Self {
        self.lanes.open(Lane(lane), Kind::Ws, &self.session);
        self.handle(Input::WsOpen(Lane(lane), binary))
    }

    fn frame(&mut self, lane: u64, text: &str) -> &mut Self {
        self.handle(Input::WsFrame(Lane(lane), Frame::Text(text.into())))
    }

    fn bytes(&mut self, lane: u64, bytes: &[u8]) -> &mut Self {
        self.handle(Input::WsFrame(Lane(lane), Frame::Binary(Bytes::copy_from_slice(bytes))))
    }

    fn flushed(&mut self, lane: u64) -> &mut Self {
        self.handle(Input::Flushed(Lane(lane)))
    }

    fn gone(&mut self, lane: u64) -> &mut Self {
        self.lanes.end(Lane(lane));
        self.handle(Input::LaneGone(Lane(lane)))
    }

    fn fault(&mut self, lane: u64, fault: TransportFault) -> &mut Self {
        self.lanes.end(Lane(lane));
        self.handle(Input::WsFault(Lane(lane), fault))
    }

    fn handle(&mut self, input: Input) -> &mut Self {
        self.session.handle(input, self.now);
        self.drain()
    }

    fn send(&mut self, text: &str) -> &mut Self {
        self.try_send(text).unwrap();
        self
    }

    fn try_send(&mut self, text: &str) -> Result<(), SendError> {
        self.try_send_all(&[Message::Text(text.into())])
    }

    fn send_binary(&mut self, bytes: &[u8]) -> &mut Self {
        self.try_send_all(&[Message::Binary(Bytes::copy_from_slice(bytes))]).unwrap();
        self
    }

    /// The messages as one: all of them, or none.
    fn try_send_all(&mut self, messages: &[Message]) -> Result<(), SendError> {
        let frames: Vec<_> =
            messages.iter().map(|message| Packet::Message(message.clone()).encode()).collect();
        let bytes = frames.iter().map(Frame::len).sum();
        let sent = self.session.send(frames.into_iter(), bytes);
        self.drain();
        sent
    }

    fn close(&mut self) -> &mut Self {
        self.session.close(self.now);
        self.drain()
    }

    fn abort(&mut self, reason: CloseReason) -> &mut Self {
        self.session.abort(reason);
        self.drain()
    }

    /// Lets time pass, with a driver that wakes whenever the session asks for it.
    fn wait(&mut self, millis: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.session.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.wake();
        }
        self.now = end;
        self
    }

    /// Lets time pass, with a driver that wakes only afterwards.
    fn oversleep(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.wake()
    }

    fn wake(&mut self) -> &mut Self {
        self.session.handle_timeout(self.now);
        assert!(self.session.poll_timeout().is_none_or(|next| next > self.now), "{self}");
        self.drain()
    }

    fn drain(&mut self) -> &mut Self {
        loop {
            let promised = self.session.has_output();
            let output = self.session.poll_output();
            assert_eq!(promised, output.is_some(), "has_output lies; {self}");
            let Some(output) = output else { break };
            self.said.push(shown(&output));
            if let Err(why) = self.lanes.check(&output) {
                panic!("{why}; {self}");
            }
        }
        if self.session.transport().is_none() {
            assert!(self.lanes.is_closed, "closed without a word; {self}");
            assert_eq!(self.session.poll_timeout(), None, "{self}");
            assert_eq!(self.session.buffered_bytes(), 0, "{self}");
            assert!(!self.session.is_open() && !self.session.is_writable());
        }
        self
    }

    /// What it has said since it was asked last.
    fn says(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(core::mem::take(&mut self.said), expected);
        self
    }
}

impl core::fmt::Display for Rig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at {:?}, said {:?}, {:#?}", self.now, self.said, self.session)
    }
}

/// What must hold between the lanes a session was given and what it said on them.
#[derive(Clone, Debug, Default)]
struct Lanes {
    open: BTreeMap<Lane, Kind>,
    /// Those that came when the session was over; they are turned away with an answer of their own.
    late: BTreeSet<Lane>,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    Post,
    Ws,
}

impl Lanes {
    fn open(&mut self, lane: Lane, kind: Kind, session: &Session) {
        self.open.insert(lane, kind);
        if session.transport().is_none() {
            self.late.insert(lane);
        }
    }

    /// Nothing may be said on it any more.
    fn end(&mut self, lane: Lane) -> Option<Kind> {
        self.late.remove(&lane);
        self.open.remove(&lane)
    }

    fn check(&mut self, output: &Output) -> Result<(), String> {
        let (lane, kind) = match output {
            Output::Respond(lane, _) => match self.end(*lane) {
                Some(Kind::Get | Kind::Post) => return Ok(()),
                kind => (lane, kind),
            },
            Output::Abort(lane) => match self.end(*lane) {
                Some(Kind::Post) => return Ok(()),
                kind => (lane, kind),
            },
            Output::WsClose(lane) => match self.end(*lane) {
                Some(Kind::Ws) => return Ok(()),
                kind => (lane, kind),
            },
            Output::WsSend(lane, _, _) => match self.open.get(lane) {
                Some(Kind::Ws) if !self.is_closed => return Ok(()),
                kind => (lane, kind.copied()),
            },
            Output::Event(_) if self.is_closed => return Err("an event after the close".into()),
            Output::Event(Event::Closed(_)) => {
                self.is_closed = true;
                return match self.open.iter().find(|(lane, _)| !self.late.contains(lane)) {
                    Some((lane, kind)) => Err(format!("{kind:?} {lane:?} was forgotten")),
                    None => Ok(()),
                };
            }
            Output::Event(_) => return Ok(()),
        };
        Err(format!("{output:?}, but {lane:?} is {kind:?}"))
    }
}

/// An output in words: `3: 6␞1` answers request 3, `7> 2` is sent on websocket 7.
fn shown(output: &Output) -> String {
    match output {
        Output::Respond(Lane(lane), response) => format!("{lane}: {}", shown_response(response)),
        Output::Abort(Lane(lane)) => format!("{lane}: aborted"),
        Output::WsSend(Lane(lane), Frame::Text(text), _) => format!("{lane}> {text}"),
        Output::WsSend(Lane(lane), Frame::Binary(bytes), _) => format!("{lane}> {bytes:?}"),
        Output::WsClose(Lane(lane)) => format!("{lane}: close"),
        Output::Event(Event::Upgraded(Transport::Websocket)) => "upgraded".into(),
        Output::Event(Event::Upgraded(other)) => format!("upgraded to {other:?}"),
        Output::Event(Event::Message(Message::Text(text))) => format!("got {text}"),
        Output::Event(Event::Message(Message::Binary(bytes))) => format!("got {bytes:?}"),
        Output::Event(Event::Drained) => "drained".into(),
        Output::Event(Event::Closed(CloseReason::TransportError(fault))) => {
            format!("closed: transport error, {fault}")
        }
        Output::Event(Event::Closed(reason)) => format!("closed: {reason}"),
    }
}

fn shown_response(response: &Response) -> String {
    let body = core::str::from_utf8(&response.body).map_or_else(
        |_| format!("{:?}", response.body),
        |text| if text.contains('\0') { format!("{text:?}") } else { text.replace('\x1E', "␞") },
    );
    match (response.status, &*body) {
        (200, body) => body.to_string(),
        (status, "") => status.to_string(),
        (status, body) => format!("{status} {body}"),
    }
}

const V3: Format = Format { revision: Revision::V3, ..Format::V4 };

const TRANSPORT_MISMATCH: &str = r#"400 {"code":3,"message":"Bad request"}"#;
const UNKNOWN_SID: &str = r#"400 {"code":1,"message":"Session ID unknown"}"#;

/// Time for everything that a session waits for by default.
const MINUTE: u64 = 60_000;
