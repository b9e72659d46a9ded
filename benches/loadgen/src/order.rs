//! Who overtakes whom on one connection.
use std::collections::VecDeque;

use crate::tally::RING;

/// What is under way on a connection, oldest first: the number of each message, and something to know when it is answered.
#[derive(Debug)]
pub(crate) struct Awaited<T>(VecDeque<(u64, T)>);

/// An answer that was awaited.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered<T> {
    pub(crate) what: T,
    /// An older message is still not answered.
    pub(crate) overtook: bool,
}

impl<T> Awaited<T> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A message is on its way. No other under way has its number.
    pub(crate) fn sent(&mut self, number: u64, what: T) {
        self.0.push_back((number, what));
    }

    /// `None` when this message is not awaited: never sent, or answered already.
    pub(crate) fn answered(&mut self, number: u64) -> Option<Answered<T>> {
        let place = self.0.iter().position(|(awaited, _)| *awaited == number)?;
        let (_, what) = self.0.remove(place)?;
        Some(Answered { what, overtook: place > 0 })
    }
}

/// Deliveries on a connection that gets every message, numbered from 0 on, modulo [`RING`].
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// The oldest that has not come.
    next: u64,
    /// What came before it.
    early: Vec<u64>,
}

impl Deliveries {
    /// Whether this delivery overtook an older one; `None` when it came already.
    pub(crate) fn delivered(&mut self, number: u64) -> Option<bool> {
        let ahead = (number + RING - self.next) % RING;
        if ahead >= RING / 2 || self.early.contains(&number) {
            return None;
        }
        if ahead > 0 {
            self.early.push(number);
            return Some(true);
        }
        self.next = (self.next + 1) % RING;
        while let Some(place) = self.early.iter().position(|early| *early == self.next) {
            self.early.swap_remove(place);
            self.next = (self.next + 1) % RING;
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_overtakes_while_an_older_one_is_missing() {
        let mut awaited = Awaited::new();
        (7..10).for_each(|number| awaited.sent(number, number));
        let mut overtook = |number| awaited.answered(number).map(|answered| answered.overtook);
        assert_eq!(overtook(8), Some(true));
        assert_eq!(overtook(7), Some(false));
        assert_eq!(overtook(9), Some(false));
    }

    #[test]
    fn an_answer_comes_once_and_to_what_was_sent() {
        let mut awaited = Awaited::new();
        awaited.sent(1, "one");
        assert_eq!(awaited.answered(2), None);
        assert_eq!(awaited.answered(1), Some(Answered { what: "one", overtook: false }));
        assert_eq!(awaited.answered(1), None);
        assert!(awaited.is_empty());
    }

    #[test]
    fn deliveries_in_their_order_overtake_nothing_however_many() {
        let mut deliveries = Deliveries::default();
        assert!((0..5 * RING).all(|number| deliveries.delivered(number % RING) == Some(false)));
    }

    #[test]
    fn a_delivery_overtakes_while_an_older_one_is_missing() {
        let mut deliveries = Deliveries::default();
        let first = RING - 2;
        (0..first).for_each(|number| assert_eq!(deliveries.delivered(number), Some(false)));
        let order = [first + 1, first + 3, first, first + 2, first + 4];
        let overtook: Vec<_> = order.iter().map(|number| deliveries.delivered(number % RING)).collect();
        assert_eq!(overtook, [Some(true), Some(true), Some(false), Some(false), Some(false)]);
    }

    #[test]
    fn a_delivery_comes_once() {
        let mut deliveries = Deliveries::default();
        assert_eq!(deliveries.delivered(0), Some(false));
        assert_eq!(deliveries.delivered(0), None);
        assert_eq!(deliveries.delivered(2), Some(true));
        assert_eq!(deliveries.delivered(2), None);
    }
}
