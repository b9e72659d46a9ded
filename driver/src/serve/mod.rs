//! HTTP: connections the server accepts itself, requests it is given, and what else it serves than sessions.

pub(crate) mod accept;
mod body;
pub(crate) mod client_files;
pub(crate) mod fallback;
pub(crate) mod hooks;
mod plain;
pub(crate) mod service;
mod stall;
mod upgrade;
mod whole;
