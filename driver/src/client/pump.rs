//! The one event loop of a connection: everything that happens to a client happens here, in order.
//!
//! One task from the first time that somebody connects until the owner is gone, everything is closed, and the last
//! handler has ended. It makes the requests and opens the websockets that the core asks for, feeds it what they bring,
//! and starts handlers in the order of arrival.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use socketio_core::engine::client::{Failure, Input};
use socketio_core::engine::close::TransportFault;
use socketio_core::socket::client::{AuthError, Event, Manager, Output, Ticket};
use socketio_core::socket::server::Slot;
use socketio_core::{Bytes, Instant, Lane};

use super::ManagerEvent;
use super::cell::Cell;
use super::net::Network;
use super::socket::Socket;
use crate::ack::Waiter;
use crate::alarm::Alarm;
use crate::dispatch::backlog::{Backlog, Weight, weight_of, weight_of_packet};
use crate::dispatch::{ClientDone, Table, Task};
use crate::runtime::BoxFuture;
use crate::transcript::client::{self as transcript, Recorded};
use crate::ws::{End, Ws};

/// The task of one client.
pub(super) struct Pump {
    cell: Arc<Cell>,
    network: Network,
    exchanges: Vec<(Lane, Exchange)>,
    websockets: Vec<Ws>,
    tasks: FuturesUnordered<Task<Socket>>,
    /// Who is asked for credentials, one for each socket: what was asked for an earlier connection interests nobody, and
    /// may never be answered.
    credentials: Vec<(Slot, Task<Socket>)>,
    /// What waits for running handlers to end.
    backlog: Backlog<Event<Waiter>>,
    alarm: Alarm,
    /// The connection is not being read from.
    congested: bool,
    /// The owner is gone, its last events were handled, and the handlers dropped.
    cleared: bool,
    /// When whoever has not heard of the end by then is not waited for any more.
    patience: Option<Instant>,
    span: tracing::Span,
    /// What a transcript calls this client, if one is kept.
    recorded: Option<u64>,
}

/// What was asked of the network and is not answered yet.
enum Exchange {
    Get(BoxFuture<Result<(u16, Bytes), Failure>>),
    Post(BoxFuture<Result<(u16, Bytes), Failure>>),
    Websocket(BoxFuture<Result<Ws, Failure>>),
}

impl Weight for Event<Waiter> {
    fn bytes(&self) -> usize {
        match self {
            Self::Emit { event, .. } => weight_of(event),
            Self::Packet(packet) => weight_of_packet(packet),
            _ => 0,
        }
    }
}

