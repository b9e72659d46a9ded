//! Transcripts out of a log, and whether they replay.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_driver::transcript::{Entry, Line, Mismatch, Out, OutEvent, Replay, client};

/// The transcripts of a server in a log, by the number of the client, each line with its number in the log. Lines of
/// anything else are passed over, and so is what stands before and behind a transcript's line.
///
/// # Errors
/// When something begins like a line of a transcript and is none.
pub fn transcripts(log: &str) -> Result<Transcripts<Line>, Failure> {
    gather(log, r#"{"client":"#, |line: &Line| line.client)
}

/// The transcripts of clients of ours in a log: see [`transcripts`].
///
/// # Errors
/// As [`transcripts`].
pub fn client_transcripts(log: &str) -> Result<Transcripts<client::Line>, Failure> {
    gather(log, r#"{"connection":"#, |line: &client::Line| line.connection)
}

/// The lines of each, with their numbers in the log.
pub type Transcripts<L> = BTreeMap<u64, Vec<(usize, L)>>;

fn gather<L: DeserializeOwned>(
    log: &str,
    beginning: &str,
    of: impl Fn(&L) -> u64,
) -> Result<Transcripts<L>, Failure> {
    let mut all = Transcripts::new();
    for (index, text) in log.lines().enumerate() {
        let Some(start) = text.find(beginning) else { continue };
        let mut json = serde_json::Deserializer::from_str(&text[start..]);
        let line = L::deserialize(&mut json).map_err(|error| Failure {
            line: index + 1,
            text: text.to_owned(),
            fault: Fault::Unreadable(error.to_string()),
        })?;
        all.entry(of(&line)).or_default().push((index + 1, line));
    }
    Ok(all)
}

/// Replays every transcript in a log.
///
/// # Errors
/// The first [`Failure`].
pub fn replay(log: &str) -> Result<Replayed, Failure> {
    let mut replayed = Replayed::default();
    for lines in transcripts(log)?.into_values() {
        let mut replay = Replay::default();
        for (number, line) in &lines {
            replay.step(line).map_err(|mismatch| Failure::new(*number, line, mismatch))?;
        }
        replayed.clients += 1;
        replayed.lines += lines.len();
        if let Some((number, line)) = lines.last()
            && matches!(line.entry, Entry::Out(Out::Event(OutEvent::Closed(_))))
        {
            at_its_end(replay.rest(), *number, line)?;
            replayed.ended += 1;
        }
    }
    for lines in client_transcripts(log)?.into_values() {
        let mut replay = client::Replay::default();
        for (number, line) in &lines {
            replay.step(line).map_err(|mismatch| Failure::new(*number, line, mismatch))?;
        }
        replayed.connections += 1;
        replayed.lines += lines.len();
        if let Some((number, line)) = lines.last()
            && replay.is_at_rest()
        {
            at_its_end(replay.rest(), *number, line)?;
            replayed.ended += 1;
        }
    }
    Ok(replayed)
}

fn at_its_end<O: Debug + Serialize>(
    rest: Vec<O>,
    number: usize,
    line: &impl fmt::Display,
) -> Result<(), Failure> {
    match rest.into_iter().next() {
        Some(out) => Err(Failure::new(number, line, Mismatch::More { found: Box::new(out) })),
        None => Ok(()),
    }
}

/// What was replayed without a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many clients of a server.
    pub clients: usize,
    /// How many clients of ours.
    pub connections: usize,
    /// How many of both to their end.
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
    /// The peer, or the manager, does something else.
    Mismatch(String),
}

impl Failure {
    fn new(line: usize, text: &impl fmt::Display, mismatch: impl fmt::Display) -> Self {
        Self { line, text: text.to_string(), fault: Fault::Mismatch(mismatch.to_string()) }
    }
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
        let Self { clients, connections, ended, lines } = self;
        write!(
            f,
            "{clients} clients of a server and {connections} clients replayed, {ended} of them to their end: {lines} lines, no difference"
        )
    }
}
