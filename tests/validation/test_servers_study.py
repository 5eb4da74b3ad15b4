"""The simple models beside which predictions of cards under PyTorch stand."""

from __future__ import annotations

import math

import pytest

from perfmodel.target import Target
from validation.accuracy.servers import by_sums, nearest_scaled
from validation.data.timm_times import TimmRow, table_of


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
