//! Events: each begins its handlers, in the order of arrival.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;

use socketio_core::peer::Event;
use socketio_core::socket::server::{self as protocol, Slot};
use socketio_core::socket::{self as packet, DisconnectReason};

use super::Pump;
use super::admission::log_refusal;
use super::tasks::Tasks;
use crate::ack::{Waiter, Wanted};
use crate::dispatch::{self, Done, SocketError, Table, Task};
use crate::server::socket::{Edition, Socket};

impl Pump {
    pub(super) fn dispatch(&mut self, event: Event<Waiter>, cx: &mut Context<'_>) {
        match event {
            Event::Socket(protocol::Event::Acked { waiter, args }) => waiter.resolve(Ok(args)),
            Event::Socket(protocol::Event::AckFailed { waiter, error }) => waiter.resolve(Err(error)),
            Event::Socket(event) => self.begin_or_queue(event, cx),
            Event::Upgraded(transport) => {
                tracing::debug!(sid = %self.cell.sid(), transport = transport.name(), "upgraded");
            }
            Event::Drained => self.cell.wake_senders(),
            Event::Closed(reason) => {
                tracing::debug!(sid = %self.cell.sid(), %reason, "session closed");
                self.flush_backlog(cx);
                self.cell.hub.remove(&self.cell);
                self.write_transcript();
                self.cell.retire();
                self.cell.hub.retire_if_over();
                self.guest = None; // nobody writes to it any more
                self.closed = true;
            }
        }
    }

    /// Begins what events ask for, one after the other, or lets them wait. Those that have handlers are looked at where they are.
    pub(super) fn begin_all(&mut self, events: &mut VecDeque<protocol::Event<Waiter>>, cx: &mut Context<'_>) {
        while let Some(event) = events.front() {
            if let protocol::Event::Emit { slot, event } = event
                && self.has_room()
            {
                self.receive(*slot, event, cx);
                events.pop_front();
            } else if let Some(event) = events.pop_front() {
                self.dispatch(Event::Socket(event), cx);
            }
        }
    }

    /// Whether an event need not wait.
    fn has_room(&self) -> bool {
        self.backlog.is_empty() && self.tasks.len() < MAX_RUNNING_HANDLERS
    }

    /// Begins what an event asks for, unless too much was begun and has not ended. What a client did waits its turn;
    /// the end of a socket or of everything, which it did not ask for, waits for nothing.
    fn begin_or_queue(&mut self, event: protocol::Event<Waiter>, cx: &mut Context<'_>) {
        let is_end = match &event {
            protocol::Event::Left { reason, .. } => *reason != DisconnectReason::ClientNamespaceDisconnect,
            protocol::Event::Violation(_) => true,
            _ => false,
        };
        if is_end {
            self.flush_backlog(cx);
        } else if !self.has_room() {
            self.backlog.push(event);
            if self.backlog.is_full() {
                self.cell.set_congested(true);
            }
            return;
        }
        self.begin(event, cx);
    }

    /// Begins what has waited, as far as there is room.
    pub(super) fn catch_up(&mut self, cx: &mut Context<'_>) -> bool {
        let was_full = self.backlog.is_full();
        let mut moved = false;
        while self.tasks.len() < MAX_RUNNING_HANDLERS
            && let Some(event) = self.backlog.pop()
        {
            self.begin(event, cx);
            moved = true;
        }
        if was_full && !self.backlog.is_full() {
            self.cell.set_congested(false);
        }
        moved
    }

    /// Begins all that has waited: what comes behind it waits for nothing.
    fn flush_backlog(&mut self, cx: &mut Context<'_>) {
        while let Some(event) = self.backlog.pop() {
            self.begin(event, cx);
        }
        self.cell.set_congested(false);
    }

    fn begin(&mut self, event: protocol::Event<Waiter>, cx: &mut Context<'_>) {
        match event {
            protocol::Event::Emit { slot, event } => self.receive(slot, &event, cx),
            protocol::Event::ConnectRequest { slot, nsp, auth } => self.connect(slot, &nsp, auth, cx),
            protocol::Event::Left { slot, reason } => self.left(slot, reason, cx),
            protocol::Event::Violation(error) => {
                tracing::debug!(sid = %self.cell.sid(), %error, "closed: the client broke the protocol");
                self.violation = Some(error.clone());
                let error = Arc::new(SocketError::from(error));
                let sockets: Vec<_> = self.sockets.iter().map(|(_, socket, _)| socket.clone()).collect();
                for socket in sockets.iter().filter(|socket| socket.is_connected()) {
                    self.report(socket, &error, cx);
                }
            }
            protocol::Event::Acked { waiter, args } => waiter.resolve(Ok(args)),
            protocol::Event::AckFailed { waiter, error } => waiter.resolve(Err(error)),
        }
    }

