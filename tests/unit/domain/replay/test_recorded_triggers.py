from __future__ import annotations

import msgspec

from stream_app.domain.alerts.alert import fired_alert
from stream_app.domain.configuration.triggers import Filter, Threshold
from stream_app.domain.replay.recorded_triggers import (
    FormerTriggers,
    changes,
    definition,
    recorded_trigger,
)
from tests.unit.domain.replay.test_comparison import ALERT, CLIENT, OTHER, START, TRIGGER


def test_the_definition_of_a_recorded_trigger_is_that_of_the_configured_one() -> None:
    assert recorded_trigger(ALERT).revision == definition(TRIGGER)
    assert definition(TRIGGER) != TRIGGER.revision, "it was enabled at some time"
    anew = msgspec.structs.replace(TRIGGER, enabled_at=2000)
    assert anew.revision != TRIGGER.revision
    assert definition(anew) == definition(TRIGGER)
    assert definition(OTHER) != definition(TRIGGER)


def test_the_trigger_of_a_window_is_that_of_the_last_alert_before_it() -> None:
    alerts = [fired_alert(CLIENT, OTHER, START + 600), ALERT]
    former = FormerTriggers(alerts, {61: OTHER, 62: OTHER})
    thresholds = {}
    for start in (START - 60, START, START + 540, START + 600, START + 9000):
        found = former.at(1, 61, start)
        assert found is not None
        thresholds[start - START] = found.threshold
    five, nine = Threshold(5, 60), Threshold(9, 60)
    assert thresholds == {-60: five, 0: five, 540: five, 600: nine, 9000: nine}
    configured = former.at(1, 62, START)
    assert configured is not None, "it has no alert, and was in force"
    assert former.at(1, 63, START) is None


def test_only_definitions_that_differ_from_those_of_now_are_counted_again() -> None:
    alerts = [ALERT, fired_alert(CLIENT, OTHER, START + 600), fired_alert(CLIENT, OTHER, START)]
    former = FormerTriggers(alerts, {})
    assert [one.threshold for one in former.changed({61: TRIGGER})] == [OTHER.threshold]
    assert [one.threshold for one in former.changed({61: OTHER})] == [TRIGGER.threshold]
    assert len(former.changed({})) == 2
    off = msgspec.structs.replace(TRIGGER, id=62, enabled=False)
    assert FormerTriggers([], {62: off}).changed({62: OTHER}) == [], "it counted nothing"


def test_changes_are_told_as_old_and_new() -> None:
    now = msgspec.structs.replace(
        OTHER, threshold=Threshold(9, 3600), filters=(Filter("pool", "ne", (7, -1)),)
    )
    assert changes(TRIGGER, now) == (
        "threshold 5 → 9; period 1 minute → 1 hour; filters none → pool ne 7, -1"
    )
    assert changes(TRIGGER, TRIGGER) == ""
