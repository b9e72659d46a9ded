//! The runtime-neutral half of an async Socket.IO server and client.

#![forbid(unsafe_code)]

mod accept;
mod ack;
mod backlog;
mod body;
mod bus;
mod cell;
pub mod client;
mod client_files;
mod conn;
mod dispatch;
mod fallback;
mod handshake;
mod hooks;
mod hub;
mod kept;
mod link;
mod namespace;
mod operator;
mod parent;
mod pump;
mod remote;
mod reply;
mod room_events;
pub mod runtime;
mod server;
mod service;
mod shutdown;
mod signal;
mod socket;
mod stall;
pub mod transcript;
mod upgrade;
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

pub use ack::{AckError, AckFuture, AckSender, BroadcastAckFuture, EmitError, PartialAcks};
pub use bus::{Bus, LocalBus, Subscriber};
pub use client::{Client, ClientBuilder, Proxy, SetupError};
#[cfg(feature = "tls")]
pub use client::{Roots, Tls};
pub use conn::{Conn, Description, Disconnect};
pub use dispatch::{BoxError, ListenerId, SocketError};
pub use handshake::Handshake;
pub use hooks::ConnectionError;
pub use namespace::{ConnectError, Namespace};
pub use operator::{BroadcastOperator, Emitter, Rooms};
pub use parent::ParentNamespace;
pub use remote::{Incomplete, IncompleteReason, RemoteSocket, ServerSideAckFuture};
pub use reply::{Ack, Reply};
pub use room_events::RoomEvent;
pub use server::{Server, ServerBuilder};
pub use service::{PeerAddress, SecureConnection, Service};
pub use shutdown::Shutdown;
pub use socket::Socket;

pub use http;
pub use socketio_core as core;
pub use socketio_core::cluster::{CommandError as ClusterError, Membership, Shortfall};
pub use socketio_core::engine::buffer::BufferLimits;
pub use socketio_core::engine::handshake::Transports;
pub use socketio_core::engine::http::{Cookie, Cors, Origin, Refusal, SameSite};
pub use socketio_core::engine::packet::Message;
pub use socketio_core::engine::{Revision, Transport};
pub use socketio_core::rooms::Room;
pub use socketio_core::socket::recovery::Config as RecoveryConfig;
pub use socketio_core::socket::{
    Args, ArgsError, Body, Codec, DecodeError, DisconnectReason, EncodeError, Encoded, Event, FromArgs,
    Limits, Nsp, Packet, PacketDecoder, Parser, Payload, Value, Variadic,
};
pub use socketio_core::{Bytes, Sid};
