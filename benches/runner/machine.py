"""What a result depends on: the machine, the tools, and the versions of what is compared."""
import json
import os
import platform
import subprocess
import time
import tomllib


def describe(root):
    locked = {package["name"]: package["version"] for package in
              tomllib.loads((root / "benches/peers/Cargo.lock").read_text())["package"]}
    rust = [f"{name} {locked[name]}" for name in (
        "socketioxide", "axum", "tokio-tungstenite", "engineioxide-core", "socketioxide-parser-common", "rust_engineio",
        "serde_json") if name in locked]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": output(root, "git", "rev-parse", "--short", "HEAD"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "rustc": output(root, "rustc", "--version"),
        "node": output(root, "node", "--version"),
        "bun": output(root, "benches/peers/bun/node_modules/bun/bin/bun.exe", "--version"),
        "rust_peers": rust,
        "npm_peers": npm_versions(root),
        "python_peers": (root / "benches/peers/python/requirements.txt").read_text().split(),
        "load1_at_start": round(os.getloadavg()[0], 2),
    }


def output(root, *command):
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def npm_versions(root):
    wanted = ("socket.io", "engine.io", "ws", "@socket.io/bun-engine", "socket.io-parser", "engine.io-parser", "bufferutil")
    found = {}
    for folder in ("node", "node-native", "bun", "parsers/node"):
        packages = json.loads((root / "benches/peers" / folder / "package-lock.json").read_text())["packages"]
        for path, package in packages.items():
            name = path.removeprefix("node_modules/")
            if name in wanted:
                found[name] = package["version"]
    return [f"{name} {found[name]}" for name in wanted if name in found]
