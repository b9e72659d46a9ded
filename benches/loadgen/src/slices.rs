//! The measured part in slices: what an operation cost in each.
//!
//! A neighbour on the same core of the host takes half of its speed for seconds, and gives it back for moments. What it
//! does only ever adds, so the cheapest slices are those of a quiet machine.
use std::time::{Duration, Instant};

use crate::sample::Clock;

#[derive(Debug)]
pub(crate) struct Slices {
    clock: Clock,
    at: Instant,
    running: f64,
    done: u64,
    /// Microseconds of CPU time per operation.
    costs: Vec<f64>,
}

impl Slices {
    pub(crate) fn new(clock: Clock, done: u64) -> Self {
        Self { clock, at: Instant::now(), running: clock.now(), done, costs: Vec::new() }
    }

    /// Ends a slice that has lasted long enough, `done` operations having completed by now.
    pub(crate) fn cut(&mut self, done: u64) {
        let now = Instant::now();
        if now - self.at < LENGTH {
            return;
        }
        let running = self.clock.now();
        if done > self.done {
            self.costs.push((running - self.running) * 1e6 / (done - self.done) as f64);
        }
        (self.at, self.running, self.done) = (now, running, done);
    }

    pub(crate) fn costs(&self) -> &[f64] {
        &self.costs
    }
}

/// Long enough that what is in flight at its ends is next to nothing.
const LENGTH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_has_lasted_says_what_each_operation_cost_this_process() {
        let mut slices = Slices::new(Clock::of(std::process::id()), 10);
        slices.cut(1000);
        assert!(slices.costs().is_empty(), "too short");
        while slices.costs().is_empty() {
            slices.cut(1010);
        }
        let running = slices.costs()[0] * 1000.0 / 1e6;
        assert!(running > LENGTH.as_secs_f64() / 10.0, "this thread was busy all the time: {running} s");
        while slices.at.elapsed() < LENGTH {}
        slices.cut(1010);
        assert_eq!(slices.costs().len(), 1, "nothing was done");
    }
}
