"""Charts of block characters, as wide as their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PARTS = len(_BLOCKS) - 1


def column_chart(
    values: Sequence[int],
    mark: int,
    height: int = 8,
    paint: Callable[[str], str] = lambda text: text,
) -> list[str]:
    """Return the lines of a chart with a dotted line at `mark`.

    Args:
        values: a column each.
        mark: where the line is; columns above it are painted.
        height: of the chart, in lines.
        paint: what is done to what is painted.
    """
    top = max(*values, mark, 1)
    mark_row = min(height - 1, mark * height // top)
    width = max(len(f"{top:,}"), len(f"{mark:,}"))
    lines = []
    for row in reversed(range(height)):
        label = f"{mark:,}" if row == mark_row else f"{top:,}" if row == height - 1 else ""
        cells = []
        for value in values:
            filled = max(0, min(_PARTS, round((value / top * height - row) * _PARTS)))
            if row == 0 and value:
                filled = max(1, filled)
            block = "┈" if not filled and row == mark_row else _BLOCKS[filled]
            cells.append(paint(block) if filled and value > mark else block)
        lines.append(f"{label:>{width}} │{''.join(cells)}".rstrip())
    lines.append(f"{0:>{width}} └{'─' * len(values)}")
    return lines


def bar(share: float, width: int) -> str:
    """Return a bar that is `share` (0 to 1) of a width; what is above 0 is seen."""
    parts = round(share * width * _PARTS)
    if share > 0:
        parts = max(1, parts)
    return "█" * (parts // _PARTS) + "▏▎▍▌▋▊▉█"[parts % _PARTS - 1] * (parts % _PARTS > 0)
