//! What is counted while a scenario runs.
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Args;
use crate::link::error;
use crate::sample::{Sample, cpu, rss_kib};

/// Messages are told apart by their number modulo this, which is more than may be in flight.
pub(crate) const RING: u64 = 64;

/// Shared by all connections of a scenario.
pub(crate) struct Tally {
    pid: u32,
    to_send: Cell<u64>,
    done: Cell<u64>,
    warm: u64,
    total: u64,
    stopped: Cell<bool>,
    start: Cell<Option<(Sample, u64, u64)>>,
    end: Cell<Option<(Sample, u64, u64)>>,
    reads: Cell<u64>,
    overtaken: Cell<u64>,
    latencies: RefCell<Vec<u32>>,
    failure: RefCell<Option<io::Error>>,
}

impl Tally {
    /// Each of the `--warm` and `--total` operations counts `weight` times.
    pub(crate) fn new(args: &Args, weight: u64) -> Rc<Self> {
        let (warm, total) = (args.warm * weight, args.total * weight);
        Rc::new(Self {
            pid: args.pid,
            to_send: Cell::new(warm + total),
            done: Cell::new(0),
            warm,
            total,
            stopped: Cell::new(false),
            start: Cell::new(None),
            end: Cell::new(None),
            reads: Cell::new(0),
            overtaken: Cell::new(0),
            latencies: RefCell::new(Vec::with_capacity(total.min(1 << 20) as usize)),
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

    /// One operation has completed.
    pub(crate) fn complete(&self, latency: Duration) {
        let done = self.done.get() + 1;
        self.done.set(done);
        match self.start.get() {
            None if done == self.warm => self.begin(),
            None => {}
            Some(_) if self.end.get().is_some() => {}
            Some((_, before, _)) => {
                self.latencies.borrow_mut().push(latency.as_nanos().min(u32::MAX.into()) as u32);
                if done == before + self.total {
                    self.finish();
                }
            }
        }
    }

    /// It has overtaken an older one of its connection.
    pub(crate) fn overtook(&self) {
        self.overtaken.set(self.overtaken.get() + 1);
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
        while !self.stopped.get() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            match self.start.get() {
                None if began.elapsed().as_secs_f64() > args.warm_secs => self.begin(),
                Some((start, ..)) if start.at.elapsed().as_secs_f64() > args.secs => self.finish(),
                _ => {}
            }
        }
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
        let micros = |from: f64, to: f64| round((to - from) * 1e6 / count);
        let mut latencies = self.latencies.borrow_mut();
        latencies.sort_unstable();
        let percentile = |share: f64| {
            let at = (latencies.len().saturating_sub(1) as f64 * share) as usize;
            round(latencies.get(at).map_or(0.0, |nanos| f64::from(*nanos) / 1e3))
        };
        Ok(json!({
            "n": after - before,
            "wall_s": round(wall),
            "per_s": round(count / wall),
            "cpu_us": micros(start.running, end.running),
            "cpu_user_us": micros(start.user, end.user),
            "cpu_sys_us": micros(start.system, end.system),
            "server_util": round((end.running - start.running) / wall),
            "p50_us": percentile(0.50),
            "p99_us": percentile(0.99),
            "per_client_read": round(count / (reads_after - reads_before).max(1) as f64),
            "completed": self.done.get(),
            "overtaken": self.overtaken.get(),
            "out_of_order": round(self.overtaken.get() as f64 / self.done.get().max(1) as f64),
            "rss_kib": rss_kib(self.pid),
        }))
    }

    fn begin(&self) {
        self.start.set(Some((cpu(self.pid), self.done.get(), self.reads.get())));
    }

    fn finish(&self) {
        if self.end.get().is_none() {
            self.end.set(Some((cpu(self.pid), self.done.get(), self.reads.get())));
            self.stopped.set(true);
        }
    }
}

/// To four digits behind the point.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
