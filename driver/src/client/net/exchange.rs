//! Requests over HTTP/1.1, by hyper, on connections that are kept for the next request.
//!
//! Nothing is spawned: a connection is driven by whoever uses it, so dropping the future of a request closes its
//! connection. An idle connection is not watched; that it was closed is noticed before it is used again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use socketio_core::engine::client::Failure;
use socketio_core::{Bytes, Instant};

use super::encoding::decode;
use super::fault;
use crate::runtime::{BoxFuture, Io};

/// A connection, between requests or in one.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Option<http1::Connection<Box<dyn Io>, Full<Bytes>>>,
    /// Until when it can be used again.
    fresh_until: Instant,
}

/// A response in one piece.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The connection was closed before a byte of the request was written. Here it is back.
    Unsent(Box<Request<Full<Bytes>>>),
    /// The request may have been processed.
    Failed(Failure),
}

impl Connection {
    pub(super) async fn new(io: Box<dyn Io>) -> Result<Self, Failure> {
        let (sender, driver) = http1::handshake(io).await.map_err(|error| fault::broken(&error))?;
        Ok(Self { sender, driver: Some(driver), fresh_until: Instant::ZERO })
    }

    /// Sends a request and collects its response. `max_bytes` bounds the body, as received and decompressed.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        max_bytes: usize,
    ) -> Result<Answer, Unanswered> {
        let response = self.sender.try_send_request(request);
        let answer = async {
            match response.await {
                Ok(response) => collect(response, max_bytes).await.map_err(Unanswered::Failed),
                Err(mut error) => Err(match error.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request)),
                    None => Unanswered::Failed(fault::broken(error.error())),
                }),
            }
        };
        drive(&mut self.driver, answer).await
    }

    /// Whether another request can be sent at once.
    async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            let Some(driver) = &mut self.driver else { return Poll::Ready(false) };
            if Pin::new(driver).poll(cx).is_ready() {
                self.driver = None;
            }
            Poll::Ready(self.driver.is_some() && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))))
        })
        .await
    }
}

/// A connection that is to speak something else than HTTP.
pub(super) struct Switch {
    sender: SendRequest<Full<Bytes>>,
    /// hyper does not let the type of it be named.
    driver: Option<BoxFuture<hyper::Result<()>>>,
}

impl Switch {
    pub(super) async fn new(io: Box<dyn Io>) -> Result<Self, Failure> {
        let (sender, driver) = http1::handshake(io).await.map_err(|error| fault::broken(&error))?;
        Ok(Self { sender, driver: Some(Box::pin(driver.with_upgrades())) })
    }

    /// Asks for it.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let response = self.sender.send_request(request);
        drive(&mut self.driver, response).await.map_err(|error| fault::broken(&error))
    }

    /// What the server has to say about a refusal.
    pub(super) async fn refused(mut self, response: Response<Incoming>) -> Bytes {
        drive(&mut self.driver, beginning(response.into_body())).await
    }

    /// The connection, once it is agreed upon, and what was read of it too far.
    pub(super) async fn agreed(
        mut self,
        response: Response<Incoming>,
    ) -> Result<(Box<dyn Io>, Bytes), Failure> {
        let upgraded = drive(&mut self.driver, hyper::upgrade::on(response)).await;
        let upgraded = upgraded.map_err(|error| fault::broken(&error))?;
        let parts = upgraded.downcast::<Box<dyn Io>>().map_err(|_| fault::wrong("not our connection"))?;
        // A slice would keep hyper's whole read buffer alive.
        Ok((parts.io, Bytes::copy_from_slice(&parts.read_buf)))
    }
}

/// Does `work` on a connection. If that breaks, hyper tells `work`.
async fn drive<D: Future + Unpin, T>(driver: &mut Option<D>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(running) = driver
            && Pin::new(running).poll(cx).is_ready()
        {
            *driver = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}

async fn collect(response: Response<Incoming>, max_bytes: usize) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    if status != 200 {
        let body = beginning(body).await;
        return Ok(Answer { status, headers: head.headers, body });
    }
    let body = match Limited::new(body, max_bytes).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLarge),
        Err(error) => return Err(fault::broken(&*error)),
    };
    let body = decode(&head.headers, body, max_bytes)?;
    Ok(Answer { status, headers: head.headers, body })
}

/// The beginning of an error page. What comes of it counts, whatever happens to the rest.
async fn beginning(mut body: Incoming) -> Bytes {
    let mut page = Vec::new();
    while page.len() < MAX_PAGE_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        page.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    page.truncate(MAX_PAGE_BYTES);
    page.into()
}

/// Connections that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Connection>>);

impl Pool {
    /// One that is still open, as far as one can know.
    pub(super) async fn take(&self, now: Instant) -> Option<Connection> {
        loop {
            let mut connection = self.idle(Vec::pop)?;
            if now < connection.fresh_until && connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request, if it can have another one.
    pub(super) async fn put(&self, mut connection: Connection, response: &HeaderMap, now: Instant) {
        connection.fresh_until = now + lifetime(response);
        if connection.is_ready().await {
            self.idle(|idle| {
                idle.push(connection);
                if idle.len() > MAX_IDLE {
                    idle.remove(0);
                }
            });
        }
    }

    /// Closes them all.
    pub(super) fn clear(&self) {
        self.idle(std::mem::take);
    }

    fn idle<T>(&self, f: impl FnOnce(&mut Vec<Connection>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How long an idle connection can be used again: a second less than the server says that it will keep it, so that no
/// request meets the server's close half way.
fn lifetime(response: &HeaderMap) -> Duration {
    let hint = response.get_all("keep-alive").iter().find_map(|value| {
        let mut parameters = value.to_str().ok()?.split(',');
        parameters.find_map(|one| one.trim().strip_prefix("timeout=")?.parse().ok())
    });
    hint.map_or(IDLE, |seconds| Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)))
}

/// What can be undone of a response.
pub(super) const ACCEPTED_ENCODINGS: &str = "gzip, deflate";

/// One for the pending GET, one for a POST.
const MAX_IDLE: usize = 2;

/// How long an idle connection is trusted whose server does not say: less than the 5 s that are the least of the common
/// servers' defaults.
const IDLE: Duration = Duration::from_secs(4);

/// How much of an error page is read: what the core keeps of it.
const MAX_PAGE_BYTES: usize = 1024;
