use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::engine::buffer::BufferLimits;
use crate::engine::handshake::HandshakeError;
use crate::engine::packet::BinaryEncoding;
use crate::engine::packet::{DecodeError, Message};
use crate::{Instant, Str};

const HANDSHAKE: &str =
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":20}"#;

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn text(text: &str) -> Frame {
    Frame::Text(text.into())
}

fn message(text: &str) -> Event {
    Event::Message(Message::Text(text.into()))
}

/// An output in a word or two. Lanes count from 0; targets are shown by what is special about them.
fn show(output: Output) -> String {
    let frame = |frame: Frame| match frame {
        Frame::Text(text) => text.to_string(),
        Frame::Binary(data) => format!("{data:?}"),
    };
    match output {
        Output::Get(lane, target) => {
            assert!(target.starts_with("/socket.io/?EIO=4&transport=polling&t="), "{target}");
            format!("GET {}{}", lane.0, if target.ends_with("&sid=S") { " sid" } else { "" })
        }
        Output::Post(lane, target, body) => {
            assert!(target.contains("transport=polling") && target.ends_with("&sid=S"), "{target}");
            format!("POST {} {}", lane.0, String::from_utf8(body.to_vec()).unwrap().replace('\x1e', "|"))
        }
        Output::Abort(lane) => format!("abort {}", lane.0),
        Output::WsConnect(lane, target) => {
            let (_, query) = target.split_once("EIO=4&transport=websocket").unwrap();
            format!("ws {}{}", lane.0, if query == "&sid=S" { " sid" } else { query })
        }
        Output::WsSend(lane, sent, _) => format!("send {} {}", lane.0, frame(sent)),
        Output::WsClose(lane) => format!("close {}", lane.0),
        Output::Event(Event::Message(Message::Text(text))) => format!("message {text}"),
        Output::Event(Event::Closed(reason)) => format!("closed: {reason}"),
        Output::Event(event) => format!("{event:?}"),
    }
}

/// Something that happens to a client.
type Act = fn(&mut Client);

struct Client {
    session: Session,
    now: Instant,
}

impl Client {
    fn open(config: Config) -> Self {
        Self::resume(config, Memory::default())
    }

    fn resume(config: Config, memory: Memory) -> Self {
        Self { session: Session::open(Arc::new(config), memory, 7), now: at(0) }
    }

    /// Lane 0 did the handshake, 1 is the probe and 2 the pending GET.
    fn polling() -> Self {
        let mut client = Self::open(Config::default());
        client.respond(0, HANDSHAKE);
        client.drain();
        client
    }

    /// Lane 0 is the websocket.
    fn websocket() -> Self {
        let mut client = Self::open(Config { transports: vec![Transport::Websocket], ..Config::default() });
        client.ws(0, HANDSHAKE);
        client.drain();
        client
    }

    fn drain(&mut self) -> Vec<String> {
        core::iter::from_fn(|| {
            let promised = self.session.has_output();
            let output = self.session.poll_output();
            // A session that drains learns from being polled that it is done.
            assert!(promised == output.is_some(), "has_output {promised}, poll_output {output:?}");
            output
        })
        .map(show)
        .collect()
    }

    fn handle(&mut self, input: Input) {
        self.session.handle(input, self.now);
    }

    fn respond(&mut self, lane: u64, body: &str) {
        self.handle(Input::Response(Lane(lane), 200, Bytes::copy_from_slice(body.as_bytes())));
    }

    fn ws(&mut self, lane: u64, frame: &str) {
        self.handle(Input::WsFrame(Lane(lane), text(frame)));
    }

    fn fail(&mut self, lane: u64, failure: Failure) {
        self.handle(Input::Failed(Lane(lane), failure));
    }

    fn send(&mut self, packet: &str) {
        self.session.send([text(packet)].into_iter(), packet.len()).unwrap();
    }

    fn close(&mut self) {
        self.session.close(self.now);
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.session.handle_timeout(self.now);
        assert!(self.session.poll_timeout().is_none_or(|next| next > self.now));
    }

