//! Sockets that come and go: who they are, who lets them in, and what is left of them.

use std::task::Context;

use serde::Deserialize;
use serde_json::Value;
use socketio_core::Sid;
use socketio_core::engine::Revision;
use socketio_core::engine::close::CloseReason;
use socketio_core::peer::{Delivery, SendError};
use socketio_core::socket::server::{RefuseError, Slot};
use socketio_core::socket::{DisconnectReason, Nsp, Payload, recovery};

use super::Pump;
use super::events::Tables;
use crate::dispatch;
use crate::server::conn::{Description, Disconnect};
use crate::server::handshake::Handshake;
use crate::server::hub::Entered;
use crate::server::namespace::{ConnectError, Namespace};
use crate::server::parent;
use crate::server::socket::{Identity, Socket};

impl Pump {
    pub(super) fn connect(&mut self, slot: Slot, nsp: &Nsp, auth: Option<Payload>, cx: &mut Context<'_>) {
        let auth = auth.map_or(Payload::EMPTY_OBJECT, |auth| auth.detached());
        let hub = &self.cell.hub;
        match hub.enter(nsp) {
            Some(entered) if entered.namespace().is_ready() => self.join(slot, nsp, auth, entered, cx),
            Some(entered) => {
                let wait = parent::wait(entered, slot, nsp.clone(), auth);
                self.run(wait, cx);
            }
            None if hub.parents().is_empty() => log_refusal(self.cell.pump(|peer| peer.refuse_unknown(slot))),
            None => {
                let lookup = parent::look_up(hub.clone(), slot, nsp.clone(), auth);
                self.run(lookup, cx);
            }
        }
    }

    pub(super) fn join(
        &mut self,
        slot: Slot,
        nsp: &Nsp,
        auth: Payload,
        entered: Entered,
        cx: &mut Context<'_>,
    ) {
        if self.cell.peek(|peer| peer.is_live(slot)) != Some(true) {
            // It gave up while its namespace was looked for.
            return;
        }
        let namespace = entered.namespace().clone();
        let handshake = Handshake { request: self.request.clone(), auth };
        let key = self.cell.hub.next_key();
        let table = namespace.table();
        let (identity, past) = self.identify(nsp, &handshake.auth, &namespace);
        let skip =
            identity.recovered && namespace.recovery().is_some_and(|log| log.config().skip_middlewares);
        let socket = Socket::new(self.cell.clone(), slot, key, identity, namespace, handshake);
        if let Some(past) = past {
            socket.restore(past);
        }
        if self.sockets.is_empty() {
            self.sockets.reserve_exact(1); // most clients stay with one
        }
        self.sockets.push((slot, socket.clone(), entered));
        if table.has_connect_middlewares() && !skip {
            self.run(dispatch::admit(table, socket), cx);
        } else {
            self.admit(&socket, cx);
        }
    }

    /// Who the client is: somebody new, or somebody who was here and says so (REFERENCE 4.8).
    fn identify(
        &self,
        nsp: &Nsp,
        auth: &Payload,
        namespace: &Namespace,
    ) -> (Identity, Option<recovery::Session<Value>>) {
        let recoverable = self.cell.peek(|peer| peer.revision()) == Some(Revision::V4);
        let Some(mut log) = namespace.recovery().filter(|_| recoverable) else {
            return (Identity { id: self.socket_id(nsp), pid: None, since: None, recovered: false }, None);
        };
        let claim = auth.decode::<Claim>().ok();
        let past =
            claim.and_then(|claim| log.restore(&claim.pid, claim.offset.as_deref(), self.cell.hub.now()));
        let (id, pid, since) = match &past {
            Some((past, position)) => (past.sid.clone(), past.pid.clone(), *position),
            None => (self.cell.hub.generate_id(), self.cell.hub.generate_id(), log.position()),
        };
        let recovered = past.is_some();
        (Identity { id, pid: Some(pid), since: Some(since), recovered }, past.map(|(past, _)| past))
    }

    fn socket_id(&self, nsp: &Nsp) -> Sid {
        let hub = &self.cell.hub;
        let id = self.cell.peek(|peer| peer.socket_id(nsp, || hub.generate_id()));
        id.unwrap_or_else(|| hub.generate_id())
    }

    /// In the order of REFERENCE 4.5: known in the namespace, in its own room, told so, then the handlers.
    pub(super) fn admit(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        let is_seated = self.seat(socket);
        socket.namespace().tell_of_rooms();
        if !is_seated {
            // Gone meanwhile, or beyond help. Nobody will see it again.
            self.forget(socket);
            return socket.clear_handlers();
        }
        socket.set_connected(true);
        tracing::debug!(
            socket = %socket.id(),
            namespace = socket.namespace().name(),
            recovered = socket.is_recovered(),
            "socket connected"
        );
        let shared = socket.namespace().table();
        for task in shared.connection_tasks(socket) {
            self.run(task, cx);
        }
    }

