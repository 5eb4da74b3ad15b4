"""The figures of docs/partition.md: what predictions make, and what the studies found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import perfmodel
from docs.writer.folder import ROOT
from docs.writer.page import Made, on_lines
from perfmodel.cli.partition import named_link
from perfmodel.devices.profile_files import builtin_folder, read_once
from perfmodel.formats.load import load
from perfmodel.kernels import fuse
from perfmodel.plans.layers import layer_graph
from perfmodel.plans.plan import MAX_STATES
from perfmodel.plans.segments import all_states, prefix_states
from perfmodel.render.text import percent
from perfmodel.units import format_ms
from validation.markdown import markdown

STUDIES = ROOT / "validation" / "results" / "partition.json"
"""Made by `python -m validation.partition --data DATA`."""

PHONES = ("huawei-p40", "lenovo-k5", "mi9", "oneplus5t", "redmi", "snapdragon-855")
DEVICE, CLOUD = "snapdragon-410/cpu", "rtx-3090/gpu"
SEARCHED = {
    "VGG16": "vgg16",
    "ResNet-50": "resnet50",
    "Inception V3": "inception_v3",
    "Inception V4": "inception_v4",
}
CRITERIA = {
    "none": "none",
    "layer_type": "layer type",
    "layer_by_layer": "layer by layer",
    "layer_length": "equal layers",
    "parameter_count": "equal parameters",
}
THIRD = {"dispatch_ms": "cost of a segment", "move": "transfers scaled"}
"""What the third fitted number of a reading is."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table on lines of its own."""
    return on_lines(markdown(heads, rows))


def exactly(share: float) -> str:
    """A share in percent, to a tenth."""
    return percent(share, 1)


def signed(share: float) -> str:
    """An error in percent, with its sign."""
    return f"{share * 100:+.1f} %"


def inception_v4() -> str:
    """The plans of a network that nobody measured on these phones, a row a phone."""
    rows = []
    for phone in PHONES:
        gpu, cpu = f"{phone}/gpu/mnn", f"{phone}/cpu/mnn"
        plan = perfmodel.partition("inception_v4", gpu, units=[cpu], k=8)
        moved = [s for s in plan.segments if s.target.startswith(f"{phone}/cpu")]
        count = sum(s.last_op - s.first_op + 1 for s in moved)
        total = sum(s.last_op - s.first_op + 1 for s in plan.segments)
        alone = perfmodel.predict("inception_v4", cpu).latency_ms
        cells = [f"{v:,.0f}" for v in (plan.unpartitioned_ms, alone, plan.latency_ms)]
        rows.append([phone, *cells, f"{count} of {total}"])
    return table(["phone", "GPU ms", "CPU ms", "best plan ms", "operators off the GPU"], rows)


def alexnet() -> dict[str, str]:
    """AlexNet between a phone and a server: here, there, and cut at the best place."""
    link = named_link("wifi")
    plan = perfmodel.partition("alexnet", DEVICE, server=CLOUD, link=link)
    assert plan.curve is not None
    total_ms = plan.curve.total_ms
    return {
        "ALEXNET_DEVICE": format_ms(total_ms[-1]),
        "ALEXNET_CLOUD": format_ms(total_ms[0]),
        "ALEXNET_CUT": format_ms(plan.latency_ms),
        "ALEXNET_AFTER": f"`{plan.segments[0].last_name}`",
    }


def searched() -> str:
    """States of a few networks, which decide whether the search of plans is complete."""
    shown = []
    for title, name in SEARCHED.items():
        graph = load(name)
        layers = layer_graph(graph, fuse(graph, "tflite-gpu"))
        along = prefix_states(layers)
        states = along if along.exhaustive else all_states(layers, MAX_STATES)
        assert states is not None
        shown.append(f"{title} {len(states):,}")
    return ", ".join(shown)


def exynos(study: Mapping[str, Any]) -> dict[str, str]:
    """VGG16 on the Exynos 2200: every row by the reading that ships, and the other readings."""
    shipped = study["readings"][0]
    three, fitted = shipped["on_three"], shipped["on_all"]
    rows = []
    for i, row in enumerate(study["rows"]):
        by_three, by_all = three["predicted_ms"][i], fitted["predicted_ms"][i]
        measured = row["latency_ms"]
        error = "fitted" if three["fitted"][i] else signed(by_three / measured - 1)
        cells = [CRITERIA[row["criterion"]], str(row["pieces"]), f"{measured:.0f}"]
        rows.append(
            [*cells, f"{by_three:.1f}", error, f"{by_all:.1f}", signed(by_all / measured - 1)]
        )
    heads = ["criterion", "K", "measured ms", "fitted on three", "error", "fitted on all", "error"]
    p = fitted["parameters"]
    return {
        "EXYNOS": table(heads, rows),
        "EXYNOS_PREDICTED": exactly(three["error_of_predicted"]),
        "EXYNOS_ALL": exactly(fitted["error"]),
        "EXYNOS_RANK": f"{fitted['spearman']:.2f}",
        "EXYNOS_PARAMETERS": f"{p['scale']:.2f} x roofline, slowdown {p['slowdown']:.2f}, "
        f"{p['dispatch_ms']:.1f} ms a segment",
        "READINGS": table(
            ["reading", "predicted rows", "all rows", "rank correlation on three / all"],
            (_reading(reading, reading is shipped) for reading in study["readings"]),
        ),
    }


