//! Parsers of the application's own (REFERENCE 3.8).
//!
//! The two built-in ones are a match away from whoever sends and receives, with no call through a pointer; one that
//! is brought along pays for that, and for the typed arguments going through [`Args`].

use alloc::boxed::Box;
use core::fmt;

use bytes::Bytes;

use super::{Args, Body, DecodeError, EncodeError, Encoded, Event, Limits, Packet, is_reserved_event};
use crate::engine::packet::Message;

/// How packets are written and read, by rules of the application's own; [`Codec::custom`](super::Codec::custom) makes
/// a server, or a client, use it. Its peers must use the same.
///
/// Arguments are an [`Args`] here, whatever they were: an [`Args`] serializes as a tuple, and is made of anything by
/// [`Args::encode`], so typed arguments and binary work as with every parser.
///
/// Both directions run while their connection is locked: they must neither block nor send anything.
///
/// ```
/// use serde_json::{Value, json};
/// use socketio_core::AckId;
/// use socketio_core::engine::packet::Message;
/// use socketio_core::socket::{
///     Args, Body, Codec, DecodeError, EncodeError, Encoded, Event, Limits, Nsp, Packet, PacketDecoder, Parser,
///     Payload, Variadic,
/// };
///
/// /// Each packet is one array: `[type, namespace, ack id, data]`. Text only.
/// #[derive(Debug)]
/// struct Arrays;
///
/// impl Parser for Arrays {
///     fn encode(&self, packet: &Packet) -> Result<Encoded, EncodeError> {
///         let list = |args: &Args| args.decode::<Variadic<Value>>().map(|args| args.0).unwrap_or_default();
///         let (kind, id, data) = match &packet.body {
///             Body::Connect(auth) => (0, None, json!(auth.as_ref().and_then(|auth| auth.decode::<Value>().ok()))),
///             Body::Disconnect => (1, None, Value::Null),
///             Body::Event(event) => (2, event.ack, json!([event.name(), list(event.args())])),
///             Body::Ack { id, args } => (3, *id, json!(list(args))),
///             Body::ConnectError(why) => (4, None, json!(why.as_ref().and_then(|why| why.decode::<Value>().ok()))),
///             Body::Unnamed => (2, None, Value::Null),
///         };
///         let id = id.map(|id| id.0);
///         Ok(Encoded::new(Message::Text(json!([kind, packet.nsp.as_str(), id, data]).to_string().into()), Vec::new()))
///     }
///
///     fn decoder(&self, _: &Limits) -> Box<dyn PacketDecoder> {
///         Box::new(Arrays)
///     }
/// }
///
/// impl PacketDecoder for Arrays {
///     fn add(&mut self, message: Message) -> Result<Option<Packet>, DecodeError> {
///         let Message::Text(text) = message else { return Err(DecodeError::UnexpectedBinary) };
///         let invalid = |_| DecodeError::InvalidPayload;
///         let (kind, nsp, id, data): (u8, String, Option<u64>, Value) =
///             serde_json::from_str(&text).map_err(invalid)?;
///         let list = |data: Value| Args::encode(&Variadic(data.as_array().cloned().unwrap_or_default()));
///         let id = id.map(AckId);
///         let body = match (kind, data) {
///             (0, auth) => Body::Connect(Payload::encode(&auth).ok()),
///             (1, _) => Body::Disconnect,
///             (2, data) => {
///                 let name = data[0].as_str().ok_or(DecodeError::InvalidPayload)?;
///                 let args = list(data[1].clone()).map_err(|_| DecodeError::InvalidPayload)?;
///                 Body::Event(Event::new(name, args).with_ack(id))
///             }
///             (3, data) => Body::Ack { id, args: list(data).map_err(|_| DecodeError::InvalidPayload)? },
///             _ => return Err(DecodeError::UnknownType),
///         };
///         Ok(Some(Packet { nsp: Nsp::new(&nsp).map_err(|_| DecodeError::InvalidNamespace)?, body }))
///     }
/// }
///
/// let sent = Codec::custom(&Arrays).event(&Nsp::ROOT, None, "hello", &("world", 7))?;
/// assert_eq!(sent.to_event(Codec::custom(&Arrays)).unwrap().args().decode(), Ok(("world", 7)));
/// # Ok::<_, EncodeError>(())
/// ```
pub trait Parser: fmt::Debug + Send + Sync + 'static {
    /// Writes a packet: what its peer's decoder reads, message by message.
    ///
    /// # Errors
    /// [`EncodeError::Serialize`] when this parser cannot write such arguments. CONNECT, DISCONNECT and CONNECT_ERROR
    /// must be written: a peer that is not told of them waits in vain.
    fn encode(&self, packet: &Packet) -> Result<Encoded, EncodeError>;

    /// The decoder of one connection. It is dropped with the connection, whatever it still holds then.
    ///
    /// `limits` are those of the connection. They are enforced around the decoder too; it is told them so that it can
    /// stop before it has done the work.
    fn decoder(&self, limits: &Limits) -> Box<dyn PacketDecoder>;
}

