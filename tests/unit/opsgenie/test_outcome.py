from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.opsgenie.outcome import (
    Outcome,
    RequestStatus,
    classify,
    failure,
    read_request_status,
    redact,
)

KEY = "00000000-1111-2222-3333-444444444444"
REQUEST_ID = "43a29c5c-3dbf-4fa4-9c26-f4f71023e120"
ACCEPTED = json.dumps(
    {"result": "Request will be processed", "took": 0.302, "requestId": REQUEST_ID}
).encode()


def error(message: str, **fields: object) -> bytes:
    return json.dumps({"message": message, "took": 0.1, "requestId": REQUEST_ID, **fields}).encode()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_accepted_whatever_the_body(status: int) -> None:
    for body in (ACCEPTED, b"", b"<html>", b"\xff\xfe"):
        assert classify(status, {}, body).accepted


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "redirect"),
        (307, "redirect"),
        (400, "bad_request"),
        (401, "unauthorized"),
        (402, "payment_required"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "not_found"),
        (409, "unprocessable"),
        (410, "not_found"),
        (415, "bad_request"),
        (418, "other_status"),
        (422, "unprocessable"),
        (428, "unprocessable"),
        (429, "rate_limited"),
        (500, "server_error"),
        (501, "server_error"),
        (503, "server_error"),
        (599, "server_error"),
        (600, "other_status"),
        (199, "other_status"),
    ],
)
def test_any_other_status_is_a_failure_with_a_reason(status: int, reason: str) -> None:
    outcome = classify(status, {}, b"")
    assert outcome.reason == reason
    assert not outcome.accepted
    assert outcome.status == status
    assert outcome.message.startswith(f"HTTP {status}: ")


def test_the_request_id_comes_from_the_body_or_else_the_header() -> None:
    assert classify(202, {"X-Request-ID": "other"}, ACCEPTED).request_id == REQUEST_ID
    assert classify(202, {"X-Request-ID": REQUEST_ID}, b"{}").request_id == REQUEST_ID
    assert classify(202, {}, b"{}").request_id is None


@pytest.mark.parametrize("request_id", ["x" * 101, "a b", "<b>", 7, {"a": 1}, "a\n"])
def test_an_invalid_request_id_is_left_out(request_id: object) -> None:
    body = json.dumps({"requestId": request_id}).encode()
    assert classify(202, {}, body).request_id is None


def test_a_401_tells_about_the_other_region() -> None:
    outcome = classify(401, {}, error("Could not authenticate"))
    assert "EU instance works at api.eu.opsgenie.com only" in outcome.message
    assert 'it says "Could not authenticate"' in outcome.message


def test_a_40301_tells_which_kind_of_key_is_needed() -> None:
    said = "To perform this action, use an API key from an API integration."
    outcome = classify(403, {}, error(said, code=40301))
    assert outcome.reason is AttemptReason.FORBIDDEN
    assert "not one from API key management" in outcome.message


def test_another_403_does_not_blame_the_kind_of_key() -> None:
    assert "API key management" not in classify(403, {}, error("no", code=40302)).message


def test_a_422_about_the_key_is_not_one_about_a_field() -> None:
    body = b'{"message":"Key format is not valid!","took":0.0,"requestId":""}'
    outcome = classify(422, {}, body)
    assert outcome.reason is AttemptReason.KEY_FORMAT
    assert "the key is malformed" in outcome.message
    assert outcome.request_id is None


@pytest.mark.parametrize(
    "errors",
    [
        {" message ": "Message can not be empty."},
        [{"title": "message", "detail": "Message can not be empty."}],
    ],
)
def test_a_422_about_a_field_names_it(errors: object) -> None:
    outcome = classify(422, {}, error("Request body is not processable.", errors=errors))
    assert outcome.reason is AttemptReason.UNPROCESSABLE
    assert outcome.message.endswith("(message: Message can not be empty.)")


