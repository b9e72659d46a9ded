//! Times implementations of one case side by side, and counts their allocations.
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Whose an implementation is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Ours,
    Peer,
    /// It does a part of the work: a peer's step, or what no implementation can do without.
    Part,
}

/// The implementations of one case.
pub struct Case {
    name: &'static str,
    rows: Vec<(Kind, &'static str, Run)>,
}

type Run = Box<dyn FnMut(u64)>;

pub fn case(name: &'static str) -> Case {
    Case { name, rows: Vec::new() }
}

impl Case {
    pub fn row<R>(mut self, kind: Kind, who: &'static str, mut op: impl FnMut() -> R + 'static) -> Self {
        let run = move |times| (0..times).for_each(|_| drop(black_box(op())));
        self.rows.push((kind, who, Box::new(run)));
        self
    }

    pub fn ours<R>(self, what: &'static str, op: impl FnMut() -> R + 'static) -> Self {
        self.row(Kind::Ours, what, op)
    }

    pub fn peer<R>(self, who: &'static str, op: impl FnMut() -> R + 'static) -> Self {
        self.row(Kind::Peer, who, op)
    }

    pub fn part<R>(self, who: &'static str, op: impl FnMut() -> R + 'static) -> Self {
        self.row(Kind::Part, who, op)
    }

    /// Prints a line of JSON for each row: the fastest of many short samples, taken in turn. What else the machine does only
    /// ever adds, and so meets all rows alike.
    pub fn run(mut self, quick: bool) {
        let (samples, sample) =
            if quick { (5, Duration::from_millis(1)) } else { (100, Duration::from_millis(2)) };
        let times: Vec<u64> = self.rows.iter_mut().map(|(_, _, run)| calibrate(run, sample)).collect();
        let mut fastest = vec![f64::INFINITY; self.rows.len()];
        for _ in 0..samples {
            for ((row, times), fastest) in self.rows.iter_mut().zip(&times).zip(&mut fastest) {
                let start = Instant::now();
                (row.2)(*times);
                *fastest = fastest.min(start.elapsed().as_nanos() as f64 / *times as f64);
            }
        }
        for ((kind, who, run), nanos) in self.rows.iter_mut().zip(fastest) {
            const TIMES: u64 = 1000;
            let (count, bytes) = (COUNT.load(Relaxed), BYTES.load(Relaxed));
            run(TIMES);
            let each = |before: u64, after: &AtomicU64| (after.load(Relaxed) - before) as f64 / TIMES as f64;
            let (allocs, bytes) = (each(count, &COUNT), each(bytes, &BYTES));
            let (side, whole) = (if *kind == Kind::Ours { "ours" } else { "peer" }, *kind != Kind::Part);
            println!(
                "{}",
                serde_json::json!({
                    "case": self.name, "who": who, "kind": side, "whole": whole,
                    "ns": nanos, "allocs": allocs, "bytes": bytes,
                })
            );
        }
    }
}

/// How many times fill a sample.
fn calibrate(run: &mut Run, sample: Duration) -> u64 {
    let mut times = 1;
    loop {
        let start = Instant::now();
        run(times);
        if start.elapsed() > sample {
            return times;
        }
        times *= 2;
    }
}

struct Counting;
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn note(bytes: usize) {
    // One thread: plain loads and stores, which cost every row next to nothing.
    COUNT.store(COUNT.load(Relaxed) + 1, Relaxed);
    BYTES.store(BYTES.load(Relaxed) + bytes as u64, Relaxed);
}

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
