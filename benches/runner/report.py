"""Tables of a run: against the targets, the figures of every row, the sweeps, the parsers. Markdown."""
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
             ("Spread", spreads(data)), ("Memory", memory(data)), ("Sweeps", sweeps(data)), ("Codec", codec(data))]
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
    head = ["scenario", "ours", "FLOOR", "best peer", "ours / FLOOR", "at most", "ours / best peer", "at most", ""]
    tables = []
    for ours in rows_of(data, "ours"):
        body = []
        for scenario in MAIN:
            value = median(data, ours, scenario)
            if value is None:
                continue
            floor, (peer, name) = cheapest(data, "floor", scenario)[0], cheapest(data, "peer", scenario)
            wanted = SCENARIOS[scenario]
            missed = False
            cells = []
            for reference, target in ((floor, wanted.get("floor")), (peer, wanted.get("peer"))):
                ratio = value / reference if reference else None
                missed |= ratio is not None and target is not None and round(ratio, 2) > target
                cells += [two(ratio), two(target)]
            complete = floor and peer and "floor" in wanted
            verdict = "**missed**" if missed else "met" if complete else ""
            beside = f"{fmt(peer)} ({name})" if name else "–"
            body.append([wanted["title"], fmt(value), fmt(floor), beside, *cells, verdict])
        if body:
            tables.append(f"`{ours}`, server CPU µs per operation (delivery, connect), memory in KiB:\n\n{table(head, body)}")
    return "\n\n".join(tables)


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
    return [name for name in MAIN if name != "idle"]


def latencies(data):
    def cell(row, scenario):
        p50, p99 = (median(data, row, scenario, key) for key in ("p50_us", "p99_us"))
        if p50 is None:
            return "–"
        return f"{fmt(p50)} / {fmt(p99)}" + (" ⚠" if p99 > TAIL * p50 else "")

    def order(row, scenario):
        share = median(data, row, scenario, "out_of_order")
        return "–" if share is None else f"{100 * share:.1f} %" if share else "0"

    text = matrix(data, operations(), cell)
    if not text:
        return ""
    ordered = [s for s in operations() if s in ("echo", "echo1", "ack", "bin", "bcast", "bcast4", "room")]
    return (f"p50 / p99, µs; ⚠ where p99 is more than {TAIL} × p50:\n\n{text}\n\n"
            f"Answers and deliveries that overtook an older one of their connection:\n\n{matrix(data, ordered, order)}")


def spreads(data):
    def cell(row, scenario):
        key = key_of(scenario)
        values = [sample[key] for sample in data["results"].get(row, {}).get(scenario, []) if key in sample]
        return f"{fmt(min(values))}–{fmt(max(values))}" if values else "–"

    text = matrix(data, MAIN, cell)
    return f"Lowest–highest repetition:\n\n{text}" if text else ""


def memory(data):
    keys = {"kib_per_conn_now": "connected", "kib_per_conn_later": "idle for a while", "kib_per_conn_gone": "gone",
            "kib_per_conn_again": "as many again", "idle_cpu_ms": "CPU while idle, ms"}
    rows = [[row, *(fmt(median(data, row, "idle", key)) for key in keys)]
            for row in SERVERS if median(data, row, "idle") is not None]
    if not rows:
        return ""
    return ("KiB of resident memory above the base, per connection of the first wave:\n\n"
            + table(["server", *keys.values()], rows))


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
        "spreads": spreads(data), "memory": memory(data), "sweeps": sweeps(data), "codec": codec(data),
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
