"""The findings of a backtest as text, for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stream_app.cli.replay.report import figures_text
from stream_app.cli.tables import wrapped
from stream_app.cli.triggers.charts import bar, column_chart
from stream_app.domain.alerts.threshold_text import WORDINGS, clause_lines, period_text
from stream_app.domain.backtest.backtest import EventSample
from stream_app.domain.backtest.findings import Findings, Window
from stream_app.domain.backtest.pages import PagesRow, pages_text
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.episodes.descriptions import as_written
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.model import KIND_OF_CONDITION
from stream_app.domain.foreign_text.printable import printable, quoted
from stream_app.domain.reports.problems import amount
from stream_app.domain.times import iso_utc

COLUMNS = 72
#: Longest and shortest bar of a table; where even the shortest has no room, none is drawn.
_BAR, _LEAST_BAR = 24, 6
#: Least width of a table's notes.
_NOTE = len("at most 1 a week")
#: How many fired windows are listed; JSON has all.
SHOWN_FIRED = 20
PAGES_LEGEND = (
    "A page opens an alert. A repeat adds to the open one, and pages only if somebody has closed "
    "that. A folded window makes no request; the next repeat counts it."
)


def headline(found: Findings) -> str:
    """Return what the trigger does, in a line."""
    trigger = found.trigger
    things = WORDINGS[trigger.template_id].sentence
    return (
        f"Trigger {trigger.id} {quoted(trigger.name)} of client {trigger.client_id}: more than "
        f"{found.threshold:,} {things} in {period_text(found.period)}"
    )


def summary(found: Findings) -> list[str]:
    """Return how often it would have fired, and how much was read."""
    lines = [
        *_filters(found),
        _fired(found),
        f"Read: {found.records:,} records {_span(found.read_ms)}: {figures_text(found.figures)}.",
    ]
    if not found.events:
        return [*lines, *_nothing(found)]
    lines.append(f"Windows with events: {len(found.counts):,}, {_span(found.events_ms)}.")
    if found.is_loaded:
        lines.append(
            "Most events happened before the first of these records was appended, so they were "
            "loaded at once: the days are those of the events."
        )
    if found.outside:
        windows, events = len(found.outside), sum(found.outside.values())
        lines.append(
            f"Left out of all figures: {amount(events, 'event')} in {amount(windows, 'window')} "
            "of other times, uploaded late or with a wrong clock."
        )
    if not found.has_rates:
        lines.append("The time read is too short for figures a day: give an earlier --from.")
    elif found.days < 1:
        lines.append("That is less than a day: the figures a day are what a whole one would give.")
    if found.late:
        lines.append(
            f"{found.late:,} of the events came late. Live they count in no window; here all "
            "count by their own time."
        )
    return lines


def _filters(found: Findings) -> Iterator[str]:
    """Yield a line for the filters of the trigger, as its alerts show them."""
    used = [item for item in found.trigger.filters if item.values]
    if used:
        yield "Only: " + " ".join(clause_lines(used, {})[1:-1])


def _fired(found: Findings) -> str:
    fired = found.alerts_at(found.threshold)
    length = duration(found.to_ms - found.from_ms)
    text = f"It would have fired {amount(fired, 'time')} in {length}"
    average = found.per_day(fired)
    if average is None or not fired:
        return f"{text}."
    worst = found.worst_day(found.threshold)
    return f"{text}, {average:,.2f} a day on average and {worst:,} on the worst day (UTC)."


def _nothing(found: Findings) -> Iterator[str]:
    client = found.trigger.client_id
    yield f"No event of client {client} was counted: are the client and the filters right?"
    if found.figures.rejected[DeadLetterReason.UNKNOWN_CLIENT]:
        yield (
            "Some events name a client that is not known by that name: `stream-app get clients` "
            "shows which are, and -f takes others."
        )


def _span(between_ms: tuple[int, int]) -> str:
    return f"from {iso_utc(between_ms[0])} to {iso_utc(between_ms[1])}"


def duration(length_ms: int) -> str:
    """Return a duration in the largest unit that fits into it."""
    seconds = length_ms / 1000
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = f"{seconds / length:,.1f}".removesuffix(".0")
            return f"{number} {unit}" + ("" if number == "1" else "s")
    return amount(round(seconds), "second")


def rate_text(per_day: float | None) -> str:
    """Return the average number of alerts a day, or that it is unknown."""
    return "-" if per_day is None else f"{per_day:,.2f}"


def report(found: Findings, top: int, width: int | None) -> Iterator[str]:
    """Yield the lines of the whole report; texts are wrapped between words.

    Args:
        found: the findings.
        top: how many of the busiest windows are shown.
        width: of the terminal; None: lines may have any length.
    """
    for text in (headline(found), *summary(found)):
        yield from _indented(0, text, width)
    if not found.events:
        return
    label = len(f"{max(found.threshold, *found.counts.values()):,} │")
    values = found.timeline(COLUMNS if width is None else max(1, min(COLUMNS, width - label)))
    yield ""
    part = duration((found.to_ms - found.from_ms) // len(values))
    text = f"A column is the largest window of {part}; ┈ is the threshold"
    yield from _indented(0, text, width)
    lines = column_chart(values, found.threshold)
    yield from lines
    yield _axis(found, len(lines[-1]) - len(values), len(values))
    yield ""
    yield from _threshold_lines(found, width)
    if found.fired:
        yield ""
        yield from _pages_lines(found, width)
    yield ""
    yield "Busiest windows, and some of their events"
    for window in found.busiest(top):
        yield from _window_lines(found, window, width)
    fired = found.fired
    if fired:
        yield ""
        yield f"Fired, the newest {min(SHOWN_FIRED, len(fired))} of {len(fired):,}"
        for window in reversed(fired[-SHOWN_FIRED:]):
            yield f"  {iso_utc(window.start * 1000)}  {window.events:,} events"


def _axis(found: Findings, indent: int, width: int) -> str:
    """Return the axis: the two ends of the range, below those of the chart."""
    first, last = iso_utc(found.from_ms), iso_utc(found.to_ms)
    gap = max(2, width - len(first) - len(last))
    return f"{'':{indent}}{first}{'':{gap}}{last}"


def _indented(indent: int, text: str, width: int | None) -> Iterator[str]:
    """Yield a text in lines that fit into a width; those after the first are indented more."""
    margin = " " * indent
    if width is None:
        yield margin + text
        return
    more = margin + "  "
    first, *others = wrapped(printable(text), max(width - len(more), 1))
    yield margin + first.rstrip()
    for line in others:
        yield more + line.rstrip()


def _threshold_lines(found: Findings, width: int | None) -> Iterator[str]:
    rows = found.rows
    most = max(row.alerts for row in rows) or 1
    cells = [("THRESHOLD", "ALERTS", "PER DAY", "WORST DAY")] + [
        (f"{row.threshold:,}", f"{row.alerts:,}", rate_text(row.per_day), f"{row.worst_day:,}")
        for row in rows
    ]
    heading, *figures = _columns(cells)
    yield heading
    length = _BAR if width is None else min(_BAR, width - len(heading) - _NOTE - 4)
    for row, text in zip(rows, figures, strict=True):
        shown = f"{bar(row.alerts / most, length):<{length}}  " if length >= _LEAST_BAR else ""
        yield from _with_note(f"{text}  {shown}", row.note, width)


def pages_headline(found: Findings) -> str:
    """Return how many pages the fired windows are, as far as their integrations are known."""
    text = pages_text(len(found.fired), found.pages)
    return f"{text}. What `alert` of an integration makes of them:"


def pages_note(row: PagesRow) -> str:
    """Return the options of a row, and which integrations have them."""
    who = (
        f" (as it is at {', '.join(map(str, row.integration_ids))})" if row.integration_ids else ""
    )
    return as_written(row.options) + who


def _pages_lines(found: Findings, width: int | None) -> Iterator[str]:
    yield from _indented(0, pages_headline(found), width)
    cells = [("PAGES", "REPEATS", "FOLDED")] + [
        (f"{row.pages:,}", f"{row.repeats:,}", f"{row.folded:,}") for row in found.pages
    ]
    notes = ["", *(pages_note(row) for row in found.pages)]
    for row, note in zip(_columns(cells), notes, strict=True):
        yield from _with_note(f"{row}  ", note, width)
    yield from _indented(0, PAGES_LEGEND, width)


def _with_note(line: str, note: str, width: int | None) -> Iterator[str]:
    """Yield a line of a table with a note behind it, which is wrapped in a column of its own."""
    first, *others = [note] if width is None else wrapped(note, max(width - len(line), _NOTE))
    yield f"{line}{first}".rstrip()
    for more in others:
        yield f"{'':{len(line)}}{more}".rstrip()


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of figures as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:>{wide}}" for cell, wide in zip(row, widths, strict=True)) for row in rows
    ]


def _window_lines(found: Findings, window: Window, width: int | None) -> Iterator[str]:
    mark = "fires" if window.events > found.threshold else ""
    yield f"  {iso_utc(window.start * 1000)}  {window.events:>9,} events  {mark}".rstrip()
    for sample in found.samples.get(window.start, ()):
        facts = " ".join(f"{name}={text}" for name, text in sample.facts.items())
        when = iso_utc(sample.seconds * 1000)
        yield from _indented(6, f"{place_of(found, sample)}  {when}  {facts}".rstrip(), width)


def place_of(found: Findings, sample: EventSample) -> Place:
    """Return where an event lies, which `alerts explain` takes."""
    return Place(_topic(found), sample.partition, sample.offset)


def _topic(found: Findings) -> str:
    return f"events.{KIND_OF_CONDITION[found.trigger.template_id]}"


def as_json(found: Findings, top: int) -> Mapping[str, object]:
    """Return the findings as one document; times are ISO-8601.

    Figures per day are null where the range is too short for them.
    """
    trigger = found.trigger
    return {
        "trigger": {
            "id": trigger.id,
            "client_id": trigger.client_id,
            "name": trigger.name,
            "template_id": trigger.template_id,
            "threshold": {"count": found.threshold, "period": found.period},
        },
        "range": {
            **_range((found.from_ms, found.to_ms)),
            "days": found.days,
            "is_loaded": found.is_loaded,
        },
        "records": found.records,
        "records_range": _range(found.read_ms),
        "events_range": _range(found.events_ms) if found.counts else None,
        "outside": {"windows": len(found.outside), "events": sum(found.outside.values())},
        "events": {"in_windows": found.events, **found.figures.as_dict()},
        "windows": len(found.counts),
        "alerts": len(found.fired),
        "alerts_per_day": found.per_day(len(found.fired)),
        "worst_day": found.worst_day(found.threshold),
        "fired": [_window(window) for window in found.fired],
        "busiest": [
            _window(window)
            | {
                "samples": [
                    _sample(found, sample) for sample in found.samples.get(window.start, ())
                ]
            }
            for window in found.busiest(top)
        ],
        "thresholds": [row._asdict() for row in found.rows],
        "pages": [_pages(row) for row in found.pages],
    }


def _pages(row: PagesRow) -> dict[str, object]:
    return {
        "deduplicate": row.options.deduplicate,
        "repeat_seconds": row.options.repeat_seconds or None,
        "close_after_seconds": row.options.close_after_seconds or None,
        "pages": row.pages,
        "repeats": row.repeats,
        "folded": row.folded,
        "integration_ids": list(row.integration_ids),
    }


def _range(between_ms: tuple[int, int]) -> dict[str, object]:
    return {"from": iso_utc(between_ms[0]), "to": iso_utc(between_ms[1])}


def _window(window: Window) -> dict[str, object]:
    return {"window_start_at": iso_utc(window.start * 1000), "count": window.events}


def _sample(found: Findings, sample: EventSample) -> dict[str, object]:
    return {
        "topic": _topic(found),
        "partition": sample.partition,
        "offset": sample.offset,
        "occurred_at": iso_utc(sample.seconds * 1000),
        "facts": sample.facts,
    }
