"""Clocks, heat and power of the GPU, read and never set."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

SMI_FIELDS = (
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "driver_version",
)
THROTTLING = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""Why clocks are lowered: the name of new drivers, and of old ones."""
DEVFREQ = Path("/sys/class/devfreq")
JETSON_GPUS = ("gpu", "gm20b", "gp10b", "gv11b", "ga10b")


def query_clocks() -> dict[str, str]:
    """What nvidia-smi says of the first GPU; on a Jetson its frequency and power mode.

    Empty where neither is there.
    """
    found = _smi(SMI_FIELDS)
    if not found:
        return _jetson()
    for name in THROTTLING:
        reasons = _smi((name,))
        if reasons:
            return found | reasons
    return found


def _smi(fields: Sequence[str]) -> dict[str, str]:
    """The fields by name; empty if nvidia-smi is absent or does not know one of them."""
    text = _output(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"])
    lines = text.strip().splitlines()
    values = [v.strip() for v in lines[0].split(",")] if lines else []
    return dict(zip(fields, values, strict=True)) if len(values) == len(fields) else {}


def _output(command: Sequence[str]) -> str:
    """What a command prints, "" if it is absent or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _jetson() -> dict[str, str]:
    """GPU frequency in Hz from sysfs, and the power mode."""
    facts = {}
    for path in sorted(DEVFREQ.glob("*/cur_freq")):
        if any(name in path.parent.name for name in JETSON_GPUS):
            facts[f"{path.parent.name}.cur_freq_hz"] = path.read_text().strip()
    mode = _output(["nvpmodel", "-q"]).strip()
    return facts | ({"nvpmodel": " ".join(mode.split())} if mode else {})
