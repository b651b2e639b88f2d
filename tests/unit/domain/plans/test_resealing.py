from __future__ import annotations

import base64
from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import SealingError
from stream_app.domain.notices.config_changes import differences, remembered
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.resealing import reseal
from stream_app.key_ring import KeyRing

NOW = 1_767_225_600_000
CLEAR = "00000000-1111-2222-3333-444444444444"
API = "https://api.opsgenie.com/v2/alerts"
CONTEXT = "1111/521@api.opsgenie.com"
OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))
BOTH = KeyRing([NEW, OLD])


def record(token: object) -> dict[str, Any]:
    return {
        "id": 521,
        "client_id": 1111,
        "name": "On-call",
        "active": True,
        "type": "opsgenie",
        "target": {"token": token, "api": API},
        "events": [],
        "updated_at": 5,
        "epoch": 6,
        "enabled_at": 4,
    }


def rotated(token: object, keys: KeyRing = BOTH) -> Change | None:
    return reseal(521, record(token), keys, NOW)


def test_a_key_is_sealed_anew_with_the_newest_secret_key_and_nothing_else_changes() -> None:
    before = record(KeyRing([OLD]).seal(CLEAR, CONTEXT))
    change = reseal(521, before, BOTH, NOW)
    assert change is not None
    assert change.record is not None
    assert (change.action, change.fields) == (Action.UPDATED, ("target.token",))
    token = change.record["target"]["token"]  # type: ignore[index]
    assert KeyRing([NEW]).open(token, CONTEXT) == CLEAR
    assert change.record == before | {"target": {"token": token, "api": API}, "updated_at": NOW}
    assert not change.turns_off
    kind = Kind.INTEGRATION
    assert differences(kind, remembered(kind, before), remembered(kind, change.record)) == []


def test_a_key_without_an_address_was_sealed_for_the_default_one() -> None:
    before = record(KeyRing([OLD]).seal(CLEAR, CONTEXT))
    before["target"] = {"token": before["target"]["token"]}
    change = reseal(521, before, BOTH, NOW)
    assert change is not None
    assert change.record is not None
    token = change.record["target"]["token"]  # type: ignore[index]
    assert KeyRing([NEW]).open(token, CONTEXT) == CLEAR
    assert change.record["epoch"] == before["epoch"]


def test_what_the_newest_secret_key_sealed_is_left_as_it_is() -> None:
    change = rotated(BOTH.seal(CLEAR, CONTEXT))
    assert change is not None
    assert change.action is Action.UNCHANGED


@pytest.mark.parametrize("token", ["env:STREAM_APP_KEY_1111_ACME", "file:1111/acme", None, 7])
def test_a_record_without_a_seal_is_skipped(token: object) -> None:
    assert rotated(token) is None
    assert reseal(521, {"id": 521, "target": token}, BOTH, NOW) is None


@pytest.mark.parametrize(
    ("token", "keys"),
    [
        (KeyRing([OLD]).seal(CLEAR, CONTEXT), KeyRing([NEW])),
        (KeyRing([OLD]).seal(CLEAR, CONTEXT), KeyRing()),
        (KeyRing([NEW]).seal(CLEAR, "1111/522@api.opsgenie.com"), BOTH),
        (CLEAR, BOTH),
    ],
)
def test_what_cannot_be_opened_is_an_error_without_the_key(token: str, keys: KeyRing) -> None:
    with pytest.raises(SealingError) as told:
        rotated(token, keys)
    assert CLEAR not in repr(told.value)
