//! Reading from and writing to a [`dyn Io`](Io), and waiting, for test cases.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::ReadBuf;
use socketio_driver::runtime::{Io, Listener, Runtime};

/// The next bytes, at most 64 KiB; none at the end of the stream.
///
/// # Errors
/// Those of the connection.
pub async fn read(io: &mut dyn Io) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 64 * 1024];
    let mut buffer = ReadBuf::new(&mut bytes);
    poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buffer.unfilled())).await?;
    let read = buffer.filled().len();
    bytes.truncate(read);
    Ok(bytes)
}

/// Reads until `count` bytes are there, or the end of the stream.
///
/// # Errors
/// Those of the connection.
pub async fn read_bytes(io: &mut dyn Io, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut buffer = ReadBuf::new(&mut bytes);
    let mut before = usize::MAX;
    while buffer.filled().len() < count && buffer.filled().len() != before {
        before = buffer.filled().len();
        poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buffer.unfilled())).await?;
    }
    let read = buffer.filled().len();
    bytes.truncate(read);
    Ok(bytes)
}

/// Reads to the end of the stream.
///
/// # Errors
/// Those of the connection.
pub async fn read_to_end(io: &mut dyn Io) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let bytes = read(io).await?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend(bytes);
    }
}

/// Writes and flushes all of `bytes`.
///
/// # Errors
/// Those of the connection.
pub async fn write_all(io: &mut dyn Io, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await?;
        bytes = &bytes[written..];
    }
    poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await
}

/// Shuts down the writing half.
///
/// # Errors
/// Those of the connection.
pub async fn shutdown(io: &mut dyn Io) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx)).await
}

/// The next connection and its address.
///
/// # Errors
/// Those of the listener.
pub async fn accept(listener: &mut dyn Listener) -> io::Result<(Box<dyn Io>, SocketAddr)> {
    poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Waits for `duration` on the clock of `rt`.
pub async fn sleep(rt: &dyn Runtime, duration: Duration) {
    rt.timer(rt.now() + duration).await;
}

/// The output of `future`, or `None` when it takes longer than `duration` on the clock of `rt`.
pub async fn timeout<F: Future>(rt: &dyn Runtime, duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = rt.timer(rt.now() + duration);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
