//! A table of named timers: what [`poll_timeout`](super::server::Session::poll_timeout) takes the minimum of.
//!
//! No heap, no ids and no handles to cancel: a timer is set, cleared, or due.

use core::marker::PhantomData;

use crate::Instant;

/// The names of one table's timers.
pub(crate) trait Name: Copy + 'static {
    /// Every name, each at its own index.
    const ALL: &'static [Self];

    /// The position in [`Self::ALL`].
    fn index(self) -> usize;
}

/// One optional deadline for each name. `N` is the number of names.
#[derive(Clone, Debug)]
pub(crate) struct Timers<K, const N: usize> {
    /// The far end of time is never.
    deadlines: [Instant; N],
    /// The earliest of them: asked far more often than they change.
    next: Instant,
    names: PhantomData<K>,
}

impl<K: Name, const N: usize> Timers<K, N> {
    pub(crate) const fn new() -> Self {
        Self { deadlines: [NEVER; N], next: NEVER, names: PhantomData }
    }

    /// The far end of time is never: where an endless timeout leads.
    pub(crate) fn set(&mut self, name: K, at: Instant) {
        self.deadlines[name.index()] = at;
        self.next = self.deadlines.iter().copied().min().unwrap_or(NEVER);
    }

    pub(crate) fn clear(&mut self, name: K) {
        if self.is_set(name) {
            self.set(name, NEVER);
        }
    }

    pub(crate) fn clear_all(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn is_set(&self, name: K) -> bool {
        self.deadlines[name.index()] != NEVER
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        Some(self.next).filter(|at| *at != NEVER)
    }

    /// How long until each of them is due.
    #[cfg(test)]
    pub(crate) fn remaining(&self, now: Instant) -> [Option<core::time::Duration>; N] {
        self.deadlines.map(|at| Some(at).filter(|at| *at != NEVER).map(|at| at.saturating_since(now)))
    }

    /// Clears and returns the timer that is due longest, or `None` when nothing is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<K> {
        let due = Some(self.next).filter(|at| *at <= now && *at != NEVER)?;
        let name = K::ALL.iter().copied().find(|name| self.deadlines[name.index()] == due)?;
        self.clear(name);
        Some(name)
    }
}

const NEVER: Instant = Instant::from_micros(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Two {
        First,
        Second,
    }

    impl Name for Two {
        const ALL: &'static [Self] = &[Self::First, Self::Second];

        fn index(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines_and_once() {
        let mut timers = Timers::<Two, 2>::new();
        let at = Instant::from_micros;
        timers.set(Two::First, at(20));
        timers.set(Two::Second, at(10));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(30)), Some(Two::Second));
        assert_eq!(timers.take_due(at(30)), Some(Two::First));
        assert_eq!(timers.take_due(at(30)), None);
        assert_eq!(timers.next(), None);
    }
}
