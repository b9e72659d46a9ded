//! The two machines together: order, reasons and ends (REFERENCE 3.3, 3.4, 4.5, 4.10).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::engine::buffer::BufferLimits;
use crate::engine::format::Format;
use crate::engine::packet::BinaryEncoding;
use crate::engine::payload_v3::Form;
use crate::engine::server::Input;
use crate::socket::{Args, Codec, Nsp, Raw, Value, Variadic};

/// A client, with what the driver is told written as text.
struct Rig {
    peer: Peer<&'static str>,
    now: Instant,
    said: Vec<String>,
    is_over: bool,
}

impl Rig {
    fn open(config: Config, revision: Revision, transport: Transport) -> Self {
        let format = Format { revision, ..Format::V4 };
        let opening = Opening { sid: "S".into(), format, upgrades: Vec::new() };
        let now = Instant::from_micros(1_000_000);
        let (config, lane) = (Arc::new(config), Lane(0));
        let peer = match transport {
            Transport::Polling => Peer::polling(config, opening, lane, now),
            _ => Peer::websocket(config, opening, lane, now),
        };
        let mut rig = Self { peer, now, said: Vec::new(), is_over: false };
        rig.drain();
        rig.said.retain(|said| !said.contains("pingInterval"));
        rig
    }

    /// A client that has joined `/`, as slot 0, on websocket 0.
    fn websocket() -> Self {
        Self::websocket_with(Config::default())
    }

