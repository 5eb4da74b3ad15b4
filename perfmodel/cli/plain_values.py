"""Values of options that need no reading: they are taken as they are, and typer starts quicker.

typer reads every value by pydantic, the import of which takes a quarter of a short command's time.
What is not given, a default, a word in ASCII and a plain number in its bounds would come out of it
as they went in; whatever else is given goes typer's way, with its checks and its errors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

_NUMBERS: dict[type, re.Pattern[str]] = {
    int: re.compile(r"0|[1-9][0-9]{0,8}"),
    float: re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?"),
}
"""Numbers that everybody reads alike."""

OTHER = object()
"""What stands for a value that typer is to read."""


def with_plain_values(parameters: list[Any]) -> list[Any]:
    """The parameters of a command, which from now on take plain values without typer's reading."""
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            _take_plain_values(parameter)
    return parameters


def _take_plain_values(parameter: Any) -> None:
    """Let a parameter take plain values.

    Versions of typer that know no `type_descriptor` read values by themselves, quickly.
    """
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None:
        return
    info, annotation = descriptor.parameter_info, descriptor.annotation
    several = parameter.multiple or parameter.nargs != 1
    if several and (get_origin(annotation) is not list or parameter.nargs not in (1, -1)):
        return
    kind = get_args(annotation)[0] if several else annotation
    usual: Callable[[Any, Any], Any] = parameter.process_value

    def process_value(context: Any, value: Any) -> Any:
        found: Any
        if value is None:
            found = OTHER if parameter.required else (() if several else None)
        elif not several:
            found = plain_value(kind, value, info)
        elif isinstance(value, (list, tuple)) and value:
            found = [plain_value(kind, one, info) for one in value]
        else:
            found = OTHER
        if found is OTHER or (several and OTHER in found):
            return usual(context, value)
        callback = parameter.callback
        return found if callback is None else callback(context, parameter, found)

    parameter.process_value = process_value


def plain_value(kind: Any, value: Any, info: Any) -> Any:
    """A value as typer would read it for a kind of parameter, or `OTHER` where that is not plain.

    `info` are the parameter's settings.
    """
    if info.parser is not None:
        return OTHER
    if kind in (str, bool, int, float) and type(value) is kind and kind is not str:
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return OTHER
    if kind is str:
        return value
    if kind is Path:
        return _path(value, info)
    form = _NUMBERS.get(kind)
    if form is None or not form.fullmatch(value):
        return OTHER
    number = kind(value)
    low = number if info.min is None else info.min
    high = number if info.max is None else info.max
    return number if low <= number <= high else OTHER


def _path(value: str, info: Any) -> Any:
    """The path of a text where nothing has to be said of what lies there."""
    if not (info.file_okay and info.dir_okay and value):
        return OTHER
    if info.exists or info.writable or info.resolve_path or info.allow_dash or info.path_type:
        return OTHER
    return OTHER if os.path.exists(value) and not os.access(value, os.R_OK) else Path(value)
