"""Cost: what a network demands (MACs, bytes, memory) and the kernels it becomes; no device here."""

from perfmodel.cost.classes import CLASSES, kernel_class
from perfmodel.cost.features import (
    FEATURE_GROUPS,
    FEATURE_NAMES,
    FEATURE_PARTS,
    FEATURES,
    feature_matrix,
)
from perfmodel.cost.fusion import FUSION, fuse, kernel_of
from perfmodel.cost.kernel import Kernel, KernelTable
from perfmodel.cost.memory import MemoryPlan, peak_activation_bytes, plan_memory
from perfmodel.cost.opcosts import (
    OpCost,
    covered_part,
    macs,
    op_costs,
    params,
    uncovered_ops,
    weights_bytes,
)
from perfmodel.cost.rows import table_from_rows

__all__ = [
    "CLASSES",
    "FEATURES",
    "FEATURE_GROUPS",
    "FEATURE_NAMES",
    "FEATURE_PARTS",
    "FUSION",
    "Kernel",
    "KernelTable",
    "MemoryPlan",
    "OpCost",
    "covered_part",
    "feature_matrix",
    "fuse",
    "kernel_class",
    "kernel_of",
    "macs",
    "op_costs",
    "params",
    "peak_activation_bytes",
    "plan_memory",
    "table_from_rows",
    "uncovered_ops",
    "weights_bytes",
]
