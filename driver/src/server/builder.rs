//! How a server is made: every option, with its default.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use socketio_core::Bytes;
use socketio_core::Sid;
use socketio_core::engine::buffer::BufferLimits;
use socketio_core::engine::deflate::PerMessageDeflate;
use socketio_core::engine::handshake::Transports;
use socketio_core::engine::http::{Cookie, Cors, DEFAULT_COMPRESSION_THRESHOLD, RouteConfig, TrailingSlash};
use socketio_core::engine::packet::Message;
use socketio_core::engine::server::{self as engine, EngineEvent};
use socketio_core::peer::Config;
use socketio_core::socket::{Codec, Limits, recovery, server as protocol};

use crate::cluster::bus::Bus;
use crate::dispatch::{self, BoxError};
use crate::runtime::Runtime;
use crate::serve::client_files::ClientFiles;
use crate::serve::fallback::Fallback;
use crate::serve::hooks::{ConnectionError, Hooks};
use crate::server::Server;
use crate::server::conn::Conn;
use crate::server::handshake::Handshake;
use crate::server::hub::{Admission, Hub};

/// How a server is made. `R` is the runtime; adapters name their own, so an application never does.
#[derive(Clone, Debug)]
pub struct ServerBuilder<R> {
    engine: engine::Config,
    socket: protocol::Config,
    path: (String, TrailingSlash),
    admission: Admission,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime + Default> Default for ServerBuilder<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Runtime + Default> ServerBuilder<R> {
    /// A server with the defaults of the reference.
    pub fn new() -> Self {
        Self {
            engine: engine::Config::default(),
            socket: protocol::Config::default(),
            path: (PATH.into(), TrailingSlash::Append),
            admission: Admission::default(),
            runtime: PhantomData,
        }
    }

    /// Makes the server. It does nothing until it [listens](Server::listen) or is mounted.
    pub fn build(self) -> Server {
        self.build_on(Arc::new(R::default()))
    }
}

impl Default for Admission {
    /// As in the reference.
    fn default() -> Self {
        Self {
            routes: RouteConfig::new(PATH, TrailingSlash::Append),
            allow_upgrades: true,
            cleanup_empty_child_namespaces: false,
            max_dynamic_namespaces: 10_000,
            recovery: None,
            bus: None,
            hooks: Hooks::default(),
            cookie: None,
            http_compression: Some(DEFAULT_COMPRESSION_THRESHOLD),
            per_message_deflate: None,
            allow_eio3: false,
            client_files: None,
            fallback: Fallback::default(),
        }
    }
}

impl<R> ServerBuilder<R> {
    /// Makes the server on a runtime that is a value: a simulation, or one of your own.
    pub fn build_on(mut self, runtime: Arc<dyn Runtime>) -> Server {
        let mut routes = RouteConfig::new(&self.path.0, self.path.1);
        routes.transports = self.admission.routes.transports;
        routes.cors = self.admission.routes.cors;
        self.admission.routes = routes;
        let config = Config { engine: Arc::new(self.engine), socket: self.socket };
        Server::new(Arc::new(Hub::new(runtime, Arc::new(config), self.admission)))
    }

    /// The path of the server. Default: `/socket.io`; a trailing slash [is added](Self::add_trailing_slash)
    /// (REFERENCE 1.4).
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path.0 = path.into();
        self
    }

