"""Made-up devices as profiles on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import Devices, predictor, target

from perfmodel.devices.facts import PowerFact, StorageFact, Traits, TransferFact


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    """A phone: CPU 1 MAC a ns and 1 us a kernel; GPU 10 MACs a ns, 2 us a kernel, 1 ms a segment;
    moving costs 0.5 ms and 1 MB a ms; watts 2 and 1. `server`: 1000 MACs a ns."""
    made = Devices(tmp_path)
    made.add(
        "test-phone",
        target("test-phone", "cpu", "tflite", predictor(1e3, 1.0)),
        target("test-phone", "gpu", "tflite", predictor(1e4, 2.0, 1.0)),
        traits=Traits(
            (
                TransferFact("cpu", "gpu", 0.5, 1e6, "made up", 1),
                TransferFact("gpu", "cpu", 0.5, 1e6, "made up", 1),
            ),
            storage=(StorageFact("gpu", 1e8, 3.0, "made up"),),
            power=(PowerFact("cpu", 2000.0, "made up"), PowerFact("gpu", 1000.0, "made up")),
        ),
    )
    made.add("test-server", target("test-server", "cpu", "tflite", predictor(1e6, 0.001)))
    made.add("test-npu-only", target("test-npu-only", "npu", "tflite", predictor(1e4, 1.0)))
    return made
