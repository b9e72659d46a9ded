//! The one event loop: everything that happens to a client happens here, in order.
//!
//! A pump is one task for the life of a session, and of the handlers that outlast it. It reads the session's
//! websockets, feeds the core, starts handlers in arrival order, and writes everything they caused in as few writes
//! as there are read batches. HTTP requests live in tasks of their own and meet the pump in the [`Cell`].
//!
//! ```text
//!   read ──► core ──► events ──► handlers ─┐
//!    ▲        │ ▲                          │ emit
//!    │        │ └──────────────────────────┘
//!    └─ sleep ◄── write ◄── frames
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use socketio_core::engine::close::CloseReason;
use socketio_core::engine::server::Input;
use socketio_core::engine::{Revision, Transport};
use socketio_core::peer::{Delivery, Event, Output, SendError};
use socketio_core::socket::recovery;
use socketio_core::socket::server::{self as protocol, ProtocolError, RefuseError, Slot};
use socketio_core::socket::{self as packet, DisconnectReason, Nsp, Payload};
use socketio_core::{Instant, Sid};

use crate::ack::Waiter;
use crate::backlog::Backlog;
use crate::cell::{Answer, Cell};
use crate::conn::{Description, Disconnect};
use crate::dispatch::{self, Done, SocketError, Table, Task};
use crate::handshake::{Handshake, RequestInfo};
use crate::namespace::{ConnectError, Namespace};
use crate::parent;
use crate::runtime::Timer;
use crate::shutdown::Present;
use crate::socket::{Identity, Socket};
use crate::transcript::{self, Recorded};
use crate::ws::{End, Ws};

/// The task of one client.
pub(crate) struct Pump {
    cell: Arc<Cell>,
    request: Arc<RequestInfo>,
    sockets: Vec<(Slot, Socket)>,
    websockets: Vec<Ws>,
    tasks: FuturesUnordered<Task>,
    /// What waits for running handlers to end.
    backlog: Backlog<protocol::Event<Waiter>>,
    timer: Pin<Box<dyn Timer>>,
    /// What the timer is set to.
    armed: Instant,
    closed: bool,
    /// How the client broke the protocol, if that is why it goes.
    violation: Option<ProtocolError>,
    /// Counts this client as one that is here.
    _present: Present,
    /// Around all that is done for this client, its handlers included: what they log can be told apart. The number says
    /// nothing to anybody else, unlike the session id.
    span: tracing::Span,
    /// That number, if a transcript is kept of this client.
    recorded: Option<u64>,
}

impl Pump {
    pub(crate) fn new(cell: Arc<Cell>, request: Arc<RequestInfo>, present: Present) -> Self {
        let now = cell.hub.now();
        let timer = cell.hub.runtime.timer(now);
        let number = cell.hub.next_key();
        let span = tracing::debug_span!("client", number);
        let recorded = cell.peek(|peer| peer.is_recorded()).unwrap_or_default().then_some(number);
        let transport = cell.peek(|peer| peer.transport()).flatten().map_or("none", Transport::name);
        tracing::debug!(parent: &span, sid = %cell.sid(), transport, "session opened");
        Self {
            cell,
            request,
            sockets: Vec::new(),
            websockets: Vec::new(),
            tasks: FuturesUnordered::new(),
            backlog: Backlog::default(),
            timer,
            armed: now,
            closed: false,
            violation: None,
            _present: present,
            span,
            recorded,
        }
    }

    /// A client whose session began on this websocket.
    pub(crate) fn with_websocket(mut self, ws: Ws) -> Self {
        self.websockets.push(ws);
        self
    }

