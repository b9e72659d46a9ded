//! Requests: whatever stands in them, what is answered is HTTP.

use std::time::Duration;

use socketio_core::engine::handshake::Transports;
use socketio_core::engine::http::{
    Cookie, Cors, Headers, Origin, Refusal, Request, Response, Route, RouteConfig, TrailingSlash,
    check_websocket, content_encoding, negotiate, post_form, route, xss_protection,
};
use socketio_core::engine::payload_v3::Form;
use socketio_core::engine::{Revision, Transport};
use socketio_core::{Bytes, Sid};

/// A request head: the line `METHOD target`, then a line for each header field.
pub fn http_route(data: &[u8]) {
    let mut lines = data.split(|&b| b == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (method, target) = first.split_once(' ').unwrap_or((&first, "/"));
    let headers: Vec<(String, Vec<u8>)> = lines
        .map(|line| {
            let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            // An HTTP library has dropped the space around a value, and fields with control characters.
            (
                String::from_utf8_lossy(name).into_owned(),
                value.strip_prefix(b":").unwrap_or(value).trim_ascii().to_vec(),
            )
        })
        .collect();
    let request = Request { method, target, headers: &headers };
    for origin in
        [Origin::Disabled, Origin::Any, Origin::Mirror, Origin::List(vec!["http://a.example".into()])]
    {
        let Ok(cors) = Cors::new(origin) else { continue };
        let cors = cors.credentials(true).max_age(Duration::from_secs(60));
        let mut config = RouteConfig::new("/socket.io", TrailingSlash::Append);
        config.cors = Some(cors.clone());
        is_http(&Response::poll(Form::Text, Bytes::new()).with(cors.headers(&request)));
        config.transports = Transports::default();
        check_route(&route(&config, &request), &headers);
    }
    if let Err(refusal) = check_websocket(&request) {
        is_http(&refusal);
    }
    let response =
        Response::poll(post_form(&headers), Bytes::from_static(b"6")).with(xss_protection(&headers));
    is_http(&response);
    assert_eq!(content_encoding(&headers, 2000, true, Some(1024)), negotiate(&headers));
}

fn check_route(route: &Route<'_>, headers: &dyn Headers) {
    match route {
        Route::NotOurs => {}
        Route::Preflight(response) => is_http(response),
        Route::Refuse(refusal) => is_refusal(refusal),
        Route::Existing(existing) => {
            for session in [
                None,
                Some((Transport::Polling, Revision::V4)),
                Some((Transport::Websocket, Revision::V4)),
                Some((Transport::Polling, Revision::V3)),
            ] {
                if let Err(refusal) = existing.check(session) {
                    is_refusal(&refusal);
                }
            }
        }
        Route::Handshake(handshake) => {
            if let Err(refusal) = handshake.check_revision(false) {
                is_refusal(&refusal);
            }
            if let Some(jsonp) = &handshake.jsonp {
                let mut script = Vec::new();
                jsonp.wrap(&headers.get("x").unwrap_or_default().repeat(2), &mut script);
                assert!(script.starts_with(b"___eio[") && script.ends_with(b"\");"));
                assert!(!script.contains(&b'\n'), "no line ends inside of a string");
            }
            // Whatever is kept of a session id goes into a cookie.
            let sid = handshake.query.sid.as_deref().map_or_else(|| Sid::from("x"), Sid::from);
            is_http(&Response::post_ok().with([Cookie::default().header(sid.as_str())]));
        }
    }
}

fn is_refusal(refusal: &Refusal) {
    is_http(&refusal.response());
    is_http(&refusal.upgrade_response());
    let json: serde_json::Value = serde_json::from_str(&refusal.to_json()).expect("the body is JSON");
    assert_eq!(json["code"], refusal.code());
    assert_eq!(json["message"].as_str(), Some(refusal.message()));
}

/// One line for the status, one for each field, an empty one, and the body: nothing from a request may add a line.
fn is_http(response: &Response) {
    assert!((100..600).contains(&response.status));
    let text = response.to_http1();
    let head = text.strip_suffix(&*response.body).expect("the body comes last");
    let ends = |byte| head.iter().filter(|&&b| b == byte).count();
    let lines = response.fields().count() + 3;
    assert_eq!((ends(b'\r'), ends(b'\n')), (lines, lines), "{response:?}");
    assert!(head.ends_with(b"\r\n\r\n"));
}
