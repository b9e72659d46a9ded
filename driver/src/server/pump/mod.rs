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

mod admission;
mod events;
mod scratch;
mod tasks;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socketio_core::engine::Transport;
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::{EngineEvent, Input};
use socketio_core::peer::Output;
use socketio_core::socket::server::{self as protocol, ProtocolError, Slot};
use socketio_core::{Instant, Lane};

use self::events::Tables;
use self::scratch::Scratch;
use self::tasks::Tasks;
use crate::ack::Waiter;
use crate::alarm::Alarm;
use crate::dispatch::backlog::Backlog;
use crate::server::cell::{Answer, Cell, Sleep};
use crate::server::conn::Conn;
use crate::server::flushers::Guest;
use crate::server::handshake::RequestInfo;
use crate::server::hub::Entered;
use crate::server::rest;
use crate::server::shutdown::Present;
use crate::server::socket::Socket;
use crate::transcript::{self, Recorded};
use crate::ws::Ws;

/// The task of one client.
pub(crate) struct Pump {
    cell: Arc<Cell>,
    request: Arc<RequestInfo>,
    /// Each with its place in its namespace.
    sockets: Vec<(Slot, Socket, Entered)>,
    websockets: Vec<Ws>,
    /// Whether they are in the cell.
    left: bool,
    /// From the first time on that they were left there.
    guest: Option<Guest>,
    tasks: Tasks,
    /// The handlers of the socket whose events are being handed out, for as long as a turn takes.
    tables: Option<Tables>,
    /// What waits for running handlers to end.
    backlog: Backlog<protocol::Event<Waiter>>,
    alarm: Alarm,
    /// When the peer wanted to be looked at again, when it was last looked at.
    next: Option<Instant>,
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
        let alarm = Alarm::new(&*cell.hub.runtime, now);
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
            left: false,
            guest: None,
            tasks: Tasks::default(),
            tables: None,
            backlog: Backlog::default(),
            alarm,
            next: None,
            closed: false,
            violation: None,
            _present: present,
            span,
            recorded,
        }
    }

    /// A client whose session began on this websocket.
    pub(crate) fn with_websocket(mut self, ws: Ws) -> Self {
        // Room for this one: a list that grows by itself begins with room for four.
        self.websockets = vec![ws];
        self
    }

    /// The first half of a round: what the websockets and the handlers bring. Returns whether they brought anything.
    fn hear(&mut self, scratch: &mut Scratch, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = self.read(&mut scratch.inputs, cx, now);
        while let Some(done) = self.tasks.next(cx) {
            self.finish(done, cx);
            moved = true;
        }
        moved | self.catch_up(cx)
    }

    /// The other half: what the core makes of it. Returns whether it made anything.
    fn act(&mut self, scratch: &mut Scratch, cx: &mut Context<'_>, now: Instant) -> bool {
        let moved = self.drain(scratch, cx, now);
        // Handlers that are taken away later must not live on here.
        self.tables = None;
        moved | self.write(&mut scratch.inputs, cx, now)
    }

    fn read(&mut self, inputs: &mut Vec<Input>, cx: &mut Context<'_>, now: Instant) -> bool {
        // A client whose events pile up is not read from; TCP tells it to wait.
        if self.backlog.is_full() {
            return false;
        }
        let mut moved = false;
        for ws in &mut self.websockets {
            let lane = ws.lane;
            if let Poll::Ready(read) = ws.poll_read(cx, now, |frame| inputs.push(Input::WsFrame(lane, frame)))
            {
                inputs.extend(read.err().map(|end| rest::ended(lane, end)));
                moved = true;
            }
        }
        moved
    }

    /// Tells the core what happened, and carries out what it has to say. Frames go to their websocket at once; the rest,
    /// and what has to be compressed, follows without the lock.
    fn drain(&mut self, scratch: &mut Scratch, cx: &mut Context<'_>, now: Instant) -> bool {
        let Scratch { inputs, outputs, events, engine_events } = scratch;
        let mut moved = false;
        let mut due = false;
        loop {
            let before = self.websockets.len();
            let next = self.cell.turn(&mut self.websockets, |peer, websockets| {
                // What handlers answered to one batch leaves before there is more of it.
                moved |= lend_frames(peer, websockets);
                inputs.drain(..inputs.len().min(MAX_BATCH)).for_each(|input| peer.handle(input, now));
                if due {
                    peer.handle_timeout(now);
                }
                while outputs.len() < MAX_BATCH {
                    // Nearly all there is are frames, and those are had for less where there is nothing else to do.
                    moved |= lend_frames(peer, websockets);
                    if peer.drain_events(events) {
                        moved = true;
                        break;
                    }
                    let Some(output) = peer.poll_output() else { break };
                    moved = true;
                    if !queue_plain(websockets, &output) {
                        outputs.push(output);
                    }
                }
                engine_events.extend(std::iter::from_fn(|| peer.poll_engine_event()));
                // What is due comes behind all that there is to do.
                let is_idle = inputs.is_empty() && outputs.is_empty() && events.is_empty();
                if is_idle { peer.poll_timeout() } else { None }
            });
            self.show(engine_events);
            self.next = next.flatten();
            moved |= self.websockets.len() > before;
            if next.is_none() {
                inputs.clear();
            }
            // What arrived in time may be what a deadline waits for.
            due = inputs.is_empty() && self.next.is_some_and(|at| at <= now);
            if outputs.is_empty() && events.is_empty() && inputs.is_empty() && !due {
                return moved;
            }
            outputs.drain(..).for_each(|output| self.perform(output, cx, now));
            self.begin_all(events, cx);
        }
    }

    /// Shows what the session did, before anything follows from it.
    fn show(&self, events: &mut Vec<EngineEvent>) {
        if !events.is_empty() {
            let conn = Conn::new(Arc::clone(&self.cell), Arc::clone(&self.request));
            events.drain(..).for_each(|event| self.cell.hub.admission.hooks.engine_did(&conn, &event));
        }
    }

    fn perform(&mut self, output: Output<Waiter>, cx: &mut Context<'_>, now: Instant) {
        match output {
            Output::Respond(lane, response) => self.cell.answer(lane, Answer::Respond(response)),
            Output::Abort(lane) => self.cell.answer(lane, Answer::Abort),
            Output::WsSend(lane, frame, compression) => {
                queue(&mut self.websockets, lane, |ws| ws.queue(&frame, compression))
            }
            Output::WsClose(lane) => queue(&mut self.websockets, lane, |ws| ws.close(now)),
            Output::Event(event) => self.dispatch(event, cx),
        }
    }

    /// Writes what is queued. What became of it the core hears in the next turn.
    fn write(&mut self, inputs: &mut Vec<Input>, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        for ws in &mut self.websockets {
            if let Some(input) = rest::write(ws, cx) {
                moved = true;
                inputs.push(input);
            }
        }
        if self.websockets.iter().any(|ws| ws.is_done(now)) {
            self.websockets.retain(|ws| !ws.is_done(now));
        }
        moved
    }

    /// Sets the alarm to the next deadline. Returns false if that is already over.
    fn arm(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let next = self.websockets.iter().filter_map(Ws::deadline).chain(self.next).min();
        self.alarm.set(next, cx, now)
    }

    /// Hands what was written down of this client to the log: without the lock, since the log is somebody else's.
    fn write_transcript(&self) {
        if let Some(number) = self.recorded {
            let lines = self.cell.pump(Recorded::take_lines).unwrap_or_default();
            transcript::log(number, lines);
        }
    }

    /// Gives back the client's place though its session is not over: the runtime lets go of this task, or it panicked.
    /// No handler can be called any more, but the hub would hold a client for good that nobody looks after.
    fn abandon(&mut self) {
        let sockets: Vec<_> = self.sockets.iter().map(|(_, socket, _)| socket.clone()).collect();
        for socket in &sockets {
            self.forget(socket);
            socket.set_connected(false);
            socket.clear_handlers();
        }
        self.cell.hub.remove(&self.cell);
        self.cell.retire();
        self.cell.hub.retire_if_over();
    }

    fn socket(&self, slot: Slot) -> Option<&Socket> {
        self.sockets.iter().find(|(known, ..)| *known == slot).map(|(_, socket, _)| socket)
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.left {
            if !this.cell.reclaim(&mut this.websockets, cx) {
                return Poll::Pending;
            }
            this.left = false;
        }
        let span = this.span.clone();
        let _inside = span.enter();
        let mut scratch = Scratch::take();
        let mut now = this.cell.hub.now();
        // Whether the core has said all it has to say, and has but to hear what was written. The clock is not asked for that.
        let mut drained = false;
        for _ in 0..MAX_TURNS {
            let mut moved = this.hear(&mut scratch, cx, now);
            if moved && drained {
                now = this.cell.hub.now();
                drained = false;
            }
            if !drained {
                moved |= this.act(&mut scratch, cx, now);
            }
            this.write_transcript();
            // Who is written down comes round once more, so that the log has everything before the sleep.
            drained = moved && this.recorded.is_none();
            if drained {
                continue;
            }
            if !moved {
                if this.closed && this.websockets.is_empty() && this.tasks.is_empty() {
                    scratch.give_back();
                    return Poll::Ready(());
                }
                let tell =
                    |peer: &mut Recorded| scratch.inputs.drain(..).for_each(|input| peer.handle(input, now));
                if this.arm(cx, now) {
                    let sleep = this.cell.sleep(cx, this.alarm.at(), &mut this.websockets, tell);
                    this.left = sleep == Sleep::WithoutWebsockets;
                    if this.left {
                        let hub = &this.cell.hub;
                        this.guest.get_or_insert_with(|| hub.flushers.invite()).start(&hub.runtime);
                    }
                    if sleep != Sleep::NotYet {
                        scratch.give_back();
                        return Poll::Pending;
                    }
                }
            }
            now = this.cell.hub.now();
        }
        // A client that never pauses does not starve the others.
        let now = this.cell.hub.now();
        this.cell.pump(|peer| scratch.inputs.drain(..).for_each(|input| peer.handle(input, now)));
        scratch.give_back();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if !self.closed {
            self.abandon();
        }
    }
}

