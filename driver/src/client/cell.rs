//! A connection's state, shared by its pump, its sockets and its owner.
//!
//! As with a client of the server: the lock is held briefly, never across user code or an `await`, and whoever changes
//! something wakes the pump if it sleeps.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use socketio_core::Instant;
use socketio_core::socket::client::{ConnectError, Event, Manager, Output, Status};
use socketio_core::socket::server::Slot;
use socketio_core::socket::{Codec, Nsp};

use super::builder::Options;
use super::net::{Headers, Network};
use super::pump::Pump;
use super::socket::Own;
use super::stream::Gauge;
use crate::ack::Waiter;
use crate::dispatch::ManagerHandlers;
use crate::runtime::Runtime;
use crate::signal::Signal;
use crate::transcript::client::Recorded;

/// One connection, made and made again.
pub(crate) struct Cell {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) options: Options,
    /// The handlers of the manager's events.
    pub(crate) handlers: Mutex<Arc<ManagerHandlers>>,
    /// Raised when the pump has ended, or never began.
    pub(crate) ended: Signal,
    /// The headers of its requests.
    pub(crate) headers: Headers,
    /// How many streams of events are full.
    pub(crate) full_streams: Gauge,
    state: Mutex<State>,
}

struct State {
    manager: Recorded,
    seats: Vec<Seat>,
    /// For the pump to take when it begins.
    network: Option<Network>,
    /// The pump's, while it sleeps.
    sleeper: Option<Waker>,
    /// The owner is gone. Nothing is sent any more but goodbyes.
    closed: bool,
    /// To be raised once the lock is open: wakers are foreign code.
    raised: Vec<Arc<Signal>>,
}

/// What a socket is known to be doing, by what its handlers were or will be told.
struct Seat {
    own: Arc<Own>,
    standing: Standing,
    /// How often it could not connect.
    errors: u64,
    /// How many of these were told to somebody who waited for the socket.
    told: u64,
    last_error: Option<ConnectError>,
    /// Raised, and replaced, when any of this changes.
    changed: Arc<Signal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing happens until somebody connects it.
    Resting,
    Connecting,
    Connected,
}

/// Why a socket is not connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConnected {
    /// The attempt failed. Where [`is_active`](super::Socket::is_active), there will be another one.
    #[error(transparent)]
    Failed(#[from] ConnectError),
    /// It is not trying to: it was never connected, has been disconnected for good, or its client is gone.
    #[error("the socket is not connecting")]
    Resting,
}

/// What one who waits for a socket sees.
pub(crate) enum Glance {
    Done(Result<(), NotConnected>),
    /// Look again when this is raised.
    Wait(Arc<Signal>),
}

impl Cell {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, options: Options, network: Network) -> Self {
        let mut seed = [0; 8];
        runtime.fill_random(&mut seed);
        let headers = network.headers();
        let state = State {
            manager: Recorded::new(options.config.clone(), u64::from_le_bytes(seed), runtime.now()),
            seats: Vec::new(),
            network: Some(network),
            sleeper: None,
            closed: false,
            raised: Vec::new(),
        };
        Self {
            runtime,
            options,
            handlers: Mutex::default(),
            ended: Signal::default(),
            headers,
            full_streams: Gauge::default(),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics by design; if it did, the state machine is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    pub(crate) fn codec(&self) -> Codec {
        self.options.config.codec
    }

    /// The socket of a namespace, made if there is none.
    pub(crate) fn socket(&self, nsp: &Nsp) -> Arc<Own> {
        let mut state = self.lock();
        let slot = state.manager.socket(nsp, self.options.socket);
        if let Some(seat) = state.seats.iter().find(|seat| seat.own.slot == slot) {
            return seat.own.clone();
        }
        let own = Arc::new(Own::new(slot, nsp.clone(), self.options.auth.clone()));
        if state.closed {
            own.end(&self.full_streams);
        }
        state.seats.push(Seat::new(own.clone()));
        own
    }

    /// Changes the state and wakes the pump, unless the owner is gone.
    fn with_state<R>(&self, change: impl FnOnce(&mut State, Instant) -> R) -> Option<R> {
        let now = self.now();
        let (result, sleeper, raised) = {
            let mut state = self.lock();
            if state.closed {
                return None;
            }
            let result = change(&mut state, now);
            (result, state.sleeper.take(), std::mem::take(&mut state.raised))
        };
        raised.iter().for_each(|signal| signal.raise());
        wake(sleeper);
        Some(result)
    }

    /// Changes the manager and wakes the pump, unless the owner is gone.
    pub(crate) fn with_manager<R>(&self, change: impl FnOnce(&mut Recorded, Instant) -> R) -> Option<R> {
        self.with_state(|state, now| change(&mut state.manager, now))
    }

    /// Looks at the manager without waking anybody.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Manager<Waiter>) -> R) -> R {
        look(&self.lock().manager)
    }

