//! A client whose pump sleeps, and whom others write to: without waking it.
//!
//! Waking a task costs more than what it then does to write one frame of a broadcast, and a scheduler whose queue a
//! broadcast has filled treats the rest unfairly. So a pump to whom broadcasts come, or that is new, leaves its
//! websocket in the [`Cell`] when it goes to sleep, and a [flusher](super::flushers) writes there what its session has for it. Whatever
//! else there is to do, or cannot be done at once, wakes the pump.
//!
//! ```text
//!            sleep                 lend
//!     Held ─────────► Left ◄──────────────► Lent
//!       ▲    reclaim   │          give back   │ reclaim: the pump waits,
//!       └──────────────┘                      │ and is woken when it is given back
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use socketio_core::engine::close::TransportFault;
use socketio_core::engine::server::Input;
use socketio_core::{Instant, Lane};

use super::cell::{Cell, State};
use crate::transcript::Recorded;
use crate::ws::{End, Ws};

/// Where a client's websockets are, and whether others write to it.
#[derive(Debug)]
pub(super) struct Rest {
    place: Place,
    /// How often the pump may yet go to sleep without its websockets and be woken by somebody else than a flusher. A broadcast
    /// that found it asleep makes it one: the next one probably will, too.
    patience: u8,
    /// Whether a flusher has been here since the pump went to sleep.
    visited: bool,
    /// Whether it is on the list of a flusher.
    listed: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Self { place: Place::default(), patience: PATIENCE, visited: false, listed: false }
    }
}

#[derive(Debug, Default)]
enum Place {
    /// The pump has them.
    #[default]
    Held,
    /// The pump sleeps without them. A list, though of one, since the pump's is one.
    Left(Vec<Ws>),
    /// A flusher writes.
    Lent,
}

/// Who sees to it that what was sent leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// Nobody has to any more.
    Done,
    /// Whoever sent it must have it [flushed](super::flushers::Flushers::flush).
    Listed,
}

impl Rest {
    /// Takes the websockets of a pump that goes to sleep, if it is one whom others write to. One that still is on a list
    /// keeps them: nobody is on two, and should the list be lost, broadcasts wake it as they wake others.
    pub(super) fn leave(&mut self, websockets: &mut Vec<Ws>) {
        if self.patience > 0 && !self.listed && matches!(&websockets[..], [ws] if ws.is_at_rest()) {
            self.place = Place::Left(std::mem::take(websockets));
            self.visited = false;
        }
    }

    /// What was left here, if it is here.
    pub(super) fn take(&mut self) -> Vec<Ws> {
        match std::mem::take(&mut self.place) {
            Place::Left(websockets) => websockets,
            place @ (Place::Held | Place::Lent) => {
                self.place = place;
                Vec::new()
            }
        }
    }

    /// Whether the pump sleeps without its websockets.
    pub(super) const fn is_left(&self) -> bool {
        matches!(self.place, Place::Left(_) | Place::Lent)
    }
}

impl Cell {
    /// Gives a pump that woke its websockets back. False while they are lent: it is woken when they are not any more.
    pub(crate) fn reclaim(&self, websockets: &mut Vec<Ws>, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        match std::mem::take(&mut state.rest.place) {
            Place::Held => {}
            Place::Left(left) => {
                *websockets = left;
                let Rest { patience, visited, .. } = &mut state.rest;
                *patience = if *visited { (*patience).max(1) } else { patience.saturating_sub(1) };
            }
            Place::Lent => {
                state.rest.place = Place::Lent;
                state.asleep = false;
                state.await_wake(cx);
                return false;
            }
        }
        true
    }

