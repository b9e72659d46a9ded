//! A connection: two pipes that bytes take time to go through, and the two sockets at its ends.
//!
//! It does what TCP on Linux does where a peer can tell: order is kept, a full window makes the writer wait, an end is
//! read after the bytes before it, closing with unread bytes resets, and writing to a socket that is gone succeeds once
//! and is answered by a reset.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use socketio_core::Instant;

use super::net::{ConnId, Link, Side};
use super::world::{Event, Shared, World, store};

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) link: Link,
    client: SocketAddr,
    server: SocketAddr,
    /// What the client writes.
    upstream: Pipe,
    /// What the server writes.
    downstream: Pipe,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    segments: VecDeque<Segment>,
    /// Bytes in `segments` that were not read.
    unread: usize,
    written: u64,
    /// When the last byte written so far has left.
    line_free: Instant,
    /// When the last thing sent so far arrives: nothing overtakes.
    last_arrival: Instant,
    end: Option<(Instant, End)>,
    held: bool,
    writer_gone: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Segment {
    arrives: Instant,
    bytes: Vec<u8>,
    read: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Reset,
}

impl Pipe {
    fn arrived_bytes(&self, now: Instant) -> usize {
        if self.held {
            return 0;
        }
        let arrived = self.segments.iter().take_while(|segment| segment.arrives <= now);
        arrived.map(|segment| segment.bytes.len() - segment.read).sum()
    }

    /// The end, when it is what comes next for the reader.
    fn arrived_end(&self, now: Instant) -> Option<End> {
        let (at, end) = self.end?;
        (at <= now && !self.held && self.segments.is_empty()).then_some(end)
    }

    /// Whether a reset is there, for which a writer need not wait behind what it has not read.
    fn is_reset(&self, now: Instant) -> bool {
        !self.held && self.end.is_some_and(|(at, end)| at <= now && end == End::Reset)
    }

    /// When something that takes the link `busy` to send, from now on, is there.
    fn arrival(&mut self, link: &Link, busy: Duration, now: Instant) -> Instant {
        self.line_free = self.line_free.max(now) + busy;
        self.last_arrival = self.last_arrival.max(self.line_free + link.latency);
        self.last_arrival
    }

    fn lose_everything(&mut self) {
        self.segments.clear();
        self.unread = 0;
    }

    fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.reader.take().into_iter().chain(self.writer.take())
    }
}

impl Conn {
    pub(super) fn new(link: Link, client: SocketAddr, server: SocketAddr) -> Self {
        Self { link, client, server, upstream: Pipe::default(), downstream: Pipe::default() }
    }

    pub(super) fn address(&self, side: Side) -> SocketAddr {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    pub(super) fn written_bytes(&self, side: Side) -> u64 {
        match side {
            Side::Client => self.upstream.written,
            Side::Server => self.downstream.written,
        }
    }

    /// What `side` writes to, and what it reads from.
    fn pipes(&mut self, side: Side) -> (&mut Pipe, &mut Pipe) {
        match side {
            Side::Client => (&mut self.upstream, &mut self.downstream),
            Side::Server => (&mut self.downstream, &mut self.upstream),
        }
    }
}

impl World {
    fn poll_read(
        &mut self,
        (id, side): (ConnId, Side),
        waker: &Waker,
        buffer: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { now, net, dice, wakes, stale, .. } = self;
        let conn = net.conns.get_mut(&id).expect("one of its ends is reading");
        let link = conn.link;
        let (_, pipe) = conn.pipes(side);
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut room = pipe.arrived_bytes(*now).min(buffer.remaining());
        if room > 0 {
            if link.ragged {
                room = 1 + dice.below(room);
            }
            pipe.unread -= room;
            while room > 0 {
                let segment = pipe.segments.front_mut().expect("as many bytes have arrived");
                let rest = &segment.bytes[segment.read..];
                let part = &rest[..rest.len().min(room)];
                buffer.put_slice(part);
                room -= part.len();
                segment.read += part.len();
                if segment.read == segment.bytes.len() {
                    pipe.segments.pop_front();
                }
            }
            wakes.extend(pipe.writer.take());
            return Poll::Ready(Ok(()));
        }
        match pipe.arrived_end(*now) {
            Some(End::Finished) => Poll::Ready(Ok(())),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                store(waker, &mut pipe.reader, stale);
                Poll::Pending
            }
        }
    }

    fn poll_write(
        &mut self,
        (id, side): (ConnId, Side),
        waker: &Waker,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { now, net, dice, stale, .. } = self;
        let conn = net.conns.get_mut(&id).expect("one of its ends is writing");
        let link = conn.link;
        let (pipe, back) = conn.pipes(side);
        if pipe.end.is_some() || back.is_reset(*now) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        let mut taken = offered.min(link.window_bytes.saturating_sub(pipe.unread));
        if taken == 0 && offered > 0 {
            store(waker, &mut pipe.writer, stale);
            return Poll::Pending;
        }
        if link.ragged && taken > 0 {
            taken = 1 + dice.below(taken);
        }
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(taken).collect();
        let busy = link.bytes_per_second.map_or(Duration::ZERO, |rate| sending_time(taken, rate));
        let arrives = pipe.arrival(&link, busy, *now);
        pipe.written += taken as u64;
        let event = if pipe.reader_gone {
            Event::Reset(id, side)
        } else {
            pipe.unread += taken;
            Event::Arrive(id, side.other())
        };
        // The reset comes back as far as the bytes went.
        let at = if pipe.reader_gone { arrives + link.latency } else { arrives };
        self.log(format_args!("conn {id}: {side:?} writes {taken} of {offered}: {}", preview(&bytes)));
        let (pipe, _) = self.net.conns.get_mut(&id).expect("found above").pipes(side);
        if !pipe.reader_gone && taken > 0 {
            pipe.segments.push_back(Segment { arrives, bytes, read: 0 });
        }
        self.schedule(at, event);
        Poll::Ready(Ok(taken))
    }

