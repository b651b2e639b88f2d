"""What a replay says of its alerts besides the alerts themselves."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.cli.replay.report import show_pages
from stream_app.domain.alerts.alert import Alert, AlertNotice, AlertTrigger, NoticeAlert
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.configuration.triggers import Threshold

TRIGGER = AlertTrigger(61, "Hits", "hits_exceeded", "r1", (), Threshold(1, 60))
NOTICE = NoticeAlert(
    "n", 1111, "Acme", "EU", AlertNotice("create_user", "system", "", "", {}, 1), (521,)
)
EPISODES = RepeatOptions(Deduplicate.EPISODE, 3600)


def fired(windows: int, trigger: int = 61) -> list[Alert | NoticeAlert]:
    """Return the alerts of windows of a minute, the newest first."""
    one = msgspec.structs.replace(TRIGGER, id=trigger)
    return [
        Alert(f"a{n}", 1111, "Acme", "EU", one, n * 60, n * 60 + 60, (521, 522, 523), {})
        for n in reversed(range(windows))
    ]


def integration(number: int, repeats: RepeatOptions) -> Integration:
    return Integration(number, 1111, "", True, "opsgenie", "", "", (), repeats=repeats)


def test_pages_stand_beside_the_firings_of_each_trigger(capsys: pytest.CaptureFixture[str]) -> None:
    known = {521: integration(521, EPISODES), 522: integration(522, RepeatOptions())}
    show_pages([*fired(57, 62), NOTICE, *fired(1)], known)
    assert capsys.readouterr().err.splitlines() == [
        "trigger 61: 1 window, 1 page at integration 521, 1 page at integration 522",
        "trigger 62: 57 windows, 57 pages at integration 522, 1 page at integration 521",
    ]


def test_without_known_integrations_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_pages([alert for number in range(25) for alert in fired(1, number)], {})
    assert capsys.readouterr().err == ""


def test_the_first_triggers_are_shown_and_the_others_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alerts = [alert for number in range(25) for alert in fired(1, number)]
    show_pages(alerts, {521: integration(521, EPISODES)})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 5 more triggers: choose one with --trigger"
