"""A file of many precisions is used for those that this project has targets of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perfmodel.calibration.measured import rows_by_target
from perfmodel.measurements.read import read_measurements

SAMPLE = Path(__file__).resolve().parents[1] / "measurements" / "samples" / "ai_hub_perf.yaml"


def test_a_row_of_a_precision_without_target_is_left_out_and_the_others_stay() -> None:
    table, _ = read_measurements(SAMPLE, device="samsung-galaxy-s24")
    known, _ = rows_by_target(table)
    names = [f"samsung-galaxy-s24/npu/{rest}" for rest in ("tflite/float", "qnn/w8a16")]
    assert [str(group.target) for group in known] == names
    # bfloat16 is a precision of measurements and of no target
    frame = table.frame.assign(precision=table.frame["precision"].replace("w8a16", "bf16"))
    groups, unused = rows_by_target(replace(table, frame=frame))
    assert [str(group.target) for group in groups] == names[:1]
    assert [row.reason for row in unused] == ["left out: precision 'bf16' has no target"]
