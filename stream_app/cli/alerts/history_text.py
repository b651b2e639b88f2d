"""The history of an alert as lines for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stream_app.cli.tables import wrapped
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.delivery.records import Result, ServiceAction
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import (
    AttemptGroup,
    DeadLetterNote,
    DeliveryHistory,
    grouped,
)
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.domain.times import iso_utc
from stream_app.kafka.history.window_counts import ObservedCount

_DATE = len("2026-01-01T")
#: The label of a line, with the space before and behind it.
_LABEL = re.compile(r" *(?:\S+ {2,})?")
#: Narrowest text behind a label.
_LEAST = 20


def cause_of(alert: Alert | NoticeAlert) -> str:
    """Return what made an alert, in a few words."""
    if isinstance(alert, NoticeAlert):
        return f"notice {alert.notice.kind}"
    return f"trigger {alert.trigger.id} ({alert.trigger.name})"


def fitted(line: str, width: int | None) -> list[str]:
    """Return a line in several that fit into a width, each behind the label; no word is cut."""
    if width is None:
        return [line]
    line = printable(line)
    found = _LABEL.match(line)
    margin = len(found[0]) if found else 0
    first, *others = wrapped(line[margin:], max(width - margin, _LEAST))
    return [line[:margin] + first, *(" " * margin + other for other in others)]


def lines_of(
    history: AlertHistory, observed: ObservedCount | None, around: Surroundings
) -> Iterator[str]:
    """Yield the history as lines."""
    alert = history.alert
    yield f"alert    {alert.id}"
    yield f"state    {_state(history)}"
    more = f" ({history.records} equal records)" if history.records > 1 else ""
    yield f"fired    {iso_utc(history.fired_ms)}{more}"
    yield f"client   {alert.client_id} {alert.client_name} ({alert.cloud})"
    yield f"cause    {cause_of(alert)}"
    if isinstance(alert, Alert):
        yield from _window(alert, observed)
    else:
        yield f"event    {alert.notice.subscription}: {alert.notice.summary}"
    for note in history.dead_letters:
        yield f"dead     {_letter(note)}"
        yield f"next     {around.next_of_letter(note)}"
    shown: dict[str, int] = {}
    for delivery in history.all_deliveries:
        yield ""
        reason = f" ({delivery.reason})" if delivery.reason else ""
        name = _name(delivery.integration_id, around)
        yield f"{name}: {what_of(delivery)}{delivery.status}{reason}"
        yield from _message(delivery, shown)
        yield from _course(delivery)
        yield f"  next     {around.next_of_delivery(history, delivery)}"
    for number, episode in sorted(history.folded.items()):
        yield ""
        yield f"{_name(number, around)}: folded into {episode.alias}"
        yield f"  next     {around.why_folded(history, number)}"
    for number in history.without_delivery:
        yield ""
        yield f"{_name(number, around)}: no delivery"
        yield f"  next     {around.why_no_delivery(history, number)}"


def what_of(delivery: DeliveryHistory) -> str:
    """Return what a delivery asks of the service, with a space behind it; empty: an alert."""
    return "" if delivery.action is ServiceAction.CREATE else f"{delivery.action} "


def state_parts(history: AlertHistory) -> list[str]:
    """Return the states of all deliveries of an alert, each with its integration."""
    parts = [f"{d.integration_id} {what_of(d)}{d.status}" for d in history.all_deliveries]
    return parts + [f"{number} folded" for number in sorted(history.folded)]


def _state(history: AlertHistory) -> str:
    """Return the alert's state, and that of each integration if there are several."""
    parts = state_parts(history)
    parts += [f"{n} no delivery" for n in history.without_delivery]
    return history.state + (f" ({', '.join(parts)})" if len(parts) > 1 else "")


def _window(alert: Alert, observed: ObservedCount | None) -> Iterator[str]:
    trigger = alert.trigger
    start, end = (iso_utc(at * 1000) for at in (alert.window_start, alert.window_end))
    count, period = trigger.threshold.count, trigger.threshold.period
    yield f"window   {start} to {end}"
    if observed is None:
        yield "events   not known any more: neither its counts nor its events are kept"
    else:
        least = "" if observed.is_whole else "at least "
        yield f"events   {least}{observed.count:,} ({count:,} do not fire, more do)"
    yield f"rule     {trigger.template_id}: more than {count:,} in {period_text(period)}"
    for item in trigger.filters:
        values = ", ".join(map(str, item.values))
        yield f"         {item.id} {item.operator} {values}"


def _name(number: int, around: Surroundings) -> str:
    found = around.integrations.get(number)
    return f"integration {number}" + (f" ({found.name})" if found else "")


def _message(history: DeliveryHistory, shown: dict[str, int]) -> Iterator[str]:
    """Yield the message, or at which integration it was `shown`, to which it is then added."""
    if history.delivery is None:
        return
    delivery = history.delivery
    text = delivery.note or f"{delivery.message}\n{delivery.description}"
    if text in shown:
        yield f"  message  the same as at integration {shown[text]}"
        return
    shown[text] = history.integration_id
    title, *lines = text.splitlines()
    yield f"  message  {title}"
    for line in lines:
        yield f"           {line}".rstrip()


def _course(history: DeliveryHistory) -> Iterator[str]:
    """Yield what has happened to a delivery."""
    for group in grouped(history.ordered_attempts):
        yield from _attempts(group)
    for check in history.checks:
        yield f"  checked  {iso_utc(check.checked_at_ms)}  {check.outcome}: {check.status}"
    for note in history.dead_letters:
        yield f"  dead     {_letter(note)}"


def _attempts(group: AttemptGroup) -> Iterator[str]:
    first, last = group.first, group.last
    again = f" of redrive {last.redrives}" if last.redrives else ""
    if group.count == 1:
        number, took = f"attempt {last.attempt}", f", {last.duration_seconds * 1000:.0f} ms"
        what = _what(last) + took
        when = iso_utc(last.finished_at_ms)
    else:
        what = f"all {_what(last)}"
        number = (
            f"attempts {first.attempt} to {last.attempt}"
            if last.attempt > first.attempt
            else f"attempt {last.attempt}, {group.count} times"
        )
        when = _span(first.finished_at_ms, last.finished_at_ms)
    yield f"  {number}{again}, {when}, {what}"
    if last.message and not last.accepted:
        yield f"           {last.message.removeprefix(f'HTTP {last.status}: ')}"


def _what(attempt: Result) -> str:
    status = f"HTTP {attempt.status}" if attempt.status is not None else "no answer"
    if not attempt.is_sent:
        status = "not sent"
    asked = "" if attempt.request_id is None else f", request {attempt.request_id}"
    return f"{status} ({attempt.reason})" + (asked if attempt.accepted else "")


def _span(first_ms: int, last_ms: int) -> str:
    """Return two times, the second without its date if that is the same."""
    first, last = iso_utc(first_ms), iso_utc(last_ms)
    return f"{first} to {last[_DATE:] if first[:_DATE] == last[:_DATE] else last}"


def _letter(note: DeadLetterNote) -> str:
    after = "" if note.redriven_to is None else f", redriven to {note.redriven_to}"
    after = ", dismissed" if note.is_dismissed else after
    return f"{iso_utc(note.at_ms)}  {note.reason}  {note.place}{after}"