fn queue(websockets: &mut [Ws], lane: Lane, act: impl FnOnce(&mut Ws)) {
    if let Some(ws) = websockets.iter_mut().find(|ws| ws.lane == lane) {
        act(ws);
    }
}

/// Queues the frames that come next on their websockets, unless they have to be compressed. Returns whether there were any.
fn lend_frames(peer: &mut Recorded, websockets: &mut [Ws]) -> bool {
    if websockets.iter().any(Ws::compresses) {
        return false;
    }
    let mut lent = false;
    let mut lend = |lane, frame: &Frame, compression| {
        queue(websockets, lane, |ws| ws.queue(frame, compression));
    };
    while peer.lend_frame(&mut lend).is_some() {
        lent = true;
    }
    lent
}

/// Queues a frame on a websocket that does not compress. Returns false if there is something else to do.
fn queue_plain(websockets: &mut [Ws], output: &Output<Waiter>) -> bool {
    let Output::WsSend(lane, frame, compression) = output else { return false };
    let Some(ws) = websockets.iter_mut().find(|ws| ws.lane == *lane && !ws.compresses()) else {
        return false;
    };
    ws.queue(frame, *compression);
    true
}

/// Inputs told to the core at once, and outputs taken from it before they are carried out; the events of sockets that so many
/// inputs brought are taken together. What handlers answer to a few is freed before the next few are answered, so that the
/// allocator and the cache give out the same memory again.
const MAX_BATCH: usize = 6;

/// Rounds before other tasks get a turn.
const MAX_TURNS: usize = 32;
