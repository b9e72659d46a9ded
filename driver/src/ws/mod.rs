//! One websocket: bytes of a connection on one side, frames on the other.
//!
//! RFC 6455 is tungstenite's, run over buffers in memory so that one short-lived read buffer serves every
//! connection, and so that everything queued leaves in one write. Messages in one frame, nearly all there is, go past it:
//! see [`inbox`]. This file only moves bytes; what a frame means the core decides.

mod deflate;
mod frame;
mod inbox;

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read as _, ReadBuf, Write as _};
use socketio_core::engine::buffer::Compression;
use socketio_core::engine::close::TransportFault;
use socketio_core::engine::packet::Frame;
use socketio_core::{Bytes, Instant, Lane, Str};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

pub(crate) use self::deflate::Deflate;
use self::deflate::{Fault, Inflated};
use self::frame::{BINARY, COMPRESSED, TEXT, push_frame};
use self::inbox::{Frames, Inbox, NotUtf8, Part};
use crate::runtime::{Io, Runtime};

/// A websocket that belongs to a session.
#[derive(Debug)]
pub(crate) struct Ws {
    pub(crate) lane: Lane,
    io: Box<dyn Io>,
    /// Bytes that arrived behind the handshake, before this existed.
    early: Bytes,
    inbox: Inbox,
    /// Made for the first frame that is not a plain message, or for the close: many websockets go without for hours.
    protocol: Option<Box<WebSocketContext>>,
    /// For messages that are compressed, if that was agreed.
    deflate: Option<Box<Deflate>>,
    /// Bytes to write, the first `written` of which are gone already.
    out: Vec<u8>,
    written: usize,
    /// Everything is handed to the connection, which may still hold some of it back (TLS does).
    flushing: bool,
    /// How much of `out` answers control frames: what a peer makes us say that it does not read.
    control_bytes: usize,
    phase: Phase,
    /// Where the masks of a client's frames come from. A server's frames have none.
    masks: Option<Arc<dyn Runtime>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// A close frame is queued or sent. The peer may still answer it, for a while.
    Closing(Instant),
    /// Nothing more can happen but writing what is queued. A peer that does not read it has a while, too.
    Flushing(Instant),
    Ended,
}

/// What became of a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed it, or the connection ended in an orderly way.
    Closed,
    /// The peer broke the rules, or the connection broke.
    Fault(TransportFault),
}

impl Ws {
    /// Takes over a connection after the HTTP upgrade. `max_message_bytes` holds for whole messages.
    pub(crate) fn server(lane: Lane, io: Box<dyn Io>, early: Bytes, max_message_bytes: usize) -> Self {
        Self::new(Role::Server, lane, io, early, max_message_bytes)
    }

    /// The same on the side that opened it.
    pub(crate) fn client(
        lane: Lane,
        io: Box<dyn Io>,
        early: Bytes,
        max_message_bytes: usize,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        Self { masks: Some(runtime), ..Self::new(Role::Client, lane, io, early, max_message_bytes) }
    }

