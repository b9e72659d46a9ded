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
    deadlines: [Option<Instant>; N],
    names: PhantomData<K>,
}

impl<K: Name, const N: usize> Timers<K, N> {
    pub(crate) const fn new() -> Self {
        Self { deadlines: [None; N], names: PhantomData }
    }

    /// The far end of time is never: where an endless timeout leads.
    pub(crate) fn set(&mut self, name: K, at: Instant) {
        self.deadlines[name.index()] = Some(at).filter(|at| *at < Instant::from_micros(u64::MAX));
    }

    pub(crate) fn clear(&mut self, name: K) {
        self.deadlines[name.index()] = None;
    }

    pub(crate) fn clear_all(&mut self) {
        self.deadlines = [None; N];
    }

    pub(crate) fn is_set(&self, name: K) -> bool {
        self.deadlines[name.index()].is_some()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// How long until each of them is due.
    #[cfg(test)]
    pub(crate) fn remaining(&self, now: Instant) -> [Option<core::time::Duration>; N] {
        self.deadlines.map(|at| Some(at?.saturating_since(now)))
    }

    /// Clears and returns the timer that is due longest, or `None` when nothing is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<K> {
        let due = K::ALL
            .iter()
            .copied()
            .filter_map(|name| Some((self.deadlines[name.index()]?, name)))
            .filter(|(at, _)| *at <= now)
            .min_by_key(|(at, _)| *at)?;
        self.clear(due.1);
        Some(due.1)
    }
}

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
