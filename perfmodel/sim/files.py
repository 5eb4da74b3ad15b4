"""Scenario files: TOML with cases to compare, overrides by dotted path, errors with its name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.scenario import POLICIES, Scenario
from perfmodel.sim.schema import read_table
from perfmodel.sim.toml import read_toml

CASE_KEYS = ("compare", "case", "group")


@dataclass(frozen=True)
class Case:
    """One scenario of a file, in a group of cases that compete for the same question."""

    group: str
    name: str
    scenario: Scenario


def load_cases(path: str | Path, overrides: Mapping[str, Any] | None = None) -> tuple[Case, ...]:
    """Read a scenario file as the cases it compares; one where it compares nothing.

    `compare = ["device", "cloud"]` makes a case per policy. `[[case]]` and `[[group]]` have a
    `name` and `set`, a table of dotted paths; every case is run in every group. `overrides` are
    dotted paths set first. Raises ScenarioError with the file's name.
    """
    path = Path(path)
    table = read_toml(path)
    try:
        for key, value in (overrides or {}).items():
            set_path(table, key, value)
        return cases_of(table)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error.message}", error.hint) from None


def cases_of(table: Mapping[str, Any]) -> tuple[Case, ...]:
    """Return the cases of the tables of a scenario file."""
    body = {key: value for key, value in table.items() if key not in CASE_KEYS}
    groups = _variants(table, "group") or [("", {})]
    cases = _variants(table, "case") or [("", {})]
    policies = [(name, {"task.policy": name}) for name in _policies(table)] or [("", {})]
    found = []
    for group, group_set in groups:
        for case, case_set in cases:
            for policy, policy_set in policies:
                name = " ".join(part for part in (case, policy) if part)
                merged = copy.deepcopy(body)
                for key, value in {**group_set, **case_set, **policy_set}.items():
                    set_path(merged, key, value)
                try:
                    found.append(Case(group, name, read_table(Scenario, merged)))
                except ScenarioError as error:
                    if not (group or name):
                        raise
                    place = ", ".join(part for part in (group, name) if part)
                    raise ScenarioError(f"case {place}: {error.message}", error.hint) from None
    return tuple(found)


def _policies(table: Mapping[str, Any]) -> list[str]:
    policies = table.get("compare", [])
    if not isinstance(policies, list):
        raise ScenarioError(f"compare must be a list of policies, got {policies!r}")
    for policy in policies:
        if policy not in POLICIES:
            raise ScenarioError(
                f"compare: unknown policy {policy!r}", nearest_hint(str(policy), POLICIES)
            )
    return policies


def _variants(table: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    entries = table.get(key, [])
    if not isinstance(entries, list):
        raise ScenarioError(f"{key} must be an array of tables, written [[{key}]]")
    found = []
    for entry in entries:
        for name in entry:
            if name not in ("name", "set"):
                raise ScenarioError(
                    f"[[{key}]] unknown key {name!r}", nearest_hint(name, ("name", "set"))
                )
        if "name" not in entry:
            raise ScenarioError(f"[[{key}]] name is missing")
        if not isinstance(entry.get("set", {}), Mapping):
            raise ScenarioError(f"[[{key}]] set must be a table of dotted paths")
        found.append((str(entry["name"]), _flat(entry.get("set", {}))))
    return found


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
        chosen = [
            item
            for index, item in enumerate(place)
            if parts[0] in (str(index), item.get("name"), item.get("after"))
        ]
        rest = parts[1:] if chosen and len(parts) > 1 else parts
        for item in chosen or place:
            _set(item, rest, value, path)
        return
    if not isinstance(place, dict):
        raise ScenarioError(f"cannot set {path}: {place!r} on the way is not a table")
    if len(parts) == 1:
        place[parts[0]] = value
        return
    _set(place.setdefault(parts[0], {}), parts[1:], value, path)
