//! The binary values of one packet.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

/// The attachments of a packet, in the order they travel. Cloning costs a reference count, whatever their number.
//
// One pointer wide, because most packets have none and every packet is moved about.
#[derive(Clone, Default)]
pub struct Attachments(Option<Arc<Vec<Bytes>>>);

impl Attachments {
    /// No attachments.
    pub const NONE: Self = Self(None);
}

impl Deref for Attachments {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl From<Vec<Bytes>> for Attachments {
    fn from(attachments: Vec<Bytes>) -> Self {
        Self((!attachments.is_empty()).then(|| Arc::new(attachments)))
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
