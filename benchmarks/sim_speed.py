"""Speed and memory of one simulation: `python benchmarks/sim_speed.py EXAMPLE`, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCENARIOS = ("million_requests.toml", "phones_10000.toml", "mm1.toml")
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


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
