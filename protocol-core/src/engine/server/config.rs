//! The settings of a server's sessions, and the terms on which one opens.

use alloc::vec::Vec;
use core::time::Duration;

use crate::Sid;
use crate::engine::buffer::BufferLimits;
use crate::engine::format::Format;
use crate::engine::packet::Message;
use crate::engine::{Transport, payload};

/// What holds for every session of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two heartbeats. Default: 25 s.
    pub ping_interval: Duration,
    /// Time the client has to answer one. Default: 20 s.
    pub ping_timeout: Duration,
    /// Time from opening a websocket to committing to it. Default: 10 s.
    pub upgrade_timeout: Duration,
    /// Most bytes of one POST body or one websocket message. Default: 1,000,000. The driver counts, since it holds
    /// the bytes before the session does; the handshake announces it.
    pub max_payload_bytes: usize,
    /// Most packets in one POST body. Default: [`payload::DEFAULT_MAX_PACKETS`].
    pub max_payload_packets: usize,
    /// Bounds of the outgoing queue.
    pub buffer: BufferLimits,
    /// A message sent right after the handshake, in the same poll response. Default: none.
    pub initial_message: Option<Message>,
    /// Whether sessions gather [`EngineEvent`](super::EngineEvent)s, which must then be taken. Default: no.
    pub observe: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload_bytes: 1_000_000,
            max_payload_packets: payload::DEFAULT_MAX_PACKETS,
            buffer: BufferLimits::default(),
            initial_message: None,
            observe: false,
        }
    }
}

/// The terms on which a session opens: the answer to a handshake request.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its secret id.
    pub sid: Sid,
    /// How packets are written for this client.
    pub format: Format,
    /// The transports the client is invited to upgrade to.
    pub upgrades: Vec<Transport>,
}
