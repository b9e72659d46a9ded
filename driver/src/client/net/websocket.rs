//! The opening handshake of a websocket (RFC 6455, 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::{self, HeaderMap, HeaderValue};
use http_body_util::Full;
use socketio_core::Bytes;
use socketio_core::engine::client::Failure;
use socketio_core::engine::deflate::{PerMessageDeflate, check_answer, offer};
use tungstenite::handshake::derive_accept_key;

use super::exchange::Switch;
use super::fault;
use crate::runtime::{Io, Runtime};
use crate::ws::Deflate;

/// A key for one handshake.
pub(super) fn key(runtime: &dyn Runtime) -> HeaderValue {
    let mut nonce = [0; 16];
    runtime.fill_random(&mut nonce);
    HeaderValue::try_from(STANDARD.encode(nonce)).expect("base64 is printable")
}

/// Adds to a GET what asks for a websocket.
pub(super) fn ask(
    request: &mut HeaderMap,
    key: HeaderValue,
    protocols: Option<&HeaderValue>,
    deflate: Option<&PerMessageDeflate>,
) {
    request.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    request.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    request.insert(header::SEC_WEBSOCKET_KEY, key);
    if let Some(protocols) = protocols {
        request.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.clone());
    }
    if let Some(deflate) = deflate {
        let offer = HeaderValue::try_from(offer(deflate)).expect("tokens are printable");
        request.insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
    }
}

/// Sends the request and takes the connection over once the server has agreed; what it sent behind its answer, too.
/// `saw` is told the headers of the response, whatever it is.
pub(super) async fn open(
    io: Box<dyn Io>,
    request: Request<Full<Bytes>>,
    deflate: Option<&PerMessageDeflate>,
    saw: impl FnOnce(u16, &HeaderMap) -> Result<(), Failure>,
) -> Result<(Box<dyn Io>, Bytes, Option<Deflate>), Failure> {
    let asked = request.headers().clone();
    let mut switch = Switch::new(io).await?;
    let response = switch.ask(request).await?;
    let status = response.status().as_u16();
    saw(status, response.headers())?;
    if status != 101 {
        return Err(Failure::status(status, &switch.refused(response).await));
    }
    check(&asked, response.headers()).map_err(fault::wrong)?;
    let answers = response.headers().get_all(header::SEC_WEBSOCKET_EXTENSIONS);
    let answers: Vec<_> =
        answers.iter().map(|value| ("sec-websocket-extensions", value.as_bytes())).collect();
    let agreed = check_answer(&answers, deflate).map_err(fault::wrong)?;
    let deflate = deflate.zip(agreed).map(|(wanted, agreement)| Deflate::new(wanted, agreement));
    let (io, early) = switch.agreed(response).await?;
    Ok((io, early, deflate))
}

/// What the server must have answered.
fn check(asked: &HeaderMap, answered: &HeaderMap) -> Result<(), &'static str> {
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
