//! The protocol between the nodes of a cluster: servers that act as one (REFERENCE 4.4, 4.6, 6.3).
//!
//! A [`Node`] is one namespace on one server. It turns commands (broadcast, fetch sockets, …) into [`Message`]s for
//! the other nodes, and their messages into operations on its own sockets, and it keeps count of who has not answered
//! yet. How messages travel is the business of a bus: it delivers [`Envelope`]s, of which the reference's wire form is
//! kept in [`Envelope::to_json`] and [`Envelope::to_msgpack`].
//!
//! This layer knows neither connections nor handlers, and does not know which sockets there are: it asks. Whoever can
//! write to the bus is trusted with every socket, as in the reference; what is malformed is ignored, and everything
//! that waits for another node has a limit and a deadline.

mod message;
mod node;
mod request;
mod wire;

pub use message::{Details, Envelope, Flags, Message, NodeId, Options, RequestId};
pub use node::{AskId, CommandError, Config, Destination, Input, Membership, Node, Operation, Output, Query};
pub use request::{Answers, Completed, RequestKey, Shortfall};
pub use wire::WireError;

#[cfg(test)]
mod tests;
