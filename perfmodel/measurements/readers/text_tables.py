"""Tables in a text: Markdown, a grid of lines, or cells parted by tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import bad_input

_BAR = chr(0x2502)
"""The upright line between the cells of a grid."""
_RULE = frozenset("|+-=: \t") | frozenset(chr(code) for code in range(0x2500, 0x2580))


def cells_of(line: str) -> list[str]:
    """The cells of a line, stripped."""
    if "\t" in line and "|" not in line and _BAR not in line:
        return [cell.strip() for cell in line.split("\t")]
    return [cell.strip() for cell in line.strip().strip("|" + _BAR).replace(_BAR, "|").split("|")]


def has_header(source: SourceText, needed: frozenset[str]) -> bool:
    """Whether a line of the text names the columns of a table."""
    some = min(needed)
    return any(needed <= set(cells_of(line)) for line in source.log.splitlines() if some in line)


def table_rows(
    source: SourceText,
    needed: frozenset[str],
    check_header: Callable[[Sequence[str], int], None] = lambda header, line: None,
) -> Iterator[tuple[Mapping[str, str], int]]:
    """Cells by column, and the line, of each row below a header that names the needed columns.

    MeasurementError for a row that has not the header's number of cells, or no end.
    """
    header: list[str] = []
    for number, line in enumerate(source.lines, 1):
        cells = cells_of(line)
        barred = line.lstrip()[:1] in ("|", _BAR)
        if needed <= set(cells):
            header = cells
            check_header(header, number)
        elif not line.strip() or (
            header and not barred and "\t" not in line and not _is_rule(line)
        ):
            header = []
        elif header and not _is_rule(line):
            if len(cells) != len(header) or (barred and line.rstrip()[-1] not in ("|", _BAR)):
                reason = f"{len(cells)} cells where the table's header has {len(header)}"
                raise bad_input(source.path, number, reason, "the file may be cut off")
            yield dict(zip(header, cells, strict=True)), number


def _is_rule(line: str) -> bool:
    return set(line) <= _RULE
