"""Settings of the kernel models: one set for studies, shipped profiles and calibration.

All were chosen by leaving data out of the fits: networks on the phones of layers_phones.csv.gz
(DAG-Scheduler), shapes and cards of layers_gpu.csv (NeuSight, DeepBench); `validation/accuracy`
reports the errors. Where hundreds of kernels show a target (`gpu_model`), its trees are its own,
deep and hardly limited; where a card was never seen (`spec_model`), they correct physics less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel.cost_models.efficiencies import Shrinkage

if TYPE_CHECKING:
    from perfmodel.cost_models.kernel_model import KernelModel


def _model(shrinkage: Shrinkage | None = None, **settings: Any) -> KernelModel:
    # scikit-learn takes a second to import: who only reads what was learnt does not wait for it
    from perfmodel.cost_models.kernel_model import KernelModel

    return KernelModel(shrinkage or Shrinkage(), **settings)


def phone_model(seed: int = 0) -> KernelModel:
    """The model of one framework on one unit of all phones."""
    return _model(Shrinkage(), weight_power=0.5, trees=100, random_state=seed)


def gpu_model(seed: int = 0) -> KernelModel:
    """The model of known GPUs: each has its own trees."""
    return _model(
        Shrinkage(strength=2000),
        weight_power=0.0,
        trees=250,
        leaves=16,
        learning_rate=0.07,
        min_rows=5,
        l2=1.0,
        limit=2.0,
        pool=False,
        random_state=seed,
    )


def spec_model(seed: int = 0) -> KernelModel:
    """The model of a GPU from its data sheet alone."""
    return _model(
        Shrinkage(strength=2000),
        spec_only=True,
        weight_power=0.0,
        trees=200,
        leaves=16,
        learning_rate=0.07,
        min_rows=10,
        l2=3.0,
        limit=1.2,
        random_state=seed,
    )


def library_model(seed: int = 0) -> KernelModel:
    """The model of library calls on many cards and precisions, few rows each."""
    return _model(
        Shrinkage(strength=500),
        weight_power=0.0,
        trees=300,
        leaves=16,
        learning_rate=0.07,
        min_rows=5,
        l2=1.0,
        limit=2.0,
        random_state=seed,
    )


def small_model(seed: int = 0) -> KernelModel:
    """The model of a target with some tens of kernels: physics, and trees of a few leaves."""
    return _model(trees=60, leaves=4, min_rows=8, weight_power=0.5, random_state=seed)
