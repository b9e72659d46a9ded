//! HTTP requests: into the core as inputs, out of it as responses.
//!
//! Which request is answered how the core decides; this file only carries. It serves the connections the server
//! accepts itself, and as a [`Service`] those of any other hyper or tower server.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::Body;
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use socketio_core::engine::Transport;
use socketio_core::engine::http::{
    self as rules, BadRequest, ExistingRequest, Fields, HandshakeRequest, Header, Headers, Kind, Refusal,
    Request, Response, Route, RouteConfig,
};
use socketio_core::engine::packet::BinaryEncoding;
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::socket::Payload;
use socketio_core::{Bytes, Instant, Sid};

use crate::serve::body::{BodyError, collect, compress};
use crate::serve::upgrade::{Switched, spawn_upgrade, switch};
use crate::server::cell::{Answer, Cell, terms};
use crate::server::handshake::{Handshake, RequestInfo};
use crate::server::hub::Hub;
use crate::server::pump::Pump;
use crate::transcript::Recorded;
use crate::ws::{self, Ws};

/// Where a connection comes from: an extension of the requests given to a [`Service`], for `handshake().address()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// Whether a connection is encrypted: an extension of the requests given to a [`Service`], for `handshake().is_secure()`.
/// Without it a connection is taken for a plain one: what headers like `X-Forwarded-Proto` claim is not believed, since
/// anybody can send them. Who has a proxy in front that sets them looks at them, and adds this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureConnection(pub bool);

/// The server as a tower service, to be mounted into a server of your own at its path (`/socket.io/`).
///
/// Requests for anything else get the [fallback](crate::ServerBuilder::fallback), which is a 404 by default. The
/// connections must support HTTP upgrades; those of axum and of hyper's `with_upgrades` do.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) hub: Arc<Hub>,
}

impl<B> tower_service::Service<http::Request<B>> for Service
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let hub = self.hub.clone();
        let extensions = request.extensions();
        let from = From {
            address: extensions.get::<PeerAddress>().map(|peer| peer.0),
            secure: extensions.get::<SecureConnection>().is_some_and(|secure| secure.0),
        };
        Box::pin(async move {
            Ok(match handle(&hub, request, from).await {
                Handled::Response(response) => response,
                Handled::ForeignUpgrade => empty(StatusCode::NOT_FOUND),
                // A tower service cannot break its connection; the next best is to end it.
                Handled::Abort => {
                    let mut response = empty(StatusCode::BAD_REQUEST);
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    response
                }
            })
        })
    }
}

/// The connection a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) secure: bool,
}

/// The head of a request, whoever read it.
pub(crate) trait Head: Headers {
    fn method(&self) -> &str;

    fn target(&self) -> &str;

    /// It as a hook wants it.
    fn parts(&self) -> Cow<'_, Parts>;
}

/// What becomes of a request.
pub(crate) enum Handled {
    Response(http::Response<Full<Bytes>>),
    /// Its path is not the server's, and it asks for an upgrade, which nobody else here will answer.
    ForeignUpgrade,
    /// The connection is to be broken.
    Abort,
}

/// A head that hyper read, as the core asks for it.
struct Parsed<'a>(&'a Parts);

impl Headers for Parsed<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let value = match known(name) {
            Some(name) => self.0.headers.get(name),
            None => self.0.headers.get(name),
        };
        value.map(HeaderValue::as_bytes)
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let values = match known(name) {
            Some(name) => self.0.headers.get_all(name),
            None => self.0.headers.get_all(name),
        };
        values.iter().for_each(|value| visit(value.as_bytes()));
    }
}

impl Head for Parsed<'_> {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn target(&self) -> &str {
        self.0.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    fn parts(&self) -> Cow<'_, Parts> {
        Cow::Borrowed(self.0)
    }
}

/// Answers one request.
pub(crate) async fn handle<B: Body>(hub: &Arc<Hub>, mut request: http::Request<B>, from: From) -> Handled {
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (head, body) = request.into_parts();
    let parsed = Parsed(&head);
    let exchange = Exchange::new(hub, &parsed, from, hub.now()).await;
    let bundles = hub.admission.client_files.as_ref();
    if let Some(bundle) = bundles.and_then(|files| files.answer(exchange.routes(), &exchange.request())) {
        return Handled::Response(bundle);
    }
    match exchange.answer(exchange.route(), on_upgrade, body).await {
        Some(answer) => exchange.finish(answer),
        None if exchange.request().is_upgrade() => Handled::ForeignUpgrade,
        None => Handled::Response(hub.admission.fallback.answer(head)),
    }
}

