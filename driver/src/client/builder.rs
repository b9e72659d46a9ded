//! How a client is made (REFERENCE 5.1).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use socketio_core::engine::Transport;
use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::client as engine;
use socketio_core::engine::deflate::PerMessageDeflate;
use socketio_core::engine::packet::BinaryEncoding;
use socketio_core::socket::client::{Config, QueueLimits, Reconnection, Retries, SocketConfig};
use socketio_core::socket::{Codec, Limits, Nsp};

use super::Client;
use super::auth::Auth;
use super::cell::Cell;
#[cfg(feature = "tls")]
use super::net::Tls;
use super::net::{Endpoint, Network, NetworkConfig, Proxy, SetupError};
use super::socket::Socket;
use super::transport_options::TransportOptions;
use crate::dispatch::BoxError;
use crate::runtime::{AddressFamily, Runtime};

/// How a client is made. `R` is the runtime; adapters name their own, so an application never does.
///
/// Clients share nothing: what is `forceNew` in JavaScript is another builder, and what is multiplexing is
/// [`Client::of`].
#[derive(Clone, Debug)]
pub struct ClientBuilder<R> {
    url: String,
    path: String,
    trailing_slash: bool,
    query: Vec<(String, String)>,
    engine: engine::Config,
    manager: Config,
    reconnects: bool,
    reconnection: Reconnection,
    socket: SocketConfig,
    auth: Auth,
    network: NetworkConfig,
    close_timeout: Duration,
    runtime: PhantomData<fn() -> R>,
}

/// What a cell and its sockets want to know of it all.
pub(crate) struct Options {
    pub(crate) config: Arc<Config>,
    pub(crate) socket: SocketConfig,
    pub(crate) auth: Auth,
    /// From the owner's end to that of the connection.
    pub(crate) close_timeout: Duration,
}

impl<R: Runtime + Default> ClientBuilder<R> {
    /// Makes the client. It does nothing until somebody [connects](Socket::connect) it, so that handlers can be set before
    /// anything arrives.
    ///
    /// # Errors
    /// Whatever is wrong with the URL or an option.
    pub fn build(self) -> Result<Client, SetupError> {
        self.build_on(Arc::new(R::default()))
    }

    /// Makes the client, and connects.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn connect(self) -> Result<Client, SetupError> {
        let client = self.build()?;
        client.connect();
        Ok(client)
    }
}

