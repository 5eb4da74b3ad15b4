"""What `validate partition` found, and its scores as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from perfmodel.answer import Answer
from perfmodel.experiments.scores import Case, Scores, scores
from perfmodel.plans.curve import CutCurve
from perfmodel.plans.units import Transfer
from perfmodel.runners.runner import MachineFacts, machine_to_dict


@dataclass(frozen=True, kw_only=True)
class NetworkOutcome:
    """What a network's sweep found.

    `chosen` is the cut predicted to be the best, `best` the one measured so; both were run again
    side by side, and `chosen_over_best` is the ratio of those second times (1 if they are one).
    """

    model: str
    layers: int
    cuts: int
    mape: float
    whole_error: float
    chosen: str
    best: str
    chosen_over_best: float
    curve: CutCurve
    measured_ms: Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class PartitionValidation(Answer, command="validate"):
    """Every plan predicted and measured; `source` says where the layer times came from."""

    cases: tuple[Case, ...]
    plans: tuple[str, ...]
    networks: tuple[NetworkOutcome, ...]
    source: str
    handover: Transfer
    machine: MachineFacts
    warning: str
    left_out: Mapping[str, str]
    spent_s: float

    @property
    def single_cuts(self) -> tuple[Case, ...]:
        """The cases of two pieces at a cut point."""
        named = zip(self.cases, self.plans, strict=True)
        return tuple(c for c, plan in named if plan.startswith("cut "))

    @property
    def within_2(self) -> float:
        """Share of networks whose chosen cut is at most 2 % slower than the measured best."""
        return float(np.mean([n.chosen_over_best <= 1.02 for n in self.networks]))

    def to_json(self) -> dict[str, Any]:
        """The machine-readable result (keys of every `validate --json`, and per network)."""
        total = scores(self.cases)
        return {
            "experiment": "partition",
            "cases": [
                {**case.to_dict(), "plan": plan}
                for case, plan in zip(self.cases, self.plans, strict=True)
            ],
            **total.summary(),
            "single_cuts": scores(self.single_cuts).to_dict() if self.single_cuts else None,
            "groups": {name: scored.to_dict() for name, scored in self.by_plan().items()},
            "chosen_within_2": self.within_2,
            "networks": [asdict(n) for n in self.networks],
            "layer_times_from": self.source,
            "handover": {
                "fixed_ms": self.handover.fixed_ms,
                "bytes_per_ms": self.handover.bytes_per_ms,
            },
            "machine": machine_to_dict(self.machine),
            "warning": self.warning,
            "left_out": dict(self.left_out),
            "spent_s": self.spent_s,
        }

    def by_plan(self) -> dict[str, Scores]:
        """Scores of the whole networks, of single cuts and of each criterion."""
        groups: dict[str, list[Case]] = {}
        for case, plan in zip(self.cases, self.plans, strict=True):
            groups.setdefault("single cuts" if plan.startswith("cut ") else plan, []).append(case)
        return {name: scores(found) for name, found in groups.items()}
