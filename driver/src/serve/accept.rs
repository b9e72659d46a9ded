//! Connections the server accepts itself: HTTP/1.1 by hyper, until a websocket takes over.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use socketio_core::Instant;

use crate::alarm::Alarm;
use crate::runtime::{Io, Listener, Runtime};
use crate::serve::plain::{self, Next};
use crate::serve::service::{self, From, Handled};
use crate::serve::stall::Impatient;
use crate::server::hub::Hub;

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
    let io = Impatient::new(io, hub.runtime.clone());
    if let Next::Hyper(io) = plain::serve(&hub, io, from).await {
        serve_with_hyper(&hub, io, from).await;
    }
}

/// The same for whatever requests.
pub(super) async fn serve_with_hyper(hub: &Arc<Hub>, io: Impatient, from: From) {
    let service = service_fn(|request| async move {
        match service::handle(hub, request, from).await {
            Handled::Response(response) => Ok(response),
            Handled::Abort => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            Handled::ForeignUpgrade => {
                hub.runtime.timer(hub.now() + FOREIGN_UPGRADE_TIMEOUT).await;
                Err(io::Error::from(io::ErrorKind::ConnectionAborted))
            }
        }
    });
    let mut http = http1::Builder::new();
    http.timer(HyperTimer::new(hub.runtime.clone()))
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
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
///
/// hyper makes a timer for the head of each request and drops it when that is read. Here they share the one that the
/// connection owns, which is never set back: it fires early, looks, and goes back to sleep.
#[derive(Clone)]
struct HyperTimer(Arc<Clock>);

struct Clock {
    runtime: Arc<dyn Runtime>,
    base: std::time::Instant,
    origin: Instant,
    alarm: Mutex<Option<Alarm>>,
}

impl HyperTimer {
    fn new(runtime: Arc<dyn Runtime>) -> Self {
        let origin = runtime.now();
        // hyper wants the type; the value is only ever compared with others counted from it.
        #[allow(clippy::disallowed_methods)]
        let base = std::time::Instant::now();
        Self(Arc::new(Clock { runtime, base, origin, alarm: Mutex::new(None) }))
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep { clock: self.0.clone(), at })
    }
}

impl hyper::rt::Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.0.runtime.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.0.origin + deadline.saturating_duration_since(self.0.base))
    }

    fn now(&self) -> std::time::Instant {
        self.0.base + self.0.runtime.now().saturating_since(self.0.origin)
    }
}

struct HyperSleep {
    clock: Arc<Clock>,
    at: Instant,
}

impl Future for HyperSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (clock, at) = (&self.clock, self.at);
        let now = clock.runtime.now();
        if at <= now {
            return Poll::Ready(());
        }
        let mut alarm = clock.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Alarm::new(&*clock.runtime, now));
        if alarm.set(Some(at), cx, now) { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl hyper::rt::Sleep for HyperSleep {}

/// How long a client may take to send the head of a request, and to begin the next one: as long as Node.js allows.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of the head of a request, which are kept until it is complete: four times what Node.js takes, where hyper
/// would take 408 KiB of everybody. It is also how much of a body is read at once.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long a request for somebody else's upgrade is left hanging before its connection is ended (REFERENCE 1.4).
const FOREIGN_UPGRADE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait when the system cannot accept: it is out of file descriptors, and some must be freed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
