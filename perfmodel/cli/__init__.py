"""Commands of the command line, each imported when it runs."""

from __future__ import annotations

from contextvars import ContextVar

command_line: ContextVar[str] = ContextVar("command_line", default="")
"""The command that is running, so that a result can say how to make it again."""
