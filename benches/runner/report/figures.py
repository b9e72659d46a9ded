"""What a run says about a row and a scenario: what an operation costs, the tail, what overtook."""
import statistics
import tomllib
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[2]
SCENARIOS = tomllib.loads((BENCHES / "scenarios.toml").read_text())
SERVERS = tomllib.loads((BENCHES / "servers.toml").read_text())
CODEC = tomllib.loads((BENCHES / "codec.toml").read_text())
MAIN = [name for name, scenario in SCENARIOS.items() if "sweep" not in scenario]
# Slices of a row below which there is no telling which are the cheap ones.
ENOUGH = 10
# Those in which something is done that takes its time.
OPERATIONS = [name for name in MAIN if name not in ("idle", "heartbeat")]


def key_of(scenario):
    return SCENARIOS[scenario].get("key", "cpu_us")


def samples_of(data, row, scenario):
    return data["results"].get(row, {}).get(scenario, [])


def median(data, row, scenario, key=None):
    key = key or key_of(scenario)
    values = [sample[key] for sample in samples_of(data, row, scenario) if key in sample]
    return statistics.median(values) if values else None


def slices_of(data, row, scenario):
    """What an operation cost in each slice of all repetitions."""
    return [cost for sample in samples_of(data, row, scenario) for cost in sample.get("slices_us", [])]


def figure(data, row, scenario):
    """What the targets are judged by: the tenth percentile of all slices, which is what the machine does when it is let
    alone; where there are too few, the median of the repetitions."""
    slices = slices_of(data, row, scenario)
    is_cheap = key_of(scenario) == "cpu_us" and len(slices) >= ENOUGH and is_sliced(data, scenario)
    return cheap(slices) if is_cheap else median(data, row, scenario)


def is_sliced(data, scenario):
    """Whether cheap slices can be compared: ours and the floors have enough, and no row was measured without and kept."""
    rows = [row for row in data["results"] if samples_of(data, row, scenario)]
    few = [row for row in rows if SERVERS[row]["kind"] != "peer" and len(slices_of(data, row, scenario)) < ENOUGH]
    return not few and all("slices_us" in sample or "error" in sample for row in rows for sample in samples_of(data, row, scenario))


def cheap(slices):
    return sorted(slices)[len(slices) // 10]


def rows_of(data, kind):
    return [name for name, server in SERVERS.items() if server["kind"] == kind and name in data["results"]]


def cheapest(data, kind, scenario, of=figure):
    found = [(value, row) for row in rows_of(data, kind) if (value := of(data, row, scenario)) is not None]
    return min(found, default=(None, None))


def tail_of(data, row, scenario):
    """p99 as a multiple of p50: the median of the repetitions."""
    ratios = [sample["p99_us"] / sample["p50_us"] for sample in samples_of(data, row, scenario) if sample.get("p50_us")]
    return statistics.median(ratios) if ratios else None


def overtaken_of(data, row, scenario):
    """How many messages overtook an older one in all repetitions, and of how many. `None` where that was not counted."""
    if not SCENARIOS[scenario].get("ordered"):
        return None
    samples = [sample for sample in samples_of(data, row, scenario) if "overtaken" in sample]
    return (sum(s["overtaken"] for s in samples), sum(s["completed"] for s in samples)) if samples else None
