//! What a namespace keeps for clients that are away, and the task that forgets it in time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use serde_json::Value;
use socketio_core::Instant;
use socketio_core::socket::recovery::Log;

use crate::runtime::Runtime;
use crate::signal::Signal;

/// The log of one namespace.
#[derive(Debug)]
pub(crate) struct Kept {
    log: Mutex<Log<Value>>,
    /// Whether there is a task that forgets.
    watched: AtomicBool,
    /// Raised when nobody can come back any more.
    over: Signal,
}

impl Kept {
    pub(crate) fn new(log: Log<Value>) -> Self {
        Self { log: Mutex::new(log), watched: AtomicBool::new(false), over: Signal::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log<Value>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: nobody can come back any more.
    pub(crate) fn retire(&self) {
        self.over.raise();
        self.lock().clear();
    }

    /// Sees to it that what was put into the log goes when its time is over, even if nobody asks for it. To be called
    /// without the lock.
    pub(crate) fn watch(self: &Arc<Self>, runtime: &Arc<dyn Runtime>) {
        if !self.watched.load(Ordering::Acquire) && !self.watched.swap(true, Ordering::AcqRel) {
            runtime.spawn(Box::pin(self.clone().forget(runtime.clone())));
        }
    }

    async fn forget(self: Arc<Self>, runtime: Arc<dyn Runtime>) {
        let mut timer = runtime.timer(runtime.now());
        let mut over = pin!(self.over.raised());
        while let Some(next) = self.expire(runtime.now()) {
            timer.as_mut().reset(next);
            let is_over = poll_fn(|cx| match over.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => timer.as_mut().poll(cx).map(|()| false),
            });
            if is_over.await {
                return;
            }
        }
    }

    /// When there is something to forget next. If never, the task is over.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut log = self.lock();
        log.handle_timeout(now);
        let next = log.poll_timeout();
        if next.is_none() {
            // Under the lock: what is put into the log after this finds no task, and starts one.
            self.watched.store(false, Ordering::Release);
        }
        next
    }
}
