"""Speed and memory of the simulation: `python benchmarks/sim_speed.py`, on a quiet machine.

Targets: a million requests through a single-server offload scenario in 20 s and 300 MB on one core;
10,000 phones x 100 requests in 30 s. Exit code 1 when one is missed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TARGETS = {
    "million_requests.toml": (20.0, 300.0),
    "phones_10000.toml": (30.0, 300.0),
    "mm1.toml": (15.0, 300.0),
}
BYTES_PER_KIB = 1024


def measure(name: str) -> dict[str, float]:
    """Simulate one example in this process: seconds by wall and CPU, and the most memory."""
    from perfmodel.sim import simulate

    wall, cpu = time.perf_counter(), time.process_time()
    result = simulate(EXAMPLES / name)
    return {
        "requests": sum(case.requests for case in result.cases),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_KIB / 1e6,
    }


def main() -> int:
    """Measure every example in a process of its own and compare with its targets."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return 0
    missed = False
    for name, (most_s, most_mb) in TARGETS.items():
        run = subprocess.run(
            [sys.executable, __file__, name], stdout=subprocess.PIPE, check=True, text=True
        )
        seen = json.loads(run.stdout)
        good = seen["wall_s"] <= most_s and seen["memory_mb"] <= most_mb
        missed |= not good
        print(
            f"{name}: {seen['requests']:,.0f} requests in {seen['wall_s']:.1f} s "
            f"({seen['cpu_s']:.1f} s CPU, target {most_s:.0f} s), "
            f"{seen['memory_mb']:.0f} MB (target {most_mb:.0f}): {'good' if good else 'MISSED'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
