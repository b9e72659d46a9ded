//! What can be watched of a session (REFERENCE 1.17): each event after its cause, in the order of the reference.

use super::*;

fn observed(format: Format, transport: Transport) -> Rig {
    let initial_message = Some(Message::Text("hi".into()));
    Rig::handshake(Config { observe: true, initial_message, ..Config::default() }, format, transport)
}

/// A session whose first events have been read.
fn open(format: Format, transport: Transport) -> Rig {
    let mut rig = observed(format, transport);
    if transport == Transport::Websocket {
        rig.flushed(0);
    }
    seen(&mut rig);
    rig
}

fn seen(rig: &mut Rig) -> Vec<String> {
    let text = |packet: &Packet| match packet.encode() {
        Frame::Text(text) if text.starts_with('0') => "0".into(),
        Frame::Text(text) => text.to_string(),
        Frame::Binary(bytes) => format!("{bytes:?}"),
    };
    let event = |event| match event {
        EngineEvent::Packet(packet) => format!("packet {}", text(&packet)),
        EngineEvent::PacketCreate(packet) => format!("create {}", text(&packet)),
        EngineEvent::Flush(packets) => {
            format!("flush {}", packets.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        EngineEvent::Close(reason) => format!("close: {reason}"),
        event => format!("{event:?}"),
    };
    core::iter::from_fn(|| rig.session.poll_engine_event()).map(event).collect()
}

#[test]
fn a_session_that_nobody_watches_gathers_nothing() {
    let mut rig = Rig::upgraded();
    rig.frame(7, "4a").send("b").wait(25_000).frame(7, "3");
    assert!(!rig.session.has_engine_event());
    assert_eq!(rig.session.poll_engine_event(), None);
}

#[test]
fn the_handshake() {
    let mut rig = observed(Format::V4, Transport::Polling);
    assert!(rig.session.has_engine_event());
    assert_eq!(seen(&mut rig), ["Connection", "create 0", "create 4hi", "flush 0 4hi", "Drain"]);
    assert!(!rig.session.has_engine_event());
    let mut rig = observed(Format::V4, Transport::Websocket);
    assert_eq!(seen(&mut rig), ["Connection", "create 0", "create 4hi", "flush 0", "flush 4hi", "Drain"]);
}

#[test]
fn packets_come_and_go() {
    for transport in [Transport::Polling, Transport::Websocket] {
        let mut rig = open(Format::V4, transport);
        match transport {
            Transport::Polling => rig.get(1).post(2, "4a␞bAQ=="),
            _ => rig.frame(0, "4a").bytes(0, &[1]),
        };
        assert_eq!(seen(&mut rig), ["packet 4a", "packet b\"\\x01\""], "{transport:?}");
        rig.send("b");
        assert_eq!(seen(&mut rig), ["create 4b", "flush 4b", "Drain"], "{transport:?}");
    }
    let mut rig = open(Format::V4, Transport::Polling);
    rig.send("a").send("b");
    assert_eq!(seen(&mut rig), ["create 4a", "create 4b"]);
    rig.get(1);
    assert_eq!(seen(&mut rig), ["flush 4a 4b", "Drain"]);
}

#[test]
fn heartbeats() {
    let mut rig = open(Format::V4, Transport::Websocket);
    rig.wait(25_000);
    assert_eq!(seen(&mut rig), ["create 2", "flush 2", "Drain"]);
    rig.frame(0, "3");
    assert_eq!(seen(&mut rig), ["packet 3", "Heartbeat"]);
    let v3 = Format { revision: Revision::V3, ..Format::V4 };
    let mut rig = open(v3, Transport::Websocket);
    rig.frame(0, "2");
    assert_eq!(seen(&mut rig), ["packet 2", "create 3", "Heartbeat", "flush 3", "Drain"]);
    rig.frame(0, "3");
    assert_eq!(seen(&mut rig), ["packet 3", "close: transport error"]);
}

#[test]
fn an_upgrade() {
    let mut rig = open(Format::V4, Transport::Polling);
    rig.get(1).ws(7).frame(7, "2probe").wait(100);
    // The answer and the noop go past the queue, as in the reference.
    assert_eq!(seen(&mut rig), ["Upgrading(Websocket)"]);
    rig.send("a").frame(7, "5");
    assert_eq!(seen(&mut rig), ["create 4a", "Upgrade(Websocket)", "flush 4a", "Drain"]);
}

#[test]
fn every_end_is_seen_and_nothing_after_it() {
    let mut rig = open(Format::V4, Transport::Polling);
    rig.post(1, "1");
    assert_eq!(seen(&mut rig), ["close: transport close"], "its close packet stays with the transport");
    let mut rig = open(Format::V4, Transport::Websocket);
    rig.frame(0, "9");
    assert_eq!(seen(&mut rig), ["close: parse error"]);
    let mut rig = open(Format::V4, Transport::Polling);
    rig.close();
    rig.post(1, "4a").get(2);
    assert_eq!(seen(&mut rig), ["close: forced close"], "a session that is closing does not listen");
    let mut rig = open(Format::V4, Transport::Websocket);
    rig.wait(25_000).wait(20_000).get(1);
    assert_eq!(seen(&mut rig), ["create 2", "flush 2", "Drain", "close: ping timeout"]);
}
