//! HTTP requests: into the core as inputs, out of it as responses.
//!
//! Which request is answered how the core decides; this file only carries. It serves the connections the server
//! accepts itself, and as a [`Service`] those of any other hyper or tower server.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::upgrade::{OnUpgrade, Upgraded};
use socketio_core::Bytes;
use socketio_core::engine::Transport;
use socketio_core::engine::format::Format;
use socketio_core::engine::http::{
    self as rules, ExistingRequest, HandshakeRequest, Headers, Kind, Request, Response, Route,
};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::peer::Peer;
use tungstenite::handshake::derive_accept_key;

use crate::cell::{Answer, Cell, Pending};
use crate::handshake::RequestInfo;
use crate::hub::Hub;
use crate::pump::Pump;
use crate::runtime::Io;
use crate::ws::{self, Ws};

/// Where a connection comes from: an extension of the requests given to a [`Service`], for `handshake().address()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The server as a tower service, to be mounted into a server of your own at its path (`/socket.io/`).
///
/// Requests for anything else get the [fallback](crate::ServerBuilder::fallback), which is a 404 by default. The connections must support HTTP upgrades; those of axum and of
/// hyper's `with_upgrades` do.
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
        let from =
            From { address: request.extensions().get::<PeerAddress>().map(|peer| peer.0), secure: false };
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

/// What becomes of a request.
pub(crate) enum Handled {
    Response(http::Response<Full<Bytes>>),
    /// Its path is not the server's, and it asks for an upgrade, which nobody else here will answer.
    ForeignUpgrade,
    /// The connection is to be broken.
    Abort,
}

/// The header fields of a request, as the core asks for them.
struct Fields<'a>(&'a HeaderMap);

impl Headers for Fields<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(HeaderValue::as_bytes)
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        self.0.get_all(name).iter().for_each(|value| visit(value.as_bytes()));
    }
}

/// Answers one request.
pub(crate) async fn handle<B: Body>(hub: &Arc<Hub>, mut request: http::Request<B>, from: From) -> Handled {
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let fields = Fields(&head.headers);
    let request = Request { method: head.method.as_str(), target, headers: &fields };
    let route = rules::route(&hub.admission.routes, &request);
    let extra = hub.admission.routes.cors.as_ref().map(|cors| cors.headers(&request)).unwrap_or_default();
    let upgrade = hub.admission.routes.is_upgrade(&request);
    let answer = match route {
        Route::NotOurs if request.is_upgrade() => return Handled::ForeignUpgrade,
        Route::NotOurs => return Handled::Response(hub.admission.fallback.answer(head)),
        Route::Preflight(response) => return Handled::Response(convert(response)),
        Route::Refuse(refusal) if upgrade => Ok(refusal.upgrade_response()),
        Route::Refuse(refusal) => Ok(refusal.response()),
        Route::Handshake(handshake) => {
            let refused = handshake.check_revision(hub.admission.allow_eio3).err();
            match refused {
                Some(refusal) if upgrade => Ok(refusal.upgrade_response()),
                Some(refusal) => Ok(refusal.response()),
                None if upgrade => open_websocket(hub, &request, &handshake, on_upgrade, &head.headers, from),
                None => open_polling(hub, &handshake, target, &head.headers, from).await,
            }
        }
        Route::Existing(existing) => {
            let cell = hub.find(&existing.sid);
            let session = cell
                .as_ref()
                .and_then(|cell| cell.peek(|peer| Some((peer.transport()?, peer.revision()))))
                .flatten();
            match (existing.check(session), cell) {
                (Err(refusal), _) if upgrade => Ok(refusal.upgrade_response()),
                (Err(refusal), _) => Ok(refusal.response()),
                (Ok(()), None) => Err(Failed::Abort),
                (Ok(()), Some(cell)) => match existing.kind {
                    Kind::Get => poll(&cell).await,
                    Kind::Post => post(&cell, rules::post_form(&fields), body).await,
                    Kind::Upgrade => probe(&cell, &request, &existing, on_upgrade),
                    Kind::OtherMethod => Ok(Response::method_not_supported()),
                },
            }
        }
    };
    let polled = answer.is_ok() && !upgrade;
    let mut response = match answer {
        Ok(response) => convert(response),
        Err(Failed::Upgrading(response)) => response,
        Err(Failed::Abort) => return Handled::Abort,
    };
    let xss = if polled { rules::xss_protection(&fields) } else { None };
    for field in extra.into_iter().chain(xss) {
        add(response.headers_mut(), field.name, &field.value);
    }
    Handled::Response(response)
}

