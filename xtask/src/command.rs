//! A program to run: with its output in a file, and with an end even where nobody can press Ctrl-C.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::{report, root};

/// A program, its arguments, and where it runs: at the root of the repository unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(&'static str, OsString)>,
    dir: PathBuf,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly(ExitStatus),
    /// It was killed after [`TIME_LIMIT`].
    TimedOut,
}

impl Command {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), args: Vec::new(), envs: Vec::new(), dir: root().to_owned() }
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(args: &[&str]) -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(args)
    }

    pub(crate) fn args(mut self, args: &[impl AsRef<OsStr>]) -> Self {
        self.args.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.envs.push((name, value.into()));
        self
    }

    pub(crate) fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    fn to_std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.dir);
        command
    }

    /// Starts it with this terminal.
    pub(crate) fn spawn(&self) -> io::Result<Child> {
        self.to_std().spawn()
    }

    /// Runs it without input, and returns what it printed to its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error then holds what it printed to its standard error.
    pub(crate) fn output(&self) -> Result<String, String> {
        let output =
            self.to_std().stdin(Stdio::null()).output().map_err(|error| format!("{self}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{self}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it without input, everything it prints going to the file `log`.
    pub(crate) fn log_to(&self, log: &Path) -> io::Result<Ended> {
        let log = File::create(log)?;
        let mut command = self.to_std();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // At a terminal, Ctrl-C has to reach everything this program starts. Elsewhere the time limit has to.
        if io::stdin().is_terminal() {
            return Ok(Ended::of(command.status()?));
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let start = report::now();
        while start.elapsed() < TIME_LIMIT {
            if let Some(status) = child.try_wait()? {
                return Ok(Ended::of(status));
            }
            sleep(Duration::from_millis(20));
        }
        kill_group(&mut child)?;
        Ok(Ended::TimedOut)
    }
}

impl Ended {
    fn of(status: ExitStatus) -> Self {
        if status.success() { Self::Well } else { Self::Badly(status) }
    }
}

/// The command as one would type it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &OsStr| {
            let text = text.to_string_lossy();
            if text.contains([' ', '*', '"']) { format!("'{text}'") } else { text.into_owned() }
        };
        if let Ok(dir) = self.dir.strip_prefix(root())
            && dir != Path::new("")
        {
            write!(f, "cd {} && ", dir.display())?;
        }
        for (name, value) in &self.envs {
            write!(f, "{name}={} ", quoted(value))?;
        }
        // Without the folder: `cargo`, not the toolchain's path.
        f.write_str(&quoted(Path::new(&self.program).file_stem().unwrap_or(&self.program)))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// Kills a child that leads a process group, and with it what it has started.
fn kill_group(child: &mut Child) -> io::Result<()> {
    if cfg!(unix) {
        let group = format!("-{}", child.id());
        std::process::Command::new("kill").args(["-KILL", "--", &group]).status()?;
    }
    child.kill()?;
    child.wait().map(drop)
}

/// No step takes a third of this on two slow cores.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let command = Command::new("/usr/bin/node").args(&["run.js", "a b"]).env("PORT", "1");
        assert_eq!(command.dir(root().join("tests/x")).to_string(), "cd tests/x && PORT=1 node run.js 'a b'");
    }

    #[cfg(unix)]
    #[test]
    fn what_a_program_prints_and_how_it_ends_is_known() {
        let log = std::env::temp_dir().join(format!("xtask-{}.log", std::process::id()));
        let ended = Command::new("sh").args(&["-c", "echo out; echo err >&2; exit 3"]).log_to(&log).unwrap();
        assert!(matches!(ended, Ended::Badly(status) if status.code() == Some(3)));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "out\nerr\n");
        std::fs::remove_file(log).unwrap();
        assert_eq!(Command::new("echo").args(&["hi"]).output().as_deref(), Ok("hi\n"));
        assert!(Command::new("no-such-program").output().unwrap_err().starts_with("no-such-program: "));
    }
}
