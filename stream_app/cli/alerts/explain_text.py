"""Prints an explanation for people: first the answer, then the details, then what goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stream_app.cli.alerts.explain_client import client_report, left_out_lines, left_out_steps
from stream_app.cli.alerts.explain_lines import (
    MAX_SHOWN_WINDOWS,
    Lines,
    next_lines,
    short,
    state_words,
)
from stream_app.domain.explanation.answers import (
    ExplainedEvent,
    ExplainedTrigger,
    answer_for_event,
    letter_done,
    next_steps,
)
from stream_app.domain.explanation.deliveries import delivery_texts
from stream_app.domain.explanation.event_verdicts import TriggerResult
from stream_app.domain.explanation.notice_verdicts import NoticeVerdict
from stream_app.domain.explanation.places import answer_for_place
from stream_app.domain.explanation.versions import Basis
from stream_app.domain.explanation.window_answers import answer_for_window, steps_for_window
from stream_app.domain.explanation.windows import WindowFacts, WindowState, span_text
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.domain.times import iso_utc
from stream_app.kafka.explanation.full_explanation import FullExplanation

#: Most triggers, events and integrations that are shown each by itself.
MAX_ROWS, MAX_EVENTS, MAX_INTEGRATIONS = 20, 20, 20
#: Results in the order in which they are shown, with their words.
_RESULTS = {
    TriggerResult.COUNTED: "counts it in",
    TriggerResult.MATCHED: "matches it",
    TriggerResult.LATE: "it came too late for",
    TriggerResult.REFUSED: "refuses it",
    TriggerResult.DISABLED: "disabled",
    TriggerResult.NOT_CONFIGURED: "not configured then",
    TriggerResult.NOT_USED: "not asked, since the event is not counted",
    TriggerResult.NOT_EVALUATED: "its condition is not evaluated here",
    TriggerResult.OTHER_KIND: "of another kind of event",
}
#: States of windows, after how many there are.
_STATES = {
    WindowState.FIRED: "fired",
    WindowState.NO_EVENTS: "without events",
    WindowState.NOT_EXCEEDED: "below the threshold",
    WindowState.DISABLED: "of a disabled trigger",
    WindowState.NOT_READ_YET: "not read to the end",
    WindowState.NOT_COUNTED: "with events that did not count",
    WindowState.NO_ALERT: "above the threshold without an alert",
    WindowState.OPEN: "not over yet",
    WindowState.FUTURE: "in the future",
}
_PLACED = {TriggerResult.COUNTED, TriggerResult.LATE}
_SUMMED = {TriggerResult.NOT_EVALUATED, TriggerResult.OTHER_KIND, TriggerResult.NOT_USED}


def report(found: FullExplanation, width: int) -> Iterator[str]:
    """Yield the lines of an explanation; only a word or a command is wider than `width`."""
    lines = Lines(width)
    if found.asked is not None:
        yield from client_report(found, found.asked, lines)
    elif found.windows:
        yield from _windows(found, lines)
    elif not found.events and found.placed is not None:
        nothing = answer_for_place(found.placed, found.letters)
        yield from lines.of("", nothing.answer)
        for label, text in nothing.details:
            yield from lines.of(label, text)
        yield from next_lines(nothing.steps)
    elif len(found.events) == 1:
        one = found.events[0]
        yield from lines.of("", answer_for_event(one))
        yield ""
        yield from _details(found, one, lines)
    else:
        yield from lines.of("", _summary(found.events))
        for one in found.events[:MAX_EVENTS]:
            yield ""
            number = f"[{one.verdict.index}] " if one.verdict.index is not None else ""
            yield from lines.of("", f"{number}{answer_for_event(one)}")
            yield from _details(found, one, lines)
        if (more := len(found.events) - MAX_EVENTS) > 0:
            yield ""
            yield from lines.of("", f"and {more:,} more events: --json prints all")


def _summary(events: Sequence[ExplainedEvent]) -> str:
    reasons = Counter(str(one.verdict.reason) for one in events)
    listed = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
    return f"{len(events):,} events: {listed}"


def _details(found: FullExplanation, one: ExplainedEvent, lines: Lines) -> Iterator[str]:
    yield from _event(found, one, lines)
    yield from _rows(found, one, lines)
    if isinstance(one.verdict, NoticeVerdict):
        yield from _integrations(found, one, one.verdict, lines)
    for letter in one.letters:
        yield from lines.of("dead", f"{letter.place}: {letter.reason}{letter_done(letter)}")
    yield from _basis(found, one, lines)
    yield from next_lines(list(next_steps(one)))


def _event(found: FullExplanation, one: ExplainedEvent, lines: Lines) -> Iterator[str]:
    verdict, placed = one.verdict, found.placed
    if placed is not None:
        index = "" if verdict.index is None else f"[{verdict.index}]"
        recorded = iso_utc(placed.record.timestamp)
        yield from lines.of(one.what, f"{placed.place}{index}, recorded {recorded}")
    if isinstance(verdict, NoticeVerdict):
        if verdict.kind:
            yield from lines.of("kind", verdict.kind)
    elif verdict.seconds is not None:
        yield from lines.of("happened", iso_utc(verdict.seconds * 1000))
    if verdict.client_id is not None:
        client = found.clients.get(verdict.client_id)
        name = "" if client is None else f" ({short(client.name)})"
        yield from lines.of("client", f"{verdict.client_id}{name}")
    if one.lag:
        workers = "" if placed is None or placed.workers else "no detector is running; "
        yield from lines.of("detector", f"{workers}once it has read the event:")
        yield from lines.of("", answer_for_event(replace(one, lag=0)), 2)


def _rows(found: FullExplanation, one: ExplainedEvent, lines: Lines) -> Iterator[str]:
    order = list(_RESULTS)
    rows = sorted(one.rows, key=lambda row: order.index(row.verdict.result))
    shown = [row for row in rows if row.verdict.result not in _SUMMED or len(rows) == 1]
    for row in shown[:MAX_ROWS]:
        yield from _row(found, row, lines)
    rest = Counter(row.verdict.result for row in rows if row not in shown[:MAX_ROWS])
    for result, number in rest.items():
        triggers = "trigger" if number == 1 else "triggers"
        yield from lines.of("", f"{number:,} more {triggers}: {_RESULTS[result]}", 2)
    if len(shown) > MAX_ROWS:
        yield from lines.of("", "--trigger ID shows one of them, --json all", 2)


def _row(found: FullExplanation, row: ExplainedTrigger, lines: Lines) -> Iterator[str]:
    verdict = row.verdict
    text = f"{verdict.trigger.id} ({short(verdict.trigger.name)}): {_RESULTS[verdict.result]}"
    if verdict.window is not None and verdict.result in _PLACED:
        text += f" {span_text(*verdict.window[:2])}"
    yield from lines.of("trigger", text)
    if verdict.window is not None and verdict.result is TriggerResult.LATE:
        yield from lines.of("", _late_text(found, verdict.window[2]), 2)
    for refusal in verdict.refusals:
        yield from lines.of("", str(refusal), 2)
    if row.window is not None:
        yield from _window(found.around, row.window, lines)
    if row.alert is not None:
        for line in delivery_texts(row.alert, found.around):
            yield from lines.of("", line, 2)
    yield from _row_basis(row, lines)


def _row_basis(row: ExplainedTrigger, lines: Lines) -> Iterator[str]:
    """Yield on which configuration a row is based, if that is not today's."""
    if row.basis is Basis.THEN:
        changed = "" if row.changed_ms is None else f" {iso_utc(row.changed_ms)}"
        now = "deleted or not usable" if row.today is None else _RESULTS[row.today.result]
        if row.today is not None and row.today.window is not None and row.today.result in _PLACED:
            now += f" {span_text(*row.today.window[:2])}"
        yield from lines.of(
            "", f"that is by its form at that time; changed{changed}, now: {now}", 2
        )
        for refusal in row.today.refusals if row.today is not None else ():
            yield from lines.of("", str(refusal), 4)
    elif row.basis is Basis.NOT_KNOWN and row.version_ms is not None:
        yield from lines.of(
            "",
            f"it was written {iso_utc(row.version_ms)}, after the event. Any earlier form is lost, "
            "so this is what the present one makes of the event",
            2,
        )


