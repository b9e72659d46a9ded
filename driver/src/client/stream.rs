//! Events to be received in a loop, beside handlers or in their place.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use socketio_core::socket::Event;

use super::socket::Socket;
use crate::ack::AckSender;
use crate::dispatch::backlog::{Backlog, Weight, weight_of};

/// An event that arrived, and the way to answer it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The event.
    pub event: Event,
    /// The way to answer it. Where handlers and other streams have the same event, the first answer counts.
    pub ack: AckSender,
}

/// The events of a socket, from [`Socket::events`]. It is a [`Stream`], and has a [`next`](Self::next) of its own for
/// those who do not want more.
///
/// It ends when the socket will receive nothing more by itself: when it left, was dismissed or refused by the server,
/// when the attempts to reconnect are used up, or when the client is dropped. What was received before is still given
/// out. A connection that is lost and made again is no end.
///
/// It holds what arrived up to some 4,096 events or 4 MiB. While it is full the connection is not read from, that of all
/// namespaces: TCP tells the server to wait, and nothing is lost. As with all backpressure, that cannot go on for
/// ever: without heartbeats the connection is lost after a while, and what the server sends until it is made again is
/// lost with it unless the server keeps it ([recovery](crate::ServerBuilder::connection_state_recovery)). And whoever waits
/// for an acknowledgement before taking the next event cannot have it while the stream is full, since it stands behind the
/// events that are not read: where a server may flood, wait in a task of its own, or with a timeout.
pub struct Events {
    socket: Socket,
    channel: Arc<Channel>,
}

/// What connects a socket to one of its streams.
#[derive(Default)]
pub(crate) struct Channel(Mutex<State>);

#[derive(Default)]
struct State {
    events: Backlog<Received>,
    /// It was full and has not been emptied since by half.
    full: bool,
    ended: bool,
    reader: Option<Waker>,
}

/// How many streams of a connection are full.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicUsize);

impl Gauge {
    pub(crate) fn is_zero(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl State {
    /// Returns whether the connection may be read from again.
    fn no_longer_full(&mut self, gauge: &Gauge) -> bool {
        std::mem::take(&mut self.full) && gauge.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Weight for Received {
    fn bytes(&self) -> usize {
        weight_of(&self.event)
    }
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event.
    pub(crate) fn push(&self, received: Received, gauge: &Gauge) {
        let reader = {
            let mut state = self.lock();
            if state.ended {
                return;
            }
            state.events.push(received);
            if !state.full && state.events.is_full() {
                state.full = true;
                gauge.0.fetch_add(1, Ordering::AcqRel);
            }
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Nothing more will come, so what it holds is no reason any more not to read.
    pub(crate) fn end(&self, gauge: &Gauge) {
        let reader = {
            let mut state = self.lock();
            state.ended = true;
            state.no_longer_full(gauge);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Events {
    pub(crate) fn new(socket: Socket) -> Self {
        let channel = Arc::default();
        socket.own.add_stream(&channel, &socket.cell.full_streams);
        Self { socket, channel }
    }

    /// The next event; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Received> {
        std::future::poll_fn(|cx| self.poll_received(cx)).await
    }

    fn poll_received(&self, cx: &Context<'_>) -> Poll<Option<Received>> {
        let gauge = &self.socket.cell.full_streams;
        let (received, resumed) = {
            let mut state = self.channel.lock();
            let Some(received) = state.events.pop() else {
                if state.ended {
                    return Poll::Ready(None);
                }
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let resumed = state.events.is_half_empty() && state.no_longer_full(gauge);
            (received, resumed)
        };
        if resumed {
            self.socket.cell.wake();
        }
        Poll::Ready(Some(received))
    }
}

impl Stream for Events {
    type Item = Received;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        self.poll_received(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.socket.own.remove_stream(&self.channel);
        let (resumed, events) = {
            let mut state = self.channel.lock();
            state.ended = true;
            (state.no_longer_full(&self.socket.cell.full_streams), std::mem::take(&mut state.events))
        };
        if resumed {
            self.socket.cell.wake();
        }
        drop(events);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("socket", &self.socket).finish_non_exhaustive()
    }
}
