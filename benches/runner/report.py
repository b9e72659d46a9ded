"""Tables of a run: against the targets, the figures of every row, the sweeps, the parsers. Markdown."""
import math
import re
import statistics
import tomllib
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]
SCENARIOS = tomllib.loads((BENCHES / "scenarios.toml").read_text())
SERVERS = tomllib.loads((BENCHES / "servers.toml").read_text())
CODEC = tomllib.loads((BENCHES / "codec.toml").read_text())
MAIN = [name for name, scenario in SCENARIOS.items() if "sweep" not in scenario]
# A p99 above this many p50 is a tail, and says that somebody waits while others are served.
TAIL = 3


def everything(data):
    parts = [("Against the targets", verdicts(data)), ("Cost", costs(data)), ("Order and latency", latencies(data)),
             ("Spread", spreads(data)), ("Memory", memory(data)),
             ("Idle", idle_cpu(data)), ("Sweeps", sweeps(data)), ("Codec", codec(data))]
    lines = [f"## {title}\n\n{text}" for title, text in parts if text]
    if data.get("missing"):
        lines.append("## Left out\n\n" + "\n".join(f"- {needs}: {why}" for needs, why in data["missing"].items()))
    return "\n\n".join(lines)


def exit_code(data):
    """1 when something failed to run. A target that is missed is a result, not a failure."""
    cells = [cell for row in data["results"].values() for samples in row.values() for cell in samples]
    cells += [point for sweep in data["sweeps"].values() for points in sweep.values() for point in points]
    return int(any("error" in cell for cell in cells))


# ---------------------------------------------------------------- figures


def key_of(scenario):
    return SCENARIOS[scenario].get("key", "cpu_us")


def median(data, row, scenario, key=None):
    samples = data["results"].get(row, {}).get(scenario, [])
    values = [sample[key or key_of(scenario)] for sample in samples if (key or key_of(scenario)) in sample]
    return statistics.median(values) if values else None


def rows_of(data, kind):
    return [name for name, server in SERVERS.items() if server["kind"] == kind and name in data["results"]]


def cheapest(data, kind, scenario):
    found = [(value, row) for row in rows_of(data, kind) if (value := median(data, row, scenario)) is not None]
    return min(found, default=(None, None))


def verdicts(data):
    """Ratios in one run: ours to the cheaper floor row and to the best peer."""
    head = ["scenario", "ours", "FLOOR", "best peer", "ours / FLOOR", "at most", "ours / best peer", "at most",
            "p99 / p50", "overtaken", ""]
    tables = []
    for ours in rows_of(data, "ours"):
        body = []
        for scenario in MAIN:
            value = median(data, ours, scenario)
            if value is None:
                continue
            floor, (peer, name) = cheapest(data, "floor", scenario)[0], cheapest(data, "peer", scenario)
            wanted = SCENARIOS[scenario]
            missed = []
            cells = []
            for what, reference, target in (("floor", floor, wanted.get("floor")), ("peer", peer, wanted.get("peer"))):
                ratio = value / reference if reference else None
                if ratio is not None and target is not None and round(ratio, 2) > target:
                    missed.append(what)
                cells += [two(ratio), two(target)]
            tail, overtaken = tail_of(data, ours, scenario), overtaken_of(data, ours, scenario)
            if tail is not None and round(tail, 1) > wanted.get("tail", math.inf):
                missed.append("p99")
            if overtaken and overtaken[0]:
                missed.append("order")
            cells += ["–" if tail is None else f"{tail:.1f}", "–" if overtaken is None else f"{overtaken[0]:,}"]
            # Without the rows to compare with, nothing is met.
            complete = "peer" in wanted and peer and (floor or "floor" not in wanted)
            verdict = f"**missed**: {', '.join(missed)}" if missed else "met" if complete else ""
            beside = f"{fmt(peer)} ({name})" if name else "–"
            body.append([wanted["title"], fmt(value), fmt(floor), beside, *cells, verdict])
        if body:
            tables.append(f"`{ours}`, server CPU µs per operation (delivery, connect, heartbeat), memory in KiB:\n\n{table(head, body)}")
    if tables:
        tables.append(f"p99 / p50 may be {TAIL} where several operations are under way at once; overtaken are the answers and "
                      "deliveries of all repetitions that overtook an older one of their connection, of which none may.")
    return "\n\n".join(tables)