impl Pump {
    pub(super) fn new(cell: Arc<Cell>, network: Network) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let now = cell.now();
        let alarm = Alarm::new(&*cell.runtime, now);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("connection", number);
        let recorded = cell.pump(|manager| manager.is_recorded()).then_some(number);
        Self {
            cell,
            network,
            exchanges: Vec::new(),
            websockets: Vec::new(),
            tasks: FuturesUnordered::new(),
            credentials: Vec::new(),
            backlog: Backlog::default(),
            alarm,
            congested: false,
            cleared: false,
            patience: None,
            span,
            recorded,
        }
    }

    /// One round of the loop. Returns whether anything moved.
    fn turn(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        self.congested = self.cell.is_congested(self.backlog.is_full());
        let mut moved = self.read(cx, now);
        moved |= self.receive(cx, now);
        while let Poll::Ready(Some(done)) = self.tasks.poll_next_unpin(cx) {
            self.finish(done, now);
            moved = true;
        }
        moved |= self.await_credentials(cx, now);
        moved |= self.catch_up(cx, now);
        moved |= self.lose_patience(now);
        moved |= self.drain(cx, now);
        moved | self.write(cx, now)
    }

    /// Reads the websockets.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.congested {
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
            cell.pump(|manager| {
                for frame in frames {
                    manager.handle(Input::WsFrame(lane, frame), now);
                }
                if let Some(end) = end {
                    manager.handle(ended(lane, end), now);
                }
            });
        }
        moved
    }

    /// Takes what the network has answered. The answer to a GET may have to wait.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        let mut index = 0;
        while index < self.exchanges.len() {
            let (lane, exchange) = &mut self.exchanges[index];
            let lane = *lane;
            let input = match exchange {
                Exchange::Get(_) if self.congested => Poll::Pending,
                Exchange::Get(request) | Exchange::Post(request) => {
                    request.as_mut().poll(cx).map(|answer| match answer {
                        Ok((status, body)) => Input::Response(lane, status, body),
                        Err(failure) => Input::Failed(lane, failure),
                    })
                }
                Exchange::Websocket(opening) => opening.as_mut().poll(cx).map(|opened| match opened {
                    Ok(ws) => {
                        self.websockets.push(ws);
                        Input::WsOpened(lane)
                    }
                    Err(failure) => Input::Failed(lane, failure),
                }),
            };
            match input {
                Poll::Pending => index += 1,
                Poll::Ready(input) => {
                    drop(self.exchanges.remove(index));
                    self.cell.pump(|manager| manager.handle(input, now));
                    moved = true;
                }
            }
        }
        moved
    }

    /// Carries out what the core has to say.
    fn drain(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        loop {
            let mut batch = Vec::new();
            self.cell.take_outputs(MAX_BATCH, now, &mut batch);
            if batch.is_empty() {
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
            Output::Get(lane, target) => {
                self.exchanges.push((lane, Exchange::Get(self.network.get(target))));
            }
            Output::Post(lane, target, body) => {
                self.exchanges.push((lane, Exchange::Post(self.network.post(target, body))));
            }
            Output::WsConnect(lane, target) => {
                self.exchanges.push((lane, Exchange::Websocket(self.network.websocket(lane, target))));
            }
            Output::Abort(lane) => self.exchanges.retain(|(other, _)| *other != lane),
            Output::WsSend(lane, frame, compression) => {
                if let Some(ws) = self.websockets.iter_mut().find(|ws| ws.lane == lane) {
                    ws.queue(&frame, compression);
                }
            }
            Output::WsClose(lane) => {
                self.exchanges.retain(|(other, _)| *other != lane);
                if let Some(ws) = self.websockets.iter_mut().find(|ws| ws.lane == lane) {
                    ws.close(now);
                }
            }
            Output::Event(event) => self.dispatch(event, cx, now),
        }
    }

    fn dispatch(&mut self, event: Event<Waiter>, cx: &mut Context<'_>, now: Instant) {
        match event {
            Event::Acked { waiter, args } => waiter.resolve(Ok(args)),
            Event::AckFailed { waiter, error } => waiter.resolve(Err(error)),
            Event::AuthNeeded { slot, ticket } => self.ask_for_credentials(slot, ticket, cx, now),
            Event::Drained { .. } => {}
            event => {
                if matches!(event, Event::Close(_) | Event::Upgraded(_)) {
                    // There will be no request soon.
                    self.network.close_idle();
                }
                self.begin_or_queue(event, cx, now);
            }
        }
    }

    /// Begins what an event asks for, unless too much was begun and has not ended. The end of a connection waits for
    /// nothing.
    fn begin_or_queue(&mut self, event: Event<Waiter>, cx: &mut Context<'_>, now: Instant) {
        if matches!(event, Event::Close(_) | Event::Disconnected { .. }) {
            while let Some(event) = self.backlog.pop() {
                self.begin(event, cx, now);
            }
        } else if !self.backlog.is_empty() || self.tasks.len() >= MAX_RUNNING_HANDLERS {
            return self.backlog.push(event);
        }
        self.begin(event, cx, now);
    }

    /// Begins what has waited, as far as there is room.
    fn catch_up(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        while self.tasks.len() < MAX_RUNNING_HANDLERS
            && let Some(event) = self.backlog.pop()
        {
            self.begin(event, cx, now);
            moved = true;
        }
        moved
    }

    fn begin(&self, event: Event<Waiter>, cx: &mut Context<'_>, now: Instant) {
        log(&event);
        match event {
            Event::Emit { slot, event, reply } => {
                let Some(socket) = self.socket(slot) else { return };
                let asked = reply.map(|reply| Arc::new(Mutex::new(Some(reply))));
                let table = socket.own.table();
                table.any_tasks(&socket, &event).for_each(|task| self.run(task, cx, now));
                table.event_tasks(&socket, &event, &asked).for_each(|task| self.run(task, cx, now));
                if table.has_spent(&event) {
                    // `table` keeps what is taken away here until the lock is released.
                    socket.edit(Table::off_spent);
                }
                socket.stream(&event, &asked);
            }
            Event::Connected { slot, .. } => {
                let Some(socket) = self.socket(slot) else { return };
                socket.own.table().connect_tasks(&socket).for_each(|task| self.run(task, cx, now));
            }
            Event::ConnectError { slot, error } => {
                let Some(socket) = self.socket(slot) else { return };
                let table = socket.own.table();
                table.connect_error_tasks(&socket, &error).for_each(|task| self.run(task, cx, now));
                self.end_streams_if_resting(&socket);
            }
            Event::Disconnected { slot, reason } => {
                let Some(socket) = self.socket(slot) else { return };
                let table = socket.own.table();
                table.disconnect_tasks(&socket, reason).for_each(|task| self.run(task, cx, now));
                self.end_streams_if_resting(&socket);
            }
            Event::ReconnectFailed => {
                self.tell(&ManagerEvent::ReconnectFailed, cx, now);
                self.cell.given_up().iter().for_each(|own| own.end_streams(&self.cell.full_streams));
            }
            Event::Open => self.tell(&ManagerEvent::Open, cx, now),
            Event::Error(error) => self.tell(&ManagerEvent::Error(error), cx, now),
            Event::Close(reason) => self.tell(&ManagerEvent::Close(reason), cx, now),
            Event::ReconnectAttempt(n) => self.tell(&ManagerEvent::ReconnectAttempt(n), cx, now),
            Event::Reconnect(n) => self.tell(&ManagerEvent::Reconnect(n), cx, now),
            Event::ReconnectError(error) => self.tell(&ManagerEvent::ReconnectError(error), cx, now),
            Event::Packet(packet) => self.tell(&ManagerEvent::Packet(packet), cx, now),
            Event::Ping => self.tell(&ManagerEvent::Ping, cx, now),
            Event::Upgraded(transport) => self.tell(&ManagerEvent::Upgrade(transport), cx, now),
            Event::UpgradeFailed(error) => self.tell(&ManagerEvent::UpgradeError(error), cx, now),
            Event::AuthNeeded { .. }
            | Event::Acked { .. }
            | Event::AckFailed { .. }
            | Event::Drained { .. } => {
                unreachable!("these wait for nothing")
            }
        }
    }

    fn tell(&self, event: &ManagerEvent, cx: &mut Context<'_>, now: Instant) {
        let handlers = self.cell.handlers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        handlers.tasks(event).for_each(|task| self.run(task, cx, now));
    }

    /// Nothing more will arrive for a socket that rests, unless a handler has just connected it again.
    fn end_streams_if_resting(&self, socket: &Socket) {
        if self.cell.is_resting(socket.own.slot) {
            socket.own.end_streams(&self.cell.full_streams);
        }
    }

    fn ask_for_credentials(&mut self, slot: Slot, ticket: Ticket, cx: &mut Context<'_>, now: Instant) {
        let Some(own) = self.cell.own(slot) else { return };
        let auth = own.auth();
        let asked = async move { ClientDone::Credentials(slot, ticket, auth.credentials().await) };
        self.credentials.retain(|(other, _)| *other != slot);
        self.credentials.push((slot, Box::pin(asked)));
        self.await_credentials(cx, now);
    }

    fn await_credentials(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut done = Vec::new();
        self.credentials.retain_mut(|(_, asked)| match asked.as_mut().poll(cx) {
            Poll::Ready(credentials) => {
                done.push(credentials);
                false
            }
            Poll::Pending => true,
        });
        let moved = !done.is_empty();
        done.into_iter().for_each(|credentials| self.finish(credentials, now));
        moved
    }

    fn finish(&self, done: ClientDone, now: Instant) {
        let ClientDone::Credentials(slot, ticket, credentials) = done else { return };
        let given = self.cell.pump(|manager| {
            let error = match credentials {
                Ok(credentials) => match manager.authenticate(slot, ticket, credentials.as_ref()) {
                    Err(AuthError::Encode(error)) => error.to_string(),
                    given => return given,
                },
                Err(error) => error,
            };
            manager.fail_authentication(slot, ticket, error, now)
        });
        if let Err(error) = given {
            tracing::debug!(%error, "credentials not sent");
        }
    }

    /// Starts a task: up to its first `await` here and now, the rest as the connection goes on.
    fn run(&self, mut task: Task<Socket>, cx: &mut Context<'_>, now: Instant) {
        match task.as_mut().poll(cx) {
            Poll::Ready(done) => self.finish(done, now),
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
            cell.pump(|manager| manager.handle(input, now));
        }
        self.websockets.retain(|ws| !ws.is_done(now));
        moved
    }

    /// Drops the connections of a client whose owner is gone, once it has had its time to close them in order.
    fn lose_patience(&mut self, now: Instant) -> bool {
        let is_over = self.patience.is_some_and(|at| at <= now);
        if is_over {
            self.patience = None;
            self.cell.pump(Recorded::abandon);
            self.websockets.clear();
        }
        is_over
    }

    /// Sets the alarm to the next deadline. Returns false if that is already over.
    fn arm(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let manager = self.cell.peek(Manager::poll_timeout);
        let own = manager.into_iter().chain(self.patience);
        let next = self.websockets.iter().filter_map(Ws::deadline).chain(own).min();
        self.alarm.set(next, cx, now)
    }

    /// Hands what was written down of this client to the log: without the lock, since the log is somebody else's.
    fn write_transcript(&self) {
        if let Some(number) = self.recorded {
            transcript::log(number, self.cell.pump(Recorded::take_lines));
        }
    }

    fn socket(&self, slot: Slot) -> Option<Socket> {
        Some(Socket { cell: self.cell.clone(), own: self.cell.own(slot)? })
    }

    /// Once the owner is gone and the sockets have heard of it: drops the handlers. Returns whether nothing is left at
    /// all.
    fn is_over(&mut self, now: Instant) -> bool {
        if !self.cell.is_closed_and_told() {
            return false;
        }
        if !self.cleared {
            self.cell.clear_handlers();
            self.cleared = true;
            self.patience = Some(now + self.cell.options.close_timeout);
        }
        self.cell.peek(Manager::is_at_rest)
            && self.websockets.is_empty()
            && self.exchanges.is_empty()
            && self.tasks.is_empty()
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let span = this.span.clone();
        let _inside = span.enter();
        for _ in 0..MAX_TURNS {
            let now = this.cell.now();
            let moved = this.turn(cx, now);
            this.write_transcript();
            if moved {
                continue;
            }
            if this.is_over(now) {
                return Poll::Ready(());
            }
            let armed = this.arm(cx, now).then_some(this.alarm.at());
            // Asked again under the lock: somebody may have sent something since, or made room.
            let congested = this.congested && this.backlog.is_full();
            let is_idle = |manager: &Manager<Waiter>| {
                !manager.has_output()
                    && (!this.congested || congested || !this.cell.full_streams.is_zero())
                    && manager.poll_timeout().is_none_or(|next| armed <= Some(next))
            };
            if armed.is_some() && this.cell.sleep(cx, this.cleared, is_idle) {
                return Poll::Pending;
            }
        }
        // A server that never pauses does not starve others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.cell.end();
        self.write_transcript();
    }
}

