//! How many tests passed, from what test runners print.

use std::ops::AddAssign;

/// A number of tests, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Tally {
    /// Adds up the closing lines of every runner we use:
    ///
    /// ```text
    /// test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s   (cargo test)
    /// 12 passed, 0 failed                                                                             (tests/interop)
    /// 1 skipped                                                                                       (tests/interop)
    /// ℹ pass 7                                                                                        (node --test)
    /// ```
    pub(crate) fn of(log: &str) -> Self {
        let mut tally = Self::default();
        for line in log.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
                counts.split("; ").for_each(|count| tally.add(count));
            } else if let Some(count) = line.strip_prefix("ℹ ") {
                let (word, number) = count.split_once(' ').unwrap_or_default();
                tally.add(&format!("{number} {word}"));
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                line.split(", ").for_each(|count| tally.add(count));
            }
        }
        tally
    }

    /// Adds `3 passed`; whatever else is ignored.
    fn add(&mut self, count: &str) {
        let Some((number, word)) = count.split_once(' ') else { return };
        let Ok(number) = number.parse::<u32>() else { return };
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_is_added_up_over_its_binaries() {
        let log = "test a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n";
        assert_eq!(Tally::of(log), Tally { passed: 5, failed: 1, skipped: 1 });
    }

    #[test]
    fn the_node_runners_are_understood() {
        assert_eq!(
            Tally::of("FAIL x\n2 skipped\n12 passed, 1 failed\n"),
            Tally { passed: 12, failed: 1, skipped: 2 }
        );
        let log = "✔ two people talk (3.2ms)\nℹ tests 9\nℹ suites 0\nℹ pass 7\nℹ fail 1\nℹ cancelled 0\n\
            ℹ skipped 1\nℹ duration_ms 1200.5\n";
        assert_eq!(Tally::of(log), Tally { passed: 7, failed: 1, skipped: 1 });
    }

    #[test]
    fn other_lines_count_for_nothing() {
        assert_eq!(Tally::of("3 files changed, 2 insertions\n127.0.0.1 failed\nℹ\n"), Tally::default());
    }
}
