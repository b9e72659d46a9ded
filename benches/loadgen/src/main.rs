//! The client side of the side-by-side benchmark: drives any Socket.IO server that keeps the contract in `../README.md`.
//!
//! One thread, raw TCP, hand-written framing: it must never be the bottleneck. Every reply is compared byte by byte, and a
//! reply that overtakes an older one of its connection is counted. The main figure is the CPU time of the server process,
//! by the kernel's clock for it (Linux only), per operation. Prints one line of JSON.
//!
//! ```text
//! loadgen --addr 127.0.0.1:4000 --pid PID --scenario echo|ack|bin|bcast|room|rooms|connect-ws|connect-upgrade|polling|idle|heartbeat
//!         [--conns 64] [--idle 0] [--window 16] [--size 64] [--rooms 100]
//!         [--warm 200000] [--warm-secs 1] [--total 2000000] [--secs 3] [--hold 15]
//! ```
#[cfg(test)]
mod fake;
mod http;
mod link;
mod order;
mod sample;
mod scenario;
mod slices;
mod tally;
mod ws;

use std::io;
use std::process::ExitCode;

use serde_json::Value;

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
    fn parse(given: &[String]) -> Result<Self, String> {
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
            pid: match number("pid", "0")? as u32 {
                0 => return Err("--pid: of the server".into()),
                pid => pid,
            },
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
    let given: Vec<_> = std::env::args().skip(1).collect();
    let args = match Args::parse(&given) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let result = run(&args);
    let is_ok = result.is_ok();
    let mut report = result.unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }));
    report["scenario"] = args.scenario.into();
    println!("{report}");
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The whole of it on this thread.
fn run(args: &Args) -> io::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, scenario::run(args))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, Order};

    /// What is measured of a server that answers in that order.
    fn measured(order: Order, scenario: &str) -> Value {
        let target = fake::serve(order).unwrap();
        let line = format!(
            "--scenario {scenario} --size 16 --warm 10 --warm-secs 60 --secs 60 --pid {}",
            std::process::id()
        );
        let given: Vec<_> = line.split(' ').map(str::to_owned).collect();
        run(&Args { target, ..Args::parse(&given).unwrap() }).unwrap()
    }

    #[test]
    fn a_server_that_breaks_the_order_is_found_out() {
        for scenario in [
            "echo --conns 1 --window 4 --total 200",
            "ack --conns 1 --window 4 --total 200",
            "bcast --conns 4 --window 2 --total 50",
        ] {
            let kept = measured(Order::Kept, scenario);
            assert_eq!(kept["overtaken"], 0, "{scenario}: {kept}");
            let swapped = measured(Order::PairsSwapped, scenario);
            // Every second answer comes before an older one.
            let (overtaken, completed) = (&swapped["overtaken"], &swapped["completed"]);
            let share = overtaken.as_f64().unwrap() / completed.as_f64().unwrap();
            assert!((share - 0.5).abs() < 0.05, "{scenario}: {swapped}");
        }
    }
}
