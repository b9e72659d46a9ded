//! The table in `docs/parity.md` names tests that exist, and nothing is done without one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rows of every table: their cells.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| Reference");
    page.lines().filter(is_row).map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// `place: name` in backticks.
fn references(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(": "))
}

fn file(place: &str) -> PathBuf {
    let (place, rest) = place.split_once('/').unwrap_or_else(|| panic!("where is {place}?"));
    let (dir, end) = match place {
        "core" => ("protocol-core/src", ".rs"),
        "driver" => ("driver/src", ".rs"),
        "client" => ("tests/tests/client", ".rs"),
        "server" => ("tests/tests/server", ".rs"),
        "tests" => ("tests/tests", ".rs"),
        "interop" => ("tests/interop/suites", ".test.js"),
        "clients" => ("tests/interop/support", ".js"),
        _ => panic!("where is {place}/{rest}?"),
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dir).join(format!("{rest}{end}"))
}

#[test]
fn every_test_that_is_named_exists() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parity.md")).unwrap();
    let mut sources: HashMap<PathBuf, String> = HashMap::new();
    let (mut count, mut faults) = (0, Vec::new());
    for row in rows(&page) {
        let [what, _, status, tests] = row[..] else { panic!("four cells: {row:?}") };
        count += 1;
        let known = ["done", "not yet"].contains(&status) || status.starts_with("different: ");
        if !known {
            faults.push(format!("{what}: what is {status:?}?"));
        }
        if status == "done" && references(tests).next().is_none() {
            faults.push(format!("{what}: done without a test"));
        }
        for (place, name) in references(tests) {
            let path = file(place);
            let source = sources.entry(path).or_insert_with_key(|path| {
                fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            });
            let is_rust = !place.starts_with("interop/") && !place.starts_with("clients/");
            let found = if is_rust { source.contains(&format!("fn {name}(")) } else { source.contains(name) };
            if !found {
                faults.push(format!("{what}: there is no {place}: {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 100, "the page was read: {count} rows");
}
