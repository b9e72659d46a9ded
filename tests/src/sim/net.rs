//! The network of a simulation: who listens, how connections come about, and a test's hand on all of it.
//!
//! A client is at the address it connects to, or at the [local](Connect::local_address) one, if that is a loopback address:
//! others it does not have.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socketio_driver::runtime::{Connect, Io, Listener};

use super::socket::{Conn, Socket};
use super::timer::SimTimer;
use super::world::{Shared, World, store};

pub(super) type ConnId = u64;

/// What a connection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How long a byte is under way.
    pub latency: Duration,
    /// How many bytes a second each direction carries; `None` is as many as are written.
    pub bytes_per_second: Option<u64>,
    /// How many bytes of one direction can be written and not yet read: the send and receive buffers together. Beyond
    /// that a write waits.
    pub window_bytes: usize,
    /// Reads and writes take a part of what they could, of a size that the seed decides, down to a byte.
    pub ragged: bool,
}

impl Default for Link {
    /// A millisecond, no limit on speed, 256 KiB, not ragged: a data centre.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            bytes_per_second: None,
            window_bytes: 256 * 1024,
            ragged: false,
        }
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that accepted.
    Server,
}

impl Side {
    /// The opposite end.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It reaches who listens.
    Open,
    /// `ConnectionRefused`, whoever listens.
    Refused,
    /// Nothing answers: the attempt waits until this is set to something else.
    Silent,
}

/// A test's hand on the network.
#[derive(Clone, Debug)]
pub struct Net {
    shared: Arc<Shared>,
}

impl Net {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sets what connections opened from now on are made of. For those that exist: [`Connection::set_link`].
    pub fn set_link(&self, link: Link) {
        self.shared.with(|world| world.net.link = link);
    }

    /// Lets `name` resolve to `addresses`, in this order. `localhost` is known; other names are not found.
    pub fn set_name(&self, name: &str, addresses: &[IpAddr]) {
        self.shared.with(|world| world.net.names.insert(name.to_owned(), addresses.to_vec()));
    }

    /// Sets what becomes of attempts to connect to `at`.
    pub fn set_reach(&self, at: SocketAddr, reach: Reach) {
        self.shared.with(|world| {
            world.log(format_args!("{at} is now {reach:?}"));
            world.net.reach.insert(at, reach);
            let World { net, wakes, .. } = world;
            wakes.append(&mut net.unanswered);
        });
    }

    /// The connections of which at least one end is still held, oldest first.
    pub fn connections(&self) -> Vec<Connection> {
        let ids: Vec<ConnId> = self.shared.with(|world| world.net.conns.keys().copied().collect());
        ids.into_iter().map(|id| Connection { shared: Arc::clone(&self.shared), id }).collect()
    }

    /// [Cuts](Connection::cut) every connection.
    pub fn cut_all(&self) {
        self.connections().iter().for_each(Connection::cut);
    }

    /// Writes a line into the transcript.
    pub fn log(&self, line: &str) {
        self.shared.with(|world| world.log(line));
    }
}

/// A test's hand on one connection. All of it does nothing once both ends are gone.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    id: ConnId,
}

impl Connection {
    /// Counts from 1 in the order of opening; the transcript calls it by this.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether at least one end is still held.
    pub fn is_open(&self) -> bool {
        self.shared.with(|world| world.net.conns.contains_key(&self.id))
    }

    /// The address that `side` has, or `None` when both ends are gone.
    pub fn address(&self, side: Side) -> Option<SocketAddr> {
        self.shared.with(|world| world.net.conns.get(&self.id).map(|conn| conn.address(side)))
    }

    /// How many bytes `side` has written, those that never arrive included.
    pub fn written_bytes(&self, side: Side) -> u64 {
        self.shared.with(|world| world.net.conns.get(&self.id).map_or(0, |conn| conn.written_bytes(side)))
    }

    /// Sets what the connection is made of, for all that is written from now on. Bytes do not overtake each other.
    pub fn set_link(&self, link: Link) {
        self.shared.with(|world| {
            if let Some(conn) = world.net.conns.get_mut(&self.id) {
                conn.link = link;
            }
        });
    }

    /// Breaks it at once: what is under way is lost and both ends see `ConnectionReset`.
    pub fn cut(&self) {
        self.shared.with(|world| world.cut(self.id));
    }

    /// Ends what `side` sends, as if it had shut down its writing half: the other end reads to the end and can still
    /// write.
    pub fn half_close(&self, side: Side) {
        self.shared.with(|world| world.shutdown(self.id, side));
    }

    /// Lets nothing that `side` sends arrive until [`release`](Self::release): neither bytes nor the end. Writes
    /// succeed until the window is full. This is an unplugged cable as seen from both of its ends.
    pub fn hold(&self, side: Side) {
        self.shared.with(|world| world.hold(self.id, side));
    }

    /// Lets what was held go on its way again, nothing lost.
    pub fn release(&self, side: Side) {
        self.shared.with(|world| world.release(self.id, side));
    }

    /// [Holds](Self::hold) both directions.
    pub fn blackhole(&self) {
        self.hold(Side::Client);
        self.hold(Side::Server);
    }

    /// [Releases](Self::release) both directions.
    pub fn heal(&self) {
        self.release(Side::Client);
        self.release(Side::Server);
    }
}

#[derive(Debug, Default)]
pub(super) struct NetState {
    pub(super) conns: BTreeMap<ConnId, Conn>,
    link: Link,
    listeners: BTreeMap<SocketAddr, Backlog>,
    names: BTreeMap<String, Vec<IpAddr>>,
    reach: BTreeMap<SocketAddr, Reach>,
    /// Attempts that nothing answers.
    unanswered: Vec<Waker>,
    last_conn: ConnId,
    last_port: u16,
}

