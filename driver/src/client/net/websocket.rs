//! The opening handshake of a websocket (RFC 6455, 4.1).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use socketio_core::Bytes;
use socketio_core::engine::client::Failure;
use tungstenite::handshake::derive_accept_key;

use super::exchange::beginning;
use super::fault;
use crate::runtime::{Io, Runtime};

/// A connection that has become a websocket's.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) io: Box<dyn Io>,
    /// Frames that came right behind the response.
    pub(super) early: Bytes,
    pub(super) headers: HeaderMap,
}

/// A key for one handshake.
pub(super) fn key(runtime: &dyn Runtime) -> HeaderValue {
    let mut nonce = [0; 16];
    runtime.fill_random(&mut nonce);
    HeaderValue::try_from(STANDARD.encode(nonce)).expect("base64 is printable")
}

/// Adds to a GET what asks for a websocket.
pub(super) fn ask(request: &mut HeaderMap, key: HeaderValue, protocols: Option<&HeaderValue>) {
    request.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    request.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    request.insert(header::SEC_WEBSOCKET_KEY, key);
    if let Some(protocols) = protocols {
        request.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.clone());
    }
}

/// Sends the request and takes the connection over once the server has agreed.
pub(super) async fn open(io: Box<dyn Io>, request: Request<Full<Bytes>>) -> Result<Opened, Failure> {
    let asked = request.headers().clone();
    let (mut sender, driver) = http1::handshake(io).await.map_err(|error| fault::broken(&error))?;
    let mut driver = Some(driver.with_upgrades());
    let handshake = async {
        let mut response = sender.send_request(request).await.map_err(|error| fault::broken(&error))?;
        if response.status() != 101 {
            let status = response.status().as_u16();
            return Err(Failure::status(status, &beginning(response.into_body()).await));
        }
        check(&asked, &response).map_err(fault::wrong)?;
        let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| fault::broken(&error))?;
        let headers = std::mem::take(response.headers_mut());
        let parts = upgraded.downcast::<Box<dyn Io>>().map_err(|_| fault::wrong("not our connection"))?;
        // A slice would keep hyper's whole read buffer for as long as the websocket lives.
        Ok(Opened { io: parts.io, early: Bytes::copy_from_slice(&parts.read_buf), headers })
    };
    let mut handshake = pin!(handshake);
    poll_fn(|cx| {
        // Its error, if there is one, reaches the handshake too.
        if let Some(connection) = &mut driver
            && Pin::new(connection).poll(cx).is_ready()
        {
            driver = None;
        }
        handshake.as_mut().poll(cx)
    })
    .await
}

/// What the server must have answered.
fn check(asked: &HeaderMap, response: &Response<Incoming>) -> Result<(), &'static str> {
    let answered = response.headers();
    if !has_token(answered, &header::UPGRADE, "websocket") {
        return Err("a 101 that upgrades to something else than websocket");
    }
    if !has_token(answered, &header::CONNECTION, "upgrade") {
        return Err("a 101 without Connection: Upgrade");
    }
    let key = asked.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let accept = answered.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accept.map(<[u8]>::trim_ascii) != Some(derive_accept_key(key).as_bytes()) {
        return Err(
            "a 101 with a wrong Sec-WebSocket-Accept: something between us answered, perhaps a cache",
        );
    }
    if answered.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("a websocket extension that was not offered");
    }
    let offered = asked.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|offer| offer.to_str().ok());
    let chosen = answered.get(header::SEC_WEBSOCKET_PROTOCOL).map(HeaderValue::as_bytes);
    match (offered, chosen) {
        (None, None) => Ok(()),
        (Some(offer), Some(one)) if offer.split(", ").any(|name| name.as_bytes() == one) => Ok(()),
        // As the reference's library and browsers see it.
        (Some(_), None) => Err("none of the subprotocols was chosen"),
        (_, Some(_)) => Err("a subprotocol that was not offered"),
    }
}

/// Whether one of a header's values, which are lists, has a token.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}
