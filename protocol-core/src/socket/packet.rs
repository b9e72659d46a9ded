//! What a packet says.

use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;

use super::args::Args;
use super::{Nsp, Payload};
use crate::AckId;

/// A Socket.IO packet, its attachments in place (REFERENCE 3.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The namespace it belongs to.
    pub nsp: Nsp,
    /// What it says.
    pub body: Body,
}

/// The type of a packet and what comes with that type. The binary types 5 and 6 are [`Event`](Self::Event) and
/// [`Ack`](Self::Ack) with attachments.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Type 0. From a client: its credentials, an object or nothing. From a server: an object with the `sid`.
    Connect(Option<Payload>),
    /// Type 1: the sender leaves the namespace.
    Disconnect,
    /// Types 2 and 5.
    Event(Event),
    /// Type 2 or 5 without any data (`2`, `27`). The reference takes it for an event that no listener can have
    /// asked for: it is ignored, though its namespace must be joined like that of any event (REFERENCE 3.2).
    Unnamed,
    /// Types 3 and 6: an answer to the event that carried `id`. Without data it has no arguments; without an id it
    /// answers nothing and is ignored.
    Ack {
        /// The id of the answered event.
        id: Option<AckId>,
        /// The arguments of the answer.
        args: Args,
    },
    /// Type 4: the server refuses a CONNECT; an object `{"message", "data"?}`, text (revision 3), or nothing.
    ConnectError(Option<Payload>),
}

/// An event: a name, arguments, and whether an answer is wanted.
#[derive(Clone)]
pub struct Event {
    /// The id to answer with, when the sender wants an acknowledgement.
    pub ack: Option<AckId>,
    pub(super) name: Name,
    pub(super) args: Args,
}

/// Where the name of an event is.
#[derive(Clone)]
pub(super) enum Name {
    /// Among the arguments: no reference count is touched.
    Slice(Range<u32>),
    /// Apart, because it is not written as it is read: it has escapes, or is a number in msgpack.
    Apart(Box<str>),
}

impl Event {
    /// An event that came by another way than a packet, such as from another node of a cluster. Any name will do:
    /// names that belong to the library are refused where events are written for clients.
    pub fn new(name: impl Into<Box<str>>, args: Args) -> Self {
        Self { ack: None, name: Name::Apart(name.into()), args }
    }

    /// The same event, with the id it asks to be acknowledged by.
    #[must_use]
    pub fn with_ack(self, ack: Option<AckId>) -> Self {
        Self { ack, ..self }
    }

    /// The name of the event, borrowed from the packet where that has no escapes in it.
    ///
    /// A numeric name gives its JSON text (`2[7]` is the event `7`). Half of a surrogate pair, which JavaScript can
    /// send and Rust text cannot hold, is replaced by U+FFFD.
    #[inline]
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Slice(range) => self.args.slice(range.clone()),
            Name::Apart(name) => name,
        }
    }

    /// The arguments, without the name.
    #[inline]
    pub fn args(&self) -> &Args {
        &self.args
    }

    /// The arguments, without the name.
    pub fn into_args(self) -> Args {
        self.args
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.ack == other.ack && self.name() == other.name() && self.args == other.args
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("ack", &self.ack)
            .field("name", &self.name())
            .field("args", &self.args)
            .finish()
    }
}
