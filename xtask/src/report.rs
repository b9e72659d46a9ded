//! The steps of a run, as a person reads them: one line while it runs, the details of failures and a table at the end.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::artifacts;
use crate::command::{Command, Ended, TIME_LIMIT};
use crate::tally::Tally;
use crate::tools::Missing;

/// A run, step by step.
#[derive(Debug)]
pub(crate) struct Report {
    verbose: bool,
    /// Whether a skip is a failure.
    strict: bool,
    logs: PathBuf,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    duration: Duration,
    tally: Option<Tally>,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    /// With what to show of it at the end.
    Failed(String),
    /// Something it needs is missing on this machine.
    Skipped(String),
    /// There is nothing to run here, which is no fault.
    Absent(String),
}

impl Report {
    pub(crate) fn new(verbose: bool) -> io::Result<Self> {
        let logs = artifacts().join("logs");
        fs::create_dir_all(&logs)?;
        let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        Ok(Self { verbose, strict, logs, steps: Vec::new() })
    }

    /// Runs a program as a step. Returns whether it passed.
    pub(crate) fn run(&mut self, name: &str, command: &Command) -> io::Result<bool> {
        self.program(name, command, None)
    }

    /// The same for a program that runs tests, which are counted.
    pub(crate) fn run_tests(&mut self, name: &str, command: &Command, ignored: Ignored) -> io::Result<bool> {
        self.program(name, command, Some(ignored))
    }

    fn program(&mut self, name: &str, command: &Command, tests: Option<Ignored>) -> io::Result<bool> {
        begin(name)?;
        let start = now();
        let path = self.logs.join(format!("{}.log", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
        let ended = command.log_to(&path);
        let log = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        if self.verbose {
            print!("\n{log}");
        }
        let tally = tests.map(|_| Tally::of(&log));
        let fault = match ended {
            Err(error) => Some(error.to_string()),
            Ok(Ended::TimedOut) => Some(format!("killed after {} s", TIME_LIMIT.as_secs())),
            Ok(Ended::Badly(status)) => Some(status.to_string()),
            Ok(Ended::Well) => match tally {
                Some(tally) if tally.failed > 0 => Some("tests failed".into()),
                Some(tally) if tally.passed == 0 => Some("no test was run".into()),
                Some(tally) if tests == Some(Ignored::Skips) && tally.skipped > 0 && self.strict => {
                    Some(format!("{} tests were skipped, and CI=true allows none", tally.skipped))
                }
                _ => None,
            },
        };
        let outcome = match fault {
            None => Outcome::Passed,
            Some(fault) => {
                let (names, digest, path) = (failed_tests(&log), digest(&log), path.display());
                Outcome::Failed(format!("{command}\n{fault}\n\n{digest}\n{names}all of it: {path}"))
            }
        };
        self.end(name, outcome, start.elapsed(), tally);
        Ok(self.last_passed())
    }

    /// Makes a check as a step; its error is shown at the end. Returns whether it passed.
    pub(crate) fn check(
        &mut self,
        name: &str,
        check: impl FnOnce() -> Result<(), String>,
    ) -> io::Result<bool> {
        begin(name)?;
        let start = now();
        let outcome = check().map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.end(name, outcome, start.elapsed(), None);
        Ok(self.last_passed())
    }

    /// Records a step that needs something this machine lacks.
    pub(crate) fn skip(&mut self, name: &str, missing: &Missing) -> io::Result<()> {
        begin(name)?;
        let outcome = if self.strict {
            Outcome::Failed(format!("{missing}\n(with CI=true nothing may be skipped)"))
        } else {
            Outcome::Skipped(missing.to_string())
        };
        self.end(name, outcome, Duration::ZERO, None);
        Ok(())
    }

    /// Records a step that cannot be made on this machine and need not be.
    pub(crate) fn absent(&mut self, name: &str, why: &str) -> io::Result<()> {
        begin(name)?;
        self.end(name, Outcome::Absent(why.into()), Duration::ZERO, None);
        Ok(())
    }

    /// Prints the failures, the table and the closing line.
    pub(crate) fn finish(self) -> ExitCode {
        for step in &self.steps {
            if let Outcome::Failed(details) = &step.outcome {
                println!("\n──── {} ────\n{}", step.name, details.trim_end());
            }
        }
        println!("\n{:<NAME$} {:<7} {:>9} {:>7} {:>7} {:>8}", "", "", "time", "passed", "failed", "skipped");
        for Step { name, outcome, duration, tally } in &self.steps {
            print!("{name:<NAME$} {:<7} {:>7.1} s", outcome.word(), duration.as_secs_f32());
            match tally {
                Some(Tally { passed, failed, skipped }) => println!(" {passed:>7} {failed:>7} {skipped:>8}"),
                None => println!(),
            }
        }
        let total = self.total();
        println!();
        print!("{} passed, {} failed", total.passed, total.failed);
        if total.skipped > 0 {
            print!(", {} skipped", total.skipped);
        }
        println!();
        if total.failed == 0 && total.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Every test; a step that counts none is one.
    fn total(&self) -> Tally {
        let mut total = Tally::default();
        for step in &self.steps {
            let mut tally = step.tally.unwrap_or_default();
            match step.outcome {
                Outcome::Passed if step.tally.is_none() => tally.passed = 1,
                Outcome::Failed(_) => tally.failed = tally.failed.max(1),
                Outcome::Skipped(_) => tally.skipped = 1,
                Outcome::Passed | Outcome::Absent(_) => {}
            }
            total += tally;
        }
        total
    }

    fn end(&mut self, name: &str, outcome: Outcome, duration: Duration, tally: Option<Tally>) {
        print!("{:<7} {:>6.1} s", outcome.word(), duration.as_secs_f32());
        match (&outcome, tally) {
            (Outcome::Skipped(why) | Outcome::Absent(why), _) => println!("  {why}"),
            (_, Some(Tally { passed, failed, .. })) => println!("  {passed} passed, {failed} failed"),
            (_, None) => println!(),
        }
        self.steps.push(Step { name: name.into(), outcome, duration, tally });
    }

    fn last_passed(&self) -> bool {
        matches!(self.steps.last(), Some(Step { outcome: Outcome::Passed, .. }))
    }
}

/// What it means that a runner left tests out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// Their author chose so: `#[ignore]`.
    ByChoice,
    /// This machine lacks what they need.
    Skips,
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
            Self::Absent(_) => "none",
        }
    }
}

