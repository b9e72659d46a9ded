//! The binary values of one packet.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

/// The attachments of a packet, in the order they travel. Cloning costs a reference count, whatever their number.
#[derive(Clone, Default)]
pub struct Attachments(Repr);

#[derive(Clone, Default)]
enum Repr {
    #[default]
    None,
    // By far the most common number, and it needs no allocation of its own.
    One(Bytes),
    Many(Arc<[Bytes]>),
}

impl Attachments {
    /// No attachments.
    pub const NONE: Self = Self(Repr::None);
}

impl Deref for Attachments {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        match &self.0 {
            Repr::None => &[],
            Repr::One(bytes) => core::slice::from_ref(bytes),
            Repr::Many(many) => many,
        }
    }
}

impl From<Vec<Bytes>> for Attachments {
    fn from(mut attachments: Vec<Bytes>) -> Self {
        match attachments.len() {
            0 => Self(Repr::None),
            1 => Self(attachments.pop().map_or(Repr::None, Repr::One)),
            _ => Self(Repr::Many(attachments.into())),
        }
    }
}

impl PartialEq for Attachments {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Attachments {}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
