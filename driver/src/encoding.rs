//! Packets are written into a buffer of the thread first: what is kept of one has the right size then, however it grew.

use std::cell::Cell;

use serde::Serialize;
use socketio_core::AckId;
use socketio_core::socket::{Codec, EncodeError, Encoded, Nsp};

/// An EVENT: see [`Codec::event`].
pub(crate) fn event<T: Serialize>(
    codec: Codec,
    nsp: &Nsp,
    ack: Option<AckId>,
    name: &str,
    args: &T,
) -> Result<Encoded, EncodeError> {
    with_buffer(|buffer| codec.event_by(buffer, nsp, ack, name, args))
}

/// An ACK: see [`Codec::ack`].
pub(crate) fn ack<T: Serialize>(
    codec: Codec,
    nsp: &Nsp,
    id: AckId,
    args: &T,
) -> Result<Encoded, EncodeError> {
    with_buffer(|buffer| codec.ack_by(buffer, nsp, id, args))
}

/// While a value is written it has the buffer: another one that is written in the midst of it gets a new one.
#[inline]
fn with_buffer<R>(write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = BUFFER.take();
    let result = write(&mut buffer);
    if buffer.capacity() <= MAX_KEPT_BYTES {
        BUFFER.set(buffer);
    }
    result
}

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// More than most messages are long.
const MAX_KEPT_BYTES: usize = 64 * 1024;
