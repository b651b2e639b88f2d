"""Ids of clients and applications by name, for events and notices without ids.

A name belongs to one client, in all spellings that look the same: `apply` refuses it to a second
client, and an event may use any of these spellings. If two stored clients share a name anyway, the
one with the lower id keeps it: ids are given in order, so a newer client takes no events away from
an older one. An exact spelling always belongs to the client that has it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property

from stream_app.domain.catalog.filter_values import DEFAULT_APPLICATION
from stream_app.domain.configuration.clients import Client
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.foreign_text.printable import quoted

#: Normal name of an application -> its ids; several applications may share a name.
ApplicationIds = Mapping[str, tuple[int, ...]]

#: The documented name of the application of requests that belong to no other.
_DEFAULT_NAME = "default"
_MOST_SHOWN = 100
#: A longer name is only looked up exactly: normalising a megabyte takes long.
_MOST_NORMALISED_CHARACTERS = 1_000
#: Most other spellings that are remembered: a bound on memory.
_MOST_SPELLINGS = 10_000


def normal_name(name: str) -> str:
    """Return the one form of all names that look the same: no case, no width, single spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(
        c for c in folded if unicodedata.category(c) not in ("Cc", "Cf") or c.isspace()
    )
    return " ".join(visible.split())


def shared_names(names: Mapping[int, str]) -> dict[int, int]:
    """Return the clients that share a name with a client of a lower id, which keeps it -> that id.

    Args:
        names: by client id.
    """
    keepers: dict[str, int] = {}
    for client_id in sorted(names):
        keepers.setdefault(names[client_id], client_id)
    return {
        client_id: keepers[name]
        for client_id, name in sorted(names.items())
        if keepers[name] != client_id
    }


def normal_application_name(text: str) -> str:
    """Return the compared form of an application's name: NFC, without outer white space.

    Case matters.
    """
    return unicodedata.normalize("NFC", text).strip()


def application_ids_by_name(applications: Mapping[int, str]) -> ApplicationIds:
    """Return the ids of a client's applications by normal name, the default application included.

    Args:
        applications: names by id.
    """
    found: dict[str, tuple[int, ...]] = {_DEFAULT_NAME: (DEFAULT_APPLICATION,)}
    for number, text in applications.items():
        name = normal_application_name(text)
        if name and number not in found.get(name, ()):
            found[name] = (*found.get(name, ()), number)
    return found


class ClientNames:
    """The names of clients and of their applications in one version of the configuration.

    Args:
        clients: by id.
    """

    def __init__(self, clients: Mapping[int, Client]) -> None:
        self._clients = clients
        self._applications: dict[int, ApplicationIds] = {}

    def client_id(self, name: str) -> int:
        """Return the id of the client with this name, in any spelling that looks the same.

        Raises:
            RejectedEventError: no client has it.
        """
        found = self._by_name.get(name)
        if found is None and len(name) <= _MOST_NORMALISED_CHARACTERS:
            found = self._by_normal_name.get(normal_name(name))
            if found is not None and len(self._by_name) < _MOST_SPELLINGS + len(self._clients):
                # A producer repeats its spelling in each event, so the spelling is remembered.
                self._by_name[name] = found
        if found is None:
            raise RejectedEventError(
                DeadLetterReason.UNKNOWN_CLIENT,
                f"client_name {quoted(name[:_MOST_SHOWN])}: 0 clients in config.clients have it, "
                "and one must: send client_id",
            )
        return found

    def application_ids(self, client_id: int, names: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of a client's applications; a name that it does not have gives none."""
        known = self._applications.get(client_id)
        if known is None:
            client = self._clients.get(client_id)
            known = application_ids_by_name({} if client is None else client.applications)
            self._applications[client_id] = known
        # Every hit may come here, and most names need no normalising.
        return tuple(
            number
            for name in names
            for number in known.get(name) or known.get(normal_application_name(name), ())
        )

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {
            self._clients[number].name: number for number in sorted(self._clients, reverse=True)
        }

    @cached_property
    def _by_normal_name(self) -> dict[str, int]:
        found = {
            normal_name(self._clients[number].name): number
            for number in sorted(self._clients, reverse=True)
        }
        found.pop("", None)
        return found


#: Without clients every name is unknown.
NO_NAMES = ClientNames({})
