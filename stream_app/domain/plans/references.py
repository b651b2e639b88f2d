"""Checks what objects refer to: their clients, and the integrations of triggers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.client_names import normal_name
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.plans.steps import Draft
from stream_app.domain.plans.unsupported import LeftOut, UnsupportedIntegrations


def check_references(
    drafts: Sequence[Draft],
    stored: Stored,
    others: UnsupportedIntegrations,
    pruned: Collection[int],
) -> list[LeftOut]:
    """Note in the drafts references to what does not exist or belongs to another client.

    Args:
        drafts: of all objects of the files.
        stored: the records as they are now.
        others: integrations of the files whose types are not supported.
        pruned: integrations that the plan deletes.

    Returns:
        The references of triggers to `others`, which are left out.
    """
    clients = {draft.id for draft in drafts if draft.kind is Kind.CLIENT}
    clients |= stored[Kind.CLIENT].keys()
    owners: dict[int, object] = {
        number: record.get("client_id") for number, record in stored[Kind.INTEGRATION].items()
    }
    owners |= {draft.id: draft.client_id for draft in drafts if draft.kind is Kind.INTEGRATION}
    known = _KnownIntegrations(owners, others, pruned)
    _check_client_names(drafts, stored)
    left_out: list[LeftOut] = []
    for draft in drafts:
        if draft.kind is Kind.CLIENT or any(p.path == "client_id" for p in draft.problems):
            continue
        if draft.client_id not in clients:
            draft.problem("client_id", draft.client_id, "no such client: apply the client, too")
        before = (draft.stored or {}).get("client_id", draft.client_id)
        if before != draft.client_id:
            draft.problem(
                "client_id", draft.client_id, f"it belongs to client {before}: use a new id"
            )
        left_out += _check_integrations(draft, known)
    return left_out


def _check_client_names(drafts: Sequence[Draft], stored: Stored) -> None:
    """Note names that several clients would have. The client that already has the name keeps it."""
    kept = {
        number: normal_name(str(record.get("name") or ""))
        for number, record in stored[Kind.CLIENT].items()
    }
    written = {
        draft.id: normal_name(str(draft.record.get("name") or ""))
        for draft in drafts
        if draft.kind is Kind.CLIENT
    }
    sharing: dict[str, list[int]] = {}
    for number, name in (kept | written).items():
        sharing.setdefault(name, []).append(number)
    for draft in drafts:
        name = written.get(draft.id, "")
        if draft.kind is not Kind.CLIENT or not name:
            continue
        holders = [number for number in sharing[name] if kept.get(number) == name]
        owner = min(holders or sharing[name])
        if owner != draft.id:
            text = f"is the name of client {owner}, and events name their client by it"
            draft.problem("name", draft.source.obj.get("name"), f"{text}: give it another")


@dataclass(frozen=True)
class _KnownIntegrations:
    """All integrations of the files and the records. `owners` are their clients, by id."""

    owners: Mapping[int, object]
    others: UnsupportedIntegrations
    pruned: Collection[int]

    def refusal(self, number: int, client_id: int, kept: Collection[int]) -> str | None:
        """Return why a trigger of a client may not refer to an integration; None: it may.

        It may keep the id of a deleted integration: `kept` are those of the stored trigger.
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


def _check_integrations(draft: Draft, known: _KnownIntegrations) -> Iterator[LeftOut]:
    """Note the integrations that a trigger may not refer to; yield those that are left out."""
    kept: tuple[int, ...] = ()
    if draft.integration_ids and draft.stored is not None:
        kept = read_trigger(draft.stored, allowed_periods=())[0].integration_ids
    for number in draft.integration_ids:
        path = _path_of(number, draft.source.obj)
        refusal = known.refusal(number, draft.client_id, kept)
        if refusal is not None:
            draft.problem(path, number, refusal)
        elif number in known.others.clients:
            yield known.others.left_out_reference(draft.id, path, number)


def _path_of(number: int, obj: Mapping[str, object]) -> str:
    """Return the path of an integration's id in a trigger, which may be malformed elsewhere."""
    actions = stored_form(obj).get("actions")
    for place, action in enumerate(actions if isinstance(actions, list) else []):
        params = action.get("params") if isinstance(action, dict) else None
        ids = params.get("integration_ids") if isinstance(params, dict) else None
        if isinstance(ids, list) and number in ids:
            return f"actions[{place}].params.integration_ids[{ids.index(number)}]"
    return "actions"