    /// Ends what `side` writes. No more than the first time matters.
    pub(super) fn shutdown(&mut self, id: ConnId, side: Side) {
        let now = self.now;
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let link = conn.link;
        let (pipe, _) = conn.pipes(side);
        if pipe.end.is_some() {
            return;
        }
        let at = pipe.arrival(&link, Duration::ZERO, now);
        pipe.end = Some((at, End::Finished));
        let writer = pipe.writer.take();
        self.wakes.extend(writer);
        self.log(format_args!("conn {id}: {side:?} ends"));
        self.schedule(at, Event::Arrive(id, side.other()));
    }

    /// The socket at `side` was dropped.
    pub(super) fn close(&mut self, id: ConnId, side: Side) {
        let now = self.now;
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let latency = conn.link.latency;
        let (pipe, back) = conn.pipes(side);
        // What was not read, now or when it arrives, is answered by a reset.
        let ignored = back.segments.front().map(|segment| segment.arrives.max(now));
        back.lose_everything();
        back.reader_gone = true;
        pipe.writer_gone = true;
        let woken: Vec<Waker> = back.writer.take().into_iter().collect();
        let parked: Vec<Waker> = pipe.writer.take().into_iter().chain(back.reader.take()).collect();
        let over = pipe.reader_gone && back.writer_gone;
        self.wakes.extend(woken);
        self.stale.extend(parked);
        if over {
            self.log(format_args!("conn {id}: closed"));
            if let Some(mut conn) = self.net.conns.remove(&id) {
                self.stale.extend(conn.upstream.wakers().chain(conn.downstream.wakers()));
            }
            return;
        }
        self.shutdown(id, side);
        if let Some(at) = ignored {
            self.schedule(at + latency, Event::Reset(id, side.other()));
        }
    }

    /// Both ends see a reset, now.
    pub(super) fn cut(&mut self, id: ConnId) {
        let Self { now, net, wakes, .. } = self;
        let Some(conn) = net.conns.get_mut(&id) else { return };
        for pipe in [&mut conn.upstream, &mut conn.downstream] {
            pipe.lose_everything();
            pipe.held = false;
            pipe.end = Some((*now, End::Reset));
            wakes.extend(pipe.wakers());
        }
        self.log(format_args!("conn {id}: cut"));
    }

    pub(super) fn hold(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.pipes(side).0.held = true;
        self.log(format_args!("conn {id}: what {side:?} sends is held"));
    }

    pub(super) fn release(&mut self, id: ConnId, side: Side) {
        let now = self.now;
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let earliest = now + conn.link.latency;
        let (pipe, _) = conn.pipes(side);
        pipe.held = false;
        let mut arrivals = Vec::new();
        for segment in &mut pipe.segments {
            segment.arrives = segment.arrives.max(earliest);
            arrivals.push(segment.arrives);
        }
        if let Some((at, _)) = &mut pipe.end {
            *at = (*at).max(earliest);
            arrivals.push(*at);
        }
        pipe.last_arrival = arrivals.last().map_or(pipe.last_arrival, |last| pipe.last_arrival.max(*last));
        self.log(format_args!("conn {id}: what {side:?} sends is released"));
        for at in arrivals {
            self.schedule(at, Event::Arrive(id, side.other()));
        }
    }

    /// Something is there for `side`.
    pub(super) fn arrive(&mut self, id: ConnId, side: Side) {
        let Self { now, net, wakes, .. } = self;
        let Some(conn) = net.conns.get_mut(&id) else { return };
        let (out, pipe) = conn.pipes(side);
        wakes.extend(pipe.reader.take());
        if pipe.is_reset(*now) {
            wakes.extend(out.writer.take());
        }
    }

    /// What `side` sent was answered by a reset: the other socket was gone.
    pub(super) fn reset(&mut self, id: ConnId, side: Side) {
        let Self { now, net, wakes, .. } = self;
        let Some(conn) = net.conns.get_mut(&id) else { return };
        let (out, back) = conn.pipes(side);
        // Someone unplugged the cable: the reset is as lost as anything else.
        if back.held {
            return;
        }
        out.lose_everything();
        back.end = Some((*now, End::Reset));
        wakes.extend(out.writer.take());
        wakes.extend(back.reader.take());
        self.log(format_args!("conn {id}: {side:?} is reset"));
    }
}

/// One end of a connection, as the code under test holds it.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    id: ConnId,
    side: Side,
}

impl Socket {
    pub(super) fn new(shared: Arc<Shared>, id: ConnId, side: Side) -> Self {
        Self { shared, id, side }
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.with(|world| world.poll_read((self.id, self.side), cx.waker(), &mut buffer))
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|world| world.poll_write((self.id, self.side), cx.waker(), parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|world| world.shutdown(self.id, self.side));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.with(|world| world.close(self.id, self.side));
    }
}

fn sending_time(bytes: usize, bytes_per_second: u64) -> Duration {
    let micros = bytes as u128 * 1_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn preview(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(PREVIEW_BYTES)].escape_ascii();
    let more = if bytes.len() > PREVIEW_BYTES { "…" } else { "" };
    format!("\"{shown}\"{more}")
}

/// A packet and the beginning of its arguments, or a request line.
const PREVIEW_BYTES: usize = 72;
