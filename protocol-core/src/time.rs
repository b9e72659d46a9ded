//! The core's notion of time: a number the caller supplies.
//!
//! The core never reads a clock. Whoever drives it passes the current [`Instant`] to every `handle*` call, so a
//! simulation, a replay or a fuzzer is as good a source as an operating system.

use core::fmt;
use core::ops::{Add, AddAssign};
use core::time::Duration;

/// A point in time: microseconds since an epoch which the caller chooses.
///
/// Unlike `std::time::Instant` it has a zero, can be printed, stored and replayed, and needs no operating system.
///
/// ```
/// use core::time::Duration;
/// use socketio_core::Instant;
///
/// let start = Instant::ZERO;
/// let later = start + Duration::from_millis(25_000);
/// assert_eq!(later.saturating_since(start), Duration::from_secs(25));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The caller's epoch.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the far end of time (584,000 years), so that a huge timeout means "never".
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The earlier of two deadlines, where `None` means "never".
#[inline]
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_a_huge_duration_saturates() {
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::from_micros(u64::MAX));
    }

    #[test]
    fn none_is_never() {
        let at = Some(Instant::from_micros(1));
        assert_eq!(earliest(at, None), at);
        assert_eq!(earliest(None, at), at);
        assert_eq!(earliest(Some(Instant::ZERO), at), Some(Instant::ZERO));
        assert_eq!(earliest(None, None), None);
    }
}
