"""Made-up networks, devices and populations, from seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.calibration.learn import kin_spread
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.population import Population
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.kernels.kernel import Kernel, KernelTable

FEATURES = len(FEATURE_NAMES)


def convolution(
    name: str, channels: int, side: int, window: int, batch: int = 1, groups: int = 1
) -> Kernel:
    """A convolution of stride 1 from `channels` to as many."""
    pixels, each = batch * side * side, channels // groups
    classes = {1: "conv1x1", 3: "conv3x3"}
    return Kernel(
        name=name,
        op="conv2d",
        kernel_class="depthwise" if groups > 1 else classes.get(window, "convkxk"),
        batch=batch,
        cin=channels,
        hin=side,
        win=side,
        cout=channels,
        hout=side,
        wout=side,
        kh=window,
        kw=window,
        groups=groups,
        m=pixels,
        n=each,
        k=each * window * window,
        macs=pixels * channels * each * window * window,
        input_elements=pixels * channels,
        weight_elements=channels * each * window * window,
        output_elements=pixels * channels,
    )


def addition(name: str, channels: int, side: int, batch: int = 1) -> Kernel:
    """An element-wise sum."""
    elements = batch * channels * side * side
    return Kernel(
        name=name,
        op="add",
        kernel_class="elementwise",
        batch=batch,
        elements=elements,
        input_elements=2 * elements,
        output_elements=elements,
    )


def network(seed: int, batch: int = 1) -> KernelTable:
    """A chain of kernels of one of many mixes: mostly 1x1, mostly 3x3, depthwise, light ..."""
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet(np.full(5, 0.6))
    kernels = []
    for i in range(12):
        kind = int(rng.choice(5, p=mix))
        channels, side = int(8 * 2 ** rng.integers(1, 6)), int(rng.choice([7, 14, 28, 56]))
        kernels.append(
            addition(f"k{i}", channels, side, batch)
            if kind == 4
            else convolution(
                f"k{i}",
                channels,
                side,
                (1, 3, 5, 3)[kind],
                batch,
                channels if kind == 3 else 1,
            )
        )
    return KernelTable.from_kernels(kernels)


def work(tables: list[KernelTable]) -> np.ndarray:
    return np.array([work_matrix(t, "fp32").sum(axis=0) for t in tables])


def costs(seed: int) -> np.ndarray:
    """Log costs of a device: a speed, and departures of each kind of work."""
    rng = np.random.default_rng(1000 + seed)
    made: np.ndarray = -2.0 + rng.normal(0, 0.8) + rng.normal(0, 0.35, FEATURES)
    return made


def population(
    tables: list[KernelTable], devices: int = 24, misfits: np.ndarray | None = None
) -> Population:
    """Devices with costs of their own that all ran the networks; `misfits` are the networks'."""
    log_cost = np.array([costs(i) for i in range(devices)])
    total = work(tables)
    log_ms = np.log(np.exp(log_cost) @ total.T) + (0.0 if misfits is None else misfits)
    names = [f"device-{i}/cpu/ncnn/float/t4@big" for i in range(devices)]
    measured = np.ones(log_ms.shape, dtype=bool)
    shapes = log_cost - log_cost.mean(axis=1, keepdims=True)
    return Population(
        framework="ncnn",
        unit="cpu",
        precision="float",
        names=tuple(names),
        networks=tuple(f"net-{i}" for i in range(len(tables))),
        anchors=descriptions(tables),
        work=total,
        log_cost=log_cost,
        log_ms=log_ms,
        measured=measured,
        spread=kin_spread(log_cost, log_ms, measured, np.array(names)),
        wide=np.cov(shapes.T),
        noise_sd=0.03,
        strange_sd=0.1,
        strange_width=0.3,
    )


def timed(
    tables: list[KernelTable],
    log_cost: np.ndarray,
    noise: float = 0.0,
    misfits: np.ndarray | None = None,
    seed: int = 5,
) -> list[MeasuredNetwork]:
    """The networks as a device with these costs takes them."""
    rng = np.random.default_rng(seed)
    log_ms = np.log(work(tables) @ np.exp(log_cost)) + rng.normal(0, noise, len(tables))
    if misfits is not None:
        log_ms = log_ms + misfits
    return [
        MeasuredNetwork(f"net-{i}", t, float(np.exp(v)))
        for i, (t, v) in enumerate(zip(tables, log_ms, strict=True))
    ]


def coarser(network: MeasuredNetwork, variance: float) -> MeasuredNetwork:
    return replace(network, variance=variance)
