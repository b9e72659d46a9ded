//! A namespace's connection to the bus: where the core's [`Node`] meets sockets, handlers and time.
//!
//! A message is handled on the thread that delivers it, down to the outgoing queues of the sockets here. Handlers of
//! server-side events run in a task of the link's own, which also keeps the time.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use socketio_core::Instant;
use socketio_core::cluster::{
    Answers, AskId, CommandError, Completed, Config, Input, Node, NodeId, Operation, Options, Output, Query,
    RequestKey, Shortfall,
};
use socketio_core::socket::server::AckError as Lost;
use socketio_core::socket::{Args, Codec, EncodeError, Encoded, Event, Nsp};

use crate::ack::{AckSender, Waiter};
use crate::cluster::bus::{Bus, Subscriber};
use crate::dispatch::Task;
use crate::runtime::Runtime;
use crate::server::namespace::{Namespace, WeakNamespace};
use crate::server::operator::Manner;

/// One namespace of one server on the bus.
pub(crate) struct Link {
    nsp: Nsp,
    uid: NodeId,
    namespace: WeakNamespace,
    bus: Arc<dyn Bus>,
    runtime: Arc<dyn Runtime>,
    codec: Codec,
    state: Mutex<State>,
}

struct State {
    node: Node<Arc<Slot>>,
    /// Events for the server's own handlers that have not been started.
    jobs: VecDeque<(Event, Option<AskId>)>,
    /// How many handlers run.
    running: usize,
    /// The task's, while it sleeps.
    sleeper: Option<Waker>,
    /// Until when.
    armed: Option<Instant>,
    closed: bool,
}

impl Link {
    pub(crate) fn new(
        nsp: Nsp,
        namespace: WeakNamespace,
        bus: Arc<dyn Bus>,
        runtime: Arc<dyn Runtime>,
        codec: Codec,
    ) -> Self {
        let mut entropy = [0; 8];
        runtime.fill_random(&mut entropy);
        let config = Config { membership: bus.membership(), ..Config::default() };
        let node = Node::new(config, nsp.clone(), entropy);
        let uid = node.uid().clone();
        let state = Mutex::new(State {
            node,
            jobs: VecDeque::new(),
            running: 0,
            sleeper: None,
            armed: None,
            closed: false,
        });
        Self { nsp, uid, namespace, bus, runtime, codec, state }
    }

    /// Joins the others.
    pub(crate) fn start(self: &Arc<Self>) {
        self.bus.subscribe(Subscriber::new(self.nsp.clone(), self.uid.clone(), Arc::downgrade(self)));
        self.act(|node, now| node.start(now));
        self.runtime.spawn(Box::pin(run(Arc::downgrade(self), self.runtime.clone())));
    }

