"""Networks of thousands of operators through the commands: `python -m benchmarks.large_speed`.

Each command runs in a process of its own, whose seconds and most memory count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure

ASKED = (
    ("predict, 9,999 operators", "predict", 9_999, ("--on", "snapdragon-888/cpu")),
    ("minspec, 9,999 operators", "minspec", 9_999, ("--max-latency-ms", "1000")),
    ("partition, 3,000 operators", "partition", 3_000, ("--on", "huawei-p40/gpu", "--units=cpu")),
)

PROGRAM = """
import json, resource, sys, time
from perfmodel.cli.app import main
started = time.perf_counter()
try:
    main()
except SystemExit as end:
    if end.code:
        raise
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps([time.perf_counter() - started, peak]), file=sys.stderr)
"""


def figures() -> Iterator[Figure]:
    """Seconds and memory of each command."""
    with tempfile.TemporaryDirectory() as folder:
        for name, command, count, words in ASKED:
            path = chain(Path(folder), count)
            seconds, memory_mb = spent(command, str(path), *words)
            yield Figure("limits", name, seconds, "s")
            yield Figure("limits", f"{name}, memory", memory_mb, "MB")


def spent(*words: str) -> tuple[float, float]:
    """Seconds (without starting Python) and most memory in MB of a command of its own process."""
    arguments = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    seconds, memory_mb = json.loads(done.stderr.splitlines()[-1])
    return seconds, memory_mb


def chain(folder: Path, count: int) -> Path:
    """An ncnn file of an input and `count - 1` convolutions that follow one another."""
    layers = [f"Convolution c{i} 1 1 b{i} b{i + 1} 0=3 1=1 5=1 6=9" for i in range(count - 1)]
    lines = ["7767517", f"{count} {count}", "Input d 0 1 b0 0=8 1=8 2=3", *layers]
    path = folder / f"chain_{count}.param"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    for figure in figures():
        print(figure)
