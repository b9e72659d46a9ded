//! The rules of who may depend on what (DESIGN.md): layers, runtimes, and the size of the adapters.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::Command;
use crate::report::Report;

/// Checks every rule, each as a step.
pub(crate) fn check(report: &mut Report) -> io::Result<()> {
    report.check("rule: layers", layers)?;
    report.check("rule: the core's dependencies", core)?;
    report.check("rule: runtimes", runtimes)?;
    report.check("rule: thin adapters", thin_adapters)?;
    Ok(())
}

/// For each library what it may use of ours: dependencies point one way.
const LAYERS: &[(&str, &[&str])] = &[
    ("socketio-core", &[]),
    ("socketio-driver", &["socketio-core"]),
    ("socketio-tokio", &["socketio-driver"]),
    ("socketio-async-io", &["socketio-driver"]),
    ("socketio-async-std", &["socketio-async-io", "socketio-driver"]),
    ("socketio-smol", &["socketio-async-io", "socketio-driver"]),
];

/// The crates each of which one package alone may name: runtimes, and what TCP and timers come from.
const RUNTIMES: &[(&str, &str)] = &[
    ("async-io", "socketio-async-io"),
    ("async-std", "socketio-async-std"),
    ("blocking", "socketio-async-io"),
    ("mio", "nobody"),
    ("smol", "socketio-smol"),
    ("tokio", "socketio-tokio"),
];

/// What has tokio's reactor under it, or is another runtime: for each tree what it may not reach.
const APART: &[(&str, &[&str])] = &[
    ("socketio-driver", &["async-io", "async-std", "mio", "smol"]),
    ("socketio-tokio", &["async-io", "async-std", "smol"]),
    ("socketio-async-io", &["async-std", "mio", "smol"]),
    ("socketio-async-std", &["mio", "smol"]),
    ("socketio-smol", &["async-std", "mio"]),
];

/// The adapters, and what two of them share.
const ADAPTERS: &[&str] = &["socketio-tokio", "socketio-async-io", "socketio-async-std", "socketio-smol"];

/// Crates that need an operating system or bring a runtime, none of which the core may reach.
const NOT_IN_CORE: &[&str] = &[
    "async-io",
    "async-std",
    "futures-executor",
    "getrandom",
    "hyper",
    "libc",
    "log",
    "mio",
    "polling",
    "rand",
    "socket2",
    "tokio",
    "tracing",
    "tungstenite",
];

/// The most lines of code in an adapter: it is one implementation of `Runtime` and nothing else.
const MAX_ADAPTER_LINES: usize = 250;

fn layers() -> Result<(), String> {
    let workspace = Workspace::read()?;
    let mut faults = Vec::new();
    for (package, allowed) in LAYERS {
        for dependency in workspace.dependencies(package)? {
            if dependency.name.starts_with("socketio-") && !allowed.contains(&dependency.name.as_str()) {
                faults.push(format!("{package} may not depend on {}", dependency.name));
            }
        }
    }
    all_right(faults)
}

fn core() -> Result<(), String> {
    let mut faults = Vec::new();
    for Resolved { name, features } in tree("socketio-core")? {
        if NOT_IN_CORE.contains(&name.as_str()) {
            faults.push(format!("socketio-core reaches {name}"));
        }
        if features.iter().any(|feature| feature == "std") {
            faults.push(format!("socketio-core switches on the feature std of {name}"));
        }
    }
    all_right(faults)
}

fn runtimes() -> Result<(), String> {
    let workspace = Workspace::read()?;
    let mut faults = Vec::new();
    for (package, _) in LAYERS {
        for Dependency { name, features } in workspace.dependencies(package)? {
            match RUNTIMES.iter().find(|(runtime, _)| *runtime == name) {
                Some((_, owner)) if owner != package => faults.push(format!("{package} names {name}")),
                _ => {}
            }
            let foreign = |feature: &&String| !["net", "rt", "time"].contains(&feature.as_str());
            for feature in features.iter().filter(foreign).filter(|_| name == "tokio") {
                faults.push(format!("{package} asks for the feature {feature} of tokio"));
            }
        }
    }
    for (package, apart) in APART {
        for Resolved { name, features } in tree(package)? {
            if apart.contains(&name.as_str()) {
                faults.push(format!("{package} reaches {name}"));
            }
            if *package != "socketio-tokio" {
                faults.extend(of_tokio(package, &name, &features));
            }
        }
    }
    all_right(faults)
}

