//! The timer of a simulation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use socketio_core::Instant;
use socketio_driver::runtime::Timer;

use super::world::{Event, EventKey, Shared};

pub(super) struct SimTimer {
    shared: Arc<Shared>,
    at: Instant,
    /// Who waits, since the last poll that found it too early.
    waker: Option<Waker>,
    /// What will wake it. `None` while nobody waits, and while the deadline is never.
    event: Option<EventKey>,
}

impl SimTimer {
    pub(super) fn new(shared: Arc<Shared>, at: Instant) -> Self {
        Self { shared, at, waker: None, event: None }
    }

    /// Lets exactly one event stand for the deadline, or none where nobody waits.
    fn reschedule(&mut self) {
        let wake = self.waker.clone().map(Event::Wake);
        self.event = self.shared.with(|world| {
            if let Some(event) = self.event {
                world.cancel(event);
            }
            wake.and_then(|wake| world.schedule(self.at, wake))
        });
    }
}

impl Future for SimTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.with(|world| world.now) >= self.at {
            self.waker = None;
            self.reschedule();
            return Poll::Ready(());
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.reschedule();
        }
        Poll::Pending
    }
}

impl Timer for SimTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
        self.reschedule();
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.waker = None;
        self.reschedule();
    }
}
