"""What the published descriptions say of heartbeats.

Sources: Opsgenie's OpenAPI description (opsgenie-oas, version 2.0.0, from which the client
`opsgenie-sdk` 2.1.5 is generated) and the page "Heartbeat API", which has the fields about the
alert; JSM's REST reference, group "Heartbeats".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Described(NamedTuple):
    """A request: its path with names in braces, its query parameters, and those it needs."""

    path: str
    query: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


#: All of them are sent by GET.
OPSGENIE_REQUESTS = (
    Described("/v2/heartbeats/{name}/ping"),
    Described("/v2/heartbeats/{name}"),
)
_NAME = frozenset({"name"})
JSM_REQUESTS = (
    Described("/jsm/ops/api/{cloudId}/v1/teams/{teamId}/heartbeats/ping", _NAME, _NAME),
    Described("/jsm/ops/api/{cloudId}/v1/teams/{teamId}/heartbeats", _NAME | {"offset", "size"}),
)
_COMMON = {
    "name": str,
    "description": str,
    "interval": int,
    "intervalUnit": str,
    "enabled": bool,
    "alertMessage": str,
    "alertTags": list,
    "alertPriority": str,
}
OPSGENIE_FIELDS = _COMMON | {"expired": bool, "lastPingTime": str, "ownerTeam": dict}
JSM_FIELDS = _COMMON | {"status": str, "ownerTeamId": str}
#: Opsgenie's longest name, least interval, units, and longest title of the alert.
NAME_LIMIT, LEAST_INTERVAL, MESSAGE_LIMIT = 200, 1, 130
UNITS = ("minutes", "hours", "days")


def request_problems(
    described: Iterable[Described], method: str, raw_path: str, query: Mapping[str, str]
) -> list[str]:
    """Return what the description does not allow in a request; empty: it is a valid one."""
    path = raw_path.partition("?")[0]
    for one in described:
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one.path)), path):
            found = [f"no query parameter {name}" for name in query if name not in one.query]
            found += [f"{name} is required" for name in one.required if not query.get(name)]
            return found if method == "GET" else [*found, f"no method {method}"]
    return [f"no such path: {path}"]


def answer_problems(fields: Mapping[str, type], heartbeat: Mapping[str, object]) -> list[str]:
    """Return what the description does not have in a heartbeat of an answer."""
    return [
        f"{name}: {value!r}"
        for name, value in heartbeat.items()
        if name not in fields or type(value) is not fields[name]
    ]
