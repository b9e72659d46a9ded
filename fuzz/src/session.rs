//! One server session under any sequence of requests, frames, failures, sends and time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::close::{CloseReason, TransportFault};
use socketio_core::engine::format::Format;
use socketio_core::engine::http::{Jsonp, Response};
use socketio_core::engine::packet::{BinaryEncoding, Frame, Message, Packet};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Config, EngineEvent, Event, Input, Opening, Output, SendError, Session};
use socketio_core::engine::{Revision, Transport, payload, payload_v3};
use socketio_core::{Bytes, Instant, Lane, Sid, Str};

use crate::script::Script;

/// The first byte chooses the dialect, each further one a step; some steps take more bytes.
pub fn session(data: &[u8]) {
    let mut script = Script::new(data);
    let Some(dialect) = script.byte() else { return };
    let mut world = World::new(dialect);
    world.drain();
    while let Some(step) = script.byte() {
        world.step(step, &mut script);
        // Any number of inputs may come between two drains.
        if step & 0x80 == 0 {
            world.drain();
        }
    }
    world.abandon();
}

/// Packets and payloads of both revisions.
const USUAL: &[&str] = &[
    "2probe",
    "5",
    "3",
    "2",
    "1",
    "6",
    "4a",
    "bAQI=",
    "b4AQI=",
    "4a\x1e4b\x1e3",
    "1:2",
    "2:4a1:2",
    "1:1",
    "d=4a",
    "",
    "9",
];

/// What became of a lane.
#[derive(Debug)]
struct State {
    kind: Kind,
    /// It was answered or closed.
    done: bool,
    /// Its connection ended.
    gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Poll,
    Post,
    Websocket,
}

/// A session, and what a driver and an honest client know of it.
struct World {
    session: Session,
    config: Arc<Config>,
    format: Format,
    now: Instant,
    lanes: Vec<State>,
    closed: bool,
    /// Messages that the session has taken, and those it has handed to a transport: they are numbered.
    taken: u64,
    handed_out: u64,
    watcher: Watcher,
}

/// Who watches a session, and knows which packets it made and has not handed over.
#[derive(Debug, Default)]
struct Watcher {
    waiting: VecDeque<Packet>,
    closed: bool,
}

impl Watcher {
    fn see(&mut self, event: EngineEvent) {
        assert!(!self.closed, "{event:?} after the close");
        match event {
            EngineEvent::PacketCreate(packet) => self.waiting.push_back(packet),
            EngineEvent::Flush(packets) => {
                assert!(!packets.is_empty());
                packets.into_iter().for_each(|packet| assert_eq!(self.waiting.pop_front(), Some(packet)));
            }
            EngineEvent::Drain => assert!(self.waiting.is_empty(), "{:?} wait", self.waiting),
            EngineEvent::Close(_) => self.closed = true,
            _ => {}
        }
    }
}

