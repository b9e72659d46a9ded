//! The state of a simulation: its clock, what is going to happen, and the network. One lock around all of it.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use socketio_core::Instant;

use super::executor::Queue;
use super::net::{ConnId, NetState, Side};
use super::random::Random;
use super::transcript::Transcript;

/// What the simulation, its runtime and its sockets share.
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) queue: Arc<Queue>,
    world: Mutex<World>,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, queue: Arc::default(), world: Mutex::new(World::new(seed)) }
    }

    /// Runs `f` under the lock, and afterwards, without it, wakes whom `f` found must be woken: a waker is foreign code
    /// and may come back here.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        // Poisoned means that a test is failing already; its sockets are still to be dropped and its transcript printed.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut world);
        let wakes = mem::take(&mut world.wakes);
        let stale = mem::take(&mut world.stale);
        drop(world);
        drop(stale);
        wakes.into_iter().for_each(Waker::wake);
        result
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulation {}", self.seed)
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) net: NetState,
    /// What the runtime hands out.
    pub(super) random: Random,
    /// What the network throws.
    pub(super) dice: Random,
    pub(super) transcript: Transcript,
    events: BTreeMap<EventKey, Event>,
    next_event: u64,
    /// Woken once the lock is open.
    pub(super) wakes: Vec<Waker>,
    /// Dropped once the lock is open.
    pub(super) stale: Vec<Waker>,
}

/// Events of one instant happen in the order in which they were scheduled.
pub(super) type EventKey = (Instant, u64);

#[derive(Debug)]
pub(super) enum Event {
    /// A timer fires.
    Wake(Waker),
    /// Something has arrived at this side of a connection.
    Arrive(ConnId, Side),
    /// The answer to bytes that this side sent to a socket which is gone.
    Reset(ConnId, Side),
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            net: NetState::default(),
            random: Random::new(seed, 1),
            dice: Random::new(seed, 2),
            transcript: Transcript::default(),
            events: BTreeMap::new(),
            next_event: 0,
            wakes: Vec::new(),
            stale: Vec::new(),
        }
    }

    pub(super) fn log(&mut self, line: impl Display) {
        self.transcript.push(self.now, line);
    }

    /// `None` when `at` is never.
    pub(super) fn schedule(&mut self, at: Instant, event: Event) -> Option<EventKey> {
        if at == NEVER {
            return None;
        }
        let key = (at.max(self.now), self.next_event);
        self.next_event += 1;
        self.events.insert(key, event);
        Some(key)
    }

    pub(super) fn cancel(&mut self, key: EventKey) {
        if let Some(Event::Wake(waker)) = self.events.remove(&key) {
            self.stale.push(waker);
        }
    }

    /// Goes to the next instant at which something happens, and lets all of it happen. False when nothing ever will.
    pub(super) fn advance(&mut self) -> bool {
        let Some((&(at, _), _)) = self.events.first_key_value() else { return false };
        self.now = at;
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 == at
        {
            match entry.remove() {
                Event::Wake(waker) => self.wakes.push(waker),
                Event::Arrive(conn, side) => self.arrive(conn, side),
                Event::Reset(conn, side) => self.reset(conn, side),
            }
        }
        true
    }
}

/// Puts `waker` into `slot`, and what was there aside.
pub(super) fn store(waker: &Waker, slot: &mut Option<Waker>, stale: &mut Vec<Waker>) {
    if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
        stale.extend(slot.replace(waker.clone()));
    }
}

/// The far end of time, where saturating arithmetic ends up.
pub(super) const NEVER: Instant = Instant::from_micros(u64::MAX);
