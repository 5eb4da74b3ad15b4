"""One row per answered request: summarised as it comes, kept only when asked.

Percentiles are exact while few requests have come or where all are kept; then they come from a
histogram of fixed size, so that memory does not grow with the number of requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError
from perfmodel.files import need_pyarrow, replaced
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
RECORDS_MARKS = {
    ".csv": ",".join(("replication", *COLUMNS)).encode(),
    ".parquet": b'"field_name": "replication"',
}
"""By ending: what stands in every file of records that perfmodel wrote."""
TASK, PLAN, LATENCY = COLUMNS.index("task"), COLUMNS.index("plan"), COLUMNS.index("latency_ms")
FIRST_STEP = LATENCY + 1
BATCH, ENERGY = COLUMNS.index("batch_size"), COLUMNS.index("energy_mj")
CHUNK = 2048  # records folded at once: enough that NumPy costs less than the simulation
PERCENTILES = (50, 95, 99)
Record = tuple[Any, ...]

EXACT_UP_TO = 65536  # latencies held one by one (512 kB) before they go into bins
BIN_RATIO = 1.001  # bins of 0.1 %; 332 kB cover nanoseconds to thirty years
LEAST_MS = 1e-6
MOST_MS = 1e12
BINS = math.ceil(math.log(MOST_MS / LEAST_MS) / math.log(BIN_RATIO))
BINNED_ERROR = math.sqrt(BIN_RATIO) - 1
"""Largest relative error of a percentile from bins: a value stands at the middle of its bin."""


class Quantiles:
    """Non-negative numbers, of which percentiles are asked; several can be pooled into one.

    Held one by one up to `exact_up_to` of them, then counted in bins.
    """

    def __init__(self, exact_up_to: float = EXACT_UP_TO) -> None:
        self._exact_up_to = exact_up_to
        self._chunks: list[np.ndarray] = []
        self._counts: np.ndarray | None = None
        self._number = 0
        self._least = math.inf
        self._largest = -math.inf

    @classmethod
    def pooled(cls, parts: Sequence[Quantiles]) -> Quantiles:
        """All the numbers of the parts together, with the room of the roomiest part."""
        whole = cls(max(part._exact_up_to for part in parts))
        for part in parts:
            whole._take(part)
        return whole

    @property
    def error(self) -> float:
        """Largest relative error of a percentile; zero while the numbers are held one by one."""
        return 0.0 if self._counts is None else BINNED_ERROR

    def add(self, values: np.ndarray) -> None:
        """Take an array of numbers."""
        self._number += len(values)
        self._least = min(self._least, float(values.min()))
        self._largest = max(self._largest, float(values.max()))
        if self._counts is not None:
            self._count(values)
            return
        self._chunks.append(values.copy())
        if self._number > self._exact_up_to:
            self._to_bins()

    def _take(self, part: Quantiles) -> None:
        for chunk in part._chunks:
            self.add(chunk)
        if part._counts is None:
            return
        if self._counts is None:
            self._to_bins()
        assert self._counts is not None
        self._counts += part._counts
        self._number += part._number
        self._least = min(self._least, part._least)
        self._largest = max(self._largest, part._largest)

    def _to_bins(self) -> None:
        import numpy as np

        self._counts = np.zeros(BINS, dtype=np.int64)
        for chunk in self._chunks:
            self._count(chunk)
        self._chunks = []

    def _count(self, values: np.ndarray) -> None:
        import numpy as np

        assert self._counts is not None
        places = np.log(np.maximum(values, LEAST_MS) / LEAST_MS) / math.log(BIN_RATIO)
        self._counts += np.bincount(np.minimum(places.astype(int), BINS - 1), minlength=BINS)

    def percentile(self, percent: float) -> float:
        """Return a percentile (0 to 100), linear between observations."""
        import numpy as np

        if not self._number:
            raise ValueError("no numbers were added")
        if self._counts is None:
            return float(np.percentile(np.concatenate(self._chunks), percent))
        rank = percent / 100.0 * (self._number - 1)
        below = math.floor(rank)
        ranks = [below, min(below + 1, self._number - 1)]
        places = np.searchsorted(np.cumsum(self._counts), ranks, side="right")
        ends = np.clip(LEAST_MS * BIN_RATIO ** (places + 0.5), self._least, self._largest)
        return float(ends[0] + (rank - below) * (ends[1] - ends[0]))

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Return several percentiles (each 0 to 100) at the cost of about one."""
        import numpy as np

        if self._counts is None and self._number:
            return [float(v) for v in np.percentile(np.concatenate(self._chunks), percents)]
        return [self.percentile(percent) for percent in percents]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What is known of the requests of one replication after its warm-up; ms and mJ.

    `block_latency_ms` and `block_wait_ms` are means of consecutive blocks, for an interval from a
    single replication. Plans are counted by (task, plan).
    """

    requests: int
    latency_mean_ms: float
    latency_max_ms: float
    latencies: Quantiles
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
        self._latencies = Quantiles(math.inf if keep else EXACT_UP_TO)
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
            latencies=self._latencies,
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
    if path.suffix not in RECORDS_MARKS:
        raise ScenarioError(f"{path}: records are written as .csv or .parquet")
    need_pyarrow(path)
    with replaced(path) as new:
        if path.suffix == ".csv":
            frame.to_csv(new, index=False, lineterminator="\n", errors="backslashreplace")
            return
        frame.to_parquet(new, index=False)
