"""A file of many precisions is used for those that this project has targets of."""

from __future__ import annotations

from pathlib import Path

from perfmodel.calibration.measured import rows_by_target
from perfmodel.measurements.read import read_measurements

SAMPLE = Path(__file__).resolve().parents[1] / "measurements" / "samples" / "ai_hub_perf.yaml"


def test_a_row_of_a_precision_without_target_is_left_out_and_the_others_stay(
    tmp_path: Path,
) -> None:
    text = SAMPLE.read_text(encoding="utf-8").replace("w8a16", "bf16")
    (tmp_path / "perf.yaml").write_text(text, encoding="utf-8")
    table, _ = read_measurements(tmp_path / "perf.yaml", device="samsung-galaxy-s24")
    groups, unused = rows_by_target(table)
    assert [str(group.target) for group in groups] == ["samsung-galaxy-s24/npu/tflite/float"]
    assert [row.reason for row in unused] == ["left out: precision 'bf16' has no target"]