impl<R> ClientBuilder<R> {
    /// A client of this server, with the defaults of the reference: `https://example.com/admin?token=x` is the namespace
    /// `/admin` on that server, which gets the query with every request. The scheme is one of `http`, `https`, `ws` and
    /// `wss`, which does not decide over the [transport](Self::transports); without one it is `https`.
    ///
    /// Nothing of it is looked at before [`build`](Self::build).
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            path: "/socket.io".into(),
            trailing_slash: true,
            query: Vec::new(),
            engine: engine::Config::default(),
            manager: Config::default(),
            reconnects: true,
            reconnection: Reconnection::default(),
            socket: SocketConfig::default(),
            auth: Auth::default(),
            network: NetworkConfig::default(),
            close_timeout: Duration::from_secs(10),
            runtime: PhantomData,
        }
    }

    /// Makes the client on a runtime that is a value: a simulation, or one of your own.
    ///
    /// # Errors
    /// Whatever is wrong with the URL or an option.
    pub fn build_on(self, runtime: Arc<dyn Runtime>) -> Result<Client, SetupError> {
        let endpoint = Endpoint::parse(&self.url)?;
        let nsp = Nsp::new(endpoint.namespace())
            .map_err(|_| SetupError::Namespace { name: endpoint.namespace().to_owned() })?;
        let mut path = self.path;
        if self.trailing_slash && !path.ends_with('/') {
            path.push('/');
        }
        let own = self.engine.transport_options.iter().filter_map(|(_, own)| own.path.as_ref());
        for path in own.chain([&path]) {
            Network::check_target(path)?;
        }
        let query = if self.query.is_empty() { endpoint.query().to_vec() } else { self.query };
        let engine = Arc::new(engine::Config { path, query, ..self.engine });
        let mut network = self.network;
        network.max_message_bytes = engine.max_message_bytes;
        network.request_timeout = engine.request_timeout;
        let network = Network::new(runtime.clone(), endpoint, network)?;
        let reconnection = self.reconnects.then_some(self.reconnection);
        let config = Arc::new(Config { engine, reconnection, ..self.manager });
        let options =
            Options { config, socket: self.socket, auth: self.auth, close_timeout: self.close_timeout };
        let cell = Arc::new(Cell::new(runtime, options, network));
        let socket = Socket::new(&cell, &nsp);
        Ok(Client { cell, socket })
    }

    /// The path of the server. Default: `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Whether the path gets a slash at its end. Default: yes.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.trailing_slash = add;
        self
    }

    /// Adds a parameter to every request, in place of the query in the URL.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// What to send with each CONNECT, as the server's `handshake.auth`: an object. Default: nothing.
    #[must_use]
    pub fn auth<T: Serialize + Send + Sync + 'static>(mut self, auth: T) -> Self {
        self.auth = Auth::value(auth);
        self
    }

    /// Who is asked for what to send with CONNECT, each time, also after the connection was lost: for a token that
    /// expires. An error, or a panic, is a [`ConnectError::Credentials`](super::ConnectError::Credentials), after which
    /// the socket does not connect by itself.
    ///
    /// ```
    /// # use socketio_driver::ClientBuilder;
    /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn f<R>(builder: ClientBuilder<R>) -> ClientBuilder<R> {
    /// #[derive(serde::Serialize)]
    /// struct Auth {
    ///     token: String,
    /// }
    /// builder.auth_with(|| async { Ok::<_, std::io::Error>(Auth { token: fetch_token().await? }) })
    /// # }
    /// ```
    #[must_use]
    pub fn auth_with<F, Fut, T, E>(mut self, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<BoxError>,
    {
        self.auth = Auth::ask(ask);
        self
    }

    /// The transports to use: the first one to connect with, the others to upgrade to, or to fall back on with
    /// [`try_all_transports`](Self::try_all_transports). Default: polling, websocket.
    #[must_use]
    pub fn transports(mut self, transports: impl Into<Vec<Transport>>) -> Self {
        self.engine.transports = transports.into();
        self
    }

    /// What the requests of one transport have in place of what those of the client have: another path behind a proxy, a
    /// header that only websockets need. Called twice for the same transport, the second time counts. WebTransport is
    /// passed over, as it is in [`transports`](Self::transports).
    ///
    /// ```
    /// use socketio_driver::{ClientBuilder, Transport, client::TransportOptions};
    /// # fn f<R>(builder: ClientBuilder<R>) -> ClientBuilder<R> {
    /// builder.transport_options(Transport::Websocket, TransportOptions::new().path("/sockets/"))
    /// # }
    /// ```
    #[must_use]
    pub fn transport_options(mut self, transport: Transport, options: TransportOptions) -> Self {
        match transport {
            Transport::Polling => self.network.polling_headers = options.headers,
            Transport::Websocket => self.network.websocket_headers = options.headers,
            Transport::Webtransport => {}
        }
        self.engine.transport_options.push((transport, options.target));
        self
    }

    /// Whether a transport that fails before the connection is there is followed by the next one. Default: no.
    #[must_use]
    pub fn try_all_transports(mut self, try_all: bool) -> Self {
        self.engine.try_all_transports = try_all;
        self
    }

    /// Whether to move from polling to a websocket when the server offers one. Default: yes.
    #[must_use]
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.engine.upgrade = upgrade;
        self
    }

    /// Whether to begin with a websocket when the last one of this client worked. Default: no.
    #[must_use]
    pub fn remember_upgrade(mut self, remember: bool) -> Self {
        self.engine.remember_upgrade = remember;
        self
    }

    /// Time from opening a websocket beside polling to committing to it. Default: 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Whether a connection that could not be made, or was lost, is made again. Default: yes.
    #[must_use]
    pub fn reconnection(mut self, reconnect: bool) -> Self {
        self.reconnects = reconnect;
        self
    }

    /// Most attempts in a row to make the connection again. Default, and when zero: no limit.
    #[must_use]
    pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
        self.reconnection.max_attempts = Some(attempts);
        self
    }

    /// The time before the first of these attempts, which doubles with each. Default, and when zero: 1 s.
    #[must_use]
    pub fn reconnection_delay(mut self, delay: Duration) -> Self {
        self.reconnection.delay = delay;
        self
    }

    /// The most that time can be. Default, and when zero: 5 s.
    #[must_use]
    pub fn reconnection_delay_max(mut self, delay: Duration) -> Self {
        self.reconnection.max_delay = delay;
        self
    }

    /// How much of that time is left to chance, in `0.0..=1.0`, so that the clients of a server that was gone do not
    /// return all at once. Default: 0.5.
    #[must_use]
    pub fn randomization_factor(mut self, factor: f64) -> Self {
        self.reconnection.jitter = factor;
        self
    }

    /// Time to make the connection; `None` for no limit. Default: 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.manager.timeout = timeout.into();
        self
    }

    /// How long a client that was dropped, or [shut down](Client::shutdown), may take to send what is queued and to hear that
    /// the server has closed the connection as well; then the connection is dropped. Default: 10 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long to wait for acknowledgements where the call does not say. Default: for ever, or until the socket is
    /// disconnected.
    #[must_use]
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.socket.ack_timeout = Some(timeout);
        self
    }

    /// Sends events until the server acknowledges them, one at a time and in order: `count` times more when the first
    /// time was in vain, and each time for at most `ack_timeout`. The server must acknowledge them all, and may see one
    /// twice. Volatile events are not sent again. Default, and with a `count` of zero: no.
    #[must_use]
    pub fn retries(mut self, count: u32, ack_timeout: Duration) -> Self {
        self.socket.retries = (count > 0).then_some(Retries { count, ack_timeout });
        self
    }

    /// How packets are written: as the server does it. Default: text.
    #[must_use]
    pub fn parser(mut self, codec: Codec) -> Self {
        self.manager.codec = codec;
        self
    }

    /// Whether every packet that arrives is a [`ManagerEvent::Packet`](super::ManagerEvent::Packet): for those who want to
    /// see what goes on. Default: no, since each of them is then cloned for it.
    #[must_use]
    pub fn report_packets(mut self, report: bool) -> Self {
        self.manager.report_packets = report;
        self
    }

    /// Whether binary data travels as base64 even on websockets. Default: no.
    #[must_use]
    pub fn force_base64(mut self, force: bool) -> Self {
        self.engine.binary = if force { BinaryEncoding::Base64 } else { BinaryEncoding::Raw };
        self
    }

    /// Which requests tell caches that they are new. Default: those of polling.
    #[must_use]
    pub fn timestamp_requests(mut self, timestamps: super::Timestamps) -> Self {
        self.engine.timestamps = timestamps;
        self
    }

    /// The name of the parameter that does. Default: `t`.
    #[must_use]
    pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
        self.engine.timestamp_param = name.into();
        self
    }

    /// How long one request of polling may take, a pending one included. Default: for ever, since a server that is dead
    /// is found by its missing heartbeats.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.engine.request_timeout = Some(timeout);
        self
    }

    /// Adds a header to every request, polling and websocket alike, in place of what would be sent under that name.
    #[must_use]
    pub fn extra_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.network.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a websocket subprotocol, of which the server must choose one.
    #[must_use]
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.network.protocols.push(name.into());
        self
    }

    /// Which proxy to go through. Default: what the environment says ([`Proxy`]).
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.network.proxy = proxy;
        self
    }

    /// Which address of this machine to connect from, on one that has several; the server, or the proxy, must have one of
    /// the same [family](Self::family). One that this machine has not is a
    /// [`Failure::LocalAddress`](super::Failure::LocalAddress) of every attempt: it may be given one later. Default: the
    /// operating system chooses.
    #[must_use]
    pub fn local_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.network.local_address = address.into();
        self
    }

    /// The only family of addresses to connect to, where the name of the server, or of the proxy, has both. A name that has
    /// none of that family is [not resolved](super::Failure::Unresolved). Default: they are tried in the order in which
    /// the resolver gives them.
    #[must_use]
    pub fn family(mut self, family: impl Into<Option<AddressFamily>>) -> Self {
        self.network.family = family.into();
        self
    }

    /// Whose certificates to trust, and whose to show. Default: to trust whom this machine trusts, and to show none.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.network.tls = tls;
        self
    }

    /// Encrypts as a configuration of rustls says, in place of [`tls`](Self::tls): which cipher suites and versions to
    /// offer, and a verifier that looks at what it likes (`ciphers`, `checkServerIdentity`). Only ALPN stays the
    /// connection's own. What a verifier refuses with `InvalidCertificate` is told as a
    /// [`TlsFault`](super::TlsFault).
    ///
    /// ```
    /// use socketio_driver::{ClientBuilder, rustls};
    /// # fn f<R>(builder: ClientBuilder<R>, roots: rustls::RootCertStore) -> Result<ClientBuilder<R>, rustls::Error> {
    /// let mut provider = rustls::crypto::ring::default_provider();
    /// provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    /// let config = rustls::ClientConfig::builder_with_provider(provider.into())
    ///     .with_protocol_versions(&[&rustls::version::TLS13])?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// Ok(builder.rustls(config))
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn rustls(mut self, config: impl Into<Arc<super::net::rustls::ClientConfig>>) -> Self {
        self.network.tls = Tls::of(config.into());
        self
    }

    /// Whether to keep the cookies that the server sets, and send them with every request: what keeps a client at one
    /// server behind a load balancer that goes by them. At most 50, and 12 KiB of them, in memory. Default: no.
    #[must_use]
    pub fn with_credentials(mut self, keep: bool) -> Self {
        self.network.cookies = keep;
        self
    }

    /// Offers that websocket messages be compressed (permessage-deflate, RFC 7692), both ways. Events that are sent with
    /// [`compress(false)`](super::Socket::compress) leave as they are. Default: no, unlike the reference: compression costs
    /// CPU on both sides, and few servers take the offer.
    #[must_use]
    pub fn per_message_deflate(mut self, deflate: impl Into<Option<PerMessageDeflate>>) -> Self {
        self.network.per_message_deflate = deflate.into();
        self
    }

    /// Most bytes of one response, after decompression, or of one websocket message. Default: 100 MiB.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.engine.max_message_bytes = bytes;
        self
    }

    /// Bounds of one packet: attachments, nesting.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.manager.limits = limits;
        self
    }

    /// Bounds of what the connection has been given and not written yet. Default: 16,384 messages and 16 MiB.
    #[must_use]
    pub fn send_buffer(mut self, limits: BufferLimits) -> Self {
        self.engine.buffer = limits;
        self
    }

    /// Bounds of what one socket holds back until it can be sent: what is emitted while it is not connected, and, apart
    /// from that, what waits for its turn with [`retries`](Self::retries). Past them, an event is refused with
    /// [`EmitError::Full`](crate::EmitError::Full). Default: 16,384 events and 16 MiB.
    #[must_use]
    pub fn send_queue(mut self, limits: QueueLimits) -> Self {
        self.manager.send_queue = limits;
        self
    }

    /// Bounds of the events that arrive for one socket before it is connected; a server that sends more breaks the
    /// protocol. Default: 16,384 events and 16 MiB.
    #[must_use]
    pub fn receive_queue(mut self, limits: QueueLimits) -> Self {
        self.manager.receive_queue = limits;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("config", &self.config).finish_non_exhaustive()
    }
}
