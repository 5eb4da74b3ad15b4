"""What a simulation answers: every case, and who leads each group, as a frozen result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.answer import Answer
from perfmodel.sim.case_result import CaseResult
from perfmodel.sim.verdict import PolicyVerdict, verdict_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SimulationResult(Answer, command="simulate"):
    """The answers of a scenario's cases; attributes of the best case are at hand on the result."""

    scenario: str
    cases: tuple[CaseResult, ...]
    seed: int
    replications: int
    elapsed_s: float
    records: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def best(self) -> CaseResult:
        """The case that leads the first group."""
        return self.verdicts()[self.cases[0].group].leader

    def verdicts(self) -> dict[str, PolicyVerdict]:
        """Return who leads each group, by what figure, and whether that is more than chance."""
        groups: dict[str, list[CaseResult]] = {}
        for case in self.cases:
            groups.setdefault(case.group, []).append(case)
        return {group: verdict_of(cases) for group, cases in groups.items()}

    def winners(self) -> dict[str, CaseResult | None]:
        """Return the winner of each group; None where there is no clear one."""
        return {
            group: None if verdict.clear is False else verdict.leader
            for group, verdict in self.verdicts().items()
        }

    def __getattr__(self, name: str) -> Any:
        if name in CaseResult.__dataclass_fields__:
            return getattr(self.best, name)
        raise AttributeError(name)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the leading case at the top, every case under `cases`."""
        verdicts = self.verdicts()
        winners = self.winners()
        return {
            "scenario": self.scenario,
            **self.best.to_json(),
            "replications": self.replications,
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            "winners": {group: case and case.name for group, case in winners.items()},
            "verdicts": {group: verdict.to_json() for group, verdict in verdicts.items()},
            "cases": [case.to_json() for case in self.cases],
        }
