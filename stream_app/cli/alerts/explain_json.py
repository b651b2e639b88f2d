"""An explanation as one JSON document; `schemas/commands` describes it."""

from __future__ import annotations

from typing import Any

from stream_app.cli.alerts.explain_client import answer_of_client
from stream_app.cli.alerts.history_json import letter_document
from stream_app.domain.explanation.answers import (
    ExplainedEvent,
    ExplainedTrigger,
    answer_for_event,
    next_steps,
)
from stream_app.domain.explanation.deliveries import delivery_texts
from stream_app.domain.explanation.event_verdicts import TriggerVerdict
from stream_app.domain.explanation.notice_verdicts import NoticeVerdict
from stream_app.domain.explanation.places import answer_for_place
from stream_app.domain.explanation.window_answers import answer_for_window, steps_for_window
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.domain.times import iso_utc
from stream_app.kafka.explanation.full_explanation import FullExplanation


def document(found: FullExplanation) -> dict[str, Any]:
    """Return an explanation in JSON's types."""
    answers = [answer_for_event(one) for one in found.events]
    answers += [answer_for_window(facts) for facts in found.windows]
    placed, asked = found.placed, found.asked
    if asked is not None:
        answers = [answer_of_client(found, asked)]
    if placed is not None and not found.events:
        answers = [answer_for_place(placed, found.letters).answer]
    return {
        "answer": answers[0] if len(answers) == 1 else None,
        "topic": placed and placed.place.topic,
        "partition": placed and placed.place.partition,
        "offset": placed and placed.place.offset,
        "state": placed and placed.state,
        "is_read": placed and placed.is_read,
        "is_lateness_certain": found.watermark.is_certain,
        "events": [_event(found.around, one) for one in found.events],
        "windows": [
            {
                "trigger_id": facts.trigger.id,
                "trigger_name": facts.trigger.name,
                "configuration": facts.basis,
                **_window(found.around, facts),
            }
            for facts in found.windows
        ],
        "client_id": None if asked is None else asked.id,
        "not_counted": [
            {
                "reason": reason.word,
                "message": reason.text,
                "count": left.count,
                "topic": left.place.topic,
                "partition": left.place.partition,
                "offset": left.place.offset,
            }
            for reason, left in found.not_counted
        ],
        "dead_letters": [letter_document(letter.note) for letter in found.letters],
    }


def _event(around: Surroundings, one: ExplainedEvent) -> dict[str, Any]:
    verdict = one.verdict
    notice = verdict if isinstance(verdict, NoticeVerdict) else None
    seconds = None if isinstance(verdict, NoticeVerdict) else verdict.seconds
    return {
        "answer": answer_for_event(one),
        "index": verdict.index,
        "client_id": verdict.client_id,
        "happened_at": None if seconds is None else iso_utc(seconds * 1000),
        "notification_type": None if notice is None else notice.kind,
        "subscription": None if notice is None else notice.subscription,
        "reason": verdict.reason,
        "message": verdict.message or None,
        "lag": one.lag,
        "triggers": [_trigger(around, row) for row in one.rows],
        "integrations": [
            {
                "integration_id": entry.integration.id,
                "integration_name": entry.integration.name,
                "is_subscribed": not entry.why,
                "message": entry.why or None,
            }
            for entry in (() if notice is None else notice.integrations)
        ],
        "alerts": [_alert(around, history) for history in one.alerts],
        "dead_letters": [letter_document(note) for note in one.letters],
        "next_steps": list(next_steps(one)),
    }


def _trigger(around: Surroundings, row: ExplainedTrigger) -> dict[str, Any]:
    return {
        "trigger_id": row.verdict.trigger.id,
        "trigger_name": row.verdict.trigger.name,
        "configuration": row.basis,
        "configured_at": None if row.version_ms is None else iso_utc(row.version_ms),
        **_verdict(row.verdict),
        "today": None if row.today is None else _verdict(row.today),
        "windows": [] if row.window is None else [_window(around, row.window)],
        "alerts": [] if row.alert is None else [_alert(around, row.alert)],
    }


def _verdict(verdict: TriggerVerdict) -> dict[str, Any]:
    return {
        "result": verdict.result,
        "refusals": [
            {
                "filter": one.filter.id,
                "operator": one.filter.operator,
                "values": list(one.filter.values),
                "event_values": list(one.has),
                "message": str(one),
            }
            for one in verdict.refusals
        ],
    }


def _window(around: Surroundings, facts: WindowFacts) -> dict[str, Any]:
    return {
        "window_start_at": iso_utc(facts.start * 1000),
        "window_end_at": iso_utc(facts.end * 1000),
        "state": facts.state,
        "count": facts.counted,
        "threshold": facts.threshold.count,
        "count_on_topic": facts.count,
        "count_recorded": facts.recorded,
        "count_late": facts.late,
        "read_to_at": None if facts.read_to_ms is None else iso_utc(facts.read_to_ms),
        "notes": list(facts.notes()),
        "alerts": [_alert(around, one) for one in facts.alerts],
        "next_steps": list(steps_for_window(facts, facts.trigger.id)),
    }


def _alert(around: Surroundings, history: AlertHistory) -> dict[str, Any]:
    return {
        "id": history.alert.id,
        "state": history.state,
        "fired_at": iso_utc(history.fired_ms),
        "deliveries": list(delivery_texts(history, around)),
    }
