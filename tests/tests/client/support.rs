//! Clients of a [`Stage`], and the question that every case ends with: is anything left of them?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socketio_driver::client::ManagerEvent;
use socketio_driver::runtime::Runtime;
use socketio_driver::{BufferLimits, Bytes, Client, ClientBuilder, EmitError, Socket, Transport};
use socketio_tests::io::{sleep, timeout};
use socketio_tests::stage::{Counting, Log, PATIENCE, Stage, Tasks};
use socketio_tokio::Tokio;

/// Where nobody listens, nor ever will: a port that was free a moment ago may be somebody's by now.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// How a client travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Polling,
    Websocket,
    Upgrade,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Polling, Self::Websocket, Self::Upgrade];

    pub(crate) fn choose(self, builder: ClientBuilder<Tokio>) -> ClientBuilder<Tokio> {
        match self {
            Self::Polling => builder.transports([Transport::Polling]),
            Self::Websocket => builder.transports([Transport::Websocket]),
            Self::Upgrade => builder,
        }
    }
}

/// A client, its log, and the count of its tasks.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) client: Client,
    pub(crate) rt: Arc<dyn Runtime>,
    /// What the connection and the socket of the URL go through.
    pub(crate) log: Log,
    pub(crate) tasks: Tasks,
}

impl Guest {
    /// A client that rests.
    pub(crate) fn new(
        stage: &Stage,
        options: impl FnOnce(ClientBuilder<Tokio>) -> ClientBuilder<Tokio>,
    ) -> Self {
        Self::at(&stage.rt, &format!("http://{}", stage.at), options)
    }

    /// A client of whatever is there.
    pub(crate) fn at(
        rt: &Arc<dyn Runtime>,
        url: &str,
        options: impl FnOnce(ClientBuilder<Tokio>) -> ClientBuilder<Tokio>,
    ) -> Self {
        let (counting, tasks) = Counting::new(Arc::clone(rt));
        let client = options(ClientBuilder::new(url)).build_on(Arc::new(counting)).expect("a client");
        let log = Log::default();
        let seen = log.clone();
        client.on_connect(move |socket| {
            seen.add(if socket.is_recovered() { "recovered" } else { "connect" });
            async {}
        });
        let seen = log.clone();
        client.on_connect_error(move |_, error| {
            seen.add(format_args!("connect_error {error}"));
            async {}
        });
        let seen = log.clone();
        client.on_disconnect(move |_, reason| {
            seen.add(format_args!("disconnect {reason}"));
            async {}
        });
        Self { client, rt: Arc::clone(rt), log, tasks }
    }

    /// A client that is connected.
    pub(crate) async fn connected(stage: &Stage, way: Way) -> Self {
        let guest = Self::new(stage, |builder| way.choose(builder));
        guest.enter(way).await;
        guest
    }

    /// Connects, and waits for it, and for the upgrade if there is to be one.
    pub(crate) async fn enter(&self, way: Way) {
        self.client.connect();
        let connected = timeout(&*self.rt, PATIENCE, self.client.connected()).await;
        connected.expect("connected in time").expect("connected");
        let transport = if way == Way::Polling { Transport::Polling } else { Transport::Websocket };
        self.until("the transport", || self.client.transport() == Some(transport)).await;
    }

    /// Logs what happens to the connection as well.
    pub(crate) fn log_manager(&self) {
        let seen = self.log.clone();
        self.client.on_manager(move |event| {
            seen.add(match event {
                ManagerEvent::Open => "open".to_owned(),
                ManagerEvent::Error(error) => format!("error {error}"),
                ManagerEvent::Close(reason) => format!("close {reason}"),
                ManagerEvent::ReconnectAttempt(n) => format!("reconnect_attempt {n}"),
                ManagerEvent::Reconnect(n) => format!("reconnect {n}"),
                ManagerEvent::ReconnectError(error) => format!("reconnect_error {error}"),
                ManagerEvent::ReconnectFailed => "reconnect_failed".to_owned(),
                ManagerEvent::Ping => "ping".to_owned(),
                ManagerEvent::Upgrade(transport) => format!("upgrade {}", transport.name()),
                other => format!("{other:?}"),
            });
            async {}
        });
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(&self.rt, what, condition).await;
    }

    /// Waits until these lines are there, and takes them.
    pub(crate) async fn expect(&self, lines: &[&str]) {
        let what = || self.log.len() >= lines.len();
        let deadline = self.rt.now() + PATIENCE;
        while !what() {
            assert!(self.rt.now() < deadline, "never: {lines:?}; there is {:?}", self.log.lines());
            sleep(&*self.rt, Duration::from_millis(1)).await;
        }
        assert_eq!(self.log.take(), lines);
    }

    /// Goes, and waits until no task is left.
    pub(crate) async fn leave(self) {
        let Self { client, rt, tasks, .. } = self;
        drop(client);
        until(&rt, "no task of the client is left", || tasks.count() == 0).await;
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(rt: &Arc<dyn Runtime>, what: &str, condition: impl Fn() -> bool) {
    let deadline = rt.now() + PATIENCE;
    while !condition() {
        assert!(rt.now() < deadline, "never: {what}");
        sleep(&**rt, Duration::from_millis(1)).await;
    }
}

/// The client goes, then the server must be empty.
pub(crate) async fn gone(stage: &Stage, guest: Guest) {
    guest.leave().await;
    stage.is_empty_after(()).await;
}

/// A URL of this place.
pub(crate) fn url(at: SocketAddr) -> String {
    format!("http://{at}")
}

/// A server that floods who asks with `n` events, numbered and of that size, until it cannot send any more for a while, and
/// then with 20 more. How many that makes is known once it is stuck.
pub(crate) async fn flooding(rt: &Arc<dyn Runtime>, bytes: usize) -> (Stage, Arc<AtomicU32>) {
    let limits = BufferLimits { max_bytes: 200_000, ..BufferLimits::default() };
    let stage = Stage::with(Arc::clone(rt), |options| options.send_buffer(limits)).await;
    let (clock, stuck) = (Arc::clone(rt), Arc::new(AtomicU32::new(0)));
    let is_stuck = Arc::clone(&stuck);
    stage.server.on("flood", move |socket: Socket, (): ()| {
        let (clock, is_stuck) = (Arc::clone(&clock), Arc::clone(&is_stuck));
        async move {
            let (mut n, mut full, mut end) = (0_u32, 0, u32::MAX);
            let data = Bytes::from(vec![7; bytes]);
            while n < end {
                match socket.emit("n", (n, &data)) {
                    Ok(()) => (n, full) = (n + 1, 0),
                    Err(EmitError::Full(_)) => {
                        full += 1;
                        if full == 100 && end == u32::MAX {
                            end = n + 20;
                            is_stuck.store(end, Ordering::SeqCst);
                        }
                        sleep(&*clock, Duration::from_millis(2)).await;
                    }
                    Err(_) => return,
                }
            }
        }
    });
    (stage, stuck)
}
