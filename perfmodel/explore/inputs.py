"""What a sweep may vary, and within which domain: checked before anything runs.

The domains are those declared with the inputs: the fields of a scenario's tables, and for
predictions the fields below. They hold for every value that is set, and for every value that a
law can give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from perfmodel.errors import ScenarioError
from perfmodel.explore.varied import Law, Varied
from perfmodel.sim.files import CASE_KEYS
from perfmodel.sim.scenario import Scenario
from perfmodel.sim.schema import Declared, Domain, Quantity, SchemaTable, declared_at
from perfmodel.sim.tables import LinkSpec

Declaration = Callable[[str], "Declared | None"]
"""What a dotted path may hold; None where only the reader of the whole can tell."""


@dataclass(frozen=True, kw_only=True)
class PredictionInputs(SchemaTable):
    """What a point of a prediction may give beside networks and targets.

    `slowdown` is a factor on the latency; `upload_bytes` and `download_bytes` cross the `link` to
    and from a server.
    """

    slowdown: Annotated[float, Domain(above=0)] = 1.0
    batch_size: Annotated[int, Domain(at_least=1, whole=True)] = 1
    upload_bytes: Annotated[float, Domain("bytes", at_least=0)] | None = None
    download_bytes: Annotated[float, Domain("bytes", at_least=0)] = 0.0
    link: LinkSpec | None = None


def of_prediction(path: str) -> Declared | None:
    """What an input of a prediction may hold."""
    return declared_at(PredictionInputs, path)


def of_scenario(path: str) -> Declared | None:
    """What a value of a scenario may hold."""
    return None if path.split(".")[0] in CASE_KEYS else declared_at(Scenario, path)


def refuse_outside(varied: Iterable[Varied], laws: Iterable[Law], declared: Declaration) -> None:
    """Raise `ScenarioError` for values outside their domain, set or possible draws of a law."""
    for one in varied:
        field = declared(one.path)
        for value in one.values if field is not None else ():
            _read(field, value, f"--set {one.path}")
    for law in laws:
        field = declared(law.path)
        if field is None:
            continue
        if law.kind == "choice":
            for value in law.arguments:
                _read(field, value, f"--sample {law.path}")
        else:
            _refuse_law(law, field)


def _read(field: Declared | None, value: object, place: str) -> None:
    assert field is not None
    try:
        field.read(value)
    except ScenarioError as error:
        raise ScenarioError(f"{place} {error.message}", error.hint) from None


def _refuse_law(law: Law, field: Declared) -> None:
    """Refuse a law of numbers that leaves the domain, or that gives fractions of a whole number."""
    domain = field.domain if isinstance(field, Quantity) else field
    place = f"--sample {law.path}={law.kind}(...)"
    if not isinstance(domain, Domain):
        raise ScenarioError(f"{place}: {law.path} is {field.allowed}, no number", "use choice(...)")
    if domain.whole:
        raise ScenarioError(f"{place}: {law.path} is a whole number", "use choice(1, 2, ...)")
    low, high = law.support
    for bound in (low, high):
        wrong = _outside(domain, bound)
        if wrong:
            hint = f"{law.kind}(..., ..., low, high) is cut at bounds"
            raise ScenarioError(
                f"{place}: {law.path} must be {wrong}, and the law goes to {bound:g}",
                hint if law.kind in ("normal", "lognormal") else "choose other numbers",
            )


def _outside(domain: Domain, bound: float) -> str:
    """What an end of a law breaks. No draw is the end itself: a law may end where a domain does."""
    if domain.above is not None and bound < domain.above:
        return f"> {domain.above:g}"
    if domain.at_least is not None and bound < domain.at_least:
        return f">= {domain.at_least:g}"
    if domain.at_most is not None and bound > domain.at_most:
        return f"<= {domain.at_most:g}"
    return ""
