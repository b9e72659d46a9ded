"""How long operations take, how much longer the slowest in a hundred do, and what overtook."""
import math

from .costs import matrix
from .figures import OPERATIONS, SCENARIOS, median, overtaken_of, rows_of, tail_of
from .markdown import fmt


def latencies(data):
    def times(row, scenario):
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
        overtaken, completed = found
        return f"{overtaken:,} ({100 * overtaken / max(completed, 1):.1f} %)" if overtaken else "0"

    ordered = [s for s in OPERATIONS if SCENARIOS[s].get("ordered")]
    parts = {
        "p50 / p99, µs": matrix(data, OPERATIONS, times),
        "p99 as a multiple of p50; ⚠ where it may not be so much": matrix(data, OPERATIONS, tail),
        "Answers and deliveries of all repetitions that overtook an older one of their connection": matrix(data, ordered, order),
    }
    text = [f"{title}:\n\n{text}" for title, text in parts.items() if text]
    for row in rows_of(data, "ours"):
        found = [each for s in ordered if (each := overtaken_of(data, row, s))]
        if found:
            text.append(f"`{row}`, all together: {sum(n for n, _ in found):,} of {sum(n for _, n in found):,}.")
    return "\n\n".join(text)
