//! A server under test, and the question every case ends with: is anything left?

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{AbortHandle, abortable};
use socketio_core::Instant;
use socketio_driver::runtime::{BoxFuture, Connect, Io, Listener, Runtime, Timer};
use socketio_driver::{Namespace, Server, ServerBuilder, Socket};
use socketio_tokio::Tokio;

use crate::client::{Client, How, Http, WebSocket};
use crate::io::sleep;

/// A server that listens.
#[derive(Debug)]
pub struct Stage {
    /// The runtime of the case.
    pub rt: Arc<dyn Runtime>,
    /// The server.
    pub server: Server,
    /// Where it listens.
    pub at: SocketAddr,
    tasks: Tasks,
    /// How many tasks there are when nobody is here.
    base: usize,
}

impl Stage {
    /// A server with defaults.
    pub async fn new(rt: Arc<dyn Runtime>) -> Self {
        Self::with(rt, |builder| builder).await
    }

    /// A server with options.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn with(
        rt: Arc<dyn Runtime>,
        options: impl FnOnce(ServerBuilder<Tokio>) -> ServerBuilder<Tokio>,
    ) -> Self {
        let (counting, tasks) = Counting::new(Arc::clone(&rt));
        let server = options(ServerBuilder::new()).build_on(Arc::new(counting));
        let at = server.listen(LOOPBACK).await.expect("a port");
        Self { rt, server, at, tasks, base: 1 }
    }

    /// A server that keeps what clients miss: one more task is no sign of somebody who is here, as long as it keeps
    /// anything.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { base: self.base + 1, ..self }
    }

    /// A server on the clients of somebody else's listener, which `mount` starts.
    pub async fn mounted(rt: Arc<dyn Runtime>, mount: impl AsyncFnOnce(&Server) -> SocketAddr) -> Self {
        let (counting, tasks) = Counting::new(Arc::clone(&rt));
        let server = ServerBuilder::<Tokio>::new().build_on(Arc::new(counting));
        let at = mount(&server).await;
        Self { rt, server, at, tasks, base: 0 }
    }

    /// A client of this server.
    pub async fn client(&self, how: How) -> Client {
        Client::open(&self.rt, self.at, how).await
    }

    /// A client of this server on a websocket.
    pub async fn websocket(&self) -> Client {
        self.client(How::Websocket).await
    }

    /// A polling client of this server.
    pub async fn polling(&self) -> Client {
        self.client(How::Polling).await
    }

    /// A client on a websocket that has joined `/`.
    pub async fn joined(&self) -> Client {
        self.joined_by(How::Websocket).await
    }

    /// A client that has joined `/`.
    pub async fn joined_by(&self, how: How) -> Client {
        let mut client = self.client(how).await;
        client.connect("/").await;
        client
    }

    /// Lets `duration` pass.
    pub async fn wait(&self, duration: Duration) {
        sleep(&*self.rt, duration).await;
    }

    /// Waits until `condition` holds; `what` is said when it does not.
    ///
    /// # Panics
    /// When it takes more than [`PATIENCE`].
    pub async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        self.until_or(|| what.to_owned(), &mut condition).await;
    }

    async fn until_or(&self, what: impl Fn() -> String, mut condition: impl FnMut() -> bool) {
        let deadline = self.rt.now() + PATIENCE;
        while !condition() {
            assert!(self.rt.now() < deadline, "never: {}", what());
            sleep(&*self.rt, Duration::from_millis(1)).await;
        }
    }

    /// Waits until nobody is here: no session, no socket, no room, and no task but the one that accepts, if it does. `gone` are the
    /// clients and whatever else the case held of them; they leave first.
    ///
    /// # Panics
    /// When something is left.
    pub async fn is_empty_after(&self, gone: impl Leave) {
        self.is_empty_in_after(&[], gone).await;
    }

    /// As [`is_empty_after`](Self::is_empty_after), with other namespaces than `/` looked at as well.
    ///
    /// # Panics
    /// When something is left.
    pub async fn is_empty_in_after(&self, names: &[&str], gone: impl Leave) {
        gone.leave().await;
        let spaces: Vec<Namespace> = names.iter().chain(&["/"]).map(|name| self.server.of(name)).collect();
        let left = || {
            let mut left = Vec::new();
            left.push(
                (self.server.clients_count() > 0)
                    .then(|| format!("{} sessions", self.server.clients_count())),
            );
            for space in &spaces {
                let (name, sockets, rooms) = (space.name(), space.sockets_count(), space.rooms());
                left.push((sockets > 0).then(|| format!("{sockets} sockets in {name}")));
                left.push((!rooms.is_empty()).then(|| format!("the rooms {rooms:?} in {name}")));
            }
            let tasks = self.tasks.count();
            left.push((tasks > self.base).then(|| format!("{} tasks", tasks - self.base)));
            left.into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        self.until_or(|| format!("an empty server; left are {}", left()), || left().is_empty()).await;
    }

    /// How many tasks of the server have not ended, the one that accepts included.
    pub fn tasks(&self) -> usize {
        self.tasks.count()
    }

    /// How often the server's tasks were polled.
    pub fn polls(&self) -> usize {
        self.tasks.polls()
    }
}