/// Puts the packets of one connection together.
pub trait PacketDecoder: fmt::Debug + Send + 'static {
    /// Takes the next message. `None`: its packet goes on in the next message.
    ///
    /// Such a packet may be of as many messages as [`Limits::max_attachments`] and one more, hold
    /// [`Limits::max_attachment_bytes`] beside the first, and take the time that a packet is given.
    ///
    /// # Errors
    /// What is wrong with it. The connection is closed, and the decoder not asked again.
    fn add(&mut self, message: Message) -> Result<Option<Packet>, DecodeError>;
}

/// Runs what it is given, and tells whether that came to its end: how a driver that has `std` contains the panic of a
/// [`Parser`], which the core cannot.
pub type Guard = fn(&mut dyn FnMut()) -> bool;

/// A parser of the application's own, as [`Codec`](super::Codec) carries it.
#[derive(Clone, Copy)]
pub struct Custom {
    parser: &'static dyn Parser,
    guard: Guard,
}

impl Custom {
    pub(super) const fn new(parser: &'static dyn Parser) -> Self {
        Self { parser, guard: unguarded }
    }

    pub(super) const fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    pub(super) fn encode(self, packet: &Packet) -> Result<Encoded, EncodeError> {
        let panicked = || Err(serde::ser::Error::custom(PANICKED));
        self.run(|| self.parser.encode(packet)).unwrap_or_else(panicked)
    }

    pub(super) fn decoder(self, limits: &Limits) -> Result<Contained, DecodeError> {
        let decoder = self.run(|| self.parser.decoder(limits)).ok_or_else(panicked)?;
        Ok(Contained { custom: self, decoder, held: 0, bytes: 0 })
    }

    fn run<T>(self, mut call: impl FnMut() -> T) -> Option<T> {
        let mut result = None;
        let ended = (self.guard)(&mut || result = Some(call()));
        result.filter(|_| ended)
    }
}

fn unguarded(call: &mut dyn FnMut()) -> bool {
    call();
    true
}

fn panicked() -> DecodeError {
    DecodeError::Parser { reason: PANICKED.into() }
}

impl PartialEq for Custom {
    /// Whether they are the same parser, not whether they write the same.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.parser, other.parser)
    }
}

impl Eq for Custom {}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parser.fmt(f)
    }
}

/// A decoder that is held to the limits of its connection, whatever it says.
#[derive(Debug)]
pub(super) struct Contained {
    custom: Custom,
    decoder: Box<dyn PacketDecoder>,
    /// Messages of the packet that is not complete.
    held: usize,
    /// Bytes in those of them that are not the first.
    bytes: usize,
}

impl Contained {
    pub(super) fn add(&mut self, message: Message, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
        let len = match &message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        if self.held > 0 {
            self.bytes = self.bytes.saturating_add(len);
        }
        if self.bytes > limits.max_attachment_bytes {
            return Err(DecodeError::AttachmentsTooLarge);
        }
        let mut message = Some(message);
        let decoder = &mut self.decoder;
        let added = self.custom.run(|| message.take().map_or(Ok(None), |message| decoder.add(message)));
        match added.ok_or_else(panicked)?? {
            None => {
                self.held += 1;
                // The one to come would be one more.
                if self.held > limits.max_attachments {
                    return Err(DecodeError::TooManyAttachments);
                }
                Ok(None)
            }
            Some(packet) => {
                (self.held, self.bytes) = (0, 0);
                check(&packet, limits)?;
                Ok(Some(packet))
            }
        }
    }

    pub(super) const fn is_reconstructing(&self) -> bool {
        self.held > 0
    }
}

/// What the built-in parsers see to while they read.
fn check(packet: &Packet, limits: &Limits) -> Result<(), DecodeError> {
    match &packet.body {
        Body::Event(event) if is_reserved_event(event.name()) => Err(DecodeError::ReservedEvent),
        Body::Event(Event { args, .. }) | Body::Ack { args, .. } => check_args(args, limits),
        Body::Connect(Some(payload)) | Body::ConnectError(Some(payload)) => {
            if payload.raw().is_nested_within(0, limits) { Ok(()) } else { Err(DecodeError::NestingTooDeep) }
        }
        Body::Connect(None) | Body::ConnectError(None) | Body::Disconnect | Body::Unnamed => Ok(()),
    }
}

fn check_args(args: &Args, limits: &Limits) -> Result<(), DecodeError> {
    let attachments = args.attachments();
    if attachments.len() > limits.max_attachments {
        return Err(DecodeError::TooManyAttachments);
    }
    if attachments.iter().map(Bytes::len).sum::<usize>() > limits.max_attachment_bytes {
        return Err(DecodeError::AttachmentsTooLarge);
    }
    // The list itself is the first level.
    if args.iter().all(|argument| argument.is_nested_within(1, limits)) {
        Ok(())
    } else {
        Err(DecodeError::NestingTooDeep)
    }
}

const PANICKED: &str = "the parser panicked";

#[cfg(test)]
mod tests;
