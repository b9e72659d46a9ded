//! What wakes a task when nobody else does.

use std::pin::Pin;
use std::task::Context;

use socketio_core::Instant;

use crate::runtime::{Runtime, Timer};

/// The one timer of a task, which is reset as seldom as can be. The task is always polled with the same waker.
pub(crate) struct Alarm {
    timer: Pin<Box<dyn Timer>>,
    /// What the timer is set to.
    at: Instant,
}

impl Alarm {
    pub(crate) fn new(runtime: &dyn Runtime, now: Instant) -> Self {
        Self { timer: runtime.timer(now), at: now }
    }

    /// Sees to it that the task is woken by `next`. Returns false if that is already over.
    pub(crate) fn set(&mut self, next: Option<Instant>, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(next) = next else {
            // Nothing is covered: the first deadline that comes up is earlier.
            self.at = Instant::from_micros(u64::MAX);
            return true;
        };
        if next <= now {
            return false;
        }
        // A timer that is set too early is cheaper than one that is reset with every heartbeat: it looks, and goes
        // back to sleep. Polled once, it wakes this task, whose waker does not change.
        if next < self.at || self.at <= now {
            self.timer.as_mut().reset(next);
            self.at = next;
            return self.timer.as_mut().poll(cx).is_pending();
        }
        true
    }

    /// No deadline before this one is missed.
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::sim::Sim;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn only_an_earlier_deadline_moves_the_timer() {
        let mut sim = Sim::new(1);
        let rt = sim.runtime();
        sim.block_on(poll_fn(|cx| {
            let now = rt.now();
            let mut alarm = Alarm::new(&*rt, now);
            let mut set = |next| (alarm.set(next, cx, now), alarm.at());
            assert_eq!(set(Some(at(10))), (true, at(10)));
            assert_eq!(set(Some(at(40))), (true, at(10)));
            assert_eq!(set(Some(at(5))), (true, at(5)));
            assert_eq!(set(Some(now)), (false, at(5)), "that is over already");
            assert_eq!(set(None), (true, Instant::from_micros(u64::MAX)));
            assert_eq!(set(Some(at(7))), (true, at(7)));
            Poll::Ready(())
        }));
    }

    #[test]
    fn a_task_that_was_woken_early_is_woken_again() {
        let mut sim = Sim::new(1);
        let rt = sim.runtime();
        let mut alarm = Alarm::new(&*rt, rt.now());
        let mut woken = Vec::new();
        sim.block_on(poll_fn(|cx| {
            let now = rt.now();
            woken.push(now);
            // The deadline of the first time is off by the second.
            let next = if now < at(10) { [Some(at(10)), Some(at(40))] } else { [Some(at(40)); 2] };
            if now >= at(40) {
                return Poll::Ready(());
            }
            assert!(next.into_iter().all(|next| alarm.set(next, cx, now)));
            Poll::Pending
        }));
        assert_eq!(woken, [at(0), at(10), at(40)]);
    }
}
