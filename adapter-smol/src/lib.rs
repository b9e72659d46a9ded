//! Socket.IO on [smol](https://docs.rs/smol).
//!
//! [`Smol`] is one implementation of [`Runtime`](runtime::Runtime) and everything else is
//! [`socketio_driver`], re-exported. Nothing in this crate knows a packet, a session or a URL.
//!
//! A program with executors of its own implements `Runtime` itself, on `socketio-async-io`: its documentation shows it.

#![forbid(unsafe_code)]

mod smol_runtime;

pub use smol_runtime::Smol;
pub use socketio_driver::*;

/// How a client is made, on this runtime.
pub type ClientBuilder = socketio_driver::ClientBuilder<Smol>;

/// How a server is made, on this runtime.
pub type ServerBuilder = socketio_driver::ServerBuilder<Smol>;