    /// Leaves the others.
    pub(crate) fn close(self: &Arc<Self>) {
        self.act(|node, now| node.close(now));
        self.bus.unsubscribe(&self.nsp, &self.uid);
        let sleeper = {
            let mut state = self.lock();
            state.closed = true;
            state.sleeper.take()
        };
        sleeper.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handle(self: &Arc<Self>, input: Input) {
        self.act(|node, now| node.handle(input, now));
    }

    /// Changes the node and does what it wants done. What one change causes is published in its order.
    pub(crate) fn act<R>(self: &Arc<Self>, change: impl FnOnce(&mut Node<Arc<Slot>>, Instant) -> R) -> R {
        let (result, outputs, sleeper) = {
            let mut state = self.lock();
            let result = change(&mut state.node, self.runtime.now());
            let outputs: Vec<_> = std::iter::from_fn(|| state.node.poll_output()).collect();
            let next = state.node.poll_timeout();
            let earlier = next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed));
            (result, outputs, if earlier { state.sleeper.take() } else { None })
        };
        sleeper.into_iter().for_each(Waker::wake);
        outputs.into_iter().for_each(|output| self.perform(output));
        result
    }

    fn perform(self: &Arc<Self>, output: Output<Arc<Slot>>) {
        match output {
            Output::Publish(to, envelope) => self.bus.publish(to, envelope),
            Output::Apply(operation) => {
                if let Some(namespace) = self.namespace.upgrade() {
                    self.apply(&namespace, operation);
                }
            }
            Output::Ask(ask, query) => {
                if let Some(namespace) = self.namespace.upgrade() {
                    self.answer(&namespace, ask, query);
                }
            }
            Output::CountServers(key) => self.count_servers(key),
            Output::Completed(completed) => resolve(completed),
            Output::Joined(node) => {
                tracing::debug!(nsp = %self.nsp, uid = %self.uid, %node, "a node joined");
            }
            Output::Left(node) => tracing::debug!(nsp = %self.nsp, uid = %self.uid, %node, "a node left"),
            Output::Overloaded(node) => {
                tracing::warn!(nsp = %self.nsp, uid = %self.uid, %node, "too much at a time; ignored a node");
            }
        }
    }

    /// Does to the sockets here what another node wants.
    fn apply(&self, namespace: &Namespace, operation: Operation) {
        match operation {
            Operation::Broadcast(event, options) => match self.encode(&event, None, &options) {
                Ok(encoded) => {
                    let Some(hub) = namespace.hub() else { return };
                    namespace.publish(&options.selector, event.name(), &encoded, manner(&options), &hub);
                }
                Err(error) => {
                    tracing::debug!(nsp = %self.nsp, %error, "a broadcast of a node is not passed on")
                }
            },
            Operation::Join(selector, rooms) => {
                namespace.select(&selector).iter().for_each(|socket| socket.join(&rooms[..]));
            }
            Operation::Leave(selector, rooms) => {
                namespace.select(&selector).iter().for_each(|socket| socket.leave(&rooms[..]));
            }
            Operation::Disconnect(selector, close) => {
                for socket in namespace.select(&selector) {
                    if close { socket.disconnect_all() } else { socket.disconnect() }
                }
            }
            Operation::ServerSideEmit(event) => self.queue(event, None),
        }
    }

    fn answer(self: &Arc<Self>, namespace: &Namespace, ask: AskId, query: Query) {
        match query {
            Query::Broadcast(event, options) => self.broadcast_here(namespace, ask, &event, &options),
            Query::FetchSockets(selector) => {
                let sockets = namespace.select(&selector);
                let details = sockets.iter().map(|socket| socket.details()).collect();
                self.handle(Input::Sockets(ask, details));
            }
            Query::ServerSideEmit(event) => self.queue(event, Some(ask)),
        }
    }

    fn broadcast_here(self: &Arc<Self>, namespace: &Namespace, ask: AskId, event: &Event, options: &Options) {
        let id = namespace.next_ack();
        let encoded = match self.encode(event, Some(id), options) {
            Ok(encoded) => encoded,
            Err(error) => {
                tracing::debug!(nsp = %self.nsp, %error, "a broadcast of a node is not passed on");
                return self.handle(Input::Clients(ask, 0));
            }
        };
        let deadline = options.flags.timeout.map(|timeout| self.runtime.now() + timeout);
        let recipients = namespace.select(&options.selector);
        self.handle(Input::Clients(ask, recipients.len() as u64));
        for socket in recipients {
            let waiter = Waiter::Relay(self.clone(), ask);
            if let Err((_, waiter)) =
                socket.deliver_expecting(&encoded, id, waiter, deadline, manner(options))
            {
                waiter.resolve(Err(Lost::Disconnected));
            }
        }
    }

    fn encode(
        &self,
        event: &Event,
        ack: Option<socketio_core::AckId>,
        options: &Options,
    ) -> Result<Encoded, EncodeError> {
        let encoded = self.codec.event_raw(&self.nsp, ack, event.name(), event.args())?;
        Ok(encoded.with_compression(options.flags.compress))
    }

    /// A client here has acknowledged what was asked for, or never will.
    pub(crate) fn relay(self: &Arc<Self>, ask: AskId, answer: Result<Args, Lost>) {
        self.handle(match answer {
            Ok(args) => Input::Acknowledged(ask, args),
            Err(_) => Input::Unacknowledged(ask),
        });
    }

    fn count_servers(self: &Arc<Self>, key: RequestKey) {
        let link = Arc::downgrade(self);
        let counting = self.bus.count_servers(&self.nsp);
        let mut counted: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            match (counting.await, link.upgrade()) {
                (Ok(servers), Some(link)) => link.handle(Input::Servers(key, servers)),
                (Err(error), _) => tracing::warn!(%error, "the nodes of the cluster cannot be counted"),
                (Ok(_), None) => {}
            }
        });
        // Most often known at once.
        if counted.as_mut().now_or_never().is_none() {
            self.runtime.spawn(counted);
        }
    }

    fn queue(&self, event: Event, ask: Option<AskId>) {
        let sleeper = {
            let mut state = self.lock();
            if state.jobs.len() + state.running >= MAX_JOBS {
                tracing::warn!(nsp = %self.nsp, event = event.name(), "too many server-side events at a time");
                return;
            }
            state.jobs.push_back((event, ask));
            state.sleeper.take()
        };
        sleeper.into_iter().for_each(Waker::wake);
    }

    /// Starts the handlers of what has arrived: up to their first `await`, in the order of arrival.
    fn start_jobs(self: &Arc<Self>, tasks: &FuturesUnordered<Task>, cx: &mut Context<'_>) {
        let jobs = {
            let mut state = self.lock();
            state.running += state.jobs.len();
            std::mem::take(&mut state.jobs)
        };
        if jobs.is_empty() {
            return;
        }
        let Some(namespace) = self.namespace.upgrade() else { return };
        for (event, ask) in jobs {
            let ack = AckSender::node(self.clone(), ask);
            let table = namespace.table();
            for mut task in table.server_side_tasks(&event, &ack) {
                if task.as_mut().poll(cx).is_pending() {
                    tasks.push(task);
                }
            }
        }
    }

    /// Goes to sleep until `armed`, unless there is something to do.
    fn sleep(&self, running: usize, cx: &Context<'_>) -> Sleep {
        let mut state = self.lock();
        state.running = running;
        if !state.jobs.is_empty() {
            return Sleep::Not;
        }
        if state.closed && running == 0 {
            return Sleep::ForEver;
        }
        state.sleeper = Some(cx.waker().clone());
        state.armed = state.node.poll_timeout();
        Sleep::Until(state.armed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let now = self.runtime.now();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.node.close(now);
        while let Some(output) = state.node.poll_output() {
            match output {
                Output::Publish(to, envelope) => self.bus.publish(to, envelope),
                Output::Completed(completed) => resolve(completed),
                // There is nobody left to do it for.
                _ => {}
            }
        }
        self.bus.unsubscribe(&self.nsp, &self.uid);
        state.sleeper.take().into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("nsp", &self.nsp).field("uid", &self.uid).finish_non_exhaustive()
    }
}

