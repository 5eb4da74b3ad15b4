"""A page that is served in this process, and a browser without a screen that asks it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

SMALL = """7767517
3 3
Input data 0 1 data 0=224 1=224 2=3
Convolution conv 1 1 data conv 0=64 1=3 5=1 6=1728
ReLU relu 1 1 conv relu
"""
"""A network of ncnn of one convolution."""


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Client:
    """Requests with the cookie that the token gave."""

    host: str
    cookie: str = ""
    origin: str = field(default="")

    def ask(
        self, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        link = http.client.HTTPConnection(self.host, timeout=60)
        sent = {"Cookie": self.cookie, **headers}
        link.request(method, path, body, {k: v for k, v in sent.items() if v})
        got = link.getresponse()
        reply = Reply(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        link.close()
        return reply

    def answer(self, **fields: Any) -> dict[str, Any]:
        return self.ask("/answer?" + urlencode(fields, doseq=True)).json

    def drop(self, name: str, content: Any, drop: str = "") -> Reply:
        return self.ask("/files?" + urlencode({"name": name, "drop": drop}), "POST", content)


@contextmanager
def served(application: Any) -> Iterator[str]:
    """Serve an application in a thread; gives the address with its token."""
    import uvicorn

    from perfmodel.ui.guard import Guard
    from perfmodel.ui.server import listening

    with listening(0) as opened:
        guard = Guard(application, opened.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(guard, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield guard.address()
        finally:
            server.should_exit = True
            thread.join()


def owner(address: str) -> Client:
    """A client that opened the address."""
    parts = urlsplit(address)
    client = Client(parts.netloc)
    reply = client.ask(f"{parts.path}?{parts.query}")
    assert reply.status == 303
    client.cookie = reply.headers["set-cookie"].split(";")[0]
    return client
