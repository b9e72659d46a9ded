//! Pings, pongs and silence (REFERENCE 1.13).

use super::*;

const TIMEOUT: &str = "closed: ping timeout";
const REVERSED: &str = "closed: transport error, invalid heartbeat direction";

#[test]
fn the_server_pings_an_interval_after_the_open() {
    Rig::websocket().wait(24_999).says(&[]).wait(1).says(&["0> 2"]);
    Rig::polling().get(1).wait(24_999).says(&[]).wait(1).says(&["1: 2"]);
}

#[test]
fn a_ping_that_is_not_answered_ends_the_session() {
    Rig::websocket().wait(44_999).says(&["0> 2"]).wait(1).says(&["0: close", TIMEOUT]);
    Rig::polling().get(1).wait(25_000).get(2).says(&["1: 2"]).wait(20_000).says(&["2: 1", TIMEOUT]);
}

#[test]
fn a_ping_that_finds_no_get_is_queued_and_the_wait_goes_on() {
    Rig::polling().wait(44_999).says(&[]).get(1).says(&["1: 2"]).wait(1).says(&[TIMEOUT]);
}

#[test]
fn a_pong_restarts_the_interval() {
    let mut rig = Rig::websocket();
    rig.wait(35_000).frame(0, "3").says(&["0> 2"]);
    rig.wait(24_999).says(&[]).wait(1).says(&["0> 2"]);
    rig.wait(20_000).says(&["0: close", TIMEOUT]);
}

#[test]
fn a_pong_nobody_asked_for_restarts_the_interval() {
    Rig::websocket().wait(20_000).frame(0, "3").wait(24_999).says(&[]).wait(1).says(&["0> 2"]);
    Rig::polling().wait(20_000).post(1, "3").get(2).wait(24_999).says(&["1: ok"]).wait(1).says(&["2: 2"]);
}

#[test]
fn other_traffic_extends_the_wait_for_a_pong_once() {
    let mut rig = Rig::websocket();
    rig.wait(35_000).frame(0, "4a").wait(15_000).frame(0, "4b").says(&["0> 2", "got a", "got b"]);
    rig.wait(4_999).says(&[]).wait(1).says(&["0: close", TIMEOUT]);
}

#[test]
fn every_kind_of_packet_extends_the_wait() {
    for packet in ["0", "1", "4", "5", "6"] {
        let mut rig = Rig::websocket();
        rig.wait(35_000).frame(0, packet).said.clear();
        rig.wait(19_999).says(&[]).wait(1).says(&["0: close", TIMEOUT]);
    }
}

#[test]
fn each_ping_can_be_extended() {
    let mut rig = Rig::websocket();
    rig.wait(35_000).frame(0, "4").frame(0, "3").wait(25_000).wait(10_000).frame(0, "4");
    rig.says(&["0> 2", "got ", "0> 2", "got "]);
    rig.wait(19_999).says(&[]).wait(1).says(&["0: close", TIMEOUT]);
}

#[test]
fn traffic_before_the_ping_does_not_extend_the_wait() {
    Rig::websocket()
        .wait(24_999)
        .frame(0, "4")
        .wait(20_000)
        .says(&["got ", "0> 2"])
        .wait(1)
        .says(&["0: close", TIMEOUT]);
}

#[test]
fn a_ping_that_is_still_queued_is_not_queued_again() {
    let mut rig = Rig::polling();
    rig.send("a").wait(25_000).post(1, "3").wait(25_000).post(2, "3").wait(25_000).says(&["1: ok", "2: ok"]);
    rig.get(3).says(&["3: 4a␞2"]).wait(20_000).says(&[TIMEOUT]);
}

#[test]
fn a_ping_of_the_client_ends_the_session() {
    for ping in ["2", "2probe"] {
        Rig::websocket().frame(0, ping).says(&["0: close", REVERSED]);
        Rig::polling().get(1).post(2, ping).says(&["2: ok", "1: 1", REVERSED]);
    }
}

#[test]
fn a_heartbeat_goes_on_while_a_websocket_is_probed() {
    let mut rig = Rig::polling();
    rig.wait(20_000).ws(7).wait(5_000).get(1).says(&["1: 2"]);
    rig.post(2, "3").wait(25_000).get(3).says(&["2: ok", "7: close", "3: 2"]);
}

#[test]
fn the_wait_for_a_pong_starts_again_at_the_upgrade_and_ends() {
    let mut rig = Rig::polling();
    rig.get(1).wait(25_000).says(&["1: 2"]);
    rig.wait(15_000).ws(7).frame(7, "5").says(&["upgraded"]);
    rig.wait(19_999).says(&[]).wait(1).says(&["7: close", TIMEOUT]);
}

#[test]
fn an_upgrade_between_two_pings_leaves_the_interval_alone() {
    Rig::polling().wait(15_000).ws(7).frame(7, "5").wait(9_999).says(&["upgraded"]).wait(1).says(&["7> 2"]);
}

#[test]
fn a_driver_that_wakes_late_gives_the_client_its_full_time() {
    let mut rig = Rig::websocket();
    rig.oversleep(10 * MINUTE).says(&["0> 2"]);
    rig.wait(19_999).says(&[]).wait(1).says(&["0: close", TIMEOUT]);
}

#[test]
fn a_driver_that_wakes_late_frees_a_get_once() {
    let mut rig = Rig::polling();
    rig.ws(7).get(1).frame(7, "2probe").oversleep(5_000).says(&["7> 3probe", "1: 6"]);
    rig.wait(100).says(&[]);
}

#[test]
fn a_timeout_of_no_length_ends_the_session_with_its_ping() {
    let config = Config { ping_timeout: Duration::ZERO, ..Config::default() };
    Rig::open(config, Format::V4, Transport::Polling).get(1).wait(25_000).says(&["1: 1", TIMEOUT]);
}

#[test]
fn a_timeout_of_endless_length_is_none() {
    let config = Config { ping_interval: Duration::MAX, upgrade_timeout: Duration::MAX, ..Config::default() };
    let mut rig = Rig::open(config, Format::V4, Transport::Polling);
    rig.ws(7);
    assert_eq!(rig.session.poll_timeout(), None);
    rig.frame(7, "2probe").get(1);
    rig.now = Instant::from_micros(u64::MAX);
    rig.wake().says(&["7> 3probe", "1: 6"]);
}
