//! From an endpoint to a connection that speaks HTTP to it: through a proxy, encrypted, or both.

use std::sync::Arc;

use http::Request;
use http::header::PROXY_AUTHORIZATION;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use socketio_core::engine::client::{Failure, ProxyFault};

use super::endpoint::Endpoint;
use super::proxy::{Kind, Via};
use super::tls::Connector;
use super::{NetworkConfig, SetupError, fault};
use crate::runtime::{Connect, Io, Runtime};

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Dialer {
    runtime: Arc<dyn Runtime>,
    endpoint: Endpoint,
    proxy: Option<Via>,
    /// To the proxy, or to the server.
    first_hop: Connect,
    /// If anything on the way is encrypted.
    tls: Option<Connector>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Requests,
    Websocket,
}

impl Dialer {
    pub(super) fn new(
        runtime: Arc<dyn Runtime>,
        endpoint: Endpoint,
        config: &NetworkConfig,
    ) -> Result<Self, SetupError> {
        let proxy = config.proxy.resolve(&endpoint)?;
        let first_hop = match &proxy {
            None => config.connect(endpoint.host(), endpoint.port())?,
            Some(proxy) => config.connect(&proxy.host, proxy.port)?,
        };
        let secure_proxy = proxy.as_ref().filter(|proxy| proxy.kind == Kind::Https);
        for host in secure_proxy.map(|proxy| &*proxy.host).into_iter().chain(endpoint.secure_host()) {
            Connector::check_host(host)?;
        }
        let encrypted = endpoint.is_secure() || secure_proxy.is_some();
        let tls = encrypted.then(|| Connector::new(&config.tls, Arc::clone(&runtime))).transpose()?;
        Ok(Self { runtime, endpoint, proxy, first_hop, tls })
    }

    /// A new connection.
    pub(super) async fn open(&self, purpose: Purpose) -> Result<Box<dyn Io>, Failure> {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let io = self.runtime.connect(self.first_hop.clone()).await;
        let io = io.map_err(|error| fault::unreachable(&error, &self.first_hop));
        let io = match &self.proxy {
            None => io?,
            Some(proxy) => {
                let io = self.reached(proxy, io).await?;
                if self.forwarder(purpose).is_some() { io } else { proxy.tunnel(io, host, port).await? }
            }
        };
        match (&self.tls, self.endpoint.is_secure()) {
            (Some(tls), true) => tls.connect(host, io).await.map_err(Failure::Tls),
            _ => Ok(io),
        }
    }

    /// Gives a request the form in which the other end of the connection wants it.
    pub(super) fn address<B>(&self, request: &mut Request<B>, purpose: Purpose) {
        let Some(proxy) = self.forwarder(purpose) else { return };
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = self.endpoint.authority().parse::<Authority>().ok();
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        if let Some(authorization) = proxy.authorization() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
    }

    /// What a response means that came from the other end of the connection.
    pub(super) fn judge(&self, status: u16, purpose: Purpose) -> Result<(), Failure> {
        match self.forwarder(purpose) {
            // No server asks for this, only the proxy itself.
            Some(_) if status == 407 => Err(Failure::Proxy(ProxyFault::Credentials)),
            _ => Ok(()),
        }
    }

    /// The proxy that passes on requests as they are.
    fn forwarder(&self, purpose: Purpose) -> Option<&Via> {
        let forwards = purpose == Purpose::Requests && !self.endpoint.is_secure();
        self.proxy.as_ref().filter(|proxy| forwards && proxy.kind != Kind::Socks5)
    }

    /// A connection to the proxy, encrypted if it wants that.
    async fn reached(&self, proxy: &Via, io: Result<Box<dyn Io>, Failure>) -> Result<Box<dyn Io>, Failure> {
        let io = io.map_err(|failure| match failure {
            Failure::LocalAddress => failure,
            Failure::Unresolved => Failure::Proxy(ProxyFault::Unresolved),
            _ => Failure::Proxy(ProxyFault::Unreachable),
        })?;
        match (&self.tls, proxy.kind) {
            (Some(tls), Kind::Https) => {
                tls.connect(&proxy.host, io).await.map_err(|fault| Failure::Proxy(ProxyFault::Tls(fault)))
            }
            _ => Ok(io),
        }
    }
}