def tail_of(data, row, scenario):
    """p99 as a multiple of p50: the median of the repetitions."""
    samples = data["results"].get(row, {}).get(scenario, [])
    ratios = [sample["p99_us"] / sample["p50_us"] for sample in samples if sample.get("p50_us")]
    return statistics.median(ratios) if ratios else None


def overtaken_of(data, row, scenario):
    """How many messages overtook an older one in all repetitions, and of how many."""
    if not SCENARIOS[scenario].get("ordered"):
        return None
    samples = [sample for sample in data["results"].get(row, {}).get(scenario, []) if "overtaken" in sample]
    return (sum(s["overtaken"] for s in samples), sum(s["completed"] for s in samples)) if samples else None


def matrix(data, scenarios, cell, first="server"):
    names = [name for name in SERVERS if name in data["results"]]
    scenarios = [s for s in scenarios if any(s in data["results"][name] for name in names)]
    return table([first, *scenarios], [[name, *(cell(name, s) for s in scenarios)] for name in names]) if scenarios else ""


def costs(data):
    text = matrix(data, MAIN, lambda row, s: fmt(median(data, row, s)))
    rate = matrix(data, operations(), lambda row, s: fmt(median(data, row, s, "per_s")))
    used = matrix(data, operations(), lambda row, s: fmt(median(data, row, s, "server_util")))
    if not text:
        return ""
    return (f"Server CPU µs per operation; `idle` in KiB per connection:\n\n{text}\n\n"
            f"Operations per second, one core for the server:\n\n{rate}\n\n"
            f"Share of its core that the server used (below 1 the load generator was the limit):\n\n{used}")


def operations():
    return [name for name in MAIN if name not in ("idle", "heartbeat")]


def latencies(data):
    def cell(row, scenario):
        p50, p99 = (median(data, row, scenario, key) for key in ("p50_us", "p99_us"))
        return "–" if p50 is None else f"{fmt(p50)} / {fmt(p99)}"

    def tail(row, scenario):
        ratio = tail_of(data, row, scenario)
        if ratio is None:
            return "–"
        return f"{ratio:.1f}" + (" ⚠" if round(ratio, 1) > SCENARIOS[scenario].get("tail", math.inf) else "")

    def order(row, scenario):
        found = overtaken_of(data, row, scenario)
        if found is None:
            return "–"
        count, of = found
        return f"{count:,} ({100 * count / max(of, 1):.1f} %)" if count else "0"

    text = matrix(data, operations(), cell)
    if not text:
        return ""
    ordered = [s for s in operations() if SCENARIOS[s].get("ordered")]
    parts = [f"p50 / p99, µs:\n\n{text}",
             f"p99 as a multiple of p50; ⚠ where it is above {TAIL} with several operations under way:\n\n"
             f"{matrix(data, operations(), tail)}",
             "Answers and deliveries of all repetitions that overtook an older one of their connection:\n\n"
             f"{matrix(data, ordered, order)}"]
    for row in rows_of(data, "ours"):
        found = [each for s in ordered if (each := overtaken_of(data, row, s))]
        if found:
            parts.append(f"`{row}`: {sum(n for n, _ in found):,} of {sum(n for _, n in found):,}.")
    return "\n\n".join(parts)


def spreads(data):
    def cell(row, scenario):
        key = key_of(scenario)
        values = [sample[key] for sample in data["results"].get(row, {}).get(scenario, []) if key in sample]
        return f"{fmt(min(values))}–{fmt(max(values))}" if values else "–"

    text = matrix(data, MAIN, cell)
    return f"Lowest–highest repetition:\n\n{text}" if text else ""


