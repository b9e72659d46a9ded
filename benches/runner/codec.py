"""The parsers side by side: ours and the peers' in one Rust process, the official JavaScript ones in another."""
import json
import subprocess
import sys

RUST = ["target/peers/release/parsers"]
NODE = ["node", "--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256", "benches/peers/parsers/node/bench.js"]


def run(root, quick):
    rows = []
    for command in (RUST, NODE):
        print(f"codec: {' '.join(command)}", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(["taskset", "-c", "1", *command, *(["quick"] if quick else [])],
                                  cwd=root, capture_output=True, text=True, check=True, timeout=600)
            rows += [json.loads(line) for line in done.stdout.splitlines()]
        except (OSError, subprocess.SubprocessError) as error:
            print(f"codec: {error}", file=sys.stderr)
    return rows
