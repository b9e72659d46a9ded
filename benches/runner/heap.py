"""Live bytes on the heap before, with and after clients: resident memory does not tell, as glibc keeps what was freed."""
import os
import subprocess
import sys

CLIENTS = 5000
TIMEOUT_S = 180


def measure(root, plan, data):
    for row in plan.rows:
        server = plan.servers[row]
        # What a garbage collector keeps is not what was asked of it, and the floor forgets nobody who has gone.
        if server["kind"] != "ours" and (server["kind"] != "peer" or server["needs"] != "rust"):
            continue
        command = ["benches/heap/run.sh", " ".join(server["cmd"]), str(CLIENTS)]
        env = {**os.environ, **server.get("env", {})}
        try:
            done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
            before, during, after = parse(done.stdout)
            data.setdefault("heap", {})[row] = {"before": before, "during": during, "after": after, "n": CLIENTS}
            print(f"heap {row:20} {before:,} B, {during:,} B, {after:,} B", file=sys.stderr, flush=True)
        except Exception as error:  # without a C compiler there is no such table
            data.get("heap", {}).pop(row, None)
            print(f"heap {row}: {error} {getattr(error, 'stderr', '') or ''}", file=sys.stderr, flush=True)


def parse(printed):
    """The three numbers of the line `bytes BEFORE DURING AFTER`."""
    line = next(line for line in printed.splitlines() if line.startswith("bytes "))
    before, during, after = map(int, line.split()[1:])
    return before, during, after
