"""The figures of every row, and how far repetitions are apart."""
from .figures import MAIN, OPERATIONS, SERVERS, figure, key_of, median, samples_of
from .markdown import fmt, table


def matrix(data, scenarios, cell):
    names = [name for name in SERVERS if name in data["results"]]
    scenarios = [s for s in scenarios if any(s in data["results"][name] for name in names)]
    return table(["server", *scenarios], [[name, *(cell(name, s) for s in scenarios)] for name in names]) if scenarios else ""


def costs(data):
    parts = {
        "Server CPU µs per operation; `idle` in KiB per connection": matrix(data, MAIN, lambda row, s: fmt(figure(data, row, s))),
        "The same as medians of whole repetitions, neighbours and all":
            matrix(data, OPERATIONS, lambda row, s: fmt(median(data, row, s))),
        "Operations per second, one core for the server":
            matrix(data, OPERATIONS, lambda row, s: fmt(median(data, row, s, "per_s"))),
        "Share of its core that the server used (below 1 the load generator was the limit)":
            matrix(data, OPERATIONS, lambda row, s: fmt(median(data, row, s, "server_util"))),
    }
    return "\n\n".join(f"{title}:\n\n{text}" for title, text in parts.items() if text)


def spreads(data):
    def cell(row, scenario):
        values = [sample[key_of(scenario)] for sample in samples_of(data, row, scenario) if key_of(scenario) in sample]
        return f"{fmt(min(values))}–{fmt(max(values))}" if values else "–"

    text = matrix(data, MAIN, cell)
    return f"Lowest–highest repetition:\n\n{text}" if text else ""
