//! The outgoing queue: what it takes, and how fast a websocket may empty it.

use super::*;

fn limited(max_frames: usize, max_bytes: usize) -> Rig {
    let config = Config { buffer: BufferLimits { max_frames, max_bytes }, ..Config::default() };
    Rig::open(config, Format::V4, Transport::Polling)
}

fn texts(count: usize) -> Vec<Message> {
    (0..count).map(|_| Message::Text("x".into())).collect()
}

#[test]
fn the_queue_takes_as_many_frames_as_its_limit() {
    let mut rig = limited(3, 1_000);
    assert_eq!(rig.send("1").try_send_all(&texts(2)), Ok(()));
    assert_eq!(rig.try_send("4"), Err(SendError::Full));
    rig.get(1).says(&["1: 41␞4x␞4x", "drained"]);
}

#[test]
fn the_queue_takes_as_many_bytes_as_its_limit() {
    let mut rig = limited(100, 10);
    assert_eq!(rig.send("1234").try_send("5678"), Ok(()));
    assert_eq!(rig.session.buffered_bytes(), 10);
    assert_eq!(rig.try_send(""), Err(SendError::Full));
    rig.get(1).says(&["1: 41234␞45678", "drained"]);
    assert_eq!(rig.session.buffered_bytes(), 0);
}

#[test]
fn a_message_of_several_frames_is_taken_whole_or_not_at_all() {
    let mut rig = limited(3, 1_000);
    assert_eq!(rig.send("1").try_send_all(&texts(3)), Err(SendError::Full));
    rig.get(1).says(&["1: 41", "drained"]);
}

#[test]
fn a_single_message_over_the_limit_is_taken_when_nothing_else_waits() {
    let mut rig = limited(2, 4);
    assert_eq!(rig.try_send("123456"), Ok(()));
    assert_eq!(rig.try_send("7"), Err(SendError::Full));
    rig.get(1).says(&["1: 4123456", "drained"]);
    assert_eq!(rig.try_send_all(&texts(5)), Ok(()));
}

#[test]
fn room_is_announced_once_and_only_to_who_was_refused() {
    let mut rig = limited(1, 1_000);
    rig.send("a").get(1).says(&["1: 4a"]);
    rig.send("b").try_send("c").unwrap_err();
    rig.try_send("d").unwrap_err();
    rig.get(2).says(&["2: 4b", "drained"]);
    rig.send("e").get(3).says(&["3: 4e"]);
}

#[test]
fn room_on_a_websocket_is_announced_when_half_is_free() {
    let half = MAX_UNFLUSHED_BYTES;
    let config = Config { buffer: BufferLimits { max_frames: 9, max_bytes: 4 * half }, ..Config::default() };
    let mut rig = Rig::open(config, Format::V4, Transport::Websocket);
    let message = "x".repeat(half - 1);
    rig.send(&message).said.clear();
    for _ in 0..4 {
        rig.send(&message);
    }
    assert_eq!(rig.try_send(&message), Err(SendError::Full));
    let frame = format!("0> 4{message}");
    rig.says(&[]).flushed(0).says(&[&frame]).flushed(0).says(&[&frame, "drained"]);
}

#[test]
fn room_for_frames_is_announced_when_half_is_free() {
    let config =
        Config { buffer: BufferLimits { max_frames: 4, max_bytes: usize::MAX }, ..Config::default() };
    let mut rig = Rig::open(config, Format::V4, Transport::Websocket);
    let message = "x".repeat(MAX_UNFLUSHED_BYTES);
    for _ in 0..5 {
        rig.send(&message);
    }
    assert_eq!(rig.try_send("y"), Err(SendError::Full));
    rig.said.clear();
    let frame = format!("0> 4{message}");
    rig.flushed(0).says(&[&frame]).flushed(0).says(&[&frame, "drained"]);
}

#[test]
fn a_websocket_is_given_no_more_than_it_can_take() {
    let mut rig = Rig::websocket();
    let message = "x".repeat(1_023);
    for _ in 0..100 {
        rig.send(&message);
    }
    let taken = rig.said.len();
    assert_eq!(taken, MAX_UNFLUSHED_BYTES.div_ceil(1_024 + FRAME_OVERHEAD));
    assert_eq!(rig.session.buffered_bytes(), (100 - taken) * 1_024);
    rig.said.clear();
    rig.flushed(0);
    assert_eq!(rig.said.len(), 100 - taken);
}

#[test]
fn a_flood_of_empty_frames_is_bounded_too() {
    let mut rig = Rig::websocket();
    for _ in 0..10 {
        rig.try_send_all(&texts(1_000)).unwrap();
    }
    assert_eq!(rig.said.len(), MAX_UNFLUSHED_BYTES.div_ceil(2 + FRAME_OVERHEAD));
}

#[test]
fn a_flush_of_another_websocket_opens_no_window() {
    let mut rig = Rig::websocket();
    rig.send(&"x".repeat(MAX_UNFLUSHED_BYTES)).send("b").said.clear();
    rig.flushed(9).says(&[]).flushed(0).says(&["0> 4b"]);
}

#[test]
fn a_closed_session_takes_nothing() {
    let mut rig = Rig::polling();
    rig.close();
    assert_eq!(rig.try_send("a"), Err(SendError::Closed));
    rig.get(1);
    assert_eq!(rig.try_send("a"), Err(SendError::Closed));
}

#[test]
fn a_client_of_revision_3_that_pings_without_reading_fills_no_memory() {
    let limits = BufferLimits { max_frames: 10, max_bytes: 1_000 };
    let config = || Config { buffer: limits, ..Config::default() };
    let mut rig = Rig::open(config(), V3, Transport::Polling);
    rig.post(1, &"1:2".repeat(1_000)).says(&["1: ok"]);
    assert_eq!(rig.session.buffered_bytes(), 10);
    rig.get(2).says(&[&format!("2: {}", "1:3".repeat(10))]);

    let mut rig = Rig::open(config(), V3, Transport::Websocket);
    for _ in 0..100_000 {
        rig.frame(0, "2");
    }
    assert_eq!(rig.session.buffered_bytes(), 10);
}
