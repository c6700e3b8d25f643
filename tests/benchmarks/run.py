"""Run every benchmark, print a table, write JSON, and say which goals were missed.

Usage: python tests/benchmarks/run.py [NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

from harness import Result, table

BENCHMARKS = ("machine", "ingest", "webhooks", "channels", "postgres", "sending")


def main() -> int:
    """Return 0 if every goal was reached, 1 if one was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for name in options.names or BENCHMARKS:
        print(f"measuring {name} ...", flush=True)
        results += importlib.import_module(f"bench_{name}").run()
    print(table(results))
    if options.json:
        content = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "results": [result.as_json() for result in results],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    missed = [goal.what for result in results for goal, _, reached in result.goals if not reached]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
