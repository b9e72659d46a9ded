//! The binary values of one packet.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;
use core::{fmt, mem, slice};

use bytes::Bytes;

/// The attachments of a packet, in the order they travel. Cloning costs a reference count, whatever their number.
//
// One pointer wide, because most packets have none and every packet is moved about.
#[derive(Clone, Default)]
pub struct Attachments(Option<Arc<List>>);

/// Most packets that have attachments have one, which needs no list of its own.
#[derive(Clone)]
enum List {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Attachments {
    /// No attachments.
    pub const NONE: Self = Self(None);

    /// Adds the next one.
    pub(super) fn push(&mut self, next: Bytes) {
        match &mut self.0 {
            None => self.0 = Some(Arc::new(List::One(next))),
            Some(list) => {
                let list = Arc::make_mut(list);
                match list {
                    List::One(one) => *list = List::Many(vec![mem::take(one), next]),
                    List::Many(list) => list.push(next),
                }
            }
        }
    }

    /// Hands them over: who is the last that has them counts no references.
    pub(super) fn into_each(self) -> Each {
        let (one, more) = match self.0.map(Arc::unwrap_or_clone) {
            None => (None, Vec::new()),
            Some(List::One(one)) => (Some(one), Vec::new()),
            Some(List::Many(list)) => (None, list),
        };
        Each { one, more: more.into_iter() }
    }
}

impl Deref for Attachments {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        match self.0.as_deref() {
            None => &[],
            Some(List::One(one)) => slice::from_ref(one),
            Some(List::Many(list)) => list,
        }
    }
}

impl From<Vec<Bytes>> for Attachments {
    fn from(attachments: Vec<Bytes>) -> Self {
        Self((!attachments.is_empty()).then(|| Arc::new(List::Many(attachments))))
    }
}

/// Attachments that are handed over, one by one.
pub(super) struct Each {
    one: Option<Bytes>,
    more: vec::IntoIter<Bytes>,
}

impl Iterator for Each {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.one.take().or_else(|| self.more.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.one.is_some()) + self.more.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Each {}

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
