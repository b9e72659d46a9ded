//! Connections the server accepts itself: HTTP/1.1 by hyper, until a websocket takes over.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use socketio_core::Instant;

use crate::hub::Hub;
use crate::runtime::{Io, Listener, Runtime, Timer};
use crate::service::{self, From, Handled};
use crate::stall::Impatient;

/// Accepts connections until the server closes.
pub(crate) async fn accept_all(hub: Arc<Hub>, mut listener: Box<dyn Listener>) {
    let mut closing = pin!(hub.closing.raised());
    loop {
        let next = poll_fn(|cx| match closing.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        match next.await {
            None => return,
            Some(Ok((io, address))) => {
                let hub = hub.clone();
                let from = From { address: Some(address), secure: false };
                hub.clone().runtime.spawn(Box::pin(async move { serve(hub, io, from).await }));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot accept a connection");
                hub.runtime.timer(hub.now() + ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the requests of one connection.
pub(crate) async fn serve(hub: Arc<Hub>, io: Box<dyn Io>, from: From) {
    let _present = hub.connections.enter();
    let service = service_fn(|request| {
        let hub = &hub;
        async move {
            match service::handle(hub, request, from).await {
                Handled::Response(response) => Ok(response),
                Handled::Abort => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                Handled::ForeignUpgrade => {
                    hub.runtime.timer(hub.now() + FOREIGN_UPGRADE_TIMEOUT).await;
                    Err(io::Error::from(io::ErrorKind::ConnectionAborted))
                }
            }
        }
    });
    let mut http = http1::Builder::new();
    http.timer(HyperTimer::new(hub.runtime.clone())).header_read_timeout(HEADER_TIMEOUT);
    let io = Impatient::new(io, hub.runtime.clone());
    let mut connection = pin!(http.serve_connection(io, service).with_upgrades());
    let mut closing = pin!(hub.closing.raised());
    let mut watched = false;
    let outcome = poll_fn(|cx| {
        // Once is enough to be woken: the waker of a task does not change.
        if !watched || hub.closing.is_raised() {
            watched = true;
            if closing.as_mut().poll(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
            }
        }
        connection.as_mut().poll(cx)
    });
    if let Err(error) = outcome.await {
        tracing::trace!(%error, "connection ended");
    }
}

/// Our clock and timers as hyper wants them: in `std` instants, which we count from one that was taken once.
#[derive(Clone, Debug)]
struct HyperTimer {
    runtime: Arc<dyn Runtime>,
    base: std::time::Instant,
    origin: Instant,
}

impl HyperTimer {
    fn new(runtime: Arc<dyn Runtime>) -> Self {
        let origin = runtime.now();
        // hyper wants the type; the value is only ever compared with others counted from it.
        #[allow(clippy::disallowed_methods)]
        let base = std::time::Instant::now();
        Self { runtime, base, origin }
    }
}

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep(std::sync::Mutex::new(self.runtime.timer(self.runtime.now() + duration))))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let at = self.origin + deadline.saturating_duration_since(self.base);
        Box::pin(HyperSleep(std::sync::Mutex::new(self.runtime.timer(at))))
    }

    fn now(&self) -> std::time::Instant {
        self.base + self.runtime.now().saturating_since(self.origin)
    }
}

/// hyper asks for `Sync`, which a timer need not be: the lock is never contended.
struct HyperSleep(std::sync::Mutex<Pin<Box<dyn Timer>>>);

impl Future for HyperSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut().poll(cx)
    }
}

impl hyper::rt::Sleep for HyperSleep {}

/// How long a client may take to send the head of a request, and to begin the next one: as long as Node.js allows.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a request for somebody else's upgrade is left hanging before its connection is ended (REFERENCE 1.4).
const FOREIGN_UPGRADE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait when the system cannot accept: it is out of file descriptors, and some must be freed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
