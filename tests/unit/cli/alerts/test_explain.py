"""How an explanation is printed: its answer first, at any width, whatever its names hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest

from stream_app.cli.alerts.explain_json import document
from stream_app.cli.alerts.explain_text import MAX_ROWS, report
from stream_app.domain.configuration.clients import Client
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.explanation.answers import ExplainedEvent, ExplainedTrigger
from stream_app.domain.explanation.event_verdicts import (
    EventVerdict,
    TriggerResult,
    TriggerVerdict,
)
from stream_app.domain.explanation.places import PlacedRecord, PlaceState
from stream_app.domain.explanation.windows import WindowFacts
from stream_app.domain.reports.next_steps import Surroundings
from stream_app.kafka.explanation.full_explanation import FullExplanation
from tests.contract.command_output import check
from tests.unit.domain.explanation.test_answers import START, TRIGGER, event, facts, fired, row

AROUND = Surroundings({}, START * 1000, 1.0, 10**9)


def placed(state: PlaceState = PlaceState.RECORD) -> PlacedRecord:
    record: Any = SimpleNamespace(timestamp=START * 1000)
    return PlacedRecord(Place("events.hits", 0, 12), state, 0, 20, 20, 1, record)


def explanation(*events: ExplainedEvent, **more: Any) -> FullExplanation:
    clients = {1: Client(1, "ACME\x1b[31m", "EU", {})}
    return FullExplanation(AROUND, clients, placed(), list(events), **more)


def lines(found: FullExplanation, width: int = 80) -> list[str]:
    check("alerts explain", orjson.dumps(document(found)).decode())
    return list(report(found, width))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_answer_is_the_first_line_and_no_line_is_too_wide(width: int) -> None:
    found = explanation(event(row(TriggerResult.COUNTED, facts(count=3, recorded=3)), lag=0))
    shown = lines(found, width)
    assert " ".join(shown).startswith("No alert: trigger 7 counted 3 of more than 5 events in")
    # Nobody could paste a command that is cut.
    assert max(len(line) for line in shown if "stream-app " not in line) <= width


def test_names_of_strangers_cannot_act_on_a_terminal() -> None:
    odd = msgspec.structs.replace(TRIGGER, name="\x1b]0;x\x07" + "n" * 500)
    verdict = TriggerVerdict(odd, TriggerResult.REFUSED)
    found = explanation(event(ExplainedTrigger(verdict), lag=0))
    text = "\n".join(lines(found))
    assert "\x1b" not in text
    assert r"(ACME\x1b[31m)" in text
    assert r"(\x1b]0;x\x07nnn" in text
    assert "n" * 100 not in text


def test_of_a_thousand_triggers_the_first_are_shown_and_the_rest_are_counted() -> None:
    rows = [row(TriggerResult.REFUSED, number=n) for n in range(1, 1001)]
    shown = lines(explanation(event(*rows, lag=0)))
    assert shown[0] == "No alert: 1000 triggers refuse the event"
    assert sum(line.startswith("trigger ") for line in shown) == MAX_ROWS
    assert any("980 more triggers: refuses it" in line for line in shown)
    assert len(shown) < 80


def test_triggers_that_count_come_first() -> None:
    rows = [row(TriggerResult.REFUSED), row(TriggerResult.COUNTED, facts(count=1), number=8)]
    shown = [line for line in lines(explanation(event(*rows, lag=0))) if line.startswith("trigger")]
    assert [line.split()[1] for line in shown] == ["8", "7"]


def test_what_will_become_of_an_event_that_is_not_read_is_said_beside() -> None:
    one = event(row(TriggerResult.NOT_USED), reason="experimental", lag=4)
    text = " ".join(lines(explanation(one)))
    assert text.startswith("No alert yet: the detector has not read the event: 3 records come")
    assert "once it has read the event:" in text
    assert "No alert: the event is experimental" in text


def test_a_place_without_a_record_is_one_answer() -> None:
    found = FullExplanation(AROUND, {}, placed(PlaceState.NO_RECORD))
    assert lines(found, 100)[0].startswith("No record: offset 12 of partition 0 of events.hits")


def test_many_windows_are_summed_up() -> None:
    windows = [WindowFacts(TRIGGER, START + 60 * n, recorded=0) for n in range(99)]
    windows.append(facts(count=6, recorded=6, alert=fired()))
    found = FullExplanation(AROUND, {}, windows=windows, trigger=TRIGGER)
    shown = lines(found)
    assert shown[0] == "100 windows: 99 without events, 1 fired"
    assert sum(line.startswith("window") for line in shown) == 1
    assert any("and 99 more windows: --json prints all" in line for line in shown)


def test_records_that_are_gone_leave_lateness_open() -> None:
    unsure = SimpleNamespace(value=START, is_certain=False)
    one = event(row(TriggerResult.COUNTED, facts(count=1)), lag=0)
    text = " ".join(lines(explanation(one, watermark=unsure)))
    assert "with older ones it may have come too late" in " ".join(text.split())


def test_a_part_that_is_no_event_has_no_triggers() -> None:
    refused = EventVerdict(3, "wrong_type", "Expected `int`", is_dead_letter=True)
    shown = lines(explanation(ExplainedEvent(refused, lag=0)))
    assert shown[0] == "No alert: the event cannot be used (wrong_type): Expected `int`"
    assert any(line.startswith("event     events.hits/0/12[3]") for line in shown)
