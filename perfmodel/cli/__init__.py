"""Commands of the command line, each imported when it runs."""

from __future__ import annotations

from contextlib import ExitStack
from contextvars import ContextVar

command_line: ContextVar[str] = ContextVar("command_line", default="")
"""The command that is running, so that a result can say how to make it again."""

claims: ContextVar[ExitStack | None] = ContextVar("claims", default=None)
"""The outputs that the running command has claimed; they are let go when it ends."""

notices: ContextVar[tuple[str, ...]] = ContextVar("notices", default=())
"""What the running command left out and told on stderr, so that its JSON says so too."""
