"""Fixtures of the local page's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ui_server import Client, owner, served

from perfmodel.ui.jobs import done


class HereAtOnce:
    """Answers in this process: what a worker does, without the start of one."""

    async def ask(self, request: Any, gone: Any = None) -> dict[str, Any]:
        return done(request)

    def stop(self) -> None:
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of a page whose answers are made in this process."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    from perfmodel.ui import server

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "Workers", HereAtOnce)
        with served(server.application()) as found:
            yield found


@pytest.fixture(scope="session")
def client(address: str) -> Client:
    """The owner's browser."""
    return owner(address)
