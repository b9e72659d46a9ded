#!/bin/sh
# benches/heap/run.sh SERVER [CONNECTIONS]   (at the root of the repository; glibc)
# What is alive on the heap: after a first wave of clients, with CONNECTIONS idle ones, and when they have gone. Resident memory
# does not tell, since glibc keeps what was freed.
set -eu
server=$1 count=${2:-2000}
work=$(mktemp -d)
cc -O2 -w -shared -fPIC -o "$work/liveheap.so" benches/heap/liveheap.c -ldl
port=$((20000 + $$ % 10000))
LIVEHEAP=$work/dump LD_PRELOAD=$work/liveheap.so PORT=$port $server > /dev/null & pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$work"' EXIT
files() { ls /proc/$pid/fd | wc -l; }
# Waits until the server has at least (-ge) or at most (-le) so many open files; a connection is one.
until_files() { for _ in $(seq 600); do if [ "$(files)" "$1" "$2" ]; then return; fi; sleep 0.1; done; echo "$(files) open files, not $1 $2" >&2; exit 1; }
sleep 0.5
fresh=$(files)
load() { target/release/loadgen --addr 127.0.0.1:$port --pid $pid --scenario idle --warm 1 --hold "$2" --conns "$1" > /dev/null; }
dump() { kill -USR1 $pid; sleep 0.3; }
load "$count" 0.1
until_files -le $((fresh + 20))
sleep 1
dump
load "$count" 4 & wave=$!
until_files -ge "$count"
sleep 1
dump
wait $wave
until_files -le $((fresh + 20))
sleep 1
dump
python3 - "$work/dump" "$count" <<'P'
import sys
def read(n):
    return {int(a): int(b) for a, b in (line.split() for line in open(f"{sys.argv[1]}.{n}"))}
before, during, after = read(0), read(1), read(2)
count = int(sys.argv[2])
total = lambda blocks: sum(size * n for size, n in blocks.items())
print(f"live on the heap: {total(before):,} B before, {total(during):,} B with {count:,} connections, {total(after):,} B when they have gone")
print("bytes", total(before), total(during), total(after))
print(f"per connection: {(total(during) - total(before)) / count:,.0f} B in {(sum(during.values()) - sum(before.values())) / count:.1f} blocks")
rows = sorted(((size, (during.get(size, 0) - before.get(size, 0)) / count) for size in during), key=lambda row: -row[0] * row[1])
for size, n in rows[:12]:
    print(f"  {size:>7,} B x {n:6.2f} = {size * n:8,.0f}")
P
