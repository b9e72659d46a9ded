//! A flag that is raised once, and can be waited for.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Raised once, for ever.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_ticket: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Signal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise(&self) {
        let wakers = {
            let mut waiting = self.waiting();
            self.raised.store(true, Ordering::Release);
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Completes when the signal is raised.
    pub(crate) fn raised(&self) -> Raised<'_> {
        Raised { signal: self, ticket: None }
    }
}

/// Waits for a [`Signal`].
#[derive(Debug)]
pub(crate) struct Raised<'a> {
    signal: &'a Signal,
    ticket: Option<u64>,
}

impl Future for Raised<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ticket = {
            let mut waiting = self.signal.waiting();
            // Asked under the lock, so that `raise` either is seen here or sees the waker.
            if self.signal.is_raised() {
                return Poll::Ready(());
            }
            let ticket = self.ticket.unwrap_or_else(|| {
                waiting.next_ticket += 1;
                waiting.next_ticket
            });
            waiting.wakers.insert(ticket, cx.waker().clone());
            ticket
        };
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.signal.waiting().wakers.remove(&ticket);
        }
    }
}
