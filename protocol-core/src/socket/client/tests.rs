use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::engine::Revision;
use crate::engine::client::{self as engine, Failure, Input, TlsFault, TransportError};
use crate::engine::packet::{Frame, Packet};
use crate::socket::{Body, Codec, DecodeError, Decoder, EncodeError, Encoded, Limits, Nsp, Raw};
use crate::{AckId, Instant, Lane};

const HANDSHAKE: &str = r#"0{"sid":"S","upgrades":[],"pingInterval":60000,"pingTimeout":20000}"#;

fn nsp(name: &str) -> Nsp {
    Nsp::new(name).unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A manager on websockets, whose server is the test.
struct Client {
    manager: Manager<&'static str>,
    now: Instant,
    /// The websocket in use.
    lane: Lane,
    /// Websockets that are no more: closing them is not worth a word.
    gone: Vec<Lane>,
    ticket: Option<(Slot, Ticket)>,
    replies: Vec<Reply>,
}

const ROOT: Slot = Slot(0);

impl Client {
    /// A manager with a socket for `/` that rests.
    fn new(config: Config) -> Self {
        Self::with(config, SocketConfig::default())
    }

    fn with(config: Config, socket: SocketConfig) -> Self {
        let engine = engine::Config { transports: vec![Transport::Websocket], ..engine::Config::default() };
        let mut manager = Manager::new(Arc::new(Config { engine: Arc::new(engine), ..config }), 42);
        assert_eq!(manager.socket(&Nsp::ROOT, socket), ROOT);
        Self { manager, now: at(0), lane: Lane(0), gone: Vec::new(), ticket: None, replies: Vec::new() }
    }

    /// Connected to `/` as `A`.
    fn connected(config: Config) -> Self {
        let mut client = Self::new(config);
        client.reach("A");
        client
    }

    /// Connects `/`, from wherever it is.
    fn reach(&mut self, sid: &str) {
        self.manager.connect(ROOT, self.now);
        self.drain();
        self.welcome();
        self.server(&format!("40{{\"sid\":\"{sid}\"}}"));
        self.drain();
        assert!(self.manager.is_connected(ROOT));
    }

    /// The session opens, and the socket sends its CONNECT.
    fn welcome(&mut self) {
        self.server(HANDSHAKE);
        self.drain();
        self.authenticate(None);
        self.drain();
    }

    fn authenticate(&mut self, auth: Option<serde_json::Value>) {
        let (slot, ticket) = self.ticket.take().unwrap();
        self.manager.authenticate(slot, ticket, auth.as_ref()).unwrap();
    }

    fn server(&mut self, frame: &str) {
        self.handle(Input::WsFrame(self.lane, Frame::Text(frame.into())));
    }

    fn cut(&mut self) {
        self.gone.push(self.lane);
        self.handle(Input::WsClosed(self.lane));
    }

    fn refuse(&mut self) {
        self.drain();
        self.gone.push(self.lane);
        self.handle(Input::Failed(self.lane, Failure::Unreachable));
    }

    fn handle(&mut self, input: Input) {
        self.manager.handle(input, self.now);
    }

    fn emit(&mut self, name: &str, args: u32) {
        self.manager.emit(ROOT, name, &args, Delivery::Reliable, self.now).unwrap();
    }

    fn ask(&mut self, name: &'static str, timeout: Option<u64>) {
        let result = self.manager.emit_with_ack(
            ROOT,
            (name, &()),
            Delivery::Reliable,
            name,
            timeout.map(ms),
            self.now,
        );
        result.unwrap();
    }

    /// Lets time pass up to the next deadline, and says how much it was.
    fn skip(&mut self) -> u64 {
        let next = self.manager.poll_timeout().unwrap();
        let skipped = next.saturating_since(self.now);
        self.wait(u64::try_from(skipped.as_millis()).unwrap());
        u64::try_from(skipped.as_millis()).unwrap()
    }

    fn wait(&mut self, millis: u64) {
        self.now += ms(millis);
        self.manager.handle_timeout(self.now);
        assert!(self.manager.poll_timeout().is_none_or(|next| next > self.now));
    }

    fn drain(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(output) = self.manager.poll_output() {
            if !matches!(output, Output::WsClose(lane) if self.gone.contains(&lane)) {
                shown.push(self.show(output));
            }
        }
        shown
    }

    /// An output in a few words. Written frames count as flushed at once.
    fn show(&mut self, output: Output<&'static str>) -> String {
        match output {
            Output::WsConnect(lane, _) => {
                self.lane = lane;
                format!("ws {}", lane.0 >> 32)
            }
            Output::WsSend(lane, frame) => {
                self.handle(Input::Flushed(lane));
                match frame {
                    Frame::Text(text) => text.to_string(),
                    Frame::Binary(data) => format!("{data:?}"),
                }
            }
            Output::WsClose(_) => "close".into(),
            Output::Event(event) => self.show_event(event),
            output => panic!("{output:?}"),
        }
    }

    fn show_event(&mut self, event: Event<&'static str>) -> String {
        let of = |slot: Slot| if slot == ROOT { String::new() } else { format!("[{}]", slot.0) };
        match event {
            Event::Error(error) => format!("error: {error}"),
            Event::Close(reason) => format!("closed: {reason}"),
            Event::ReconnectError(error) => format!("reconnect error: {error}"),
            Event::AuthNeeded { slot, ticket } => {
                self.ticket = Some((slot, ticket));
                format!("auth?{}", of(slot))
            }
            Event::Connected { slot, sid, recovered } => {
                format!("connected{} {sid}{}", of(slot), if recovered { " recovered" } else { "" })
            }
            Event::ConnectError { slot, error } => format!("connect error{}: {error}", of(slot)),
            Event::Disconnected { slot, reason } => format!("disconnected{}: {reason}", of(slot)),
            Event::Emit { slot, event, reply } => {
                let shown = format!("event{} {} {}", of(slot), event.name(), show_args(event.args()));
                self.replies.extend(reply);
                shown
            }
            Event::Acked { waiter, args } => format!("acked {waiter} {}", show_args(&args)),
            Event::AckFailed { waiter, error } => format!("ack failed {waiter}: {error}"),
            event => format!("{event:?}"),
        }
    }
}

fn show_args(args: &Args) -> String {
    match args.raw() {
        Raw::Json(text) => format!("[{text}]"),
        Raw::Msgpack(bytes) => format!("{bytes:?}"),
    }
}

#[test]
fn a_socket_connects_with_its_credentials() {
    let mut client = Client::new(Config::default());
    assert_eq!(client.manager.status(), Status::Stopped);
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["ws 0"]);
    assert_eq!(client.manager.status(), Status::Opening);
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?"]);
    assert_eq!(client.manager.status(), Status::Open);
    client.authenticate(Some(json!({ "token": "x" })));
    assert_eq!(client.drain(), [r#"40{"token":"x"}"#]);
    assert!(!client.manager.is_connected(ROOT) && client.manager.is_active(ROOT));
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["connected A"]);
    assert_eq!(client.manager.id(ROOT), Some(&Sid::from("A")));
    assert_eq!(client.manager.engine_id(), Some(&Sid::from("S")));
    // Connecting what is connected does nothing.
    client.manager.connect(ROOT, client.now);
    client.manager.open(client.now);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn credentials_that_are_no_object_are_refused_and_may_be_given_again() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, ticket) = client.ticket.unwrap();
    let refused = client.manager.authenticate(slot, ticket, Some(&"token"));
    assert!(matches!(refused, Err(AuthError::Encode(EncodeError::Serialize { .. }))), "{refused:?}");
    assert_eq!(client.manager.authenticate(slot, ticket, None::<&()>), Ok(()));
    assert_eq!(client.drain(), ["40"]);
    assert_eq!(client.manager.authenticate(slot, ticket, None::<&()>), Err(AuthError::Late));
}

