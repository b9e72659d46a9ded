//! What comes off a bus.

use std::time::Duration;

use socketio_core::cluster::{Config, Envelope, Input, Node, Options, Output, Query};
use socketio_core::engine::packet::Message;
use socketio_core::socket::{Args, Nsp};
use socketio_core::{Bytes, Instant, Str};

/// Messages from the bus, one on each line: JSON, or msgpack where the first byte says so. What can be read can be
/// written and read again, and whatever it says a node keeps to its limits.
pub fn cluster(data: &[u8]) {
    let config = Config { max_requests: LIMIT, max_answers: LIMIT, max_nodes: LIMIT, ..Config::default() };
    let mut node = Node::new(config, Nsp::ROOT, [7; 8]);
    let mut now = Instant::ZERO;
    node.start(now);
    for line in data.split(|byte| *byte == b'\n') {
        let Some(envelope) = read(line) else { continue };
        if let Ok(packed) = envelope.to_msgpack() {
            let again = Envelope::decode(&Message::Binary(packed)).expect("what was written is read");
            assert_eq!(again.message.kind(), envelope.message.kind());
        }
        if let Ok(text) = envelope.to_json() {
            Envelope::decode(&Message::Text(text)).expect("what was written is read");
        }
        node.handle(Input::Received(envelope), now);
        let _ = node.fetch_sockets(Options::default(), (), now);
        drain(&mut node, now);
        now += Duration::from_millis(900);
        node.handle_timeout(now);
        drain(&mut node, now);
        assert!(node.poll_timeout().is_none_or(|at| at > now), "time goes on");
        assert!(node.pending() <= 2 * LIMIT && node.others().count() <= LIMIT);
    }
    node.close(now);
    drain(&mut node, now);
    assert_eq!((node.pending(), node.poll_timeout()), (0, None));
}

fn read(line: &[u8]) -> Option<Envelope> {
    let message = match line.first()? {
        0x80.. => Message::Binary(Bytes::copy_from_slice(line)),
        _ => Message::Text(Str::from(std::str::from_utf8(line).ok()?)),
    };
    Envelope::decode(&message).ok()
}

fn drain(node: &mut Node<()>, now: Instant) {
    while let Some(output) = node.poll_output() {
        let Output::Ask(ask, query) = output else { continue };
        match query {
            // One of two acknowledges, and then one more than there are.
            Query::Broadcast(..) => {
                node.handle(Input::Clients(ask, 2), now);
                node.handle(Input::Acknowledged(ask, Args::default()), now);
                node.handle(Input::Unacknowledged(ask), now);
                node.handle(Input::Acknowledged(ask, Args::default()), now);
            }
            Query::FetchSockets(_) => node.handle(Input::Sockets(ask, Vec::new()), now),
            Query::ServerSideEmit(event) => node.handle(Input::Replied(ask, event.into_args()), now),
        }
    }
}

const LIMIT: usize = 3;
