//! What a user may set about a client's connections, and what can be wrong with it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

/// How a client connects.
#[derive(Clone, Debug)]
pub(crate) struct NetworkConfig {
    /// Headers to add to every request, polling and websocket alike, in place of what would be sent under these names.
    pub(crate) headers: Vec<(String, String)>,
    /// Websocket subprotocols to offer. The server must choose one of them.
    pub(crate) protocols: Vec<String>,
    /// How long one request of polling may take, connecting included.
    pub(crate) request_timeout: Option<Duration>,
    /// Most bytes of one response, after decompression, or of one websocket message.
    pub(crate) max_message_bytes: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            protocols: Vec::new(),
            request_timeout: None,
            max_message_bytes: 100 << 20,
        }
    }
}

impl NetworkConfig {
    /// The headers, checked.
    pub(super) fn header_map(&self) -> Result<HeaderMap, SetupError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let invalid = || SetupError::Header { name: name.clone() };
            let key = HeaderName::try_from(name).map_err(|_| invalid())?;
            if OURS.contains(&key) {
                return Err(SetupError::ReservedHeader { name: name.clone() });
            }
            map.append(key, HeaderValue::try_from(value).map_err(|_| invalid())?);
        }
        Ok(map)
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
}

/// What frames a message or switches protocols cannot be the user's.
const OURS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
