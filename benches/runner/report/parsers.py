"""Our parsers beside the peers' and the limits; codec.toml has the targets."""
from .figures import CODEC
from .markdown import count, fixed, fmt, table


def codec(data):
    if not data.get("codec"):
        return ""
    by_case = {}
    for row in data["codec"]:
        by_case.setdefault(row["case"], []).append(row)
    body, verdicts = [], []
    for case, rows in by_case.items():
        for row in rows:
            name = f"**{row['who']}**" if row["kind"] == "ours" else row["who"]
            body.append([case, name, fmt(row["ns"]), count(row.get("allocs")), count(row.get("bytes"), 0)])
        verdicts += [verdict for row in rows if row["kind"] == "ours" and (verdict := judged(case, row, rows))]
    head = ["case", "implementation", "ns", "allocations", "bytes allocated"]
    targets = table(["case", "ours, ns", "against", "ratio", "at most", "allocations", "at most", ""], verdicts)
    return f"{targets}\n\n{table(head, body)}"


def judged(case, row, rows):
    wanted = CODEC.get(case, {}).get(row["who"], {})
    if "against" in wanted:
        references = [other for other in rows if other["who"].startswith(wanted["against"])]
    else:
        references = [other for other in rows if other["kind"] == "peer" and other.get("whole", True)]
    reference = min(references, key=lambda other: other["ns"], default=None)
    if reference is None:
        return None
    ratio, limit, allocs = row["ns"] / reference["ns"], wanted.get("ratio", 1.0), wanted.get("allocs")
    missed = round(ratio, 2) > limit or (allocs is not None and row["allocs"] > allocs)
    return [f"{case}: {row['who']}", fmt(row["ns"]), f"{reference['who']}, {fmt(reference['ns'])}", fixed(ratio), fixed(limit),
            count(row["allocs"]), count(allocs), "**missed**" if missed else "met"]
