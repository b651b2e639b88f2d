"""The findings of a backtest as one HTML page: nothing is loaded.

The bars of the chart are inline SVG, which stretches with the page. All text is outside of it, so
that it is as large on a phone as on a desk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from stream_app.cli.triggers.report_text import (
    PAGES_LEGEND,
    duration,
    headline,
    pages_headline,
    pages_note,
    place_of,
    rate_text,
    summary,
)
from stream_app.domain.backtest.findings import Findings, ThresholdRow, Window
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.times import iso_utc

COLUMNS = 240
#: Most steps of the time axis. A narrow screen has room for the label of every second one.
MAX_TICKS, _DAY_MS = 9, 86_400_000
_TICKS_MS = (60_000, 600_000, 3_600_000, 6 * 3_600_000, *(n * _DAY_MS for n in (1, 7, 28)))
#: The least height of a bar, in percent of the chart's.
_LEAST_BAR = 1.0
#: How many fired windows are listed; JSON has all.
SHOWN_FIRED = 200

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NAME = 'aria-label="Largest count of a window over time"'
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5b6072; --bar: #4a7de0; --hot: #d0393b;
  --paper: #fff; --line: #dde; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #a3a8b8; --bar: #6a9af5;
  --hot: #f0686a; --paper: #14171f; --line: #334; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1000px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
time { white-space: nowrap; } small, .soft { color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: baseline; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
td.n, th.n { text-align: right; } td.facts { padding-left: 1rem; overflow-wrap: anywhere; }
.windows th:last-child { width: 100%; } .facts small { display: block; }
tr.more > * { border-bottom: 0; }
.chart { display: grid; grid-template-columns: minmax(2rem, auto) 1fr minmax(2rem, auto);
  column-gap: .4rem; font-size: 12px; color: var(--soft); margin-top: 1.5rem; }
.chart svg { width: 100%; height: 180px; display: block; border-bottom: 1px solid var(--soft);
  overflow: visible; }
.at { position: relative; } .at > * { position: absolute; white-space: nowrap; }
.scale > * { transform: translateY(50%); } .scale > .room { position: static; visibility: hidden; }
.scale:first-child > * { right: 0; }
.ticks { height: 1.6rem; } .ticks > * { transform: translateX(-50%); padding-top: .1rem; }
.ticks > *::before { content: ""; position: absolute; left: 50%; top: 0; height: 4px;
  border-left: 1px solid var(--soft); }
.ends { grid-column: 1 / -1; display: flex; flex-wrap: wrap; justify-content: space-between; }
.bar { fill: var(--bar); background: var(--bar); }
.hot { fill: var(--hot); background: var(--hot); }
.limit { stroke: var(--ink); stroke-dasharray: 4 4; vector-effect: non-scaling-stroke; }
.track { display: inline-block; width: 15rem; max-width: 50%; }
.track > * { display: block; height: .8rem; }
@media (max-width: 640px) {
  body { margin-top: 1rem; } .ticks > .odd { display: none; }
  .steps, .steps thead, .steps tbody { display: block; }
  .steps tr { display: grid; grid-template-columns: repeat(4, 1fr);
    border-bottom: 1px solid var(--line); }
  .steps th, .steps td { border-bottom: 0; } .steps .note { grid-column: 1 / -1; }
  .steps th.note { display: none; } .track { display: block; width: auto; max-width: none; }
}
"""


def page(found: Findings, top: int) -> str:
    """Return the page. Text from events and configuration is escaped."""
    title = _text(headline(found))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"/>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>Backtest: {title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_with_own_direction(title, _text(found.trigger.name))}</h1>",
        *(f"<p>{_TIME.sub(_time_element, _text(line))}</p>" for line in summary(found)),
    ]
    if found.events:
        parts += [
            "<h2>Largest window over time</h2>",
            _timeline(found),
            "<h2>What a threshold would have meant</h2>",
            _thresholds(found.rows),
            *_pages(found),
            "<h2>Busiest windows</h2>",
            _busiest(found, found.busiest(top)),
            "<h2>Fired</h2>",
            _fired(found.fired),
        ]
    return "\n".join([*parts, "</body></html>", ""])


def _timeline(found: Findings) -> str:
    values = found.timeline(COLUMNS)
    largest, limit, columns = max(values), found.threshold, len(values)
    top = max(largest, limit, 1)
    y = 100 - limit / top * 100
    note = (
        f"A bar shows the largest window of {duration((found.to_ms - found.from_ms) // columns)}. "
        "The dashed line is the threshold: a window above it fires."
    )
    parts = [
        f'<p class="soft">{note}</p>',
        f'<div class="chart">{_scale(largest, top)}',
        f'<svg viewBox="0 0 {columns} 100" preserveAspectRatio="none" role="img" {_NAME}>',
        *_bars(found, values, top),
        f'<line class="limit" x1="0" y1="{y:.2f}" x2="{columns}" y2="{y:.2f}"/>',
        f"</svg>{_scale(limit, top)}",
        '<div></div><div class="at ticks">',
        *_ticks(found),
        "</div><div></div>",
        f'<div class="ends">{_time(found.from_ms)} {_time(found.to_ms)}</div></div>',
    ]
    return "\n".join(parts)


def _bars(found: Findings, values: Sequence[int], top: int) -> Iterator[str]:
    for number, value in enumerate(values):
        if value:
            height = max(value / top * 100, _LEAST_BAR)
            yield (
                f'<rect class="{"hot" if value > found.threshold else "bar"}" x="{number}" '
                f'y="{100 - height:.2f}" width="0.9" height="{height:.2f}">'
                f"<title>{_time_at(found, number / len(values))}: {value:,}</title></rect>"
            )


