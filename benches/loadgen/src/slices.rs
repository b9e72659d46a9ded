//! The measured part in slices: what an operation cost in each.
//!
//! A neighbour on the same core of the host takes half of its speed for seconds, and gives it back for moments. What it
//! does only ever adds, so the cheapest slices are those of a quiet machine.
use std::time::{Duration, Instant};

use crate::sample::Clock;

#[derive(Debug)]
pub(crate) struct Slices {
    clock: Clock,
    /// Fewer operations are no slice.
    enough: u64,
    at: Instant,
    running: f64,
    done: u64,
    /// Microseconds of CPU time per operation.
    costs: Vec<f64>,
}

impl Slices {
    /// `under_way`: operations that may have cost something already and not have completed, or the other way round.
    pub(crate) fn new(clock: Clock, under_way: u64, done: u64) -> Self {
        let enough = (under_way * UNDER_WAY_TIMES).max(1);
        Self { clock, enough, at: Instant::now(), running: clock.now(), done, costs: Vec::new() }
    }

    /// Ends a slice that has lasted long enough, `done` operations having completed by now.
    pub(crate) fn cut(&mut self, done: u64) {
        let (now, count) = (Instant::now(), done - self.done);
        if now - self.at < LENGTH || count < self.enough {
            return;
        }
        let running = self.clock.now();
        self.costs.push((running - self.running) * 1e6 / count as f64);
        (self.at, self.running, self.done) = (now, running, done);
    }

    pub(crate) fn costs(&self) -> &[f64] {
        &self.costs
    }
}

/// Long enough that the clock's being late is next to nothing, and short enough to find a moment without a neighbour.
const LENGTH: Duration = Duration::from_millis(200);

/// And so many times what is under way, for the same reason.
const UNDER_WAY_TIMES: u64 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_has_lasted_says_what_each_operation_cost_this_process() {
        let mut slices = Slices::new(Clock::of(std::process::id()), 4, 10);
        slices.cut(1000);
        assert!(slices.costs().is_empty(), "too short");
        while slices.at.elapsed() < LENGTH {}
        slices.cut(109);
        assert!(slices.costs().is_empty(), "fewer than 25 times 4");
        slices.cut(110);
        let running = slices.costs()[0] * 100.0 / 1e6;
        assert!(running > LENGTH.as_secs_f64() / 10.0, "this thread was busy all the time: {running} s");
    }
}
