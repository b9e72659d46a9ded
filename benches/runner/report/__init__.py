"""Tables of a run: against the targets, the figures of every row, the sweeps, the parsers. Markdown."""
from . import documents
from .costs import costs, spreads
from .latency import latencies
from .machine import machine
from .parsers import codec
from .silence import idle_cpu, memory
from .summary import summary
from .sweeps import sweeps
from .verdicts import verdicts

# By the name of their place in the documents: a title and what makes the text.
SECTIONS = {
    "verdicts": ("Against the targets", verdicts),
    "costs": ("Cost", costs),
    "latencies": ("Latency and order", latencies),
    "spreads": ("Spread", spreads),
    "memory": ("Memory", memory),
    "idle": ("Idle connections", idle_cpu),
    "sweeps": ("Sweeps", sweeps),
    "codec": ("Codec", codec),
}


def everything(data):
    parts = ["## Machine\n\n" + machine(data)] if "machine" in data else []
    parts += [f"## {title}\n\n{text}" for title, make in SECTIONS.values() if (text := make(data))]
    if data.get("missing"):
        parts.append("## Left out\n\n" + "\n".join(f"- {needs}: {why}" for needs, why in data["missing"].items()))
    return "\n\n".join(parts)


def fill(data, root):
    sections = {name: make(data) for name, (_, make) in SECTIONS.items()}
    documents.fill({**sections, "machine": machine(data), "summary": summary(data)}, root)


def exit_code(data):
    """1 when something failed to run. A target that is missed is a result, not a failure."""
    cells = [cell for row in data["results"].values() for samples in row.values() for cell in samples]
    cells += [point for sweep in data["sweeps"].values() for points in sweep.values() for point in points]
    return int(any("error" in cell for cell in cells))