/// Why there is no plain response.
enum Failed {
    Abort,
    /// Not a failure: a response that the core does not write, 101.
    Upgrading(http::Response<Full<Bytes>>),
}

/// The session moves to a task of its own; the request waits for what it has to say.
async fn open_polling(
    hub: &Arc<Hub>,
    handshake: &HandshakeRequest<'_>,
    target: &str,
    headers: &HeaderMap,
    from: From,
) -> Result<Response, Failed> {
    let lane = hub.next_lane();
    let peer = Peer::polling(hub.config.clone(), opening(hub, handshake), lane, hub.now());
    let cell = Arc::new(Cell::new(hub.clone(), peer, Some(lane)));
    let info = request_info(hub, target, headers, from);
    let pending = cell.first_request(lane);
    if !hub.insert(cell.clone()) {
        cell.retire();
        return Err(Failed::Abort);
    }
    hub.runtime.spawn(Box::pin(Pump::new(cell, Arc::new(info))));
    finish(&pending).await
}

fn open_websocket(
    hub: &Arc<Hub>,
    request: &Request<'_>,
    handshake: &HandshakeRequest<'_>,
    on_upgrade: Option<OnUpgrade>,
    headers: &HeaderMap,
    from: From,
) -> Result<Response, Failed> {
    let (on_upgrade, response) = match switch(request, on_upgrade) {
        Ok(switched) => switched,
        Err(refused) => return Ok(refused),
    };
    let hub = hub.clone();
    if handshake.transport == Transport::Polling {
        spawn_upgrade(hub.clone(), on_upgrade, |io, _| async move { ws::turn_away(io, hub.now()).await });
        return Err(Failed::Upgrading(response));
    }
    let opening = opening(&hub, handshake);
    let info = Arc::new(request_info(&hub, request.target, headers, from));
    spawn_upgrade(hub.clone(), on_upgrade, |io, early| async move {
        let lane = hub.next_lane();
        let peer = Peer::websocket(hub.config.clone(), opening, lane, hub.now());
        let cell = Arc::new(Cell::new(hub.clone(), peer, None));
        if hub.insert(cell.clone()) {
            let ws = Ws::server(lane, io, early, hub.config.engine.max_payload_bytes);
            Pump::new(cell, info).with_websocket(ws).await;
        }
    });
    Err(Failed::Upgrading(response))
}

/// A websocket for a session that exists: the core decides whether it is a probe or one too many.
fn probe(
    cell: &Arc<Cell>,
    request: &Request<'_>,
    existing: &ExistingRequest<'_>,
    on_upgrade: Option<OnUpgrade>,
) -> Result<Response, Failed> {
    let (on_upgrade, response) = match switch(request, on_upgrade) {
        Ok(switched) => switched,
        Err(refused) => return Ok(refused),
    };
    let (hub, cell) = (cell.hub.clone(), cell.clone());
    let is_websocket = existing.transport == Transport::Websocket;
    spawn_upgrade(hub.clone(), on_upgrade, move |io, early| async move {
        if is_websocket {
            let ws = Ws::server(hub.next_lane(), io, early, hub.config.engine.max_payload_bytes);
            // The session ended while the connection was upgraded: dropping it is all there is to say.
            let _ = cell.attach(ws, hub.now());
        } else {
            ws::turn_away(io, hub.now()).await;
        }
    });
    Err(Failed::Upgrading(response))
}

async fn poll(cell: &Arc<Cell>) -> Result<Response, Failed> {
    let lane = cell.hub.next_lane();
    let pending = cell.request(lane, Input::Poll(lane), cell.hub.now()).ok_or(Failed::Abort)?;
    finish(&pending).await
}