/// One request, while it is answered.
pub(super) struct Exchange<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) head: &'a dyn Head,
    from: From,
    /// When the application let it pass.
    pub(super) now: Instant,
    /// Where the application decides on CORS for each request.
    decided: Option<Box<RouteConfig>>,
}

/// What a request comes to.
pub(super) enum Answered {
    /// A response of the session; the first one of a session names it.
    Polled(Response, Option<Sid>),
    /// A response that is no part of a session.
    Plain(Response),
    Preflight(Response),
    Refused(Refusal),
    /// The connection becomes a websocket, whether that of a new session or not. Boxed: it is three times as large as all
    /// others, and they are moved more often.
    Switched(Box<http::Response<Full<Bytes>>>, Stage),
    Abort,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Handshake,
    Later,
}

impl<'a> Exchange<'a> {
    pub(super) async fn new(hub: &'a Arc<Hub>, head: &'a dyn Head, from: From, now: Instant) -> Self {
        let mut exchange = Self::undecided(hub, head, from, now);
        if hub.admission.hooks.decide_cors() {
            let cors = hub.admission.hooks.cors_for(exchange.describe()).await;
            let mut decided = Box::new(hub.admission.routes.clone());
            decided.cors = cors;
            exchange.decided = Some(decided);
            // The application may have taken its time.
            exchange.now = hub.now();
        }
        exchange
    }

    /// One that the application has no say in, or has not had yet.
    pub(super) fn undecided(hub: &'a Arc<Hub>, head: &'a dyn Head, from: From, now: Instant) -> Self {
        Self { hub, head, from, now, decided: None }
    }

    fn routes(&self) -> &RouteConfig {
        self.decided.as_deref().unwrap_or(&self.hub.admission.routes)
    }

