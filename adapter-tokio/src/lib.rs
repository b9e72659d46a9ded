//! Socket.IO on [tokio](https://tokio.rs).
//!
//! [`Tokio`] is one implementation of [`Runtime`](runtime::Runtime) and everything else is
//! [`socketio_driver`], re-exported. Nothing in this crate knows a packet, a session or a URL.
//!
//! The runtime needs its IO and time drivers: `#[tokio::main]`, or `enable_all()` on a builder.

#![forbid(unsafe_code)]

mod tokio_runtime;

pub use socketio_driver::*;
pub use tokio_runtime::Tokio;

/// How a client is made, on this runtime.
pub type ClientBuilder = socketio_driver::ClientBuilder<Tokio>;

/// How a server is made, on this runtime.
pub type ServerBuilder = socketio_driver::ServerBuilder<Tokio>;
