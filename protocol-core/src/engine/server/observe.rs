//! What a session does, for who wants to watch: the events of the reference's engine (REFERENCE 1.17).
//!
//! They are no outputs: nothing depends on them, and a session that nobody watches gathers none.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::engine::close::CloseReason;
use crate::engine::packet::{Frame, Packet};
use crate::engine::{Revision, Transport};

/// Something a session did, by the name the reference gives it. A message that arrives is a [`Packet`](Self::Packet), as
/// in `conn.on("packet", …)`; there is no `data` beside it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EngineEvent {
    /// The session opened. The first of its events, unlike in the reference, whose handshake is flushed before.
    Connection,
    /// A packet arrived. Not the close packet of a polling client, which the transport keeps to itself, nor what a session
    /// that is closing no longer listens to.
    Packet(Packet),
    /// A packet was put into the outgoing queue, or into the answer to the handshake.
    PacketCreate(Packet),
    /// These packets were handed to the transport: all that waited, by polling; one, by websocket.
    Flush(Vec<Packet>),
    /// After a flush, nothing waits any more.
    Drain,
    /// The client answered the heartbeat, or in revision 3 asked for one.
    Heartbeat,
    /// A client that has opened this transport as well began to probe it.
    Upgrading(Transport),
    /// The session moved to this transport.
    Upgrade(Transport),
    /// The session is over. The last of its events.
    Close(CloseReason),
}

/// The events that nobody has taken yet, if anybody wants them. As many as there were packets since: the outgoing queue
/// and the packets of a payload are bounded.
#[derive(Clone, Debug)]
pub(super) struct Observed(Option<Box<Events>>);

/// Boxed, since nearly no session has any.
#[derive(Clone, Debug, Default)]
struct Events(VecDeque<EngineEvent>);

impl Observed {
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Box::default))
    }

    #[inline]
    pub(super) fn note(&mut self, event: impl FnOnce() -> EngineEvent) {
        if let Some(Events(events)) = self.0.as_deref_mut() {
            events.push_back(event());
        }
    }

    pub(super) fn note_created(&mut self, frame: &Frame) {
        if let Some(Events(events)) = self.0.as_deref_mut() {
            events.extend(packet_in(frame).map(EngineEvent::PacketCreate));
        }
    }

    /// Notes that these were handed over, and whether nothing is left.
    pub(super) fn note_flushed<'a>(&mut self, frames: impl Iterator<Item = &'a Frame>, drained: bool) {
        if let Some(Events(events)) = self.0.as_deref_mut() {
            events.push_back(EngineEvent::Flush(frames.filter_map(packet_in).collect()));
            events.extend(drained.then_some(EngineEvent::Drain));
        }
    }

    pub(super) fn pop(&mut self) -> Option<EngineEvent> {
        self.0.as_mut()?.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|events| events.0.is_empty())
    }
}

/// Frames are queued as revision 4 writes them, whatever the session's.
fn packet_in(frame: &Frame) -> Option<Packet> {
    Packet::decode(Revision::V4, frame.clone()).ok()
}
