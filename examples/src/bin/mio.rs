//! A Socket.IO server on one thread and non-blocking sockets: `mio` says which are ready, this file moves their bytes.
//!
//! All state is one sans-IO [`Server`], which nobody has to lock. The only other thread waits for lines on stdin.
//!
//! It is the fixture server of `tests/interop/FIXTURE.md`; the official client takes it for the official server.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socketio_examples::clock::Clock;
use socketio_examples::server::connection::{ConnectionId, End};
use socketio_examples::server::fixture::{options_from_env, port_from_env};
use socketio_examples::server::{Output, Server};

fn main() -> ExitCode {
    let served = Loop::new().and_then(|mut event_loop| event_loop.run());
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Loop {
    clock: Clock,
    poll: Poll,
    server: Server,
    /// Gone when the server is closed.
    listener: Option<TcpListener>,
    connections: HashMap<ConnectionId, Connection>,
    /// Lines from stdin, whose end is the end of the program.
    lines: Receiver<String>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// To be written, the first `written` bytes of which are.
    output: Vec<u8>,
    written: usize,
    /// To be closed when everything is written.
    is_over: bool,
}

impl Loop {
    fn new() -> io::Result<Self> {
        let at = SocketAddr::from(([127, 0, 0, 1], port_from_env()));
        let mut listener = TcpListener::bind(at)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {at}: {error}")))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), STDIN)?;
        let (clock, started) = Clock::start();
        Ok(Self {
            clock,
            poll,
            server: Server::new(options_from_env(started)),
            listener: Some(listener),
            connections: HashMap::new(),
            lines: read_lines(waker),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn run(&mut self) -> io::Result<()> {
        if let Some(listener) = &self.listener {
            println!("ready {}", listener.local_addr()?.port());
        }
        let mut events = Events::with_capacity(256);
        loop {
            let now = self.clock.now();
            let wait = self.server.poll_timeout().map(|at| at.saturating_since(now));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    STDIN => loop {
                        match self.lines.try_recv() {
                            Ok(line) => self.server.command(&line, self.clock.now()),
                            Err(TryRecvError::Empty) => break,
                            Err(TryRecvError::Disconnected) => return Ok(()),
                        }
                    },
                    Token(number) => {
                        let id = ConnectionId(number as u64);
                        if event.is_writable() {
                            self.write(id);
                        }
                        if event.is_readable() {
                            self.read(id)?;
                        }
                    }
                }
                self.carry_out()?;
            }
            let now = self.clock.now();
            if self.server.poll_timeout().is_some_and(|at| at <= now) {
                self.server.handle_timeout(now);
                self.carry_out()?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(listener) = &self.listener {
            let (mut stream, address) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    eprintln!("warning: cannot accept a connection: {error}");
                    return Ok(());
                }
            };
            // It fails only on a connection that is dead already, which the first read reports.
            let _ = stream.set_nodelay(true);
            let id = self.server.open(address.ip(), self.clock.now());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(id.0 as usize), interest)?;
            let connection = Connection { stream, output: Vec::new(), written: 0, is_over: false };
            self.connections.insert(id, connection);
        }
        Ok(())
    }

    /// Reads until there is nothing more: readiness is told once.
    fn read(&mut self, id: ConnectionId) -> io::Result<()> {
        while let Some(connection) = self.connections.get_mut(&id) {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => self.end(id, End::Closed),
                Ok(len) => self.server.receive(id, &self.buffer[..len], self.clock.now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.end(id, End::Broken),
            }
            self.carry_out()?;
        }
        Ok(())
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let before = connection.written;
        let outcome = connection.write();
        let len = connection.written - before;
        if connection.written == connection.output.len() {
            connection.output = Vec::new();
            connection.written = 0;
            if connection.is_over {
                self.connections.remove(&id);
                return;
            }
        }
        if len > 0 {
            self.server.written(id, len, self.clock.now());
        }
        if let Err(end) = outcome {
            self.end(id, end);
        }
    }

    fn end(&mut self, id: ConnectionId, end: End) {
        self.connections.remove(&id);
        self.server.handle_end(id, end, self.clock.now());
    }

    fn carry_out(&mut self) -> io::Result<()> {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Write(id, bytes) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.output.extend_from_slice(&bytes);
                        self.write(id);
                    }
                }
                Output::Close(id) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.is_over = true;
                        self.write(id);
                    }
                }
                Output::Print(line) => println!("{line}"),
                Output::StopListening(line) => {
                    if let Some(mut listener) = self.listener.take() {
                        self.poll.registry().deregister(&mut listener)?;
                    }
                    println!("{line}");
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Writes as much as goes.
    fn write(&mut self) -> Result<(), End> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(End::Broken),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Broken),
            }
        }
        Ok(())
    }
}

/// Stdin cannot be polled everywhere, so a thread waits for it.
fn read_lines(waker: Waker) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        // If the loop cannot be woken, it has ended already.
        let _ = waker.wake();
    });
    receiver
}

/// Connections count from 1.
const LISTENER: Token = Token(0);

const STDIN: Token = Token(usize::MAX);

const READ_BYTES: usize = 16 * 1024;
