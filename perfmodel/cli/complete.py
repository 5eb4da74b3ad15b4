"""What a command line that is being typed may go on with: a shell asks at each press of Tab.

Nothing that computes is imported here: an answer later than a tenth of a second is felt.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASKED_BY = "_PERFMODEL_COMPLETE"
"""Environment: the shell that asks; then the arguments are the words up to the cursor."""

LINE, BREAKS = "_PERFMODEL_LINE", "_PERFMODEL_BREAKS"
"""Environment of bash, which splits words at more than spaces: the line up to the cursor, and the
characters at which it splits."""

MOST = 200
"""Names that are offered at once."""

SHORTEST_PHONE = 3
"""Characters of a name from which on phones of the market are offered: there are thousands."""

MODEL_SUFFIXES = (".tflite", ".onnx", ".param", ".prototxt")

_SPECIAL = re.compile(r"([^\w@%+=:,./~-])")
"""What a word of bash has only behind a backslash."""


@dataclass(frozen=True)
class Typed:
    """A line of bash: its whole words, and the last one as it stands and as it is meant.

    `quote` is the quotation mark that is still open in the last word, empty where there is none.
    """

    words: tuple[str, ...]
    raw: str
    meant: str
    quote: str


def answer(shell: str, arguments: Sequence[str]) -> str:
    """Candidates for a shell, one a line; nothing where files or free text are meant."""
    if shell != "bash":
        *words, last = arguments or [""]
        return "\n".join(candidates(words, last))
    typed = parsed(os.environ.get(LINE, ""))
    found = candidates(typed.words[1:], typed.meant)
    # bash replaces only what stands behind the last of the characters at which it splits
    breaks = set(os.environ.get(BREAKS, "")) - set(" \t\n\"'")
    held = 0 if typed.quote else 1 + max((typed.meant.rfind(c) for c in breaks), default=-1)
    shown = (name[held:] for name in found)
    return "\n".join(shown if typed.quote else (_SPECIAL.sub(r"\\\1", name) for name in shown))


def parsed(line: str) -> Typed:
    """The words of a line as bash reads them; the last is the one that is being typed."""
    words, raw, meant, quote, place = [], "", "", "", 0
    while place < len(line):
        char = line[place]
        place += 1
        if not quote and char.isspace():
            if raw:
                words.append(meant)
            raw = meant = ""
            continue
        raw += char
        if char == "\\" and quote != "'" and place < len(line):
            raw, meant = raw + line[place], meant + line[place]
            place += 1
        elif char in "\"'" and quote in ("", char):
            quote = "" if quote else char
        else:
            meant += char
    return Typed(tuple(words), raw, meant, quote)


def candidates(words: Sequence[str], typed: str) -> list[str]:
    """What `typed`, the word after `words`, may become; `words` are those after `perfmodel`."""
    from perfmodel.cli.commands import COMMANDS, built

    command = next((w for w in words if not w.startswith("-")), "")
    if command not in COMMANDS:
        general = ("--help", "--version") if typed.startswith("-") else COMMANDS
        return _beginning(general, typed) if not command else []
    parameters = built(command).params
    flags = {flag: p for p in parameters if p.param_type_name == "option" for flag in p.opts}
    waiting, places = _walked(words[words.index(command) + 1 :], flags)
    if waiting is not None:
        return _values(command, waiting.name, typed)
    flag, equals, value = typed.partition("=")
    if equals and flag in flags:
        return [f"{flag}={found}" for found in _values(command, flags[flag].name, value)]
    if typed.startswith("-"):
        given = {flags[w.partition("=")[0]].name for w in words if w.partition("=")[0] in flags}
        left = (f for f, p in flags.items() if p.multiple or p.name not in given)
        return _beginning([f for f in (*left, "--help") if f.startswith("--")], typed)
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    if not arguments or (places >= len(arguments) and arguments[-1].nargs != -1):
        return []
    return _values(command, arguments[min(places, len(arguments) - 1)].name, typed)


def _walked(words: Sequence[str], flags: dict[str, Any]) -> tuple[Any, int]:
    """The option that waits for its value after these words, and how many arguments they give."""
    waiting, places = None, 0
    for word in words:
        if waiting is not None:
            waiting = None
        elif word in flags:
            waiting = None if flags[word].is_flag else flags[word]
        elif not word.startswith("-"):
            places += 1
    return waiting, places


def _values(command: str, name: str, typed: str) -> list[str]:
    named = VALUES.get(f"{command} {name}", VALUES.get(name))
    return named(typed)[:MOST] if named is not None else []


def _beginning(names: Iterable[str], typed: str) -> list[str]:
    """The names that begin as a text does, in capitals or not, each once."""
    low = typed.lower()
    return list(dict.fromkeys(name for name in names if name.lower().startswith(low)))


def networks(typed: str) -> list[str]:
    """Networks by name, and files of networks and folders where some begin so."""
    from perfmodel.zoo.pack import network_names

    found = _beginning(network_names(), typed)
    folder, _, start = typed.rpartition("/")
    place = Path(folder or ("/" if typed.startswith("/") else "."))
    if not typed or not place.is_dir():
        return found
    files = [
        name + ("/" if (place / name).is_dir() else "")
        for name in sorted(os.listdir(place))
        if name.startswith(start) and (name.endswith(MODEL_SUFFIXES) or (place / name).is_dir())
    ]
    return found + [typed.removesuffix(start) + name if start else typed + name for name in files]


def targets(typed: str) -> list[str]:
    """Devices and phones; from the first slash on, and where one device is left, its targets."""
    from perfmodel.devices.market_search import find

    device, slash, _ = typed.partition("/")
    lines = _lines()
    if not slash:
        found = devices(typed)
        return found + (_next_part(lines, found[0] + "/") if len(found) == 1 else [])
    parts = _next_part(lines, typed)
    chips = find(device).chips if not parts else ()
    units = ("cpu", *(("gpu",) if any(chip.gpu_gflops for chip in chips) else ()))
    return parts or _beginning([f"{device}/{unit}" for unit in units] if chips else [], typed)


def _next_part(lines: Sequence[dict[str, Any]], typed: str) -> list[str]:
    """Targets that begin so, up to the next slash after what is typed."""
    found = _beginning((line["target"] for line in lines), typed)
    length = typed.count("/") + 1
    return list(dict.fromkeys("/".join(target.split("/")[:length]) for target in found))


def devices(typed: str) -> list[str]:
    """Devices with profiles, the user's too, and phones and chips of the market."""
    from perfmodel.devices.market import chips, phone_titles

    own = [*dict.fromkeys(line["device"] for line in _lines()), *_own_devices()]
    found = _beginning(sorted(own), typed)
    if len(typed) < SHORTEST_PHONE:
        return found
    found += _beginning((chip.name for chip in chips().values()), typed)
    low = typed.lower()
    for title, model in phone_titles():
        if title.lower().startswith(low):
            found.append(title)
        elif model.lower().startswith(low):
            found.append(model)
    return list(dict.fromkeys(found))


