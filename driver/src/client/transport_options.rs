//! What holds for the requests of one transport alone.

use std::fmt;

use socketio_core::engine::client::TransportConfig;

use super::net::names;

/// What the requests of one transport have in place of what those of the client have
/// ([`ClientBuilder::transport_options`](super::ClientBuilder::transport_options)).
#[derive(Clone, Default)]
pub struct TransportOptions {
    pub(super) target: TransportConfig,
    pub(super) headers: Option<Vec<(String, String)>>,
}

impl TransportOptions {
    /// Nothing: everything is the client's.
    pub fn new() -> Self {
        Self::default()
    }

    /// The path, as it stands in the requests: no slash is added to it.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.target.path = Some(path.into());
        self
    }

    /// Adds a parameter, in place of all those of the client.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.target.query.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// Adds a header, in place of all [those](super::ClientBuilder::extra_header) of the client.
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.get_or_insert_default().push((name.into(), value.into()));
        self
    }
}

/// Without the values of headers, which are often secret.
impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportOptions")
            .field("target", &self.target)
            .field("headers", &self.headers.as_deref().map(names))
            .finish()
    }
}