def test_a_422_with_errors_is_about_a_field_even_if_it_mentions_the_key_format() -> None:
    body = error("details: key format is not valid", errors={"details": "x"})
    assert classify(422, {}, body).reason is AttemptReason.UNPROCESSABLE


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"X-RateLimit-Period-In-Sec": "60"}, 60),
        ({"Retry-After": "7", "X-RateLimit-Period-In-Sec": "60"}, 60),
        ({"Retry-After": "90", "X-RateLimit-Period-In-Sec": "60"}, 90),
        ({"Retry-After": "soon", "X-RateLimit-Period-In-Sec": "1"}, 1),
        (
            {
                "Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT",
                "Date": "Thu, 01 Jan 2026 00:00:30 GMT",
            },
            30,
        ),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT", "Date": "now"}, 60),
        ({"Retry-After": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "9" * 16}, 3600),
        ({"Retry-After": "9" * 400}, 3600),
        ({"Retry-After": "7.25"}, 7.25),
        ({"Retry-After": "5, 90"}, 90),
        ({"Retry-After": "\t7\t"}, 7),
        ({"Retry-After": "7 s"}, None),
        ({"Retry-After": "+7"}, None),
        ({"Retry-After": "0x10"}, None),
        ({"Retry-After": "1_000"}, None),
        ({"Retry-After": "Thu Jan  1 00:01:00 9999"}, 3600),
        ({"Retry-After": "Thu, 01 Jan 99999 00:01:00 GMT"}, None),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 " + "9" * 30}, 0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Thu, 99 Foo 2026 00:01:00 GMT"}, None),
        ({}, None),
    ],
)
def test_a_429_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    outcome = classify(429, headers, b"", received_at_seconds=1_767_225_600.0)
    assert outcome.retry_after_seconds == seconds


@pytest.mark.parametrize(
    "zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Kiritimati", "EST5EDT"]
)
@pytest.mark.parametrize(
    "until",
    [
        "Thu, 01 Jan 2026 00:01:00 GMT",
        "Thursday, 01-Jan-26 00:01:00 GMT",
        "Thu Jan  1 00:01:00 2026",
        "Thu, 01 Jan 2026 00:01:00 -0000",
        "Thu, 01 Jan 2026 00:01:00 +0000",
        "Thu, 01 Jan 2026 02:01:00 +0200",
        "Thu, 01 Jan 2026 00:01:00",
        "  Thu, 01 Jan 2026 00:00:60 GMT  ",
    ],
)
def test_a_date_without_a_zone_is_utc_wherever_this_runs(
    until: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        expected = 59 if ":60 " in until else 60
        by_clock = classify(429, {"Retry-After": until}, b"", received_at_seconds=1_767_225_600.0)
        assert by_clock.retry_after_seconds == expected
        for date in ("Thu Jan  1 00:00:30 2026", "Thursday, 01-Jan-26 00:00:30 GMT"):
            by_date = classify(429, {"Retry-After": until, "Date": date}, b"")
            assert by_date.retry_after_seconds == expected - 30
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("year", ["94", "69", "00"])
def test_a_past_year_of_two_digits_is_no_wait(year: str) -> None:
    headers = {"Retry-After": f"Sunday, 06-Nov-{year} 08:49:37 GMT"}
    outcome = classify(429, headers, b"", received_at_seconds=1_767_225_600.0)
    assert outcome.retry_after_seconds == 0


def test_a_date_without_any_clock_is_no_wait() -> None:
    headers = {"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}
    assert classify(429, headers, b"").retry_after_seconds is None


@pytest.mark.parametrize("status", [202, 401, 503])
def test_only_a_429_sets_a_wait(status: int) -> None:
    assert classify(status, {"Retry-After": "7"}, b"").retry_after_seconds is None


@pytest.mark.parametrize("echo", [KEY, KEY.upper(), f"GenieKey {KEY}", f"<b>{KEY}</b>"])
def test_an_echoed_key_is_taken_out(echo: str) -> None:
    body = error(f"unknown {echo}", errors={echo: echo}, requestId=echo)
    outcome = classify(422, {"X-Request-ID": KEY}, body, key=KEY)
    assert KEY not in repr(outcome).lower()
    assert "unknown" in outcome.message


def test_a_key_at_the_cut_is_not_left_in_part() -> None:
    for padding in range(150, 210):
        message = classify(400, {}, error("x" * padding + KEY), key=KEY).message
        assert KEY[:8] not in message


def test_a_header_with_any_key_is_taken_out() -> None:
    assert redact("sent: GenieKey abc-def, refused", "") == "sent: GenieKey *** refused"


def test_markup_of_the_service_does_not_reach_the_message() -> None:
    outcome = classify(400, {}, error("<script>x</script>\x1b[31m\nnext"))
    assert 'it says "x[31m next"' in outcome.message


@given(st.integers(min_value=100, max_value=999), st.binary(max_size=300))
def test_any_body_gives_a_short_message(status: int, body: bytes) -> None:
    assert 0 < len(classify(status, {}, body, key=KEY).message) <= 500


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"' + b"x" * 1_000_000 + b'"}',
        b"[" * 100_000,
        b'{"errors":' + b"[" * 60_000,
        json.dumps({"message": "x" * 60_000}).encode(),
        json.dumps({"errors": {f"field{n}": "y" * 300 for n in range(150)}}).encode(),
        b'{"message":{"a":1},"errors":7,"requestId":[1],"code":"40301"}',
        b'{"errors":[1,null,{"title":"t"}]}',
    ],
)
def test_hostile_bodies_give_a_short_message(body: bytes) -> None:
    for status in (202, 403, 422, 500):
        assert 0 < len(classify(status, {}, body).message) <= 500