/// hyper brings tokio's channels, which are runtime-neutral; nothing may bring its reactor, or a crate that needs it.
fn of_tokio(package: &str, name: &str, features: &[String]) -> Vec<String> {
    if name.starts_with("tokio-") {
        return vec![format!("{package} reaches {name}")];
    }
    let neutral = |feature: &&String| !["default", "sync"].contains(&feature.as_str());
    let foreign = features.iter().filter(neutral).filter(|_| name == "tokio");
    foreign.map(|feature| format!("{package} reaches the feature {feature} of tokio")).collect()
}

fn thin_adapters() -> Result<(), String> {
    let workspace = Workspace::read()?;
    let mut faults = Vec::new();
    for package in ADAPTERS {
        let mut lines = 0;
        for entry in
            fs::read_dir(workspace.folder(package)?.join("src")).map_err(|error| error.to_string())?
        {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                return Err(format!("{} is a folder: an adapter has none", path.display()));
            }
            lines += lines_of_code(&fs::read_to_string(&path).map_err(|error| error.to_string())?);
        }
        if lines > MAX_ADAPTER_LINES {
            faults.push(format!(
                "{package} has {lines} lines of code; at most {MAX_ADAPTER_LINES} are allowed"
            ));
        }
    }
    all_right(faults)
}

/// Lines that are neither blank nor a comment, up to the tests at the bottom.
fn lines_of_code(source: &str) -> usize {
    let code = source.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn all_right(faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// What cargo knows of this workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    packages: Vec<Value>,
    /// Where cargo puts what it builds.
    pub(crate) target_directory: PathBuf,
}

/// What a manifest asks for, outside of tests and build scripts.
#[derive(Debug)]
struct Dependency {
    name: String,
    features: Vec<String>,
}

/// A package that is part of a build, with the features it is built with.
#[derive(Debug, PartialEq, Eq)]
struct Resolved {
    name: String,
    features: Vec<String>,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self, String> {
        let json = Command::cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
        let json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let (Some(packages), Some(target)) = (json["packages"].as_array(), json["target_directory"].as_str())
        else {
            return Err("cargo metadata has another form than expected".into());
        };
        Ok(Self { packages: packages.clone(), target_directory: target.into() })
    }

    fn package(&self, name: &str) -> Result<&Value, String> {
        let found = self.packages.iter().find(|package| package["name"] == name);
        found.ok_or_else(|| format!("there is no package {name}"))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let manifest = PathBuf::from(self.package(name)?["manifest_path"].as_str().unwrap_or_default());
        Ok(manifest.parent().unwrap_or(&manifest).to_owned())
    }

    fn dependencies(&self, name: &str) -> Result<Vec<Dependency>, String> {
        let all = self.package(name)?["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
        Ok(normal
            .map(|dependency| Dependency {
                name: dependency["name"].as_str().unwrap_or_default().into(),
                features: strings(&dependency["features"]),
            })
            .collect())
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// Everything that is linked into a package, itself included, when it is built alone.
fn tree(package: &str) -> Result<Vec<Resolved>, String> {
    let args = ["tree", "--package", package, "--edges", "normal,no-proc-macro", "--prefix", "none"];
    let tree = Command::cargo(&args).args(&["--format", "{p} {f}", "--no-dedupe"]).output()?;
    Ok(tree.lines().map(Resolved::parse).collect())
}

impl Resolved {
    /// Reads `tokio v1.54.0 default,sync`, or for a package of ours `socketio-core v0.1.0 (/path) `.
    fn parse(line: &str) -> Self {
        let name = line.split(' ').next().unwrap_or_default().into();
        let features = line.rsplit(' ').next().unwrap_or_default();
        let features = features.split(',').filter(|feature| !feature.is_empty()).map(Into::into).collect();
        Self { name, features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokio_may_bring_channels_and_nothing_that_needs_a_reactor() {
        let features = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of_tokio("p", "tokio", &features(&["default", "sync"])), [""; 0]);
        assert_eq!(
            of_tokio("p", "tokio", &features(&["sync", "net"])),
            ["p reaches the feature net of tokio"]
        );
        assert_eq!(of_tokio("p", "tokio-rustls", &[]), ["p reaches tokio-rustls"]);
        assert_eq!(of_tokio("p", "bytes", &features(&["std"])), [""; 0]);
    }

    #[test]
    fn a_line_of_cargo_tree_is_a_package_and_its_features() {
        let resolved = Resolved::parse("tokio v1.54.0 default,sync");
        assert_eq!(
            (resolved.name.as_str(), resolved.features),
            ("tokio", vec!["default".into(), "sync".into()])
        );
        assert_eq!(Resolved::parse("socketio-core v0.1.0 (/a) ").features, Vec::<String>::new());
    }

    #[test]
    fn blank_lines_comments_and_tests_are_no_code() {
        assert_eq!(
            lines_of_code("//! Doc.\n\nfn a() {} // one\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"),
            1
        );
    }
}
