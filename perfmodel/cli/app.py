"""The command line: parse, call one function, render, exit code.

Exit codes: 0 an answer, 1 the answer is "no" or a check failed, 2 bad input. A command is the
function `command` of the module of its name, which is imported when the command is asked for.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from perfmodel.cli import claims, command_line, complete, notices, streams
from perfmodel.cli.commands import COMMANDS, SETTINGS, built, summary
from perfmodel.cli.plain_values import with_plain_values
from perfmodel.errors import PerfmodelError, ProfileWarning, bounded, printable

UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]
"""Base class of all that typer finds wrong with a command line; it has no public name there."""


class Commands(TyperGroup):
    """The group of all commands; each is built when it is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(Any, dict.fromkeys(COMMANDS))

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters before a command, that of `--help` too; they take plain values."""
        return with_plain_values(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of `--help`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        if self.commands[cmd_name] is None:
            self.commands[cmd_name] = built(cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by the first sentence of each, without building them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in COMMANDS])


app = typer.Typer(
    cls=Commands, name="perfmodel", no_args_is_help=True, add_completion=False, **SETTINGS
)


def _version(asked: bool) -> None:
    if asked:
        import perfmodel as package

        streams.say(f"perfmodel {package.__version__}")
        raise typer.Exit


@app.callback()
def perfmodel(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which version."),
    ] = False,
) -> None:
    """How fast will this network run on that hardware, and what should I do about it?"""


INTERRUPTED = 130
"""Exit code after Ctrl-C, by the shells' rule of 128 + the signal."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    streams.prepare()
    if complete.ASKED_BY in os.environ:
        sys.exit(complete.main())
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Errors never show a traceback."""
    as_json = "--json" in arguments
    command_line.set(shlex.join(["perfmodel", *(a for a in arguments if a != "--json")]))
    notices.set(())
    if streams.closed():
        return _report("output", "stdout is closed: there is nowhere to answer", "", False)
    with ExitStack() as outputs, _noting():
        claims.set(outputs)
        return _answered(arguments, as_json)


def _answered(arguments: list[str], as_json: bool) -> int:
    try:
        code = app(arguments or ["--help"], prog_name="perfmodel", standalone_mode=False)
        streams.flush()
        if code == INTERRUPTED:
            # typer turns the interrupt into this code by itself, without a word
            raise KeyboardInterrupt
    except PerfmodelError as error:
        as_json = as_json and not isinstance(error, streams.StdoutError)
        return _report(error.kind, error.message, error.hint, as_json)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except UsageProblem as error:
        context = getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else ""
        return _report("usage", str(cast(Any, error).format_message()), hint, as_json)
    except (streams.ReaderGone, BrokenPipeError):
        # the reader of our output (head, less) went away: that is no error of ours
        streams.give_up(sys.stdout)
        return 0
    except OSError as error:
        # a disk that is full, a file that went away meanwhile: what outputs' checks cannot foresee
        place = f"{error.filename}: " if error.filename else streams.name_if_broken()
        return _report("file", f"{place}{error.strerror or error}", "", as_json)
    except MemoryError:
        return _report("memory", "there is not enough memory for this", "", as_json)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


@contextmanager
def _noting() -> Iterator[None]:
    """Tell of profiles that are left out in a line of stderr each, once."""

    def note(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
        if not issubclass(category, ProfileWarning):
            shown_before(message, category, *place, **named)
        elif str(message) not in notices.get():
            notices.set((*notices.get(), str(message)))
            print(f"perfmodel: warning: {printable(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        shown_before = warnings.showwarning
        warnings.simplefilter("always", ProfileWarning)
        warnings.showwarning = cast(Any, note)
        yield


def _report(kind: str, message: str, hint: str, as_json: bool) -> int:
    """Tell an error, as JSON on stdout or in words on stderr, where stdout takes nothing too."""
    message, hint = bounded(message), bounded(hint)
    if as_json:
        try:
            streams.say(json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}))
            return 2
        except (OSError, streams.StdoutError):
            pass  # then in words on stderr
    if streams.name_if_broken():
        streams.give_up(sys.stdout)
    lines = [f"perfmodel: {printable(message)}", *([f"  {printable(hint)}"] if hint else [])]
    with suppress(OSError):
        print("\n".join(lines), file=sys.stderr)
    return 2
