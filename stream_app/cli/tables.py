"""Lays out tables: as wide as they need in a file or a pipe, readable on a narrow terminal.

In a pipe a row is one line, so that `grep` and `awk` work. On a terminal too narrow for that, texts
are wrapped between words; where even their words do not fit, each row becomes a block of lines. No
word is ever cut, so an id can be copied whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

#: Between two columns.
_GAP = "  "
#: Narrowest column that texts are wrapped in; below, a block is easier to read.
_MIN_WRAPPED = 20


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a table, each as what is a heading in it and the rest.

    Args:
        columns: the headings.
        rows: a text for each column.
        width: of the terminal; None: lines may have any length.
    """
    cells = [columns, *rows]
    natural = [max(cell_len(row[n]) for row in cells) for n in range(len(columns))]
    widths = natural if width is None else _fitted(natural, cells, width)
    if widths is None:
        yield from _blocks(columns, rows, width or 0)
        return
    for number, row in enumerate(cells):
        for line in _row_lines(row, widths):
            yield (line, "") if number == 0 else ("", line)


def block_lines(
    columns: Sequence[str], row: Sequence[str], width: int
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a row as a block: a heading and its text a line, without what is empty."""
    margin = max(map(cell_len, columns)) + len(_GAP)
    for heading, text in zip(columns, row, strict=True):
        lines = wrapped(text, max(width - margin, 1)) if text else []
        for number, line in enumerate(lines):
            yield (_padded("" if number else heading, margin), line)


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most a width; a word that is longer stays whole."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _fitted(natural: Sequence[int], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return widths of columns that fit into a width, or None if no words would."""
    least = [
        max(min(wide, _MIN_WRAPPED), *(cell_len(w) for row in cells for w in row[n].split(" ")))
        for n, wide in enumerate(natural)
    ]
    room = width - len(_GAP) * (len(natural) - 1)
    if sum(least) > room:
        return None
    widths = list(natural)
    while (excess := sum(widths) - room) > 0:
        # The widest gives first, down to the next one that can give.
        giving = [n for n, wide in enumerate(widths) if wide > least[n]]
        widest = max(giving, key=widths.__getitem__)
        below = max((widths[n] for n in giving if widths[n] < widths[widest]), default=0)
        widths[widest] = max(least[widest], below - 1, widths[widest] - excess)
    return widths


def _row_lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = [
        [text] if cell_len(text) <= wide else wrapped(text, wide)
        for text, wide in zip(row, widths, strict=True)
    ]
    for number in range(max(map(len, columns))):
        parts = (lines[number] if number < len(lines) else "" for lines in columns)
        line = _GAP.join(_padded(part, wide) for part, wide in zip(parts, widths, strict=True))
        yield line.rstrip(" ")


def _blocks(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows):
        if number:
            yield "", ""
        yield from block_lines(columns, row, width)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
