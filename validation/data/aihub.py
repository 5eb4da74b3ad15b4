"""Rows of Qualcomm AI Hub: which network each is of, which target, and which are left out.

aihub.csv.gz is the newest snapshot, aihub_history.csv.gz every release before it (data notes:
README-aihub.md). A job that stands under two device names is taken once, under the first.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.table import MeasurementTable, make_frame
from perfmodel.target import Target
from validation.data.network_tables import target_columns

FOLDER = Path(__file__).resolve().parents[1] / "aihub"
SOURCE = "Qualcomm AI Hub, quic/ai-hub-models v0.46.1, perf.yaml (BSD-3-Clause)"

RUNTIMES = {
    "qnn_dlc": "qnn",
    "qnn_context_binary": "qnn",
    "tflite": "tflite",
    "onnx": "onnxruntime",
}
"""Framework of each runtime; a context binary is a QNN graph compiled before it is sent."""

PRECISIONS = {"float": "fp16", "w8a8": "w8a8", "w8a16": "w8a16"}
"""Precision of each of AI Hub's; floats run as fp16, mixtures of widths are left out."""

SAME_CHIP = {
    "sa7255p-adp": "qcs8275",
    "sa8775p-adp": "qcs9075",
    "dragonwing-iq-9075-evk": "qcs9075",
    "samsung-galaxy-s25": "snapdragon-8-elite",
    "snapdragon-8-elite-qrd": "snapdragon-8-elite",
    "samsung-galaxy-s24": "snapdragon-8-gen-3",
    "samsung-galaxy-s23": "snapdragon-8-gen-2",
    "qcs8550": "snapdragon-8-gen-2",
    "qcs8450": "snapdragon-8-gen-1",
    "rb3-gen-2": "qcs6490",
    "dragonwing-rb3-gen-2-vision-kit": "qcs6490",
}
"""Devices of one chip, or of chips that share jobs (README-aihub.md): one fold."""

OTHER_UNITS = 0.05
"""Share of layers on the CPU or GPU from which on a row is not one of the NPU."""

FEWEST_NETWORKS = 10
"""A target with fewer known networks is not built."""


@dataclass(frozen=True, kw_only=True)
class AiHubRow:
    """One measured inference: its target, the network's place in networks.csv, milliseconds.

    `tools` are the versions that made it; `memory_mb` is the range of memory that the job states.
    """

    target: Target
    network: int
    latency_ms: float
    tools: str
    job: str
    layers: int
    memory_mb: tuple[float, float]

    @property
    def chip(self) -> str:
        """The chip, or that of the fold."""
        return SAME_CHIP.get(self.target.device, self.target.device)


@dataclass(frozen=True)
class NetworkLine:
    """A line of networks.csv; `normalised` tells whether the NPU normalises its image
    (`aihub.as_run`)."""

    model: str
    component: str
    network: str
    family: str
    normalised: bool


@lru_cache(maxsize=1)
def network_lines() -> tuple[NetworkLine, ...]:
    """Which graph each model of AI Hub is; a `structures/` file lies beside the table."""
    with open(FOLDER / "networks.csv", encoding="utf-8", newline="") as file:
        return tuple(
            NetworkLine(
                model=row["model"],
                component=row["component"],
                network=row["network"],
                family=row["family"],
                normalised=row["normalised"] == "yes",
            )
            for row in csv.DictReader(file)
        )


def network_name(line: NetworkLine) -> str:
    """What `load` takes for a line."""
    inside = line.network.startswith("structures/")
    return str(FOLDER / line.network) if inside else line.network


def aihub_rows(data: Path, file: str) -> list[AiHubRow]:
    """Rows of the NPU whose network is known; the fastest of a target's jobs of one network."""
    import pandas

    frame = pandas.read_csv(data / file, low_memory=False)
    frame = frame[(frame["primary_unit"] == "NPU") & frame["runtime"].isin(RUNTIMES)]
    frame = frame[frame["precision"].isin(PRECISIONS) & (frame["inference_time_us"] > 0)]
    elsewhere = frame["layers_cpu"].fillna(0) + frame["layers_gpu"].fillna(0)
    frame = frame[elsewhere <= OTHER_UNITS * frame["layers_total"]].drop_duplicates("job_id")
    best: dict[tuple[Target, int], AiHubRow] = {}
    for row in _rows(frame):
        key = (row.target, row.network)
        if key not in best or row.latency_ms < best[key].latency_ms:
            best[key] = row
    return list(best.values())


