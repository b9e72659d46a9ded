"""What silent connections cost: memory while they are there and after they have gone, CPU between heartbeats and for each."""
from .figures import SCENARIOS, SERVERS, median
from .markdown import count, fixed, fmt, mib, table


def memory(data):
    parts = []
    keys = {"kib_per_conn_now": "connected", "kib_per_conn_later": "idle for a while", "kib_per_conn_gone": "gone",
            "kib_per_conn_again": "as many again"}
    resident = [[row, *(fmt(median(data, row, "idle", key)) for key in keys)]
                for row in SERVERS if median(data, row, "idle") is not None]
    if resident:
        parts.append("KiB of resident memory above the base, per connection of the first wave:\n\n"
                     + table(["server", *keys.values()], resident))
    live = data.get("heap", {})
    if live:
        wanted = SCENARIOS["idle"]["left"]
        head = ["server", "before", "with the clients", "KiB per client", "when they have gone", "left of what they took", "at most", ""]
        parts.append(f"Live bytes on the heap in MiB, {max(at['n'] for at in live.values()):,} clients, after a first wave as large "
                     f"has come and gone:\n\n{table(head, [heap_row(row, at, wanted) for row, at in live.items()])}")
    return "\n\n".join(parts)


def heap_row(row, at, wanted):
    took = max(at["during"] - at["before"], 1)
    left = (at["after"] - at["before"]) / took
    judged = ("met" if round(left, 3) <= wanted else "**missed**") if SERVERS[row]["kind"] == "ours" else ""
    return [row, mib(at["before"]), mib(at["during"]), f"{took / at['n'] / 1024:.2f}", mib(at["after"]), f"{100 * left:.1f} %",
            f"{100 * wanted:g} %", judged]


def idle_cpu(data):
    body = [idle_row(data, row) for row in SERVERS
            if median(data, row, "idle", "idle_cpu_ms") is not None or median(data, row, "heartbeat", "heartbeats") is not None]
    if not body:
        return ""
    held = max((median(data, row, "idle", "hold_s") or 0 for row in SERVERS), default=0)
    head = ["server", f"CPU in {held:g} s, ms", "wake-ups", "heartbeats", "µs per connection and second", "at most", "",
            "CPU per heartbeat, µs", "wake-ups per heartbeat"]
    return ("Silence of 5,000 connections and 200 more, between two heartbeats; and what a heartbeat of a connection costs, with one a "
            f"second on each of 1,000:\n\n{table(head, body)}")


def idle_row(data, row):
    quiet, held, woken, seen, clients, stayed = (
        median(data, row, "idle", key)
        for key in ("idle_cpu_ms", "hold_s", "idle_wakeups", "idle_heartbeats", "n", "warm"))
    each = None if quiet is None else quiet * 1e3 / (clients + stayed) / held
    wanted = SCENARIOS["idle"]["quiet"]
    judged = "" if each is None or SERVERS[row]["kind"] != "ours" else "met" if round(each, 3) <= wanted else "**missed**"
    beats, wakeups = (median(data, row, "heartbeat", key) for key in ("heartbeats", "wakeups"))
    return [row, fmt(quiet), count(woken, 0), count(seen, 0), fixed(each, 3), f"{wanted:g}", judged,
            fmt(median(data, row, "heartbeat")), fixed(wakeups / beats if beats else None)]