fn ended(lane: Lane, end: End) -> Input {
    match end {
        End::Closed => Input::WsClosed(lane),
        End::Fault(TransportFault::MessageTooLarge) => Input::Failed(lane, Failure::TooLarge),
        End::Fault(_) => Input::Failed(lane, Failure::Connection),
    }
}

fn log(event: &Event<Waiter>) {
    match event {
        Event::Open => tracing::debug!("session opened"),
        Event::Error(error) => {
            tracing::debug!(%error, cause = std::error::Error::source(error), "connection failed");
        }
        Event::Close(reason) => tracing::debug!(%reason, "session closed"),
        Event::ReconnectAttempt(attempt) => tracing::debug!(attempt, "reconnecting"),
        Event::ReconnectFailed => tracing::debug!("reconnection given up"),
        Event::Upgraded(transport) => tracing::debug!(transport = transport.name(), "upgraded"),
        Event::UpgradeFailed(error) => tracing::debug!(%error, "not upgraded"),
        Event::Connected { sid, recovered, .. } => {
            tracing::debug!(socket = %sid, recovered, "socket connected")
        }
        Event::ConnectError { error, .. } => tracing::debug!(%error, "socket not connected"),
        Event::Disconnected { reason, .. } => tracing::debug!(%reason, "socket disconnected"),
        _ => {}
    }
}

/// Handlers of one client that wait for something at the same time, past which its events wait in the backlog.
const MAX_RUNNING_HANDLERS: usize = 1024;

/// Outputs taken from the core before they are carried out.
const MAX_BATCH: usize = 32;

/// Rounds before other tasks get a turn.
const MAX_TURNS: usize = 32;
