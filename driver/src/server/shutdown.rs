//! Closing without cutting anybody off: who is here is counted, told, and waited for.
//!
//! What is sent to clients is the core's business; this file knows when everybody is gone.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::Timer;
use crate::server::Server;

/// What became of the clients of a server that was [shut down](Server::shutdown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Clients that went in time: they took all that was queued for them, and their handlers ended.
    pub left: usize,
    /// Clients that had not done so at the deadline.
    pub cut: usize,
}

impl Server {
    /// Closes the server in order, and within `patience`.
    ///
    /// From now on nobody is let in: a request for a new session gets a 503. Every socket leaves with
    /// `server shutting down`; no DISCONNECT is sent, so official clients reconnect, to whatever node they find then.
    /// Each connection is closed when what is queued for it is handed over; requests of polling clients that come for
    /// the rest are still served. When everybody is gone and all handlers have ended, or when the time is over, the
    /// listeners go too, and what is left is [closed](Server::close) at once.
    ///
    /// Where the server is mounted into another one, that one has to finish its responses itself, after this.
    ///
    /// ```no_run
    /// # async fn f(io: socketio_driver::Server) {
    /// let report = io.shutdown(std::time::Duration::from_secs(10)).await;
    /// println!("{} clients left, {} were cut off", report.left, report.cut);
    /// # }
    /// ```
    pub async fn shutdown(&self, patience: Duration) -> Shutdown {
        let hub = &self.hub;
        let mut timer = hub.runtime.timer(hub.now() + patience);
        let gone_before = hub.clients.departed();
        tracing::debug!(clients = hub.clients.here(), "shutting down");
        hub.wind_down();
        hub.clients.empty_or(&mut timer).await;
        let report = Shutdown { left: hub.clients.departed() - gone_before, cut: hub.clients.here() };
        hub.close_all();
        // The last responses may still be on their way.
        hub.connections.empty_or(&mut timer).await;
        tracing::info!(left = report.left, cut = report.cut, "shut down");
        report
    }
}

/// How many of something are here.
#[derive(Debug, Default)]
pub(crate) struct Headcount {
    here: AtomicUsize,
    departed: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// One that is counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Present(Arc<Headcount>);

impl Headcount {
    pub(crate) fn enter(self: &Arc<Self>) -> Present {
        self.here.fetch_add(1, Ordering::AcqRel);
        Present(self.clone())
    }

    pub(crate) fn here(&self) -> usize {
        self.here.load(Ordering::Acquire)
    }

    fn departed(&self) -> usize {
        self.departed.load(Ordering::Acquire)
    }

    fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        // Asked under the lock: the last one to go either is seen here or sees the waker.
        if self.here() == 0 {
            return Poll::Ready(());
        }
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Completes when nobody is here, or when the timer does.
    async fn empty_or(&self, timer: &mut Pin<Box<dyn Timer>>) {
        poll_fn(|cx| match self.poll_empty(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => timer.as_mut().poll(cx),
        })
        .await;
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.departed.fetch_add(1, Ordering::AcqRel);
        if self.0.here.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiting = std::mem::take(&mut *self.0.waiting());
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_one_to_go_wakes_who_waits() {
        let headcount = Arc::new(Headcount::default());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        assert!(headcount.poll_empty(&cx).is_ready());
        let (one, two) = (headcount.enter(), headcount.enter());
        assert!(headcount.poll_empty(&cx).is_pending());
        assert!(headcount.poll_empty(&cx).is_pending());
        assert_eq!(headcount.waiting().len(), 1);
        drop(one);
        assert!(!woken.0.load(Ordering::Relaxed));
        drop(two);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(headcount.poll_empty(&cx).is_ready());
        assert_eq!((headcount.here(), headcount.departed()), (0, 2));
    }
}
