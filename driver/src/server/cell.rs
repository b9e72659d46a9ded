//! One client's state, shared by its pump, the HTTP requests that belong to it, and whoever sends to it.
//!
//! The lock is held for a few hundred nanoseconds and never across user code or an `await`. Whoever changes the
//! state wakes the pump afterwards, and only if it sleeps: while it runs, it looks again before it goes to sleep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use socketio_core::engine::http::Response;
use socketio_core::engine::packet::BinaryEncoding;
use socketio_core::engine::server::Input;
use socketio_core::engine::{Revision, Transport};
use socketio_core::peer::SendError;
use socketio_core::{Instant, Lane, Sid};

use crate::server::hub::Hub;
use crate::server::rest::Rest;
use crate::transcript::Recorded;
use crate::ws::Ws;

/// One accepted client.
#[derive(Debug)]
#[repr(C)] // in this order: what every message asks for lies together
pub(crate) struct Cell {
    pub(crate) hub: Arc<Hub>,
    /// The server has made every socket leave.
    leaving: AtomicBool,
    state: Mutex<State>,
    sid: Sid,
}

#[derive(Debug)]
#[repr(C)] // as above
pub(super) struct State {
    /// Whether the pump sleeps, and nobody has woken it through here.
    pub(super) asleep: bool,
    /// Where its websockets are meanwhile.
    pub(super) rest: Rest,
    /// When the pump wakes by itself.
    alarm: Instant,
    /// The pump's. Kept while it is awake, since it does not change.
    sleeper: Option<Waker>,
    /// Websockets that were opened for this session and that the pump has not taken yet.
    incoming: Vec<Ws>,
    /// Gone when the session is: handles may outlive it, its buffers need not.
    pub(super) peer: Option<Recorded>,
    /// HTTP requests that wait for their answer.
    requests: Vec<(Lane, Request)>,
    /// Whether bodies of POSTs wait: the pump has enough to do.
    congested: bool,
    /// That of the POST that waits. A session has one at a time.
    poster: Option<Waker>,
    /// Senders that wait for room in the outgoing queue.
    senders: Vec<(u64, Waker)>,
}

#[derive(Debug)]
enum Request {
    Waiting(Option<Waker>),
    Answered(Answer),
}

/// How an HTTP request ends.
#[derive(Debug)]
pub(crate) enum Answer {
    Respond(Response),
    /// Without a response: the connection is broken.
    Abort,
}

impl State {
    /// Whether a pump that sleeps has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.incoming.is_empty() && self.peer.as_ref().is_some_and(|peer| is_idle(peer, self.alarm))
    }

    /// The pump's waker, if it sleeps and there is something for it to do.
    pub(super) fn rouse(&mut self) -> Option<Waker> {
        if !self.asleep || self.is_idle() { None } else { self.wake() }
    }

    /// The pump's waker, if nobody has taken it since the pump went to sleep.
    pub(super) fn wake(&mut self) -> Option<Waker> {
        self.asleep = false;
        self.sleeper.take()
    }

    /// Keeps the pump's waker.
    pub(super) fn await_wake(&mut self, cx: &Context<'_>) {
        match &mut self.sleeper {
            Some(sleeper) => sleeper.clone_from(cx.waker()),
            sleeper => *sleeper = Some(cx.waker().clone()),
        }
    }
}

/// One who sends when there is room, and is forgotten when it does not wait any more.
pub(crate) struct Sender<'a> {
    cell: &'a Cell,
    /// Its number among those who wait, once it has waited. Wakers would not tell two of the same task apart.
    number: Option<u64>,
}

impl<'a> Sender<'a> {
    pub(crate) const fn new(cell: &'a Cell) -> Self {
        Self { cell, number: None }
    }

