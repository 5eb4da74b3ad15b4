"""Runs a network as a chain of .tflite pieces; what one makes is handed to those that read it.

`ChainRunner` is for those that measure: its chains run in a worker. The rest is what runs there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.runners.runner import Job, MachineFacts, RawRuns
from perfmodel.runners.tflite_host import TfliteRunner, _open, fill_inputs, runtime
from perfmodel.runners.worker import Worker, WorkerPrepared

HANDOVER_SIZES = (4_096, 65_536, 262_144, 1_048_576, 4_194_304)
"""Bytes of the tensors whose handing over is timed."""


@dataclass(frozen=True)
class ChainPiece:
    """A piece of a network as a file: names of the tensors it reads and makes, in file order."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def write_pieces(graph: Graph, places: Sequence[int], folder: Path) -> tuple[ChainPiece, ...]:
    """Cut `graph` before the given operators and write the pieces; equal pieces are written once.

    Raises `GraphError` for an operator that the writer does not know.
    """
    from perfmodel.formats.tflite.cut import cut
    from perfmodel.formats.tflite.writer import write_tflite

    pieces = []
    ends = [0, *places, len(graph.ops)]
    for first, last in pairwise(ends):
        piece = cut(graph, first, last)
        path = folder / f"{Path(graph.name).stem}_{first}_{last}.tflite"
        if not path.exists():
            write_tflite(piece, path)
        pieces.append(ChainPiece(path, tuple(piece.inputs), tuple(piece.outputs)))
    return tuple(pieces)


class ChainRunner:
    """A runner whose jobs are chains in a worker: `chains[job.key]` are the pieces of a job."""

    name = "tflite"

    def __init__(self, worker: Worker, chains: dict[str, tuple[ChainPiece, ...]]) -> None:
        self.worker, self.chains = worker, chains

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        return self.worker.runner("tflite").describe()

    def prepare(self, job: Job) -> WorkerPrepared:
        """Load every piece of the job's chain."""
        pieces = [[str(p.path), p.inputs, p.outputs] for p in self.chains[job.key]]
        return self.worker.runner("tflite-chain", pieces=pieces).prepare(job)


class ChainOfFiles:
    """A runner of one chain in this process; `pieces` are (path, inputs, outputs) of each file."""

    name = "tflite"

    def __init__(self, pieces: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> None:
        self.pieces = [ChainPiece(Path(p), tuple(i), tuple(o)) for p, i, o in pieces]

    def describe(self) -> MachineFacts:
        """This machine and the runtime's build."""
        return TfliteRunner().describe()

    def prepare(self, job: Job) -> PreparedChain:
        """Load every piece of the chain."""
        return PreparedChain(self.pieces, job.threads)


class PreparedChain:
    """Loaded pieces; a run invokes them in turn and copies each tensor where it is read next."""

    def __init__(self, pieces: Sequence[ChainPiece], threads: int) -> None:
        _, interpreter = runtime()
        self._interpreters: list[Any] = [
            _open(interpreter, Job(p.path.name, p.path, threads)) for p in pieces
        ]
        for one in self._interpreters:
            fill_inputs(one, 0)
        self._moves = [self._moves_into(pieces, number) for number in range(len(pieces))]
        started = time.perf_counter()
        self._run()
        self.first_ms = (time.perf_counter() - started) * 1e3

    def _moves_into(self, pieces: Sequence[ChainPiece], number: int) -> list[tuple[int, Any, int]]:
        """(input index, interpreter that made it, its output index) of a piece's inputs."""
        moves = []
        details = self._interpreters[number].get_input_details()
        for name, detail in zip(pieces[number].inputs, details, strict=True):
            for maker, earlier in zip(pieces[:number], self._interpreters, strict=False):
                if name in maker.outputs:
                    made = earlier.get_output_details()[maker.outputs.index(name)]
                    moves.append((detail["index"], earlier, made["index"]))
        return moves

    def _run(self) -> None:
        for interpreter, moves in zip(self._interpreters, self._moves, strict=True):
            for place, maker, made in moves:
                # a view, dropped at once: one copy a tensor
                interpreter.set_tensor(place, maker.tensor(made)())
            interpreter.invoke()

    def run_set(self, runs: int, warmups: int) -> RawRuns:
        """Time `runs` passes through the chain after `warmups`."""
        started_s = time.time()
        times = []
        for _ in range(warmups + runs):
            started = time.perf_counter()
            self._run()
            times.append((time.perf_counter() - started) * 1e3)
        return RawRuns(tuple(times[:warmups]), tuple(times[warmups:]), started_s)

    def close(self) -> None:
        """Free the interpreters."""
        self._moves = []
        self._interpreters = []


@dataclass(frozen=True)
class Handover:
    """What a cut costs on one processor: medians of handing one tensor of `size_bytes` from one
    loaded file to another, and of invoking a file that does next to nothing."""

    size_bytes: tuple[int, ...]
    latency_ms: tuple[float, ...]
    invoke_ms: float


def measure_handover(folder: str, runs: int = 40) -> Handover:
    """Time handing over and invoking, each `runs` times; no inference that counts is in it.

    The files it needs are written into `folder`.
    """
    _, interpreter = runtime()
    from perfmodel.formats.tflite.writer import write_tflite

    medians, invokes = [], []
    for size in HANDOVER_SIZES:
        builder = GraphBuilder(f"handover_{size}")
        graph = builder.build(builder.op("relu", builder.input((1, 1, 1, size // 4))))
        path = Path(folder) / f"{graph.name}.tflite"
        write_tflite(graph, path)
        maker, reader = (_open(interpreter, Job(path.name, path)) for _ in range(2))
        place, made = reader.get_input_details()[0], maker.get_output_details()[0]
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            maker.invoke()
            if size == HANDOVER_SIZES[0]:
                invokes.append((time.perf_counter() - started) * 1e3)
            started = time.perf_counter()
            reader.set_tensor(place["index"], maker.tensor(made["index"])())
            times.append((time.perf_counter() - started) * 1e3)
        medians.append(float(np.median(times)))
    return Handover(HANDOVER_SIZES, tuple(medians), float(np.median(invokes)))
