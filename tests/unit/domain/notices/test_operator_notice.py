"""What the platform team is told: the text, and an id that follows from what has happened."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from stream_app.domain.configuration.alert_options import AlertOptions, Priority
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.auto_disable import Verdict, status_of
from stream_app.domain.delivery.records import Delivery, decode_delivery, encode_delivery
from stream_app.domain.notices.operator_notice import (
    OperatorNotice,
    broken_integration,
    operator_delivery,
    pulse_stopped,
)
from stream_app.domain.notices.outgoing import integration_broken
from stream_app.domain.pulse.note import PulseReason, PulseStop

VERDICT = Verdict(521, 1111, 7, 18, 27, 1_767_225_600_000, 401, "unauthorized")
ACME = Client(1111, "Acme Retail", "EU", {})
BROKEN = Integration(521, 1111, "On-call EU", True, "opsgenie", "", "", ())
PLATFORM = Integration(
    900, 9, "Platform", True, "jsm", "", "", (), epoch=5, alert=AlertOptions(priority=Priority.P1)
)
TEXT = """\
Notification type: integration_broken

The Opsgenie integration "On-call EU" (ID 521) was disabled because of delivery errors: 18 of 27 \
requests of the last 12 hours failed, the last one with HTTP 401 (unauthorized). It gets no alerts \
until it is enabled again.
Its client is told through integrations 522, 523.

When its cause is mended:
stream-app integrations test 521 --silent
stream-app integrations enable 521
stream-app dlq redrive --integration 521

Client: Acme Retail (ID 1111)
Cloud: EU"""


def told(
    verdict: Verdict = VERDICT,
    client: Client | None = ACME,
    integration: Integration | None = BROKEN,
    others: tuple[int, ...] = (522, 523),
) -> OperatorNotice:
    notice = integration_broken(verdict, status_of(verdict, others), client, integration)
    return broken_integration(verdict, notice, client, integration, others)


def delivery(notice: OperatorNotice) -> Delivery:
    return operator_delivery(notice, PLATFORM)


def test_the_platform_team_is_told_what_broke_whose_it_is_and_what_to_do() -> None:
    found = delivery(told())
    assert found.message == (
        "[Wallarm] Integration 521 of client 1111 was disabled because of delivery errors"
    )
    assert found.description == TEXT
    assert found.details == {
        "notification_type": "integration_broken",
        "client_id": "1111",
        "integration_id": "521",
        "failed": "18",
        "total": "27",
        "told": "522, 523",
    }
    assert (found.client_id, found.integration_id, found.epoch) == (9, 900, 5)
    assert found.options == PLATFORM.alert
    assert found.id == f"{found.alert_id}/900"
    assert found.alert_id.startswith("stream-app:9:integration_broken:")
    assert decode_delivery(encode_delivery(found)) == found


def test_that_nobody_of_the_client_is_told_is_said() -> None:
    lines = delivery(told(others=())).description.split("\n")
    assert lines[3] == (
        "No other integration of its client gets this message, so nobody of the client is told: "
        "tell them in another way."
    )
    many = delivery(told(others=tuple(range(600, 700)))).description
    assert "619 and 80 more." in many


def test_a_message_is_the_same_one_for_one_verdict_however_often_it_is_made() -> None:
    first = delivery(told()).id
    again = replace(VERDICT, failed=30, total=40, at_ms=VERDICT.at_ms + 5)
    assert delivery(told(again, others=())).id == first, "made again after a crash"
    assert delivery(told(replace(VERDICT, epoch=8))).id != first, "enabled, and broken again"
    assert delivery(told(replace(VERDICT, integration_id=522))).id != first
    assert delivery(msgspec.structs.replace(told(), kind="pulse_stopped")).id != first


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A\nCloud: US\x1b[2J", r"A\nCloud: US\x1b[2J"),
        ("<b>Acme</b>", "\u2039b\u203aAcme\u2039/b\u203a"),
        ("\u202eemcA", r"\u202eemcA"),
        ("x" * 500, "x" * 100),
    ],
)
def test_a_tenants_name_is_one_line_and_bounded(name: str, shown: str) -> None:
    integration = Integration(521, 1111, name, True, "opsgenie", "", "", ())
    found = delivery(told(client=Client(1111, name, "EU", {}), integration=integration))
    lines = found.description.split("\n")
    assert len(lines) == len(TEXT.split("\n"))
    assert lines[-2] == f"Client: {shown} (ID 1111)"
    assert f'integration "{shown}" (ID 521) was disabled' in lines[2]
    assert name not in found.message


def test_what_is_deleted_by_now_is_named_by_its_id() -> None:
    lines = delivery(told(client=None, integration=None)).description.split("\n")
    assert lines[2].startswith("The Opsgenie integration (ID 521) was disabled")
    assert lines[-2:] == ["Client: not configured (ID 1111)", "Cloud: "]


STOPS = [
    PulseStop(PulseReason.NO_WORKER, "no detector is running"),
    PulseStop(PulseReason.STANDS_STILL, "counts partition 0 stands still at offset 5"),
]


def test_a_pulse_that_stops_says_since_when_why_and_what_to_do() -> None:
    notice = pulse_stopped("host:7", 5, 1_767_225_600_000, STOPS)
    assert notice.kind == "pulse_stopped"
    assert notice.lines[0] == "No heartbeat was pinged by host:7 since 2026-01-01T00:00:00Z."
    assert notice.lines[2] == ("no detector is running (no_worker): start one, or look at its log")
    assert notice.details == {"reasons": "no_worker, stands_still"}
    assert "yet" in pulse_stopped("host:7", 5, 0, STOPS).lines[0]


def test_one_stop_of_the_pulse_is_one_message_whatever_joins_it() -> None:
    first, more = pulse_stopped("a", 5, 0, STOPS[:1]), pulse_stopped("a", 5, 0, STOPS)
    assert first.identity == more.identity
    assert first.identity != pulse_stopped("a", 6, 0, STOPS).identity
    assert first.identity != pulse_stopped("b", 5, 0, STOPS).identity
