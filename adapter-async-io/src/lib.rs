//! Time and sockets for runtimes that are built on [`async-io`](async_io): what async-std and smol have in common, which
//! is everything but how a task is spawned.
//!
//! A [`Runtime`](socketio_driver::runtime::Runtime) of another executor on async-io is made of these functions, one for
//! the method of the same name, and a `spawn` of its own:
//!
//! ```
//! use std::{io, net::SocketAddr, pin::Pin, time::Duration};
//! use socketio_driver::runtime::{BoxFuture, Connect, Instant, Io, Listener, Runtime, Timer};
//!
//! #[derive(Debug)]
//! struct Threads;
//!
//! impl Runtime for Threads {
//!     fn spawn(&self, task: BoxFuture<()>) {
//!         std::thread::spawn(|| async_io::block_on(task));
//!     }
//!
//!     fn now(&self) -> Instant {
//!         socketio_async_io::now()
//!     }
//!
//!     fn unix_time(&self) -> Duration {
//!         socketio_async_io::unix_time()
//!     }
//!
//!     fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
//!         socketio_async_io::timer(at)
//!     }
//!
//!     fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
//!         socketio_async_io::listen(at)
//!     }
//!
//!     fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
//!         socketio_async_io::connect(to)
//!     }
//! }
//! ```
//!
//! async-io runs its reactor on a thread of its own where nobody else does: nothing needs to be started first.

#![forbid(unsafe_code)]

mod clock;
mod tcp;

pub use clock::{now, timer, unix_time};
pub use tcp::{connect, listen};
