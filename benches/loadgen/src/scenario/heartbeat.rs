//! What a heartbeat of a silent connection costs. The server's interval is short here, so that there are some to count.
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::hold;
use crate::Args;
use crate::sample::{cpu, wakeups};
use crate::tally::round;

/// `--conns` connections are held for `--hold` seconds, after they have been there for a second and a half.
pub(crate) async fn run(args: &Args) -> io::Result<Value> {
    let heartbeats = Rc::new(Cell::new(0));
    let _stay = hold(&args.target, args.conns, &heartbeats).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (before, woken, seen) = (cpu(args.pid), wakeups(args.pid), heartbeats.get());
    tokio::time::sleep(Duration::from_secs_f64(args.hold)).await;
    let (after, seen) = (cpu(args.pid), heartbeats.get() - seen);
    let mut result = json!({
        "n": args.conns,
        "heartbeats": seen,
        "wakeups": wakeups(args.pid) - woken,
        "cpu_ms": round((after.running - before.running) * 1e3),
        "hold_s": args.hold,
    });
    // A server that sends none has no cost of one.
    if seen > 0 {
        result["cpu_us"] = round((after.running - before.running) * 1e6 / seen as f64).into();
    }
    Ok(result)
}
