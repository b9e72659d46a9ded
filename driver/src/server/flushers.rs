//! Who writes a broadcast: a few tasks for the whole server, instead of a wake-up for every recipient.
//!
//! A broadcast is queued for each recipient by whoever sends it. Recipients whose pump [left its websocket](super::rest)
//! are put on the list of a flusher, which writes to one after the other what each has to be sent by then: what several
//! senders said in the meantime leaves in one write.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use crate::runtime::Runtime;
use crate::server::socket::Socket;

/// The flushers of a server. They run while there are [`Guests`](Guest).
#[derive(Default)]
pub(crate) struct Flushers(Mutex<State>);

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
    /// Sees to it that they run until the guest is dropped. Inside the runtime.
    pub(crate) fn invite(self: &Arc<Self>, runtime: &Arc<dyn Runtime>) -> Guest {
        let era = {
            let mut state = self.lock();
            state.guests += 1;
            state.era += u64::from(state.guests == 1);
            (state.guests == 1).then_some(state.era)
        };
        if let Some(era) = era {
            for number in 0..FLUSHERS {
                let (flushers, runtime) = (Arc::clone(self), Arc::clone(runtime));
                let due = Vec::new().into_iter();
                runtime.clone().spawn(Box::pin(Flusher {
                    flushers,
                    runtime,
                    era,
                    number,
                    due,
                    is_fresh: true,
                }));
            }
        }
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
            while state.guests > 0 && !sockets.is_empty() {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unlist(sockets: impl IntoIterator<Item = Socket>) {
    sockets.into_iter().for_each(|socket| socket.cell().unlist());
}

/// A pump that others write for. With the last one the flushers end.
pub(crate) struct Guest(Arc<Flushers>);

impl Drop for Guest {
    fn drop(&mut self) {
        let lists = {
            let mut state = self.0.lock();
            state.guests -= 1;
            if state.guests > 0 { return } else { std::mem::take(&mut state.lists) }
        };
        for List { sockets, flusher } in lists {
            unlist(sockets);
            flusher.into_iter().for_each(Waker::wake);
        }
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
        if state.guests == 0 || state.era != self.era {
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
        // Some are left only where the runtime lets go of its tasks.
        unlist(self.due.by_ref());
    }
}

/// How many there are: about as many as there are threads that one broadcast can keep busy.
const FLUSHERS: usize = 8;

/// Fewer recipients than this are not worth one more wake-up.
const MIN_SHARE: usize = 64;

/// Clients written to before other tasks get a turn. Few: what others send meanwhile can leave in the same write.
const MAX_TURN: usize = 8;