    /// How the session ended.
    fn end(&mut self) -> CloseReason {
        let outputs: Vec<_> = core::iter::from_fn(|| self.session.poll_output()).collect();
        assert!(self.session.is_closed() && self.session.poll_timeout().is_none());
        match outputs.last() {
            Some(Output::Event(Event::Closed(reason))) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_polling_handshake_is_followed_by_the_probe_and_the_next_poll() {
    let mut client = Client::open(Config::default());
    assert_eq!(client.drain(), ["GET 0"]);
    assert_eq!(client.session.transport(), None);
    client.respond(0, HANDSHAKE);
    assert_eq!(client.drain(), ["Opened(\"S\")", "ws 1 sid", "GET 2 sid"]);
    assert_eq!(client.session.transport(), Some(Transport::Polling));
    assert_eq!(client.session.sid(), Some(&Sid::from("S")));
}

#[test]
fn packets_behind_the_handshake_are_read() {
    let mut client = Client::open(Config { upgrade: false, ..Config::default() });
    client.drain();
    client.respond(0, &format!("{HANDSHAKE}\x1e4hello"));
    assert_eq!(client.drain(), ["Opened(\"S\")", "message hello", "GET 1 sid"]);
}

#[test]
fn an_upgrade_waits_for_the_pending_get_and_the_post_in_flight() {
    let mut client = Client::polling();
    client.send("4a");
    assert_eq!(client.drain(), ["POST 3 4a"]);
    client.handle(Input::WsOpened(Lane(1)));
    assert_eq!(client.drain(), ["send 1 2probe"]);
    client.ws(1, "3probe");
    client.send("4b");
    assert!(!client.session.is_writable());
    assert_eq!(client.drain(), [""; 0]);
    client.respond(2, "4x\x1e6");
    assert_eq!(client.drain(), ["message x"]);
    client.respond(3, "ok");
    assert_eq!(client.drain(), ["send 1 5", "Upgraded(Websocket)", "send 1 4b"]);
    assert_eq!(client.session.transport(), Some(Transport::Websocket));
    client.ws(1, "4y");
    assert_eq!(client.drain(), ["message y"]);
}

#[test]
fn nothing_is_posted_while_polling_pauses() {
    let mut client = Client::polling();
    client.ws(1, "3probe");
    client.send("4a");
    assert_eq!(client.drain(), [""; 0]);
    client.respond(2, "2");
    assert_eq!(client.drain(), ["Ping", "send 1 5", "Upgraded(Websocket)", "send 1 4a", "send 1 3"]);
}

#[test]
fn polling_goes_on_until_the_probe_is_answered() {
    let mut client = Client::polling();
    client.handle(Input::WsOpened(Lane(1)));
    client.respond(2, "4x");
    assert_eq!(client.drain(), ["send 1 2probe", "message x", "GET 3 sid"]);
    client.ws(1, "3probe");
    client.respond(3, "6");
    assert_eq!(client.drain(), ["send 1 5", "Upgraded(Websocket)"]);
    assert_eq!(client.session.poll_timeout(), Some(at(500)));
}

#[test]
fn what_polling_still_says_after_the_upgrade_is_ignored() {
    let mut client = Client::polling();
    client.ws(1, "3probe");
    client.respond(2, "6");
    client.drain();
    client.respond(2, "1");
    client.fail(2, Failure::Connection);
    client.respond(0, "garbage");
    assert_eq!(client.drain(), [""; 0]);
    assert!(client.session.is_open());
}

#[test]
fn a_close_packet_before_the_upgrade_ends_the_session() {
    let mut client = Client::polling();
    client.ws(1, "3probe");
    client.respond(2, "4x\x1e1\x1e4y");
    assert_eq!(client.drain(), ["message x", "close 1", "closed: transport close"]);
}

#[test]
fn whatever_happens_to_a_probe_polling_goes_on() {
    let fail: [(Act, UpgradeError); 6] = [
        (|client| client.fail(1, Failure::Unreachable), UpgradeError::Transport(Failure::Unreachable)),
        (|client| client.handle(Input::WsClosed(Lane(1))), UpgradeError::Closed),
        (|client| client.ws(1, "3"), UpgradeError::UnexpectedPacket),
        (|client| client.ws(1, "4early"), UpgradeError::UnexpectedPacket),
        (|client| client.ws(1, "garbage"), UpgradeError::UnexpectedPacket),
        (
            |client| {
                client.wait(9_999);
                assert_eq!(client.drain(), [""; 0]);
                client.wait(1);
            },
            UpgradeError::TimedOut,
        ),
    ];
    for (fail, error) in fail {
        let mut client = Client::open(Config::default());
        client.respond(0, &HANDSHAKE.replace("300", "60000"));
        client.drain();
        client.handle(Input::WsOpened(Lane(1)));
        client.drain();
        fail(&mut client);
        assert_eq!(client.drain(), ["close 1".to_string(), format!("UpgradeFailed({error:?})")]);
        assert_eq!(client.session.transport(), Some(Transport::Polling));
        client.send("4a");
        assert!(client.drain()[0].starts_with("POST "), "{error:?}");
    }
}

#[test]
fn a_probe_that_dies_while_polling_pauses_lets_polling_go_on() {
    let mut client = Client::polling();
    client.ws(1, "3probe");
    client.respond(2, "6");
    client.drain();
    // The GET is back, and a POST keeps the upgrade waiting.
    let mut client = Client::polling();
    client.send("4a");
    client.drain();
    client.ws(1, "3probe");
    client.respond(2, "6");
    client.send("4b");
    assert_eq!(client.drain(), [""; 0]);
    client.handle(Input::WsClosed(Lane(1)));
    assert_eq!(client.drain(), ["close 1", "UpgradeFailed(Closed)", "GET 4 sid"]);
    client.respond(3, "ok");
    assert_eq!(client.drain(), ["POST 5 4b"]);
}

#[test]
fn no_upgrade_is_tried_when_either_side_does_not_want_it() {
    let no = [
        (Config { upgrade: false, ..Config::default() }, HANDSHAKE.to_string()),
        (Config { transports: vec![Transport::Polling], ..Config::default() }, HANDSHAKE.to_string()),
        (Config::default(), HANDSHAKE.replace("\"websocket\"", "\"webtransport\"")),
    ];
    for (config, handshake) in no {
        let mut client = Client::open(config);
        client.drain();
        client.respond(0, &handshake);
        assert_eq!(client.drain(), ["Opened(\"S\")", "GET 1 sid"]);
    }
}

#[test]
fn a_session_can_begin_on_a_websocket() {
    let mut client = Client::open(Config { transports: vec![Transport::Websocket], ..Config::default() });
    assert_eq!(client.drain(), ["ws 0"]);
    client.handle(Input::WsOpened(Lane(0)));
    assert_eq!(client.drain(), [""; 0]);
    client.ws(0, HANDSHAKE);
    client.send("4a");
    assert_eq!(client.drain(), ["Opened(\"S\")", "send 0 4a"]);
    assert!(!client.session.is_writable());
    client.handle(Input::Flushed(Lane(0)));
    assert!(client.session.is_writable());
    for ignored in ["1", "6", "5", "3", "3probe", HANDSHAKE] {
        client.ws(0, ignored);
        assert_eq!(client.drain(), [""; 0], "{ignored}");
    }
    client.handle(Input::WsFrame(Lane(0), Frame::Binary(Bytes::from_static(b"b"))));
    let binary = Event::Message(Message::Binary(Bytes::from_static(b"b")));
    assert_eq!(client.session.poll_output(), Some(Output::Event(binary)));
    client.handle(Input::WsClosed(Lane(0)));
    assert_eq!(client.end(), CloseReason::TransportClose(Ending::Connection));
}

#[test]
fn binary_is_sent_as_text_where_the_user_wants_it() {
    let config = Config {
        transports: vec![Transport::Websocket],
        binary: BinaryEncoding::Base64,
        ..Config::default()
    };
    let mut client = Client::open(config);
    assert_eq!(client.drain(), ["ws 0&b64=1"]);
    client.ws(0, HANDSHAKE);
    client.drain();
    client.session.send([Frame::Binary(Bytes::from_static(&[1, 2, 3]))].into_iter(), 3).unwrap();
    assert_eq!(client.drain(), ["send 0 bAQID"]);
}

#[test]
fn a_slow_websocket_leaves_frames_in_the_queue_where_they_are_counted() {
    let limits = BufferLimits { max_frames: 2, max_bytes: 1 << 20 };
    let config = Config { transports: vec![Transport::Websocket], buffer: limits, ..Config::default() };
    let mut client = Client::open(config);
    client.ws(0, HANDSHAKE);
    client.drain();
    let large = "4".repeat(64 * 1024);
    client.send(&large);
    assert_eq!(client.drain().len(), 1);
    client.send("4a");
    client.send("4b");
    assert_eq!(client.session.send([text("4c")].into_iter(), 2), Err(SendError::Full));
    assert_eq!(client.session.buffered_bytes(), 4);
    assert_eq!(client.drain(), [""; 0]);
    client.handle(Input::Flushed(Lane(0)));
    assert_eq!(client.drain(), ["send 0 4a", "Drained", "send 0 4b"]);
}

#[test]
fn posts_are_filled_up_to_the_servers_limit_and_never_overlap() {
    let mut client = Client::polling();
    for packet in ["4aaaaaa", "4bbbbbb", "4cc", "4d"] {
        client.send(packet);
    }
    // Seven and a separator, seven and a separator, three: 19 of 20 bytes.
    assert_eq!(client.drain(), ["POST 3 4aaaaaa|4bbbbbb|4cc"]);
    client.respond(2, "6");
    assert_eq!(client.drain(), ["GET 4 sid"]);
    client.respond(3, "ok");
    assert_eq!(client.drain(), ["POST 5 4d"]);
    client.respond(5, "ok");
    client.send("4one packet larger than the limit");
    client.send("4e");
    assert_eq!(client.drain(), ["POST 6 4one packet larger than the limit"]);
}

#[test]
fn every_ping_is_answered_and_moves_the_deadline_which_nothing_else_does() {
    let mut client = Client::polling();
    client.now = at(400);
    client.respond(2, "2");
    assert_eq!(client.drain(), ["Ping", "GET 3 sid", "POST 4 3"]);
    client.wait(400);
    client.respond(3, "4x");
    client.respond(4, "ok");
    assert_eq!(client.drain(), ["message x", "GET 5 sid"]);
    client.wait(99);
    assert!(client.session.is_open());
    client.wait(1);
    assert_eq!(client.drain(), ["abort 5", "close 1", "closed: ping timeout"]);
}

#[test]
fn a_flood_of_pings_does_not_fill_the_queue_without_a_bound() {
    let buffer = BufferLimits { max_frames: 3, max_bytes: 100 };
    let mut client = Client::open(Config { buffer, upgrade: false, ..Config::default() });
    client.drain();
    client.respond(0, HANDSHAKE);
    client.respond(1, &["2"; 100].join("\x1e"));
    assert_eq!(client.session.buffered_bytes(), 3);
}

#[test]
fn closing_sends_the_close_packet_after_everything_else_and_keeps_the_get_until_it_is_read() {
    let mut client = Client::polling();
    client.send("4a");
    client.drain();
    client.send("4b");
    client.close();
    assert!(!client.session.is_open());
    assert_eq!(client.session.send([text("4c")].into_iter(), 2), Err(SendError::Closed));
    assert_eq!(client.drain(), [""; 0]);
    client.respond(3, "ok");
    assert_eq!(client.drain(), ["POST 4 4b"]);
    client.respond(4, "ok");
    assert_eq!(client.drain(), ["close 1", "POST 5 1"]);
    client.respond(5, "ok");
    // Not every server answers it then.
    assert_eq!(client.drain(), ["abort 2", "closed: forced close"]);
}

#[test]
fn an_idle_polling_session_closes_by_one_post() {
    let mut client = Client::polling();
    client.close();
    assert_eq!(client.drain(), ["close 1", "POST 3 1"]);
    client.close();
    client.respond(2, "6");
    client.fail(3, Failure::Connection);
    assert_eq!(client.drain(), ["closed: forced close"]);
    client.close();
    client.session.abort();
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn a_close_that_nobody_answers_ends_after_ten_seconds() {
    for packets in [0, 1] {
        let mut client = Client::open(Config { upgrade: false, ..Config::default() });
        client.respond(0, &HANDSHAKE.replace("300", "60000"));
        client.drain();
        (0..packets).for_each(|_| client.send("4a"));
        client.close();
        assert!(client.drain()[0].starts_with("POST 2"));
        client.wait(9_999);
        assert_eq!(client.drain(), [""; 0]);
        client.wait(1);
        assert_eq!(client.drain(), ["abort 1", "abort 2", "closed: forced close"]);
    }
}

#[test]
fn closing_while_the_probe_is_tested_gives_it_up() {
    let mut client = Client::polling();
    client.handle(Input::WsOpened(Lane(1)));
    client.drain();
    client.close();
    assert_eq!(client.drain(), ["close 1", "POST 3 1"]);
}

#[test]
fn closing_while_upgrading_waits_for_its_end() {
    let mut client = Client::polling();
    client.send("4a");
    client.drain();
    client.ws(1, "3probe");
    client.send("4b");
    client.close();
    assert_eq!(client.drain(), [""; 0]);
    client.respond(2, "6");
    client.respond(3, "ok");
    let end = ["send 1 5", "Upgraded(Websocket)", "send 1 4b", "close 1", "closed: forced close"];
    assert_eq!(client.drain(), end);

    let mut client = Client::polling();
    client.ws(1, "3probe");
    client.close();
    assert_eq!(client.drain(), [""; 0]);
    client.handle(Input::WsClosed(Lane(1)));
    assert_eq!(client.drain(), ["close 1", "UpgradeFailed(Closed)", "POST 3 1"]);
}

#[test]
fn closing_a_websocket_waits_for_the_queue() {
    let mut client = Client::websocket();
    client.send("4a");
    client.close();
    assert_eq!(client.drain(), ["send 0 4a", "close 0", "closed: forced close"]);
}

#[test]
fn closing_before_the_handshake_closes_the_session_the_server_may_have_opened() {
    let mut client = Client::open(Config::default());
    client.drain();
    client.close();
    assert_eq!(client.drain(), [""; 0]);
    client.respond(0, HANDSHAKE);
    assert_eq!(client.drain(), ["POST 1 1"]);
    client.respond(1, "ok");
    assert_eq!(client.drain(), ["closed: forced close"]);

    let mut client = Client::open(Config::default());
    client.close();
    client.fail(0, Failure::Unreachable);
    assert_eq!(client.end(), CloseReason::ForcedClose);

    let mut client = Client::open(Config { transports: vec![Transport::Websocket], ..Config::default() });
    client.drain();
    client.close();
    assert_eq!(client.drain(), ["close 0", "closed: forced close"]);
}

#[test]
fn aborting_gives_up_every_lane() {
    let mut client = Client::polling();
    client.send("4a");
    client.drain();
    client.session.abort();
    assert_eq!(client.drain(), ["abort 2", "abort 3", "close 1", "closed: forced close"]);
    let mut client = Client::open(Config::default());
    client.drain();
    client.session.abort();
    assert_eq!(client.drain(), ["abort 0", "closed: forced close"]);
}

fn polling_end(status: u16, body: &'static str) -> TransportError {
    let mut client = Client::open(Config::default());
    client.drain();
    client.handle(Input::Response(Lane(0), status, Bytes::from_static(body.as_bytes())));
    match client.end() {
        CloseReason::TransportError(error) => error,
        reason => panic!("{reason:?}"),
    }
}

#[test]
fn whatever_answers_the_first_request_has_a_typed_error() {
    use TransportError::{Handshake, NotEngineIo, OldServer, Poll};
    let handshake = |error| Handshake(error);
    let rows = [
        (200, "", NotEngineIo),
        (200, "<!DOCTYPE html><html></html>", NotEngineIo),
        (200, "ok", NotEngineIo),
        (200, "4hello", NotEngineIo),
        (200, "1", NotEngineIo),
        (200, "\u{1e}", NotEngineIo),
        (200, "96:0{\"sid\":\"a\"}2:40", OldServer),
        (200, "96:1", NotEngineIo),
        (200, "0", handshake(HandshakeError::NotAnObject)),
        (200, "0{", handshake(HandshakeError::NotAnObject)),
        (200, "0[]", handshake(HandshakeError::NotAnObject)),
        (200, "0{}", handshake(HandshakeError::Missing("sid"))),
        (
            200,
            r#"0{"sid":5,"upgrades":[],"pingInterval":1,"pingTimeout":1}"#,
            handshake(HandshakeError::Invalid("sid")),
        ),
        (
            200,
            r#"0{"sid":"a","upgrades":[],"pingInterval":"1","pingTimeout":1}"#,
            handshake(HandshakeError::Invalid("pingInterval")),
        ),
        (301, "", Poll(Failure::status(301, b""))),
        (204, "", Poll(Failure::status(204, b""))),
        (
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
            Poll(Failure::Status {
                status: 400,
                body: r#"{"code":5,"message":"Unsupported protocol version"}"#.into(),
            }),
        ),
    ];
    for (status, body, error) in rows {
        assert_eq!(polling_end(status, body), error, "{status} {body}");
    }
}

#[test]
fn a_failure_keeps_the_beginning_of_an_error_page() {
    let page = [b'x'; 1025];
    let Failure::Status { body, .. } = Failure::status(500, &page) else { unreachable!() };
    assert_eq!(body.len(), 1024);
    let Failure::Status { body, .. } = Failure::status(500, b"a\xFFb") else { unreachable!() };
    assert_eq!(body, Str::from("a\u{FFFD}b"));
}

#[test]
fn a_websocket_must_begin_with_the_handshake() {
    for (frame, error) in [
        ("<html>", TransportError::NotEngineIo),
        ("40", TransportError::NotEngineIo),
        ("0{}", TransportError::Handshake(HandshakeError::Missing("sid"))),
    ] {
        let mut client = Client::open(Config { transports: vec![Transport::Websocket], ..Config::default() });
        client.ws(0, frame);
        assert_eq!(client.end(), CloseReason::TransportError(error), "{frame}");
    }
    let mut client = Client::open(Config { transports: vec![Transport::Websocket], ..Config::default() });
    client.handle(Input::WsClosed(Lane(0)));
    let error = TransportError::Websocket(Failure::Connection);
    assert_eq!(client.end(), CloseReason::TransportError(error));
}

#[test]
fn a_server_that_breaks_the_rules_ends_the_session() {
    let rows: [(Act, TransportError); 5] = [
        (
            |client| client.respond(2, "4x\x1e9"),
            TransportError::Packet(DecodeError::UnknownType { found: '9' }),
        ),
        (|client| client.respond(2, ""), TransportError::Packet(DecodeError::Empty)),
        (|client| client.fail(2, Failure::TooLarge), TransportError::Poll(Failure::TooLarge)),
        (
            |client| client.handle(Input::Response(Lane(2), 400, Bytes::new())),
            TransportError::Poll(Failure::status(400, b"")),
        ),
        (
            |client| client.handle(Input::Response(Lane(3), 413, Bytes::new())),
            TransportError::Post(Failure::status(413, b"")),
        ),
    ];
    for (act, error) in rows {
        let mut client = Client::polling();
        client.send("4a");
        client.drain();
        act(&mut client);
        assert_eq!(client.end(), CloseReason::TransportError(error));
    }
    let mut client = Client::websocket();
    client.ws(0, "x");
    let error = TransportError::Packet(DecodeError::UnknownType { found: 'x' });
    assert_eq!(client.end(), CloseReason::TransportError(error));
    let mut client = Client::websocket();
    client.fail(0, Failure::TooLarge);
    let error = TransportError::Websocket(Failure::TooLarge);
    assert_eq!(client.end(), CloseReason::TransportError(error));
}

#[test]
fn one_packet_past_the_limit_of_a_response_is_an_error() {
    for (limit, survives) in [(3, true), (2, false)] {
        let mut client = Client::open(Config { max_payload_packets: limit, ..Config::default() });
        client.respond(0, HANDSHAKE);
        client.respond(2, "6\x1e6\x1e6");
        assert_eq!(client.session.is_open(), survives);
    }
}

#[test]
fn the_packets_before_a_bad_one_are_delivered() {
    let mut client = Client::polling();
    client.respond(2, "4x\x1e9");
    assert_eq!(client.session.poll_output(), Some(Output::Event(message("x"))));
}

#[test]
fn the_next_transport_is_tried_only_where_that_is_asked_for() {
    let transports = vec![Transport::Webtransport, Transport::Websocket, Transport::Polling];
    let config = Config { transports, try_all_transports: true, ..Config::default() };
    let mut client = Client::open(config.clone());
    assert_eq!(client.drain(), ["ws 0"]);
    client.fail(0, Failure::Unreachable);
    assert_eq!(client.drain(), ["close 0", "GET 1"]);
    client.respond(1, HANDSHAKE);
    // What has failed once is no candidate for an upgrade.
    assert_eq!(client.drain(), ["Opened(\"S\")", "GET 2 sid"]);

    let mut client = Client::open(config.clone());
    client.fail(0, Failure::Unreachable);
    client.fail(1, Failure::Tls(TlsFault::Expired));
    assert_eq!(
        client.end(),
        CloseReason::TransportError(TransportError::Poll(Failure::Tls(TlsFault::Expired)))
    );

    let mut client = Client::open(Config { try_all_transports: false, ..config });
    client.fail(0, Failure::Unreachable);
    let error = TransportError::Websocket(Failure::Unreachable);
    assert_eq!(client.end(), CloseReason::TransportError(error));
}

#[test]
fn without_a_known_transport_there_is_no_session() {
    for transports in [vec![], vec![Transport::Webtransport]] {
        let mut client = Client::open(Config { transports, ..Config::default() });
        assert_eq!(client.end(), CloseReason::TransportError(TransportError::NoTransports));
    }
}

#[test]
fn a_websocket_that_worked_is_remembered_and_one_that_failed_is_forgotten() {
    let config = Config { remember_upgrade: true, ..Config::default() };
    let mut client = Client::open(config.clone());
    client.respond(0, HANDSHAKE);
    client.drain();
    assert!(!client.session.memory().websocket_worked);
    client.ws(1, "3probe");
    let memory = client.session.memory();
    assert_eq!(memory, Memory { sessions: 1, websocket_worked: true });

    let mut client = Client::resume(config.clone(), memory);
    let lane = 1 << 32;
    assert_eq!(client.drain(), [format!("ws {lane}")]);
    client.fail(lane, Failure::Unreachable);
    client.end();
    assert_eq!(client.session.memory(), Memory { sessions: 2, websocket_worked: false });
    let mut client = Client::resume(config, client.session.memory());
    assert_eq!(client.drain(), [format!("GET {}", 2_u64 << 32)]);

    let mut client = Client::resume(Config::default(), memory);
    assert_eq!(client.drain(), [format!("GET {lane}")]);
    assert!(client.session.owns(Lane(lane)) && !client.session.owns(Lane(0)));
}
