//! The runtime-neutral half of an async Socket.IO server and client.

#![forbid(unsafe_code)]

mod ack;
mod alarm;
pub mod client;
mod cluster;
mod dispatch;
mod encoding;
mod reply;
pub mod runtime;
mod serve;
mod server;
mod signal;
pub mod transcript;
mod ws;

// The simulation is written against what this crate makes public, and tests of its inside need it just as much.
#[cfg(test)]
extern crate self as socketio_driver;
#[cfg(test)]
#[allow(dead_code, unreachable_pub, reason = "shared with the behaviour suites")]
#[path = "../../tests/src/io.rs"]
mod io;
#[cfg(test)]
#[allow(dead_code, unreachable_pub, reason = "shared with the behaviour suites")]
#[path = "../../tests/src/sim/mod.rs"]
mod sim;
#[cfg(test)]
mod still;

pub use ack::{AckError, AckFuture, AckSender, BroadcastAckFuture, EmitError, PartialAcks};
pub use client::{Client, ClientBuilder, Proxy, SetupError};
#[cfg(feature = "tls")]
pub use client::{Roots, Tls, rustls};
pub use cluster::bus::{Bus, LocalBus, Subscriber};
pub use cluster::remote::{Incomplete, IncompleteReason, RemoteSocket, ServerSideAckFuture};
pub use dispatch::{BoxError, ListenerId, SocketError};
pub use reply::{Ack, Reply};
pub use serve::hooks::ConnectionError;
pub use serve::service::{PeerAddress, SecureConnection, Service};
pub use server::conn::{Conn, Description, Disconnect};
pub use server::handshake::Handshake;
pub use server::namespace::{ConnectError, Namespace};
pub use server::operator::{BroadcastOperator, Emitter, Rooms};
pub use server::parent::ParentNamespace;
pub use server::room_events::RoomEvent;
pub use server::shutdown::Shutdown;
pub use server::socket::Socket;
pub use server::{Server, ServerBuilder};

pub use http;
pub use socketio_core as core;
pub use socketio_core::cluster::{CommandError as ClusterError, Membership, Shortfall};
pub use socketio_core::engine::buffer::BufferLimits;
pub use socketio_core::engine::deflate::{PerMessageDeflate, WindowBits};
pub use socketio_core::engine::handshake::Transports;
pub use socketio_core::engine::http::{Cookie, Cors, Origin, Refusal, SameSite};
pub use socketio_core::engine::packet::{Message, Packet as EnginePacket};
pub use socketio_core::engine::server::EngineEvent;
pub use socketio_core::engine::{Revision, Transport};
pub use socketio_core::rooms::Room;
pub use socketio_core::socket::recovery::Config as RecoveryConfig;
pub use socketio_core::socket::{
    Args, ArgsError, Body, Codec, DecodeError, DisconnectReason, EncodeError, Encoded, Event, FromArgs,
    Limits, Nsp, Packet, PacketDecoder, Parser, Payload, Value, Variadic,
};
pub use socketio_core::{Bytes, Sid};
