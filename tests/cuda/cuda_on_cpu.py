"""What the CUDA tests share: the stand-in GPU, a small campaign, and what they need."""

from __future__ import annotations

import shutil

import pytest

from perfmodel.runners.cuda.campaign_state import Settings
from validation.cuda.cuda_on_cpu import FakeGpu, HostDevice, build, host_source

__all__ = ["TINY", "FakeGpu", "HostDevice", "build", "host_source", "needs_compiler"]

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no g++ to build the CUDA kernels for the CPU"
)
TINY = Settings(
    networks=("mobilenet_v1@resolution=32,width=0.25,classes=10",),
    batches=(1, 2),
    modes=("vanilla/fp32",),
    stages=("check", "sweep", "networks"),
    sweep_scale=0.03,
    samples=3,
)