    fn websocket_with(config: Config) -> Self {
        let mut rig = Self::open(config, Revision::V4, Transport::Websocket);
        rig.frame("40").accept(0).handle(Input::Flushed(Lane(0)));
        rig.says(&["0 wants /", r#"0> 40{"sid":"id0"}"#]);
        rig
    }

    /// A client that has joined `/`, as slot 0, by polling.
    fn polling() -> Self {
        Self::polling_with(Config::default())
    }

    fn polling_with(config: Config) -> Self {
        let mut rig = Self::open(config, Revision::V4, Transport::Polling);
        rig.post(100, "40").accept(0).get(101);
        rig.says(&["0 wants /", "100: ok", r#"101: 40{"sid":"id0"}"#]);
        rig
    }

    fn handle(&mut self, input: Input) -> &mut Self {
        self.peer.handle(input, self.now);
        self.drain()
    }

    fn get(&mut self, lane: u64) -> &mut Self {
        self.handle(Input::Poll(Lane(lane)))
    }

    /// A whole POST; `␞` stands for the separator.
    fn post(&mut self, lane: u64, body: &str) -> &mut Self {
        self.handle(Input::Post(Lane(lane), Form::Text));
        self.handle(Input::PostBody(Lane(lane), body.replace('␞', "\x1E").into()))
    }

    fn frame(&mut self, text: &str) -> &mut Self {
        self.handle(Input::WsFrame(Lane(0), Frame::Text(text.into())))
    }

    fn bytes(&mut self, bytes: &'static [u8]) -> &mut Self {
        self.handle(Input::WsFrame(Lane(0), Frame::Binary(Bytes::from_static(bytes))))
    }

    fn accept(&mut self, slot: u32) -> &mut Self {
        self.peer.accept(Slot(slot), &Sid::from(&*format!("id{slot}")), None).unwrap();
        self.drain()
    }

    /// Joins a namespace, as this slot.
    fn joins(&mut self, slot: u32, nsp: &str) -> &mut Self {
        self.frame(&format!("40{nsp},")).accept(slot).handle(Input::Flushed(Lane(0)));
        self.says(&[&format!("{slot} wants {nsp}"), &format!(r#"0> 40{nsp},{{"sid":"id{slot}"}}"#)])
    }

    fn try_send(&mut self, slot: u32, name: &str, delivery: Delivery) -> Result<(), SendError> {
        let encoded = Codec::Text.event(&Nsp::ROOT, None, name, &()).unwrap();
        let sent = self.peer.send(Slot(slot), &encoded, delivery);
        self.drain();
        sent
    }

    fn send(&mut self, name: &str) -> &mut Self {
        self.try_send(0, name, Delivery::Reliable).unwrap();
        self
    }

    fn try_ask(&mut self, slot: u32, id: u64, waiter: &'static str) -> Result<(), (SendError, &'static str)> {
        let encoded = Codec::Text.event(&Nsp::ROOT, Some(AckId(id)), "ask", &()).unwrap();
        let sent = self.peer.send_with_ack(Slot(slot), &encoded, AckId(id), waiter, None);
        self.drain();
        sent
    }

    /// Takes the frames that may be borrowed.
    fn borrow(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        let lend = |lane, frame: &Frame, compression| shown(Output::WsSend(lane, frame.clone(), compression));
        while let Some(frame) = self.peer.lend_frame(lend) {
            frames.push(frame);
        }
        frames
    }

    /// Does something with the peer that takes the time.
    fn does(&mut self, act: impl FnOnce(&mut Peer<&'static str>, Instant)) -> &mut Self {
        act(&mut self.peer, self.now);
        self.drain()
    }

    fn disconnect(&mut self) -> &mut Self {
        self.does(Peer::disconnect)
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.peer.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.peer.handle_timeout(self.now);
            assert!(self.peer.poll_timeout().is_none_or(|next| next > self.now));
            self.drain();
        }
        self.now = end;
        self
    }

    fn drain(&mut self) -> &mut Self {
        loop {
            let promised = self.peer.has_output();
            let output = self.peer.poll_output();
            assert_eq!(promised, output.is_some(), "has_output lies");
            let Some(output) = output else { break };
            assert!(!self.is_over || !matches!(output, Output::Event(_)), "{output:?} after the end");
            self.is_over |= matches!(output, Output::Event(Event::Closed(_)));
            self.said.push(shown(output));
        }
        if self.peer.transport().is_none() {
            assert!(self.is_over, "closed without a word: {:?}", self.said);
            assert_eq!(self.peer.poll_timeout(), None);
        }
        self
    }

    fn says(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(core::mem::take(&mut self.said), expected);
        self
    }
}

fn shown(output: Output<&'static str>) -> String {
    match output {
        Output::Respond(Lane(lane), response) => {
            let body = String::from_utf8_lossy(&response.body).replace('\x1E', "␞");
            if response.status == 200 {
                format!("{lane}: {body}")
            } else {
                format!("{lane}: {}", response.status)
            }
        }
        Output::Abort(Lane(lane)) => format!("{lane}: aborted"),
        Output::WsSend(Lane(lane), Frame::Text(text), _) => format!("{lane}> {text}"),
        Output::WsSend(Lane(lane), Frame::Binary(bytes), _) => format!("{lane}> {bytes:?}"),
        Output::WsClose(Lane(lane)) => format!("{lane}: close"),
        Output::Event(Event::Upgraded(transport)) => format!("upgraded to {}", transport.name()),
        Output::Event(Event::Drained) => "drained".into(),
        Output::Event(Event::Closed(reason)) => format!("closed: {reason}"),
        Output::Event(Event::Socket(event)) => match event {
            socket::Event::ConnectRequest { slot, nsp, .. } => format!("{} wants {nsp}", slot.0),
            socket::Event::Emit { slot, event } => format!("{}: {}", slot.0, event.name()),
            socket::Event::Acked { waiter, .. } => format!("{waiter}: answered"),
            socket::Event::AckFailed { waiter, error } => format!("{waiter}: {error}"),
            socket::Event::Left { slot, reason } => format!("{} left: {reason}", slot.0),
            socket::Event::Violation(error) => format!("violation: {error}"),
        },
    }
}

const NOT_CONNECTED: &str = "violation: the namespace /x is not connected";
const UNREADABLE: &str = "violation: invalid packet: unknown packet type";

// The way of a message.

#[test]
fn a_message_becomes_an_event_and_an_event_a_message() {
    Rig::websocket().frame(r#"42["a"]"#).send("b").says(&["0: a", r#"0> 42["b"]"#]);
    Rig::polling().post(1, r#"42["a"]␞42["b"]"#).send("c").get(2).says(&[
        "0: a",
        "0: b",
        "1: ok",
        r#"2: 42["c"]"#,
    ]);
}

#[test]
fn attachments_follow_their_event_in_one_piece() {
    let mut rig = Rig::websocket();
    let encoded = Codec::Text.event(&Nsp::ROOT, None, "a", &(Bytes::from_static(&[1]),)).unwrap();
    rig.peer.send(Slot(0), &encoded, Delivery::Reliable).unwrap();
    rig.drain().says(&[r#"0> 451-["a",{"_placeholder":true,"num":0}]"#, "0> b\"\\x01\""]);
    rig.frame(r#"451-["b",{"_placeholder":true,"num":0}]"#).says(&[]).bytes(&[1]).says(&["0: b"]);
}

#[test]
fn the_upgrade_is_told() {
    let mut rig = Rig::polling();
    rig.handle(Input::WsOpen(Lane(0), BinaryEncoding::Raw)).frame("2probe").frame("5").send("a");
    rig.says(&["0> 3probe", "upgraded to websocket", r#"0> 42["a"]"#]);
    assert_eq!(rig.peer.transport(), Some(Transport::Websocket));
}

#[test]
fn the_answer_to_connect_goes_with_the_next_get() {
    let mut rig = Rig::open(Config::default(), Revision::V4, Transport::Polling);
    rig.get(1).post(2, "40").says(&["0 wants /", "2: ok"]).accept(0).says(&[r#"1: 40{"sid":"id0"}"#]);
}

#[test]
fn an_unknown_namespace_is_refused_with_an_object_in_both_revisions() {
    for (revision, packet) in [(Revision::V4, "40/x,"), (Revision::V3, "40/x")] {
        let mut rig = Rig::open(Config::default(), revision, Transport::Websocket);
        let slot = u32::from(revision == Revision::V3);
        rig.frame(packet).said.clear();
        rig.peer.refuse_unknown(Slot(slot)).unwrap();
        rig.drain().says(&[r#"0> 44/x,{"message":"Invalid namespace"}"#]);
        assert_eq!(rig.peer.refuse_unknown(Slot(slot)), Err(RefuseError::Disconnected));
    }
}

#[test]
fn a_refused_client_stays_until_the_connect_timeout() {
    let mut rig = Rig::open(Config::default(), Revision::V4, Transport::Websocket);
    rig.frame("40/x,");
    rig.peer.refuse(Slot(0), "no", None::<&()>).unwrap();
    rig.drain().says(&["0 wants /x", r#"0> 44/x,{"message":"no"}"#]);
    rig.wait(30_000).frame("3").says(&["0> 2"]).wait(15_000);
    rig.says(&["violation: no namespace joined in time", "0: close", "closed: forced close"]);
}

#[test]
fn a_client_of_revision_3_is_in_the_main_namespace_with_its_second_get() {
    let mut rig = Rig::open(Config::default(), Revision::V3, Transport::Polling);
    rig.says(&["0 wants /"]).accept(0).get(1).says(&["1: 2:40"]);
    rig.post(2, r#"7:42["a"]"#).says(&["0: a", "2: ok"]);
    rig.get(3).post(4, "2:40").says(&[
        "violation: the namespace / is already connected",
        "0 left: forced close",
        "4: ok",
        "3: 1:1",
        "closed: forced close",
    ]);
}

// Acknowledgements.

#[test]
fn an_acknowledgement_is_handed_to_who_waits() {
    let mut rig = Rig::websocket();
    rig.try_ask(0, 7, "w").unwrap();
    rig.frame("437[]").says(&[r#"0> 427["ask"]"#, "w: answered"]);
}

#[test]
fn an_acknowledgement_can_be_forgotten() {
    let mut rig = Rig::websocket();
    rig.try_ask(0, 7, "w").unwrap();
    assert_eq!(rig.peer.forget_ack(Slot(0), AckId(7)), Some("w"));
    rig.frame("437[]").says(&[r#"0> 427["ask"]"#]);
}

#[test]
fn acknowledgements_fail_then_the_socket_leaves_then_the_client_is_gone() {
    let mut rig = Rig::websocket();
    rig.joins(1, "/a");
    rig.try_ask(0, 1, "v").unwrap();
    rig.try_ask(1, 1, "w").unwrap();
    rig.said.clear();
    rig.handle(Input::LaneGone(Lane(0))).says(&[
        "v: socket has been disconnected",
        "0 left: transport close",
        "w: socket has been disconnected",
        "1 left: transport close",
        "closed: transport close",
    ]);
}

// Reasons (4.5).

#[test]
fn every_end_of_the_session_is_the_reason_of_its_sockets() {
    let mut rig = Rig::websocket();
    rig.wait(45_000).says(&["0> 2", "0: close", "0 left: ping timeout", "closed: ping timeout"]);
    Rig::websocket().frame("x").says(&["0: close", "0 left: parse error", "closed: parse error"]);
    Rig::websocket().frame("2").says(&["0: close", "0 left: transport error", "closed: transport error"]);
    Rig::websocket()
        .handle(Input::WsFault(Lane(0), TransportFault::Connection))
        .says(&["0 left: transport error", "closed: transport error"]);
    Rig::polling().post(1, "1").says(&["1: ok", "0 left: transport close", "closed: transport close"]);
    Rig::polling()
        .get(1)
        .handle(Input::LaneGone(Lane(1)))
        .says(&["0 left: transport error", "closed: transport error"]);
}

#[test]
fn what_came_before_the_end_is_delivered_before_it() {
    Rig::polling().get(1).post(2, r#"42["a"]␞1"#).says(&[
        "0: a",
        "2: ok",
        "1: 6",
        "0 left: transport close",
        "closed: transport close",
    ]);
    Rig::polling().post(1, r#"42["a"]␞x"#).says(&[
        "0: a",
        "1: ok",
        "0 left: parse error",
        "closed: parse error",
    ]);
}

#[test]
fn a_client_that_leaves_a_namespace_stays_connected() {
    let mut rig = Rig::websocket();
    rig.frame("41").says(&["0 left: client namespace disconnect"]);
    assert_eq!(rig.try_send(0, "a", Delivery::Reliable), Err(SendError::Disconnected));
    rig.joins(1, "/a").wait(25_000).frame("3").says(&["0> 2"]);
}

#[test]
fn a_socket_that_is_made_to_leave_is_told_and_the_others_stay() {
    let mut rig = Rig::websocket();
    rig.joins(1, "/a").does(|peer, now| peer.leave(Slot(1), now));
    rig.says(&["1 left: server namespace disconnect", "0> 41/a,"]);
    rig.does(|peer, now| peer.leave(Slot(1), now)).says(&[]);
    rig.frame(r#"42["a"]"#).says(&["0: a"]);
}

// Violations (3.3, 3.4).

#[test]
fn a_violation_on_a_websocket_closes_it_at_once() {
    let mut rig = Rig::websocket();
    rig.joins(1, "/a").frame(r#"42/x,["a"]"#).says(&[
        NOT_CONNECTED,
        "0 left: forced close",
        "1 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn a_violation_with_a_get_pending_answers_it() {
    Rig::polling().get(1).post(2, r#"42/x,["a"]"#).says(&[
        NOT_CONNECTED,
        "0 left: forced close",
        "2: ok",
        "1: 1",
        "closed: forced close",
    ]);
}

#[test]
fn a_violation_without_a_get_is_a_forced_server_close() {
    let mut rig = Rig::polling();
    rig.post(1, r#"42/x,["a"]"#).says(&[NOT_CONNECTED, "0 left: forced server close", "1: ok"]);
    rig.get(2).says(&["2: 6␞1", "closed: forced close"]);
}

#[test]
fn an_unreadable_packet_is_a_forced_close_wherever_the_client_is() {
    let mut rig = Rig::polling();
    rig.post(1, "49").says(&[UNREADABLE, "0 left: forced close", "1: ok"]);
    rig.get(2).says(&["2: 6␞1", "closed: forced close"]);
    Rig::websocket().frame("49").says(&[
        UNREADABLE,
        "0 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
    Rig::websocket().frame("4").says(&[
        UNREADABLE,
        "0 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn nothing_behind_a_violation_is_heard() {
    let mut rig = Rig::polling();
    rig.post(1, r#"42["a"]␞49␞42["b"]␞40/late,␞49"#).says(&[
        "0: a",
        UNREADABLE,
        "0 left: forced close",
        "1: ok",
    ]);
    rig.post(2, "40/later,").says(&["2: ok"]);
    Rig::polling().post(1, r#"42/x,["a"]␞40/late,"#).says(&[
        NOT_CONNECTED,
        "0 left: forced server close",
        "1: ok",
    ]);
}

#[test]
fn a_violation_in_a_payload_that_ends_the_session_is_told_too() {
    for (end, reason) in [("x", "parse error"), ("1", "transport close")] {
        Rig::polling().post(1, &format!(r#"42/x,["a"]␞40/late,␞{end}"#)).says(&[
            NOT_CONNECTED,
            "0 left: forced close",
            "1: ok",
            &format!("closed: {reason}"),
        ]);
    }
}

#[test]
fn a_client_that_joins_nothing_is_let_go_wherever_it_is() {
    let late = "violation: no namespace joined in time";
    let config = || {
        let socket = socket::Config { connect_timeout: Duration::from_secs(1), ..socket::Config::default() };
        Config { socket, ..Config::default() }
    };
    let open = |transport| Rig::open(config(), Revision::V4, transport);
    open(Transport::Websocket).wait(999).says(&[]).wait(1).says(&[late, "0: close", "closed: forced close"]);
    open(Transport::Polling).get(1).wait(1_000).says(&[late, "1: 1", "closed: forced close"]);
    open(Transport::Polling).wait(1_000).says(&[late]).get(1).says(&["1: 6␞1", "closed: forced close"]);
    open(Transport::Websocket).frame("40").wait(1_000).says(&[
        "0 wants /",
        late,
        "0 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn a_client_that_has_left_its_last_namespace_may_be_given_a_time() {
    let socket = socket::Config { idle_timeout: Some(Duration::from_secs(1)), ..socket::Config::default() };
    let config = || Config { socket: socket.clone(), ..Config::default() };
    let late = "violation: no namespace joined for too long";
    let mut rig = Rig::websocket_with(config());
    rig.wait(5_000).says(&[]);
    rig.frame("41").says(&["0 left: client namespace disconnect"]);
    // What it says meanwhile buys no time.
    rig.wait(900).frame("3").wait(99).says(&[]).wait(1).says(&[late, "0: close", "closed: forced close"]);
    // Whoever comes back, or never joined, is none of its business.
    let mut rig = Rig::websocket_with(config());
    rig.frame("41").wait(500).frame("40").accept(1).wait(5_000);
    rig.does(|peer, now| peer.leave(Slot(1), now)).handle(Input::Flushed(Lane(0)));
    rig.said.clear();
    rig.wait(999).says(&[]).wait(1).says(&[late, "0: close", "closed: forced close"]);
    let mut rig = Rig::open(config(), Revision::V4, Transport::Websocket);
    rig.wait(5_000).says(&[]);
    // By default there is no such time.
    Rig::websocket().frame("41").wait(20_000).says(&["0 left: client namespace disconnect"]);
}

#[test]
fn attachments_that_do_not_come_are_a_violation() {
    let mut rig = Rig::websocket();
    rig.wait(20_000)
        .frame(r#"451-["a"]"#)
        .wait(5_000)
        .frame("3")
        .wait(25_000)
        .frame("3")
        .says(&["0> 2", "0> 2"]);
    rig.wait(15_000).says(&[
        "violation: the attachments of a packet did not arrive in time",
        "0 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn silence_counts_more_than_another_deadline_at_the_same_time() {
    let mut rig = Rig::open(Config::default(), Revision::V4, Transport::Websocket);
    rig.frame("40").wait(45_000);
    rig.says(&["0 wants /", "0> 2", "0: close", "0 left: ping timeout", "closed: ping timeout"]);
}

// Ends that the server decides.

#[test]
fn disconnecting_tells_every_namespace_and_closes() {
    let mut rig = Rig::websocket();
    rig.joins(1, "/a").disconnect().says(&[
        "0 left: server namespace disconnect",
        "1 left: server namespace disconnect",
        "0> 41",
        "0> 41/a,",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn disconnecting_a_polling_client_waits_for_its_gets() {
    let mut rig = Rig::polling();
    rig.disconnect().says(&["0 left: server namespace disconnect"]);
    rig.get(1).says(&["1: 41"]).get(2).says(&["2: 6␞1", "closed: forced close"]);
    let mut rig = Rig::polling();
    rig.get(1).disconnect().says(&["0 left: server namespace disconnect", "1: 41"]);
    rig.get(2).says(&["2: 6␞1", "closed: forced close"]);
}

#[test]
fn closing_tells_no_namespace() {
    Rig::websocket().does(Peer::close).says(&["0 left: forced close", "0: close", "closed: forced close"]);
    Rig::polling().get(1).does(Peer::close).says(&["0 left: forced close", "1: 1", "closed: forced close"]);
    let mut rig = Rig::polling();
    rig.does(Peer::close).says(&["0 left: forced server close"]).does(Peer::close).says(&[]);
    assert_eq!(rig.try_send(0, "a", Delivery::Reliable), Err(SendError::Disconnected));
    rig.wait(30_000).says(&["closed: forced close"]);
}

#[test]
fn closing_hands_over_what_was_sent() {
    let mut rig = Rig::polling();
    rig.send("a").does(Peer::close).says(&["0 left: forced server close"]);
    rig.get(1).get(2).says(&[r#"1: 42["a"]"#, "2: 6␞1", "closed: forced close"]);
}

#[test]
fn a_server_that_shuts_down_drops_what_is_queued_and_tells_no_namespace() {
    let down = "0 left: server shutting down";
    Rig::websocket().does(Peer::shut_down).says(&[down, "0: close", "closed: forced close"]);
    Rig::polling().get(1).does(Peer::shut_down).says(&[down, "1: 1", "closed: forced close"]);
    Rig::polling().send("a").does(Peer::shut_down).says(&[down, "closed: forced close"]);
    let mut rig = Rig::polling();
    rig.does(Peer::close)
        .does(Peer::shut_down)
        .says(&["0 left: forced server close", "closed: forced close"]);
}

#[test]
fn a_client_that_is_given_up_is_gone_at_once() {
    let mut rig = Rig::polling();
    rig.send("a").does(Peer::give_up).says(&["0 left: transport error", "closed: transport error"]);
    Rig::websocket().does(Peer::give_up).says(&[
        "0: close",
        "0 left: transport error",
        "closed: transport error",
    ]);
}

#[test]
fn who_was_joining_leaves_with_the_others() {
    let mut rig = Rig::websocket();
    rig.frame("40/a,").does(Peer::close).says(&[
        "1 wants /a",
        "0 left: forced close",
        "1 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
    assert_eq!(rig.peer.accept(Slot(1), &"S".into(), None), Err(CommandError::Disconnected));
}

// Sending.

#[test]
fn a_volatile_message_is_dropped_when_it_could_not_leave_at_once() {
    let mut rig = Rig::polling();
    rig.try_send(0, "a", Delivery::Volatile).unwrap();
    rig.get(1).says(&[]);
    rig.try_send(0, "b", Delivery::Volatile).unwrap();
    rig.says(&[r#"1: 42["b"]"#]);

    let mut rig = Rig::websocket();
    rig.try_send(0, "a", Delivery::Volatile).unwrap();
    rig.try_send(0, "b", Delivery::Volatile).unwrap();
    rig.says(&[r#"0> 42["a"]"#]).handle(Input::Flushed(Lane(0)));
    rig.try_send(0, "c", Delivery::Volatile).unwrap();
    rig.says(&[r#"0> 42["c"]"#]);
    assert_eq!(rig.try_send(9, "d", Delivery::Volatile), Err(SendError::Disconnected));
}

/// Sends `text` as the newest of the event `name`.
fn latest(rig: &mut Rig, slot: u32, name: &str, text: &str) -> Result<(), SendError> {
    let encoded = Codec::Text.event(&Nsp::ROOT, None, name, text).unwrap();
    rig.peer.send_latest(Slot(slot), name, &encoded)
}

#[test]
fn of_the_latest_the_newest_waits_until_the_connection_is_ready() {
    let mut rig = Rig::websocket();
    latest(&mut rig, 0, "a", "at once").unwrap();
    rig.drain().says(&[r#"0> 42["a","at once"]"#]);
    for (name, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
        latest(&mut rig, 0, name, text).unwrap();
    }
    rig.drain().says(&[]);
    rig.handle(Input::Flushed(Lane(0))).says(&[r#"0> 42["a","3"]"#, r#"0> 42["b","2"]"#]);
    // Behind what is sent reliably meanwhile.
    latest(&mut rig, 0, "a", "4").unwrap();
    rig.send("reliable").says(&[r#"0> 42["reliable"]"#]);
    rig.handle(Input::Flushed(Lane(0))).says(&[r#"0> 42["a","4"]"#]);
    assert_eq!(latest(&mut rig, 9, "a", "5"), Err(SendError::Disconnected));
}

#[test]
fn of_the_latest_as_many_names_as_the_limit_wait_and_none_for_who_has_left() {
    let mut rig = Rig::polling();
    for number in 0..MAX_LATEST + 1 {
        latest(&mut rig, 0, &format!("{number}"), "x").unwrap();
    }
    assert_eq!(rig.peer.latest.len(), MAX_LATEST);
    assert_eq!(&*rig.peer.latest[0].name, "1");
    rig.post(1, "41").get(2);
    rig.said.clear();
    assert!(rig.peer.latest.is_empty());
    latest(&mut rig, 0, "a", "x").unwrap_err();
}

#[test]
fn a_socket_that_is_joining_can_be_sent_to_before_its_connect() {
    let mut rig = Rig::open(Config::default(), Revision::V4, Transport::Websocket);
    rig.frame("40").send("early").accept(0);
    rig.says(&["0 wants /", r#"0> 42["early"]"#, r#"0> 40{"sid":"id0"}"#]);
}

/// A queue of two frames.
fn narrow() -> Config {
    let buffer = BufferLimits { max_frames: 2, max_bytes: 1_000 };
    Config { engine: Arc::new(engine::Config { buffer, ..engine::Config::default() }), ..Config::default() }
}

#[test]
fn a_full_queue_refuses_and_tells_when_there_is_room() {
    let mut rig = Rig::polling_with(narrow());
    rig.send("a").send("b");
    assert_eq!(rig.try_send(0, "c", Delivery::Reliable), Err(SendError::Full));
    assert_eq!(rig.try_send(0, "c", Delivery::Volatile), Ok(()));
    assert_eq!(rig.try_ask(0, 1, "w"), Err((SendError::Full, "w")));
    rig.get(1).says(&[r#"1: 42["a"]␞42["b"]"#, "drained"]);
    assert_eq!(rig.try_ask(0, 1, "w"), Ok(()));
}

#[test]
fn as_many_acknowledgements_as_the_limit_can_be_waited_for() {
    let socket = socket::Config { max_pending_acks: 1, ..socket::Config::default() };
    let mut rig = Rig::websocket_with(Config { socket, ..Config::default() });
    assert_eq!(rig.try_ask(0, 1, "v"), Ok(()));
    assert_eq!(rig.try_ask(0, 2, "w"), Err((SendError::TooManyAcks, "w")));
    assert_eq!(rig.try_ask(9, 2, "w"), Err((SendError::Disconnected, "w")));
}

#[test]
fn a_client_that_asks_for_more_than_it_reads_is_given_up() {
    let full = || {
        let mut rig = Rig::polling_with(narrow());
        rig.send("a").send("b").post(1, "40/x,").says(&["1 wants /x", "1: ok"]);
        rig
    };
    let gone = ["0 left: transport error", "1 left: transport error", "closed: transport error"];
    let mut rig = full();
    assert_eq!(rig.peer.accept(Slot(1), &"S".into(), None), Err(CommandError::Disconnected));
    rig.drain().says(&gone);
    let mut rig = full();
    assert_eq!(rig.peer.refuse(Slot(1), "no", None::<&()>), Err(RefuseError::Disconnected));
    rig.drain().says(&[gone[0], gone[2]]);
    let left = "1 left: server namespace disconnect";
    full().does(|peer, now| peer.leave(Slot(1), now)).says(&[left, gone[0], gone[2]]);
}

#[test]
fn a_full_queue_takes_the_news_that_a_socket_has_left() {
    let mut rig = Rig::polling_with(narrow());
    rig.send("a").send("b").does(|peer, now| peer.leave(Slot(0), now));
    rig.says(&["0 left: server namespace disconnect"]).get(1).says(&[r#"1: 42["a"]␞42["b"]␞41"#]);
}

#[test]
fn as_many_namespaces_as_the_limit_can_be_joined() {
    let socket = socket::Config { max_namespaces: 2, ..socket::Config::default() };
    let mut rig = Rig::websocket_with(Config { socket, ..Config::default() });
    rig.joins(1, "/a").frame("40/b,").says(&[
        "violation: too many namespaces on one connection",
        "0 left: forced close",
        "1 left: forced close",
        "0: close",
        "closed: forced close",
    ]);
}

#[test]
fn whoever_comes_after_the_end_is_turned_away() {
    let mut rig = Rig::polling();
    rig.does(Peer::shut_down).said.clear();
    rig.handle(Input::Poll(Lane(1)))
        .handle(Input::WsOpen(Lane(2), BinaryEncoding::Raw))
        .says(&["1: 400", "2: close"]);
    assert_eq!(rig.peer.poll_timeout(), None);
}

fn upload() -> Encoded {
    Codec::Text.event(&Nsp::ROOT, None, "up", &Bytes::from_static(b"\x01\x02")).unwrap()
}

#[test]
fn frames_are_lent_as_they_would_be_handed_out() {
    let [raw, base64] = [BinaryEncoding::Raw, BinaryEncoding::Base64];
    for (revision, binary) in
        [(Revision::V4, raw), (Revision::V4, base64), (Revision::V3, raw), (Revision::V3, base64)]
    {
        let both = [(); 2].map(|()| {
            let opening = Opening {
                sid: "S".into(),
                format: Format { revision, binary, ..Format::V4 },
                upgrades: Vec::new(),
            };
            let now = Instant::from_micros(1_000_000);
            let peer = Peer::websocket(Arc::new(Config::default()), opening, Lane(0), now);
            let mut rig = Rig { peer, now, said: Vec::new(), is_over: false };
            if revision == Revision::V4 {
                rig.frame("40");
            }
            rig.accept(0).drain().handle(Input::Flushed(Lane(0))).said.clear();
            rig.peer.send(Slot(0), upload(), Delivery::Reliable).unwrap();
            let shared = upload();
            rig.peer.send(Slot(0), &shared, Delivery::Reliable).unwrap();
            rig
        });
        let [mut lending, mut handing] = both;
        let lent = lending.borrow();
        assert_eq!(lent.len(), 4);
        handing.drain().says(&lent.iter().map(String::as_str).collect::<Vec<_>>());
        lending.drain().says(&[]);
    }
}

#[test]
fn no_frame_is_lent_before_an_event_that_came_first() {
    let mut rig = Rig::websocket();
    rig.peer.handle(Input::WsFrame(Lane(0), Frame::Text(r#"42["a"]"#.into())), rig.now);
    rig.peer.send(Slot(0), upload(), Delivery::Reliable).unwrap();
    assert_eq!(rig.borrow(), [""; 0]);
    let mut events = VecDeque::new();
    assert!(rig.peer.drain_events(&mut events));
    assert_eq!((events.len(), rig.borrow().len()), (1, 2));
}

#[test]
fn events_are_taken_all_together() {
    for count in [1, 3, 100] {
        let mut rig = Rig::websocket();
        for _ in 0..count {
            rig.peer.handle(Input::WsFrame(Lane(0), Frame::Text(r#"42["a"]"#.into())), rig.now);
        }
        // Behind what is there.
        let mut events =
            VecDeque::from([socket::Event::Left { slot: Slot(7), reason: DisconnectReason::ForcedClose }]);
        if count == 100 {
            events.clear();
        }
        let before = events.len();
        assert!(rig.peer.drain_events(&mut events));
        assert_eq!(events.len(), before + count);
        assert!(events.iter().skip(before).all(|event| matches!(event, socket::Event::Emit { .. })));
        assert!(!rig.peer.drain_events(&mut events));
        rig.drain().says(&[]);
    }
}

#[test]
fn each_packet_of_a_post_is_read_for_itself() {
    let mut rig = Rig::polling();
    rig.post(9, "40/n,").accept(1).try_ask(0, 7, "it").unwrap();
    rig.said.clear();
    let body = concat!(
        r#"42["a",1,["x"]]␞42["b\n","c"]␞451-["up",{"_placeholder":true,"num":0},2]␞bAQI=␞"#,
        r#"42/n,["d"]␞437["yes",[]]␞42[5,{}]␞42 ["e"] ␞6␞423␞42["last","z"]"#
    );
    rig.peer.handle(Input::Post(Lane(1), Form::Text), rig.now);
    rig.peer.handle(Input::PostBody(Lane(1), body.replace('␞', "\x1E").into()), rig.now);
    let mut heard = Vec::new();
    while let Some(output) = rig.peer.poll_output() {
        let args = |args: &Args| match args.raw() {
            Raw::Json(text) => {
                let all: Variadic<Value> = args.decode().unwrap();
                let first = args.first().decode::<Variadic<Value>>().unwrap().0;
                format!("{text} {} {}", all.0.len(), first.len())
            }
            Raw::Msgpack(_) => "msgpack".into(),
        };
        heard.push(match output {
            Output::Event(Event::Socket(socket::Event::Emit { event, .. })) => {
                format!("{}: {}", event.name(), args(event.args()))
            }
            Output::Event(Event::Socket(socket::Event::Acked { args: answer, .. })) => args(&answer),
            output => shown(output),
        });
    }
    let expected = [
        r#"a: 1,["x"] 2 1"#,
        "b\n: \"c\" 1 1",
        r#"up: {"_placeholder":true,"num":0},2 2 1"#,
        "d:  0 0",
        r#""yes",[] 2 1"#,
        "5: {} 1 1",
        "e:  0 0",
        r#"last: "z" 1 1"#,
        "1: ok",
    ];
    assert_eq!(heard, expected);
}

#[test]
fn no_event_is_taken_before_what_came_first() {
    let mut rig = Rig::websocket_with(narrow());
    let send = |rig: &mut Rig| rig.peer.send(Slot(0), upload(), Delivery::Reliable);
    send(&mut rig).unwrap();
    assert_eq!(send(&mut rig), Err(SendError::Full));
    assert_eq!(rig.borrow().len(), 1, "before the news that there is room again");
    rig.peer.handle(Input::WsFrame(Lane(0), Frame::Text(r#"42["a"]"#.into())), rig.now);
    assert!(!rig.peer.drain_events(&mut VecDeque::new()));
    rig.drain().says(&["drained", "0: a", "0> b\"\\x01\\x02\""]);
}

#[test]
fn a_packet_leaves_its_place_when_it_is_queued_and_not_before() {
    let mut rig = Rig::polling_with(Config { engine: observed(), ..narrow() });
    while rig.peer.poll_engine_event().is_some() {}
    let text = || Codec::Text.event(&Nsp::ROOT, None, "a", &()).unwrap();
    let created = |rig: &mut Rig| core::iter::from_fn(|| rig.peer.poll_engine_event()).count();
    let stays = |rig: &mut Rig, slot, delivery, expected| {
        for whole in [text(), upload()] {
            let mut packet = whole.clone();
            assert_eq!(rig.peer.send_from(Slot(slot), &mut packet, delivery), expected);
            assert_eq!(packet, whole);
        }
        assert_eq!(created(rig), 0, "what is not queued is not created");
    };
    rig.send("a").send("b");
    assert_eq!(created(&mut rig), 2);
    stays(&mut rig, 0, Delivery::Volatile, Ok(()));
    stays(&mut rig, 5, Delivery::Reliable, Err(SendError::Disconnected));
    stays(&mut rig, 0, Delivery::Reliable, Err(SendError::Full));
    rig.get(1);
    for whole in [text(), upload()] {
        let mut packet = whole;
        assert_eq!(rig.peer.send_from(Slot(0), &mut packet, Delivery::Reliable), Ok(()));
        assert_eq!((packet.bytes_len(), packet.frame_count()), (0, 1));
        rig.get(2);
    }
}

fn observed() -> Arc<engine::Config> {
    Arc::new(engine::Config { observe: true, buffer: narrow().engine.buffer, ..engine::Config::default() })
}
