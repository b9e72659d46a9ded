//! `cargo xtask test`: every test there is, with what it needs set up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::report::{Ignored, Report};
use crate::tools::{self, Missing};
use crate::{artifacts, dependencies, root};

/// A group of tests that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Beside the code.
    Unit,
    /// In `tests/` of each package: whole servers and clients, on every runtime.
    Behaviour,
    /// In the documentation.
    Doc,
    /// Other people's clients against our fixture server, the official ones under Node.js and python-socketio's; and our
    /// client against their servers.
    Interop,
    /// The chat's page in two windows of a browser.
    Browser,
}

impl Suite {
    pub(crate) const ALL: &'static [Self] =
        &[Self::Unit, Self::Behaviour, Self::Doc, Self::Interop, Self::Browser];

    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Behaviour => "behaviour",
            Self::Doc => "doc",
            Self::Interop => "interop",
            Self::Browser => "browser",
        }
    }

    /// The suites named in `list`, separated by commas.
    pub(crate) fn parse_list(list: &str) -> Result<Vec<Self>, String> {
        let parse = |name| {
            let known = Self::ALL.iter().copied().find(|suite| suite.name() == name);
            known.ok_or_else(|| {
                format!("unknown suite {name}; there are unit, behaviour, doc, interop, browser")
            })
        };
        list.split(',').map(parse).collect()
    }
}

/// Runs the chosen suites.
pub(crate) fn run(chosen: &[Suite], report: &mut Report) -> io::Result<()> {
    // One build of everything, so that all of it is built with the same features, once.
    let build = ["build", "--workspace", "--bins", "--tests", "--examples"];
    if !report.run("build", &Command::cargo(&build))? {
        return Ok(());
    }
    for suite in Suite::ALL.iter().filter(|suite| chosen.contains(suite)) {
        match suite {
            Suite::Unit => {
                cargo_test("unit tests", &["--lib", "--bins"], report)?;
                bench_report(report)?;
            }
            Suite::Behaviour => cargo_test("behaviour suites", &["--test", "*"], report)?,
            Suite::Doc => cargo_test("doc tests", &["--doc"], report)?,
            Suite::Interop => interop(report)?,
            Suite::Browser => browser(report)?,
        }
    }
    Ok(())
}

fn cargo_test(name: &str, targets: &[&str], report: &mut Report) -> io::Result<()> {
    let command = Command::cargo(&["test", "--workspace", "--no-fail-fast"]).args(targets);
    report.run_tests(name, &command, Ignored::ByChoice).map(drop)
}

/// What judges a benchmark, by figures that were made up. Python's standard library is enough.
fn bench_report(report: &mut Report) -> io::Result<()> {
    const NAME: &str = "unit tests, report of the benchmark";
    match tools::python() {
        Ok(python) => {
            let tests = ["-m", "unittest", "discover", "benches/runner"];
            report.run(NAME, &Command::new(python).args(&tests)).map(drop)
        }
        Err(missing) => report.skip(NAME, &missing),
    }
}

/// Where the suites with other people's clients are.
const INTEROP: &str = "tests/interop";

/// The servers on the core alone, and what they are for: the protocol, without the options and extras of the library.
const EMBEDDED: [&str; 2] = ["blocking", "mio"];
const EMBEDDED_SUITES: [&str; 4] = ["client-4", "msgpack", "raw-engine", "raw-socketio"];

/// The suite among them that needs more than Node.js.
const PYTHON: &str = "python";

/// What our client does with a server and python-socketio's has no such thing: recovery, and events before CONNECT.
const NOT_IN_PYTHON: [&str; 2] =
    ["recovery::what_was_missed", "namespaces::what_comes_before_the_answer_to_connect"];

fn interop(report: &mut Report) -> io::Result<()> {
    const NAME: &str = "interop, npm clients";
    const CLIENT_NAME: &str = "interop, our client and the npm server";
    const PYTHON_NAME: &str = "interop, python-socketio";
    const PYTHON_SERVER_NAME: &str = "interop, our client and python-socketio's server";
    let python = python_with_packages(report)?;
    match &python {
        Ok(python) => our_client(PYTHON_SERVER_NAME, python, "python/server.py", &NOT_IN_PYTHON, report)?,
        Err(unready) => unready.record(PYTHON_SERVER_NAME, report)?,
    }
    let node = match node_with_packages(INTEROP, report)? {
        Ok(node) => node,
        Err(unready) => {
            unready.record(NAME, report)?;
            unready.record(CLIENT_NAME, report)?;
            return unready.record(PYTHON_NAME, report);
        }
    };
    our_client(CLIENT_NAME, &node, "reference-server.js", &[], report)?;
    let command = Command::new(node).args(&["run.js"]).dir(root().join(INTEROP));
    let command = command.env("SERVER_CMD", exec(&built("fixture")?));
    let mut suites = Vec::new();
    for suite in fs::read_dir(root().join(INTEROP).join("suites"))? {
        suites.push(suite?.file_name());
    }
    suites.retain(|suite| suite != PYTHON);
    suites.sort();
    let transcripts = empty(target()?.join("transcripts"))?;
    let recorded = command.clone().args(&suites).env("TRANSCRIPTS", &transcripts);
    if report.run_tests(NAME, &recorded, Ignored::Skips)? {
        // What those clients did, again, in the core alone.
        report.run("interop, replayed", &Command::new(built("replay")?).args(&[transcripts]))?;
    }
    let async_std = command.clone().env("RUNTIME", "async-std");
    report.run_tests("interop, npm clients, async-std", &async_std.clone().args(&suites), Ignored::Skips)?;
    for server in EMBEDDED {
        let command = command.clone().env("SERVER_CMD", exec(&built(server)?)).args(&EMBEDDED_SUITES);
        report.run_tests(&format!("interop, npm clients, examples/{server}"), &command, Ignored::Skips)?;
    }
    match python {
        Ok(python) => {
            let on_tokio = command.args(&[PYTHON]).env("PYTHON", &python);
            report.run_tests(PYTHON_NAME, &on_tokio, Ignored::Skips)?;
            let on_async_std = async_std.args(&[PYTHON]).env("PYTHON", &python);
            report.run_tests("interop, python-socketio, async-std", &on_async_std, Ignored::Skips).map(drop)
        }
        Err(unready) => unready.record(PYTHON_NAME, report),
    }
}

