"""The findings of a backtest as one HTML page: charts are inline SVG, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from stream_app.cli.triggers.report_text import counted, headline, rate_text, summary
from stream_app.domain.backtest.findings import Findings, ThresholdRow, Window
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.times import iso_utc

COLUMNS = 240
_WIDTH, _HEIGHT, _LEFT = 960, 220, 60
_BAR_HEIGHT, _BAR_GAP, _BAR_LEFT, _BAR_WIDTH = 16, 6, 90, 360
#: Steps of the time axis, the least distance of its marks, and the room for its ends.
MAX_TICKS, _ROOM, _DAY_MS = 9, 160, 86_400_000
_TICKS_MS = (60_000, 600_000, 3_600_000, 6 * 3_600_000, *(n * _DAY_MS for n in (1, 7, 28)))
#: How many fired windows are listed; JSON has all.
SHOWN_FIRED = 200

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #667; --bar: #5b8def; --hot: #d64545;
  --paper: #fff; --line: #dde; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #99a; --paper: #14171f;
  --line: #334; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; } small, .soft { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.bar { fill: var(--bar); } .hot { fill: var(--hot); }
.limit { stroke: var(--ink); stroke-dasharray: 4 4; } .axis { stroke: var(--soft); }
"""


def page(found: Findings, top: int) -> str:
    """Return the page. Text from events and configuration is escaped."""
    title = _text(headline(found))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"/>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>',
        '<meta name="viewport" content="width=device-width"/>',
        f"<title>Backtest: {title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        *(f"<p>{_text(line)}</p>" for line in summary(found)),
    ]
    if found.events:
        parts += [
            "<h2>Largest window over time</h2>",
            _timeline(found),
            "<h2>What a threshold would have meant</h2>",
            _threshold_bars(found.rows),
            _threshold_table(found.rows),
            "<h2>Busiest windows</h2>",
            _busiest(found, found.busiest(top)),
            "<h2>Fired</h2>",
            _fired(found.fired),
        ]
    return "\n".join([*parts, "</body></html>", ""])


def _timeline(found: Findings) -> str:
    values = found.timeline(COLUMNS)
    top = max(*values, found.threshold, 1)
    step = (_WIDTH - _LEFT) / len(values)

    def height(value: int) -> float:
        return value / top * (_HEIGHT - 40)

    base, limit = _HEIGHT - 20, _HEIGHT - 20 - height(found.threshold)
    bars = [
        f'<rect class="{"hot" if value > found.threshold else "bar"}" '
        f'x="{_LEFT + number * step:.1f}" y="{base - height(value):.1f}" '
        f'width="{max(step - 0.5, 0.5):.1f}" height="{height(value):.1f}">'
        f"<title>{_time_at(found, number / len(values))}: {value:,}</title></rect>"
        for number, value in enumerate(values)
        if value
    ]
    return "\n".join(
        [
            _svg(_HEIGHT, "Largest count of a window over time"),
            *bars,
            f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH}" y2="{base}"/>',
            f'<line class="limit" x1="{_LEFT}" y1="{limit:.1f}" x2="{_WIDTH}" y2="{limit:.1f}"/>',
            _label(_LEFT - 6, limit + 4, f"{found.threshold:,}"),
            "" if top == found.threshold else _label(_LEFT - 6, 24, f"{top:,}"),
            *_ticks(found, base),
            f'<text x="{_LEFT}" y="{_HEIGHT - 4}">{iso_utc(found.from_ms)}</text>',
            _label(_WIDTH, _HEIGHT - 4, iso_utc(found.to_ms)),
            "</svg>",
        ]
    )


def _time_at(found: Findings, share: float) -> str:
    """Return the time at a share of the range."""
    return iso_utc(found.from_ms + int(share * (found.to_ms - found.from_ms)))


