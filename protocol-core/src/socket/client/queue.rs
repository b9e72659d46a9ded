//! A queue with a bound in items and in bytes: what a socket holds back while it is not connected.

use alloc::collections::VecDeque;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most packets.
    pub max_packets: usize,
    /// Most bytes in all of them, unless it is a single one.
    pub max_bytes: usize,
}

impl Default for QueueLimits {
    /// 16,384 packets and 16 MiB, as for the outgoing queue of a session.
    fn default() -> Self {
        Self { max_packets: 16_384, max_bytes: 16 << 20 }
    }
}

/// What a queue counts.
pub(super) trait Weight {
    /// How many bytes it holds.
    fn bytes(&self) -> usize;
}

/// Items in the order of their arrival.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T: Weight> Queue<T> {
    /// Appends an item, or hands it back when the queue is full. An empty queue takes an item of any size.
    pub(super) fn push(&mut self, item: T, limits: &QueueLimits) -> Result<(), T> {
        let bytes = self.bytes + item.bytes();
        if !self.items.is_empty() && (self.items.len() >= limits.max_packets || bytes > limits.max_bytes) {
            return Err(item);
        }
        self.bytes = bytes;
        self.items.push_back(item);
        Ok(())
    }

    /// Appends an item whatever the limits: the caller bounds the number of such items.
    pub(super) fn push_unbounded(&mut self, item: T) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        if self.items.is_empty() {
            // What a bad time filled must not stay for the good ones.
            self.items = VecDeque::new();
        }
        Some(item)
    }

    /// Keeps the items that `keep` returns true for.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.retain_mut(|item| keep(item));
    }

    /// As [`retain`](Self::retain), with what goes to be taken apart.
    pub(super) fn retain_mut(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(keep);
        self.bytes = self.items.iter().map(Weight::bytes).sum();
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.items.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.items.front_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether so much has gone that it is worth telling who was refused.
    pub(super) fn has_room_again(&self, limits: &QueueLimits) -> bool {
        self.items.len() <= limits.max_packets / 2 && self.bytes <= limits.max_bytes / 2
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weight for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[test]
    fn both_limits_are_inclusive_and_hand_back_what_does_not_fit() {
        let limits = QueueLimits { max_packets: 2, max_bytes: 10 };
        let mut queue = Queue::default();
        assert_eq!(queue.push(6, &limits), Ok(()));
        assert_eq!(queue.push(5, &limits), Err(5));
        assert_eq!(queue.push(4, &limits), Ok(()));
        assert_eq!(queue.push(0, &limits), Err(0));
        assert_eq!(queue.pop(), Some(6));
        assert_eq!(queue.push(6, &limits), Ok(()));
        queue.retain(|&item| item != 4);
        assert_eq!((queue.bytes(), queue.iter().count()), (6, 1));
    }

    #[test]
    fn an_empty_queue_takes_an_item_of_any_size() {
        let limits = QueueLimits { max_packets: 0, max_bytes: 0 };
        let mut queue = Queue::default();
        assert_eq!(queue.push(1000, &limits), Ok(()));
        assert_eq!(queue.push(0, &limits), Err(0));
        queue.clear();
        assert!(queue.is_empty() && queue.pop().is_none());
    }
}
