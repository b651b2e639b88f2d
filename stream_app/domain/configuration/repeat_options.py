"""How an integration wants to be told of one attack that fires a trigger in many windows.

The options are fields of the optional object `alert` of an integration, beside those of
`alert_options.py`. The default is the documented behaviour: each window is an alert of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from stream_app.domain.configuration.alert_options import ALERT
from stream_app.domain.configuration.fields import Fields

MIN_REPEAT_SECONDS = 60
MIN_CLOSE_SECONDS = 300
#: Longest repeat, and longest silence before an alert is closed.
MAX_SECONDS = 86_400
_EXAMPLE = "{deduplicate: episode, repeat_seconds: 3600, close_after_seconds: 7200}"


class Deduplicate(StrEnum):
    """What is one alert: each fired window, or a whole episode of them."""

    WINDOW = "window"
    EPISODE = "episode"


class RepeatOptions(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one alert is, how often it is repeated, and when it is closed.

    `repeat_seconds` is the least time between two requests of one episode (0: each window makes
    one). `close_after_seconds` is the silence after which the alert is closed (0: never). With
    `repeat_notes` each repeated request is followed by a note on the open alert.
    """

    deduplicate: Deduplicate = Deduplicate.WINDOW
    repeat_seconds: int = 0
    close_after_seconds: int = 0
    repeat_notes: bool = True

    @property
    def has_episodes(self) -> bool:
        """Whether the windows of one attack are one alert."""
        return self.deduplicate is Deduplicate.EPISODE


#: Nothing is chosen. It is one object: records leave out a default if it is the same object.
EACH_WINDOW = RepeatOptions()


def read_repeat_options(integration: Fields) -> RepeatOptions:
    """Return the options of an integration, and add what breaks a rule to its problems."""
    if not isinstance(integration.obj.get(ALERT), Mapping):
        return EACH_WINDOW  # where it is wrong, `read_alert_options` says so
    fields = integration.child(ALERT, _EXAMPLE)
    if not any(fields.obj.get(name) is not None for name in RepeatOptions.__struct_fields__):
        return EACH_WINDOW
    chosen: Deduplicate | None = Deduplicate.WINDOW
    if fields.obj.get("deduplicate") is not None:
        text = fields.choice("deduplicate", tuple(Deduplicate))
        chosen = next((one for one in Deduplicate if one == text), None)
    options = RepeatOptions(
        deduplicate=chosen or Deduplicate.WINDOW,
        repeat_seconds=_seconds(fields, "repeat_seconds", MIN_REPEAT_SECONDS),
        close_after_seconds=_seconds(fields, "close_after_seconds", MIN_CLOSE_SECONDS),
        repeat_notes=fields.obj.get("repeat_notes") is None or fields.boolean("repeat_notes"),
    )
    if chosen is not None:
        _check_together(fields, options)
    return options


def _seconds(fields: Fields, name: str, minimum: int) -> int:
    """Return a time in seconds; 0: it is not set."""
    if fields.obj.get(name) is None:
        return 0
    seconds = fields.integer(name, minimum)
    if seconds > MAX_SECONDS:
        fields.add_problem(name, seconds, f"must be at most {MAX_SECONDS} (a day)")
    return seconds


def _check_together(fields: Fields, options: RepeatOptions) -> None:
    if not options.has_episodes:
        for name in ("repeat_seconds", "close_after_seconds", "repeat_notes"):
            if fields.obj.get(name) is not None:
                fields.add_problem(
                    name,
                    fields.obj[name],
                    "has no effect while each window is an alert of its own: write "
                    "deduplicate: episode beside it",
                )
    elif 0 < options.close_after_seconds <= options.repeat_seconds:
        fields.add_problem(
            "close_after_seconds",
            options.close_after_seconds,
            f"must be longer than repeat_seconds ({options.repeat_seconds}): else the alert "
            "would be closed before it is repeated",
        )
