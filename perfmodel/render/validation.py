"""What `validate` answers: predicted against measured, where it is off most and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.render.cut_curve import curve_svg
from perfmodel.render.plots import Point, scatter
from perfmodel.render.result import Data, Result, ResultFigure, ResultTable, plain
from perfmodel.render.text import percent
from perfmodel.runners.scaling import Scaling, work_of_many
from perfmodel.units import format_ms

WORST = 15
SHOWN_WORST = 5
NAMED_KERNELS = 2
SCORES = (
    ("mean error", "mape", 1),
    ("in 5 %", "within_5", 0),
    ("in 10 %", "within_10", 0),
    ("in 20 %", "within_20", 0),
    ("covered", "coverage", 0),
)


def validation_result(data: Data) -> Result:
    """Describe any experiment: its figures, predicted over measured, the farthest off."""
    data = plain(data)
    cases = [c for c in data["cases"] if c.get("measured_ms") and c.get("predicted_ms")]
    unfinished = not data.get("finished", True)
    return Result(
        title=f"Validation: {data['experiment']}",
        answer=validation_sentence(data, len(cases)),
        data=data,
        facts=_facts(data),
        warnings=[
            *([data["warning"]] if data.get("warning") else []),
            *data.get("warnings", ()),
            *data.get("failures", ()),
            *(["the budget ended first: the same command goes on"] if unfinished else []),
        ],
        parts=(
            ResultFigure(
                title="Predicted over measured (outside the interval marked)",
                draw=lambda: _plot(cases, True),
                other=lambda: _plot(cases, False),
                scale="linear scale",
            ),
            _groups(data),
            _worst(data, cases),
            _classes(data),
            *_networks(data),
            _cases("All cases", cases),
            _cases("First run (file opened cold, prepared, run once)", data.get("first", ())),
            _failed(data),
        ),
        sources=_machine(data.get("machine")),
    )


def validation_sentence(data: Data, count: int) -> str:
    """The answer in words."""
    if not count:
        return f"{data['experiment']}: nothing was measured"
    inside, rank = data.get("coverage"), data.get("spearman")
    words = (
        f"{data['experiment']}: over {count} cases predictions are off by "
        f"{percent(data['mape'], 1)} on average, {percent(data.get('within_10'))} of them by at "
        f"most 10 %, {percent(data.get('within_20'))} by at most 20 %"
    )
    if inside is not None:
        words += f"; {percent(inside)} lie inside their interval"
    return words + ("" if rank is None else f"; rank correlation {rank:.3f}")


def _facts(data: Data) -> list[str]:
    """What an experiment says beside its cases, as far as it says it."""
    facts = []
    for threads, found in (data.get("scaling") or {}).items():
        facts.append(work_of_many(threads, Scaling(**found)))
    if data.get("drift"):
        changes = ", ".join(f"{setup} {factor - 1:+.1%}" for setup, factor in data["drift"].items())
        facts.append(f"the machine since its calibration (taken out): {changes}")
    if data.get("repeat_median") is not None:
        ratio = data["repeat_median"]
        facts.append(f"{data['repeats']} run twice: ratios differ by {ratio:.1%}")
    if data.get("layer_times_from"):
        facts.append(f"layer times from {data['layer_times_from']}")
    single = data.get("single_cuts")
    if single:
        facts.append(
            f"{single['cases']} single cuts: mean error {percent(single['mape'], 1)}; the chosen "
            f"cut is within 2 % of the measured best for {percent(data['chosen_within_2'])} of "
            "networks"
        )
    left_out = data.get("left_out")
    if left_out:
        facts.append(f"left out: {len(left_out)} (--json says why)")
    return facts


def _groups(data: Data) -> ResultTable:
    """Scores by target, or of all cases where an experiment has no groups."""
    groups = data.get("groups") or {"all": {**data, "cases": len(data["cases"])}}
    rows = [
        (
            name,
            scored["cases"],
            *(
                "-"
                if key == "coverage" and name.startswith("first")
                else percent(scored.get(key), digits)
                for _, key, digits in SCORES
            ),
        )
        for name, scored in groups.items()
    ]
    headers = ("", "cases", *(title for title, _, _ in SCORES))
    return ResultTable(title="Figures", headers=headers, rows=rows)


def _plot(cases: Sequence[Data], log: bool) -> str:
    points = [
        Point(c["measured_ms"], c["predicted_ms"], f"{c['model']} on {c['target']}", _outside(c))
        for c in cases
    ]
    return scatter(points, "measured ms", "predicted ms", "cases", log=log, diagonal=True)


def _outside(case: Data) -> bool:
    if case.get("low_ms") is None or case.get("high_ms") is None:
        return False
    return not case["low_ms"] <= case["measured_ms"] <= case["high_ms"]


def _worst(data: Data, cases: Sequence[Data]) -> ResultTable:
    """The farthest off, with the kernels that explain it where they are known."""
    why = {(w["model"], w["target"]): _why(w["kernels"]) for w in data.get("worst", ())}
    ordered = sorted(cases, key=lambda c: -abs(math.log(c["predicted_ms"] / c["measured_ms"])))
    rows = [(*_case(c), why.get((c["model"], c["target"]), "")) for c in ordered[:WORST]]
    headers = (*CASE_HEADERS, "kernels that are most off")
    return ResultTable(
        title="Farthest off",
        headers=headers,
        rows=rows,
        text_rows=SHOWN_WORST,
        rest="more (the page has them)",
    )


def _why(kernels: Sequence[Data]) -> str:
    return "; ".join(
        f"{k['kernel']} ({k['class']}) {k['predicted_us']:.0f} for {k['measured_us']:.0f} us"
        for k in kernels[:NAMED_KERNELS]
    )


CASE_HEADERS = ("network", "target", "predicted", "interval", "measured", "error")


def _case(case: Data) -> tuple[str, ...]:
    low, high = case.get("low_ms"), case.get("high_ms")
    bounds = "-" if low is None or high is None else f"{format_ms(low)} to {format_ms(high)}"
    return (
        case["model"],
        case["target"],
        format_ms(case["predicted_ms"]),
        bounds,
        format_ms(case["measured_ms"]),
        f"{case['predicted_ms'] / case['measured_ms'] - 1:+.1%}",
    )


def _cases(title: str, cases: Sequence[Data]) -> ResultTable:
    return ResultTable(title=title, headers=CASE_HEADERS, rows=[*map(_case, cases)], text_rows=0)


def _classes(data: Data) -> ResultTable:
    rows = [
        (
            f"{c['target']}: {c['kernel_class']}",
            c["kernels"],
            percent(c["time_share"], 1),
            percent(c["weighted_error"], 1),
            f"{c['bias']:+.1%}",
        )
        for c in data.get("kernel_classes", ())
    ]
    headers = ("class", "kernels", "share of time", "error", "bias")
    return ResultTable(title="Error by kernel class", headers=headers, rows=rows, text_rows=0)


def _failed(data: Data) -> ResultTable:
    rows = [(name, str(why)[:200]) for name, why in (data.get("left_out") or {}).items()]
    return ResultTable(title="Left out", headers=("network", "why"), rows=rows, text_rows=0)


def _networks(data: Data) -> list[ResultTable | ResultFigure]:
    """Of `validate partition`: each network's cuts, and the curve with what was measured."""
    networks = data.get("networks", ())
    rows = [
        (
            n["model"],
            n["cuts"],
            percent(n["mape"], 1),
            f"{n['whole_error']:+.1%}",
            n["chosen"],
            n["best"],
            f"{n['chosen_over_best']:.3f}",
        )
        for n in networks
    ]
    headers = ("network", "cuts", "mean error", "whole", "chosen", "best", "chosen/best")
    table = ResultTable(title="Cuts of each network", headers=headers, rows=rows)
    return [table, *(_curve(network) for network in networks)]


