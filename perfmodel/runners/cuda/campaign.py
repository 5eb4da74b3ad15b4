"""The GPU campaign: check, sweep of kernels, whole networks, another framework; all on disk.

    python -m perfmodel.runners.cuda.campaign --out RESULTS --budget 540

Stages run in the order given and stop when the budget is spent; each writes its table as it goes,
so that a run that is cut short keeps what it has. Nothing changes the GPU's clocks.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from perfmodel import zoo
from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.runners.cuda import tables
from perfmodel.runners.cuda.backends import MODES, Backend, Mode, make_backend
from perfmodel.runners.cuda.campaign_state import (
    OWN_STAGES,
    STUDY,
    CampaignResult,
    Settings,
    State,
    device_slug,
    with_batch,
)
from perfmodel.runners.cuda.device import CudaDevice
from perfmodel.runners.cuda.eager import Eager, run_eager, run_products
from perfmodel.runners.cuda.kernel_bench import KernelBench
from perfmodel.runners.cuda.network import GpuNetwork, make_weights
from perfmodel.runners.cuda.plan import plan_graph
from perfmodel.runners.cuda.reference import random_input, relative_error, run_plan
from perfmodel.runners.cuda.steps import GpuPlan, GpuStep, before_softmax
from perfmodel.runners.cuda.sweep import draw_sweep, unfused
from perfmodel.runners.cuda.timing import Timing, layers_that_add_up, time_work

NETWORK_TOLERANCE = 3.0
"""A whole network may be off by this many times one kernel's tolerance: rounding adds up over its
layers, but random errors partly cancel (n layers alike would be off by about sqrt(n))."""


def run_campaign(
    folder: Path,
    settings: Settings,
    log: Callable[[str], None] = print,
    eager: Callable[[], Eager] | None = None,
) -> CampaignResult:
    """Run the stages on this machine's GPU and write the tables into `folder`.

    `eager` makes what the stage of that name compares with. Raises `RunnerError` where there is no
    GPU or no pycuda, or where that stage has nothing to run. A step that fails is noted and left
    out; it does not end the campaign.
    """
    brought = [s for s in settings.stages if s not in OWN_STAGES]
    if brought and eager is None:
        raise RunnerError(
            f"the stage {brought[0]} runs another framework, and none is given",
            f"for PyTorch: python -m validation.cuda campaign --stages {brought[0]} ...",
        )
    with CudaDevice(settings.device_index) as device:
        name = settings.device_name or device_slug(device.facts.name)
        state = State(device, settings, folder, name)
        log(f"{device.facts.name}, {state.build}")
        runs: dict[str, Callable[[State, Callable[[str], None]], None]] = {
            "check": _check,
            "sweep": _sweep,
            "networks": _networks,
            "eager": lambda state, log: run_eager(state, eager, log) if eager else None,
            "products": lambda state, log: run_products(state, eager, log) if eager else None,
        }
        for stage in settings.stages:
            state.begin(stage)
            state.note_clocks(f"before {stage}")
            runs[stage](state, log)
            state.note_clocks(f"after {stage}")
            state.write(force=True)
            log(f"{stage} done after {state.spent():.0f} s; {len(state.failures)} failures")
        files = {k: p for k, p in state.files.items() if p.exists()}
        rows = {
            "kernels": len(state.kernels),
            "layers": len(state.layers),
            "networks": len(state.networks),
        }
        return CampaignResult(folder, files, rows, tuple(state.failures), not state.cut_short)


@contextmanager
def _backend(state: State, mode: Mode) -> Iterator[Backend | None]:
    """A backend, or None (noted) where its library is missing."""
    try:
        backend = make_backend(state.device, mode)
    except RunnerError as error:
        reason = f"{mode.name}: {error}"
        if reason not in state.failures:
            state.failures.append(reason)
        yield None
        return
    try:
        yield backend
    finally:
        backend.close()


def _modes(state: State) -> list[Mode]:
    return [MODES[m] for m in state.settings.modes]


# -- check: small steps and small networks of every mode against float64 on the CPU


def _check(state: State, log: Callable[[str], None]) -> None:
    steps = [s for s in draw_sweep(state.settings.seed + 1, 0.1) if s.macs < 3e8]
    for mode in _modes(state):
        with _backend(state, mode) as backend:
            if backend is None:
                continue
            worst = 0.0
            for step in steps:
                if state.out_of_time():
                    break
                plan = _plan_of(step if mode.framework != "vanilla" else unfused(step))
                worst = max(worst, _check_plan(state, backend, plan, 1.0))
            state.write()
            for spec in state.settings.networks:
                if state.out_of_time():
                    break
                plan = plan_graph(zoo.build(spec), mode.framework)
                _check_plan(state, backend, before_softmax(plan), NETWORK_TOLERANCE)
            log(f"check {mode.name}: worst kernel error {worst:.2e}")


def _plan_of(step: GpuStep) -> GpuPlan:
    from perfmodel.runners.cuda.network import single_step_plan

    return single_step_plan(step)


def _check_plan(state: State, backend: Backend, plan: GpuPlan, allowance: float) -> float:
    """Relative error of a plan on fresh random data against float64; a failure if large."""
    mode = backend.mode
    seed = state.settings.seed + len(state.checks)
    rng = np.random.default_rng(seed)
    dtype = mode.variant.dtype
    try:
        weights = {
            n: tuple(w.astype(dtype).astype(np.float32) for w in ws)
            for n, ws in make_weights(plan, seed).items()
        }
        inputs = {n: random_input(plan.shapes[n], rng).astype(dtype) for n in plan.inputs}
        network = GpuNetwork(state.device, backend, plan, weights)
        try:
            network.poison()
            network.set_inputs(inputs)
            network.run()
            state.device.synchronize()
            expected = run_plan(plan, inputs, weights)
            error = max(relative_error(network.read(n), expected[n]) for n in plan.outputs)
        finally:
            network.close()
    except PerfmodelError as failure:
        state.failures.append(f"check {mode.name} {plan.name}: {failure}")
        return math.inf
    algorithms = [s.algorithm for s in network.steps] if len(network.steps) == 1 else []
    state.checks.append(
        {"mode": mode.name, "plan": plan.name, "relative_error": error, "algorithm": algorithms}
    )
    if not error <= mode.tolerance * allowance:
        state.failures.append(f"check {mode.name} {plan.name}: relative error {error:.2e}")
    return error


# -- sweep: single kernels for calibration


def _sweep(state: State, log: Callable[[str], None]) -> None:
    steps = draw_sweep(state.settings.seed, state.settings.sweep_scale)
    modes = _modes(state)
    for position, mode in enumerate(modes):
        end = state.spent() + (state.stage_end_s - state.spent()) / (len(modes) - position)
        with _backend(state, mode) as backend:
            if backend is None:
                continue
            bench = KernelBench(state.device, backend, state.settings.seed)
            for step in steps:
                if state.out_of_time() or state.spent() > end:
                    state.cut_short = True
                    break
                _sweep_one(state, bench, step if mode.framework != "vanilla" else unfused(step))
            bench.close()
        log(f"sweep {mode.name} ({position + 1}/{len(modes)}): {len(state.kernels)} rows")


def _sweep_one(state: State, bench: KernelBench, step: GpuStep) -> None:
    mode = bench.backend.mode
    try:
        results = bench.measure(step)
    except PerfmodelError as error:
        state.failures.append(f"sweep {mode.name} {step.name}: {error}")
        return
    for result in results:
        if not result.relative_error <= mode.tolerance:
            state.failures.append(
                f"sweep {mode.name} {step.name} ({result.algorithm}): relative error "
                f"{result.relative_error:.2e}"
            )
            return
        batch = step.input_shapes[0][0]
        runs = len(result.timing.values_us)
        state.kernels.append(
            tables.common_columns(state.name, mode, state.build, "", batch, runs)
            | tables.shape_columns(step)
            | tables.kernel_timing(
                result.timing, relative_error=tables.significant(result.relative_error)
            )
            | {
                "variant": tables.kernel_variant(
                    step, mode, result.algorithm, weights=result.weights_state
                )
            }
        )
    state.write()


# -- networks: whole and layer by layer


def _networks(state: State, log: Callable[[str], None]) -> None:
    for batch in state.settings.batches:
        for mode in _modes(state):
            with _backend(state, mode) as backend:
                if backend is None:
                    continue
                for name in state.settings.networks:
                    if state.out_of_time():
                        return
                    _network(state, backend, name, batch, log)


def _network(
    state: State, backend: Backend, name: str, batch: int, log: Callable[[str], None]
) -> None:
    mode = backend.mode
    try:
        graph = zoo.build(with_batch(name, batch))
        plan = plan_graph(graph, mode.framework)
        network = GpuNetwork(state.device, backend, plan, make_weights(plan, state.settings.seed))
    except PerfmodelError as error:
        state.failures.append(f"network {mode.name} {name} batch {batch}: {error}")
        return
    try:
        rng = np.random.default_rng(state.settings.seed)
        network.set_inputs({n: random_input(plan.shapes[n], rng) for n in plan.inputs})
        graph_timing = time_work(state.device, network.run, samples=state.settings.samples)
        stream_timing = time_work(
            state.device, network.run, samples=max(3, state.settings.samples // 2), as_graph=False
        )
        for launch, timing in (("graph", graph_timing), ("stream", stream_timing)):
            _network_row(state, mode, name, plan, timing, launch)
        _layer_rows(state, network, name, graph_timing.median_us)
        log(
            f"{name} batch {batch} {mode.name}: {graph_timing.median_us / 1e3:.3f} ms as a graph, "
            f"{stream_timing.median_us / 1e3:.3f} ms on the stream"
        )
    except PerfmodelError as error:
        state.failures.append(f"network {mode.name} {name} batch {batch}: {error}")
    finally:
        network.close()
        state.write()


def _network_row(
    state: State, mode: Mode, name: str, plan: GpuPlan, timing: Timing, launch: str
) -> None:
    runs = len(timing.values_us)
    weights = sum(s.weight_elements for s in plan.steps) * mode.variant.dtype.itemsize
    checked = [
        c["relative_error"]
        for c in state.checks
        if c["mode"] == mode.name and c["plan"] == plan.name
    ]
    notes: dict[str, object] = {"kernels": len(plan.steps), "weights_bytes": weights}
    if checked:
        notes["relative_error"] = tables.significant(checked[0])
    ran = launch if timing.graph or launch != "graph" else "stream"
    state.networks.append(
        tables.common_columns(state.name, mode, state.build, name, plan.batch, runs)
        | tables.network_timing(timing, **notes)
        | {"variant": tables.variant_text(launch=ran, layout=mode.layout)}
    )
    if not timing.stable:
        state.failures.append(
            f"{name} batch {plan.batch} {mode.name} ({launch}) is unstable: p90 "
            f"{timing.p90_us / 1e3:.3f} ms against a median of {timing.median_us / 1e3:.3f} ms"
        )


def _layer_rows(state: State, network: GpuNetwork, name: str, whole_us: float) -> None:
    passes = state.device.layer_times_ms([s.work for s in network.steps], runs=15)
    times = layers_that_add_up([[t * 1e3 for t in one] for one in passes], whole_us)
    mode, plan = network.backend.mode, network.plan
    common = tables.common_columns(state.name, mode, state.build, name, plan.batch, len(passes))
    for step, prepared, time_us in zip(plan.steps, network.steps, times, strict=True):
        state.layers.append(
            common
            | tables.shape_columns(step)
            | {
                "latency_us": tables.significant(time_us),
                "variant": tables.kernel_variant(step, mode, prepared.algorithm),
            }
        )


def parse_arguments(argv: Sequence[str]) -> tuple[Path, Settings]:
    """Output folder and settings from command-line words."""
    parser = argparse.ArgumentParser(
        prog="python -m perfmodel.runners.cuda.campaign",
        description="Measure kernels and networks on this machine's NVIDIA GPU.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--budget", type=float, default=3600.0, help="seconds for all stages")
    parser.add_argument("--networks", nargs="+", default=list(STUDY), metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32], metavar="N")
    parser.add_argument("--modes", nargs="+", default=list(MODES), metavar="FRAMEWORK/PRECISION")
    parser.add_argument("--stages", nargs="+", default=list(OWN_STAGES), metavar="STAGE")
    parser.add_argument("--sweep-scale", type=float, default=1.0, help="1 is about 600 shapes")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--device", type=int, default=0, help="index of the GPU")
    parser.add_argument("--device-name", default="", help="name in the tables, such as jetson-tx2")
    a = parser.parse_args(argv)
    settings = Settings(
        networks=tuple(a.networks),
        batches=tuple(a.batches),
        modes=tuple(a.modes),
        stages=tuple(a.stages),
        sweep_scale=a.sweep_scale,
        seed=a.seed,
        budget_s=a.budget,
        device_index=a.device,
        device_name=a.device_name,
    )
    return a.out, settings


def main(argv: Sequence[str] | None = None, *, eager: Callable[[], Eager] | None = None) -> int:
    """Command line: exit code 0, 1 if something failed or was cut short, 2 on bad input."""
    try:
        folder, settings = parse_arguments(sys.argv[1:] if argv is None else argv)
        result = run_campaign(folder, settings, eager=eager)
    except PerfmodelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"rows: {dict(result.rows)}; {len(result.failures)} failures")
    for failure in result.failures[:40]:
        print(f"  {failure}")
    return 0 if result.finished and not result.failures else 1


if __name__ == "__main__":
    sys.exit(main())
