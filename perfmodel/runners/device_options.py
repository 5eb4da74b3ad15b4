"""How to reach an attached device, and what to run on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BENCHMARK_MODEL = "PERFMODEL_BENCHMARK_MODEL"
"""Environment variable with the path of a `benchmark_model` built for the phone."""
SERIAL = "ANDROID_SERIAL"
"""adb's own variable: the phone to use where several are attached."""
SSH_HOST = "PERFMODEL_SSH_HOST"
"""Environment variable with the host of a Jetson, where none is named."""


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """How to reach a device and what to run on it; each runner reads its own fields.

    adb: `benchmark_model` (a program built for the phone), `serial`, `cores` (a hexadecimal
    affinity mask), `threads` of the CPU runs, `delegates` ("" the CPU, "gpu", "nnapi").
    ssh: `precisions`, `dla` (a DLA core instead of the GPU), `trtexec`.
    cuda: `modes`, `batches`, `sweep_scale` (share of the kernel shapes), `device_index`.
    `adb`, `ssh` and `scp` are the programs on this machine.
    """

    benchmark_model: Path | None = None
    serial: str = ""
    cores: str = ""
    threads: int = 4
    delegates: tuple[str, ...] = ("",)
    precisions: tuple[str, ...] = ("fp16", "fp32")
    dla: int | None = None
    trtexec: str = ""
    modes: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1,)
    sweep_scale: float = 1.0
    device_index: int = 0
    adb: str = "adb"
    ssh: str = "ssh"
    scp: str = "scp"
