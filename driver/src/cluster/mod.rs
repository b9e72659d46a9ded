//! Several servers as one: the bus between them, what a namespace says on it, and the sockets of others.

pub(crate) mod bus;
pub(crate) mod link;
pub(crate) mod remote;
