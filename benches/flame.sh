#!/bin/sh
# benches/flame.sh OUT-PREFIX SERVER SCENARIO-ARGS...   (at the root of the repository)
# A flame graph of a server under load: OUT-PREFIX.svg. Needs perf, and inferno (cargo install inferno --root target/tools).
# Build the server with frame pointers, or the stacks are short:
#   RUSTFLAGS="-C force-frame-pointers=yes" cargo build --release -p socketio-bench-servers --target-dir target/flame
#   benches/flame.sh docs/performance/flame-echo target/flame/release/bench-server-tokio --scenario echo --conns 64 --window 16
set -eu
out=$1 server=$2
shift 2
PATH=$PWD/target/tools/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
port=$((20000 + $$ % 10000))
PORT=$port taskset -c 0 "$server" & pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$work"' EXIT
sleep 0.5
taskset -c 1 target/release/loadgen --addr 127.0.0.1:$port --pid $pid --warm-secs 1 --secs 5 --total 100000000 "$@" > "$work/load" &
sleep 1.5
perf record -q -e cpu-clock -F 1999 -g -p $pid -o "$work/perf" -- sleep 3
wait $! || true
perf script -i "$work/perf" 2>/dev/null | inferno-collapse-perf --skip-after __libc_start_main > "$work/stacks"
inferno-flamegraph --title "$(basename "$out")" --minwidth 0.3 --hash --width 1200 < "$work/stacks" > "$out.svg"
cat "$work/load"
