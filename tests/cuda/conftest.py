"""A stand-in GPU for everything that runs a campaign."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfmodel.runners.cuda import campaign, kernel_bench, sweep, timing
from perfmodel.runners.cuda.sweep import COUNTS
from tests.cuda.cuda_on_cpu import FakeGpu


@pytest.fixture
def paper_gpu(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeGpu]:
    """A stand-in GPU in place of the real one, and only small kernels to run on it."""
    gpu = FakeGpu(tmp_path_factory.mktemp("kernels"))
    monkeypatch.setattr(campaign, "CudaDevice", lambda index: gpu)
    monkeypatch.setattr(sweep, "MOST_MACS", 3e5)
    monkeypatch.setattr(sweep, "MOST_ELEMENTS", 3e4)
    monkeypatch.setattr(sweep, "BATCHES", (1,))
    small = {
        k: v
        for k, v in sweep.FAMILIES.items()
        if k
        not in (
            "conv_first",
            "conv_7x7",
            "fully_connected",
            "mean",
            "conv_depthwise",
            "conv_grouped",
            "conv_1xn",
            "conv_5x5",
            "conv_3x3",
        )
    }
    monkeypatch.setattr(sweep, "COUNTS", {k: v for k, v in COUNTS.items() if k in small})
    monkeypatch.setattr(kernel_bench, "TARGET_GRAPH_MS", 0.01)
    monkeypatch.setattr(timing, "SAMPLE_MS", 0.01)
    yield gpu
    assert gpu.allocations == 0