    /// With messages that may be compressed.
    pub(crate) fn with_deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.inbox.inflates = deflate.is_some();
        self.deflate = deflate.map(Box::new);
        self
    }

    fn new(role: Role, lane: Lane, io: Box<dyn Io>, early: Bytes, max_message_bytes: usize) -> Self {
        Self {
            lane,
            io,
            early,
            inbox: Inbox::new(role, max_message_bytes),
            protocol: None,
            deflate: None,
            out: Vec::new(),
            written: 0,
            flushing: false,
            control_bytes: 0,
            phase: Phase::Open,
            masks: None,
        }
    }

    /// Reads once and hands every complete frame to `on_frame`. Ready when something was read.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        on_frame: impl FnMut(Frame),
    ) -> Poll<Result<(), End>> {
        if matches!(self.phase, Phase::Flushing(_) | Phase::Ended) {
            return Poll::Pending;
        }
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Poll::Ready(self.decode(&early, now, on_frame));
        }
        let mut raw = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut raw);
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()));
        Poll::Ready(match read {
            Ok(()) if buffer.filled().is_empty() => self.end(End::Closed),
            Ok(()) => self.decode(buffer.filled(), now, on_frame),
            Err(_) => self.end(End::Fault(TransportFault::Connection)),
        })
    }

    fn decode(&mut self, bytes: &[u8], now: Instant, on_frame: impl FnMut(Frame)) -> Result<(), End> {
        let before = self.out.len();
        self.decode_frames(bytes, now, on_frame)?;
        // The session counts what it sends itself; pongs are tungstenite's.
        self.control_bytes += self.out.len() - before;
        if self.control_bytes > MAX_CONTROL_BYTES {
            return self.end(End::Fault(TransportFault::SlowConsumer));
        }
        Ok(())
    }

    fn decode_frames(
        &mut self,
        bytes: &[u8],
        now: Instant,
        mut on_frame: impl FnMut(Frame),
    ) -> Result<(), End> {
        self.inbox.push(bytes);
        while let Some(frames) = self.inbox.next() {
            match frames {
                Frames::Messages(messages) => {
                    for message in messages {
                        match message {
                            Ok(frame) => self.hear(frame, &mut on_frame),
                            Err(NotUtf8) => return Err(self.fail(&Error::Utf8(String::new()), now)),
                        }
                    }
                }
                Frames::Compressed(part) => self.decode_compressed(part, now, &mut on_frame)?,
                Frames::OutOfTurn => {
                    return Err(self.fail(&Error::Protocol(ProtocolError::UnexpectedContinueFrame), now));
                }
                Frames::Other(frame) => self.decode_other(&frame, now, &mut on_frame)?,
            }
        }
        Ok(())
    }

    fn decode_compressed(
        &mut self,
        part: Part,
        now: Instant,
        on_frame: &mut impl FnMut(Frame),
    ) -> Result<(), End> {
        let max_size = self.inbox.max_message_bytes;
        let inflated = self.deflate.as_mut().map_or(Ok(None), |deflate| deflate.inflate(part, max_size));
        let error = match inflated {
            Ok(None) => return Ok(()),
            Ok(Some(Inflated { is_text: false, payload })) => {
                self.hear(Frame::Binary(payload.into()), on_frame);
                return Ok(());
            }
            Ok(Some(Inflated { payload, .. })) => match Str::try_from(payload) {
                Ok(text) => {
                    self.hear(Frame::Text(text), on_frame);
                    return Ok(());
                }
                Err(_) => Error::Utf8(String::new()),
            },
            Err(Fault::TooLarge) => {
                Error::Capacity(CapacityError::MessageTooLong { size: max_size + 1, max_size })
            }
            // 1007, as the reference has it: the bytes are not what the message says it is.
            Err(Fault::Corrupt) => Error::Utf8(String::new()),
        };
        Err(self.fail(&error, now))
    }

    fn decode_other(
        &mut self,
        frame: &[u8],
        now: Instant,
        on_frame: &mut impl FnMut(Frame),
    ) -> Result<(), End> {
        let mut input = frame;
        loop {
            let message = match self.with_protocol(&mut input, |protocol, wire| protocol.read(wire)) {
                Ok(message) => message,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.fail(&error, now)),
            };
            match message {
                Message::Text(text) => match text_frame(text) {
                    Ok(frame) => self.hear(frame, on_frame),
                    Err(end) => return self.end(end),
                },
                Message::Binary(bytes) => self.hear(Frame::Binary(bytes), on_frame),
                // To a client tungstenite says no more before the server has closed the connection, for which nobody
                // has to wait once its close frame is answered.
                Message::Close(_) if self.masks.is_some() => {
                    let _ = self.with_protocol(&mut &[][..], |protocol, wire| protocol.flush(wire));
                    self.phase = Phase::Flushing(now + CLOSE_TIMEOUT);
                    return Err(End::Closed);
                }
                _ => {}
            }
        }
    }

    /// A peer that was told to close has nothing to say any more but its own close frame.
    fn hear(&self, frame: Frame, on_frame: &mut impl FnMut(Frame)) {
        if self.phase == Phase::Open {
            on_frame(frame);
        }
    }

    /// Answers what is wrong with a close code, where there is still somebody to answer (REFERENCE 1.10).
    fn fail(&mut self, error: &Error, now: Instant) -> End {
        self.phase = Phase::Flushing(now + CLOSE_TIMEOUT);
        let (code, fault) = match error {
            Error::ConnectionClosed | Error::AlreadyClosed => return End::Closed,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                (CloseCode::Size, TransportFault::MessageTooLarge)
            }
            Error::Utf8(_) => (CloseCode::Invalid, TransportFault::Connection),
            _ => (CloseCode::Protocol, TransportFault::Connection),
        };
        self.queue_close(Some(code));
        End::Fault(fault)
    }

    fn end(&mut self, end: End) -> Result<(), End> {
        self.phase = Phase::Ended;
        self.out.clear();
        Err(end)
    }

    /// Whether what is queued may have to be compressed first, which takes a while.
    pub(crate) fn compresses(&self) -> bool {
        self.deflate.is_some()
    }

    /// Queues a frame to be written with whatever else is queued, compressed if that was agreed, is allowed and pays.
    pub(crate) fn queue(&mut self, frame: &Frame, compression: Compression) {
        let (opcode, payload) = match frame {
            Frame::Text(text) => (TEXT, &text.as_bytes()[..]),
            Frame::Binary(bytes) => (BINARY, &bytes[..]),
        };
        if self.out.capacity() == 0 {
            self.out = SPARE.take();
        }
        let mask = self.masks.as_ref().map(|runtime| {
            let mut mask = [0; 4];
            runtime.fill_random(&mut mask);
            mask
        });
        let out = &mut self.out;
        let is_queued = self.deflate.as_mut().is_some_and(|deflate| {
            compression == Compression::Allowed
                && deflate.compress(frame, |compressed| {
                    push_frame(out, opcode | COMPRESSED, mask.as_ref(), compressed)
                })
        });
        if !is_queued {
            push_frame(&mut self.out, opcode, mask.as_ref(), payload);
        }
    }

    /// Starts the closing handshake with a close frame without a status (REFERENCE 1.11).
    pub(crate) fn close(&mut self, now: Instant) {
        if self.phase == Phase::Open {
            self.queue_close(None);
            self.phase = Phase::Closing(now + CLOSE_TIMEOUT);
        }
    }

    fn queue_close(&mut self, code: Option<CloseCode>) {
        let frame = code.map(|code| CloseFrame { code, reason: Utf8Bytes::default() });
        // The answer to a close that is impossible by now interests nobody.
        let _ = self.with_protocol(&mut &[][..], |protocol, wire| protocol.close(wire, frame));
    }

    fn with_protocol<R>(
        &mut self,
        input: &mut &[u8],
        act: impl FnOnce(&mut WebSocketContext, &mut Wire<'_, '_>) -> R,
    ) -> R {
        let protocol = self.protocol.get_or_insert_with(|| {
            let config = WebSocketConfig::default()
                .read_buffer_size(PROTOCOL_BUFFER_BYTES)
                .write_buffer_size(0)
                .max_message_size(Some(self.inbox.max_message_bytes))
                .max_frame_size(Some(self.inbox.max_message_bytes));
            Box::new(WebSocketContext::new(self.inbox.role, Some(config)))
        });
        act(protocol, &mut Wire { input, output: &mut self.out })
    }

    /// Writes what is queued. Ready(true) when something was written and nothing is left.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, End>> {
        if self.out.is_empty() && !self.flushing {
            return Poll::Ready(Ok(false));
        }
        while self.written < self.out.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..])) {
                Ok(count) if count > 0 => self.written += count,
                _ => return Poll::Ready(self.end(End::Fault(TransportFault::Connection)).map(|()| false)),
            }
        }
        self.written = 0;
        self.control_bytes = 0;
        self.out.clear();
        let out = std::mem::take(&mut self.out);
        if out.capacity() <= MAX_SPARE_BYTES {
            SPARE.set(out);
        }
        self.flushing = true;
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        self.flushing = false;
        Poll::Ready(match flushed {
            Ok(()) => Ok(true),
            Err(_) => self.end(End::Fault(TransportFault::Connection)).map(|()| false),
        })
    }

    /// When a peer that does not answer the close frame is given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closing(deadline) | Phase::Flushing(deadline) => Some(deadline),
            Phase::Open | Phase::Ended => None,
        }
    }

    /// Whether nothing is under way but to wait for what the peer says, and what is queued takes no time to be written.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Open
            && self.out.is_empty()
            && !self.flushing
            && self.early.is_empty()
            && !self.compresses()
    }

    /// Whether the connection can be dropped: nothing is left to write, and nothing to wait for.
    pub(crate) fn is_done(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Closing(deadline) => deadline <= now,
            Phase::Flushing(deadline) => (self.out.is_empty() && !self.flushing) || deadline <= now,
            Phase::Ended => true,
        }
    }
}

