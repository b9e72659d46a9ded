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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use socketio_core::engine::http::{RouteConfig, TrailingSlash};

    use super::*;

    /// A server and what it has said.
    struct Scene {
        server: Server,
        now: Instant,
        written: HashMap<ConnectionId, String>,
        closed: Vec<ConnectionId>,
        printed: Vec<String>,
    }

    impl Scene {
        fn new() -> Self {
            let options = Options {
                routes: RouteConfig::new("/socket.io", TrailingSlash::Append),
                allow_upgrades: true,
                allow_eio3: false,
                config: Arc::default(),
                started: Duration::ZERO,
            };
            Self {
                server: Server::new(options),
                now: Instant::ZERO,
                written: HashMap::new(),
                closed: Vec::new(),
                printed: Vec::new(),
            }
        }

        fn tell<R>(&mut self, tell: impl FnOnce(&mut Server, Instant) -> R) -> R {
            let result = tell(&mut self.server, self.now);
            while let Some(output) = self.server.poll_output() {
                match output {
                    Output::Write(id, bytes) => {
                        self.written.entry(id).or_default().push_str(&String::from_utf8_lossy(&bytes));
                        self.server.written(id, bytes.len(), self.now);
                    }
                    Output::Close(id) => self.closed.push(id),
                    Output::Print(line) | Output::StopListening(line) => self.printed.push(line),
                }
            }
            result
        }

        fn open(&mut self) -> ConnectionId {
            self.tell(|server, now| server.open(Ipv4Addr::LOCALHOST.into(), now))
        }

        /// Sends bytes; returns what was answered.
        fn send(&mut self, id: ConnectionId, bytes: &str) -> String {
            self.tell(|server, now| server.receive(id, bytes.as_bytes(), now));
            self.written.remove(&id).unwrap_or_default()
        }

        /// A session that has joined `/quiet`.
        fn join(&mut self, id: ConnectionId) -> String {
            let opened = self.send(id, &get("EIO=4&transport=polling"));
            let (_, rest) = opened.split_once(r#""sid":""#).unwrap();
            let query = format!("EIO=4&transport=polling&sid={}", &rest[..20]);
            let joined = self.send(id, &(post(&query, "40/quiet,") + &get(&query)));
            assert!(joined.contains("\r\n\r\nok") && joined.contains("40/quiet,{"), "{joined}");
            query
        }

        fn stats(&mut self) -> String {
            self.tell(|server, now| server.command("stats", now));
            self.printed.pop().unwrap()
        }
    }

    fn get(query: &str) -> String {
        format!("GET /socket.io/?{query} HTTP/1.1\r\nHost: a\r\n\r\n")
    }

    fn post(query: &str, body: &str) -> String {
        let length = body.len();
        format!("POST /socket.io/?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    const EMPTY: &str = r#"{"stats":{"engines":0,"rooms":0,"sockets":0}}"#;

    #[test]
    fn answers_come_in_the_order_of_the_requests() {
        let mut scene = Scene::new();
        let id = scene.open();
        let query = scene.join(id);
        // The GET waits; the POST behind it is what makes its answer.
        let answers = scene.send(id, &(get(&query) + &post(&query, r#"42/quiet,["message",1]"#)));
        let (first, second) = (answers.find("message-back").unwrap(), answers.find("\r\n\r\nok").unwrap());
        assert!(first < second, "{answers}");
    }

    #[test]
    fn a_connection_that_ends_under_a_poll_ends_the_session() {
        let mut scene = Scene::new();
        let id = scene.open();
        let query = scene.join(id);
        assert_eq!(scene.stats(), r#"{"stats":{"engines":1,"rooms":1,"sockets":1}}"#);
        scene.send(id, &get(&query));
        scene.tell(|server, now| server.handle_end(id, End::Closed, now));
        assert!(scene.printed.pop().unwrap().contains("transport error"));
        assert_eq!(scene.stats(), EMPTY);
    }

    #[test]
    fn silence_is_the_end_of_everything() {
        let mut scene = Scene::new();
        let id = scene.open();
        scene.join(id);
        while let Some(at) = scene.server.poll_timeout() {
            scene.now = at;
            scene.tell(|server, now| server.handle_timeout(now));
        }
        assert_eq!(scene.closed, [id]);
        assert!(scene.printed.pop().unwrap().contains("ping timeout"));
        assert_eq!(scene.stats(), EMPTY);
        assert!(scene.server.connections.is_empty());
    }

    #[test]
    fn bytes_that_mean_nothing_are_answered_and_cut_off() {
        let mut scene = Scene::new();
        let id = scene.open();
        assert!(scene.send(id, "\x16\x03\x01").starts_with("HTTP/1.1 400 Bad Request\r\nConnection: close"));
        assert_eq!(scene.closed, [id]);
    }

    #[test]
    fn a_websocket_follows_its_handshake_at_once() {
        let mut scene = Scene::new();
        let id = scene.open();
        let answer = scene.send(
            id,
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let (head, frame) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(frame.contains(r#"0{"sid":""#), "{frame}");
    }
}