/// Says what is running, for whoever waits.
fn begin(name: &str) -> io::Result<()> {
    print!("{name:<NAME$} ");
    io::stdout().flush()
}

/// What a log says about a failure: its last lines, without cargo's progress and the tests that passed.
fn digest(log: &str) -> String {
    let is_progress = |line: &str| {
        let (trimmed, is_cargo) = (line.trim_start(), line.starts_with(' '));
        is_cargo && ["Checking ", "Compiling ", "Documenting "].iter().any(|word| trimmed.starts_with(word))
            || line.starts_with("test ") && line.ends_with("... ok")
            || line.starts_with("ok ")
            || trimmed.starts_with("✔ ")
    };
    let is_news = |line: &&str| !is_progress(line);
    let news: Vec<_> = log.lines().filter(is_news).collect();
    let from = news.len().saturating_sub(DIGEST_LINES);
    let mut text = if from > 0 { format!("… {from} lines before\n") } else { String::new() };
    for line in &news[from..] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The names of the tests that failed, one to a line, whoever ran them.
fn failed_tests(log: &str) -> String {
    let mut names = String::new();
    // Below that line `node --test` says everything again.
    for line in log.lines().take_while(|line| *line != "✖ failing tests:") {
        let cargo = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
        let node = || line.strip_prefix("FAIL ").or_else(|| line.trim_start().strip_prefix("✖ "));
        if let Some(name) = cargo.or_else(node) {
            names.push_str(&format!("failed: {name}\n"));
        }
    }
    names
}

/// The time, which nothing but the durations in a report depends on.
#[expect(clippy::disallowed_methods, reason = "this program runs on no runtime of ours")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Width of the names of steps.
const NAME: usize = 32;

/// Lines of a failed step that are shown.
const DIGEST_LINES: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: Vec<(Outcome, Option<Tally>)>) -> Report {
        let step = |(outcome, tally)| Step { name: "x".into(), outcome, duration: Duration::ZERO, tally };
        Report {
            verbose: false,
            strict: false,
            logs: PathBuf::new(),
            steps: steps.into_iter().map(step).collect(),
        }
    }

    #[test]
    fn a_step_without_tests_counts_as_one() {
        let tests = Tally { passed: 10, failed: 2, skipped: 3 };
        let total = report(vec![
            (Outcome::Passed, None),
            (Outcome::Failed(String::new()), Some(tests)),
            (Outcome::Failed(String::new()), None),
            (Outcome::Skipped(String::new()), None),
            (Outcome::Absent(String::new()), None),
        ])
        .total();
        assert_eq!(total, Tally { passed: 11, failed: 3, skipped: 4 });
    }

    #[test]
    fn a_runner_that_dies_without_a_failed_test_still_fails() {
        let total =
            report(vec![(Outcome::Failed(String::new()), Some(Tally { passed: 4, failed: 0, skipped: 0 }))]);
        assert_eq!(total.total().failed, 1);
    }

    #[test]
    fn failed_tests_are_named() {
        let log = "test a ... ok\ntest b::c ... FAILED\n\ntest b::c stdout ... FAILURE\n";
        assert_eq!(failed_tests(log), "failed: b::c\n");
        assert_eq!(failed_tests("FAIL upgrade > late\nAssertionError\n"), "failed: upgrade > late\n");
        assert_eq!(failed_tests("✔ a\n✖ b (3ms)\n✖ failing tests:\n✖ b (3ms)\n"), "failed: b (3ms)\n");
    }

    #[test]
    fn the_digest_drops_what_passed_and_keeps_the_end() {
        let log = "   Compiling a v1.0.0\ntest a ... ok\ntest b ... FAILED\n    Checking c v2.0.0\n  ✔ d\n";
        assert_eq!(digest(log), "test b ... FAILED\n");
        let long = "line\n".repeat(DIGEST_LINES + 5);
        assert!(digest(&long).starts_with("… 5 lines before\nline\n"));
    }
}
