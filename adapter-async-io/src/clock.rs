//! The clock, and timers on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::{self, Duration};

use socketio_driver::runtime::{Instant, Timer};

/// [`Runtime::now`](socketio_driver::runtime::Runtime::now).
pub fn now() -> Instant {
    Instant::ZERO + clock().saturating_duration_since(*EPOCH)
}

/// [`Runtime::unix_time`](socketio_driver::runtime::Runtime::unix_time).
#[expect(clippy::disallowed_methods, reason = "this is the Runtime that time comes from")]
pub fn unix_time() -> Duration {
    // A clock before 1970 is a clock that is not set; zero says the same.
    time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default()
}

/// [`Runtime::timer`](socketio_driver::runtime::Runtime::timer).
pub fn timer(at: Instant) -> Pin<Box<dyn Timer>> {
    let at = to_std(at);
    Box::pin(SleepUntil { timer: async_io::Timer::at(at), armed: Some(at), at })
}

/// Arming async-io's timer wakes its reactor by a system call, and a connection moves its deadline later with every
/// message. So a later deadline is only noted, and the timer is armed again when the earlier one comes.
struct SleepUntil {
    timer: async_io::Timer,
    /// When `timer` fires; `None` once it has.
    armed: Option<time::Instant>,
    at: time::Instant,
}

impl SleepUntil {
    fn arm(&mut self) {
        self.timer.set_at(self.at);
        self.armed = Some(self.at);
    }
}

impl Future for SleepUntil {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(armed) = self.armed {
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.armed = None;
            if armed < self.at {
                self.arm();
            }
        }
        Poll::Ready(())
    }
}

impl Timer for SleepUntil {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = to_std(at);
        if self.armed.is_none_or(|armed| self.at < armed) {
            self.arm();
        }
    }
}

fn to_std(at: Instant) -> time::Instant {
    let at = Duration::from_micros(at.as_micros());
    // "Never" is more than some platforms' clocks can say.
    EPOCH.checked_add(at).unwrap_or_else(|| clock() + NEVER)
}

#[expect(clippy::disallowed_methods, reason = "this is the Runtime that time comes from")]
fn clock() -> time::Instant {
    time::Instant::now()
}

/// Where [`now`] counts from.
static EPOCH: LazyLock<time::Instant> = LazyLock::new(clock);

const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use async_io::block_on;
    use futures_lite::future::or;

    use super::*;

    /// Whether `timer` fires within `limit`.
    async fn fires_within(limit: Duration, timer: Pin<&mut dyn Timer>) -> bool {
        or(
            async {
                timer.await;
                true
            },
            async {
                async_io::Timer::after(limit).await;
                false
            },
        )
        .await
    }

    #[test]
    fn a_timer_follows_its_resets_both_ways() {
        block_on(async {
            let start = now();
            let passed = || now().saturating_since(start).as_millis();
            let mut timer = timer(start + Duration::from_secs(3600));
            assert!(!fires_within(Duration::from_millis(1), timer.as_mut()).await);
            timer.as_mut().reset(start + Duration::from_millis(20));
            timer.as_mut().await;
            assert!((20..3_600_000).contains(&passed()), "{}", passed());
            timer.as_mut().await; // fired stays fired
            timer.as_mut().reset(start + Duration::from_millis(40));
            assert!(!fires_within(Duration::from_millis(1), timer.as_mut()).await);
            timer.as_mut().reset(start + Duration::from_millis(120));
            timer.as_mut().await;
            assert!((120..3_600_000).contains(&passed()), "{}", passed());
        });
    }

    #[test]
    fn a_timer_for_never_does_not_fire() {
        block_on(async {
            let mut timer = timer(Instant::from_micros(u64::MAX));
            assert!(!fires_within(Duration::from_millis(20), timer.as_mut()).await);
        });
    }
}