enum Sleep {
    Not,
    Until(Option<Instant>),
    ForEver,
}

/// Keeps the time of a link and runs its handlers, for as long as there is one.
fn run(link: Weak<Link>, runtime: Arc<dyn Runtime>) -> impl Future<Output = ()> + Send {
    let mut timer = runtime.timer(runtime.now());
    let mut tasks = FuturesUnordered::new();
    poll_fn(move |cx| {
        loop {
            while let Poll::Ready(Some(_)) = tasks.poll_next_unpin(cx) {}
            let Some(link) = link.upgrade() else {
                return if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending };
            };
            link.act(|node, now| node.handle_timeout(now));
            link.start_jobs(&tasks, cx);
            match link.sleep(tasks.len(), cx) {
                Sleep::Not => {}
                Sleep::ForEver => return Poll::Ready(()),
                Sleep::Until(None) => return Poll::Pending,
                Sleep::Until(Some(at)) => {
                    timer.as_mut().reset(at);
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
}

fn manner(options: &Options) -> Manner {
    if options.flags.volatile { Manner::Volatile } else { Manner::Reliable }
}

/// Where the end of a request is waited for.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Reception>);

#[derive(Debug, Default)]
struct Reception {
    outcome: Option<(Answers, Option<Shortfall>)>,
    waker: Option<Waker>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Reception> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn resolve(completed: Completed<Arc<Slot>>) {
    let waker = {
        let mut reception = completed.waiter.lock();
        reception.outcome = Some((completed.answers, completed.shortfall));
        reception.waker.take()
    };
    waker.into_iter().for_each(Waker::wake);
}

/// Waits for a request to other nodes. Dropping it gives up the answers.
#[derive(Debug)]
pub(crate) struct Request {
    link: Arc<Link>,
    key: RequestKey,
    slot: Arc<Slot>,
}

impl Request {
    /// Makes a request with `command`.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(crate) fn new(
        link: &Arc<Link>,
        command: impl FnOnce(
            &mut Node<Arc<Slot>>,
            Arc<Slot>,
            Instant,
        ) -> Result<RequestKey, (CommandError, Arc<Slot>)>,
    ) -> Result<Self, CommandError> {
        let slot = Arc::new(Slot::default());
        let made = link.act(|node, now| command(node, slot.clone(), now));
        let key = made.map_err(|(error, _)| error)?;
        Ok(Self { link: link.clone(), key, slot })
    }
}

impl Future for Request {
    type Output = (Answers, Option<Shortfall>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut reception = self.slot.lock();
        if let Some(outcome) = reception.outcome.take() {
            return Poll::Ready(outcome);
        }
        reception.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.link.act(|node, _| node.forget(self.key));
    }
}

/// Server-side events of one namespace that wait or are handled at the same time, past which more are dropped: other
/// nodes cannot be made to wait.
const MAX_JOBS: usize = 16_384;