    /// Makes the socket known and says so to the client. One that was away hears first what it missed; nobody may send
    /// anything in between, so who listens to rooms is told afterwards.
    fn seat(&self, socket: &Socket) -> bool {
        let identity = socket.identity();
        let log = socket.namespace().recovery();
        let mut missed = Vec::new();
        if let (Some(log), Some(since), true) = (&log, identity.since, identity.recovered) {
            match log.missed(since, &socket.past_rooms()) {
                Some(events) => missed = events,
                // Overrun while a middleware took its time. The client may start anew, but not with a gap.
                None => {
                    self.cell.pump(|peer| peer.give_up(self.cell.hub.now()));
                    return false;
                }
            }
        }
        socket.namespace().insert(socket);
        let accepted = self.cell.pump(|peer| {
            let missed = missed
                .into_iter()
                .try_for_each(|mut event| peer.send(socket.slot(), &mut event, Delivery::Reliable));
            if missed == Err(SendError::Full) {
                // More than can be sent at once. Half of it would be a gap.
                peer.give_up(self.cell.hub.now());
            }
            missed.is_ok() && peer.accept(socket.slot(), socket.id(), identity.pid.as_ref()).is_ok()
        });
        let rooms = socket.past_rooms().into_iter().chain(socket.take_seat());
        for room in rooms {
            socket.namespace().put(socket, &room);
        }
        accepted == Some(true)
    }

    pub(super) fn refuse(&self, slot: Slot, error: &ConnectError) {
        tracing::debug!(reason = error.message, "refused by a middleware");
        log_refusal(self.cell.pump(|peer| peer.refuse(slot, &error.message, error.data.as_ref())));
    }

    /// In the order of REFERENCE 4.5: `disconnecting` with its rooms, out of the namespace, `disconnect`.
    pub(super) fn left(&mut self, slot: Slot, reason: DisconnectReason, cx: &mut Context<'_>) {
        let Some(socket) = self.socket(slot).cloned() else { return };
        let was_connected = socket.was_connected();
        let tables = Tables::of(&socket);
        if was_connected {
            let namespace = socket.namespace().name();
            let disconnection = Disconnect { reason, description: self.describe(reason) };
            tracing::debug!(socket = %socket.id(), namespace, reason = %disconnection, "socket left");
            socket.set_disconnection(disconnection);
            for table in tables.iter() {
                table.disconnecting_tasks(&socket, reason).for_each(|task| self.run(task, cx));
            }
        }
        if was_connected && reason.is_recoverable() {
            self.remember(&socket);
        }
        self.forget(&socket);
        socket.set_connected(false);
        self.cell.wake_senders();
        if was_connected {
            for table in tables.iter() {
                table.disconnect_tasks(&socket, reason).for_each(|task| self.run(task, cx));
            }
        }
        socket.clear_handlers();
    }

    /// What is known beyond the reason.
    fn describe(&self, reason: DisconnectReason) -> Option<Description> {
        match reason {
            DisconnectReason::TransportError => match self.cell.peek(|peer| peer.close_reason()).flatten() {
                Some(CloseReason::TransportError(fault)) => Some(fault.into()),
                _ => None,
            },
            DisconnectReason::ForcedClose | DisconnectReason::ForcedServerClose => {
                self.violation.clone().map(Description::from)
            }
            _ => None,
        }
    }

    /// Keeps what a client is, for the case that it comes back.
    fn remember(&self, socket: &Socket) {
        let identity = socket.identity();
        let log = socket.namespace().recovery();
        if let (Some(mut log), Some(pid), Some(since)) = (log, &identity.pid, identity.since) {
            let (sid, pid) = (identity.id.clone(), pid.clone());
            let session =
                recovery::Session { sid, pid, rooms: socket.rooms(), data: socket.raw_data(), since };
            log.persist(session, self.cell.hub.now());
            drop(log);
            socket.namespace().watch_recovery(&self.cell.hub.runtime);
        }
    }

    pub(super) fn forget(&mut self, socket: &Socket) {
        let known = self.sockets.iter().position(|(slot, ..)| *slot == socket.slot());
        let known = known.map(|at| self.sockets.remove(at));
        socket.namespace().remove(socket);
        // Last: it may be what kept the namespace.
        drop(known);
    }
}

/// What a client says of itself that was here before. Anything else than text makes it somebody new.
#[derive(Deserialize)]
struct Claim {
    pid: String,
    #[serde(default, deserialize_with = "text")]
    offset: Option<String>,
}

/// Unlike an `Option`, refuses `null`.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

pub(super) fn log_refusal(refused: Option<Result<(), RefuseError>>) {
    if let Some(Err(error)) = refused {
        tracing::debug!(%error, "refusal not sent");
    }
}
