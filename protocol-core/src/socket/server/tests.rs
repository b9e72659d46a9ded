//! The rules between packets, row by row (REFERENCE 2.5, 3.3–3.6).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::super::Raw;
use super::*;
use crate::engine::packet::Frame;

/// A connection, with what it says written as text.
struct Rig {
    connection: Connection<&'static str>,
    config: Config,
    now: Instant,
}

impl Rig {
    /// A connection of revision 4 that has joined nothing.
    fn new() -> Self {
        Self::with(Config::default(), Revision::V4)
    }

    fn with(config: Config, revision: Revision) -> Self {
        let now = Instant::from_micros(1_000_000);
        Self { connection: Connection::new(&config, revision, now), config, now }
    }

    /// A connection that has joined `/`, as slot 0.
    fn joined() -> Self {
        let mut rig = Self::new();
        rig.gets("40").says(&["0 wants /"]);
        assert_eq!(rig.accept(0), r#"40{"sid":"id0"}"#);
        rig
    }

    /// One of revision 3, which is asked for nothing.
    fn joined_v3() -> Self {
        let mut rig = Self::with(Config::default(), Revision::V3);
        rig.says(&["0 wants /"]);
        assert_eq!(rig.accept(0), "40");
        rig
    }

    fn try_get(&mut self, frame: &str) -> Result<(), ProtocolError> {
        let message = frame.strip_prefix('4').expect("a message packet");
        self.connection.handle_message(Message::Text(message.into()), &self.config, self.now)
    }

    fn gets(&mut self, frame: &str) -> &mut Self {
        assert_eq!(self.try_get(frame), Ok(()), "{frame}");
        self
    }

    fn gets_bytes(&mut self, bytes: &'static [u8]) -> &mut Self {
        let message = Message::Binary(Bytes::from_static(bytes));
        assert_eq!(self.connection.handle_message(message, &self.config, self.now), Ok(()));
        self
    }

    /// The packet is a violation.
    fn rejects(&mut self, frame: &str, error: ProtocolError) {
        assert_eq!(self.try_get(frame), Err(error), "{frame}");
        self.says(&[]);
    }

    fn accept(&mut self, slot: u32) -> String {
        let sid = format!("id{slot}");
        shown(&self.connection.accept(Slot(slot), &Sid::from(&*sid), None, Codec::Text).unwrap())
    }

    fn refuse(&mut self, slot: u32, message: &str, data: Option<&str>) -> String {
        let data: Option<serde_json::Value> = data.map(|data| serde_json::from_str(data).unwrap());
        shown(&self.connection.refuse(Slot(slot), message, data.as_ref(), Codec::Text).unwrap())
    }

    fn leave(&mut self, slot: u32) -> Result<String, CommandError> {
        self.connection.leave(Slot(slot), Codec::Text).map(|encoded| shown(&encoded))
    }

    fn expects(&mut self, slot: u32, id: u64, waiter: &'static str, millis: Option<u64>) -> &mut Self {
        assert_eq!(self.try_expect(slot, id, waiter, millis), Ok(()));
        self
    }

    fn try_expect(
        &mut self,
        slot: u32,
        id: u64,
        waiter: &'static str,
        millis: Option<u64>,
    ) -> Result<(), (CommandError, &'static str)> {
        let deadline = millis.map(|millis| self.now + Duration::from_millis(millis));
        self.connection.expect_ack(Slot(slot), AckId(id), waiter, deadline, &self.config)
    }

    fn wait(&mut self, millis: u64) -> Result<(), ProtocolError> {
        self.now += Duration::from_millis(millis);
        let done = self.connection.handle_timeout(self.now);
        if done.is_ok() {
            assert!(self.connection.poll_timeout().is_none_or(|next| next > self.now));
        }
        done
    }

    fn says(&mut self, expected: &[&str]) -> &mut Self {
        let said: Vec<_> = core::iter::from_fn(|| self.connection.poll_event()).map(event).collect();
        assert_eq!(said, expected);
        self
    }
}

fn event(event: Event<&'static str>) -> String {
    let raw = |raw: Raw<'_>| match raw {
        Raw::Json(text) => text.to_string(),
        Raw::Msgpack(_) => panic!("these clients speak text"),
    };
    match event {
        Event::ConnectRequest { slot, nsp, auth: None } => format!("{} wants {nsp}", slot.0),
        Event::ConnectRequest { slot, nsp, auth: Some(auth) } => {
            format!("{} wants {nsp} with {}", slot.0, raw(auth.raw()))
        }
        Event::Emit { slot, event } => {
            let ack = event.ack.map_or(String::new(), |id| format!(" #{id}"));
            format!("{}: {}({}){ack}", slot.0, event.name(), raw(event.args().raw()))
        }
        Event::Acked { waiter, args } => format!("{waiter}: {}", raw(args.raw())),
        Event::AckFailed { waiter, error } => format!("{waiter}: {error}"),
        Event::Left { slot, reason } => format!("{} left: {reason}", slot.0),
        Event::Violation(error) => format!("violation: {error}"),
    }
}