def _late_text(found: FullExplanation, closed_at: int) -> str:
    """Return why an event came too late for a window that takes events up to a watermark."""
    seen = iso_utc(found.watermark.value * 1000)
    return (
        f"the window takes events until its partition has seen one of {iso_utc(closed_at * 1000)}; "
        f"one of {seen} came before"
    )


def _window(around: Surroundings, facts: WindowFacts, lines: Lines) -> Iterator[str]:
    yield from lines.of("", f"{facts.counted_text}: {state_words(facts)}", 2)
    for note in facts.notes():
        yield from lines.of("", note, 2)
    for alert in facts.alerts:
        for line in delivery_texts(alert, around):
            yield from lines.of("", line, 2)


def _integrations(
    found: FullExplanation, one: ExplainedEvent, verdict: NoticeVerdict, lines: Lines
) -> Iterator[str]:
    for entry in verdict.integrations[:MAX_INTEGRATIONS]:
        name = short(entry.integration.name)
        text = entry.why or f"has selected {verdict.subscription}"
        label = "not told" if entry.why else "told"
        yield from lines.of(label, f"integration {entry.integration.id} ({name}): {text}")
    if (more := len(verdict.integrations) - MAX_INTEGRATIONS) > 0:
        yield from lines.of("", f"and {more:,} more integrations: --json prints all", 2)
    for history in one.alerts:
        for line in delivery_texts(history, found.around):
            yield from lines.of("", line, 2)


