"""One measurement: a fresh server process, and the load generator beside it."""
import json
import os
import resource
import signal
import socket
import subprocess
import time

LOADGEN = "target/release/loadgen"
# Of one measurement, all of it.
TIMEOUT_S = 180


def measure(root, args, server, scenario, x=None):
    """The object that the load generator printed. A failure is an object too."""
    process = None
    server_core, load_core = (None, None) if args.pin == "none" else args.pin.split(",")
    try:
        port = free_port()
        env = {"PORT": str(port), **server.get("env", {}), **scenario.get("env", {})}
        process = subprocess.Popen(pinned(server_core, server["cmd"]), cwd=root, env={**os.environ, **env},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port, process)
        time.sleep(0.2)  # its start-up is not its work
        given = scenario["args"].replace("{x}", str(x)).split()
        # The first occurrence counts, so a scenario can set its own times; a quick run has the runner's.
        times = ["--secs", str(args.secs), "--warm-secs", str(args.warm_secs)]
        given = [*times, *given] if args.quick else [*given, *times]
        command = [LOADGEN, "--addr", f"127.0.0.1:{port}", "--pid", str(process.pid), *given]
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
