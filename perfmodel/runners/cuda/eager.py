"""The same layers in another framework, launched one by one: what our runner must not lose to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Protocol

from perfmodel import zoo
from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import Mode
from perfmodel.runners.cuda.campaign_state import State, with_batch
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep
from perfmodel.runners.cuda.sweep import draw_sweep, unfused
from perfmodel.runners.cuda.timing import Timing


class Eager(Protocol):
    """A framework that runs a plan operator by operator, to compare with."""

    framework: str
    layouts: Mapping[str, str]
    """Tensor layout (nchw, nhwc) by precision."""
    product_layouts: Mapping[str, str]
    """The same of precisions in which single products are timed, as our runner has no mode."""

    @property
    def build(self) -> str:
        """Versions of what runs."""

    def time(self, plan: GpuPlan, precision: str, seed: int) -> Timing:
        """Time of one pass; raises `RunnerError` where the plan cannot be run."""

    def time_product(self, step: GpuStep, precision: str, seed: int) -> Timing | None:
        """Time of one step in a precision of `product_layouts`; None where it has no kernel.

        Raises `RunnerError` where it fails.
        """


def run_eager(state: State, make: Callable[[], Eager], log: Callable[[str], None]) -> None:
    """Time every network in every precision of the framework, until the budget is spent."""
    try:
        eager = make()
    except RunnerError as error:
        state.failures.append(f"eager: {error}")
        return
    settings = state.settings
    wanted = itertools.product(settings.batches, eager.layouts.items(), settings.networks)
    for batch, (precision, layout), name in wanted:
        if state.out_of_time():
            return
        plan = plan_graph(zoo.build(with_batch(name, batch)), eager.framework)
        try:
            timing = eager.time(plan, precision, settings.seed)
        except RunnerError as error:
            state.failures.append(f"eager {precision} {name} batch {batch}: {error}")
            continue
        mode, runs = Mode(eager.framework, precision, layout), len(timing.values_us)
        state.networks.append(
            tables.common_columns(state.name, mode, eager.build, name, batch, runs)
            | tables.network_timing(timing, kernels=len(plan.steps))
            | {"variant": tables.variant_text(launch="eager", layout=layout)}
        )
        log(f"{name} batch {batch} {mode.name}: {timing.median_us / 1e3:.3f} ms")
        state.write()


def run_products(state: State, make: Callable[[], Eager], log: Callable[[str], None]) -> None:
    """Time the sweep's products in the framework's further precisions, until the time is up."""
    try:
        eager = make()
    except RunnerError as error:
        state.failures.append(f"products: {error}")
        return
    settings, rows = state.settings, len(state.kernels)
    steps = draw_sweep(settings.seed, settings.sweep_scale)
    for step, (precision, layout) in itertools.product(steps, eager.product_layouts.items()):
        if state.out_of_time():
            break
        try:
            timing = eager.time_product(unfused(step), precision, settings.seed)
        except RunnerError as error:
            state.failures.append(f"products {precision} {step.name}: {error}")
            continue
        if timing is None:
            continue
        mode, batch = Mode(eager.framework, precision, layout), step.input_shapes[0][0]
        state.kernels.append(
            tables.common_columns(state.name, mode, eager.build, "", batch, len(timing.values_us))
            | tables.shape_columns(unfused(step))
            | tables.kernel_timing(timing)
            | {"variant": tables.variant_text(launch="eager", layout=layout)}
        )
        state.write()
    log(f"products: {len(state.kernels) - rows} rows")
