"""What a network has moved since it last ran a kernel of the same kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.kernels.recency import SINCE_COLUMN, with_recency


def kernel(op: str, moved: int, window: int = 1) -> Kernel:
    """One that reads half of `moved` elements and writes the other."""
    half = moved // 2
    return Kernel(
        "", op, op, kh=window, kw=window, input_elements=half, output_elements=moved - half
    )


def since(*kernels: Kernel) -> list[float]:
    return list(with_recency(KernelTable.from_kernels(kernels))[SINCE_COLUMN])


def test_what_lies_between_two_of_a_kind_counts_and_they_themselves_do_not() -> None:
    kernels = (kernel("add", 10), kernel("relu", 100), kernel("relu", 200), kernel("add", 1000))
    # the first of a kind follows the last one of the inference before
    assert since(*kernels) == [0.0, 1010.0, 0.0, 300.0]


def test_another_window_is_another_kind_and_weights_are_read_too() -> None:
    wide = replace(kernel("conv2d", 10, 3), weight_elements=5)
    assert since(kernel("conv2d", 100, 1), wide, kernel("conv2d", 100, 1)) == [0.0, 200.0, 15.0]


def test_a_lone_kernel_always_follows_itself() -> None:
    assert since(kernel("add", 10)) == [0.0]


def test_kernels_taken_from_a_network_keep_what_ran_before_them_there() -> None:
    kernels = (kernel("add", 10), kernel("relu", 100), kernel("add", 1000))
    whole = with_recency(KernelTable.from_kernels(kernels))
    assert list(with_recency(whole.take(np.array([2])))[SINCE_COLUMN]) == [100.0]
