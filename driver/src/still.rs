//! For tests: a runtime on which nothing happens by itself.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::runtime::{BoxFuture, Connect, Instant, Io, Listener, Runtime, Timer};

/// Keeps what it should run. Its random numbers are real.
#[derive(Default)]
pub(crate) struct Still(Mutex<Vec<BoxFuture<()>>>);

impl Still {
    fn tasks(&self) -> MutexGuard<'_, Vec<BoxFuture<()>>> {
        self.0.lock().unwrap()
    }

    /// How many tasks have not ended.
    pub(crate) fn len(&self) -> usize {
        self.tasks().len()
    }

    /// Polls each task twice: once to wake itself, and once to see what it was woken for.
    pub(crate) fn run(&self) {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut tasks = self.tasks();
        (0..2).for_each(|_| tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending()));
    }

    /// Drops a task before its time.
    pub(crate) fn let_go(&self, at: usize) {
        drop(self.tasks().remove(at));
    }
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Still")
    }
}

impl Runtime for Still {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn timer(&self, _: Instant) -> Pin<Box<dyn Timer>> {
        unreachable!("nothing waits")
    }

    fn spawn(&self, task: BoxFuture<()>) {
        self.tasks().push(task);
    }

    fn listen(&self, _: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        unreachable!("nobody listens")
    }

    fn connect(&self, _: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
        unreachable!("nobody connects")
    }
}