def _scale(value: int, top: int) -> str:
    """Return the label of a value beside the chart, at its height."""
    text, bottom = f"{value:,}", value / top * 100
    # What is placed takes no room, so the same text holds the room for it.
    return (
        f'<div class="at scale"><span style="bottom: {bottom:.2f}%">{text}</span>'
        f'<span class="room" aria-hidden="true">{text}</span></div>'
    )


def _time_at(found: Findings, share: float) -> str:
    """Return the time at a share of the range."""
    return iso_utc(found.from_ms + int(share * (found.to_ms - found.from_ms)))


def _ticks(found: Findings) -> Iterator[str]:
    """Yield a mark with its label at each hour, day or week; none where there is no room."""
    length = found.to_ms - found.from_ms
    step = next((ms for ms in _TICKS_MS if length <= MAX_TICKS * ms), 0)
    begin = -(-found.from_ms // step) * step if step else found.to_ms
    for number, at_ms in enumerate(range(begin, found.to_ms, step or 1)):
        left, text = (at_ms - found.from_ms) / length * 100, iso_utc(at_ms)
        name = text[5:10] if step >= _DAY_MS else text[11:16]
        kind = ' class="odd"' if number % 2 else ""
        yield f'<span{kind} style="left: {left:.2f}%">{name}</span>'


def _text(text: str) -> str:
    """Return text escaped for HTML, with control characters made visible."""
    return escape(printable(text))


def _with_own_direction(text: str, part: str) -> str:
    """Return HTML in which a part written from right to left does not reorder what surrounds it."""
    return text.replace(part, f"<bdi>{part}</bdi>", 1)


def _time(at_ms: int) -> str:
    return f"<time>{iso_utc(at_ms)}</time>"


def _time_element(found: re.Match[str]) -> str:
    return f"<time>{found[0]}</time>"


def _thresholds(rows: Sequence[ThresholdRow]) -> str:
    most = max(row.alerts for row in rows) or 1
    body = []
    for row in rows:
        kind = "hot" if "as it is" in row.note else "bar"
        cells = [f"{row.threshold:,}", f"{row.alerts:,}", rate_text(row.per_day)]
        numbers = "".join(f'<td class="n">{text}</td>' for text in (*cells, f"{row.worst_day:,}"))
        body.append(
            f'<tr>{numbers}<td class="note"><span class="track"><span class="{kind}" '
            f'style="width: {row.alerts / most * 100:.1f}%"></span></span> {escape(row.note)}</td>'
            "</tr>"
        )
    heads = ("Threshold", "Alerts", "A day", "Worst day")
    text = "Alerts in all, on an average day, and on the worst day (UTC)."
    table = _table(heads, body, last='<th class="note"></th>', kind="steps")
    return f'<p class="soft">{text}</p>{table}'


def _pages(found: Findings) -> Iterator[str]:
    if not found.fired:
        return
    body = [
        "<tr>"
        + "".join(f'<td class="n">{n:,}</td>' for n in (row.pages, row.repeats, row.folded))
        + f'<td class="facts">{_text(pages_note(row))}</td></tr>'
        for row in found.pages
    ]
    yield "<h2>What an integration makes of the fired windows</h2>"
    yield f'<p class="soft">{_text(pages_headline(found))}</p>'
    yield _table(("Pages", "Repeats", "Folded"), body, last="<th></th>", kind="windows")
    yield f'<p class="soft">{PAGES_LEGEND}</p>'


def _busiest(found: Findings, windows: Iterable[Window]) -> str:
    body = []
    for window in windows:
        mark = "fires" if window.events > found.threshold else ""
        events = "".join(
            f"<small>{place_of(found, sample)} {_time(sample.seconds * 1000)} "
            + " ".join(f"{_text(k)}=<bdi>{_text(v)}</bdi>" for k, v in sample.facts.items())
            + "</small>"
            for sample in found.samples.get(window.start, ())
        )
        body.append(
            f'<tr class="{"more" if events else "alone"}"><td>{_time(window.start * 1000)}</td>'
            f'<td class="n">{window.events:,}</td><td>{mark}</td></tr>'
        )
        if events:
            body.append(f'<tr><td class="facts" colspan="3">{events}</td></tr>')
    text = "With some of their events: partition/offset, time, facts."
    table = _table(("Events",), body, first="From", last="<th></th>", kind="windows")
    return f'<p class="soft">{text}</p>{table}'


def _fired(windows: Sequence[Window]) -> str:
    shown = windows[-SHOWN_FIRED:]
    body = [
        f'<tr><td>{_time(w.start * 1000)}</td><td class="n">{w.events:,}</td></tr>'
        for w in reversed(shown)
    ]
    text = (
        "The newest first."
        if len(shown) == len(windows)
        else (f"The newest {len(shown):,} of {len(windows):,}.")
    )
    table = _table(("Events",), body, first="From") if windows else ""
    return f'<p class="soft">{text if windows else "It would not have fired."}</p>' + table


def _table(
    numbers: Iterable[str], body: Iterable[str], *, first: str = "", last: str = "", kind: str = ""
) -> str:
    """Return a table; columns of numbers are aligned to the right."""
    head = f"<th>{escape(first)}</th>" if first else ""
    head += "".join(f'<th class="n">{escape(text)}</th>' for text in numbers) + last
    begin = f'<table class="{kind}">' if kind else "<table>"
    return "\n".join([f"{begin}<thead><tr>{head}</tr></thead><tbody>", *body, "</tbody></table>"])
