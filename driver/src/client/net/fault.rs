//! From what the system, hyper and TLS say to what the core knows. What gets lost on the way is logged.

use std::error::Error;
use std::fmt::Display;
use std::io;

use socketio_core::engine::client::Failure;

use super::tls;
use crate::runtime::Connect;

/// An attempt to reach a host failed.
pub(super) fn unreachable(error: &io::Error, to: &Connect) -> Failure {
    tracing::debug!(%error, "cannot connect");
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Unresolved,
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::AddrNotAvailable if to.local_address.is_some() => Failure::LocalAddress,
        _ => Failure::Unreachable,
    }
}

/// A connection broke, or its bytes broke the rules.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Failure {
    let source = error.source().map(tracing::field::display);
    tracing::debug!(%error, source, "connection failed");
    tls::alert(error).map_or(Failure::Connection, Failure::Tls)
}

/// A response is not what was asked for.
pub(super) fn wrong(what: impl Display) -> Failure {
    tracing::debug!(%what, "bad response");
    Failure::Connection
}
