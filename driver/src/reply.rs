//! What a handler returns: an acknowledgement, or nothing.

use serde::Serialize;

use crate::ack::AckSender;

/// A handler's return value that answers the event it handled: `Ack(x)` is `callback(x)` in JavaScript, `Ack((x, y))`
/// is `callback(x, y)` and `Ack(())` is `callback()`. If the client asked for no answer, none is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack<T>(pub T);

/// What a handler may return.
///
/// - `()`: nothing is answered.
/// - [`Ack`]: answered with its content.
/// - `Result<T, E>`: answered with whichever it is, both being serializable.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, `Ack(value)` to acknowledge the event, or a `Result` of two serializable types"
)]
pub trait Reply: Send + 'static {
    /// Sends the answer, if this is one.
    fn send(self, to: AckSender);
}

impl Reply for () {
    fn send(self, _: AckSender) {}
}

impl<T: Serialize + Send + 'static> Reply for Ack<T> {
    fn send(self, to: AckSender) {
        to.reply(&self.0);
    }
}

impl<T: Serialize + Send + 'static, E: Serialize + Send + 'static> Reply for Result<T, E> {
    fn send(self, to: AckSender) {
        match self {
            Ok(value) => to.reply(&value),
            Err(error) => to.reply(&error),
        }
    }
}
