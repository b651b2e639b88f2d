"""Times (Unix ms) that our commands write into records; those in a file are ignored.

`epoch` grows with each new target and each enabling of an integration. Results of deliveries with
an older epoch are ignored. `enabled_at` is when an integration was enabled. A status that the
system set before that no longer holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.domain.configuration.integrations import given_api, read_integration
from stream_app.domain.configuration.kinds import INTEGRATION_STAMPS, TRIGGER_STAMPS
from stream_app.domain.errors import SealingError
from stream_app.domain.plans.keys import KeyKeeper

_SEALED = "sealed:"


def integration_stamps(
    before: Mapping[str, object] | None,
    after: Mapping[str, object],
    keeper: KeyKeeper,
    now_ms: int,
) -> dict[str, object]:
    """Return the stamps of an integration that is created or changed.

    `apply` keeps `enabled_at` of an existing integration. So what the system has disabled stays
    disabled until a person enables it by its id.
    """
    if before is None:
        return dict.fromkeys(INTEGRATION_STAMPS, now_ms)
    stamps = {name: before[name] for name in INTEGRATION_STAMPS if name in before}
    is_turned_on = after.get("active") is True and before.get("active") is not True
    if is_turned_on or _is_new_target(before, after, keeper):
        stamps["epoch"] = next_epoch(before, now_ms)
    return stamps | {"updated_at": now_ms}


def trigger_stamps(
    before: Mapping[str, object] | None, after: Mapping[str, object], now_ms: int
) -> dict[str, object]:
    """Return the stamps of a trigger: one that is turned on starts counting anew."""
    stored = before or {}
    if after.get("enabled") is True and stored.get("enabled") is not True:
        return {"enabled_at": now_ms}
    return {name: stored[name] for name in TRIGGER_STAMPS if name in stored}


def next_epoch(record: Mapping[str, object], now_ms: int) -> int:
    """Return an epoch later than the record's, even if this machine's clock is behind."""
    epoch = record.get("epoch")
    return max(now_ms, epoch + 1) if isinstance(epoch, int) else now_ms


def enabled_record(record: Mapping[str, object], now_ms: int) -> dict[str, object]:
    """Return the record of an integration that a person enables."""
    epoch = next_epoch(record, now_ms)
    stamps = {"updated_at": now_ms, "epoch": epoch, "enabled_at": epoch}
    return {**record, "active": True, **stamps}


def disabled_record(record: Mapping[str, object], now_ms: int) -> dict[str, object]:
    """Return the record of an integration that a person disables; its settings stay."""
    return {**record, "active": False, "updated_at": now_ms}


def _is_new_target(
    before: Mapping[str, object], after: Mapping[str, object], keeper: KeyKeeper
) -> bool:
    old, new = before.get("target"), after.get("target")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return old != new
    if given_api(old) != given_api(new):
        return True
    old_token, new_token = old.get("token"), new.get("token")
    return old_token != new_token and not _is_same_sealed(old_token, new_token, after, keeper)


def _is_same_sealed(
    old_token: object, new_token: object, record: Mapping[str, object], keeper: KeyKeeper
) -> bool:
    """Return whether two seals hold the same key, as after a rotation of secret keys."""
    if not (str(old_token).startswith(_SEALED) and str(new_token).startswith(_SEALED)):
        return False
    integration, _ = read_integration(record)
    try:
        opened = [
            keeper.open(str(seal), integration.key_context) for seal in (old_token, new_token)
        ]
    except SealingError:
        return False
    return opened[0] == opened[1]