async fn post<B: Body>(cell: &Arc<Cell>, form: Form, body: B) -> Result<Response, Failed> {
    let lane = cell.hub.next_lane();
    let pending = cell.request(lane, Input::Post(lane, form), cell.hub.now()).ok_or(Failed::Abort)?;
    let limit = cell.hub.config.engine.max_payload_bytes;
    let input = {
        let mut body = pin!(collect(body, limit));
        // The answer may come first: two POSTs at once, or a session that ends.
        let mut answer = &pending;
        let outcome = poll_fn(|cx| match body.as_mut().poll(cx) {
            Poll::Ready(collected) => Poll::Ready(Ok(collected)),
            Poll::Pending => Pin::new(&mut answer).poll(cx).map(Err),
        });
        match outcome.await {
            Ok(Ok(body)) => Input::PostBody(lane, body),
            Ok(Err(BodyError::TooLarge)) => Input::PostTooLarge(lane),
            Ok(Err(BodyError::Broken)) => return Err(Failed::Abort),
            Err(answer) => return take(answer),
        }
    };
    pending.input(input, cell.hub.now());
    finish(&pending).await
}

async fn finish(mut pending: &Pending) -> Result<Response, Failed> {
    take(poll_fn(|cx| Pin::new(&mut pending).poll(cx)).await)
}

fn take(answer: Answer) -> Result<Response, Failed> {
    match answer {
        Answer::Respond(response) => Ok(response),
        Answer::Abort => Err(Failed::Abort),
    }
}

fn opening(hub: &Hub, handshake: &HandshakeRequest<'_>) -> Opening {
    let upgrades = match hub.admission.allow_upgrades {
        true => hub.admission.routes.transports.upgrades(handshake.transport),
        false => Vec::new(),
    };
    Opening {
        sid: hub.generate_id(),
        format: Format {
            revision: handshake.revision,
            binary: handshake.binary,
            jsonp: handshake.jsonp.clone(),
        },
        upgrades,
    }
}

fn request_info(hub: &Hub, target: &str, headers: &HeaderMap, from: From) -> RequestInfo {
    RequestInfo::new(target, headers, from.address, from.secure, hub.runtime.unix_time())
}

/// The 101 that turns the connection into a websocket, or what is wrong with the request for one.
fn switch(
    request: &Request<'_>,
    on_upgrade: Option<OnUpgrade>,
) -> Result<(OnUpgrade, http::Response<Full<Bytes>>), Response> {
    let accepted = rules::check_websocket(request)?;
    let on_upgrade = on_upgrade.ok_or_else(Response::bad_request)?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    add(headers, "sec-websocket-accept", derive_accept_key(accepted.key).as_bytes());
    if let Some(protocol) = accepted.protocol {
        add(headers, "sec-websocket-protocol", protocol.as_bytes());
    }
    Ok((on_upgrade, response))
}

/// Carries on with the bare connection once the 101 is written.
fn spawn_upgrade<F, Fut>(hub: Arc<Hub>, on_upgrade: OnUpgrade, then: F)
where
    F: FnOnce(Box<dyn Io>, Bytes) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    hub.runtime.spawn(Box::pin(async move {
        // The client left instead.
        let Ok(upgraded) = on_upgrade.await else { return };
        let (io, early) = bare(upgraded);
        then(io, early).await;
    }));
}

/// The connection without hyper's wrapping, where it is one of ours, and what was read too far.
fn bare(upgraded: Upgraded) -> (Box<dyn Io>, Bytes) {
    match upgraded.downcast::<Box<dyn Io>>() {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => (Box::new(upgraded), Bytes::new()),
    }
}

enum BodyError {
    TooLarge,
    Broken,
}

/// A whole body. One that arrives in one piece, as most do, is not copied.
async fn collect<B: Body>(body: B, limit: usize) -> Result<Bytes, BodyError> {
    use bytes::Buf as _;

    let mut body = pin!(body);
    let mut collected = bytes::BytesMut::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let len = data.remaining();
        total += len;
        if total > limit {
            // Read on, so that the client hears the answer instead of a broken pipe; but not for ever.
            if total > limit.saturating_mul(DISCARD_FACTOR) {
                break;
            }
            collected = bytes::BytesMut::new();
        } else if collected.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(len));
        } else {
            collected.extend_from_slice(&data.copy_to_bytes(len));
        }
    }
    if total > limit { Err(BodyError::TooLarge) } else { Ok(collected.freeze()) }
}

fn convert(response: Response) -> http::Response<Full<Bytes>> {
    let mut converted =
        empty(StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in response.fields() {
        add(converted.headers_mut(), name, value);
    }
    *converted.body_mut() = Full::new(response.body);
    converted
}

fn add(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

pub(crate) fn empty(status: StatusCode) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// How many times the limit of a body is read and thrown away before the connection is given up.
const DISCARD_FACTOR: usize = 16;
