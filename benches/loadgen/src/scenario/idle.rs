//! What silent connections cost: memory while they are there and after they have gone, and CPU.
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::hold;
use crate::Args;
use crate::sample::{cpu, rss_kib, wakeups};
use crate::tally::round;

/// `--warm` connections stay all the time, so that the base holds what is allocated once. `--conns` more come, are held
/// for `--hold` seconds, go, and come again: whatever the second wave adds to the first is lost for good.
pub(crate) async fn run(args: &Args) -> io::Result<Value> {
    let fresh = rss_kib(args.pid);
    let warm = (args.warm as usize).min(1000);
    let heartbeats = Rc::new(Cell::new(0));
    let _stay = hold(&args.target, warm, &heartbeats).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let base = rss_kib(args.pid);
    let (before, start) = (cpu(args.pid), Instant::now());
    let wave = hold(&args.target, args.conns, &heartbeats).await?;
    let (connected, connect_secs) = (cpu(args.pid), start.elapsed().as_secs_f64());
    let now = rss_kib(args.pid);
    // The last answers are on their way, and garbage collectors at work.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (quiet, woken, seen) = (cpu(args.pid), wakeups(args.pid), heartbeats.get());
    tokio::time::sleep(Duration::from_secs_f64(args.hold)).await;
    let (held, woken, later) = (cpu(args.pid), wakeups(args.pid) - woken, rss_kib(args.pid));
    let seen = heartbeats.get() - seen;
    let gone = leave(args, wave).await;
    let wave = hold(&args.target, args.conns, &heartbeats).await?;
    let again = rss_kib(args.pid);
    leave(args, wave).await;

    let count = args.conns as f64;
    let each = |rss: u64| round((rss as f64 - base as f64) / count);
    Ok(json!({
        "n": args.conns,
        "warm": warm,
        "rss_fresh_kib": fresh,
        "rss_base_kib": base,
        "rss_now_kib": now,
        "rss_later_kib": later,
        "rss_gone_kib": gone,
        "rss_again_kib": again,
        "kib_per_conn_now": each(now),
        "kib_per_conn_later": each(later),
        "kib_per_conn_gone": each(gone),
        "kib_per_conn_again": each(again),
        "connect_s": round(connect_secs),
        "connect_cpu_us": round((connected.running - before.running) * 1e6 / count),
        "idle_cpu_ms": round((held.running - quiet.running) * 1e3),
        "idle_wakeups": woken,
        "idle_heartbeats": seen,
        "hold_s": args.hold,
    }))
}

/// Closes the connections and waits until the server's CPU is quiet; returns its memory then.
async fn leave(args: &Args, wave: Vec<JoinHandle<()>>) -> u64 {
    wave.iter().for_each(JoinHandle::abort);
    drop(wave);
    let mut last = cpu(args.pid).running;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let running = cpu(args.pid).running;
        if running - last < 0.001 {
            break;
        }
        last = running;
    }
    rss_kib(args.pid)
}
