"""Plain values of options are what typer would have read, and typer's reading stays unloaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from cli_folder import ROOT

from perfmodel.cli.commands import COMMANDS, built
from perfmodel.cli.plain_values import OTHER, plain_value, with_plain_values

TEXTS = (
    *(
        "",
        " ",
        "a b",
        "-1",
        "0",
        "5",
        "05",
        "+5",
        "1_0",
        "65536",
        "65537",
        "0.5",
        "5.",
        ".5",
        "1e3",
    ),
    *("nan", "inf", "1234567890", "99.999", "yes", "true", "a\0b", "a\nb", "ключ", "\udcff", "."),
    *("no/such/file", "here.txt", "-"),
)
MADE = (True, False, 3, 2.5)


def parameters() -> list[tuple[str, Any]]:
    """One parameter of each annotation and bounds, of all commands."""
    found: dict[tuple[object, ...], tuple[str, Any]] = {}
    for command in COMMANDS:
        for p in built(command).params:
            if not hasattr(p, "type_descriptor"):
                pytest.skip("this typer reads values without pydantic")
            info = p.type_descriptor.parameter_info
            key = (str(p.type_descriptor.annotation), info.min, info.max, p.nargs, p.multiple)
            found.setdefault(key, (f"{command} {p.name}", p))
    return list(found.values())


def read_by_typer(parameter: Any, value: object) -> object:
    """What typer reads, or the class of its refusal."""
    try:
        return parameter.get_runtime_param().coerce(value, param=parameter, ctx=None)
    except Exception as error:
        return type(error)


def test_what_is_taken_as_it_is_is_what_typer_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").touch()
    taken: set[object] = set()
    for name, parameter in parameters():
        descriptor = parameter.type_descriptor
        several = get_origin(descriptor.annotation) is list
        kind = get_args(descriptor.annotation)[0] if several else descriptor.annotation
        for value in (*TEXTS, *MADE):
            found = plain_value(kind, value, descriptor.parameter_info)
            if found is OTHER:
                continue
            taken.add(kind)
            read = read_by_typer(parameter, [value] if several else value)
            assert (read[0] if several else read) == found, (name, value)  # type: ignore[index]
            assert type(found) is type(read[0] if several else read), (name, value)  # type: ignore[index]
    assert taken >= {str, int, float, Path}


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [(int, "0", 0), (int, "7", 7), (float, "7", 7.0), (float, "0.25", 0.25), (str, "a b", "a b")],
)
def test_plain_words_and_numbers_need_no_typer(kind: type, value: str, read: object) -> None:
    [(_, parameter), *_] = parameters()
    found = plain_value(kind, value, parameter.type_descriptor.parameter_info)
    assert (found, type(found)) == (read, kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, "05"), (int, "2.5"), (int, "1234567890"), (float, "1e3"), (float, "nan"), (str, "ключ")],
)
def test_what_may_be_read_in_two_ways_goes_to_typer(kind: type, value: str) -> None:
    [(_, parameter), *_] = parameters()
    info = parameter.type_descriptor.parameter_info
    assert plain_value(kind, value, info) is OTHER


def test_numbers_beyond_their_bounds_go_to_typer() -> None:
    bounded = next(p for p in built("predict").params if p.name == "batch_size")
    if not hasattr(bounded, "type_descriptor"):
        pytest.skip("this typer reads values without pydantic")
    info = bounded.type_descriptor.parameter_info
    answers = [plain_value(int, str(n), info) for n in (0, 1, 65536, 65537)]
    assert answers == [OTHER, 1, 65536, OTHER]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_path_that_may_not_be_read_goes_to_typer(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o000)
    output = next(p for p in built("predict").params if p.name == "output")
    info = output.type_descriptor.parameter_info
    assert plain_value(Path, str(secret), info) is OTHER


def test_parameters_are_changed_once_and_only_where_typer_would_read_them() -> None:
    class Old:
        """A parameter of a version of typer that reads values by itself."""

    made = built("predict").params
    ways = [p.process_value for p in with_plain_values(made)]
    assert [p.process_value for p in with_plain_values(made)] == ways
    [old] = with_plain_values([Old()])
    assert vars(old) == {}


def test_a_prediction_does_not_load_what_reads_options() -> None:
    code = (
        "import sys\n"
        "from perfmodel.cli.app import run\n"
        "assert run(['predict', 'squeezenet', '--on', 'snapdragon-888/cpu', '--batch-size', '2',"
        " '--profile', 'hw_profiles/pixel-4.json']) == 0\n"
        "heavy = ('pydantic', 'scipy', 'sklearn', 'pandas', 'simpy')\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
