"""The page over HTTP: Starlette's routes, uvicorn's server, on an address of this machine alone."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from perfmodel.errors import PerfmodelError
from perfmodel.ui.guard import Guard
from perfmodel.ui.page import page, script, style
from perfmodel.ui.uploads import MAX_FILE_BYTES, Uploads, too_large
from perfmodel.ui.workers import Workers

HOST = "127.0.0.1"


class Page:
    """What the routes share: the files that were dropped and the workers that answer."""

    def __init__(self, started: Callable[[], object]) -> None:
        self.uploads = Uploads()
        self._started = started
        self._workers: Workers | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """End the workers, and remove the files, when the server ends."""
        try:
            # the server takes Ctrl-C by now, and its socket listens
            self._started()
            yield
        finally:
            if self._workers is not None:
                self._workers.stop()
            self.uploads.close()

    async def workers(self) -> Workers:
        """The workers, started when they are asked for first."""
        if self._workers is None:
            self._workers = Workers()
        return self._workers

    async def index(self, _: Request) -> Response:
        """The page."""
        return HTMLResponse(page())

    async def style(self, _: Request) -> Response:
        """Its styles."""
        return Response(style(), media_type="text/css")

    async def script(self, _: Request) -> Response:
        """Its script, the last that a browser asks for: what follows does not delay the page."""
        started = BackgroundTask(self.workers)
        return Response(script(), media_type="text/javascript", background=started)

    async def suggest(self, request: Request) -> Response:
        """Names that a text may become."""
        from perfmodel.devices.suggest import devices_like, networks_like

        of = {"model": networks_like, "on": devices_like}.get(request.query_params.get("of", ""))
        text = request.query_params.get("text", "")
        return JSONResponse({"names": of(text) if of else []})

    async def upload(self, request: Request) -> Response:
        """Keep a file of a drop."""
        name = request.query_params.get("name", "")
        try:
            if _length(request) > MAX_FILE_BYTES:
                raise too_large(name)
            drop = request.query_params.get("drop", "")
            kept = await self.uploads.keep(drop, name, request.stream())
            return JSONResponse({"drop": kept})
        except PerfmodelError as error:
            return _refused(error)

    async def answer(self, request: Request) -> Response:
        """The results of a question, as HTML in JSON."""
        try:
            return JSONResponse(await self._asked(request, None))
        except PerfmodelError as error:
            return _refused(error, 200)  # an error in words is an answer too

    async def report(self, request: Request) -> Response:
        """A result's report page, to save."""
        try:
            part = request.query_params.get("part", "0")
            found = await self._asked(
                request, int(part) if re.fullmatch("[0-9]{1,3}", part) else -1
            )
        except PerfmodelError as error:
            return _refused(error)
        if "page" not in found:
            return JSONResponse(found, status_code=400)
        words = re.sub(r"[^\w.-]+", "-", found["title"]).strip("-")[:80] or "report"
        name = f"attachment; filename*=UTF-8''{quote(words)}.html"
        return HTMLResponse(found["page"], headers={"content-disposition": name})

    async def _asked(self, request: Request, part: int | None) -> dict[str, Any]:
        fields = {k: request.query_params.getlist(k) for k in request.query_params}
        folder = self.uploads.folder(request.query_params.get("drop", ""))
        workers = await self.workers()
        asked = {"fields": fields, "folder": str(folder), "part": part}
        return await workers.ask(asked, request.is_disconnected)


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _refused(error: PerfmodelError, status: int = 400) -> Response:
    return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)


def application(started: Callable[[], object] = lambda: None) -> Starlette:
    """The routes; `Guard` says who may ask. `started` is called when the server serves."""
    shown = Page(started)
    routes = [
        Route("/", shown.index),
        Route("/style.css", shown.style),
        Route("/script.js", shown.script),
        Route("/suggest", shown.suggest),
        Route("/answer", shown.answer),
        Route("/report", shown.report),
        Route("/files", shown.upload, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=shown.lifespan)


def listening(port: int) -> socket.socket:
    """A socket of this machine's own address; port 0 means any that is free."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
    except OSError as error:
        opened.close()
        raise PerfmodelError(
            f"port {port} cannot be used: {error.strerror or error}",
            "leave --port out: any free one is taken",
        ) from None
    opened.listen()
    return opened


def serve(port: int, ready: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C; `ready` gets the address as soon as it can be opened.

    Raises `PerfmodelError` where the port is taken.
    """
    with listening(port) as opened:
        served = application(lambda: ready(guard.address()))
        guard = Guard(served, opened.getsockname()[1])
        settings = uvicorn.Config(
            guard, log_level="error", access_log=False, server_header=False, ws="none"
        )
        uvicorn.Server(settings).run(sockets=[opened])
