//! The network half of a client: a target in, a response or a websocket out.
//!
//! It knows no session and no packet. On any [`Runtime`]: all it needs of one are connections and timers. Nothing here is
//! spawned; every future drives its own connection, and dropping it closes that.

mod config;
mod cookies;
mod dial;
mod encoding;
mod endpoint;
mod exchange;
mod fault;
mod headers;
mod proxy;
mod socks;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod websocket;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use socketio_core::engine::client::Failure;
use socketio_core::engine::deflate::PerMessageDeflate;
use socketio_core::{Bytes, Lane};

pub use config::SetupError;
pub(crate) use config::{NetworkConfig, names};
pub(crate) use endpoint::Endpoint;
#[cfg(feature = "tls")]
pub use futures_rustls::rustls;
pub use proxy::Proxy;
#[cfg(feature = "tls")]
pub use tls::{Roots, Tls};

use crate::runtime::{BoxFuture, Runtime};
use crate::ws::Ws;
use cookies::Jar;
use dial::{Dialer, Purpose};
use exchange::{ACCEPTED_ENCODINGS, Answer, Connection, Pool, Unanswered};
pub(crate) use headers::Headers;

/// How one client reaches its server. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Arc<dyn Runtime>,
    endpoint: Endpoint,
    dialer: Dialer,
    headers: Headers,
    protocols: Option<HeaderValue>,
    request_timeout: Option<Duration>,
    deflate: Option<PerMessageDeflate>,
    max_message_bytes: usize,
    idle: Pool,
    cookies: Option<Jar>,
}

impl Network {
    /// Checks the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// Whatever is wrong with `config`.
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        endpoint: Endpoint,
        config: NetworkConfig,
    ) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Inner {
            headers: Headers::new(&endpoint, &config)?,
            dialer: Dialer::new(Arc::clone(&runtime), endpoint.clone(), &config)?,
            runtime,
            endpoint,
            protocols: config.protocol_offer()?,
            request_timeout: config.request_timeout,
            deflate: config.per_message_deflate,
            max_message_bytes: config.max_message_bytes,
            idle: Pool::default(),
            cookies: config.cookies.then(Jar::default),
        })))
    }

    /// Whether `target` (path and query) can stand in a request.
    ///
    /// # Errors
    /// [`SetupError::Path`].
    pub(crate) fn check_target(target: &str) -> Result<(), SetupError> {
        match target.parse::<Uri>() {
            Ok(uri) if target.starts_with('/') && uri.authority().is_none() => Ok(()),
            _ => Err(SetupError::Path { path: target.to_owned() }),
        }
    }

    /// Sends a GET; the status and the body of its response. Of a status other than 200 only the beginning of the body.
    /// Dropping the future closes the connection.
    pub(crate) fn get(&self, target: String) -> BoxFuture<Result<(u16, Bytes), Failure>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.request(Method::GET, &target, Bytes::new()).await })
    }

    /// Sends a POST, never twice; otherwise as [`get`](Self::get).
    pub(crate) fn post(&self, target: String, body: Bytes) -> BoxFuture<Result<(u16, Bytes), Failure>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.request(Method::POST, &target, body).await })
    }

    /// Opens a websocket. Dropping the future gives it up. It has no timeout of its own.
    pub(crate) fn websocket(&self, lane: Lane, target: String) -> BoxFuture<Result<Ws, Failure>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.open_websocket(lane, &target).await })
    }

    /// The headers of its requests. They keep no connection.
    pub(crate) fn headers(&self) -> Headers {
        self.0.headers.clone()
    }

    /// Closes the connections that are kept for the next request: there will be none soon.
    pub(crate) fn close_idle(&self) {
        self.0.idle.clear();
    }
}

impl Inner {
    async fn request(&self, method: Method, target: &str, body: Bytes) -> Result<(u16, Bytes), Failure> {
        let mut request = self.head(method.clone(), target, Full::new(body), Purpose::Requests)?;
        let headers = request.headers_mut();
        let mut default = |name, value| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        default(header::ACCEPT, "*/*");
        default(header::ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
        if method == Method::POST {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
        }
        self.dialer.address(&mut request, Purpose::Requests);
        let answer = within(&*self.runtime, self.request_timeout, self.answer(request)).await?;
        self.saw(target, answer.status, &answer.headers, Purpose::Requests)?;
        Ok((answer.status, answer.body))
    }

    /// A request that a kept connection could not take, because the server had closed it, goes over a new one. One of
    /// which a byte was written does not: a server that had processed it might have answered, and even a GET takes
    /// messages out of the server's hands.
    async fn answer(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        while let Some(mut connection) = self.idle.take(self.runtime.now()).await {
            match connection.exchange(request, self.max_message_bytes).await {
                Ok(answer) => return Ok(self.keep(connection, answer).await),
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Failed(failure)) => return Err(failure),
            }
        }
        let mut connection = Connection::new(self.dialer.open(Purpose::Requests).await?).await?;
        match connection.exchange(request, self.max_message_bytes).await {
            Ok(answer) => Ok(self.keep(connection, answer).await),
            Err(Unanswered::Unsent(_)) => Err(fault::wrong("the connection was closed at once")),
            Err(Unanswered::Failed(failure)) => Err(failure),
        }
    }

    async fn keep(&self, connection: Connection, answer: Answer) -> Answer {
        self.idle.put(connection, &answer.headers, self.runtime.now()).await;
        answer
    }

    async fn open_websocket(&self, lane: Lane, target: &str) -> Result<Ws, Failure> {
        let mut request = self.head(Method::GET, target, Full::default(), Purpose::Websocket)?;
        let key = websocket::key(&*self.runtime);
        websocket::ask(request.headers_mut(), key, self.protocols.as_ref(), self.deflate.as_ref());
        let io = self.dialer.open(Purpose::Websocket).await?;
        let saw = |status, headers: &HeaderMap| self.saw(target, status, headers, Purpose::Websocket);
        let (io, early, deflate) = websocket::open(io, request, self.deflate.as_ref(), saw).await?;
        let ws = Ws::client(lane, io, early, self.max_message_bytes, Arc::clone(&self.runtime));
        Ok(ws.with_deflate(deflate))
    }

    fn head(
        &self,
        method: Method,
        target: &str,
        body: Full<Bytes>,
        purpose: Purpose,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(|error: http::uri::InvalidUri| fault::broken(&error))?;
        *request.headers_mut() = self.headers.of(purpose);
        if let Some(jar) = &self.cookies {
            jar.fill(target, request.headers_mut(), self.runtime.unix_time());
        }
        Ok(request)
    }

    /// Takes note of a response.
    fn saw(&self, target: &str, status: u16, headers: &HeaderMap, purpose: Purpose) -> Result<(), Failure> {
        self.dialer.judge(status, purpose)?;
        if let Some(jar) = &self.cookies {
            jar.store(&self.endpoint, target, headers, self.runtime.unix_time());
        }
        Ok(())
    }
}

/// What `future` comes to, unless that takes longer than `limit`.
async fn within<T>(
    runtime: &dyn Runtime,
    limit: Option<Duration>,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(limit) = limit else { return future.await };
    let mut timer = runtime.timer(runtime.now() + limit);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Pending => timer.as_mut().poll(cx).map(|()| Err(Failure::TimedOut)),
        ready => ready,
    })
    .await
}

#[cfg(test)]
mod tests;
