//! Cross-origin resource sharing (REFERENCE 1.7).
//!
//! It tells browsers what a page of another origin may read. It keeps nobody out: a refused origin still gets its
//! session, and WebSockets are not subject to it. Who wants to keep origins out checks them in `allowRequest`.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::{Header, InvalidHeaderValue, Request, Response, is_header_value};

/// Which origins may read responses.
#[derive(Clone)]
pub enum Origin {
    /// All: `*`.
    Any,
    /// This one, which is sent whatever the origin of the request is.
    Exact(String),
    /// These. The origin of the request is sent back if it is among them.
    List(Vec<String>),
    /// All, by sending back the origin of the request, as credentials require.
    Mirror,
    /// Those for which the function is true. It is called for each request that has an `Origin`, and must not block.
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    /// No CORS headers, and no answer to a preflight.
    Disabled,
}

/// The CORS headers of responses.
///
/// The default methods are `GET,HEAD,PUT,PATCH,POST,DELETE`; the headers a preflight asks for are all allowed.
#[derive(Clone, Debug)]
pub struct Cors {
    origin: Origin,
    methods: Bytes,
    allowed_headers: Option<Bytes>,
    exposed_headers: Bytes,
    credentials: bool,
    max_age: Option<Bytes>,
    preflight_continue: bool,
    options_success_status: u16,
}

impl Cors {
    /// Shares with `origin`. An exact origin `*` is any.
    ///
    /// # Errors
    ///
    /// If an exact origin is empty or not a header value.
    pub fn new(origin: Origin) -> Result<Self, InvalidHeaderValue> {
        let origin = match origin {
            Origin::Exact(origin) if origin == "*" => Origin::Any,
            Origin::Exact(origin) if origin.is_empty() || !is_header_value(origin.as_bytes()) => {
                return Err(InvalidHeaderValue);
            }
            origin => origin,
        };
        Ok(Self {
            origin,
            methods: Bytes::from_static(b"GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: Bytes::new(),
            credentials: false,
            max_age: None,
            preflight_continue: false,
            options_success_status: 204,
        })
    }

    /// The methods that a preflight allows.
    ///
    /// # Errors
    ///
    /// If they do not make a header value.
    pub fn methods(self, methods: &[&str]) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { methods: joined(methods)?, ..self })
    }

    /// The request headers that a preflight allows, instead of those it asks for.
    ///
    /// # Errors
    ///
    /// If they do not make a header value.
    pub fn allowed_headers(self, names: &[&str]) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { allowed_headers: Some(joined(names)?), ..self })
    }

    /// The response headers that a page may read.
    ///
    /// # Errors
    ///
    /// If they do not make a header value.
    pub fn exposed_headers(self, names: &[&str]) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { exposed_headers: joined(names)?, ..self })
    }

    /// Whether a page may send cookies and the like. Browsers do not accept this together with [`Origin::Any`].
    #[must_use]
    pub fn credentials(self, credentials: bool) -> Self {
        Self { credentials, ..self }
    }

    /// How long a browser may remember the answer to a preflight. Sent in whole seconds.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age.as_secs().to_string().into()), ..self }
    }

    /// Whether a preflight gets its headers but is otherwise treated like any request.
    #[must_use]
    pub fn preflight_continue(self, preflight_continue: bool) -> Self {
        Self { preflight_continue, ..self }
    }

    /// The status of the answer to a preflight, by default 204. Some old browsers need 200.
    #[must_use]
    pub fn options_success_status(self, status: u16) -> Self {
        Self { options_success_status: status, ..self }
    }

    /// The answer to a preflight, or `None` if the request is none or is to be treated like any other.
    pub fn preflight(&self, request: &Request<'_>) -> Option<Response> {
        let answered =
            is_options(request) && !self.preflight_continue && !matches!(self.origin, Origin::Disabled);
        answered.then(|| Response::empty(self.options_success_status).with(self.headers(request)))
    }

    /// The headers to add to the response to `request`, whatever the response is.
    pub fn headers(&self, request: &Request<'_>) -> Vec<Header> {
        let mut headers = Vec::new();
        if matches!(self.origin, Origin::Disabled) {
            return headers;
        }
        let preflight = is_options(request);
        if let Some(origin) = self.allow_origin(request) {
            headers.push(Header::new("Access-Control-Allow-Origin", origin));
        }
        let by_origin = !matches!(self.origin, Origin::Any);
        let by_request_headers = preflight && self.allowed_headers.is_none();
        let vary = match (by_origin, by_request_headers) {
            (true, true) => "Origin, Access-Control-Request-Headers",
            (true, false) => "Origin",
            (false, true) => "Access-Control-Request-Headers",
            (false, false) => "",
        };
        let mut push = |name, value: Bytes| {
            if !value.is_empty() {
                headers.push(Header { name, value });
            }
        };
        push("Vary", vary.into());
        if self.credentials {
            push("Access-Control-Allow-Credentials", "true".into());
        }
        if preflight {
            push("Access-Control-Allow-Methods", self.methods.clone());
            let allowed = match &self.allowed_headers {
                Some(allowed) => Some(allowed.clone()),
                None => value_of(request, "access-control-request-headers").map(Bytes::copy_from_slice),
            };
            push("Access-Control-Allow-Headers", allowed.unwrap_or_default());
            push("Access-Control-Max-Age", self.max_age.clone().unwrap_or_default());
        }
        push("Access-Control-Expose-Headers", self.exposed_headers.clone());
        headers
    }

    fn allow_origin(&self, request: &Request<'_>) -> Option<Bytes> {
        let requested = || value_of(request, "origin").filter(|origin| !origin.is_empty());
        let echoed = |allowed: &dyn Fn(&str) -> bool| {
            let origin = core::str::from_utf8(requested()?).ok()?;
            allowed(origin).then(|| Bytes::copy_from_slice(origin.as_bytes()))
        };
        match &self.origin {
            Origin::Any => Some(Bytes::from_static(b"*")),
            Origin::Exact(origin) => Some(Bytes::copy_from_slice(origin.as_bytes())),
            Origin::List(origins) => echoed(&|origin| origins.iter().any(|allowed| allowed == origin)),
            Origin::Mirror => requested().map(Bytes::copy_from_slice),
            Origin::Predicate(allowed) => echoed(&**allowed),
            Origin::Disabled => None,
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Exact(origin) => f.debug_tuple("Exact").field(origin).finish(),
            Self::List(origins) => f.debug_tuple("List").field(origins).finish(),
            Self::Mirror => f.write_str("Mirror"),
            Self::Predicate(_) => f.write_str("Predicate(..)"),
            Self::Disabled => f.write_str("Disabled"),
        }
    }
}

