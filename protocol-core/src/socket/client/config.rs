//! What holds for a client.

use alloc::sync::Arc;
use core::time::Duration;

use super::QueueLimits;
use crate::engine::client as engine;
use crate::socket::{Codec, Limits};

/// What holds for a connection and its sockets (REFERENCE 5.1).
#[derive(Clone, Debug)]
pub struct Config {
    /// Engine.IO: requests, transports, the outgoing queue.
    pub engine: Arc<engine::Config>,
    /// How packets are written: as the server does it.
    pub codec: Codec,
    /// Bounds of one packet.
    pub limits: Limits,
    /// Whether every packet that arrives is told ([`Event::Packet`](super::Event::Packet)). Default: no.
    pub report_packets: bool,
    /// Time a packet may wait for its attachments. Default: 45 s, as at the server.
    pub attachment_timeout: Duration,
    /// Whether, and how, a connection that could not be made or was lost is made again. Default: yes.
    pub reconnection: Option<Reconnection>,
    /// Time to make the connection. Default: 20 s.
    pub timeout: Option<Duration>,
    /// Bounds of what one socket holds back until it can be sent: what is emitted while it is not connected, and, apart
    /// from that, the queue of [`SocketConfig::retries`].
    pub send_queue: QueueLimits,
    /// Bounds of the events that arrive for one socket before it is connected.
    pub receive_queue: QueueLimits,
    /// Most acknowledgements one socket waits for. Default: 65,536.
    pub max_pending_acks: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            codec: Codec::default(),
            limits: Limits::default(),
            report_packets: false,
            attachment_timeout: Duration::from_secs(45),
            reconnection: Some(Reconnection::default()),
            timeout: Some(Duration::from_secs(20)),
            send_queue: QueueLimits::default(),
            receive_queue: QueueLimits::default(),
            max_pending_acks: 65_536,
        }
    }
}

/// How a connection is made again (REFERENCE 5.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnection {
    /// Most attempts in a row. Default, and when zero: no limit.
    pub max_attempts: Option<u32>,
    /// The time before the first attempt, which doubles with each. Default, and when zero: 1 s.
    pub delay: Duration,
    /// The most that time can be. Default, and when zero: 5 s.
    pub max_delay: Duration,
    /// How much of the time is left to chance, in `0.0..=1.0`, so that the clients of a server that was gone do not
    /// return all at once. Default: 0.5.
    pub jitter: f64,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            max_attempts: None,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(5),
            jitter: 0.5,
        }
    }
}

/// What holds for one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketConfig {
    /// How long to wait for acknowledgements where the call does not say. Default: for ever, or until the socket is
    /// disconnected.
    pub ack_timeout: Option<Duration>,
    /// Whether events are sent until the server acknowledges them. Default: no.
    pub retries: Option<Retries>,
}

/// How events are sent until the server acknowledges them: one at a time, in order (REFERENCE 5.5). The server must
/// acknowledge them all, and may see one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often to send an event again, when the first time was in vain.
    pub count: u32,
    /// How long to wait for each acknowledgement where the call does not say.
    pub ack_timeout: Duration,
}