    /// Catch-all handlers, then middlewares, then the handlers of that name (REFERENCE 3.7).
    fn receive(&mut self, slot: Slot, event: &packet::Event, cx: &mut Context<'_>) {
        let Some((_, socket, _)) = self.sockets.iter().find(|(known, ..)| *known == slot) else { return };
        // What a client sent before it knew that it was sent away is not heard (REFERENCE 3.4).
        if socket.is_leaving() {
            return;
        }
        // Most events are of the same socket as the one before, and its handlers are the same.
        if self.tables.as_ref().is_some_and(|tables| !tables.are_of(socket)) {
            self.tables = None;
        }
        let tables = self.tables.get_or_insert_with(|| Tables::of(socket));
        for table in tables.iter() {
            table.any_tasks(socket, event).for_each(|task| self.tasks.start_handler(task, cx));
        }
        if tables.iter().any(|table| table.has_event_middlewares()) {
            let screening = dispatch::screen(tables.clone().into_inner(), socket.clone(), event.clone());
            self.run(screening, cx);
        } else {
            deliver(&mut self.tasks, socket, tables, event, cx);
        }
    }

    fn report(&mut self, socket: &Socket, error: &Arc<SocketError>, cx: &mut Context<'_>) {
        for table in Tables::of(socket).iter() {
            table.error_tasks(socket, error).for_each(|task| self.run(task, cx));
        }
    }

    pub(super) fn finish(&mut self, done: Done, cx: &mut Context<'_>) {
        match done {
            Done::Handler => {}
            Done::Admission(socket, Ok(())) => self.admit(&socket, cx),
            Done::Admission(socket, Err(error)) => {
                self.forget(&socket);
                socket.clear_handlers();
                self.refuse(socket.slot(), &error);
            }
            Done::Screening(socket, event, Ok(())) => {
                // As in the reference, an event that was on its way when the socket left is dropped.
                if socket.is_connected() {
                    deliver(&mut self.tasks, &socket, &Tables::of(&socket), &event, cx);
                }
            }
            Done::Screening(socket, _, Err(error)) => {
                self.report(&socket, &Arc::new(SocketError::Refused(error)), cx);
            }
            Done::Lookup(slot, nsp, auth, Some(entered)) => self.join(slot, &nsp, auth, entered, cx),
            Done::Lookup(slot, ..) => log_refusal(self.cell.pump(|peer| peer.refuse_unknown(slot))),
        }
    }

    /// Starts a task, and carries on if it has ended.
    pub(super) fn run(&mut self, task: Task, cx: &mut Context<'_>) {
        if let Some(done) = self.tasks.start(task, cx) {
            self.finish(done, cx);
        }
    }
}

/// Starts the handlers of an event. They come to nothing but their end.
fn deliver(tasks: &mut Tasks, socket: &Socket, tables: &Tables, event: &packet::Event, cx: &mut Context<'_>) {
    let ask = event.ack.map(|id| Wanted::new(id, tables.iter().map(|table| table.count(event.name())).sum()));
    for table in tables.iter() {
        table.event_tasks(socket, event, &ask).for_each(|task| tasks.start_handler(task, cx));
    }
    // `tables` keeps what is taken away here until the locks are released.
    if tables.iter().any(|table| table.has_spent(event)) {
        socket.namespace().edit(Table::off_spent);
        socket.edit(Table::off_spent);
    }
}

/// The handlers of a socket, in the order in which they run: its namespace's, then its own.
#[derive(Clone)]
pub(super) struct Tables {
    tables: [Option<Arc<Table>>; 2],
    slot: Slot,
    edition: Edition,
}

impl Tables {
    pub(super) fn of(socket: &Socket) -> Self {
        // Asked first: what is edited after that is edited again.
        let edition = socket.edition();
        Self { tables: [Some(socket.namespace().table()), socket.table()], slot: socket.slot(), edition }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().flatten()
    }

    /// Whether they are this socket's, as they are now.
    fn are_of(&self, socket: &Socket) -> bool {
        self.slot == socket.slot() && self.edition == socket.edition()
    }

    fn into_inner(self) -> [Option<Arc<Table>>; 2] {
        self.tables
    }
}

/// Handlers of one client that wait for something at the same time, past which its events wait in the backlog. Enough
/// for any client that is not broken; each is some hundred bytes.
const MAX_RUNNING_HANDLERS: usize = 1024;
