//! How long to wait before the next attempt to connect (REFERENCE 5.3).

use core::time::Duration;

use super::Reconnection;
use crate::random::Random;

/// The attempts since the last success, and the time to wait for the next.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How many attempts have been asked for.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The time to wait for the next attempt: the delay, doubled with each, with chance added or taken away, and only
    /// then capped. Counted in whole milliseconds, as in the reference.
    pub(super) fn next(&mut self, config: &Reconnection, random: &mut Random) -> Duration {
        let delay = millis(config.delay, DEFAULT_DELAY);
        let max = millis(config.max_delay, DEFAULT_MAX_DELAY);
        // Past 2^31 any delay is over any cap worth the name.
        let base = delay.saturating_mul(1 << self.attempts.min(31));
        self.attempts = self.attempts.saturating_add(1);
        let mut wait = base;
        if config.jitter > 0.0 && config.jitter <= 1.0 {
            let chance = random.fraction();
            let deviation = (chance * config.jitter * base as f64) as u64;
            let is_longer = (chance * 10.0) as u64 & 1 == 1;
            wait = if is_longer { base.saturating_add(deviation) } else { base.saturating_sub(deviation) };
        }
        Duration::from_millis(wait.min(max))
    }
}

/// Zero means the default, as in the reference: a client that does not wait would spin.
fn millis(duration: Duration, default: u64) -> u64 {
    match u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) {
        0 => default,
        millis => millis,
    }
}

/// Milliseconds before the first attempt.
const DEFAULT_DELAY: u64 = 1000;
/// Milliseconds before any attempt, at most.
const DEFAULT_MAX_DELAY: u64 = 5000;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn delays(config: &Reconnection, seed: u64, count: usize) -> Vec<u128> {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(seed));
        (0..count).map(|_| backoff.next(config, &mut random).as_millis()).collect()
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let config = Reconnection { jitter: 0.0, ..Reconnection::default() };
        assert_eq!(delays(&config, 1, 5), [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(delays(&config, 1, 100)[99], 5000);
    }

    #[test]
    fn a_jitter_of_none_or_more_than_all_means_no_jitter() {
        for jitter in [0.0, -0.5, 1.5, f64::NAN] {
            let config = Reconnection { jitter, ..Reconnection::default() };
            assert_eq!(delays(&config, 1, 3), [1000, 2000, 4000], "{jitter}");
        }
    }

    #[test]
    fn the_sequence_follows_from_the_seed_and_the_formula() {
        let config = Reconnection { max_delay: Duration::from_secs(1 << 40), ..Reconnection::default() };
        let mut random = Random::new(42);
        let expected: Vec<u128> = (0..20)
            .map(|attempt| {
                let base = 1000_u64 << attempt;
                let chance = random.fraction();
                let deviation = (chance * 0.5 * base as f64) as u64;
                let odd = ((chance * 10.0) as u64) % 2 == 1;
                u128::from(if odd { base + deviation } else { base - deviation })
            })
            .collect();
        assert_eq!(delays(&config, 42, 20), expected);
        assert_eq!(expected[..4], [1370, 2159, 3443, 9376]);
    }

    #[test]
    fn the_cap_comes_after_the_jitter() {
        let config = Reconnection { jitter: 1.0, ..Reconnection::default() };
        let all: Vec<_> = (0..100).flat_map(|seed| delays(&config, seed, 8)).collect();
        assert!(all.iter().all(|&delay| (1..=5000).contains(&delay)));
        // Were it the other way round, a late delay would always be short of the cap or past it.
        assert!((0..100).any(|seed| delays(&config, seed, 8)[7] == 5000));
    }

    #[test]
    fn zero_delays_mean_the_defaults() {
        let config = Reconnection {
            delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            jitter: 0.0,
            max_attempts: None,
        };
        assert_eq!(delays(&config, 1, 4), [1000, 2000, 4000, 5000]);
    }

    #[test]
    fn after_a_success_the_delays_begin_anew() {
        let config = Reconnection { jitter: 0.0, ..Reconnection::default() };
        let (mut backoff, mut random) = (Backoff::default(), Random::new(1));
        backoff.next(&config, &mut random);
        backoff.next(&config, &mut random);
        assert_eq!(backoff.attempts(), 2);
        backoff.reset();
        assert_eq!(backoff.next(&config, &mut random), Duration::from_millis(1000));
    }
}