def _reading(reading: Mapping[str, Any], shipped: bool) -> list[str]:
    three, fitted = reading["on_three"], reading["on_all"]
    name = f"{reading['layers']} layers, {THIRD[reading['free']]}{' (shipped)' * shipped}"
    ranks = f"{three['spearman']:.2f} / {fitted['spearman']:.2f}"
    return [name, exactly(three["error_of_predicted"]), exactly(fitted["error"]), ranks]


def transfers(fits: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tensors between the CPU and the GPU of phones, a line a phone and direction."""
    by_phone: dict[str, list[str]] = {}
    for fit in fits:
        fact = fit["fact"]
        rate = fact["bytes_per_ms"] / 1e6
        line = f"{fact['fixed_ms']:.2f}, {rate:.{1 if rate >= 1 else 2}f}"
        cells = by_phone.setdefault(fit["device"], [])
        cells += [line, percent(fit["fold_median_error"])]
    ways = ("CPU to GPU: fixed ms, GB/s", "GPU to CPU: fixed ms, GB/s")
    heads = ["phone", *(head for way in ways for head in (way, "left out"))]
    repeats = [fit["repeat_factor"] for fit in fits]
    return {
        "TRANSFERS": table(heads, ([phone, *cells] for phone, cells in by_phone.items())),
        "REPEATS": f"{min(repeats):.1f} to {max(repeats):.1f}",
    }


def jetson(study: Mapping[str, Any]) -> dict[str, str]:
    """GPU to DLA splits of GoogleNet, each predicted without its own rows."""
    heads = ["first layer on the DLA", "GPU ms", "DLA ms", "conversion ms"]
    parts = ("gpu_ms", "dla_ms", "reformat_ms", "predicted_ms", "measured_ms")
    rows = (
        [split["split_layer"], *(f"{split[part]:.3f}" for part in parts), signed(split["error"])]
        for split in study["splits"]
    )
    profile = read_once(builtin_folder() / "jetson-agx-xavier.json")
    (dla,) = (t for t in profile.targets if t.target.unit == "dla")
    assert dla.error.mean is not None
    return {
        "JETSON": table([*heads, "predicted ms", "measured ms", "error"], rows),
        "JETSON_MEAN": exactly(study["own_left_out"]["mean"]),
        "JETSON_WORST": exactly(study["own_left_out"]["worst"]),
        "JETSON_HALVES": exactly(study["half_left_out"]["mean"]),
        "DLA_ERROR": exactly(dla.error.mean),
    }


def off_the_gpu(studies: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Plans of phones by times as measured: what should leave the GPU, and what that gains."""
    heads = ["network", "phone", "GPU ms", "CPU ms", "best plan ms", "gain", "off the GPU"]
    rows = []
    for one in studies:
        better = min(one["gpu_ms"], one["cpu_ms"])
        figures = [f"{one[name]:.1f}" for name in ("gpu_ms", "cpu_ms", "best_ms")]
        gains = [percent(1 - one[name] / better) for name in ("best_ms", "free_ms")]
        moved = f"{one['off_gpu']} of {one['operators']}"
        rows.append([one["model"], one["device"], *figures, gains[0], moved, gains[1]])
    return {"OFF_THE_GPU": table([*heads, "gain if moving were free"], rows)}


def studies() -> dict[str, str]:
    """What the studies of published measurements found, as it is committed."""
    found = json.loads(STUDIES.read_text(encoding="utf-8"))
    return {
        **exynos(found["exynos"]),
        **transfers(found["transfers"]),
        **jetson(found["jetson"]),
        **off_the_gpu(found["phones"]),
    }


def make() -> Made:
    """The values of the page."""
    plans = {"INCEPTION_V4": inception_v4(), "STATES": searched(), "MOST_STATES": f"{MAX_STATES:,}"}
    return Made({**alexnet(), **plans, **studies()}, {})