    pub(super) fn route(&self) -> Route<'a> {
        rules::route(self.routes(), &self.request())
    }

    /// `None` if the request is not for the server.
    pub(super) async fn answer<B: Body>(
        &self,
        route: Route<'a>,
        on_upgrade: Option<OnUpgrade>,
        body: B,
    ) -> Option<Answered> {
        Some(match route {
            Route::NotOurs => return None,
            Route::Preflight(response) => Answered::Preflight(response),
            Route::Refuse(refusal) => Answered::Refused(refusal),
            // Once in a session: no other request shall make room for it.
            Route::Handshake(handshake) => Box::pin(self.open(&handshake, on_upgrade)).await,
            Route::Existing(existing) => self.carry_on(&existing, on_upgrade, body).await,
        })
    }

    fn request(&self) -> Request<'a> {
        Request { method: self.head.method(), target: self.head.target(), headers: self.head }
    }

    /// What the application is told of it.
    fn describe(&self) -> Handshake {
        let info = RequestInfo::new(
            self.head.target(),
            &self.head.parts().headers,
            self.from.address,
            self.from.secure,
            self.hub.runtime.unix_time(),
        );
        Handshake { request: Arc::new(info), auth: Payload::EMPTY_OBJECT }
    }

    /// Opens a session, if the application allows it. The last checks of REFERENCE 1.6, in its order.
    async fn open(&self, handshake: &HandshakeRequest<'_>, on_upgrade: Option<OnUpgrade>) -> Answered {
        let hub = self.hub;
        if !hub.is_open() {
            return Answered::Plain(unavailable());
        }
        if handshake.upgrade && handshake.transport == Transport::Polling {
            return self.turn_away(on_upgrade);
        }
        let request = self.describe();
        let hooks = &hub.admission.hooks;
        if let Err(refusal) = hooks.allow(&request).await {
            return Answered::Refused(refusal);
        }
        if let Err(refusal) = handshake.check_revision(hub.admission.allow_eio3) {
            return Answered::Refused(refusal);
        }
        let sid = match hooks.id(&request, || hub.generate_id()).await {
            Ok(sid) if hub.find(sid.as_str()).is_some() => {
                let error = "the id is taken".into();
                return Answered::Refused(BadRequest::IdGenerationError { error }.into());
            }
            Ok(sid) => sid,
            Err(refusal) => return Answered::Refused(refusal),
        };
        let opening = opening(hub, handshake, sid);
        if handshake.upgrade {
            self.open_websocket(opening, request.request, on_upgrade)
        } else {
            self.open_polling(opening, request.request).await
        }
    }

    /// The session moves to a task of its own; the request waits for what it has to say.
    async fn open_polling(&self, opening: Opening, info: Arc<RequestInfo>) -> Answered {
        let hub = self.hub;
        let (lane, sid) = (hub.next_lane(), opening.sid.clone());
        let mut peer = Recorded::polling(hub.config.clone(), opening, lane, hub.now());
        let response = peer.poll_response(lane);
        let cell = Arc::new(Cell::new(hub.clone(), peer));
        let pending = cell.first_request(lane, response);
        let Some(present) = hub.insert(cell.clone()) else {
            cell.retire();
            return Answered::Abort;
        };
        hub.runtime.spawn(Box::pin(Pump::new(cell, info, present)));
        match pending.answer().await {
            Answer::Respond(response) => Answered::Polled(response, Some(sid)),
            Answer::Abort => Answered::Abort,
        }
    }

    fn open_websocket(
        &self,
        opening: Opening,
        info: Arc<RequestInfo>,
        on_upgrade: Option<OnUpgrade>,
    ) -> Answered {
        let Switched { on_upgrade, response, deflate } = match self.switch(on_upgrade) {
            Ok(switched) => switched,
            Err(refused) => return Answered::Plain(refused),
        };
        let hub = self.hub.clone();
        spawn_upgrade(self.hub, on_upgrade, |io, early| async move {
            let lane = hub.next_lane();
            let peer = Recorded::websocket(hub.config.clone(), opening, lane, hub.now());
            let cell = Arc::new(Cell::new(hub.clone(), peer));
            if let Some(present) = hub.insert(cell.clone()) {
                let ws = Ws::server(lane, io, early, hub.config.engine.max_payload_bytes);
                let ws = ws.with_deflate(deflate);
                // In a task of its own: this one has room for the handshake, and would keep it.
                hub.runtime.spawn(Box::pin(Pump::new(cell, info, present).with_websocket(ws)));
            }
        });
        Answered::Switched(Box::new(response), Stage::Handshake)
    }

    /// A request for a session that exists.
    async fn carry_on<B: Body>(
        &self,
        existing: &ExistingRequest<'_>,
        on_upgrade: Option<OnUpgrade>,
        body: B,
    ) -> Answered {
        let cell = self.hub.find(&existing.sid);
        let session = cell.as_ref().and_then(|cell| cell.peek(terms)).flatten();
        if let Err(refusal) = existing.check(session) {
            return Answered::Refused(refusal);
        }
        let Some(cell) = cell else { return Answered::Abort };
        match existing.kind {
            Kind::Get => poll(cell, self.now).await,
            Kind::Post => post(cell, rules::post_form(self.head), body, self.now).await,
            Kind::Upgrade if existing.transport == Transport::Websocket => {
                self.probe(cell, existing.binary, on_upgrade)
            }
            Kind::Upgrade => self.turn_away(on_upgrade),
            Kind::OtherMethod => Answered::Plain(Response::method_not_supported()),
        }
    }

    /// A websocket for a session that exists: the core decides whether it is a probe or one too many.
    fn probe(&self, cell: Arc<Cell>, binary: BinaryEncoding, on_upgrade: Option<OnUpgrade>) -> Answered {
        let Switched { on_upgrade, response, deflate } = match self.switch(on_upgrade) {
            Ok(switched) => switched,
            Err(refused) => return Answered::Plain(refused),
        };
        let hub = self.hub.clone();
        spawn_upgrade(self.hub, on_upgrade, move |io, early| async move {
            let ws = Ws::server(hub.next_lane(), io, early, hub.config.engine.max_payload_bytes);
            cell.attach(ws.with_deflate(deflate), binary, hub.now());
        });
        Answered::Switched(Box::new(response), Stage::Later)
    }

    fn switch(&self, on_upgrade: Option<OnUpgrade>) -> Result<Switched, Response> {
        switch(&self.request(), on_upgrade, self.hub.admission.per_message_deflate.as_ref())
    }

    /// A websocket that says it wants to poll: it gets its upgrade, and is closed at once (REFERENCE 1.6).
    fn turn_away(&self, on_upgrade: Option<OnUpgrade>) -> Answered {
        let Switched { on_upgrade, response, .. } = match self.switch(on_upgrade) {
            Ok(switched) => switched,
            Err(refused) => return Answered::Plain(refused),
        };
        let hub = self.hub.clone();
        spawn_upgrade(self.hub, on_upgrade, |io, _| async move { ws::turn_away(io, &*hub.runtime).await });
        Answered::Switched(Box::new(response), Stage::Later)
    }

    /// Writes the response, with everything that is not the session's business.
    fn finish(&self, answer: Answered) -> Handled {
        let hooks = &self.hub.admission.hooks;
        let (mut response, stage) = match answer {
            Answered::Switched(mut response, stage) => {
                self.cors().iter().for_each(|field| add(response.headers_mut(), field.name, &field.value));
                (*response, Some(stage))
            }
            answer => match self.settle(answer) {
                Some((response, stage)) => (convert(response), stage),
                None => return Handled::Abort,
            },
        };
        if let Some(stage) = stage.filter(|_| hooks.edit_headers()) {
            hooks.edit(response.headers_mut(), &self.head.parts(), stage == Stage::Handshake);
        }
        Handled::Response(response)
    }

    /// The response as far as the core describes it, and whether hooks may edit it.
    pub(super) fn settle(&self, answer: Answered) -> Option<(Response, Option<Stage>)> {
        let admission = &self.hub.admission;
        let (response, stage) = match answer {
            Answered::Abort | Answered::Switched(..) => return None,
            Answered::Preflight(response) => return Some((response, None)),
            Answered::Plain(response) => (response, None),
            Answered::Refused(refusal) => {
                let (method, code) = (self.head.method(), refusal.code());
                tracing::debug!(method, code, reason = refusal.message(), "request refused");
                if admission.hooks.see_refusals() {
                    admission.hooks.refused(&refusal, &self.head.parts());
                }
                let refused = match self.routes().is_upgrade(&self.request()) {
                    true => refusal.upgrade_response(),
                    false => refusal.response(),
                };
                (refused, None)
            }
            Answered::Polled(response, sid) => {
                let stage = if sid.is_some() { Stage::Handshake } else { Stage::Later };
                let stage = (response.status == 200).then_some(stage);
                let cookie =
                    admission.cookie.as_ref().zip(sid).map(|(cookie, sid)| cookie.header(sid.as_str()));
                return Some((self.dress(response.with(cookie)), stage));
            }
        };
        Some((response.with(self.cors()), stage))
    }

    /// A response of a session with what the request asks for beside it.
    pub(super) fn dress(&self, response: Response) -> Response {
        self.compressed(response.with(rules::xss_protection(self.head))).with(self.cors())
    }

    fn cors(&self) -> Vec<Header> {
        self.routes().cors.as_ref().map(|cors| cors.headers(&self.request())).unwrap_or_default()
    }

    /// Polls alone are compressed: the answer to a POST is never long enough.
    fn compressed(&self, mut response: Response) -> Response {
        let threshold = self.hub.admission.http_compression;
        let encoding =
            rules::content_encoding(self.head, response.body.len(), response.compressible, threshold);
        let Some(encoding) = encoding else { return response };
        response.body = compress(&response.body, encoding);
        response.with([Header { name: "content-encoding", value: encoding.name().into() }])
    }
}