    /// Changes the peer on behalf of a broadcast.
    pub(crate) fn deliver<R>(&self, change: impl FnOnce(&mut Recorded) -> R) -> Option<(R, Delivered)> {
        let (result, delivered, sleeper) = {
            let mut state = self.lock();
            let result = change(state.peer.as_mut()?);
            let (delivered, sleeper) = state.list_or_rouse();
            (result, delivered, sleeper)
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Some((result, delivered))
    }

    /// Writes what there is for the websocket of a pump that sleeps, or wakes the pump.
    pub(crate) fn flush(&self, now: Instant) {
        let Some(mut websockets) = self.lend() else { return };
        // Nobody waits until there is room: if there is none, the pump will.
        let mut cx = Context::from_waker(Waker::noop());
        let mut write = || websockets.first_mut().and_then(|ws| write(ws, &mut cx));
        let written = catch_unwind(AssertUnwindSafe(&mut write)).unwrap_or_else(|_| {
            // A connection of the application's own making, whose panic ends it and nobody else.
            let broken = websockets.pop();
            broken.map(|ws| Input::WsFault(ws.lane, TransportFault::Connection))
        });
        self.give_back(websockets, written, now);
    }

    /// The same for who cannot be flushed after all.
    pub(crate) fn unlist(&self) {
        let sleeper = {
            let mut state = self.lock();
            state.rest.listed = false;
            state.rouse()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    fn lend(&self) -> Option<Vec<Ws>> {
        let mut state = self.lock();
        let state = &mut *state;
        state.rest.listed = false;
        if !state.asleep {
            return None;
        }
        let mut websockets = state.rest.take();
        if websockets.is_empty() {
            return None;
        }
        state.rest.place = Place::Lent;
        state.rest.visited = true;
        if let (Some(peer), Some(ws)) = (&mut state.peer, websockets.first_mut()) {
            while peer.lend_frame(|_, frame, compression| ws.queue(frame, compression)).is_some() {}
        }
        Some(websockets)
    }

    fn give_back(&self, websockets: Vec<Ws>, written: Option<Input>, now: Instant) {
        // Dropped without the lock.
        let _orphaned;
        let sleeper = {
            let mut state = self.lock();
            let state = &mut *state;
            let Some(peer) = &mut state.peer else {
                state.rest.place = Place::Held;
                _orphaned = websockets;
                return;
            };
            if let Some(input) = written {
                peer.handle(input, now);
            }
            let is_at_rest = websockets.iter().all(Ws::is_at_rest);
            state.rest.place = Place::Left(websockets);
            match state.asleep && is_at_rest {
                true => state.rouse(),
                // It waits for what was lent, or has to wait until more can be written.
                false => state.wake(),
            }
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl State {
    /// After a broadcast: puts the client on a flusher's list, or wakes the pump.
    fn list_or_rouse(&mut self) -> (Delivered, Option<Waker>) {
        if !self.asleep {
            return (Delivered::Done, None);
        }
        match self.rest.place {
            Place::Held => {
                let sleeper = self.rouse();
                if sleeper.is_some() {
                    self.rest.patience = self.rest.patience.max(1);
                }
                (Delivered::Done, sleeper)
            }
            // Whoever has it looks once more before it is given back.
            Place::Lent => (Delivered::Done, None),
            Place::Left(_) if self.rest.listed || self.is_idle() => (Delivered::Done, None),
            Place::Left(_) => {
                self.rest.listed = true;
                (Delivered::Listed, None)
            }
        }
    }
}

/// A new client is woken to join a namespace, and perhaps a room, before anybody writes to it. Held at their first broadcast,
/// the websockets of a thousand new clients would have a thousand pumps woken at once, and a scheduler keep some of them waiting.
const PATIENCE: u8 = 4;

/// Writes what is queued on a websocket. What became of it, once there is nothing left.
pub(crate) fn write(ws: &mut Ws, cx: &mut Context<'_>) -> Option<Input> {
    match ws.poll_write(cx) {
        Poll::Pending | Poll::Ready(Ok(false)) => None,
        Poll::Ready(Ok(true)) => Some(Input::Flushed(ws.lane)),
        Poll::Ready(Err(end)) => Some(ended(ws.lane, end)),
    }
}

/// What the core is told of the end of a websocket.
pub(crate) fn ended(lane: Lane, end: End) -> Input {
    match end {
        End::Closed => Input::LaneGone(lane),
        End::Fault(fault) => Input::WsFault(lane, fault),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use hyper::rt::{Read, ReadBufCursor, Write};
    use socketio_core::Bytes;
    use socketio_core::engine::close::CloseReason;
    use socketio_core::engine::format::Format;
    use socketio_core::engine::packet::Frame;
    use socketio_core::engine::server::Opening;
    use socketio_core::peer::{Event, Output};
    use socketio_core::socket::server::{self as protocol, Slot};

    use super::*;
    use crate::server::cell::Sleep;
    use crate::server::hub::{Admission, Hub};
    use crate::sim::Sim;

    /// Takes so many bytes at once, and says nothing. If there is no number it panics.
    #[derive(Debug)]
    struct Takes(Option<usize>);

    impl Read for Takes {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Write for Takes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match bytes.len().min(self.0.replace(0).expect("a number")) {
                0 => Poll::Pending,
                count => Poll::Ready(Ok(count)),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client whose pump sleeps without its websocket, which takes `room` bytes.
    struct Sleeper {
        cell: Arc<Cell>,
        slot: Slot,
        pump: Arc<Woken>,
        _sim: Sim,
    }

    impl Sleeper {
        fn new(room: Option<usize>) -> Self {
            let sim = Sim::new(1);
            let hub = Arc::new(Hub::new(sim.runtime(), Arc::default(), Admission::default()));
            let lane = Lane(1);
            let opening = Opening { sid: "S".into(), format: Format::V4, upgrades: Vec::new() };
            let mut peer = Recorded::websocket(hub.config.clone(), opening, lane, hub.now());
            peer.handle(Input::WsFrame(lane, Frame::Text("40".into())), hub.now());
            let mut slot = None;
            while let Some(output) = peer.poll_output() {
                if let Output::Event(Event::Socket(protocol::Event::ConnectRequest { slot: asked, .. })) =
                    output
                {
                    slot = Some(asked);
                }
            }
            peer.handle(Input::Flushed(lane), hub.now());
            let cell = Arc::new(Cell::new(hub, peer));
            cell.lock().rest.patience = 1;
            let pump = Arc::<Woken>::default();
            let sleeper = Self { cell, slot: slot.unwrap(), pump, _sim: sim };
            let mut websockets = vec![Ws::server(lane, Box::new(Takes(room)), Bytes::new(), 1000)];
            assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithoutWebsockets);
            assert!(websockets.is_empty());
            sleeper
        }

        fn sleep(&self, websockets: &mut Vec<Ws>) -> Sleep {
            let waker = Waker::from(self.pump.clone());
            let never = Instant::from_micros(0);
            self.cell.sleep(&Context::from_waker(&waker), never, websockets, |_| ())
        }

        /// Something to send.
        fn accept(&self) -> Delivered {
            let deliver = |peer: &mut Recorded| peer.accept(self.slot, &"socket".into(), None);
            let (accepted, delivered) = self.cell.deliver(deliver).unwrap();
            accepted.unwrap();
            delivered
        }

        fn reclaim(&self) -> Option<Vec<Ws>> {
            let mut websockets = Vec::new();
            let waker = Waker::from(self.pump.clone());
            self.cell.reclaim(&mut websockets, &Context::from_waker(&waker)).then_some(websockets)
        }

        fn woken(&self) -> usize {
            self.pump.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn who_sleeps_is_listed_once_and_written_to_without_being_woken() {
        let sleeper = Sleeper::new(Some(1000));
        assert_eq!(sleeper.accept(), Delivered::Listed);
        assert_eq!(sleeper.cell.deliver(|_| ()), Some(((), Delivered::Done)));
        sleeper.cell.flush(Instant::ZERO);
        assert!(sleeper.cell.peek(|peer| peer.is_writable()).unwrap(), "the core knows that it is written");
        assert_eq!(sleeper.cell.deliver(|_| ()), Some(((), Delivered::Done)), "there is nothing to write");
        assert_eq!(sleeper.woken(), 0);
        assert!(sleeper.reclaim().unwrap()[0].is_at_rest());
    }

    #[test]
    fn a_pump_that_wakes_while_its_websocket_is_lent_waits_for_it() {
        let sleeper = Sleeper::new(Some(1000));
        let lent = sleeper.cell.lend().unwrap();
        assert!(sleeper.cell.lend().is_none(), "there is one only");
        assert!(sleeper.reclaim().is_none());
        assert_eq!(sleeper.woken(), 0);
        sleeper.cell.give_back(lent, None, Instant::ZERO);
        assert_eq!(sleeper.woken(), 1);
        assert_eq!(sleeper.reclaim().unwrap().len(), 1);
    }

    #[test]
    fn what_is_sent_while_it_is_lent_wakes_the_pump() {
        let sleeper = Sleeper::new(Some(1000));
        let lent = sleeper.cell.lend().unwrap();
        assert_eq!(sleeper.accept(), Delivered::Done);
        sleeper.cell.give_back(lent, None, Instant::ZERO);
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn what_cannot_be_written_at_once_is_for_the_pump() {
        let sleeper = Sleeper::new(Some(3));
        assert_eq!(sleeper.accept(), Delivered::Listed);
        sleeper.cell.flush(Instant::ZERO);
        assert_eq!(sleeper.woken(), 1);
        assert!(!sleeper.reclaim().unwrap()[0].is_at_rest());
    }

    #[test]
    fn a_connection_that_panics_is_over_and_its_pump_hears_of_it() {
        let sleeper = Sleeper::new(None);
        assert_eq!(sleeper.accept(), Delivered::Listed);
        sleeper.cell.flush(Instant::ZERO);
        assert_eq!(sleeper.woken(), 1);
        assert!(sleeper.reclaim().unwrap().is_empty());
        let reason = sleeper.cell.peek(|peer| peer.close_reason()).unwrap();
        assert_eq!(reason, Some(CloseReason::TransportError(TransportFault::Connection)));
    }

    #[test]
    fn who_is_not_flushed_after_all_is_woken() {
        let sleeper = Sleeper::new(Some(1000));
        assert_eq!(sleeper.accept(), Delivered::Listed);
        sleeper.cell.unlist();
        assert_eq!(sleeper.woken(), 1);
    }

    #[test]
    fn one_that_is_over_keeps_nothing() {
        let sleeper = Sleeper::new(Some(1000));
        let lent = sleeper.cell.lend().unwrap();
        sleeper.cell.retire();
        sleeper.cell.give_back(lent, None, Instant::ZERO);
        assert!(!sleeper.cell.lock().rest.is_left());
        let sleeper = Sleeper::new(Some(1000));
        sleeper.cell.retire();
        assert!(!sleeper.cell.lock().rest.is_left());
    }

    #[test]
    fn a_pump_that_is_on_a_list_keeps_its_websocket_and_is_woken_for_what_comes() {
        let sleeper = Sleeper::new(Some(1000));
        assert_eq!(sleeper.accept(), Delivered::Listed);
        let mut websockets = sleeper.reclaim().unwrap();
        sleeper.cell.pump(|peer| while peer.lend_frame(|_, _, _| ()).is_some() {});
        sleeper.cell.lock().rest.patience = 1;
        assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithWebsockets);
        let leave = |peer: &mut Recorded| peer.leave(sleeper.slot, Instant::ZERO);
        assert_eq!(sleeper.cell.deliver(leave), Some(((), Delivered::Done)));
        assert_eq!(sleeper.woken(), 1);
        // Where the list is worked off, it is as before.
        sleeper.cell.flush(Instant::ZERO);
        sleeper.cell.pump(|peer| while peer.poll_output().is_some() {});
        assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithoutWebsockets);
    }

    #[test]
    fn a_new_pump_leaves_its_websocket_a_few_times_for_nobody() {
        let sleeper = Sleeper::new(Some(1000));
        sleeper.cell.lock().rest = Rest { place: Place::Left(sleeper.reclaim().unwrap()), ..Rest::default() };
        for _ in 1..PATIENCE {
            let mut websockets = sleeper.reclaim().unwrap();
            assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithoutWebsockets);
        }
        let mut websockets = sleeper.reclaim().unwrap();
        assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithWebsockets);
    }

    #[test]
    fn a_pump_that_nobody_wrote_for_keeps_its_websocket_the_next_time() {
        let sleeper = Sleeper::new(Some(1000));
        let mut websockets = sleeper.reclaim().unwrap();
        assert_eq!(sleeper.sleep(&mut websockets), Sleep::WithWebsockets);
        assert_eq!(websockets.len(), 1);
    }
}