def memory(data):
    keys = {"kib_per_conn_now": "connected", "kib_per_conn_later": "idle for a while", "kib_per_conn_gone": "gone",
            "kib_per_conn_again": "as many again"}
    rows = [[row, *(fmt(median(data, row, "idle", key)) for key in keys)]
            for row in SERVERS if median(data, row, "idle") is not None]
    parts = []
    if rows:
        parts.append("KiB of resident memory above the base, per connection of the first wave:\n\n"
                     + table(["server", *keys.values()], rows))
    live = [[row, mib(at["before"]), mib(at["during"]), f"{(at['during'] - at['before']) / at['n'] / 1024:.2f}", mib(at["after"]),
             f"{100 * (at['after'] - at['before']) / max(at['during'] - at['before'], 1):.1f} %"]
            for row, at in data.get("heap", {}).items()]
    if live:
        count = max(at["n"] for at in data["heap"].values())
        head = ["server", "before", f"with {count:,} connections", "KiB per connection", "when they have gone", "left of what they took"]
        parts.append("Live bytes on the heap, MiB, after a first wave as large has come and gone:\n\n" + table(head, live))
    return "\n\n".join(parts)


def idle_cpu(data):
    """What silent connections cost: between two heartbeats, and for each."""
    body = []
    for row in SERVERS:
        quiet, held, woken = (median(data, row, "idle", key) for key in ("idle_cpu_ms", "hold_s", "idle_wakeups"))
        count, cost = median(data, row, "idle", "n"), median(data, row, "heartbeat")
        beats, wakeups = (median(data, row, "heartbeat", key) for key in ("heartbeats", "wakeups"))
        if quiet is None and beats is None:
            continue
        each = None if quiet is None else quiet * 1e3 / count / held
        body.append([row, fmt(quiet), fmt_count(woken, 0), "–" if each is None else f"{each:.3f}", fmt(cost),
                     f"{wakeups / beats:.2f}" if beats else "–"])
    head = ["server", "CPU between heartbeats, ms", "wake-ups", "µs per connection and second", "CPU per heartbeat, µs",
            "wake-ups per heartbeat"]
    held = max((median(data, row, "idle", "hold_s") or 0 for row in SERVERS), default=0)
    return (f"{held:g} s of silence between heartbeats, 5,000 connections and 200 more; and the cost of one heartbeat of one "
            f"connection, of 1,000:\n\n{table(head, body)}") if body else ""


def mib(size):
    return f"{size / 2**20:.2f}"


def sweeps(data):
    parts = []
    for sweep, rows in data["sweeps"].items():
        xs = sorted({point["x"] for points in rows.values() for point in points})
        key = key_of(sweep)
        body = []
        for row, points in rows.items():
            at = {point["x"]: point.get(key) for point in points}
            body.append([row, *(fmt(at.get(x)) for x in xs)])
            if sweep == "sweep-idle":
                gone = {point["x"]: point.get("kib_per_conn_gone") for point in points}
                body.append([f"{row}, gone", *(fmt(gone.get(x)) for x in xs)])
        unit = "KiB per connection" if sweep == "sweep-idle" else SCENARIOS[sweep]["y"]
        parts.append(f"{SCENARIOS[sweep]['title']} ({unit}):\n\n" + table(["", *(f"{x:,}" for x in xs)], body))
    return "\n\n".join(parts)


def codec(data):
    """Ours beside the peers and the limits; `codec.toml` has the targets."""
    if not data.get("codec"):
        return ""
    by_case = {}
    for row in data["codec"]:
        by_case.setdefault(row["case"], []).append(row)
    body, judged = [], []
    for case, rows in by_case.items():
        for row in rows:
            name = f"**{row['who']}**" if row["kind"] == "ours" else row["who"]
            body.append([case, name, fmt(row["ns"]), fmt_count(row.get("allocs")), fmt_count(row.get("bytes"), 0)])
        judged += judge_codec(case, rows)
    head = ["case", "implementation", "ns", "allocations", "bytes allocated"]
    verdict = table(["case", "ours, ns", "against", "ratio", "at most", "allocations", "at most", ""], judged)
    return f"{verdict}\n\n{table(head, body)}"


