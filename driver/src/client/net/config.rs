//! What a user may set about a client's connections, and what can be wrong with it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use socketio_core::engine::deflate::PerMessageDeflate;
use thiserror::Error;

use super::proxy::Proxy;
use super::tls::Tls;
use crate::runtime::{AddressFamily, Connect};

/// How a client connects.
#[derive(Clone)]
pub(crate) struct NetworkConfig {
    /// Headers to add to every request, polling and websocket alike, in place of what would be sent under these names.
    pub(crate) headers: Vec<(String, String)>,
    /// Those of polling, if they are others.
    pub(crate) polling_headers: Option<Vec<(String, String)>>,
    /// Those of the opening handshakes of websockets, if they are others.
    pub(crate) websocket_headers: Option<Vec<(String, String)>>,
    /// Websocket subprotocols to offer. The server must choose one of them.
    pub(crate) protocols: Vec<String>,
    /// Which proxy to go through.
    pub(crate) proxy: Proxy,
    /// Which address of this machine to connect from.
    pub(crate) local_address: Option<IpAddr>,
    /// The only family of addresses to connect to.
    pub(crate) family: Option<AddressFamily>,
    /// How connections are encrypted.
    pub(crate) tls: Tls,
    /// Whether to keep the server's cookies, in memory, and send them with every request (`withCredentials`).
    pub(crate) cookies: bool,
    /// How long one request of polling may take, connecting included.
    pub(crate) request_timeout: Option<Duration>,
    /// Whether, and how, to offer that websocket messages be compressed.
    pub(crate) per_message_deflate: Option<PerMessageDeflate>,
    /// Most bytes of one response, after decompression, or of one websocket message.
    pub(crate) max_message_bytes: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            polling_headers: None,
            websocket_headers: None,
            protocols: Vec::new(),
            proxy: Proxy::default(),
            local_address: None,
            family: None,
            tls: Tls::default(),
            cookies: false,
            request_timeout: None,
            per_message_deflate: None,
            max_message_bytes: 100 << 20,
        }
    }
}

impl NetworkConfig {
    /// A connection to that host, checked.
    pub(super) fn connect(&self, host: &str, port: u16) -> Result<Connect, SetupError> {
        let mut to = Connect::new(host, port);
        (to.local_address, to.family) = (self.local_address, self.family);
        let Some(family) = self.family.or(self.local_address.map(AddressFamily::of)) else { return Ok(to) };
        // What a name has for addresses is known when it is resolved.
        for address in self.local_address.into_iter().chain(host.parse().ok()) {
            if AddressFamily::of(address) != family {
                return Err(SetupError::Family { address, family });
            }
        }
        Ok(to)
    }

    /// The offer of subprotocols, checked.
    pub(super) fn protocol_offer(&self) -> Result<Option<HeaderValue>, SetupError> {
        for name in &self.protocols {
            // RFC 6455, 4.1: a token.
            if HeaderName::try_from(name).is_err() {
                return Err(SetupError::Subprotocol { name: name.clone() });
            }
        }
        let offer = (!self.protocols.is_empty()).then(|| self.protocols.join(", "));
        Ok(offer.and_then(|offer| HeaderValue::try_from(offer).ok()))
    }
}

/// Without the values of headers, which are often secret.
impl fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            headers,
            polling_headers,
            websocket_headers,
            protocols,
            proxy,
            local_address,
            family,
            tls,
            cookies,
            request_timeout,
            per_message_deflate,
            max_message_bytes,
        } = self;
        f.debug_struct("NetworkConfig")
            .field("headers", &names(headers))
            .field("polling_headers", &polling_headers.as_deref().map(names))
            .field("websocket_headers", &websocket_headers.as_deref().map(names))
            .field("protocols", protocols)
            .field("proxy", proxy)
            .field("local_address", local_address)
            .field("family", family)
            .field("tls", tls)
            .field("cookies", cookies)
            .field("request_timeout", request_timeout)
            .field("per_message_deflate", per_message_deflate)
            .field("max_message_bytes", max_message_bytes)
            .finish()
    }
}

/// The names of headers.
pub(crate) fn names(headers: &[(String, String)]) -> Vec<&str> {
    headers.iter().map(|(name, _)| &**name).collect()
}

