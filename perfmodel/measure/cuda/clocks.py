"""Clocks, heat and power of the GPU, read and never set."""

from __future__ import annotations

import subprocess
from pathlib import Path

SMI_FIELDS = (
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "temperature.gpu",
    "power.draw",
    "clocks_throttle_reasons.active",
    "driver_version",
)


def query_clocks() -> dict[str, str]:
    """Clocks, heat and power as nvidia-smi reads them, never set; on Jetson the GPU's devfreq.

    Empty where neither is there.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return _jetson_clocks()
    first = done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
    values = [v.strip() for v in first.split(",")]
    return dict(zip(SMI_FIELDS, values, strict=False))


def _jetson_clocks() -> dict[str, str]:
    """Current GPU frequency of a Jetson in Hz, from sysfs."""
    found = sorted(Path("/sys/class/devfreq").glob("*/cur_freq"))
    gpus = [
        p
        for p in found
        if any(word in p.parent.name for word in ("gpu", "gv11b", "gp10b", "gm20b", "ga10b"))
    ]
    return {f"{p.parent.name}.cur_freq_hz": p.read_text().strip() for p in gpus}
