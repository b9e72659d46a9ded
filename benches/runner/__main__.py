#!/usr/bin/env python3
"""The side-by-side benchmark. `cargo xtask bench` builds what it needs and calls it; Python's standard library is enough.

  runner run --out FILE [--servers a,b] [--scenarios echo,sweeps,…] [--reps 3] [--secs 1.5] [--quick] [--codec]
  runner tables FILE              what a run printed at its end
  runner report FILE              fills the marked sections of docs/performance.md and README.md, and draws the plots
"""
import argparse
import json
import sys
from pathlib import Path

import codec
import machine
import measure
import plot
import report
from plan import Plan

ROOT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--servers", default="", help="rows of servers.toml; all that are ready unless given")
    run.add_argument("--missing", action="append", default=[], metavar="NEEDS=WHY", help="rows that are not ready")
    run.add_argument("--scenarios", default="main", help="tables of scenarios.toml, or: main, sweeps, all, none")
    run.add_argument("--reps", type=int, default=3)
    run.add_argument("--secs", type=float, default=1.5, help="longest measured part of a scenario")
    run.add_argument("--warm-secs", type=float, default=0.8)
    run.add_argument("--pin", default="0,1", help="SERVERCORE,LOADGENCORE or none")
    run.add_argument("--quick", action="store_true", help="one short repetition: shows that it works, proves nothing")
    run.add_argument("--codec", action="store_true", help="the parsers too")
    run.add_argument("--merge", action="store_true", help="keep what the file holds and this run does not measure again")
    for name in ("tables", "report"):
        commands.add_parser(name).add_argument("file", type=Path)
    args = parser.parse_args()

    if args.command == "run":
        return execute(args)
    data = json.loads(args.file.read_text())
    if args.command == "report":
        plot.draw_all(data, ROOT / "docs" / "performance")
        report.fill(data, ROOT)
        return 0
    print(report.everything(data))
    return report.exit_code(data)


def execute(args):
    if args.quick:
        args.reps, args.secs, args.warm_secs = 1, 0.5, 0.2
    data = {"results": {}, "sweeps": {}, "codec": []}
    if args.merge and args.out.exists():
        data = json.loads(args.out.read_text())
    data["machine"] = machine.describe(ROOT)
    data["config"] = {"reps": args.reps, "secs": args.secs, "warm_secs": args.warm_secs, "pin": args.pin}
    data["missing"] = dict(item.split("=", 1) for item in args.missing)
    plan = Plan.of(ROOT, args, data["missing"])
    record(data, plan, args.codec)
    args.out.parent.mkdir(parents=True, exist_ok=True)

    def save():
        args.out.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    if args.codec:
        data["codec"] = codec.run(ROOT, args.quick)
        save()
    measure.run(ROOT, args, plan, data, save)
    text = report.everything(data)
    args.out.with_suffix(".md").write_text(text + "\n")
    print(text)
    print(f"\nraw: {args.out}", file=sys.stderr)
    return report.exit_code(data)


def record(data, plan, codec):
    """When and how each part of the file was measured; what is merged later has conditions of its own."""
    when = {key: data["machine"][key] for key in ("date", "commit", "load1_at_start")}
    parts = data.setdefault("parts", {})
    if codec:
        parts["parsers"] = when
    for what in plan.parts():
        parts[what] = {**when, **data["config"]}


if __name__ == "__main__":
    sys.exit(main())
