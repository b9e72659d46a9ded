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

/// Attachments that come one by one, and are nobody else's yet.
#[derive(Debug, Default)]
pub(super) struct Gathered(Option<List>);

/// Most packets that have attachments have one, which needs no list of its own.
#[derive(Clone, Debug)]
enum List {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Attachments {
    /// No attachments.
    pub const NONE: Self = Self(None);

    /// Hands them over: who is the last that has them counts no references.
    pub(super) fn into_each(self) -> Each {
        match self.0.map(Arc::try_unwrap) {
            None => Each::Own(None, Vec::new().into_iter()),
            Some(Ok(List::One(one))) => Each::Own(Some(one), Vec::new().into_iter()),
            Some(Ok(List::Many(list))) => Each::Own(None, list.into_iter()),
            Some(Err(shared)) => Each::Shared(Self(Some(shared)), 0),
        }
    }
}

impl Gathered {
    /// Adds the next one.
    pub(super) fn push(&mut self, next: Bytes) {
        match &mut self.0 {
            None => self.0 = Some(List::One(next)),
            Some(List::One(one)) => self.0 = Some(List::Many(vec![mem::take(one), next])),
            Some(List::Many(list)) => list.push(next),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(List::One(_)) => 1,
            Some(List::Many(list)) => list.len(),
        }
    }
}

impl From<Gathered> for Attachments {
    fn from(gathered: Gathered) -> Self {
        Self(gathered.0.map(Arc::new))
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
pub(super) enum Each {
    /// One, and more.
    Own(Option<Bytes>, vec::IntoIter<Bytes>),
    /// Somebody else has them too, and from here on they are to be handed over.
    Shared(Attachments, usize),
}

impl Iterator for Each {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Own(one, more) => one.take().or_else(|| more.next()),
            Self::Shared(all, next) => {
                let attachment = all.get(*next)?;
                *next += 1;
                Some(attachment.clone())
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Self::Own(one, more) => usize::from(one.is_some()) + more.len(),
            Self::Shared(all, next) => all.len() - next,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_handed_over_whether_somebody_else_has_them_or_not() {
        let all = [Bytes::from_static(b"a"), Bytes::from_static(b"b"), Bytes::from_static(b"c")];
        for count in 0..=all.len() {
            let mut gathered = Gathered::default();
            all[..count].iter().for_each(|attachment| gathered.push(attachment.clone()));
            assert_eq!(gathered.len(), count);
            let own = Attachments::from(gathered);
            let shared = own.clone();
            for mut each in [shared.clone().into_each(), own.into_each(), shared.into_each()] {
                for (at, expected) in all[..count].iter().enumerate() {
                    assert_eq!(each.len(), count - at);
                    assert_eq!(each.next().as_ref(), Some(expected));
                }
                assert_eq!((each.len(), each.next()), (0, None));
            }
        }
    }
}