def judge_codec(case, rows):
    wanted = CODEC.get(case, {})
    out = []
    for row in rows:
        if row["kind"] != "ours":
            continue
        against = wanted.get(row["who"], wanted if "against" in wanted else {})
        if against.get("against"):
            references = [other for other in rows if other["who"].startswith(against["against"])]
        else:
            references = [other for other in rows if other["kind"] == "peer" and other.get("whole", True)]
        reference = min(references, key=lambda other: other["ns"], default=None)
        if reference is None:
            continue
        ratio, limit, allocs = row["ns"] / reference["ns"], against.get("ratio", 1.0), against.get("allocs")
        missed = round(ratio, 2) > limit or (allocs is not None and row["allocs"] > allocs)
        out.append([f"{case}: {row['who']}", fmt(row["ns"]), f"{reference['who']}, {fmt(reference['ns'])}", two(ratio), two(limit),
                    fmt_count(row["allocs"]), "–" if allocs is None else fmt_count(allocs), "**missed**" if missed else "met"])
    return out


# ---------------------------------------------------------------- documents


def fill(data, root):
    """Replaces what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`."""
    sections = {
        "machine": machine_text(data), "verdicts": verdicts(data), "costs": costs(data), "latencies": latencies(data),
        "spreads": spreads(data), "memory": memory(data), "idle": idle_cpu(data), "sweeps": sweeps(data), "codec": codec(data),
        "summary": summary(data),
    }
    for name in ("docs/performance.md", "README.md"):
        path = root / name
        text = path.read_text()

        def section(match):
            new = sections.get(match[1])
            return match[0] if not new else f"<!-- bench:{match[1]} -->\n{new}\n<!-- /bench:{match[1]} -->"

        path.write_text(re.sub(r"<!-- bench:(\w+) -->\n.*?<!-- /bench:\1 -->", section, text, flags=re.S))
        print(f"filled: {name}")


def summary(data):
    """What the README shows."""
    names = [*rows_of(data, "ours"), "floor", "socketioxide", "bun", "node", "python"]
    names = [name for name in names if name in data["results"]]
    scenarios = [s for s in ("echo", "ack", "bin", "bcast4", "room", "conn-ws32", "conn-up32", "polling", "idle")
                 if any(median(data, name, s) is not None for name in names)]

    def cell(name, scenario):
        value = cheapest(data, "floor", scenario)[0] if name == "floor" else median(data, name, scenario)
        return f"**{fmt(value)}**" if name in rows_of(data, "ours") else fmt(value)

    if not names:
        return ""
    titles = {"tokio": "ours, tokio", "async-std": "ours, async-std", "floor": "no Socket.IO at all"}
    head = ["server CPU µs per operation", *(titles.get(name, name) for name in names)]
    return table(head, [[SCENARIOS[s]["title"], *(cell(name, s) for name in names)] for s in scenarios])


def machine_text(data):
    m, c = data["machine"], data["config"]
    return "\n".join([
        f"- {m['date']}, commit {m['commit']}: {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['kernel']}, loopback; "
        f"load average at the start {m['load1_at_start']}.",
        f"- {m['rustc']}; Node.js {m['node']}; Bun {m['bun']}.",
        f"- {', '.join(m['rust_peers'])}.",
        f"- {', '.join(m['npm_peers'])}.",
        f"- {', '.join(m['python_peers'])}.",
        f"- {c['reps']} repetitions of at most {c['secs']} s after {c['warm_secs']} s of warm-up; server and load generator "
        f"pinned to cores {c['pin']}.",
    ])


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def fmt(value):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def fmt_count(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}".removesuffix(".00")


def two(value):
    return "–" if value is None else f"{value:.2f}"
