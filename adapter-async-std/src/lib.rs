//! Socket.IO on [async-std](https://docs.rs/async-std).
//!
//! [`AsyncStd`] is one implementation of [`Runtime`](runtime::Runtime) and everything else is
//! [`socketio_driver`], re-exported. Nothing in this crate knows a packet, a session or a URL.
//!
//! async-std is discontinued in favour of smol (March 2025, RUSTSEC-2025-0052). It is named in this crate and nowhere
//! else in the project, and here only for its tasks: timers and sockets are those of `async-io`, which it shares with
//! smol. `socketio-smol` is the same crate for a program that leaves it.

#![forbid(unsafe_code)]

mod async_std_runtime;

pub use async_std_runtime::AsyncStd;
pub use socketio_driver::*;

/// How a client is made, on this runtime.
pub type ClientBuilder = socketio_driver::ClientBuilder<AsyncStd>;

/// How a server is made, on this runtime.
pub type ServerBuilder = socketio_driver::ServerBuilder<AsyncStd>;
