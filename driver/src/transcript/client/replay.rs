//! From a client's transcript back to its manager.

use std::sync::Arc;

use socketio_core::socket::client::{Delivery, Event, Manager, Output, Reply, Ticket};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Codec, Nsp};
use socketio_core::{AckId, Instant};

use super::line::{Command, Entry, Line, Made, Out};
use super::remote::Again;
use crate::transcript::replay::{Mismatch, compare_outputs, compare_results};

/// A client of a transcript, lived again: feed it the lines of one connection, in order.
#[derive(Debug, Default)]
pub struct Replay {
    state: Option<State>,
    /// Why the last command failed.
    failed: Option<String>,
}

#[derive(Debug)]
struct State {
    manager: Manager<()>,
    codec: Codec,
    /// What credentials may be given for.
    tickets: Vec<Ticket>,
    /// What may be answered.
    replies: Vec<Reply>,
}

impl Replay {
    /// Lives through one more line.
    ///
    /// # Errors
    /// [`Mismatch`], after which there is no sense in going on.
    pub fn step(&mut self, line: &Line) -> Result<(), Mismatch<Out>> {
        let expected = match &line.entry {
            Entry::Failed(reason) => Some(reason),
            _ => None,
        };
        compare_results(expected, self.failed.take())?;
        let state = match (&line.entry, &mut self.state) {
            (Entry::Made(made), None) => {
                self.state = Some(State::new(made));
                return Ok(());
            }
            (Entry::Made(_), Some(_)) | (_, None) => return Err(Mismatch::OutOfPlace),
            (_, Some(state)) => state,
        };
        match &line.entry {
            Entry::Made(_) | Entry::Failed(_) => {}
            Entry::In(input) => state.manager.handle(input.clone(), line.at),
            Entry::Due {} => state.manager.handle_timeout(line.at),
            Entry::Do(command) => self.failed = state.run(command, line.at)?,
            Entry::Out(expected) => compare_outputs(expected, state.poll())?,
            Entry::BrokenOff {} => return Err(Mismatch::BrokenOff),
        }
        Ok(())
    }

    /// Whether it has come to its end: it does nothing until somebody connects.
    pub fn is_at_rest(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.manager.is_at_rest())
    }

    /// What it would say next and no line has asked for.
    pub fn rest(mut self) -> Vec<Out> {
        let mut rest = Vec::new();
        while let Some(out) = self.state.as_mut().and_then(State::poll) {
            rest.push(out);
        }
        rest
    }
}

impl State {
    fn new(made: &Made) -> Self {
        let config = made.config.config();
        let codec = config.codec;
        let manager = Manager::new(Arc::new(config), made.seed);
        Self { manager, codec, tickets: Vec::new(), replies: Vec::new() }
    }

    fn poll(&mut self) -> Option<Out> {
        let output = self.manager.poll_output()?;
        let out = Out::of(&output);
        match output {
            Output::Event(Event::AuthNeeded { ticket, .. }) => self.tickets.push(ticket),
            Output::Event(Event::Emit { reply, .. }) => self.replies.extend(reply),
            _ => {}
        }
        Some(out)
    }

    /// Why it fails, if it does.
    fn run(&mut self, command: &Command, now: Instant) -> Result<Option<String>, Mismatch<Out>> {
        let Self { manager, codec, tickets, replies } = self;
        let ticket = |number: u64| {
            let found = tickets.iter().find(|ticket| ticket.number() == number);
            found.copied().ok_or(Mismatch::Unknown("the connection that the credentials are for"))
        };
        let mut failed = None;
        match command {
            Command::Socket { nsp, config } => {
                let nsp = Nsp::new(nsp).map_err(|_| Mismatch::Unknown("the namespace"))?;
                manager.socket(&nsp, *config);
            }
            Command::Remove { slot } => drop(manager.remove(Slot(*slot))),
            Command::Open => manager.open(now),
            Command::Close => manager.close(now),
            Command::CloseEngine => manager.close_engine(now),
            Command::Abandon => manager.abandon(),
            Command::Connect { slot } => manager.connect(Slot(*slot), now),
            Command::Disconnect { slot } => manager.disconnect(Slot(*slot), now),
            Command::Discard { slot } => drop(manager.discard(Slot(*slot))),
            Command::SetReconnection(again) => manager.set_reconnection(again.map(|Again(again)| again)),
            Command::SetTimeout(timeout) => manager.set_timeout(*timeout),
            Command::SetQuery(query) => manager.set_query(query.clone()),
            Command::Authenticate { slot, ticket: number, auth } => {
                let given = manager.authenticate(Slot(*slot), ticket(*number)?, auth.as_ref());
                failed = given.err().map(|error| error.to_string());
            }
            Command::FailAuthentication { slot, ticket: number, reason } => {
                let told = manager.fail_authentication(Slot(*slot), ticket(*number)?, reason.clone(), now);
                failed = told.err().map(|error| error.to_string());
            }
            Command::Send { slot, packet, volatile } => {
                let sent = manager.send(Slot(*slot), &packet.encoded(), delivery(*volatile), now);
                failed = sent.err().map(|error| error.to_string());
            }
            Command::SendWithAck { slot, packet, volatile, timeout } => {
                let encoded = packet.encoded();
                let event = encoded.to_event(*codec).ok_or(Mismatch::Unknown("the event"))?;
                let event = (&event, encoded.compression());
                let sent = manager.send_with_ack(Slot(*slot), event, delivery(*volatile), (), *timeout, now);
                failed = sent.err().map(|(error, ())| error.to_string());
            }
            Command::ForgetAck { slot, id } => drop(manager.forget_ack(Slot(*slot), AckId(*id))),
            Command::SendReply { slot, id, epoch, packet } => {
                let is_it =
                    |reply: &Reply| (reply.slot().0, reply.id().0, reply.epoch()) == (*slot, *id, *epoch);
                let index =
                    replies.iter().position(is_it).ok_or(Mismatch::Unknown("the event that is answered"))?;
                let sent = manager.send_reply(replies.remove(index), &packet.encoded());
                failed = sent.err().map(|error| error.to_string());
            }
        }
        Ok(failed)
    }
}

const fn delivery(volatile: bool) -> Delivery {
    if volatile { Delivery::Volatile } else { Delivery::Reliable }
}
