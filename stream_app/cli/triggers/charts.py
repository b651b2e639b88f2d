"""Charts of block characters, as wide as their columns."""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.cli.output import MarkedLine

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PARTS = len(_BLOCKS) - 1


def column_chart(
    values: Sequence[int],
    mark: int,
    height: int = 8,
) -> list[MarkedLine]:
    """Return the lines of a chart with a dotted line at `mark`; it and the largest are labelled.

    If both labels would stand in one row, the larger value gets a row of its own above. That row
    is not to scale.

    Args:
        values: a column each.
        mark: where the line is; columns above it are marked.
        height: of the chart, in lines, two or more.
    """
    largest = max(values)
    top = max(largest, mark, 1)
    mark_row, largest_row = min(height - 1, mark * height // top), -(-largest * height // top) - 1
    if mark_row == largest_row and largest > mark:
        largest_row, top = height, mark
    elif mark_row == largest_row and largest < mark:
        mark_row = height
    labels = {largest_row: f"{largest:,}", mark_row: f"{mark:,}"}
    width = max(map(len, labels.values()))
    heights = [_rows(value, top, largest, height) for value in values]
    lines = []
    for row in reversed(range(max(height, largest_row + 1, mark_row + 1))):
        cells: list[str] = []
        marked: list[int] = []
        for value, rows in zip(values, heights, strict=True):
            filled = max(0, min(_PARTS, round((rows - row) * _PARTS)))
            block = "┈" if not filled and row == mark_row else _BLOCKS[filled]
            if filled and value > mark:
                marked.append(width + len(" │") + len(cells))
            cells.append(block)
        text = f"{labels.get(row, ''):>{width}} │{''.join(cells)}".rstrip()
        lines.append(MarkedLine(text, marked))
    lines.append(MarkedLine(f"{0:>{width}} └{'─' * len(values)}", ()))
    return lines


def _rows(value: int, top: int, largest: int, height: int) -> float:
    """Return how many rows a column fills if `top` fills `height`; larger ones end in one more."""
    if value > top:
        return height + max((value - top) / (largest - top), 1 / _PARTS)
    return max(value / top * height, 1 / _PARTS) if value else 0


def bar(share: float, width: int) -> str:
    """Return a bar of `share` (0 to 1) of a width; any share above 0 is visible."""
    parts = round(share * width * _PARTS)
    if share > 0:
        parts = max(1, parts)
    return "█" * (parts // _PARTS) + "▏▎▍▌▋▊▉█"[parts % _PARTS - 1] * (parts % _PARTS > 0)
