//! A network that goes wrong where a test says: a proxy that reads along, knows at which stage of the protocol a
//! connection is, and then delays it, cuts it, closes half of it or lets everything vanish.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::ReadBuf;
use socketio_driver::runtime::{Io, Runtime};

use crate::io::{accept, shutdown, sleep, timeout, write_all};
use crate::stage::LOOPBACK;

/// What a client does on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It asks for a session, polling.
    Handshake,
    /// It waits for messages.
    Poll,
    /// It sends some.
    Post,
    /// It opens a websocket: for a new session, or to move one there.
    Open,
    /// It sends something on a websocket: a probe, a commitment, messages.
    Frame,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What the client sends arrives late, and so does the answer.
    Delay,
    /// The connection breaks before anything has arrived.
    CutBefore,
    /// What the client sends arrives, and the connection breaks with the first byte of an answer.
    CutAfter,
    /// The client is told that no more will come.
    EndForClient,
    /// The server is told that no more will come.
    EndForServer,
    /// Nothing arrives any more, either way, and nobody is told.
    Blackhole,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// At which stage.
    pub stage: Stage,
    /// The how manieth time the client is there when it goes wrong first, from 1.
    pub nth: usize,
    /// What.
    pub fault: Fault,
    /// How many times in a row.
    pub times: usize,
}

/// A proxy in front of a server. It ends with its runtime.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect to.
    pub at: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    at_stage: usize,
    struck: usize,
}

