//! A whole Socket.IO server around the core, without IO: `blocking` and `mio` only move its bytes.
//!
//! ```text
//!   bytes ──► connection ──► clients ──► fixture      a message arrives
//!   bytes ◄── connection ◄── clients ◄── fixture      and is answered
//!             HTTP, RFC 6455  Peer       handlers
//! ```
//!
//! Like the core itself it is driven: bytes, ends and timeouts in, [`Output`]s out, and the current time with every call.

pub mod clients;
pub mod connection;
pub mod deadlines;
pub mod fixture;
pub mod http1;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use socketio_core::Instant;

use clients::Said;
use connection::{Connection, ConnectionId, End};
use deadlines::Deadlines;
use fixture::{Fixture, Options};

/// The server. It holds the connections that its owner has [opened](Self::open) and not yet closed.
#[derive(Debug)]
pub struct Server {
    fixture: Fixture,
    connections: HashMap<ConnectionId, Connection>,
    deadlines: Deadlines<ConnectionId>,
    /// Connections that may have something to write.
    touched: BTreeSet<ConnectionId>,
    outputs: VecDeque<Output>,
    next_connection: u64,
}

/// What the server wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes, and say [`Server::written`] when that is done.
    Write(ConnectionId, Vec<u8>),
    /// Close the connection when everything is written. Nothing follows about it, and it must not be mentioned again.
    Close(ConnectionId),
    /// Print a line.
    Print(String),
    /// Stop listening, then print a line.
    StopListening(String),
}

impl Server {
    /// A server with these options.
    pub fn new(options: Options) -> Self {
        Self {
            fixture: Fixture::new(options),
            connections: HashMap::new(),
            deadlines: Deadlines::default(),
            touched: BTreeSet::new(),
            outputs: VecDeque::new(),
            next_connection: 0,
        }
    }

    /// Takes a connection that was accepted.
    pub fn open(&mut self, address: IpAddr, now: Instant) -> ConnectionId {
        self.next_connection += 1;
        let id = ConnectionId(self.next_connection);
        self.connections.insert(id, Connection::new(id, address, now));
        self.touched.insert(id);
        self.drain(now);
        id
    }

    /// Takes bytes that were read.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.receive(bytes, self.fixture.clients(), now);
            self.touched.insert(id);
            self.drain(now);
        }
    }

    /// Takes the end of a connection.
    pub fn handle_end(&mut self, id: ConnectionId, end: End, now: Instant) {
        if let Some(mut connection) = self.connections.remove(&id) {
            connection.handle_end(end, self.fixture.clients(), now);
            self.deadlines.set(&id, None);
            self.drain(now);
        }
    }

    /// So many bytes of a connection's [`Output::Write`]s are written.
    pub fn written(&mut self, id: ConnectionId, len: usize, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.handle_written(len, self.fixture.clients(), now);
            self.touched.insert(id);
            self.drain(now);
        }
    }

    /// Takes a line from stdin.
    pub fn command(&mut self, line: &str, now: Instant) {
        if line == "close" {
            self.fixture.shut_down(now);
            self.drain(now);
            self.outputs.push_back(Output::StopListening(fixture::CLOSED.to_owned()));
        } else {
            self.fixture.command(line);
            self.drain(now);
        }
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.deadlines.take_due(now) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.handle_timeout();
                self.touched.insert(id);
            }
        }
        self.fixture.handle_timeout(now);
        self.drain(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, or `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.deadlines.next(), self.fixture.poll_timeout()].into_iter().flatten().min()
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(said) = self.fixture.clients().poll() {
                match said {
                    Said::Event(sid, event) => self.fixture.handle_event(&sid, event, now),
                    Said::Wire(id, wire) => {
                        if let Some(connection) = self.connections.get_mut(&id) {
                            connection.carry_out(wire, now);
                            self.touched.insert(id);
                        }
                    }
                }
            }
            let Some(id) = self.touched.pop_first() else { break };
            self.collect(id, now);
        }
        while let Some(line) = self.fixture.poll_line() {
            self.outputs.push_back(Output::Print(line));
        }
    }

    fn collect(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let bytes = connection.take_output();
        if !bytes.is_empty() {
            self.outputs.push_back(Output::Write(id, bytes));
        }
        self.deadlines.set(&id, connection.deadline());
        if connection.is_over() {
            connection.handle_end(End::Closed, self.fixture.clients(), now);
            self.connections.remove(&id);
            self.outputs.push_back(Output::Close(id));
        }
    }
}
