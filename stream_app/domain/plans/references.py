"""What a trigger may name: integrations of its own client that are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stream_app.domain.configuration.fields import flattened
from stream_app.domain.plans.unsupported import OtherIntegrations


@dataclass(frozen=True)
class KnownIntegrations:
    """All integrations of the files and the records.

    `owners` are their clients by id; `others` are of types that are not used here; `pruned` are
    going to be deleted.
    """

    owners: Mapping[int, object]
    others: OtherIntegrations
    pruned: Collection[int]

    def refusal(self, number: int, client_id: int, kept: Collection[int]) -> str | None:
        """Return why a trigger of a client may not name an integration; None when it may.

        It may keep the id of one that has been deleted since it was applied: `kept` are those
        that it names as it is stored.
        """
        if number in self.others.clients:
            owner = self.others.clients[number]
        elif number in self.pruned:
            return "would be pruned: apply the integration, too"
        elif number in self.owners:
            owner = self.owners[number]
        else:
            return None if number in kept else "no such integration: apply it, too"
        return None if owner == client_id else f"is not an integration of client {client_id}"


def place_of(obj: Mapping[str, object], number: int) -> str:
    """Return the path of an integration's id in a trigger, which may have other problems."""
    actions = flattened(obj).get("actions")
    for place, action in enumerate(actions if isinstance(actions, list) else []):
        params = action.get("params") if isinstance(action, dict) else None
        ids = params.get("integration_ids") if isinstance(params, dict) else None
        if isinstance(ids, list) and number in ids:
            return f"actions[{place}].params.integration_ids[{ids.index(number)}]"
    return "actions"