    /// Tries to send; while there is no room for it, waits to be told of some. Ready as well when the session is over.
    pub(crate) fn poll_send(
        &mut self,
        cx: &Context<'_>,
        send: impl FnOnce(&mut Recorded) -> Result<(), SendError>,
    ) -> Poll<Result<(), SendError>> {
        // Dropped when the lock is released.
        let _replaced;
        let sleeper = {
            let mut state = self.cell.lock();
            let Some(peer) = &mut state.peer else { return Poll::Ready(Err(SendError::Disconnected)) };
            match send(peer) {
                Err(SendError::Full) => {
                    let number = *self.number.get_or_insert_with(|| self.cell.hub.next_key());
                    match state.senders.iter_mut().find(|(known, _)| *known == number) {
                        Some((_, waker)) if waker.will_wake(cx.waker()) => {}
                        Some((_, waker)) => _replaced = std::mem::replace(waker, cx.waker().clone()),
                        None => state.senders.push((number, cx.waker().clone())),
                    }
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(()) => state.rouse(),
            }
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = {
                let mut state = self.cell.lock();
                let waiting = state.senders.iter().position(|(known, _)| *known == number);
                waiting.map(|at| state.senders.remove(at))
            };
            // Without the lock: it may be the last of a task, and what that holds may want it.
            drop(waker);
        }
    }
}

/// What is to become of the body of a POST.
#[derive(Clone, Copy)]
pub(crate) enum Bodies {
    Pass,
    /// [Until there is room](Cell::poll_room).
    Wait,
}

/// How a pump goes to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// There is something to do.
    NotYet,
    /// It keeps its websockets.
    WithWebsockets,
    /// They stay in the cell, and have to be [reclaimed](Cell::reclaim).
    WithoutWebsockets,
}

/// Whether a pump that wakes at `alarm` has nothing to do before that.
fn is_idle(peer: &Recorded, alarm: Instant) -> bool {
    !peer.has_output() && !peer.has_engine_event() && peer.poll_timeout().is_none_or(|next| alarm <= next)
}

/// What requests for a session must agree with.
pub(crate) fn terms(peer: &Recorded) -> Option<(Transport, Revision)> {
    Some((peer.transport()?, peer.revision()))
}

