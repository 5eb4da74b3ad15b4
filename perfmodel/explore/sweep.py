"""`whatif`: vary what you like in a scenario or a prediction, and see what moves the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.answer import Answer
from perfmodel.devices.registry import ProfileSource
from perfmodel.errors import PerfmodelError, ScenarioError
from perfmodel.explore.design import SweepDesign, make_design
from perfmodel.explore.executor import Job, Points, Rows, run_dask, run_here, run_processes
from perfmodel.explore.inputs import of_prediction, of_scenario, refuse_outside
from perfmodel.explore.pareto import pareto_front
from perfmodel.explore.predicted_points import OBJECTIVES, AnalyticJob
from perfmodel.explore.sensitivity import Effect, sensitivity
from perfmodel.explore.simulated_points import METRIC, SimulationJob, scenario_job
from perfmodel.explore.sweep_file import POINT, SweepJournal, frame_of
from perfmodel.explore.sweep_identity import sweep_identity
from perfmodel.explore.varied import Law, Varied, parse_sample, parse_set, refuse_twice
from perfmodel.formats.load import with_sizes
from perfmodel.formats.sizes import InputShape

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ANALYTIC_CHUNK = 10_000
"""Predicted points at once: each takes microseconds, and rows reach the file every second or so."""

CHUNKS_PER_WORKER = 16
LARGEST_CHUNK = 50
"""Simulated points go to workers in parts small enough that none waits long for the last one."""

MOST_FRONT = 200
"""Rows of a front that the answer holds; its size is told, and the file has them all."""

Progress = Callable[[int, int, float], None]
"""Called with points done, points in all, and seconds since the start."""


@dataclass(frozen=True, kw_only=True)
class WhatIf(Answer, command="whatif"):
    """The answer of a sweep.

    `frame` has a row a point: `point`, the varied paths, the figures, `problem` (why a point lacks
    figures; one whose latency is not known well enough has its interval and sizes). `metric` is the
    column that `effects`, `best` and `worst` are about (less is better). `together` is the share of
    its variance that no input explains alone, None where `variance_method` is an estimate. `front`
    are the rows that no other row beats in every one of `objectives`.
    """

    subject: str
    paths: tuple[str, ...]
    metric: str
    points: int
    failed: int
    summary: Mapping[str, float]
    best: Mapping[str, Any] | None
    worst: Mapping[str, Any] | None
    effects: tuple[Effect, ...]
    together: float | None
    variance_method: str
    objectives: tuple[str, ...]
    front: tuple[Mapping[str, Any], ...]
    front_size: int
    elapsed_s: float
    resumed_points: int
    output: str
    frame: pd.DataFrame = field(repr=False, compare=False)


def whatif(
    scenario: str | Path | None = None,
    *,
    model: str = "",
    target: str = "",
    sets: Sequence[str | Varied] = (),
    samples: Sequence[str | Law] = (),
    n: int | None = None,
    seed: int = 0,
    metric: str = "",
    workers: int = 1,
    dask: str = "",
    output: Path | str | None = None,
    restart: bool = False,
    force: bool = False,
    dims: Mapping[str, int] | None = None,
    input_shape: InputShape | None = None,
    profiles: Sequence[ProfileSource] = (),
    allow_uncovered: bool = False,
    progress: Progress | None = None,
) -> WhatIf:
    """Evaluate every combination of `sets` and, for each, `n` points of the laws in `samples`.

    Either a `scenario` file is simulated at every point, in `workers` processes or on the Dask
    cluster at `dask`; or `model` on `target` is predicted, at once. `sets` are "path=v1,v2" or
    "path=low:high:step", `samples` "path=law(...)". With `output` (.csv or .parquet) rows are
    written as they come, and the same call goes on where an interrupted one stopped, unless a file
    that it reads has changed since. `restart` begins anew over the rows of another sweep, `force`
    over a file that no sweep wrote. `dims` and `input_shape` are sizes that `model`'s file leaves
    open (as in `load`). Raises `PerfmodelError`s for paths and values that make no sense.
    """
    started = time.perf_counter()
    varied = [parse_set(s) if isinstance(s, str) else s for s in sets]
    fixed = {v.path: v.values[0] for v in varied if len(v.values) == 1}
    laws = [parse_sample(s) if isinstance(s, str) else s for s in samples]
    refuse_twice([*(v.path for v in varied), *(law.path for law in laws)])
    refuse_outside(varied, laws, of_scenario if scenario else of_prediction)
    design = make_design([v for v in varied if len(v.values) > 1], laws, n, seed)
    (model,) = (str(m) for m in with_sizes([model], dims=dims, input_shape=input_shape))
    job = _job(scenario, model, target, fixed, profiles, allow_uncovered=allow_uncovered)
    job.check(design.points(0, 1)[0])
    question = (
        *(getattr(job, "table", None), model, target, fixed, seed),
        *([(v.path, v.values) for v in varied], [(w.path, w.kind, w.arguments) for w in laws], n),
    )
    folders = [Path(getattr(job, "folder", ".")), Path()]
    with _journal(output, question, folders, profiles, restart=restart, force=force) as journal:
        frame, resumed = _evaluate(
            design,
            job,
            workers=workers,
            dask=dask,
            journal=journal,
            progress=progress,
            started=started,
        )
    default = METRIC if scenario else ("best_ms" if "best_ms" in frame else "latency_ms")
    return _answer(
        subject=str(scenario) if scenario else f"{model} on {target}",
        design=design,
        frame=frame,
        metric=metric or default,
        elapsed_s=time.perf_counter() - started,
        resumed_points=resumed,
        output="" if output is None else str(output),
    )


def _journal(
    output: Path | str | None,
    question: tuple[Any, ...],
    folders: Sequence[Path],
    profiles: Sequence[ProfileSource],
    *,
    restart: bool,
    force: bool,
) -> AbstractContextManager[SweepJournal | None]:
    """The file that keeps the rows as they come; None where there is none."""
    if output is None:
        return nullcontext()
    identity = sweep_identity(question, folders=folders, profiles=profiles)
    return SweepJournal(Path(output), identity, restart=restart, force=force)


def _evaluate(
    design: SweepDesign,
    job: SimulationJob | AnalyticJob,
    *,
    workers: int,
    dask: str,
    journal: SweepJournal | None,
    progress: Progress | None,
    started: float,
) -> tuple[pd.DataFrame, int]:
    """The rows of all points, and how many of them were there before."""
    kept: list[Mapping[str, Any]] = []
    resumed = done = len(journal.done) if journal else 0
    for rows in _rows(design, job, workers, dask, journal.done if journal else set()):
        if journal is not None:
            journal.append(rows)
        else:
            kept += rows
        done += len(rows)
        if progress is not None:
            progress(done, design.count, time.perf_counter() - started)
    return (journal.finish() if journal is not None else frame_of(kept)), resumed


def _job(
    scenario: str | Path | None,
    model: str,
    target: str,
    fixed: Mapping[str, Any],
    profiles: Sequence[ProfileSource],
    *,
    allow_uncovered: bool,
) -> SimulationJob | AnalyticJob:
    """What is evaluated at every point."""
    if scenario and (model or target):
        raise ScenarioError("give a scenario, or --model and --on, not both")
    if scenario:
        return scenario_job(scenario, fixed)
    if not model or not target:
        raise ScenarioError(
            "whatif needs a SCENARIO.toml, or --model M --on T",
            "for example: perfmodel whatif --model mobilenet_v2 --on snapdragon-888/cpu "
            "--set width=0.5,1.0",
        )
    return AnalyticJob(
        model=model,
        target=target,
        profiles=tuple(profiles),
        allow_uncovered=allow_uncovered,
        fixed=dict(fixed),
    )


def _rows(
    design: SweepDesign, job: SimulationJob | AnalyticJob, workers: int, dask: str, done: set[int]
) -> Iterator[Rows]:
    """Rows of the points that are not done yet, a chunk at a time, with their numbers."""
    simulated = isinstance(job, SimulationJob)
    size = _chunk_size(design.count - len(done), workers) if simulated else ANALYTIC_CHUNK
    left = [p for p in range(design.count) if p not in done]
    parts = [left[i : i + size] for i in range(0, len(left), size)]

    def make(number: int) -> Points:
        part = parts[number]
        if part[-1] - part[0] == len(part) - 1:
            return design.points(part[0], part[-1] + 1)
        return [design.points(p, p + 1)[0] for p in part]

    for number, rows in _run(job, range(len(parts)), make, workers if simulated else 1, dask):
        yield [
            {POINT: point, **given, **row}
            for point, given, row in zip(parts[number], make(number), rows, strict=True)
        ]


def _run(
    job: Job, chunks: Sequence[int], make: Callable[[int], Points], workers: int, dask: str
) -> Iterator[tuple[int, Rows]]:
    if not chunks:
        return iter(())
    if dask:
        return run_dask(job, chunks, make, dask)
    if workers > 1:
        return run_processes(job, chunks, make, workers)
    return run_here(job, chunks, make)


def _chunk_size(points: int, workers: int) -> int:
    return max(1, min(LARGEST_CHUNK, points // (max(workers, 1) * CHUNKS_PER_WORKER)))


def _answer(
    *,
    subject: str,
    design: SweepDesign,
    frame: pd.DataFrame,
    metric: str,
    elapsed_s: float,
    resumed_points: int,
    output: str,
) -> WhatIf:
    import numpy as np

    _check_metric(frame, metric, design)
    values = frame[metric].to_numpy(dtype=float)
    known_rows = np.flatnonzero(np.isfinite(values))
    order = known_rows[values[known_rows].argsort(kind="stable")]
    inputs = {path: np.asarray(frame[path]) for path in design.columns}
    found = sensitivity(inputs, values, design.sampled)
    objectives, front = _front(frame, metric)
    return WhatIf(
        subject=subject,
        paths=tuple(design.columns),
        metric=metric,
        points=len(frame),
        failed=len(frame) - len(order),
        summary=_summary(values[order]),
        best=_row(frame, int(order[0])) if len(order) else None,
        worst=_row(frame, int(order[-1])) if len(order) else None,
        effects=found.effects,
        together=found.together,
        variance_method=found.method,
        objectives=objectives,
        front=tuple(_row(frame, i) for i in front[:MOST_FRONT]),
        front_size=len(front),
        elapsed_s=elapsed_s,
        resumed_points=resumed_points,
        output=output,
        frame=frame,
    )


def _check_metric(frame: pd.DataFrame, metric: str, design: SweepDesign) -> None:
    """Refuse a column that is not there or holds no numbers."""
    import pandas as pd

    if metric in frame and frame[metric].isna().all() and frame["problem"].fillna("").all():
        return  # every point says why it has none
    if metric not in frame or not pd.api.types.is_numeric_dtype(frame[metric].infer_objects()):
        numeric = [str(c) for c in frame if pd.api.types.is_numeric_dtype(frame[c].infer_objects())]
        known = [c for c in numeric if c not in (POINT, *design.columns)]
        raise PerfmodelError(
            f"there is no figure {metric!r} in this sweep",
            f"--metric is one of {', '.join(known)}",
        )


SUMMARY = (("min", 0.0), ("p5", 0.05), ("median", 0.5), ("p95", 0.95), ("max", 1.0))


def _summary(values: np.ndarray) -> dict[str, float]:
    """Quantiles of the answers; nothing where there is no answer."""
    import numpy as np

    return {name: float(np.quantile(values, share)) for name, share in SUMMARY if len(values)}


def _front(frame: pd.DataFrame, metric: str) -> tuple[tuple[str, ...], list[int]]:
    """The Pareto front over the metric and whatever other objectives are known and vary."""
    import numpy as np

    others = {k: sign for k, sign in OBJECTIVES.items() if k in frame and k != "latency_ms"}
    signs = {metric: 1, **others}
    columns = {}
    for name, sign in signs.items():
        values = frame[name].to_numpy(dtype=float)
        if np.isfinite(values).any() and (name == metric or np.nanmin(values) < np.nanmax(values)):
            columns[name] = sign * values
    if metric not in columns or len(columns) < 2:
        return (), []
    front = pareto_front(np.column_stack(list(columns.values())))
    return tuple(columns), [int(i) for i in front]


def _row(frame: pd.DataFrame, place: int) -> dict[str, Any]:
    """A row as plain values; what is missing is None."""
    import pandas as pd

    row = frame.iloc[place]
    values = {str(k): (v.item() if hasattr(v, "item") else v) for k, v in row.items()}
    return {
        k: None if v is None or (isinstance(v, float) and pd.isna(v)) else v
        for k, v in values.items()
    }