fn is_options(request: &Request<'_>) -> bool {
    request.method.eq_ignore_ascii_case("OPTIONS")
}

/// A value of the request that may be sent back: an embedder's parser may have let through what a header cannot hold.
fn value_of<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    request.headers.get(name).filter(|value| is_header_value(value))
}

fn joined(values: &[&str]) -> Result<Bytes, InvalidHeaderValue> {
    let value = values.join(",");
    if is_header_value(value.as_bytes()) { Ok(value.into()) } else { Err(InvalidHeaderValue) }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::Headers;
    use super::*;

    fn headers(cors: &Cors, method: &str, request: &dyn Headers) -> Vec<(&'static str, String)> {
        let headers = cors.headers(&Request { method, target: "/", headers: request });
        headers.into_iter().map(|h| (h.name, String::from_utf8(h.value.to_vec()).unwrap())).collect()
    }

    fn get(origin: Origin, request: &dyn Headers) -> Vec<(&'static str, String)> {
        headers(&Cors::new(origin).unwrap(), "GET", request)
    }

    fn allow(origin: &str) -> (&'static str, String) {
        ("Access-Control-Allow-Origin", origin.into())
    }

    fn vary(by: &str) -> (&'static str, String) {
        ("Vary", by.into())
    }

    const NO_HEADERS: [(&str, &str); 0] = [];
    const FROM_A: [(&str, &str); 1] = [("Origin", "http://a")];
    const FROM_B: [(&str, &str); 1] = [("Origin", "http://b")];

    #[test]
    fn any_origin_is_a_star_without_vary() {
        assert_eq!(get(Origin::Any, &FROM_A), [allow("*")]);
        assert_eq!(get(Origin::Any, &NO_HEADERS), [allow("*")]);
        assert_eq!(get(Origin::Exact("*".into()), &FROM_A), [allow("*")]);
    }

    #[test]
    fn an_exact_origin_is_sent_to_everyone() {
        for request in [&FROM_A as &dyn Headers, &FROM_B, &NO_HEADERS] {
            assert_eq!(get(Origin::Exact("http://a".into()), request), [allow("http://a"), vary("Origin")]);
        }
    }

    #[test]
    fn a_list_or_predicate_echoes_who_is_allowed_and_always_varies() {
        let list = || Origin::List(vec!["http://x".into(), "http://a".into()]);
        let predicate = || Origin::Predicate(Arc::new(|origin| origin.ends_with("//a")));
        for origin in [list, predicate as fn() -> Origin] {
            assert_eq!(get(origin(), &FROM_A), [allow("http://a"), vary("Origin")]);
            assert_eq!(get(origin(), &FROM_B), [vary("Origin")]);
            assert_eq!(get(origin(), &NO_HEADERS), [vary("Origin")]);
        }
    }

    #[test]
    fn a_mirror_echoes_everyone() {
        assert_eq!(get(Origin::Mirror, &FROM_B), [allow("http://b"), vary("Origin")]);
        assert_eq!(get(Origin::Mirror, &NO_HEADERS), [vary("Origin")]);
    }

    #[test]
    fn disabled_adds_nothing_and_answers_no_preflight() {
        let cors = Cors::new(Origin::Disabled).unwrap().credentials(true);
        for method in ["GET", "OPTIONS"] {
            assert_eq!(headers(&cors, method, &FROM_A), []);
            assert_eq!(cors.preflight(&Request { method, target: "/", headers: &FROM_A }), None);
        }
    }

    #[test]
    fn credentials_are_sent_even_to_a_refused_origin() {
        let cors = Cors::new(Origin::List(vec![])).unwrap().credentials(true);
        let expected = [vary("Origin"), ("Access-Control-Allow-Credentials", "true".into())];
        assert_eq!(headers(&cors, "GET", &FROM_A), expected);
    }

    #[test]
    fn a_preflight_has_methods_and_reflects_the_headers_asked_for() {
        let cors = Cors::new(Origin::Mirror).unwrap();
        let request = [("Origin", "http://a"), ("Access-Control-Request-Headers", "x-a, x-b")];
        assert_eq!(
            headers(&cors, "OPTIONS", &request),
            [
                allow("http://a"),
                vary("Origin, Access-Control-Request-Headers"),
                ("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE".into()),
                ("Access-Control-Allow-Headers", "x-a, x-b".into()),
            ]
        );
        let any = Cors::new(Origin::Any).unwrap();
        assert_eq!(
            headers(&any, "OPTIONS", &NO_HEADERS),
            [
                allow("*"),
                vary("Access-Control-Request-Headers"),
                ("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE".into()),
            ]
        );
        let response = any.preflight(&Request { method: "OPTIONS", target: "/", headers: &FROM_A });
        let response = response.unwrap();
        assert_eq!((response.status, response.body.len(), response.extra.len()), (204, 0, 3));
    }

    #[test]
    fn every_option_of_a_preflight_is_sent() {
        let cors = Cors::new(Origin::Any)
            .and_then(|cors| cors.methods(&["GET", "POST"]))
            .and_then(|cors| cors.allowed_headers(&["x-a", "x-b"]))
            .and_then(|cors| cors.exposed_headers(&["x-c"]))
            .unwrap()
            .max_age(Duration::from_secs(600))
            .options_success_status(200);
        let exposed = ("Access-Control-Expose-Headers", "x-c".into());
        assert_eq!(
            headers(&cors, "OPTIONS", &[("Access-Control-Request-Headers", "x-z")]),
            [
                allow("*"),
                ("Access-Control-Allow-Methods", "GET,POST".into()),
                ("Access-Control-Allow-Headers", "x-a,x-b".into()),
                ("Access-Control-Max-Age", "600".into()),
                exposed.clone(),
            ]
        );
        assert_eq!(headers(&cors, "GET", &NO_HEADERS), [allow("*"), exposed]);
        let request = Request { method: "OPTIONS", target: "/", headers: &FROM_A };
        assert_eq!(cors.preflight(&request).unwrap().status, 200);
        assert_eq!(cors.preflight_continue(true).preflight(&request), None);
    }

    #[test]
    fn only_options_is_a_preflight() {
        let cors = Cors::new(Origin::Any).unwrap();
        let of = |method| cors.preflight(&Request { method, target: "/", headers: &FROM_A }).is_some();
        assert!(of("OPTIONS") && of("options"));
        assert!(!of("GET") && !of("POST") && !of("HEAD"));
    }

    #[test]
    fn no_value_can_end_its_header() {
        let evil = "a\r\nSet-Cookie: b=c";
        assert_eq!(Cors::new(Origin::Exact(evil.into())).unwrap_err(), InvalidHeaderValue);
        assert_eq!(Cors::new(Origin::Exact("".into())).unwrap_err(), InvalidHeaderValue);
        let cors = || Cors::new(Origin::Mirror).unwrap();
        assert_eq!(cors().methods(&["GET", evil]).unwrap_err(), InvalidHeaderValue);
        assert_eq!(cors().allowed_headers(&[evil]).unwrap_err(), InvalidHeaderValue);
        assert_eq!(cors().exposed_headers(&[evil]).unwrap_err(), InvalidHeaderValue);
        let request = [("Origin", evil), ("Access-Control-Request-Headers", evil)];
        assert_eq!(
            headers(&cors(), "OPTIONS", &request),
            [
                vary("Origin, Access-Control-Request-Headers"),
                ("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE".into()),
            ]
        );
    }
}
