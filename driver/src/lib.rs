//! The runtime-neutral half of an async Socket.IO server and client.

#![forbid(unsafe_code)]

pub mod runtime;