#[derive(Debug, Default)]
struct Backlog {
    arrived: VecDeque<ConnId>,
    acceptor: Option<Waker>,
}

impl NetState {
    fn free_port(&mut self) -> u16 {
        self.last_port = (self.last_port % EPHEMERAL_PORTS) + 1;
        FIRST_EPHEMERAL_PORT + (self.last_port - 1)
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        match self.names.get(host) {
            Some(addresses) => addresses.clone(),
            None if host == "localhost" => vec![Ipv4Addr::LOCALHOST.into()],
            None => Vec::new(),
        }
    }

    /// The listener that connections to `at` reach: the one bound to it, or to every address.
    fn listener_at(&mut self, at: SocketAddr) -> Option<&mut Backlog> {
        let every: IpAddr =
            if at.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let bound = [at, SocketAddr::new(every, at.port())];
        let bound = bound.into_iter().find(|bound| self.listeners.contains_key(bound))?;
        self.listeners.get_mut(&bound)
    }
}

pub(super) fn listen(shared: Arc<Shared>, mut at: SocketAddr) -> io::Result<Box<dyn Listener>> {
    shared.with(|world| {
        if at.port() == 0 {
            at.set_port(world.net.free_port());
        }
        if world.net.listeners.contains_key(&at) {
            let message = format!("cannot listen on {at}: address in use");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        world.log(format_args!("listening on {at}"));
        world.net.listeners.insert(at, Backlog::default());
        Ok(())
    })?;
    Ok(Box::new(SimListener { shared, at }))
}

pub(super) async fn connect(shared: Arc<Shared>, to: Connect) -> io::Result<Box<dyn Io>> {
    let addresses = shared.with(|world| world.net.resolve(&to.host));
    let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, to.port));
    to.first_of(Ok(addresses), |at| open(&shared, at, to.local_address)).await
}

async fn open(shared: &Arc<Shared>, at: SocketAddr, from: Option<IpAddr>) -> io::Result<Box<dyn Io>> {
    let from = from.filter(|from| !from.is_unspecified());
    if from.is_some_and(|from| !from.is_loopback()) {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "not an address of this machine"));
    }
    answered(shared, at).await;
    // There and back again.
    let latency = shared.with(|world| world.net.link.latency);
    pass(shared, latency).await;
    let conn = shared.with(|world| world.open(at, from.unwrap_or(at.ip())));
    // From here on dropping this future closes the connection.
    let socket = conn.map(|conn| Socket::new(Arc::clone(shared), conn, Side::Client));
    pass(shared, latency).await;
    match socket {
        Some(socket) => Ok(Box::new(socket)),
        None => Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{at} refused"))),
    }
}

/// Done when attempts to connect to `at` get an answer.
async fn answered(shared: &Shared, at: SocketAddr) {
    poll_fn(|cx| {
        shared.with(|world| {
            if world.net.reach.get(&at) != Some(&Reach::Silent) {
                return Poll::Ready(());
            }
            world.log(format_args!("no answer from {at}"));
            world.net.unanswered.push(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
}

async fn pass(shared: &Arc<Shared>, duration: Duration) {
    let at = shared.with(|world| world.now) + duration;
    SimTimer::new(Arc::clone(shared), at).await;
}

impl World {
    /// Puts a connection into the backlog of who listens at `at`. `None` is a refusal.
    fn open(&mut self, at: SocketAddr, from: IpAddr) -> Option<ConnId> {
        let refused = self.net.reach.get(&at) == Some(&Reach::Refused);
        let room = self.net.listener_at(at).is_some_and(|backlog| backlog.arrived.len() < BACKLOG);
        if refused || !room {
            self.log(format_args!("{at} refuses a connection"));
            return None;
        }
        self.net.last_conn += 1;
        let id = self.net.last_conn;
        let from = SocketAddr::new(from, self.net.free_port());
        let conn = Conn::new(self.net.link, from, at);
        self.net.conns.insert(id, conn);
        if let Some(backlog) = self.net.listener_at(at) {
            backlog.arrived.push_back(id);
            let acceptor = backlog.acceptor.take();
            self.wakes.extend(acceptor);
        }
        self.log(format_args!("conn {id}: {from} to {at}"));
        Some(id)
    }
}

#[derive(Debug)]
struct SimListener {
    shared: Arc<Shared>,
    at: SocketAddr,
}

impl Listener for SimListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Io>, SocketAddr)>> {
        let accepted = self.shared.with(|world| {
            let World { net, stale, .. } = world;
            let backlog = net.listeners.get_mut(&self.at).expect("removed by Drop alone");
            let Some(id) = backlog.arrived.pop_front() else {
                store(cx.waker(), &mut backlog.acceptor, stale);
                return None;
            };
            // It is there while one of its ends is, and this one is here.
            Some((id, net.conns[&id].address(Side::Client)))
        });
        match accepted {
            Some((id, peer)) => {
                let socket = Socket::new(Arc::clone(&self.shared), id, Side::Server);
                Poll::Ready(Ok((Box::new(socket), peer)))
            }
            None => Poll::Pending,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.with(|world| {
            world.log(format_args!("no longer listening on {}", self.at));
            let Some(backlog) = world.net.listeners.remove(&self.at) else { return };
            world.stale.extend(backlog.acceptor);
            backlog.arrived.into_iter().for_each(|id| world.close(id, Side::Server));
        });
    }
}

/// What Linux gives by default.
const FIRST_EPHEMERAL_PORT: u16 = 32768;
const EPHEMERAL_PORTS: u16 = 28232;

/// Attempts that arrived and were not accepted yet.
const BACKLOG: usize = 4096;
