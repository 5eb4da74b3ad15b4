"""Running chunks of points: in this process, in processes of this machine, or on a Dask cluster.

Every runner yields (number of the chunk, its rows) as they finish. A worker that dies costs the
chunks it had in hand, which are run again; nothing that was yielded is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.processes import end_with_parent

Points = Sequence[Mapping[str, Any]]
Rows = list[dict[str, Any]]
Job = Callable[[Points], Rows]
Make = Callable[[int], Points]
"""The points of a chunk by its number: chunks are made when they are about to run."""

IN_FLIGHT = 4
"""Chunks a worker has waiting, so that it never waits for us."""

MOST_DEATHS = 3
"""Of worker processes before we give up: one may be bad luck, three are a cause that stays."""


def run_here(job: Job, chunks: Sequence[int], make: Make) -> Iterator[tuple[int, Rows]]:
    """Run the chunks one after the other in this process."""
    for number in chunks:
        yield number, job(make(number))


def run_processes(
    job: Job, chunks: Sequence[int], make: Make, workers: int
) -> Iterator[tuple[int, Rows]]:
    """Run the chunks in `workers` processes; a pool whose worker died is replaced."""
    left = dict.fromkeys(chunks)
    for _ in range(MOST_DEATHS):
        try:
            for number, rows in _pool(job, list(left), make, workers):
                del left[number]
                yield number, rows
            return
        except BrokenProcessPool:
            continue
    raise PerfmodelError(
        f"worker processes died {MOST_DEATHS} times, {len(left)} chunks are left",
        "is memory short? the same command with fewer --workers goes on where this one stopped",
    )


def _pool(job: Job, chunks: Sequence[int], make: Make, workers: int) -> Iterator[tuple[int, Rows]]:
    with ProcessPoolExecutor(
        min(workers, len(chunks)), get_context("spawn"), initializer=end_with_parent
    ) as pool:
        queue, running = iter(chunks), {}  # type: ignore[var-annotated]
        try:
            while True:
                while len(running) < workers * IN_FLIGHT:
                    number = next(queue, None)
                    if number is None:
                        break
                    running[pool.submit(job, make(number))] = number
                if not running:
                    return
                done: set[Future[Rows]] = wait(running, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run_dask(
    job: Job, chunks: Sequence[int], make: Make, address: str
) -> Iterator[tuple[int, Rows]]:
    """Run the chunks on an existing Dask cluster at `address` (tcp://host:port).

    The scheduler gives the chunks of a lost worker to another one. Raises `PerfmodelError` where
    no cluster answers.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise PerfmodelError(
            "--dask needs the package distributed", "pip install 'perfmodel[dask]'"
        ) from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PerfmodelError(
            f"no Dask cluster answers at {address}: {error}",
            "start one with `dask scheduler` and `dask worker`, then give its tcp:// address",
        ) from None
    with client:
        queue = iter(chunks)
        running: dict[Any, int] = {}
        futures = as_completed([], loop=client.loop, with_results=True)

        def submit() -> bool:
            number = next(queue, None)
            if number is None:
                return False
            future = client.submit(job, make(number), pure=False, retries=MOST_DEATHS)
            running[future.key] = number
            futures.add(future)
            return True

        room = IN_FLIGHT * max(sum(client.nthreads().values()), 1)
        while len(running) < room and submit():
            pass
        for future, rows in futures:
            yield running.pop(future.key), rows
            submit()