    /// One round of the loop. Returns whether anything moved.
    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = self.read(cx, now);
        while let Poll::Ready(Some(done)) = self.tasks.poll_next_unpin(cx) {
            self.finish(done, cx);
            moved = true;
        }
        moved |= self.catch_up(cx);
        moved |= self.drain(cx, now);
        moved | self.write(cx, now)
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        // A client whose events pile up is not read from; TCP tells it to wait.
        if self.backlog.is_full() {
            return false;
        }
        let mut moved = false;
        let cell = &self.cell;
        for ws in &mut self.websockets {
            let lane = ws.lane;
            let mut frames = Vec::new();
            let read = ws.poll_read(cx, now, |frame| frames.push(frame));
            let end = match read {
                Poll::Pending => continue,
                Poll::Ready(read) => read.err(),
            };
            moved = true;
            cell.pump(|peer| {
                for frame in frames {
                    peer.handle(Input::WsFrame(lane, frame), now);
                }
                if let Some(end) = end {
                    peer.handle(ended(lane, end), now);
                }
            });
        }
        moved
    }

    /// Carries out what the core has to say. Frames go to their websocket at once; the rest follows without the lock.
    fn drain(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let incoming = self.cell.take_incoming();
        let mut moved = !incoming.is_empty();
        self.websockets.extend(incoming);
        loop {
            let mut batch = Vec::new();
            let websockets = &mut self.websockets;
            let drained = self.cell.pump(|peer| {
                if peer.poll_timeout().is_some_and(|at| at <= now) {
                    peer.handle_timeout(now);
                }
                let mut drained = false;
                while batch.len() < MAX_BATCH
                    && let Some(output) = peer.poll_output()
                {
                    drained = true;
                    match output {
                        Output::WsSend(lane, frame) => {
                            if let Some(ws) = websockets.iter_mut().find(|ws| ws.lane == lane) {
                                ws.queue(&frame);
                            }
                        }
                        output => batch.push(output),
                    }
                }
                drained
            });
            if drained != Some(true) {
                return moved;
            }
            moved = true;
            for output in batch {
                self.perform(output, cx, now);
            }
        }
    }

    fn perform(&mut self, output: Output<Waiter>, cx: &mut Context<'_>, now: Instant) {
        match output {
            Output::Respond(lane, response) => self.cell.answer(lane, Answer::Respond(response)),
            Output::Abort(lane) => self.cell.answer(lane, Answer::Abort),
            Output::WsSend(lane, frame) => {
                if let Some(ws) = self.websockets.iter_mut().find(|ws| ws.lane == lane) {
                    ws.queue(&frame);
                }
            }
            Output::WsClose(lane) => {
                if let Some(ws) = self.websockets.iter_mut().find(|ws| ws.lane == lane) {
                    ws.close(now);
                }
            }
            Output::Event(event) => self.dispatch(event, cx),
        }
    }

    fn dispatch(&mut self, event: Event<Waiter>, cx: &mut Context<'_>) {
        match event {
            Event::Socket(protocol::Event::Acked { waiter, args }) => waiter.resolve(Ok(args)),
            Event::Socket(protocol::Event::AckFailed { waiter, error }) => waiter.resolve(Err(error)),
            Event::Socket(event) => self.begin_or_queue(event, cx),
            Event::Upgraded(transport) => {
                tracing::debug!(sid = %self.cell.sid(), transport = transport.name(), "upgraded");
            }
            Event::Drained => {}
            Event::Closed(reason) => {
                tracing::debug!(sid = %self.cell.sid(), %reason, "session closed");
                self.flush_backlog(cx);
                self.cell.hub.remove(&self.cell);
                self.write_transcript();
                self.cell.retire();
                self.closed = true;
            }
        }
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
        } else if !self.backlog.is_empty() || self.tasks.len() >= MAX_RUNNING_HANDLERS {
            self.backlog.push(event);
            if self.backlog.is_full() {
                self.cell.set_congested(true);
            }
            return;
        }
        self.begin(event, cx);
    }

    /// Begins what has waited, as far as there is room.
    fn catch_up(&mut self, cx: &mut Context<'_>) -> bool {
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
            protocol::Event::Emit { slot, event } => {
                // What a client sent before it knew that it was sent away is not heard (REFERENCE 3.4).
                if let Some(socket) = self.socket(slot).filter(|socket| !socket.is_leaving()) {
                    self.receive(socket, event, cx);
                }
            }
            protocol::Event::ConnectRequest { slot, nsp, auth } => self.connect(slot, &nsp, auth, cx),
            protocol::Event::Left { slot, reason } => self.left(slot, reason, cx),
            protocol::Event::Violation(error) => {
                tracing::debug!(sid = %self.cell.sid(), %error, "closed: the client broke the protocol");
                self.violation = Some(error.clone());
                let error = Arc::new(SocketError::from(error));
                let sockets: Vec<_> = self.sockets.iter().map(|(_, socket)| socket.clone()).collect();
                for socket in sockets.iter().filter(|socket| socket.is_connected()) {
                    self.report(socket, &error, cx);
                }
            }
            protocol::Event::Acked { waiter, args } => waiter.resolve(Ok(args)),
            protocol::Event::AckFailed { waiter, error } => waiter.resolve(Err(error)),
        }
    }

    fn connect(&mut self, slot: Slot, nsp: &Nsp, auth: Option<Payload>, cx: &mut Context<'_>) {
        let auth = auth.map_or(Payload::EMPTY_OBJECT, |auth| auth.detached());
        let hub = &self.cell.hub;
        match hub.enter(nsp) {
            Some(namespace) => self.join(slot, nsp, auth, namespace, cx),
            None if hub.parents().is_empty() => log_refusal(self.cell.pump(|peer| peer.refuse_unknown(slot))),
            None => {
                let lookup = parent::look_up(hub.clone(), slot, nsp.clone(), auth);
                self.run(lookup, cx);
            }
        }
    }

    fn join(&mut self, slot: Slot, nsp: &Nsp, auth: Payload, namespace: Namespace, cx: &mut Context<'_>) {
        if self.cell.peek(|peer| peer.is_live(slot)) != Some(true) {
            // It gave up while its namespace was looked for.
            return self.cell.hub.exit(&namespace);
        }
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
        self.sockets.push((slot, socket.clone()));
        if table.has_connect_middlewares() && !skip {
            self.run(dispatch::admit(table, socket), cx);
        } else {
            self.admit(&socket, cx);
        }
    }

    /// Catch-all handlers, then middlewares, then the handlers of that name (REFERENCE 3.7).
    fn receive(&mut self, socket: Socket, event: packet::Event, cx: &mut Context<'_>) {
        let tables = tables(&socket);
        for table in tables.iter().flatten() {
            table.any_tasks(&socket, &event).for_each(|task| self.run(task, cx));
        }
        if tables.iter().flatten().any(|table| table.has_event_middlewares()) {
            self.run(dispatch::screen(tables, socket, event), cx);
        } else {
            self.deliver(&socket, &event, cx);
        }
    }

    fn deliver(&mut self, socket: &Socket, event: &packet::Event, cx: &mut Context<'_>) {
        let tables = tables(socket);
        for table in tables.iter().flatten() {
            table.event_tasks(socket, event, &event.ack).for_each(|task| self.run(task, cx));
        }
        // `tables` keeps what is taken away here until the locks are released.
        if tables.iter().flatten().any(|table| table.has_spent(event.name())) {
            socket.namespace().edit(|table| table.off_spent(event.name()));
            socket.edit(|table| table.off_spent(event.name()));
        }
    }

    fn report(&mut self, socket: &Socket, error: &Arc<SocketError>, cx: &mut Context<'_>) {
        let tables = tables(socket);
        for table in tables.iter().flatten() {
            table.error_tasks(socket, error).for_each(|task| self.run(task, cx));
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

    fn finish(&mut self, done: Done, cx: &mut Context<'_>) {
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
                    self.deliver(&socket, &event, cx);
                }
            }
            Done::Screening(socket, _, Err(error)) => {
                self.report(&socket, &Arc::new(SocketError::Refused(error)), cx);
            }
            Done::Lookup(slot, nsp, auth, Some(namespace)) => self.join(slot, &nsp, auth, namespace, cx),
            Done::Lookup(slot, ..) => log_refusal(self.cell.pump(|peer| peer.refuse_unknown(slot))),
        }
    }

    /// In the order of REFERENCE 4.5: known in the namespace, in its own room, told so, then the handlers.
    fn admit(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        if !self.seat(socket) {
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
    /// anything in between.
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
            let missed =
                missed.iter().try_for_each(|event| peer.send(socket.slot(), event, Delivery::Reliable));
            if missed == Err(SendError::Full) {
                // More than can be sent at once. Half of it would be a gap.
                peer.give_up(self.cell.hub.now());
            }
            missed.is_ok() && peer.accept(socket.slot(), socket.id(), identity.pid.as_ref()).is_ok()
        });
        let rooms = socket.past_rooms().into_iter().chain(socket.take_seat());
        rooms.for_each(|room| socket.namespace().join(socket, &room));
        accepted == Some(true)
    }

    fn refuse(&self, slot: Slot, error: &ConnectError) {
        tracing::debug!(reason = error.message, "refused by a middleware");
        log_refusal(self.cell.pump(|peer| peer.refuse(slot, &error.message, error.data.as_ref())));
    }

    /// In the order of REFERENCE 4.5: `disconnecting` with its rooms, out of the namespace, `disconnect`.
    fn left(&mut self, slot: Slot, reason: DisconnectReason, cx: &mut Context<'_>) {
        let Some(socket) = self.socket(slot) else { return };
        let was_connected = socket.was_connected();
        let tables = tables(&socket);
        if was_connected {
            let namespace = socket.namespace().name();
            let disconnection = Disconnect { reason, description: self.describe(reason) };
            tracing::debug!(socket = %socket.id(), namespace, reason = %disconnection, "socket left");
            socket.set_disconnection(disconnection);
            for table in tables.iter().flatten() {
                table.disconnecting_tasks(&socket, reason).for_each(|task| self.run(task, cx));
            }
        }
        if was_connected && reason.is_recoverable() {
            self.remember(&socket);
        }
        self.forget(&socket);
        socket.set_connected(false);
        if was_connected {
            for table in tables.iter().flatten() {
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
        }
    }

    fn forget(&mut self, socket: &Socket) {
        let before = self.sockets.len();
        self.sockets.retain(|(slot, _)| *slot != socket.slot());
        socket.namespace().remove(socket);
        if self.sockets.len() < before {
            self.cell.hub.exit(socket.namespace());
        }
    }

    /// Starts a task: up to its first `await` here and now, the rest as the connection goes on.
    fn run(&mut self, mut task: Task, cx: &mut Context<'_>) {
        match task.as_mut().poll(cx) {
            Poll::Ready(done) => self.finish(done, cx),
            Poll::Pending => self.tasks.push(task),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        let cell = &self.cell;
        for ws in &mut self.websockets {
            let input = match ws.poll_write(cx) {
                Poll::Pending | Poll::Ready(Ok(false)) => continue,
                Poll::Ready(Ok(true)) => Input::Flushed(ws.lane),
                Poll::Ready(Err(end)) => ended(ws.lane, end),
            };
            moved = true;
            cell.pump(|peer| peer.handle(input, now));
        }
        self.websockets.retain(|ws| !ws.is_done(now));
        moved
    }

    /// Sets the timer to the next deadline. Returns false if that is already over.
    fn arm(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let peer = self.cell.peek(|peer| peer.poll_timeout()).flatten();
        let Some(next) = self.websockets.iter().filter_map(Ws::deadline).chain(peer).min() else {
            // Nothing is covered: the first deadline that comes up is earlier.
            self.armed = Instant::from_micros(u64::MAX);
            return true;
        };
        if next <= now {
            return false;
        }
        // A timer that is set too early is cheaper than one that is reset with every heartbeat: it looks, and goes
        // back to sleep.
        if next < self.armed || self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(next);
            self.armed = next;
            return self.timer.as_mut().poll(cx).is_pending();
        }
        true
    }

    /// Hands what was written down of this client to the log: without the lock, since the log is somebody else's.
    fn write_transcript(&self) {
        if let Some(number) = self.recorded {
            let lines = self.cell.pump(Recorded::take_lines).unwrap_or_default();
            transcript::log(number, lines);
        }
    }

    fn socket(&self, slot: Slot) -> Option<Socket> {
        self.sockets.iter().find(|(known, _)| *known == slot).map(|(_, socket)| socket.clone())
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let span = this.span.clone();
        let _inside = span.enter();
        for _ in 0..MAX_TURNS {
            let now = this.cell.hub.now();
            let moved = this.turn(cx, now);
            this.write_transcript();
            if moved {
                continue;
            }
            if this.closed && this.websockets.is_empty() && this.tasks.is_empty() {
                return Poll::Ready(());
            }
            let armed = this.arm(cx, now).then_some(this.armed);
            // Asked again under the lock: somebody may have sent something since, or waits for an answer by now.
            let is_idle = |peer: &Recorded| {
                !peer.has_output() && peer.poll_timeout().is_none_or(|next| armed <= Some(next))
            };
            if armed.is_some() && this.cell.sleep(cx, is_idle) {
                return Poll::Pending;
            }
        }
        // A client that never pauses does not starve the others.
        cx.waker().wake_by_ref();
        Poll::Pending
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

fn log_refusal(refused: Option<Result<(), RefuseError>>) {
    if let Some(Err(error)) = refused {
        tracing::debug!(%error, "refusal not sent");
    }
}

/// The handlers of a socket, in the order in which they run: its namespace's, then its own.
fn tables(socket: &Socket) -> [Option<Arc<Table>>; 2] {
    [Some(socket.namespace().table()), socket.table()]
}

fn ended(lane: socketio_core::Lane, end: End) -> Input {
    match end {
        End::Closed => Input::LaneGone(lane),
        End::Fault(fault) => Input::WsFault(lane, fault),
    }
}

/// Handlers of one client that wait for something at the same time, past which its events wait in the backlog. Enough
/// for any client that is not broken; each is some hundred bytes.
const MAX_RUNNING_HANDLERS: usize = 1024;

/// Outputs taken from the core before they are carried out.
const MAX_BATCH: usize = 32;

/// Rounds before other tasks get a turn.
const MAX_TURNS: usize = 32;
