//! One client under any sequence of messages, commands of the application and time: namespaces and acknowledgements.
//!
//! How the messages travel is the business of [`session`](crate::session()); here they come by POST or on a websocket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::format::Format;
use socketio_core::engine::packet::{BinaryEncoding, Frame, Packet as EnginePacket};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Config as EngineConfig, Input, Opening};
use socketio_core::engine::{Revision, Transport, payload, payload_v3};
use socketio_core::peer::{Config, Delivery, Event, Output, Peer, SendError};
use socketio_core::socket::server::{Config as SocketConfig, Event as SocketEvent, Slot};
use socketio_core::socket::{Codec, Decoder, Limits, Nsp};
use socketio_core::{AckId, Bytes, Instant, Lane, Sid, Str};

use crate::script::Script;

/// The first byte chooses transport and revision, each further one a step; some steps take more bytes.
pub fn peer(data: &[u8]) {
    let mut script = Script::new(data);
    let Some(dialect) = script.byte() else { return };
    let mut world = World::new(dialect);
    world.drain();
    while let Some(step) = script.byte() {
        world.step(step, &mut script);
        if step & 0x80 == 0 {
            world.drain();
        }
    }
    world.abandon();
}

/// Messages as a websocket carries them.
const USUAL: &[&str] = &[
    "40",
    "40/a,{\"token\":1}",
    "40/b,",
    "40/c,",
    "40/a?x=y,",
    "41",
    "41/a,",
    "42[\"e\",1]",
    "4212[\"e\"]",
    "42/a,[\"e\"]",
    "430[\"r\"]",
    "431[]",
    "43/a,2[]",
    "44{\"message\":\"no\"}",
    "451-[\"b\",{\"_placeholder\":true,\"num\":0}]",
    "452-/a,1[\"b\",{\"_placeholder\":true,\"num\":1}]",
    "42",
    "42[\"connect\"]",
    "3",
    "2",
    "4",
];

/// A socket, as the application knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    Joined,
    Refused,
    Left,
}

struct World {
    peer: Peer<u64>,
    revision: Revision,
    now: Instant,
    /// The websocket, if there is one.
    websocket: Option<Lane>,
    lanes: u64,
    sockets: BTreeMap<Slot, (Nsp, State)>,
    /// Acknowledgements that are waited for, by the waiter, which is also the id.
    waiting: BTreeSet<u64>,
    waiters: u64,
    /// What the client has received.
    client: Decoder,
    closed: bool,
}

