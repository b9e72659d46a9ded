"""The order of measurements.

For each repetition and each scenario every server runs in turn, the first one rotating, so that rows that are compared
are measured next to each other in time. Each measurement has a fresh server process.
"""
import math
import os
import sys
import time

import cell
import heap

# What takes a peer longer is not repeated: one slow server would take most of the time of a run.
REPEATED_S = 10
SHOWN = ("cpu_us", "per_s", "server_util", "client_waited", "p50_us", "p99_us", "overtaken", "kib_per_conn_now", "idle_cpu_ms", "heartbeats")


def run(root, args, plan, data, save):
    files = cell.raise_file_limit()
    started = time.time()

    def measured(row, scenario, x=None):
        began = time.time()
        result = cell.measure(root, args, plan.servers[row], plan.scenarios[scenario], x)
        result.update(load1=os.getloadavg()[0], took_s=round(time.time() - began, 1))
        shown = result.get("error") or " ".join(f"{key}={result[key]}" for key in SHOWN if key in result)
        print(f"[{time.time() - started:5.0f} s] {scenario} {'' if x is None else x} {row}: {shown}", file=sys.stderr, flush=True)
        return result

    for row in plan.rows:
        for scenario in plan.main:  # measured again, not added to
            data["results"].setdefault(row, {})[scenario] = []
    for rep in range(args.reps):
        turn = rep % max(len(plan.rows), 1)
        for scenario in plan.main:
            for row in plan.rows[turn:] + plan.rows[:turn]:
                samples = data["results"][row][scenario]
                if is_wanted(plan.servers[row], plan.scenarios[scenario], samples):
                    samples.append(measured(row, scenario))
            save()
    if "idle" in plan.main:
        heap.measure(root, plan, data)
        save()
    for sweep in plan.sweeps:
        for row in plan.rows:  # measured again, not added to
            data["sweeps"].setdefault(sweep, {})[row] = []
        for _ in range(args.reps):
            for x in plan.scenarios[sweep]["sweep"]:
                if sweep != "sweep-rooms":
                    x = min(x, (files - 600) // 100 * 100)  # a connection is an open file in either process
                for row in plan.rows:
                    keep_cheapest(data["sweeps"][sweep][row], {"x": x, **measured(row, sweep, x)})
            save()


def keep_cheapest(points, point):
    """A point of a sweep is the cheapest of its repetitions: they are few, and what a neighbour does only ever adds."""
    def cost(point):
        return point.get("cpu_us", math.inf if "error" in point else 0)

    known = next((i for i, known in enumerate(points) if known["x"] == point["x"]), None)
    if known is None:
        points.append(point)
    elif cost(point) < cost(points[known]):
        points[known] = point


def is_wanted(server, scenario, samples):
    """Whether a scenario is for such a server, and is measured once more."""
    if server["kind"] not in scenario.get("kinds", ("ours", "floor", "peer")) or len(samples) >= scenario.get("reps", math.inf):
        return False
    return server["kind"] != "peer" or all(sample["took_s"] <= REPEATED_S for sample in samples)