def _own_devices() -> list[str]:
    from perfmodel.devices.user_profiles import user_folder

    folder = user_folder()
    return [path.stem for path in folder.glob("*.json")] if folder is not None else []


def _lines() -> list[dict[str, Any]]:
    """The index of the targets that ship, as `perfmodel devices` lists them."""
    from perfmodel.devices.profile_files import INDEX_NAME, builtin_folder

    found: list[dict[str, Any]] = json.loads((builtin_folder() / INDEX_NAME).read_bytes())
    return found


def kinds(typed: str) -> list[str]:
    """Kinds of devices."""
    return _beginning(sorted({line["kind"] for line in _lines()}), typed)


def _of(module: str, constant: str) -> Callable[[str], list[str]]:
    """Completion by the words of a constant of a module that is quick to import."""

    def complete(typed: str) -> list[str]:
        from importlib import import_module

        return _beginning(getattr(import_module(f"perfmodel.{module}"), constant), typed)

    return complete


VALUES: dict[str, Callable[[str], list[str]]] = {
    **dict.fromkeys(("on", "server"), targets),
    **dict.fromkeys(("like", "chip", "devices match"), devices),
    **dict.fromkeys(("model", "models", "models match"), networks),
    "kind": kinds,
    "unit": _of("target", "UNITS"),
    "precision": _of("target", "PRECISIONS"),
    "predict kind": _of("target", "LATENCY_KINDS"),
    "compare suite": _of("cli.compare", "SUITES"),
    "validate experiment": _of("cli.validate", "EXPERIMENTS"),
    "calibrate source": _of("cli.calibrate", "HARDWARE"),
    "completion shell": _of("cli.completion", "SHELLS"),
}
"""By parameter, of one command or of all: what completes its value. Others are free text or files,
which the shell completes by itself."""


def main() -> int:
    """Answer the shell that asks; a completion never fails, it offers nothing."""
    try:
        sys.stdout.write(answer(os.environ[ASKED_BY], sys.argv[1:]))
        sys.stdout.flush()
    except Exception:
        # whatever is wrong, the command itself will say: between two keys there is no place for it
        return 1
    return 0
