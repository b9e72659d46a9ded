//! The HTTP side of Engine.IO: a request head in, a decision or a response out (REFERENCE 1.3 to 1.9).
//!
//! Pure functions over borrowed requests. Knows nothing of sockets, of any HTTP library or of sessions: what depends
//! on a session is a check that the owner of the sessions calls with what it found.
//!
//! The path of a request:
//!
//! 1. [`route`] tells whether the request is ours, answers a CORS preflight, and refuses what can be refused
//!    without looking at a session. CORS headers ([`Cors::headers`]) belong on every response from here on,
//!    refusals and switches of protocol included.
//! 2. With a session id: look it up and call [`ExistingRequest::check`].
//! 3. Without: ask the application (`allowRequest`), then call [`HandshakeRequest::check_revision`]. That order is part
//!    of the protocol (REFERENCE 1.6).
//! 4. For a WebSocket: [`check_websocket`], and only then the 101.

mod compression;
mod cookie;
mod cors;
mod jsonp;
mod query;
mod refusal;
mod response;
mod route;
mod websocket;

use alloc::vec::Vec;
use core::fmt;

pub use compression::{ContentEncoding, DEFAULT_COMPRESSION_THRESHOLD, content_encoding, negotiate};
pub use cookie::{Cookie, CookieError, Priority, SameSite};
pub use cors::{Cors, Origin};
pub use jsonp::Jsonp;
pub use query::{Pairs, Query};
pub use refusal::{BadRequest, Refusal};
pub use response::{
    Fields, Header, InvalidHeaderValue, Response, is_header_value, post_form, xss_protection,
};
pub use route::{ExistingRequest, HandshakeRequest, Kind, Route, RouteConfig, TrailingSlash, route};
pub use websocket::{WebsocketRequest, check_websocket};

/// The header fields of a request. Names are compared without regard to case. `Sync`, so that a request can be looked at
/// across the awaits of whoever serves it.
pub trait Headers: Sync {
    /// The value of the first field of this name.
    fn get(&self, name: &str) -> Option<&[u8]>;

    /// Visits the values of all fields of this name, in order. Needed for lists that a client or a proxy may split over
    /// several fields; the default visits the first alone.
    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.get(name) {
            visit(value);
        }
    }
}

/// Fields as they were parsed, in order.
impl<N: AsRef<str> + Sync, V: AsRef<[u8]> + Sync> Headers for Vec<(N, V)> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        named(self, name).next()
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        named(self, name).for_each(visit);
    }
}

/// Fields as they were parsed, in order.
impl<N: AsRef<str> + Sync, V: AsRef<[u8]> + Sync, const COUNT: usize> Headers for [(N, V); COUNT] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        named(self, name).next()
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        named(self, name).for_each(visit);
    }
}

fn named<'a, N: AsRef<str>, V: AsRef<[u8]>>(
    fields: &'a [(N, V)],
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |(n, _)| n.as_ref().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
}

/// The head of an HTTP request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case as it is on the wire.
    pub method: &'a str,
    /// The request target: path and query.
    pub target: &'a str,
    /// The header fields.
    pub headers: &'a dyn Headers,
}

impl<'a> Request<'a> {
    /// Whether the client wants to leave HTTP: `Connection` lists `upgrade`, and there is an `Upgrade` field. Whether
    /// that is a valid WebSocket handshake is for [`check_websocket`], after all other checks.
    pub fn is_upgrade(&self) -> bool {
        let mut listed = false;
        self.headers.each("connection", &mut |value| {
            listed |= list(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        });
        listed && self.headers.get("upgrade").is_some()
    }

    /// The parameters of the target.
    pub fn query(&self) -> Query<'a> {
        Query::of_target(self.target)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The members of a comma-separated list, without the space around them.
pub(in crate::engine) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

/// Whether these bytes are a token of HTTP (RFC 9110, 5.6.2).
pub(in crate::engine) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgrades(headers: &[(&str, &str)]) -> bool {
        Request { method: "GET", target: "/", headers: &headers.to_vec() }.is_upgrade()
    }

    #[test]
    fn an_upgrade_needs_both_fields() {
        assert!(upgrades(&[("Connection", "Upgrade"), ("Upgrade", "websocket")]));
        assert!(upgrades(&[("connection", "keep-alive, UPGRADE"), ("upgrade", "h2c")]));
        assert!(upgrades(&[
            ("Connection", "keep-alive"),
            ("Connection", "upgrade"),
            ("Upgrade", "websocket")
        ]));
        assert!(!upgrades(&[("Connection", "upgrades"), ("Upgrade", "websocket")]));
        assert!(!upgrades(&[("Connection", "Upgrade")]));
        assert!(!upgrades(&[("Upgrade", "websocket")]));
        assert!(!upgrades(&[]));
    }
}
