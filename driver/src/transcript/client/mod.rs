//! Transcripts of clients of ours: what a [`Manager`] was told and said, from the making of the client to its end.
//!
//! ```text
//! {"connection":1,"at":31,"do":{"connect":{"slot":0}}}
//! {"connection":1,"at":31,"out":{"get":[4294967296,"/socket.io/?EIO=4&transport=polling&t=oqx0eazk"]}}
//! ```

mod line;
mod remote;
mod replay;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use socketio_core::engine::buffer::Compression;
use socketio_core::engine::client::Input;
use socketio_core::socket::client::{
    AuthError, Config, Delivery, EmitError, Manager, Output, Reconnection, Reply, ReplyError, SocketConfig,
    Ticket,
};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Codec, Encoded, Event, Nsp};
use socketio_core::{AckId, Instant};

pub use line::{Command, Entry, Line, Made, Out, OutEvent};
pub use remote::{Again, Settings};
pub use replay::Replay;

use super::line::Packet;
use super::tape::Tape;
use crate::ack::Waiter;

/// A manager, and what is written down of it: see [`super::Recorded`].
#[derive(Debug)]
pub(crate) struct Recorded {
    manager: Manager<Waiter>,
    codec: Codec,
    tape: Tape<Entry>,
}

impl Recorded {
    pub(crate) fn new(config: Arc<Config>, seed: u64, now: Instant) -> Self {
        let tape = Tape::begin(|| Entry::Made(Made::new(&config, seed).into()), now);
        Self { codec: config.codec, manager: Manager::new(config, seed), tape }
    }

    /// Whether it is written down.
    pub(crate) const fn is_recorded(&self) -> bool {
        self.tape.is_recording()
    }

    /// What was written down since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<(Instant, Entry)> {
        self.tape.take()
    }

    pub(crate) fn socket(&mut self, nsp: &Nsp, config: SocketConfig) -> Slot {
        self.tape.note(|| Command::socket(nsp, config).into());
        self.manager.socket(nsp, config)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> bool {
        self.tape.note(|| Command::Remove { slot: slot.0 }.into());
        self.manager.remove(slot)
    }

    pub(crate) fn open(&mut self, now: Instant) {
        self.tape.note_at(now, || Command::Open.into());
        self.manager.open(now);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.tape.note_at(now, || Command::Close.into());
        self.manager.close(now);
    }

    pub(crate) fn close_engine(&mut self, now: Instant) {
        self.tape.note_at(now, || Command::CloseEngine.into());
        self.manager.close_engine(now);
    }

    pub(crate) fn abandon(&mut self) {
        self.tape.note(|| Command::Abandon.into());
        self.manager.abandon();
    }

    pub(crate) fn connect(&mut self, slot: Slot, now: Instant) {
        self.tape.note_at(now, || Command::Connect { slot: slot.0 }.into());
        self.manager.connect(slot, now);
    }

    pub(crate) fn disconnect(&mut self, slot: Slot, now: Instant) {
        self.tape.note_at(now, || Command::Disconnect { slot: slot.0 }.into());
        self.manager.disconnect(slot, now);
    }

    pub(crate) fn discard(&mut self, slot: Slot) -> usize {
        self.tape.note(|| Command::Discard { slot: slot.0 }.into());
        self.manager.discard(slot)
    }

    pub(crate) fn set_reconnection(&mut self, reconnection: Option<Reconnection>) {
        self.tape.note(|| Command::set_reconnection(reconnection).into());
        self.manager.set_reconnection(reconnection);
    }

    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.tape.note(|| Command::SetTimeout(timeout).into());
        self.manager.set_timeout(timeout);
    }

    pub(crate) fn set_query(&mut self, query: Vec<(String, String)>) {
        self.tape.note(|| Command::SetQuery(query.clone()).into());
        self.manager.set_query(query);
    }

    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        self.tape.note_at(now, || Entry::In(input.clone()));
        self.manager.handle(input, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.tape.note_at(now, || Entry::Due {});
        self.manager.handle_timeout(now);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output<Waiter>> {
        let output = self.manager.poll_output();
        if let Some(output) = &output {
            self.tape.note(|| Entry::Out(Out::of(output)));
        }
        output
    }

    pub(crate) fn authenticate(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        auth: Option<&Value>,
    ) -> Result<(), AuthError> {
        let (slot_number, number) = (slot.0, ticket.number());
        self.tape
            .note(|| Command::Authenticate { slot: slot_number, ticket: number, auth: auth.cloned() }.into());
        let result = self.manager.authenticate(slot, ticket, auth);
        result.inspect_err(|error| self.tape.note_failure(error))
    }

    pub(crate) fn fail_authentication(
        &mut self,
        slot: Slot,
        ticket: Ticket,
        reason: String,
        now: Instant,
    ) -> Result<(), AuthError> {
        self.tape.note_at(now, || {
            let (slot, ticket, reason) = (slot.0, ticket.number(), reason.clone());
            Command::FailAuthentication { slot, ticket, reason }.into()
        });
        let result = self.manager.fail_authentication(slot, ticket, reason, now);
        result.inspect_err(|error| self.tape.note_failure(error))
    }

    pub(crate) fn send(
        &mut self,
        slot: Slot,
        encoded: &Encoded,
        delivery: Delivery,
        now: Instant,
    ) -> Result<(), EmitError> {
        self.tape.note_at(now, || Command::send(slot, encoded, delivery).into());
        let result = self.manager.send(slot, encoded, delivery, now);
        result.inspect_err(|error| self.tape.note_failure(error))
    }

    pub(crate) fn send_with_ack(
        &mut self,
        slot: Slot,
        (event, compression): (&Event, Compression),
        delivery: Delivery,
        waiter: Waiter,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Option<AckId>, (EmitError, Waiter)> {
        let codec = self.codec;
        self.tape.note_at(now, || {
            // The namespace is not that of the event again.
            match codec.event_raw(&Nsp::ROOT, None, event.name(), event.args()) {
                Ok(encoded) => {
                    let encoded = encoded.with_compression(compression);
                    Command::send_with_ack(slot, &encoded, delivery, timeout).into()
                }
                Err(_) => Entry::BrokenOff {},
            }
        });
        let result = self.manager.send_with_ack(slot, (event, compression), delivery, waiter, timeout, now);
        result.inspect_err(|(error, _)| self.tape.note_failure(error))
    }

    pub(crate) fn forget_ack(&mut self, slot: Slot, id: AckId) -> Option<Waiter> {
        self.tape.note(|| Command::ForgetAck { slot: slot.0, id: id.0 }.into());
        self.manager.forget_ack(slot, id)
    }

    pub(crate) fn send_reply(&mut self, reply: Reply, encoded: &Encoded) -> Result<(), ReplyError> {
        self.tape.note(|| {
            let (slot, id, epoch) = (reply.slot().0, reply.id().0, reply.epoch());
            Command::SendReply { slot, id, epoch, packet: Packet::of(encoded) }.into()
        });
        let result = self.manager.send_reply(reply, encoded);
        result.inspect_err(|error| self.tape.note_failure(error))
    }
}

impl Deref for Recorded {
    type Target = Manager<Waiter>;

    fn deref(&self) -> &Manager<Waiter> {
        &self.manager
    }
}

/// Hands lines to the log.
pub(crate) fn log(connection: u64, lines: Vec<(Instant, Entry)>) {
    for (at, entry) in lines {
        let line = Line { connection, at, entry };
        tracing::trace!(target: super::TARGET, "{line}");
    }
}

#[cfg(test)]
mod tests;
