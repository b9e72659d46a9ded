//! The handshake and the polling transport (REFERENCE 1.2, 1.5, 1.15).

use super::*;

const OPEN_POLLING: &str = concat!(
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"#,
    r#""maxPayload":1000000}"#
);

const OPEN_WEBSOCKET: &str =
    r#"0{"sid":"S","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

fn greeting() -> Config {
    Config { initial_message: Some(Message::Text("hello".into())), ..Config::default() }
}

#[test]
fn a_handshake_by_polling_is_answered_at_once() {
    let mut rig = Rig::handshake(Config::default(), Format::V4, Transport::Polling);
    rig.says(&[&format!("0: {OPEN_POLLING}")]);
    assert_eq!(rig.session.transport(), Some(Transport::Polling));
    assert_eq!(rig.session.sid().as_str(), "S");
    assert!(rig.session.is_open());
}

#[test]
fn a_handshake_on_a_websocket_is_its_first_frame() {
    let mut rig = Rig::handshake(Config::default(), Format::V4, Transport::Websocket);
    rig.says(&[&format!("0> {OPEN_WEBSOCKET}")]);
    assert_eq!(rig.session.transport(), Some(Transport::Websocket));
}

#[test]
fn the_initial_message_follows_the_handshake_in_the_same_response() {
    Rig::handshake(greeting(), Format::V4, Transport::Polling).says(&[&format!("0: {OPEN_POLLING}␞4hello")]);
}

#[test]
fn the_initial_message_is_the_second_frame_of_a_websocket() {
    Rig::handshake(greeting(), Format::V4, Transport::Websocket)
        .says(&[&format!("0> {OPEN_WEBSOCKET}"), "0> 4hello"]);
}

#[test]
fn a_get_is_held_until_there_is_something_to_send() {
    Rig::polling().get(1).wait(24_999).says(&[]).send("a").says(&["1: 4a"]);
}

#[test]
fn a_get_takes_everything_that_waits_in_one_response() {
    Rig::polling().send("a").send_binary(&[1, 2, 3]).send("b").says(&[]).get(1).says(&["1: 4a␞bAQID␞4b"]);
}

#[test]
fn a_get_that_was_answered_is_followed_by_another() {
    Rig::polling().get(1).send("a").get(2).send("b").says(&["1: 4a", "2: 4b"]);
}

#[test]
fn a_post_is_answered_after_its_packets_are_processed() {
    Rig::polling().post(1, "4a␞bAQID␞4b").says(&["got a", "got b\"\\x01\\x02\\x03\"", "got b", "1: ok"]);
}

#[test]
fn a_post_may_overlap_a_get() {
    Rig::polling().get(1).post(2, "4a").send("b").says(&["got a", "2: ok", "1: 4b"]);
}

#[test]
fn packets_without_a_meaning_for_an_open_session_are_ignored() {
    Rig::polling().post(1, "0␞5␞6␞4a").says(&["got a", "1: ok"]);
    Rig::websocket()
        .frame(0, "0{}")
        .frame(0, "1")
        .frame(0, "5")
        .frame(0, "6")
        .frame(0, "4a")
        .says(&["got a"]);
}

#[test]
fn a_second_get_is_refused_and_ends_the_session() {
    Rig::polling().get(1).get(2).says(&["2: 400", "1: 1", "closed: transport error, overlap from client"]);
}

#[test]
fn a_second_post_is_refused_and_ends_the_session() {
    Rig::polling().get(1).post_head(2).post_head(3).says(&[
        "3: 400",
        "1: 1",
        "2: aborted",
        "closed: transport error, data request overlap from client",
    ]);
}

#[test]
fn posts_one_after_the_other_do_not_overlap() {
    Rig::polling().post(1, "4a").post(2, "4b").says(&["got a", "1: ok", "got b", "2: ok"]);
}

