//! From an HTTP connection to a websocket: the 101, and what is left when it is written.

use std::future::Future;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::{OnUpgrade, Upgraded};
use socketio_core::Bytes;
use socketio_core::engine::deflate::{PerMessageDeflate, accept};
use socketio_core::engine::http::{self as rules, Request};
use tungstenite::handshake::derive_accept_key;

use crate::runtime::Io;
use crate::serve::service::{add, empty};
use crate::serve::stall::Impatient;
use crate::server::hub::Hub;
use crate::ws::Deflate;

/// A connection that is about to become a websocket.
pub(crate) struct Switched {
    pub(crate) on_upgrade: OnUpgrade,
    /// The 101.
    pub(crate) response: Response<Full<Bytes>>,
    /// How its messages are compressed, if they are.
    pub(crate) deflate: Option<Deflate>,
}

/// The 101 that turns the connection into a websocket, or what is wrong with the request for one.
pub(crate) fn switch(
    request: &Request<'_>,
    on_upgrade: Option<OnUpgrade>,
    deflate: Option<&PerMessageDeflate>,
) -> Result<Switched, rules::Response> {
    let accepted = rules::check_websocket(request)?;
    let deflate = match deflate {
        Some(wanted) => accept(request.headers, wanted)?.map(|agreed| (wanted, agreed)),
        None => None,
    };
    // A server in front of us that cannot upgrade.
    let on_upgrade = on_upgrade.ok_or_else(rules::Response::bad_request)?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    add(headers, "sec-websocket-accept", derive_accept_key(accepted.key).as_bytes());
    if let Some(protocol) = accepted.protocol {
        add(headers, "sec-websocket-protocol", protocol.as_bytes());
    }
    let deflate = deflate.map(|(wanted, (agreement, answer))| {
        add(headers, "sec-websocket-extensions", answer.as_bytes());
        Deflate::new(wanted, agreement)
    });
    Ok(Switched { on_upgrade, response, deflate })
}

/// Carries on with the bare connection once the 101 is written.
pub(crate) fn spawn_upgrade<F, Fut>(hub: &Arc<Hub>, on_upgrade: OnUpgrade, then: F)
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
    match upgraded.downcast::<Impatient>() {
        Ok(parts) => {
            let (io, unread) = parts.io.into_inner();
            // Even empty, it would keep hyper's whole read buffer for as long as the websocket lives.
            (io, [parts.read_buf, unread].concat().into())
        }
        Err(upgraded) => (Box::new(upgraded), Bytes::new()),
    }
}
