"""Run the accuracy experiments: `python -m validation.accuracy --data ../shared/data`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from validation.accuracy.common import Result, table, worst_cases

MODULES = ("ncnn", "phones", "gpus", "nasbench", "published")
"""Modules of this package; each has `EXPERIMENTS`, a dict from names to `Experiment`s."""

Experiment = Callable[[Path, int], list[Result]]


def experiments() -> dict[str, Experiment]:
    """Every experiment by name, in the order of `MODULES`."""
    found: dict[str, Experiment] = {}
    for name in MODULES:
        module = f"validation.accuracy.{name}"
        if importlib.util.find_spec(module) is not None:
            found.update(importlib.import_module(module).EXPERIMENTS)
    return found


def _write(path: Path, runs: dict[str, list[Result]], elapsed_s: dict[str, float]) -> None:
    """Write results by experiment; what the file holds of other experiments stays."""
    old = json.loads(path.read_text()) if path.is_file() else {"runs": {}, "elapsed_s": {}}
    done = old["runs"] | {name: [r.to_dict() for r in results] for name, results in runs.items()}
    order = {name: i for i, name in enumerate(experiments())}
    data = {
        "runs": dict(sorted(done.items(), key=lambda item: order.get(item[0], len(order)))),
        "elapsed_s": old["elapsed_s"] | elapsed_s,
    }
    write_atomically(path, json.dumps(data, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen experiments, print one table; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m validation.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of measurements")
    parser.add_argument("--only", action="append", help="run experiments whose name starts so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args(arguments)
    chosen = {
        name: run
        for name, run in experiments().items()
        if not options.only or any(name.startswith(prefix) for prefix in options.only)
    }
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print(f"no experiment starts with {options.only}; known: {', '.join(experiments())}")
        return 2
    runs: dict[str, list[Result]] = {}
    elapsed_s: dict[str, float] = {}
    for name, run in chosen.items():
        start = time.perf_counter()
        try:
            runs[name] = run(options.data, options.seed)
        except PerfmodelError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        elapsed_s[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {elapsed_s[name]} s", file=sys.stderr)
        if options.json:
            _write(options.json, runs, elapsed_s)
    results = [result for found in runs.values() for result in found]
    print(table(results))
    print("\nWorst cases\n" + worst_cases(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
