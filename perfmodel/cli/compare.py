"""`perfmodel compare`: networks on targets as a table and a heat map; AI-Benchmark's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cli.output import plain, print_json
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import PerfmodelError
from perfmodel.explore.ai_benchmark import CONFIGURATIONS, AiBenchmark, ai_benchmark
from perfmodel.explore.compare import Cell, Comparison, compare
from perfmodel.render.text import table
from perfmodel.units import format_ms

SUITES = ("ai-benchmark",)


def compare_command(
    models: Sequence[str],
    on: Sequence[str],
    *,
    batch_size: int | None,
    relative: bool,
    suite: str,
    plot: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    """Compare and print; returns the exit code."""
    networks, targets = told_apart(models, on, profiles)
    if suite:
        return _suite_command(suite, networks, targets, plot, profiles, as_json)
    answer = compare(networks, targets, batch_size=batch_size, profiles=profiles)
    if plot is not None:
        from perfmodel.render.plots import write_heat_map

        write_heat_map(comparison_json(answer, relative), plot)
    if as_json:
        print_json(comparison_json(answer, relative))
    else:
        print(comparison_text(answer, relative))
        if plot is not None:
            print(f"\nheat map: {plot}")
    return 0


def told_apart(
    words: Sequence[str], on: Sequence[str], profiles: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Networks and targets: words after `--on TARGET` may be further targets."""
    devices = ProfileFolder(tuple(profiles)).paths() if on else {}
    networks: list[str] = []
    targets = list(on)
    for word in words:
        device = word.split("/")[0].lower()
        (targets if device in devices and not Path(word).is_file() else networks).append(word)
    return networks, targets


def comparison_json(answer: Comparison, relative: bool) -> dict[str, Any]:
    """A comparison as plain data, with its answer in words."""
    data: dict[str, Any] = plain(answer)
    return {
        "command": "compare",
        "answer": comparison_sentence(answer),
        "relative": relative,
    } | data


def comparison_sentence(answer: Comparison) -> str:
    """The answer in words."""
    known = [c for c in answer.cells if c.latency_ms is not None]
    if not known:
        return "none of these networks is covered by the cost model"
    if len(answer.targets) == 1:
        quick = min(known, key=_time)
        return f"{quick.model} is the fastest on {quick.target}: {_ms(quick)}"
    if len(answer.models) == 1:
        quick, worst = min(known, key=_time), max(known, key=_time)
        times = _time(worst) / _time(quick)
        return (
            f"{quick.target} is the fastest for {quick.model}: {_ms(quick)}, "
            f"{times:.3g} times as fast as {worst.target}"
        )
    wins = [best.target for m in answer.models if (best := answer.fastest(m)) is not None]
    target = max(dict.fromkeys(wins), key=wins.count)
    return f"{target} is the fastest for {wins.count(target)} of {len(answer.models)} networks"


def _time(cell: Cell) -> float:
    return cell.latency_ms or 0.0


def _ms(cell: Cell) -> str:
    return format_ms(_time(cell))


def comparison_text(answer: Comparison, relative: bool) -> str:
    """The comparison for people: networks down, targets across (or down where they are many)."""
    unit = "times as fast as the first target" if relative else "ms"
    lines = [comparison_sentence(answer), f"  latency in {unit}; * = extrapolated", ""]
    if len(answer.targets) > 4:
        rows = [
            [t, *(_shown(answer.cell(m, t), relative) for m in answer.models)]
            for t in answer.targets
        ]
        lines.append(table(["target", *answer.models], rows))
    else:
        rows = [
            [m, *(_shown(answer.cell(m, t), relative) for t in answer.targets)]
            for m in answer.models
        ]
        lines.append(table(["network", *answer.targets], rows))
    for problem in dict.fromkeys(f"{c.model}: {c.problem}" for c in answer.cells if c.problem):
        lines.append(f"  ? {problem}")
    return "\n".join(lines)


def _shown(cell: Cell, relative: bool) -> str:
    value = cell.ratio if relative else cell.latency_ms
    return "?" if value is None else f"{value:.3g}" + ("*" if cell.extrapolated else "")


