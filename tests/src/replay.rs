//! Transcripts out of a log, and whether they replay.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use socketio_driver::transcript::{Entry, Line, Mismatch, Out, OutEvent, Replay};

/// The transcripts in a log, by the number of the client, each line with its number in the log. Lines of anything else
/// are passed over, and so is what stands before and behind a transcript's line.
///
/// # Errors
/// When something begins like a line of a transcript and is none.
pub fn transcripts(log: &str) -> Result<BTreeMap<u64, Vec<(usize, Line)>>, Failure> {
    let mut clients: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for (index, text) in log.lines().enumerate() {
        let Some(start) = text.find(START) else { continue };
        let mut json = serde_json::Deserializer::from_str(&text[start..]);
        let line = Line::deserialize(&mut json).map_err(|error| Failure {
            line: index + 1,
            text: text.to_owned(),
            fault: Fault::Unreadable(error.to_string()),
        })?;
        clients.entry(line.client).or_default().push((index + 1, line));
    }
    Ok(clients)
}

/// Replays every client in a log.
///
/// # Errors
/// The first [`Failure`].
pub fn replay(log: &str) -> Result<Replayed, Failure> {
    let mut replayed = Replayed::default();
    for lines in transcripts(log)?.into_values() {
        let mut replay = Replay::default();
        for (number, line) in &lines {
            replay.step(line).map_err(|mismatch| Failure {
                line: *number,
                text: line.to_string(),
                fault: Fault::Mismatch(mismatch),
            })?;
            replayed.lines += 1;
        }
        replayed.clients += 1;
        if let Some((number, line)) = lines.last()
            && matches!(line.entry, Entry::Out(Out::Event(OutEvent::Closed(_))))
        {
            if let Some(out) = replay.rest().into_iter().next() {
                let mismatch = Mismatch::More { found: Box::new(out) };
                let (line, text) = (*number, line.to_string());
                return Err(Failure { line, text, fault: Fault::Mismatch(mismatch) });
            }
            replayed.ended += 1;
        }
    }
    Ok(replayed)
}

/// What was replayed without a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many clients.
    pub clients: usize,
    /// How many of them to their end.
    pub ended: usize,
    /// How many lines.
    pub lines: usize,
}

/// A line that does not replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Its number in the log, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It is cut off, or not of this version.
    Unreadable(String),
    /// The peer does something else.
    Mismatch(Mismatch),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.fault {
            Fault::Unreadable(error) => write!(f, "cannot be read: {error}")?,
            Fault::Mismatch(mismatch) => write!(f, "{mismatch}")?,
        }
        write!(f, "\n  {}", self.text)
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, ended, lines } = self;
        write!(f, "{clients} clients replayed, {ended} of them to their end: {lines} lines, no difference")
    }
}

const START: &str = r#"{"client":"#;
