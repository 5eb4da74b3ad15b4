"""A file of many precisions is used for those that this project has targets of."""

from __future__ import annotations

from pathlib import Path

from perfmodel.calibration.measured import rows_by_target
from perfmodel.measurements.read import read_measurements

SAMPLE = Path(__file__).resolve().parents[1] / "measurements" / "samples" / "ai_hub_perf.yaml"


def test_a_row_of_a_precision_without_target_is_left_out_and_the_others_stay() -> None:
    table, _ = read_measurements(SAMPLE, device="samsung-galaxy-s24")
    groups, unused = rows_by_target(table)
    assert [str(group.target) for group in groups] == ["samsung-galaxy-s24/npu/tflite/float"]
    assert [row.reason for row in unused] == ["left out: precision 'w8a16' has no target"]
