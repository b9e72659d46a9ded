//! What the driver needs from an async runtime: time, tasks, sockets and randomness.
//!
//! An adapter crate is one implementation of [`Runtime`] and nothing more. The traits are held as objects
//! (`Arc<dyn Runtime>`), so no user-visible type is generic over the runtime; the boxes are paid per connection, never
//! per message.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use socketio_core::Instant;

/// A boxed future that can be spawned.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An async runtime.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// The current time of a monotonic clock. The epoch is the runtime's own.
    fn now(&self) -> Instant;

    /// Time since the Unix epoch, for what people read (`handshake.time`). May jump.
    fn unix_time(&self) -> Duration;

    /// Fills `buffer` from a cryptographically secure generator. Session ids are made of it.
    fn fill_random(&self, buffer: &mut [u8]) {
        // Without randomness every session id is guessable: there is nothing sensible left to do.
        getrandom::fill(buffer).expect("the operating system has no random generator");
    }

    /// A timer that fires at `at`. The driver holds one per connection and resets it.
    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>>;

    /// Runs `task` to its end in the background.
    fn spawn(&self, task: BoxFuture<()>);

    /// Binds a TCP listener.
    ///
    /// # Errors
    /// The operating system's, e.g. `AddrInUse`; the message names the address.
    fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>>;

    /// Opens a TCP connection, trying every address `host` resolves to, with `TCP_NODELAY` set. `host` is a name or an
    /// address; an IPv6 address comes without the brackets it has in a URL.
    ///
    /// # Errors
    /// `NotFound` if `host` has no address; otherwise the operating system's, for the last address tried.
    fn connect(&self, host: String, port: u16) -> BoxFuture<io::Result<Box<dyn Io>>>;
}

/// A timer of a [`Runtime`]: a future that completes at its deadline, and again after each [`reset`](Timer::reset).
/// Polled once more without a reset, it is still complete.
pub trait Timer: Future<Output = ()> + Send {
    /// Moves the deadline to `at`, earlier or later. Cheap enough for once per message.
    fn reset(self: Pin<&mut Self>, at: Instant);
}

/// A bound TCP listener.
pub trait Listener: Debug + Send {
    /// The next connection, with `TCP_NODELAY` set, and the peer's address.
    ///
    /// # Errors
    /// The operating system's. The driver logs it, waits, and asks again: running out of file descriptors must not
    /// end a server.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Io>, SocketAddr)>>;

    /// The address it is bound to (the port is known here after binding to port 0).
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A byte stream: TCP, TLS over TCP, or a pipe in memory.
pub trait Io: hyper::rt::Read + hyper::rt::Write + Debug + Send + Unpin + 'static {}

impl<T: hyper::rt::Read + hyper::rt::Write + Debug + Send + Unpin + 'static> Io for T {}
