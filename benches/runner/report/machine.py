"""What was measured where, when, and with what."""
import statistics

from .figures import ENOUGH, cheap, slices_of
from .markdown import count


def machine(data):
    m = data["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['kernel']}, loopback.",
        f"{m['rustc']}; Node.js {m['node']}; Bun {m['bun']}.",
        f"{', '.join(m['rust_peers'])}.",
        f"{', '.join(m['npm_peers'])}.",
        f"{', '.join(m['python_peers'])}.",
    ]
    # Before a file said so of each of its parts, it said it of the last.
    parts = data.get("parts") or {"everything": {**m, **data["config"]}}
    lines += [f"{what}: {part['date']}, commit {part['commit']}, load average at the start {part['load1_at_start']}{of(part)}."
              for what, part in parts.items()]
    if (share := waited(data)) is not None:
        lines.append(f"The load generator waited for its core {count(100 * share, 1)} % of the time, the median of all measurements; "
                     "next to nothing on a quiet machine. A neighbour's turn is milliseconds long, and in p99.")
    if (noise := disturbed(data)) is not None:
        lines.append(f"The median slice of a row cost {count(100 * noise, 0)} % more than its tenth percentile, the median of all rows; "
                     "next to nothing on a quiet machine.")
    return "\n".join(f"- {text}" for text in lines)


def disturbed(data):
    """How much dearer slices usually were than the cheap ones: neighbours on the same core of the host."""
    rows = [slices for row, scenarios in data["results"].items() for scenario in scenarios
            if len(slices := slices_of(data, row, scenario)) >= ENOUGH]
    return statistics.median(statistics.median(slices) / cheap(slices) - 1 for slices in rows) if rows else None


def waited(data):
    """The load generator's share of time without the core that is its own: somebody else had it."""
    shares = [sample["client_waited"] for row in data["results"].values() for samples in row.values() for sample in samples
              if "client_waited" in sample]
    return statistics.median(shares) if shares else None


def of(part):
    if "reps" not in part:
        return ""
    times = "once" if part["reps"] == 1 else f"{part['reps']} repetitions"
    return (f"; {times}, at most {part['secs']:g} s after {part['warm_secs']:g} s of warm-up, server and load generator pinned to cores "
            f"{part['pin']}")
