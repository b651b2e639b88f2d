"""Events with older names and in envelopes are read like the flat event that says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EVENT_TYPES, Attack, EventKind, Hit, Incident
from stream_app.domain.events.parts import DECODE_ERRORS
from tests.unit.domain.counting.test_poison import Record
from tests.unit.domain.documented_events import (
    ACME,
    ATTACK,
    CLIENTS,
    HIT_ENVELOPE,
    INCIDENT,
    NAMES,
    SECURITY_ISSUE,
)
from tests.unit.domain.events.plain_events import plain
from tests.unit.domain.objects import parse_trigger

HITS, ATTACKS, INCIDENTS = EventKind.HITS, EventKind.ATTACKS, EventKind.INCIDENTS
BASE = 1_767_225_600
WRONG_TYPE, WRONG_TOPIC = DeadLetterReason.WRONG_TYPE, DeadLetterReason.WRONG_TOPIC
MISSING_CLIENT = DeadLetterReason.MISSING_CLIENT
UNKNOWN_CLIENT = DeadLetterReason.UNKNOWN_CLIENT

THE_HIT = Hit(
    client_id=ACME,
    host="shop.acme.example",
    remote_addr4="203.0.113.10",
    request_time=1767225600,
    create_time=1767225603,
    response_status=404,
    type="sqli",
    poolid=-1,
)


def read(value: bytes, kind: EventKind = HITS) -> list[Any]:
    """Decode a record in each way that accepts it; the results must agree."""
    decoder = EventDecoder(kind, NAMES)
    good, refused = decoder.decode_parts(value)
    assert refused == []
    events = [plain(event, kind) for _, event in good]
    assert [plain(event, kind) for event in decoder.decode_shapes(value)] == events
    try:
        found: Any = decoder.decode_named(value)
    except DECODE_ERRORS:
        return events
    flat = found if isinstance(found, list) else [found]
    decoder.fill_pools(flat)
    fields = EVENT_TYPES[kind].__struct_fields__
    assert [[getattr(one, name) for name in fields] for one in flat] == [
        [getattr(one, name) for name in fields] for one in events
    ]
    return events


def refused(value: bytes, kind: EventKind = HITS) -> list[tuple[int | None, bytes, Any, str]]:
    decoder = EventDecoder(kind, NAMES)
    with pytest.raises((*DECODE_ERRORS, RejectedEventError)):
        decoder.decode_shapes(value)
    _, parts = decoder.decode_parts(value)
    return [(part.index, part.value, part.reason, part.message) for part in parts]


def text(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def envelope(hit: Any, **details: Any) -> bytes:
    kept = {"client_name": "Acme Retail", "cloud": "EU", "notification_type": "new_hits"}
    return text({"summary": "[Wallarm] New hit detected", "details": kept | details | {"hit": hit}})


# -- the documented ones, word for word


@pytest.mark.parametrize("form", [b"%s", b"[%s]", b"  [\n%s ]\n", b"%s\n", b"\r\n%s\r\n"])
def test_the_documented_envelope_is_the_hit_of_its_named_client(form: bytes) -> None:
    assert read(form % HIT_ENVELOPE) == [THE_HIT]


@pytest.mark.parametrize("form", [b"[%s,%s]", b"[\n%s,\n%s\n]\n", b"%s\n%s", b"%s\n%s\n"])
def test_several_envelopes_come_as_an_array_and_as_lines(form: bytes) -> None:
    assert read(form % (HIT_ENVELOPE, HIT_ENVELOPE)) == [THE_HIT, THE_HIT]


@pytest.mark.parametrize("form", [b"%s\r\n%s\r\n", b"%s\n\n%s", b"%s \n %s\n \n"])
def test_lines_of_any_layout_are_read_part_by_part(form: bytes) -> None:
    value = form % (HIT_ENVELOPE, HIT_ENVELOPE)
    good, refused = EventDecoder(HITS, NAMES).decode_parts(value)
    assert ([(n, plain(one, HITS)) for n, one in good], refused) == (
        [(0, THE_HIT), (1, THE_HIT)],
        [],
    )


@pytest.mark.parametrize("form", [b"[%s,%s,%s]", b"%s\n%s\n%s"])
def test_a_record_may_mix_the_shapes(form: bytes) -> None:
    flat = b'{"client_id":1,"host":"a","poolid":3}'
    older = b'{"client_id":1,"domain":"a","application_id":[3]}'
    plain = Hit(client_id=1, host="a", poolid=3)
    assert read(form % (flat, HIT_ENVELOPE, older)) == [plain, THE_HIT, plain]


def test_the_documented_attack_and_incident_are_read_at_once_and_alike_in_every_way() -> None:
    for value, kind, event_type in ((ATTACK, ATTACKS, Attack), (INCIDENT, INCIDENTS, Incident)):
        (event,) = read(value, kind)
        assert EventDecoder(kind).decode(value) == event
        assert type(event) is event_type
        fields = json.loads(value)
        for name in ("client_id", "type", "host", "target", "poolid", "first_time"):
            assert getattr(event, name) == fields[name]
        assert event.remote_addrs == tuple(fields["remote_addrs"])


# -- names

SHARED = [
    ({"domain": "a.example"}, {"host": "a.example"}),
    ({"attack_type": "xss"}, {"type": "xss"}),
    ({"application_id": [7]}, {"poolid": 7}),
    ({"application_id": 7}, {"poolid": 7}),
    ({"application_id": [7, 8]}, {"poolid": [7, 8]}),
    ({"application_id": []}, {}),
    ({"applications": ["Shop"]}, {"poolid": 7}),
    ({"applications": ["default"]}, {"poolid": -1}),
    ({"applications": ["Shop", "default"]}, {"poolid": [7, -1]}),
    ({"applications": ["no such", "Shop"]}, {"poolid": 7}),
    ({"applications": ["no such"]}, {}),
    ({"applications": []}, {}),
    ({"poolid": [7, 8]}, {"application_id": [7, 8]}),
]
OF_HITS = [
    ({"ip": "203.0.113.9"}, {"remote_addr4": "203.0.113.9"}),
    ({"ip": "2001:db8::1"}, {"remote_addr6": "2001:db8::1"}),
    (
        {"ip": "203.0.113.9", "remote_addr4": "", "remote_addr6": None},
        {"remote_addr4": "203.0.113.9"},
    ),
    ({"statuscode": 404}, {"response_status": 404}),
    ({"status_code": 404}, {"response_status": 404}),
    ({"time": BASE}, {"request_time": BASE}),
    ({"time": str(BASE)}, {"request_time": BASE}),
    ({"time": f"{BASE}.25"}, {"request_time": BASE + 0.25}),
]
OF_ATTACKS = [
    ({"ip": "203.0.113.9"}, {"remote_addrs": ["203.0.113.9"]}),
    ({"ip": ["203.0.113.9", "::1"]}, {"remote_addrs": ["203.0.113.9", "::1"]}),
    ({"statuscode": 404}, {"response_statuses": [404]}),
    ({"status_code": [404, 500]}, {"response_statuses": [404, 500]}),
    ({"time": str(BASE)}, {"first_time": BASE}),
]
RENAMES = [(kind, *row) for kind in EventKind for row in SHARED]
RENAMES += [(HITS, *row) for row in OF_HITS]
RENAMES += [(kind, *row) for kind in (ATTACKS, INCIDENTS) for row in OF_ATTACKS]


@pytest.mark.parametrize(("kind", "older", "present"), RENAMES)
def test_an_older_name_says_what_the_present_one_does(
    kind: EventKind, older: dict[str, Any], present: dict[str, Any]
) -> None:
    others = {"client_id": ACME, "state": "new", "create_time": 5}
    expected = read(text(others | {"poolid": None} | present), kind)
    assert read(text(others | older), kind) == expected
    if kind is HITS:
        assert read(envelope({"state": "new", "create_time": 5} | older)) == expected


@pytest.mark.parametrize(
    ("present", "older"),
    [
        ({"host": "a"}, {"domain": "b"}),
        ({"type": "xss"}, {"attack_type": "rce"}),
        ({"poolid": 7}, {"application_id": [8], "applications": ["default"]}),
        ({"application_id": [7]}, {"applications": ["default"]}),
        ({"remote_addr4": "192.0.2.1"}, {"ip": "192.0.2.2"}),
        ({"remote_addr6": "::1"}, {"ip": "192.0.2.2"}),
        ({"response_status": 200}, {"statuscode": 404, "status_code": 500}),
        ({"statuscode": 200}, {"status_code": 500}),
        ({"request_time": 0}, {"time": str(BASE)}),
    ],
)
def test_the_present_name_goes_before_the_older_one(
    present: dict[str, Any], older: dict[str, Any]
) -> None:
    flat = {"client_id": ACME}
    assert read(text(flat | older | present)) == read(text(flat | present))
    assert read(envelope(older | present)) == read(text(flat | present))


def test_a_hit_with_the_present_names_is_for_the_fast_decoder_beside_names_of_applications() -> (
    None
):
    hit = json.loads(HIT_ENVELOPE)["details"]["hit"] | {"client_id": ACME, "poolid": -1}
    decoder = EventDecoder(HITS, NAMES)
    assert decoder.decode(text(hit)) == THE_HIT
    assert read(text(hit)) == [THE_HIT]


def test_the_fast_decoder_reads_applications_of_all_names_at_once() -> None:
    decoder = EventDecoder(HITS, NAMES)
    values: list[dict[str, Any]]
    values = [{}, {"applications": ["default"]}, {"application_id": [7, 8]}, {"poolid": 9}]
    flat = [decoder.decode_named(text({"client_id": ACME} | value)) for value in values]
    decoder.fill_pools(flat)
    assert [event.poolid for event in flat] == [None, -1, (7, 8), 9]


#: Field -> values that are no application or no name.
UNREADABLE = [
    ("application_id", "7"),
    ("application_id", [7, "8"]),
    ("application_id", True),
    ("applications", [7]),
    ("applications", "Shop"),
    ("applications", {"id": 7}),
    ("client_name", 7),
    ("client_name", ["Acme Retail"]),
]


@pytest.mark.parametrize(("name", "value"), UNREADABLE)
@pytest.mark.parametrize("more", [{}, {"domain": "a.example"}], ids=["flat", "older names"])
def test_an_unreadable_application_or_name_beside_a_client_id_counts_as_missing_always(
    name: str, value: Any, more: dict[str, Any]
) -> None:
    event = {"client_id": ACME, "request_time": BASE, "headers": {"a": "application/json"}}
    assert read(text(event | more | {name: value})) == read(text(event | more))
    for triggers in (index(trigger(1)), index(trigger(1), trigger(2, pools(7)))):
        counts, tally = count(text(event | more | {name: value}), triggers=triggers)
        assert (tally.counted, tally.rejected) == (1, [])
        assert {cell.split(":")[1] for cell, _ in counts.cells} == {"1"}


@pytest.mark.parametrize("value", [b"9" * 5000, b'["\\u0000", 5]', b'["\xff"]', b"[[[]]]"])
def test_whether_an_event_counts_does_not_depend_on_whether_applications_matter(
    value: bytes,
) -> None:
    for name in (b"applications", b"application_id"):
        event = b'{"client_id":%d,"request_time":%d,"%s":%s}' % (ACME, BASE, name, value)
        for triggers in (index(trigger(1)), index(trigger(1), trigger(2, pools(7)))):
            _, tally = count(event, triggers=triggers)
            assert (tally.counted, tally.rejected) == (1, [])


UNUSED = [
    (HITS, {"response_status": 404}, {"status_code": "404"}),
    (HITS, {"response_status": 404}, {"statuscode": [404]}),
    (HITS, {"statuscode": 404}, {"status_code": "404"}),
    (HITS, {"remote_addr4": "192.0.2.1"}, {"ip": ["192.0.2.1"]}),
    (HITS, {"remote_addr6": "::1"}, {"ip": 5}),
    (HITS, {"request_time": BASE}, {"time": {"at": BASE}}),
    (HITS, {"request_time": BASE}, {"time": "today"}),
    (ATTACKS, {"first_time": BASE}, {"time": ["today"]}),
    (ATTACKS, {"remote_addrs": ["::1"]}, {"ip": 5}),
    (ATTACKS, {"response_statuses": [404]}, {"statuscode": "404", "status_code": {}}),
    (INCIDENTS, {"statuscode": [404]}, {"status_code": "404"}),
    *((kind, {"type": "sqli"}, {"attack_type": ["sqli"]}) for kind in EventKind),
    *((kind, {"host": "a"}, {"domain": 5}) for kind in EventKind),
    *((kind, {"poolid": 7}, {"application_id": "x", "applications": 1}) for kind in EventKind),
]


@pytest.mark.parametrize(("kind", "present", "unused"), UNUSED)
def test_an_older_name_that_is_not_used_may_hold_anything(
    kind: EventKind, present: dict[str, Any], unused: dict[str, Any]
) -> None:
    flat = {"client_id": ACME}
    assert read(text(flat | present | unused), kind) == read(text(flat | present), kind)
    if kind is HITS:
        assert read(envelope(present | unused)) == read(text(flat | present))


@pytest.mark.parametrize(
    ("kind", "event", "path"),
    [
        (HITS, {"status_code": "404"}, "status_code"),
        (HITS, {"response_status": None, "statuscode": "404"}, "statuscode"),
        (HITS, {"ip": ["192.0.2.1"]}, "ip"),
        (HITS, {"remote_addr4": "", "ip": 5}, "ip"),
        (HITS, {"attack_type": ["sqli"]}, "attack_type"),
        (HITS, {"host": "", "domain": 5}, "domain"),
        (HITS, {"time": [5]}, "time"),
        (ATTACKS, {"ip": ["::1", 5]}, "ip[1]"),
        (ATTACKS, {"remote_addrs": [], "ip": 5}, "ip"),
        (ATTACKS, {"status_code": ["404"]}, "status_code[0]"),
    ],
)
def test_an_older_name_that_is_used_must_be_readable_and_is_named(
    kind: EventKind, event: dict[str, Any], path: str
) -> None:
    ((_, _, reason, said),) = refused(text(event | {"client_id": ACME}), kind)
    assert (reason, said.endswith(f"at `$.{path}`")) == (WRONG_TYPE, True)
    if kind is HITS:
        ((_, _, reason, said),) = refused(envelope(event))
        assert (reason, said.endswith(f"at `$.details.hit.{path}`")) == (WRONG_TYPE, True)


@pytest.mark.parametrize(
    ("kind", "empty", "older"),
    [
        (ATTACKS, {"remote_addrs": []}, {"ip": "192.0.2.1"}),
        (INCIDENTS, {"response_statuses": []}, {"status_code": 404}),
        (ATTACKS, {"statuscode": []}, {"status_code": [404]}),
        *((kind, {"application_id": []}, {"applications": ["Shop"]}) for kind in EventKind),
        *((kind, {"poolid": []}, {"application_id": 7}) for kind in EventKind),
    ],
)
def test_an_empty_list_says_nothing_so_the_older_name_does(
    kind: EventKind, empty: dict[str, Any], older: dict[str, Any]
) -> None:
    flat = {"client_id": ACME}
    assert read(text(flat | empty | older), kind) == read(text(flat | older), kind)
    assert read(text(flat | older), kind) != read(text(flat), kind)


NO_ENVELOPES: list[Any] = ["text", 5, True, 1.5, [1, {"a": []}], {"a": 1}, None]
NO_ENVELOPES += [{"client_name": 5}, {"hit": "abc"}, {"hit": [], "notification_type": 7}]


@pytest.mark.parametrize("details", NO_ENVELOPES)
def test_details_that_are_no_envelope_are_an_unknown_field(details: Any) -> None:
    for kind in EventKind:
        value = text({"client_id": ACME, "host": "a", "details": details})
        assert read(value, kind) == read(b'{"client_id":%d,"host":"a"}' % ACME, kind)


# -- clients


def test_a_client_id_goes_before_a_name() -> None:
    found = json.loads(HIT_ENVELOPE)
    for where in (found, found["details"]["hit"]):
        where["client_id"] = 5
        (hit,) = read(text(found))
        assert hit.client_id == 5
        del where["client_id"]
    assert read(b'{"client_id":5,"client_name":"Acme Retail"}')[0].client_id == 5


@pytest.mark.parametrize("where", ["beside details", "in the hit"])
@pytest.mark.parametrize("named", [None, "Twin", 5])
def test_the_name_beside_the_details_or_in_the_hit_goes_before_that_of_the_details(
    where: str, named: Any
) -> None:
    found = json.loads(HIT_ENVELOPE)
    place = found if where == "beside details" else found["details"]["hit"]
    place["client_name"], found["details"]["client_name"] = "Acme Retail", named
    assert read(text(found)) == [THE_HIT]


def test_a_flat_event_may_name_its_client() -> None:
    assert read(b'{"client_name":"Acme Retail"}') == [Hit(client_id=ACME)]
    assert read(b'{"client_name":"Acme Retail"}', ATTACKS) == [Attack(client_id=ACME)]


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (envelope({}, client_name="Nobody"), UNKNOWN_CLIENT, "client_name 'Nobody': 0 clients"),
        (envelope({}, client_name=None), MISSING_CLIENT, "neither client_id nor client_name"),
        (envelope({}, client_name=""), MISSING_CLIENT, "neither client_id nor client_name"),
        (envelope({}, client_name=5), WRONG_TYPE, "$.details.client_name"),
        (b'{"client_name":"Nobody"}', UNKNOWN_CLIENT, "client_name 'Nobody': 0 clients"),
        (envelope({"request_time": "today"}), WRONG_TYPE, "$.details.hit.request_time"),
        (envelope({"time": "today"}), WRONG_TYPE, "time 'today' is no number of seconds"),
        (b'{"client_id":1,"time":"1e9"}', WRONG_TYPE, "time '1e9' is no number of seconds"),
        (b'{"client_id":1,"time":"%s"}' % (b"9" * 99), WRONG_TYPE, "is no number of seconds"),
        (b'{"client_name":7}', WRONG_TYPE, "$.client_name"),
        (envelope({"domain": 5}), WRONG_TYPE, "$.details.hit.domain"),
        (envelope({}, notification_type=7), WRONG_TYPE, "details.notification_type is missing"),
        (b'{"client_id":1,"domain":5}', WRONG_TYPE, "$.domain"),
        (envelope([]), WRONG_TYPE, "$.details.hit"),
        (envelope({}, notification_type=None), WRONG_TYPE, "details.notification_type is missing"),
        (
            b'{"details":{"notification_type":"new_hits","client_name":"Acme Retail"}}',
            WRONG_TYPE,
            "details.hit is missing",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_reason(
    value: bytes, reason: DeadLetterReason, message: str
) -> None:
    for form, index, part in ((b"%s", None, value), (b'[{"client_id":1},%s]', 1, value)):
        ((place, found, why, said),) = refused(form % value)
        assert (place, found, why) == (index, part, reason)
        assert message in said


@pytest.mark.parametrize(
    ("kind", "value", "topic"),
    [
        (HITS, SECURITY_ISSUE, "events.account"),
        (ATTACKS, SECURITY_ISSUE, "events.account"),
        (ATTACKS, HIT_ENVELOPE, "events.hits"),
        (INCIDENTS, HIT_ENVELOPE, "events.hits"),
        (HITS, b'{"client_id":1,"details":{"notification_type":"create_user"}}', "events.account"),
        (INCIDENTS, b'{"client_id":1,"details":{"notification_type":"?"}}', "events.account"),
    ],
)
def test_an_envelope_of_something_else_is_refused_with_the_topic_it_belongs_to(
    kind: EventKind, value: bytes, topic: str
) -> None:
    ((place, part, reason, said),) = refused(value, kind)
    assert (place, part, reason) == (None, value, WRONG_TOPIC)
    assert said.endswith(f"send it to {topic}")


@pytest.mark.parametrize(
    "form", [b'%s\n%s\n{"client_id":"?"}\n%s', b'[%s, %s,{"client_id":"?"},%s]']
)
def test_bad_neighbours_keep_their_places_and_bytes_and_the_good_ones_are_used(
    form: bytes,
) -> None:
    value = form % (HIT_ENVELOPE, SECURITY_ISSUE, HIT_ENVELOPE)
    good, parts = EventDecoder(HITS, NAMES).decode_parts(value)
    assert [(n, plain(one, HITS)) for n, one in good] == [(0, THE_HIT), (3, THE_HIT)]
    assert [(part.index, part.value, part.reason) for part in parts] == [
        (1, SECURITY_ISSUE, WRONG_TOPIC),
        (2, b'{"client_id":"?"}', WRONG_TYPE),
    ]


@pytest.mark.parametrize(
    "value",
    [
        b'{"domain":"a","client_id":1}{"domain":"b","client_id":1}',
        b'{"domain":"a",\n"client_id":1}{"domain":"b","client_id":1}',
        b'{"domain":"a","client_id":1}{"client_id":1}\n{"client_id":1}',
        b'{"domain":"a",\n"client_id":1}\n{"client_id":1}',
    ],
)
def test_lines_hold_one_whole_object_each(value: bytes) -> None:
    assert refused(value)


# -- counting


def trigger(trigger_id: int, *filters: Any) -> dict[str, Any]:
    return {
        "id": trigger_id,
        "client_id": ACME,
        "name": "counts",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": list(filters),
        "threshold": {"count": 1, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    }


def pools(*values: int, operator: str = "eq") -> dict[str, Any]:
    return {"id": "pool", "operator": operator, "values": list(values)}


def index(*triggers: dict[str, Any]) -> TriggerIndex:
    return TriggerIndex(HITS, CLIENTS, [parse_trigger(t, allowed_periods=(60,)) for t in triggers])


def count(*values: bytes, triggers: TriggerIndex | None = None) -> tuple[PartitionCounts, Tally]:
    counts = PartitionCounts(HITS)
    records = [Record(n, value) for n, value in enumerate(values)]
    return counts, counts.count(records, triggers or index(trigger(1)))


@pytest.mark.parametrize(
    ("applications", "matched"),
    [
        (["Shop"], {"shop", "shop or default"}),
        (["API"], {"one of two called API", "not shop"}),
        (["Shop", "API"], {"shop", "shop or default", "one of two called API"}),
        (["default", "Shop"], {"shop", "shop or default"}),
        (["default"], {"shop or default", "not shop"}),
        (["no such"], {"not shop"}),
        (["no such", "API"], {"one of two called API", "not shop"}),
        ([], {"not shop"}),
    ],
)
@pytest.mark.parametrize("shape", ["flat", "envelope", "array", "lines"])
def test_a_filter_matches_any_of_an_events_applications(
    applications: list[str], matched: set[str], shape: str
) -> None:
    filters = {
        "shop": pools(7),
        "shop or default": pools(-1, 7),
        "one of two called API": pools(1, 9),
        "not shop": pools(7, operator="ne"),
    }
    hit = {"request_time": BASE, "applications": applications}
    flat = text(hit | {"client_id": ACME})
    forms = {"envelope": envelope(hit), "array": b"[%s]" % flat, "lines": b"%s\n%s" % (flat, flat)}
    triggers = index(*(trigger(n, found) for n, found in enumerate(filters.values(), 1)))
    counts, tally = count(forms.get(shape, flat), triggers=triggers)
    number = 2 if shape == "lines" else 1
    assert tally.counted == number
    found = {
        list(filters)[int(name.split(":")[1]) - 1]: count
        for (name, _), count in counts.cells.items()
    }
    assert found == dict.fromkeys(matched, number)


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, "counted"),
        ({"experimental": True}, "experimental"),
        ({"sampled": False}, "unsampled"),
        ({"state": "falsepositive"}, "false_positive"),
        ({"request_time": BASE + 301}, "rejected"),
        ({"request_time": None, "time": str(BASE + 301)}, "rejected"),
    ],
)
def test_events_of_an_envelope_obey_the_same_rules(changes: dict[str, Any], result: str) -> None:
    hit = json.loads(HIT_ENVELOPE)["details"]["hit"] | changes
    _, tally = count(envelope(hit))
    found = tally.rejected if result == "rejected" else [None] * getattr(tally, result)
    assert len(found) == 1
    assert [part.reason for _, part in tally.rejected] == (
        [DeadLetterReason.FUTURE_TIMESTAMP] if result == "rejected" else []
    )


def test_the_events_of_an_array_share_its_offset_and_each_counts() -> None:
    counts, tally = count(b"[%s,%s]" % (HIT_ENVELOPE, HIT_ENVELOPE), HIT_ENVELOPE)
    assert tally.counted == 3
    assert list(counts.cells.values()) == [3]


def test_an_envelope_that_decodes_but_cannot_be_used_is_named_by_its_place() -> None:
    ahead = HIT_ENVELOPE.replace(b"1767225600", b"1767229999")
    value = b"\n".join([HIT_ENVELOPE, ahead, b'{"client_id":9,"domain":"a"}', ahead])
    _, tally = count(value)
    future = DeadLetterReason.FUTURE_TIMESTAMP
    assert [(part.index, part.value, part.reason) for _, part in tally.rejected] == [
        (1, ahead, future),
        (2, b'{"client_id":9,"domain":"a"}', UNKNOWN_CLIENT),
        (3, ahead, future),
    ]
    assert tally.counted == 1


@pytest.mark.parametrize("filters", [[], [pools(8, operator="ne")]])
def test_an_event_that_names_applications_is_found_whether_these_matter_or_not(
    filters: list[dict[str, Any]],
) -> None:
    ahead = BASE + 5000
    older = b'{"client_id":%d,"domain":"a"}' % ACME
    named = b'{"client_id":%d,"request_time":%d,"applications":["Shop"]}' % (ACME, ahead)
    value = b"[%s,%s]" % (older, named)
    _, tally = count(value, triggers=index(trigger(1, *filters)))
    assert [(part.index, part.value) for _, part in tally.rejected] == [(1, named)]


def test_a_client_that_is_configured_later_is_found_then() -> None:
    counts = PartitionCounts(HITS)
    nobody = counts.count([Record(0, HIT_ENVELOPE)], TriggerIndex(HITS, {}, ()))
    assert [part.reason for _, part in nobody.rejected] == [UNKNOWN_CLIENT]
    assert counts.count([Record(1, HIT_ENVELOPE)], index(trigger(1))).counted == 1


def test_long_rows_of_one_shape_are_read_as_short_ones_are() -> None:
    flat = b'{"client_id":%d,"request_time":%d,"poolid":7}' % (ACME, BASE)
    bad = b'{"client_id":"?"}'
    named = flat.replace(b'"poolid":7', b'"applications":["Shop"]')
    row = [*[HIT_ENVELOPE] * 50, flat, bad, *[SECURITY_ISSUE] * 9, named, *[flat] * 40, named]
    triggers = index(trigger(1), trigger(2, pools(7)))
    together, whole = count(*row, triggers=triggers)
    apart = PartitionCounts(HITS)
    each = [apart.count([Record(n, value)], triggers) for n, value in enumerate(row)]
    alone = [counts for value in row for counts in [count(value, triggers=triggers)[1]]]
    assert together.cells == apart.cells
    assert whole.counted == sum(tally.counted for tally in each) == 93
    assert whole.counted == sum(tally.counted for tally in alone)
    assert len(whole.rejected) == sum(len(tally.rejected) for tally in each) == 10
    assert sorted(together.cells.values()) == [43, 93]
