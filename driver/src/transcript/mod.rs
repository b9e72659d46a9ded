//! What happened to one client, word for word: enough to let it happen again.
//!
//! A [`Peer`] is a state machine: the same inputs and commands at the same times give the same outputs. With the target
//! [`TARGET`] at trace level every session that opens writes down all of them, a [`Line`] each, in the order in which
//! the peer saw them. [`Replay`] feeds such lines to a fresh
//! peer and says where it answers differently. For clients of ours, [`client`] does the same.
//!
//! ```text
//! RUST_LOG=socketio_driver::transcript=trace
//! {"client":3,"at":31,"in":{"ws_frame":[4,{"text":"2probe"}]}}
//! {"client":3,"at":31,"out":{"ws_send":[4,{"text":"3probe"}]}}
//! ```
//!
//! Whether a session is written down is decided when it opens, since half a transcript replays nothing. One that is not
//! costs a branch per call. Lines are gathered under the client's lock and handed to the log by its pump without it.
//!
//! A transcript holds everything a client said and was told, secrets included.

pub mod client;
mod line;
mod remote;
mod replay;
mod tape;

use std::collections::VecDeque;
use std::fmt::Display;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use socketio_core::engine::buffer::Compression;
use socketio_core::engine::http::Response;
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::{EngineEvent, Input, Opening};
use socketio_core::peer::{Config, Delivery, Output, Peer, SendError};
use socketio_core::socket::Encoded;
use socketio_core::socket::server::{self as protocol, CommandError, RefuseError, Slot};
use socketio_core::{AckId, Instant, Lane, Sid};

pub use line::{Command, Data, Entry, Line, Opened, Out, OutEvent, Packet};
pub use remote::Settings;
pub use replay::{Mismatch, Replay};
use tape::Tape;

use crate::ack::Waiter;

/// The target of the log's events.
pub const TARGET: &str = module_path!();

/// A peer, and what is written down of it. Whatever changes the peer goes through here; that it can be looked at but not
/// changed in another way is what [`Deref`] without `DerefMut` says.
#[derive(Debug)]
pub(crate) struct Recorded {
    peer: Peer<Waiter>,
    tape: Tape<Entry>,
}

impl Recorded {
    pub(crate) fn polling(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let tape = Tape::begin(|| Entry::Open(Opened::polling(lane, &opening, &config).into()), now);
        Self { peer: Peer::polling(config, opening, lane, now), tape }
    }

    pub(crate) fn websocket(config: Arc<Config>, opening: Opening, lane: Lane, now: Instant) -> Self {
        let tape = Tape::begin(|| Entry::Open(Opened::websocket(lane, &opening, &config).into()), now);
        Self { peer: Peer::websocket(config, opening, lane, now), tape }
    }

    /// Whether it is written down.
    pub(crate) const fn is_recorded(&self) -> bool {
        self.tape.is_recording()
    }

