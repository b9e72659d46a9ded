//! What an application may decide, or wants to know, about requests: set up with the server.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use socketio_core::Sid;
use socketio_core::engine::http::{BadRequest, Cors, Refusal};
use socketio_core::engine::server::EngineEvent;

use crate::dispatch::{BoxError, survive};
use crate::server::conn::Conn;
use crate::server::handshake::Handshake;

type Decision<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type AllowRequest = dyn Fn(Handshake) -> Decision<(), String> + Send + Sync;
type GenerateId = dyn Fn(Handshake) -> Decision<Sid, BoxError> + Send + Sync;
type EditHeaders = dyn Fn(&mut HeaderMap, &Parts) + Send + Sync;
type DecideCors = dyn Fn(Handshake) -> Pin<Box<dyn Future<Output = Option<Cors>> + Send>> + Send + Sync;
type SeeRefusal = dyn Fn(&ConnectionError<'_>) + Send + Sync;
type SeeEngine = dyn Fn(&Conn, &EngineEvent) + Send + Sync;

/// A request that was refused (REFERENCE 1.6).
#[derive(Debug)]
pub struct ConnectionError<'a> {
    /// Why: [`code`](Refusal::code), [`message`](Refusal::message) and the context of each kind.
    pub refusal: &'a Refusal,
    /// The request.
    pub request: &'a Parts,
}

impl ConnectionError<'_> {
    /// The code, 0 to 5.
    pub fn code(&self) -> u8 {
        self.refusal.code()
    }

    /// The message sent to the client.
    pub fn message(&self) -> &str {
        self.refusal.message()
    }

    /// Which of the reasons that share code 3 it is, as in `TRANSPORT_MISMATCH`.
    pub fn name(&self) -> Option<&'static str> {
        match self.refusal {
            Refusal::BadRequest(reason) => Some(reason.name()),
            _ => None,
        }
    }
}

/// The hooks of a server.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    allow_request: Option<Arc<AllowRequest>>,
    generate_id: Option<Arc<GenerateId>>,
    cors: Option<Arc<DecideCors>>,
    initial_headers: Vec<Arc<EditHeaders>>,
    headers: Vec<Arc<EditHeaders>>,
    connection_error: Vec<Arc<SeeRefusal>>,
    engine_event: Vec<Arc<SeeEngine>>,
}

impl Hooks {
    pub(crate) fn allow_request<F, Fut>(&mut self, decide: F)
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.allow_request = Some(Arc::new(move |request| Box::pin(decide(request))));
    }

    pub(crate) fn generate_id<F, Fut>(&mut self, generate: F)
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Sid, BoxError>> + Send + 'static,
    {
        self.generate_id = Some(Arc::new(move |request| Box::pin(generate(request))));
    }

    pub(crate) fn cors<F, Fut>(&mut self, decide: F)
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Cors>> + Send + 'static,
    {
        self.cors = Some(Arc::new(move |request| Box::pin(decide(request))));
    }

    pub(crate) fn initial_headers(&mut self, edit: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) {
        self.initial_headers.push(Arc::new(edit));
    }

    pub(crate) fn headers(&mut self, edit: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) {
        self.headers.push(Arc::new(edit));
    }

    pub(crate) fn connection_error(&mut self, see: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static) {
        self.connection_error.push(Arc::new(see));
    }

    pub(crate) fn engine_event(&mut self, see: impl Fn(&Conn, &EngineEvent) + Send + Sync + 'static) {
        self.engine_event.push(Arc::new(see));
    }

    /// Whether CORS is decided for each request.
    pub(crate) fn decide_cors(&self) -> bool {
        self.cors.is_some()
    }

    /// Whether there is anybody who edits the headers of responses.
    pub(crate) fn edit_headers(&self) -> bool {
        !(self.initial_headers.is_empty() && self.headers.is_empty())
    }

    /// Whether there is anybody who wants to know of refusals.
    pub(crate) fn see_refusals(&self) -> bool {
        !self.connection_error.is_empty()
    }

    /// The rules for one request. A hook that panics shares nothing.
    pub(crate) async fn cors_for(&self, request: Handshake) -> Option<Cors> {
        let decide = self.cors.as_ref()?;
        survive("cors_for", async { decide(request).await }).await.flatten()
    }

    /// Asks whether a session may be opened. A hook that panics allows nothing.
    pub(crate) async fn allow(&self, request: &Handshake) -> Result<(), Refusal> {
        let Some(decide) = &self.allow_request else { return Ok(()) };
        match survive("allow_request", async { decide(request.clone()).await }).await {
            Some(Ok(())) => Ok(()),
            Some(Err(message)) if message.is_empty() => Err(Refusal::Forbidden { message: None }),
            Some(Err(message)) => Err(Refusal::Forbidden { message: Some(message.into()) }),
            None => Err(Refusal::Forbidden { message: None }),
        }
    }

    /// The id of a new session, made by `default` unless the application makes its own.
    pub(crate) async fn id(
        &self,
        request: &Handshake,
        default: impl FnOnce() -> Sid,
    ) -> Result<Sid, Refusal> {
        let Some(generate) = &self.generate_id else { return Ok(default()) };
        let error = match survive("generate_id", async { generate(request.clone()).await }).await {
            Some(Ok(sid)) => return Ok(sid),
            Some(Err(error)) => error.to_string(),
            None => "the generator panicked".into(),
        };
        Err(BadRequest::IdGenerationError { error: error.into() }.into())
    }

    /// Lets the application edit the headers of a successful response; the first one of a session is `initial`.
    pub(crate) fn edit(&self, headers: &mut HeaderMap, request: &Parts, initial: bool) {
        let first = if initial { self.initial_headers.as_slice() } else { &[] };
        for edit in first.iter().chain(&self.headers) {
            unharmed("headers", || edit(headers, request));
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal, request: &Parts) {
        for see in &self.connection_error {
            unharmed("on_connection_error", || see(&ConnectionError { refusal, request }));
        }
    }

    pub(crate) fn engine_did(&self, conn: &Conn, event: &EngineEvent) {
        for see in &self.engine_event {
            unharmed("on_engine_event", || see(conn, event));
        }
    }
}

/// Runs a hook whose panic is its own affair.
fn unharmed(hook: &'static str, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        // The message itself went to the panic hook.
        tracing::error!(hook, "a hook panicked");
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
