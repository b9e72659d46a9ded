"""Ours against the targets of scenarios.toml."""
import math

from .figures import MAIN, OPERATIONS, SCENARIOS, cheapest, figure, median, overtaken_of, rows_of, tail_of
from .markdown import fixed, fmt, table

HEAD = ["scenario", "ours", "FLOOR", "best peer", "ours / FLOOR", "at most", "ours / best peer", "at most", "p99 / p50", "at most",
        "overtaken", ""]


def verdicts(data):
    """Ratios in one run, to the cheaper floor row and to the best peer; the tail; the order."""
    tables = []
    for ours in rows_of(data, "ours"):
        body = [row for scenario in MAIN if (row := judged(data, ours, scenario))]
        if body:
            unit = "server CPU µs per operation (delivery, connect, heartbeat), memory in KiB"
            tables.append(f"`{ours}`, {unit}:\n\n{table(HEAD, body)}")
    if text := whole(data):
        tables.append(f"The same ratios of medians of whole repetitions, neighbours and all:\n\n{text}")
    return "\n\n".join(tables)


def whole(data):
    """Ratios of medians."""
    rows = rows_of(data, "ours")
    head, body = ["scenario"], []
    for row in rows:
        head += [f"{row} / FLOOR", f"{row} / best peer"]
    for scenario in OPERATIONS:
        references = [cheapest(data, kind, scenario, of=median)[0] for kind in ("floor", "peer")]
        values = [median(data, row, scenario) for row in rows]
        cells = [fixed(value / reference if value and reference else None) for value in values for reference in references]
        if any(values):
            body.append([SCENARIOS[scenario]["title"], *cells])
    return table(head, body) if body else ""


def judged(data, ours, scenario):
    value = figure(data, ours, scenario)
    if value is None:
        return None
    wanted = SCENARIOS[scenario]
    floor, (peer, name) = cheapest(data, "floor", scenario)[0], cheapest(data, "peer", scenario)
    cells, missed = [], []
    for what, reference in (("floor", floor), ("peer", peer)):
        ratio = value / reference if reference else None
        if ratio is not None and round(ratio, 2) > wanted.get(what, math.inf):
            missed.append(what)
        cells += [fixed(ratio), fixed(wanted.get(what))]
    tail, overtaken = tail_of(data, ours, scenario), overtaken_of(data, ours, scenario)
    if tail is not None and round(tail, 1) > wanted.get("tail", math.inf):
        # A tail that the floor has too is the runtime's or the machine's.
        floors = [x for row in rows_of(data, "floor") if (x := tail_of(data, row, scenario)) is not None]
        missed.append(f"p99 (FLOOR {min(floors):.1f})" if floors else "p99")
    if overtaken and overtaken[0]:
        missed.append("order")
    cells += [fixed(tail, 1), fixed(wanted.get("tail"), 0), "–" if overtaken is None else f"{overtaken[0]:,} of {overtaken[1]:,}"]
    beside = f"{fmt(peer)} ({name})" if name else "–"
    return [wanted["title"], fmt(value), fmt(floor), beside, *cells, verdict(wanted, floor, peer, missed)]


def verdict(wanted, floor, peer, missed):
    if missed:
        return f"**missed**: {', '.join(missed)}"
    # Without the rows to compare with, nothing is met.
    compared = "peer" in wanted and peer and (floor or "floor" not in wanted)
    return "met" if compared else ""
