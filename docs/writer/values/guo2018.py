"""The figures of docs/guo2018.md: two scenarios and a sweep, simulated."""

from __future__ import annotations

from typing import Any

from docs.writer.folder import ROOT
from docs.writer.page import Made, on_lines
from perfmodel.render.plots import lines, stacked_bars
from perfmodel.render.text import table
from perfmodel.sim import simulate
from perfmodel.units import format_ms

THEN, TODAY = ROOT / "examples" / "guo2018.toml", ROOT / "examples" / "guo_today.toml"
STEPS = ("load", "preprocess", "upload", "compute", "download")
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
MIDDLE = " 1080x1920"
THEN_TITLE = "then: phone or cloud, 1080x1920"
TODAY_TITLE = "today: phone or cloud, 1080x1920"
RATIO_TITLE = "How slow must the phone's CPU path be for 10x to 100x?"
PUBLISHED_RATIO = (10.0, 100.0)
"""Guo 2018: the phone's CPU takes 10 to 100 times as long as the cloud."""

Ratios = dict[str, list[tuple[float, float]]]
"""By network, (rate of the phone's CPU in GMAC/s, time there over the cloud's)."""


def breakdown(result: Any, title: str) -> str:
    """Stacked bars of the steps for the middle picture size, one panel per network."""
    panels: dict[str, list[tuple[str, list[float]]]] = {}
    for case in result.cases:
        if case.group.endswith(MIDDLE):
            seconds = [case.steps_ms[step] / 1e3 for step in STEPS]
            panels.setdefault(case.group.removesuffix(MIDDLE), []).append((case.name, seconds))
    return stacked_bars(panels, STEPS, "s", title)


def ratios() -> Ratios:
    """Response time on the phone's CPU over the cloud's, by the phone's effective rate."""
    found: Ratios = {}
    for rate in RATES:
        result = at_rate(rate)
        by_name = {(case.group, case.name): case.latency_ms["mean"] for case in result.cases}
        for (group, name), latency_ms in by_name.items():
            if name == "phone CPU" and group.endswith(MIDDLE):
                network = group.removesuffix(MIDDLE)
                cloud_ms = by_name[group, "cloud"]
                found.setdefault(network, []).append((rate, latency_ms / cloud_ms))
    return found


def at_rate(rate: float) -> Any:
    """The nine cases with another rate of the phone's CPU."""
    from perfmodel.sim.toml import read_toml

    tables = read_toml(THEN)
    for case in tables["case"]:
        if case["name"] == "phone CPU":
            case["set"]["task"]["on_device"]["gmacs_per_s"] = rate
    return simulate(tables)


def ratio_chart(found: Ratios) -> str:
    """The ratio over the rate, with the published 10x to 100x as a band."""
    rate = "effective rate of the phone's CPU (GMAC/s)"
    return lines(found, rate, "phone CPU / cloud, response time", RATIO_TITLE, PUBLISHED_RATIO)


def step_table(result: Any) -> str:
    """The steps of every case, as Guo's Table 3 has them."""
    rows = []
    for case in result.cases:
        cells = [format_ms(case.steps_ms[step]) if case.steps_ms[step] else "-" for step in STEPS]
        energy = "-" if case.energy_mj is None else f"{case.energy_mj['mean'] / 1e3:.3g} J"
        rows.append([case.group, case.name, *cells, format_ms(case.latency_ms["mean"]), energy])
    text = table(["picture", "where", *STEPS, "total", "energy"], rows)
    return on_lines("```\n" + text + "\n```")


def ratio_table(found: Ratios) -> str:
    """The ratio for every rate and network, as Markdown."""
    wrote = ["| GMAC/s | " + " | ".join(found) + " |", "|---:" * (len(found) + 1) + "|"]
    for place, rate in enumerate(RATES):
        cells = " | ".join(f"{line[place][1]:.3g}x" for line in found.values())
        wrote.append(f"| {rate:g} | {cells} |")
    return "\n".join(wrote)


def findings(then: Any, today: Any) -> dict[str, str]:
    """The figures that the text quotes."""
    old = {(case.group, case.name): case for case in then.cases}
    new = {(case.group, case.name): case for case in today.cases}

    def ratio(cases: dict[Any, Any], one: str, other: str) -> list[float]:
        groups = dict.fromkeys(group for group, _ in cases)
        return [
            cases[g, one].latency_ms["mean"] / cases[g, other].latency_ms["mean"] for g in groups
        ]

    def span(values: list[float]) -> str:
        return f"{min(values):.3g}x to {max(values):.3g}x"

    def energy(cases: dict[Any, Any], one: str, other: str) -> list[float]:
        groups = dict.fromkeys(group for group, _ in cases)
        return [cases[g, one].energy_mj["mean"] / cases[g, other].energy_mj["mean"] for g in groups]

    cpu = [case for (_, name), case in old.items() if name == "phone CPU"]
    share = [
        (case.steps_ms["load"] + case.steps_ms["compute"]) / case.latency_ms["mean"] for case in cpu
    ]
    winners = today.winners()
    flips = sum(case is not None and case.name.startswith("phone") for case in winners.values())
    return {
        "CPU_RATIO": span(ratio(old, "phone CPU", "cloud")),
        "NCNN_RATIO": span(ratio(old, "phone CPU, ncnn", "cloud")),
        "NCNN_WARM_WINS": str(ncnn_wins(old)),
        "GPU_FIRST_RATIO": span(ratio(old, "phone GPU, first start", "cloud")),
        "GPU_WARM_RATIO": span(ratio(old, "phone GPU, warm", "cloud")),
        "FIRST_LOAD": format_ms(
            old["AlexNet 2160x3840", "phone GPU, first start"].steps_ms["load"]
        ),
        "LOAD_COMPUTE_SHARE": f"{100 * min(share):.0f} % to {100 * max(share):.0f} %",
        "CPU_ENERGY": span(energy(old, "phone CPU", "cloud")),
        "GPU_CPU_ENERGY": span(energy(old, "phone GPU, first start", "phone CPU")),
        "TODAY_WHOLE": span(ratio(new, "cloud, whole picture", "phone, warm")),
        "TODAY_SHRUNK": span(ratio(new, "cloud, shrunk first", "phone, warm")),
        "FLIPS": f"{flips} of {len(winners)}",
    }


def ncnn_wins(cases: dict[Any, Any]) -> int:
    """In how many groups the ncnn path without loading is faster than the cloud."""
    groups = dict.fromkeys(group for group, _ in cases)
    return sum(
        cases[g, "phone CPU, ncnn"].latency_ms["mean"]
        - cases[g, "phone CPU, ncnn"].steps_ms["load"]
        < cases[g, "cloud"].latency_ms["mean"]
        for g in groups
    )


def make() -> Made:
    """Run the scenarios; the values and drawings of the page."""
    then, today, rows = simulate(THEN), simulate(TODAY), ratios()
    return Made(
        {
            **findings(then, today),
            "THEN_TABLE": step_table(then),
            "TODAY_TABLE": step_table(today),
            "RATIO_TABLE": on_lines(ratio_table(rows)),
        },
        {
            "img/guo2018_then.svg": breakdown(then, THEN_TITLE),
            "img/guo2018_today.svg": breakdown(today, TODAY_TITLE),
            "img/guo2018_ratio.svg": ratio_chart(rows),
        },
    )