def test_a_failure_without_an_answer_has_no_status() -> None:
    outcome = failure(AttemptReason.CONNECT_ERROR, f"cannot reach {KEY}", key=KEY)
    assert outcome == Outcome(
        AttemptReason.CONNECT_ERROR, "no connection to the service: cannot reach ***"
    )


def test_every_reason_has_a_sentence() -> None:
    assert all(failure(reason).message for reason in AttemptReason)


def test_a_processed_request_tells_what_became_of_it() -> None:
    body = json.dumps(
        {
            "data": {
                "isSuccess": False,
                "status": "Alert does not exist",
                "action": "Close",
                "alertId": "",
                "alias": "a",
            }
        }
    ).encode()
    status = read_request_status(classify(200, {}, body), body)
    assert (status.is_success, status.status) == (False, "Alert does not exist")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":1}', b"nonsense"])
def test_a_status_that_cannot_be_read_is_not_known(body: bytes) -> None:
    outcome = classify(200, {}, body)
    assert read_request_status(outcome, body) == RequestStatus(outcome)


def test_a_request_not_yet_processed_is_told_as_such() -> None:
    body = error("Request not processed")
    outcome = classify(404, {}, body)
    assert read_request_status(outcome, body) == RequestStatus(outcome)


def test_only_a_request_that_the_service_knows_is_not_processed_yet() -> None:
    not_yet = {"X-Opsgenie-Errortype": "RequestNotProcessed"}
    assert classify(404, not_yet, b"").is_not_processed
    assert not classify(404, {}, b"").is_not_processed
    assert not classify(404, {"X-Opsgenie-Errortype": "NotFound"}, b"").is_not_processed
    assert not classify(500, not_yet, b"").is_not_processed


@pytest.mark.parametrize("data", [{}, {"isSuccess": None}, {"isSuccess": "true"}])
def test_a_status_without_a_success_flag_is_no_failure(data: dict[str, object]) -> None:
    body = json.dumps({"data": data}).encode()
    assert read_request_status(classify(200, {}, body), body).is_success is None
