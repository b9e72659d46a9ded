//! The client.

#[allow(dead_code, reason = "what the public API is going to be built on")]
pub(crate) mod net;
