"""`perfmodel ui`: a page of this machine for the browser."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import Annotated

import typer

from perfmodel.errors import PerfmodelError

NEEDED = ("starlette", "uvicorn")


def command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open.")
    ] = False,
) -> int:
    """A page in the browser: drop a network, pick phones, read the answers. Ctrl-C ends it.

    Nothing leaves this machine: the page is served on 127.0.0.1 and asks nobody else.

    Example: perfmodel ui
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise PerfmodelError(
            "the page needs starlette and uvicorn, which are not installed",
            "pip install 'perfmodel[ui]'",
        )
    import webbrowser
    from threading import Thread

    from perfmodel.cli.streams import flush, say
    from perfmodel.ui.server import serve

    def ready(address: str) -> None:
        say(f"the page is at {address}\nCtrl-C ends it")
        flush()
        if not no_browser:
            # some browsers' starters wait until they are closed
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    with suppress(KeyboardInterrupt):
        serve(port, ready)
    say("ended; the files that were dropped are removed")
    return 0
