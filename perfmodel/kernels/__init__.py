"""What a network demands (MACs, bytes, memory) and the kernels it becomes; no device here."""

from perfmodel.kernels.fusion import fuse, kernel_of, run_by
from perfmodel.kernels.fusion_rules import FUSION
from perfmodel.kernels.kernel import Kernel, KernelTable
from perfmodel.kernels.kernel_classes import CLASSES, kernel_class
from perfmodel.kernels.memory import MemoryPlan, peak_activation_bytes, plan_memory
from perfmodel.kernels.operators import (
    OpCost,
    covered_part,
    macs,
    op_costs,
    params,
    uncovered_ops,
    weights_bytes,
)

__all__ = [
    "CLASSES",
    "FUSION",
    "Kernel",
    "KernelTable",
    "MemoryPlan",
    "OpCost",
    "covered_part",
    "fuse",
    "kernel_class",
    "kernel_of",
    "macs",
    "op_costs",
    "params",
    "peak_activation_bytes",
    "plan_memory",
    "run_by",
    "uncovered_ops",
    "weights_bytes",
]
