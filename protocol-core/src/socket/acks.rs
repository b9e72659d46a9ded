//! Acknowledgements that are waited for: who waits, and until when.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::time::earliest;
use crate::{AckId, Instant};

/// Why an acknowledgement did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// The timeout is over.
    #[error("operation has timed out")]
    TimedOut,
    /// The socket left its namespace first.
    #[error("socket has been disconnected")]
    Disconnected,
}

/// The waiters of one socket, by ack id. `W` is whatever the layer above wants back.
#[derive(Debug)]
pub(crate) struct Acks<W> {
    pending: BTreeMap<AckId, Pending<W>>,
    /// No later than the earliest deadline: an answered ack may leave it too early, never too late.
    next_deadline: Option<Instant>,
}

#[derive(Debug)]
struct Pending<W> {
    waiter: W,
    deadline: Option<Instant>,
}

impl<W> Default for Acks<W> {
    fn default() -> Self {
        Self { pending: BTreeMap::new(), next_deadline: None }
    }
}

impl<W> Acks<W> {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Waits for `id` until `deadline`. Returns the waiter that had the same id, if any.
    pub(crate) fn insert(&mut self, id: AckId, waiter: W, deadline: Option<Instant>) -> Option<W> {
        self.next_deadline = earliest(self.next_deadline, deadline);
        self.pending.insert(id, Pending { waiter, deadline }).map(|pending| pending.waiter)
    }

    /// The waiter for `id`.
    pub(crate) fn get(&self, id: AckId) -> Option<&W> {
        self.pending.get(&id).map(|pending| &pending.waiter)
    }

    /// The waiter for `id`, once.
    pub(crate) fn take(&mut self, id: AckId) -> Option<W> {
        Some(self.pending.remove(&id)?.waiter)
    }

    /// Every waiter whose deadline is due, in the order of their ids.
    pub(crate) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = (AckId, W)> {
        let mut due = Vec::new();
        if self.next_deadline.is_some_and(|deadline| deadline <= now) {
            let is_due = |pending: &Pending<W>| pending.deadline.is_some_and(|deadline| deadline <= now);
            let ids: Vec<AckId> =
                self.pending.iter().filter(|(_, pending)| is_due(pending)).map(|(id, _)| *id).collect();
            due = ids.into_iter().filter_map(|id| Some((id, self.take(id)?))).collect();
            self.next_deadline = self.pending.values().filter_map(|pending| pending.deadline).min();
        }
        due.into_iter()
    }

    /// Every waiter whose id is below `end`, in the order of their ids.
    pub(crate) fn take_before(&mut self, end: AckId) -> impl Iterator<Item = W> {
        let rest = self.pending.split_off(&end);
        self.next_deadline = rest.values().filter_map(|pending| pending.deadline).min();
        core::mem::replace(&mut self.pending, rest).into_values().map(|pending| pending.waiter)
    }

    /// Every waiter, in the order of their ids.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = W> {
        self.next_deadline = None;
        core::mem::take(&mut self.pending).into_values().map(|pending| pending.waiter)
    }

    /// When [`take_due`](Self::take_due) wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn at(micros: u64) -> Option<Instant> {
        Some(Instant::from_micros(micros))
    }

    #[test]
    fn a_waiter_is_handed_back_once() {
        let mut acks = Acks::default();
        assert_eq!(acks.insert(AckId(7), "a", None), None);
        assert_eq!(acks.take(AckId(8)), None);
        assert_eq!(acks.take(AckId(7)), Some("a"));
        assert_eq!(acks.take(AckId(7)), None);
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn the_deadline_moves_on_past_what_is_due() {
        let mut acks = Acks::default();
        acks.insert(AckId(1), "late", at(30));
        acks.insert(AckId(2), "early", at(10));
        acks.insert(AckId(3), "never", None);
        assert_eq!(acks.next_deadline(), at(10));
        assert_eq!(acks.take_due(Instant::from_micros(9)).count(), 0);
        assert_eq!(acks.take_due(Instant::from_micros(10)).collect::<Vec<_>>(), vec![(AckId(2), "early")]);
        assert_eq!(acks.next_deadline(), at(30));
        assert_eq!(acks.take_all().collect::<Vec<_>>(), vec!["late", "never"]);
        assert_eq!(acks.next_deadline(), None);
    }

    #[test]
    fn waiters_before_an_id_are_taken_and_the_others_keep_their_deadlines() {
        let mut acks = Acks::default();
        for id in 1..=4 {
            acks.insert(AckId(id), id, at(id * 10));
        }
        assert_eq!(acks.take_before(AckId(3)).collect::<Vec<_>>(), vec![1, 2]);
        assert_eq!(acks.take_due(Instant::from_micros(35)).collect::<Vec<_>>(), vec![(AckId(3), 3)]);
        assert_eq!(acks.next_deadline(), at(40));
    }

    #[test]
    fn an_answered_ack_may_leave_its_deadline_but_not_a_second_time() {
        let mut acks = Acks::default();
        acks.insert(AckId(1), "answered", at(10));
        acks.insert(AckId(2), "waiting", at(20));
        assert_eq!(acks.take(AckId(1)), Some("answered"));
        assert_eq!(acks.take_due(Instant::from_micros(10)).count(), 0);
        assert_eq!(acks.next_deadline(), at(20));
    }
}
