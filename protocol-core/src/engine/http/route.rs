//! From a request head to what is to be done with it: the checks of REFERENCE 1.6 that need no session, in their order.

use alloc::borrow::Cow;
use alloc::string::String;

use bytes::Bytes;

use super::{BadRequest, Cors, Jsonp, Query, Refusal, Request, Response, is_header_value};
use crate::engine::format::Format;
use crate::engine::handshake::Transports;
use crate::engine::packet::BinaryEncoding;
use crate::engine::{Revision, Transport};

/// What the routing depends on.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    path: String,
    /// The transports that are enabled.
    pub transports: Transports,
    /// Cross-origin sharing; `None` adds no headers and answers no preflight.
    pub cors: Option<Cors>,
}

/// Whether the path is matched with a slash at its end (`addTrailingSlash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// `/socket.io/`: a request for `/socket.io` is not ours.
    #[default]
    Append,
    /// `/socket.io`.
    Omit,
}

impl RouteConfig {
    /// Serves `path` with the default transports and without CORS. One slash at the end of `path` is ignored.
    pub fn new(path: &str, slash: TrailingSlash) -> Self {
        let mut path = String::from(path.strip_suffix('/').unwrap_or(path));
        if slash == TrailingSlash::Append {
            path.push('/');
        }
        Self { path, transports: Transports::default(), cors: None }
    }

    /// The path as it is compared.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the request is answered as one for an upgrade: a server without websockets takes it for a plain one.
    pub fn is_upgrade(&self, request: &Request<'_>) -> bool {
        self.transports.websocket && request.is_upgrade()
    }
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Another path: the application's, or an upgrade to be dropped (`destroyUpgrade`, REFERENCE 1.4).
    NotOurs,
    /// A CORS preflight, answered.
    Preflight(Response),
    /// Refused, by [`Refusal::response`] or [`Refusal::upgrade_response`].
    Refuse(Refusal),
    /// For a session, if there is one: see [`ExistingRequest::check`].
    Existing(ExistingRequest<'a>),
    /// For a new session, if the application allows it.
    Handshake(HandshakeRequest<'a>),
}

/// A request that names a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingRequest<'a> {
    /// The session id.
    pub sid: Cow<'a, str>,
    /// What it asks for.
    pub kind: Kind,
    /// The transport it is for.
    pub transport: Transport,
    /// The revision it speaks.
    pub revision: Revision,
    /// How the client wants binary on a WebSocket it opens.
    pub binary: BinaryEncoding,
}

/// What a request wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GET: a poll.
    Get,
    /// A POST: packets.
    Post,
    /// An upgrade of the connection, by any method. One with `transport=polling` is carried out and the WebSocket then
    /// closed at once, with an empty close frame; the session is not touched (REFERENCE 1.6).
    Upgrade,
    /// Any other method, which is answered by [`Response::method_not_supported`].
    OtherMethod,
}

/// A request that opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeRequest<'a> {
    /// The transport to open it on.
    pub transport: Transport,
    /// Whether the connection is to be upgraded. One with `transport=polling` is carried out and the WebSocket then
    /// closed at once, without a session.
    pub upgrade: bool,
    /// The revision of the session.
    pub revision: Revision,
    /// How the client wants binary. Always as base64 with JSONP.
    pub binary: BinaryEncoding,
    /// The callback of a JSONP session (polling only).
    pub jsonp: Option<Jsonp>,
    /// All parameters.
    pub query: Query<'a>,
}

/// Decides what to do with a request.
///
/// Checks in the order of REFERENCE 1.6: path, preflight, transport (0), origin (3); without a session id also the
/// method (2) and a websocket without an upgrade (3).
pub fn route<'a>(config: &RouteConfig, request: &Request<'a>) -> Route<'a> {
    // A raw prefix, query included, as in the reference.
    if !request.target.starts_with(&config.path) {
        return Route::NotOurs;
    }
    if let Some(response) = config.cors.as_ref().and_then(|cors| cors.preflight(request)) {
        return Route::Preflight(response);
    }
    match check(config, request) {
        Ok(route) => route,
        Err(refusal) => Route::Refuse(refusal),
    }
}

