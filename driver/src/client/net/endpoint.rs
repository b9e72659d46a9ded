//! The URL a client is given: where the server is, and what else a user writes into it (REFERENCE 5.1).

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Host, Url, form_urlencoded};

use super::SetupError;

/// Where a server is, and as who to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    secure: bool,
    /// A name in ASCII or an address; an IPv6 address without brackets.
    host: String,
    port: u16,
    /// What stands in `Host`: an IPv6 address in brackets, a port only if it is not the scheme's own.
    authority: String,
    authorization: Option<HeaderValue>,
    namespace: String,
    query: Vec<(String, String)>,
}

impl Endpoint {
    /// Reads `http://user:password@host:port/namespace?name=value`. The scheme is one of `http`, `https`, `ws` and
    /// `wss`; without one it is `https`. Unlike the reference, which would escape it a second time, the query is decoded.
    ///
    /// # Errors
    /// [`SetupError::Url`], [`SetupError::Scheme`] or [`SetupError::NoHost`].
    pub(crate) fn parse(text: &str) -> Result<Self, SetupError> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (scheme.to_ascii_lowercase(), rest),
            _ => ("https".to_owned(), text.strip_prefix("//").unwrap_or(text)),
        };
        let secure = match scheme.as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(SetupError::Scheme { scheme }),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The namespace is taken as it is written: a URL's path would be escaped and its `..` resolved.
        let (authority, namespace) = place.split_at(place.find('/').unwrap_or(place.len()));
        if authority.is_empty() {
            return Err(SetupError::NoHost { url: text.to_owned() });
        }
        let url = Url::parse(&format!("{}://{authority}", if secure { "https" } else { "http" }))
            .map_err(|reason| SetupError::Url { url: redacted(text), reason })?;
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(SetupError::NoHost { url: redacted(text) });
        };
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Ok(Self {
            secure,
            host: bare(&host),
            port,
            authority,
            authorization: basic(&url),
            namespace: if namespace.is_empty() { "/".to_owned() } else { namespace.to_owned() },
            query: form_urlencoded::parse(query.as_bytes()).map(|(n, v)| (n.into(), v.into())).collect(),
        })
    }

    /// Whether the connection is encrypted.
    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name in ASCII or an address; an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The host, if the connection is encrypted.
    pub(super) fn secure_host(&self) -> Option<&str> {
        self.secure.then_some(&*self.host)
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let is_local = |name: &str| name == "localhost" || name.ends_with(".localhost");
        self.host.parse().map_or_else(|_| is_local(&self.host), |address: IpAddr| address.is_loopback())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What stands in the header `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The user and password of the URL, as the header `Authorization` has them.
    pub(crate) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The path, which names a namespace; `/` without one.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The parameters of the query, decoded, for the handshake.
    pub(crate) fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Scheme, host and port: what clients that share a connection have in common.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

/// Without the query, in which tokens stand.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.namespace)
    }
}

/// A host as one connects to it.
pub(super) fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Ipv6(address) => address.to_string(),
        Host::Domain(_) | Host::Ipv4(_) => host.to_string(),
    }
}

/// User and password of a URL, for `Authorization` or `Proxy-Authorization`.
pub(super) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A URL for a message: without what only its owner may know.
pub(super) fn redacted(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find('/').map_or(text.len(), |at| start + at);
    let shown = match text[start..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{}…{}", &text[..start], &text[start + at..])),
        None => Cow::Borrowed(text),
    };
    shown.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[test]
    fn schemes_and_ports() {
        for (text, secure, host, port, authority) in [
            ("http://h", false, "h", 80, "h"),
            ("ws://h:80/", false, "h", 80, "h"),
            ("https://h", true, "h", 443, "h"),
            ("WSS://H:443", true, "h", 443, "h"),
            ("http://h:443", false, "h", 443, "h:443"),
            ("https://h:80", true, "h", 80, "h:80"),
            ("h:3000", true, "h", 3000, "h:3000"),
            ("//h", true, "h", 443, "h"),
            (" localhost ", true, "localhost", 443, "localhost"),
            ("http://[::1]:3000/a", false, "::1", 3000, "[::1]:3000"),
            ("http://[0:0::1]", false, "::1", 80, "[::1]"),
            ("http://127.0.0.1:8080", false, "127.0.0.1", 8080, "127.0.0.1:8080"),
            ("http://bücher.example", false, "xn--bcher-kva.example", 80, "xn--bcher-kva.example"),
        ] {
            let read = endpoint(text);
            let got = (read.is_secure(), read.host(), read.port(), read.authority());
            assert_eq!(got, (secure, host, port, authority), "{text}");
        }
    }

    #[test]
    fn the_path_is_a_namespace_and_the_query_the_handshakes() {
        let read = endpoint("http://h/admin/ä%20/../b?token=a%26b+c&x=&y&x=2#top");
        assert_eq!(read.namespace(), "/admin/ä%20/../b");
        let query: Vec<_> = read.query().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(query, [("token", "a&b c"), ("x", ""), ("y", ""), ("x", "2")]);
        assert_eq!(endpoint("http://h").namespace(), "/");
        assert_eq!(endpoint("h?a=://b").query(), [("a".to_owned(), "://b".to_owned())]);
        assert_eq!(endpoint("ws://u:p@h:1/x").origin(), "http://h:1");
        assert_eq!(format!("{:?}", endpoint("ws://u:p@h:1/x?token=1")), "http://h:1/x");
    }

    #[test]
    fn user_and_password_become_a_header() {
        let value = endpoint("http://al%40ice:p%3Aw@h").authorization().cloned().unwrap();
        // `al@ice:p:w`
        assert_eq!(value, "Basic YWxAaWNlOnA6dw==");
        assert!(!format!("{value:?}").contains("YWx"));
        assert_eq!(endpoint("http://h").authorization(), None);
    }

    #[test]
    fn what_is_no_url_is_named() {
        let error = |text: &str| Endpoint::parse(text).unwrap_err();
        assert!(matches!(error("ftp://h"), SetupError::Scheme { scheme } if scheme == "ftp"));
        for text in ["", "/admin", "http://", "http:///a", "?a=b"] {
            assert!(matches!(error(text), SetupError::NoHost { .. }), "{text}: {:?}", error(text));
        }
        for text in ["http://h:port", "http://h:99999", "http://[::1", "http://a b", "http://u:p@"] {
            assert!(matches!(error(text), SetupError::Url { .. }), "{text}: {:?}", error(text));
        }
        let message = error("http://user:secret@h:port/a?token=secret").to_string();
        assert!(message.contains("http://…@h:port/a") && !message.contains("secret"), "{message}");
    }
}