#[test]
fn without_credentials_a_socket_rests_as_if_it_had_been_refused() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, ticket) = client.ticket.take().unwrap();
    assert_eq!(client.manager.fail_authentication(slot, ticket, "no token".into(), client.now), Ok(()));
    let told = ["close", "closed: forced close", "connect error: no credentials: no token"];
    assert_eq!(client.drain(), told);
    assert!(!client.manager.is_active(ROOT) && client.manager.poll_timeout().is_none());
    let late = client.manager.fail_authentication(slot, ticket, String::new(), client.now);
    assert_eq!(late, Err(AuthError::Late));
    // Another try, and others stay.
    let other = client.manager.socket(&nsp("/a"), SocketConfig::default());
    client.reach("A");
    client.manager.connect(other, client.now);
    client.drain();
    let (slot, ticket) = client.ticket.take().unwrap();
    client.manager.fail_authentication(slot, ticket, "none".into(), client.now).unwrap();
    assert_eq!(client.drain(), ["connect error[1]: no credentials: none"]);
    assert!(client.manager.is_connected(ROOT));
}

#[test]
fn what_was_encoded_before_is_sent_as_what_is_encoded_then() {
    for retries in [None, Some(Retries { count: 1, ack_timeout: ms(100) })] {
        let mut client = Client::with(Config::default(), SocketConfig { retries, ..SocketConfig::default() });
        client.reach("A");
        let encoded = Codec::Text.event(&Nsp::ROOT, None, "a", &(1, "x")).unwrap();
        client.manager.send(ROOT, &encoded, Delivery::Reliable, client.now).unwrap();
        let event = encoded.to_event(Codec::Text).unwrap();
        let id = client.manager.send_with_ack(ROOT, &event, Delivery::Reliable, "w", None, client.now);
        let Some(_) = retries else {
            assert_eq!(client.drain(), [r#"42["a",1,"x"]"#, r#"420["a",1,"x"]"#]);
            assert_eq!(id, Ok(Some(AckId(0))));
            continue;
        };
        // Nothing to forget it by: it comes to an end by itself.
        assert_eq!(id, Ok(None));
        assert_eq!(client.drain(), [r#"420["a",1,"x"]"#]);
        assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), None);
        client.server("430[]");
        assert_eq!(client.drain(), [r#"421["a",1,"x"]"#]);
        client.server("431[]");
        assert_eq!(client.drain(), ["acked w []"]);
    }
    let mut client = Client::connected(Config::default());
    client.server(r#"427["q"]"#);
    client.drain();
    let reply = client.replies.pop().unwrap();
    assert_eq!(reply.id(), AckId(7));
    let encoded = Codec::Text.ack(&Nsp::ROOT, reply.id(), &"yes").unwrap();
    client.manager.send_reply(reply, &encoded).unwrap();
    assert_eq!(client.drain(), [r#"437["yes"]"#]);
}

#[test]
fn an_acknowledgement_that_is_forgotten_is_not_waited_for() {
    let mut client = Client::connected(Config::default());
    client.ask("a", Some(100));
    client.ask("b", Some(200));
    assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), Some("a"));
    assert_eq!(client.manager.forget_ack(ROOT, AckId(0)), None);
    client.drain();
    client.server("430[1]");
    client.server("431[2]");
    assert_eq!(client.drain(), ["acked b [2]"]);
    assert_eq!(client.manager.forget_ack(Slot(9), AckId(1)), None);
}

#[test]
fn a_manager_is_at_rest_once_the_last_session_is_closed() {
    let mut client = Client::new(Config::default());
    assert!(client.manager.is_at_rest());
    client.reach("A");
    assert!(!client.manager.is_at_rest());
    client.manager.disconnect(ROOT, client.now);
    client.drain();
    assert!(client.manager.is_at_rest());
    client.reach("B");
    client.cut();
    client.drain();
    assert!(!client.manager.is_at_rest(), "it waits to try again");
    client.manager.close(client.now);
    client.drain();
    assert!(client.manager.is_at_rest());
}

#[test]
fn credentials_for_a_connection_that_is_gone_come_too_late() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    let (slot, old) = client.ticket.unwrap();
    client.cut();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(1)"]);
    assert_eq!(client.manager.authenticate(slot, old, None::<&()>), Err(AuthError::Late));
    client.authenticate(None);
    assert_eq!(client.drain(), ["40"]);
}

#[test]
fn sockets_share_the_connection_until_the_last_one_leaves() {
    let mut client = Client::connected(Config::default());
    let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
    assert_eq!(client.manager.socket(&nsp("admin"), SocketConfig::default()), admin);
    client.manager.connect(admin, client.now);
    assert_eq!(client.drain(), ["auth?[1]"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40/admin,"]);
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected[1] B"]);
    client.server(r#"42/admin,["a",1]"#);
    client.server(r#"42/nobody,["a",1]"#);
    assert_eq!(client.drain().len(), 1);

    client.manager.disconnect(admin, client.now);
    assert_eq!(client.drain(), ["disconnected[1]: io client disconnect", "41/admin,"]);
    assert!(!client.manager.remove(ROOT));
    assert!(client.manager.remove(admin));
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), ["41", "close", "closed: forced close", "disconnected: io client disconnect"]);
    assert_eq!(client.manager.status(), Status::Stopped);
    assert_eq!(client.manager.poll_timeout(), None);
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn what_was_emitted_offline_is_sent_in_order_when_the_socket_connects() {
    let mut client = Client::new(Config::default());
    client.emit("early", 1);
    client.ask("asked", None);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.emit("late", 2);
    client.authenticate(None);
    client.server(r#"42["before",1]"#);
    client.server(r#"42["before",2]"#);
    assert_eq!(client.drain(), ["40"]);
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(
        client.drain(),
        [
            "event before [1]",
            "event before [2]",
            "connected A",
            r#"42["early",1]"#,
            r#"420["asked"]"#,
            r#"42["late",2]"#
        ]
    );
    assert_eq!(client.manager.buffered_bytes(ROOT), 0);
}

#[test]
fn what_is_held_back_is_bounded_and_the_limit_has_a_name() {
    let send_queue = QueueLimits { max_packets: 2, max_bytes: 1000 };
    let mut client = Client::new(Config { send_queue, ..Config::default() });
    client.emit("a", 1);
    client.emit("a", 2);
    let refused = client.manager.emit(ROOT, "a", &3, Delivery::Reliable, client.now);
    assert_eq!(refused, Err(EmitError::Full));
    let refused =
        client.manager.emit_with_ack(ROOT, ("a", &3), Delivery::Reliable, "waiter", None, client.now);
    assert_eq!(refused, Err((EmitError::Full, "waiter")));
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["Drained { slot: Slot(0) }", "connected A", r#"42["a",1]"#, r#"42["a",2]"#]);
    // The refused one has taken no id.
    client.ask("b", None);
    assert_eq!(client.drain(), [r#"420["b"]"#]);
}

#[test]
fn what_the_session_does_not_take_waits_and_keeps_its_order() {
    let mut client = Client::connected(Config::default());
    let large = "x".repeat(9 << 20);
    let emit = |client: &mut Client, name: &str| {
        client.manager.emit(ROOT, name, &large, Delivery::Reliable, client.now).unwrap();
    };
    emit(&mut client, "first");
    emit(&mut client, "second");
    client.emit("third", 3);
    client.ask("fourth", None);
    assert!(client.manager.buffered_bytes(ROOT) > large.len());
    let names: Vec<_> =
        client.drain().into_iter().map(|sent| sent.chars().take(9).collect::<String>()).collect();
    assert_eq!(names, [r#"42["first"#, r#"42["secon"#, r#"42["third"#, r#"420["four"#]);
    assert_eq!(client.manager.buffered_bytes(ROOT), 0);
}

#[test]
fn a_volatile_event_leaves_at_once_or_never() {
    let mut client = Client::new(Config::default());
    let emit = |client: &mut Client| client.manager.emit(ROOT, "v", &(), Delivery::Volatile, client.now);
    assert_eq!(emit(&mut client), Ok(()));
    let dropped = client.manager.emit_with_ack(ROOT, ("v", &()), Delivery::Volatile, "w", None, client.now);
    assert_eq!(dropped, Err((EmitError::Dropped, "w")));
    client.reach("A");
    assert_eq!(emit(&mut client), Ok(()));
    assert_eq!(emit(&mut client), Ok(()));
    assert_eq!(client.drain(), [r#"42["v"]"#]);
    client.manager.emit_with_ack(ROOT, ("v", &()), Delivery::Volatile, "w", None, client.now).unwrap();
    assert_eq!(client.drain(), [r#"420["v"]"#]);
}

#[test]
fn acknowledgements_find_their_waiters_by_ids_that_are_never_used_again() {
    let mut client = Client::connected(Config::default());
    client.ask("a", None);
    client.ask("b", None);
    assert_eq!(client.drain(), [r#"420["a"]"#, r#"421["b"]"#]);
    client.server("431[7]");
    client.server("431[8]");
    client.server("43[9]");
    client.server("439[9]");
    assert_eq!(client.drain(), ["acked b [7]"]);
    client.cut();
    let lost = [
        "closed: transport close",
        "disconnected: transport close",
        "ack failed a: socket has been disconnected",
    ];
    assert_eq!(client.drain(), lost);
    client.skip();
    client.drain();
    client.reach("B");
    client.ask("c", None);
    assert_eq!(client.drain(), [r#"422["c"]"#]);
}

#[test]
fn an_acknowledgement_that_does_not_come_in_time_fails() {
    let mut client = Client::connected(Config::default());
    client.ask("a", Some(100));
    client.drain();
    client.wait(99);
    assert_eq!(client.drain(), [""; 0]);
    client.wait(1);
    assert_eq!(client.drain(), ["ack failed a: operation has timed out"]);
    client.server("430[]");
    assert_eq!(client.drain(), [""; 0]);

    let socket = SocketConfig { ack_timeout: Some(ms(50)), retries: None };
    let mut client = Client::with(Config::default(), socket);
    client.ask("default", None);
    client.ask("own", Some(60));
    client.wait(50);
    assert_eq!(client.drain(), ["ack failed default: operation has timed out"]);
    client.wait(10);
    assert_eq!(client.drain(), ["ack failed own: operation has timed out"]);
}

#[test]
fn an_event_that_is_held_back_until_its_time_is_over_is_not_sent() {
    let mut client = Client::new(Config::default());
    client.emit("stays", 1);
    client.ask("goes", Some(100));
    client.ask("waits", Some(5000));
    client.wait(100);
    assert_eq!(client.drain(), ["ack failed goes: operation has timed out"]);
    client.reach_with_output(&["connected A", r#"42["stays",1]"#, r#"421["waits"]"#]);
}

impl Client {
    fn reach_with_output(&mut self, expected: &[&str]) {
        self.manager.connect(ROOT, self.now);
        self.drain();
        self.welcome();
        self.server(r#"40{"sid":"A"}"#);
        assert_eq!(self.drain(), expected);
    }
}

#[test]
fn an_acknowledgement_of_what_is_still_held_back_outlives_a_disconnect() {
    let mut client = Client::connected(Config::default());
    client.ask("sent", None);
    client.drain();
    client.cut();
    client.drain();
    client.ask("held", None);
    // The next connection is lost before the socket is back.
    client.skip();
    client.drain();
    client.welcome();
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected B", r#"421["held"]"#]);
    client.server("431[1]");
    assert_eq!(client.drain(), ["acked held [1]"]);
}

#[test]
fn more_acknowledgements_than_the_limit_are_not_waited_for() {
    let mut client = Client::connected(Config { max_pending_acks: 1, ..Config::default() });
    client.ask("a", None);
    let refused = client.manager.emit_with_ack(ROOT, ("b", &()), Delivery::Reliable, "b", None, client.now);
    assert_eq!(refused, Err((EmitError::TooManyAcks, "b")));
}

#[test]
fn an_event_is_answered_once_and_only_on_its_own_connection() {
    let mut client = Client::connected(Config::default());
    client.server(r#"427["q",1]"#);
    client.server(r#"428["q",2]"#);
    client.server(r#"42["q",3]"#);
    assert_eq!(client.drain(), ["event q [1]", "event q [2]", "event q [3]"]);
    let (old, reply) = (client.replies.pop().unwrap(), client.replies.pop().unwrap());
    assert_eq!(reply.slot(), ROOT);
    client.manager.reply(reply, &("yes", Bytes::from_static(b"!"))).unwrap();
    assert_eq!(client.drain(), [r#"461-7["yes",{"_placeholder":true,"num":0}]"#, r#"b"!""#]);
    client.cut();
    client.skip();
    client.drain();
    client.welcome();
    let again = Reply { ..old };
    let stale = Reply { slot: ROOT, id: AckId(8), epoch: again.epoch };
    assert_eq!(client.manager.reply(again, &()), Err(ReplyError::Disconnected));
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.manager.reply(stale, &()), Err(ReplyError::Disconnected));
    assert_eq!(client.drain(), ["connected B"]);
}

const RETRIES: SocketConfig = SocketConfig {
    ack_timeout: None,
    retries: Some(Retries { count: 2, ack_timeout: Duration::from_millis(100) }),
};

fn retrying() -> Client {
    let mut client = Client::with(Config::default(), RETRIES);
    client.reach("A");
    client
}

#[test]
fn with_retries_one_event_at_a_time_is_sent_until_it_is_acknowledged() {
    let mut client = retrying();
    client.emit("a", 1);
    client.ask("b", None);
    client.manager.emit(ROOT, "v", &(), Delivery::Volatile, client.now).unwrap();
    assert_eq!(client.drain(), [r#"420["a",1]"#]);
    client.wait(100);
    assert_eq!(client.drain(), [r#"421["a",1]"#]);
    // An answer to the first try comes too late.
    client.server("430[]");
    assert_eq!(client.drain(), [""; 0]);
    client.server("431[]");
    assert_eq!(client.drain(), [r#"422["b"]"#]);
    client.server("432[7]");
    assert_eq!(client.drain(), ["acked b [7]"]);
    client.wait(1000);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn after_the_last_retry_the_event_is_given_up_and_the_next_one_sent() {
    let mut client = retrying();
    client.ask("a", Some(30));
    client.emit("b", 1);
    assert_eq!(client.drain(), [r#"420["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), [r#"421["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), [r#"422["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), ["ack failed a: operation has timed out", r#"423["b",1]"#]);
}

#[test]
fn a_disconnect_counts_as_a_try_and_the_event_is_sent_again_on_the_next_connection() {
    let mut client = retrying();
    client.ask("a", None);
    client.emit("b", 1);
    client.drain();
    for (id, sid) in [(1, "B"), (2, "C")] {
        client.cut();
        client.skip();
        client.drain();
        client.welcome();
        client.server(&format!("40{{\"sid\":\"{sid}\"}}"));
        assert_eq!(client.drain(), [format!("connected {sid}"), format!("42{id}[\"a\"]")]);
    }
    client.cut();
    let lost = [
        "closed: transport close",
        "disconnected: transport close",
        "ack failed a: socket has been disconnected",
    ];
    assert_eq!(client.drain(), lost);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"D"}"#);
    assert_eq!(client.drain(), ["connected D", r#"423["b",1]"#]);
}

#[test]
fn the_queue_of_retries_is_bounded() {
    let send_queue = QueueLimits { max_packets: 2, max_bytes: 1000 };
    let mut client = Client::with(Config { send_queue, ..Config::default() }, RETRIES);
    client.emit("a", 1);
    client.emit("a", 2);
    let refused = client.manager.emit_with_ack(ROOT, ("a", &3), Delivery::Reliable, "w", None, client.now);
    assert_eq!(refused, Err((EmitError::Full, "w")));
    client.reach("A");
    client.server("430[]");
    assert_eq!(client.drain(), ["Drained { slot: Slot(0) }", r#"421["a",2]"#]);
}

#[test]
fn pid_and_offset_are_sent_and_a_recovered_connection_is_told_from_a_new_one() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"42["before","o1"]"#);
    client.server(r#"40{"sid":"A","pid":"P"}"#);
    // Neither an event to answer nor one that does not end in text moves the offset.
    client.server(r#"42["a",1,"o2"]"#);
    client.server(r#"421["a","no"]"#);
    client.server(r#"42["a","no",3]"#);
    client.server(r#"42["none"]"#);
    client.drain();
    let reconnect = |client: &mut Client| {
        client.cut();
        client.skip();
        client.drain();
        client.server(HANDSHAKE);
        client.drain();
        client.authenticate(Some(json!({ "token": 1 })));
        client.drain()
    };
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"P","offset":"o2","token":1}"#]);
    client.server(r#"42["missed","o3"]"#);
    client.server(r#"40{"sid":"A","pid":"P"}"#);
    assert_eq!(client.drain(), [r#"event missed ["o3"]"#, "connected A recovered"]);
    assert!(client.manager.is_recovered(ROOT));
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"P","offset":"o3","token":1}"#]);
    assert!(!client.manager.is_recovered(ROOT));
    client.server(r#"40{"sid":"B","pid":"Q"}"#);
    assert_eq!(client.drain(), ["connected B"]);
    // The old offset belongs to another session.
    assert_eq!(reconnect(&mut client), [r#"40{"pid":"Q","token":1}"#]);
    client.server(r#"40{"sid":"C"}"#);
    client.drain();
    assert_eq!(reconnect(&mut client), [r#"40{"token":1}"#]);
}

#[test]
fn recovery_and_retries_work_with_msgpack_as_well() {
    let codec = Codec::Msgpack;
    let mut client = Client::with(Config { codec, ..Config::default() }, RETRIES);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.authenticate(None);
    client.drain();
    let receive = |client: &mut Client, encoded: Encoded| {
        encoded.frames().for_each(|frame| client.handle(Input::WsFrame(client.lane, frame)));
        client.drain()
    };
    let answer = codec.connect(&Nsp::ROOT, Some(&json!({ "sid": "A", "pid": "P" }))).unwrap();
    assert_eq!(receive(&mut client, answer).last().unwrap(), "connected A");
    let event = codec.event(&Nsp::ROOT, None, "a", &(1, "a string longer than thirty-one bytes")).unwrap();
    receive(&mut client, event);
    receive(&mut client, codec.event(&Nsp::ROOT, None, "a", &("no", 1)).unwrap());
    client.emit("b", 7);
    let sent = |id| {
        let encoded = codec.event(&Nsp::ROOT, Some(AckId(id)), "b", &7).unwrap();
        let Frame::Binary(bytes) = encoded.head() else { unreachable!() };
        format!("{bytes:?}")
    };
    assert_eq!(client.drain(), [sent(0)]);
    client.cut();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    client.drain();
    client.authenticate(None);
    let credentials = json!({ "pid": "P", "offset": "a string longer than thirty-one bytes" });
    let connect = codec.connect(&Nsp::ROOT, Some(&credentials)).unwrap();
    let read = |frame: &Frame| match Packet::decode(Revision::V4, frame.clone()) {
        Ok(Packet::Message(message)) => {
            let body = Decoder::new(codec, Limits::default()).push(message).unwrap().unwrap().body;
            let Body::Connect(Some(payload)) = body else { panic!("{body:?}") };
            payload.decode::<serde_json::Value>().unwrap()
        }
        other => panic!("{other:?}"),
    };
    let frames: Vec<_> = core::iter::from_fn(|| client.manager.poll_output())
        .filter_map(|output| match output {
            Output::WsSend(_, frame) => Some(read(&frame)),
            _ => None,
        })
        .collect();
    assert_eq!(frames, [read(connect.head())]);
    client.handle(Input::Flushed(client.lane));
    let answer = codec.connect(&Nsp::ROOT, Some(&json!({ "sid": "A", "pid": "P" }))).unwrap();
    assert_eq!(receive(&mut client, answer), ["connected A recovered".to_string(), sent(1)]);
}

#[test]
fn what_arrived_before_a_connect_that_never_came_is_forgotten() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"42["missed",1]"#);
    client.cut();
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"A"}"#);
    assert_eq!(client.drain(), ["connected A"]);
}

#[test]
fn the_delays_between_attempts_follow_from_the_seed() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    let mut delays = Vec::new();
    for attempt in 0..6 {
        client.refuse();
        let outputs = client.drain();
        let error = "error: websocket error";
        let head = [error, "connect error: websocket error"];
        assert_eq!(outputs[..2], head);
        assert_eq!(
            outputs.get(2).map(String::as_str),
            (attempt > 0).then_some("reconnect error: websocket error")
        );
        assert!(matches!(client.manager.status(), Status::Waiting { .. }));
        delays.push(client.skip());
        let again = [format!("ReconnectAttempt({})", attempt + 1), format!("ws {}", attempt + 1)];
        assert_eq!(client.drain(), again);
    }
    // The manager draws one number for each session as well.
    let mut random = crate::random::Random::new(42);
    let expected: Vec<u64> = (0..6)
        .map(|attempt| {
            random.next();
            let (base, chance) = (1000_u64 << attempt, random.fraction());
            let deviation = (chance * 0.5 * base as f64) as u64;
            let odd = ((chance * 10.0) as u64) % 2 == 1;
            (if odd { base + deviation } else { base - deviation }).min(5000)
        })
        .collect();
    assert_eq!(delays, expected);
    assert_eq!(delays, [1079, 2344, 2264, 4798, 5000, 5000]);
    // Success begins the count anew.
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(6)"]);
    client.cut();
    client.drain();
    assert!((500..=1500).contains(&client.skip()));
    assert_eq!(client.drain()[0], "ReconnectAttempt(1)");
}

#[test]
fn after_the_last_attempt_nothing_happens_until_somebody_connects() {
    let reconnection = Some(Reconnection { max_attempts: Some(2), ..Reconnection::default() });
    let mut client = Client::new(Config { reconnection, ..Config::default() });
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.refuse();
    client.skip();
    client.refuse();
    client.skip();
    client.drain();
    client.refuse();
    assert_eq!(
        client.drain(),
        [
            "error: websocket error",
            "connect error: websocket error",
            "ReconnectFailed",
            "reconnect error: websocket error"
        ]
    );
    assert_eq!(client.manager.poll_timeout(), None);
    assert!(client.manager.is_active(ROOT));
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["ws 3"]);
    client.refuse();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(1)"]);
}

#[test]
fn without_reconnection_a_connection_is_not_made_again() {
    let mut client = Client::connected(Config { reconnection: None, ..Config::default() });
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    assert_eq!(client.manager.status(), Status::Stopped);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.refuse();
    assert_eq!(client.drain(), ["error: websocket error", "connect error: websocket error"]);
    assert_eq!(client.manager.status(), Status::Stopped);
}

#[test]
fn a_connection_that_is_not_made_in_time_has_failed() {
    let mut client = Client::new(Config { timeout: Some(ms(300)), ..Config::default() });
    client.manager.connect(ROOT, client.now);
    client.drain();
    assert_eq!(client.skip(), 300);
    assert_eq!(client.drain(), ["close", "error: timeout", "connect error: timeout"]);
    let old = client.lane;
    client.skip();
    assert_eq!(client.drain(), ["ReconnectAttempt(1)", "ws 1"]);
    // What the given-up attempt still says is not taken for the new one's.
    client.handle(Input::WsFrame(old, Frame::Text(HANDSHAKE.into())));
    assert_eq!(client.drain(), [""; 0]);
    client.skip();
    assert_eq!(
        client.drain(),
        ["close", "error: timeout", "connect error: timeout", "reconnect error: timeout"]
    );
}

#[test]
fn waiting_ends_early_when_somebody_opens_and_for_good_when_somebody_closes() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.refuse();
    client.drain();
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), [""; 0]);
    client.manager.open(client.now);
    assert_eq!(client.drain(), ["ReconnectAttempt(1)", "ws 1"]);
    client.refuse();
    client.drain();
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), ["closed: forced close"]);
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn closing_is_for_good_but_closing_the_engine_is_not() {
    let mut client = Client::connected(Config::default());
    client.manager.close_engine(client.now);
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected: forced close"]);
    assert_eq!(client.drain(), [""; 0]);
    client.skip();
    client.drain();
    client.welcome();
    client.manager.close(client.now);
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected: forced close"]);
    assert_eq!(client.manager.poll_timeout(), None);
    assert!(client.manager.is_active(ROOT));
    client.manager.open(client.now);
    assert_eq!(client.drain(), ["ws 2"]);
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?"]);
}

#[test]
fn a_socket_that_the_server_dismissed_comes_back_only_when_asked() {
    let mut client = Client::connected(Config::default());
    let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
    client.manager.connect(admin, client.now);
    client.drain();
    client.authenticate(None);
    client.server(r#"40/admin,{"sid":"B"}"#);
    client.drain();
    client.server("41");
    assert_eq!(client.drain(), ["disconnected: io server disconnect"]);
    assert!(!client.manager.is_active(ROOT));
    client.emit("held", 1);
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["auth?"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40"]);
    client.server(r#"40{"sid":"C"}"#);
    assert_eq!(client.drain(), ["connected C", r#"42["held",1]"#]);
    client.server("41");
    client.drain();
    client.server("41/admin,");
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected[1]: io server disconnect"]);
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn a_refused_socket_rests_and_keeps_the_servers_words() {
    let mut client = Client::new(Config::default());
    client.emit("held", 1);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.welcome();
    client.server(r#"44{"message":"no","data":{"code":7}}"#);
    let events: Vec<_> = core::iter::from_fn(|| client.manager.poll_output()).collect();
    let Some(Output::Event(Event::ConnectError { error: ConnectError::Refused(refusal), .. })) =
        events.get(2)
    else {
        panic!("{events:?}");
    };
    assert_eq!(refusal.message, "no");
    assert_eq!(refusal.data(), Ok(Some(json!({ "code": 7 }))));
    assert!(matches!(events[1], Output::Event(Event::Close(DisconnectReason::ForcedClose))));
    assert!(!client.manager.is_active(ROOT));
    client.reach_with_output(&["connected A", r#"42["held",1]"#]);
}

#[test]
fn a_refusal_may_be_text_or_nothing_or_anything() {
    let refusal = |packet: &str| {
        let mut client = Client::new(Config::default());
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(packet);
        core::iter::from_fn(|| client.manager.poll_output())
            .find_map(|output| match output {
                Output::Event(Event::ConnectError { error: ConnectError::Refused(refusal), .. }) => {
                    Some(refusal)
                }
                _ => None,
            })
            .unwrap()
    };
    for (packet, message, data) in [
        ("44", "", None),
        (r#"44"text""#, "text", None),
        ("44{}", "", None),
        (r#"44{"message":5,"data":6}"#, "", Some(6)),
        (r#"44{"message":"m","data":null}"#, "m", None),
    ] {
        let refusal = refusal(packet);
        assert_eq!((&*refusal.message, refusal.data::<u32>()), (message, Ok(data)), "{packet}");
    }
    assert!(refusal(r#"44{"message":"m","data":"x"}"#).data::<u32>().is_err());
}

#[test]
fn a_server_of_old_times_is_recognized() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.server(HANDSHAKE);
    client.server("40");
    let outputs = client.drain();
    assert_eq!(outputs[..2], ["Open", "auth?"]);
    assert!(
        outputs[2].starts_with("connect error: It seems you are trying to reach a Socket.IO server in v2.x")
    );
    client.authenticate(None);
    client.drain();
    for answer in ["40", "40{}", r#"40{"sid":""}"#] {
        client.server(answer);
        assert!(client.drain().last().unwrap().contains("v2.x"), "{answer}");
    }
    assert!(client.manager.is_active(ROOT));
}

#[test]
fn a_server_that_breaks_the_protocol_is_left_and_met_again() {
    let decode = |error| DisconnectReason::ParseError(ProtocolError::Decode(error));
    for (frames, reason) in [
        (&["4"][..], decode(DecodeError::UnknownType)),
        (&["49"], decode(DecodeError::UnknownType)),
        (&["42{}"], decode(DecodeError::InvalidPayload)),
        (&["42[\"connect\"]"], decode(DecodeError::ReservedEvent)),
        (&["bAQID"], decode(DecodeError::UnexpectedBinary)),
        (&[r#"451-["a",{"_placeholder":true,"num":0}]"#, "42[\"a\"]"], decode(DecodeError::UnexpectedText)),
        (
            &["9"],
            DisconnectReason::TransportError(TransportError::Packet(
                crate::engine::packet::DecodeError::UnknownType { found: '9' },
            )),
        ),
    ] {
        let mut client = Client::connected(Config::default());
        frames.iter().for_each(|frame| client.server(frame));
        client.server(r#"42["ignored"]"#);
        let closed = core::iter::from_fn(|| client.manager.poll_output())
            .filter_map(|output| match output {
                Output::Event(Event::Close(reason) | Event::Disconnected { reason, .. }) => Some(reason),
                Output::Event(Event::Emit { .. }) => panic!("{frames:?}"),
                _ => None,
            })
            .collect::<Vec<_>>();
        assert_eq!(closed, [reason.clone(), reason], "{frames:?}");
        assert!(matches!(client.manager.status(), Status::Waiting { .. }));
    }
}

#[test]
fn an_answer_of_the_wrong_types_is_a_breach_of_the_protocol() {
    for answer in [r#"40{"sid":5}"#, r#"40{"sid":"A","pid":{}}"#] {
        let mut client = Client::new(Config::default());
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(answer);
        assert_eq!(client.drain(), ["close", "closed: parse error", "disconnected: parse error"]);
    }
}

#[test]
fn one_event_past_the_limit_before_connect_is_a_breach_of_the_protocol() {
    for (max_packets, survives) in [(2, true), (1, false)] {
        let receive_queue = QueueLimits { max_packets, max_bytes: 1000 };
        let mut client = Client::new(Config { receive_queue, ..Config::default() });
        client.manager.connect(ROOT, client.now);
        client.drain();
        client.welcome();
        client.server(r#"42["a"]"#);
        client.server(r#"42["a"]"#);
        assert_eq!(client.manager.status() == Status::Open, survives);
    }
}

#[test]
fn attachments_must_arrive_in_time() {
    let mut client = Client::connected(Config { attachment_timeout: ms(100), ..Config::default() });
    client.server(r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#);
    client.wait(50);
    client.handle(Input::WsFrame(client.lane, Frame::Binary(Bytes::from_static(b"1"))));
    client.wait(49);
    assert_eq!(client.drain(), [""; 0]);
    client.wait(1);
    assert_eq!(client.drain(), ["close", "closed: parse error", "disconnected: parse error"]);

    let mut client = Client::connected(Config { attachment_timeout: ms(100), ..Config::default() });
    client.server(r#"451-["a",{"_placeholder":true,"num":0}]"#);
    client.handle(Input::WsFrame(client.lane, Frame::Binary(Bytes::from_static(b"1"))));
    assert!(client.drain()[0].starts_with("event a"));
    client.wait(100);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn leaving_before_the_answer_waits_for_it_to_say_goodbye() {
    let abandoned = || {
        let mut client = Client::connected(Config::default());
        let admin = client.manager.socket(&nsp("/admin"), SocketConfig::default());
        client.manager.connect(admin, client.now);
        client.drain();
        client.authenticate(None);
        client.drain();
        client.manager.disconnect(admin, client.now);
        assert_eq!(client.drain(), [""; 0]);
        assert!(!client.manager.is_active(admin) && !client.manager.remove(admin));
        (client, admin)
    };
    let (mut client, admin) = abandoned();
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["41/admin,"]);
    assert!(client.manager.remove(admin));

    let (mut client, admin) = abandoned();
    client.server(r#"42/admin,["to the old one"]"#);
    client.manager.connect(admin, client.now);
    assert_eq!(client.drain(), [""; 0]);
    client.server(r#"40/admin,{"sid":"B"}"#);
    assert_eq!(client.drain(), ["auth?[1]", "41/admin,"]);
    client.authenticate(None);
    assert_eq!(client.drain(), ["40/admin,"]);
    client.server(r#"40/admin,{"sid":"C"}"#);
    assert_eq!(client.drain(), ["connected[1] C"]);

    let (mut client, admin) = abandoned();
    client.server(r#"44/admin,{"message":"no"}"#);
    assert_eq!(client.drain(), [""; 0]);
    assert!(client.manager.remove(admin));

    let (mut client, admin) = abandoned();
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    assert!(client.manager.remove(admin));
}

#[test]
fn a_machine_that_slept_past_the_heartbeat_holds_back_what_it_emits() {
    let mut client = Client::connected(Config::default());
    client.now += ms(80_000);
    client.emit("late", 1);
    assert_eq!(client.drain(), ["close", "closed: ping timeout", "disconnected: ping timeout"]);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"B"}"#);
    assert_eq!(client.drain(), ["connected B", r#"42["late",1]"#]);
}

#[test]
fn heartbeats_are_announced_and_errors_of_an_open_connection_told_before_it_closes() {
    let mut client = Client::connected(Config::default());
    client.server("2");
    assert_eq!(client.drain(), ["Ping", "3"]);
    let waiting = client.manager.socket(&nsp("/x"), SocketConfig::default());
    client.manager.connect(waiting, client.now);
    client.drain();
    client.handle(Input::Failed(client.lane, Failure::TooLarge));
    assert_eq!(
        client.drain(),
        [
            "close",
            "error: websocket error",
            "connect error[1]: websocket error",
            "closed: transport error",
            "disconnected: transport error",
            "disconnected[1]: transport error"
        ]
    );
}

#[test]
fn removing_a_socket_fails_who_waits_for_it() {
    let mut client = Client::with(Config::default(), RETRIES);
    client.ask("queued", None);
    let other = client.manager.socket(&nsp("/x"), SocketConfig::default());
    client.manager.emit_with_ack(other, ("held", &()), Delivery::Reliable, "held", None, client.now).unwrap();
    assert!(client.manager.remove(other) && client.manager.remove(other) && client.manager.remove(ROOT));
    assert_eq!(
        client.drain(),
        ["ack failed held: socket has been disconnected", "ack failed queued: socket has been disconnected"]
    );
    assert_eq!(client.manager.emit(ROOT, "a", &(), Delivery::Reliable, client.now), Err(EmitError::Removed));
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    for socket in [SocketConfig::default(), RETRIES] {
        let mut client = Client::with(Config::default(), socket);
        let refused = client.manager.emit(ROOT, "connect", &(), Delivery::Reliable, client.now);
        assert_eq!(refused, Err(EmitError::Encode(EncodeError::ReservedEvent)));
        assert_eq!(client.manager.buffered_bytes(ROOT), 0);
    }
}

#[test]
fn a_polling_session_is_closed_at_the_server_while_the_next_one_begins() {
    let mut manager = Manager::<()>::new(Arc::default(), 1);
    let slot = manager.socket(&Nsp::ROOT, SocketConfig::default());
    let respond = |manager: &mut Manager<()>, lane: Lane, body: &str| {
        manager.handle(Input::Response(lane, 200, Bytes::copy_from_slice(body.as_bytes())), at(0));
    };
    let lanes = |manager: &mut Manager<()>| -> Vec<(Lane, Option<Bytes>)> {
        core::iter::from_fn(|| manager.poll_output())
            .filter_map(|output| match output {
                Output::Get(lane, _) => Some((lane, None)),
                Output::Post(lane, _, body) => Some((lane, Some(body))),
                _ => None,
            })
            .collect()
    };
    manager.connect(slot, at(0));
    let first = lanes(&mut manager)[0].0;
    respond(&mut manager, first, HANDSHAKE);
    let get = lanes(&mut manager)[0].0;
    manager.disconnect(slot, at(0));
    manager.connect(slot, at(0));
    let started = lanes(&mut manager);
    let [(close, body), (second, None)] = &started[..] else { panic!("{started:?}") };
    assert_eq!(body.as_deref(), Some(&b"1"[..]));
    respond(&mut manager, *second, HANDSHAKE);
    assert_eq!(manager.status(), Status::Open);
    assert_eq!(manager.leaving(), 1);
    respond(&mut manager, *close, "ok");
    respond(&mut manager, get, "6");
    assert_eq!(manager.leaving(), 0);
    assert_eq!(manager.status(), Status::Open);
}

#[test]
fn sessions_on_their_way_out_are_bounded() {
    let mut manager = Manager::<()>::new(Arc::default(), 1);
    let slot = manager.socket(&Nsp::ROOT, SocketConfig::default());
    let mut aborted = 0;
    for _ in 0..7 {
        manager.connect(slot, at(0));
        manager.disconnect(slot, at(0));
        while let Some(output) = manager.poll_output() {
            aborted += usize::from(matches!(output, Output::Abort(_)));
        }
    }
    assert_eq!((manager.leaving(), aborted), (4, 3));
    manager.handle_timeout(at(10_000));
    assert_eq!((manager.leaving(), manager.poll_timeout()), (0, None));
}

#[test]
fn boxed_and_borrowed_arguments_are_taken_alike() {
    let mut client = Client::connected(Config::default());
    let boxed: Box<str> = "x".into();
    client.manager.emit(ROOT, "a", &*boxed, Delivery::Reliable, client.now).unwrap();
    client.manager.emit(ROOT, "a", &("x", 1), Delivery::Reliable, client.now).unwrap();
    assert_eq!(client.drain(), [r#"42["a","x"]"#, r#"42["a","x",1]"#]);
}

/// What a server that is no server, or a hostile one, might say.
const NOISE: [&str; 28] = [
    HANDSHAKE,
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":1,"pingTimeout":1,"maxPayload":0}"#,
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":18446744073709551615,"pingTimeout":18446744073709551615}"#,
    "0{}",
    "1",
    "2",
    "2probe",
    "3probe",
    "3probe",
    "5",
    "6",
    "",
    "4",
    "<html>",
    "96:0{\"sid\":1}",
    "40",
    r#"40{"sid":"A","pid":"P"}"#,
    r#"40{"sid":{}}"#,
    r#"40/a,{"sid":"B"}"#,
    "41",
    "41/a,",
    r#"44{"message":1}"#,
    r#"44/a,"no""#,
    r#"42["a",1,"o"]"#,
    r#"421["a"]"#,
    "430[]",
    r#"451-["a",{"_placeholder":true,"num":0}]"#,
    "bAQ==",
];

#[test]
fn no_order_of_inputs_and_commands_breaks_the_machines() {
    for seed in 0..1500 {
        let mut random = crate::random::Random::new(seed);
        let mut below = |bound: u64| random.next() % bound;
        let engine = engine::Config {
            transports: match below(3) {
                0 => vec![Transport::Websocket],
                1 => vec![Transport::Polling],
                _ => vec![Transport::Polling, Transport::Websocket],
            },
            try_all_transports: below(2) == 0,
            remember_upgrade: below(2) == 0,
            ..engine::Config::default()
        };
        let queue = QueueLimits { max_packets: 4, max_bytes: 200 };
        let config = Config {
            engine: Arc::new(engine),
            send_queue: queue,
            receive_queue: queue,
            timeout: Some(ms(below(3000))),
            max_pending_acks: 3,
            ..Config::default()
        };
        let mut manager = Manager::<u32>::new(Arc::new(config), seed);
        let retries = Some(Retries { count: 1, ack_timeout: ms(below(500)) });
        let slots = [
            manager.socket(&Nsp::ROOT, SocketConfig { retries: None, ..SocketConfig::default() }),
            manager.socket(&nsp("/a"), SocketConfig { retries, ..SocketConfig::default() }),
        ];
        let (mut now, mut lanes, mut tickets, mut replies) = (at(0), vec![Lane(0)], Vec::new(), Vec::new());
        let mut waiting = alloc::collections::BTreeSet::new();
        for step in 0..120_u32 {
            let slot = slots[below(2) as usize];
            let lane = lanes[below(lanes.len() as u64) as usize];
            let noise = NOISE[below(NOISE.len() as u64) as usize];
            match below(20) {
                0..2 => manager.connect(slot, now),
                2 => manager.disconnect(slot, now),
                3 if below(4) == 0 => manager.close(now),
                3 => manager.close_engine(now),
                4 => manager.open(now),
                5..7 => {
                    let wanted = manager.emit_with_ack(
                        slot,
                        ("e", &step),
                        if below(3) == 0 { Delivery::Volatile } else { Delivery::Reliable },
                        step,
                        (below(2) == 0).then_some(ms(below(1000))),
                        now,
                    );
                    if wanted.is_ok() {
                        waiting.insert(step);
                    }
                }
                7 => drop(manager.emit(slot, "e", &noise, Delivery::Reliable, now)),
                8 => {
                    if let Some((slot, ticket)) = tickets.pop() {
                        let _ = manager.authenticate(slot, ticket, Some(&json!({ "a": 1 })));
                    }
                }
                9 => {
                    if let Some(reply) = replies.pop() {
                        let _ = manager.reply(reply, &noise);
                    }
                }
                10..14 => manager.handle(Input::WsFrame(lane, Frame::Text(noise.into())), now),
                14 => {
                    let body = [noise, NOISE[below(28) as usize]].join("\x1e");
                    manager.handle(Input::Response(lane, 200, body.into()), now);
                }
                15 => manager.handle(Input::Response(lane, 200, noise.into()), now),
                16 => manager.handle(Input::WsOpened(lane), now),
                17 => manager.handle(Input::Flushed(lane), now),
                18 if below(3) == 0 => match below(4) {
                    0 => manager.handle(Input::WsClosed(lane), now),
                    1 => manager.handle(Input::Failed(lane, Failure::Tls(TlsFault::Expired)), now),
                    2 => manager.handle(Input::WsFrame(lane, Frame::Binary(Bytes::from_static(b"x"))), now),
                    _ => manager.handle(Input::Response(lane, 400, Bytes::new()), now),
                },
                _ => {
                    now += ms(below(800));
                    manager.handle_timeout(now);
                    assert!(manager.poll_timeout().is_none_or(|next| next > now), "seed {seed}, step {step}");
                }
            }
            if below(3) == 0 {
                // Inputs may pile up between drains.
                continue;
            }
            while let Some(output) = manager.poll_output() {
                match output {
                    Output::Get(lane, _) | Output::Post(lane, ..) | Output::WsConnect(lane, _) => {
                        assert!(!lanes.contains(&lane) || lane == Lane(0), "seed {seed}: {lane:?} twice");
                        lanes.push(lane);
                    }
                    Output::Event(Event::AuthNeeded { slot, ticket }) => tickets.push((slot, ticket)),
                    Output::Event(Event::Emit { reply, .. }) => replies.extend(reply),
                    Output::Event(Event::Acked { waiter, .. } | Event::AckFailed { waiter, .. }) => {
                        assert!(waiting.remove(&waiter), "seed {seed}: {waiter} was settled twice");
                    }
                    _ => {}
                }
            }
            assert!(!manager.has_output(), "seed {seed}, step {step}: there is more");
        }
        // However it stands, closing ends it: nothing is due but acknowledgements.
        manager.close(now);
        now += Duration::from_secs(10);
        manager.handle_timeout(now);
        while manager.poll_output().is_some() {}
        assert_eq!((manager.leaving(), manager.status()), (0, Status::Stopped), "seed {seed}");
    }
}