/// What can go before a case ends.
pub trait Leave {
    /// Goes.
    fn leave(self) -> impl Future<Output = ()>;
}

impl Leave for Client {
    fn leave(self) -> impl Future<Output = ()> {
        self.quit()
    }
}

impl<T: Leave> Leave for Vec<T> {
    async fn leave(self) {
        for one in self {
            one.leave().await;
        }
    }
}

impl<A: Leave, B: Leave> Leave for (A, B) {
    async fn leave(self) {
        self.0.leave().await;
        self.1.leave().await;
    }
}

impl<A: Leave, B: Leave, C: Leave> Leave for (A, B, C) {
    async fn leave(self) {
        self.0.leave().await;
        (self.1, self.2).leave().await;
    }
}

macro_rules! leave_by_being_dropped {
    ($($gone:ty),+) => {$(
        impl Leave for $gone {
            async fn leave(self) {}
        }
    )+};
}

leave_by_being_dropped!((), Http, WebSocket, Socket, Box<dyn Io>);

/// What happened, in order, for handlers to write and cases to read.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Writes a line.
    pub fn add(&self, line: impl fmt::Display) {
        self.lock().push(line.to_string());
    }

    /// Every line.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Every line, taken out.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until these lines are there, and no others, and takes them out.
    ///
    /// # Panics
    /// When others are there, or too few for too long.
    pub async fn expect(&self, stage: &Stage, lines: &[&str]) {
        let wait = || self.len() >= lines.len();
        stage.until_or(|| format!("{lines:?}; there is {:?}", self.lines()), wait).await;
        assert_eq!(std::mem::take(&mut *self.lock()), lines);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("no writer panicked")
    }
}

/// Counts what is spawned and has not ended.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    left: Arc<AtomicUsize>,
    polls: Arc<AtomicUsize>,
    spawned: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Tasks {
    /// How many have not ended.
    pub fn count(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    /// How often one was polled.
    pub fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// Lets go of every task, as a runtime does that shuts down. They are gone when none is counted.
    ///
    /// # Panics
    /// When a task panicked as it was spawned.
    pub fn let_go(&self) {
        self.spawned.lock().expect("nothing panicked").drain(..).for_each(|task| task.abort());
    }

    fn guard(&self) -> TaskGuard {
        self.left.fetch_add(1, Ordering::SeqCst);
        TaskGuard(self.clone())
    }
}

struct TaskGuard(Tasks);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.left.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A runtime that counts its tasks, on top of any other.
#[derive(Clone, Debug)]
pub struct Counting {
    inner: Arc<dyn Runtime>,
    tasks: Tasks,
}

impl Counting {
    /// Counts the tasks of `inner`.
    pub fn new(inner: Arc<dyn Runtime>) -> (Self, Tasks) {
        let tasks = Tasks::default();
        (Self { inner, tasks: tasks.clone() }, tasks)
    }
}

impl Runtime for Counting {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn unix_time(&self) -> Duration {
        self.inner.unix_time()
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.inner.fill_random(buffer);
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        self.inner.timer(at)
    }

    fn spawn(&self, task: BoxFuture<()>) {
        let guard = self.tasks.guard();
        let polls = Arc::clone(&self.tasks.polls);
        let mut task = task;
        let counted = poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            task.as_mut().poll(cx)
        });
        let (task, handle) = abortable(counted);
        self.tasks.spawned.lock().expect("nothing panicked").push(handle);
        self.inner.spawn(Box::pin(async move {
            let _guard = guard;
            let _ = task.await; // its end, or that it was let go
        }));
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.inner.listen(at)
    }

    fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
        self.inner.connect(to)
    }
}

/// Completes never.
pub fn never() -> impl Future<Output = ()> + Send + 'static {
    std::future::pending()
}

/// A free port of this machine.
pub const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// By then what was sent has arrived, where nothing else shows it, on any machine that is not starved.
pub const SETTLED: Duration = Duration::from_millis(50);

/// How long anything is waited for on the clock of the runtime.
pub const PATIENCE: Duration = Duration::from_secs(20);
