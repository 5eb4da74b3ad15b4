"""The simple models beside which predictions of cards under PyTorch stand."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import pytest

import perfmodel
from perfmodel.target import Target
from validation.accuracy.servers import by_sums, nearest_scaled
from validation.data.timm_times import FILE, GPU_RUNS, TimmRow, read_rows, table_of


def row(device: str, model: str, ms: float, batch: int = 256, macs: float = 1e9) -> TimmRow:
    return TimmRow(
        target=Target(device, "gpu", "pytorch-amp", "fp16"),
        model=model,
        family=model,
        batch=batch,
        latency_ms=ms,
        build="2.9",
        line=2,
        macs=macs,
        activations=macs / 100 if model != "wide" else macs / 10,
    )


def test_sums_are_fitted_target_by_target() -> None:
    """3 ms a GMAC and 20 ms a 100 million activations on one card, half of that on the other."""

    def ms(r: TimmRow, factor: float) -> float:
        return factor * (3 * r.macs / 1e9 + 20 * r.activations / 1e8)

    kept, held = [], []
    for device, factor in (("rtx-3090", 1.0), ("rtx-4090", 0.5)):
        for model, macs in (("a", 1e9), ("b", 4e9), ("wide", 2e9)):
            seen = row(device, model, 1.0, macs=macs)
            kept.append(row(device, model, ms(seen, factor), macs=macs))
        held.append(row(device, "wide", 0.0, macs=5e9))
    said = by_sums(kept, held)
    assert said["MACs and activations"] == pytest.approx([ms(held[0], 1.0), ms(held[1], 0.5)])
    # by MACs alone the middle one of 5, 5 and 23 ms a GMAC
    assert said["MACs"] == pytest.approx([25.0, 12.5])


def test_the_nearest_card_is_scaled_by_its_peak_and_by_images() -> None:
    others = [row("rtx-4090", "a", 10.0, batch=512), row("rtx-5090", "a", 9.0)]
    asked = [row("rtx-3090", "a", 0.0), row("rtx-3090", "unknown", 0.0)]
    near, unknown = nearest_scaled(others, asked)
    # half as many images on 71 TFLOP/s instead of 165.2
    assert near == pytest.approx(10.0 / 2 * 165.2 / 71)
    assert math.isnan(unknown)


def test_rows_become_a_table_that_names_their_lines() -> None:
    frame = table_of([row("rtx-3090", "timm:resnet50", 12.5)]).frame
    found = frame.to_dict("records")[0]
    assert (found["model"], found["batch"], found["latency_ms"]) == ("timm:resnet50", 256, 12.5)
    assert (found["framework"], found["precision"], found["origin_line"]) == (
        "pytorch-amp",
        "fp16",
        2,
    )


def test_where_a_benchmark_folded_one_network_of_a_kind_it_folded_all(tmp_path: Path) -> None:
    """Of two MobileOnes one has the parameters of its folded form in the newer run."""
    known = {n.name: n for n in perfmodel.models("timm:").packed}
    head = ("source", "model", "input", "batch", "latency_ms", "framework", "note")
    lines = [head]
    for run in ("amp-nchw-pt240-cu124-rtx3090", "amp-nchw-pt291-cu128-4090"):
        for model in ("mobileone_s0", "mobileone_s1", "resnet18"):
            packed = known[f"timm:{model}"]
            params = packed.params / 1e6
            if "pt291" in run and model == "mobileone_s1":
                params -= 0.02
            note = f"params M {params:.2f}; macts 2.0"
            size = str(packed.input_shape[0])
            source = f"results/benchmark-infer-{run}.csv"
            lines.append((source, model, size, "256", "10.0", "pytorch", note))
    with gzip.open(tmp_path / FILE, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    found = [(r.target.device, r.model) for r in read_rows(tmp_path, GPU_RUNS)]
    assert found == [
        ("rtx-3090", "timm:mobileone_s0"),
        ("rtx-3090", "timm:mobileone_s1"),
        ("rtx-3090", "timm:resnet18"),
        ("rtx-4090", "timm:resnet18"),
    ]