/// Our client against somebody else's server, but for some of its tests.
fn our_client(
    name: &str,
    interpreter: &Path,
    server: &str,
    but: &[&str],
    report: &mut Report,
) -> io::Result<()> {
    let server = format!("{} \"{}\"", exec(interpreter), root().join(INTEROP).join(server).display());
    let skipped: Vec<_> = but.iter().flat_map(|test| ["--skip", test]).collect();
    let command = Command::cargo(&["test", "--package", "socketio-tests", "--test", "interop", "--"]);
    let command = command.args(&skipped).env("SERVER_CMD", server);
    report.run_tests(name, &command, Ignored::ByChoice).map(drop)
}

fn browser(report: &mut Report) -> io::Result<()> {
    const NAME: &str = "browser, two windows of the chat";
    const FOLDER: &str = "tests/browser";
    let chromium = match tools::chromium() {
        Ok(chromium) => chromium,
        Err(missing) => return report.skip(NAME, &missing),
    };
    let node = match node_with_packages(FOLDER, report)? {
        Ok(node) => node,
        Err(unready) => return unready.record(NAME, report),
    };
    let command = Command::new(node)
        .args(&["--test", "--test-reporter=spec", "chat.test.js"])
        .dir(root().join(FOLDER))
        .env("SERVER_CMD", exec(&built("chat")?))
        .env("CLIENT_DIR", root().join(FOLDER).join("node_modules/socket.io-client/dist"))
        .env("CHROMIUM", chromium)
        .env("ARTIFACTS", artifacts());
    report.run_tests(NAME, &command, Ignored::Skips).map(drop)
}

/// Why a suite cannot run.
#[derive(Clone, Copy)]
enum Unready {
    Missing(Missing),
    /// The failure is a step of its own.
    NotInstalled,
}

impl Unready {
    fn record(self, name: &str, report: &mut Report) -> io::Result<()> {
        match self {
            Self::Missing(missing) => report.skip(name, &missing),
            Self::NotInstalled => Ok(()),
        }
    }
}

/// Node.js, with the packages of a folder installed.
fn node_with_packages(folder: &str, report: &mut Report) -> io::Result<Result<PathBuf, Unready>> {
    let (node, npm) = match (tools::node(), tools::npm()) {
        (Ok(node), Ok(npm)) => (node, npm),
        (Err(missing), _) | (_, Err(missing)) => return Ok(Err(Unready::Missing(missing))),
    };
    if let Some(install) = tools::npm_ci(&npm, folder)
        && !report.run(&format!("npm ci, {folder}"), &install)?
    {
        return Ok(Err(Unready::NotInstalled));
    }
    Ok(Ok(node))
}

/// Python, in an environment of its own with the packages that its suite needs.
fn python_with_packages(report: &mut Report) -> io::Result<Result<PathBuf, Unready>> {
    let python = match tools::python() {
        Ok(python) => python,
        Err(missing) => return Ok(Err(Unready::Missing(missing))),
    };
    let folder = root().join(INTEROP);
    let required = fs::read(folder.join("python/requirements.txt"))?;
    let installed = folder.join(".venv/installed.txt");
    let own = folder.join(if cfg!(windows) { ".venv/Scripts/python.exe" } else { ".venv/bin/python" });
    if fs::read(&installed).ok().as_ref() != Some(&required) {
        let make = Command::new(python).args(&["-m", "venv", "--clear", ".venv"]).dir(&folder);
        let args = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            "python/requirements.txt",
        ];
        let install = Command::new(&own).args(&args).dir(&folder);
        if !report.run("python environment", &make)? || !report.run("pip install", &install)? {
            return Ok(Err(Unready::NotInstalled));
        }
        fs::write(installed, required)?;
    }
    Ok(Ok(own))
}

/// A program of this workspace, as the build step left it.
fn built(name: &str) -> io::Result<PathBuf> {
    Ok(target()?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

fn target() -> io::Result<PathBuf> {
    Ok(dependencies::Workspace::read().map_err(io::Error::other)?.target_directory)
}

/// A directory with nothing in it.
fn empty(directory: PathBuf) -> io::Result<PathBuf> {
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(&directory)?,
    }
    Ok(directory)
}

/// A shell's command that becomes that program, so that signals reach it.
fn exec(program: &Path) -> String {
    format!("exec \"{}\"", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_name() {
        assert_eq!(Suite::parse_list("unit,browser"), Ok(vec![Suite::Unit, Suite::Browser]));
        assert!(Suite::parse_list("unit,bowser").unwrap_err().contains("bowser"));
    }
}
