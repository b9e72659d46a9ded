//! What holds for every session of a client.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Timestamps;
use crate::engine::buffer::BufferLimits;
use crate::engine::packet::BinaryEncoding;
use crate::engine::{Transport, payload};

/// What holds for every session of a client (REFERENCE 5.1).
#[derive(Clone, Debug)]
pub struct Config {
    /// The path of the server's endpoint, as it stands in requests. Default: `/socket.io/`.
    pub path: String,
    /// Parameters to add to every request, before those of the protocol; they are escaped here. Default: none.
    pub query: Vec<(String, String)>,
    /// What holds for the requests of one transport alone. The last entry of a transport counts. Default: nothing.
    pub transport_options: Vec<(Transport, TransportConfig)>,
    /// The transports to use: the first one to connect with, the others to upgrade to, or to fall back on with
    /// [`try_all_transports`](Self::try_all_transports). WebTransport is passed over. Default: polling, websocket.
    pub transports: Vec<Transport>,
    /// Whether a transport that fails before the session is open is followed by the next one. Default: no.
    pub try_all_transports: bool,
    /// Whether to move to a websocket when the server offers one. Default: yes.
    pub upgrade: bool,
    /// Whether to begin with a websocket when the last one worked ([`Memory`](super::Memory)). Default: no.
    pub remember_upgrade: bool,
    /// Time from opening a websocket to committing to it. Default: 10 s, the server's.
    pub upgrade_timeout: Duration,
    /// Which requests tell caches that they are new. Default: those of polling.
    pub timestamps: Timestamps,
    /// The name of the parameter that does. Default: `t`.
    pub timestamp_param: String,
    /// How binary data travels on websockets. Default: as bytes.
    pub binary: BinaryEncoding,
    /// How long one request may take before the driver reports [`Failure::TimedOut`](super::Failure::TimedOut); it is
    /// the driver that knows when a request really starts. A pending GET is one. Default: for ever, since the
    /// heartbeat finds a dead server.
    pub request_timeout: Option<Duration>,
    /// Most bytes of one response or one websocket message; the driver counts, since it holds the bytes before the
    /// session does, and reports [`Failure::TooLarge`](super::Failure::TooLarge). Default: 100 MiB, what the
    /// reference's WebSocket library takes: a server puts all it has into one answer.
    pub max_message_bytes: usize,
    /// Most packets in one response. Default: [`payload::DEFAULT_MAX_PACKETS`].
    pub max_payload_packets: usize,
    /// Bounds of the outgoing queue.
    pub buffer: BufferLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/socket.io/".into(),
            query: Vec::new(),
            transport_options: Vec::new(),
            transports: [Transport::Polling, Transport::Websocket].into(),
            try_all_transports: false,
            upgrade: true,
            remember_upgrade: false,
            upgrade_timeout: Duration::from_secs(10),
            timestamps: Timestamps::Polling,
            timestamp_param: "t".into(),
            binary: BinaryEncoding::Raw,
            request_timeout: None,
            max_message_bytes: 100 << 20,
            max_payload_packets: payload::DEFAULT_MAX_PACKETS,
            buffer: BufferLimits::default(),
        }
    }
}

/// What the requests of one transport have in place of what those of all have (`transportOptions` in REFERENCE 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportConfig {
    /// In place of [`Config::path`].
    pub path: Option<String>,
    /// In place of [`Config::query`].
    pub query: Option<Vec<(String, String)>>,
}

impl Config {
    /// The path and the parameters of one transport.
    pub(super) fn of(&self, transport: Transport) -> (&str, &[(String, String)]) {
        let own = self.transport_options.iter().rev().find(|(other, _)| *other == transport);
        let own = own.map(|(_, own)| own);
        let path = own.and_then(|own| own.path.as_ref()).unwrap_or(&self.path);
        (path, own.and_then(|own| own.query.as_ref()).unwrap_or(&self.query))
    }
}
