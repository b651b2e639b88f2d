from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.dead_letters.dead_letter import DeadLetterKind, Place
from stream_app.domain.dead_letters.redrive_rules import (
    NEXT_STEPS,
    RedriveRecipient,
    next_step,
    recipient_of,
    why_not_redriven,
)
from stream_app.domain.errors import DeadLetterReason
from tests.unit.domain.dead_letters.test_dead_letter import letter

OPEN = {521: RedriveRecipient(3)}
RECORD: dict[str, Any] = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call",
    "active": True,
    "type": "opsgenie",
    "target": {
        "token": "env:STREAM_APP_KEY_1111_ACME",
        "api": "https://api.opsgenie.com/v2/alerts",
    },
    "events": [],
    "epoch": 7,
    "enabled_at": 7,
}


def test_a_dead_letter_of_our_own_topic_for_an_integration_in_use_is_redriven() -> None:
    assert why_not_redriven(letter(), "deliveries", set(), OPEN) == ""


@pytest.mark.parametrize("topic", ["config.integrations", "alerts", "p.deliveries", "deliveries "])
def test_a_header_cannot_redrive_a_dead_letter_to_another_topic(topic: str) -> None:
    forged = letter(original=Place(topic, 1, 17))
    why = why_not_redriven(forged, "deliveries", set(), OPEN, force=True)
    assert why == f"its x-original-topic is {topic!r}, and must be 'deliveries'"


def test_without_its_origin_or_all_of_its_value_it_stays() -> None:
    assert "is missing" in why_not_redriven(
        letter(original=None), "deliveries", set(), OPEN, force=True
    )
    assert "cut short" in why_not_redriven(
        letter(is_cut=True), "deliveries", set(), OPEN, force=True
    )
    assert "cut short" in next_step(letter(is_cut=True), None)


def test_what_was_accepted_meanwhile_stays_also_by_force() -> None:
    assert "accepted meanwhile" in why_not_redriven(
        letter(), "deliveries", {"a/521"}, OPEN, force=True
    )
    assert why_not_redriven(letter(), "deliveries", {"b/521"}, OPEN) == ""
    unreadable = letter(value=b"{")
    assert why_not_redriven(unreadable, "deliveries", {""}, OPEN) == ""


def test_what_no_integration_takes_needs_force() -> None:
    off = {521: RedriveRecipient(3, "integration 521 is off")}
    assert why_not_redriven(letter(), "deliveries", set(), off).startswith(
        "integration 521 is off: "
    )
    assert "is not configured" in why_not_redriven(letter(), "deliveries", set(), {})
    assert why_not_redriven(letter(), "deliveries", set(), {}, force=True) == ""


def test_an_alert_comes_back_when_one_of_its_integrations_takes_it() -> None:
    value = b'{"id":"a","client_id":1111,"integration_ids":[520,521]}'
    one = letter(kind=DeadLetterKind.ALERT, value=value, original=Place("alerts", 1, 2))
    assert why_not_redriven(one, "alerts", set(), OPEN) == ""
    assert why_not_redriven(one, "alerts", {"a/520"}, OPEN) == "", "521 has not had it"
    assert "accepted meanwhile" in why_not_redriven(one, "alerts", {"a/520", "a/521"}, OPEN)
    assert why_not_redriven(one, "alerts", set(), {}) == (
        "integration 520 is not configured; integration 521 is not configured: "
        "it would reach nobody"
    )
    event = letter(kind=DeadLetterKind.EVENT, value=value, original=Place("events.hits", 1, 2))
    assert why_not_redriven(event, "events.hits", set(), {}) == ""


def test_an_alert_that_some_integrations_got_depends_on_the_others() -> None:
    value = b'{"id":"a","client_id":1111,"integration_ids":[520,521]}'
    one = letter(
        kind=DeadLetterKind.ALERT, value=value, original=Place("alerts", 1, 2), still_for=(520,)
    )
    assert (one.integration_ids, one.delivery_ids) == ((520,), ("a/520",))
    assert why_not_redriven(one, "alerts", set(), OPEN) == (
        "integration 520 is not configured: it would reach nobody"
    )
    assert why_not_redriven(one, "alerts", {"a/521"}, {520: RedriveRecipient(3)}) == ""
    assert "accepted meanwhile" in why_not_redriven(
        one, "alerts", {"a/520"}, {520: RedriveRecipient(3)}
    )


def test_a_recipient_says_why_it_takes_nothing_and_how_to_change_that() -> None:
    assert recipient_of(RECORD, None) == RedriveRecipient(7)
    status = IntegrationStatus(521, 1111, True, "failed_share", 7, 18, 20, 12, 1)
    enable = "`stream-app integrations enable 521` first"
    disabled = recipient_of(RECORD, status).problem
    assert "disabled by the system" in disabled
    assert enable in disabled
    assert recipient_of(RECORD | {"enabled_at": 8}, status).problem == "", "enabled since"
    assert recipient_of(RECORD | {"active": False}, None).problem.endswith(enable)
    broken = recipient_of(RECORD | {"target": {"token": "00000000-1111", "api": "x"}}, None)
    assert "target.token" in broken.problem
    assert "00000000" not in broken.problem


def test_every_reason_has_a_next_step_that_names_the_dead_letter() -> None:
    assert set(NEXT_STEPS) == set(DeadLetterReason)
    for reason in DeadLetterReason:
        text = next_step(letter(reason=reason.value), None)
        assert "{" not in text
    disabled = next_step(letter(reason="integration_disabled"), None)
    assert disabled.startswith("`stream-app integrations enable 521`, then ")
    unknown = next_step(letter(4, reason="unknown_client"), None)
    assert unknown.endswith("`stream-app dlq redrive --place deliveries.dlq/1/4`")
    assert "deliveries/1/18" in next_step(letter(), "deliveries/1/18")
    assert "'new'" in next_step(letter(reason="new"), None)
