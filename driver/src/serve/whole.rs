//! The answer to a request that came whole and is for a session, as nearly all of those that poll are.
//!
//! The session is told of it at once, and all that is left to wait for is its answer. Going the way of all requests, through
//! futures in futures, such a request was moved about for longer than it took the session to understand it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::Full;
use socketio_core::engine::http::{self as rules, ExistingRequest, Kind, Response, Route};
use socketio_core::engine::server::Input;
use socketio_core::{Bytes, Instant};

use crate::serve::service::{Exchange, From, Head};
use crate::server::cell::{Answer, Bodies, Pending, terms};
use crate::server::hub::Hub;

/// A request on its way to its answer; a `None` breaks its connection.
pub(super) enum Answering<'a> {
    /// The session knows of it.
    Asked(Exchange<'a>, Pending),
    /// It goes the way of all requests.
    Other(Pin<Box<dyn Future<Output = Option<Response>> + Send + 'a>>),
}

/// Answers a request that is for the server, asks for no upgrade, and whose answer no hook edits.
pub(super) fn answer<'a>(
    hub: &'a Arc<Hub>,
    head: &'a dyn Head,
    body: &'a [u8],
    from: From,
    now: Instant,
) -> Answering<'a> {
    if hub.admission.hooks.decide_cors() {
        return Answering::Other(Box::pin(async move {
            let exchange = Exchange::new(hub, head, from, now).await;
            answer_any(&exchange, exchange.route(), body).await
        }));
    }
    let exchange = Exchange::undecided(hub, head, from, now);
    let route = exchange.route();
    if let Route::Existing(existing) = &route
        && let Some(pending) = ask(&exchange, existing, body)
    {
        return Answering::Asked(exchange, pending);
    }
    Answering::Other(Box::pin(async move { answer_any(&exchange, route, body).await }))
}

async fn answer_any(exchange: &Exchange<'_>, route: Route<'_>, body: &[u8]) -> Option<Response> {
    let answer = exchange.answer(route, None, Full::new(Bytes::copy_from_slice(body))).await?;
    Some(exchange.settle(answer)?.0)
}

/// Tells the session of it, as [`Exchange::answer`] does after it has found the same. `None` if there is no such session, or if it is not to be told yet, or not of this.
fn ask(exchange: &Exchange<'_>, existing: &ExistingRequest<'_>, body: &[u8]) -> Option<Pending> {
    let Exchange { hub, head, now, .. } = *exchange;
    let lane = hub.next_lane();
    hub.find(&existing.sid)?.request_at_once(lane, |peer, bodies| {
        if existing.check(terms(peer)).is_err() {
            return false;
        }
        match (existing.kind, bodies) {
            (Kind::Get, _) => peer.handle(Input::Poll(lane), now),
            (Kind::Post, Bodies::Pass) => {
                peer.handle(Input::Post(lane, rules::post_form(head)), now);
                let body = match body.len() <= hub.config.engine.max_payload_bytes {
                    true => Input::PostBody(lane, Bytes::copy_from_slice(body)),
                    false => Input::PostTooLarge(lane),
                };
                peer.handle(body, now);
            }
            (Kind::Post, Bodies::Wait) | (Kind::Upgrade | Kind::OtherMethod, _) => return false,
        }
        true
    })
}

impl Answering<'_> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        match self {
            Self::Asked(exchange, pending) => pending.poll_answer(cx).map(|answer| match answer {
                Answer::Respond(response) => Some(exchange.dress(response)),
                Answer::Abort => None,
            }),
            Self::Other(answering) => answering.as_mut().poll(cx),
        }
    }
}
