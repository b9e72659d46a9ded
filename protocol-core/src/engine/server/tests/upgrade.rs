//! The hand-over from polling to a websocket (REFERENCE 1.14): every row of both its tables.

use super::*;

#[test]
fn a_probe_is_answered_on_the_probed_websocket() {
    Rig::polling().ws(7).says(&[]).frame(7, "2probe").says(&["7> 3probe"]).wait(9_999).says(&[]);
}

#[test]
fn a_pending_get_is_freed_a_tenth_of_a_second_after_the_probe_and_again() {
    let mut rig = Rig::polling();
    rig.get(1).ws(7).frame(7, "2probe").says(&["7> 3probe"]);
    rig.wait(99).says(&[]).wait(1).says(&["1: 6"]);
    rig.get(2).wait(99).says(&[]).wait(1).says(&["2: 6"]);
    rig.wait(450).get(3).wait(49).says(&[]).wait(1).says(&["3: 6"]);
}

#[test]
fn a_websocket_that_is_silent_frees_no_get() {
    Rig::polling().get(1).ws(7).wait(9_999).says(&[]).wait(1).says(&["7: close"]);
}

#[test]
fn a_second_probe_packet_is_answered_and_does_not_delay_the_noop() {
    let mut rig = Rig::polling();
    rig.get(1).ws(7).frame(7, "2probe").wait(60).frame(7, "2probe").says(&["7> 3probe", "7> 3probe"]);
    rig.wait(40).says(&["1: 6"]);
}

#[test]
fn a_probe_that_asks_without_reading_is_dropped() {
    let mut rig = Rig::polling();
    rig.ws(7);
    let mut answers = 0;
    while rig.frame(7, "2probe").said == ["7> 3probe"] {
        rig.said.clear();
        answers += 1;
        assert!(answers < 100_000, "no limit");
    }
    rig.says(&["7: close"]);
    rig.ws(8);
    for _ in 0..answers * 2 {
        rig.frame(8, "2probe").flushed(8).says(&["8> 3probe"]);
    }
}

#[test]
fn the_upgrade_packet_moves_the_session() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "2probe").frame(7, "5").says(&["7> 3probe", "upgraded"]);
    assert_eq!(rig.session.transport(), Some(Transport::Websocket));
    rig.frame(7, "4a").send("b").says(&["got a", "7> 4b"]);
}

/// Clients of socket.io 2 in Node.js ask for base64 on polling alone; others on the websocket alone.
#[test]
fn each_transport_says_for_itself_how_it_wants_binary() {
    let polling = Format { binary: BinaryEncoding::Base64, ..Format::V4 };
    let mut rig = Rig::open(Config::default(), polling, Transport::Polling);
    rig.ws(7).frame(7, "5").send_binary(&[1, 2]).says(&["upgraded", r#"7> b"\x01\x02""#]);
    let mut rig = Rig::polling();
    rig.ws_that_wants(7, BinaryEncoding::Base64)
        .frame(7, "5")
        .send_binary(&[1, 2])
        .says(&["upgraded", "7> bAQI="]);
}

#[test]
fn an_upgrade_without_a_probe_is_accepted() {
    Rig::polling().ws(7).frame(7, "5").says(&["upgraded"]).send("a").says(&["7> 4a"]);
}

#[test]
fn the_upgrade_ends_the_noops_and_its_timeout() {
    let mut rig = Rig::upgraded();
    assert_eq!(rig.session.poll_timeout(), Some(rig.now + Duration::from_secs(25)), "the heartbeat alone");
    rig.wait(24_999).says(&[]);
}

#[test]
fn messages_still_leave_by_a_pending_get_while_a_websocket_is_probed() {
    Rig::polling().get(1).ws(7).frame(7, "2probe").send("a").says(&["7> 3probe", "1: 4a"]);
}

#[test]
fn messages_that_found_no_get_follow_on_the_websocket_in_order() {
    Rig::polling()
        .ws(7)
        .frame(7, "2probe")
        .send("a")
        .send_binary(&[1])
        .send("b")
        .says(&["7> 3probe"])
        .frame(7, "5")
        .says(&["upgraded", "7> 4a", "7> b\"\\x01\"", "7> 4b"]);
}

#[test]
fn posts_are_processed_while_a_websocket_is_probed() {
    Rig::polling().ws(7).frame(7, "2probe").post(1, "4a").says(&["7> 3probe", "got a", "1: ok"]);
}

#[test]
fn a_get_pending_at_the_upgrade_is_answered_with_a_close_packet() {
    Rig::polling().ws(7).get(1).frame(7, "5").says(&["1: 1", "upgraded"]).send("a").says(&["7> 4a"]);
}

#[test]
fn a_get_that_could_have_been_answered_at_the_upgrade_loses_no_message() {
    let mut rig = Rig::polling();
    rig.ws(7);
    // No output is taken in between.
    rig.lanes.open(Lane(1), Kind::Get, &rig.session);
    rig.session.handle(Input::Poll(Lane(1)), rig.now);
    let frame = Packet::Message(Message::Text("a".into())).encode();
    rig.session.send(core::iter::once(frame), 2).unwrap();
    rig.frame(7, "5").says(&["1: 1", "upgraded", "7> 4a"]);
}

#[test]
fn a_get_that_is_about_to_carry_messages_is_not_freed_with_a_noop() {
    let mut rig = Rig::polling();
    rig.get(1).ws(7).frame(7, "2probe").says(&["7> 3probe"]);
    let frame = Packet::Message(Message::Text("a".into())).encode();
    rig.session.send(core::iter::once(frame), 2).unwrap();
    rig.oversleep(100).says(&["1: 4a"]);
}

#[test]
fn a_post_in_flight_at_the_upgrade_is_still_read() {
    Rig::polling().post_head(1).ws(7).frame(7, "5").post_body(1, "4a").says(&["upgraded", "got a", "1: ok"]);
}

#[test]
fn a_post_in_flight_at_the_upgrade_may_be_too_large_or_dropped() {
    let upgraded = || {
        let mut rig = Rig::polling();
        rig.post_head(1).ws(7).frame(7, "5").says(&["upgraded"]);
        rig
    };
    upgraded().handle(Input::PostTooLarge(Lane(1))).says(&["1: 413"]).send("a").says(&["7> 4a"]);
    upgraded().gone(1).says(&[]).send("a").says(&["7> 4a"]);
    upgraded().gone(7).says(&["1: aborted", "closed: transport close"]);
    upgraded().post_body(1, "4a\x1Ex").says(&["got a", "1: ok", "7: close", "closed: parse error"]);
}

#[test]
fn any_other_packet_on_the_probed_websocket_closes_it_and_the_session_lives_on() {
    for other in ["2", "3probe", "4a", "0", "1", "6", "x", ""] {
        let mut rig = Rig::polling();
        rig.get(1).ws(7).frame(7, other).says(&["7: close"]);
        rig.frame(7, "2probe").frame(7, "5").says(&[]);
        rig.send("a").says(&["1: 4a"]);
    }
    Rig::polling().ws(7).bytes(7, &[1]).says(&["7: close"]);
}

#[test]
fn a_wrong_packet_after_the_probe_ends_the_noops() {
    let mut rig = Rig::polling();
    rig.get(1).ws(7).frame(7, "2probe").frame(7, "4a").says(&["7> 3probe", "7: close"]);
    assert_eq!(rig.session.poll_timeout(), Some(rig.now + Duration::from_secs(25)), "the heartbeat alone");
}

#[test]
fn an_upgrade_can_be_tried_again_after_it_failed() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "4a").says(&["7: close"]);
    rig.ws(8).frame(8, "2probe").frame(8, "5").says(&["8> 3probe", "upgraded"]);
}

