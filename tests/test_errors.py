"""The one helper that guesses what a misspelt name meant."""

from __future__ import annotations

import copy
import pickle
import pkgutil
from importlib import import_module
from inspect import signature
from typing import Any

import pytest

import perfmodel
from perfmodel.errors import (
    LONGEST_MESSAGE,
    LONGEST_WORD,
    ModelFileError,
    PerfmodelError,
    RunnerError,
    nearest_hint,
    nearest_names,
)


def test_case_and_marks_do_not_count() -> None:
    assert nearest_names("MobileNet-V2", ["mobilenet_v2", "vgg16"]) == ["mobilenet_v2"]


def test_names_that_contain_the_word_follow_those_that_are_like_it() -> None:
    known = ["an_extremely_long_yolo_network_name", "yolt", "alexnet"]
    assert nearest_names("yolo", known) == ["yolt", "an_extremely_long_yolo_network_name"]


def test_at_most_as_many_as_asked_for_and_none_below_the_cutoff() -> None:
    known = ["link1", "link2", "link3", "link4"]
    assert len(nearest_names("link", known)) == 3
    assert len(nearest_names("link", known, count=2)) == 2
    # l, i and n of "lion" and "link" agree in order: likeness 2 * 3 / 8
    assert nearest_names("lion", ["link"], cutoff=0.76) == []
    assert nearest_names("lion", ["link"], cutoff=0.75) == ["link"]
    assert nearest_names("zzz", known) == []
    assert nearest_names("zzz", known, cutoff=0.0) != []


def test_a_hint_names_the_nearest_or_all() -> None:
    assert nearest_hint("replicsa", ["seed", "replicas"]) == "did you mean 'replicas'?"
    assert nearest_hint("zzz", ["seed", "link"]) == "known: seed, link"


def error_classes() -> list[type[BaseException]]:
    """Every class of an exception that the package defines, its optional parts included."""
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(perfmodel.__path__, "perfmodel."):
        if module.name == "perfmodel.__main__":
            continue
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, BaseException):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return [kind for name, kind in sorted(found.items()) if name.startswith("perfmodel.")]


def made(kind: type[BaseException]) -> BaseException:
    """An error of a class, each of its arguments another word."""
    if "__init__" not in {n for c in kind.__mro__ for n in vars(c) if c.__module__ != "builtins"}:
        return kind("a word")
    if kind.__name__ == "CudnnError":  # asks a library that is beside GPUs only
        error = kind.__new__(kind)
        RunnerError.__init__(error, "word 0", "word 1")  # type: ignore[arg-type]
        return error
    count = len(signature(kind).parameters)
    return kind(*(f"word {number}" for number in range(count)))


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__qualname__)
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_every_error_survives_the_way_between_processes(
    kind: type[BaseException], copied: Any
) -> None:
    error = made(kind)
    again = copied(error)
    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def test_the_walk_finds_errors_of_every_floor() -> None:
    names = {kind.__name__ for kind in error_classes()}
    assert {"ModelFileError", "UnknownShapeError", "CudnnError", "ProfileWarning"} <= names


def test_a_message_is_bounded_and_keeps_where_and_why() -> None:
    error = ModelFileError("net.onnx", "node 3", "x x " * 500 + "is no number", "y " * 600)
    assert len(error.message) == len(error.hint) == LONGEST_MESSAGE == 1000
    assert error.message.startswith("net.onnx: node 3: x x ")
    assert error.message.endswith(" x is no number")
    # three quarters, the mark, and the rest
    assert error.message[750:755] == " ... "
    assert error.message.count(" ... ") == 1
    assert str(error).startswith(error.message)
    whole = ("x " * 500)[:1000]
    assert PerfmodelError(whole).message == whole
    assert PerfmodelError(whole + "z").message != whole + "z"


def test_a_cell_is_not_repeated_whole() -> None:
    told = PerfmodelError(f"t.csv: row 3: {'1' * 401!r} is no number").message
    assert told.startswith("t.csv: row 3: '111")
    assert told.endswith("111' is no number")
    assert told.count("1") == LONGEST_WORD - len(" ... ") - 2  # the quotes are of the word
    path = "p" * LONGEST_WORD
    assert PerfmodelError(f"{path} is gone").message == f"{path} is gone"
