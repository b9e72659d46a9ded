//! What the driver needs from an async runtime: time, tasks, sockets and randomness.
//!
//! An adapter crate is one implementation of [`Runtime`] and nothing more. The traits are held as objects
//! (`Arc<dyn Runtime>`), so no user-visible type is generic over the runtime; the boxes are paid per connection, never
//! per message.

use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
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

    /// Opens a TCP connection, with `TCP_NODELAY` set. [`Connect::first_of`] does all of it but the resolving and the
    /// connecting to one address.
    ///
    /// # Errors
    /// `NotFound` if the host has no address that may be connected to; otherwise the operating system's, for the last
    /// address tried.
    fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>>;
}

/// A TCP connection that is to be opened: where to, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Connect {
    /// A name or an address; an IPv6 address without the brackets it has in a URL.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The address of this machine to connect from. `None` leaves it to the operating system.
    pub local_address: Option<IpAddr>,
    /// The only family of addresses to connect to. `None` allows both, or that of the local address.
    pub family: Option<AddressFamily>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Connect {
    /// To this port of this host, from wherever the operating system likes.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, local_address: None, family: None }
    }

    /// Whether an address of the host may be connected to: it is of the family asked for, and of that of the local
    /// address.
    pub fn admits(&self, address: IpAddr) -> bool {
        let own = self.local_address.map(AddressFamily::of);
        [self.family, own].into_iter().flatten().all(|family| family == AddressFamily::of(address))
    }

    /// What a [`Runtime`] makes of the host's addresses: tries to connect to one after the other, passing over those that
    /// are [not to be connected to](Self::admits), until one answers. `resolved` is what the resolver said.
    ///
    /// # Errors
    /// `NotFound` if the resolver failed or no address is left; otherwise what the last attempt failed with. The message
    /// names host and port.
    pub async fn first_of<T, F>(
        &self,
        resolved: io::Result<impl IntoIterator<Item = SocketAddr>>,
        mut attempt: impl FnMut(SocketAddr) -> F,
    ) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let failed = |kind: io::ErrorKind, why: &dyn fmt::Display| {
            io::Error::new(kind, format!("cannot connect to {}:{}: {why}", self.host, self.port))
        };
        // The resolver's errors have no kind of their own.
        let resolved = resolved.map_err(|error| failed(io::ErrorKind::NotFound, &error))?;
        let mut last = failed(io::ErrorKind::NotFound, &"the host has no address that may be connected to");
        for address in resolved {
            if !self.admits(address.ip()) {
                continue;
            }
            match attempt(address).await {
                Ok(connected) => return Ok(connected),
                Err(error) => last = failed(error.kind(), &error),
            }
        }
        Err(last)
    }
}

/// Without a resolver.
impl From<SocketAddr> for Connect {
    fn from(to: SocketAddr) -> Self {
        Self::new(to.ip().to_string(), to.port())
    }
}

impl AddressFamily {
    /// That of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A timer of a [`Runtime`]: a future that completes at its deadline, and again after each [`reset`](Timer::reset).
/// Polled once more without a reset, it is still complete. Whenever it is pending it wakes the task that polled it, also one
/// that a scheduler lets wait for its turn: it is polled once for each reset, and not again before it is due.
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