#[test]
fn a_probed_websocket_that_ends_by_itself_is_forgotten() {
    let mut rig = Rig::polling();
    rig.get(1).ws(7).frame(7, "2probe").gone(7).says(&["7> 3probe"]);
    rig.wait(200).says(&[]);
    rig.ws(8).fault(8, TransportFault::Connection).wait(10_000).says(&[]);
    rig.ws(9).frame(9, "5").says(&["1: 1", "upgraded"]);
}

#[test]
fn a_probe_that_is_not_followed_by_an_upgrade_in_time_is_closed() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "2probe").says(&["7> 3probe"]);
    rig.wait(9_999).says(&[]).wait(1).says(&["7: close"]);
    rig.frame(7, "5").get(1).wait(1_000).send("a").says(&["1: 4a"]);
}

#[test]
fn a_second_websocket_while_one_is_probed_is_closed() {
    let mut rig = Rig::polling();
    rig.ws(7).ws(8).says(&["8: close"]).frame(8, "2probe").frame(8, "5").gone(8).says(&[]);
    rig.frame(7, "2probe").frame(7, "5").says(&["7> 3probe", "upgraded"]);
}

#[test]
fn a_websocket_after_the_upgrade_is_closed() {
    let mut rig = Rig::upgraded();
    rig.ws(8).says(&["8: close"]).frame(8, "2probe").frame(8, "5").frame(8, "4x").gone(8).says(&[]);
    rig.send("a").says(&["7> 4a"]);
    Rig::websocket().ws(8).says(&["8: close"]);
}

#[test]
fn polling_after_the_upgrade_is_refused_and_does_no_harm() {
    let mut rig = Rig::upgraded();
    rig.get(1).says(&[&format!("1: {TRANSPORT_MISMATCH}")]);
    rig.post(2, "4a").says(&[&format!("2: {TRANSPORT_MISMATCH}")]);
    rig.gone(1).gone(2).frame(7, "4b").says(&["got b"]);
}

#[test]
fn the_end_of_the_session_closes_the_probed_websocket() {
    let mut rig = Rig::polling();
    rig.get(1).post_head(2).ws(7).abort(CloseReason::ForcedClose);
    rig.says(&["1: 1", "2: aborted", "7: close", "closed: forced close"]);
    Rig::polling().ws(7).post(1, "1").says(&["1: ok", "7: close", "closed: transport close"]);
}

#[test]
fn a_close_packet_on_a_websocket_means_nothing() {
    Rig::upgraded().frame(7, "1").send("a").says(&["7> 4a"]);
}

#[test]
fn bytes_of_the_probe_that_are_not_flushed_count_after_the_upgrade() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "2probe").frame(7, "5");
    assert!(!rig.session.is_writable());
    rig.flushed(7);
    assert!(rig.session.is_writable());
}

#[test]
fn whether_a_frame_may_be_compressed_is_said_with_each() {
    let mut rig = Rig::websocket();
    let sent = [
        ("4a", Compression::Allowed),
        ("4b", Compression::Forbidden),
        ("4c", Compression::Forbidden),
        ("4d", Compression::Allowed),
    ];
    for (text, compression) in sent {
        rig.session.send_with([Frame::Text(text.into())].into_iter(), 2, compression).unwrap();
    }
    for (text, compression) in sent {
        let frame = Frame::Text(text.into());
        assert_eq!(rig.session.poll_output(), Some(Output::WsSend(Lane(0), frame, compression)));
    }
    // The protocol's own packets are not worth it.
    rig.session.handle_timeout(rig.session.poll_timeout().unwrap());
    let ping = Output::WsSend(Lane(0), Frame::Text("2".into()), Compression::Forbidden);
    assert_eq!(rig.session.poll_output(), Some(ping));
}