async fn poll(cell: Arc<Cell>, now: Instant) -> Answered {
    let lane = cell.hub.next_lane();
    match cell.request(lane, [Input::Poll(lane)], now) {
        Some(pending) => polled(pending.answer().await),
        None => Answered::Abort,
    }
}

async fn post<B: Body>(cell: Arc<Cell>, form: Form, body: B, now: Instant) -> Answered {
    let lane = cell.hub.next_lane();
    let mut body = pin!(async {
        let body = collect(body, cell.hub.config.engine.max_payload_bytes).await;
        // What was read is held back like what stands unread on a websocket.
        poll_fn(|cx| cell.poll_room(cx)).await;
        match body {
            Ok(body) => Ok(Input::PostBody(lane, body)),
            Err(BodyError::TooLarge) => Ok(Input::PostTooLarge(lane)),
            Err(BodyError::Broken) => Err(BodyError::Broken),
        }
    });
    // Nearly every body comes with its head.
    let first = poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx))).await;
    if let Poll::Ready(Ok(body)) = first {
        return match cell.clone().request(lane, [Input::Post(lane, form), body], now) {
            Some(pending) => polled(pending.answer().await),
            None => Answered::Abort,
        };
    }
    let Some(mut pending) = cell.clone().request(lane, [Input::Post(lane, form)], now) else {
        return Answered::Abort;
    };
    if first.is_ready() {
        return Answered::Abort;
    }
    // The answer may come first: two POSTs at once, or a session that ends.
    let outcome = poll_fn(|cx| match body.as_mut().poll(cx) {
        Poll::Ready(collected) => Poll::Ready(Ok(collected)),
        Poll::Pending => pending.poll_answer(cx).map(Err),
    });
    match outcome.await {
        Ok(Ok(body)) => pending.input([body], cell.hub.now()),
        Ok(Err(_)) => return Answered::Abort,
        Err(answer) => return polled(answer),
    };
    polled(pending.answer().await)
}

