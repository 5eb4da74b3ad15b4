"""Processes that answer, so that a file that takes for ever or breaks one ends that one alone."""

from __future__ import annotations

import asyncio
import json
import signal
import traceback
from collections.abc import Awaitable, Callable, Mapping
from multiprocessing import get_context
from typing import Any

from perfmodel.processes import end_with_parent

WORKERS = 2
"""Two people, or a question and the one after it, are answered at once."""

LONGEST_S = 120.0
"""Seconds for an answer, as the slowest network of the pack over the market takes 15."""

Answer = dict[str, Any]

Gone = Callable[[], Awaitable[bool]]
"""Whether nobody waits for an answer any more: a slider that moves asks and leaves."""


async def _stays() -> bool:
    return False


def serve(link: Any) -> None:
    """The worker: answer requests until the page's process ends."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that ends us
    from perfmodel.ui.jobs import done, warm_up

    warm_up()
    while True:
        request = json.loads(link.recv_bytes())
        try:
            told = done(request)
        except Exception as fault:
            traceback.print_exc()
            told = {"error": f"a fault of perfmodel: {fault!r:.300}", "hint": "please report it"}
        link.send_bytes(json.dumps(told).encode())


class AnswerWorker:
    """A process that answers one request at a time; it is started anew where it ended."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._link, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, request: Mapping[str, Any]) -> Answer:
        """The answer; an error in words where it takes too long or ends the process."""
        try:
            self._link.send_bytes(json.dumps(request).encode())
            if self._link.poll(LONGEST_S):
                return dict(json.loads(self._link.recv_bytes()))
            why = f"this took more than {LONGEST_S:g} s, and was stopped"
        except (EOFError, OSError):
            why = "this ended the process that worked on it (memory may be short)"
        self.stop()
        self._start()
        return {"error": why, "hint": "the command line has no limit of time: try it there"}

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._link.close()


class Workers:
    """Some workers; a question goes to one that is free, or waits for it."""

    def __init__(self, count: int = WORKERS) -> None:
        self._all = [AnswerWorker() for _ in range(count)]
        self._free: asyncio.Queue[AnswerWorker] = asyncio.Queue()
        for worker in self._all:
            self._free.put_nowait(worker)

    async def ask(self, request: Mapping[str, Any], gone: Gone = _stays) -> Answer:
        """The answer of a free worker; nothing where the browser is `gone` before one is free."""
        worker = await self._free.get()
        if await gone():
            self._free.put_nowait(worker)
            return {}
        task = asyncio.create_task(asyncio.to_thread(worker.ask, request))
        # a browser that goes away does not make a busy worker free
        task.add_done_callback(lambda _: self._free.put_nowait(worker))
        return await asyncio.shield(task)

    def stop(self) -> None:
        """End all of them."""
        for worker in self._all:
            worker.stop()
