"""Tables and figures as text."""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def fmt(value):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def fixed(value, digits=2):
    return "–" if value is None else f"{value:,.{digits}f}"


def count(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}".removesuffix(".00")


def mib(size):
    return f"{size / 2**20:.2f}"
