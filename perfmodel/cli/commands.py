"""The commands by name, each built when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from perfmodel.cli.plain_values import with_plain_values

COMMANDS = (
    *("models", "devices", "inspect", "predict", "compare", "calibrate", "partition", "simulate"),
    *("minspec", "whatif", "select", "report", "validate", "ui", "completion", "doctor"),
)
"""In the order of `--help`; each is a module of this package."""

SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Command(TyperCommand):
    """A command whose options of one value are given at most once (else the last would win)."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, that of `--help` too; they take plain values."""
        return with_plain_values(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; `BadParameter` for an option of one value that stands twice."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        single = [p for p in order if not getattr(p, "is_flag", False) and not _takes_several(p)]
        for parameter in single:
            if single.count(parameter) > 1:
                flag = max(parameter.opts, key=len)
                raise typer.BadParameter(f"{flag} is given twice", ctx=ctx)
        return super().parse_args(ctx, args)


def _takes_several(parameter: Any) -> bool:
    return bool(getattr(parameter, "multiple", False)) or parameter.nargs != 1


def built(name: str) -> Any:
    """The command of a module of this package."""
    alone = typer.Typer(add_completion=False, **SETTINGS)
    alone.command(name, cls=Command)(import_module(f"perfmodel.cli.{name}").command)
    return typer.main.get_command(alone)


def summary(name: str) -> str:
    """The first sentence of a command's help."""
    words = str(import_module(f"perfmodel.cli.{name}").command.__doc__)
    return words.split("\n\n")[0].removesuffix(".")
