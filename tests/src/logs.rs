//! What was logged, by anybody in this process.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError};

use socketio_driver::transcript::TARGET;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Begins to keep what is logged as a warning or an error. Once is enough for a process.
pub fn keep() {
    keep_up_to(Level::WARN);
}

/// Begins to keep what this library logs, down to `level`. The first in a process decides.
pub fn keep_up_to(level: Level) {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        // Whoever was first keeps nothing for us; a case that asks for lines then fails and says so.
        let _ = tracing::subscriber::set_global_default(Keeper { level, target: "socketio", file: None });
    });
}

/// Begins to write the transcript of every client of this process into `file`, and keeps nothing else.
///
/// # Panics
/// When something is kept already.
pub fn write_transcripts(file: File) {
    let writer = Keeper { level: Level::TRACE, target: TARGET, file: Some(Mutex::new(file)) };
    tracing::subscriber::set_global_default(writer).expect("nobody listens to the log yet");
}

/// Every line that contains `part`, as `LEVEL field=value …`. Cases run side by side: look for what only one of them
/// logs.
pub fn containing(part: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(part)).cloned().collect()
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keeper {
    level: Level,
    /// What the targets begin with.
    target: &'static str,
    /// Where lines go instead of the memory.
    file: Option<Mutex<File>>,
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with(self.target)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Fields(&mut line));
        if let Some(file) = &self.file {
            line.push('\n');
            // One write for a line: the last one before the process is killed is whole.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
            return;
        }
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
