"""A campaign in progress: its settings, the rows so far, its files, the machine's description."""

from __future__ import annotations

import math
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import MODES
from perfmodel.runners.cuda.clocks import query_clocks
from perfmodel.runners.cuda.device import CudaDevice

STUDY = (
    "alexnet", "vgg16", "resnet50", "mobilenet_v1", "mobilenet_v2", "squeezenet_1_1",
    "inception_v3", "densenet121",
)  # fmt: skip
OWN_STAGES = ("check", "sweep", "networks")
STAGES = (*OWN_STAGES, "eager", "products")
"""The last two run a framework that the caller brings."""
STAGE_SHARES: Mapping[str, float] = {
    "check": 0.15,
    "sweep": 0.35,
    "networks": 0.25,
    "eager": 0.15,
    "products": 0.1,
}
"""Share of the budget that each stage gets, by judgement: what one leaves goes to those after it.
Kernels teach most, so they get most."""
WRITE_EVERY_S = 20.0


@dataclass(frozen=True)
class Settings:
    """What a campaign measures; `budget_s` covers all stages together."""

    networks: tuple[str, ...] = STUDY
    batches: tuple[int, ...] = (1, 32)
    modes: tuple[str, ...] = tuple(MODES)
    stages: tuple[str, ...] = OWN_STAGES
    sweep_scale: float = 1.0
    seed: int = 4
    budget_s: float = 3600.0
    samples: int = 21
    device_index: int = 0
    device_name: str = ""

    def __post_init__(self) -> None:
        unknown = [s for s in self.stages if s not in STAGES] or [
            m for m in self.modes if m not in MODES
        ]
        if unknown:
            raise RunnerError(
                f"{unknown[0]!r} is no stage or mode of a campaign",
                f"stages: {', '.join(STAGES)}; modes: {', '.join(MODES)}",
            )
        if any(not 1 <= b <= 64 for b in self.batches):
            raise RunnerError(f"batches must lie between 1 and 64, got {self.batches}")


@dataclass(frozen=True)
class CampaignResult:
    """What a campaign wrote: files by table name, counts of rows, and what failed, in words.

    `died` where the process that ran it did: then `finished` is false.
    """

    folder: Path
    files: Mapping[str, Path]
    rows: Mapping[str, int]
    failures: tuple[str, ...]
    finished: bool
    died: bool = False


def files_of(folder: Path, stem: str) -> dict[str, Path]:
    """Where the tables of the device `stem` go."""
    return {
        "kernels": folder / f"{stem}_kernels.csv.gz",
        "layers": folder / f"{stem}_layers.csv.gz",
        "networks": folder / f"{stem}_networks.csv",
        "machine": folder / f"{stem}_machine.json",
    }


@dataclass
class State:
    """A campaign in progress."""

    device: CudaDevice
    settings: Settings
    folder: Path
    name: str
    started: float = field(default_factory=time.monotonic)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    networks: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    last_write: float = 0.0
    cut_short: bool = False
    stage_end_s: float = math.inf

    @property
    def build(self) -> str:
        """Versions of what runs."""
        return build_text(self.device)

    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def begin(self, stage: str) -> None:
        """Give a stage its share of what is left of the budget."""
        later = self.settings.stages[self.settings.stages.index(stage) :]
        share = STAGE_SHARES[stage] / sum(STAGE_SHARES[s] for s in later)
        self.stage_end_s = self.spent() + share * (self.settings.budget_s - self.spent())

    def out_of_time(self) -> bool:
        """Whether the stage's time is used up; remembers that something was left out."""
        over = self.spent() > min(self.settings.budget_s, self.stage_end_s)
        self.cut_short = self.cut_short or over
        return over

    def note_clocks(self, moment: str) -> None:
        """Read clocks, heat and power."""
        self.clocks.append({"moment": moment, "after_s": round(self.spent(), 1), **query_clocks()})

    @property
    def files(self) -> dict[str, Path]:
        """Where each table goes."""
        return files_of(self.folder, self.name)

    def write(self, force: bool = False) -> None:
        """Write all tables, at most every `WRITE_EVERY_S` unless forced."""
        if not force and time.monotonic() - self.last_write < WRITE_EVERY_S:
            return
        self.last_write = time.monotonic()
        files = self.files
        for key, columns, rows in (
            ("kernels", tables.KERNEL_COLUMNS, self.kernels),
            ("layers", tables.KERNEL_COLUMNS, self.layers),
            ("networks", tables.NETWORK_COLUMNS, self.networks),
        ):
            if rows:
                tables.write_table(files[key], columns, rows)
        tables.write_json(files["machine"], self.describe())

    def describe(self) -> dict[str, Any]:
        """The machine, how it was measured, checks and failures."""
        return {
            "format": 1,
            "device": self.name,
            "gpu": asdict(self.device.facts),
            "build": self.build,
            "host": {"python": platform.python_version(), "machine": platform.machine()},
            "settings": asdict(self.settings),
            "method": METHOD,
            "clocks": self.clocks,
            "checks": self.checks,
            "failures": self.failures,
            "cut_short": self.cut_short,
            "seconds": round(self.spent(), 1),
        }


METHOD = {
    "statistic": "median of samples; one sample is the mean of replays that fill 2 ms",
    "launch": "CUDA graph replays back to back; stream and eager rows say so",
    "kernels": "inputs warm in L2; weights and outputs cold (rotating over twice the L2) or warm",
    "layers": "event marks inside the network's graph, the marks' cost taken off so that the "
    "layers add up to the network",
    "data": "standard normal, never zeros; outputs poisoned with NaN before every check",
    "clocks": "read with nvidia-smi, never set",
}


def with_batch(spec: str, batch: int) -> str:
    """A zoo spec with its batch size set."""
    return f"{spec}{',' if '@' in spec else '@'}batch={batch}"


def build_text(device: CudaDevice) -> str:
    """For example "cuDNN 92800, driver CUDA 13000"."""
    from perfmodel.runners.cuda import cudnn

    try:
        library = f"cuDNN {cudnn.version()}"
    except RunnerError:
        library = "no cuDNN"
    return f"{library}, driver CUDA {device.facts.driver_cuda}"


def device_slug(name: str) -> str:
    """ "NVIDIA H200" becomes "h200", "Tesla V100-PCIE-32GB" "tesla-v100-pcie-32gb"."""
    text = re.sub(r"^nvidia\s+", "", name.strip().lower())
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-") or "gpu"