/// Sends a close frame on a websocket that belongs to no session, and waits for the connection to end, for as long as
/// for that of any other.
pub(crate) async fn turn_away(io: Box<dyn Io>, runtime: &dyn Runtime) {
    let now = runtime.now();
    let mut ws = Ws::server(Lane(0), io, Bytes::new(), 125);
    ws.close(now);
    let mut timer = runtime.timer(now + CLOSE_TIMEOUT);
    let mut goodbye = pin!(async {
        let _ = poll_fn(|cx| ws.poll_write(cx)).await;
        while poll_fn(|cx| ws.poll_read(cx, now, |_| {})).await.is_ok() {}
        let _ = poll_fn(|cx| ws.poll_write(cx)).await;
    });
    poll_fn(|cx| match goodbye.as_mut().poll(cx) {
        Poll::Pending => timer.as_mut().poll(cx),
        Poll::Ready(()) => Poll::Ready(()),
    })
    .await;
}

fn text_frame(text: Utf8Bytes) -> Result<Frame, End> {
    // tungstenite has checked it; its type does not let us keep that knowledge.
    Str::try_from(Bytes::from(text)).map(Frame::Text).map_err(|_| End::Fault(TransportFault::Connection))
}

/// What tungstenite takes for a connection.
struct Wire<'a, 'b> {
    input: &'a mut &'b [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers to control frames that wait to be written, past which the peer is one that does not read: some hundred pongs
/// of the greatest size.
const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// How long a peer may take to answer a close frame (REFERENCE 1.11).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// What tungstenite reads at once: most of its frames are pings and closes.
const PROTOCOL_BUFFER_BYTES: usize = 128;

/// Bytes read at once, into the stack of whoever reads.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// What one websocket wrote from, for the next one on this thread: an idle one keeps no buffer.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// As much as is usually queued at once.
const MAX_SPARE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
