//! Events that are sent until they are acknowledged (REFERENCE 5.5).

use core::time::Duration;

use super::queue::Weight;
use crate::engine::Revision;
use crate::engine::packet::Packet;
use crate::socket::{Args, Body, Codec, Decoder, EncodeError, Encoded, Limits, Nsp};
use crate::{AckId, Str};

/// One of them. The first of the queue is the one that is sent.
#[derive(Debug)]
pub(super) struct Item<W> {
    name: Str,
    args: Args,
    bytes: usize,
    pub(super) waiter: Option<W>,
    pub(super) ack_timeout: Duration,
    /// How often it was sent.
    pub(super) tries: u32,
    pub(super) in_flight: bool,
}

impl<W> Item<W> {
    /// Takes the event apart, since each time it is sent it carries another id.
    pub(super) fn new(
        codec: Codec,
        encoded: &Encoded,
        name: &str,
        waiter: Option<W>,
        ack_timeout: Duration,
    ) -> Result<Self, EncodeError> {
        let args = reread(codec, encoded).ok_or_else(|| {
            // What the encoder wrote is read again unless it is nested too deeply to be read by anybody.
            serde::ser::Error::custom("the event cannot be read again")
        })?;
        let bytes = encoded.bytes_len();
        Ok(Self { name: name.into(), args, bytes, waiter, ack_timeout, tries: 0, in_flight: false })
    }

    /// The packet, with this id.
    pub(super) fn encode(&self, codec: Codec, nsp: &Nsp, id: AckId) -> Encoded {
        codec
            .event_raw(nsp, Some(id), &self.name, &self.args)
            .unwrap_or_else(|error| unreachable!("what was encoded once encodes again: {error}"))
    }
}

impl<W> Weight for Item<W> {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn reread(codec: Codec, encoded: &Encoded) -> Option<Args> {
    let limits =
        Limits { max_attachments: usize::MAX, max_attachment_bytes: usize::MAX, ..Limits::default() };
    let mut decoder = Decoder::new(codec, limits);
    for frame in encoded.frames() {
        let Ok(Packet::Message(message)) = Packet::decode(Revision::V4, frame) else { return None };
        if let Some(packet) = decoder.push(message).ok()? {
            return match packet.body {
                Body::Event(event) => Some(event.into_args()),
                _ => None,
            };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_event_is_encoded_again_with_another_id() {
        let nsp = Nsp::new("/admin").unwrap();
        let data = Bytes::from_static(&[1, 2]);
        let encode = |id| Codec::Text.event(&nsp, id, "a\"b", &("x", &data)).unwrap();
        let item = Item::<()>::new(Codec::Text, &encode(None), "a\"b", None, Duration::ZERO).unwrap();
        assert_eq!(item.encode(Codec::Text, &nsp, AckId(7)), encode(Some(AckId(7))));
        assert_eq!(item.bytes(), encode(None).bytes_len());
    }

    #[test]
    fn more_attachments_than_a_server_takes_are_no_obstacle_here() {
        let data = [(); 12].map(|()| Bytes::from_static(b"x"));
        let encode = |id| Codec::Text.event(&Nsp::ROOT, id, "a", &data).unwrap();
        let item = Item::<()>::new(Codec::Text, &encode(None), "a", None, Duration::ZERO).unwrap();
        assert_eq!(item.encode(Codec::Text, &Nsp::ROOT, AckId(0)), encode(Some(AckId(0))));
    }
}