impl Proxy {
    /// A proxy for one client of `server`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn new(rt: &Arc<dyn Runtime>, server: SocketAddr, plan: Plan) -> Self {
        let mut listener = rt.listen(LOOPBACK).await.expect("a port");
        let at = listener.local_addr().expect("the port");
        let seen = Arc::<Mutex<Seen>>::default();
        let (clock, shared) = (Arc::clone(rt), Arc::clone(&seen));
        rt.spawn(Box::pin(async move {
            while let Ok((client, _)) = accept(&mut *listener).await {
                let relay = Relay { rt: Arc::clone(&clock), plan, seen: Arc::clone(&shared) };
                clock.spawn(Box::pin(async move {
                    // Whatever ends it ends both sides.
                    let _ = relay.run(client, server).await;
                }));
            }
        }));
        Self { at, seen }
    }

    /// How many requests there were, those of websockets included.
    pub fn requests(&self) -> usize {
        lock(&self.seen).requests
    }

    /// How many times something went wrong.
    pub fn struck(&self) -> usize {
        lock(&self.seen).struck
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection.
struct Relay {
    rt: Arc<dyn Runtime>,
    plan: Plan,
    seen: Arc<Mutex<Seen>>,
}

/// What the next bytes of the client are.
enum Reading {
    Head(Vec<u8>),
    Body(usize),
    Frames,
}

/// From whom something came.
pub(crate) enum From {
    Client(Vec<u8>),
    Server(Vec<u8>),
}

impl Relay {
    async fn run(&self, mut client: Box<dyn Io>, server: SocketAddr) -> io::Result<()> {
        let mut server = self.rt.connect(server.into()).await?;
        let mut reading = Reading::Head(Vec::new());
        // The next byte of the server breaks everything.
        let mut is_doomed = false;
        loop {
            match either(&mut *client, &mut *server).await? {
                From::Client(bytes) if bytes.is_empty() => {
                    return self.drain(&mut *server, &mut *client).await;
                }
                From::Server(bytes) if bytes.is_empty() => {
                    return self.drain(&mut *client, &mut *server).await;
                }
                From::Server(_) if is_doomed => return Ok(()),
                From::Server(bytes) => write_all(&mut *client, &bytes).await?,
                From::Client(bytes) => {
                    let Some((stage, bytes)) = self.read(&mut reading, bytes) else { continue };
                    match stage.and_then(|stage| self.fault(stage)) {
                        None => write_all(&mut *server, &bytes).await?,
                        Some(Fault::Delay) => {
                            sleep(&*self.rt, DELAY).await;
                            write_all(&mut *server, &bytes).await?;
                        }
                        Some(Fault::CutBefore) => return Ok(()),
                        Some(Fault::CutAfter) => {
                            is_doomed = true;
                            write_all(&mut *server, &bytes).await?;
                        }
                        Some(Fault::EndForClient) => {
                            write_all(&mut *server, &bytes).await?;
                            shutdown(&mut *client).await?;
                            return self.drain(&mut *server, &mut *client).await;
                        }
                        Some(Fault::EndForServer) => {
                            write_all(&mut *server, &bytes).await?;
                            shutdown(&mut *server).await?;
                        }
                        Some(Fault::Blackhole) => return vanish(&mut *client, &mut *server).await,
                    }
                }
            }
        }
    }

    /// One side has said all it had to say: the other one is told, and may finish, but not take for ever.
    async fn drain(&self, to: &mut dyn Io, from: &mut dyn Io) -> io::Result<()> {
        shutdown(to).await?;
        timeout(&*self.rt, DRAINING, vanish(to, from)).await.unwrap_or(Ok(()))
    }

    /// What is to be passed on, and what it begins. `None` while a head is not complete.
    fn read(&self, reading: &mut Reading, bytes: Vec<u8>) -> Option<(Option<Stage>, Vec<u8>)> {
        match reading {
            Reading::Frames => Some((Some(Stage::Frame), bytes)),
            Reading::Body(left) => {
                // A client waits for the answer before it sends the next request.
                *left = left.saturating_sub(bytes.len());
                if *left == 0 {
                    *reading = Reading::Head(Vec::new());
                }
                Some((None, bytes))
            }
            Reading::Head(head) => {
                head.extend(bytes);
                let end = head.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
                let bytes = std::mem::take(head);
                let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let stage = stage_of(&text);
                let length = text.split_once("content-length: ").and_then(|(_, rest)| {
                    rest.split("\r\n").next().and_then(|length| length.trim().parse::<usize>().ok())
                });
                let left = length.unwrap_or_default().saturating_sub(bytes.len() - end);
                *reading = match stage {
                    Stage::Open => Reading::Frames,
                    _ if left > 0 => Reading::Body(left),
                    _ => Reading::Head(Vec::new()),
                };
                lock(&self.seen).requests += 1;
                Some((Some(stage), bytes))
            }
        }
    }

    /// What goes wrong now, if something does.
    fn fault(&self, stage: Stage) -> Option<Fault> {
        if stage != self.plan.stage {
            return None;
        }
        let mut seen = lock(&self.seen);
        seen.at_stage += 1;
        let is_due = (self.plan.nth..self.plan.nth + self.plan.times).contains(&seen.at_stage);
        seen.struck += usize::from(is_due);
        is_due.then_some(self.plan.fault)
    }
}

fn stage_of(head: &str) -> Stage {
    let line = head.lines().next().unwrap_or_default();
    match (line.starts_with("post"), line.contains("transport=websocket"), line.contains("sid=")) {
        (_, true, _) => Stage::Open,
        (true, ..) => Stage::Post,
        (false, false, true) => Stage::Poll,
        (false, false, false) => Stage::Handshake,
    }
}

/// The next thing that either side says; nothing at its end.
pub(crate) async fn either(client: &mut dyn Io, server: &mut dyn Io) -> io::Result<From> {
    let mut bytes = vec![0; 16 * 1024];
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut bytes);
        if let Poll::Ready(read) = Pin::new(&mut *client).poll_read(cx, buffer.unfilled()) {
            return Poll::Ready(read.map(|()| From::Client(buffer.filled().to_vec())));
        }
        let mut buffer = ReadBuf::new(&mut bytes);
        if let Poll::Ready(read) = Pin::new(&mut *server).poll_read(cx, buffer.unfilled()) {
            return Poll::Ready(read.map(|()| From::Server(buffer.filled().to_vec())));
        }
        Poll::Pending
    })
    .await
}

/// Takes everything and passes on nothing, until somebody is gone.
async fn vanish(client: &mut dyn Io, server: &mut dyn Io) -> io::Result<()> {
    loop {
        let (From::Client(bytes) | From::Server(bytes)) = either(client, server).await?;
        if bytes.is_empty() {
            return Ok(());
        }
    }
}

/// Longer than the round trips that the faults fall between, shorter than what anybody gives up after.
const DELAY: Duration = Duration::from_millis(150);

/// How long one side may go on after the end of the other.
const DRAINING: Duration = Duration::from_secs(2);
