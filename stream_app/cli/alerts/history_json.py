"""The history of an alert in JSON's types; times are ISO-8601."""

from __future__ import annotations

import msgspec

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.delivery.records import Checked, Result
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.domain.times import iso_utc
from stream_app.kafka.history.window_counts import ObservedCount


def facts_of(history: AlertHistory) -> dict[str, object]:
    """Return what an alert is about."""
    alert = history.alert
    trigger = alert.trigger
    facts: dict[str, object] = {
        "id": alert.id,
        "state": history.state,
        "fired_at": iso_utc(history.fired_ms),
        "client_id": alert.client_id,
        "client_name": alert.client_name,
        "trigger_id": trigger and trigger.id,
        "trigger_name": trigger and trigger.name,
        "notification_type": alert.notice.kind if isinstance(alert, NoticeAlert) else None,
        "window_start_at": None,
        "window_end_at": None,
        "threshold": None,
    }
    if isinstance(alert, Alert):
        facts["window_start_at"] = iso_utc(alert.window_start * 1000)
        facts["window_end_at"] = iso_utc(alert.window_end * 1000)
        facts["threshold"] = alert.trigger.threshold.count
    return facts


def document_of(
    history: AlertHistory, observed: ObservedCount | None, around: Surroundings
) -> dict[str, object]:
    """Return the whole history."""
    return {
        **facts_of(history),
        "count": observed and observed.count,
        "is_whole_count": observed.is_whole if observed else None,
        "records": history.records,
        "alert": msgspec.to_builtins(history.alert),
        "deliveries": [_delivery(history, delivery, around) for delivery in history.all_deliveries],
        "folded": [
            {
                "integration_id": number,
                "integration_name": _name(number, around),
                "alias": episode.alias,
                "told_in": history.told_in.get(number),
            }
            for number, episode in sorted(history.folded.items())
        ],
        "without_delivery": [
            {
                "integration_id": number,
                "integration_name": _name(number, around),
                "next_step": around.why_no_delivery(history, number),
            }
            for number in history.without_delivery
        ],
        "dead_letters": [
            letter_document(note) | {"next_step": around.next_of_letter(note)}
            for note in history.dead_letters
        ],
    }


def _name(number: int, around: Surroundings) -> str | None:
    found = around.integrations.get(number)
    return found.name if found else None


def _delivery(
    alert: AlertHistory, history: DeliveryHistory, around: Surroundings
) -> dict[str, object]:
    sent, outlook = history.delivery, around.outlook(alert, history)
    return {
        "id": history.id,
        "integration_id": history.integration_id,
        "integration_name": _name(history.integration_id, around),
        "action": history.action,
        "alias": sent and sent.alias,
        "state": history.status,
        "reason": history.reason or None,
        "redrives": history.redrives,
        "next_attempt": outlook and outlook.attempt,
        "next_due_at": iso_utc(outlook.due_ms) if outlook else None,
        "resends_until_at": iso_utc(outlook.until_ms) if outlook else None,
        "cycle": outlook and outlook.cycle,
        "next_step": around.next_of_delivery(alert, history),
        "message": sent and sent.message,
        "description": sent and sent.description,
        "details": sent and sent.details,
        "note": (sent and sent.note) or None,
        "attempts": [_attempt(attempt) for attempt in history.ordered_attempts],
        "checks": [_check(check) for check in history.checks],
        "dead_letters": [letter_document(note) for note in history.dead_letters],
    }


def _attempt(attempt: Result) -> dict[str, object]:
    return {
        "attempt": attempt.attempt,
        "redrives": attempt.redrives,
        "finished_at": iso_utc(attempt.finished_at_ms),
        "duration_seconds": attempt.duration_seconds,
        "is_sent": attempt.is_sent,
        "accepted": attempt.accepted,
        "status": attempt.status,
        "reason": attempt.reason,
        "message": attempt.message,
        "request_id": attempt.request_id,
        "retry_after_seconds": attempt.retry_after_seconds,
        "body": None if attempt.body is msgspec.UNSET else attempt.body,
    }


def _check(check: Checked) -> dict[str, object]:
    return {
        "checked_at": iso_utc(check.checked_at_ms),
        "request_id": check.request_id,
        "outcome": check.outcome,
        "status": check.status,
    }


def letter_document(note: DeadLetterNote) -> dict[str, object]:
    """Return a dead letter in JSON's types."""
    return {
        "topic": note.place.topic,
        "partition": note.place.partition,
        "offset": note.place.offset,
        "appended_at": iso_utc(note.at_ms),
        "reason": note.reason,
        "redriven_to": note.redriven_to,
        "is_dismissed": note.is_dismissed,
    }
