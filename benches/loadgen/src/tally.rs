//! What is counted while a scenario runs.
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::Args;
use crate::link::error;
use crate::sample::{Clock, Sample, cpu, rss_kib, waiting};
use crate::slices::Slices;

/// Messages are told apart by their number modulo this, which is more than may be in flight.
pub(crate) const RING: u64 = 64;

/// Shared by all connections of a scenario.
pub(crate) struct Tally {
    pid: u32,
    to_send: Cell<u64>,
    done: Cell<u64>,
    warm: u64,
    total: u64,
    under_way: u64,
    stopped: Cell<bool>,
    start: Cell<Option<(Sample, u64, u64)>>,
    end: Cell<Option<(Sample, u64, u64)>>,
    reads: Cell<u64>,
    /// How long this process had waited for its core when the measured part began.
    waited: Cell<f64>,
    overtaken: Cell<u64>,
    /// In nanoseconds.
    latencies: RefCell<Histogram<u32>>,
    failure: RefCell<Option<io::Error>>,
}

impl Tally {
    /// Each of the `--warm` and `--total` operations counts `weight` times; `under_way` are at the same time, so counted.
    pub(crate) fn new(args: &Args, weight: u64, under_way: usize) -> Rc<Self> {
        let (warm, total) = (args.warm * weight, args.total * weight);
        Rc::new(Self {
            pid: args.pid,
            to_send: Cell::new(warm + total),
            done: Cell::new(0),
            warm,
            total,
            under_way: under_way as u64,
            stopped: Cell::new(false),
            start: Cell::new(None),
            end: Cell::new(None),
            reads: Cell::new(0),
            waited: Cell::new(0.0),
            overtaken: Cell::new(0),
            latencies: RefCell::new(latencies()),
            failure: RefCell::new(None),
        })
    }

    /// How many operations may be begun, where that is not how many are counted.
    pub(crate) fn allow(&self, operations: u64) {
        self.to_send.set(operations);
    }

    /// Permission to begin one more operation.
    pub(crate) fn take(&self) -> bool {
        if self.stopped.get() || self.to_send.get() == 0 {
            return false;
        }
        self.to_send.set(self.to_send.get() - 1);
        true
    }

    /// One operation has completed, after all the older ones of its connection or before one of them.
    pub(crate) fn complete(&self, latency: Duration, overtook: bool) {
        let done = self.done.get() + 1;
        self.done.set(done);
        self.overtaken.set(self.overtaken.get() + u64::from(overtook));
        match self.start.get() {
            None if done == self.warm => self.begin(),
            None => {}
            Some(_) if self.end.get().is_some() => {}
            Some((_, before, _)) => {
                self.latencies.borrow_mut().saturating_record(latency.as_nanos() as u64);
                if done == before + self.total {
                    self.finish();
                }
            }
        }
    }

    /// A read from a socket that returned something.
    pub(crate) fn read(&self) {
        self.reads.set(self.reads.get() + 1);
    }

    /// What a connection's task ended with; the first failure ends the scenario.
    pub(crate) fn end(&self, result: io::Result<()>) {
        if let Err(error) = result
            && !self.stopped.replace(true)
        {
            *self.failure.borrow_mut() = Some(error);
        }
    }

    /// Waits for the end of the measured part, and says what was measured.
    pub(crate) async fn report(&self, args: &Args) -> io::Result<Value> {
        let began = Instant::now();
        let mut slices = None;
        while !self.stopped.get() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            match self.start.get() {
                None if began.elapsed().as_secs_f64() > args.warm_secs => self.begin(),
                None => {}
                Some((start, ..)) => {
                    let done = self.done.get();
                    let begin = || Slices::new(Clock::of(self.pid), self.under_way, done);
                    slices.get_or_insert_with(begin).cut(done);
                    if start.at.elapsed().as_secs_f64() > args.secs {
                        self.finish();
                    }
                }
            }
        }
        let slices = slices.as_ref().map_or(&[][..], Slices::costs);
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let (Some((start, before, reads_before)), Some((end, after, reads_after))) =
            (self.start.get(), self.end.get())
        else {
            return error("nothing was measured");
        };
        if after == before {
            return error("nothing completed");
        }
        let count = (after - before) as f64;
        let wall = (end.at - start.at).as_secs_f64();
        let waited = waiting(std::process::id()) - self.waited.get();
        let micros = |from: f64, to: f64| round((to - from) * 1e6 / count);
        let latencies = self.latencies.borrow();
        let percentile = |share: f64| round(latencies.value_at_quantile(share) as f64 / 1e3);
        Ok(json!({
            "n": after - before,
            "wall_s": round(wall),
            "per_s": round(count / wall),
            "cpu_us": micros(start.running, end.running),
            "slices_us": slices.iter().copied().map(round).collect::<Vec<_>>(),
            "cpu_user_us": micros(start.user, end.user),
            "cpu_sys_us": micros(start.system, end.system),
            "server_util": round((end.running - start.running) / wall),
            "p50_us": percentile(0.50),
            "p99_us": percentile(0.99),
            "client_waited": round(waited / wall),
            "per_client_read": round(count / (reads_after - reads_before).max(1) as f64),
            "completed": self.done.get(),
            "overtaken": self.overtaken.get(),
            "out_of_order": round(self.overtaken.get() as f64 / self.done.get().max(1) as f64),
            "rss_kib": rss_kib(self.pid),
        }))
    }

    fn begin(&self) {
        self.waited.set(waiting(std::process::id()));
        self.start.set(Some((cpu(self.pid), self.done.get(), self.reads.get())));
    }

    fn finish(&self) {
        if self.end.get().is_none() {
            self.end.set(Some((cpu(self.pid), self.done.get(), self.reads.get())));
            self.stopped.set(true);
        }
    }
}

/// Nanoseconds up to a minute, to a thousandth of each: as large after a million operations as after one.
fn latencies() -> Histogram<u32> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds of a histogram")
}

/// To four digits behind the point.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_operations_and_to_a_thousandth() {
        let mut latencies = latencies();
        (1..=1000).for_each(|micros| latencies.saturating_record(micros * 1000));
        let near = |share, micros: f64| {
            (latencies.value_at_quantile(share) as f64 / 1e3 - micros).abs() <= micros / 1e3
        };
        assert!(near(0.50, 500.0) && near(0.99, 990.0) && near(1.0, 1000.0), "{latencies:?}");
    }

    #[test]
    fn one_in_a_hundred_is_not_the_ninety_ninth_percentile_and_two_are() {
        let tail = |slow| {
            let mut latencies = latencies();
            (0..100).for_each(|i| latencies.saturating_record(if i < slow { 70_000_000 } else { 800_000 }));
            latencies.value_at_quantile(0.99) > 3 * latencies.value_at_quantile(0.50)
        };
        assert_eq!((tail(1), tail(2)), (false, true));
    }
}