fn check<'a>(config: &RouteConfig, request: &Request<'a>) -> Result<Route<'a>, Refusal> {
    let query = request.query();
    let transport = query.transport.as_deref().and_then(Transport::from_name);
    let transport = transport
        .filter(|&transport| transport != Transport::Webtransport && config.transports.contains(transport))
        .ok_or_else(|| Refusal::UnknownTransport { transport: query.transport.as_deref().map(Into::into) })?;
    if let Some(origin) = request.headers.get("origin").filter(|origin| !is_header_value(origin)) {
        return Err(BadRequest::InvalidOrigin { origin: Bytes::copy_from_slice(origin) }.into());
    }
    let upgrade = config.is_upgrade(request);
    let revision = match query.eio.as_deref() {
        Some("4") => Revision::V4,
        _ => Revision::V3,
    };
    let binary = if query.b64 { BinaryEncoding::Base64 } else { BinaryEncoding::Raw };
    if let Some(sid) = query.sid {
        let kind = match request.method {
            _ if upgrade => Kind::Upgrade,
            "GET" => Kind::Get,
            "POST" => Kind::Post,
            _ => Kind::OtherMethod,
        };
        return Ok(Route::Existing(ExistingRequest { sid, kind, transport, revision, binary }));
    }
    if request.method != "GET" {
        return Err(Refusal::BadHandshakeMethod { method: request.method.into() });
    }
    if transport == Transport::Websocket && !upgrade {
        return Err(BadRequest::TransportHandshakeError { error: None }.into());
    }
    let jsonp = query.j.as_deref().filter(|_| transport == Transport::Polling).map(Jsonp::new);
    // A script is text: whoever asks for one without `b64` could not read bytes either.
    let binary = if jsonp.is_some() { BinaryEncoding::Base64 } else { binary };
    Ok(Route::Handshake(HandshakeRequest { transport, upgrade, revision, binary, jsonp, query }))
}

impl ExistingRequest<'_> {
    /// The checks that need the session: `session` is what is known of the one with this id, its current transport and
    /// its revision, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// In this order: code 1 without a session; code 3 if a plain request is for another transport than the session's,
    /// which is what becomes of polls after an upgrade; code 3 if the request has another revision; code 3 for a plain
    /// request to a session on a WebSocket, which the reference never answers.
    pub fn check(&self, session: Option<(Transport, Revision)>) -> Result<(), Refusal> {
        let Some((transport, revision)) = session else {
            return Err(Refusal::UnknownSid { sid: (&*self.sid).into() });
        };
        let plain = self.kind != Kind::Upgrade;
        if plain && self.transport != transport {
            let previous_transport = transport;
            return Err(
                BadRequest::TransportMismatch { transport: self.transport, previous_transport }.into()
            );
        }
        if self.revision != revision {
            let previous_protocol = revision;
            return Err(BadRequest::ProtocolMismatch { protocol: self.revision, previous_protocol }.into());
        }
        if plain && transport != Transport::Polling {
            return Err(BadRequest::TransportHandshakeError { error: None }.into());
        }
        Ok(())
    }
}