    /// Whether the path ends in a slash: `/socket.io/`. Without, requests for `/socket.io` are served, and for all that
    /// begins so. Default: yes.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.path.1 = if add { TrailingSlash::Append } else { TrailingSlash::Omit };
        self
    }

    /// The transports a client may use, and is invited to upgrade to. Default: polling and websocket.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.admission.routes.transports = transports;
        self
    }

    /// Whether clients are invited to leave polling for a websocket. Default: yes.
    #[must_use]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.admission.allow_upgrades = allow;
        self
    }

    /// Whether clients of socket.io 1 and 2 (Engine.IO revision 3) are let in. Default: no.
    #[must_use]
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.admission.allow_eio3 = allow;
        self
    }

    /// Whether a namespace that was made on demand goes with its last socket. Default: no.
    #[must_use]
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.admission.cleanup_empty_child_namespaces = cleanup;
        self
    }

    /// Joins this server to others: what is sent to a namespace, or asked of it, reaches the sockets of all servers on
    /// the same bus. Default: none.
    ///
    /// A client that comes back is [recovered](Self::connection_state_recovery) by the server that it left; another
    /// one takes it for somebody new.
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.admission.bus = Some(Arc::new(bus));
        self
    }

    /// Lets clients that come back in time go on where they were: with their id, rooms and data, and with the events
    /// they missed (REFERENCE 4.8). Every event then carries its offset as one more argument, and the events of a
    /// namespace are handed out one after the other. Default: off.
    #[must_use]
    pub fn connection_state_recovery(mut self, config: recovery::Config) -> Self {
        self.admission.recovery = Some(config);
        self
    }

    /// Asks `decide` before a session is opened, by GET or by websocket; the message of a refusal goes to the client
    /// with code 4, `Forbidden` if it is empty. The credentials are not known yet: they come with the CONNECT packet,
    /// and are a matter for [`Namespace::use_middleware`](crate::Namespace::use_middleware). Not asked when a
    /// session moves to a websocket.
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, decide: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.admission.hooks.allow_request(decide);
        self
    }

    /// Makes the ids of sessions. Whoever guesses one owns the session: the default takes 12 bytes from the operating
    /// system's generator. An error refuses the client with code 3.
    #[must_use]
    pub fn generate_id<F, Fut>(mut self, generate: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Sid, BoxError>> + Send + 'static,
    {
        self.admission.hooks.generate_id(generate);
        self
    }

    /// Lets `edit` change the headers of the first response of each session: that to a polling handshake, or the 101.
    #[must_use]
    pub fn initial_headers(mut self, edit: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) -> Self {
        self.admission.hooks.initial_headers(edit);
        self
    }

    /// Lets `edit` change the headers of every successful polling response and every 101.
    #[must_use]
    pub fn headers(mut self, edit: impl Fn(&mut HeaderMap, &Parts) + Send + Sync + 'static) -> Self {
        self.admission.hooks.headers(edit);
        self
    }

    /// Shows `see` every request that is refused, with code, message and context (REFERENCE 1.6).
    #[must_use]
    pub fn on_connection_error(mut self, see: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static) -> Self {
        self.admission.hooks.connection_error(see);
        self
    }

    /// Shows `see` what every session does: the events of `io.engine`, and those of `socket.conn` (REFERENCE 1.17), in order
    /// and before what follows from them. A packet that a client sends is seen before its handlers run, and the close before
    /// `disconnect`.
    ///
    /// It is called by the session's own task, which it keeps from its work: it should be short. Costs each session nothing
    /// unless it is set; if it is, a packet is taken apart again for it.
    ///
    /// ```
    /// # use socketio_driver::{EngineEvent, ServerBuilder};
    /// # fn f<R: socketio_driver::runtime::Runtime + Default>(builder: ServerBuilder<R>) -> ServerBuilder<R> {
    /// builder.on_engine_event(|conn, event| match event {
    ///     EngineEvent::Connection => println!("{:?} came", conn.remote_address()),
    ///     EngineEvent::Flush(packets) => println!("{} packets left", packets.len()),
    ///     _ => {}
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn on_engine_event(mut self, see: impl Fn(&Conn, &EngineEvent) + Send + Sync + 'static) -> Self {
        self.engine.observe = true;
        self.admission.hooks.engine_event(see);
        self
    }

    /// Sets a cookie with the session id in the answer to a polling handshake, for load balancers that keep a client
    /// on one node by it. Default: none.
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.admission.cookie = Some(cookie);
        self
    }

    /// From how many bytes on poll responses are compressed for clients that take gzip or deflate; `None` for never.
    /// Default: 1024.
    #[must_use]
    pub fn http_compression(mut self, threshold: Option<usize>) -> Self {
        self.admission.http_compression = threshold;
        self
    }

    /// Compresses websocket messages for clients that offer permessage-deflate (RFC 7692), as browsers do, and takes theirs.
    /// Of a message the size after decompression counts as [its size](Self::max_http_buffer_size). Messages that are sent
    /// with `compress(false)` leave as they are. Default: off, as in the reference (REFERENCE 1.9).
    ///
    /// Compression costs far more CPU than sending does. Without windows that are kept between messages, which is the
    /// default, it costs memory by the thread, not by the connection.
    #[must_use]
    pub fn per_message_deflate(mut self, deflate: impl Into<Option<PerMessageDeflate>>) -> Self {
        self.admission.per_message_deflate = deflate.into();
        self
    }

    /// A message that every client gets right behind the handshake, in the same response. Default: none.
    #[must_use]
    pub fn initial_packet(mut self, message: Message) -> Self {
        self.engine.initial_message = Some(message);
        self
    }

    /// Which origins browsers let read our answers (REFERENCE 1.7). Default: only the server's own.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.admission.routes.cors = Some(cors);
        self
    }

    /// Decides for each request which origins may read its answer: the option as a function of the request, or an origin
    /// that takes a look into a database. Takes the place of [`cors`](Self::cors); `None` is no CORS for this request.
    ///
    /// ```
    /// # use socketio_driver::{Cors, Handshake, Origin, ServerBuilder};
    /// # async fn is_customer(_: &str) -> bool { true }
    /// # fn f<R: socketio_driver::runtime::Runtime + Default>(builder: ServerBuilder<R>) -> ServerBuilder<R> {
    /// builder.cors_for(|request: Handshake| async move {
    ///     let origin = request.header("origin")?;
    ///     let origin = if is_customer(origin).await { Origin::Mirror } else { Origin::List(Vec::new()) };
    ///     Some(Cors::new(origin).ok()?.credentials(true))
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn cors_for<F, Fut>(mut self, decide: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Cors>> + Send + 'static,
    {
        self.admission.hooks.cors(decide);
        self
    }

    /// Answers requests to paths other than the server's: a page, a health check. Default: 404 for all.
    ///
    /// It sees the head of the request alone and must not block. Whoever needs more mounts
    /// [`Server::service`] into an HTTP framework instead.
    ///
    /// ```
    /// # use socketio_driver::{Bytes, ServerBuilder, http};
    /// # fn f<R: socketio_driver::runtime::Runtime + Default>(builder: ServerBuilder<R>) -> ServerBuilder<R> {
    /// builder.fallback(|request| {
    ///     let mut response = http::Response::new(Bytes::from_static(b"well\n"));
    ///     if request.uri().path() != "/health" {
    ///         *response.status_mut() = http::StatusCode::NOT_FOUND;
    ///     }
    ///     response
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn fallback(
        mut self,
        answer: impl Fn(&http::Request<()>) -> http::Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.admission.fallback = Fallback::new(answer);
        self
    }

    /// Serves the JavaScript client from a directory: the folder `client-dist` of the npm package `socket.io`, or `dist`
    /// of `socket.io-client`. Those of its eight bundles that are there are read now and answer as
    /// `/socket.io/socket.io.js` and so on, before the engine, with their version as `ETag`, compressed with gzip or
    /// deflate where the client takes it (REFERENCE 4.9). Default: none, the engine refuses these requests.
    ///
    /// # Errors
    /// `NotFound` when there is no bundle in the directory, `InvalidData` when no script says its version, and what the
    /// system says when one cannot be read.
    pub fn serve_client(mut self, dir: impl AsRef<Path>) -> io::Result<Self> {
        self.admission.client_files = Some(ClientFiles::read(dir.as_ref())?);
        Ok(self)
    }

    /// Time between two heartbeats. Default: 25 s.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// Time a client has to answer a heartbeat. Default: 20 s.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// Time from opening a websocket to committing to it. Default: 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Time a client has to join its first namespace. Default: 45 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.socket.connect_timeout = timeout;
        self
    }

    /// Time a client may stay that has left its last namespace. Default: as long as it answers heartbeats, as in the
    /// reference; official clients go by themselves.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.socket.idle_timeout = timeout;
        self
    }

    /// Most namespaces that clients may have made by asking for them, those that `of` makes in their families included;
    /// who asks for one more is refused as if there were no such namespace. Default: 10,000, so that a family that takes
    /// every name is no way to fill the memory. Together with
    /// [`cleanup_empty_child_namespaces`](Self::cleanup_empty_child_namespaces) only those count that somebody is in.
    #[must_use]
    pub fn max_dynamic_namespaces(mut self, count: usize) -> Self {
        self.admission.max_dynamic_namespaces = count;
        self
    }

    /// Most bytes of one POST body or one websocket message. Default: 1,000,000.
    #[must_use]
    pub fn max_http_buffer_size(mut self, bytes: usize) -> Self {
        self.engine.max_payload_bytes = bytes;
        self
    }

    /// How packets are written; every client must use the same. Default: text.
    ///
    /// One of your own, a [`Parser`](crate::Parser), is given as `Codec::custom(&MyParser)`. It must not block. If it
    /// panics on what a client sent, that client is closed like one that sent nonsense.
    #[must_use]
    pub fn parser(mut self, codec: Codec) -> Self {
        self.socket.codec = codec.guarded(dispatch::ended);
        self
    }

    /// Bounds of each client's outgoing queue. Default: 16,384 messages and 16 MiB.
    #[must_use]
    pub fn send_buffer(mut self, limits: BufferLimits) -> Self {
        self.engine.buffer = limits;
        self
    }

    /// Time a packet may wait for its attachments. Default: 45 s.
    #[must_use]
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.socket.attachment_timeout = timeout;
        self
    }

    /// Most namespaces one client can be in at once; one more closes its connection. Default: 1,000.
    #[must_use]
    pub fn max_namespaces(mut self, count: usize) -> Self {
        self.socket.max_namespaces = count;
        self
    }

    /// Most acknowledgements waited for from one socket at once. Default: 65,536.
    #[must_use]
    pub fn max_pending_acks(mut self, count: usize) -> Self {
        self.socket.max_pending_acks = count;
        self
    }

    /// Bounds of one packet: attachments, nesting.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.socket.limits = limits;
        self
    }
}

/// Where clients look for a server unless they are told.
const PATH: &str = "/socket.io";
