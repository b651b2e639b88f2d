"""Clients: the accounts that events, triggers and integrations belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.fields import Fields, Problems

CLOUDS = ("EU", "US", "ME")
#: Allows one spelling of each id: with `+7` and `7` an application could get two names.
_APPLICATION_ID = re.compile(r"-1|[0-9]{1,18}")


class Client(msgspec.Struct, frozen=True):
    """An account in one of the clouds. `applications` holds names by id."""

    client_id: int
    name: str
    cloud: str
    applications: dict[int, str]


def read_client(obj: Mapping[str, object]) -> tuple[Client, Problems]:
    """Return the client and all its problems; with any problem it must not be used."""
    problems: Problems = []
    fields = Fields(stored_form(obj), problems)
    client = Client(
        client_id=fields.integer("client_id", 1),
        name=fields.text("name"),
        cloud=fields.choice("cloud", CLOUDS),
        applications=_read_applications(fields),
    )
    return client, problems


def usable_client(obj: Mapping[str, object] | None) -> Client | None:
    """Return the client of a record; None if there is no record, or if it breaks a rule."""
    client, problems = read_client(obj or {})
    return None if problems else client


def _read_applications(fields: Fields) -> dict[int, str]:
    if fields.obj.get("applications") is None:
        return {}
    item = fields.child("applications", "{7: Shop}")
    names = {}
    for key in item.obj:
        if _APPLICATION_ID.fullmatch(str(key)) is None:
            item.add_problem(key, key, "must be an application id: -1 (default) or more")
            continue
        names[int(key)] = item.text(key)
    return names
