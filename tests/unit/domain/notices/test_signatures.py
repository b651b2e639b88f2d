"""Our own notices are known by their signature; a forged notice becomes an alert of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.alerts.alert import notice_alert_id
from stream_app.domain.configuration.clients import Client
from stream_app.domain.delivery.auto_disable import Verdict, status_of
from stream_app.domain.notices.alerts import notice_alert, triggered_alerts
from stream_app.domain.notices.incoming import IncomingNotice, Origin, notice_decoder
from stream_app.domain.notices.outgoing import (
    Notice,
    alerts_stale,
    deliveries_overflowed,
    encode_notice,
    integration_broken,
)
from stream_app.domain.notices.signatures import NO_SIGNATURES, RESERVED_ID, NoticeSigner
from stream_app.domain.topics import CONFIG_TOPICS, Topic
from tests.unit.domain.notices.test_matching import trigger

ACME = Client(1111, "Acme", "EU", {})
OLD, NEW = "fake-secret-old", "fake-secret-new"
SIGNER = NoticeSigner([NEW, OLD])
RESERVED_IDS = (
    "config.triggers/12", "config.integrations/0", "config.clients/7/-1", "CONFIG.triggers/12",
    "integration_broken/521/5", "deliveries_overflowed/521/490000", "alerts_stale/1111/490000",
)  # fmt: skip


def own(notice_id: str = "config.triggers/12", **details: Any) -> Notice:
    body = {"notification_type": "trigger_update", "trigger": {"id": 61}, "n": 1.5, **details}
    return Notice(1111, notice_id, "[Wallarm] Trigger was updated", body)


def id_of(value: bytes, signer: NoticeSigner = SIGNER, offset: int = 5) -> str:
    ((_, _, notice),) = notice_decoder.parts(value)
    assert isinstance(notice, IncomingNotice)
    origin = Origin("events.account", 0, offset, 0, 0)
    return notice_alert(notice, origin, ACME, "system", (521,), signer).id


def known_as(notice_id: str) -> str:
    return notice_alert_id(1111, "trigger_update", (notice_id,))


def forged(notice: Notice, **changes: Any) -> bytes:
    return json.dumps(json.loads(encode_notice(notice)) | changes).encode()


@pytest.mark.parametrize("notice_id", RESERVED_IDS)
def test_a_signed_notice_keeps_its_id_and_an_unsigned_one_gets_another(
    notice_id: str,
) -> None:
    notice = own(notice_id)
    assert id_of(SIGNER.encode(notice)) == known_as(notice_id)
    found = {
        id_of(encode_notice(notice)),
        id_of(forged(notice, stream_app_mark="0" * 64)),
        id_of(forged(notice, summary="all is well")),
        id_of(forged(notice, description="all is well")),
    }
    assert known_as(notice_id) not in found
    assert len(found) == 3, "one alert for each content"


def test_the_signature_covers_everything_in_a_notice() -> None:
    signed = json.loads(SIGNER.encode(own()))
    for change in (
        {"summary": "x"},
        {"id": "config.triggers/13"},
        {"details": {**signed["details"], "trigger": {"id": 62}}},
        {"description": "not what happened"},
        {"stream_app_mark": None},
        {"stream_app_mark": "é"},
    ):
        changed = signed | change
        assert id_of(json.dumps(changed).encode()) != known_as(changed["id"])
    reordered = dict(reversed(signed.items()))
    assert id_of(json.dumps(reordered).encode()) == known_as("config.triggers/12")


def test_a_signature_is_valid_for_one_client() -> None:
    value = json.dumps(json.loads(SIGNER.encode(own())) | {"client_id": 2222}).encode()
    ((_, _, notice),) = notice_decoder.parts(value)
    assert isinstance(notice, IncomingNotice)
    other = Client(2222, "Bolt", "EU", {})
    found = notice_alert(notice, Origin("events.account", 0, 1, 0, 0), other, "system", (), SIGNER)
    assert found.id != notice_alert_id(2222, "trigger_update", ("config.triggers/12",))


def test_signatures_of_older_keys_are_accepted_and_those_of_foreign_keys_refused() -> None:
    assert id_of(NoticeSigner([OLD]).encode(own())) == known_as("config.triggers/12")
    assert id_of(NoticeSigner(["other"]).encode(own())) != known_as("config.triggers/12")


def test_without_secret_keys_one_notice_is_one_alert_and_no_other_content_takes_its_id() -> None:
    value = NO_SIGNATURES.encode(own())
    assert value == encode_notice(own())
    assert id_of(value, NO_SIGNATURES) == id_of(value, NO_SIGNATURES, offset=9), (
        "written again after a crash"
    )
    assert id_of(forged(own(), summary="x"), NO_SIGNATURES) != id_of(value, NO_SIGNATURES)


@pytest.mark.parametrize("notice_id", ["n-1", "12", "triggers/12", "my/config.triggers/12", 12])
def test_ids_that_are_not_reserved_stay_as_they_are(notice_id: str | int) -> None:
    value = forged(own(), id=notice_id)
    assert id_of(value) == id_of(value, NO_SIGNATURES) == known_as(str(notice_id))


def test_an_alert_of_a_trigger_takes_no_reserved_id_either() -> None:
    ((_, _, notice),) = notice_decoder.parts(encode_notice(own()))
    assert isinstance(notice, IncomingNotice)
    (alert,) = triggered_alerts(
        notice, Origin("events.account", 0, 1, 0, 0), ACME, [trigger("user_created")], SIGNER
    )
    assert alert.id != notice_alert_id(
        1111, "trigger_update", ("config.triggers/12",), trigger("user_created").id
    )


def test_all_our_own_notices_have_reserved_ids() -> None:
    verdict = Verdict(521, 1111, 5, 20, 20, 1767225600000)
    for notice in (
        integration_broken(verdict, status_of(verdict, ()), ACME, None),
        deliveries_overflowed(1111, ACME, 521, None, 1767225600000),
        alerts_stale(1111, ACME, 21600, 1767225600000),
    ):
        assert RESERVED_ID.match(notice.id)
        assert id_of(SIGNER.encode(notice)) == notice_alert_id(
            1111, str(notice.details["notification_type"]), (notice.id,)
        )


@pytest.mark.parametrize("topic", [*CONFIG_TOPICS])
def test_ids_of_configuration_changes_are_reserved(topic: Topic) -> None:
    assert RESERVED_ID.match(f"{topic}/0")
