"""A profile from a stranger is an error that names the field, never code and never a crash."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from perfmodel.devices.profile import (
    MAX_FILE_BYTES,
    profile_from_dict,
    profile_to_dict,
    read_profile,
    write_profile,
)
from perfmodel.devices.registry import builtin_folder
from perfmodel.errors import ProfileError

SHIPPED = ("snapdragon-855-plus", "jetson-nano")
MUTATIONS = 600


def shipped(name: str = "snapdragon-855-plus") -> dict[str, Any]:
    data: dict[str, Any] = json.loads((builtin_folder() / f"{name}.json").read_text())
    data["targets"] = data["targets"][:2]
    # what the other targets share with one another is no longer there
    kept: dict[str, Any] = profile_to_dict(profile_from_dict(data))
    return kept


def test_a_profile_survives_writing_and_reading(tmp_path: Path) -> None:
    profile = profile_from_dict(shipped())
    write_profile(profile, tmp_path / "p.json")
    assert profile_to_dict(read_profile(tmp_path / "p.json")) == profile_to_dict(profile)


def test_the_same_profile_gives_the_same_bytes(tmp_path: Path) -> None:
    profile = profile_from_dict(shipped())
    for name in ("a.json", "b.json"):
        write_profile(profile, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": 2}, "version"),
        ({"version": "1"}, "version"),
        ({"format": "pickle"}, "format"),
        ({"device": "../../etc/passwd"}, "device"),
        ({"device": "a/b"}, "device"),
        ({"device": ""}, "device"),
        ({"kind": "toaster"}, "kind"),
        ({"targets": []}, "targets"),
        ({"targets": {}}, "targets"),
        ({"targets": [{}] * 501}, "targets"),
        ({"surprise": 1}, "surprise"),
        ({"title": "x" * 5000}, "title"),
        ({"year": 1900}, "year"),
        ({"hardware": {"cores": 8}}, "hardware.cores"),
        ({"traits": {"transfers": [{"from_unit": "cpu"}]}}, "traits.transfers"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ProfileError, match=named.replace(".", r"\.")):
        profile_from_dict({**shipped(), **change})


@pytest.mark.parametrize("field", ["device", "format", "version", "kind", "targets"])
def test_a_missing_field_is_named(field: str) -> None:
    data = shipped()
    del data[field]
    with pytest.raises(ProfileError, match=field):
        profile_from_dict(data)


def test_the_same_target_twice_is_refused() -> None:
    data = shipped()
    data["targets"] = [data["targets"][0]] * 2
    with pytest.raises(ProfileError, match="twice"):
        profile_from_dict(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [("low_log", 21), ("high_log", 21), ("novelty_slope", 21), ("short_ms", 2e6), ("coverage", 1)],
)
def test_an_interval_that_would_overflow_is_refused(field: str, value: float) -> None:
    data = shipped()
    data["targets"][0]["interval"][field] = value
    with pytest.raises(ProfileError, match="interval"):
        profile_from_dict(data)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, word: str) -> None:
    text = json.dumps(shipped()).replace('"coverage": 0.9', f'"coverage": {word}')
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ProfileError, match="no number"):
        read_profile(tmp_path / "p.json")


@pytest.mark.parametrize("kind", ["os:system", "efficiency ", "__class__", "", None, 3, ["kernel"]])
def test_a_model_kind_never_names_code(kind: object) -> None:
    data = shipped()
    data["targets"][0]["model"]["kind"] = kind
    with pytest.raises(ProfileError, match="kind"):
        profile_from_dict(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"profile"',
        "[" * 100_000,
        '{"a":' * 50_000,
        "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
        '{"format": "perfmodel-profile", "version": ' + "9" * 5000 + "}",
        '{"format": "perfmodel-profile", "version": 1e999}',
    ],
)
def test_what_is_no_profile_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"p\.json"):
        read_profile(tmp_path / "p.json")


def test_binary_and_absent_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(bytes(range(256)))
    for path in (tmp_path / "p.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(ProfileError):
            read_profile(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "p.json", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ProfileError, match="more than a profile"):
        read_profile(tmp_path / "p.json")


def test_a_huge_array_is_refused() -> None:
    data = shipped()
    model = data["targets"][0]["model"]
    name = next(iter(model["ranges"]))
    model["ranges"][name] = [[0.0] * 1_000_000, [1.0] * 1_000_000]
    with pytest.raises(ProfileError, match="ranges"):
        profile_to_dict(profile_from_dict(data))


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**400,
    1e300,
    math.nan,
    math.inf,
    "",
    "../../x",
    "\x00",
    "x" * 3000,
    [],
    {},
    [[]],
    {"": {}},
    [None] * 50,
    [math.nan] * 50,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the data, by the keys that lead to it."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, child in value.items():
            found += _places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value[:4]):
            found += _places(child, (*path, index))
    return found


def _mutated(data: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    out = copy.deepcopy(data)
    places = _places(out)
    # long tables would else take nearly all mutations
    short = [p for p in places if len(p) <= 4] or places
    path = generator.choice(short if generator.random() < 0.7 else places)
    owner = out
    for key in path[:-1]:
        owner = owner[key]
    choice = generator.randrange(4)
    if choice == 0:
        del owner[path[-1]]
    elif choice == 1 and isinstance(owner, dict):
        owner[str(path[-1]) + "x"] = owner.pop(path[-1])
    else:
        owner[path[-1]] = copy.deepcopy(generator.choice(JUNK))
    return out


@pytest.mark.parametrize("name", SHIPPED)
def test_damaged_profiles_are_read_or_refused_but_never_crash(name: str) -> None:
    generator, data, refused = random.Random(7), shipped(name), 0
    for _ in range(MUTATIONS // len(SHIPPED)):
        changed = _mutated(data, generator)
        try:
            # a cost model is checked when it is first used, here when it is written again
            json.dumps(profile_to_dict(profile_from_dict(changed)), allow_nan=False)
        except ProfileError:
            refused += 1
    assert refused > MUTATIONS // len(SHIPPED) // 2
