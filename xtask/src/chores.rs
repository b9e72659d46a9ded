//! `cargo xtask ci`: what is checked besides the tests.

use std::fs;
use std::io;

use crate::command::Command;
use crate::report::Report;
use crate::{dependencies, root};

/// Runs every check; one that fails does not stop the next.
pub(crate) fn run(report: &mut Report) -> io::Result<()> {
    report.run("formatting", &Command::cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.run("clippy", &Command::cargo(&clippy))?;
    let docs = Command::cargo(&["doc", "--workspace", "--no-deps"]);
    report.run("docs", &docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    core_on_bare_metal(report)?;
    core_without_std(report)?;
    dependencies::check(report)?;
    licences(report)
}

/// Builds the core for a machine without an operating system, where `std` does not exist.
fn core_on_bare_metal(report: &mut Report) -> io::Result<()> {
    const NAME: &str = "core for bare metal";
    let installed =
        Command::new("rustup").args(&["target", "list", "--installed"]).output().unwrap_or_default();
    // `none` in place of an operating system; `wasm32v1-none` is the WebAssembly of that kind.
    match installed.lines().find(|target| target.split('-').any(|part| part == "none")) {
        Some(target) => {
            let build = ["build", "--package", "socketio-core", "--target", target];
            report.run(&format!("{NAME}, {target}"), &Command::cargo(&build)).map(drop)
        }
        None => report
            .absent(NAME, "no such target here (rustup target add thumbv7em-none-eabi); see the next step"),
    }
}

/// Builds a program on the core that brings its own panic handler: with `std` anywhere in the graph there are two,
/// which the compiler refuses.
fn core_without_std(report: &mut Report) -> io::Result<()> {
    const FOLDER: &str = "tests/no-std";
    // It is not a member of the workspace, whose other members would switch on `std` features of shared dependencies;
    // yet it is to be built with the same versions.
    fs::copy(root().join("Cargo.lock"), root().join(FOLDER).join("Cargo.lock"))?;
    let target = dependencies::Workspace::read().map_err(io::Error::other)?.target_directory;
    let build =
        Command::cargo(&["build"]).dir(root().join(FOLDER)).env("CARGO_TARGET_DIR", target.join("no-std"));
    report.run("core without std", &build).map(drop)
}

fn licences(report: &mut Report) -> io::Result<()> {
    const NAME: &str = "licences and advisories";
    if Command::cargo(&["deny", "--version"]).output().is_err() {
        return report.absent(NAME, "no cargo-deny here (cargo install --locked cargo-deny)");
    }
    report.run(NAME, &Command::cargo(&["deny", "check"])).map(drop)
}
