"""Decoding: every form of a record's value, and how parts that are no events are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import Attack, EventKind, Hit, Incident
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.times import event_seconds
from tests.unit.domain.events.plain_events import plain

KINDS = tuple(EventKind)
DEEP = 100_000
UNDECODABLE = DeadLetterReason.UNDECODABLE
WRONG_TYPE = DeadLetterReason.WRONG_TYPE
MISSING_CLIENT = DeadLetterReason.MISSING_CLIENT

# The documented hit with the fields that the stream adds, as a producer sends it.
DOCUMENTED_HIT: dict[str, Any] = {
    "client_id": 1111,
    "host": "shop.acme.example",
    "method": "GET",
    "path": "/catalog",
    "payloads": ["1' union select 1,2--"],
    "point": ["get", "id"],
    "probability": 20.71,
    "remote_port": 41253,
    "remote_addr4": "203.0.113.10",
    "remote_addr6": None,
    "request_time": 1767225600,
    "create_time": 1767225603,
    "response_status": 404,
    "stamps": [7965],
    "regex": [],
    "type": "sqli",
    "id": ["hits_production_1111_202601_v_1", "c2dd33831a13be0d"],
    "headers": {"x": ["y"]},
    "poolid": -1,
    "target": "database",
    "experimental": False,
    "sampled": True,
}
DOCUMENTED_ATTACK: dict[str, Any] = {
    "object_type": "attack",
    "client_id": 1111,
    "id": ["attacks_production_1111_202601_v_1", "a1b2c3"],
    "type": "sqli",
    "host": "shop.acme.example",
    "target": "database",
    "poolid": -1,
    "remote_addrs": ["203.0.113.10"],
    "response_statuses": [404],
    "first_time": 1767225600,
    "last_time": 1767225600,
    "hits_count": 1,
    "experimental": False,
    "state": None,
    "vulnid": None,
}


def read(value: bytes | None, kind: EventKind = EventKind.HITS) -> tuple[dict[int, Any], list[Any]]:
    """Return what counting reads from a value: events by index, and refused parts."""
    decoder = EventDecoder(kind)
    try:
        found: Any = decoder.decode(value)  # type: ignore[arg-type]
    except (*DECODE_ERRORS, TypeError):
        good, refused = decoder.decode_parts(value)
        return dict(good), [(part.index, part.value, part.reason) for part in refused]
    return dict(enumerate(found if isinstance(found, list) else [found])), []


def clients(value: bytes) -> tuple[dict[int, int], list[Any]]:
    """Return the client of each event by its index, and the refused parts."""
    good, refused = read(value)
    return {index: event.client_id for index, event in good.items()}, refused


def test_the_documented_hit_is_read_and_its_other_fields_are_ignored() -> None:
    good, refused = read(json.dumps(DOCUMENTED_HIT).encode())
    assert refused == []
    assert good[0] == Hit(
        client_id=1111,
        type="sqli",
        host="shop.acme.example",
        poolid=-1,
        target="database",
        create_time=1767225603,
        remote_addr4="203.0.113.10",
        response_status=404,
        request_time=1767225600,
    )


@pytest.mark.parametrize(
    ("kind", "event_type"), [(EventKind.ATTACKS, Attack), (EventKind.INCIDENTS, Incident)]
)
def test_the_documented_attack_and_incident_are_read(
    kind: EventKind, event_type: type[Attack]
) -> None:
    good, refused = read(json.dumps(DOCUMENTED_ATTACK).encode(), kind)
    assert refused == []
    assert good[0] == event_type(
        client_id=1111,
        type="sqli",
        host="shop.acme.example",
        poolid=-1,
        target="database",
        remote_addrs=("203.0.113.10",),
        response_statuses=(404,),
        first_time=1767225600,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_null_for_an_optional_field_is_the_same_as_its_absence(kind: EventKind) -> None:
    fields = DOCUMENTED_HIT | DOCUMENTED_ATTACK
    nulls = {name: None for name in fields if name not in {"client_id", "sampled", "experimental"}}
    (absent,) = read(b'{"client_id": 1}', kind)[0].values()
    (null,) = read(json.dumps(nulls | {"client_id": 1}).encode(), kind)[0].values()
    assert null == absent
    (unmarked,) = read(b'{"client_id":1,"experimental":null,"sampled":null}', kind)[0].values()
    assert (bool(unmarked.experimental), unmarked.sampled is False) == (False, False)


@pytest.mark.parametrize(
    "value",
    [
        b'{"client_id":1}',
        b' \r\n{"client_id":1}\r\n',
        b'[{"client_id":1}]',
        b' [ {"client_id" : 1} ] \n',
        b'{\n  "client_id": 1,\n  "host": "a"\n}\n',
        b'[\r\n  {\r\n    "client_id": 1\r\n  }\r\n]\r\n',
    ],
)
def test_one_event_is_read_in_every_layout(value: bytes) -> None:
    assert clients(value) == ({0: 1}, [])


@pytest.mark.parametrize(
    "value",
    [
        b'[{"client_id":1},{"client_id":2}]',
        b'[\n{"client_id":1},\n{"client_id":2}\n]',
        b'{"client_id":1}\n{"client_id":2}',
        b'{"client_id":1}\n{"client_id":2}\n',
        b'{"client_id":1}\r\n{"client_id":2}\r\n',
        b'\n{"client_id":1}\n\n  \t\n{"client_id":2}\n\n',
    ],
)
def test_events_of_an_array_and_of_lines_are_read_in_their_order(value: bytes) -> None:
    assert clients(value) == ({0: 1, 1: 2}, [])


def test_an_empty_array_has_no_events_and_nothing_to_refuse() -> None:
    assert read(b"[]") == ({}, [])
    assert read(b" [ \n ] ") == ({}, [])


@pytest.mark.parametrize("value", [None, b"", b" ", b"\r\n\t \n"])
def test_a_record_without_a_value_is_refused_whole(value: bytes | None) -> None:
    assert read(value) == ({}, [(None, value or b"", UNDECODABLE)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", UNDECODABLE),
        (b"[", UNDECODABLE),
        (b"hello", UNDECODABLE),
        (b"null and more", UNDECODABLE),
        (b'{"client_id":1', UNDECODABLE),
        (b'{"client_id":"1", "host"', UNDECODABLE),
        (b'{"client_id":1,}', UNDECODABLE),
        (b'{"client_id":1}{"client_id":1}', UNDECODABLE),
        (b'[{"client_id":1},{"client_id":1}', UNDECODABLE),
        (b"\xff\xfe", UNDECODABLE),
        (b'{"client_id":1,"host":"\xff"}', UNDECODABLE),
        (b"{}", MISSING_CLIENT),
        (b'{"type":"sqli"}', MISSING_CLIENT),
        (b'{"client_id":null}', MISSING_CLIENT),
        (b'{"type":5}', MISSING_CLIENT),
        (b"null", WRONG_TYPE),
        (b"true", WRONG_TYPE),
        (b"17", WRONG_TYPE),
        (b'"client_id"', WRONG_TYPE),
        (b'{"client_id":"1"}', WRONG_TYPE),
        (b'{"client_id":1.5}', WRONG_TYPE),
        (b'{"client_id":true}', WRONG_TYPE),
        (b'{"client_id":1e400}', WRONG_TYPE),
        (b'{"client_id":%s}' % (b"9" * 5000), WRONG_TYPE),
        (b'{"client_id":1,"request_time":"1767225600"}', WRONG_TYPE),
        (b'{"client_id":1,"request_time":true}', WRONG_TYPE),
        (b'{"client_id":1,"request_time":-1e400}', WRONG_TYPE),
        (b'{"client_id":1,"request_time":%s}' % (b"9" * 5000), WRONG_TYPE),
        (b'{"client_id":1,"host":["a"]}', WRONG_TYPE),
        (b'{"client_id":1,"poolid":"7"}', WRONG_TYPE),
        (b'{"client_id":1,"response_status":"404"}', WRONG_TYPE),
        (b'{"client_id":1,"sampled":"no"}', WRONG_TYPE),
    ],
)
def test_what_is_no_event_is_refused_whole_and_untouched_with_its_reason(
    value: bytes, reason: DeadLetterReason
) -> None:
    assert read(value) == ({}, [(None, value, reason)])


@pytest.mark.parametrize(
    "value", [b'{"client_id":1,"remote_addrs":[null]}', b'{"client_id":1,"response_statuses":404}']
)
def test_lists_of_an_attack_hold_values_of_their_type(value: bytes) -> None:
    assert read(value, EventKind.ATTACKS) == ({}, [(None, value, WRONG_TYPE)])


@pytest.mark.parametrize("kind", [EventKind.ATTACKS, EventKind.INCIDENTS])
def test_sampling_is_no_field_of_attacks_and_incidents(kind: EventKind) -> None:
    good, refused = read(b'{"client_id":1,"sampled":false}', kind)
    assert (good[0].sampled, refused) == (True, [])
    assert read(b'{"client_id":1,"sampled":"?"}', kind)[1] == []


def test_bad_elements_of_an_array_keep_their_place_and_their_bytes() -> None:
    value = b'[{"client_id":1}, {"client_id" :"x"} ,{ },\n[{"client_id":3}],7,{"client_id":2}]'
    assert clients(value) == (
        {0: 1, 5: 2},
        [
            (1, b'{"client_id" :"x"}', WRONG_TYPE),
            (2, b"{ }", MISSING_CLIENT),
            (3, b'[{"client_id":3}]', WRONG_TYPE),
            (4, b"7", WRONG_TYPE),
        ],
    )


def test_the_only_element_of_an_array_is_refused_with_its_place() -> None:
    assert read(b'[ {"type":"x"} ]') == ({}, [(0, b'{"type":"x"}', MISSING_CLIENT)])


def test_bad_lines_keep_their_place_and_their_bytes() -> None:
    value = b'{"client_id":1}\r\n\r\n{"client_id":\r\n [1] \r\n{"type":"x"}\r\n{"client_id":2}\r\n'
    assert clients(value) == (
        {0: 1, 4: 2},
        [
            (1, b'{"client_id":', UNDECODABLE),
            (2, b" [1] ", WRONG_TYPE),
            (3, b'{"type":"x"}', MISSING_CLIENT),
        ],
    )


def test_arrays_within_lines_are_refused_line_by_line() -> None:
    value = b'[{"client_id":1}]\n[{"client_id":2},{"client_id":3}]\n{"client_id":4}'
    assert clients(value) == (
        {2: 4},
        [
            (0, b'[{"client_id":1}]', WRONG_TYPE),
            (1, b'[{"client_id":2},{"client_id":3}]', WRONG_TYPE),
        ],
    )


def test_a_bad_event_over_several_lines_is_one_bad_event() -> None:
    value = b'{\n  "client_id": "x",\n  "probability": 1e999,\n  "payload": "\xff"\n}'
    assert read(value) == ({}, [(None, value, WRONG_TYPE)])


HALF_PAIRS = [rb"\ud800", rb"\udc80 more", rb"a\uD800\uD800b", rb"\ud800A", rb"\ud83d\ude00\udfff"]
HALF_PAIRS += [rb"\\ud800 \udc80"]


@pytest.mark.parametrize(
    "unknown",
    [
        *(b'"%s"' % text for text in HALF_PAIRS),
        b'"\xff"',
        b"1e999",
        b"-" + b"9" * 5000,
        b"[" * 200 + b"]" * 200,
        rb'"\\ud800 \" \u005c \n"',
    ],
)
@pytest.mark.parametrize(
    "form", [b"%s", b'[{"client_id":7},%s]', b'{"client_id":7}\n%s', b'[{"client_id":"?"},%s]']
)
def test_no_content_of_an_unknown_field_spoils_an_event(unknown: bytes, form: bytes) -> None:
    good, _ = clients(form % (b'{"client_id":1,"payloads":%s}' % unknown))
    assert 1 in good.values()


@pytest.mark.parametrize("text", HALF_PAIRS)
def test_half_a_surrogate_pair_in_a_known_field_is_a_replacement_character(text: bytes) -> None:
    good, refused = read(b'[{"client_id":1,"host":"%s"}]' % text)
    host = json.loads(b'"%s"' % text)
    assert refused == []
    assert good[0].host == "".join("�" if "\ud800" <= c <= "\udfff" else c for c in host)


def test_events_beside_half_a_surrogate_pair_are_refused_with_untouched_bytes() -> None:
    bad = rb'{"client_id":"x","path":"\ud800 \\ud800 \\\udc80"}'
    for value in (b'[{"client_id":1},%s,[],[[]]]' % bad, b'{"client_id":1}\n%s\n[]\n[[]]' % bad):
        assert clients(value) == (
            {0: 1},
            [(1, bad, WRONG_TYPE), (2, b"[]", WRONG_TYPE), (3, b"[[]]", WRONG_TYPE)],
        )


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"client_id":1,"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"client_id":"x","y":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"client_id":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'[{"client_id":1},' + b"[" * DEEP + b"]" * DEEP + b"]",
        b'[{"client_id":1},{"client_id":1,"x":' + b'{"a":' * DEEP,
    ],
    ids=lambda bomb: f"{bomb[:30]!r}",
)
def test_a_nesting_bomb_is_a_dead_letter_as_a_whole(bomb: bytes) -> None:
    assert read(bomb) == ({}, [(None, bomb, UNDECODABLE)])


def test_a_nesting_bomb_on_a_line_leaves_the_other_lines_alone() -> None:
    bomb = b"[" * DEEP + b"]" * DEEP
    value = b'{"client_id":1}\n%s\n{"client_id":2}' % bomb
    assert clients(value) == ({0: 1, 2: 2}, [(1, bomb, UNDECODABLE)])


def test_a_malformed_value_is_explained_by_its_form_and_not_by_its_first_type() -> None:
    _, (refused,) = EventDecoder(EventKind.HITS).decode_parts(b'[{"client_id":1},{"client_id":2}')
    assert "truncated" in refused.message


# -- event time


@pytest.mark.parametrize("kind", KINDS)
def test_the_event_time_is_the_kinds_own_then_create_time_then_the_records(kind: EventKind) -> None:
    own = "request_time" if kind is EventKind.HITS else "first_time"
    fields: dict[str, Any] = {"client_id": 1, own: 100, "create_time": 200}
    expected = {own: 100, "create_time": 200, "timestamp": 300}
    for name, seconds in expected.items():
        (event,) = read(json.dumps(fields).encode(), kind)[0].values()
        assert event_seconds(event, kind, 300_999) == seconds
        fields.pop(name, None)


def test_times_with_a_fraction_count_in_their_second() -> None:
    event = Hit(client_id=1, request_time=1767225600.999)
    assert event_seconds(event, EventKind.HITS, 0) == 1767225600


def test_the_time_zero_is_a_time() -> None:
    assert event_seconds(Hit(client_id=1, request_time=0), EventKind.HITS, 5000) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_time_at_all_is_refused_with_the_fields_that_could_have_held_one(
    kind: EventKind,
) -> None:
    own = "request_time" if kind is EventKind.HITS else "first_time"
    (event,) = read(b'{"client_id":1}', kind)[0].values()
    with pytest.raises(RejectedEventError, match=f"no {own}, no create_time") as raised:
        event_seconds(event, kind, -1)
    assert raised.value.reason is DeadLetterReason.MISSING_TIME


# -- any bytes

VALID = [
    json.dumps(DOCUMENTED_HIT).encode(),
    json.dumps(DOCUMENTED_ATTACK).encode(),
    json.dumps([DOCUMENTED_HIT, DOCUMENTED_ATTACK]).encode(),
    json.dumps([DOCUMENTED_HIT, {"client_id": 2}], indent=1).encode(),
    b'{"client_id":1,"first_time":5.5}\r\n{"client_id":2}\r\n',
]
FRAGMENTS = [b"[", b"]", b"{", b"}", b",", b'"', b"\n", b"\r", b"\\", b"null", b"1e400", b"-"]
FRAGMENTS += [rb"\ud800", b"\xff", b"\xef\xbb\xbf", b"\x00", b"9" * 5000, b"[" * 5000, b"\x85"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a valid record with some of its bytes cut out or replaced."""
    value = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 20)))
        filling = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=6))
        value = value[:start] + filling + value[end:]
    return value


@pytest.mark.parametrize("kind", KINDS)
@given(value=mutated() | st.binary(max_size=80))
def test_any_bytes_are_events_or_refused_parts_of_the_record(kind: EventKind, value: bytes) -> None:
    good, refused = EventDecoder(kind).decode_parts(value)
    assert all(isinstance(event.client_id, int) for _, event in good)
    assert all(part.value in value and part.message for part in refused)
    places = [index for index, _ in good] + [part.index for part in refused]
    if None in places:
        assert [(part.index, part.value) for part in refused] == [(None, value)]
        assert good == []
    else:
        assert sorted(places) == list(range(len(places)))  # type: ignore[type-var]


@pytest.mark.parametrize("kind", KINDS)
@given(value=mutated())
def test_both_ways_of_decoding_agree_on_good_records(kind: EventKind, value: bytes) -> None:
    decoder = EventDecoder(kind)
    try:
        found: Any = decoder.decode(value)
    except DECODE_ERRORS:
        return
    events = found if isinstance(found, list) else [found]
    good, refused = decoder.decode_parts(value)
    assert [(index, plain(event, kind)) for index, event in good] == list(enumerate(events))
    assert refused == []
