"""The rule of what is not counted, and that counting obeys it for every kind of event."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from stream_app.domain.counting.exclusions import Exclusion, exclusion_of
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import EventResult
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EventKind
from tests.unit.domain.counting.test_partition_counts import Record

MISSING: Any = object()
FIELDS = {
    "experimental": (MISSING, None, False, True),
    "sampled": (MISSING, None, True, False),
    "state": (MISSING, None, "", "falsepositive", "FalsePositive", "open"),
}
EVENTS = [
    {name: value for name, value in zip(FIELDS, values, strict=True) if value is not MISSING}
    for values in product(*FIELDS.values())
]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, None),
        ({"experimental": False, "sampled": True, "state": None}, None),
        ({"experimental": None, "sampled": None, "state": "open"}, None),
        ({"experimental": True}, Exclusion.EXPERIMENTAL),
        ({"sampled": False}, Exclusion.UNSAMPLED),
        ({"state": "falsepositive"}, Exclusion.FALSE_POSITIVE),
        ({"experimental": True, "sampled": False}, Exclusion.EXPERIMENTAL),
        ({"sampled": False, "state": "falsepositive"}, Exclusion.UNSAMPLED),
    ],
)
def test_the_first_reason_holds(fields: dict[str, Any], found: Exclusion | None) -> None:
    hit = EventDecoder(EventKind.HITS).decode(json.dumps({"client_id": 1} | fields).encode())
    assert exclusion_of(hit) == found


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("fields", EVENTS, ids=str)
def test_counting_excludes_what_the_rule_excludes(kind: EventKind, fields: dict[str, Any]) -> None:
    value = json.dumps({"client_id": 1} | fields).encode()
    tally = PartitionCounts(kind).count([Record(0, value)], TriggerIndex(kind, {1}, ()))
    exclusion = exclusion_of(EventDecoder(kind).decode(value))
    results = {result: int(result == exclusion) for result in Exclusion}
    assert {result: getattr(tally, result) for result in Exclusion} == results
    assert tally.unmatched == (exclusion is None)


def test_only_hits_are_sampled() -> None:
    value = b'{"client_id":1,"sampled":false}'
    assert exclusion_of(EventDecoder(EventKind.ATTACKS).decode(value)) is None


def test_each_exclusion_is_a_result_of_the_metrics() -> None:
    assert set(Exclusion) < set(EventResult)
