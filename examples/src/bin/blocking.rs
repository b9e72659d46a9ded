//! A Socket.IO server on `std::net` and threads: no async runtime, no event loop.
//!
//! All state is one sans-IO [`Server`] under one lock, held while bytes are looked at and never while they are moved.
//! Around it are plain blocking calls: for each connection a thread that reads and a thread that writes (`std` cannot wait
//! for a socket and for a message at once), one thread for whatever is due, and one that accepts.
//!
//! It is the fixture server of `tests/interop/FIXTURE.md`; the official client takes it for the official server.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socketio_core::Instant;
use socketio_examples::clock::Clock;
use socketio_examples::server::connection::{ConnectionId, End};
use socketio_examples::server::fixture::{options_from_env, port_from_env};
use socketio_examples::server::{Output, Server};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let at = SocketAddr::from(([127, 0, 0, 1], port_from_env()));
    let listener = TcpListener::bind(at)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {at}: {error}")))?;
    let at = listener.local_addr()?;
    let (clock, started) = Clock::start();
    let shared = Arc::new(Shared {
        clock,
        state: Mutex::new(State {
            server: Server::new(options_from_env(started)),
            writers: HashMap::new(),
            alarm: None,
            farewell: None,
        }),
        earlier: Condvar::new(),
        closed: AtomicBool::new(false),
    });
    println!("ready {}", at.port());
    let acceptor = thread::spawn({
        let shared = shared.clone();
        move || accept(&shared, &listener)
    });
    thread::spawn({
        let shared = shared.clone();
        move || keep_time(&shared)
    });
    let mut acceptor = Some(acceptor);
    for line in io::stdin().lock().lines() {
        let line = line?;
        shared.with(|server, now| server.command(&line, now));
        let farewell = shared.lock().farewell.take();
        if let Some(farewell) = farewell {
            shared.closed.store(true, Ordering::Release);
            // Accepting ends with the next connection, so this is it.
            drop(TcpStream::connect(at));
            if let Some(acceptor) = acceptor.take() {
                // It ends by returning; a panic in it has been printed.
                let _ = acceptor.join();
            }
            println!("{farewell}");
        }
    }
    Ok(())
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Told when something is due earlier than the alarm is set.
    earlier: Condvar,
    closed: AtomicBool,
}

struct State {
    server: Server,
    /// What is to be written goes to the thread that writes. It ends, and closes the connection, when this is dropped.
    writers: HashMap<ConnectionId, Sender<Vec<u8>>>,
    /// What the thread that keeps time waits for.
    alarm: Option<Instant>,
    /// To be printed when nobody can connect any more.
    farewell: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the server something, and passes on what it says.
    fn with<R>(&self, change: impl FnOnce(&mut Server, Instant) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.server, self.clock.now());
        state.carry_out();
        let next = state.server.poll_timeout();
        if next.is_some_and(|next| state.alarm.is_none_or(|alarm| next < alarm)) {
            self.earlier.notify_one();
        }
        result
    }
}

impl State {
    fn carry_out(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Write(id, bytes) => {
                    if let Some(writer) = self.writers.get(&id) {
                        // A writer that gave up has broken its connection, which the reader is about to find out.
                        let _ = writer.send(bytes);
                    }
                }
                Output::Close(id) => drop(self.writers.remove(&id)),
                Output::Print(line) => println!("{line}"),
                Output::StopListening(line) => self.farewell = Some(line),
            }
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = stream.and_then(|stream| start(shared, stream)) {
            eprintln!("warning: cannot accept a connection: {error}");
            thread::sleep(ACCEPT_PAUSE);
        }
    }
}

fn start(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let address = stream.peer_addr()?.ip();
    let (reading, writing) = (stream.try_clone()?, stream);
    let (writer, output) = channel();
    let id = {
        let mut state = shared.lock();
        let id = state.server.open(address, shared.clock.now());
        state.writers.insert(id, writer);
        id
    };
    thread::spawn({
        let shared = shared.clone();
        move || read(&shared, id, reading)
    });
    let shared = shared.clone();
    thread::spawn(move || write(&shared, id, writing, &output));
    Ok(())
}

fn read(shared: &Shared, id: ConnectionId, mut stream: TcpStream) {
    let mut buffer = vec![0; READ_BYTES];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break End::Closed,
            Ok(len) => shared.with(|server, now| server.receive(id, &buffer[..len], now)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break End::Broken,
        }
    };
    shared.with(|server, now| server.handle_end(id, end, now));
    shared.lock().writers.remove(&id);
}

fn write(shared: &Shared, id: ConnectionId, mut stream: TcpStream, output: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = output.recv() {
        for more in output.try_iter() {
            bytes.extend_from_slice(&more);
        }
        if stream.write_all(&bytes).is_err() {
            break;
        }
        shared.with(|server, now| server.written(id, bytes.len(), now));
    }
    // Ends the reader as well.
    let _ = stream.shutdown(Shutdown::Both);
}

fn keep_time(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        let now = shared.clock.now();
        let next = state.server.poll_timeout();
        if next.is_some_and(|next| next <= now) {
            state.server.handle_timeout(now);
            state.carry_out();
            continue;
        }
        state.alarm = next;
        let wait = next.map_or(Duration::MAX, |next| next.saturating_since(now));
        // To wake up for nothing is harmless.
        state = match shared.earlier.wait_timeout(state, wait.min(LONG)) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}

const READ_BYTES: usize = 16 * 1024;

/// How long a client may take no bytes at all while there are some for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the system cannot accept: some resource must be freed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Some platforms cannot wait for ever.
const LONG: Duration = Duration::from_secs(3600);
