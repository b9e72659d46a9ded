//! The driver's view of async-std: its tasks, and the clock, timers and TCP of async-io below it. No protocol.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use socketio_driver::runtime::{BoxFuture, Connect, Instant, Io, Listener, Runtime, Timer};

/// The async-std runtime of this process.
///
/// It starts by itself and is usable from any thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Runtime for AsyncStd {
    fn spawn(&self, task: BoxFuture<()>) {
        // Detached: the driver ends its tasks by messages, not by handles.
        drop(async_std::task::spawn(task));
    }

    fn now(&self) -> Instant {
        socketio_async_io::now()
    }

    fn unix_time(&self) -> Duration {
        socketio_async_io::unix_time()
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        socketio_async_io::timer(at)
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        socketio_async_io::listen(at)
    }

    fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
        socketio_async_io::connect(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spawned_task_runs() {
        let (done, told) = std::sync::mpsc::channel();
        AsyncStd.spawn(Box::pin(async move { done.send(()).unwrap() }));
        told.recv().unwrap();
    }
}
