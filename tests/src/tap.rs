//! What really goes over the wire: a relay in front of a server that looks at the websocket frames that pass.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use socketio_driver::runtime::{Io, Runtime};

use crate::io::{accept, shutdown, write_all};
use crate::proxy::{From, either};
use crate::stage::LOOPBACK;

/// A relay. It ends with its runtime.
#[derive(Debug)]
pub struct Tap {
    /// Where clients connect to.
    pub at: SocketAddr,
    seen: Arc<Mutex<Both>>,
}

/// What went each way on all websockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// From the client.
    pub up: Seen,
    /// From the server.
    pub down: Seen,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages with RSV1: the compressed ones.
    pub compressed: usize,
    /// The others.
    pub plain: usize,
    /// Of the largest message as it went.
    pub largest: usize,
}

impl Tap {
    /// A relay to `server`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn new(rt: &Arc<dyn Runtime>, server: SocketAddr) -> Self {
        let mut listener = rt.listen(LOOPBACK).await.expect("a port");
        let at = listener.local_addr().expect("the port");
        let seen = Arc::<Mutex<Both>>::default();
        let (spawner, shared) = (Arc::clone(rt), Arc::clone(&seen));
        rt.spawn(Box::pin(async move {
            while let Ok((client, _)) = accept(&mut *listener).await {
                let (rt, shared) = (Arc::clone(&spawner), Arc::clone(&shared));
                spawner.spawn(Box::pin(async move {
                    let Ok(server) = rt.connect(server.into()).await else { return };
                    // Whatever ends it ends both sides.
                    let _ = relay(client, server, &shared).await;
                }));
            }
        }));
        Self { at, seen }
    }

    /// What has passed since this was asked last.
    pub fn take(&self) -> Both {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn relay(mut client: Box<dyn Io>, mut server: Box<dyn Io>, seen: &Mutex<Both>) -> io::Result<()> {
    let (mut up, mut down) = (Reader::default(), Reader::default());
    loop {
        let (bytes, to_server) = match either(&mut *client, &mut *server).await? {
            From::Client(bytes) => (bytes, true),
            From::Server(bytes) => (bytes, false),
        };
        let to = if to_server { &mut *server } else { &mut *client };
        if bytes.is_empty() {
            return shutdown(to).await;
        }
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match to_server {
                true => up.read(&bytes, &mut seen.up),
                false => down.read(&bytes, &mut seen.down),
            }
        }
        write_all(to, &bytes).await?;
    }
}

/// One direction of one connection.
#[derive(Default)]
struct Reader {
    unread: Vec<u8>,
    is_websocket: bool,
}

impl Reader {
    fn read(&mut self, bytes: &[u8], seen: &mut Seen) {
        self.unread.extend_from_slice(bytes);
        if !self.is_websocket {
            let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            let head = String::from_utf8_lossy(&self.unread[..end]).to_ascii_lowercase();
            // A connection of polling never becomes a websocket here: a client opens another one.
            if !head.contains("upgrade: websocket") {
                self.unread.clear();
                return;
            }
            self.is_websocket = true;
            self.unread.drain(..end + 4);
        }
        while let Some((first, payload, len)) = frame(&self.unread) {
            self.unread.drain(..len);
            match first {
                0xC1 | 0xC2 => seen.compressed += 1,
                0x81 | 0x82 => seen.plain += 1,
                _ => continue,
            }
            seen.largest = seen.largest.max(payload);
        }
    }
}

/// The first byte of a frame, the length of its payload, and its own, if all of it is there.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (payload, extended) = match second & 0x7F {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 8),
        short => (usize::from(short), 0),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let len = 2 + extended + mask + payload;
    (bytes.len() >= len).then_some((first, payload, len))
}
