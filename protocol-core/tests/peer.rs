//! Whatever bytes, inputs and commands a peer meets, in whatever order: it does not panic, answers every lane once,
//! holds no more than its limits, and goes away when nobody is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::close::TransportFault;
use socketio_core::engine::format::Format;
use socketio_core::engine::http::Jsonp;
use socketio_core::engine::packet::{BinaryEncoding, Frame};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{self as engine, Input, Opening};
use socketio_core::engine::{Revision, Transport};
use socketio_core::peer::{Config, Delivery, Event, Output, Peer};
use socketio_core::socket::server::{self as socket, Slot};
use socketio_core::socket::{Codec, Limits, Nsp};
use socketio_core::{AckId, Bytes, Instant, Lane, Sid};

const MAX_NAMESPACES: usize = 4;
const MAX_BYTES: usize = 1_000;
const LONGEST_INPUT: usize = 300;

#[derive(Clone, Debug)]
enum Step {
    Poll,
    Post(Form, Vec<u8>),
    PostHead,
    PostBody(Vec<u8>),
    PostTooLarge,
    WsOpen,
    Text(String),
    Binary(Vec<u8>),
    Fault,
    Flushed,
    Gone(u8),
    Accept(u32),
    Refuse(u32),
    Leave(u32),
    Send(u32, Delivery),
    Ask(u32, u64, u16),
    Disconnect,
    Close,
    ShutDown,
    GiveUp,
    Wait(u16),
}

