//! A third runtime: virtual time, sockets in memory, and one seed from which everything follows.
//!
//! [`Sim`] runs tasks on the calling thread. Time stands still while any task can run and then jumps to the next timer
//! or arrival, so an hour of heartbeats takes milliseconds and nothing ever waits for a clock. Which of several ready
//! tasks runs first, how reads are cut up ([`Link::ragged`]) and what [`Runtime::fill_random`] gives are drawn from the
//! seed: the same seed gives the same run, another seed another interleaving.
//!
//! It fails, with the seed and the transcript, when a task panics, when no task can run and nothing is going to happen,
//! when time stands still for a million polls, and when a future is not done after a day.
//!
//! It knows nothing of HTTP or of any packet, does not model the cost of computing, and does not support waking from
//! other threads.
//!
//! ```
//! use std::time::Duration;
//! use socketio_driver::runtime::Runtime;
//! use socketio_tests::sim::Sim;
//!
//! let mut sim = Sim::new(1);
//! let rt = sim.runtime();
//! sim.block_on(async {
//!     rt.timer(rt.now() + Duration::from_secs(3600)).await;
//! });
//! assert_eq!(sim.runtime().now().as_micros(), 3_600_000_000);
//! ```

mod executor;
mod net;
mod random;
mod socket;
mod timer;
mod transcript;
mod world;

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use socketio_core::Instant;
use socketio_driver::runtime::{BoxFuture, Connect, Io, Listener, Runtime, Timer};

use executor::Executor;
pub use net::{Connection, Link, Net, Reach, Side};
use timer::SimTimer;
use world::Shared;

/// A simulation: the executor, the clock and the network of one test.
pub struct Sim {
    shared: Arc<Shared>,
    executor: Executor,
    limit: Duration,
}

impl Sim {
    /// A simulation in which everything left to chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let shared = Arc::new(Shared::new(seed));
        let executor = Executor::new(Arc::clone(&shared.queue), seed);
        Self { shared, executor, limit: DAY }
    }

    /// The runtime to give to the code under test.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime { shared: Arc::clone(&self.shared) })
    }

    /// The network, to misbehave with. Usable inside [`block_on`](Self::block_on) too.
    pub fn net(&self) -> Net {
        Net::new(Arc::clone(&self.shared))
    }

    /// Sets for how much virtual time one [`block_on`](Self::block_on) may go on; a day unless set.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Runs `main`, and all that is spawned, until `main` is done. What was spawned stays, and goes on in the next call.
    ///
    /// # Panics
    /// When `main` or a task panics, when `main` cannot go on because nothing is going to happen any more, when a
    /// million polls have not made time pass, and when the limit is reached. The transcript is printed then.
    pub fn block_on<F: Future>(&mut self, main: F) -> F::Output {
        let mut main = pin!(main);
        let mut output = None;
        let _on_panic = Report(Arc::clone(&self.shared));
        let start = self.now();
        self.executor.wake_main();
        let mut polls = 0;
        loop {
            let ran = self.executor.run_one(|cx| {
                if let Poll::Ready(value) = main.as_mut().poll(cx) {
                    output = Some(value);
                }
            });
            if let Some(output) = output.take() {
                return output;
            }
            if let Some(task) = ran {
                self.shared.with(|world| world.transcript.mix(task));
                polls += 1;
                assert!(polls < POLLS, "livelock: {POLLS} polls at {:?}", self.now());
                continue;
            }
            let before = self.now();
            let tasks = self.executor.tasks();
            assert!(
                self.shared.with(world::World::advance),
                "deadlock at {before:?}: no task can run and nothing is going to happen; {tasks} tasks wait"
            );
            let passed = self.now().saturating_since(start);
            assert!(passed <= self.limit, "not done after {:?} of virtual time", self.limit);
            if self.now() > before {
                polls = 0;
            }
        }
    }

    /// Lets what was spawned run until `at`.
    ///
    /// # Panics
    /// As [`block_on`](Self::block_on).
    pub fn run_until(&mut self, at: Instant) {
        let timer = SimTimer::new(Arc::clone(&self.shared), at);
        self.block_on(timer);
    }

    /// Lets what was spawned run for `duration`.
    ///
    /// # Panics
    /// As [`block_on`](Self::block_on).
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now() + duration);
    }

    /// The virtual time. It begins at [`Instant::ZERO`].
    pub fn now(&self) -> Instant {
        self.shared.with(|world| world.now)
    }

    /// How many spawned tasks have not ended: what leaks is still here when all clients are gone.
    pub fn tasks(&self) -> usize {
        self.executor.tasks()
    }

    /// Writes a line into the transcript.
    pub fn log(&self, line: impl Display) {
        self.shared.with(|world| world.log(line));
    }

    /// What happened, a line each; the oldest are gone when it was much.
    pub fn transcript(&self) -> String {
        self.shared.with(|world| world.transcript.tail(usize::MAX))
    }

    /// A hash of everything that happened, the order of the tasks included. Equal for equal seeds.
    pub fn fingerprint(&self) -> u64 {
        self.shared.with(|world| world.transcript.fingerprint())
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.shared.seed)
            .field("now", &self.now())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Tasks hold the runtime, and the runtime holds what is spawned.
        self.executor.clear();
    }
}

/// Prints what led to a failure.
struct Report(Arc<Shared>);

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (now, tail) = self.0.with(|world| (world.now, world.transcript.tail(REPORTED_LINES)));
            let seed = self.0.seed;
            eprintln!("\n{tail}simulation failed at {now:?} with seed {seed}; SIM_SEED={seed} repeats it");
        }
    }
}

#[derive(Clone, Debug)]
struct SimRuntime {
    shared: Arc<Shared>,
}

impl Runtime for SimRuntime {
    fn now(&self) -> Instant {
        self.shared.with(|world| world.now)
    }

    fn unix_time(&self) -> Duration {
        UNIX_START + self.now().saturating_since(Instant::ZERO)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.shared.with(|world| world.random.fill(buffer));
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(SimTimer::new(Arc::clone(&self.shared), at))
    }

    fn spawn(&self, task: BoxFuture<()>) {
        self.shared.queue.spawn(task);
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { net::listen(shared, at) })
    }

    fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { net::connect(shared, to).await })
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// No test has that many tasks to poll at one instant.
const POLLS: u32 = 1_000_000;

const REPORTED_LINES: usize = 200;

/// The first of January 2026.
const UNIX_START: Duration = Duration::from_secs(1_767_225_600);
