"""Seals an integration's key again with the newest secret key, after a rotation."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.domain.configuration.integrations import given_api, key_context
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.keys import KeyKeeper
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.stamps import integration_stamps

#: These name a key that is kept elsewhere, and have no seal.
_NAMED = ("env:", "file:")


def reseal(
    number: int, record: Mapping[str, object], keeper: KeyKeeper, now_ms: int
) -> Change | None:
    """Return the change that seals an integration's key again; None: the record holds no key.

    Neither the target nor the epoch changes, so pending deliveries stay valid.

    Raises:
        SealingError: none of the secret keys opens the seal.
    """
    target = record.get("target")
    token = target.get("token") if isinstance(target, dict) else None
    if not isinstance(target, dict) or not isinstance(token, str) or token.startswith(_NAMED):
        return None
    client_id = record.get("client_id")
    context = key_context(
        client_id if isinstance(client_id, int) else 0, number, str(given_api(target))
    )
    clear = keeper.open(token, context)
    if keeper.is_sealed_with_newest(clear, token, context):
        return Change(Kind.INTEGRATION, number, Action.UNCHANGED, dict(record), before=record)
    sealed = {**record, "target": {**target, "token": keeper.seal(clear, context)}}
    sealed |= integration_stamps(record, sealed, keeper, now_ms)
    return Change(
        Kind.INTEGRATION, number, Action.UPDATED, sealed, ("target.token",), before=record
    )
