//! The ways out (REFERENCE 1.14–1.16).

use super::*;

#[test]
fn closing_answers_the_pending_get() {
    Rig::polling().get(1).close().says(&["1: 1", "closed: forced close"]);
}

#[test]
fn closing_without_a_get_waits_for_the_next_one() {
    let mut rig = Rig::polling();
    rig.close().says(&[]);
    assert!(!rig.session.is_open());
    assert_eq!(rig.try_send("a"), Err(SendError::Closed));
    rig.wait(29_999).get(1).says(&["1: 6␞1", "closed: forced close"]);
}

#[test]
fn what_is_queued_goes_first_and_the_close_with_the_get_after_it() {
    Rig::polling()
        .send("a")
        .send("b")
        .close()
        .says(&[])
        .get(1)
        .says(&["1: 4a␞4b"])
        .get(2)
        .says(&["2: 6␞1", "closed: forced close"]);
}

#[test]
fn a_get_that_takes_the_last_messages_does_not_take_the_close_as_well() {
    let mut rig = Rig::polling();
    rig.lanes.open(Lane(1), Kind::Get, &rig.session);
    rig.session.handle(Input::Poll(Lane(1)), rig.now);
    let frame = Packet::Message(Message::Text("a".into())).encode();
    rig.session.send(core::iter::once(frame), 2).unwrap();
    rig.close().says(&["1: 4a"]).get(2).says(&["2: 6␞1", "closed: forced close"]);
}

#[test]
fn a_client_that_does_not_fetch_the_end_is_dropped_after_half_a_minute() {
    Rig::polling().close().wait(29_999).says(&[]).wait(1).says(&["closed: forced close"]);
    Rig::polling().send("a").close().wait(MINUTE).says(&["closed: forced close"]);
}

#[test]
fn posts_to_a_closing_session_are_answered_and_dropped() {
    Rig::polling().close().post(1, "4a␞x").says(&["1: ok"]).get(2).says(&["2: 6␞1", "closed: forced close"]);
    Rig::polling().post_head(1).close().post_body(1, "4a").says(&["1: ok"]);
}

#[test]
fn a_close_packet_ends_a_closing_session() {
    Rig::polling().send("a").close().post(1, "1").says(&["1: ok", "closed: transport close"]);
}

#[test]
fn a_post_in_progress_when_the_last_get_comes_is_broken() {
    Rig::polling().close().post_head(1).get(2).says(&["2: 6␞1", "1: aborted", "closed: forced close"]);
}

#[test]
fn a_closing_session_takes_part_in_no_heartbeat() {
    let mut rig = Rig::polling();
    rig.send("a")
        .close()
        .wait(25_000)
        .get(1)
        .says(&["1: 4a"])
        .get(2)
        .says(&["2: 6␞1", "closed: forced close"]);

    let mut rig = Rig::polling();
    rig.wait(25_000).get(1).says(&["1: 2"]).close().wait(20_000).says(&[]);
    rig.wait(10_000).says(&["closed: forced close"]);
}

#[test]
fn closing_twice_changes_nothing() {
    let mut rig = Rig::polling();
    rig.close().wait(20_000).close().wait(9_999).says(&[]).wait(1).says(&["closed: forced close"]);
    rig.close().abort(CloseReason::ForcedClose).says(&[]);
}

#[test]
fn a_websocket_closes_when_everything_has_been_handed_over() {
    Rig::websocket().send("a").close().says(&["0> 4a", "0: close", "closed: forced close"]);
}

#[test]
fn a_websocket_that_takes_its_time_gets_everything_before_the_close() {
    let long = "x".repeat(MAX_UNFLUSHED_BYTES);
    let mut rig = Rig::websocket();
    rig.send(&long).send("b").close().says(&[&format!("0> 4{long}")]);
    rig.flushed(0).says(&["0> 4b", "0: close", "closed: forced close"]);
}

#[test]
fn a_websocket_that_takes_nothing_is_dropped_after_half_a_minute() {
    let long = "x".repeat(MAX_UNFLUSHED_BYTES);
    let mut rig = Rig::websocket();
    rig.send(&long).send("b").close().says(&[&format!("0> 4{long}")]);
    rig.wait(29_999).says(&[]).wait(1).says(&["0: close", "closed: forced close"]);
}

#[test]
fn a_closing_websocket_is_not_listened_to() {
    let long = "x".repeat(MAX_UNFLUSHED_BYTES);
    let mut rig = Rig::websocket();
    rig.send(&long).send("b").close().frame(0, "4a").frame(0, "x").frame(0, "2").said.clear();
    rig.gone(0).says(&["closed: transport close"]);
}

#[test]
fn an_upgrade_while_closing_hands_the_rest_over_and_closes() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "2probe").send("a").close().says(&["7> 3probe"]);
    rig.frame(7, "5").says(&["upgraded", "7> 4a", "7: close", "closed: forced close"]);

    Rig::polling().close().ws(7).frame(7, "5").says(&["upgraded", "7: close", "closed: forced close"]);
}

#[test]
fn a_probe_outlives_a_deferred_close_no_longer_than_the_session() {
    let mut rig = Rig::polling();
    rig.ws(7).frame(7, "2probe").close().says(&["7> 3probe"]);
    rig.get(1).says(&["1: 6␞1", "7: close", "closed: forced close"]);
}

#[test]
fn an_abort_drops_what_is_queued() {
    Rig::polling().send("a").abort(CloseReason::ForcedClose).says(&["closed: forced close"]);
    let slow = CloseReason::TransportError(TransportFault::SlowConsumer);
    Rig::websocket().abort(slow).says(&["0: close", "closed: transport error, send buffer exceeded"]);
    Rig::polling().get(1).abort(slow).says(&["1: 1", "closed: transport error, send buffer exceeded"]);
}

#[test]
fn an_abort_ends_a_closing_session() {
    Rig::polling().send("a").close().abort(CloseReason::ForcedClose).says(&["closed: forced close"]);
}

#[test]
fn a_failure_ends_a_closing_session() {
    Rig::polling()
        .close()
        .post_head(1)
        .gone(1)
        .says(&["closed: transport error, data request connection closed prematurely"]);
    Rig::polling().close().post_head(1).post_head(2).says(&[
        "2: 400",
        "1: aborted",
        "closed: transport error, data request overlap from client",
    ]);
}
