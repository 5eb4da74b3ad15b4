"""Speed, memory and scaling of every room: `python -m benchmarks.run`, on a quiet machine.

Prints a table with the machine, the targets and the results kept in benchmarks/results.json;
`--keep` puts the new results there. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Target, read_targets
from perfmodel.files import write_atomically
from perfmodel.render.text import table
from perfmodel.runners.machine import host_facts
from perfmodel.units import format_number

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"


def reading() -> Iterator[Figure]:
    """Files of networks, in processes of their own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "read_speed.py")],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    data = json.loads(done.stdout)
    for kept in ("cached", "cold"):
        seen = data[f"read_{kept}"]
        yield Figure("graph", f"reading VGG16, {kept}", seen["process_s"], "s")
    yield Figure("graph", "reading VGG16, memory", data["read_cached"]["peak_rss_mb"], "MB")
    yield Figure("graph", "writing VGG16, 553 MB", data["write_s"], "s")
    seen = data["onnx_cold"]
    yield Figure("graph", "reading an ONNX file of 403 MB", seen["process_s"], "s")
    yield Figure("graph", "reading an ONNX file of 403 MB, memory", seen["peak_rss_mb"], "MB")


def partition() -> Iterator[Figure]:
    """The best plan of large networks."""
    from benchmarks import partition_speed

    for name in partition_speed.NETWORKS:
        seconds = partition_speed.measured_s(name)[2]
        yield Figure("partition", f"plan of {name}", seconds, "s")


def simulation() -> Iterator[Figure]:
    """Large scenarios, each in a process of its own."""
    from benchmarks import sim_speed

    for name in sim_speed.SCENARIOS:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "sim_speed.py"), name],
            check=True, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        seen = json.loads(done.stdout)
        yield Figure("sim", name, seen["wall_s"], "s")
        yield Figure("sim", f"{name}, memory", seen["memory_mb"], "MB")


def predicting() -> Iterator[Figure]:
    """Predictions and the command line."""
    from benchmarks import predict_speed

    yield from predict_speed.figures()


def questions() -> Iterator[Figure]:
    """Minimum phone, comparisons, sweeps."""
    from benchmarks import whatif_speed

    yield from whatif_speed.figures()


def limits() -> Iterator[Figure]:
    """The largest and costliest files."""
    from benchmarks import large_speed, limit_speed

    yield from limit_speed.figures()
    yield from large_speed.figures()


def local_page() -> Iterator[Figure]:
    """The page of `perfmodel ui`."""
    from benchmarks import ui_speed

    yield from ui_speed.figures()


ROOMS: dict[str, Callable[[], Iterator[Figure]]] = {
    "graph": reading,
    "limits": limits,
    "profile": predicting,
    "partition": partition,
    "sim": simulation,
    "whatif": questions,
    "ui": local_page,
}


def shown(
    figures: Sequence[Figure], targets: Mapping[str, Target], before: Mapping[str, Any]
) -> str:
    """The table: each figure, its target, and how it changed."""
    rows = []
    for f in figures:
        target, old = targets.get(f.key, Target()), before.get(f.key)
        change = f"{100 * (f.value / old['value'] - 1):+.0f} %" if old and old["value"] else "-"
        rows.append(
            (
                f.room,
                f.name,
                f"{format_number(f.value)} {f.unit}",
                str(target),
                "good" if target.met_by(f.value) else "MISSED",
                "-" if old is None else f"{format_number(old['value'])} {old['unit']}",
                change,
            )
        )
    return table(("room", "figure", "now", "target", "", "before", "change"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with --keep remember."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ROOMS), help="some rooms")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results.json")
    options = parser.parse_args(arguments)
    machine = host_facts()
    print(", ".join(f"{k}: {v}" for k, v in machine.items() if k != "instruction_sets"))
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    figures = [f for name in options.only or ROOMS for f in ROOMS[name]()]
    targets = read_targets()
    print(shown(figures, targets, kept.get("figures", {})))
    if kept:
        print(
            f"before: {kept['date']}, {kept['machine']['cpu']}, load {kept['machine']['load_1min']}"
        )
    if options.keep:
        new = {f.key: asdict(f) for f in figures}
        data = {
            "date": datetime.date.today().isoformat(),
            "machine": machine,
            "figures": {**kept.get("figures", {}), **new},
        }
        write_atomically(RESULTS, json.dumps(data, indent=1) + "\n")
    missed = [f for f in figures if not targets.get(f.key, Target()).met_by(f.value)]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
