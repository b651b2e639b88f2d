"""Leaves out what answers of the security cloud's API hold and this project does not support.

One answer has a client's integrations of all types, but alerts are posted to Opsgenie and Jira
Service Management only. Inactive events that only other types have are dropped. A condition or an
attack type may be newer than this project, or documented without its id. A trigger with such a
value cannot be checked, so it is not stored.

In a file that a person wrote, an undocumented name is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.domain.catalog.conditions import CONDITIONS
from stream_app.domain.catalog.filter_values import attack_type
from stream_app.domain.configuration.fields import HIDDEN, Problems
from stream_app.domain.configuration.integrations import EVENTS, TYPES
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import quoted

#: The other documented types of integrations.
OTHER_TYPES = frozenset(
    {
        "email", "slack", "ms_teams", "telegram", "pager_duty", "splunk", "sumo_logic",
        "insight_connect", "data_dog", "web_hooks",
    }
)  # fmt: skip
_BY_TRIGGERS = "hits reach Opsgenie through triggers"
#: Documented events that an Opsgenie integration does not have -> why.
OTHER_EVENTS = {
    "siem": _BY_TRIGGERS,
    "hit": _BY_TRIGGERS,
    "vuln": "a retired event: security_issue_* has taken its place",
    **{
        f"vuln_{risk}": f"a retired event: security_issue_{risk} has taken its place"
        for risk in ("high", "medium", "low")
    },
    "scope": "a retired event",
    **dict.fromkeys(
        (
            "number_of_requests_per_hour", "report_daily", "report_weekly", "report_monthly",
            "aasm_report", "api_discovery_hourly_changes_report",
            "api_discovery_daily_changes_report",
        ),
        "an event of other types of integrations",
    ),
}  # fmt: skip
WITH_HEADERS = "with_headers"
_POSTED_TO = "alerts are posted to Opsgenie and Jira Service Management only"
_UNKNOWN_EVENT = "an event that Opsgenie integrations do not have"
_UNKNOWN_CONDITION = "its condition is not known here"
_UNKNOWN_ATTACK_TYPE = "an attack type that is not known here"
#: Only such a name is shown. Any other text may be a misplaced key, which has many digits.
_NAME = re.compile(r"(?!(?:[^0-9]*[0-9]){5})[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class LeftOut:
    """A part of an object that is not used: the value at a path in it."""

    kind: str
    id: int
    path: str
    value: str | int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}: {self.path}: {quoted(self.value)}: left out: {self.reason}"


def other_type(record: Mapping[str, object], *, is_answer: bool) -> str | None:
    """Return the type of an integration if it is not supported; None: it is, or is misspelt.

    An answer of the API may have any type; elsewhere it must be a documented one.
    """
    type_ = record.get("type")
    if not isinstance(type_, str) or type_ in TYPES or not _NAME.fullmatch(type_):
        return None
    return type_ if is_answer or type_ in OTHER_TYPES else None


class UnsupportedIntegrations:
    """The integrations of the files whose types are not supported."""

    def __init__(self) -> None:
        #: Id -> client; None: it does not name one.
        self.clients: dict[int, object] = {}
        self._types: dict[int, str] = {}

    def note_if_unsupported(
        self, record: Mapping[str, object], *, is_answer: bool
    ) -> LeftOut | None:
        """Note an integration if its type is not supported; None: it is supported."""
        type_, number = other_type(record, is_answer=is_answer), record.get("id")
        if type_ is None or not isinstance(number, int):
            return None
        self.clients[number], self._types[number] = record.get("client_id"), type_
        return LeftOut("integration", number, "type", type_, _POSTED_TO)

    def left_out_reference(self, trigger_id: int, path: str, number: int) -> LeftOut:
        """Return a trigger's reference to one of these integrations as a part that is left out."""
        reason = f"it is of type {self._types[number]}: {_POSTED_TO}"
        return LeftOut("trigger", trigger_id, path, number, reason)


def unknown_part(record: Mapping[str, object]) -> LeftOut | None:
    """Return the condition or attack type for which an answer's trigger is left out.

    Without an attack type of its filters the trigger would count something else. None: all of
    them are known.
    """
    number, name, filters = (record.get(field) for field in ("id", "template_id", "filters"))
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    if isinstance(name, str) and name.strip() and name not in CONDITIONS:
        return LeftOut("trigger", number, "template_id", _shown(name), _UNKNOWN_CONDITION)
    for place, item in enumerate(filters if isinstance(filters, list) else ()):
        values = item.get("values") if isinstance(item, Mapping) else None
        if not isinstance(values, list) or item.get("id") != "attack_type":
            continue
        for index, value in enumerate(values):
            if isinstance(value, str) and value.strip() and attack_type(value) is None:
                path = f"filters[{place}].values[{index}]"
                return LeftOut("trigger", number, path, _shown(value), _UNKNOWN_ATTACK_TYPE)
    return None


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else HIDDEN


def without_other_events(
    record: dict[str, object], problems: Problems, *, is_answer: bool
) -> tuple[dict[str, object], list[LeftOut]]:
    """Return an integration without inactive events that Opsgenie does not have, and these events.

    In an answer of the API any such event is left out, elsewhere only a documented one. `problems`
    are those of the whole record. The problems of events that are left out are removed, and those
    of active ones get the reason.
    """
    events, number = record.get("events"), record.get("id")
    if not isinstance(events, list):
        return record, []
    kept: list[object] = []
    found: list[LeftOut] = []
    for index, item in enumerate(events):
        event = item.get("event") if isinstance(item, dict) else None
        reason = OTHER_EVENTS.get(event) if isinstance(event, str) else None
        is_inactive = isinstance(item, dict) and item.get("active") is False
        if is_answer and is_inactive and isinstance(event, str) and event not in EVENTS:
            reason = reason or _UNKNOWN_EVENT
        if reason is None:
            kept.append(_without_headers(item, f"events[{index}]", problems))
            continue
        path = f"events[{index}].event"
        problems[:] = [problem for problem in problems if problem.path != path]
        if is_inactive:
            own_id = number if isinstance(number, int) else 0
            found.append(LeftOut("integration", own_id, path, _shown(str(event)), reason))
        else:
            text = f"Opsgenie integrations do not have it: {reason}: use {', '.join(EVENTS)}"
            problems.append(InvalidObjectError(path, event, text))
            kept.append(item)
    return {**record, "events": kept}, found


def _without_headers(item: object, path: str, problems: Problems) -> object:
    """Return an event without `with_headers`, which is a problem if it is on."""
    if not isinstance(item, dict) or WITH_HEADERS not in item:
        return item
    if item[WITH_HEADERS] and item.get("active") is not False:
        text = "only `siem` takes it, which Opsgenie integrations do not have: take it out"
        problems.append(InvalidObjectError(f"{path}.{WITH_HEADERS}", HIDDEN, text))
    return {name: value for name, value in item.items() if name != WITH_HEADERS}
