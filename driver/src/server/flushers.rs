//! Who writes a broadcast: a few tasks for the whole server, instead of a wake-up for every recipient.
//!
//! A broadcast is queued for each recipient by whoever sends it. Recipients whose pump [left its websocket](super::rest)
//! are put on the list of a flusher, which writes to one after the other what each has to be sent by then: what several
//! senders said in the meantime leaves in one write.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use crate::runtime::Runtime;
use crate::server::socket::Socket;

/// The flushers of a server. They run while there are [guests](Guest).
#[derive(Default)]
pub(crate) struct Flushers {
    /// Changed under the lock.
    running: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    guests: usize,
    /// How often they began to run: those of before end, whatever has begun since.
    era: u64,
    /// Whose turn it is.
    next: usize,
    lists: [List; FLUSHERS],
}

/// Who is to be flushed.
#[derive(Default)]
struct List {
    /// Each client once.
    sockets: Vec<Socket>,
    /// The flusher's, while it waits.
    flusher: Option<Waker>,
}

impl Flushers {
    /// A pump that others write for from now on.
    pub(crate) fn invite(self: &Arc<Self>) -> Guest {
        self.lock().guests += 1;
        Guest(Arc::clone(self))
    }

    /// Has what was sent to these sockets written. Each of them was [listed](super::rest::Delivered::Listed) for this.
    pub(crate) fn flush(&self, mut sockets: Vec<Socket>) {
        if sockets.is_empty() {
            return;
        }
        let mut flushers: [Option<Waker>; FLUSHERS] = Default::default();
        {
            let mut state = self.lock();
            let share = sockets.len().div_ceil(FLUSHERS).max(MIN_SHARE);
            while self.is_running() && !sockets.is_empty() {
                state.next = (state.next + 1) % FLUSHERS;
                let next = state.next;
                let rest = sockets.len().saturating_sub(share);
                state.lists[next].sockets.extend(sockets.drain(rest..));
                flushers[next] = state.lists[next].flusher.take();
            }
        }
        flushers.into_iter().flatten().for_each(Waker::wake);
        // Nobody is here to take them.
        unlist(sockets);
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Ends those that run, if `ends`. What is sent from now on wakes the pumps.
    fn stop_if(&self, ends: impl FnOnce(&mut State) -> bool) {
        let lists = {
            let mut state = self.lock();
            if !ends(&mut state) || !self.running.swap(false, Ordering::AcqRel) {
                return;
            }
            std::mem::take(&mut state.lists)
        };
        for List { sockets, flusher } in lists {
            unlist(sockets);
            flusher.into_iter().for_each(Waker::wake);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unlist(sockets: impl IntoIterator<Item = Socket>) {
    sockets.into_iter().for_each(|socket| socket.cell().unlist());
}

/// A pump that others write for. With the last one the flushers end.
pub(crate) struct Guest(Arc<Flushers>);

impl Guest {
    /// Sees to it that the flushers run. Inside the runtime.
    pub(crate) fn start(&self, runtime: &Arc<dyn Runtime>) {
        if self.0.is_running() {
            return;
        }
        let era = {
            let mut state = self.0.lock();
            if self.0.running.swap(true, Ordering::AcqRel) {
                return;
            }
            state.era += 1;
            state.era
        };
        for number in 0..FLUSHERS {
            let (flushers, due) = (Arc::clone(&self.0), Vec::new().into_iter());
            let flusher = Flusher { flushers, runtime: runtime.clone(), era, number, due, is_fresh: true };
            runtime.spawn(Box::pin(flusher));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.stop_if(|state| {
            state.guests -= 1;
            state.guests == 0
        });
    }
}

/// The task of one flusher.
struct Flusher {
    flushers: Arc<Flushers>,
    runtime: Arc<dyn Runtime>,
    era: u64,
    number: usize,
    due: vec::IntoIter<Socket>,
    /// Whether it has just been woken.
    is_fresh: bool,
}

impl Flusher {
    /// The first one of the next list, once there is one; nobody when this is over.
    fn poll_list(&mut self, cx: &Context<'_>) -> Poll<Option<Socket>> {
        let mut state = self.flushers.lock();
        if !self.flushers.is_running() || state.era != self.era {
            return Poll::Ready(None);
        }
        let list = &mut state.lists[self.number];
        if list.sockets.is_empty() {
            list.flusher = Some(cx.waker().clone());
            self.is_fresh = true;
            return Poll::Pending;
        }
        self.due = std::mem::take(&mut list.sockets).into_iter();
        Poll::Ready(self.due.next())
    }
}

impl Future for Flusher {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Tasks that are ready by now come first: they may have more to send to the same clients.
        if !std::mem::take(&mut this.is_fresh) {
            let now = this.runtime.now();
            for _ in 0..MAX_TURN {
                let next = match this.due.next() {
                    None => ready!(this.poll_list(cx)),
                    next => next,
                };
                let Some(socket) = next else { return Poll::Ready(()) };
                socket.cell().flush(now);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        // Not over, it is let go of with its runtime: the others are useless without it. Who goes to sleep in another
        // runtime starts new ones.
        self.flushers.stop_if(|state| state.era == self.era);
        unlist(self.due.by_ref());
    }
}

/// How many there are: about as many as there are threads that one broadcast can keep busy.
const FLUSHERS: usize = 8;

/// Fewer recipients than this are not worth one more wake-up.
const MIN_SHARE: usize = 64;

/// Clients written to before other tasks get a turn. As few as that: what others send meanwhile can leave in the same write.
/// With eight, four broadcasts at a time cost a quarter more; with one, one at a time does.
const MAX_TURN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::still::Still;

    #[test]
    fn they_run_while_there_are_guests() {
        let (flushers, still) = (Arc::<Flushers>::default(), Arc::<Still>::default());
        let runtime: Arc<dyn Runtime> = still.clone();
        let (one, two) = (flushers.invite(), flushers.invite());
        assert_eq!(still.len(), 0);
        one.start(&runtime);
        two.start(&runtime);
        still.run();
        assert_eq!(still.len(), FLUSHERS);
        drop(one);
        still.run();
        assert_eq!(still.len(), FLUSHERS);
        drop(two);
        still.run();
        assert_eq!(still.len(), 0);
        // Those of before end, although others have begun.
        let three = flushers.invite();
        three.start(&runtime);
        drop(three);
        let four = flushers.invite();
        four.start(&runtime);
        assert_eq!(still.len(), 2 * FLUSHERS);
        still.run();
        assert_eq!(still.len(), FLUSHERS);
    }

    #[test]
    fn those_that_go_with_their_runtime_are_replaced_in_another() {
        let (flushers, still) = (Arc::<Flushers>::default(), Arc::<Still>::default());
        let guest = flushers.invite();
        guest.start(&(still.clone() as Arc<dyn Runtime>));
        still.run();
        still.let_go(3);
        assert!(!flushers.is_running());
        still.run();
        assert_eq!(still.len(), 0, "the others end");
        let other = Arc::<Still>::default();
        guest.start(&(other.clone() as Arc<dyn Runtime>));
        other.run();
        assert_eq!(other.len(), FLUSHERS);
    }
}
