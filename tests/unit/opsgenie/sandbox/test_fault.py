from __future__ import annotations

import pytest

from stream_app.domain.errors import InvalidObjectError
from stream_app.opsgenie.sandbox.fault import (
    KIND_TEXTS,
    Fault,
    FaultKind,
    Operation,
    key_end,
    parse_fault,
    parse_fault_text,
)

KEY = "00000000-1111-2222-3333-444444444444"


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_kind_needs_no_more_than_its_name_and_is_explained(kind: FaultKind) -> None:
    assert parse_fault({"kind": kind.value}) == Fault(kind=kind)
    assert KIND_TEXTS[kind]


def test_a_fault_is_for_create_requests_of_all_keys_by_default() -> None:
    fault = parse_fault({"kind": "hang"})
    assert fault.fits(Operation.CREATE, KEY)
    assert not fault.fits(Operation.CLOSE, KEY)
    assert not fault.fits(Operation.REQUEST_STATUS, KEY)


@pytest.mark.parametrize(
    ("fields", "key", "fits"),
    [
        ({"key": KEY}, KEY, True),
        ({"key": KEY}, KEY[:-1] + "5", False),
        ({"key": "short"}, "short", True),
        ({"key_end": "4444"}, KEY, True),
        ({"key_end": "4445"}, KEY, False),
        ({"key_end": "hort"}, "short", False),
    ],
)
def test_a_fault_is_for_the_keys_that_it_names(
    fields: dict[str, object], key: str, fits: object
) -> None:
    assert parse_fault({"kind": "reset", **fields}).fits(Operation.CREATE, key) is fits


def test_other_requests_fail_when_they_are_named() -> None:
    fault = parse_fault({"kind": "reset", "on": ["note", "request-status"]})
    found = [name for name in Operation if fault.fits(name, KEY)]
    assert found == [Operation.NOTE, Operation.REQUEST_STATUS]


@pytest.mark.parametrize(
    ("fields", "named", "allowed"),
    [
        ({}, "kind: not set", "must be one of status, key-format"),
        ({"kind": "explode"}, "kind: 'explode'", "garbage, lost-answer, discard"),
        ({"kind": ["hang"]}, "kind: ['hang']", "must be one of"),
        ({"kind": "status", "status": 202}, "status: 202", "300 to 599"),
        ({"kind": "status", "status": 600}, "status: 600", "300 to 599"),
        ({"kind": "status", "status": "503"}, "status: '503'", "300 to 599"),
        ({"kind": "status", "status": True}, "status: true", "300 to 599"),
        ({"kind": "redirect", "status": 404}, "status: 404", "300 to 399"),
        (
            {"kind": "discard", "on": ["heartbeat-read"]},
            "on: ['heartbeat-read']",
            "nothing that could be discarded",
        ),
        ({"kind": "hang", "status": 503}, "status: 503", "of status and redirect only"),
        ({"kind": "rate-limit", "per_second": 0}, "per_second: 0", "0.01 to 10000"),
        ({"kind": "rate-limit", "per_second": float("nan")}, "per_second: nan", "0.01 to"),
        ({"kind": "rate-limit", "retry_after": ""}, "retry_after: ''", "printable ASCII"),
        ({"kind": "rate-limit", "retry_after": "1\r\nX: y"}, "retry_after: '1", "printable"),
        ({"kind": "rate-limit", "period": 60}, "period: 60", "a text of"),
        ({"kind": "drip", "interval_seconds": 61}, "interval_seconds: 61", "0.001 to 60"),
        ({"kind": "hang", "requests": 0}, "requests: 0", "from 1"),
        ({"kind": "hang", "requests": 1.5}, "requests: 1.5", "a whole number"),
        ({"kind": "hang", "seconds": -1}, "seconds: -1", "0.001 to 86400"),
        ({"kind": "hang", "seconds": float("inf")}, "seconds: inf", "0.001 to 86400"),
        ({"kind": "hang", "on": []}, "on: []", "create, note, close, request-status"),
        ({"kind": "hang", "on": "create"}, "on: 'create'", "must be a list"),
        ({"kind": "hang", "on": ["open"]}, "on: ['open']", "create, note, close, request-status"),
        ({"kind": "discard", "on": ["request-status"]}, "on: ['request-status']", "discarded"),
        ({"kind": "hang", "times": 3}, "field: 'times'", "use kind, on, status"),
        ([], "fault: is a list", "JSON object"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_is_allowed(
    fields: object, named: str, allowed: str
) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse_fault(fields)
    assert str(caught.value).startswith(named)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"key_end": KEY},  # somebody took one field for the other
        {"key": KEY, "key_end": "4444"},
        {"key": KEY + "\n"},
        {"key": [KEY]},
    ],
)
def test_no_error_shows_a_key(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse_fault({"kind": "hang", **fields})
    assert "4444" not in str(caught.value)
    assert caught.value.value == "(not shown)"
    assert KEY not in repr(Fault(kind=FaultKind.HANG, key=KEY))


def test_a_fault_can_be_described_in_one_text() -> None:
    text = "rate-limit, per_second=2.5,retry_after=soon,on=create+close,requests=3,seconds=9"
    assert parse_fault_text(text) == Fault(
        kind=FaultKind.RATE_LIMIT,
        per_second=2.5,
        retry_after="soon",
        on=(Operation.CREATE, Operation.CLOSE),
        requests=3,
        seconds=9,
    )
    assert parse_fault_text("hang") == Fault(kind=FaultKind.HANG)
    # Only numbers become numbers: these are texts that look like one.
    text = "rate-limit,retry_after=7,key_end=4444"
    fault = Fault(kind=FaultKind.RATE_LIMIT, retry_after="7", key_end="4444")
    assert parse_fault_text(text) == fault


@pytest.mark.parametrize("text", ["", "hang,", "hang,requests", "hang,requests=x", "hang,on="])
def test_a_text_that_describes_no_fault_is_refused(text: str) -> None:
    with pytest.raises(InvalidObjectError):
        parse_fault_text(text)


@pytest.mark.parametrize(("key", "end"), [(KEY, "4444"), ("x" * 16, "xxxx"), ("x" * 15, "")])
def test_only_the_end_of_a_long_key_is_shown(key: str, end: str) -> None:
    assert key_end(key) == end
