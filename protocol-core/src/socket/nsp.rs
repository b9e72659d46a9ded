//! The name of a namespace.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use thiserror::Error;

use crate::Str;

/// The name of a namespace: `/` or `/admin`, with everything after the slash taken verbatim, `?…` included
/// (REFERENCE 3.2).
///
/// Cloning costs a reference count. A name that was decoded is a slice of its packet and keeps the packet's buffer
/// alive: what outlives the packet takes a [`detached`](Self::detached) copy.
#[derive(Clone, Eq, PartialEq, PartialOrd, Ord)]
//
// `None` is the main namespace, which almost every packet belongs to: nothing to count references of. Its name is the
// first of all in order, as `None` is.
pub struct Nsp(Option<Str>);

/// The name contains a comma, which ends a namespace on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a namespace name cannot contain a comma")]
pub struct InvalidNsp;

impl Nsp {
    /// The main namespace, `/`.
    pub const ROOT: Self = Self(None);

    /// A namespace by its name; a missing leading slash is added (REFERENCE 4.3).
    ///
    /// # Errors
    /// [`InvalidNsp`] when the name contains a comma: the text parser could not tell where it ends.
    pub fn new(name: &str) -> Result<Self, InvalidNsp> {
        if name.contains(',') {
            return Err(InvalidNsp);
        }
        match name {
            "" | "/" => Ok(Self::ROOT),
            _ if name.starts_with('/') => Ok(Self(Some(name.into()))),
            _ => Ok(Self(Some(alloc::format!("/{name}").into()))),
        }
    }

    /// A name as it came off the wire.
    pub(super) fn received(name: Str) -> Self {
        if name == *"/" { Self::ROOT } else { Self(Some(name)) }
    }

    /// The name, with its leading slash.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }

    /// Whether this is the main namespace.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// A copy that keeps no packet alive.
    pub fn detached(&self) -> Self {
        Self(self.0.as_deref().map(Str::from))
    }
}

impl Default for Nsp {
    fn default() -> Self {
        Self::ROOT
    }
}

impl Deref for Nsp {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Nsp {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for Nsp {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Hash for Nsp {
    // As `str` does, which `Borrow<str>` promises.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl TryFrom<&str> for Nsp {
    type Error = InvalidNsp;

    fn try_from(name: &str) -> Result<Self, InvalidNsp> {
        Self::new(name)
    }
}

impl fmt::Display for Nsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Nsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_slash_is_added() {
        assert_eq!(Nsp::new("admin").as_deref(), Ok("/admin"));
        assert_eq!(Nsp::new("/admin").as_deref(), Ok("/admin"));
        assert_eq!(Nsp::new(""), Ok(Nsp::ROOT));
    }

    #[test]
    fn names_are_in_the_order_of_their_text() {
        let mut names = ["/b", "/", "/a/b", "/a"].map(|name| Nsp::new(name).unwrap());
        names.sort();
        assert_eq!(names.each_ref().map(Nsp::as_str), ["/", "/a", "/a/b", "/b"]);
    }

    #[test]
    fn a_comma_is_refused() {
        assert_eq!(Nsp::new("/a,b"), Err(InvalidNsp));
    }
}
