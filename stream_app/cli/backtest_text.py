"""The findings of a backtest as text, for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stream_app.cli.charts import bar, column_chart
from stream_app.cli.dlq_selection import printable
from stream_app.cli.replay_report import figures_text
from stream_app.domain.findings import Findings, Window
from stream_app.domain.messages import WORDINGS, period_text
from stream_app.domain.moments import iso_moment

COLUMNS = 72
_BAR = 24
#: Fired windows that are listed; JSON has all.
SHOWN_FIRED = 20


def headline(found: Findings) -> str:
    """Return what the trigger does, in a line."""
    trigger = found.trigger
    things = WORDINGS[trigger.template_id].sentence
    return printable(
        f"Trigger {trigger.id} {trigger.name!r} of client {trigger.client_id}: more than "
        f"{found.threshold:,} {things} in {period_text(found.period)}"
    )


def summary(found: Findings) -> list[str]:
    """Return how often it would have fired, and on what that rests."""
    fired = len(found.fired())
    span = f"from {iso_moment(found.from_ms)} to {iso_moment(found.to_ms)}"
    lines = [
        f"It would have fired {fired:,} times in {_days(found)}, {fired / found.days:,.2f} a day.",
        f"Read: {found.records:,} records {span}: {figures_text(found.figures)}.",
    ]
    if found.is_loaded:
        lines.append("They were loaded faster than they happened: the days are of their own times.")
    if found.days < 1:
        lines.append("That is less than a day: the figures a day are what a whole one would give.")
    if not found.events:
        lines.append(
            f"No event of client {found.trigger.client_id} was counted: are the client and the "
            "filters right?"
        )
    if found.late:
        lines.append(
            f"{found.late:,} of the events came late. Live they count in no window; here all "
            "count by their own time."
        )
    return lines


def _days(found: Findings) -> str:
    if found.days < 1:
        return f"{found.days * 24:.1f} hours"
    return f"{found.days:.1f} days"


def report(
    found: Findings, top: int, paint: Callable[[str], str] = lambda text: text
) -> Iterator[str]:
    """Yield the lines of the whole report; `paint` marks what exceeds the threshold."""
    yield headline(found)
    yield from summary(found)
    if not found.events:
        return
    values = found.timeline(COLUMNS)
    yield ""
    yield f"Largest window of each part of the time ({COLUMNS} or fewer); ┈ is the threshold"
    yield from column_chart(values, found.threshold, paint=paint)
    yield ""
    yield from _threshold_lines(found)
    yield ""
    yield "Busiest windows, and some of their events (partition/offset)"
    for window in found.busiest(top):
        yield from _window_lines(found, window)
    fired = found.fired()
    if fired:
        yield ""
        yield f"Fired, the newest {min(SHOWN_FIRED, len(fired))} of {len(fired):,}"
        for window in reversed(fired[-SHOWN_FIRED:]):
            yield f"  {iso_moment(window.start * 1000)}  {window.events:,} events"


def _threshold_lines(found: Findings) -> Iterator[str]:
    rows = found.rows()
    most = max(row.per_day for row in rows) or 1
    yield f"{'THRESHOLD':>9}  {'ALERTS':>9}  {'PER DAY':>10}  {'WORST DAY':>9}"
    for row in rows:
        line = (
            f"{row.threshold:>9,}  {row.alerts:>9,}  {row.per_day:>10,.2f}  {row.worst_day:>9,}  "
            f"{bar(row.per_day / most, _BAR):<{_BAR}}  {row.note}"
        )
        yield line.rstrip()


def _window_lines(found: Findings, window: Window) -> Iterator[str]:
    mark = "fires" if window.events > found.threshold else ""
    yield f"  {iso_moment(window.start * 1000)}  {window.events:>9,} events  {mark}".rstrip()
    for sample in found.samples.get(window.start, ()):
        facts = " ".join(f"{name}={text}" for name, text in sample.facts.items())
        when = iso_moment(sample.seconds * 1000)
        yield f"      {sample.partition}/{sample.offset}  {when}  {printable(facts)}".rstrip()


def as_json(found: Findings, top: int) -> Mapping[str, object]:
    """Return the whole of it as one document; times are Unix seconds, and Unix ms in `range`."""
    trigger = found.trigger
    return {
        "trigger": {
            "id": trigger.id,
            "client_id": trigger.client_id,
            "name": trigger.name,
            "template_id": trigger.template_id,
            "threshold": {"count": found.threshold, "period": found.period},
        },
        "range": {"from_ms": found.from_ms, "to_ms": found.to_ms, "days": found.days},
        "records": found.records,
        "events": {"in_windows": found.events, **found.figures.as_dict()},
        "windows": len(found.counts),
        "alerts": len(found.fired()),
        "alerts_per_day": len(found.fired()) / found.days,
        "fired": [window._asdict() for window in found.fired()],
        "busiest": [
            window._asdict()
            | {"samples": [sample._asdict() for sample in found.samples.get(window.start, ())]}
            for window in found.busiest(top)
        ],
        "thresholds": [row._asdict() for row in found.rows()],
    }
