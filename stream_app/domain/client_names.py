"""Clients and applications by their names, for events that come without ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from stream_app.domain.clients import Client
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.filter_values import DEFAULT_APPLICATION
from stream_app.domain.printable import quoted

#: What the documented hit calls the application of requests that belong to no other.
DEFAULT_NAME = "default"
_SHOWN_CHARS = 100


class ClientNames:
    """The names of configured clients and of their applications, as they are at one time.

    Outer white space is no part of an application's name.

    Args:
        clients: by id.
    """

    def __init__(self, clients: Mapping[int, Client]) -> None:
        self._clients = clients
        self._applications: dict[int, dict[str, tuple[int, ...]]] = {}

    def client_id(self, name: str) -> int:
        """Return the one client of that name.

        Raises:
            RejectedEventError: none has it, or several have.
        """
        found = self._by_name.get(name, ())
        if len(found) != 1:
            raise RejectedEventError(
                DeadLetterReason.UNKNOWN_CLIENT,
                f"client_name {quoted(name[:_SHOWN_CHARS])}: {len(found)} clients in "
                "config.clients have it, and one must: send client_id",
            )
        return found[0]

    def application_ids(self, client_id: int, names: Iterable[str]) -> tuple[int, ...]:
        """Return the ids of a client's applications; a name that it does not have gives none."""
        known = self._applications.get(client_id)
        if known is None:
            known = self._applications[client_id] = self._read_applications(client_id)
        # Every hit may come here: its name is stripped only where it is not found as it stands.
        return tuple(
            number for name in names for number in known.get(name) or known.get(name.strip(), ())
        )

    @cached_property
    def _by_name(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for client_id, client in self._clients.items():
            found[client.name] = (*found.get(client.name, ()), client_id)
        return found

    def _read_applications(self, client_id: int) -> dict[str, tuple[int, ...]]:
        client = self._clients.get(client_id)
        found: dict[str, tuple[int, ...]] = {DEFAULT_NAME: (DEFAULT_APPLICATION,)}
        for number, text in client.applications.items() if client is not None else ():
            name = text.strip()
            if name and number not in found.get(name, ()):
                found[name] = (*found.get(name, ()), number)
        return found


#: Of nobody: every name is unknown.
NO_NAMES = ClientNames({})
