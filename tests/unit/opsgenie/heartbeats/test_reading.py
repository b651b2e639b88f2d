"""What is known about a heartbeat, by what its service answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.opsgenie.heartbeats.reading import (
    HeartbeatReading,
    HeartbeatState,
    has_moved,
    read_jsm,
    read_opsgenie,
    unreadable,
)
from stream_app.opsgenie.outcome import Outcome, classify

#: The answer that Opsgenie documents, and the field that its answers have besides.
DOCUMENTED = {
    "name": "HeartbeatName",
    "description": "Sample heartbeat description",
    "interval": 10,
    "enabled": True,
    "intervalUnit": "minutes",
    "expired": False,
    "ownerTeam": {"id": "6c7be998-fad9-4491-a9a7-d99a1p4c0ae5", "name": "ops_team"},
    "alertMessage": "HeartbeatName is expired",
    "alertTags": ["heartbeatTag1"],
    "alertPriority": "P3",
}
LAST = {"lastPingTime": "2025-02-20T14:00:05.533Z"}
#: The answer that JSM documents.
JSM = {
    "name": "Service Heartbeat",
    "description": "Heartbeat for checking service health",
    "interval": 5,
    "intervalUnit": "Days",
    "enabled": True,
    "status": "Responsive",
    "ownerTeamId": "4b26961a-a837-49d2-a1fe-0973013e3c3b",
    "alertMessage": "Service does not respond",
    "alertTags": ["HighPriority"],
    "alertPriority": "P2",
}
ALIVE, EXPIRED, DISABLED, MISSING, UNREADABLE = HeartbeatState


def opsgenie(data: Any, status: int = 200) -> HeartbeatReading:
    body = json.dumps({"data": data, "took": 0.1, "requestId": "r"}).encode()
    return read_opsgenie(classify(status, {}, body), body)


def jsm(values: Any, links: Any = None, status: int = 200) -> HeartbeatReading:
    body = json.dumps({"values": values, "links": links or {}}).encode()
    return read_jsm(classify(status, {}, body), body, "Service Heartbeat")


def test_opsgenie_tells_the_state_the_last_ping_and_the_expiry() -> None:
    assert opsgenie(DOCUMENTED | LAST) == HeartbeatReading(
        ALIVE,
        "it is enabled, and has not expired; its last ping came at 2025-02-20T14:00:05Z",
        last_ping_ms=1_740_060_005_533,
        expires_seconds=600,
    )
    assert opsgenie(DOCUMENTED) == HeartbeatReading(
        ALIVE, "it is enabled, and has not expired", None, 600
    )


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"expired": True}, EXPIRED),
        ({"enabled": False}, DISABLED),
        ({"enabled": False, "expired": True}, DISABLED),
        ({"enabled": None}, UNREADABLE),
        ({"enabled": "true"}, UNREADABLE),
        ({"expired": None}, UNREADABLE),
        ({"expired": 0}, UNREADABLE),
    ],
)
def test_only_an_enabled_heartbeat_that_has_not_expired_lives(
    change: dict[str, Any], state: HeartbeatState
) -> None:
    reading = opsgenie(DOCUMENTED | LAST | change)
    assert (reading.state, reading.last_ping_ms) == (state, 1_740_060_005_533)


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        (404, MISSING, "Opsgenie has no such one: create it there, or correct STREAM_APP_HEARTB"),
        (403, UNREADABLE, "the key may ping, but not read heartbeats: allow its integration"),
        (401, UNREADABLE, "HTTP 401: the key is wrong"),
        (402, UNREADABLE, "HTTP 402: the plan"),
        (429, UNREADABLE, "HTTP 429: "),
        (500, UNREADABLE, "HTTP 500: "),
    ],
)
def test_a_refusal_says_what_cannot_be_known(status: int, state: HeartbeatState, text: str) -> None:
    reading = opsgenie(None, status)
    assert reading.state is state
    assert reading.text.startswith(text)
    if status != 404:
        assert jsm(None, status=status).state is UNREADABLE


@pytest.mark.parametrize(
    ("number", "unit", "seconds"),
    [
        (1, "minutes", 60),
        (2, "hours", 7200),
        (5, "Days", 432_000),
        (5, "weeks", None),
        (0, "minutes", None),
        (-1, "minutes", None),
        (1.5, "minutes", None),
        (True, "minutes", None),
        (None, None, None),
        (10**400, "minutes", 60 * 10**400),
    ],
)
def test_the_expiry_is_read_in_seconds(number: Any, unit: Any, seconds: int | None) -> None:
    change = {"interval": number, "intervalUnit": unit}
    assert opsgenie(DOCUMENTED | change).expires_seconds == seconds


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-02-20T14:00:05Z", 1_740_060_005_000),
        ("2025-02-20T14:00:05", 1_740_060_005_000),
        ("2025-02-20T15:00:05+01:00", 1_740_060_005_000),
        ("0001-01-01T00:00:00", -62_135_596_800_000),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("", None),
        (1_740_060_005_000, None),
        (None, None),
    ],
)
def test_a_time_that_is_none_is_not_told(text: Any, ms: int | None) -> None:
    reading = opsgenie(DOCUMENTED | {"lastPingTime": text})
    assert reading.state is ALIVE
    assert reading.last_ping_ms == ms


def test_jsm_tells_the_state_and_no_last_ping() -> None:
    assert jsm([JSM]) == HeartbeatReading(
        ALIVE, "it is enabled, and has not expired", None, 432_000
    )


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"status": "Unresponsive"}, EXPIRED),
        ({"status": "Expired"}, EXPIRED),
        ({"status": "Pending"}, EXPIRED),
        ({"enabled": False, "status": "Inactive"}, DISABLED),
        ({"status": "Inactive"}, UNREADABLE),
        ({"status": None}, UNREADABLE),
        ({"status": 1}, UNREADABLE),
        ({"enabled": None}, UNREADABLE),
    ],
)
def test_jsm_has_words_of_its_own(change: dict[str, Any], state: HeartbeatState) -> None:
    reading = jsm([JSM | change])
    assert reading.state is state
    if change.get("status") == "Inactive" and state is UNREADABLE:
        assert reading.text == "JSM says that it is 'Inactive': look there"


def test_a_heartbeat_that_jsm_does_not_list_is_missing() -> None:
    assert jsm([]).state is MISSING
    assert jsm([JSM | {"name": "service heartbeat"}]).state is MISSING
    assert jsm([JSM | {"name": "Other"}, JSM]).state is ALIVE


def test_a_list_that_goes_on_leaves_it_open() -> None:
    links = {"next": "/v1/teams/77b933c9/heartbeats?offset=13&size=5"}
    reading = jsm([JSM | {"name": "Other"}], links)
    assert (reading.state, "more heartbeats" in reading.text) == (UNREADABLE, True)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (None, None, None),
        (1000, None, None),
        (None, 1000, True),
        (1000, 1000, False),
        (2000, 1000, False),
        (1000, 2000, True),
    ],
)
def test_a_heartbeat_has_moved_when_its_last_ping_is_newer(
    earlier: int | None, later: int | None, expected: object
) -> None:
    first, second = (HeartbeatReading(ALIVE, "", ms) for ms in (earlier, later))
    assert has_moved(first, second) is expected


def test_a_heartbeat_that_comes_to_life_has_moved_though_no_time_is_told() -> None:
    expired, alive = HeartbeatReading(EXPIRED, ""), HeartbeatReading(ALIVE, "")
    assert has_moved(expired, alive) is True
    assert has_moved(alive, alive) is None
    assert has_moved(alive, expired) is False
    assert has_moved(expired, expired) is False
    assert has_moved(alive, unreadable("gone")) is None
    assert has_moved(unreadable("gone"), alive) is None


def test_what_was_unreadable_before_has_moved_if_a_ping_is_told_now() -> None:
    assert has_moved(unreadable("gone"), HeartbeatReading(ALIVE, "", 1000)) is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "values", "links", "next", *DOCUMENTED, "status", "lastPingTime"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_reading(body: bytes) -> None:
    for outcome in (classify(200, {}, body), classify(404, {}, body)):
        for reading in (read_opsgenie(outcome, body), read_jsm(outcome, body, "pager")):
            assert reading.state in HeartbeatState
            assert reading.text.isprintable()


def test_what_was_never_answered_is_unreadable() -> None:
    outcome = Outcome(reason=classify(500, {}, b"").reason, message="no connection")
    assert read_opsgenie(outcome, b"") == unreadable("no connection", outcome)
    assert read_jsm(outcome, b"", "pager") == unreadable("no connection", outcome)