impl HandshakeRequest<'_> {
    /// How the packets of the session will be written.
    pub fn format(&self) -> Format {
        Format { revision: self.revision, binary: self.binary, jsonp: self.jsonp.clone() }
    }

    /// The last check, after the application has allowed the request: is the revision enabled?
    ///
    /// # Errors
    ///
    /// Code 5 for revision 3, unless `allow_eio3`.
    pub fn check_revision(&self, allow_eio3: bool) -> Result<(), Refusal> {
        match self.revision {
            Revision::V3 if !allow_eio3 => Err(Refusal::UnsupportedProtocolVersion),
            Revision::V3 | Revision::V4 => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::{Headers, Origin};
    use super::*;

    const NO_HEADERS: [(&str, &str); 0] = [];
    const UPGRADE: [(&str, &str); 2] = [("Connection", "Upgrade"), ("Upgrade", "websocket")];

    fn config() -> RouteConfig {
        RouteConfig::new("/socket.io", TrailingSlash::Append)
    }

    fn routed<'a>(method: &'a str, target: &'a str, headers: &'a dyn Headers) -> Route<'a> {
        route(&config(), &Request { method, target, headers })
    }

    fn refusal(method: &str, target: &str, headers: &dyn Headers) -> Refusal {
        match routed(method, target, headers) {
            Route::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn existing<'a>(method: &'a str, target: &'a str, headers: &'a dyn Headers) -> ExistingRequest<'a> {
        match routed(method, target, headers) {
            Route::Existing(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn handshake<'a>(target: &'a str, headers: &'a dyn Headers) -> HandshakeRequest<'a> {
        match routed("GET", target, headers) {
            Route::Handshake(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_path_is_a_raw_prefix() {
        let ours = |path, slash, target| {
            let config = RouteConfig::new(path, slash);
            route(&config, &Request { method: "GET", target, headers: &NO_HEADERS }) != Route::NotOurs
        };
        for path in ["/socket.io", "/socket.io/"] {
            assert!(ours(path, TrailingSlash::Append, "/socket.io/?EIO=4"));
            assert!(ours(path, TrailingSlash::Append, "/socket.io/foo?EIO=4"));
            assert!(ours(path, TrailingSlash::Append, "/socket.io//"));
            assert!(!ours(path, TrailingSlash::Append, "/socket.io?EIO=4"));
            assert!(!ours(path, TrailingSlash::Append, "/Socket.io/"));
            assert!(!ours(path, TrailingSlash::Append, "/x/socket.io/"));
            assert!(!ours(path, TrailingSlash::Append, ""));
            assert!(ours(path, TrailingSlash::Omit, "/socket.io?EIO=4"));
            assert!(ours(path, TrailingSlash::Omit, "/socket.iox"));
        }
        assert_eq!(RouteConfig::new("/a//", TrailingSlash::Append).path(), "/a//");
        assert_eq!(RouteConfig::new("/", TrailingSlash::Append).path(), "/");
    }

    #[test]
    fn a_missing_unknown_or_disabled_transport_is_code_0() {
        for (query, transport) in [
            ("", None),
            ("transport=", Some("")),
            ("transport=Polling", Some("Polling")),
            ("transport=__proto__", Some("__proto__")),
            ("transport=webtransport", Some("webtransport")),
            ("transport=polling&transport=x", Some("x")),
        ] {
            let target = alloc::format!("/socket.io/?EIO=4&{query}");
            let expected = Refusal::UnknownTransport { transport: transport.map(Into::into) };
            for headers in [&UPGRADE as &dyn Headers, &NO_HEADERS] {
                assert_eq!(refusal("GET", &target, headers), expected, "{query}");
            }
        }
        for transports in [
            Transports { websocket: false, ..Transports::default() },
            Transports { websocket: false, webtransport: true, ..Transports::default() },
        ] {
            for name in ["websocket", "webtransport"] {
                let target = alloc::format!("/socket.io/?EIO=4&transport={name}");
                let request = Request { method: "GET", target: &target, headers: &UPGRADE };
                let route = route(&RouteConfig { transports, ..config() }, &request);
                assert!(matches!(route, Route::Refuse(Refusal::UnknownTransport { .. })), "{name}");
            }
        }
    }

    #[test]
    fn an_origin_with_a_control_character_is_code_3() {
        for origin in ["http://a\u{1}", "\u{7f}", "a\r\nSet-Cookie: b=c"] {
            let expected = BadRequest::InvalidOrigin { origin: Bytes::copy_from_slice(origin.as_bytes()) };
            let headers = [("Origin", origin)];
            // Before the session and the method are looked at.
            assert_eq!(refusal("PUT", "/socket.io/?transport=polling", &headers), expected.clone().into());
            assert_eq!(refusal("GET", "/socket.io/?transport=polling&sid=a", &headers), expected.into());
        }
        for origin in ["http://a", "null", "", "http://ü\tb"] {
            let headers = [("Origin", origin)];
            assert!(matches!(routed("GET", "/socket.io/?transport=polling", &headers), Route::Handshake(_)));
        }
    }

    #[test]
    fn a_handshake_that_is_not_a_get_is_code_2() {
        for method in ["POST", "PUT", "HEAD", "OPTIONS", "get", ""] {
            let expected = Refusal::BadHandshakeMethod { method: method.into() };
            for query in
                ["EIO=4&transport=polling", "EIO=4&transport=polling&sid=", "EIO=3&transport=websocket"]
            {
                assert_eq!(
                    refusal(method, &alloc::format!("/socket.io/?{query}"), &NO_HEADERS),
                    expected,
                    "{query}"
                );
            }
            assert_eq!(refusal(method, "/socket.io/?transport=websocket", &UPGRADE), expected);
        }
    }

    #[test]
    fn a_websocket_handshake_without_an_upgrade_is_code_3() {
        let expected = Refusal::from(BadRequest::TransportHandshakeError { error: None });
        assert_eq!(refusal("GET", "/socket.io/?EIO=4&transport=websocket", &NO_HEADERS), expected);
        // Before the revision, which is checked after the application was asked.
        assert_eq!(refusal("GET", "/socket.io/?transport=websocket", &NO_HEADERS), expected);
    }

    #[test]
    fn the_revision_is_checked_last() {
        for (query, revision) in [
            ("EIO=4", Revision::V4),
            ("EIO=3", Revision::V3),
            ("EIO=04", Revision::V3),
            ("EIO=", Revision::V3),
            ("eio=4", Revision::V3),
            ("EIO=4&EIO=5", Revision::V3),
            ("x", Revision::V3),
        ] {
            let target = alloc::format!("/socket.io/?{query}&transport=polling");
            let request = handshake(&target, &NO_HEADERS);
            assert_eq!(request.revision, revision, "{query}");
            assert_eq!(request.check_revision(true), Ok(()));
            let strict = match revision {
                Revision::V4 => Ok(()),
                Revision::V3 => Err(Refusal::UnsupportedProtocolVersion),
            };
            assert_eq!(request.check_revision(false), strict);
        }
    }

    #[test]
    fn a_handshake_tells_how_the_client_wants_its_answers() {
        let plain = handshake("/socket.io/?EIO=4&transport=polling&t=x&a=b%20c", &NO_HEADERS);
        assert_eq!(
            (plain.transport, plain.upgrade, plain.binary),
            (Transport::Polling, false, BinaryEncoding::Raw)
        );
        assert_eq!(plain.jsonp, None);
        assert_eq!(plain.query.pairs().last(), Some(("a".into(), "b c".into())));
        let base64 = handshake("/socket.io/?transport=polling&b64=1", &NO_HEADERS);
        assert_eq!((base64.jsonp, base64.binary), (None, BinaryEncoding::Base64));
        let jsonp = handshake("/socket.io/?transport=polling&j=", &NO_HEADERS);
        assert_eq!((jsonp.jsonp, jsonp.binary), (Some(Jsonp::new("")), BinaryEncoding::Base64));
        let websocket = handshake("/socket.io/?EIO=4&transport=websocket&j=1", &UPGRADE);
        assert_eq!((websocket.transport, websocket.upgrade), (Transport::Websocket, true));
        assert_eq!(websocket.jsonp, None);
        assert!(handshake("/socket.io/?EIO=4&transport=polling", &UPGRADE).upgrade);
    }

    #[test]
    fn a_request_for_a_session_is_sorted_by_method() {
        let target = "/socket.io/?EIO=4&transport=polling&sid=a%2Bb";
        for (method, kind) in [
            ("GET", Kind::Get),
            ("POST", Kind::Post),
            ("PUT", Kind::OtherMethod),
            ("OPTIONS", Kind::OtherMethod),
        ] {
            let request = existing(method, target, &NO_HEADERS);
            assert_eq!((request.kind, &*request.sid), (kind, "a+b"));
            assert_eq!(existing(method, target, &UPGRADE).kind, Kind::Upgrade);
        }
        let request = existing("GET", "/socket.io/?transport=websocket&sid=a&b64=1", &UPGRADE);
        assert_eq!((request.transport, request.binary), (Transport::Websocket, BinaryEncoding::Base64));
        assert_eq!(request.revision, Revision::V3);
    }

    #[test]
    fn the_checks_of_a_session_come_in_order() {
        use Revision::{V3, V4};
        use Transport::{Polling, Websocket};
        let poll = existing("GET", "/socket.io/?EIO=4&transport=polling&sid=a", &NO_HEADERS);
        assert_eq!(poll.check(None), Err(Refusal::UnknownSid { sid: "a".into() }));
        assert_eq!(poll.check(Some((Polling, V4))), Ok(()));
        let mismatch = BadRequest::TransportMismatch { transport: Polling, previous_transport: Websocket };
        assert_eq!(poll.check(Some((Websocket, V3))), Err(mismatch.into()));
        let mismatch = BadRequest::ProtocolMismatch { protocol: V4, previous_protocol: V3 };
        assert_eq!(poll.check(Some((Polling, V3))), Err(mismatch.clone().into()));

        let upgrade = existing("GET", "/socket.io/?EIO=4&transport=websocket&sid=a", &UPGRADE);
        assert_eq!(upgrade.check(None), Err(Refusal::UnknownSid { sid: "a".into() }));
        assert_eq!(upgrade.check(Some((Polling, V4))), Ok(()));
        assert_eq!(upgrade.check(Some((Websocket, V4))), Ok(()));
        assert_eq!(upgrade.check(Some((Polling, V3))), Err(mismatch.into()));

        let plain = existing("GET", "/socket.io/?EIO=4&transport=websocket&sid=a", &NO_HEADERS);
        let mismatch = BadRequest::TransportMismatch { transport: Websocket, previous_transport: Polling };
        assert_eq!(plain.check(Some((Polling, V4))), Err(mismatch.into()));
        let unanswerable = BadRequest::TransportHandshakeError { error: None };
        assert_eq!(plain.check(Some((Websocket, V4))), Err(unanswerable.into()));
    }

    #[test]
    fn a_preflight_is_answered_before_anything_else_is_checked() {
        let request = Request { method: "OPTIONS", target: "/socket.io/", headers: &NO_HEADERS };
        let with = |cors| route(&RouteConfig { cors, ..config() }, &request);
        assert!(matches!(with(None), Route::Refuse(Refusal::UnknownTransport { .. })));
        let cors = Cors::new(Origin::Any).unwrap();
        assert!(matches!(with(Some(cors.clone())), Route::Preflight(Response { status: 204, .. })));
        assert!(matches!(with(Some(cors.preflight_continue(true))), Route::Refuse(_)));
        assert!(matches!(with(Some(Cors::new(Origin::Disabled).unwrap())), Route::Refuse(_)));
        let elsewhere = Request { target: "/", ..request };
        let config = RouteConfig { cors: Cors::new(Origin::Any).ok(), ..config() };
        assert_eq!(route(&config, &elsewhere), Route::NotOurs);
    }

    proptest! {
        #[test]
        fn arbitrary_requests_never_panic(method: String, target: String, headers: Vec<(String, Vec<u8>)>) {
            for target in [target.to_string(), alloc::format!("/socket.io/?{target}")] {
                route(&config(), &Request { method: &method, target: &target, headers: &headers });
            }
        }
    }
}
