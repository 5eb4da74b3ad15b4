"""Run the accuracy experiments: `python -m validation.accuracy --data ../shared/data`.

An interrupted run goes on where it stopped: results of the same code and seed are kept in a file,
experiment by experiment, until all are done. `--json FILE` keeps them there for good, beside the
results of other experiments that FILE holds.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from validation.accuracy.common import AccuracyRow, table, worst_cases

ROOT = Path(__file__).resolve().parents[2]
UNFINISHED = ROOT / "validation" / "results" / "accuracy.unfinished.json"
"""Where a run keeps what it has until it is done."""

MODULES = ("ncnn", "phones", "published", "market", "gpus", "servers", "npus", "nasbench")
"""Modules of this package; each has `EXPERIMENTS`, a dict from names to `Experiment`s."""

Experiment = Callable[[Path, int], list[AccuracyRow]]


def experiments() -> dict[str, Experiment]:
    """Every experiment by name, in the order of `MODULES`."""
    found: dict[str, Experiment] = {}
    for name in MODULES:
        found |= importlib.import_module(f"validation.accuracy.{name}").EXPERIMENTS
    return found


def code_version(root: Path = ROOT) -> str:
    """A short digest of every source file and table that a figure can depend on."""
    digest = hashlib.sha256()
    for top in ("perfmodel", "hw_profiles", "validation/accuracy", "validation/data"):
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".csv", ".toml", ".json", ".npz"):
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """Results by experiment in a JSON file: {"runs": {name: [...]}, "made": {name: {...}}}.

    `made` holds of each experiment the seed, the version of the code and how long it took. What
    the file holds of other experiments stays. Raises `PerfmodelError` for a file of another form.
    """

    def __init__(self, path: Path, seed: int, code: str) -> None:
        self.path, self.seed, self.code = path, seed, code
        self.data: dict[str, Any] = {"runs": {}, "made": {}}
        if path.is_file():
            self.data = _read(path)

    def done(self, name: str) -> list[AccuracyRow] | None:
        """Results of an experiment by the same code and seed; None where there are none."""
        made = self.data["made"].get(name, {})
        if (made.get("seed"), made.get("code")) != (self.seed, self.code):
            return None
        return [AccuracyRow.from_dict(result) for result in self.data["runs"][name]]

    def add(self, name: str, results: Sequence[AccuracyRow], elapsed_s: float) -> None:
        """Keep an experiment's results, in the order of all experiments, at once on disk."""
        made = {"seed": self.seed, "code": self.code, "elapsed_s": elapsed_s}
        order = {known: place for place, known in enumerate(experiments())}
        for key, value in (("runs", [r.to_dict() for r in results]), ("made", made)):
            held = self.data[key] | {name: value}
            self.data[key] = dict(
                sorted(held.items(), key=lambda item: order.get(item[0], len(order)))
            )
        write_atomically(self.path, json.dumps(self.data, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        runs, made = data["runs"], data["made"]
        if not (isinstance(runs, dict) and isinstance(made, dict) and set(made) <= set(runs)):
            raise KeyError("made")
    except (ValueError, KeyError, TypeError) as error:
        raise PerfmodelError(f"{path} holds no results of this program", "remove it") from error
    return {"runs": runs, "made": made}


def run_all(
    chosen: dict[str, Experiment], data: Path, store: Store, *, again: bool = False
) -> Iterator[tuple[str, list[AccuracyRow] | PerfmodelError]]:
    """Each experiment's results, or why it has none; what `store` holds is not made again."""
    for place, (name, run) in enumerate(chosen.items(), start=1):
        head = f"{place} of {len(chosen)}: {name}"
        kept = None if again else store.done(name)
        if kept is not None:
            print(f"{head}, kept from an earlier run", file=sys.stderr)
            yield name, kept
            continue
        print(f"{head} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            results = run(data, store.seed)
        except FileNotFoundError as error:
            yield name, PerfmodelError(f"{error.filename} is missing", "is --data right?")
            continue
        except PerfmodelError as error:
            yield name, error
            continue
        elapsed_s = round(time.perf_counter() - start, 1)
        print(f"{head} took {elapsed_s} s", file=sys.stderr)
        store.add(name, results, elapsed_s)
        yield name, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen experiments, print one table; 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of measurements")
    parser.add_argument("--only", action="append", help="run experiments whose name starts so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--again", action="store_true", help="make again what the file holds")
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
    try:
        return _run(chosen, options)
    except PerfmodelError as error:
        print(f"validation.accuracy: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 2


def _run(chosen: dict[str, Experiment], options: argparse.Namespace) -> int:
    if not chosen:
        known = ", ".join(experiments())
        raise PerfmodelError(f"no experiment starts with {options.only}", f"known: {known}")
    if options.data is None or not options.data.is_dir():
        given = "is not given" if options.data is None else f"{options.data} is no folder"
        raise PerfmodelError(f"--data {given}", "give that of the measurements")
    store = Store(options.json or UNFINISHED, options.seed, code_version())
    answers = dict(run_all(chosen, options.data, store, again=options.again))
    results = [r for found in answers.values() if isinstance(found, list) for r in found]
    failed = {n: found for n, found in answers.items() if isinstance(found, PerfmodelError)}
    print(table(results))
    print("\nWorst cases\n" + worst_cases(results))
    for name, error in failed.items():
        print(f"{name}: {error}", file=sys.stderr)
    if failed:
        return 2
    if options.json is None:
        UNFINISHED.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
