"""Clients and applications by their names, for events that come without ids.

A client's name belongs to one client, in any spelling that looks the same: `apply` refuses it to a
second one, and events name their client by any of them. Where two records have it all the same, the
client with the lower id keeps it, since ids are given in order: a client that is made later takes
no events away from another. Only those that spell it exactly as a client does are that client's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property

from stream_app.domain.catalog.filter_values import DEFAULT_APPLICATION
from stream_app.domain.configuration.clients import Client
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.foreign_text.printable import quoted

#: What the documented hit calls the application of requests that belong to no other.
DEFAULT_NAME = "default"
_SHOWN_CHARS = 100
#: No longer name is looked for in another spelling: the normal form of a megabyte takes its time.
_LONGEST = 1_000
#: Most other spellings that are remembered: a bound on memory.
_MOST_SPELLINGS = 10_000


def normal_name(name: str) -> str:
    """Return what names that look the same have in common: no case, no width, single spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in folded if unicodedata.category(c) not in ("Cc", "Cf") or c.isspace())
    return " ".join(seen.split())


def shared_names(names: Mapping[int, str]) -> dict[int, int]:
    """Return clients whose name another one keeps, and which; names by client."""
    keepers: dict[str, int] = {}
    for client_id in sorted(names):
        keepers.setdefault(names[client_id], client_id)
    return {
        client_id: keepers[name]
        for client_id, name in sorted(names.items())
        if keepers[name] != client_id
    }


def application_name(text: str) -> str:
    """Return the name of an application as it is compared: in one Unicode form (NFC).

    Outer white space is no part of it; case is.
    """
    return unicodedata.normalize("NFC", text).strip()


class ClientNames:
    """The names of configured clients and of their applications, as they are at one time.

    Args:
        clients: by id.
    """

    def __init__(self, clients: Mapping[int, Client]) -> None:
        self._clients = clients
        self._applications: dict[int, dict[str, tuple[int, ...]]] = {}

    def client_id(self, name: str) -> int:
        """Return the client of that name, in any spelling that looks the same.

        Raises:
            RejectedEventError: none has it.
        """
        found = self._by_name.get(name)
        if found is None and len(name) <= _LONGEST:
            found = self._by_normal_name.get(normal_name(name))
            if found is not None and len(self._by_name) < _MOST_SPELLINGS + len(self._clients):
                # Each event of its producer comes here: the next one is found as it stands.
                self._by_name[name] = found
        if found is None:
            raise RejectedEventError(
                DeadLetterReason.UNKNOWN_CLIENT,
                f"client_name {quoted(name[:_SHOWN_CHARS])}: 0 clients in config.clients have it, "
                "and one must: send client_id",
            )
        return found

    def application_ids(self, client_id: int, names: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of a client's applications; a name that it does not have gives none."""
        known = self._applications.get(client_id)
        if known is None:
            known = self._applications[client_id] = self._read_applications(client_id)
        # Every hit may come here: most names are found as they stand.
        return tuple(
            number
            for name in names
            for number in known.get(name) or known.get(application_name(name), ())
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

    def _read_applications(self, client_id: int) -> dict[str, tuple[int, ...]]:
        client = self._clients.get(client_id)
        found: dict[str, tuple[int, ...]] = {DEFAULT_NAME: (DEFAULT_APPLICATION,)}
        for number, text in client.applications.items() if client is not None else ():
            name = application_name(text)
            if name and number not in found.get(name, ()):
                found[name] = (*found.get(name, ()), number)
        return found


#: Of nobody: every name is unknown.
NO_NAMES = ClientNames({})
