"""The heartbeats of the sandbox: when each was pinged, and when it expires.

As at the service, an enabled heartbeat expires when no ping has come for its time, and each expiry
makes one alert. It is not known whether the service also counts the time before the first ping; the
sandbox does not. More than the documented one ping a minute are taken, and `gap_ms` shows them.
Everything here is pure: time is passed in.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stream_app.domain.configuration.alert_options import Priority
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import kind_of_value
from stream_app.heartbeat_settings import NAME_LIMIT
from stream_app.opsgenie.sandbox.state import MS_IN_SECOND, iso_time
from stream_app.opsgenie.text import cut

DEFAULT_SECONDS = 300.0
LEAST_SECONDS, MOST_SECONDS = 0.1, 86_400.0
SECONDS_IN_MINUTE = 60
#: Most characters of an alert's title, which the name becomes a part of.
MESSAGE_LIMIT = 130
FIELDS = ("name", "seconds", "enabled", "priority")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One heartbeat in its present state; `gap_ms` is the shortest time between two of its pings.

    `seconds` may be less than a minute, the service's least, so that nobody has to wait.
    """

    name: str
    seconds: float = DEFAULT_SECONDS
    enabled: bool = True
    priority: str = Priority.P3.value
    pings: int = 0
    last_ping_ms: int | None = None
    gap_ms: int | None = None
    expired: bool = True

    @property
    def expires_at_ms(self) -> int | None:
        """Unix time at which it expires; None: it does not, or has already."""
        if not self.enabled or self.expired or self.last_ping_ms is None:
            return None
        return self.last_ping_ms + round(self.seconds * MS_IN_SECOND)

    def as_json(self) -> dict[str, object]:
        """Return it as `/sandbox/heartbeats` shows it."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "enabled": self.enabled,
            "priority": self.priority,
            "expired": self.expired,
            "pings": self.pings,
            "lastPingTime": None if self.last_ping_ms is None else iso_time(self.last_ping_ms),
            "shortestGapSeconds": None if self.gap_ms is None else self.gap_ms / MS_IN_SECOND,
        }

    def as_opsgenie(self) -> dict[str, object]:
        """Return it as Opsgenie's answers have it, the undocumented `lastPingTime` included."""
        last = self.last_ping_ms
        return {
            **self._common(),
            "intervalUnit": "minutes",
            "expired": self.expired,
            **({} if last is None else {"lastPingTime": iso_time(last)}),
            "ownerTeam": {"id": "sandbox", "name": "sandbox"},
        }

    def as_jsm(self, team_id: str) -> dict[str, object]:
        """Return it as JSM documents it: with a word for its state, and no time."""
        status = "Unresponsive" if self.expired else "Responsive"
        return {
            **self._common(),
            "intervalUnit": "Minutes",
            "status": "Pending" if self.last_ping_ms is None else status,
            "ownerTeamId": team_id,
        }

    def alert(self) -> dict[str, object]:
        """Return the "create alert" request that its expiry amounts to."""
        return {
            "message": cut(f"{self.name} is expired", MESSAGE_LIMIT),
            "alias": f"heartbeat:{self.name}",
            "priority": self.priority,
            "source": "heartbeat",
        }

    def _common(self) -> dict[str, object]:
        return {
            "name": self.name,
            "description": "",
            "interval": math.ceil(self.seconds / SECONDS_IN_MINUTE),
            "enabled": self.enabled,
            "alertMessage": cut(f"{self.name} is expired", MESSAGE_LIMIT),
            "alertTags": [],
            "alertPriority": self.priority,
        }


class Heartbeats:
    """The heartbeats by name; the sandbox is one account with one team."""

    def __init__(self) -> None:
        self._known: dict[str, Heartbeat] = {}

    @property
    def all(self) -> list[Heartbeat]:
        """All heartbeats, oldest first."""
        return list(self._known.values())

    def get(self, name: str) -> Heartbeat | None:
        """Return one; None: there is none of that name."""
        return self._known.get(name)

    def set(self, heartbeat: Heartbeat) -> None:
        """Add one, or put it in the place of another one of its name."""
        self._known[heartbeat.name] = heartbeat

    def remove(self, name: str) -> bool:
        """Remove one; tell whether it was there."""
        return self._known.pop(name, None) is not None

    def ping(self, name: str, now_ms: int) -> None:
        """Take a ping. One for a heartbeat that is missing or disabled is lost in silence."""
        known = self._known.get(name)
        if known is None or not known.enabled:
            return
        gap_ms = known.gap_ms
        if known.last_ping_ms is not None:
            since_ms = now_ms - known.last_ping_ms
            gap_ms = since_ms if gap_ms is None else min(gap_ms, since_ms)
        self._known[name] = replace(
            known, pings=known.pings + 1, last_ping_ms=now_ms, gap_ms=gap_ms, expired=False
        )

    def expire(self, now_ms: int) -> list[Heartbeat]:
        """Let those expire whose time has come, and return them."""
        found = [one for one in self.all if (at := one.expires_at_ms) is not None and at <= now_ms]
        for one in found:
            self._known[one.name] = replace(one, expired=True)
        return found

    def next_expiry_ms(self) -> int | None:
        """Return when the next one expires if no ping comes; None: none does."""
        times = [at for one in self.all if (at := one.expires_at_ms) is not None]
        return min(times, default=None)


def parse_heartbeat(fields: object) -> Heartbeat:
    """Return the heartbeat that a JSON object describes.

    Raises:
        InvalidObjectError: it names the field, its value and what is allowed.
    """
    if not isinstance(fields, Mapping):
        raise InvalidObjectError(
            "heartbeat",
            None,
            f"is {kind_of_value(fields)}: must be a JSON object",
            shows_value=False,
        )
    for name in fields:
        if name not in FIELDS:
            raise InvalidObjectError("field", name, f"is unknown: use {', '.join(FIELDS)}")
    values = dict(fields)
    name, seconds = values.get("name"), values.get("seconds", DEFAULT_SECONDS)
    if not (isinstance(name, str) and 1 <= len(name) <= NAME_LIMIT):
        raise InvalidObjectError("name", name, f"must be a text of 1 to {NAME_LIMIT} characters")
    if type(seconds) not in {int, float} or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        allowed = f"must be a number from {LEAST_SECONDS:g} to {MOST_SECONDS:g}"
        raise InvalidObjectError("seconds", seconds, allowed)
    if not isinstance(values.get("enabled", True), bool):
        raise InvalidObjectError("enabled", values["enabled"], "must be true or false")
    if values.get("priority", Priority.P3) not in list(Priority):
        allowed = f"must be one of {', '.join(Priority)}"
        raise InvalidObjectError("priority", values["priority"], allowed)
    return Heartbeat(**values)


def basic_token(header: str) -> str:
    """Return the password of HTTP's basic authentication; empty: there is no complete one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return token if user else ""
