"""Measuring whole networks and their kernels on this machine, bracketed by a reference network.

Everything runs in one worker process, the references too; where a network takes it down, the next
one finds a fresh worker and its references loaded again.

A `HostBench` writes a graph as a file of its framework, drops it from the page cache, loads it, and
times the whole and every operator in sets that alternate with a small reference network of the same
framework, precision and threads: drift of the machine cancels in the ratio.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from perfmodel.errors import RunnerError
from perfmodel.files import folder_prefix
from perfmodel.formats.tflite.cut import cut
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernels.kernel import Kernel
from perfmodel.runners.campaign import Discipline, Reference, measure_job
from perfmodel.runners.host_frameworks import DEFAULT, FRAMEWORKS, host_framework
from perfmodel.runners.litert_profiler import ProfilerError
from perfmodel.runners.runner import Job, Runner
from perfmodel.runners.worker import Worker, WorkerDied


@dataclass(frozen=True)
class RunConfig:
    """How a network is run: precision and threads."""

    precision: str
    threads: int

    def __str__(self) -> str:
        return f"{self.precision}/t{self.threads}"

    @staticmethod
    def parse(text: str) -> RunConfig:
        """The setup that `str` wrote, such as "int8/t2"."""
        precision, _, threads = text.partition("/t")
        known = {name for f in FRAMEWORKS.values() for name in f.precisions}
        if precision not in known or not threads.isdigit():
            raise RunnerError(f"{text!r} is no way to run a network", "for example fp32/t1")
        return RunConfig(precision, int(threads))


IN_SITU = Discipline(sets=3, runs=4, max_runs=80, set_ms=30.0, warmups=1, reference_runs=6)
"""Sets for calibration: many networks a little each, rather than few at length."""


def in_situ(expected_ms: float) -> Discipline:
    """`IN_SITU` for a network of roughly that time: a set of the same length from the first on."""
    wanted = int(IN_SITU.set_ms / max(expected_ms, 1e-3))
    return replace(IN_SITU, runs=max(2, min(IN_SITU.max_runs, wanted)))


ONE_KERNEL = Discipline(sets=2, runs=5, max_runs=40, set_ms=5.0, warmups=2, reference_runs=2)
"""Sets of a lone kernel."""


LOADS = 4
"""How often a file is loaded cold where its first run counts: one time alone says little."""
LOADS_MS = 1200.0
"""From this time on, a file is not loaded once more."""


def reference_graph() -> Graph:
    """A fixed small network (about 110 M MACs, 2.6 M weights) with the field's main kernels.

    Products that stay in the caches, a depthwise convolution, an addition and a large fully
    connected layer: it slows down with the clock and with the memory, as networks do.
    """
    g = GraphBuilder("reference")
    x = g.input((1, 56, 56, 32))
    y = g.conv(x, 96, 1, activation="relu6")
    y = g.depthwise(y, 3, activation="relu6")
    x = g.binary("add", x, g.conv(y, 32, 1))
    x = g.conv(x, 96, 3, 2, activation="relu")
    x = g.conv(x, 64, 3, activation="relu")
    x = g.pool(x, "max", 2, 2, "same")
    x = g.global_avg_pool(g.conv(x, 1024, 1, activation="relu"))
    x = g.fc(x, 2048, activation="relu")
    return g.build(g.fc(x, 100), source="reference", format="zoo")


class HostBench:
    """References kept loaded, and a folder for the files of the networks being measured."""

    def __init__(self, *, framework: str = DEFAULT, profile: bool = True, seed: int = 0) -> None:
        self.framework = host_framework(framework)
        self.worker = Worker()
        # apart from what is timed: converters leave much in the memory of their process
        self._converting = Worker()
        self.runner = self.worker.runner(self.framework.runner, seed=seed, profile=profile)
        self._plain = self.worker.runner(self.framework.runner, seed=seed, profile=False)
        self._folder = tempfile.TemporaryDirectory(prefix=folder_prefix())
        self.folder = Path(self._folder.name)
        self._references: dict[RunConfig, Reference] = {}
        self._of = 0
        self._used = 0
        self._threads = 0

    def __enter__(self) -> HostBench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.worker.close()
        self._converting.close()
        self._folder.cleanup()

    def reference(self, setup: RunConfig) -> Reference:
        """The loaded reference of a setup."""
        if self.framework.threads_of_process and self._threads not in (0, setup.threads):
            self.worker.stop()
        self._threads = setup.threads
        self.worker.start()
        if self._of != self.worker.generation:
            self._references, self._of = {}, self.worker.generation
        if setup not in self._references:
            path = self.write(reference_graph(), setup.precision)
            job = Job(f"reference/{setup}", path, setup.threads, setup.precision)
            self._references[setup] = Reference(self._plain.prepare(job))
            self._references[setup].times_ms(20, 5)
        return self._references[setup]

    def write(self, graph: Graph, precision: str) -> Path:
        """The graph as a file of seeded random weights in the bench's folder."""
        path = self.folder / f"{graph.name}_{precision}{self.framework.suffix}"
        if not path.exists():
            self.framework.write(graph, path, precision, self._converting)
        return path

    def runnable(
        self, path: Path, precision: str, shapes: Mapping[str, Sequence[int]] | None = None
    ) -> Path:
        """A real file as the framework runs it: itself, or one made of it in the bench's folder."""
        if path.suffix.lower() == self.framework.suffix:
            return path
        made = self.folder / f"{path.stem}_{precision}_file{self.framework.suffix}"
        self.framework.convert(path, made, precision, self._converting, shapes)
        return made

    def discard(self, path: Path) -> None:
        """Remove a network's files."""
        for file in self.framework.files(path):
            file.unlink(missing_ok=True)

    def _forget(self, path: Path) -> bool:
        """Drop a network's files from the page cache; whether the system does such a thing."""
        dropped = []
        for file in self.framework.files(path):
            try:
                dropped.append(drop_from_cache(file))
            except OSError as error:
                raise RunnerError(f"{file}: cannot be read: {error.strerror}") from None
        return all(dropped)

    def measure(
        self,
        key: str,
        path: Path,
        setup: RunConfig,
        discipline: Discipline = IN_SITU,
        profile: bool = True,
        loads: int = 1,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> dict[str, Any]:
        """Journal entry of one file: its sets, its loads beside the first set's as (load, first
        inference) in ms, and whether all were cold; `loads` counts them together.

        Recurrent files keep state that only the plain interpreter can hold: they have no times of
        operators. `shapes` are those of inputs whose size the file leaves open, by name.
        """
        job = Job(key, path, setup.threads, setup.precision, shapes or {})
        return self._surely(lambda: self._entry(job, setup, discipline, profile, loads))

    def timed(
        self, runner: Runner, job: Job, setup: RunConfig, discipline: Discipline
    ) -> dict[str, Any]:
        """Journal entry of a job of another runner of this bench's worker: its sets."""
        return self._surely(lambda: measure_job(runner, job, self.reference(setup), discipline))

    def _surely(self, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `measure` gives; once more in a fresh worker where the old one dies of it.

        A network that damages memory may let the next one die, which would be blamed for it.
        """
        used = self._used
        self.worker.start()
        self._used = self.worker.generation
        try:
            return measure()
        except WorkerDied as died:
            if not died.faulty or used != self._used:
                raise
        self.worker.start()
        self._used = self.worker.generation
        return measure()

    def _entry(
        self, job: Job, setup: RunConfig, discipline: Discipline, profile: bool, loads: int
    ) -> dict[str, Any]:
        path = job.model
        loaded_reference = self.reference(setup)
        more = self._loads(job, 0 if self.framework.loaded_once else loads - 1)
        cold = self._forget(path)
        try:
            entry = measure_job(
                self.runner if profile else self._plain, job, loaded_reference, discipline
            )
        except ProfilerError:
            self._forget(path)
            entry = measure_job(self._plain, job, loaded_reference, discipline)
        size = sum(file.stat().st_size for file in self.framework.files(path))
        return {**entry, "loads": more, "cold": cold, "file_bytes": size}

    def _loads(self, job: Job, count: int) -> list[list[float]]:
        """At most `count` cold loads of a file, each with its first inference; none after
        `LOADS_MS`."""
        found: list[list[float]] = []
        while len(found) < count and sum(map(sum, found)) < LOADS_MS:
            self._forget(job.model)
            loaded = self._plain.prepare(job)
            found.append([loaded.load_ms or 0.0, loaded.first_ms or 0.0])
            loaded.close()
        return found

    def measure_pieces(self, key: str, graph: Graph, setup: RunConfig) -> list[dict[str, Any]]:
        """Journal entries of a network's kernels, each as a file of its own, in their order.

        The way of timing kernels that any runtime offers. Their inputs are in the caches and what
        the runtime does around an inference is in their time: the fit learns how far
        their sum is from the whole.
        """
        entries = []
        for number, kernel in enumerate(self.framework.fused(graph)):
            piece = cut(graph, *_span(graph, kernel))
            path = self.write(replace(piece, name=f"{graph.name}_piece"), setup.precision)
            try:
                name = f"{key}#{number}"
                entries.append(self.measure(name, path, setup, ONE_KERNEL, profile=False))
            finally:
                self.discard(path)
        return entries


def _span(graph: Graph, kernel: Kernel) -> tuple[int, int]:
    """Ops [i, j) of a kernel; its first ones only, where others stand in between."""
    places = sorted(i for i, op in enumerate(graph.ops) if op.name in (kernel.fused or ()))
    end = places[0] + 1
    while end in places:
        end += 1
    return places[0], end


def drop_from_cache(path: Path) -> bool:
    """Ask the system to forget a file's pages; False where it has no such call.

    The file is flushed first, because pages that are not yet on disk stay.
    """
    if not hasattr(os, "posix_fadvise") or sys.platform == "darwin":
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
    return True
