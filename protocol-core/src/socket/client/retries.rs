//! Events that are sent until they are acknowledged (REFERENCE 5.5).

use core::time::Duration;

use super::queue::Weight;
use crate::AckId;
use crate::engine::buffer::Compression;
use crate::socket::{Codec, EncodeError, Encoded, Event, Nsp};

/// One of them. The first of the queue is the one that is sent.
#[derive(Debug)]
pub(super) struct Item<W> {
    event: Event,
    compression: Compression,
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
        waiter: Option<W>,
        ack_timeout: Duration,
    ) -> Result<Self, EncodeError> {
        let event = encoded.to_event(codec).ok_or_else(|| {
            // What the encoder wrote is read again unless it is nested too deeply to be read by anybody.
            serde::ser::Error::custom("the event cannot be read again")
        })?;
        let (compression, bytes) = (encoded.compression(), encoded.bytes_len());
        Ok(Self { event, compression, bytes, waiter, ack_timeout, tries: 0, in_flight: false })
    }

    /// The packet, with this id.
    pub(super) fn encode(&self, codec: Codec, nsp: &Nsp, id: AckId) -> Encoded {
        codec
            .event_raw(nsp, Some(id), self.event.name(), self.event.args())
            .unwrap_or_else(|error| unreachable!("what was encoded once encodes again: {error}"))
            .with_compression(self.compression)
    }
}

impl<W> Weight for Item<W> {
    fn bytes(&self) -> usize {
        self.bytes
    }
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
        let item = Item::<()>::new(Codec::Text, &encode(None), None, Duration::ZERO).unwrap();
        assert_eq!(item.encode(Codec::Text, &nsp, AckId(7)), encode(Some(AckId(7))));
        assert_eq!(item.bytes(), encode(None).bytes_len());
    }

    #[test]
    fn what_must_not_be_compressed_is_not_when_it_is_sent_again() {
        let encoded = Codec::Text.event(&Nsp::ROOT, None, "a", &()).unwrap();
        let encoded = encoded.with_compression(Compression::Forbidden);
        let item = Item::<()>::new(Codec::Text, &encoded, None, Duration::ZERO).unwrap();
        let again = item.encode(Codec::Text, &Nsp::ROOT, AckId(0));
        assert_eq!(again.compression(), Compression::Forbidden);
    }

    #[test]
    fn more_attachments_than_a_server_takes_are_no_obstacle_here() {
        let data = [(); 12].map(|()| Bytes::from_static(b"x"));
        let encode = |id| Codec::Text.event(&Nsp::ROOT, id, "a", &data).unwrap();
        let item = Item::<()>::new(Codec::Text, &encode(None), None, Duration::ZERO).unwrap();
        assert_eq!(item.encode(Codec::Text, &Nsp::ROOT, AckId(0)), encode(Some(AckId(0))));
    }
}
