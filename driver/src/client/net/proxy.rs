//! Proxies: which one is on the way to a server, and how a connection is had through it.

use http::header::{self, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use socketio_core::engine::client::{Failure, ProxyFault};

use super::endpoint::{Endpoint, redacted};
use super::exchange::Switch;
use super::{SetupError, socks};
use crate::runtime::Io;

/// Which proxy a client connects through.
///
/// The default is what the environment says, as with curl: `HTTPS_PROXY` for `https` and `wss`, `HTTP_PROXY` for `http`
/// and `ws`, otherwise `ALL_PROXY`; not for the hosts that `NO_PROXY` lists; each name in lower case too. A server on
/// this machine (`localhost`, `127.0.0.1`, `::1`) is never looked for there.
///
/// A proxy is `http://`, `https://` or `socks5://` (also as `socks5h`; it is the proxy that resolves the server's name in
/// both cases), with `user:password@` where it asks for that. Polling over plain `http` is sent to an HTTP proxy as such;
/// everything else goes through a tunnel (`CONNECT`).
#[derive(Clone, Debug, Default)]
pub struct Proxy(Choice);

#[derive(Clone, Default)]
enum Choice {
    #[default]
    Environment,
    None,
    Url {
        url: String,
        except: String,
    },
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::Url { url, except } => write!(f, "{} except {except:?}", redacted(url)),
        }
    }
}

impl Proxy {
    /// The one that the environment names, when the client is built.
    pub const fn from_environment() -> Self {
        Self(Choice::Environment)
    }

    /// None, whatever the environment says.
    pub const fn none() -> Self {
        Self(Choice::None)
    }

    /// This one: `http://proxy:3128`, `https://user:password@proxy`, `socks5://127.0.0.1:1080`.
    pub fn url(url: impl Into<String>) -> Self {
        Self(Choice::Url { url: url.into(), except: String::new() })
    }

    /// Hosts to connect to without the proxy of [`url`](Self::url), with commas between them, as in `NO_PROXY`: names,
    /// which stand for what is below them too, addresses and networks (`example.com, 10.0.0.0/8`), or `*`.
    pub fn except(mut self, hosts: &str) -> Self {
        if let Choice::Url { except, .. } = &mut self.0 {
            hosts.clone_into(except);
        }
        self
    }

    /// The one on the way to a server.
    pub(super) fn resolve(&self, endpoint: &Endpoint) -> Result<Option<Via>, SetupError> {
        let Ok(target) = endpoint.origin().parse::<Uri>() else { return Ok(None) };
        let found = match &self.0 {
            Choice::None => None,
            Choice::Environment if endpoint.is_loopback() => None,
            Choice::Environment => Matcher::from_env().intercept(&target),
            Choice::Url { url, except } => {
                let matcher = Matcher::builder().all(url.clone());
                if matcher.build().intercept(&target).is_none() {
                    return Err(SetupError::Proxy { url: redacted(url) });
                }
                Matcher::builder().all(url.clone()).no(except.clone()).build().intercept(&target)
            }
        };
        found.as_ref().map(Via::new).transpose()
    }
}

/// A proxy on the way to a server.
#[derive(Debug)]
pub(super) struct Via {
    pub(super) kind: Kind,
    /// An IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What an HTTP proxy wants to see.
    authorization: Option<HeaderValue>,
    credentials: Option<socks::Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Https,
    Socks5,
}

impl Via {
    fn new(found: &Intercept) -> Result<Self, SetupError> {
        let uri = found.uri();
        let scheme = uri.scheme_str().unwrap_or("http");
        let (kind, port) = match scheme {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(SetupError::ProxyScheme { scheme: scheme.to_owned() }),
        };
        let host = uri.host().unwrap_or_default();
        let port = match uri.authority().and_then(|authority| authority.as_str().strip_prefix(host)) {
            Some("") => Some(port),
            _ => uri.port_u16(),
        };
        let port = port.ok_or_else(|| SetupError::Proxy { url: uri.to_string() })?;
        Ok(Self {
            kind,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization: found.basic_auth().cloned(),
            credentials: found.raw_auth().map(socks::Credentials::new).transpose()?,
        })
    }

    /// What is added to a request that this proxy passes on.
    pub(super) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// A connection to `host`, through one to this proxy. What comes out is the server's.
    pub(super) async fn tunnel(
        &self,
        io: Box<dyn Io>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Io>, Failure> {
        match self.kind {
            Kind::Http | Kind::Https => self.connect(io, host, port).await.map_err(Failure::Proxy),
            Kind::Socks5 => socks::connect(io, self.credentials.as_ref(), host, port).await,
        }
    }

    async fn connect(&self, io: Box<dyn Io>, host: &str, port: u16) -> Result<Box<dyn Io>, ProxyFault> {
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = target.parse().map_err(|_| ProxyFault::Connection)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::try_from(target).map_err(|_| ProxyFault::Connection)?);
        if let Some(authorization) = &self.authorization {
            headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let broken = |_: Failure| ProxyFault::Connection;
        let mut switch = Switch::new(io).await.map_err(broken)?;
        let response = switch.ask(request).await.map_err(broken)?;
        match response.status().as_u16() {
            200..=299 => {}
            407 => return Err(ProxyFault::Credentials),
            status => return Err(ProxyFault::Refused(status)),
        }
        let (io, early) = switch.agreed(response).await.map_err(broken)?;
        // In TLS and in HTTP the server speaks second.
        if early.is_empty() { Ok(io) } else { Err(ProxyFault::Connection) }
    }
}
