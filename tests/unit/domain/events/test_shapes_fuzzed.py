"""Spoiled records of all shapes: no error escapes, and no event is lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.events.batches import MAX_REFUSED
from stream_app.domain.events.model import EventKind
from tests.unit.domain.counting.test_poison import BASE, Record, events_of
from tests.unit.domain.documented_events import (
    ACME,
    ATTACK,
    CLIENTS,
    HIT_ENVELOPE,
    INCIDENT,
    SECURITY_ISSUE,
)
from tests.unit.domain.objects import parse_trigger

ENVELOPE = json.loads(HIT_ENVELOPE)
HIT = ENVELOPE["details"]["hit"] | {"client_id": ACME, "poolid": 7}
WITHOUT_POOL = ENVELOPE["details"]["hit"] | {"client_id": ACME}
EXPORTED: dict[str, Any] = {
    "client_name": "Acme Retail",
    "time": str(BASE),
    "ip": "203.0.113.10",
    "application_id": [7, 8],
    "domain": "shop.acme.example",
    "uri": "/catalog",
    "status_code": 404,
    "attack_type": "sqli",
    "tags": {"lom_id": 932},
}
API: dict[str, Any] = {
    "client_id": ACME,
    "time": BASE,
    "ip": "2001:db8::1",
    "statuscode": 404,
    "domain": "shop.acme.example",
    "poolid": -1,
    "state": None,
}
VALID = [ENVELOPE, HIT, WITHOUT_POOL, EXPORTED, API]
VALID += [json.loads(value) for value in (ATTACK, INCIDENT, SECURITY_ISSUE)]
OTHER_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    7,
    1.5,
    10**40,
    "",
    "7",
    "x" * 50,
    [],
    [7],
    ["Shop"],
    [None],
]
OTHER_VALUES += [{}, {"a": 1}, {"hit": {}}, {"notification_type": "new_hits"}]


def places(event: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all fields of an event, at any depth."""
    found = []
    for name, value in event.items():
        found.append((*path, name))
        if isinstance(value, dict):
            found += places(value, (*path, name))
    return found


@st.composite
def spoiled_event(draw: st.DrawFn) -> dict[str, Any]:
    """Return a valid event with fields removed, renamed, or of another type."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(0, 3))):
        fields = places(event)
        if not fields:
            break
        *path, name = draw(st.sampled_from(fields))
        inner: Any = event
        for step in path:
            inner = inner[step]
        value = inner.pop(name)
        change = draw(st.sampled_from(["gone", "other", "renamed"]))
        if change == "other":
            inner[name] = copy.deepcopy(draw(st.sampled_from(OTHER_VALUES)))
        elif change == "renamed":
            inner[draw(st.sampled_from(sorted(EXPORTED | HIT)))] = value
    return event


@st.composite
def record_of(draw: st.DrawFn, event: st.SearchStrategy[Any]) -> tuple[bytes, int]:
    """Return a record's value and how many events it holds."""
    form = draw(st.sampled_from(["one", "array", "pretty", "lines", "windows lines"]))
    found = draw(st.lists(event, min_size=2, max_size=4))
    if form == "one":
        return json.dumps(found[0]).encode(), 1
    if form.endswith("lines"):
        end = b"\r\n" if form == "windows lines" else b"\n"
        return end.join(json.dumps(one).encode() for one in found), len(found)
    return json.dumps(found, indent=1 if form == "pretty" else None).encode(), len(found)


@st.composite
def spoiled_bytes(draw: st.DrawFn) -> bytes:
    """Return a valid record with flipped bytes, or cut short."""
    value, _ = draw(record_of(st.sampled_from(VALID)))
    spoiled = bytearray(value)
    for place in draw(st.lists(st.integers(0, len(value) - 1), max_size=4)):
        spoiled[place] ^= draw(st.integers(1, 255))
    end = draw(st.just(len(value)) | st.integers(0, len(value)))
    return bytes(spoiled[:end])


def index(kind: EventKind, *, with_pools: bool) -> TriggerIndex:
    filters: list[dict[str, Any]] = [
        {"id": "domain", "operator": "eq", "values": ["shop.acme.example"]},
        {"id": "ip_address", "operator": "ne", "values": ["192.0.2.1"]},
    ]
    if with_pools:
        filters.append({"id": "pool", "operator": "ne", "values": [8]})
    obj = {
        "id": 1,
        "client_id": ACME,
        "name": "counts",
        "enabled": True,
        "template_id": f"{kind}_exceeded",
        "filters": filters,
        "threshold": {"count": 1, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    }
    return TriggerIndex(kind, CLIENTS, [parse_trigger(obj, allowed_periods=(60,))])


def check(kind: EventKind, values: list[bytes], *, with_pools: bool) -> Tally:
    """Count records in one batch and one by one; the results must agree."""
    triggers = index(kind, with_pools=with_pools)
    records = [Record(n, value) for n, value in enumerate(values)]
    together, apart = PartitionCounts(kind), PartitionCounts(kind)
    whole = together.count(records, triggers)
    tallies = [apart.count([record], triggers) for record in records]
    # Each record with a new decoder, which has seen no other.
    alone = [PartitionCounts(kind).count([record], triggers) for record in records]
    assert together.cells == apart.cells
    assert together.watermark == apart.watermark
    assert whole.counted == sum(tally.counted for tally in tallies)
    expected = sorted(((r.offset, part) for r, part in whole.rejected), key=repr)
    for others in (tallies, alone):
        assert events_of(whole) == sum(map(events_of, others))
        found = [(r.offset, part) for tally in others for r, part in tally.rejected]
        assert sorted(found, key=repr) == expected
    places = [(record.offset, part.index) for record, part in whole.rejected]
    assert len(places) == len(set(places))
    for record, part in whole.rejected:
        assert part.value in (record.value or b"")
        assert part.message
    return whole


@settings(deadline=None)
@pytest.mark.parametrize("kind", list(EventKind))
@given(
    found=st.lists(record_of(spoiled_event()), max_size=MAX_REFUSED + 4), with_pools=st.booleans()
)
def test_events_with_spoiled_fields_are_counted_or_refused_and_the_numbers_add_up(
    kind: EventKind, found: list[tuple[bytes, int]], *, with_pools: bool
) -> None:
    tally = check(kind, [value for value, _ in found], with_pools=with_pools)
    assert events_of(tally) == sum(number for _, number in found)


@settings(deadline=None)
@pytest.mark.parametrize("kind", list(EventKind))
@given(values=st.lists(spoiled_bytes(), max_size=MAX_REFUSED + 4), with_pools=st.booleans())
def test_spoiled_bytes_are_counted_or_refused_alike_in_a_batch_and_one_by_one(
    kind: EventKind, values: list[bytes], *, with_pools: bool
) -> None:
    check(kind, values, with_pools=with_pools)
