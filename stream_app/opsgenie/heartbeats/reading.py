"""What a service says about a heartbeat: whether pings can reach it, and when the last one came.

Opsgenie's description has `lastPingTime`; its documentation has not, but answers have it
(OPSGENIE-2492). JSM documents a status and no time of the last ping. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus

from stream_app.domain.foreign_text.printable import quoted
from stream_app.opsgenie.outcome import Outcome, decode_object
from stream_app.opsgenie.text import cut

UNIT_SECONDS = {"minutes": 60, "hours": 3600, "days": 86_400}
#: Most characters of a service's own word that are shown.
WORD_LIMIT = 40
#: JSM's words for a heartbeat whose pings come, and those for one whose pings do not (yet).
RESPONSIVE, UNRESPONSIVE = "responsive", ("unresponsive", "expired", "pending")
NOT_TOLD = "a plain address tells nothing about itself: look at the service behind it"
NO_STATE = "the answer does not say whether the heartbeat is enabled and has expired"
CREATE_IT = "create it there, or correct STREAM_APP_HEARTBEAT__NAME (each letter counts)"
OPSGENIE_REFUSAL = (
    "the key may ping, but not read heartbeats: allow its integration to access configurations, "
    "or look at Opsgenie by hand"
)
JSM_REFUSAL = "the account may not read the team's heartbeats: make it a member of the team"


class HeartbeatState(StrEnum):
    """What is known about a heartbeat; a closed list.

    `UNREADABLE`: nothing is known. `EXPIRED` is usual until pings have begun.
    """

    ALIVE = "alive"
    EXPIRED = "expired"
    DISABLED = "disabled"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class HeartbeatReading:
    """A heartbeat as its service shows it.

    `text` is a sentence for people, with the next step where one is needed. `last_ping_ms` is the
    Unix time of the last ping by the service's clock; None: the service does not tell, or there was
    none. `expires_seconds` is how long the service waits for a ping; None: it does not tell.
    `failure` is the outcome of an attempt to read it that was not made, or not accepted.
    """

    state: HeartbeatState
    text: str
    last_ping_ms: int | None = None
    expires_seconds: int | None = None
    failure: Outcome | None = None


def has_moved(earlier: HeartbeatReading, later: HeartbeatReading) -> bool | None:
    """Tell whether a ping arrived between two readings; None: that cannot be known.

    Where no time is told, a heartbeat that a ping has reached is at least not expired.
    """
    if (earlier.state, later.state) == (HeartbeatState.EXPIRED, HeartbeatState.ALIVE):
        return True
    if later.last_ping_ms is None:
        return False if later.state is HeartbeatState.EXPIRED else None
    return earlier.last_ping_ms is None or later.last_ping_ms > earlier.last_ping_ms


def unreadable(text: str, failure: Outcome | None = None) -> HeartbeatReading:
    """Return the reading of a heartbeat of which nothing is known; `text` says why."""
    return HeartbeatReading(HeartbeatState.UNREADABLE, text, failure=failure)


def read_opsgenie(outcome: Outcome, body: bytes) -> HeartbeatReading:
    """Return what Opsgenie's answer to "get heartbeat" says."""
    if outcome.status == HTTPStatus.NOT_FOUND:
        return HeartbeatReading(HeartbeatState.MISSING, f"Opsgenie has no such one: {CREATE_IT}")
    if outcome.status == HTTPStatus.FORBIDDEN:
        return unreadable(f"{OPSGENIE_REFUSAL} ({outcome.message})", outcome)
    if not outcome.accepted:
        return unreadable(outcome.message, outcome)
    data = (decode_object(body) or {}).get("data")
    if not isinstance(data, Mapping):
        return unreadable(NO_STATE)
    return _reading(data, data.get("expired"))


def read_jsm(outcome: Outcome, body: bytes, name: str) -> HeartbeatReading:
    """Return what JSM's list of a team's heartbeats, asked for one name, says about that one."""
    if outcome.status == HTTPStatus.FORBIDDEN:
        return unreadable(f"{JSM_REFUSAL} ({outcome.message})", outcome)
    if not outcome.accepted:
        return unreadable(outcome.message, outcome)
    answer = decode_object(body) or {}
    values = answer.get("values")
    if not isinstance(values, list):
        return unreadable(NO_STATE)
    items = [item for item in values if isinstance(item, Mapping) and item.get("name") == name]
    if items:
        return _jsm_reading(items[0])
    links = answer.get("links")
    if isinstance(links, Mapping) and links.get("next"):
        return unreadable("the team has more heartbeats than JSM has listed: look there")
    return HeartbeatReading(HeartbeatState.MISSING, f"its team in JSM has none: {CREATE_IT}")


def _jsm_reading(heartbeat: Mapping[str, object]) -> HeartbeatReading:
    status = str(heartbeat.get("status"))
    known = {RESPONSIVE: False, **dict.fromkeys(UNRESPONSIVE, True)}
    reading = _reading(heartbeat, known.get(status.lower()))
    if reading.state is HeartbeatState.UNREADABLE and "status" in heartbeat:
        return unreadable(f"JSM says that it is {quoted(cut(status, WORD_LIMIT))}: look there")
    return reading


def _reading(heartbeat: Mapping[str, object], expired: object) -> HeartbeatReading:
    enabled = heartbeat.get("enabled")
    last = _time(heartbeat.get("lastPingTime"))
    if enabled is False:
        state, text = HeartbeatState.DISABLED, "it is disabled, and pages nobody: enable it there"
    elif enabled is not True or not isinstance(expired, bool):
        state, text = HeartbeatState.UNREADABLE, NO_STATE
    elif expired:
        state, text = HeartbeatState.EXPIRED, "it has expired, or was never pinged"
    else:
        state, text = HeartbeatState.ALIVE, "it is enabled, and has not expired"
    if last is not None:
        text += f"; its last ping came at {last:%Y-%m-%dT%H:%M:%SZ}"
    last_ping_ms = None if last is None else round(last.timestamp() * 1000)
    return HeartbeatReading(state, text, last_ping_ms, _seconds(heartbeat))


def _seconds(heartbeat: Mapping[str, object]) -> int | None:
    number = heartbeat.get("interval")
    unit = UNIT_SECONDS.get(str(heartbeat.get("intervalUnit")).lower())
    if unit is None or type(number) is not int or number < 1:
        return None
    return number * unit


def _time(value: object) -> datetime | None:
    """Return an ISO time in UTC; one without a zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
