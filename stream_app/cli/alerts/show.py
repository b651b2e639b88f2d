"""`stream-app alerts show`: the whole history of one alert."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import partial

import click
import msgspec

from stream_app.cli.alerts.list import cause_of
from stream_app.cli.output import print_json, print_line, say
from stream_app.cli.progress import ProgressLine
from stream_app.domain.alerts.alert import Alert, AnyAlert
from stream_app.domain.delivery.records import DeliveryStatus, Result
from stream_app.domain.errors import UsageError
from stream_app.domain.reports.alert_history import (
    AlertHistories,
    AlertHistory,
    DeadLetterNote,
    DeliveryHistory,
    find_alert,
    is_named_by,
)
from stream_app.domain.times import iso_utc
from stream_app.kafka.history.alert_history import Bounds, add_deliveries, read_alert_history
from stream_app.logs import configure_logs
from stream_app.settings import Settings, load_settings

#: Most records of a topic that are read; that takes some 20 s.
MOST = 2_000_000
_PLAIN = re.compile(r"[\w:.-]*", re.ASCII)


@click.command(
    epilog="Examples: stream-app alerts show 3f9a61; "
    "stream-app alerts show stream-app:1111:incidents_exceeded:3f9a61 --json"
)
@click.argument("alert_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the history as one JSON document.")
def show(alert_id: str, *, as_json: bool) -> None:
    """Show the history of an alert: what fired, the message, and each attempt to deliver it.

    ID is what `stream-app alerts list` prints, or the beginning of it or of its last part, as
    long as it names one alert; it is the alias at Opsgenie, too.
    """
    settings = load_settings()
    configure_logs(settings.log)
    text = alert_id.strip()
    if not text:
        raise UsageError("give an alert's id: `stream-app alerts list` shows which there are")
    history, cut_ms = asyncio.run(_read(settings, text))
    scale = settings.delivery.retry_scale
    if as_json:
        print_json(_document(history, scale))
    else:
        for line in _lines(history, scale):
            print_line(line)
    if cut_ms is not None:
        say(f"looked back to {iso_utc(cut_ms)} only (the newest {MOST:,} records)")


async def _read(settings: Settings, text: str) -> tuple[AlertHistory, int | None]:
    def wanted(alert: AnyAlert) -> bool:
        return is_named_by(alert.id, text)

    # Any other text may be escaped in a record, so its bytes cannot be searched for.
    holding = text.encode() if _PLAIN.fullmatch(text) else b""
    with ProgressLine(what="alerts") as progress:
        histories, reach = await read_alert_history(
            settings, Bounds(MOST), wanted, progress.report, holding=holding
        )
    history = find_alert(histories, text)
    chosen = AlertHistories()
    chosen.by_id[history.alert.id] = history
    with ProgressLine(what="deliveries") as progress:
        behind = await add_deliveries(settings, chosen, MOST, progress.report)
    cuts = [cut for cut in (reach.cut_ms, behind.cut_ms) if cut is not None]
    return history, max(cuts, default=None)


def _document(history: AlertHistory, scale: float) -> dict[str, object]:
    """Return the history in JSON's types; times are ISO-8601."""
    return {
        "state": history.state,
        "fired_at": iso_utc(history.fired_ms),
        "records": history.records,
        "alert": msgspec.to_builtins(history.alert),
        "deliveries": [_delivery(d, scale) for _, d in sorted(history.deliveries.items())],
        "dead_letters": [_note(note) for note in history.dead_letters],
    }


def _delivery(history: DeliveryHistory, scale: float) -> dict[str, object]:
    due_ms = history.due_ms(scale)
    sent = history.delivery
    return {
        "id": history.id,
        "integration_id": history.integration_id,
        "state": history.status,
        "reason": history.reason or None,
        "redrives": history.redrives,
        "next_due_at": None if due_ms is None else iso_utc(due_ms),
        "message": sent and sent.message,
        "description": sent and sent.description,
        "details": sent and sent.details,
        "attempts": [
            msgspec.to_builtins(attempt) | {"finished_at": iso_utc(attempt.finished_at_ms)}
            for attempt in history.ordered_attempts
        ],
        "checks": [
            msgspec.to_builtins(check) | {"checked_at": iso_utc(check.checked_at_ms)}
            for check in history.checks
        ],
        "dead_letters": [_note(note) for note in history.dead_letters],
    }


