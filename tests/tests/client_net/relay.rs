//! Bytes from one connection to another and back, as everything in the middle of a network does it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBuf;
use socketio_driver::runtime::Io;

/// Until both directions have ended, or one has broken.
pub(crate) async fn relay(mut one: Box<dyn Io>, mut other: Box<dyn Io>) {
    let (mut there, mut back) = (Way::default(), Way::default());
    poll_fn(|cx| {
        let there = there.poll(cx, &mut *one, &mut *other);
        let back = back.poll(cx, &mut *other, &mut *one);
        match (there, back) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

#[derive(Default)]
struct Way {
    bytes: Vec<u8>,
    ended: bool,
    done: bool,
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Io,
        to: &mut dyn Io,
    ) -> Poll<std::io::Result<()>> {
        while !self.done {
            if self.bytes.is_empty() && !self.ended {
                let mut raw = [0; 4096];
                let mut buffer = ReadBuf::new(&mut raw);
                ready!(Pin::new(&mut *from).poll_read(cx, buffer.unfilled()))?;
                self.bytes.extend_from_slice(buffer.filled());
                self.ended = self.bytes.is_empty();
            } else if self.bytes.is_empty() {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.done = true;
            } else {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.bytes))?;
                self.bytes.drain(..written);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads the head of a request, and what was read behind it.
pub(crate) async fn head(io: &mut dyn Io, read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return String::from_utf8(std::mem::replace(read, rest)).ok();
        }
        let more = socketio_tests::io::read(io).await.ok()?;
        if more.is_empty() {
            return None;
        }
        read.extend(more);
    }
}
