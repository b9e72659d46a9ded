//! The driver's view of tokio: clock, timers, tasks and TCP. No protocol.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use socketio_driver::runtime::{BoxFuture, Connect, Instant, Io, Listener, Runtime, Timer};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::task::coop::unconstrained;
use tokio::time::{self, Sleep};

/// The tokio runtime that is current where it is used.
///
/// It holds nothing: every call goes to the runtime of the calling thread, so all calls must come from inside one
/// (a task, `#[tokio::main]`, or a thread that has entered a `Handle`).
///
/// [`now`](Runtime::now) follows tokio's clock, the paused clock of its tests included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    fn now(&self) -> Instant {
        Instant::ZERO + time::Instant::now().saturating_duration_since(*EPOCH)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the Runtime that time comes from")]
    fn unix_time(&self) -> Duration {
        // A clock before 1970 is a clock that is not set; zero says the same.
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        let _inside = current();
        Box::pin(SleepUntil { sleep: time::sleep_until(to_tokio(at)) })
    }

    /// # Panics
    /// Outside a tokio runtime.
    fn spawn(&self, task: BoxFuture<()>) {
        // Detached: the driver ends its tasks by messages, not by handles.
        drop(current().spawn(task));
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            Handle::try_current().map_err(|_| io::Error::other(NO_RUNTIME))?;
            let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {at}: {e}"));
            let bound = TcpListener::bind(at).await.map_err(named)?;
            Ok(Box::new(Tcp(bound)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, to: Connect) -> BoxFuture<io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            Handle::try_current().map_err(|_| io::Error::other(NO_RUNTIME))?;
            let resolved = lookup_host((&*to.host, to.port)).await;
            let stream = to.first_of(resolved, |address| connect(address, to.local_address)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(TokioIo::new(stream)) as Box<dyn Io>)
        })
    }
}

async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(to).await };
    let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

pin_project! {
    struct SleepUntil {
        #[pin]
        sleep: Sleep,
    }
}

impl Future for SleepUntil {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A task that has used up its budget would hear "not yet" without being woken when the time comes.
        pin!(unconstrained(self.project().sleep)).poll(cx)
    }
}

impl Timer for SleepUntil {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        // To a later deadline this is one atomic store; tokio moves the entry in its wheel when it comes by.
        self.project().sleep.reset(to_tokio(at));
    }
}

#[derive(Debug)]
struct Tcp(TcpListener);

impl Listener for Tcp {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Io>, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        // It fails only on a connection that is already dead, which the first read reports; an error from here would
        // make the server pause because of one peer.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok((Box::new(TokioIo::new(stream)), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The runtime of this thread.
///
/// # Panics
/// When there is none.
fn current() -> Handle {
    Handle::try_current().unwrap_or_else(|_| panic!("{NO_RUNTIME}"))
}

fn to_tokio(at: Instant) -> time::Instant {
    let at = Duration::from_micros(at.as_micros());
    // "Never" is more than some platforms' clocks can say.
    EPOCH.checked_add(at).unwrap_or_else(|| time::Instant::now() + NEVER)
}

/// Where [`Runtime::now`] counts from. Of the operating system's clock, since that of the runtime which happens to ask
/// first may be paused and far ahead of the others in this process.
#[expect(clippy::disallowed_methods, reason = "this is the Runtime that time comes from")]
static EPOCH: LazyLock<time::Instant> = LazyLock::new(|| std::time::Instant::now().into());

const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

const NO_RUNTIME: &str = "no tokio runtime is running here: use #[tokio::main], or call this inside Runtime::block_on or a spawned task";

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::rt::{Read, ReadBuf, Write};
    use tokio::task::coop;

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn pair() -> (Box<dyn Io>, Box<dyn Io>) {
        let mut listener = Tokio.listen(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        let client = Tokio.connect(at.into()).await.unwrap();
        let (server, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        (client, server)
    }

    async fn read(io: &mut Box<dyn Io>) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buffer.unfilled())).await?;
        Ok(buffer.filled().to_vec())
    }

    #[tokio::test]
    async fn what_is_written_in_parts_arrives_whole() {
        let (mut client, mut server) = pair().await;
        assert!(client.is_write_vectored());
        let parts = [io::IoSlice::new(b"ping "), io::IoSlice::new(b"probe")];
        let written = poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &parts)).await.unwrap();
        assert_eq!(written, 10);
        assert_eq!(read(&mut server).await.unwrap(), b"ping probe");
    }

    #[tokio::test]
    async fn a_dropped_connection_is_the_end_of_the_stream() {
        let (client, mut server) = pair().await;
        drop(client);
        assert_eq!(read(&mut server).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_shut_down_writer_still_reads() {
        let (mut client, mut server) = pair().await;
        poll_fn(|cx| Pin::new(&mut client).poll_shutdown(cx)).await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), b"");
        poll_fn(|cx| Pin::new(&mut server).poll_write(cx, b"late")).await.unwrap();
        assert_eq!(read(&mut client).await.unwrap(), b"late");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let listener = Tokio.listen(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        let error = Tokio.listen(at).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&at.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_listener_frees_its_address() {
        let listener = Tokio.listen(LOOPBACK).await.unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let error = Tokio.connect(at.into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&at.to_string()), "{error}");
        Tokio.listen(at).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_follows_its_resets_both_ways() {
        let start = Tokio.now();
        let mut timer = Tokio.timer(start + Duration::from_secs(20));
        timer.as_mut().reset(start + Duration::from_secs(5));
        timer.as_mut().await;
        assert_eq!(Tokio.now().saturating_since(start).as_secs(), 5);
        timer.as_mut().await; // fired stays fired
        timer.as_mut().reset(start + Duration::from_secs(10));
        timer.as_mut().reset(start + Duration::from_secs(30));
        timer.as_mut().await;
        assert_eq!(Tokio.now().saturating_since(start).as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_for_never_does_not_fire() {
        let mut timer = Tokio.timer(Instant::from_micros(u64::MAX));
        assert!(time::timeout(Duration::from_secs(3600 * 24 * 365), timer.as_mut()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_polled_without_budget_wakes_its_task() {
        let start = Tokio.now();
        let second = Duration::from_secs(1);
        let mut timer = Tokio.timer(start + second);
        let mut polls = 0;
        let woken = poll_fn(|cx| {
            polls += 1;
            if polls > 1 && Tokio.now() >= start + second {
                return Poll::Ready(Tokio.now());
            }
            if polls == 1 {
                while coop::has_budget_remaining() {
                    let _ = pin!(coop::consume_budget()).poll(cx);
                }
                assert!(timer.as_mut().poll(cx).is_pending());
            }
            Poll::Pending
        });
        // Somebody else's timer would wake the task much later.
        let woken = time::timeout(10 * second, woken).await.unwrap();
        assert_eq!(woken.saturating_since(start).as_secs(), 1);
    }

    #[tokio::test]
    async fn a_spawned_task_runs() {
        let (done, told) = tokio::sync::oneshot::channel();
        Tokio.spawn(Box::pin(async { done.send(()).unwrap() }));
        told.await.unwrap();
    }

    #[test]
    #[should_panic(expected = "use #[tokio::main]")]
    fn spawning_outside_a_runtime_says_what_to_do() {
        Tokio.spawn(Box::pin(async {}));
    }

    #[test]
    fn listening_outside_a_runtime_says_what_to_do() {
        let mut listening = Tokio.listen(LOOPBACK);
        let polled = listening.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        let Poll::Ready(Err(error)) = polled else { panic!("{polled:?}") };
        assert!(error.to_string().contains("#[tokio::main]"), "{error}");
    }
}
