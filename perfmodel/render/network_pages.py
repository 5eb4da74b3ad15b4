"""Pages about networks and targets: predict, partition, compare, minspec, select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.render.page import Page, Section, html_table
from perfmodel.render.plots import comparison_map
from perfmodel.render.svg import Bar, Point, bars, scatter
from perfmodel.render.text import chance, percent
from perfmodel.units import format_bytes, format_count, format_ms

Data = Mapping[str, Any]
HEAVIEST = 30
STEADY = "Steady-state latency of a network that has the unit to itself: no heat, no other load."


def predict_page(data: Data) -> Page:
    """One network on one target: the time, its interval, where it goes."""
    low, high = data["interval_ms"]
    answer = (
        f"{data['model']} takes {format_ms(data['latency_ms'])} on {data['target']}, with "
        f"{percent(data['interval_coverage'])} probability between {format_ms(low)} and "
        f"{format_ms(high)}."
    )
    facts = [
        ("latency kind", data["kind"]),
        ("batch size", data["batch_size"]),
        ("multiply-accumulates", format_count(data["macs"])),
        ("parameters", format_count(data["params"])),
        ("weights", format_bytes(data["weights_bytes"])),
        ("activations at peak", format_bytes(data["peak_activation_bytes"])),
    ]
    return Page(
        f"{data['model']} on {data['target']}",
        answer,
        (*_kernels(data.get("kernels", ())), Section("The network", html_table(("", ""), facts))),
        _prediction_sure(data),
        (STEADY,),
        _provenance(data),
    )


def _kernels(kernels: Sequence[Data]) -> list[Section]:
    if not kernels:
        return []
    total = sum(k["latency_ms"] for k in kernels) or 1.0
    heavy = sorted(kernels, key=lambda k: -k["latency_ms"])[:HEAVIEST]
    plot = bars([Bar(k["name"], k["latency_ms"], note=k["bound"]) for k in heavy], "ms", "kernels")
    rows = [
        (
            k["name"],
            k.get("class", k.get("kernel_class", "")),
            format_count(k["macs"]),
            format_bytes(k["bytes"]),
            f"{k['latency_ms']:.3f}",
            percent(k["latency_ms"] / total, 1),
            k["bound"],
        )
        for k in kernels
    ]
    headers = ("kernel", "class", "MACs", "bytes", "ms", "share", "bound by")
    classes: dict[str, float] = {}
    for k in kernels:
        name = k.get("class", k.get("kernel_class", ""))
        classes[name] = classes.get(name, 0.0) + k["latency_ms"]
    ordered = sorted(classes.items(), key=lambda c: -c[1])
    return [
        Section("Time by kind of kernel", bars([Bar(n, v) for n, v in ordered], "ms", "by class")),
        Section("The heaviest kernels", plot),
        Section("Every kernel, in order", html_table(headers, rows)),
    ]


def _prediction_sure(data: Data) -> tuple[str, ...]:
    error = data.get("error", {})
    lines = [
        f"The target's model was off by {percent(error.get('median'), 1)} in the median over "
        f"{error.get('cases')} cases it had not seen ({error.get('experiment')})."
    ]
    if data.get("extrapolated"):
        lines.append("The network holds kernels outside what the target was calibrated on.")
    if data.get("uncovered_ops"):
        lines.append(f"Not in this time: {', '.join(data['uncovered_ops'])}.")
    return tuple(lines)


def _provenance(data: Data) -> tuple[str, ...]:
    origin = data.get("provenance")
    if not origin:
        return ()
    build = f"; {origin['build']}" if origin.get("build") else ""
    return (f"{origin['measurements']} measurements: {origin['source']}{build}",)


def partition_page(data: Data) -> Page:
    """A network in pieces: where they run and what it gains."""
    ratio = data["unpartitioned_ms"] / data["latency_ms"]
    answer = (
        f"{data['model']} in {data['k']} piece{'s' if data['k'] != 1 else ''} "
        f"({data['criterion']}) takes {format_ms(data['latency_ms'])}, {ratio:.3g} times as fast "
        f"as in one piece ({format_ms(data['unpartitioned_ms'])})."
    )
    segments, boundaries = data["segments"], data.get("boundaries", ())
    rows = [
        (
            f"{s['first_op']} to {s['last_op']}",
            s["target"],
            format_bytes(s["weights_bytes"]),
            f"{s['latency_ms']:.4g}",
        )
        for s in segments
    ]
    moved = [
        (b["after_op"], format_bytes(b["bytes"]), f"{b['latency_ms']:.4g}") for b in boundaries
    ]
    plot = [
        Bar(f"{s['first_op']} to {s['last_op']}: {s['target']}", s["latency_ms"]) for s in segments
    ] + [Bar(f"moving after {b['after_op']}", b["latency_ms"]) for b in boundaries]
    return Page(
        f"{data['model']} in pieces",
        answer,
        (
            Section("Where the time goes", bars(plot, "ms", "segments and boundaries")),
            Section("Pieces", html_table(("ops", "target", "weights", "ms"), rows)),
            Section("Between them", html_table(("after op", "bytes", "ms"), moved)),
        ),
        assumptions=(STEADY, *map(str, data.get("notes", ()))),
    )


def compare_page(data: Data) -> Page:
    """Networks on targets, as a heat map and a table."""
    relative = bool(data.get("relative"))
    key = "ratio" if relative else "latency_ms"
    cells = data["cells"]
    rows = [
        (
            c["model"],
            c["target"],
            "-" if c[key] is None else f"{c[key]:.4g}",
            "-" if c["interval_ms"] is None else "{:.3g} to {:.3g}".format(*c["interval_ms"]),
            c.get("problem") or ("extrapolated" if c["extrapolated"] else ""),
        )
        for c in cells
    ]
    unit = "times as fast as the first" if relative else "ms"
    far = sum(bool(c["extrapolated"]) for c in cells)
    return Page(
        f"{len(data['models'])} networks on {len(data['targets'])} targets",
        str(data["answer"]) + ".",
        (
            Section(f"Heat map, {unit}", comparison_map(data)),
            Section("Numbers", html_table(("network", "target", unit, "interval ms", ""), rows)),
        ),
        (f"{far} of {len(cells)} figures are extrapolated.",),
        (STEADY,),
    )


def suite_page(data: Data) -> Page:
    """AI-Benchmark's tables."""
    tests = [
        (
            t["test"],
            t["model"],
            t["device"],
            t["configuration"],
            "no target" if t["latency_ms"] is None else f"{t['latency_ms']:.4g}",
            "" if t["per_second"] is None else f"{t['per_second']:.3g}",
        )
        for t in data["tests"]
    ]
    rates = [Bar(f"{r['device']} ({r['kind']})", r["per_second"]) for r in data["rates"]]
    rates += [Bar(f"{name} (published)", rate) for name, rate in data["published_rates"]]
    rates.sort(key=lambda r: -r.value)
    old = [
        (
            g["soc"],
            g["year"],
            f"{g['published_ms']:g}",
            "no target" if g["latency_ms"] is None else f"{g['latency_ms']:.4g}",
            g["target"],
        )
        for g in data["generations"]
    ]
    headers = ("test", "network", "device", "configuration", "ms", "per second")
    generations = ("processor", "phone of", "published ms", "ours ms", "target")
    return Page(
        "AI-Benchmark's tests, predicted",
        str(data["answer"]) + ".",
        (
            Section("Inception V3, images per second", bars(rates, "/s", "images per second")),
            Section("Generations of phone processors, Inception V3", html_table(generations, old)),
            Section("The twelve tests", html_table(headers, tests)),
        ),
        assumptions=(STEADY, str(data.get("note", ""))),
        sources=(
            "Networks and sizes: Ignatov et al. 2019, arXiv:1910.06663; a network's own note says "
            "where a size is ours (`perfmodel models --json`).",
        ),
    )


