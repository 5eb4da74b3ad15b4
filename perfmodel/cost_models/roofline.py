"""A GPU target from its data sheet alone: roofline with wave quantisation, nothing fitted.

Kernel time = a fixed cost + the larger of arithmetic and memory time (Williams et al. 2009), with
output tiles as matrix libraries use them. The answer where nothing was measured, and the baseline
that a fitted profile must beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.hierarchy import log_times
from perfmodel.cost_models.predictor import PARTS, ByKernel, NetworkTerms, no_network_terms
from perfmodel.kernels.kernel import KernelTable

TILE_M, TILE_N = 128, 64
"""Output tile of one thread block of a library's matrix kernel. As the three numbers below it is
assumed, not fitted: libraries have several, and 128 x 64 is among the usual ones."""

LARGE_GROUPS = 8
"""More groups than this are taken to run as plain kernels, as their slices are thin."""

TENSOR_ROWS = 16
"""Rows of the smallest product that tensor cores compute (16 x 16 x 16, CUDA's `wmma`)."""

SPLIT_DEPTH = 64
"""Depth of a product below which it is taken not to be split among thread blocks."""

WINOGRAD_CHANNELS = 16
"""Input channels from which on 3x3 convolutions are taken to run by Winograd's algorithm."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Bounds of every number of a data sheet, in its unit."""

DENSE_OPS = ("conv2d", "transpose_conv2d", "fully_connected", "linear", "gemm", "bmm", "matmul")
NEVER_PRICED = ("recurrent", "detection")
"""Kernel classes whose time is in dependent steps or on the CPU, which no roofline knows."""


@dataclass(frozen=True, kw_only=True)
class RooflinePredictor(ByKernel):
    """Data-sheet numbers of a GPU and the shares of them that a library reaches.

    `matrix_flops_per_s` is the peak of dense products in the target's precision, `tensor` whether
    tensor cores give it; `dense_share` what libraries reach of it, `winograd` the factor by which
    3x3 stride-1 convolutions beat their direct count there (1 where they do not), `library` whether
    products run in a library's tiles or in plain kernels (then `dense_share` says all).
    """

    kind: ClassVar[str] = "roofline"

    multiprocessors: float
    fp32_flops_per_s: float
    matrix_flops_per_s: float
    bandwidth_bytes_per_s: float
    element_bytes: float
    dense_share: float
    plain_share: float
    memory_share: float
    winograd: float
    kernel_s: float
    most_split: float
    tensor: bool
    library: bool
    overhead_ms: float = 0.0

    def with_overhead(self, overhead_ms: float) -> RooflinePredictor:
        """The same model with another fixed cost of an inference."""
        return replace(self, overhead_ms=overhead_ms)

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> RooflinePredictor:
        """All of the data sheet's rates changed by one factor, the median over the kernels."""
        predicted_us = self.parts_ms(kernels).sum(axis=1) * 1e3
        slower = float(np.exp(np.median(log_times(latency_us) - np.log(predicted_us))))
        return replace(
            self,
            fp32_flops_per_s=self.fp32_flops_per_s / slower,
            matrix_flops_per_s=self.matrix_flops_per_s / slower,
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s / slower,
            kernel_s=self.kernel_s * slower,
        )

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""
        elements = (
            kernels["input_elements"] + kernels["output_elements"] + kernels["weight_elements"]
        )
        memory_s = elements * self.element_bytes / (self.bandwidth_bytes_per_s * self.memory_share)
        compute_s = self._compute_s(kernels)
        parts = np.zeros((len(kernels), len(PARTS)))
        parts[:, PARTS.index("compute")] = np.where(compute_s > memory_s, compute_s, 0.0)
        parts[:, PARTS.index("memory")] = np.where(compute_s > memory_s, 0.0, memory_s)
        parts[:, PARTS.index("overhead")] = self.kernel_s
        return parts * 1e3

    def _compute_s(self, kernels: KernelTable) -> np.ndarray:
        flops = 2 * kernels["macs"]
        plain_s = flops / (self.fp32_flops_per_s * self.plain_share)
        dense = np.isin(kernels["op"].astype(str), DENSE_OPS) & (kernels["groups"] <= LARGE_GROUPS)
        if not self.library or not dense.any():
            return np.where(flops > 0, plain_s, 0.0)
        return np.where(dense & (flops > 0), self._tiled_s(kernels), plain_s)

    def _tiled_s(self, kernels: KernelTable) -> np.ndarray:
        """Time of products in output tiles: whole waves of thread blocks over multiprocessors."""
        m, n, k = (np.maximum(kernels[c], 1) for c in ("m", "n", "k"))
        bare = np.isin(kernels["op"].astype(str), ("bmm", "gemm"))
        count = np.where(bare, np.maximum(kernels["batch"], 1), kernels["groups"])
        # few rows (a fully connected layer at batch 1): libraries have flat tiles, down to one row
        lowest = TENSOR_ROWS if self.tensor else 1
        height = np.minimum(TILE_M, np.maximum(lowest, 2 ** np.ceil(np.log2(m))))
        tiles = np.ceil(m / height) * np.ceil(n / TILE_N) * count
        split = np.minimum(self.most_split, np.floor(self.multiprocessors / tiles))
        split = np.maximum(1, np.minimum(split, np.maximum(np.floor(k / SPLIT_DEPTH), 1)))
        waves = np.ceil(tiles * split / self.multiprocessors)
        share = np.where(self._winograd_able(kernels), self.winograd, 1.0) * self.dense_share
        rate = self.matrix_flops_per_s / self.multiprocessors * share
        return waves * (2 * height * TILE_N * k / split) / rate

    @staticmethod
    def _winograd_able(kernels: KernelTable) -> np.ndarray:
        conv = (kernels["op"].astype(str) == "conv2d") & (kernels["groups"] == 1)
        window = (kernels["kh"] == 3) & (kernels["kw"] == 3)
        stride = (kernels["sh"] == 1) & (kernels["sw"] == 1)
        return conv & window & stride & (kernels["cin"] >= WINOGRAD_CHANNELS)

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """Nothing was fitted, so nothing lies outside, but for classes that no roofline prices."""
        return np.isin(kernels["kernel_class"].astype(str), NEVER_PRICED).astype(float)

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """None beyond the kernels."""
        return no_network_terms(networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the tag."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RooflinePredictor:
        """Read and check plain data; raises `ProfileError` that names the field."""
        known = {f.name: f.type for f in fields(cls)}
        plain_data.only(data, known, set(known) - {"overhead_ms"})
        values: dict[str, Any] = {
            name: plain_data.flag(value, name)
            if known[name] == "bool"
            else plain_data.number(value, name, SMALLEST, LARGEST)
            for name, value in data.items()
            if name != "overhead_ms"
        }
        overhead = plain_data.number(data.get("overhead_ms", 0.0), "overhead_ms", 0.0, 1e9)
        return cls(**values, overhead_ms=overhead)
