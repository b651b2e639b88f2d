"""What `alerts show` says of each state: what follows, and the next command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from stream_app.domain.delivery.records import Checked, Result
from stream_app.domain.delivery.retry_schedule import LAST_ATTEMPT
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory
from stream_app.domain.reports.next_steps import IntegrationNow, Outlook, Surroundings
from tests.unit.domain.reports.test_alert_history import (
    ACCEPTED,
    ALERT,
    DRY_RUN,
    FAILED,
    LETTER,
    NAME,
    history,
)

GOOD = IntegrationNow("On-call", ALERT.client_id)
DISABLED = IntegrationNow(
    "On-call",
    ALERT.client_id,
    "integration 521 is disabled by the system: mend it, then "
    "`stream-app integrations enable 521` first",
)
FIRED = AlertHistory(ALERT, 8_000)
REDRIVE = "`stream-app dlq redrive --integration 521`"


def around(found: IntegrationNow | None = GOOD, now_ms: int = 10_500) -> Surroundings:
    return Surroundings({} if found is None else {521: found}, now_ms, 1, 3_600_000)


def said(*results: Result, letters: tuple[DeadLetterNote, ...] = (), **more: Any) -> str:
    return around(**more).next_of_delivery(FIRED, history(*results, letters=letters))


def test_a_pending_delivery_says_when_until_when_and_what_then() -> None:
    quick = msgspec.structs.replace(FAILED, duration_seconds=0.0)
    seventh = msgspec.structs.replace(quick, attempt=7)
    assert said(seventh) == (
        f"attempt 8 of {LAST_ATTEMPT} at 1970-01-01T00:00:11Z, in cycle 2 of 3; resends until "
        f"about 1970-01-01T00:50:49Z; then it becomes a dead letter, and {REDRIVE} sends it"
    )
    last = msgspec.structs.replace(quick, attempt=LAST_ATTEMPT - 1)
    assert "the last one; if it fails, it becomes a dead letter" in said(last)
    assert said(quick, now_ms=12_000).startswith("attempt 2 of 17 now, in cycle 1")


def test_the_last_resend_is_later_if_each_attempt_takes_long() -> None:
    slow = msgspec.structs.replace(FAILED, attempt=LAST_ATTEMPT - 2, duration_seconds=15.0)
    found = around().outlook(FIRED, history(slow))
    assert found == Outlook(16, 610_000, 610_000 + 1_800_000 + 15_000, 3)


def test_a_due_time_that_has_passed_is_not_announced_as_if_it_were_to_come() -> None:
    assert said(now_ms=60_000).startswith("attempt 1 of 17 was due at 1970-01-01T00:00:09Z, 51 s")
    assert "`stream-app status`" in said(now_ms=60_000)


def test_a_fault_of_our_own_side_is_tried_until_the_alert_is_too_old() -> None:
    own = msgspec.structs.replace(FAILED, reason="local_error", status=None, is_sent=False)
    text = said(own)
    assert text.startswith("attempt 1 of 17 at 1970-01-01T00:00:20Z, and every few seconds until ")
    assert "1970-01-01T01:00:08Z, because our own side is at fault" in text


def test_what_was_accepted_or_recorded_needs_nothing() -> None:
    assert said(ACCEPTED).startswith("nothing: the service has accepted it")
    assert said(DRY_RUN).startswith("nothing: a dry run sends nothing")


def test_an_accepted_request_that_made_no_alert_leads_to_the_service_s_rules() -> None:
    checked = Checked(NAME, 1, 521, "opsgenie", "r", CheckOutcome.FAILED, "Discarded", 11_000)
    found = DeliveryHistory(NAME, 521, attempts=[ACCEPTED], checks=[checked])
    assert "made no alert of it (Discarded)" in around().next_of_delivery(FIRED, found)


@pytest.mark.parametrize(
    ("reason", "found", "text"),
    [
        ("exhausted", GOOD, f"mend what the last attempt complains of; then {REDRIVE} sends it"),
        ("exhausted", DISABLED, f"`stream-app integrations enable 521`; {REDRIVE} then sends it"),
        ("integration_disabled", DISABLED, "disabled by the system: mend it, then `stream-app"),
        ("integration_disabled", GOOD, f"takes alerts again: {REDRIVE} sends it"),
        ("exhausted", None, "`stream-app apply` it with the same id"),
        ("overflow", GOOD, "when that has been sent, `stream-app dlq redrive --integration 521`"),
        ("stale", GOOD, "`stream-app dlq redrive --place deliveries.dlq/0/3`"),
        ("unheard_of", GOOD, "none that this version knows"),
    ],
)
def test_a_dead_letter_names_the_command_that_sends_it(
    reason: str, found: IntegrationNow | None, text: str
) -> None:
    assert text in said(FAILED, letters=(replace(LETTER, reason=reason),), found=found)


def test_what_was_dismissed_needs_nothing() -> None:
    dismissed = replace(LETTER, is_dismissed=True)
    assert said(FAILED, letters=(dismissed,)).startswith("nothing: somebody has dismissed it")
    assert Surroundings.next_of_letter(dismissed).startswith("nothing: somebody has dismissed it")


def test_a_delivery_given_up_a_moment_ago_has_no_dead_letter_yet() -> None:
    assert said(msgspec.structs.replace(FAILED, attempt=LAST_ATTEMPT)).endswith("look again")


def test_pending_for_an_integration_that_takes_nothing_is_about_to_be_a_dead_letter() -> None:
    assert said(FAILED, found=DISABLED).startswith("it becomes a dead letter: integration 521 is")
    assert "integration 521 is not configured" in said(FAILED, found=None)


def test_why_an_integration_has_no_delivery() -> None:
    off = IntegrationNow("x", ALERT.client_id, "integration 521 is off: `enable` first")
    for found, now_ms, text in (
        (None, 8_000, "deleted before the alert was routed"),
        (IntegrationNow("x", 77), 8_000, "belongs to client 77"),
        (off, 8_000, "integration 521 is off: `enable`, for later alerts"),
        (GOOD, 8_000, "has not read the alert yet"),
        (GOOD, 100_000, "`stream-app status` shows how far behind it is"),
    ):
        assert text in around(found, now_ms).why_no_delivery(FIRED, 521)


def test_a_dead_letter_of_the_alert_itself_has_its_own_advice() -> None:
    letter = replace(LETTER, reason="unknown_integration", integration_ids=(521,))
    assert Surroundings.next_of_letter(letter).startswith("integration 521 is not configured")
    done = replace(letter, redriven_to="alerts/0/4")
    assert Surroundings.next_of_letter(done) == "nothing: it was redriven to alerts/0/4"
