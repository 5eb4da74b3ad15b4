"""What the page asks: each view's question as the command line that answers it, and its results.

A view calls the public function of its command, with what the command line that it shows would
give it, and describes the answer by the command's own describing function.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.render.result import Result
from perfmodel.ui.side_by_side import best_of_each

MOST_DEVICES = 6
"""Devices of one question: what is read side by side, and answered within seconds."""

LONGEST_FIELD = 400
"""Characters of a field; the longest, a path of a file or a full target, has far fewer."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person chose on the page; empty where it was left open.

    `model` is a name or the name of a file that was dropped, `devices` are targets or their
    beginnings, `limit_ms` the latency that must be kept at `percentile`.
    """

    view: str
    model: str
    devices: tuple[str, ...] = ()
    unit: str = "any"
    precision: str = "any"
    limit_ms: float = 50.0
    percentile: float = 95.0
    since: int | None = None
    server: str = ""
    link: str = ""
    input_shape: str = ""
    dim: str = ""
    allow_uncovered: bool = False


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A result and the command line that gives it."""

    command: str
    result: Result


def question(fields: Mapping[str, Sequence[str]]) -> Question:
    """The question of a form's fields; raises `PerfmodelError` for what no form of ours sends."""
    for name, values in fields.items():
        if any(len(value) > LONGEST_FIELD for value in values):
            raise PerfmodelError(f"{name}: longer than {LONGEST_FIELD} characters", "shorten it")

    def one(name: str, default: str = "") -> str:
        return next((v.strip() for v in fields.get(name, ()) if v.strip()), default)

    view = one("view")
    if view not in VIEWS:
        raise PerfmodelError(f"no view {view!r}", f"views: {', '.join(VIEWS)}")
    if not one("model"):
        raise PerfmodelError("no network is chosen", "type a name, or drop a file")
    devices = tuple(dict.fromkeys(d.strip() for d in fields.get("on", ()) if d.strip()))
    if len(devices) > MOST_DEVICES:
        raise PerfmodelError(
            f"{len(devices)} devices are too many for one page", f"choose at most {MOST_DEVICES}"
        )
    return Question(
        view=view,
        model=one("model"),
        devices=devices,
        unit=one("unit", "any"),
        precision=one("precision", "any"),
        limit_ms=_number("limit_ms", one("limit_ms", "50")),
        percentile=_number("percentile", one("percentile", "95")),
        since=int(_number("since", one("since"))) if one("since") else None,
        server=one("server"),
        link=one("link"),
        input_shape=one("input_shape"),
        dim=one("dim"),
        allow_uncovered=one("allow_uncovered") == "yes",
    )


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PerfmodelError(f"{name}: {text!r} is no number", "write one such as 50") from None


def answer(asked: Question) -> list[Answered]:
    """The answers of a view; raises `PerfmodelError` as its command does."""
    return VIEWS[asked.view](asked)


def _time(asked: Question) -> list[Answered]:
    """`predict` on each device."""
    from perfmodel.prediction import predict
    from perfmodel.render.prediction import prediction_data, prediction_result

    found = []
    for device in _devices(asked):
        target = f"{device}/{asked.unit}" if asked.unit != "any" and "/" not in device else device
        data = prediction_data(predict(_model(asked), target, **_sizes(asked)))
        words = ["predict", asked.model, "--on", target, "--per-layer"]
        found.append(_answered(asked, words, prediction_result(data)))
    return found


def _side_by_side(asked: Question) -> list[Answered]:
    """`compare` over every unit, runtime and precision of each device."""
    from perfmodel.explore.compare import compare
    from perfmodel.render.comparison import comparison_data, comparison_result

    found = []
    for device in _devices(asked):
        name = device.split("/")[0]
        target = f"{name}/*/*/*"
        data = comparison_data(compare([_model(asked)], [target], **_sizes(asked)), relative=False)
        words = ["compare", asked.model, "--on", target]
        found.append(_answered(asked, words, best_of_each(comparison_result(data), name)))
    return found


def _minimum_phone(asked: Question) -> list[Answered]:
    """`minspec` over the market."""
    from perfmodel.explore.market_minspec import market_minspec
    from perfmodel.render.minspec import minspec_data, minspec_result

    found = market_minspec(
        _model(asked),
        asked.limit_ms,
        percentile=asked.percentile,
        unit=asked.unit,
        precision=asked.precision,
        since=asked.since,
        **_sizes(asked),
    )
    words = ["minspec", asked.model, "--max-latency-ms", f"{asked.limit_ms:g}"]
    words += _given("--percentile", f"{asked.percentile:g}", "95")
    words += _given("--unit", asked.unit, "any")
    words += _given("--precision", asked.precision, "any")
    words += _given("--since", str(asked.since or ""))
    return [_answered(asked, words, minspec_result(minspec_data(found)))]


def _cloud_or_device(asked: Question) -> list[Answered]:
    """`partition` over each device and a server."""
    from perfmodel.cli.partition import named_link
    from perfmodel.plans.plan import partition
    from perfmodel.render.plan import plan_data, plan_result

    if not asked.server or not asked.link:
        raise PerfmodelError(
            "no server or no link is chosen", "choose both: where it may run, and the way there"
        )
    found = []
    for device in _devices(asked):
        target = f"{device}/{asked.unit}" if asked.unit != "any" and "/" not in device else device
        plan = partition(
            _model(asked),
            target,
            server=asked.server,
            link=named_link(asked.link),
            **_sizes(asked),
        )
        words = ["partition", asked.model, "--on", target]
        words += ["--server", asked.server, "--link", asked.link]
        found.append(_answered(asked, words, plan_result(plan_data(plan))))
    return found


VIEWS: dict[str, Callable[[Question], list[Answered]]] = {
    "time": _time,
    "side-by-side": _side_by_side,
    "minimum-phone": _minimum_phone,
    "cloud-or-device": _cloud_or_device,
}
"""By the name that the page asks for."""


def _devices(asked: Question) -> tuple[str, ...]:
    if not asked.devices:
        raise PerfmodelError("no device is chosen", "type a phone's or a board's name")
    return asked.devices


def _model(asked: Question) -> str:
    """What `load` reads; a text that is neither a name nor a dropped file never reaches a disk."""
    if Path(asked.model).name != asked.model:
        raise PerfmodelError(
            f"{asked.model}: is a path, and the page reads dropped files only", "drop the file"
        )
    return asked.model


def _sizes(asked: Question) -> dict[str, Any]:
    """Arguments that say what a file leaves open, as the commands read them."""
    from perfmodel.cli.options import input_shapes, sizes

    return {
        "dims": sizes(asked.dim.split()),
        "input_shape": input_shapes(asked.input_shape.split()),
        "allow_uncovered": asked.allow_uncovered,
    }


def _given(flag: str, value: str, default: str = "") -> list[str]:
    return [] if value == default else [flag, value]


def _answered(asked: Question, words: Sequence[str], result: Result) -> Answered:
    shapes = [w for text in asked.input_shape.split() for w in ("--input-shape", text)]
    dims = [w for text in asked.dim.split() for w in ("--dim", text)]
    uncovered = ["--allow-uncovered"] if asked.allow_uncovered else []
    line = shlex.join(["perfmodel", *words, *shapes, *dims, *uncovered])
    return Answered(command=line, result=result)