/// The packet with the type of the Engine.IO message before it.
fn shown(encoded: &Encoded) -> String {
    match encoded.head() {
        Frame::Text(text) => text.to_string(),
        Frame::Binary(bytes) => format!("{bytes:?}"),
    }
}

fn nsp(name: &str) -> Nsp {
    Nsp::new(name).unwrap()
}

// 3.4 and 3.6: joining.

#[test]
fn connect_asks_the_application() {
    Rig::new().gets("40").says(&["0 wants /"]);
    Rig::new().gets("40/admin,").says(&["0 wants /admin"]);
    Rig::new().gets("40/admin").says(&["0 wants /admin"]);
    Rig::new().gets(r#"40{"token":"x"}"#).says(&[r#"0 wants / with {"token":"x"}"#]);
    Rig::new().gets(r#"40/admin,{"a":[1]}"#).says(&[r#"0 wants /admin with {"a":[1]}"#]);
}

#[test]
fn an_id_in_connect_is_ignored() {
    Rig::new().gets("405").says(&["0 wants /"]);
}

#[test]
fn a_query_is_part_of_the_name_in_revision_4() {
    Rig::new().gets("40/foo?x=1,").says(&["0 wants /foo?x=1"]);
}

#[test]
fn accepting_tells_the_id_and_the_private_id_where_there_is_one() {
    let mut rig = Rig::new();
    rig.gets("40/admin,").says(&["0 wants /admin"]);
    assert_eq!(rig.accept(0), r#"40/admin,{"sid":"id0"}"#);
    let mut rig = Rig::new();
    rig.gets("40");
    let (sid, pid) = ("S".into(), "P".into());
    let encoded = rig.connection.accept(Slot(0), &sid, Some(&pid), Codec::Text).unwrap();
    assert_eq!(shown(&encoded), r#"40{"sid":"S","pid":"P"}"#);
}

#[test]
fn a_refusal_tells_the_message_and_the_data_and_frees_the_namespace() {
    let mut rig = Rig::new();
    rig.gets("40/a,").gets("40/b,").says(&["0 wants /a", "1 wants /b"]);
    assert_eq!(rig.refuse(0, "Invalid namespace", None), r#"44/a,{"message":"Invalid namespace"}"#);
    assert_eq!(rig.refuse(1, "no", Some(r#"{"d":1}"#)), r#"44/b,{"message":"no","data":{"d":1}}"#);
    rig.says(&[]).gets("40/a,").says(&["2 wants /a"]);
}

#[test]
fn a_refusal_that_does_not_serialize_leaves_the_client_joining() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let mut rig = Rig::new();
    rig.gets("40").says(&["0 wants /"]);
    let refused = rig.connection.refuse(Slot(0), "no", Some(&Broken), Codec::Text);
    assert!(matches!(refused, Err(RefuseError::Encode(_))), "{refused:?}");
    assert_eq!(rig.refuse(0, "no", None), r#"44{"message":"no"}"#);
}

#[test]
fn a_refusal_fails_the_acknowledgements_of_what_was_sent_before_it() {
    let mut rig = Rig::new();
    rig.gets("40").says(&["0 wants /"]).expects(0, 1, "w", Some(100));
    assert_eq!(rig.refuse(0, "no", None), r#"44{"message":"no"}"#);
    rig.says(&["w: socket has been disconnected"]);
}

#[test]
fn whoever_gave_up_can_be_neither_accepted_nor_refused() {
    let mut rig = Rig::new();
    rig.gets("40");
    rig.connection.close(DisconnectReason::TransportClose);
    rig.says(&["0 wants /", "0 left: transport close"]);
    let accepted = rig.connection.accept(Slot(0), &"S".into(), None, Codec::Text);
    assert_eq!(accepted, Err(CommandError::Disconnected));
    let refused = rig.connection.refuse(Slot(0), "no", None::<&()>, Codec::Text);
    assert_eq!(refused, Err(RefuseError::Disconnected));
}

#[test]
fn connect_to_a_namespace_that_is_joined_is_a_violation() {
    Rig::joined().rejects("40", ProtocolError::AlreadyConnected(Nsp::ROOT));
}

#[test]
fn connect_to_a_namespace_that_is_being_joined_is_a_violation() {
    let mut rig = Rig::new();
    rig.gets("40/a,").says(&["0 wants /a"]).rejects("40/a,{}", ProtocolError::AlreadyConnected(nsp("/a")));
}

#[test]
fn connect_after_a_refusal_or_after_leaving_asks_again_under_a_new_slot() {
    let mut rig = Rig::joined();
    rig.gets("41").says(&["0 left: client namespace disconnect"]).gets("40").says(&["1 wants /"]);
    assert_eq!(rig.accept(1), r#"40{"sid":"id1"}"#);
    rig.gets(r#"42["a"]"#).says(&["1: a()"]);
}

#[test]
fn every_namespace_is_its_own() {
    let mut rig = Rig::joined();
    rig.gets("40/a,").says(&["1 wants /a"]);
    rig.accept(1);
    rig.gets(r#"42/a,["x",1]"#).gets(r#"42["y"]"#).says(&["1: x(1)", "0: y()"]);
    rig.gets("41/a,").says(&["1 left: client namespace disconnect"]);
    rig.gets(r#"42["y"]"#).says(&["0: y()"]);
}

#[test]
fn as_many_namespaces_as_the_limit_can_be_joined() {
    let mut rig = Rig::with(Config { max_namespaces: 2, ..Config::default() }, Revision::V4);
    rig.gets("40/a,").gets("40/b,").says(&["0 wants /a", "1 wants /b"]);
    rig.accept(0);
    rig.rejects("40/c,", ProtocolError::TooManyNamespaces);
    rig.gets("41/a,").gets("40/c,").says(&["0 left: client namespace disconnect", "2 wants /c"]);
}

#[test]
fn slots_are_never_used_twice_and_end() {
    let mut rig = Rig::new();
    rig.connection.next_slot = u32::MAX - 1;
    rig.gets("40/a,").says(&["4294967294 wants /a"]);
    rig.rejects("40/b,", ProtocolError::TooManyNamespaces);
}

// 3.4: packets.

#[test]
fn events_arrive_in_order_with_their_ack_ids() {
    Rig::joined().gets(r#"42["a",1,"b"]"#).gets(r#"420["c"]"#).gets(r#"42["error",{}]"#).says(&[
        r#"0: a(1,"b")"#,
        "0: c() #0",
        "0: error({})",
    ]);
}

#[test]
fn anything_for_a_namespace_that_was_never_joined_is_a_violation() {
    for packet in [r#"42/a,["x"]"#, "43/a,1[]", "41/a,", "44/a,{}", "42/a,"] {
        Rig::joined().rejects(packet, ProtocolError::NotConnected(nsp("/a")));
    }
}

#[test]
fn anything_before_the_answer_to_connect_is_a_violation() {
    for packet in [r#"42["x"]"#, "431[]", "41"] {
        let mut rig = Rig::new();
        rig.gets("40").says(&["0 wants /"]).rejects(packet, ProtocolError::NotConnected(Nsp::ROOT));
    }
}

#[test]
fn anything_after_leaving_is_a_violation() {
    for packet in [r#"42["x"]"#, "431[]", "41"] {
        let mut rig = Rig::joined();
        rig.gets("41").says(&["0 left: client namespace disconnect"]);
        rig.rejects(packet, ProtocolError::NotConnected(Nsp::ROOT));
        let mut rig = Rig::joined();
        assert_eq!(rig.leave(0).as_deref(), Ok("41"));
        rig.says(&["0 left: server namespace disconnect"]);
        rig.rejects(packet, ProtocolError::NotConnected(Nsp::ROOT));
    }
}

#[test]
fn connect_error_from_a_client_is_a_violation() {
    Rig::joined().rejects(r#"44{"message":"x"}"#, ProtocolError::Unexpected);
}

#[test]
fn a_packet_that_cannot_be_read_is_a_violation_and_stays_one() {
    let mut rig = Rig::joined();
    rig.rejects("49", DecodeError::UnknownType.into());
    rig.rejects(r#"42["a"]"#, DecodeError::UnknownType.into());
    Rig::joined().rejects("42{}", DecodeError::InvalidPayload.into());
    Rig::joined().rejects(r#"42["disconnect"]"#, DecodeError::ReservedEvent.into());
    Rig::joined().rejects("4", DecodeError::UnknownType.into());
}

#[test]
fn an_event_without_data_is_ignored_where_it_is_joined() {
    Rig::joined().gets("42").gets("427").says(&[]);
}

#[test]
fn a_client_that_disconnects_is_not_answered_and_may_stay() {
    let mut rig = Rig::joined();
    rig.gets("41").says(&["0 left: client namespace disconnect"]);
    assert_eq!(rig.connection.poll_timeout(), None, "no timer runs after leaving the last namespace");
}

#[test]
fn leaving_tells_the_client_once() {
    let mut rig = Rig::new();
    rig.gets("40/a,").says(&["0 wants /a"]);
    rig.accept(0);
    assert!(rig.connection.is_live(Slot(0)));
    assert_eq!(rig.leave(0).as_deref(), Ok("41/a,"));
    assert_eq!(rig.leave(0), Err(CommandError::Disconnected));
    assert!(!rig.connection.is_live(Slot(0)));
    rig.says(&["0 left: server namespace disconnect"]);
}

// Attachments.

#[test]
fn an_event_arrives_when_its_attachments_have() {
    let mut rig = Rig::joined();
    rig.gets(r#"451-["a",{"_placeholder":true,"num":0}]"#).says(&[]);
    rig.gets_bytes(&[1]).says(&[r#"0: a({"_placeholder":true,"num":0})"#]);
    assert_eq!(rig.connection.poll_timeout(), None);
}

#[test]
fn attachments_must_arrive_in_time_and_more_of_them_do_not_buy_more() {
    let mut rig = Rig::joined();
    rig.gets(r#"452-["a",{"_placeholder":true,"num":0}]"#);
    rig.wait(30_000).unwrap();
    rig.gets_bytes(&[1]);
    assert_eq!(rig.wait(14_999), Ok(()));
    assert_eq!(rig.wait(1), Err(ProtocolError::AttachmentTimeout));
    assert_eq!(rig.connection.poll_timeout(), None);
}

#[test]
fn attachments_that_arrive_at_the_last_moment_count() {
    let mut rig = Rig::joined();
    rig.gets(r#"451-["a"]"#);
    rig.wait(44_999).unwrap();
    rig.gets_bytes(&[1]).says(&["0: a()"]);
    assert_eq!(rig.wait(MINUTE), Ok(()));
}

#[test]
fn as_many_attachments_as_the_limit_can_be_announced() {
    Rig::joined().gets(r#"4510-["a"]"#).says(&[]);
    Rig::joined().rejects(r#"4511-["a"]"#, DecodeError::TooManyAttachments.into());
}

#[test]
fn text_between_attachments_is_a_violation() {
    let mut rig = Rig::joined();
    rig.gets(r#"451-["a"]"#).rejects(r#"42["b"]"#, DecodeError::UnexpectedText.into());
    let binary = Message::Binary(Bytes::from_static(&[1]));
    let mut rig = Rig::joined();
    let error = rig.connection.handle_message(binary, &rig.config, rig.now);
    assert_eq!(error, Err(DecodeError::UnexpectedBinary.into()));
}

// The connect timeout.

#[test]
fn a_client_that_joins_nothing_in_time_is_let_go() {
    let mut rig = Rig::new();
    assert_eq!(rig.wait(44_999), Ok(()));
    assert_eq!(rig.wait(1), Err(ProtocolError::ConnectTimeout));
    assert_eq!(rig.connection.poll_timeout(), None);
}

#[test]
fn a_client_that_is_still_being_asked_about_is_let_go_as_well() {
    let mut rig = Rig::new();
    rig.gets("40");
    assert_eq!(rig.wait(45_000), Err(ProtocolError::ConnectTimeout));
}

#[test]
fn a_refusal_does_not_stop_the_connect_timeout() {
    let mut rig = Rig::new();
    rig.gets("40/a,");
    rig.refuse(0, "no", None);
    assert_eq!(rig.wait(45_000), Err(ProtocolError::ConnectTimeout));
}

#[test]
fn joining_stops_the_connect_timeout_for_good() {
    let mut rig = Rig::joined();
    assert_eq!(rig.wait(MINUTE), Ok(()));
    rig.gets("41");
    assert_eq!(rig.wait(MINUTE), Ok(()));
}

// 3.5: acknowledgements.

#[test]
fn an_acknowledgement_finds_who_waits_for_it_once() {
    let mut rig = Rig::joined();
    rig.expects(0, 7, "a", None).gets(r#"437["yes",1]"#).says(&[r#"a: "yes",1"#]);
    rig.gets("437[]").says(&[]);
}

#[test]
fn a_binary_acknowledgement_counts() {
    let mut rig = Rig::joined();
    rig.expects(0, 7, "a", None).gets(r#"461-7[{"_placeholder":true,"num":0}]"#).says(&[]);
    rig.gets_bytes(&[1]).says(&[r#"a: {"_placeholder":true,"num":0}"#]);
}

#[test]
fn an_acknowledgement_without_data_or_without_an_id() {
    let mut rig = Rig::joined();
    rig.expects(0, 7, "a", None).gets("43[]").gets("43").says(&[]).gets("437").says(&["a: "]);
}

#[test]
fn an_acknowledgement_nobody_waits_for_is_ignored() {
    Rig::joined().gets("431[]").says(&[]);
}

#[test]
fn an_acknowledgement_of_another_namespace_is_ignored() {
    let mut rig = Rig::joined();
    rig.gets("40/a,").says(&["1 wants /a"]);
    rig.accept(1);
    rig.expects(0, 7, "a", None).gets("43/a,7[]").says(&[]).gets("437[]").says(&["a: "]);
}

#[test]
fn an_acknowledgement_times_out_and_comes_too_late() {
    let mut rig = Rig::joined();
    rig.expects(0, 1, "late", Some(100)).expects(0, 2, "later", Some(200)).expects(0, 3, "never", None);
    rig.wait(99).unwrap();
    rig.says(&[]).wait(1).unwrap();
    rig.says(&["late: operation has timed out"]).gets("431[]").says(&[]);
    rig.wait(MINUTE).unwrap();
    rig.says(&["later: operation has timed out"]);
    assert_eq!(rig.connection.poll_timeout(), None);
    rig.gets("433[]").says(&["never: "]);
}

#[test]
fn acknowledgements_fail_before_the_socket_has_left() {
    let mut rig = Rig::joined();
    rig.expects(0, 2, "b", None).expects(0, 1, "a", Some(100)).gets("41").says(&[
        "a: socket has been disconnected",
        "b: socket has been disconnected",
        "0 left: client namespace disconnect",
    ]);
    assert_eq!(rig.connection.poll_timeout(), None);
}

#[test]
fn as_many_acknowledgements_as_the_limit_can_be_waited_for() {
    let mut rig = Rig::with(Config { max_pending_acks: 2, ..Config::default() }, Revision::V4);
    rig.gets("40").gets("40/a,").says(&["0 wants /", "1 wants /a"]);
    rig.accept(0);
    rig.expects(0, 1, "a", None).expects(0, 2, "b", None);
    assert_eq!(rig.try_expect(0, 3, "c", None), Err((CommandError::TooManyAcks, "c")));
    rig.expects(1, 3, "another socket's", None);
    rig.gets("431[]").says(&["a: "]).expects(0, 3, "c", None);
}

#[test]
fn nobody_waits_on_a_socket_that_has_left() {
    let mut rig = Rig::joined();
    rig.gets("41");
    assert_eq!(rig.try_expect(0, 1, "a", None), Err((CommandError::Disconnected, "a")));
}

#[test]
fn an_acknowledgement_can_be_forgotten() {
    let mut rig = Rig::joined();
    rig.expects(0, 1, "a", None);
    assert_eq!(rig.connection.forget_ack(Slot(0), AckId(1)), Some("a"));
    assert_eq!(rig.connection.forget_ack(Slot(0), AckId(1)), None);
    assert_eq!(rig.connection.forget_ack(Slot(9), AckId(1)), None);
    rig.gets("431[]").says(&[]);
}

#[test]
fn an_id_that_is_used_again_fails_the_first_waiter() {
    let mut rig = Rig::joined();
    rig.expects(0, 1, "a", None).expects(0, 1, "b", None).says(&["a: operation has timed out"]);
    rig.gets("431[]").says(&["b: "]);
}

// The end.

#[test]
fn closing_makes_every_socket_leave_in_the_order_of_joining() {
    let mut rig = Rig::joined();
    rig.gets("40/a,").gets("40/b,");
    rig.accept(2);
    rig.expects(2, 0, "w", Some(1)).gets(r#"451-["x"]"#);
    assert_eq!(rig.connection.slots().collect::<Vec<_>>(), [Slot(0), Slot(1), Slot(2)]);
    rig.connection.close(DisconnectReason::PingTimeout);
    rig.says(&[
        "1 wants /a",
        "2 wants /b",
        "0 left: ping timeout",
        "1 left: ping timeout",
        "w: socket has been disconnected",
        "2 left: ping timeout",
    ]);
    assert_eq!(rig.connection.poll_timeout(), None);
    assert_eq!(rig.connection.slots().count(), 0);
    rig.connection.close(DisconnectReason::ForcedClose);
    rig.says(&[]);
}

#[test]
fn a_closed_connection_listens_to_nothing() {
    let mut rig = Rig::joined();
    rig.connection.close(DisconnectReason::ForcedClose);
    rig.says(&["0 left: forced close"]);
    for packet in ["40/a,", "40", r#"42["a"]"#, r#"451-["a"]"#, "49"] {
        rig.gets(packet).says(&[]);
    }
    assert_eq!(rig.connection.poll_timeout(), None);
    assert_eq!(rig.wait(MINUTE), Ok(()));
}

// 2.5: revision 3.

#[test]
fn revision_3_is_in_the_main_namespace_without_asking() {
    let mut rig = Rig::with(Config::default(), Revision::V3);
    rig.says(&["0 wants /"]);
    assert_eq!(rig.accept(0), "40");
    assert_eq!(rig.connection.poll_timeout(), None);
    rig.gets(r#"42["a"]"#).says(&["0: a()"]);
}

#[test]
fn connect_to_the_main_namespace_is_a_violation_in_revision_3() {
    for packet in ["40", "40/,", "40/?a=1,"] {
        Rig::joined_v3().rejects(packet, ProtocolError::AlreadyConnected(Nsp::ROOT));
    }
}

#[test]
fn the_query_of_a_namespace_is_the_authentication_in_revision_3() {
    let mut rig = Rig::joined_v3();
    rig.gets("40/a?token=abc&x=1,").says(&[r#"1 wants /a with {"token":"abc","x":"1"}"#]);
    assert_eq!(rig.accept(1), "40/a,");
    rig.gets("40/b").says(&["2 wants /b"]);
    rig.gets(r#"40/c?a=1,{"b":2}"#).says(&[r#"3 wants /c with {"a":"1"}"#]);
    rig.gets(r#"40/d,{"b":2}"#).says(&["4 wants /d"]);
    rig.rejects("40/a?other=1,", ProtocolError::AlreadyConnected(nsp("/a")));
}

#[test]
fn the_query_is_stripped_from_every_packet_in_revision_3() {
    let mut rig = Rig::joined_v3();
    rig.gets("40/a?t=1,");
    rig.accept(1);
    rig.expects(1, 5, "w", None);
    rig.gets(r#"42/a?t=1,["x"]"#).gets(r#"42/a,["y"]"#).gets("43/a?t=2,5[]").gets("41/a?t=1,");
    rig.says(&[
        r#"1 wants /a with {"t":"1"}"#,
        "1: x()",
        "1: y()",
        "w: ",
        "1 left: client namespace disconnect",
    ]);
    rig.gets(r#"42/?t=1,["x"]"#).says(&["0: x()"]);
}

#[test]
fn a_refusal_of_revision_3_is_the_data_or_else_the_message() {
    let mut rig = Rig::joined_v3();
    rig.gets("40/plain").gets("40/admin");
    assert_eq!(rig.refuse(1, "plainerr", None), r#"44/plain,"plainerr""#);
    assert_eq!(rig.refuse(2, "no", Some(r#"{"d":1}"#)), r#"44/admin,{"d":1}"#);
}

#[test]
fn no_private_id_is_sent_to_revision_3() {
    let mut rig = Rig::with(Config::default(), Revision::V3);
    let encoded = rig.connection.accept(Slot(0), &"S".into(), Some(&"P".into()), Codec::Text).unwrap();
    assert_eq!(shown(&encoded), "40");
}

#[test]
fn the_connect_timeout_runs_until_the_main_namespace_is_joined_in_revision_3() {
    let mut rig = Rig::with(Config::default(), Revision::V3);
    assert_eq!(rig.wait(45_000), Err(ProtocolError::ConnectTimeout));
}

const MINUTE: u64 = 60_000;
