//! Where lines are gathered, under the lock of what they are about.

use std::fmt::Display;

use socketio_core::Instant;

use super::TARGET;

/// What can be written down about a state machine.
pub(super) trait Entry {
    /// The command before was not carried out.
    fn failed(reason: String) -> Self;

    /// There is no room for more.
    fn broken_off() -> Self;
}

/// Lines that wait for the pump, if anybody wants them.
#[derive(Debug)]
pub(super) struct Tape<E>(Option<Box<Lines<E>>>);

#[derive(Debug)]
struct Lines<E> {
    lines: Vec<(Instant, E)>,
    now: Instant,
}

impl<E: Entry> Tape<E> {
    /// Begins with `first`, if the log wants transcripts.
    pub(super) fn begin(first: impl FnOnce() -> E, now: Instant) -> Self {
        let wanted = tracing::enabled!(target: TARGET, tracing::Level::TRACE);
        Self(wanted.then(|| Box::new(Lines { lines: vec![(now, first())], now })))
    }

    pub(super) const fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// What was written down since the last call.
    pub(super) fn take(&mut self) -> Vec<(Instant, E)> {
        self.0.as_mut().map(|tape| std::mem::take(&mut tape.lines)).unwrap_or_default()
    }

    #[inline] // nearly nothing is ever written down
    pub(super) fn note_at(&mut self, now: Instant, entry: impl FnOnce() -> E) {
        if let Some(lines) = &mut self.0 {
            lines.now = now;
            lines.push(entry);
        }
    }

    /// Of what takes no time of its own.
    #[inline]
    pub(super) fn note(&mut self, entry: impl FnOnce() -> E) {
        if let Some(lines) = &mut self.0 {
            lines.push(entry);
        }
    }

    pub(super) fn note_failure(&mut self, error: &impl Display) {
        self.note(|| E::failed(error.to_string()));
    }
}

impl<E: Entry> Lines<E> {
    #[cold]
    fn push(&mut self, entry: impl FnOnce() -> E) {
        match self.lines.len() {
            0..MAX_LINES => self.lines.push((self.now, entry())),
            MAX_LINES => self.lines.push((self.now, E::broken_off())),
            _ => {}
        }
    }
}

/// Most lines that wait for the pump; it takes them whenever it has run. A program that gets there is stuck in a loop
/// that sends, and its transcript ends.
const MAX_LINES: usize = 100_000;
