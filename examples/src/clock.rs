//! The operating system's clock as the core wants time: counted from when the program started.

use std::time;

use socketio_core::Instant;

/// Time since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: time::Instant,
}

impl Clock {
    /// A clock that shows [`Instant::ZERO`], and what the one on the wall shows: time since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> (Self, time::Duration) {
        let wall = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
        (Self { start: time::Instant::now() }, wall)
    }

    /// The current time.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }
}
