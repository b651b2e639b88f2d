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
    """Return the lines of a chart with a dotted line at `mark`.

    Args:
        values: a column each.
        mark: where the line is; columns above it are marked.
        height: of the chart, in lines.
    """
    top = max(*values, mark, 1)
    mark_row = min(height - 1, mark * height // top)
    width = max(len(f"{top:,}"), len(f"{mark:,}"))
    lines = []
    for row in reversed(range(height)):
        label = f"{mark:,}" if row == mark_row else f"{top:,}" if row == height - 1 else ""
        cells: list[str] = []
        marked: list[int] = []
        for value in values:
            filled = max(0, min(_PARTS, round((value / top * height - row) * _PARTS)))
            if row == 0 and value:
                filled = max(1, filled)
            block = "┈" if not filled and row == mark_row else _BLOCKS[filled]
            if filled and value > mark:
                marked.append(width + len(" │") + len(cells))
            cells.append(block)
        lines.append(MarkedLine(f"{label:>{width}} │{''.join(cells)}".rstrip(), marked))
    lines.append(MarkedLine(f"{0:>{width}} └{'─' * len(values)}", ()))
    return lines


def bar(share: float, width: int) -> str:
    """Return a bar of `share` (0 to 1) of a width; any share above 0 is visible."""
    parts = round(share * width * _PARTS)
    if share > 0:
        parts = max(1, parts)
    return "█" * (parts // _PARTS) + "▏▎▍▌▋▊▉█"[parts % _PARTS - 1] * (parts % _PARTS > 0)
