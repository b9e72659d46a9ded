//! Listeners and connections.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::Async;
use hyper::rt::ReadBufCursor;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use socketio_driver::runtime::{BoxFuture, Connect, Io, Listener};

/// [`Runtime::listen`](socketio_driver::runtime::Runtime::listen).
pub fn listen(at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
    Box::pin(async move {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {at}: {e}"));
        let bound = Async::<TcpListener>::bind(at).map_err(named)?;
        Ok(Box::new(Tcp(bound)) as Box<dyn Listener>)
    })
}

/// [`Runtime::connect`](socketio_driver::runtime::Runtime::connect).
pub fn connect(to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
    Box::pin(async move {
        let name = (to.host.clone(), to.port);
        let resolved = blocking::unblock(move || name.to_socket_addrs()).await;
        let stream = to.first_of(resolved, |address| open(address, to.local_address)).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(Box::new(Stream(stream)) as Box<dyn Io>)
    })
}

async fn open(to: SocketAddr, from: Option<IpAddr>) -> io::Result<Async<TcpStream>> {
    let Some(from) = from else { return Async::<TcpStream>::connect(to).await };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.set_nonblocking(true)?;
    match rustix::net::connect(&socket, &to) {
        // Windows says the second.
        Ok(()) | Err(Errno::INPROGRESS | Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = Async::new_nonblocking(TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        None => Ok(stream),
        Some(error) => Err(error),
    }
}

#[derive(Debug)]
struct Tcp(Async<TcpListener>);

impl Listener for Tcp {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Io>, SocketAddr)>> {
        loop {
            match self.0.get_ref().accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok((stream, peer)) => {
                    // It fails only on a connection that is already dead, which the first read reports; an error from
                    // here would make the server pause because of one peer.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready(Ok((Box::new(Stream(Async::new(stream)?)), peer)));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

/// async-io's own `AsyncRead` takes a slice that is initialized, and would have hyper's buffer zeroed for every read.
#[derive(Debug)]
struct Stream(Async<TcpStream>);

impl hyper::rt::Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let read: io::Result<()> = SCRATCH.with_borrow_mut(|scratch| {
                let room = buffer.remaining().min(scratch.len());
                let read = self.0.get_ref().read(&mut scratch[..room])?;
                buffer.put_slice(&scratch[..read]);
                Ok(())
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }
}

impl Stream {
    fn poll_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_writable(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |mut stream| stream.write(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |mut stream| stream.write_vectored(parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // async-io's `poll_close` of a TCP stream is a flush: it leaves the peer waiting for the end.
        Poll::Ready(match self.0.get_ref().shutdown(Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        })
    }
}

thread_local! {
    /// What a read fills before it is copied to where hyper wants it, initialized once for a thread instead of once for
    /// a read. The copy is of what arrived, not of the room there was.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// As much as one TCP read usually has to give.
const SCRATCH_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use async_io::block_on;
    use futures_lite::future::zip;
    use hyper::rt::ReadBuf;

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn pair() -> (Box<dyn Io>, Box<dyn Io>) {
        let mut listener = listen(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        let client = connect(at.into()).await.unwrap();
        let (server, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        (client, server)
    }

    async fn read(io: &mut Box<dyn Io>) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut *io), cx, buffer.unfilled())).await?;
        Ok(buffer.filled().to_vec())
    }

    async fn write(io: &mut Box<dyn Io>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        poll_fn(|cx| hyper::rt::Write::poll_write_vectored(Pin::new(&mut *io), cx, parts)).await
    }

    async fn shutdown(io: &mut Box<dyn Io>) -> io::Result<()> {
        poll_fn(|cx| hyper::rt::Write::poll_shutdown(Pin::new(&mut *io), cx)).await
    }

    #[test]
    fn what_is_written_in_parts_arrives_whole() {
        block_on(async {
            let (mut client, mut server) = pair().await;
            assert!(hyper::rt::Write::is_write_vectored(&client));
            assert_eq!(
                write(&mut client, &[IoSlice::new(b"ping "), IoSlice::new(b"probe")]).await.unwrap(),
                10
            );
            assert_eq!(read(&mut server).await.unwrap(), b"ping probe");
        });
    }

    #[test]
    fn a_writer_waits_for_a_slow_reader_and_nothing_is_lost() {
        block_on(async {
            let (mut client, mut server) = pair().await;
            let bytes: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|i| (i % 251) as u8).collect();
            let expected = bytes.clone();
            let writing = async move {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let written = write(&mut client, &[IoSlice::new(rest)]).await.unwrap();
                    rest = &rest[written..];
                }
                shutdown(&mut client).await.unwrap();
            };
            let mut received = Vec::new();
            let reading = async {
                loop {
                    let mut bytes = vec![0; 100_000];
                    let mut buffer = ReadBuf::new(&mut bytes);
                    poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut server), cx, buffer.unfilled()))
                        .await
                        .unwrap();
                    if buffer.filled().is_empty() {
                        break;
                    }
                    received.extend_from_slice(buffer.filled());
                }
            };
            zip(writing, reading).await;
            assert!(received == expected);
        });
    }

    #[test]
    fn a_dropped_connection_is_the_end_of_the_stream() {
        block_on(async {
            let (client, mut server) = pair().await;
            drop(client);
            assert_eq!(read(&mut server).await.unwrap(), b"");
        });
    }

    #[test]
    fn a_shut_down_writer_still_reads() {
        block_on(async {
            let (mut client, mut server) = pair().await;
            shutdown(&mut client).await.unwrap();
            assert_eq!(read(&mut server).await.unwrap(), b"");
            write(&mut server, &[IoSlice::new(b"late")]).await.unwrap();
            assert_eq!(read(&mut client).await.unwrap(), b"late");
        });
    }

    #[test]
    fn an_address_in_use_is_named() {
        block_on(async {
            let listener = listen(LOOPBACK).await.unwrap();
            let at = listener.local_addr().unwrap();
            let error = listen(at).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&at.to_string()), "{error}");
        });
    }

    #[test]
    fn a_dropped_listener_frees_its_address() {
        block_on(async {
            let listener = listen(LOOPBACK).await.unwrap();
            let at = listener.local_addr().unwrap();
            drop(listener);
            let error = connect(at.into()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(error.to_string().contains(&at.to_string()), "{error}");
            listen(at).await.unwrap();
        });
    }
}