/// Texts between noise and correct packets.
fn text() -> impl Strategy<Value = String> {
    let json = prop_oneof![
        Just(String::new()),
        Just("[]".into()),
        Just(r#"["a",1]"#.into()),
        Just(r#"["a",{"_placeholder":true,"num":0}]"#.into()),
        Just(r#"{"token":"x"}"#.into()),
        "\\PC{0,20}",
    ];
    let nsp = prop_oneof![3 => Just(""), 1 => Just("/a,"), 1 => Just("/b?x=1&y,"), 1 => Just("/a")];
    let count = prop_oneof![4 => Just(""), 1 => Just("1-"), 1 => Just("2-"), 1 => Just("99-")];
    let id = prop_oneof![3 => Just(""), 1 => Just("0"), 1 => Just("18446744073709551616")];
    let packet = ("[0-9]", count, nsp, id, json)
        .prop_map(|(kind, count, nsp, id, json)| format!("4{kind}{count}{nsp}{id}{json}"));
    let engine =
        prop_oneof![Just("1"), Just("2"), Just("3"), Just("5"), Just("6"), Just("2probe"), Just("bAQID")];
    let known =
        prop_oneof![Just("40"), Just("40/a,"), Just("40/b,"), Just(r#"42["a"]"#), Just("430[]"), Just("41")];
    prop_oneof![
        4 => known.prop_map(Into::into),
        3 => engine.prop_map(Into::into),
        4 => packet,
        1 => "\\PC{0,40}",
        1 => "[a-z]{0,290}".prop_map(|name| format!("40/{name}")),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let texts = || prop::collection::vec(text(), 1..4);
    prop_oneof![
        4 => texts().prop_map(|texts| texts.join("\x1E").into_bytes()),
        2 => texts().prop_map(|texts| {
            let lengths = texts.iter().map(|text| text.encode_utf16().count());
            lengths.zip(&texts).map(|(length, text)| format!("{length}:{text}")).collect::<String>().into_bytes()
        }),
        1 => text().prop_map(|text| format!("d={text}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let form = prop_oneof![8 => Just(Form::Text), 1 => Just(Form::Binary)];
    let delivery = prop_oneof![Just(Delivery::Reliable), Just(Delivery::Volatile)];
    let slot = || 0..6_u32;
    prop_oneof![
        6 => Just(Step::Poll),
        8 => (form, body()).prop_map(|(form, body)| Step::Post(form, body)),
        1 => Just(Step::PostHead),
        1 => body().prop_map(Step::PostBody),
        1 => Just(Step::PostTooLarge),
        3 => Just(Step::WsOpen),
        12 => text().prop_map(Step::Text),
        3 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Binary),
        1 => Just(Step::Fault),
        3 => Just(Step::Flushed),
        1 => any::<u8>().prop_map(Step::Gone),
        8 => slot().prop_map(Step::Accept),
        2 => slot().prop_map(Step::Refuse),
        2 => slot().prop_map(Step::Leave),
        6 => (slot(), delivery).prop_map(|(slot, delivery)| Step::Send(slot, delivery)),
        3 => (slot(), 0..4_u64, any::<u16>()).prop_map(|(slot, id, millis)| Step::Ask(slot, id, millis)),
        1 => prop_oneof![Just(Step::Disconnect), Just(Step::Close), Just(Step::ShutDown), Just(Step::GiveUp)],
        6 => any::<u16>().prop_map(Step::Wait),
    ]
}

fn format() -> impl Strategy<Value = Format> {
    let revision = prop_oneof![3 => Just(Revision::V4), 1 => Just(Revision::V3)];
    let binary = prop_oneof![Just(BinaryEncoding::Raw), Just(BinaryEncoding::Base64)];
    (revision, binary, any::<bool>()).prop_map(|(revision, binary, jsonp)| Format {
        revision,
        binary: if jsonp { BinaryEncoding::Base64 } else { binary },
        jsonp: jsonp.then(|| Jsonp::new("0")),
    })
}

fn config() -> Config {
    let buffer = BufferLimits { max_frames: 16, max_bytes: MAX_BYTES };
    let engine = engine::Config { buffer, ..engine::Config::default() };
    let limits = Limits { max_attachments: 3, max_attachment_bytes: 30, max_nesting: 4 };
    let socket = socket::Config {
        limits,
        max_namespaces: MAX_NAMESPACES,
        max_pending_acks: 2,
        ..socket::Config::default()
    };
    Config { engine: Arc::new(engine), socket }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Get,
    Post,
    Ws,
}

/// A peer, and what it owes.
struct Rig {
    peer: Peer<u64>,
    now: Instant,
    lanes: BTreeMap<Lane, Kind>,
    next_lane: u64,
    next_waiter: u64,
    waiters: usize,
    sockets: usize,
    is_over: bool,
}

impl Rig {
    fn new(format: Format, transport: Transport) -> Self {
        let opening = Opening { sid: "S".into(), format, upgrades: Vec::new() };
        let (config, now, lane) = (Arc::new(config()), Instant::from_micros(1), Lane(0));
        let (peer, kind) = match transport {
            Transport::Polling => (Peer::polling(config, opening, lane, now), Kind::Get),
            _ => (Peer::websocket(config, opening, lane, now), Kind::Ws),
        };
        let lanes = BTreeMap::from([(lane, kind)]);
        let mut rig =
            Self { peer, now, lanes, next_lane: 1, next_waiter: 0, waiters: 0, sockets: 0, is_over: false };
        rig.drain();
        rig
    }

    fn open(&mut self, kind: Kind) -> Lane {
        let lane = Lane(self.next_lane);
        self.next_lane += 1;
        self.lanes.insert(lane, kind);
        lane
    }

    fn newest(&self, kind: Kind) -> Option<Lane> {
        self.lanes.iter().rev().find(|(_, known)| **known == kind).map(|(lane, _)| *lane)
    }

    fn apply(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Poll => {
                let lane = self.open(Kind::Get);
                self.peer.handle(Input::Poll(lane), now);
            }
            Step::Post(form, body) => {
                let lane = self.open(Kind::Post);
                self.peer.handle(Input::Post(lane, form), now);
                self.peer.handle(Input::PostBody(lane, body.into()), now);
            }
            Step::PostHead => {
                let lane = self.open(Kind::Post);
                self.peer.handle(Input::Post(lane, Form::Text), now);
            }
            Step::PostBody(body) => {
                if let Some(lane) = self.newest(Kind::Post) {
                    self.peer.handle(Input::PostBody(lane, body.into()), now);
                }
            }
            Step::PostTooLarge => {
                if let Some(lane) = self.newest(Kind::Post) {
                    self.peer.handle(Input::PostTooLarge(lane), now);
                }
            }
            Step::WsOpen => {
                let lane = self.open(Kind::Ws);
                self.peer.handle(Input::WsOpen(lane, BinaryEncoding::Raw), now);
            }
            Step::Text(text) => self.frame(Frame::Text(text.into())),
            Step::Binary(bytes) => self.frame(Frame::Binary(bytes.into())),
            Step::Fault => {
                if let Some(lane) = self.newest(Kind::Ws) {
                    self.lanes.remove(&lane);
                    self.peer.handle(Input::WsFault(lane, TransportFault::Connection), now);
                }
            }
            Step::Flushed => {
                if let Some(lane) = self.newest(Kind::Ws) {
                    self.peer.handle(Input::Flushed(lane), now);
                }
            }
            Step::Gone(which) => {
                if let Some(lane) =
                    self.lanes.keys().nth(usize::from(which) % self.lanes.len().max(1)).copied()
                {
                    self.lanes.remove(&lane);
                    self.peer.handle(Input::LaneGone(lane), now);
                }
            }
            Step::Accept(slot) => {
                let _ = self.peer.accept(Slot(slot), &Sid::from("id"), None);
            }
            Step::Refuse(slot) => {
                if self.peer.refuse(Slot(slot), "no", Some(&1)).is_ok() {
                    self.sockets -= 1;
                }
            }
            Step::Leave(slot) => self.peer.leave(Slot(slot), now),
            Step::Send(slot, delivery) => {
                let attachment = (Bytes::from_static(b"12345678"),);
                let encoded = Codec::Text.event(&Nsp::ROOT, None, "event", &attachment).unwrap();
                let _ = self.peer.send(Slot(slot), &encoded, delivery);
            }
            Step::Ask(slot, id, millis) => {
                let id = AckId(id);
                let encoded = Codec::Text.event(&Nsp::ROOT, Some(id), "ask", &()).unwrap();
                let deadline = (millis > 100).then(|| now + Duration::from_millis(millis.into()));
                self.next_waiter += 1;
                match self.peer.send_with_ack(Slot(slot), &encoded, id, self.next_waiter, deadline) {
                    Ok(()) => self.waiters += 1,
                    Err((_, waiter)) => assert_eq!(waiter, self.next_waiter),
                }
            }
            Step::Disconnect => self.peer.disconnect(now),
            Step::Close => self.peer.close(now),
            Step::ShutDown => self.peer.shut_down(now),
            Step::GiveUp => self.peer.give_up(now),
            Step::Wait(millis) => self.wait(Duration::from_millis(millis.into())),
        }
        self.drain();
    }

    fn frame(&mut self, frame: Frame) {
        if let Some(lane) = self.newest(Kind::Ws) {
            self.peer.handle(Input::WsFrame(lane, frame), self.now);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.peer.handle_timeout(self.now);
        assert!(self.peer.poll_timeout().is_none_or(|next| next > self.now), "a deadline stayed behind");
    }

    fn drain(&mut self) {
        loop {
            let promised = self.peer.has_output();
            let output = self.peer.poll_output();
            assert_eq!(promised, output.is_some(), "has_output lies");
            match output {
                None => break,
                Some(Output::Respond(lane, response)) => {
                    assert!(matches!(self.lanes.remove(&lane), Some(Kind::Get | Kind::Post)));
                    // The queue in base64, the answer that may go past its limit, and the news of sockets that left.
                    let bound = MAX_BYTES + LONGEST_INPUT + MAX_NAMESPACES * LONGEST_INPUT;
                    assert!(response.body.len() < bound * 2, "{} bytes", response.body.len());
                }
                Some(Output::Abort(lane)) => assert_eq!(self.lanes.remove(&lane), Some(Kind::Post)),
                Some(Output::WsSend(lane, _, _)) => assert_eq!(self.lanes.get(&lane), Some(&Kind::Ws)),
                Some(Output::WsClose(lane)) => assert_eq!(self.lanes.remove(&lane), Some(Kind::Ws)),
                Some(Output::Event(event)) => self.event(event),
            }
        }
        assert_eq!(self.peer.transport().is_none(), self.is_over);
        if self.is_over {
            assert!(self.lanes.is_empty(), "forgotten: {:?}", self.lanes);
            assert_eq!((self.sockets, self.waiters), (0, 0));
            assert_eq!(self.peer.poll_timeout(), None);
        }
    }

    fn event(&mut self, event: Event<u64>) {
        assert!(!self.is_over, "{event:?} after the end");
        match event {
            Event::Socket(socket::Event::ConnectRequest { nsp, .. }) => {
                assert!(nsp.as_str().len() <= LONGEST_INPUT);
                self.sockets += 1;
                assert!(self.sockets <= MAX_NAMESPACES);
            }
            Event::Socket(socket::Event::Left { .. }) => self.sockets -= 1,
            Event::Socket(socket::Event::Acked { .. } | socket::Event::AckFailed { .. }) => self.waiters -= 1,
            Event::Socket(socket::Event::Emit { event, .. }) => {
                assert!(event.args().len() <= LONGEST_INPUT);
            }
            Event::Socket(socket::Event::Violation(_)) | Event::Upgraded(_) | Event::Drained => {}
            Event::Closed(_) => self.is_over = true,
        }
    }

    /// Nobody says anything any more.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(next) = self.peer.poll_timeout() else { break };
            self.wait(next.saturating_since(self.now));
            self.drain();
        }
        assert!(self.is_over, "it would stay for ever");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_peer_survives_everything(
        format in format(),
        transport in prop_oneof![Just(Transport::Polling), Just(Transport::Websocket)],
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut rig = Rig::new(format, transport);
        for step in steps {
            rig.apply(step);
        }
        rig.settle();
    }
}
