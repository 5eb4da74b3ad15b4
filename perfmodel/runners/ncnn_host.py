"""The `ncnn` runner: times ncnn networks (.param with its .bin) on this machine, layer by layer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from perfmodel.errors import RunnerError
from perfmodel.formats.ncnn.net import NcnnLayer
from perfmodel.formats.ncnn.reader import read_layers, shapes_of_inputs
from perfmodel.runners.machine import host_facts
from perfmodel.runners.runner import Job, MachineFacts
from perfmodel.runners.timed import TimedModel, times_of

_AS_COMPUTED = 1
"""`Extractor.extract` then hands a blob out as it is, neither unpacked nor made float32."""


def _ncnn() -> Any:
    try:
        import ncnn
    except ImportError:
        raise RunnerError(
            "ncnn is not installed", "pip install 'perfmodel[runtimes-ncnn]'"
        ) from None
    return ncnn


class NcnnRunner:
    """Runs .param files, their weights beside them, with ncnn's own defaults; `profile` adds the
    time of every layer, `seed` makes the input data."""

    name = "ncnn"

    def __init__(self, seed: int = 0, profile: bool = True) -> None:
        self.seed, self.profile = seed, profile
        self._library = _ncnn()

    def describe(self) -> MachineFacts:
        """This machine, the runtime's build, and which of its options are on.

        Where fp16 storage is on, an x86 CPU with F16C holds the weights of inner products in
        half precision; convolutions compute and store float32 there.
        """
        option = self._library.Option()
        on = [name for name in dir(option) if name.startswith("use_") and getattr(option, name)]
        facts = {"runtime": f"ncnn {self._library.__version__}", "ncnn_options": ", ".join(on)}
        return MachineFacts(self.name, {**host_facts(), **facts})

    def prepare(self, job: Job) -> PreparedNcnn:
        """Load a network and make seeded random inputs of the sizes that it states."""
        return PreparedNcnn(self._library, job, self.seed, self.profile)


class PreparedNcnn(TimedModel):
    """One loaded network with its inputs."""

    def __init__(self, library: Any, job: Job, seed: int, profile: bool) -> None:
        self._library, self.job, self.threads = library, job, job.threads
        self._layers = read_layers(job.model)
        self._inputs = _inputs(library, self._layers, job, seed)
        self._outputs = results_of(self._layers)
        self._profile = profile
        # as ncnn's own benchmark does; and an extractor copies what it hands out unless the memory
        # is the caller's, which would count as time of layers
        self._pools: tuple[Any, Any] = (library.PoolAllocator(), library.UnlockedPoolAllocator())
        self._net = library.Net()
        try:
            started = time.perf_counter()
            _load(self._net, job, self._pools)
            self.load_ms: float | None = (time.perf_counter() - started) * 1e3
            started = time.perf_counter()
            self._run()
            self.first_ms: float | None = (time.perf_counter() - started) * 1e3
        except RunnerError:
            self.close()  # a network must be gone before the pools that its memory is from
            raise

    def close(self) -> None:
        """Free the network, then the memory that it used."""
        self._inputs = []
        self._net.clear()
        self._net = None
        self._pools = None, None

    def outputs(self) -> list[np.ndarray]:
        """Results of one more inference, as ncnn lays them out: channels outermost."""
        return [np.array(mat) for mat in self._run()]

    def _run(self) -> list[Any]:
        """One inference as a user runs it: results unpacked and in float32."""
        extractor = self._started()
        results = []
        for name in self._outputs:
            code, mat = extractor.extract(name)
            self._check(code, name)
            results.append(mat)
        return results

    def _started(self) -> Any:
        extractor = self._net.create_extractor()
        for name, mat, _ in self._inputs:
            extractor.input(name, mat)
        return extractor

    def _check(self, code: int, what: str) -> None:
        if code:
            raise RunnerError(f"{self.job.model}: ncnn failed at {what!r} (code {code})")

    def _timed(self) -> tuple[float, float]:
        return times_of(self._run)

    def _operator_times_us(self, runs: int) -> dict[str, tuple[float, ...]]:
        """Times of each layer in us by "position name", what asking costs taken off.

        An extractor computes what leads to a blob and is not there yet: asked for the blobs in
        their order, it runs one layer each time. Asked for one that is there it runs none, which
        is what asking costs. An input tells nothing of that: it is copied as it is handed out.
        """
        if not self._profile:
            return {}
        firsts, place = [], 0
        for layer in self._layers:
            firsts.append(place)
            place += len(layer.tops)
        times = np.array([self._one_by_one(firsts) for _ in range(runs + 1)][1:])
        inputs = [i for i, layer in enumerate(self._layers) if layer.type == "Input"]
        layers = times[:, 0]
        layers[:, inputs] = 0.0
        computed = np.delete(times[:, 1], inputs, axis=1)
        asking = statistics.median(computed.ravel().tolist()) if computed.size else 0.0
        kept = np.maximum(layers - asking, 0.0).T
        keys = [f"{i} {layer.name}" for i, layer in enumerate(self._layers)]
        return {key: tuple(row.tolist()) for key, row in zip(keys, kept, strict=True)}

    def _one_by_one(self, firsts: Sequence[int]) -> tuple[list[float], list[float]]:
        """Times in us of asking for each blob, and of asking for it once more."""
        extractor = self._started()
        clock = time.perf_counter
        times: tuple[list[float], list[float]] = ([], [])
        for blob in firsts:
            for asked in times:
                started = clock()
                extractor.extract(blob, _AS_COMPUTED)
                asked.append((clock() - started) * 1e6)
        return times


def results_of(layers: Sequence[NcnnLayer]) -> list[str]:
    """Blobs that nothing reads, but for slices that are thrown away beside one that is read."""
    read = {blob for layer in layers for blob in layer.bottoms}
    return [
        blob
        for layer in layers
        for blob in layer.tops
        if blob not in read and not (layer.type == "Slice" and read.intersection(layer.tops))
    ]


def _load(net: Any, job: Job, pools: tuple[Any, Any]) -> None:
    weights = job.model.with_suffix(".bin")
    if not weights.is_file():
        raise RunnerError(f"{job.model}: its weights, {weights.name}, are not beside it")
    net.opt.num_threads = job.threads
    net.opt.blob_allocator, net.opt.workspace_allocator = pools
    for load, path in ((net.load_param, job.model), (net.load_model, weights)):
        if code := load(str(path)):
            raise RunnerError(
                f"{path}: ncnn cannot load this file (code {code})",
                "networks with layers of their own need a program that brings them along",
            )


def _inputs(
    library: Any, layers: Sequence[NcnnLayer], job: Job, seed: int
) -> list[tuple[str, Any, np.ndarray]]:
    """Name, matrix and values of each input; what looks up rows of a table gets small integers."""
    generator = np.random.default_rng(seed)
    looked_up = {blob for layer in layers if layer.type == "Embed" for blob in layer.bottoms}
    given = shapes_of_inputs(job.model, layers, job.shapes)
    made = []
    for layer in layers:
        if layer.type != "Input":
            continue
        # drawn with the channels last, so that a .tflite file of the network gets the same
        (_, *sizes), _ = given[layer.tops[0]]
        values = generator.uniform(-1, 1, sizes).astype(np.float32)
        if len(sizes) > 2:
            values = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        if layer.tops[0] in looked_up:
            values = generator.integers(0, 2, values.shape).astype(np.int32).view(np.float32)
        # the matrix does not own the array's memory: its clone does
        made.append((layer.tops[0], library.Mat(values).clone(), values))
    return made