impl World {
    fn new(dialect: u8) -> Self {
        let flag = |bit: u8| dialect & (1 << bit) != 0;
        let binary = if flag(2) { BinaryEncoding::Base64 } else { BinaryEncoding::Raw };
        let format = Format {
            revision: if flag(0) { Revision::V3 } else { Revision::V4 },
            jsonp: (flag(3) && !flag(1)).then(|| Jsonp::new("0")),
            binary: if flag(3) { BinaryEncoding::Base64 } else { binary },
        };
        let config = Arc::new(Config {
            max_payload_packets: 8,
            buffer: BufferLimits { max_frames: 8, max_bytes: 256 },
            observe: flag(5),
            initial_message: flag(4).then(|| Message::Text(INITIAL.into())),
            ..Config::default()
        });
        let opening =
            Opening { sid: Sid::from("sid"), format: format.clone(), upgrades: vec![Transport::Websocket] };
        let now = Instant::ZERO;
        let (session, kind) = if flag(1) {
            (Session::websocket(config.clone(), opening, Lane(0), now), Kind::Websocket)
        } else {
            (Session::polling(config.clone(), opening, Lane(0), now), Kind::Poll)
        };
        let lanes = vec![State { kind, done: false, gone: false }];
        Self {
            session,
            config,
            format,
            now,
            lanes,
            closed: false,
            taken: 0,
            handed_out: 0,
            watcher: Watcher::default(),
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let input = match step & 0x0F {
            0 => Input::Poll(self.open(Kind::Poll)),
            1 => {
                let form = if script.choice() % 4 == 3 { Form::Binary } else { Form::Text };
                Input::Post(self.open(Kind::Post), form)
            }
            2 => Input::PostBody(self.pick(script), Bytes::copy_from_slice(script.packet(USUAL))),
            3 => Input::PostTooLarge(self.pick(script)),
            4 => Input::WsOpen(self.open(Kind::Websocket), BinaryEncoding::Raw),
            5 => {
                let lane = self.pick(script);
                let bytes = script.packet(USUAL);
                Input::WsFrame(lane, Str::try_from(bytes).map_or_else(|_| binary(bytes), Frame::Text))
            }
            6 => Input::WsFrame(self.pick(script), binary(script.packet(USUAL))),
            7 => {
                self.drain();
                let lane = self.pick(script);
                // The websocket is no more; of an HTTP request this says nothing.
                let state = &mut self.lanes[lane.0 as usize];
                state.gone |= state.kind == Kind::Websocket;
                Input::WsFault(lane, TransportFault::MessageTooLarge)
            }
            8 => Input::Flushed(self.pick(script)),
            9 => {
                // What was put out before reaches a connection that is still there.
                self.drain();
                let lane = self.pick(script);
                self.lanes[lane.0 as usize].gone = true;
                Input::LaneGone(lane)
            }
            10 => return self.pass(PASSES[script.choice() % PASSES.len()]),
            11 => return self.send(1, false),
            12 => return self.send(1, true),
            13 => return self.send(3, true),
            14 => return self.session.close(self.now),
            _ => return self.session.abort(CloseReason::ForcedClose),
        };
        self.session.handle(input, self.now);
    }

    fn open(&mut self, kind: Kind) -> Lane {
        self.lanes.push(State { kind, done: false, gone: false });
        Lane(self.lanes.len() as u64 - 1)
    }

    /// Any lane there ever was, counted from the newest: news of it may come late, and for another kind.
    fn pick(&self, script: &mut Script<'_>) -> Lane {
        Lane((self.lanes.len() - 1 - script.choice() % self.lanes.len()) as u64)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
        match self.session.poll_timeout() {
            Some(next) => assert!(next > self.now, "nothing that was due is left"),
            None => assert_eq!(self.session.transport(), None, "every state has a deadline"),
        }
    }

    /// A packet of this many messages, whose contents are numbers.
    fn send(&mut self, count: u64, is_binary: bool) {
        let number = |index: u64| (self.taken + index).to_string();
        let frames: Vec<_> = (0..count)
            .map(|index| {
                if is_binary {
                    Message::Binary(number(index).into())
                } else {
                    Message::Text(number(index).into())
                }
            })
            .map(|message| Packet::Message(message).encode())
            .collect();
        let bytes = frames.iter().map(Frame::len).sum();
        let was_open = self.session.is_open();
        match self.session.send(frames.into_iter(), bytes) {
            Ok(()) => self.taken += count,
            Err(SendError::Closed) => assert!(!was_open),
            Err(SendError::Full) => {
                assert!(self.session.buffered_bytes() > 0, "an empty queue takes anything")
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let has_output = self.session.has_output();
            let Some(output) = self.session.poll_output() else {
                assert!(!has_output);
                break;
            };
            assert!(has_output);
            self.check(output);
        }
        while let Some(event) = self.session.poll_engine_event() {
            self.watcher.see(event);
        }
        assert_eq!(self.watcher.closed, self.closed && self.config.observe, "the close is seen");
        let limit = self.config.buffer.max_bytes + SLACK;
        assert!(
            self.session.buffered_bytes() <= limit,
            "{} bytes are waiting",
            self.session.buffered_bytes()
        );
        assert_eq!(self.session.transport().is_none(), self.closed, "the close is announced");
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Respond(lane, response) => {
                let kind = self.finish(lane);
                assert_ne!(kind, Kind::Websocket);
                if kind == Kind::Poll && response.status == 200 {
                    self.check_poll(&response);
                }
            }
            Output::Abort(lane) => assert_ne!(self.finish(lane), Kind::Websocket),
            Output::WsSend(lane, frame, _) => {
                assert!(!self.closed);
                let State { kind, done, gone } = self.lanes[lane.0 as usize];
                assert_eq!((kind, done, gone), (Kind::Websocket, false, false));
                let packet = Packet::decode(self.format.revision, frame).expect("what is sent can be read");
                self.check_packet(&packet);
            }
            Output::WsClose(lane) => {
                let lane = &mut self.lanes[lane.0 as usize];
                assert_eq!((lane.kind, lane.done, lane.gone), (Kind::Websocket, false, false));
                lane.done = true;
            }
            Output::Event(event) => {
                assert!(!self.closed, "{event:?} after the close");
                self.closed = matches!(event, Event::Closed(_));
            }
        }
    }

    /// An HTTP request gets its one answer.
    fn finish(&mut self, lane: Lane) -> Kind {
        let lane = &mut self.lanes[lane.0 as usize];
        assert!(!lane.done && !lane.gone, "{lane:?} is answered");
        lane.done = true;
        lane.kind
    }

    fn check_poll(&mut self, response: &Response) {
        let mut body = response.body.clone();
        if self.format.jsonp.is_some() {
            let string = body.strip_prefix(b"___eio[0](").and_then(|script| script.strip_suffix(b");"));
            let payload: String = serde_json::from_slice(string.expect("a call")).expect("with one string");
            body = payload.into();
        }
        let is_binary = response.fields().any(|(_, value)| value == b"application/octet-stream");
        let packets: Result<Vec<_>, _> = match self.format.revision {
            Revision::V4 => payload::decode(payload::text(body)).collect(),
            Revision::V3 if is_binary => payload_v3::decode_binary(body).collect(),
            Revision::V3 => payload_v3::decode_text(payload::text(body)).collect(),
        };
        packets.expect("what is sent can be read").iter().for_each(|packet| self.check_packet(packet));
    }

    /// Messages leave in order, each once.
    fn check_packet(&mut self, packet: &Packet) {
        let number = match packet {
            Packet::Message(Message::Text(text)) if *text == INITIAL => {
                return assert_eq!(self.handed_out, 0);
            }
            Packet::Message(Message::Text(text)) => text.as_bytes(),
            Packet::Message(Message::Binary(data)) => data,
            _ => return,
        };
        assert_eq!(number, self.handed_out.to_string().as_bytes());
        self.handed_out += 1;
        assert!(self.handed_out <= self.taken);
    }

    /// The client is never heard of again: the session ends by itself.
    fn abandon(mut self) {
        self.drain();
        for _ in 0..MAX_TIMEOUTS {
            let Some(next) = self.session.poll_timeout() else { break };
            self.pass(next.saturating_since(self.now));
            self.drain();
        }
        assert!(self.closed, "a session outlives its client");
        assert_eq!(self.session.buffered_bytes(), 0);
        let left = self.lanes.iter().filter(|lane| !lane.done && !lane.gone).count();
        assert_eq!(left, 0, "lanes that nobody answers: {:?}", self.lanes);
    }
}

fn binary(bytes: &[u8]) -> Frame {
    Frame::Binary(Bytes::copy_from_slice(bytes))
}

const INITIAL: &str = "initial";

/// Around the default deadlines.
const PASSES: &[Duration] = &[
    Duration::ZERO,
    Duration::from_micros(1),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(25),
    Duration::from_secs(30),
    Duration::from_secs(46),
];

/// Bytes the queue may hold beyond its limit: heartbeats and a message that is larger than the limit by itself.
const SLACK: usize = 64;

/// More than the noops of a probe (one each 100 ms for 10 s) and every other deadline together.
const MAX_TIMEOUTS: usize = 200;
