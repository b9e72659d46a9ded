"""Cost by the number of connections and rooms, and whether it stays flat."""
from .figures import SCENARIOS, SERVERS, key_of
from .markdown import fixed, fmt, table

# A line that ends so much above its beginning is not flat.
GROWTH = 1.25
# Two lines that end so close to one another end at the same: what is less is noise (docs/performance.md).
NEAR = 1.1


def sweeps(data):
    return "\n\n".join(one(data, sweep) for sweep in data["sweeps"])


def one(data, sweep):
    lines = {row: line(points, key_of(sweep)) for row, points in data["sweeps"][sweep].items()}
    xs = sorted({x for points in lines.values() for x in points})
    since = SCENARIOS[sweep].get("flat_from", xs[0] if xs else 0)
    body = []
    for row, points in lines.items():
        ours = SERVERS[row]["kind"] == "ours"
        body.append([row, *(fmt(points.get(x)) for x in xs), fixed(growth(points, since)),
                     flatness(points, lines, since) if ours else ""])
        if sweep == "sweep-idle":
            gone = line(data["sweeps"][sweep][row], "kib_per_conn_gone")
            body.append([f"{row}, gone", *(fmt(gone.get(x)) for x in xs), "", ""])
    unit = "KiB per connection" if sweep == "sweep-idle" else SCENARIOS[sweep]["y"]
    head = ["", *(f"{x:,}" for x in xs), f"last / {since:,}", ""]
    return f"{SCENARIOS[sweep]['title']} ({unit}):\n\n{table(head, body)}"


def line(points, key):
    return {point["x"]: point[key] for point in points if key in point}


def growth(points, since):
    """The last figure as a multiple of the first that counts; `None` unless there are two."""
    xs = sorted(x for x in points if x >= since)
    return points[xs[-1]] / points[xs[0]] if len(xs) > 1 and points[xs[0]] else None


def flatness(points, lines, since):
    """Flat, or growing no further than what there is without Socket.IO: the machine's own cost of more sockets."""
    grown = growth(points, since)
    if grown is None:
        return ""
    if grown <= GROWTH:
        return "flat"
    last = max(points)
    floors = [other[last] for row, other in lines.items() if SERVERS[row]["kind"] == "floor" and last in other]
    return "no dearer than the floor at its end" if floors and points[last] <= NEAR * min(floors) else "**grows**"
