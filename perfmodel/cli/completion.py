"""`perfmodel completion`: a shell's own way of asking for what may come next."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from perfmodel.cli.complete import ASKED_BY, BREAKS, LINE
from perfmodel.cli.options import Json
from perfmodel.errors import OutputError, PerfmodelError

_BASH = f"""\
# completion of perfmodel for bash
_perfmodel() {{
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("$line")
    done < <({ASKED_BY}=bash {LINE}="${{COMP_LINE:0:COMP_POINT}}" \\
        {BREAKS}="$COMP_WORDBREAKS" "$1" 2>/dev/null; echo)
}}
complete -o default -o nosort -F _perfmodel perfmodel
"""
_ZSH = f"""\
# completion of perfmodel for zsh
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}
_perfmodel() {{
    local -a found
    found=("${{(@f)$({ASKED_BY}=zsh ${{words[1]}} "${{(@Q)words[2,CURRENT]}}" 2>/dev/null)}}")
    if [[ -n "$found[1]" ]]; then compadd -U -- "${{found[@]}}"; else _files; fi
}}
compdef _perfmodel perfmodel
"""
_FISH = f"""\
# completion of perfmodel for fish
function __perfmodel_complete
    set -l before (commandline -opc)
    set -l last (string unescape -- (commandline -ct))
    set -l found (env {ASKED_BY}=fish $before[1] $before[2..-1] "$last" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c perfmodel -f -a '(__perfmodel_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(SCRIPTS)


def command(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish; else the one of $SHELL.")] = "",
    install: Annotated[
        bool, typer.Option("--install", help="Make new shells complete by themselves.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Complete commands, options, networks, targets and phones by Tab in your shell.

    For one shell: eval "$(perfmodel completion bash)". For all to come: --install.

    Example: perfmodel completion bash
    """
    from perfmodel.cli.output import show
    from perfmodel.cli.streams import say
    from perfmodel.render.result import Result

    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        named = (
            f"the shell {shell!r} is" if shell else "no shell is named, and SHELL says none: it is"
        )
        raise PerfmodelError(f"{named} none of {', '.join(SHELLS)}", "perfmodel completion bash")
    written = [str(path) for path in installed(shell)] if install else []
    if not install and not as_json:
        say(SCRIPTS[shell].removesuffix("\n"))
        return 0
    result = Result(
        title="Completion",
        answer=f"new {shell} shells complete perfmodel's commands, options, networks and targets",
        data={"shell": shell, "script": SCRIPTS[shell], "written": written},
        closing=[f"wrote {path}" for path in written],
    )
    show(result, as_json)
    return 0


def installed(shell: str) -> list[Path]:
    """Write a shell's script where it is read, and the line that reads it; the files changed."""
    from perfmodel.files import write_atomically

    script, start = script_file(shell), start_file(shell)
    changed = []
    if not script.is_file() or script.read_text(encoding="utf-8") != SCRIPTS[shell]:
        write_atomically(script, SCRIPTS[shell])
        changed.append(script)
    if start is not None and not reads(start, script):
        try:
            # appended to, not replaced: it may be a link into a folder that is kept elsewhere
            with open(start, "a", encoding="utf-8") as file:
                file.write(f"\n{source_line(script)}\n")
        except OSError as error:
            raise OutputError(f"{start}: cannot be written: {error.strerror or error}") from None
        changed.append(start)
    return changed


def is_installed(shell: str) -> bool:
    """Whether new shells of this sort complete perfmodel, by what `installed` writes."""
    script, start = script_file(shell), start_file(shell)
    return script.is_file() and (start is None or reads(start, script))


def source_line(script: Path) -> str:
    """The line of a shell's start file that reads the script."""
    return f"source {shlex.quote(str(script))}"


def reads(start: Path, script: Path) -> bool:
    """Whether a start file has the line that reads the script."""
    try:
        return source_line(script) in start.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def script_file(shell: str) -> Path:
    """Where a shell's script is kept: fish reads it there by itself."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or _home() / ".config")
    if shell == "fish":
        return config / "fish" / "completions" / "perfmodel.fish"
    return config / "perfmodel" / f"completion.{shell}"


def start_file(shell: str) -> Path | None:
    """The file that a shell reads when it starts; None where it needs no line there."""
    if shell == "fish":
        return None
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or _home()) / ".zshrc"
    return _home() / ".bashrc"


def _home() -> Path:
    home = os.path.expanduser("~")
    if not os.path.isabs(home) or os.environ.get("HOME") == "":
        raise PerfmodelError(
            "there is no home folder to install the completion in",
            'use it in one shell: eval "$(perfmodel completion bash)"',
        )
    return Path(home)
