"""One row per answered request: summarised as it comes, kept only when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError
from perfmodel.sim.quantiles import Quantiles
from perfmodel.sim.request import QUEUE, STEPS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = (
    "request",
    "device",
    "task",
    "plan",
    "arrival_ms",
    "latency_ms",
    *(f"{step}_ms" for step in STEPS),
    "batch_size",
    "energy_mj",
)
TASK, PLAN, LATENCY = COLUMNS.index("task"), COLUMNS.index("plan"), COLUMNS.index("latency_ms")
FIRST_STEP = LATENCY + 1
BATCH, ENERGY = COLUMNS.index("batch_size"), COLUMNS.index("energy_mj")
CHUNK = 2048
PERCENTILES = (50, 95, 99)
Record = tuple[Any, ...]


@dataclass(frozen=True)
class Statistics:
    """What is known of the requests of one replication; times in ms, energy in mJ.

    `block_latency_ms` and `block_wait_ms` are means of consecutive blocks, for an interval from a
    single replication. Plans are counted by (task, plan).
    """

    requests: int
    latency_mean_ms: float
    latency_max_ms: float
    percentiles_ms: tuple[float, ...]
    steps_ms: tuple[float, ...]
    missed: int
    batch_size_mean: float
    energy_mean_mj: float
    plans: tuple[tuple[int, int, int], ...]
    block_latency_ms: tuple[float, ...]
    block_wait_ms: tuple[float, ...]


class Sink:
    """Takes records one by one and folds them into sums and quantiles, a chunk at a time."""

    def __init__(
        self, deadlines_ms: Sequence[float], warmup_requests: int = 0, keep: bool = False
    ) -> None:
        import numpy as np

        self._np = np
        self._deadlines_ms = np.asarray(deadlines_ms, dtype=float)
        self._skip = warmup_requests
        self._keep = keep
        self._buffer: list[Record] = []
        self._kept: list[np.ndarray] = []
        self._sums = np.zeros(len(COLUMNS))
        self._largest_ms = 0.0
        self._requests = 0
        self._missed = 0
        self._plans: dict[tuple[int, int], int] = {}
        self._latencies = Quantiles()
        self._blocks: list[tuple[float, float]] = []

    def add(self, record: Record) -> None:
        """Take one record, in the order of COLUMNS."""
        buffer = self._buffer
        buffer.append(record)
        if len(buffer) >= CHUNK:
            self._fold()

    def _fold(self) -> None:
        if not self._buffer:
            return
        np = self._np
        rows = np.array(self._buffer, dtype=float)
        self._buffer.clear()
        if self._keep:
            self._kept.append(rows)
        skipped = min(self._skip, len(rows))
        self._skip -= skipped
        rows = rows[skipped:]
        if not len(rows):
            return
        latency = rows[:, LATENCY]
        self._requests += len(rows)
        self._sums += rows.sum(axis=0)
        self._largest_ms = max(self._largest_ms, float(latency.max()))
        self._missed += int((latency > self._deadlines_ms[rows[:, TASK].astype(int)]).sum())
        self._latencies.add(latency)
        self._blocks.append((float(latency.mean()), float(rows[:, FIRST_STEP + QUEUE].mean())))
        pairs, counts = np.unique(rows[:, [TASK, PLAN]].astype(int), axis=0, return_counts=True)
        for (task, plan), number in zip(pairs.tolist(), counts.tolist(), strict=True):
            self._plans[task, plan] = self._plans.get((task, plan), 0) + number

    def statistics(self) -> Statistics | None:
        """Return the statistics so far; None when there is no request after the warm-up."""
        self._fold()
        if not self._requests:
            return None
        means = (self._sums / self._requests).tolist()
        return Statistics(
            requests=self._requests,
            latency_mean_ms=means[LATENCY],
            latency_max_ms=self._largest_ms,
            percentiles_ms=tuple(self._latencies.percentile(p) for p in PERCENTILES),
            steps_ms=tuple(means[FIRST_STEP : FIRST_STEP + len(STEPS)]),
            missed=self._missed,
            batch_size_mean=means[BATCH],
            energy_mean_mj=means[ENERGY],
            plans=tuple((t, p, n) for (t, p), n in sorted(self._plans.items())),
            block_latency_ms=tuple(block[0] for block in self._blocks),
            block_wait_ms=tuple(block[1] for block in self._blocks),
        )

    def kept(self) -> np.ndarray | None:
        """Return all records (requests, COLUMNS), warm-up included; None if not kept."""
        self._fold()
        if not self._keep:
            return None
        np = self._np
        return np.concatenate(self._kept) if self._kept else np.empty((0, len(COLUMNS)))


def to_frame(
    arrays: Sequence[np.ndarray], tasks: Sequence[str], plans: Sequence[Sequence[str]]
) -> pd.DataFrame:
    """Return the records of all replications as a table with names instead of numbers."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(np.concatenate(list(arrays)), columns=list(COLUMNS))
    lengths = [len(array) for array in arrays]
    frame.insert(0, "replication", np.repeat(np.arange(len(arrays)), lengths))
    task, plan = frame["task"].astype(int), frame["plan"].astype(int)
    frame["plan"] = [plans[t][p] for t, p in zip(task, plan, strict=True)]
    frame["task"] = [tasks[t] for t in task]
    for column in ("request", "device", "batch_size"):
        frame[column] = frame[column].astype("int64")
    return frame


def write_records(frame: pd.DataFrame, path: str | Path) -> None:
    """Write records as .parquet or .csv by the extension, atomically."""
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    if path.suffix == ".csv":
        frame.to_csv(part, index=False)
    elif path.suffix == ".parquet":
        try:
            frame.to_parquet(part, index=False)
        except ImportError:
            raise ScenarioError(
                f"{path}: writing Parquet needs pyarrow, which is not installed",
                "pip install pyarrow, or name the file .csv",
            ) from None
    else:
        raise ScenarioError(f"{path}: records are written as .csv or .parquet")
    part.replace(path)