    /// Changes the manager where that gives the pump nothing to do.
    pub(crate) fn pump<R>(&self, change: impl FnOnce(&mut Recorded) -> R) -> R {
        change(&mut self.lock().manager)
    }

    /// Connects a socket; or no socket, when all that is wanted is the connection.
    pub(crate) fn connect(self: &Arc<Self>, slot: Option<Slot>) {
        let network = self.with_state(|state, now| {
            match slot {
                None => state.manager.open(now),
                Some(slot) => state.manager.connect(slot, now),
            }
            state.begin();
            state.network.take()
        });
        if let Some(network) = network.flatten() {
            self.runtime.spawn(Box::pin(Pump::new(self.clone(), network)));
        }
    }

    /// Lets a socket leave.
    pub(crate) fn disconnect(&self, slot: Slot) {
        let gave_up = self.with_state(|state, now| {
            state.manager.disconnect(slot, now);
            // One that was connected hears of it with the event.
            let standing = state.seat(slot).map(|seat| (seat.standing, seat.own.clone()));
            let (_, own) = standing.filter(|(standing, _)| *standing == Standing::Connecting)?;
            state.stand(slot, Standing::Resting);
            Some(own)
        });
        if let Some(own) = gave_up.flatten() {
            own.end_streams(&self.full_streams);
            // They may have been why nothing was read.
            self.wake();
        }
    }

    /// The owner is gone: every socket leaves, the connection is closed, and who waits for something waits no more.
    pub(crate) fn close(&self) {
        let network = self.with_state(|state, now| {
            state.closed = true;
            let slots: Vec<Slot> = state.seats.iter().map(|seat| seat.own.slot).collect();
            slots.iter().for_each(|slot| state.manager.disconnect(*slot, now));
            state.manager.close(now);
            for slot in slots {
                state.manager.remove(slot);
                state.stand(slot, Standing::Resting);
            }
            state.network.take()
        });
        if network.flatten().is_some() {
            // There is no pump, and there will be none.
            self.end();
        }
    }

    /// There is no pump any more: it has done its work, or its runtime dropped it before. Nobody may wait for ever.
    pub(crate) fn end(&self) {
        self.close();
        while let Some(output) = self.pump(Recorded::poll_output) {
            fail_waiter(output);
        }
        self.clear_handlers();
        self.ended.raise();
    }

    /// Whether the owner is gone, and the pump has been told all that comes of it.
    pub(crate) fn is_closed_and_told(&self) -> bool {
        let state = self.lock();
        state.closed && !state.manager.has_output()
    }

    /// Drops all handlers, those to come included, and ends all streams.
    pub(crate) fn clear_handlers(&self) {
        let owns: Vec<_> = self.lock().seats.iter().map(|seat| seat.own.clone()).collect();
        for own in owns {
            own.end(&self.full_streams);
        }
        let handlers = std::mem::take(&mut *self.handlers.lock().unwrap_or_else(PoisonError::into_inner));
        drop(handlers);
    }

    /// Takes the next outputs, at most `max`, and notes what they say about the sockets.
    pub(crate) fn take_outputs(&self, max: usize, now: Instant, batch: &mut Vec<Output<Waiter>>) {
        let raised = {
            let mut state = self.lock();
            if state.manager.poll_timeout().is_some_and(|at| at <= now) {
                state.manager.handle_timeout(now);
            }
            while batch.len() < max
                && let Some(output) = state.manager.poll_output()
            {
                if let Output::Event(event) = &output {
                    state.note(event);
                }
                batch.push(output);
            }
            std::mem::take(&mut state.raised)
        };
        raised.iter().for_each(|signal| signal.raise());
    }

    /// Lets the pump sleep until it is woken, unless `is_idle` says there is something to do, or the owner is gone and the
    /// pump does not `know`.
    pub(crate) fn sleep(
        &self,
        cx: &Context<'_>,
        knows: bool,
        is_idle: impl FnOnce(&Manager<Waiter>) -> bool,
    ) -> bool {
        let mut state = self.lock();
        if (state.closed && !knows) || !is_idle(&state.manager) {
            return false;
        }
        state.sleeper = Some(cx.waker().clone());
        true
    }

    /// The socket in this slot.
    pub(crate) fn own(&self, slot: Slot) -> Option<Arc<Own>> {
        self.lock().seat(slot).map(|seat| seat.own.clone())
    }

    /// Whether nothing will happen to a socket until somebody connects it.
    pub(crate) fn is_resting(&self, slot: Slot) -> bool {
        self.lock().seat(slot).is_none_or(|seat| seat.standing == Standing::Resting)
    }

