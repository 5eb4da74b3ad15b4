"""Scenario files: TOML with cases to compare, overrides by dotted path, errors with its name."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.policy import POLICIES
from perfmodel.sim.scenario import Scenario
from perfmodel.sim.schema import Exactly, SchemaTable, Text, read_table
from perfmodel.sim.toml import read_toml

CASE_KEYS = ("compare", "case", "group")
OUTSIDE = "from outside (--set, --sample or overrides)"


@dataclass(frozen=True)
class ScenarioCase:
    """One scenario of a file, in a group of cases that compete for the same question."""

    group: str
    name: str
    scenario: Scenario


def load_cases(
    path: str | Path, overrides: Mapping[str, Any] | None = None
) -> tuple[ScenarioCase, ...]:
    """Read a scenario file as the cases it compares; one where it compares nothing.

    `compare = ["device", "cloud"]` makes a case per policy. `[[case]]` and `[[group]]` have a
    `name` and `set`, a table of dotted paths; every case is run in every group, and its values come
    after the group's. `overrides` are dotted paths set first. Raises ScenarioError with the file's
    name.
    """
    path = Path(path)
    table = read_toml(path)
    try:
        return cases_of(table, overrides)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error.message}", error.hint) from None


def cases_of(
    table: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> tuple[ScenarioCase, ...]:
    """Return the cases of the tables of a scenario file, with `overrides` by dotted path.

    Raises ScenarioError for an override that another one, a case, a group or `compare` overrides
    in turn: it would say one thing and do another.
    """
    given = copy.deepcopy(dict(table))
    for path, value in (overrides or {}).items():
        set_path(given, path, value)
    body = {key: value for key, value in given.items() if key not in CASE_KEYS}
    groups = _variants(given, "group") or [CaseChange("", {}, "")]
    cases = _variants(given, "case") or [CaseChange("", {}, "")]
    policies = _compared(given) or [CaseChange("", {}, "")]
    _refuse_overridden(body, list(overrides or ()), (*groups, *cases, *policies), OUTSIDE)
    for policy in policies:
        _refuse_overridden(body, list(policy.set), (*groups, *cases), f"by {policy.place}")
    found = tuple(
        _case(body, group, case, policy)
        for group in groups
        for case in cases
        for policy in policies
    )
    names = [", ".join(part for part in (case.group, case.name) if part) for case in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ScenarioError(f"two cases are named {twice!r}", "give each a name of its own")
    return found


@dataclass(frozen=True)
class CaseChange:
    """One entry of [[case]], [[group]] or compare: what it sets; for messages its place in the
    file, and what to vary instead of what it sets."""

    name: str
    set: Mapping[str, Any]
    place: str
    instead: str = ""


def _case(
    body: Mapping[str, Any], group: CaseChange, case: CaseChange, policy: CaseChange
) -> ScenarioCase:
    name = " ".join(part for part in (case.name, policy.name) if part)
    merged = copy.deepcopy(dict(body))
    for path, value in {**group.set, **case.set, **policy.set}.items():
        set_path(merged, path, value)
    try:
        return ScenarioCase(group.name, name, read_table(Scenario, merged))
    except ScenarioError as error:
        if not (group.name or name):
            raise
        place = ", ".join(part for part in (group.name, name) if part)
        raise ScenarioError(f"case {place}: {error.message}", error.hint) from None


def _refuse_overridden(
    body: Mapping[str, Any], paths: list[str], variants: Iterable[CaseChange], given: str
) -> None:
    """Refuse a path that a later one sets as well; the message names both places."""
    places = {path: _places(body, path.split(".")) for path in paths}
    for index, path in enumerate(paths):
        for other in paths[index + 1 :]:
            if _meet(places[path], places[other]):
                raise ScenarioError(f"{path} and {other} set the same value", "give one of them")
    for variant in variants:
        for other in variant.set:
            meeting = _places(body, other.split("."))
            for path in paths:
                if _meet(places[path], meeting):
                    same = "" if other == path else f", as {other},"
                    raise ScenarioError(
                        f"{path} is set {given} and again{same} by {variant.place} of the "
                        "scenario, which would win",
                        f"take it out of one of the two places{variant.instead}",
                    )


Place = tuple[str | int, ...]


def _places(table: Any, parts: list[str]) -> list[Place]:
    """Where in nested tables a dotted path leads; every entry of an array it goes through."""
    if not parts:
        return [()]
    if isinstance(table, list):
        chosen, rest = _chosen(table, parts)
        return [(i, *place) for i in chosen for place in _places(table[i], rest)]
    inner = table.get(parts[0]) if isinstance(table, Mapping) else None
    return [(parts[0], *place) for place in _places(inner, parts[1:])]


def _meet(some: list[Place], others: list[Place]) -> bool:
    """Whether two paths lead to the same place, or one into the other."""
    return any(a[: len(b)] == b[: len(a)] for a in some for b in others)


def _compared(table: Mapping[str, Any]) -> list[CaseChange]:
    policies = table.get("compare", [])
    if not isinstance(policies, list):
        raise ScenarioError(f"compare must be a list of policies, got {policies!r}")
    for policy in policies:
        if not isinstance(policy, str) or policy not in POLICIES:
            hint = nearest_hint(str(policy)[:60], POLICIES)
            raise ScenarioError(f"compare: unknown policy {policy!r}", hint)
    place = f"compare = {policies}"
    instead = """, or vary compare: --set 'compare=["device"],["cloud"]'"""
    return [CaseChange(name, {"task.policy": name}, place, instead) for name in policies]


def _variants(table: Mapping[str, Any], key: str) -> list[CaseChange]:
    entries = table.get(key, [])
    if not isinstance(entries, list):
        raise ScenarioError(f"{key} must be an array of tables, written [[{key}]]")
    found = []
    for entry in entries:
        try:
            read = read_table(NamedChange, entry)
        except ScenarioError as error:
            raise ScenarioError(f"[[{key}]] {error.message}", error.hint) from None
        found.append(CaseChange(read.name, _flat(read.set), f"[[{key}]] {read.name!r}"))
    return found


@dataclass(frozen=True, kw_only=True)
class NamedChange(SchemaTable):
    """An entry of [[case]] or [[group]]: `set` holds values by dotted path, or tables of them."""

    name: Text
    set: Annotated[dict[str, Any], Exactly(dict, "a table of dotted paths")] = field(
        default_factory=dict
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a table by dotted path; a table with `kind` is a value of its own."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and "kind" not in value:
            leaves.update(_flat(value, f"{path}."))
        else:
            leaves[path] = value
    return leaves


def set_path(table: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path in nested tables; in an array of tables it is set in every entry, or in
    the one whose index, `name` or `after` is the next part of the path."""
    parts = path.split(".")
    _set(table, parts, value, path)


def _set(place: Any, parts: list[str], value: Any, path: str) -> None:
    if isinstance(place, list):
        chosen, rest = _chosen(place, parts)
        for index in chosen:
            _set(place[index], rest, value, path)
        return
    if not isinstance(place, dict):
        raise ScenarioError(f"cannot set {path}: {place!r} on the way is not a table")
    if len(parts) == 1:
        place[parts[0]] = value
        return
    _set(place.setdefault(parts[0], {}), parts[1:], value, path)


def _chosen(entries: list[Any], parts: list[str]) -> tuple[list[int], list[str]]:
    """Which entries of an array a path means, and the rest of the path inside of them."""
    named = [
        index
        for index, item in enumerate(entries)
        if isinstance(item, Mapping)
        and parts[0] in (str(index), item.get("name"), item.get("after"))
    ]
    if named and len(parts) > 1:
        return named, parts[1:]
    return list(range(len(entries))), parts
