"""What each answer says, word for word, from data made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.render import (
    calibration,
    comparison,
    devices,
    minspec,
    network,
    plan,
    prediction,
    selection,
    simulation,
    sweep,
    validation,
)
from perfmodel.render.result import Result, ResultFigure, ResultTable, as_page, as_text


def lines(result: Result) -> list[str]:
    return as_text(result).splitlines()


def tables(result: Result) -> dict[str, ResultTable]:
    return {part.title: part for part in result.parts if isinstance(part, ResultTable)}


def figures(result: Result) -> dict[str, str]:
    return {part.title: part.draw() for part in result.parts if isinstance(part, ResultFigure)}


def kernel(name: str, kind: str, ms: float) -> dict[str, Any]:
    return {
        "name": name,
        "ops": [name, "relu"],
        "class": kind,
        "macs": 2_000_000,
        "bytes": 3_000,
        "latency_ms": ms,
        "bound": "memory",
    }


PREDICTION: dict[str, Any] = {
    "model": "net",
    "target": "phone/cpu",
    "kind": "steady",
    "batch_size": 2,
    "latency_ms": 4.0,
    "interval_ms": [3.0, 5.0],
    "interval_coverage": 0.9,
    "extrapolated": False,
    "novel_kernels": [],
    "macs": 300_000_000,
    "params": 3_500_000,
    "weights_bytes": 14_000_000,
    "peak_activation_bytes": 6_600_000,
    "uncovered_ops": [],
    "error": {"median": 0.055, "experiment": "left out", "cases": 20},
    "provenance": {"measurements": 12, "source": "a table", "build": "v1"},
    "precision_reason": "",
    "unknown": "",
    "settle": "",
    "kernels": [kernel("a", "conv", 1.0), kernel("b", "conv", 2.0), kernel("c", "pool", 1.0)],
}


def test_a_prediction_says_time_interval_and_how_sure() -> None:
    assert lines(prediction.prediction_result(PREDICTION, per_layer=False))[:15] == [
        "net takes 4.00 ms on phone/cpu (90 % interval 3.00 ms to 5.00 ms; steady, batch 2)",
        "  300 MMAC, 3.50 M parameters, weights 14.0 MB, activations at peak 6.60 MB",
        "  target's median error 5.5 % (left out, 20 cases)",
        "",
        "time by class of kernel",
        "class    kernels     ms   share",
        "-------  -------  -----  ------  --------------------",
        "conv           2  3.000  75.0 %  ████████████████████",
        "pooling        1  1.000  25.0 %  ███████",
        "",
        "the heaviest kernels",
        "kernel  layer  class    MACs    bytes     ms   share  bound",
        "------  -----  -----  ------  -------  -----  ------  ------  --------------------",
        "b       b      conv   2.00 M  3.00 KB  2.000  50.0 %  memory  ████████████████████",
        "a       a      conv   2.00 M  3.00 KB  1.000  25.0 %  memory  ██████████",
    ]


def test_a_prediction_tells_the_time_of_each_part_of_the_network() -> None:
    parts = [("56x56", 1.0), ("56x56", 2.0), ("head", 1.0)]
    kernels = [
        kernel(f"layer{i}", "conv1x1", ms) | {"title": f"1x1 conv {i}", "block": part}
        for i, (part, ms) in enumerate(parts)
    ]
    made = prediction.prediction_result({**PREDICTION, "kernels": kernels})
    assert tables(made)["time by part of the network"].rows == [
        ("56x56", 2, "3.000", "75.0 %"),
        ("head", 1, "1.000", "25.0 %"),
    ]
    drawn = figures(made)
    assert "56x56: 3.00 ms" in drawn["Time by part of the network; most of it: 56x56, 75 %"]
    assert (
        "1x1 convolutions: 4.00 ms"
        in drawn["Time by class of kernel; most of it: 1x1 convolutions, 100 %"]
    )
    assert "1x1 conv 1: 2.00 ms: layer1, bound by memory" in drawn["The heaviest kernels"]
    assert tables(made)["Every kernel, in order"].rows[0][:3] == ("1x1 conv 0", "layer0", "conv1x1")
    # the sums are of the answer itself, so a page of it without its kernels has them too
    sums = {
        "by_class": [{"class": "conv1x1", "kernels": 3, "latency_ms": 4.0, "share": 1.0}],
        "by_block": [{"block": "all", "kernels": 3, "latency_ms": 4.0, "share": 1.0}],
    }
    bare = prediction.prediction_result({**PREDICTION, "kernels": [], **sums})
    assert tables(bare)["time by part of the network"].rows == [("all", 3, "4.000", "100.0 %")]
    short = prediction.prediction_result({**PREDICTION, "kernels": kernels}, per_layer=False)
    assert "time by part of the network" not in lines(short)
    unnamed = prediction.prediction_result(PREDICTION)
    assert "time by part of the network" not in lines(unnamed)


def test_a_prediction_names_what_spoils_it() -> None:
    data = {
        **PREDICTION,
        "extrapolated": True,
        "novel_kernels": ["a", "b", "c", "d", "e"],
        "uncovered_ops": ["odd (Mystery)"],
        "precision_reason": "int8, as the weights are int8",
    }
    shown = lines(prediction.prediction_result(data))
    assert shown[0].endswith("; steady, batch 2; int8, as the weights are int8)")
    assert "  extrapolated: outside what the target was calibrated on (a, b, c, d)" in shown
    assert "  NOT in this time (uncovered): odd (Mystery)" in shown
    size = prediction.prediction_result({**data, "novel_kernels": []})
    assert any("(its size)" in line for line in lines(size))


def test_an_interval_too_wide_is_no_answer() -> None:
    data = {**PREDICTION, "unknown": "not known to within a factor of 10", "settle": "measure it"}
    shown = lines(prediction.prediction_result(data))
    assert shown[0] == ("net on phone/cpu: not known to within a factor of 10 (steady, batch 2)")
    assert shown[1] == "  measure it"
    assert "takes" not in shown[0]


def test_few_kernels_are_shown_unless_all_are_asked_for() -> None:
    many = [kernel(f"k{i}", "conv", float(i + 1)) for i in range(12)]
    short = prediction.prediction_result({**PREDICTION, "kernels": many}, per_layer=False)
    assert "... and 7 more kernels (--per-layer shows all)" in lines(short)
    assert "kernels" not in short.data
    assert [row[0] for row in tables(short)["the heaviest kernels"].rows][:2] == ["k11", "k10"]
    whole = prediction.prediction_result({**PREDICTION, "kernels": many})
    assert [row[0] for row in tables(whole)["Every kernel, in order"].rows][:2] == ["k0", "k1"]
    assert "more kernels" not in as_text(whole)
    drawn = figures(whole)
    assert "conv: 78.0 ms" in drawn["Time by class of kernel; most of it: conv, 100 %"]
    assert "k11: 12.0 ms: k11, bound by memory" in drawn["The heaviest kernels"]


def test_time_by_class_of_kernel_adds_up_longest_first() -> None:
    drawn = figures(prediction.prediction_result(PREDICTION))[
        "Time by class of kernel; most of it: conv, 75 %"
    ]
    assert drawn.index("conv: 3.00 ms: 75.0 %, 2 kernels") < drawn.index("pooling: 1.00 ms")


def cell(model: str, target: str, ms: float | None, **more: object) -> dict[str, Any]:
    return {
        "model": model,
        "target": target,
        "latency_ms": ms,
        "interval_ms": None if ms is None else [ms / 2, ms * 2],
        "ratio": None if ms is None else 10.0 / ms,
        "extrapolated": False,
        "problem": "" if ms is not None else "odd operators",
        "precision_reason": "",
        **more,
    }


def comparison_of(*rows: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    return {
        "models": [row[0]["model"] for row in rows],
        "targets": [c["target"] for c in rows[0]],
        "cells": [c for row in rows for c in row],
        "relative": False,
        **more,
    }


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            comparison_of([cell("m", "t", 4.0)], [cell("n", "t", 2.0)]),
            "n is the fastest on t: 2.00 ms",
        ),
        (
            comparison_of([cell("m", "t", 4.0), cell("m", "u", 2.0)]),
            "u is the fastest for m: 2.00 ms, 2 times as fast as t",
        ),
        (
            comparison_of([cell("m", "t", None), cell("m", "u", 2.0)]),
            "of these only u has a known time for m: 2.00 ms",
        ),
        (
            comparison_of(
                [cell("m", "t", 4.0), cell("m", "u", 2.0)],
                [cell("n", "t", 4.0), cell("n", "u", None)],
                [cell("o", "t", 4.0), cell("o", "u", 5.0)],
            ),
            "t is the fastest for 2 of 3 networks",
        ),
        (
            comparison_of([cell("m", "t", None)]),
            "none of these networks has a time on these targets",
        ),
    ],
)
def test_a_comparison_says_which_is_fastest(data: dict[str, Any], says: str) -> None:
    assert comparison.comparison_sentence(data) == says


def test_a_comparison_is_a_table_across_with_problems_below() -> None:
    data = comparison_of(
        [cell("m", "t", 4.0), cell("m", "u", 2.5, extrapolated=True)],
        [cell("m", "t", 5.0, precision_reason="int8 weights"), cell("m", "u", None)],
    )
    shown = lines(comparison.comparison_result(data))
    assert shown[1:4] == [
        "  latency in ms; * = extrapolated (1 of 4)",
        "  m on t: int8 weights",
        "  ? m: odd operators",
    ]
    # two files of one name keep their own rows
    assert shown[5:9] == [
        "network  t     u",
        "-------  -  ----",
        "m        4  2.5*",
        "m        5     ?",
    ]
    relative = comparison.comparison_result({**data, "relative": True})
    assert tables(relative)[""].rows[0] == ["m", "2.5", "4*"]
    assert "times as fast as the first target" in lines(relative)[1]


def test_many_targets_stand_down_the_table() -> None:
    row = [cell("m", f"t{i}", float(i + 1)) for i in range(5)]
    table = tables(comparison.comparison_result(comparison_of(row)))[""]
    assert table.headers == ["target", "m"]
    assert table.rows[4] == ["t4", "5"]
    four = tables(comparison.comparison_result(comparison_of(row[:4])))[""]
    assert four.headers[0] == "network"


def test_a_comparison_on_a_page_has_every_cell_and_a_map() -> None:
    data = comparison_of([cell("m", "t", 4.0), cell("m", "u", None)])
    made = comparison.comparison_result(data)
    assert tables(made)["Numbers"].rows == [
        ("m", "t", "4", "2 to 8", ""),
        ("m", "u", "-", "-", "odd operators"),
    ]
    assert "t, m: 4.00 ms" in figures(made)["Heat map, ms"]


def phone(device: str, ms: float, reason: str = "", **more: object) -> dict[str, Any]:
    return {
        "device": device,
        "soc": "chip",
        "year": 2020,
        "grade": "top",
        "target": f"{device}/cpu/tflite/fp32/t4",
        "unit": "cpu",
        "precision": "fp32",
        "latency_ms": ms,
        "median_ms": ms / 2,
        "chance": 0.97,
        "memory_mb": 20.0,
        "energy_mj": None,
        "margin": 0.25,
        "extrapolated": False,
        "reason": reason,
        **more,
    }


def phones(**more: object) -> dict[str, Any]:
    best = phone("slow", 15.0)
    return {
        "model": "net",
        "requirement": {"max_latency_ms": 20.0, "percentile": 95.0, "kind": "phone"},
        "minimum": best,
        "oldest": phone("old", 10.0, year=2015, soc="", grade="unknown"),
        "by_class": {"top": best},
        "passing": [best, phone("quick", 5.0)],
        "failing": [phone("lame", 25.0, "latency: p95 is 25 ms", year=None)],
        "unknown": [phone("odd", 9.0, "not known")],
        "fleet": {"fleet": "f", "example": True, "passing": 0.5, "failing": 0.3, "unknown": 0.2},
        "assumptions": ["one"],
        **more,
    }


def test_the_minimum_phone_in_words() -> None:
    shown = lines(minspec.minspec_result(phones()))
    assert shown[:5] == [
        "the minimum phone for net within 20 ms at p95 is slow (chip, 2020, top class): 15.0 ms on "
        "its cpu in fp32, 25 % to spare; 2 of 4 devices pass",
        "  chance that it keeps the limit: 97 %",
        "  oldest that passes: old (2015, class unknown)",
        '  fleet "f" (a made-up example): 50.0 % pass, 30.0 % fail, 20.0 % are not known',
        "  minimum by class: top: slow",
    ]
    assert {"2 pass, slowest first", "1 fail, nearest first", "1 not known"} <= set(shown)
    assert "  assumed: one" in shown


def test_no_phone_names_the_nearest() -> None:
    none = phones(minimum=None, oldest=None, passing=[], by_class={})
    sentence = minspec.minspec_sentence(none)
    assert sentence == (
        "no phone runs net within 20 ms at p95; nearest is lame (latency: p95 is 25 ms)"
    )
    assert minspec.minspec_sentence({**none, "failing": []}) == (
        "no phone runs net within 20 ms at p95"
    )
    assert minspec.described(none["failing"][0]) == "chip, year unknown, top class"


def test_an_extrapolated_minimum_is_less_sure() -> None:
    best = phone("slow", 15.0, extrapolated=True)
    shown = lines(minspec.minspec_result(phones(minimum=best, oldest=best)))
    assert shown[1] == "  chance that it keeps the limit: 97 %; extrapolated, so less sure"
    assert not any("oldest" in line for line in shown)


def test_the_figure_of_phones_has_the_limit_and_goes_up() -> None:
    drawn = figures(minspec.minspec_result(phones()))["p95 latency; the limit dashed"]
    assert drawn.index("quick: 5.00 ms") < drawn.index("slow: 15.0 ms") < drawn.index("lame")
    assert "stroke-dasharray" in drawn
    shares = figures(minspec.minspec_result(phones()))["Shares of the fleet"]
    assert "pass: 50.0 %" in shares
    assert "not known: 20.0 %" in shares


def fleet_row(device: str, share: float, verdict: str, **more: object) -> dict[str, Any]:
    row = {"device": device, "share": share, "verdict": verdict, "why": f"why {device}"}
    return {**row, "phone": "P", "chip": "C", "chance": 0.5, "price": None, **more}


def test_a_fleets_shares_add_up_and_its_unknown_rows_are_listed() -> None:
    rows = [fleet_row(f"d{i}", 0.1, "pass") for i in range(7)]
    rows += [fleet_row("b", 0.2, "border"), fleet_row("u", 0.06, "unknown")]
    rows += [fleet_row("v", 0.04, "unknown", chip="", phone="")]
    made = minspec.minspec_result(phones(rows=rows))
    shown = tables(made)
    sums = shown["Shares by verdict (border: neither passes nor fails for sure)"]
    assert sums.rows == [
        ("pass", 7, "70.0 %"),
        ("border", 1, "20.0 %"),
        ("unknown", 2, "10.0 %"),
        ("all", 10, "100.0 %"),
    ]
    each = shown["What becomes of each"]
    assert each.headers == ("device", "share", "verdict", "phone", "chip", "why")
    assert each.rows[0] == ("b", "20.0 %", "border", "P", "C", "why b")
    assert len(each.rows) == 10
    # the table of all shows eight as text, so those that are not known have one of their own
    assert [r[0] for r in shown["2 of them are not known"].rows] == ["u", "v"]
    few = tables(minspec.minspec_result(phones(rows=rows[-3:])))
    assert few["2 of them are not known"].rows == []
    priced = [*rows, fleet_row("p", 0.0, "fail", price=99.5)]
    costs = tables(minspec.minspec_result(phones(rows=priced)))["What becomes of each"]
    assert costs.headers[3] == "price"
    assert [r[3] for r in costs.rows if r[0] in ("p", "b")] == ["-", "99.5"]


def variant(model: str, accuracy: float, ms: float, reason: str = "") -> dict[str, Any]:
    return {
        "model": model,
        "precision": "int8",
        "accuracy": accuracy,
        "metric": "top1",
        "accuracy_source": f"paper of {model}",
        "latency_ms": ms,
        "memory_mb": 5.0,
        "energy_mj": 7.25,
        "share": 1.0,
        "target": "phone/cpu",
        "reason": reason,
        "extrapolated": False,
    }


def choice(**more: object) -> dict[str, Any]:
    good, bad = variant("good", 70.5, 8.0), variant("bad", 75.0, 30.0, "latency: too slow")
    return {
        "place": "phone",
        "budget": {"max_latency_ms": 10.0, "percentile": 95.0},
        "min_share": 1.0,
        "metric": "top1",
        "chosen": good,
        "candidates": [bad, good],
        "front": [good],
        "assumptions": ["two"],
        "emitted": None,
        **more,
    }


def test_the_chosen_network_in_words() -> None:
    shown = lines(selection.selection_result(choice()))
    assert shown[:3] == [
        "good in int8 is the most accurate within 10 ms at p95 on phone: 70.5 top1, 8.00 ms on "
        "phone/cpu",
        "  accuracy from paper of good",
        "  1 of 2 variants meet the budget",
    ]
    assert "  source: accuracy: paper of bad" in shown
    fleet = choice(min_share=0.9, place="f.csv", chosen=None)
    assert selection.selection_sentence(fleet) == (
        "no variant stays within 10 ms at p95 for 90 % of the fleet f.csv"
    )


def test_a_written_network_says_what_to_do_next() -> None:
    shown = lines(selection.selection_result(choice(emitted="a.tflite")))
    assert shown[-3].startswith("wrote a.tflite (random weights)")
    drawn = figures(selection.selection_result(choice()))
    [plot] = drawn.values()
    assert "good int8: 8.00, 70.5" in plot


def segment(first: int, last: int, ms: float) -> dict[str, Any]:
    return {
        "first_op": first,
        "last_op": last,
        "first_name": f"op{first}",
        "last_name": f"op{last}",
        "target": "phone/cpu",
        "latency_ms": ms,
        "weights_bytes": 1000,
    }


def cut(latency_ms: float, **more: object) -> dict[str, Any]:
    return {
        "model": "net",
        "criterion": "optimal",
        "exact_over": "all plans",
        "k": 2,
        "latency_ms": latency_ms,
        "unpartitioned_ms": 10.0,
        "unpartitioned_target": "phone/gpu",
        "segments": [segment(0, 2, 6.0), segment(3, 9, 3.0)],
        "boundaries": [{"after_op": 2, "tensors": 1, "bytes": 2000, "latency_ms": 0.5}],
        "energy_mj": 12.5,
        "notes": ["a note"],
        "curve": None,
        **more,
    }


@pytest.mark.parametrize(
    ("latency_ms", "verdict"),
    [
        (5.0, "2.00 times as fast as in one piece"),
        (9.94, "1.01 times as fast as in one piece"),
        (9.96, "no faster than in one piece"),
        (10.04, "no faster than in one piece"),
        (10.06, "1.01 times the time in one piece"),
        (20.0, "2.00 times the time in one piece"),
    ],
)
def test_a_plan_says_what_it_gains(latency_ms: float, verdict: str) -> None:
    assert f": {verdict} (10.0 ms on phone/gpu)" in plan.plan_sentence(cut(latency_ms))


def test_a_plan_whose_time_is_not_known_shows_no_figure_for_it() -> None:
    wide = cut(9.0, unknown="not known: 1 to 20 ms", settle="measure it")
    assert plan.plan_sentence(wide) == (
        "net in 2 pieces (optimal): not known: 1 to 20 ms; in one piece on phone/gpu: 10.0 ms"
    )
    shown = plan.plan_result(wide)
    assert list(shown.facts) == ["measure it", "best among all plans", "a note"]
    pieces = next(p for p in shown.parts if p.title == "Pieces")
    assert isinstance(pieces, ResultTable)
    assert pieces.headers[-1] == "ms (estimated)"
    alone = cut(9.0, unpartitioned_unknown="not known: 2 to 40 ms")
    assert plan.plan_sentence(alone) == (
        "net in 2 pieces (optimal) takes 9.00 ms; in one piece on phone/gpu: not known: 2 to 40 ms"
    )
    assert "energy 12.5 mJ" in plan.plan_result(alone).facts
    both = cut(9.0, unknown="not known: 1 to 20 ms", unpartitioned_unknown="not known: 2 to 40 ms")
    assert plan.plan_sentence(both).endswith(
        ": not known: 1 to 20 ms; in one piece on phone/gpu: not known: 2 to 40 ms"
    )
    one = both | {"k": 1, "segments": [segment(0, 9, 9.0) | {"target": "phone/gpu"}]}
    assert plan.plan_sentence(one) == "net in 1 piece (optimal) on phone/gpu: not known: 2 to 40 ms"


def test_a_plan_shows_its_pieces_and_what_lies_between() -> None:
    made = plan.plan_result({**cut(9.5), "emitted": ["a.tflite"]})
    shown = lines(made)
    assert shown[0].startswith("net in 2 pieces (optimal) takes 9.50 ms")
    assert shown[1:4] == ["  best among all plans", "  energy 12.5 mJ", "  a note"]
    assert any(line.endswith("3.000  ██████████") for line in shown)
    assert tables(made)["Between them"].rows == [(2, 1, "2.00 KB", "0.500")]
    assert shown[-1] == "wrote a.tflite"
    assert "moving after 2: 0.500 ms" in figures(made)["Where the time goes"]
    by = plan.plan_result(cut(9.5, criterion="layer-count", k=1, energy_mj=None))
    assert lines(by)[0].startswith("net in 1 piece (layer-count)")
    assert lines(by)[1] == "  pieces by layer-count"


def test_a_plan_of_cuts_that_nothing_runs_has_no_curve() -> None:
    curve = {
        "first_target": "a",
        "second_target": "b",
        "after": ["x"],
        "first_ms": [None],
        "moving_ms": [0.0],
        "second_ms": [1.0],
        "moved_bytes": [0],
    }
    assert "net: latency over the cut point" not in figures(plan.plan_result(cut(9.5, curve=curve)))
    known = {**curve, "first_ms": [1.0]}
    assert "net: latency over the cut point" in figures(plan.plan_result(cut(9.5, curve=known)))


def scenario_case(name: str, p95: float, **more: object) -> dict[str, Any]:
    return {
        "group": "",
        "case": name,
        "policy": "cloud",
        "requests": 100,
        "latency_ms": {"mean": p95 / 2, "p50": p95 / 2, "p95": p95, "p99": p95 * 1.5},
        "percentile_error": 0.0,
        "deadline_miss_rate": 0.0123,
        "energy_mj": {"mean": 5.0, "by_component": {"cpu": 2.0, "radio": 3.0}},
        "utilization": {"cpu": 0.25, "gpu": 0.0},
        "steps_ms": {"compute": 3.0, "upload": 0.0},
        "bottleneck": "compute",
        "plans": {"a": 0.25, "b": 0.75},
        "counts": {"cold_starts": 2, "drops": 0},
        "intervals": {"latency_mean_ms": [4.0, 6.0], "latency_p95_ms": [9.0, 11.0]},
        "warnings": [],
        "notes": ["a note"],
        **more,
    }


def simulated(*cases: dict[str, Any], sentence: str = "", **more: object) -> dict[str, Any]:
    groups = dict.fromkeys(c["group"] for c in cases)
    leaders = {g: next(c["case"] for c in cases if c["group"] == g) for g in groups}
    return {
        "scenario": "a scenario",
        "cases": list(cases),
        "replications": 4,
        "seed": 7,
        "elapsed_s": 1.25,
        "interval_coverage": 0.95,
        "winners": leaders,
        "verdicts": {g: {"leader": leaders[g], "sentence": sentence} for g in groups},
        **more,
    }


def test_one_case_of_a_scenario_says_its_percentiles() -> None:
    shown = lines(simulation.simulation_result(simulated(scenario_case("only", 10.0))))
    assert shown[:3] == [
        "cloud: p50 5.00 ms, p95 10.0 ms, p99 15.0 ms; most of it is compute; 1.23 % miss the "
        "deadline",
        "  a scenario",
        "  note: a note",
    ]
    assert shown[-5:] == [
        "answered by: only: a 25.0 %, b 75.0 %",
        "energy: only: cpu 2 mJ, radio 3 mJ",
        "counted: only: cold starts 2",
        "figures are of the requests of all replications together (exact), intervals over the "
        "replications",
        "100 requests, 4 replications, seed 7, 1.2 s",
    ]
    assert "busy: only: cpu 25.0 %" in shown


def test_cases_of_a_scenario_are_compared_and_the_first_line_is_the_verdict() -> None:
    data = simulated(
        scenario_case("a", 10.0),
        scenario_case("b", 20.0, warnings=["the queue grows"], deadline_miss_rate=None),
        sentence="a wins",
        replications=1,
    )
    made = simulation.simulation_result(data)
    shown = lines(made)
    assert shown[0] == "a wins"
    assert "warning: b: the queue grows" in shown
    assert shown[-1] == "200 requests, 1 replication, seed 7, 1.2 s"
    assert "figures are of the requests (exact), intervals over parts of the run" in shown
    table = tables(made)["latency per request"]
    assert table.headers[2] == "95 % CI"
    assert table.rows[0][0] == "* a"
    assert table.rows[1][0] == "  b"
    assert table.rows[0][2] == "4.00 ms to 6.00 ms"
    assert table.rows[0][6] == "1.2 %"
    assert table.rows[1][6] == "-"
    assert tables(made)["mean time per step"].headers == ["", "compute", "total"]
    assert tables(made)["How busy"].rows == [("a", "25.0 %"), ("b", "25.0 %")]
    assert "b: 20.0 ms (9.00 to 11.0): mean 10" in figures(made)["95th percentile of latency"]


def test_a_simulation_shows_how_many_requests_are_answered_within_a_time() -> None:
    curve = [[0, 2.0], [50, 5.0], [100, 20.0]]
    cases = [scenario_case("a", 10.0, latency_curve=curve, deadline_ms=8.0)]
    made = simulation.simulation_result(simulated(*cases))
    [part] = [p for p in made.parts if p.title == "requests answered within a time"]
    assert isinstance(part, ResultFigure)
    assert "a: 5.00, 50.0" in part.draw()
    assert "the deadline dashed" in part.draw()
    assert part.draw().count("stroke-dasharray") == 1
    assert part.other is not None
    assert part.other() != part.draw()
    many = [scenario_case(f"c{i}", 10.0, group="g", latency_curve=curve) for i in range(10)]
    titles = [p.title for p in simulation.simulation_result(simulated(*many)).parts]
    assert "g: requests answered within a time (8 of 10 cases)" in titles
    assert not any(
        "requests" in p.title
        for p in simulation.simulation_result(simulated(scenario_case("a", 10.0))).parts
    )


def test_groups_are_counted_in_the_first_line() -> None:
    data = simulated(
        scenario_case("a", 10.0, group="small"),
        scenario_case("b", 10.0, group="large"),
        sentence="wins",
    )
    shown = lines(simulation.simulation_result(data))
    assert shown[0] == "best in how many of 2 groups: a 1, b 1"
    assert {"  small: wins", "  large: wins"} <= set(shown)
    unclear = simulation.simulation_sentence({**data, "winners": {"small": None, "large": "b"}})
    assert unclear == "best in how many of 2 groups: no clear winner 1, b 1"


def test_a_warned_leader_says_so_at_once() -> None:
    data = simulated(scenario_case("a", 10.0, warnings=["w"]), sentence="a wins")
    assert simulation.simulation_sentence(data) == "a wins - but see the warning below"


def effect(path: str, share: float) -> dict[str, Any]:
    return {
        "path": path,
        "share": share,
        "rank_correlation": -0.5,
        "low": 3.0,
        "high": 6.0,
        "low_at": 0.5,
        "high_at": "x",
    }


def swept(**more: object) -> dict[str, Any]:
    rows = [{"width": w, "latency_ms": 3.0 + w, "accuracy": 60.0 + w} for w in (0.5, 0.75, 1.0)]
    return {
        "subject": "net on phone",
        "metric": "latency_ms",
        "points": 3,
        "failed": 0,
        "paths": ["width"],
        "best": rows[0],
        "summary": {"min": 3.5, "median": 3.75, "max": 4.0},
        "effects": [effect("width", 0.8), effect("kind", 0.15)],
        "together": 0.05,
        "variance_method": "exact",
        "objectives": ["latency_ms", "accuracy"],
        "front": rows[:2],
        "front_size": 2,
        "elapsed_s": 0.5,
        "resumed_points": 0,
        "output": "",
        "rows": rows,
        "best_rows": rows,
        **more,
    }


def test_a_sweep_says_the_range_and_what_moves_it() -> None:
    made = sweep.sweep_result(swept())
    shown = lines(made)
    assert shown[0] == (
        "latency_ms goes from 3.50 to 4.00 (median 3.75) over 3 points; width moves it most "
        "(80 % of its variance); best at width=0.5"
    )
    assert shown[1] == "  net on phone"
    assert shown[-1] == "3 points, 0.5 s"
    table = tables(made)["what moves it (exact)"]
    assert table.rows[0] == ("width", "80.0 %", "-0.50", "3.00 at 0.5", "6.00 at x")
    assert table.rows[2][:2] == ("together", "5.0 %")
    assert list(table.bars) == [0.8, 0.15, 0.05]
    drawn = figures(made)
    assert "width: 80.0 %: 3 to 6" in drawn["Share of the variance of latency_ms"]
    assert drawn["latency_ms over width"].count("<circle") == 3
    assert drawn["accuracy over latency_ms on that front"].count("<circle") == 2


def test_a_sweep_without_answers_says_why() -> None:
    none = swept(best=None, effects=[], front=[], best_rows=[], failed=3, problem="no such target")
    shown = lines(sweep.sweep_result(none))
    assert shown[0] == "none of the 3 points has a latency_ms: no such target"
    assert shown[2] == "  3 points have no latency_ms: no such target"


def test_a_sweep_without_a_front_shows_its_best_points() -> None:
    rows = [{"width": 1.0, "problem": "", **{f"f{i}": 1.0 for i in range(9)}, "latency_ms": None}]
    made = sweep.sweep_result(
        swept(front=[], best_rows=rows, resumed_points=2, output="o.csv", effects=[])
    )
    table = tables(made)["best points"]
    assert table.headers == ["width", "latency_ms", *(f"f{i}" for i in range(6))]
    assert table.rows[0][:3] == ["1", "-", "1"]
    assert lines(made)[-2:] == ["3 points, 2 of them from before, 0.5 s", "rows: o.csv"]


def test_points_are_plotted_only_over_numbers() -> None:
    words = [{"width": "a", "latency_ms": 1.0}] * 3
    assert not any("over width" in t for t in figures(sweep.sweep_result(swept(rows=words))))
    truths = [{"width": True, "latency_ms": 1.0}] * 3
    assert not any("over width" in t for t in figures(sweep.sweep_result(swept(rows=truths))))
    two = swept()["rows"][:2]
    assert not any("over width" in t for t in figures(sweep.sweep_result(swept(rows=two))))


def measured(model: str, predicted: float, took: float) -> dict[str, Any]:
    return {
        "model": model,
        "target": "host/cpu",
        "predicted_ms": predicted,
        "low_ms": predicted * 0.8,
        "high_ms": predicted * 1.2,
        "measured_ms": took,
    }


def validated(**more: object) -> dict[str, Any]:
    return {
        "experiment": "host",
        "cases": [measured("near", 10.0, 10.5), measured("far", 10.0, 20.0)],
        "mape": 0.274,
        "within_5": 0.5,
        "within_10": 0.5,
        "within_20": 0.5,
        "spearman": 0.25,
        "coverage": 0.5,
        "machine": {"cpu": "a chip", "facts": {"cores": 2}},
        **more,
    }


def test_a_validation_says_how_far_off_and_where_most() -> None:
    made = validation.validation_result(
        validated(
            drift={"t1": 1.02},
            repeat_median=0.01,
            repeats=3,
            warning="busy",
            left_out={"x": "y"},
            worst=[
                {
                    "model": "far",
                    "target": "host/cpu",
                    "kernels": [
                        {"kernel": f"k{i}", "class": "c", "predicted_us": 5.0, "measured_us": 9.0}
                        for i in range(3)
                    ],
                }
            ],
        )
    )
    shown = lines(made)
    assert shown[0] == (
        "host: over 2 cases predictions are off by 27.4 % on average, 50 % of them by at most "
        "10 %, 50 % by at most 20 %; 50 % lie inside their interval; rank correlation 0.250"
    )
    assert "  the machine since its calibration (taken out): t1 +2.0%" in shown
    assert "  3 run twice: ratios differ by 1.0%" in shown
    assert "warning: busy" in shown
    worst = tables(made)["Farthest off"]
    assert worst.rows[0][0] == "far"
    assert worst.rows[0][5] == "-50.0%"
    assert worst.rows[0][6] == "k0 (c) 5 for 9 us; k1 (c) 5 for 9 us"
    assert tables(made)["Left out"].rows == [("x", "y")]
    assert made.sources == ("measured on: cpu: a chip, cores: 2",)
    [plot] = figures(made).values()
    assert plot.count('r="5"') == 1  # the one outside its interval is marked


def test_a_validation_without_cases_says_so() -> None:
    assert validation.validation_sentence({"experiment": "adb"}, 0) == "adb: nothing was measured"


def test_groups_of_a_validation_have_a_row_each_and_first_runs_no_coverage() -> None:
    scores = {"cases": 3, "mape": 0.1, "within_5": 0.2, "within_10": 0.3, "within_20": 0.4}
    groups = {"t1": {**scores, "coverage": 0.9}, "first run: t1": {**scores, "coverage": 0.9}}
    table = tables(validation.validation_result(validated(groups=groups)))["Figures"]
    assert table.rows == [
        ("t1", 3, "10.0 %", "20 %", "30 %", "40 %", "90 %"),
        ("first run: t1", 3, "10.0 %", "20 %", "30 %", "40 %", "-"),
    ]


def test_a_validation_without_groups_has_one_row_that_counts_its_cases() -> None:
    data = validated()
    table = tables(validation.validation_result(data))["Figures"]
    assert [row[:2] for row in table.rows] == [("all", len(data["cases"]))]


def test_cuts_of_networks_have_a_row_and_a_curve_each() -> None:
    network = {
        "model": "net",
        "cuts": 4,
        "mape": 0.05,
        "whole_error": -0.02,
        "chosen": "cut 1",
        "best": "cut 2",
        "chosen_over_best": 1.004,
        "measured_ms": {"0": 3.0},
        "curve": {
            "first_target": "a",
            "second_target": "a",
            "after": ["nothing"],
            "first_ms": [0.0],
            "moving_ms": [0.0],
            "second_ms": [3.0],
            "moved_bytes": [0],
        },
    }
    single = {"cases": 4, "mape": 0.05}
    data = validated(networks=[network], single_cuts=single, chosen_within_2=0.5)
    made = validation.validation_result(data | {"layer_times_from": "a profile"})
    assert tables(made)["Cuts of each network"].rows == [
        ("net", 4, "5.0 %", "-2.0%", "cut 1", "cut 2", "1.004")
    ]
    assert "measured 3.00 ms" in list(figures(made).values())[-1]
    assert "  layer times from a profile" in lines(made)
    assert any("4 single cuts: mean error 5.0 %" in line for line in lines(made))


def test_kinds_of_latency_stand_side_by_side() -> None:
    row = {
        "model": "net",
        "target": "t",
        "predicted_first_ms": 30.0,
        "first_ms": 31.0,
        "predicted_steady_ms": 10.0,
        "steady_ms": 11.0,
        "sustained_ms": None,
        "in_app_ms": 15.0,
        "first_cold": True,
    }
    data = {"rows": [row], "sustained_s": 60.0, "competing_load": "a busy thread"}
    made = validation.kinds_result(data)
    assert tables(made)[""].rows == [("net on t", "30.00", "31.00", "10.00", "11.00", "-", "15.00")]
    assert lines(made)[1] == "  first: cold page cache"
    warm = validation.kinds_result({**data, "rows": [row, {**row, "first_cold": False}]})
    assert "warm" in lines(warm)[1]


def calibrated(**more: object) -> dict[str, Any]:
    target = {
        "target": "phone/gpu/tflite/fp16",
        "kind": "steady",
        "networks": 10,
        "kernels": 3,
        "borrowed_from": "kin",
        "reason": "nearest",
        "evidence": {"unit": ["log"], "precision": ["file name", "option"]},
        "error": {"median": 0.05, "experiment": "left out", "cases": 10},
        "interval_factor": [0.8, 1.25],
        "interval_coverage": 0.9,
    }
    return {
        "device": "phone",
        "profile": "p.json",
        "targets": [target],
        "left_out_rows": [f"row {i}" for i in range(12)],
        **more,
    }


def test_a_calibration_says_what_it_made_of_what() -> None:
    shown = lines(calibration.calibration_result(calibrated(), named=True))
    assert shown[:5] == [
        "phone: 1 targets, profile in p.json",
        "  phone/gpu/tflite/fp16 (steady), from 10 networks and 3 kernels",
        "    known: unit from log; precision from file name and option",
        "    borrowed from kin: nearest",
        "    median error 5.0 % (left out, 10 cases); 90 % interval 0.80 to 1.25 times the "
        "prediction",
    ]
    assert shown.count("warning: left out: row 9") == 1
    assert "warning: left out: row 10" not in shown
    first = "warning: 12 rows are left out; here are the first 10, --json has all"
    assert first in shown
    assert shown[-1] == "next: perfmodel predict mobilenet_v2 --on phone/gpu --profile p.json"
    own = lines(calibration.calibration_result(calibrated(left_out_rows=[]), named=False))
    assert own[-1] == "next: perfmodel predict mobilenet_v2 --on phone/gpu"


def test_a_page_of_every_answer_is_made() -> None:
    for made in (
        prediction.prediction_result(PREDICTION),
        comparison.comparison_result(comparison_of([cell("m", "t", 4.0)])),
        minspec.minspec_result(phones()),
        selection.selection_result(choice()),
        plan.plan_result(cut(9.5)),
        simulation.simulation_result(simulated(scenario_case("a", 1.0))),
        sweep.sweep_result(swept()),
        validation.validation_result(validated()),
        calibration.calibration_result(calibrated(), named=True),
    ):
        page = as_page(made)
        assert page.startswith("<!doctype html>")
        assert "<svg" in page or made.title.startswith("Calibration")


def ai_test(test: str, configuration: str, ms: float | None, far: bool = False) -> dict[str, Any]:
    return {
        "test": test,
        "model": f"model of {test}",
        "device": "phone",
        "configuration": configuration,
        "latency_ms": ms,
        "per_second": None if ms is None else 1000 / ms,
        "target": "phone/cpu",
        "extrapolated": far,
    }


def suite(**more: object) -> dict[str, Any]:
    def rate(device: str, kind: str, unit: str, per_second: float) -> dict[str, Any]:
        return {
            "device": device,
            "kind": kind,
            "target": f"{device}/{unit}/lib",
            "latency_ms": 1000 / per_second,
            "per_second": per_second,
        }

    return {
        "devices": ["phone"],
        "tests": [
            ai_test("one", "CPU, float", 20.0, True),
            ai_test("one", "CPU, int8", None),
            ai_test("two", "CPU, float", 40.0),
            ai_test("two", "CPU, int8", 8.0),
        ],
        "rates": [
            rate("phone", "phone", "cpu", 25.0),
            rate("big", "desktop", "cpu", 400.0),
            rate("card", "desktop", "gpu", 200.0),
        ],
        "published_rates": [["paper's card", 500.0]],
        "generations": [
            {
                "soc": "chip",
                "year": 2017,
                "published_ms": 150.0,
                "target": "phone/cpu",
                "latency_ms": 120.4,
                "interval_ms": [100.0, 150.0],
            },
            {
                "soc": "old chip",
                "year": 2015,
                "published_ms": 700.0,
                "target": "",
                "latency_ms": None,
                "interval_ms": None,
            },
        ],
        "note": "a note",
        **more,
    }


def test_the_suite_sets_a_phone_beside_a_desktop() -> None:
    # 25 of 200 images a second
    assert comparison.suite_sentence(suite()) == (
        "phone recognises 25 images/s with Inception V3, 12.5 % of the desktop GPU card"
    )
    alone = suite(rates=suite()["rates"][:2])
    assert comparison.suite_sentence(alone).endswith(
        "no desktop GPU has a target to compare it with"
    )
    nobody = suite(devices=["other"])
    assert comparison.suite_sentence(nobody) == "no target answers Inception V3"


def test_the_suite_has_a_row_a_test_and_a_column_a_configuration() -> None:
    made = comparison.suite_result(suite())
    table = tables(made)["phone: ms per inference, steady (* = extrapolated)"]
    assert table.headers == ["test", "network", "CPU, float", "CPU, int8", "best/s"]
    assert table.rows == [
        ["one", "model of one", "20*", "no target", "50"],
        ["two", "model of two", "40", "8", "125"],
    ]
    none = suite(tests=[ai_test("one", "CPU, float", None)])
    rows = tables(comparison.suite_result(none))
    assert rows["phone: ms per inference, steady (* = extrapolated)"].rows[0][-1] == "-"
    rates = tables(made)["Inception V3, images per second"].rows
    assert rates[0] == ("phone", "phone", "cpu/lib", "40", "25")
    assert rates[-1] == ("paper's card", "published", "-", "-", "500")
    generations = tables(made)["Inception V3 over generations of phone processors"].rows
    assert generations == [
        ("chip", 2017, "150", "120", "100 to 150", "phone/cpu"),
        ("old chip", 2015, "700", "no target", "-", "-"),
    ]
    drawn = figures(made)["Inception V3, images per second"]
    order = ["paper's card (published)", "big (desktop)", "card (desktop)", "phone (phone)"]
    shown = [drawn.index(name.replace("'", "&#x27;")) for name in order]
    assert shown == sorted(shown)
    assert "  assumed: a note" in lines(made)


def test_an_inspection_has_a_row_an_operator_and_no_zero_for_what_is_not_known() -> None:
    op = {
        "name": "conv",
        "op": "conv2d",
        "macs": 2_000,
        "params": 30,
        "input_bytes": 4_000,
        "weight_bytes": 120,
        "output_bytes": 5_000,
        "output_shapes": [[1, 4, 4, 8], [1, 2]],
    }
    odd = {**op, "name": "odd", **dict.fromkeys(network.FIGURES)}
    data = {
        "model": "net",
        "macs": 2_000,
        "params": 30,
        "weights_bytes": 120,
        "peak_activation_bytes": 9_000,
        "op_count": 2,
        "batch_size": 3,
        "inputs": [{"name": "x", "shape": [1, 4], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": [1, 2], "dtype": "int8"}],
        "uncovered_ops": [{"name": "odd", "op": "Mystery"}],
        "stored": {"int8": 0.9, "float32": 0.097, "int32": 0.003},
        "runs_in": {"tflite/cpu": "int8", "tflite/gpu": "fp16"},
        "notes": ["NonZero 'n' finds 15 elements, the most it can"],
        "ops": [op, odd],
    }
    made = network.inspection_result(data)
    assert made.assumptions == data["notes"]
    assert lines(made)[:6] == [
        "net: 2.00 kMAC, 30 parameters (120 B), activations at peak 9.00 KB, 2 ops, batch 3",
        "  inputs: x [1, 4] float32",
        "  outputs: y [1, 2] int8",
        "  weights stored as int8 90 %, float32 10 %",
        "  by default runs in: tflite/cpu int8; tflite/gpu fp16",
        "  not covered by the cost model: odd (Mystery)",
    ]
    [table] = tables(made).values()
    assert table.rows[0] == (
        *("conv", "conv2d", "1x4x4x8 1x2", "2.00 k", "30", "4.00 KB", "120 B", "5.00 KB"),
    )
    assert table.rows[1][3:] == ("?",) * 5


def test_the_zoo_is_a_table_with_defaults() -> None:
    from perfmodel import zoo

    made = network.models_result([zoo.entry("mobilenet_v2"), zoo.entry("mobilenet_v3_large")])
    assert lines(made)[0].startswith("2 networks; parameters as ")
    first, second = tables(made)[""].rows
    assert first[0] == "mobilenet_v2"
    assert "width=1.0" in first[3]
    assert len(second[3]) == 60
    assert second[3].endswith("...")
    assert "builder" not in made.data[0]


def test_targets_have_their_error_and_source() -> None:
    from perfmodel.devices.registry import list_targets

    some = list_targets()[:3]
    made = devices.devices_result(some)
    assert lines(made)[0] == f"3 targets on {len({t.device for t in some})} devices"
    row = tables(made)[""].rows[0]
    assert row[0] == some[0].target
    assert row[2] == f"{100 * some[0].median_error:.1f} %"
    assert len(row[5]) <= 60


def test_targets_of_the_market_say_what_matched() -> None:
    from perfmodel.devices.known_targets import targets

    known = targets("Galaxy S23")
    assert known.found is not None
    data = devices.known_targets_result(known).data
    assert data
    for line in data:
        assert "Galaxy S23" in line["matched"][0]
        assert line["matched"][-1] in {made.name for made in known.found.chips}
    assert (
        "matched" not in devices.known_targets_result(targets("jetson-nano", kind="jetson")).data[0]
    )


def test_a_calibration_of_this_machine_says_what_it_measured() -> None:
    data = {
        "samples": 40,
        "kernels": 900,
        "measuring_s": 61.4,
        "warning": "busy",
        "profile": "host.json",
        "journal": "j.jsonl",
        "lost": {"too short": 2},
        "not_fitted": {"host/cpu/t2": "11 networks of 12"},
        "scaling": {"2": {"least": 1.094, "most": 1.85}},
        "targets": [
            {
                "target": "host/cpu",
                "networks": 40,
                "error_median": 0.021,
                "error_mean": 0.034,
                "within_10": 0.955,
            }
        ],
    }
    shown = lines(calibration.host_calibration_result(data))
    assert shown[0] == (
        "40 networks with 900 kernels measured in 61 s; errors are those of networks left out of "
        "the fit"
    )
    assert shown[1] == "  2 busy processes do 1.09 to 1.85 times the work of one on this machine"
    assert shown[2] == "warning: busy"
    assert shown[6].split("  ")[0] == "host/cpu"
    assert shown[6].endswith("2.1 %       3.4 %         96 %")
    assert shown[-2] == "not used: 2 (too short)"
    assert shown[-1] == "no target host/cpu/t2: 11 networks of 12"
    quiet = calibration.host_calibration_result({**data, "warning": ""})
    assert "warning" not in as_text(quiet)


def test_suggestions_are_numbered_with_what_stays_unknown() -> None:
    data = {
        "target": "phone/cpu",
        "borrowed_from": "kin",
        "suggestions": [
            {"name": "a", "reason": "tells most", "remaining_sd": 0.46},
            {"name": "b", "reason": "and then", "remaining_sd": 0.3},
        ],
    }
    made = calibration.suggestions_result(data)
    assert lines(made)[0] == (
        "measure these 2 next on phone/cpu (before them, costs are those of kin)"
    )
    assert tables(made)[""].rows == [(1, "a", "tells most", "46 %"), (2, "b", "and then", "30 %")]