def _rows(frame: Any) -> Iterator[AiHubRow]:
    lines = network_lines()
    alone = {n.model: i for i, n in enumerate(lines) if not n.component}
    parts = {(n.model, n.component): i for i, n in enumerate(lines) if n.component}
    components = frame.groupby("model")["component"].nunique()
    for row in frame.to_dict("records"):
        network = parts.get((row["model"], row["component"]))
        if network is None and components[row["model"]] == 1:
            network = alone.get(row["model"])
        if network is not None:
            yield _row(row, network)


def _row(row: dict[str, Any], network: int) -> AiHubRow:
    framework = RUNTIMES[row["runtime"]]
    tools = "" if row["tools"] != row["tools"] else str(row["tools"])
    return AiHubRow(
        target=Target(
            device_slug(row["device"], ""),
            "npu",
            framework,
            PRECISIONS[row["precision"]],
            version=version_of(tools, framework),
        ),
        network=network,
        latency_ms=float(row["inference_time_us"]) / 1e3,
        tools=tools,
        job=str(row["job_id"]),
        layers=int(row["layers_total"]),
        memory_mb=(float(row["mem_min_mb"]), float(row["mem_max_mb"])),
    )


_TOOL = {"qnn": "qairt", "tflite": "qairt", "onnxruntime": "qairt"}


def version_of(tools: str, framework: str) -> str:
    """Version of the compiler (QAIRT, which all runtimes call), "" where a row does not say."""
    found = re.search(_TOOL[framework] + r"=(\d+\.\d+)", tools)
    return found[1] if found else ""


NEWEST, EARLIER = "aihub.csv.gz", "aihub_history.csv.gz"

ONLY_EARLIER = (
    *("samsung-galaxy-s23", "snapdragon-8-elite-qrd", "snapdragon-7-gen-5-qrd"),
    *("sa8255", "sa8650"),
)
"""Devices that only earlier releases ran: each has the newest version it was measured with."""


@lru_cache(maxsize=2)
def campaign_rows(data: Path) -> tuple[AiHubRow, ...]:
    """The newest release, and from earlier ones the devices that it does not have.

    Targets with fewer than `FEWEST_NETWORKS` known networks are left out.
    """
    rows = aihub_rows(data, NEWEST)
    rows += newest_versions(aihub_rows(data, EARLIER), rows)
    count = Counter(row.target for row in rows)
    return tuple(row for row in rows if count[row.target] >= FEWEST_NETWORKS)


def newest_versions(history: Sequence[AiHubRow], known: Sequence[AiHubRow]) -> list[AiHubRow]:
    """Rows of devices that are not `known`, of the newest stated version of each runtime."""
    have = {r.target.device for r in known}
    rows = [r for r in history if r.target.device in ONLY_EARLIER and r.target.device not in have]
    rows = [r for r in rows if r.target.version]
    newest: dict[Target, tuple[int, ...]] = {}
    for r in rows:
        bare = replace(r.target, version="")
        newest[bare] = max(newest.get(bare, ()), _number(r.target.version))
    return [r for r in rows if _number(r.target.version) == newest[replace(r.target, version="")]]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def table_of(rows: Sequence[AiHubRow]) -> MeasurementTable:
    """The rows as a measurement table; a network is the name or file that `load` takes."""
    names = [network_name(line) for line in network_lines()]
    targets = [row.target for row in rows]
    columns: dict[str, object] = {
        **target_columns(targets),
        "build": [row.tools for row in rows],
        "source": SOURCE,
        "model": [names[row.network] for row in rows],
        "batch": 1,
        "kind": "steady",
        "latency_ms": [row.latency_ms for row in rows],
    }
    return MeasurementTable(make_frame(columns, NEWEST, range(2, len(rows) + 2)))


def families() -> dict[str, str]:
    """What each network is left out with, by the name that `load` takes."""
    return {network_name(line): line.family for line in network_lines()}
