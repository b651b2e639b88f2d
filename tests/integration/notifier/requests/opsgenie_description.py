"""What Opsgenie's published description says of the requests about alerts.

Source: the OpenAPI description that Atlassian publishes (opsgenie-oas, version 2.0.0; the client
`opsgenie-sdk` 2.1.5 is generated from it). It names the fields and query parameters. The limits on
texts stand in the pages of the alert API only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Described(NamedTuple):
    """One request: its query parameters and the fields of its body, with their longest texts."""

    query: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, int | None]
    required: tuple[str, ...]


_IDENTIFIER = {"identifierType": ("id", "alias", "tiny")}
_ACTION = {"user": 100, "note": 25_000, "source": 100}
#: The end of a path -> the request.
REQUESTS = {
    "/v2/alerts": Described(
        {},
        {
            "message": 130,
            "alias": 512,
            "description": 15_000,
            "entity": 512,
            "source": 100,
            "user": 100,
            "note": 25_000,
            "priority": 2,
            **dict.fromkeys(("responders", "visibleTo", "actions", "tags", "details")),
        },
        ("message",),
    ),
    "/notes": Described(_IDENTIFIER, _ACTION, ("note",)),
    "/close": Described(_IDENTIFIER, _ACTION, ()),
}


def problems(path: str, query: Mapping[str, str], body: Mapping[str, object]) -> list[str]:
    """Return what the description does not allow in a request; empty: it is a valid one."""
    described = next((found for end, found in REQUESTS.items() if path.endswith(end)), None)
    if described is None:
        return [f"no such path: {path}"]
    found = [f"no field {name}" for name in body if name not in described.fields]
    found += [f"{name} is required" for name in described.required if not body.get(name)]
    found += [
        f"{name} is no text of at most {limit} characters"
        for name, limit in described.fields.items()
        if limit is not None and name in body and not _is_text(body[name], limit)
    ]
    found += [
        f"no query parameter {name}={text}"
        for name, text in query.items()
        if text not in described.query.get(name, ())
    ]
    return found


def _is_text(value: object, limit: int) -> bool:
    """Tell whether a text is short enough by the stricter way to count its characters."""
    return isinstance(value, str) and len(value.encode("utf-16-le")) <= 2 * limit
