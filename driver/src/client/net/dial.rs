//! From an endpoint to a connection that speaks HTTP to it: through a proxy, encrypted, or both.

use std::io;
use std::sync::Arc;

use http::Request;
use http::header::PROXY_AUTHORIZATION;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use socketio_core::engine::client::{Failure, ProxyFault};

use super::endpoint::Endpoint;
use super::proxy::{Kind, Proxy, Via};
use super::tls::{Connector, Tls};
use super::{SetupError, fault};
use crate::runtime::{Io, Runtime};

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Dialer {
    runtime: Arc<dyn Runtime>,
    endpoint: Endpoint,
    proxy: Option<Via>,
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
        proxy: &Proxy,
        tls: &Tls,
    ) -> Result<Self, SetupError> {
        let proxy = proxy.resolve(&endpoint)?;
        let secure_proxy = proxy.as_ref().filter(|proxy| proxy.kind == Kind::Https);
        for host in secure_proxy.map(|proxy| &*proxy.host).into_iter().chain(endpoint.secure_host()) {
            Connector::check_host(host)?;
        }
        let encrypted = endpoint.is_secure() || secure_proxy.is_some();
        let tls = encrypted.then(|| Connector::new(tls, Arc::clone(&runtime))).transpose()?;
        Ok(Self { runtime, endpoint, proxy, tls })
    }

    /// A new connection.
    pub(super) async fn open(&self, purpose: Purpose) -> Result<Box<dyn Io>, Failure> {
        let (host, port) = (self.endpoint.host(), self.endpoint.port());
        let io = match &self.proxy {
            None => self.connect(host, port).await.map_err(|error| fault::unreachable(&error))?,
            Some(proxy) => {
                let io = self.reach(proxy).await.map_err(Failure::Proxy)?;
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

    /// A connection to the proxy.
    async fn reach(&self, proxy: &Via) -> Result<Box<dyn Io>, ProxyFault> {
        let io = self.connect(&proxy.host, proxy.port).await.map_err(|error| {
            match fault::unreachable(&error) {
                Failure::Unresolved => ProxyFault::Unresolved,
                _ => ProxyFault::Unreachable,
            }
        })?;
        match (&self.tls, proxy.kind) {
            (Some(tls), Kind::Https) => tls.connect(&proxy.host, io).await.map_err(ProxyFault::Tls),
            _ => Ok(io),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>> {
        self.runtime.connect(host.to_owned(), port).await
    }
}