def _suite_command(
    suite: str,
    models: Sequence[str],
    targets: Sequence[str],
    plot: Path | None,
    profiles: Sequence[Path],
    as_json: bool,
) -> int:
    if suite not in SUITES:
        raise PerfmodelError(f"--suite {suite!r} is none of {', '.join(SUITES)}")
    if models:
        raise PerfmodelError(f"--suite brings its own networks: what is {models[0]!r}?")
    if plot is not None:
        raise PerfmodelError(
            "--plot is for networks against targets",
            "save the suite with --json and make a page of it: perfmodel report suite.json",
        )
    answer = ai_benchmark(targets, profiles=profiles)
    if as_json:
        print_json(suite_json(answer))
    else:
        print(suite_text(answer))
    return 0


def suite_json(answer: AiBenchmark) -> dict[str, Any]:
    """AI-Benchmark's tables as plain data."""
    data: dict[str, Any] = plain(answer)
    return {"command": "compare", "suite": "ai-benchmark", "answer": suite_sentence(answer)} | data


def suite_sentence(answer: AiBenchmark) -> str:
    """The answer in words: the phone asked for against the fastest desktop GPU."""
    mine = [r for r in answer.rates if r.device in answer.devices]
    rivals = [r for r in answer.rates if r.kind == "desktop" and r.target.split("/")[1] == "gpu"]
    if not mine:
        return "no target answers Inception V3"
    text = f"{mine[0].device} recognises {mine[0].per_second:.3g} images/s with Inception V3"
    if not rivals:
        return text + "; no desktop GPU has a target to compare it with"
    share = mine[0].per_second / rivals[0].per_second
    return f"{text}, {100 * share:.3g} % of the desktop GPU {rivals[0].device}"


def suite_text(answer: AiBenchmark) -> str:
    """The twelve tests, then mobile against desktop, then generations of processors."""
    lines = [suite_sentence(answer), ""]
    for device in answer.devices:
        rows = []
        mine = [r for r in answer.tests if r.device == device]
        for start in range(0, len(mine), len(CONFIGURATIONS)):
            four = mine[start : start + len(CONFIGURATIONS)]
            times = ["no target" if r.latency_ms is None else f"{r.latency_ms:.3g}" for r in four]
            rates = [r.per_second for r in four if r.per_second is not None]
            best = f"{max(rates):.3g}" if rates else "-"
            marked = [t + ("*" if r.extrapolated else "") for t, r in zip(times, four, strict=True)]
            rows.append([four[0].test, four[0].model, *marked, best])
        lines += [
            f"{device}: ms per inference, steady (* = extrapolated)",
            table(["test", "network", *CONFIGURATIONS, "best/s"], rows),
            "",
        ]
    lines += ["Inception V3, images per second", _rates(answer), ""]
    lines += ["Inception V3 over generations of phone processors", _generations(answer), ""]
    return "\n".join([*lines, f"  {answer.note}"])


def _rates(answer: AiBenchmark) -> str:
    rows: list[list[str]] = [
        [
            r.device,
            r.kind,
            "/".join(r.target.split("/")[1:]),
            f"{r.latency_ms:.3g}",
            f"{r.per_second:.3g}",
        ]
        for r in answer.rates
    ]
    rows += [[name, "published", "-", "-", f"{rate:g}"] for name, rate in answer.published_rates]
    return table(["device", "kind", "target", "ms", "images/s"], rows)


def _generations(answer: AiBenchmark) -> str:
    rows = []
    for g in answer.generations:
        ours = "no target" if g.latency_ms is None else f"{g.latency_ms:.3g}"
        bounds = "-" if g.interval_ms is None else "{:.3g} to {:.3g}".format(*g.interval_ms)
        rows.append([g.soc, g.year, f"{g.published_ms:g}", ours, bounds, g.target or "-"])
    return table(["processor", "phone of", "published ms", "ours ms", "interval", "target"], rows)
