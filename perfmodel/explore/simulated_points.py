"""Points of a sweep that are simulated: a scenario with overrides, one row of figures each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError, ScenarioError
from perfmodel.sim import simulate
from perfmodel.sim.files import cases_of
from perfmodel.sim.toml import read_toml

METRIC = "p95_ms"


@dataclass(frozen=True)
class SimulationJob:
    """Simulates points of a scenario, given as the tables of its file; picklable.

    Of a scenario that compares cases a point's row is its best case, named in `case`.
    """

    table: Mapping[str, Any]
    folder: str
    fixed: Mapping[str, Any]

    @classmethod
    def of_file(cls, path: Path, fixed: Mapping[str, Any]) -> SimulationJob:
        """The job of a scenario file with some overrides for every point."""
        return cls(read_toml(path), str(path.resolve().parent), dict(fixed))

    def check(self, point: Mapping[str, Any]) -> None:
        """Raise `ScenarioError` for overrides that make no scenario."""
        cases_of(self.table, {**self.fixed, **point})

    def __call__(self, points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One row of results a point."""
        return [self._row(point) for point in points]

    def _row(self, point: Mapping[str, Any]) -> dict[str, Any]:
        try:
            overrides = {**self.fixed, **point}
            case = simulate(self.table, folder=self.folder, overrides=overrides).best
        except PerfmodelError as error:
            return {**dict.fromkeys(FIGURES), "problem": str(error)}
        latency = case.latency_ms
        return {
            "case": case.label,
            "mean_ms": latency["mean"],
            "p50_ms": latency["p50"],
            "p95_ms": latency["p95"],
            "p99_ms": latency["p99"],
            "wait_ms": case.wait_ms["mean"],
            "deadline_miss_rate": case.deadline_miss_rate,
            "energy_mj": None if case.energy_mj is None else case.energy_mj["mean"],
            "requests": case.requests,
            "problem": "; ".join(case.warnings),
        }


FIGURES = (
    *("case", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "wait_ms"),
    *("deadline_miss_rate", "energy_mj", "requests"),
)
"""Columns of a row, before `problem`."""


def scenario_job(path: Path | str, fixed: Mapping[str, Any]) -> SimulationJob:
    """The job of a scenario file; `ScenarioError` where the file cannot be one."""
    place = Path(path)
    if place.suffix != ".toml":
        raise ScenarioError(f"{place}: a scenario is a .toml file", "or give --model and --on")
    return SimulationJob.of_file(place, fixed)