def _ticks(found: Findings, base: int) -> Iterator[str]:
    """Yield a mark at each hour, day or week, and its label where there is room."""
    length = found.to_ms - found.from_ms
    step = next((ms for ms in _TICKS_MS if length <= MAX_TICKS * ms), 0)
    begin = -(-found.from_ms // step) * step if step else found.to_ms
    for at_ms in range(begin, found.to_ms, step or 1):
        x = _LEFT + (at_ms - found.from_ms) / length * (_WIDTH - _LEFT)
        yield f'<line class="axis" x1="{x:.1f}" y1="{base}" x2="{x:.1f}" y2="{base + 5}"/>'
        if _LEFT + _ROOM < x < _WIDTH - _ROOM:
            text = iso_utc(at_ms)
            name = text[5:10] if step >= _DAY_MS else text[11:16]
            yield f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{name}</text>'


def _text(text: str) -> str:
    """Return text escaped for HTML, with control characters made visible."""
    return escape(printable(text))


def _svg(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">'


def _label(x: float, y: float, text: str) -> str:
    """Return a label that ends at a position."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="end">{escape(text)}</text>'


def _threshold_bars(rows: Sequence[ThresholdRow]) -> str:
    most = max(row.alerts for row in rows) or 1
    line = _BAR_HEIGHT + _BAR_GAP
    found = []
    for number, row in enumerate(rows):
        y, width = number * line, max(row.alerts / most * _BAR_WIDTH, 1 if row.alerts else 0)
        kind = "hot" if "as it is" in row.note else "bar"
        text = counted(row.alerts, "alert")
        if row.per_day is not None:
            text = f"{row.per_day:,.2f} a day, {row.worst_day:,} on the worst"
        note = f" ({row.note})" if row.note else ""
        found.append(
            _label(_BAR_LEFT - 8, y + 13, f"{row.threshold:,}")
            + f'<rect class="{kind}" x="{_BAR_LEFT}" y="{y}" width="{width:.1f}" '
            f'height="{_BAR_HEIGHT}"/>'
            f'<text x="{_BAR_LEFT + width + 8:.1f}" y="{y + 13}">{_text(text + note)}</text>'
        )
    return "\n".join(
        [
            _svg(len(rows) * line, "Alerts by threshold"),
            *found,
            "</svg>",
        ]
    )


def _threshold_table(rows: Iterable[ThresholdRow]) -> str:
    body = [
        _row(
            [f"{r.threshold:,}", f"{r.alerts:,}", rate_text(r.per_day), f"{r.worst_day:,}"], r.note
        )
        for r in rows
    ]
    return _table(("Threshold", "Alerts", "A day, on average", "Worst day (UTC)"), body, ("",))


def _busiest(found: Findings, windows: Iterable[Window]) -> str:
    body = []
    for window in windows:
        mark = "fires" if window.events > found.threshold else ""
        cells = [iso_utc(window.start * 1000), f"{window.events:,}"]
        events = "<br/>".join(
            _text(
                f"{sample.partition}/{sample.offset} {iso_utc(sample.seconds * 1000)} "
                + " ".join(f"{name}={text}" for name, text in sample.facts.items())
            )
            for sample in found.samples.get(window.start, ())
        )
        body.append(
            f'<tr><td>{cells[0]}</td><td class="n">{cells[1]}</td><td>{mark}</td>'
            f"<td><small>{events}</small></td></tr>"
        )
    texts = ("", "Some of them: partition/offset, time, facts")
    return _table(("Events",), body, texts, first="From")


def _fired(windows: Sequence[Window]) -> str:
    shown = windows[-SHOWN_FIRED:]
    body = [
        f'<tr><td>{iso_utc(w.start * 1000)}</td><td class="n">{w.events:,}</td></tr>'
        for w in reversed(shown)
    ]
    text = (
        "The newest first."
        if len(shown) == len(windows)
        else (f"The newest {len(shown):,} of {len(windows):,}.")
    )
    table = _table(("Events",), body, first="From") if windows else ""
    return f'<p class="soft">{text if windows else "It would not have fired."}</p>' + table


def _row(numbers: Iterable[str], note: str) -> str:
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    return f"<tr>{cells}<td>{escape(note)}</td></tr>"


def _table(
    numbers: Iterable[str], body: Iterable[str], texts: Iterable[str] = (), first: str = ""
) -> str:
    """Return a table; columns of numbers are aligned to the right."""
    head = f"<th>{escape(first)}</th>" if first else ""
    head += "".join(f'<th class="n">{escape(text)}</th>' for text in numbers)
    head += "".join(f"<th>{escape(text)}</th>" for text in texts)
    return "\n".join([f"<table><thead><tr>{head}</tr></thead><tbody>", *body, "</tbody></table>"])
