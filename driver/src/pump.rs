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
use socketio_core::engine::Revision;
use socketio_core::engine::server::Input;
use socketio_core::peer::{Event, Output, Peer};
use socketio_core::socket::server::{self as protocol, RefuseError, Slot};
use socketio_core::socket::{DisconnectReason, Nsp, Payload};
use socketio_core::{Instant, Sid};

use crate::ack::Waiter;
use crate::cell::{Answer, Cell};
use crate::dispatch::{self, Done, Table, Task};
use crate::handshake::{Handshake, RequestInfo};
use crate::namespace::ConnectError;
use crate::runtime::Timer;
use crate::socket::Socket;
use crate::ws::{End, Ws};

/// The task of one client.
pub(crate) struct Pump {
    cell: Arc<Cell>,
    request: Arc<RequestInfo>,
    sockets: Vec<(Slot, Socket)>,
    websockets: Vec<Ws>,
    tasks: FuturesUnordered<Task>,
    timer: Pin<Box<dyn Timer>>,
    /// What the timer is set to.
    armed: Instant,
    closed: bool,
}

impl Pump {
    pub(crate) fn new(cell: Arc<Cell>, request: Arc<RequestInfo>) -> Self {
        let now = cell.hub.now();
        let timer = cell.hub.runtime.timer(now);
        Self {
            cell,
            request,
            sockets: Vec::new(),
            websockets: Vec::new(),
            tasks: FuturesUnordered::new(),
            timer,
            armed: now,
            closed: false,
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
        moved |= self.drain(cx, now);
        moved | self.write(cx, now)
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        // A client whose events pile up in handlers is not read from; TCP tells it to wait.
        if self.tasks.len() >= MAX_RUNNING_HANDLERS {
            return false;
        }
        let mut moved = false;
        let cell = &self.cell;
        for ws in &mut self.websockets {
            let lane = ws.lane;
            let mut frames = Vec::new();
            let read = ws.poll_read(cx, |frame| frames.push(frame));
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
            Event::Socket(protocol::Event::Emit { slot, event }) => {
                let Some(socket) = self.socket(slot) else { return };
                let (shared, own) = tables(&socket);
                for task in shared.event_tasks(&socket, &event) {
                    self.run(task, cx);
                }
                for task in own.iter().flat_map(|own| own.event_tasks(&socket, &event)) {
                    self.run(task, cx);
                }
            }
            Event::Socket(protocol::Event::Acked { waiter, args }) => waiter.resolve(Ok(args)),
            Event::Socket(protocol::Event::AckFailed { waiter, error }) => waiter.resolve(Err(error)),
            Event::Socket(protocol::Event::ConnectRequest { slot, nsp, auth }) => {
                self.connect(slot, &nsp, auth, cx)
            }
            Event::Socket(protocol::Event::Left { slot, reason }) => self.left(slot, reason, cx),
            Event::Socket(protocol::Event::Violation(error)) => {
                tracing::debug!(sid = %self.cell.sid(), %error, "closed: the client broke the protocol");
            }
            Event::Upgraded(transport) => {
                tracing::trace!(sid = %self.cell.sid(), transport = transport.name(), "upgraded");
            }
            Event::Drained => {}
            Event::Closed(reason) => {
                tracing::debug!(sid = %self.cell.sid(), %reason, "session closed");
                self.cell.hub.remove(self.cell.sid());
                self.cell.retire();
                self.closed = true;
            }
        }
    }

    fn connect(&mut self, slot: Slot, nsp: &Nsp, auth: Option<Payload>, cx: &mut Context<'_>) {
        let hub = &self.cell.hub;
        let Some(namespace) = hub.namespace(nsp) else {
            let refused = self.cell.pump(|peer| peer.refuse_unknown(slot));
            return log_refusal(refused);
        };
        let handshake = Handshake {
            request: self.request.clone(),
            auth: auth.map_or(Payload::EMPTY_OBJECT, |auth| auth.detached()),
        };
        let (key, id) = (hub.next_key(), self.socket_id(nsp));
        let table = namespace.table();
        let socket = Socket::new(self.cell.clone(), slot, key, id, namespace, handshake);
        self.sockets.push((slot, socket.clone()));
        if table.middlewares.is_empty() {
            self.admit(&socket, cx);
        } else {
            self.run(dispatch::admit(table, socket), cx);
        }
    }

    /// In revision 3 the id of a socket tells the session's (REFERENCE 2.5): its clients work it out themselves.
    fn socket_id(&self, nsp: &Nsp) -> Sid {
        let sid = self.cell.sid();
        match self.cell.peek(|peer| peer.revision()) {
            Some(Revision::V3) if nsp.is_root() => sid.clone(),
            Some(Revision::V3) => format!("{nsp}#{sid}").as_str().into(),
            _ => self.cell.hub.generate_id(),
        }
    }

    fn finish(&mut self, done: Done, cx: &mut Context<'_>) {
        match done {
            Done::Handler => {}
            Done::Admission(socket, Ok(())) => self.admit(&socket, cx),
            Done::Admission(socket, Err(error)) => {
                self.forget(&socket);
                self.refuse(socket.slot(), &error);
            }
        }
    }

    /// In the order of REFERENCE 4.5: known in the namespace, in its own room, told so, then the handlers.
    fn admit(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        socket.namespace().insert(socket);
        let accepted = self.cell.pump(|peer| peer.accept(socket.slot(), socket.id(), None));
        if !matches!(accepted, Some(Ok(()))) {
            // Gone meanwhile; `left` has been or will be here if the core still knew it.
            return self.forget(socket);
        }
        socket.set_connected(true);
        let shared = socket.namespace().table();
        for task in shared.connection_tasks(socket) {
            self.run(task, cx);
        }
    }

    fn refuse(&mut self, slot: Slot, error: &ConnectError) {
        log_refusal(self.cell.pump(|peer| peer.refuse(slot, &error.message, error.data.as_ref())));
    }

    /// In the order of REFERENCE 4.5: `disconnecting` with its rooms, out of the namespace, `disconnect`.
    fn left(&mut self, slot: Slot, reason: DisconnectReason, cx: &mut Context<'_>) {
        let Some(socket) = self.socket(slot) else { return };
        let was_connected = socket.is_connected();
        let (shared, own) = tables(&socket);
        if was_connected {
            for table in [Some(&*shared), own.as_deref()].into_iter().flatten() {
                table.disconnecting_tasks(&socket, reason).for_each(|task| self.run(task, cx));
            }
        }
        self.forget(&socket);
        socket.set_connected(false);
        if was_connected {
            for table in [Some(&*shared), own.as_deref()].into_iter().flatten() {
                table.disconnect_tasks(&socket, reason).for_each(|task| self.run(task, cx));
            }
        }
        socket.clear_handlers();
    }

    fn forget(&mut self, socket: &Socket) {
        self.sockets.retain(|(slot, _)| *slot != socket.slot());
        socket.namespace().remove(socket);
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

    fn socket(&self, slot: Slot) -> Option<Socket> {
        self.sockets.iter().find(|(known, _)| *known == slot).map(|(_, socket)| socket.clone())
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..MAX_TURNS {
            let now = this.cell.hub.now();
            if this.turn(cx, now) {
                continue;
            }
            if this.closed && this.websockets.is_empty() && this.tasks.is_empty() {
                return Poll::Ready(());
            }
            let armed = this.arm(cx, now).then_some(this.armed);
            // Asked again under the lock: somebody may have sent something since, or waits for an answer by now.
            let is_idle = |peer: &Peer<Waiter>| {
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

fn log_refusal(refused: Option<Result<(), RefuseError>>) {
    if let Some(Err(error)) = refused {
        tracing::debug!(%error, "refusal not sent");
    }
}

fn tables(socket: &Socket) -> (Arc<Table>, Option<Arc<Table>>) {
    (socket.namespace().table(), socket.table())
}

fn ended(lane: socketio_core::Lane, end: End) -> Input {
    match end {
        End::Closed => Input::LaneGone(lane),
        End::Fault(fault) => Input::WsFault(lane, fault),
    }
}

/// Handlers of one client that wait for something at the same time, past which it is not read from. Enough for any
/// client that is not broken; each is some hundred bytes.
const MAX_RUNNING_HANDLERS: usize = 1024;

/// Outputs taken from the core before they are carried out.
const MAX_BATCH: usize = 32;

/// Rounds before other tasks get a turn.
const MAX_TURNS: usize = 32;
