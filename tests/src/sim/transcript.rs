//! What happened in a simulation, for the person who has to find out why it failed.

use std::collections::VecDeque;
use std::fmt::{self, Display, Write as _};

use socketio_core::Instant;

/// The last lines, and a fingerprint of everything.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    lines: VecDeque<String>,
    dropped: u64,
    fingerprint: Fingerprint,
}

impl Transcript {
    pub(super) fn push(&mut self, now: Instant, line: impl Display) {
        let line = format!("{now:?} {line}");
        self.fingerprint.mix(line.as_bytes());
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }

    /// Counts for the fingerprint and is not worth a line.
    pub(super) fn mix(&mut self, number: u64) {
        self.fingerprint.mix(&number.to_le_bytes());
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint.0
    }

    /// At most the last `lines` lines.
    pub(super) fn tail(&self, lines: usize) -> String {
        let skipped = self.lines.len().saturating_sub(lines);
        let mut text = String::new();
        let missing = self.dropped + skipped as u64;
        if missing > 0 {
            let _ = writeln!(text, "({missing} earlier lines)");
        }
        for line in self.lines.iter().skip(skipped) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// FNV-1a.
struct Fingerprint(u64);

impl Fingerprint {
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Enough for any failure worth reading, little enough for a long fuzzing run.
const LINES: usize = 20_000;
