"""What the README shows."""
from .figures import SCENARIOS, cheapest, figure, rows_of
from .markdown import fmt, table

SHOWN = ("echo", "ack", "bin", "bcast4", "room", "conn-ws32", "conn-up32", "polling", "idle")
TITLES = {"tokio": "ours, tokio", "async-std": "ours, async-std", "floor": "no Socket.IO at all"}


def summary(data):
    names = [*rows_of(data, "ours"), "floor", "socketioxide", "bun", "node", "python"]
    names = [name for name in names if name in data["results"]]
    scenarios = [s for s in SHOWN if any(figure(data, name, s) is not None for name in names)]

    def cell(name, scenario):
        value = cheapest(data, "floor", scenario)[0] if name == "floor" else figure(data, name, scenario)
        return f"**{fmt(value)}**" if name in rows_of(data, "ours") else fmt(value)

    if not names:
        return ""
    head = ["server CPU µs per operation", *(TITLES.get(name, name) for name in names)]
    return table(head, [[SCENARIOS[s]["title"], *(cell(name, s) for name in names)] for s in scenarios])