def minspec_page(data: Data) -> Page:
    """The minimum phone."""
    asked, phones = data["requirement"], [*data["passing"], *data["failing"]]
    ordered = sorted(phones, key=lambda p: p["latency_ms"])
    plot = bars(
        [
            Bar(p["device"], p["latency_ms"], note=p["reason"] or f"passes, {p['target']}")
            for p in ordered
        ],
        "ms",
        "latency of each phone",
        asked["max_latency_ms"],
    )
    share = data["fleet"]
    fleet = [
        Bar("pass", 100 * share["passing"]),
        Bar("fail", 100 * share["failing"]),
        Bar("no profile", 100 * share["unknown"]),
    ]
    made_up = " (a made-up example)" if share["example"] else ""
    best = data["minimum"]
    sure = []
    if best is not None:
        sure.append(f"{best['device']} keeps the limit with {chance(best['chance'])} probability.")
        if best["extrapolated"]:
            sure.append("Its figure is extrapolated: the network differs from what was measured.")
    return Page(
        f"The minimum phone for {data['model']}",
        str(data["answer"]) + ".",
        (
            Section(f"p{asked['percentile']:g} latency; the limit dashed", plot),
            Section("Who passes", html_table(_PHONE_HEADERS, _phones(data["passing"]))),
            Section(
                "Who fails, nearest first", html_table(_PHONE_HEADERS, _phones(data["failing"]))
            ),
            Section(f"Fleet {share['fleet']}{made_up}", bars(fleet, "%", "share of the fleet")),
        ),
        tuple(sure),
        tuple(data["assumptions"]),
    )


_PHONE_HEADERS = ("device", "processor", "year", "class", "target", "ms", "chance", "MB", "reason")


def _phones(phones: Sequence[Data]) -> list[tuple[object, ...]]:
    return [
        (
            p["device"],
            p["soc"],
            p["year"] or "-",
            p["grade"],
            "/".join(p["target"].split("/")[1:]),
            f"{p['latency_ms']:.4g}",
            chance(p["chance"]),
            f"{p['memory_mb']:.3g}",
            p["reason"],
        )
        for p in phones
    ]


def select_page(data: Data) -> Page:
    """The chosen variant among all."""
    candidates = data["candidates"]
    front = {(c["model"], c["precision"]) for c in data["front"]}
    points = [
        Point(
            c["latency_ms"],
            c["accuracy"],
            f"{c['model']} {c['precision']}",
            (c["model"], c["precision"]) in front,
        )
        for c in candidates
    ]
    rows = [
        (
            c["model"],
            c["precision"],
            f"{c['accuracy']:g}",
            f"{c['latency_ms']:.4g}",
            f"{c['memory_mb']:.3g}",
            percent(c["share"]),
            c["target"],
            c["reason"] or "meets the budget",
        )
        for c in candidates
    ]
    headers = ("network", "precision", "accuracy", "ms", "MB", "share", "target", "")
    plot = scatter(points, "ms", data["metric"], "accuracy over latency", joined=True)
    sources = dict.fromkeys(c["accuracy_source"] for c in candidates)
    return Page(
        f"The best network for {data['place']}",
        str(data["answer"]) + ".",
        (
            Section("Accuracy over latency (what none beats is joined)", plot),
            Section("Candidates, most accurate first", html_table(headers, rows)),
        ),
        assumptions=tuple(data["assumptions"]),
        sources=tuple(f"Accuracy: {s}" for s in sources),
    )