def _basis(found: FullExplanation, one: ExplainedEvent, lines: Lines) -> Iterator[str]:
    if not found.watermark.is_certain and one.having(TriggerResult.COUNTED):
        text = "the records before it that are known: with older ones it may have come too late"
        yield from lines.of("based on", text)
    if one.client_since_ms is not None:
        yield from lines.of(
            "based on",
            f"a client that was written {iso_utc(one.client_since_ms)}, after the event: it may "
            "have been unknown before",
        )
    if one.rows and all(row.basis is Basis.TODAY for row in one.rows):
        when = "" if one.lag is None else ", in force since before the event"
        yield from lines.of("based on", f"today's triggers{when}")


# -- windows


def _windows(found: FullExplanation, lines: Lines) -> Iterator[str]:
    windows = found.windows
    if len(windows) == 1:
        yield from lines.of("", answer_for_window(windows[0]))
        yield ""
    else:
        states = Counter(facts.state for facts in windows)
        listed = ", ".join(f"{number:,} {_STATES[state]}" for state, number in states.most_common())
        yield from lines.of("", f"{len(windows):,} windows: {listed}")
        yield ""
    trigger = found.trigger
    if trigger is not None:
        yield from lines.of("trigger", f"{trigger.id} ({short(trigger.name)})")
        for item in trigger.filters:
            values = ", ".join(map(str, item.values))
            yield from lines.of("filter", f"{item.id} {item.operator} {values}")
    yield from _windows_basis(windows, lines)
    shown = windows
    if len(windows) > MAX_SHOWN_WINDOWS:
        busy = [facts for facts in windows if facts.counted or facts.fired is not None]
        shown = busy[-MAX_SHOWN_WINDOWS:]
    for facts in shown:
        yield from lines.of("window", span_text(facts.start, facts.end))
        yield from _window(found.around, facts, lines)
    if len(shown) < len(windows):
        more = len(windows) - len(shown)
        yield from lines.of("", f"and {more:,} more windows: --json prints all", 2)
    yield from left_out_lines(found, lines)
    best = next((f for f in windows if f.fired is not None), windows[0])
    steps = [] if best.fired is not None else left_out_steps(found)
    yield from next_lines([*steps_for_window(best, best.trigger.id), *steps])


def _windows_basis(windows: Sequence[WindowFacts], lines: Lines) -> Iterator[str]:
    """Yield which forms of the trigger the windows are judged by, unless that is today's."""
    bases = {facts.basis for facts in windows}
    some = "" if len(bases) == 1 else "for some of the windows: "
    if Basis.THEN in bases:
        text = "the trigger as it was then; it has been changed since"
        yield from lines.of("based on", f"{some}{text}")
    if Basis.NOT_KNOWN in bases:
        text = "the trigger as it is now. It was written later, and any earlier form is lost"
        yield from lines.of("based on", f"{some}{text}")
