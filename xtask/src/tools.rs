//! The programs of other people that some steps need, and how to get them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::root;

/// A program this machine lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    what: &'static str,
    /// The command that installs it on Debian.
    install: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing; install it with: {}", self.what, self.install)
    }
}

/// Node.js.
pub(crate) fn node() -> Result<PathBuf, Missing> {
    on_path(&["node", "nodejs"]).ok_or(Missing { what: "node", install: "sudo apt-get install -y nodejs" })
}

/// npm.
pub(crate) fn npm() -> Result<PathBuf, Missing> {
    on_path(&["npm"]).ok_or(Missing { what: "npm", install: "sudo apt-get install -y npm" })
}

/// Chromium or Chrome, the one named by the variable `CHROMIUM` before any other.
pub(crate) fn chromium() -> Result<PathBuf, Missing> {
    const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    std::env::var_os("CHROMIUM")
        .map(PathBuf::from)
        .or_else(|| on_path(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]))
        .or_else(|| Some(PathBuf::from(MAC)))
        .filter(|path| path.is_file())
        .ok_or(Missing { what: "chromium", install: "sudo apt-get install -y chromium" })
}

/// Python 3, with the modules that make an environment.
pub(crate) fn python() -> Result<PathBuf, Missing> {
    on_path(&["python3", "python"])
        .filter(|python| Command::new(python).args(&["-c", "import ensurepip, venv"]).output().is_ok())
        .ok_or(Missing { what: "python3 with venv", install: "sudo apt-get install -y python3 python3-venv" })
}

/// Valgrind.
pub(crate) fn valgrind() -> Result<PathBuf, Missing> {
    on_path(&["valgrind"])
        .ok_or(Missing { what: "valgrind", install: "sudo apt-get install -y valgrind libc6-dbg" })
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let find =
        |name| std::env::split_paths(&path).map(|dir| dir.join(executable(name))).find(|file| file.is_file());
    names.iter().copied().find_map(find)
}

fn executable(name: &str) -> String {
    match name {
        "npm" if cfg!(windows) => "npm.cmd".into(),
        _ => format!("{name}{}", std::env::consts::EXE_SUFFIX),
    }
}

/// The command that brings `node_modules` of a folder to what its lock file says, or `None` when it is there already.
pub(crate) fn npm_ci(npm: &Path, folder: &str) -> Option<Command> {
    let folder = root().join(folder);
    let written = |file: &str| folder.join(file).metadata().and_then(|data| data.modified()).ok();
    // npm writes this file last.
    let is_current = match (written("node_modules/.package-lock.json"), written("package-lock.json")) {
        (Some(installed), Some(locked)) => installed >= locked,
        _ => false,
    };
    let install = Command::new(npm).args(&["ci", "--no-audit", "--no-fund", "--loglevel=warn"]).dir(folder);
    (!is_current).then_some(install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_cure() {
        let missing = Missing { what: "chromium", install: "sudo apt-get install -y chromium" };
        assert_eq!(
            missing.to_string(),
            "chromium is missing; install it with: sudo apt-get install -y chromium"
        );
        assert_eq!(on_path(&["no-such-program-here"]), None);
    }
}