impl Cell {
    /// A client whose session is `peer`.
    pub(crate) fn new(hub: Arc<Hub>, peer: Recorded) -> Self {
        let sid = peer.sid().clone();
        let state = State {
            peer: Some(peer),
            requests: Vec::new(),
            incoming: Vec::new(),
            sleeper: None,
            asleep: false,
            rest: Rest::default(),
            alarm: Instant::ZERO,
            congested: false,
            poster: None,
            senders: Vec::new(),
        };
        Self { hub, sid, leaving: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Notes that the server makes every socket leave.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether the server has made every socket leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The session's secret id.
    pub(crate) fn sid(&self) -> &Sid {
        &self.sid
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics by design; if it did, the state machine is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the peer and wakes its pump if that has something to do now, unless the session is over.
    pub(crate) fn with_peer<R>(&self, change: impl FnOnce(&mut Recorded) -> R) -> Option<R> {
        let (result, sleeper) = {
            let mut state = self.lock();
            (change(state.peer.as_mut()?), state.rouse())
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Some(result)
    }

    /// Tells those who wait for room that there is some, or that there is nothing to wait for any more.
    pub(crate) fn wake_senders(&self) {
        let senders = std::mem::take(&mut self.lock().senders);
        senders.into_iter().for_each(|(_, sender)| sender.wake());
    }

    /// Looks at the peer without waking anybody.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Recorded) -> R) -> Option<R> {
        self.lock().peer.as_ref().map(look)
    }

    /// Changes the peer on behalf of its pump, which is awake.
    pub(crate) fn pump<R>(&self, change: impl FnOnce(&mut Recorded) -> R) -> Option<R> {
        self.lock().peer.as_mut().map(change)
    }

    /// The same for the pump's own turn, with the websockets that were opened since the last one.
    pub(crate) fn turn<R>(
        &self,
        websockets: &mut Vec<Ws>,
        change: impl FnOnce(&mut Recorded, &mut [Ws]) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        // Its websocket may have woken it, and then it must not be woken again by what its own handlers send.
        state.asleep = false;
        if !state.incoming.is_empty() {
            let mut incoming = std::mem::take(&mut state.incoming);
            if websockets.is_empty() {
                *websockets = incoming;
            } else {
                websockets.append(&mut incoming);
            }
        }
        state.peer.as_mut().map(|peer| change(peer, websockets))
    }

    /// Lets the bodies of POSTs wait, or pass again.
    pub(crate) fn set_congested(&self, congested: bool) {
        let poster = {
            let mut state = self.lock();
            state.congested = congested;
            if congested { None } else { state.poster.take() }
        };
        if let Some(poster) = poster {
            poster.wake();
        }
    }

    /// Ready when the body of a POST may pass.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.congested {
            return Poll::Ready(());
        }
        state.poster = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Drops the peer: the session is over. A request that came too late to be answered by it is broken off.
    pub(crate) fn retire(&self) {
        let (peer, left, incoming, wakers) = {
            let mut state = self.lock();
            let mut wakers = Vec::new();
            for (_, request) in &mut state.requests {
                if let Request::Waiting(waker) = request {
                    wakers.extend(waker.take());
                    *request = Request::Answered(Answer::Abort);
                }
            }
            wakers.extend(state.senders.drain(..).map(|(_, sender)| sender));
            (state.peer.take(), state.rest.take(), std::mem::take(&mut state.incoming), wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        drop((peer, left, incoming));
    }

    /// Lets the pump sleep until it is woken, or until `alarm`, unless there is something to do. Before that it tells the
    /// peer what is left to tell. Its websockets may [stay here](super::rest) meanwhile.
    pub(crate) fn sleep(
        &self,
        cx: &Context<'_>,
        alarm: Instant,
        websockets: &mut Vec<Ws>,
        tell: impl FnOnce(&mut Recorded),
    ) -> Sleep {
        let mut state = self.lock();
        // Somebody may have sent something since the pump looked, or waits for an answer by now.
        if !state.incoming.is_empty() {
            return Sleep::NotYet;
        }
        if let Some(peer) = &mut state.peer {
            tell(peer);
            if !is_idle(peer, alarm) {
                return Sleep::NotYet;
            }
            if !peer.is_recorded() {
                state.rest.leave(websockets);
            }
        }
        state.await_wake(cx);
        state.asleep = true;
        state.alarm = alarm;
        if state.rest.is_left() { Sleep::WithoutWebsockets } else { Sleep::WithWebsockets }
    }

    /// Hands a websocket to the pump. If the session is over, dropping it is all there is to say.
    pub(crate) fn attach(&self, ws: Ws, binary: BinaryEncoding, now: Instant) {
        let sleeper = {
            let mut state = self.lock();
            let Some(peer) = &mut state.peer else { return };
            peer.handle(Input::WsOpen(ws.lane, binary), now);
            state.incoming.reserve_exact(1); // nearly always the only one there will be
            state.incoming.push(ws);
            state.rouse()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Tells the peer of an HTTP request. `None` when the session is over.
    pub(crate) fn request(
        self: Arc<Self>,
        lane: Lane,
        inputs: impl IntoIterator<Item = Input>,
        now: Instant,
    ) -> Option<Pending> {
        let mut pending = Pending { cell: self, lane, state: Waiting::Answered(None) };
        pending.input(inputs, now).then_some(pending)
    }

    /// The same for a request that is all there: `tell` tells the peer of it, unless it finds that it is not to be told, or
    /// not yet, since the bodies of POSTs [wait](Self::poll_room).
    pub(crate) fn request_at_once(
        self: Arc<Self>,
        lane: Lane,
        tell: impl FnOnce(&mut Recorded, Bodies) -> bool,
    ) -> Option<Pending> {
        let mut pending = Pending { cell: self, lane, state: Waiting::Answered(None) };
        let told = pending.tell(|state| {
            let bodies = if state.congested { Bodies::Wait } else { Bodies::Pass };
            state.peer.as_mut().is_some_and(|peer| tell(peer, bodies))
        });
        told.then_some(pending)
    }

    /// The first request of a session, which is answered already or will be.
    pub(crate) fn first_request(self: &Arc<Self>, lane: Lane, response: Option<Response>) -> Pending {
        if response.is_none() {
            self.lock().requests.push((lane, Request::Waiting(None)));
        }
        Pending { cell: self.clone(), lane, state: Waiting::of(response) }
    }

    /// Answers an HTTP request, if somebody still waits for it.
    pub(crate) fn answer(&self, lane: Lane, answer: Answer) {
        let waker = {
            let mut state = self.lock();
            state.requests.iter_mut().find(|(waiting, _)| *waiting == lane).and_then(|(_, request)| {
                match std::mem::replace(request, Request::Answered(answer)) {
                    Request::Waiting(waker) => waker,
                    Request::Answered(_) => None,
                }
            })
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_answer(&self, lane: Lane, cx: &Context<'_>) -> Poll<Answer> {
        let mut state = self.lock();
        let Some(index) = state.requests.iter().position(|(waiting, _)| *waiting == lane) else {
            return Poll::Ready(Answer::Abort);
        };
        if let Request::Waiting(waker) = &mut state.requests[index].1 {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match state.requests.swap_remove(index).1 {
            Request::Answered(answer) => Poll::Ready(answer),
            Request::Waiting(_) => Poll::Pending,
        }
    }

    /// Forgets a request, and says whether it still waited.
    fn forget(&self, lane: Lane) -> bool {
        let mut state = self.lock();
        let position = state.requests.iter().position(|(waiting, _)| *waiting == lane);
        position.is_some_and(|index| matches!(state.requests.swap_remove(index).1, Request::Waiting(_)))
    }
}

/// An HTTP request that waits for its answer. Dropped before that, its connection has gone.
#[derive(Debug)]
pub(crate) struct Pending {
    cell: Arc<Cell>,
    lane: Lane,
    state: Waiting,
}

#[derive(Debug)]
enum Waiting {
    /// The cell knows of it, and the pump will answer.
    ForPump,
    /// The answer came with the question: it need not go by the pump.
    Answered(Option<Response>),
}

impl Waiting {
    fn of(response: Option<Response>) -> Self {
        response.map_or(Self::ForPump, |response| Self::Answered(Some(response)))
    }
}

impl Pending {
    /// Tells the peer more about this request. Returns whether there still is one.
    pub(crate) fn input(&mut self, inputs: impl IntoIterator<Item = Input>, now: Instant) -> bool {
        self.tell(|state| {
            let Some(peer) = &mut state.peer else { return false };
            inputs.into_iter().for_each(|input| peer.handle(input, now));
            true
        })
    }

    /// Lets `tell` tell the peer of this request, and looks whether it is answered then. Returns whether it was told.
    fn tell(&mut self, tell: impl FnOnce(&mut State) -> bool) -> bool {
        let sleeper = {
            let mut state = self.cell.lock();
            if !tell(&mut state) {
                return false;
            }
            if !matches!(self.state, Waiting::Answered(Some(_))) {
                let response = state.peer.as_mut().and_then(|peer| peer.poll_response(self.lane));
                let known = state.requests.iter().position(|(lane, _)| *lane == self.lane);
                match known {
                    None if response.is_none() => state.requests.push((self.lane, Request::Waiting(None))),
                    Some(position) if response.is_some() => drop(state.requests.swap_remove(position)),
                    _ => {}
                }
                self.state = Waiting::of(response);
            }
            state.rouse()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        true
    }

    /// How the request ends.
    pub(crate) async fn answer(mut self) -> Answer {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// The same, for whoever waits for something else too.
    pub(crate) fn poll_answer(&mut self, cx: &Context<'_>) -> Poll<Answer> {
        match &mut self.state {
            Waiting::ForPump => {}
            Waiting::Answered(response) => {
                return Poll::Ready(response.take().map_or(Answer::Abort, Answer::Respond));
            }
        }
        let answer = ready!(self.cell.poll_answer(self.lane, cx));
        self.state = Waiting::Answered(None);
        Poll::Ready(answer)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if matches!(self.state, Waiting::ForPump) && self.cell.forget(self.lane) {
            let now = self.cell.hub.now();
            self.cell.with_peer(|peer| peer.handle(Input::LaneGone(self.lane), now));
        }
    }
}
