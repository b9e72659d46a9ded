//! Handlers that have begun and not ended.

use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::dispatch::{Done, Task};

/// The tasks of one client. Most clients have none most of the time, and then there is nothing.
#[derive(Default)]
pub(super) struct Tasks(Option<FuturesUnordered<Task>>);

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, FuturesUnordered::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Starts a task: up to its first `await` here and now, the rest as the connection goes on.
    pub(super) fn start(&mut self, mut task: Task, cx: &mut Context<'_>) -> Option<Done> {
        match task.as_mut().poll(cx) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => {
                self.keep(task);
                None
            }
        }
    }

    /// The same for a handler, which comes to nothing but its end.
    #[inline]
    pub(super) fn start_handler(&mut self, mut task: Task, cx: &mut Context<'_>) {
        match task.as_mut().poll(cx) {
            Poll::Ready(done) => debug_assert!(matches!(done, Done::Handler), "it is to be finished"),
            Poll::Pending => self.keep(task),
        }
    }

    fn keep(&mut self, task: Task) {
        self.0.get_or_insert_default().push(task);
    }

    /// What the next one comes to, if one has ended.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) -> Option<Done> {
        match self.0.as_mut()?.poll_next_unpin(cx) {
            Poll::Ready(Some(done)) => Some(done),
            Poll::Ready(None) => {
                self.0 = None;
                None
            }
            Poll::Pending => None,
        }
    }
}
