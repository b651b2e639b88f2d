"""Clients: the accounts that events, triggers and integrations belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from stream_app.domain.filter_values import DEFAULT_APPLICATION
from stream_app.domain.objects import Fields, Problems, flattened, raise_first

if TYPE_CHECKING:
    from collections.abc import Mapping

CLOUDS = ("EU", "US", "ME")


class Client(msgspec.Struct, frozen=True):
    """An account in one of the clouds, with the names of its applications by id."""

    client_id: int
    name: str
    cloud: str
    applications: dict[int, str]


def parse_client(obj: Mapping[str, object]) -> Client:
    """Build a client.

    Raises:
        InvalidObjectError: the first rule that the object breaks.
    """
    client, problems = read_client(obj)
    raise_first(problems)
    return client


def read_client(obj: Mapping[str, object]) -> tuple[Client, Problems]:
    """Return the client and all its problems; with any problem the client is not to be used."""
    problems: Problems = []
    fields = Fields(flattened(obj), problems)
    client = Client(
        client_id=fields.integer("client_id", 1),
        name=fields.text("name"),
        cloud=fields.choice("cloud", CLOUDS),
        applications=_read_applications(fields),
    )
    return client, problems


def _read_applications(fields: Fields) -> dict[int, str]:
    if fields.obj.get("applications") is None:
        return {}
    item = fields.child("applications")
    names = {}
    for key in item.obj:
        try:
            application_id = int(key)
        except ValueError:
            application_id = DEFAULT_APPLICATION - 1
        if application_id < DEFAULT_APPLICATION:
            item.problem(key, key, "must be an application id: -1 (default) or more")
        names[application_id] = item.text(key)
    return names