    /// What was written down since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<(Instant, Entry)> {
        self.tape.take()
    }

    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        // Asked here too: an input that is lent to a closure is copied before it is handed on.
        if self.is_recorded() {
            self.note_at(now, || Entry::In(input.clone()));
        }
        self.peer.handle(input, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.note_at(now, || Entry::Due {});
        self.peer.handle_timeout(now);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output<Waiter>> {
        let output = self.peer.poll_output();
        if let Some(output) = &output {
            self.note(|| Entry::Out(Out::of(output)));
        }
        output
    }

    /// None of a peer that is written down, for the same reason as in [`poll_response`](Self::poll_response).
    pub(crate) fn drain_events(&mut self, events: &mut VecDeque<protocol::Event<Waiter>>) -> bool {
        !self.is_recorded() && self.peer.drain_events(events)
    }

    /// None of a peer that is written down, for the same reason as in [`poll_response`](Self::poll_response).
    pub(crate) fn lend_frame<R>(&mut self, borrow: impl FnOnce(Lane, &Frame, Compression) -> R) -> Option<R> {
        if self.is_recorded() { None } else { self.peer.lend_frame(borrow) }
    }

    /// Not written down: nothing depends on it.
    pub(crate) fn poll_engine_event(&mut self) -> Option<EngineEvent> {
        self.peer.poll_engine_event()
    }

    /// Of a peer that is written down, all outputs come in turn: that is what a replay compares.
    pub(crate) fn poll_response(&mut self, lane: Lane) -> Option<Response> {
        if self.is_recorded() { None } else { self.peer.poll_response(lane) }
    }

    pub(crate) fn accept(&mut self, slot: Slot, sid: &Sid, pid: Option<&Sid>) -> Result<(), CommandError> {
        self.note(|| Command::accept(slot, sid, pid).into());
        let result = self.peer.accept(slot, sid, pid);
        self.note_error(result)
    }

    pub(crate) fn refuse<T: Serialize>(
        &mut self,
        slot: Slot,
        message: &str,
        data: Option<&T>,
    ) -> Result<(), RefuseError> {
        self.note(|| Command::refuse(slot, message, data).into());
        let result = self.peer.refuse(slot, message, data);
        self.note_error(result)
    }

    pub(crate) fn refuse_unknown(&mut self, slot: Slot) -> Result<(), RefuseError> {
        self.note(|| Command::RefuseUnknown { slot: slot.0 }.into());
        let result = self.peer.refuse_unknown(slot);
        self.note_error(result)
    }

    /// The event leaves its place.
    pub(crate) fn send(
        &mut self,
        slot: Slot,
        encoded: &mut Encoded,
        delivery: Delivery,
    ) -> Result<(), SendError> {
        self.note(|| Command::send(slot, encoded, delivery).into());
        let result = self.peer.send_from(slot, encoded, delivery);
        self.note_error(result)
    }

    pub(crate) fn send_latest(&mut self, slot: Slot, name: &str, encoded: &Encoded) -> Result<(), SendError> {
        self.note(|| Command::send_latest(slot, name, encoded).into());
        let result = self.peer.send_latest(slot, name, encoded);
        self.note_error(result)
    }

    pub(crate) fn send_with_ack(
        &mut self,
        slot: Slot,
        encoded: &Encoded,
        id: AckId,
        waiter: Waiter,
        deadline: Option<Instant>,
    ) -> Result<(), (SendError, Waiter)> {
        self.note(|| Command::send_with_ack(slot, encoded, id, deadline).into());
        let result = self.peer.send_with_ack(slot, encoded, id, waiter, deadline);
        result.map_err(|(error, waiter)| (self.note_failure(error), waiter))
    }

    pub(crate) fn forget_ack(&mut self, slot: Slot, id: AckId) -> Option<Waiter> {
        self.note(|| Command::ForgetAck { slot: slot.0, id: id.0 }.into());
        self.peer.forget_ack(slot, id)
    }

    pub(crate) fn leave(&mut self, slot: Slot, now: Instant) {
        self.note_at(now, || Command::Leave { slot: slot.0 }.into());
        self.peer.leave(slot, now);
    }

    pub(crate) fn disconnect(&mut self, now: Instant) {
        self.note_at(now, || Command::Disconnect.into());
        self.peer.disconnect(now);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.note_at(now, || Command::Close.into());
        self.peer.close(now);
    }

    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.note_at(now, || Command::ShutDown.into());
        self.peer.shut_down(now);
    }

    pub(crate) fn wind_down(&mut self, now: Instant) {
        self.note_at(now, || Command::WindDown.into());
        self.peer.wind_down(now);
    }

    pub(crate) fn give_up(&mut self, now: Instant) {
        self.note_at(now, || Command::GiveUp.into());
        self.peer.give_up(now);
    }

    fn note_at(&mut self, now: Instant, entry: impl FnOnce() -> Entry) {
        self.tape.note_at(now, entry);
    }

    fn note(&mut self, entry: impl FnOnce() -> Entry) {
        self.tape.note(entry);
    }

    fn note_error<E: Display>(&mut self, result: Result<(), E>) -> Result<(), E> {
        result.map_err(|error| self.note_failure(error))
    }

    fn note_failure<E: Display>(&mut self, error: E) -> E {
        self.tape.note_failure(&error);
        error
    }
}

impl Deref for Recorded {
    type Target = Peer<Waiter>;

    fn deref(&self) -> &Peer<Waiter> {
        &self.peer
    }
}

/// Hands lines to the log.
pub(crate) fn log(client: u64, lines: Vec<(Instant, Entry)>) {
    for (at, entry) in lines {
        let line = Line { client, at, entry };
        tracing::trace!(target: TARGET, "{line}");
    }
}
