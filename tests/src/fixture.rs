//! The fixture server of `interop/FIXTURE.md`, as a process beside the test: the one that `SERVER_CMD` starts (the
//! reference, in the interop run), or ours.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// A server with options, until it is dropped.
pub struct Fixture {
    options: Vec<(String, String)>,
    process: Mutex<Process>,
    port: u16,
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Lines that somebody else waits for.
    passed_over: Vec<Value>,
}

impl Fixture {
    /// Starts a server with these environment variables.
    ///
    /// # Panics
    /// When it is not ready in time.
    pub fn start(options: &[(&str, &str)]) -> Self {
        let options: Vec<_> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (process, port) = Process::start(&options, 0);
        Self { options, process: Mutex::new(process), port }
    }

    /// Where it is: `http://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, without a word to its clients.
    pub fn kill(&self) {
        self.with(Process::kill);
    }

    /// Starts it again where it was, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// When it is not ready in time.
    pub fn start_again(&self) {
        self.with(|process| *process = Process::start(&self.options, self.port).0);
    }

    /// Stops it without ending it: its connections stay, and say nothing.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.with(|process| process.child.id());
        // The shell's own: not every machine has it as a program.
        let status = Command::new("sh").args(["-c", &format!("kill -s {signal} {id}")]).status();
        assert!(status.expect("kill").success());
    }

    /// Makes the server close, as its application would.
    ///
    /// # Panics
    /// When it does not.
    pub fn close(&self) {
        self.with(|process| {
            process.command("close");
            process.wait_for("closed");
        });
    }

    /// Sessions, sockets and rooms.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn stats(&self) -> [u64; 3] {
        let stats = self.with(|process| {
            process.command("stats");
            process.wait_for("stats")
        });
        ["engines", "sockets", "rooms"].map(|name| stats[name].as_u64().expect("a number"))
    }

    /// The reason for which it saw this socket leave.
    ///
    /// # Panics
    /// When it does not, in time.
    pub fn reason(&self, socket: &str) -> String {
        self.with(|process| {
            let found = process.wait_until("disconnect", |line| line["id"] == socket);
            found["reason"].as_str().expect("text").to_owned()
        })
    }

    fn with<R>(&self, ask: impl FnOnce(&mut Process) -> R) -> R {
        ask(&mut self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Process {
    fn start(options: &[(String, String)], port: u16) -> (Self, u16) {
        let command = std::env::var("SERVER_CMD").unwrap_or_else(|_| own());
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .envs(options.iter().map(|(name, value)| (name, value)))
            .env("PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let process = Self { child, input, lines, passed_over: Vec::new() };
        let ready = process.lines.recv_timeout(PATIENCE);
        let ready = ready.unwrap_or_else(|error| panic!("{command}: not ready: {error}"));
        let port = ready.strip_prefix("ready ").and_then(|port| port.parse().ok());
        (process, port.unwrap_or_else(|| panic!("{command} says {ready}")))
    }

    fn command(&mut self, command: &str) {
        let input = self.input.as_mut().expect("a living server");
        writeln!(input, "{command}").expect("a server that listens");
    }

    fn wait_for(&mut self, name: &str) -> Value {
        self.wait_until(name, |_| true)
    }

    /// The next line of that name that is right.
    fn wait_until(&mut self, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let matches = |line: &Value| line.get(name).is_some_and(&is_right);
        if let Some(index) = self.passed_over.iter().position(matches) {
            return self.passed_over.remove(index)[name].take();
        }
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(error @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("the server did not say {name}: {error}; it said {:?}", self.passed_over)
                }
            };
            let mut line: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if matches(&line) {
                return line[name].take();
            }
            self.passed_over.push(line);
        }
    }

    fn kill(&mut self) {
        // It ends at the end of its input as well, but takes its time.
        drop(self.child.kill());
        drop(self.child.wait());
        self.input = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("options", &self.options)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Our own, which cargo has built beside this test.
fn own() -> String {
    let mut path = std::env::current_exe().expect("the path of this test");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    format!("exec \"{}\"", path.join("fixture").display())
}

/// Far longer than anything takes on any machine.
const PATIENCE: Duration = Duration::from_secs(30);
