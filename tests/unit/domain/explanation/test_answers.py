"""The sentence that answers "why no alert for this?", for each state of an event and a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.explanation.answers import (
    ExplainedEvent,
    ExplainedTrigger,
    answer_for_event,
    next_steps,
)
from stream_app.domain.explanation.deliveries import delivery_texts
from stream_app.domain.explanation.event_verdicts import (
    EventVerdict,
    TriggerResult,
    TriggerVerdict,
)
from stream_app.domain.explanation.filter_refusals import FilterRefusal
from stream_app.domain.explanation.places import PlacedRecord, PlaceState, answer_for_place
from stream_app.domain.explanation.window_answers import answer_for_window
from stream_app.domain.explanation.windows import WindowFacts, WindowState, span_text
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory
from stream_app.domain.reports.next_steps import IntegrationNow, Surroundings
from tests.unit.domain.objects import parse_trigger

START = 1_795_000_020
TRIGGER = parse_trigger(
    {
        "id": 7,
        "client_id": 1,
        "name": "Hits",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": [{"id": "attack_type", "operator": "eq", "values": ["sqli"]}],
        "threshold": {"count": 5, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    },
    allowed_periods=(60,),
)
OFF = msgspec.structs.replace(TRIGGER, enabled=False)
WINDOW = "--from 2026-11-18T11:07:00Z --to 2026-11-18T11:08:00Z"
LETTER = DeadLetterNote(Place("events.hits.dlq", 0, 3), 1000, "unknown_client")


def fired() -> AlertHistory:
    return AlertHistory(fired_alert(Client(1, "ACME", "EU", {}), TRIGGER, START), 1000)


def facts(**more: Any) -> WindowFacts:
    return WindowFacts(more.pop("trigger", TRIGGER), START, **more)


@pytest.mark.parametrize(
    ("more", "state", "answer"),
    [
        (
            {"count": 3, "recorded": 3},
            WindowState.NOT_EXCEEDED,
            (
                "No alert: trigger 7 counted 3 of more than 5 events in 2026-11-18 11:07:00 to "
                "11:08:00"
            ),
        ),
        (
            {"recorded": 0},
            WindowState.NO_EVENTS,
            "No alert: trigger 7 counted no event in 2026-11-18 11:07:00 to 11:08:00",
        ),
        ({"trigger": OFF, "count": 9}, WindowState.DISABLED, "No alert: trigger 7 is disabled"),
        (
            {"count": 9, "recorded": 2, "backlog": 4},
            WindowState.NOT_READ_YET,
            (
                "No alert yet: 9 events that count are on the topic in 2026-11-18 11:07:00 to "
                "11:08:00, and the detector has counted 2 of them; trigger 7 fires at more than 5"
            ),
        ),
        (
            {"count": 9, "recorded": 2},
            WindowState.NOT_COUNTED,
            (
                "No alert: trigger 7 counted 2 of more than 5 events in 2026-11-18 11:07:00 to "
                "11:08:00, though 9 are on the topic"
            ),
        ),
        (
            {"count": 9, "recorded": 9},
            WindowState.NO_ALERT,
            (
                "No alert is on the topic, but trigger 7 counted 9 of more than 5 events in "
                "2026-11-18 11:07:00 to 11:08:00"
            ),
        ),
        (
            {"count": 1, "recorded": 0, "backlog": 4, "workers": 0},
            WindowState.NOT_EXCEEDED,
            (
                "No alert yet: 1 event that counts is on the topic in 2026-11-18 11:07:00 to "
                "11:08:00, and the detector has counted 0 of them; no detector is running; trigger "
                "7 fires at more than 5"
            ),
        ),
        (
            {"count": 3, "recorded": 3, "now": START + 59},
            WindowState.OPEN,
            (
                "Not over yet: trigger 7 counted 3 of more than 5 events in 2026-11-18 11:07:00 to "
                "11:08:00 so far"
            ),
        ),
        (
            {"recorded": 0, "now": START - 1},
            WindowState.FUTURE,
            (
                "No alert yet: the window 2026-11-18 11:07:00 to 11:08:00 of trigger 7 lies in the "
                "future"
            ),
        ),
        (
            {"trigger": OFF, "recorded": 0, "count": 9, "other_alerts": [fired()]},
            WindowState.FIRED,
            (
                "Alert, no delivery was made, by an earlier form of the trigger: more than 5 in "
                "60 s: trigger 7, 2026-11-18 11:07:00 to 11:08:00"
            ),
        ),
        (
            {"count": 9, "recorded": 9, "alert": fired()},
            WindowState.FIRED,
            (
                "Alert, no delivery was made: trigger 7 counted 9 of more than 5 events in "
                "2026-11-18 11:07:00 to 11:08:00"
            ),
        ),
    ],
)
def test_a_window_says_whether_it_fired(
    more: dict[str, Any], state: WindowState, answer: str
) -> None:
    found = facts(**more)
    assert (found.state, answer_for_window(found)) == (state, answer)


def test_a_window_notes_what_its_count_leaves_open() -> None:
    enabled = msgspec.structs.replace(TRIGGER, enabled_at=(START + 10) * 1000)
    other = fired()
    found = facts(
        trigger=enabled, count=4, recorded=2, late=1, read_to_ms=None,
        other_revisions={"abc": 3}, other_alerts=[other],
    )  # fmt: skip
    assert list(found.notes()) == [
        (
            "the workers counted 2 for this form of the trigger; 4 of the events on the topic "
            "match it"
        ),
        "1 more came too late: the window took no more events",
        (
            "3 of the events counted for another form of the trigger, revision abc: a changed "
            "trigger counts anew"
        ),
        (
            "an earlier form of the trigger, more than 5 in 60 s, fired for 2026-11-18 11:07:00 "
            f"to 11:08:00: alert {other.alert.id}"
        ),
    ]
    unknown = list(facts(count=4, read_to_ms=START * 1000).notes())
    assert unknown == [
        "what the workers counted is not known any more; this is what the topic holds",
        (
            "reading stopped at what was recorded by 2026-11-18T11:07:00Z: later records may hold "
            "more events of the window"
        ),
    ]


def row(
    result: TriggerResult, window: WindowFacts | None = None, number: int = 7
) -> ExplainedTrigger:
    trigger = msgspec.structs.replace(TRIGGER, id=number)
    refused = (FilterRefusal(TRIGGER.filters[0], ("xss",)),)
    refusals = refused if result is TriggerResult.REFUSED else ()
    return ExplainedTrigger(TriggerVerdict(trigger, result, refusals), window=window)


def event(*rows: ExplainedTrigger, reason: str = "unmatched", **more: Any) -> ExplainedEvent:
    return ExplainedEvent(EventVerdict(None, reason, "", 1, START), list(rows), **more)


def pulse(**more: Any) -> ExplainedEvent:
    return ExplainedEvent(EventVerdict(None, "unmatched", "", PULSE_CLIENT_ID, -START), [], **more)


PULSE = (
    "No alert: the event is one of the pulse, which only proves that alerts can get through; "
    "nobody is told of it (deploy/heartbeat.md)"
)


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        (
            event(row(TriggerResult.REFUSED), lag=0),
            "No alert: trigger 7 refuses the event: attack_type eq sqli: the event has xss",
        ),
        (
            event(*(row(TriggerResult.REFUSED, number=n) for n in range(21)), lag=0),
            "No alert: 21 triggers refuse the event",
        ),
        (
            event(row(TriggerResult.REFUSED), row(TriggerResult.DISABLED), lag=0),
            "No alert: 1 trigger refuses the event, 1 more is disabled",
        ),
        (
            event(row(TriggerResult.DISABLED), lag=0),
            "No alert: trigger 7 would count events of this kind, but is disabled",
        ),
        (event(lag=0), "No alert: client 1 has no trigger for events of this kind"),
        (pulse(lag=0), PULSE),
        (pulse(lag=3), PULSE),
        (
            pulse(lag=0, letters=[LETTER]),
            "No alert: the event became a dead letter (unknown_client)",
        ),
        (
            event(lag=0, trigger_id=9),
            "No alert: trigger 9 is not of client 1, to which the event belongs",
        ),
        (
            event(row(TriggerResult.OTHER_KIND), lag=0, trigger_id=7),
            (
                "No alert: trigger 7 does not count events of this kind: its condition is "
                "hits_exceeded"
            ),
        ),
        (event(row(TriggerResult.LATE), lag=0), "No alert: the event came too late for trigger 7"),
        (
            event(row(TriggerResult.NOT_USED), reason="unsampled", lag=0),
            "No alert: the event is outside the sample (`sampled` is false): it is not counted",
        ),
        (
            event(row(TriggerResult.COUNTED, facts(count=1)), lag=3),
            "No alert yet: the detector has not read the event: 2 records come before it",
        ),
        (
            event(row(TriggerResult.COUNTED, facts(count=1)), lag=0, letters=[LETTER]),
            "No alert: the event became a dead letter (unknown_client)",
        ),
        (
            event(lag=0, letters=[replace(LETTER, is_dismissed=True)]),
            (
                "No alert: the event became a dead letter (unknown_client), dismissed: somebody "
                "has decided that nothing is to be done"
            ),
        ),
        (
            event(*(row(TriggerResult.COUNTED, facts(count=1), n) for n in (7, 8)), lag=0),
            "No alert: 2 triggers count the event, and none has exceeded its threshold",
        ),
        (
            event(
                row(TriggerResult.COUNTED, facts(count=1)),
                row(TriggerResult.COUNTED, facts(count=6, alert=fired())),
                lag=0,
            ),
            (
                "Alert, no delivery was made: trigger 7 counted 6 of more than 5 events in "
                "2026-11-18 11:07:00 to 11:08:00"
            ),
        ),
        (
            event(row(TriggerResult.COUNTED, facts(count=1))),
            (
                "It would count for trigger 7: so far 1 of more than 5 events in 2026-11-18 "
                "11:07:00 to 11:08:00"
            ),
        ),
        (
            event(row(TriggerResult.COUNTED, facts(count=6, alert=fired()))),
            (
                "It would count for trigger 7; its window 2026-11-18 11:07:00 to 11:08:00 has "
                "fired already"
            ),
        ),
    ],
)
def test_an_event_has_one_answer(one: ExplainedEvent, answer: str) -> None:
    assert answer_for_event(one) == answer


def test_each_answer_leads_on() -> None:
    counted = row(TriggerResult.COUNTED, facts(count=1))
    alert = fired()
    cases = {
        "stream-app dlq show events.hits.dlq/0/3": event(counted, letters=[LETTER], lag=0),
        "stream-app status": event(counted, lag=2),
        f"stream-app triggers backtest --trigger 7 {WINDOW}": event(counted, lag=0),
        "stream-app get triggers 7 -o yaml": event(row(TriggerResult.REFUSED), lag=0),
        "stream-app get triggers --client 1": event(lag=0),
        f"stream-app alerts show {alert.alert.id}": event(
            counted, row(TriggerResult.COUNTED, facts(alert=alert)), lag=0
        ),
    }
    assert list(next_steps(pulse(lag=0))) == ["stream-app status"]
    assert {step: list(next_steps(one)) for step, one in cases.items()} == {
        step: [step] for step in cases
    }


@pytest.mark.parametrize(
    ("state", "begins"),
    [
        (PlaceState.NOT_WRITTEN, "No such record: partition 1 of events.hits ends before offset 9"),
        (PlaceState.REMOVED, "Not known any more: partition 1 of events.hits begins at offset 4"),
        (PlaceState.WITHHELD, "No alert yet: an open transaction withholds offset 7"),
        (PlaceState.ABORTED, "No alert: the transaction that wrote offset 7"),
        (PlaceState.NO_RECORD, "No record: offset 7 of partition 1 of events.hits holds only"),
    ],
)
def test_a_place_without_a_record_has_an_answer(state: PlaceState, begins: str) -> None:
    placed = PlacedRecord(Place("events.hits", 1, 7), state, 4, 9, 8, 1, hint="end it")
    assert answer_for_place(placed, ()).answer.startswith(begins)
    assert placed.is_read


def test_what_became_of_an_alert_is_a_line_for_each_integration() -> None:
    history, off = fired(), IntegrationNow("On-call", 1, "integration 521 is off")
    around = Surroundings({521: off}, 10**6, 1.0, 10**9)
    (line,) = delivery_texts(history, around)
    assert line.startswith("integration 521: no delivery: integration 521 is off")
    history.deliveries[521] = DeliveryHistory("x", 521)
    assert list(delivery_texts(history, around)) == ["integration 521: pending"]
    nobody = msgspec.structs.replace(history.alert, integration_ids=())
    assert list(delivery_texts(AlertHistory(nobody, 0), around)) == [
        "the trigger names no integration: nobody is told"
    ]


def test_a_window_has_its_date_once() -> None:
    assert span_text(START, START + 86_400) == "2026-11-18 11:07:00 to 2026-11-19 11:07:00"
    assert span_text(10**18, 10**18 + 60) == f"{10**18} to {10**18 + 60}"
