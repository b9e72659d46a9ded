//! Identifiers. Each is a type of its own, so that none can be passed for another.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A session id: the secret that names an Engine.IO session (`sid` in the handshake), or the public id of a
/// Socket.IO socket (`socket.id`), or the private id of a recoverable socket (`pid`).
///
/// Made by [`Sid::generate`] or taken from text the application chose. Cloning costs a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    /// Bytes of randomness in a generated id.
    pub const ENTROPY: usize = 12;

    /// The 20-character id of the reference: 12 random bytes and a 24-bit counter, in URL-safe base64
    /// (REFERENCE 1.2).
    ///
    /// `entropy` must come from a cryptographically secure generator: whoever guesses a session id owns the
    /// session. `counter` makes ids of one process distinct even if the generator repeats itself; its lower 24
    /// bits are used.
    pub fn generate(entropy: [u8; Self::ENTROPY], counter: u32) -> Self {
        let mut raw = [0; Self::ENTROPY + 3];
        raw[..Self::ENTROPY].copy_from_slice(&entropy);
        raw[Self::ENTROPY..].copy_from_slice(&counter.to_be_bytes()[1..]);
        let mut text = [0; 20];
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text).unwrap_or_default();
        Self(core::str::from_utf8(&text[..written]).unwrap_or_default().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Sid {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<Sid> for Arc<str> {
    fn from(id: Sid) -> Self {
        id.0
    }
}

impl Borrow<str> for Sid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Sid {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One thing a peer can answer on: an HTTP request, or a WebSocket.
///
/// The driver numbers them; the core only hands the number back. A number is never used twice on one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u64);

/// The number by which an acknowledgement finds its event (REFERENCE 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(pub u64);

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_generated_id_has_twenty_url_safe_characters() {
        let id = Sid::generate([0xFF; 12], 0x0001_02FF);
        assert_eq!(id.as_str().len(), 20);
        assert_eq!(id.to_string(), "________________AQL_");
    }

    #[test]
    fn the_counter_keeps_ids_apart_when_the_entropy_repeats() {
        assert_ne!(Sid::generate([7; 12], 1), Sid::generate([7; 12], 2));
        assert_eq!(Sid::generate([7; 12], 1), Sid::generate([7; 12], 0x0100_0001));
    }
}