def _note(note: DeadLetterNote) -> dict[str, object]:
    return {
        "place": note.place,
        "at": iso_utc(note.at_ms),
        "reason": note.reason,
        "redriven_to": note.redriven_to,
    }


def _lines(history: AlertHistory, scale: float) -> Iterator[str]:
    """Yield the history as lines for a person."""
    alert = history.alert
    yield f"alert    {alert.id}"
    yield f"state    {history.state}"
    more = f" ({history.records} equal records)" if history.records > 1 else ""
    yield f"fired    {iso_utc(history.fired_ms)}{more}"
    yield f"client   {alert.client_id} {alert.client_name} ({alert.cloud})"
    yield f"cause    {cause_of(alert)}"
    if isinstance(alert, Alert):
        yield from _window(alert)
    else:
        yield f"event    {alert.notice.subscription}: {alert.notice.summary}"
    for note in history.dead_letters:
        yield _letter(note)
    missing = [n for n in alert.integration_ids if n not in history.deliveries]
    for _, delivery in sorted(history.deliveries.items()):
        yield ""
        yield from _delivery_lines(delivery, scale)
    if missing:
        yield ""
        numbers = ", ".join(map(str, missing))
        yield f"no delivery for integration {numbers}: not routed yet, or it takes none"
        yield "(`stream-app integrations list` shows its state, `stream-app status` the lag)"


def _window(alert: Alert) -> Iterator[str]:
    trigger = alert.trigger
    start, end = (iso_utc(at * 1000) for at in (alert.window_start, alert.window_end))
    count, period = trigger.threshold.count, trigger.threshold.period
    yield f"window   {start} to {end}"
    yield f"rule     {trigger.template_id}: more than {count} in {period} s"
    for item in trigger.filters:
        values = ", ".join(map(str, item.values))
        yield f"         {item.id} {item.operator} {values}"


def _delivery_lines(history: DeliveryHistory, scale: float) -> Iterator[str]:
    reason = f" ({history.reason})" if history.reason else ""
    yield f"integration {history.integration_id}: {history.status}{reason}"
    if history.delivery is not None:
        yield f"  message  {history.delivery.message}"
        for line in history.delivery.description.splitlines():
            yield f"           {line}".rstrip()
    yield from map(_attempt, history.ordered_attempts)
    for check in history.checks:
        yield (f"  checked  {iso_utc(check.checked_at_ms)}  {check.outcome}: {check.status}")
    yield from map(partial(_letter, margin="  "), history.dead_letters)
    due_ms = history.due_ms(scale)
    if history.status is DeliveryStatus.PENDING and due_ms is not None:
        yield f"  next     attempt {_next_number(history)} is due at {iso_utc(due_ms)}"


def _next_number(history: DeliveryHistory) -> int:
    return 1 if history.last_attempt is None else history.last_attempt.attempt + 1


def _attempt(attempt: Result) -> str:
    status = f"HTTP {attempt.status}" if attempt.status is not None else "no answer"
    asked = "" if attempt.request_id is None else f"  request {attempt.request_id}"
    outcome = "accepted" if attempt.accepted else "failed"
    again = f", redrive {attempt.redrives}" if attempt.redrives else ""
    return (
        f"  attempt  {attempt.attempt}{again}  {iso_utc(attempt.finished_at_ms)}  {outcome}  "
        f"{status}  {attempt.reason}  {attempt.duration_seconds * 1000:.0f} ms{asked}"
        + ("" if attempt.accepted else f"  {attempt.message}")
    )


def _letter(note: DeadLetterNote, margin: str = "") -> str:
    after = (
        f"redrive it with: stream-app dlq redrive --place {note.place}"
        if note.redriven_to is None
        else f"redriven to {note.redriven_to}"
    )
    return f"{margin}dead     {iso_utc(note.at_ms)}  {note.reason}  {note.place}: {after}"
