//! How the connection is made, lost and made again (REFERENCE 5.3).

use alloc::boxed::Box;

use super::{Attempt, Manager, Open, Output, State};
use crate::Instant;
use crate::engine::client::Session;
use crate::socket::Decoder;
use crate::socket::client::Event;
use crate::socket::client::error::{ConnectError, DisconnectReason};
use crate::socket::client::socket::{Phase, Socket, Then};

impl<W> Manager<W> {
    /// Begins to make the connection.
    pub(super) fn start(&mut self, attempt: Attempt, now: Instant) {
        let session = Session::open(self.config.engine.clone(), self.memory, self.random.next());
        self.memory = session.memory();
        let deadline = self.config.timeout.map(|timeout| now + timeout);
        self.state = State::Opening { session: Box::new(session), deadline, attempt };
    }

    pub(super) fn try_again(&mut self, now: Instant) {
        self.event(Event::ReconnectAttempt(self.backoff.attempts()));
        self.start(Attempt::Again, now);
        self.drain(now);
    }

    /// The session is open: sockets connect, then the application hears that it was not the first time.
    pub(super) fn opened(&mut self) {
        let State::Opening { session, attempt, .. } = core::mem::replace(&mut self.state, State::Stopped)
        else {
            return;
        };
        let decoder = Decoder::new(self.config.codec, self.config.limits.clone());
        self.state = State::Open(Box::new(Open { session: *session, decoder, attachment_deadline: None }));
        self.event(Event::Open);
        for index in 0..self.sockets.len() {
            if self.sockets[index].is_active() {
                self.authorize(index);
            }
        }
        let attempts = self.backoff.attempts();
        self.backoff.reset();
        if attempt == Attempt::Again {
            self.event(Event::Reconnect(attempts));
        }
    }

    /// The connection could not be made.
    pub(super) fn fail(&mut self, error: ConnectError, now: Instant) {
        let attempt = match &self.state {
            State::Opening { attempt, .. } => *attempt,
            State::Stopped | State::Open(_) | State::Waiting { .. } => return,
        };
        self.close_session(now);
        self.announce_error(&error);
        self.wait(now);
        if attempt == Attempt::Again {
            self.event(Event::ReconnectError(error));
        }
    }

    pub(super) fn announce_error(&mut self, error: &ConnectError) {
        self.event(Event::Error(error.clone()));
        for socket in self.sockets.iter().filter(|socket| socket.is_active() && !socket.is_connected()) {
            let event = Event::ConnectError { slot: socket.slot, error: error.clone() };
            self.outputs.push_back(Output::Event(event));
        }
    }

    /// The connection is over.
    pub(super) fn lose(&mut self, reason: DisconnectReason, now: Instant) {
        self.close_all(&reason, now);
        self.wait(now);
    }

    /// Closes for good.
    pub(super) fn stop(&mut self, now: Instant) {
        if !matches!(self.state, State::Stopped) {
            self.close_all(&DisconnectReason::ForcedClose, now);
        }
    }

    /// Closes for good if no socket has use of the connection.
    pub(super) fn stop_if_idle(&mut self, now: Instant) {
        if !self.sockets.iter().any(Socket::is_active) {
            self.stop(now);
        }
    }

    pub(super) fn close_all(&mut self, reason: &DisconnectReason, now: Instant) {
        self.close_session(now);
        self.backoff.reset();
        self.event(Event::Close(reason.clone()));
        for index in 0..self.sockets.len() {
            match self.sockets[index].phase {
                Phase::Inactive => {}
                // Who left does not care.
                Phase::Abandoned(Then::Rest) => self.sockets[index].reset(Phase::Inactive),
                _ => {
                    self.sockets[index].phase = Phase::Pending;
                    self.disconnected(index, reason.clone());
                }
            }
        }
    }

    /// Lets the session of the moment come to its end by itself.
    pub(super) fn close_session(&mut self, now: Instant) {
        let mut session = match core::mem::replace(&mut self.state, State::Stopped) {
            State::Opening { session, .. } => *session,
            State::Open(open) => open.session,
            State::Stopped | State::Waiting { .. } => return,
        };
        self.memory = session.memory();
        session.close(now);
        self.leaving.push_back(session);
        if self.leaving.len() > MAX_LEAVING
            && let Some(oldest) = self.leaving.front_mut()
        {
            oldest.abort();
        }
        self.pull_leaving();
    }

    /// Waits for the next attempt, if there is to be one.
    pub(super) fn wait(&mut self, now: Instant) {
        let Some(reconnection) = &self.config.reconnection else { return };
        let is_used_up = |max: u32| max > 0 && self.backoff.attempts() >= max;
        if reconnection.max_attempts.is_some_and(is_used_up) {
            self.backoff.reset();
            return self.event(Event::ReconnectFailed);
        }
        let until = now + self.backoff.next(reconnection, &mut self.random);
        self.state = State::Waiting { until };
    }
}

/// Sessions that may be on their way out: more than one only when the application connects and disconnects faster than
/// the network can follow.
const MAX_LEAVING: usize = 4;
