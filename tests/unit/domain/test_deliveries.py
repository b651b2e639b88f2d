from __future__ import annotations

import msgspec
import pytest

from stream_app.domain.deliveries import (
    Cancel,
    Checked,
    Delivery,
    Result,
    decode_delivery,
    decode_result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.request_checks import CheckOutcome

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
