"""How an attack of many windows is told, as an integration's owner chooses it."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    Deduplicate,
    RepeatOptions,
)

INTEGRATION = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call",
    "active": True,
    "type": "opsgenie",
    "target": {"token": "env:STREAM_APP_KEY_1111_A"},
    "events": [],
}


def read(alert: Any) -> tuple[RepeatOptions, list[str]]:
    integration, problems = read_integration({**INTEGRATION, "alert": alert})
    return integration.repeats, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "alert", [None, {}, {"priority": "P1"}, {"deduplicate": None, "repeat_notes": None}]
)
def test_each_window_is_an_alert_unless_something_else_is_chosen(alert: Any) -> None:
    assert read(alert) == (EACH_WINDOW, [])
    assert read(alert)[0] is EACH_WINDOW


def test_the_default_may_be_written_down() -> None:
    assert read({"deduplicate": "window"}) == (EACH_WINDOW, [])


def test_the_options_of_episodes() -> None:
    assert read({"deduplicate": "episode"}) == (RepeatOptions(Deduplicate.EPISODE), [])
    chosen = {"repeat_seconds": 60, "close_after_seconds": 300, "repeat_notes": False}
    found, problems = read({"deduplicate": "episode", **chosen})
    assert problems == []
    assert found == RepeatOptions(Deduplicate.EPISODE, 60, 300, repeat_notes=False)


EPISODE = {"deduplicate": "episode"}


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ({"deduplicate": "attack"}, "alert.deduplicate: 'attack': must be one of window, episode"),
        (
            EPISODE | {"repeat_seconds": 59},
            "alert.repeat_seconds: 59: must be an integer, 60 or more",
        ),
        (EPISODE | {"repeat_seconds": True}, "alert.repeat_seconds: true: must be an integer"),
        (EPISODE | {"repeat_seconds": 60.5}, "alert.repeat_seconds: 60.5: must be an integer"),
        (EPISODE | {"repeat_seconds": "60"}, "alert.repeat_seconds: '60': must be an integer"),
        (
            EPISODE | {"repeat_seconds": 86_401},
            "alert.repeat_seconds: 86401: must be at most 86400 (a day)",
        ),
        (
            EPISODE | {"close_after_seconds": 299},
            "alert.close_after_seconds: 299: must be an integer, 300 or more",
        ),
        (EPISODE | {"repeat_notes": "no"}, "alert.repeat_notes: 'no': must be true or false"),
        (
            EPISODE | {"repeat_seconds": 600, "close_after_seconds": 600},
            "alert.close_after_seconds: 600: must be longer than repeat_seconds (600): else",
        ),
        (
            {"repeat_seconds": 60},
            "alert.repeat_seconds: 60: has no effect while each window is an alert of its own",
        ),
        ({"deduplicate": "window", "repeat_notes": True}, "alert.repeat_notes: true: has no eff"),
    ],
)
def test_what_is_refused_names_the_field_the_value_and_what_is_allowed(
    alert: Any, problem: str
) -> None:
    (found,) = read(alert)[1]
    assert found.startswith(problem)


def test_a_wrong_mode_is_one_problem_whatever_stands_beside_it() -> None:
    _, problems = read({"deduplicate": "episodes", "repeat_seconds": 60, "repeat_notes": True})
    assert len(problems) == 1


def test_an_object_of_another_shape_is_one_problem() -> None:
    assert len(read([EPISODE])[1]) == 1
