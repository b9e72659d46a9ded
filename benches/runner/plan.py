"""What a run measures: which servers, which scenarios."""
import sys
import tomllib
from dataclasses import dataclass


@dataclass
class Plan:
    servers: dict  # servers.toml
    scenarios: dict  # scenarios.toml
    rows: list  # the servers that are measured
    main: list  # the scenarios that are measured for each server, and repeated
    sweeps: list  # and those that are measured once for each of several sizes

    @classmethod
    def of(cls, root, args, missing):
        servers, scenarios = load(root, "servers.toml"), load(root, "scenarios.toml")
        main = [name for name, scenario in scenarios.items() if "sweep" not in scenario]
        sweeps = [name for name in scenarios if name not in main]
        groups = {"main": main, "sweeps": sweeps, "all": main + sweeps, "none": []}
        chosen = [name for item in args.scenarios.split(",") for name in groups.get(item, [item]) if name]
        known(chosen, scenarios, "scenario")
        rows = [name for name in args.servers.split(",") if name]
        known(rows, servers, "server")
        rows = rows or [name for name, server in servers.items() if server.get("default", True)]
        return cls(servers, scenarios, [row for row in rows if servers[row]["needs"] not in missing],
                   [name for name in chosen if name in main], [name for name in chosen if name in sweeps])

    def parts(self):
        """Names of what is measured under the same conditions, for the record."""
        every = [name for name, scenario in self.scenarios.items() if "sweep" not in scenario]
        parts = ["servers" if self.main == every else ", ".join(self.main)] if self.main else []
        return parts + (["sweeps"] if self.sweeps else [])


def load(root, name):
    return tomllib.loads((root / "benches" / name).read_text())


def known(names, table, what):
    for name in names:
        if name not in table:
            sys.exit(f"unknown {what} {name}; there are: {', '.join(table)}")
