//! What the kernel says about the server's process.
use std::fs;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// CPU time of a process at one moment, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// The threads' time on a CPU, to the nanosecond; the two above are counted in ticks of 10 ms.
    pub(crate) running: f64,
}

/// The clock that counts the time of a process on a CPU, all threads together. It may be late by a tick of the kernel, some
/// milliseconds, for a thread that runs at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Option<ClockId>);

impl Clock {
    pub(crate) fn of(pid: u32) -> Self {
        Self(clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok())
    }

    /// In seconds.
    pub(crate) fn now(self) -> f64 {
        let time = self.0.and_then(|clock| clock_gettime(clock).ok());
        time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
    }
}

pub(crate) fn cpu(pid: u32) -> Sample {
    let (user, system) = ticks(pid).unwrap_or_default();
    let running = Clock::of(pid).now();
    Sample { at: Instant::now(), user, system, running }
}

/// Resident memory in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How often its threads have waited for something and been woken.
pub(crate) fn wakeups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let switches = tasks.filter_map(|task| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?
            .trim()
            .parse::<u64>()
            .ok()
    });
    switches.sum()
}

fn ticks(pid: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat[stat.rfind(')')? + 2..].split(' ').skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some((seconds()?, seconds()?))
}

/// How long its threads could have run and another one had the CPU, in seconds: a neighbour, on a machine that is not quiet.
pub(crate) fn waiting(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedstat.split(' ').nth(1)?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

/// `USER_HZ`: what Linux shows in `/proc`, whatever it counts in.
const TICKS_PER_SECOND: f64 = 100.0;
