//! `cargo xtask bench`: the servers side by side, the parsers side by side, and the gate on instruction counts.
//!
//! This part builds and installs; `benches/runner` measures and writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pico_args::Arguments;

use crate::command::Command;
use crate::tools;
use crate::{artifacts, root};

/// What to do.
#[derive(Debug)]
pub(crate) enum Bench {
    /// Measure.
    Run { out: PathBuf, codec: bool, options: Vec<String> },
    /// Fill the documents from an earlier run.
    Report { file: PathBuf },
}

/// Where things are, from the root of the repository.
const PEERS: &str = "benches/peers";
const RUNNER: &str = "benches/runner";

impl Bench {
    pub(crate) fn parse(args: &mut Arguments) -> Result<Self, Box<dyn std::error::Error>> {
        let path = |text: &std::ffi::OsStr| Ok::<_, String>(PathBuf::from(text));
        if let Some(file) = args.opt_value_from_os_str("--report", path)? {
            return Ok(Self::Report { file: std::path::absolute(file)? });
        }
        let out = args.opt_value_from_os_str("--out", path)?.map(std::path::absolute).transpose()?;
        let mut options = Vec::new();
        for name in ["--servers", "--scenarios", "--reps", "--secs", "--pin"] {
            if let Some(value) = args.opt_value_from_str::<_, String>(name)? {
                options.extend([name.to_owned(), value]);
            }
        }
        for name in ["--quick", "--merge"] {
            if args.contains(name) {
                options.push(name.into());
            }
        }
        let codec = args.contains("--codec");
        if codec {
            options.push("--codec".into());
            // The parsers alone, unless servers are asked for too.
            if !options.iter().any(|option| option == "--scenarios") {
                options.extend(["--scenarios".into(), "none".into()]);
            }
        }
        Ok(Self::Run { out: out.unwrap_or_else(|| artifacts().join("bench.json")), codec, options })
    }

    /// Fails when the machinery does; a measurement that failed is in the exit code, a missed target is a result.
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        let python = tools::python().map_err(|missing| missing.to_string())?;
        let runner = Command::new(python.clone()).args(&[RUNNER]);
        match self {
            Self::Report { file } => {
                spawn(&runner.args(&["report".as_ref(), file.as_os_str()]))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Run { out, codec, options } => {
                if !cfg!(target_os = "linux") {
                    return Err("the CPU time of a server is read from /proc, so this needs Linux".into());
                }
                let runner = runner.args(&["run".as_ref(), "--out".as_ref(), out.as_os_str()]).args(&options);
                let runner = runner.args(&prepare(&python, codec)?);
                Ok(ExitCode::from(u8::from(spawn(&runner).is_err())))
            }
        }
    }
}

/// Builds and installs what is to be compared. What this machine lacks is said, and left out of the comparison.
fn prepare(python: &Path, codec: bool) -> Result<Vec<String>, String> {
    // One after the other, or their dependencies would have the features of both.
    for package in ["socketio-bench-servers", "socketio-bench-loadgen"] {
        spawn(&Command::cargo(&["build", "--release", "--package", package]))?;
    }
    let peers = ["build", "--release", "--target-dir", "../../target/peers"];
    let peers = Command::cargo(&peers).dir(root().join(PEERS));
    spawn(&peers.clone().args(&["--workspace", "--exclude", "parsers"]))?;
    if codec {
        // On its own, or its features would be those of the servers and the other way round.
        spawn(&peers.args(&["--package", "parsers"]))?;
    }
    let mut missing = Vec::new();
    let mut leave_out = |needs: &str, why: String| {
        eprintln!("left out: {needs}: {why}");
        missing.extend(["--missing".to_owned(), format!("{needs}={why}")]);
    };
    if let Err(why) = node(codec) {
        leave_out("node", why);
    }
    if let Err(why) = python_server(python) {
        leave_out("python", format!("{why:.300}"));
    }
    Ok(missing)
}

/// Node.js and what npm brings, Bun among it.
fn node(codec: bool) -> Result<(), String> {
    tools::node().map_err(|missing| missing.to_string())?;
    let npm = tools::npm().map_err(|missing| missing.to_string())?;
    for folder in ["node", "node-native", "bun"].into_iter().chain(codec.then_some("parsers/node")) {
        if let Some(install) = tools::npm_ci(&npm, &format!("{PEERS}/{folder}")) {
            eprintln!("{install}");
            install.output()?;
        }
    }
    Ok(())
}

/// python-socketio, in an environment of its own.
fn python_server(python: &Path) -> Result<(), String> {
    let folder = root().join(PEERS).join("python");
    let read = |file: PathBuf| fs::read(&file).map_err(|error| format!("{}: {error}", file.display()));
    let required = read(folder.join("requirements.txt"))?;
    let installed = folder.join(".venv/installed.txt");
    if fs::read(&installed).ok().as_ref() == Some(&required) {
        return Ok(());
    }
    Command::new(python).args(&["-m", "venv", "--clear", ".venv"]).dir(&folder).output()?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    let pip = Command::new(folder.join(".venv/bin/python")).args(&pip).dir(&folder);
    eprintln!("{pip}");
    pip.output()?;
    fs::write(installed, required).map_err(|error| error.to_string())
}

/// Runs a program with this terminal.
fn spawn(command: &Command) -> Result<(), String> {
    let wait = || -> io::Result<_> { command.spawn()?.wait() };
    match wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command}: {status}")),
        Err(error) => Err(format!("{command}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Vec<String> {
        match Bench::parse(&mut Arguments::from_vec(args.iter().map(Into::into).collect())).unwrap() {
            Bench::Run { options, .. } => options,
            Bench::Report { file } => panic!("to report {file:?}"),
        }
    }

    #[test]
    fn the_parsers_are_measured_alone_unless_servers_are_asked_for() {
        assert_eq!(options(&["--codec"]), ["--codec", "--scenarios", "none"]);
        assert_eq!(options(&["--codec", "--scenarios", "main"]), ["--scenarios", "main", "--codec"]);
        assert_eq!(options(&["--reps", "5"]), ["--reps", "5"]);
    }
}
