//! Events that wait because too many handlers run, or because nobody takes them.
//!
//! Only what starts handlers waits here. Acknowledgements go past it: they stand behind the events in the stream, and
//! they are what the running handlers may be waiting for.

use std::collections::VecDeque;

use socketio_core::socket::server::Event;
use socketio_core::socket::{self as packet, Body, Raw};

use crate::ack::Waiter;

/// What can wait.
pub(crate) trait Weight {
    /// How many bytes of the peer's it keeps in memory.
    fn bytes(&self) -> usize;
}

/// What waits, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Backlog<E> {
    events: VecDeque<E>,
    bytes: usize,
}

impl<E> Default for Backlog<E> {
    fn default() -> Self {
        Self { events: VecDeque::new(), bytes: 0 }
    }
}

impl<E: Weight> Backlog<E> {
    pub(crate) fn push(&mut self, event: E) {
        self.bytes += event.bytes() + EVENT_OVERHEAD;
        self.events.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<E> {
        let event = self.events.pop_front()?;
        self.bytes -= event.bytes() + EVENT_OVERHEAD;
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether the peer has to wait before it is read from again.
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes >= MAX_BYTES
    }

    /// Whether so much is gone that it is worth while to read again.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.events.len() <= MAX_EVENTS / 2 && self.bytes <= MAX_BYTES / 2
    }
}

impl Weight for Event<Waiter> {
    fn bytes(&self) -> usize {
        match self {
            Self::Emit { event, .. } => weight_of(event),
            Self::ConnectRequest { nsp, auth, .. } => {
                nsp.len() + auth.as_ref().map_or(0, |auth| length(auth.raw()))
            }
            _ => 0,
        }
    }
}

/// How many bytes an event keeps in memory.
pub(crate) fn weight_of(event: &packet::Event) -> usize {
    event.name().len() + weight_of_args(event.args())
}

/// How many bytes a packet keeps in memory.
pub(crate) fn weight_of_packet(packet: &packet::Packet) -> usize {
    packet.nsp.len()
        + match &packet.body {
            Body::Event(event) => weight_of(event),
            Body::Ack { args, .. } => weight_of_args(args),
            Body::Connect(payload) | Body::ConnectError(payload) => {
                payload.as_ref().map_or(0, |payload| length(payload.raw()))
            }
            Body::Disconnect | Body::Unnamed => 0,
        }
}

fn weight_of_args(args: &packet::Args) -> usize {
    length(args.raw()) + args.attachments().iter().map(|bytes| bytes.len()).sum::<usize>()
}

fn length(raw: Raw<'_>) -> usize {
    match raw {
        Raw::Json(text) => text.len(),
        Raw::Msgpack(bytes) => bytes.len(),
    }
}

/// What an event costs beside what the peer sent.
const EVENT_OVERHEAD: usize = 128;

/// Events that wait, past which the peer is not read from: as many as one may plausibly send before it answers
/// the first of them.
const MAX_EVENTS: usize = 4096;

/// The same in bytes: a few messages of the greatest size.
const MAX_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use socketio_core::socket::server::Slot;
    use socketio_core::socket::{Codec, DisconnectReason, Nsp};

    use super::*;

    fn event(args: &str) -> Event<Waiter> {
        let encoded = Codec::Text.event(&Nsp::ROOT, None, "e", args).unwrap();
        Event::Emit { slot: Slot(0), event: encoded.to_event(Codec::Text).unwrap() }
    }

    #[test]
    fn a_backlog_is_full_at_its_count_and_not_before() {
        let mut backlog = Backlog::default();
        for _ in 1..MAX_EVENTS {
            backlog.push(Event::Left { slot: Slot(0), reason: DisconnectReason::ClientNamespaceDisconnect });
        }
        assert!(!backlog.is_full());
        backlog.push(event(""));
        assert!(backlog.is_full());
        assert!(backlog.pop().is_some());
        assert!(!backlog.is_full());
    }

    #[test]
    fn a_backlog_is_full_at_its_bytes_and_not_before() {
        let mut backlog = Backlog::default();
        // The name, two quotes and the text.
        backlog.push(event(&"x".repeat(MAX_BYTES - EVENT_OVERHEAD - "e".len() - 3)));
        assert!(!backlog.is_full());
        backlog.push(event(""));
        assert!(backlog.is_full());
        while backlog.pop().is_some() {}
        assert!(!backlog.is_full());
        assert_eq!(backlog.bytes, 0);
    }
}
