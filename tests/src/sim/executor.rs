//! Runs the tasks of a simulation on the calling thread, in an order that the seed decides.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use socketio_driver::runtime::BoxFuture;

use super::random::Random;

pub(super) type TaskId = u64;

/// The future given to `block_on`, which the executor does not own.
pub(super) const MAIN: TaskId = 0;

/// Who is to run. Wakers and spawning write here, the executor reads.
#[derive(Default)]
pub(super) struct Queue(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    ready: Vec<Arc<TaskWaker>>,
    spawned: Vec<BoxFuture<()>>,
}

impl Queue {
    pub(super) fn spawn(&self, task: BoxFuture<()>) {
        self.with(|pending| pending.spawned.push(task));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Pending) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    queue: Arc<Queue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let queue = Arc::clone(&self.queue);
            queue.with(|pending| pending.ready.push(self));
        }
    }
}

/// The tasks that have not ended.
pub(super) struct Executor {
    queue: Arc<Queue>,
    tasks: BTreeMap<TaskId, (BoxFuture<()>, Waker)>,
    main: Arc<TaskWaker>,
    last: TaskId,
    dice: Random,
}

impl Executor {
    pub(super) fn new(queue: Arc<Queue>, seed: u64) -> Self {
        let main =
            Arc::new(TaskWaker { id: MAIN, queued: AtomicBool::new(false), queue: Arc::clone(&queue) });
        Self { queue, tasks: BTreeMap::new(), main, last: MAIN, dice: Random::new(seed, 0) }
    }

    /// Makes the main future ready for its first poll.
    pub(super) fn wake_main(&self) {
        Arc::clone(&self.main).wake();
    }

    /// Polls one of the tasks that are ready, whichever the dice say, and says which it was.
    ///
    /// `main` is polled when it is the turn of the main future.
    pub(super) fn run_one(&mut self, main: impl FnOnce(&mut Context<'_>)) -> Option<TaskId> {
        for task in self.queue.with(|pending| mem::take(&mut pending.spawned)) {
            self.last += 1;
            let queue = Arc::clone(&self.queue);
            let waker = Arc::new(TaskWaker { id: self.last, queued: AtomicBool::new(false), queue });
            self.tasks.insert(self.last, (task, Arc::clone(&waker).into()));
            waker.wake();
        }
        let turn = self.queue.with(|pending| {
            let ready = &mut pending.ready;
            (!ready.is_empty()).then(|| ready.swap_remove(self.dice.below(ready.len())))
        })?;
        turn.queued.store(false, Ordering::Release);
        if turn.id == MAIN {
            main(&mut Context::from_waker(&turn.into()));
            return Some(MAIN);
        }
        let id = turn.id;
        // A waker outlives its task.
        if let Some((task, waker)) = self.tasks.get_mut(&id)
            && let Poll::Ready(()) = Pin::new(task).poll(&mut Context::from_waker(waker))
        {
            self.tasks.remove(&id);
        }
        Some(id)
    }

    /// How many tasks have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.len() + self.queue.with(|pending| pending.spawned.len())
    }

    /// Drops every task, and those that their destructors spawn.
    pub(super) fn clear(&mut self) {
        loop {
            let spawned = self.queue.with(|pending| mem::take(&mut pending.spawned));
            if self.tasks.is_empty() && spawned.is_empty() {
                break;
            }
            drop(spawned);
            drop(mem::take(&mut self.tasks));
        }
    }
}
