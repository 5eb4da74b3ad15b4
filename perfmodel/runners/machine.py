"""Describing the machine that measures: what may explain a figure later."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

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
