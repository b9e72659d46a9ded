//! Socket.IO packets: what they mean, and how they are written into Engine.IO messages and read back
//! (REFERENCE 3).
//!
//! [`Decoder`] turns the messages of one connection into [`Packet`]s, [`Codec`] turns events, acknowledgements and
//! the rest into [`Encoded`] frames. Arguments stay raw in between: text or msgpack is checked once when it
//! arrives, and decoded once, into the type the application asks for ([`Args::decode`]).
//!
//! This layer does not know which namespaces exist, who has joined them, or what an acknowledgement id belongs to.

mod acks;
mod args;
mod attachments;
pub mod client;
mod compound;
mod decode;
mod encode;
mod from_args;
mod json;
mod limits;
mod mend;
pub(crate) mod msgpack;
mod nsp;
mod packet;
mod parser;
mod payload;
mod placeholder;
mod reason;
pub mod recovery;
pub mod server;
mod text;
mod value;

pub use acks::AckError;
pub use args::{Args, ArgsError, Raw, RawArgs};
pub(crate) use args::{First, Followed, Listed};
pub use attachments::Attachments;
pub use decode::{DecodeError, Decoder};
pub use encode::{Codec, EncodeError, Encoded};
pub use from_args::FromArgs;
pub use limits::Limits;
pub use nsp::{InvalidNsp, Nsp};
pub use packet::{Body, Event, Packet};
pub use parser::{Custom, Guard, PacketDecoder, Parser};
pub use payload::{Payload, PayloadError};
pub use reason::DisconnectReason;
pub use value::{Value, Variadic};

/// Whether an event of this name belongs to the library (REFERENCE 4.3): such names are refused when they are sent,
/// and by the text decoder when they are received. `error`, `connection` and `message` are ordinary names.
pub fn is_reserved_event(name: &str) -> bool {
    is_reserved(name.as_bytes())
}

/// The same for a part of a text.
const fn is_reserved(name: &[u8]) -> bool {
    matches!(
        name,
        b"connect" | b"connect_error" | b"disconnect" | b"disconnecting" | b"newListener" | b"removeListener"
    )
}

/// One namespace on one connection. Never used twice on the same connection, even if the namespace is left and
/// joined again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What happens to a message that cannot leave at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It waits.
    #[default]
    Reliable,
    /// It is dropped, silently: only the newest of its kind matters to the application.
    Volatile,
}
