//! When what is due: one deadline for each of many things.

use std::collections::{BTreeMap, BTreeSet};

use socketio_core::Instant;

/// Deadlines by key. Setting one and finding the earliest cost the logarithm of their number.
#[derive(Debug)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Clone + Ord> Deadlines<K> {
    /// Sets the deadline of `key`, or takes it away.
    pub fn set(&mut self, key: &K, at: Option<Instant>) {
        let previous = self.by_key.get(key).copied();
        if previous == at {
            return;
        }
        if let Some(previous) = previous {
            self.by_time.remove(&(previous, key.clone()));
            self.by_key.remove(key);
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out what is due at `now`, the earliest first.
    pub fn take_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_deadline() {
        let at = |second: u64| Instant::from_micros(second * 1_000_000);
        let mut deadlines = Deadlines::default();
        deadlines.set(&'a', Some(at(9)));
        deadlines.set(&'b', Some(at(2)));
        deadlines.set(&'a', Some(at(1)));
        deadlines.set(&'c', Some(at(3)));
        deadlines.set(&'c', None);
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.take_due(at(0)), None);
        assert_eq!(deadlines.take_due(at(5)), Some('a'));
        assert_eq!(deadlines.take_due(at(5)), Some('b'));
        assert_eq!(deadlines.take_due(at(5)), None);
        assert!(deadlines.by_key.is_empty() && deadlines.by_time.is_empty());
    }
}
