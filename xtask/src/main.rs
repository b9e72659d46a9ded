//! `cargo xtask …`: everything one does with this repository, each in one command that sets up what it needs.

mod bench;
mod chores;
mod command;
mod demo;
mod dependencies;
mod gate;
mod report;
mod suites;
mod tally;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pico_args::Arguments;

use crate::bench::Bench;
use crate::report::Report;
use crate::suites::Suite;

const HELP: &str = "\
Usage: cargo xtask <command>

  demo [--port 3000]     the chat in release mode, for a browser
  test [--only SUITES]   every test; SUITES: unit, behaviour, doc, interop, browser (separated by commas)
  bench [OPTIONS]        our servers and other people's, side by side: the cost of a message, a connection, memory
                         --servers A,B   --scenarios A,B (or main, sweeps, all)   --reps 3   --secs 1.5   --quick
                         --codec         the parsers, alone unless --scenarios is given
                         --out FILE      --merge (keep what FILE holds and this run does not measure)
                         --report FILE   fills the tables and plots in docs/ from an earlier run
                         --gate          the codec's instruction counts against benches/baseline.json (--update: record them)
  ci                     formatting, lints, docs, no_std, dependency rules, every test, instruction counts

  -v, --verbose          print what each step printed, not only that of a failure

What is missing on this machine is named and skipped; with CI=true in the environment that is a failure.
";

fn main() -> ExitCode {
    match run(Arguments::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Fails on a usage error, or when the machinery itself does not work; a check that fails is a [`Report`]'s affair.
fn run(mut args: Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if args.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let verbose = args.contains(["-v", "--verbose"]);
    match args.subcommand()?.as_deref() {
        Some("demo") => {
            let port = args.opt_value_from_fn("--port", port)?.unwrap_or(3000);
            finish(args)?;
            Ok(demo::run(port)?)
        }
        Some("test") => {
            let only = args.opt_value_from_fn("--only", Suite::parse_list)?;
            finish(args)?;
            let mut report = Report::new(verbose)?;
            suites::run(&only.unwrap_or_else(|| Suite::ALL.to_vec()), &mut report)?;
            Ok(report.finish())
        }
        Some("bench") => {
            if args.contains("--gate") {
                let update = args.contains("--update");
                finish(args)?;
                let mut report = Report::new(verbose)?;
                gate::run(update, &mut report)?;
                return Ok(report.finish());
            }
            let bench = Bench::parse(&mut args)?;
            finish(args)?;
            Ok(bench.run()?)
        }
        Some("ci") => {
            finish(args)?;
            let mut report = Report::new(verbose)?;
            chores::run(&mut report)?;
            suites::run(Suite::ALL, &mut report)?;
            gate::run(false, &mut report)?;
            Ok(report.finish())
        }
        Some(other) => Err(format!("unknown command {other}\n\n{HELP}").into()),
        None => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("--port {text}: not a port; give a number from 1 to 65535"))
}

fn finish(args: Arguments) -> Result<(), String> {
    let rest = args.finish();
    if rest.is_empty() { Ok(()) } else { Err(format!("unknown arguments {rest:?}\n\n{HELP}")) }
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Where a run leaves what a person may want to look at: logs and screenshots.
fn artifacts() -> PathBuf {
    root().join("artifacts")
}
