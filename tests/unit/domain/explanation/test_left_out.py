"""Which events of a time were not counted, why, and where one of each is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.events.model import EventKind
from stream_app.domain.explanation import left_out
from stream_app.domain.explanation.event_verdicts import EventExplainer
from stream_app.domain.explanation.left_out import EventSpan, LeftOutEvents, forms_of
from stream_app.domain.explanation.windows import WindowFacts
from tests.unit.domain.explanation.test_answers import START, TRIGGER
from tests.unit.domain.explanation.test_event_verdicts import record

#: It refuses xss as TRIGGER does.
OTHER = msgspec.structs.replace(TRIGGER, id=8)
OFF = msgspec.structs.replace(TRIGGER, enabled=False)


def found(
    values: list[Any], *triggers: Trigger, by_trigger: bool = True, at: int = START
) -> LeftOutEvents:
    windows = [WindowFacts(trigger, START) for trigger in triggers]
    clients = {number: Client(number, "ACME", "EU", {}) for number in (1, 2)}
    explainer = EventExplainer(EventKind.HITS, clients, forms_of(windows, as_enabled=by_trigger))
    one = LeftOutEvents(
        "events.hits", EventSpan(START, START + 60), 1, clients, explainer, windows,
        by_trigger=by_trigger,
    )  # fmt: skip
    records = [record(value, at=at) for value in values]
    for number, item in enumerate(records):
        item.offset = number
    one.take(3, records)
    return one


def texts(one: LeftOutEvents) -> dict[str, tuple[int, str]]:
    return {reason.text: (left.count, str(left.place)) for reason, left in one.found.items()}


def hit(kind: str = "sqli", at: int = START, client_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"client_id": client_id, "type": kind, "request_time": at, **more}


def test_each_reason_has_a_number_and_the_place_of_the_first() -> None:
    values = [
        hit(), hit(experimental=True), [hit("xss"), hit("xss"), hit(client_id=2)],
        hit(client_id=99), b"{broken", hit("xss", START - 1), hit("xss", START + 60), b"null",
    ]  # fmt: skip
    assert texts(found(values, TRIGGER)) == {
        "experimental": (1, "events.hits/3/1"),
        "refused (attack_type eq sqli)": (2, "events.hits/3/2"),
        "dead letter unknown_client": (1, "events.hits/3/3"),
        "dead letter undecodable": (1, "events.hits/3/4"),
        "dead letter wrong_type": (1, "events.hits/3/7"),
    }


def test_an_event_is_late_by_what_its_partition_had_seen() -> None:
    later = START + 100_000
    assert texts(found([hit(at=later), hit()], TRIGGER, at=later)) == {
        "too late": (1, "events.hits/3/1")
    }


@pytest.mark.parametrize(
    ("triggers", "text"),
    [
        ([TRIGGER], "refused by trigger 7 (attack_type eq sqli)"),
        ([TRIGGER, OTHER], "refused by each of 2 triggers"),
        ([OFF], "that no enabled trigger counts"),
        ([], "that no enabled trigger counts"),
    ],
)
def test_a_client_is_told_which_triggers_refuse(triggers: list[Trigger], text: str) -> None:
    assert list(texts(found([hit("xss")], *triggers, by_trigger=False))) == [text]


def test_a_disabled_trigger_is_asked_as_if_it_were_enabled() -> None:
    assert list(texts(found([hit(), hit("xss")], OFF))) == ["refused (attack_type eq sqli)"]


def test_what_is_looked_at_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out, "MOST", 5)
    one = found([hit("xss")] * 9, TRIGGER)
    assert one.is_cut
    assert [left.count for left in one.found.values()] == [5]