def _curve(network: Data) -> ResultFigure:
    title = f"{network['model']}: latency over the cut point, predicted and measured"
    measured = {int(place): ms for place, ms in network["measured_ms"].items()}
    return ResultFigure(title=title, draw=lambda: curve_svg(network["curve"], title, measured))


def _machine(machine: Any) -> tuple[str, ...]:
    if not machine:
        return ()
    if isinstance(machine, Mapping):
        facts = {**machine, **(machine.get("facts") or {})}
        named = (f"{k}: {v}" for k, v in facts.items() if not isinstance(v, (dict, list, tuple)))
        return (f"measured on: {', '.join(named)}",)
    return (f"measured on: {machine}",)


def kinds_result(data: Data) -> Result:
    """Describe `validate kinds`: first, steady, sustained and in-app latency of a few networks."""
    data = plain(data)
    columns = (
        ("first (pred.)", "predicted_first_ms"),
        ("first", "first_ms"),
        ("steady (pred.)", "predicted_steady_ms"),
        ("steady", "steady_ms"),
        (f"after {data['sustained_s']:.0f} s", "sustained_ms"),
        ("in app", "in_app_ms"),
    )
    rows = [
        (
            f"{r['model']} on {r['target']}",
            *("-" if r[key] is None else f"{r[key]:.2f}" for _, key in columns),
        )
        for r in data["rows"]
    ]
    cold = all(r["first_cold"] for r in data["rows"])
    return Result(
        title="Kinds of latency",
        answer=f"kinds of latency of {len(rows)} networks, predicted and measured, in ms",
        data=data,
        facts=(
            f"first: {'cold page cache' if cold else 'page cache could not be dropped: warm'}",
            f"in app: beside {data['competing_load']}",
            *(f"left out: {name}: {why}" for name, why in data.get("left_out", {}).items()),
        ),
        parts=(ResultTable(headers=("network, ms", *(title for title, _ in columns)), rows=rows),),
    )
