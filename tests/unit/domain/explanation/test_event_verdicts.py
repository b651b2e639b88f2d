"""An event is explained as it is counted: for any events and any triggers."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.catalog.conditions import CONDITIONS
from stream_app.domain.configuration.clients import Client
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.model import COUNTING_CONDITIONS, EventKind
from stream_app.domain.explanation.event_verdicts import (
    EventExplainer,
    EventVerdict,
    TriggerResult,
    largest_watermark,
)
from tests import oracle
from tests.examples import examples
from tests.unit.domain.counting.test_matching import (
    clause,
    clauses,
    event_fields,
    parse,
    trigger,
)
from tests.unit.domain.replay.test_counting_replay import (
    APPEND_MS,
    CLIENTS,
    PARSED,
    events,
)

KINDS = tuple(EventKind)
NOW = 1_795_000_000


def record(value: Any, *, at: int = NOW, timestamp_type: int = 1) -> Any:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return SimpleNamespace(offset=0, timestamp=at * 1000, timestamp_type=timestamp_type, value=text)


def explained(
    value: Any, *objects: dict[str, Any], kind: EventKind = EventKind.HITS, **more: Any
) -> list[EventVerdict]:
    client = Client(1, "ACME", "EU", {})
    explainer = EventExplainer(kind, {1: client}, [parse(obj) for obj in objects])
    return list(explainer.verdicts(record(value), **more))


def results(verdict: EventVerdict) -> dict[int, str]:
    return {one.trigger.id: one.result.value for one in verdict.triggers}


# -- agreement with counting

values = st.one_of(
    events.map(lambda one: json.dumps(one).encode()),
    st.lists(events, max_size=4).map(lambda rows: json.dumps(rows).encode()),
    st.lists(events, min_size=2, max_size=3).map(
        lambda rows: b"\n".join(json.dumps(one).encode() for one in rows)
    ),
    st.sampled_from([b"{", b"", b'{"client_id":"x"}', b'{"client_id":1,"request_time":9e15}']),
)


@settings(max_examples=examples(200))
@given(st.lists(values, max_size=30))
def test_what_is_explained_as_counted_or_late_is_what_counting_counts_or_finds_late(
    log: list[bytes],
) -> None:
    records = [
        SimpleNamespace(offset=n, timestamp=APPEND_MS, timestamp_type=1, value=value)
        for n, value in enumerate(log)
    ]
    state = PartitionCounts(EventKind.HITS)
    tally = state.count(records, TriggerIndex(EventKind.HITS, CLIENTS, PARSED))

    explainer = EventExplainer(EventKind.HITS, CLIENTS, PARSED)
    counted, late, refused = Counter[CellKey](), Counter[CellKey](), Counter[str]()
    reasons = Counter[str]()
    watermark = explainer.new_watermark()
    for one in records:
        for verdict in explainer.verdicts(one, watermark.value):
            if verdict.is_dead_letter:
                refused[verdict.reason] += 1
            else:
                reasons[verdict.reason] += 1
            for row in verdict.triggers:
                if row.window_start is None or row.trigger.threshold is None:
                    continue
                period = row.trigger.threshold.period
                name = f"{row.trigger.client_id}:{row.trigger.id}:{row.trigger.revision}:{period}"
                if row.result is TriggerResult.COUNTED:
                    counted[name, row.window_start] += 1
                elif row.result is TriggerResult.LATE:
                    late[name, row.window_start] += 1
                assert bool(row.refusals) or row.result is not TriggerResult.REFUSED
                assert not row.refusals or row.result not in {
                    TriggerResult.COUNTED,
                    TriggerResult.LATE,
                }
        watermark.take([one])
    assert counted == state.cells
    assert late == tally.late_windows
    assert refused == Counter(part.reason for _, part in tally.rejected)
    assert watermark.value == state.watermark
    for name in ("experimental", "unsampled", "false_positive", "unmatched", "counted", "late"):
        assert reasons[name] == getattr(tally, name), name


@settings(deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_trigger_refuses_an_event_by_the_filters_that_the_oracle_finds_unmet(
    kind: EventKind, data: st.DataObject
) -> None:
    allowed = CONDITIONS[COUNTING_CONDITIONS[kind]].filters
    filters = data.draw(st.lists(st.sampled_from(allowed).flatmap(clauses), max_size=4))
    fields = data.draw(event_fields(kind))
    (verdict,) = explained({"client_id": 1, **fields}, trigger(kind, *filters), kind=kind)
    (row,) = verdict.triggers
    alone = [item for item in filters if not oracle._matches(kind, fields, trigger(kind, item))]
    assert (row.result is TriggerResult.COUNTED) == (not alone)
    assert [(one.filter.id, one.filter.operator) for one in row.refusals] == [
        (item["id"], item["operator"]) for item in alone
    ]


# -- the words


@pytest.mark.parametrize(
    ("event", "item", "text"),
    [
        (
            {"type": "xss"},
            clause("attack_type", "sqli"),
            "attack_type eq sqli: the event has xss",
        ),
        ({}, clause("attack_type", "sqli"), "attack_type eq sqli: the event has no attack_type"),
        (
            {"type": "sqli"},
            clause("attack_type", "sqli", "xss", operator="ne"),
            "attack_type ne sqli, xss: the event has sqli",
        ),
        ({"poolid": [3, 4]}, clause("pool", 7), "pool eq 7: the event has 3, 4"),
        (
            {"remote_addr4": "192.0.2.1", "remote_addr6": "2001:db8::1"},
            clause("ip_address", "203.0.113.9"),
            "ip_address eq 203.0.113.9: the event has 192.0.2.1, 2001:db8::1",
        ),
        (
            {"response_status": 404},
            clause("response_status", "5xx"),
            "response_status eq 5xx: the event has 404",
        ),
    ],
)
def test_a_refusal_names_both_sides(event: Any, item: Any, text: str) -> None:
    (verdict,) = explained({"client_id": 1, **event}, trigger(EventKind.HITS, item))
    assert [str(one) for one in verdict.triggers[0].refusals] == [text]


def test_a_target_that_follows_from_the_type_is_said_to() -> None:
    kind = EventKind.ATTACKS
    (verdict,) = explained(
        {"client_id": 1, "type": "sqli"}, trigger(kind, clause("target", "client")), kind=kind
    )
    assert str(verdict.triggers[0].refusals[0]) == (
        "target eq client: the event has database (from its type sqli)"
    )


def test_long_lists_and_long_values_are_cut() -> None:
    hosts = [f"{n}.example" for n in range(9)]
    (verdict,) = explained(
        {"client_id": 1, "host": "x" * 500}, trigger(EventKind.HITS, clause("domain", *hosts))
    )
    text = str(verdict.triggers[0].refusals[0])
    assert "4.example and 4 more: the event has xxx" in text
    assert len(text) < 250


# -- results


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"experimental": True}, "experimental"),
        ({"sampled": False}, "unsampled"),
        ({"state": "falsepositive"}, "false_positive"),
    ],
)
def test_an_excluded_event_asks_no_trigger(fields: dict[str, Any], reason: str) -> None:
    (verdict,) = explained({"client_id": 1, **fields}, trigger(EventKind.HITS))
    assert (verdict.reason, results(verdict)) == (reason, {1: "not_used"})


def test_each_trigger_of_the_client_has_a_result() -> None:
    item = clause("attack_type", "sqli")
    objects = [
        trigger(EventKind.HITS, id=1),
        trigger(EventKind.HITS, item, id=2),
        trigger(EventKind.HITS, item, id=3, enabled=False),
        trigger(EventKind.ATTACKS, id=4),
        trigger(EventKind.HITS, id=5, client_id=2),
    ]
    (verdict,) = explained({"client_id": 1, "type": "xss"}, *objects)
    assert results(verdict) == {1: "counted", 2: "refused", 3: "disabled", 4: "other_kind"}
    assert [len(one.refusals) for one in verdict.triggers] == [0, 1, 1, 0]
    assert verdict.triggers[0].window_start == NOW - NOW % 60


def test_parts_of_a_record_are_explained_one_by_one_and_raise_the_watermark() -> None:
    rows = [{"client_id": 1}, {"client_id": 9}, {"client_id": 1, "request_time": NOW - 10**6}]
    found = explained(rows, trigger(EventKind.HITS))
    assert [(one.index, one.reason) for one in found] == [
        (0, "counted"),
        (1, "unknown_client"),
        (2, "late"),
    ]
    assert found[1].message == "client 9 is not in config.clients"


def test_an_event_is_late_by_the_watermark_that_its_partition_had() -> None:
    event = {"client_id": 1, "request_time": NOW - 100_000}
    (in_time,) = explained(event, trigger(EventKind.HITS))
    (late,) = explained(event, trigger(EventKind.HITS), watermark=NOW)
    assert (in_time.reason, late.reason) == ("counted", "late")
    assert late.triggers[0].window == (
        (NOW - 100_000) // 60 * 60,
        (NOW - 100_000) // 60 * 60 + 60,
        (NOW - 100_000) // 60 * 60 + 60 + 60_000,
    )


def test_only_an_event_that_is_old_for_its_record_needs_the_earlier_records() -> None:
    explainer = EventExplainer(
        EventKind.HITS, {1: Client(1, "ACME", "EU", {})}, [parse(trigger(EventKind.HITS))]
    )
    new, old = (record({"client_id": 1, "request_time": NOW - age}) for age in (60, 90_000))
    for one, needs in ((new, False), (old, True)):
        expiries = explainer.expiries(one)
        assert expiries is not None
        assert (expiries[0] <= largest_watermark(one, NOW * 1000)) is needs
    assert explainer.expiries(record({"client_id": 2})) is None
    assert explainer.expiries(record(b"{")) is None
    # A producer's own clock proves nothing about earlier records.
    assert largest_watermark(record({}, at=5, timestamp_type=0), NOW * 1000) == NOW + 300


def test_a_thousand_triggers_are_explained_at_once() -> None:
    item = clause("attack_type", "sqli")
    objects = [trigger(EventKind.HITS, *([item] * (n % 2)), id=n) for n in range(1, 1001)]
    (verdict,) = explained({"client_id": 1, "type": "xss"}, *objects)
    assert Counter(results(verdict).values()) == {"counted": 500, "refused": 500}
