"""A stand-in GPU for everything that runs a campaign."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from validation.cuda.cuda_on_cpu import FakeGpu
from validation.cuda.dry_run import on_cpu


@pytest.fixture
def paper_gpu() -> Iterator[FakeGpu]:
    """A stand-in GPU in place of the real one, and only small kernels to run on it."""
    with on_cpu(batches=(1,)) as gpu:
        yield gpu