    /// The sockets that wanted a connection which is not being made any more.
    pub(crate) fn given_up(&self) -> Vec<Arc<Own>> {
        let state = self.lock();
        let rests =
            |seat: &&Seat| seat.standing == Standing::Resting && state.manager.is_active(seat.own.slot);
        state.seats.iter().filter(rests).map(|seat| seat.own.clone()).collect()
    }

    /// What one sees who waits for a socket. `seen` is what was seen before.
    pub(crate) fn glance(&self, slot: Slot, seen: &mut Option<u64>) -> Glance {
        let mut state = self.lock();
        let Some(seat) = state.seat(slot) else { return Glance::Done(Err(NotConnected::Resting)) };
        let before = *seen.get_or_insert(seat.told);
        if seat.standing == Standing::Connected {
            return Glance::Done(Ok(()));
        }
        if let Some(error) = &seat.last_error
            && seat.errors > before
        {
            seat.told = seat.errors;
            return Glance::Done(Err(error.clone().into()));
        }
        match seat.standing {
            Standing::Resting => Glance::Done(Err(NotConnected::Resting)),
            _ => Glance::Wait(seat.changed.clone()),
        }
    }

    /// What to wait for until a socket takes events again that has refused one; nothing if it takes them.
    pub(crate) fn starvation(&self, slot: Slot) -> Option<Arc<Signal>> {
        let mut state = self.lock();
        if state.closed || !state.manager.is_starved(slot) {
            return None;
        }
        state.seat(slot).map(|seat| seat.changed.clone())
    }

    /// Lets the pump look again.
    pub(crate) fn wake(&self) {
        let sleeper = self.lock().sleeper.take();
        wake(sleeper);
    }

    /// Whether the connection is not to be read from: there are events that nobody takes. It is read all the same while
    /// it is being made, since there are no events in that.
    pub(crate) fn is_congested(&self, backlog_is_full: bool) -> bool {
        (backlog_is_full || !self.full_streams.is_zero()) && self.peek(Manager::status) == Status::Open
    }
}

impl State {
    fn seat(&mut self, slot: Slot) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.own.slot == slot)
    }

    fn stand(&mut self, slot: Slot, standing: Standing) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.own.slot == slot) {
            seat.standing = standing;
            self.raised.push(std::mem::take(&mut seat.changed));
        }
    }

    /// The connection is being made, or a socket connected on it: whoever is active and rested does not any more.
    fn begin(&mut self) {
        let rests =
            |seat: &&Seat| seat.standing == Standing::Resting && self.manager.is_active(seat.own.slot);
        let slots: Vec<Slot> = self.seats.iter().filter(rests).map(|seat| seat.own.slot).collect();
        for slot in slots {
            if let Some(seat) = self.seat(slot) {
                // Who asks from now on asks about this attempt. If that has failed already, the event is on its way.
                seat.told = seat.errors;
            }
            self.stand(slot, Standing::Connecting);
        }
    }

    fn note(&mut self, event: &Event<Waiter>) {
        match event {
            Event::Connected { slot, .. } => {
                if let Some(seat) = self.seat(*slot) {
                    seat.told = seat.errors;
                }
                self.stand(*slot, Standing::Connected);
            }
            Event::ConnectError { slot, error } => {
                if let Some(seat) = self.seat(*slot) {
                    seat.errors += 1;
                    seat.last_error = Some(error.clone());
                }
                self.stand(*slot, self.hope(*slot));
            }
            Event::Disconnected { slot, .. } => self.stand(*slot, self.hope(*slot)),
            Event::Drained { slot } => {
                if let Some(seat) = self.seat(*slot) {
                    let standing = seat.standing;
                    self.stand(*slot, standing);
                }
            }
            Event::ReconnectFailed => {
                let slots: Vec<Slot> = self.seats.iter().map(|seat| seat.own.slot).collect();
                slots.into_iter().for_each(|slot| self.stand(slot, Standing::Resting));
            }
            _ => {}
        }
    }

    /// What a socket is doing that is not connected.
    fn hope(&self, slot: Slot) -> Standing {
        if self.manager.is_active(slot) && self.manager.status() != Status::Stopped {
            Standing::Connecting
        } else {
            Standing::Resting
        }
    }
}

impl Seat {
    fn new(own: Arc<Own>) -> Self {
        Self {
            own,
            standing: Standing::Resting,
            errors: 0,
            told: 0,
            last_error: None,
            changed: Arc::default(),
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("status", &self.peek(Manager::status)).finish_non_exhaustive()
    }
}

/// Tells who waits for an acknowledgement that it will not come.
fn fail_waiter(output: Output<Waiter>) {
    if let Output::Event(Event::AckFailed { waiter, error }) = output {
        waiter.resolve(Err(error));
    }
}

fn wake(sleeper: Option<Waker>) {
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
}
