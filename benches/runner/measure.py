"""Runs servers and the load generator.

For each repetition and each scenario every server runs in turn, the first one rotating, so that rows that are compared
are measured next to each other in time. Each measurement has a fresh server process.
"""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import tomllib

LOADGEN = "target/release/loadgen"
# Of one measurement, all of it.
TIMEOUT_S = 180
HEAP_CONNECTIONS = 5000


def load(root, name):
    return tomllib.loads((root / "benches" / name).read_text())


def choose(known, given, default, what):
    names = [name for name in given.split(",") if name] or default
    for name in names:
        if name not in known:
            sys.exit(f"unknown {what} {name}; there are: {', '.join(known)}")
    return names


def run(root, args, data, save):
    servers, scenarios = load(root, "servers.toml"), load(root, "scenarios.toml")
    main = [name for name, scenario in scenarios.items() if "sweep" not in scenario]
    sweeps = [name for name in scenarios if name not in main]
    groups = {"main": main, "sweeps": sweeps, "all": main + sweeps, "none": []}
    wanted = [name for item in args.scenarios.split(",") for name in groups.get(item, [item])]
    chosen = choose(scenarios, ",".join(wanted), [], "scenario")
    ready = [name for name, server in servers.items()
             if server.get("default", True) and server["needs"] not in data["missing"]]
    rows = choose(servers, args.servers, ready, "server")
    rows = [row for row in rows if servers[row]["needs"] not in data["missing"]]
    files = raise_file_limit()
    for scenario in (name for name in chosen if name in main):
        for row in rows:  # measured again, not added to
            data["results"].get(row, {}).pop(scenario, None)
    started = time.time()

    def cell(row, scenario, x=None):
        env = scenarios[scenario].get("env", {})
        result = measure(root, args, servers[row], scenarios[scenario]["args"].replace("{x}", str(x)), env)
        result["load1"] = os.getloadavg()[0]
        shown = result.get("error") or " ".join(
            f"{key}={result[key]}" for key in ("cpu_us", "per_s", "server_util", "overtaken", "kib_per_conn_now", "heartbeats") if key in result)
        at = "" if x is None else f" {x}"
        print(f"[{time.time() - started:5.0f} s] {scenario}{at:10} {row:20} {shown}", file=sys.stderr, flush=True)
        return result

    for rep in range(args.reps):
        for scenario in (name for name in chosen if name in main):
            turn = rep % max(len(rows), 1)
            for row in rows[turn:] + rows[:turn]:
                data["results"].setdefault(row, {}).setdefault(scenario, []).append(cell(row, scenario))
            save()
    if "idle" in chosen:
        for row in rows:
            heap(root, row, servers[row], data)
        save()
    for sweep in (name for name in chosen if name in sweeps):
        for x in scenarios[sweep]["sweep"]:
            if sweep != "sweep-rooms":
                x = min(x, (files - 600) // 100 * 100)  # a connection is an open file in either process
            for row in rows:
                points = data["sweeps"].setdefault(sweep, {}).setdefault(row, [])
                points[:] = [point for point in points if point["x"] != x] + [{"x": x, **cell(row, sweep, x)}]
        save()


def heap(root, row, server, data):
    """Live bytes on the heap before, with and after clients: resident memory does not tell, as glibc keeps what was freed."""
    if server["kind"] == "peer" and server["needs"] != "rust":
        return  # what a garbage collector keeps is not what it was asked for
    command = ["benches/heap/run.sh", " ".join(server["cmd"]), str(HEAP_CONNECTIONS)]
    try:
        done = subprocess.run(command, cwd=root, env=dict(os.environ, **server.get("env", {})), capture_output=True, text=True,
                              check=True, timeout=TIMEOUT_S)
        before, during, count, after = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", done.stdout.splitlines()[0]))
        data.setdefault("heap", {})[row] = {"before": before, "during": during, "after": after, "n": count}
        print(f"heap {row:20} {before} {during} {after}", file=sys.stderr, flush=True)
    except Exception as error:  # without a C compiler there is no such table
        data.setdefault("heap", {}).pop(row, None)
        print(f"heap {row}: {error}", file=sys.stderr)


def raise_file_limit():
    """Servers and load generator inherit it. Root may raise the hard limit too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), max(wanted, hard)))
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def measure(root, args, server, load_args, env):
    """One fresh server, one scenario: the object that the load generator printed. A failure is an object too."""
    process = None
    server_core, load_core = (None, None) if args.pin == "none" else args.pin.split(",")
    try:
        port = free_port()
        process = subprocess.Popen(
            pinned(server_core, server["cmd"]), cwd=root, env=dict(os.environ, PORT=str(port), **server.get("env", {}), **env),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port, process)
        time.sleep(0.2)  # its start-up is not its work
        command = [LOADGEN, "--addr", f"127.0.0.1:{port}", "--pid", str(process.pid), *load_args.split()]
        # The first occurrence counts, so a scenario can set its own times; a quick run has the runner's.
        times = ["--secs", str(args.secs), "--warm-secs", str(args.warm_secs)]
        command[5:5] = times if args.quick else []
        command += times
        done = subprocess.run(pinned(load_core, command), cwd=root, capture_output=True, text=True, timeout=TIMEOUT_S)
        return json.loads(done.stdout.strip().splitlines()[-1])
    except Exception as error:  # one cell that fails must not end the run
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def pinned(core, command):
    return command if core is None else ["taskset", "-c", core, *command]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the server did not open its port")
