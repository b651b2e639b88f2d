"""The windows of a time, each with the form of its trigger, and the window of an alert."""

from __future__ import annotations

import msgspec

from stream_app.domain.alerts.alert import Alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Threshold, Trigger
from stream_app.domain.explanation.spans import AlertedWindows, windows_between
from stream_app.domain.explanation.versions import Basis, TriggerVersion, TriggerVersions
from tests.unit.domain.explanation.test_answers import START, TRIGGER, facts

LONGER = msgspec.structs.replace(TRIGGER, threshold=Threshold(5, 300))
STRICTER = msgspec.structs.replace(TRIGGER, threshold=Threshold(9, 60))
OFF = msgspec.structs.replace(TRIGGER, enabled=False)


def versions(*found: tuple[int, Trigger | None]) -> TriggerVersions:
    known = TriggerVersions()
    for second, trigger in found:
        known.add(7, TriggerVersion((START + second) * 1000, trigger))
    return known


def windows(known: TriggerVersions, first: int, end: int) -> list[tuple[int, int, int, Basis]]:
    found = windows_between(known, 7, (START + first) * 1000, (START + end) * 1000, 50)
    return [(w.start - START, w.end - w.start, w.threshold.count, w.basis) for w in found]


def test_each_window_has_the_form_of_its_end() -> None:
    known = versions((-999, TRIGGER), (90, STRICTER))
    assert windows(known, 0, 180) == [
        (0, 60, 5, Basis.THEN), (60, 60, 9, Basis.TODAY), (120, 60, 9, Basis.TODAY),
    ]  # fmt: skip
    for second in (0, 60, 120):
        assert windows(known, second, second + 1)[0] in windows(known, 0, 180)


def test_a_period_that_changes_changes_the_windows() -> None:
    # START is a minute, and 120 s after the last five minutes.
    assert [one[:2] for one in windows(versions((-999, TRIGGER), (170, LONGER)), 60, 500)] == [
        (60, 60), (120, 60), (180, 300), (480, 300),
    ]  # fmt: skip


def test_a_trigger_that_was_disabled_or_deleted_since_is_judged_by_what_it_was() -> None:
    (found,) = windows_between(versions((-9, TRIGGER), (30, OFF)), 7, START * 1000, START * 1000, 9)
    assert (found.trigger, found.basis) == (TRIGGER, Basis.THEN)
    (found,) = windows_between(versions((-9, TRIGGER), (90, None)), 7, START * 1000, 0, 9)
    assert (found.trigger, found.basis) == (TRIGGER, Basis.THEN)
    (found,) = windows_between(versions((9, TRIGGER)), 7, (START - 60) * 1000, 0, 9)
    assert found.basis is Basis.NOT_KNOWN


def test_no_more_windows_are_made_than_are_asked_for() -> None:
    assert len(windows_between(versions((0, TRIGGER)), 7, 0, START * 1000, 20)) == 21


def test_an_alert_of_any_form_belongs_to_one_window() -> None:
    first, second = facts(), facts()
    second.start += 60
    chosen = AlertedWindows([second, first])

    def alert(trigger: Trigger, start: int) -> Alert:
        found = fired_alert(Client(1, "ACME", "EU", {}), trigger, start)
        assert isinstance(found, Alert)
        return found

    assert chosen.of(alert(TRIGGER, START)) is first
    assert chosen.of(alert(STRICTER, START + 60)) is second
    assert chosen.of(alert(LONGER, START - 120)) is first
    assert chosen.of(alert(LONGER, START + 180)) is None
    assert chosen.of(alert(TRIGGER, START + 120)) is None
    assert chosen.of(alert(msgspec.structs.replace(TRIGGER, id=8), START)) is None
