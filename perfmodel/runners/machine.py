"""Describing the machine that measures: what may explain a figure later."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from perfmodel.errors import RunnerError

_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_MEMINFO = Path("/proc/meminfo")
_INTERESTING_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_tile",
    "asimddp",
    "asimdhp",
)

PROBE_S = 0.3
"""Seconds that busy processes count: a hundred time slices of Linux's scheduler (about 3 ms)."""
PROBES = 3
"""The best of three: whoever else is busy can only make processes slower."""
SHARED = 1.5
"""Two busy processes that do less than this multiple of one's work share a core, by judgement:
siblings of one core reach 1.1 to 1.3, two cores 1.8 to 2."""

_BUSY = """
import sys, time
start, seconds = float(sys.argv[1]), float(sys.argv[2])
while time.time() < start:
    pass
end, done, x = start + seconds, 0, 1.0
while time.time() < end:
    for _ in range(2000):
        x = x * 1.0000001 + 0.1
    done += 1
print(done)
"""


def busy_scaling(processes: int, seconds: float = PROBE_S, probes: int = PROBES) -> float:
    """How many times one busy process's work several do at the same time: at best `processes`.

    Two threads of a core, or a host that shares its cores among machines, give little more than
    one. Takes about `2 probes seconds`. Raises `RunnerError` where no process can be started.
    """
    alone = max(_work(1, seconds) for _ in range(probes))
    together = max(_work(processes, seconds) for _ in range(probes))
    return together / alone


def shares_cores(scaling: float, processes: int) -> bool:
    """Whether so little scaling tells that the processes have no core each."""
    return scaling < 1 + (SHARED - 1) * (processes - 1)


def _work(processes: int, seconds: float) -> float:
    """Rounds that processes do which start at one time."""
    # time for the last of them to be ready
    start = time.time() + 0.1 + 0.05 * processes
    command = [sys.executable, "-I", "-S", "-c", _BUSY, repr(start), repr(seconds)]
    try:
        busy = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
        told = [one.communicate(timeout=60 + seconds)[0] for one in busy]
        return float(sum(map(int, told)))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RunnerError(f"the cores of this machine could not be probed: {error}") from None


def host_facts() -> dict[str, str]:
    """CPU, cores, governor, load, memory and system of this machine; unknown ones say so."""
    cpu = _fields(_CPUINFO)
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    memory = _fields(_MEMINFO).get("MemTotal", "unknown")
    return {
        "cpu": cpu.get("model name") or cpu.get("Model") or platform.processor() or "unknown",
        "cores": str(os.cpu_count() or "unknown"),
        "instruction_sets": " ".join(f for f in _INTERESTING_FLAGS if f in flags) or "unknown",
        "governor": _read(_GOVERNOR) or "not exposed",
        "load_1min": load_1min(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def load_1min() -> str:
    """Processes that wanted to run, mean of the last minute; "unknown" where not told."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _fields(path: Path) -> Mapping[str, str]:
    """First value of each `key : value` line of a /proc file."""
    found: dict[str, str] = {}
    for line in _read(path).splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
