//! What is different in revision 3 (REFERENCE 2.1–2.4).

use super::*;

fn polling() -> Rig {
    Rig::open(Config::default(), V3, Transport::Polling)
}

fn websocket() -> Rig {
    let mut rig = Rig::open(Config::default(), V3, Transport::Websocket);
    rig.flushed(0);
    rig
}

#[test]
fn payloads_carry_lengths_in_utf16_units() {
    let mut rig = polling();
    rig.send("hello").send("€").send("𝄞").get(1).says(&["1: 6:4hello2:4€3:4𝄞"]);
    rig.post(2, "2:4€2:4b").says(&["got €", "got b", "2: ok"]);
}

#[test]
fn the_handshake_and_the_initial_message_share_a_payload() {
    let config = Config { initial_message: Some(Message::Text("hi".into())), ..Config::default() };
    let mut rig = Rig::handshake(config, V3, Transport::Polling);
    assert!(rig.said[0].starts_with("0: 99:0{\"sid\":\"S\","), "{:?}", rig.said);
    assert!(rig.said[0].ends_with("}3:4hi"));
    rig.said.clear();
}

#[test]
fn a_payload_with_binary_is_binary_where_the_client_takes_it() {
    let mut rig = polling();
    rig.send("a").send_binary(&[1, 2]).get(1);
    rig.says(&[r#"1: b"\0\x02\xff4a\x01\x03\xff\x04\x01\x02""#]);
    rig.post_head_as(2, Form::Binary).post_body(2, [0, 2, 255, b'4', b'a', 1, 2, 255, 4, 9]);
    rig.says(&["got a", "got b\"\\t\"", "2: ok"]);
}

#[test]
fn binary_is_base64_where_the_client_asks_for_it() {
    let base64 = Format { binary: BinaryEncoding::Base64, ..V3 };
    let mut rig = Rig::open(Config::default(), base64, Transport::Polling);
    rig.send_binary(&[1, 2, 3, 4]).get(1).says(&["1: 10:b4AQIDBA=="]);
    rig.post(2, "10:b4AQIDBA==").says(&["got b\"\\x01\\x02\\x03\\x04\"", "2: ok"]);
}

#[test]
fn binary_on_a_websocket_has_a_type_byte() {
    let mut rig = websocket();
    rig.send_binary(&[1]).says(&["0> b\"\\x04\\x01\""]).bytes(0, &[4, 2]).says(&["got b\"\\x02\""]);
    rig.bytes(0, &[5, 2]).says(&["0: close", "closed: parse error"]);
}

#[test]
fn jsonp_wraps_the_payload() {
    let jsonp = Format { binary: BinaryEncoding::Base64, jsonp: Some(Jsonp::new("0")), ..V3 };
    let mut rig = Rig::open(Config::default(), jsonp, Transport::Polling);
    rig.send("a").get(1).says(&["1: ___eio[0](\"2:4a\");"]);
    rig.post(2, "d=2%3A4a").says(&["got a", "2: ok"]);
}

#[test]
fn a_bad_payload_ends_the_session_after_the_packets_before_it() {
    for bad in ["2:4ax", "2:4a9:4b", "2:4ay:4b", "2:4a1:7"] {
        polling().get(1).post(2, bad).says(&["got a", "2: ok", "1: 1:1", "closed: parse error"]);
    }
    polling().post(1, "").says(&["1: ok", "closed: parse error"]);
}

#[test]
fn the_client_pings_and_the_server_answers_without_data() {
    polling().get(1).post(2, "1:2").says(&["2: ok", "1: 1:3"]);
    websocket().frame(0, "2").frame(0, "2probe").says(&["0> 3", "0> 3"]);
}

#[test]
fn the_server_never_pings() {
    websocket().wait(44_999).says(&[]);
}

#[test]
fn silence_of_an_interval_and_a_timeout_ends_the_session() {
    websocket().wait(44_999).says(&[]).wait(1).says(&["0: close", "closed: ping timeout"]);
    polling().get(1).wait(45_000).says(&["1: 1:1", "closed: ping timeout"]);
}

#[test]
fn a_ping_of_the_client_starts_the_wait_again_and_nothing_else_does() {
    let mut rig = websocket();
    rig.wait(40_000).frame(0, "2").says(&["0> 3"]);
    rig.wait(30_000).frame(0, "4a").says(&["got a"]);
    rig.wait(14_999).says(&[]).wait(1).says(&["0: close", "closed: ping timeout"]);
}

#[test]
fn a_pong_of_the_client_ends_the_session() {
    let reversed = "closed: transport error, invalid heartbeat direction";
    websocket().frame(0, "3").says(&["0: close", reversed]);
    polling().get(1).post(2, "1:3").says(&["2: ok", "1: 1:1", reversed]);
}

#[test]
fn the_upgrade_is_the_same() {
    let mut rig = polling();
    rig.get(1).ws(7).frame(7, "2probe").says(&["7> 3probe"]).wait(100).says(&["1: 1:6"]);
    rig.send("a").frame(7, "5").says(&["upgraded", "7> 4a"]);
    rig.frame(7, "2").says(&["7> 3"]).get(2).says(&[&format!("2: {TRANSPORT_MISMATCH}")]);
}

#[test]
fn a_get_pending_at_the_upgrade_gets_a_close_packet() {
    polling().get(1).ws(7).frame(7, "5").says(&["1: 1:1", "upgraded"]);
}

#[test]
fn the_upgrade_starts_the_wait_for_a_ping_again() {
    let mut rig = polling();
    rig.wait(40_000).ws(7).frame(7, "5").says(&["upgraded"]);
    rig.wait(44_999).says(&[]).wait(1).says(&["7: close", "closed: ping timeout"]);
}

#[test]
fn a_deferred_close_is_two_packets() {
    polling().send("a").close().get(1).get(2).says(&["1: 2:4a", "2: 1:61:1", "closed: forced close"]);
    polling().get(1).close().says(&["1: 1:1", "closed: forced close"]);
}

#[test]
fn a_close_packet_frees_the_get_with_a_noop() {
    polling().get(1).post(2, "1:1").says(&["2: ok", "1: 1:6", "closed: transport close"]);
}

#[test]
fn a_closing_session_does_not_answer_pings() {
    polling().close().post(1, "1:2").says(&["1: ok"]).get(2).says(&["2: 1:61:1", "closed: forced close"]);
}