/// What is wrong with the settings of a client. Nothing was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The URL cannot be read.
    #[error("{url} is not a URL: {reason}")]
    Url {
        /// The URL, without user, password and query.
        url: String,
        /// What is wrong with it.
        reason: url::ParseError,
    },
    /// The scheme of the URL is none that a client can connect with.
    #[error("cannot connect with {scheme}: the URL must begin with http://, https://, ws:// or wss://")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The URL names no server.
    #[error("the URL {url:?} names no host: write https://example.com{url}")]
    NoHost {
        /// The URL.
        url: String,
    },
    /// The path of the URL is no name of a namespace: it contains a comma.
    #[error("the namespace {name:?} contains a comma")]
    Namespace {
        /// The path.
        name: String,
    },
    /// The path of the endpoint cannot stand in a request.
    #[error("the path {path:?} cannot stand in a request: escape what is not allowed in a URL")]
    Path {
        /// The path.
        path: String,
    },
    /// A header has a name or a value that HTTP does not allow.
    #[error("the header {name:?} has a name or a value that HTTP does not allow")]
    Header {
        /// Its name.
        name: String,
    },
    /// A header is the connection's own.
    #[error("the header {name:?} is the connection's own and cannot be set")]
    ReservedHeader {
        /// Its name.
        name: String,
    },
    /// A websocket subprotocol is not a token of RFC 6455.
    #[error("the subprotocol {name:?} is not a token: only letters, digits and !#$%&'*+-.^_`|~ are allowed")]
    Subprotocol {
        /// Its name.
        name: String,
    },
    /// The local address, or that of the server or the proxy, is not of the family that was asked for, or of that of the
    /// local address.
    #[error("{address} is not of the family {family}, which the connection must be of")]
    Family {
        /// The address.
        address: IpAddr,
        /// What it should be.
        family: AddressFamily,
    },
    /// The URL of the proxy cannot be read.
    #[error("{url} is not the URL of a proxy: write http://proxy:3128, https://… or socks5://…")]
    Proxy {
        /// The URL, without user and password.
        url: String,
    },
    /// The proxy is of a kind that is not known.
    #[error("a proxy cannot be {scheme}://: use one of http, https and socks5")]
    ProxyScheme {
        /// The scheme of its URL.
        scheme: String,
    },
    /// SOCKS has no room for them.
    #[error("the user name and the password of a SOCKS proxy have at most 255 bytes each")]
    ProxyCredentials,
    /// Something on the way is encrypted, and this build has no TLS.
    #[error("this build has no TLS: switch on the feature `tls`")]
    NoTls,
    /// No certificate can be for such a host.
    #[error("no certificate can be for the host {host:?}")]
    ServerName {
        /// The host.
        host: String,
    },
    /// No authority is trusted, so every server would be refused.
    #[error(
        "there is no root certificate to trust: install those of the system (the package is often called \
         ca-certificates), use the bundled ones, or add your own"
    )]
    NoRoots,
    /// A file of certificates or a key cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The operating system's word on it.
        #[source]
        reason: io::Error,
    },
    /// What should be certificates is not.
    #[error("there is no certificate in {}: PEM or DER is expected", Origin(path.as_deref()))]
    NoCertificate {
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// What should be the key of the client's certificate is not.
    #[error("there is no private key in what was given as the client's: PEM is expected, unencrypted")]
    NoPrivateKey,
    /// The certificates or the key cannot be used.
    #[cfg(feature = "tls")]
    #[error("the certificates or the key cannot be used: {0}")]
    Tls(#[source] futures_rustls::rustls::Error),
}

struct Origin<'a>(Option<&'a Path>);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("what was given"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_one_family() {
        let refused = |local: &str, family, host| {
            let config =
                NetworkConfig { local_address: local.parse().ok(), family, ..NetworkConfig::default() };
            match config.connect(host, 80) {
                Ok(to) => {
                    assert_eq!((to.local_address, to.family), (config.local_address, family));
                    None
                }
                Err(SetupError::Family { address, family }) => Some((address.to_string(), family)),
                Err(error) => panic!("{error}"),
            }
        };
        use AddressFamily::{V4, V6};
        for (local, family, host) in [
            ("", None, "::1"),
            ("", Some(V4), "127.0.0.1"),
            ("", Some(V6), "::1"),
            ("", Some(V6), "example.com"),
            ("127.0.0.2", None, "127.0.0.1"),
            ("127.0.0.2", Some(V4), "example.com"),
            ("::1", Some(V6), "::1"),
        ] {
            assert_eq!(refused(local, family, host), None, "{local} {family:?} {host}");
        }
        for (local, family, host, wrong, should_be) in [
            ("", Some(V4), "::1", "::1", V4),
            ("", Some(V6), "127.0.0.1", "127.0.0.1", V6),
            ("127.0.0.2", None, "::1", "::1", V4),
            ("127.0.0.2", Some(V6), "::1", "127.0.0.2", V6),
            ("::1", Some(V4), "example.com", "::1", V4),
        ] {
            let expected = Some((wrong.to_owned(), should_be));
            assert_eq!(refused(local, family, host), expected, "{local} {family:?} {host}");
        }
    }

    #[test]
    fn subprotocols_are_tokens() {
        let offer = |protocols: &[&str]| {
            let protocols = protocols.iter().map(|&name| name.to_owned()).collect();
            NetworkConfig { protocols, ..NetworkConfig::default() }.protocol_offer()
        };
        assert_eq!(offer(&[]).unwrap(), None);
        assert_eq!(offer(&["a", "b.c"]).unwrap().unwrap(), "a, b.c");
        for name in ["", "a b", "a,b", "a/b"] {
            assert!(matches!(offer(&[name]), Err(SetupError::Subprotocol { .. })), "{name}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let headers = vec![("authorization".to_owned(), "Bearer hidden".to_owned())];
        let printed = format!("{:?}", NetworkConfig { headers, ..NetworkConfig::default() });
        assert!(printed.contains("authorization") && !printed.contains("hidden"), "{printed}");
    }
}
