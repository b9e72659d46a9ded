//! The gate on the codec's instruction counts: what valgrind counts, against what `benches/baseline.json` remembers.
//!
//! Counts do not depend on how busy a machine is, but on its toolchain, its C library and the vectors it has. So there is a
//! baseline for each such machine; on one that has none, another's is taken and more is tolerated.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::Command;
use crate::report::Report;
use crate::{root, tools};

/// Instructions of a hundred runs, by the name of the row.
type Counts = BTreeMap<String, u64>;

/// Counts by machine.
type Baselines = BTreeMap<String, Counts>;

/// What is tolerated, in percent.
const SAME_MACHINE: u64 = 5;
const OTHER_MACHINE: u64 = 25;

/// Of the library and of the program that runs what is linked with it: they must be equal.
const GUNGRAUN: &str = "0.20.0";

/// Measures and compares, as a step; `update` makes what was measured this machine's baseline instead.
pub(crate) fn run(update: bool, report: &mut Report) -> io::Result<()> {
    const NAME: &str = "instruction counts of the codec";
    if let Err(missing) = tools::valgrind() {
        return report.skip(NAME, &missing);
    }
    let runner = root().join("target/tools/bin/gungraun-runner");
    let has_version = Command::new(&runner).args(&["--version"]).output();
    if !has_version.is_ok_and(|version| version.contains(GUNGRAUN)) {
        // Not optimized: it is quicker to build than it would ever save.
        let install = ["install", "--locked", "--quiet", "--debug", "gungraun-runner", "--version", GUNGRAUN];
        let install = Command::cargo(&install).args(&["--root", "target/tools"]);
        let install = install.env("CARGO_PROFILE_DEV_DEBUG", "0");
        if !report.run("cargo install gungraun-runner", &install)? {
            return Ok(());
        }
    }
    let check = || {
        let counts = measure(runner)?;
        let mut baselines = read()?;
        if update {
            baselines.insert(machine(), counts);
            return write(&baselines);
        }
        compare(&baselines, &machine(), &counts)
    };
    report.check(NAME, check).map(drop)
}

fn measure(runner: PathBuf) -> Result<Counts, String> {
    let bench = ["bench", "--quiet", "--package", "socketio-bench-codec", "--bench", "instructions", "--"];
    let bench = Command::cargo(&bench).args(&["--output-format=json"]).env("GUNGRAUN_RUNNER", runner);
    // In several, what is inlined depends on how the rest of the crate is spread over them: a change of the session once
    // made the codec 29 % dearer that it did not touch.
    let bench = bench.env("CARGO_PROFILE_BENCH_CODEGEN_UNITS", "1");
    let printed = bench.output()?;
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).ok()?;
        let count = row.pointer("/profiles/0/data/parts/0/metrics/Ir/values/new")?.as_u64()?;
        Some((format!("{}, {}", row["function_name"].as_str()?, row["id"].as_str()?), count))
    };
    let counts: Counts = printed.lines().filter_map(row).collect();
    if counts.is_empty() { Err(format!("{bench} printed no counts:\n{printed}")) } else { Ok(counts) }
}

/// Fails with the name of each row that has become dearer.
fn compare(baselines: &Baselines, machine: &str, counts: &Counts) -> Result<(), String> {
    let known = baselines.get_key_value(machine);
    let tolerated = if known.is_some() { SAME_MACHINE } else { OTHER_MACHINE };
    let Some((of, baseline)) = known.or_else(|| baselines.iter().next()) else {
        return Err(format!("no baseline yet; {UPDATE}"));
    };
    let mut faults = String::new();
    for (row, &count) in counts {
        match baseline.get(row) {
            None => faults.push_str(&format!("{row}: {count}, and nothing to compare with\n")),
            Some(&before) if count * 100 > before * (100 + tolerated) => {
                let more = (count as f64 / before as f64 - 1.0) * 100.0;
                faults.push_str(&format!("{row}: {count} instructions, {more:.1} % more than {before}\n"));
            }
            Some(_) => {}
        }
    }
    for row in baseline.keys().filter(|row| !counts.contains_key(*row)) {
        faults.push_str(&format!("{row}: not measured any more\n"));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let here = if of == machine { String::new() } else { format!(" (this machine: {machine})") };
    Err(format!(
        "{faults}\nmore than {tolerated} % above the baseline of {of}{here}\nif that is right, {UPDATE}"
    ))
}

const UPDATE: &str = "record it with: cargo xtask bench --gate --update";

fn path() -> PathBuf {
    root().join("benches/baseline.json")
}

fn read() -> Result<Baselines, String> {
    match fs::read(path()) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("benches/baseline.json: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Baselines::new()),
        Err(error) => Err(format!("benches/baseline.json: {error}")),
    }
}

fn write(baselines: &Baselines) -> Result<(), String> {
    let text = serde_json::to_string_pretty(baselines).map_err(|error| error.to_string())?;
    fs::write(path(), text + "\n").map_err(|error| format!("benches/baseline.json: {error}"))
}

/// What a count depends on besides the code.
fn machine() -> String {
    let rustc = Command::new("rustc").args(&["--version"]).output().unwrap_or_default();
    let rustc = rustc.split(" (").next().unwrap_or_default().trim().to_owned();
    let libc = Command::new("getconf").args(&["GNU_LIBC_VERSION"]).output().unwrap_or_default();
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::arch::is_x86_feature_detected!("avx2") { " with AVX2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!("{rustc}, {}{vectors}, {}", std::env::consts::ARCH, libc.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[(&str, u64)]) -> Counts {
        rows.iter().map(|&(row, count)| (row.to_owned(), count)).collect()
    }

    #[test]
    fn more_than_five_percent_fails_with_the_name_of_the_row() {
        let baselines = Baselines::from([("here".to_owned(), counts(&[("a", 1000), ("b", 1000)]))]);
        assert_eq!(compare(&baselines, "here", &counts(&[("a", 1050), ("b", 10)])), Ok(()));
        let fault = compare(&baselines, "here", &counts(&[("a", 1051), ("b", 1000)])).unwrap_err();
        assert!(fault.starts_with("a: 1051 instructions, 5.1 % more than 1000\n\n"), "{fault}");
    }

    #[test]
    fn on_a_machine_without_a_baseline_more_is_tolerated() {
        let baselines = Baselines::from([("here".to_owned(), counts(&[("a", 1000)]))]);
        assert_eq!(compare(&baselines, "elsewhere", &counts(&[("a", 1250)])), Ok(()));
        let fault = compare(&baselines, "elsewhere", &counts(&[("a", 1251)])).unwrap_err();
        assert!(fault.contains("the baseline of here (this machine: elsewhere)"), "{fault}");
        assert!(compare(&Baselines::new(), "here", &counts(&[("a", 1)])).is_err());
    }

    #[test]
    fn rows_are_neither_added_nor_lost_unnoticed() {
        let baselines = Baselines::from([("here".to_owned(), counts(&[("a", 1000)]))]);
        let fault = compare(&baselines, "here", &counts(&[("b", 1)])).unwrap_err();
        assert!(
            fault.starts_with("b: 1, and nothing to compare with\na: not measured any more\n"),
            "{fault}"
        );
    }
}