#[test]
fn binary_content_is_refused_in_revision_4() {
    Rig::polling()
        .post_head_as(1, Form::Binary)
        .says(&["1: 400", "closed: transport error, invalid content"])
        .post_body(1, "4a")
        .says(&[]);
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_session_lives_on() {
    let mut rig = Rig::polling();
    rig.get(1).post_head(2).handle(Input::PostTooLarge(Lane(2))).says(&["2: 413"]);
    rig.post_body(2, "4late").post(3, "4a").send("b").says(&["got a", "3: ok", "1: 4b"]);
}

#[test]
fn a_get_that_is_dropped_ends_the_session() {
    Rig::polling()
        .get(1)
        .post_head(2)
        .gone(1)
        .says(&["2: aborted", "closed: transport error, poll connection closed prematurely"]);
}

#[test]
fn a_get_that_is_dropped_after_its_answer_means_nothing() {
    Rig::polling().get(1).send("a").gone(1).get(2).send("b").says(&["1: 4a", "2: 4b"]);
}

#[test]
fn a_post_that_is_dropped_ends_the_session() {
    Rig::polling()
        .get(1)
        .post_head(2)
        .gone(2)
        .says(&["1: 1", "closed: transport error, data request connection closed prematurely"]);
}

#[test]
fn a_post_that_is_dropped_after_its_answer_means_nothing() {
    Rig::polling().post(1, "4a").gone(1).post(2, "4b").says(&["got a", "1: ok", "got b", "2: ok"]);
}

#[test]
fn a_close_packet_ends_the_session_and_frees_the_get_with_a_noop() {
    Rig::polling().get(1).post(2, "4a␞1␞4b").says(&["got a", "2: ok", "1: 6", "closed: transport close"]);
}

#[test]
fn a_bad_packet_ends_the_session_after_those_before_it() {
    for bad in ["4a␞", "4a␞x", "4a␞␞4b", "4a␞7"] {
        Rig::polling().get(1).post(2, bad).says(&["got a", "2: ok", "1: 1", "closed: parse error"]);
    }
}

#[test]
fn an_empty_body_ends_the_session() {
    Rig::polling().post(1, "").says(&["1: ok", "closed: parse error"]);
}

#[test]
fn more_packets_in_a_body_than_the_limit_end_the_session() {
    let two = || Config { max_payload_packets: 2, ..Config::default() };
    Rig::open(two(), Format::V4, Transport::Polling).post(1, "4a␞4b").says(&["got a", "got b", "1: ok"]);
    Rig::open(two(), Format::V4, Transport::Polling).post(1, "4a␞4b␞4c").says(&[
        "got a",
        "got b",
        "1: ok",
        "closed: parse error",
    ]);
    Rig::open(two(), V3, Transport::Polling).post(1, "2:4a2:4b2:4c").says(&[
        "got a",
        "got b",
        "1: ok",
        "closed: parse error",
    ]);
}

#[test]
fn whoever_comes_after_the_close_is_told_that_the_session_is_unknown() {
    let mut rig = Rig::polling();
    rig.abort(CloseReason::ForcedClose).says(&["closed: forced close"]);
    rig.get(1).says(&[&format!("1: {UNKNOWN_SID}")]);
    rig.post(2, "4a").says(&[&format!("2: {UNKNOWN_SID}")]);
    rig.ws(3).frame(3, "2probe").gone(3).says(&["3: close"]);
    assert_eq!(rig.try_send("a"), Err(SendError::Closed));
}

#[test]
fn a_websocket_error_of_a_lane_that_is_unknown_means_nothing() {
    Rig::polling()
        .frame(9, "2probe")
        .flushed(9)
        .fault(9, TransportFault::Connection)
        .gone(9)
        .post_body(9, "4a")
        .handle(Input::PostTooLarge(Lane(9)))
        .get(1)
        .send("a")
        .says(&["1: 4a"]);
}

#[test]
fn a_packet_that_breaks_the_rules_of_a_websocket_ends_the_session() {
    Rig::websocket().frame(0, "x").says(&["0: close", "closed: parse error"]);
    Rig::websocket().frame(0, "").says(&["0: close", "closed: parse error"]);
}

#[test]
fn messages_of_a_websocket_travel_one_by_one() {
    Rig::websocket()
        .send("a")
        .send_binary(&[1])
        .says(&["0> 4a", "0> b\"\\x01\""])
        .frame(0, "4b")
        .bytes(0, &[2])
        .frame(0, "bAw==")
        .says(&["got b", "got b\"\\x02\"", "got b\"\\x03\""]);
}

#[test]
fn the_end_of_its_websocket_is_the_end_of_the_session() {
    Rig::websocket().gone(0).says(&["closed: transport close"]);
    Rig::websocket()
        .fault(0, TransportFault::MessageTooLarge)
        .says(&["closed: transport error, Max payload size exceeded"]);
    Rig::websocket()
        .fault(0, TransportFault::Connection)
        .says(&["closed: transport error, connection failed"]);
}

#[test]
fn a_client_that_wants_base64_gets_it_on_a_websocket_too() {
    let format = Format { binary: BinaryEncoding::Base64, ..Format::V4 };
    let mut rig = Rig::open(Config::default(), format, Transport::Websocket);
    rig.send_binary(&[1, 2, 3]).says(&["0> bAQID"]).bytes(0, &[7]).says(&["got b\"\\x07\""]);
}

#[test]
fn every_answer_to_a_jsonp_client_is_a_script_of_its_first_index() {
    let jsonp = Format { binary: BinaryEncoding::Base64, jsonp: Some(Jsonp::new("5")), ..Format::V4 };
    let mut rig = Rig::handshake(Config::default(), jsonp.clone(), Transport::Polling);
    rig.says(&[&format!("0: ___eio[5](\"{}\");", OPEN_POLLING.replace('"', "\\\""))]);
    rig.get(1).send("a").send_binary(&[1, 2, 3]).get(2);
    rig.says(&["1: ___eio[5](\"4a\");", "2: ___eio[5](\"bAQID\");"]);
    rig.post(3, "d=4a%1E4b").says(&["got a", "got b", "3: ok"]);
    rig.get(4).abort(CloseReason::ForcedClose).says(&["4: ___eio[5](\"1\");", "closed: forced close"]);
}

#[test]
fn a_form_without_the_field_of_jsonp_says_nothing() {
    let jsonp = Format { jsonp: Some(Jsonp::new("0")), ..Format::V4 };
    let mut rig = Rig::open(Config::default(), jsonp, Transport::Polling);
    rig.post(1, "e=4a").says(&["1: ok"]).post(2, "d=x").says(&["2: ok", "closed: parse error"]);
}

#[test]
fn writable_means_that_a_message_would_leave_at_once() {
    let mut rig = Rig::polling();
    assert!(!rig.session.is_writable());
    rig.get(1);
    assert!(rig.session.is_writable());
    rig.send("a");
    assert!(!rig.session.is_writable());
    rig.send("b").get(2);
    assert!(!rig.session.is_writable(), "the GET took what waited");

    let mut rig = Rig::websocket();
    assert!(rig.session.is_writable());
    rig.send("a");
    assert!(!rig.session.is_writable());
    rig.flushed(0);
    assert!(rig.session.is_writable());
    rig.close();
    assert!(!rig.session.is_writable());
}