/// The answer to who wants to come in while the server shuts down: another node may take it.
fn unavailable() -> Response {
    Response {
        status: 503,
        headers: Fields::CLOSE,
        extra: Vec::new(),
        body: Bytes::new(),
        compressible: false,
    }
}

fn polled(answer: Answer) -> Answered {
    match answer {
        Answer::Respond(response) => Answered::Polled(response, None),
        Answer::Abort => Answered::Abort,
    }
}

fn opening(hub: &Hub, handshake: &HandshakeRequest<'_>, sid: Sid) -> Opening {
    let upgrades = match hub.admission.allow_upgrades {
        true => hub.admission.routes.transports.upgrades(handshake.transport),
        false => Vec::new(),
    };
    Opening { sid, format: handshake.format(), upgrades }
}

fn convert(response: Response) -> http::Response<Full<Bytes>> {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut converted = empty(status);
    let headers = converted.headers_mut();
    headers.reserve(response.headers.as_slice().len() + response.extra.len());
    for &(name, value) in response.headers.as_slice() {
        match known(name) {
            Some(name) => drop(headers.append(name, HeaderValue::from_static(value))),
            None => add(headers, name, value.as_bytes()),
        }
    }
    response.extra.iter().for_each(|header| add(headers, header.name, &header.value));
    *converted.body_mut() = Full::new(response.body);
    converted
}

/// The fields that are asked of every request or stand in every response, without looking for them in the tables of
/// `http`. Names are in the core's spelling.
fn known(name: &str) -> Option<HeaderName> {
    Some(match name {
        "cache-control" => header::CACHE_CONTROL,
        "connection" => header::CONNECTION,
        "content-type" | "Content-Type" => header::CONTENT_TYPE,
        "origin" => header::ORIGIN,
        "upgrade" => header::UPGRADE,
        "user-agent" => header::USER_AGENT,
        _ => return None,
    })
}

pub(crate) fn add(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

pub(crate) fn empty(status: StatusCode) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ServerBuilder;
    use crate::io::sleep;
    use crate::sim::Sim;
    use crate::still::Still;

    #[test]
    fn the_time_of_a_request_is_when_the_application_let_it_pass() {
        let mut sim = Sim::new(1);
        let rt = sim.runtime();
        let clock = Arc::clone(&rt);
        let decide = move |_| {
            let clock = Arc::clone(&clock);
            async move {
                sleep(&*clock, Duration::from_secs(20)).await;
                None
            }
        };
        let server = ServerBuilder::<Still>::new().cors_for(decide).build_on(rt);
        let (head, ()) = http::Request::new(()).into_parts();
        let from = From { address: None, secure: false };
        sim.block_on(async {
            let before = server.hub.now();
            let head = Parsed(&head);
            let exchange = Exchange::new(&server.hub, &head, from, before).await;
            assert_eq!(exchange.now, before + Duration::from_secs(20));
        });
    }
}