impl World {
    fn new(dialect: u8) -> Self {
        let flag = |bit: u8| dialect & (1 << bit) != 0;
        let revision = if flag(0) { Revision::V3 } else { Revision::V4 };
        let socket = SocketConfig {
            limits: Limits { max_attachments: 2, max_attachment_bytes: 64, ..Limits::default() },
            max_namespaces: 3,
            max_pending_acks: 3,
            ..SocketConfig::default()
        };
        let buffer = BufferLimits { max_frames: 8, max_bytes: 512 };
        let config = Config { engine: Arc::new(EngineConfig { buffer, ..EngineConfig::default() }), socket };
        let opening = Opening {
            sid: Sid::from("sid"),
            format: Format { revision, ..Format::V4 },
            upgrades: vec![Transport::Websocket],
        };
        let (config, now, lane) = (Arc::new(config), Instant::ZERO, Lane(0));
        let websocket = flag(1).then_some(lane);
        let peer = match websocket {
            Some(lane) => Peer::websocket(config, opening, lane, now),
            None => Peer::polling(config, opening, lane, now),
        };
        Self {
            peer,
            revision,
            now,
            websocket,
            lanes: 1,
            sockets: BTreeMap::new(),
            waiting: BTreeSet::new(),
            waiters: 0,
            client: Decoder::new(Codec::Text, Limits::default()),
            closed: false,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let now = self.now;
        match step & 0x0F {
            0..=4 => self.receive(script.packet(USUAL), step & 0x0F == 4),
            5 => self.poll(),
            6 => {
                let slot = self.pick(script);
                let is_joining = self.sockets.get(&slot).is_some_and(|(_, state)| *state == State::Joining);
                if is_joining && self.peer.accept(slot, &Sid::from("id"), None).is_ok() {
                    self.set(slot, State::Joined);
                }
            }
            7 => {
                let slot = self.pick(script);
                let is_joining = self.sockets.get(&slot).is_some_and(|(_, state)| *state == State::Joining);
                if is_joining && self.peer.is_live(slot) {
                    // Whether or not the client hears of it, the slot is free.
                    let _ = self.peer.refuse(slot, "no", script.byte().as_ref());
                    self.set(slot, State::Refused);
                }
            }
            8 => self.send(script, Delivery::Reliable),
            9 => self.send(script, Delivery::Volatile),
            10 => self.send_with_ack(script),
            11 => {
                let (slot, id) = (self.pick(script), script.choice() as u64);
                if let Some(waiter) = self.peer.forget_ack(slot, AckId(id)) {
                    self.resolve(waiter);
                }
            }
            12 => {
                let slot = self.pick(script);
                self.peer.leave(slot, now);
            }
            13 => self.pass(Duration::from_secs(script.choice() as u64)),
            14 => match script.choice() % 4 {
                0 => self.peer.disconnect(now),
                1 => self.peer.close(now),
                2 => self.peer.shut_down(now),
                _ => self.peer.give_up(now),
            },
            _ => {
                let lane = self.websocket.unwrap_or(Lane(self.lanes - 1));
                self.drain();
                self.peer.handle(Input::LaneGone(lane), now);
            }
        }
    }

    /// A message from the client; as bytes if `is_binary`.
    fn receive(&mut self, bytes: &[u8], is_binary: bool) {
        let frame = match Str::try_from(bytes) {
            Ok(text) if !is_binary => Frame::Text(text),
            _ => Frame::Binary(Bytes::copy_from_slice(bytes)),
        };
        if let Some(lane) = self.websocket {
            return self.peer.handle(Input::WsFrame(lane, frame), self.now);
        }
        let lane = self.next_lane();
        let mut body = Vec::new();
        let form = match self.revision {
            Revision::V4 => {
                payload::encode(&[frame], &mut body);
                Form::Text
            }
            Revision::V3 => payload_v3::encode(&[frame], BinaryEncoding::Raw, &mut body),
        };
        self.peer.handle(Input::Post(lane, form), self.now);
        self.peer.handle(Input::PostBody(lane, body.into()), self.now);
    }

    /// The client takes what there is.
    fn poll(&mut self) {
        match self.websocket {
            Some(lane) => self.peer.handle(Input::Flushed(lane), self.now),
            None => {
                let lane = self.next_lane();
                self.peer.handle(Input::Poll(lane), self.now);
            }
        }
    }

    fn send(&mut self, script: &mut Script<'_>, delivery: Delivery) {
        let slot = self.pick(script);
        let data = Bytes::from(vec![7; script.choice() % 4]);
        let encoded = Codec::Text.event(&self.nsp(slot), None, "e", &("x", data)).expect("it encodes");
        match self.peer.send(slot, &encoded, delivery) {
            Ok(()) => assert!(self.peer.is_live(slot)),
            Err(SendError::Disconnected) => {}
            Err(error) => assert_eq!((error, delivery), (SendError::Full, Delivery::Reliable)),
        }
    }

    fn send_with_ack(&mut self, script: &mut Script<'_>) {
        let slot = self.pick(script);
        let waiter = self.waiters;
        self.waiters += 1;
        let deadline = script
            .byte()
            .filter(|&seconds| seconds != 0)
            .map(|seconds| self.now + Duration::from_secs(seconds.into()));
        let encoded =
            Codec::Text.event(&self.nsp(slot), Some(AckId(waiter)), "ask", &()).expect("it encodes");
        match self.peer.send_with_ack(slot, &encoded, AckId(waiter), waiter, deadline) {
            Ok(()) => assert!(self.waiting.insert(waiter)),
            Err((_, back)) => assert_eq!(back, waiter),
        }
        assert!(self.waiting.len() <= 3 * 3, "three for each of three namespaces");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.peer.handle_timeout(self.now);
        match self.peer.poll_timeout() {
            Some(next) => assert!(next > self.now, "nothing that was due is left"),
            None => assert_eq!(self.peer.transport(), None, "every state has a deadline"),
        }
    }

    fn drain(&mut self) {
        loop {
            let has_output = self.peer.has_output();
            let Some(output) = self.peer.poll_output() else {
                break assert!(!has_output);
            };
            assert!(has_output);
            match output {
                Output::Event(event) => self.check(event),
                Output::WsSend(_, frame, _) => {
                    self.client_receives(EnginePacket::decode(self.revision, frame))
                }
                Output::Respond(_, response) if response.status == 200 && *response.body != *b"ok" => {
                    let packets: Vec<_> = match self.revision {
                        Revision::V4 => payload::decode(payload::text(response.body)).collect(),
                        Revision::V3
                            if response.fields().any(|(_, value)| value == b"application/octet-stream") =>
                        {
                            payload_v3::decode_binary(response.body).collect()
                        }
                        Revision::V3 => payload_v3::decode_text(payload::text(response.body)).collect(),
                    };
                    packets.into_iter().for_each(|packet| self.client_receives(packet));
                }
                Output::Respond(..) | Output::Abort(_) | Output::WsClose(_) => {}
            }
        }
    }

    /// Whatever is sent is well formed, its attachments behind it.
    fn client_receives<E: std::fmt::Debug>(&mut self, packet: Result<EnginePacket, E>) {
        if let EnginePacket::Message(message) = packet.expect("an engine packet") {
            self.client.push(message).expect("a socket packet");
        }
    }

    fn check(&mut self, event: Event<u64>) {
        assert!(!self.closed, "{event:?} after the close");
        match event {
            Event::Socket(SocketEvent::ConnectRequest { slot, nsp, .. }) => {
                assert_eq!(self.sockets.insert(slot, (nsp, State::Joining)), None, "a slot is used once");
            }
            Event::Socket(SocketEvent::Emit { slot, .. }) => assert_eq!(self.sockets[&slot].1, State::Joined),
            Event::Socket(SocketEvent::Left { slot, .. }) => {
                assert!(!self.peer.is_live(slot));
                let state = self.sockets[&slot].1;
                assert!(matches!(state, State::Joining | State::Joined), "{state:?} and left");
                self.set(slot, State::Left);
            }
            Event::Socket(SocketEvent::Acked { waiter, .. } | SocketEvent::AckFailed { waiter, .. }) => {
                self.resolve(waiter)
            }
            Event::Socket(SocketEvent::Violation(_)) | Event::Upgraded(_) | Event::Drained => {}
            Event::Closed(_) => {
                self.closed = true;
                assert_eq!(self.waiting, BTreeSet::new(), "acknowledgements that nobody resolves");
                for (slot, (nsp, state)) in &self.sockets {
                    assert!(
                        matches!(state, State::Refused | State::Left),
                        "{slot:?} {nsp:?} is still {state:?}"
                    );
                }
            }
        }
    }

    /// The client is never heard of again: everything ends by itself.
    fn abandon(mut self) {
        self.drain();
        for _ in 0..MAX_TIMEOUTS {
            let Some(next) = self.peer.poll_timeout() else { break };
            self.pass(next.saturating_since(self.now));
            self.drain();
        }
        assert!(self.closed, "a client is kept for ever");
    }

    /// One of the sockets there ever were, the newest first.
    fn pick(&self, script: &mut Script<'_>) -> Slot {
        let choice = script.choice() % self.sockets.len().max(1);
        self.sockets.keys().rev().nth(choice).copied().unwrap_or(Slot(0))
    }

    fn nsp(&self, slot: Slot) -> Nsp {
        self.sockets.get(&slot).map(|(nsp, _)| nsp.clone()).unwrap_or_default()
    }

    fn set(&mut self, slot: Slot, state: State) {
        if let Some(socket) = self.sockets.get_mut(&slot) {
            socket.1 = state;
        }
    }

    fn resolve(&mut self, waiter: u64) {
        assert!(self.waiting.remove(&waiter), "{waiter} is resolved twice");
    }

    fn next_lane(&mut self) -> Lane {
        self.lanes += 1;
        Lane(self.lanes - 1)
    }
}

/// More than every deadline together.
const MAX_TIMEOUTS: usize = 50;
