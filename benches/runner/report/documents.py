"""Puts the tables where the documents have a place for them."""
import re

DOCUMENTS = ("docs/performance.md", "README.md")


def fill(sections, root):
    for name in DOCUMENTS:
        path = root / name
        path.write_text(filled(path.read_text(), sections))
        print(f"filled: {name}")


def filled(text, sections):
    """Replaces what stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; what a run did not measure stays."""
    def section(match):
        new = sections.get(match[1])
        return f"<!-- bench:{match[1]} -->\n{new}\n<!-- /bench:{match[1]} -->" if new else match[0]

    return re.sub(r"<!-- bench:(\w+) -->\n.*?<!-- /bench:\1 -->", section, text, flags=re.S)
