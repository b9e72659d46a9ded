//! The client side of the side-by-side benchmark: drives any Socket.IO server that keeps the contract in `../README.md`.
//!
//! One thread, raw TCP, hand-written framing: it must never be the bottleneck. Every reply is compared byte by byte, and a
//! reply that overtakes an older one of its connection is counted. The main figure is the CPU time of the server process,
//! from `/proc` (Linux only), per operation. Prints one line of JSON.
//!
//! ```text
//! loadgen --addr 127.0.0.1:4000 --pid PID --scenario echo|ack|bin|bcast|room|rooms|connect-ws|connect-upgrade|polling|idle|heartbeat
//!         [--conns 64] [--idle 0] [--window 16] [--size 64] [--rooms 100]
//!         [--warm 200000] [--warm-secs 1] [--total 2000000] [--secs 3] [--hold 15]
//! ```
mod http;
mod link;
mod sample;
mod scenario;
mod tally;
mod ws;

use std::process::ExitCode;

use crate::link::Target;

/// What to do. The first occurrence of an option counts.
pub(crate) struct Args {
    pub(crate) target: Target,
    /// The server's process.
    pub(crate) pid: u32,
    pub(crate) scenario: String,
    /// Connections that take part.
    pub(crate) conns: usize,
    /// Further connections that stay silent.
    pub(crate) idle: usize,
    /// Operations in flight: per connection, or of each broadcaster.
    pub(crate) window: usize,
    /// The measured part ends after so many operations …
    pub(crate) total: u64,
    /// … or after so many seconds, whichever comes first.
    pub(crate) secs: f64,
    /// The same for what is not measured, before it.
    pub(crate) warm: u64,
    pub(crate) warm_secs: f64,
    /// Bytes in a message.
    pub(crate) size: usize,
    pub(crate) rooms: usize,
    /// Seconds that idle connections are held.
    pub(crate) hold: f64,
}

impl Args {
    fn parse() -> Result<Self, String> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let text = |name: &str, default: &str| {
            let at = given.iter().position(|arg| arg.strip_prefix("--") == Some(name));
            at.and_then(|at| given.get(at + 1).cloned()).unwrap_or_else(|| default.to_owned())
        };
        let number = |name: &str, default: &str| -> Result<f64, String> {
            let value = text(name, default);
            value.parse().map_err(|_| format!("--{name} {value}: not a number"))
        };
        Ok(Self {
            target: Target { addr: text("addr", "127.0.0.1:4000"), path: text("path", "/socket.io/") },
            pid: number("pid", "0")? as u32,
            scenario: text("scenario", "echo"),
            conns: number("conns", "64")? as usize,
            idle: number("idle", "0")? as usize,
            window: number("window", "16")?.clamp(1.0, tally::RING as f64 / 2.0) as usize,
            total: number("total", "2000000")? as u64,
            secs: number("secs", "3")?.min(60.0),
            warm: number("warm", "200000")?.max(1.0) as u64,
            warm_secs: number("warm-secs", "1")?,
            size: number("size", "64")?.max(4.0) as usize,
            rooms: number("rooms", "100")?.max(1.0) as usize,
            hold: number("hold", "15")?,
        })
    }
}

fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    let result = runtime.and_then(|runtime| local.block_on(&runtime, scenario::run(&args)));
    let is_ok = result.is_ok();
    let mut report = result.unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }));
    report["scenario"] = args.scenario.into();
    println!("{report}");
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
