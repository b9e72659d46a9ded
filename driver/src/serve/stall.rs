//! A connection whose writes may not stall for ever.
//!
//! hyper waits without end for a peer that does not read its response; the session behind it is long given up then,
//! but the connection and the response would stay. Websockets have deadlines of their own and go without this.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use socketio_core::Bytes;

use crate::runtime::{Io, Runtime, Timer};

/// A connection that breaks when nothing of what is written is taken for [`STALL_TIMEOUT`].
//
// What reads and writes here is inlined, and so is what calls it in `plain.rs`. By where the samples of a profile fall, the
// processor foresees none of the returns that follow a system call, up to the loop that made it; what kernels do against
// attacks by speculation takes its stack of them away. Each costs a polling echo about 0.15 %.
pub(crate) struct Impatient {
    io: Box<dyn Io>,
    /// What was read before, and is to be read again.
    unread: Bytes,
    runtime: Arc<dyn Runtime>,
    /// Set while a write waits.
    timer: Option<Pin<Box<dyn Timer>>>,
}

impl Impatient {
    pub(crate) fn new(io: Box<dyn Io>, runtime: Arc<dyn Runtime>) -> Self {
        Self { io, unread: Bytes::new(), runtime, timer: None }
    }

    /// The same, beginning with what was read of it before.
    pub(crate) fn rewound(mut self, unread: Bytes) -> Self {
        self.unread = unread;
        self
    }

    /// The connection without its deadline, and what is to be read again.
    pub(crate) fn into_inner(self) -> (Box<dyn Io>, Bytes) {
        (self.io, self.unread)
    }

    #[inline(always)]
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        self.poll_stalled(cx).map(Err)
    }

    /// Whether nothing of a write that waits was taken for too long.
    #[inline(never)]
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (runtime, deadline) = (&self.runtime, || self.runtime.now() + STALL_TIMEOUT);
        let timer = self.timer.get_or_insert_with(|| runtime.timer(deadline()));
        timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Impatient {
    #[inline(always)]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let len = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(len));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Impatient {
    #[inline(always)]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(written, cx)
    }

    #[inline(always)]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(shut, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // To a kernel a list of a few bytes is dearer than the bytes themselves.
        let mut small = [0; SMALL_BYTES];
        let written = match gather(slices, &mut small) {
            Some(bytes) => Pin::new(&mut self.io).poll_write(cx, bytes),
            None => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
        };
        self.watch(written, cx)
    }
}

impl fmt::Debug for Impatient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impatient").field("io", &self.io).finish_non_exhaustive()
    }
}

/// All of `slices` in one piece, if it is short.
fn gather<'a>(slices: &[IoSlice<'_>], room: &'a mut [u8; SMALL_BYTES]) -> Option<&'a [u8]> {
    let mut len = 0;
    for slice in slices {
        room.get_mut(len..len + slice.len())?.copy_from_slice(slice);
        len += slice.len();
    }
    Some(&room[..len])
}

/// The head of a response, and a body of a few packets.
const SMALL_BYTES: usize = 1024;

/// How long a peer may take to read the next byte of a response: as long as to send the head of a request.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
