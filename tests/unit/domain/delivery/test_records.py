from __future__ import annotations

import msgspec
import pytest

from stream_app.domain.delivery.records import (
    Cancel,
    Checked,
    Delivery,
    Result,
    decode_delivery,
    decode_result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.delivery.transitions import attempt_ended_ms, remaining_wait_ms
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import DeadLetterReason

DELIVERY = Delivery("stream-app:1:x/521", "stream-app:1:x", 1111, 521, "Title", "Text", {"a": "b"})
RESULT = Result(
    DELIVERY.id, 1111, 521, "opsgenie", 2, False, "server_error", "HTTP 500", 1_767_225_600_500, 0.1
)


def test_records_survive_their_topic() -> None:
    assert decode_delivery(encode_delivery(DELIVERY)) == DELIVERY
    assert decode_result(encode_result(RESULT)) == RESULT


def test_a_delivery_without_an_alias_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="alert_id"):
        decode_delivery(encode_delivery(msgspec.structs.replace(DELIVERY, alert_id="")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alias", ""),
        ("alias", "a" * 513),
        ("revision", "r" * 1001),
        ("trigger_id", 2**63),
        ("window_start", -1),
        ("window_end", 2**62),
        ("close_after_seconds", -1),
        ("close_after_seconds", 2**62),
    ],
)
def test_an_episode_that_no_notifier_writes_is_refused(name: str, value: object) -> None:
    episode = EpisodeReference("stream-app:1:episode:x", 61, "r", 1_767_225_600, 1_767_225_601)
    delivery = msgspec.structs.replace(DELIVERY, episode=episode)
    assert decode_delivery(encode_delivery(delivery)) == delivery
    unnamed = msgspec.structs.replace(
        delivery, episode=msgspec.structs.replace(episode, revision="")
    )
    assert decode_delivery(encode_delivery(unnamed)) == unnamed, "route takes such an alert"
    wrong = msgspec.to_builtins(delivery)
    wrong["episode"][name] = value
    with pytest.raises(msgspec.ValidationError, match=f"episode.{name}"):
        decode_delivery(msgspec.json.encode(wrong))


def test_a_command_is_told_from_a_result() -> None:
    command = Cancel(1111, 521, DeadLetterReason.INTEGRATION_DISABLED, 7)
    assert decode_result(encode_result(command)) == command


def test_a_check_is_told_from_a_result() -> None:
    outcome = CheckOutcome.FAILED
    checked = Checked(DELIVERY.id, 1111, 521, "opsgenie", "r", outcome, "Alert does not exist", 7)
    assert decode_result(encode_result(checked)) == checked
    assert checked.alert_id == DELIVERY.alert_id


def test_a_record_of_another_type_is_no_result() -> None:
    with pytest.raises(msgspec.ValidationError, match="type"):
        decode_result(encode_result(RESULT).replace(b'"attempt",', b'"note",'))


NOW_MS = 1_767_225_600_000


@pytest.mark.parametrize(
    ("finished_at_ms", "expected"),
    [
        (NOW_MS - 40, NOW_MS - 40),
        (NOW_MS - 60_000, NOW_MS - 60_000),
        (NOW_MS - 7_200_000, NOW_MS - 60_000),
        (NOW_MS + 1, NOW_MS),
        (NOW_MS + 7_200_000, NOW_MS),
    ],
)
def test_an_attempt_ended_when_its_result_was_written_or_shortly_before(
    finished_at_ms: int, expected: int
) -> None:
    result = Result(
        "a/1", 1, 1, "opsgenie", 1, accepted=False, reason="timeout", message="",
        finished_at_ms=finished_at_ms, duration_seconds=1.0,
    )  # fmt: skip
    assert attempt_ended_ms(result, NOW_MS) == expected


@pytest.mark.parametrize(
    ("attempt", "due_ms", "failed_ms", "expected"),
    [
        # Read by a right clock, by one that is behind, and by one that is ahead.
        (4, NOW_MS + 2000, NOW_MS - 3000, 2000),
        (4, NOW_MS + 7_200_000, NOW_MS + 7_195_000, 5000),
        (4, NOW_MS - 7_200_000, NOW_MS - 7_205_000, 0),
        # The wait that the service asked for, and our own pause before the first attempt.
        (2, NOW_MS + 3_600_000, NOW_MS, 3_600_000),
        (1, NOW_MS + 10_000, NOW_MS, 10_000),
        # Due times of an older version, whose worker was two hours ahead.
        (4, NOW_MS + 7_200_000, 0, 5000),
        (17, NOW_MS + 7_200_000, 0, 1_800_000),
        (1, NOW_MS + 7_200_000, 0, 0),
        (18, NOW_MS + 7_200_000, 0, 0),
    ],
)
def test_a_delivery_waits_no_longer_than_its_step_whatever_clock_set_its_due_time(
    attempt: int, due_ms: int, failed_ms: int, expected: int
) -> None:
    state = DeliveryState(
        "a/1", DeliveryStatus.PENDING, 1, 1, attempt, 0, due_ms=due_ms, failed_ms=failed_ms
    )
    assert remaining_wait_ms(state, NOW_MS, 1.0) == expected
