"""What every answer of a public function can do: name itself briefly, stand in a notebook, become
a table, a plot or a page."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pandas as pd

LONGEST_REPR = 300
"""Characters of an answer's repr at most: a few lines of a terminal."""

_DESCRIBED_BY = "perfmodel.render.answers"
"""What describes answers stands far above the rooms that give them; it is looked up when asked."""


class Answer:
    """An answer of the `command` that a class is declared with.

    A frozen dataclass that inherits from it keeps its fields, and is described in one place, as its
    command describes it.
    """

    command: ClassVar[str] = ""

    def __init_subclass__(cls, *, command: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if command:
            cls.command = command
        if "__repr__" not in cls.__dict__:
            # a dataclass writes a repr of all its fields unless the class itself has one
            cls.__repr__ = Answer.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return shortened(f"<{type(self).__name__}: {_render().described(self).answer}>")

    def _repr_html_(self) -> str:
        """The answer as a notebook shows it: what its report page holds, without script."""
        html: str = _render().html_of(self)
        return html

    def to_frame(self) -> pd.DataFrame:
        """The answer's rows (kernels, cells, phones, cases, ...) as a pandas table."""
        return _render().frame_of(self)

    def plot(self) -> Any:
        """The answer as an `altair.Chart`.

        Raises `PerfmodelError` where altair is not installed (extra `plot`), or where the answer
        has nothing to draw.
        """
        return _render().chart_of(self)


def shortened(text: str) -> str:
    """At most `LONGEST_REPR` characters of a text in brackets."""
    return text if len(text) <= LONGEST_REPR else f"{text[: LONGEST_REPR - 4]}...>"


def _render() -> Any:
    return importlib.import_module(_DESCRIBED_BY)
