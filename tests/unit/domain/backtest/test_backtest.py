"""The backtest compared with a naive reading that counts every event by its own time."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.backtest.backtest import Backtest, EventSample
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.errors import UsageError
from tests import oracle
from tests.examples import examples
from tests.unit.domain.counting.test_partition_counts import BASE, TRIGGERS, trigger
from tests.unit.domain.objects import parse_trigger
from tests.unit.domain.replay.test_counting_replay import APPEND_MS, PARTITIONS, events, values

NAMES = {1: "Acme Retail", 2: "Bravo Foods", 9: "Nobody knows"}
APPLICATIONS = {"default": -1, "Shop": 7, "Blog": 8}
CLIENTS = {n: Client(n, NAMES[n], "EU", {7: "Shop", 8: "Blog"}) for n in (1, 2)}


def in_names(event: dict[str, Any], application: str | None, shape: str) -> bytes:
    """Write an event with names in place of its ids, in an envelope or flat."""
    body = {name: value for name, value in event.items() if name not in ("client_id", "poolid")}
    if application is not None:
        body["applications"] = [application]
    if shape == "flat":
        return json.dumps(body | {"client_name": NAMES[event["client_id"]]}).encode()
    if shape == "applications":
        return json.dumps(body | {"client_id": event["client_id"]}).encode()
    about = {"client_name": NAMES[event["client_id"]], "notification_type": "new_hits"}
    return json.dumps({"summary": "New hit", "details": about | {"hit": body}}).encode()


named = st.builds(
    in_names,
    events,
    st.sampled_from([None, *APPLICATIONS, "Forgotten"]),
    st.sampled_from(["flat", "applications", "envelope"]),
)
#: (partition, value, whether a batch ends behind it).
logs = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.one_of(values, named), st.booleans()), max_size=60
)


def in_ids(event: Any) -> Any:
    """Return an event with the ids that its names stand for."""
    if not isinstance(event, dict):
        return event
    about = event.get("details", event)
    found = dict(about.get("hit", event))
    if about.get("client_name") in ("Acme Retail", "Bravo Foods"):
        found["client_id"] = 1 if about["client_name"] == "Acme Retail" else 2
    for name in found.get("applications", ()):
        found["poolid"] = APPLICATIONS.get(name)
    return found


def record(offset: int, value: bytes) -> Any:
    return SimpleNamespace(offset=offset, timestamp=APPEND_MS, timestamp_type=1, value=value)


def naive(log: list[tuple[int, bytes, bool]], wanted: dict[str, Any]) -> Counter[int]:
    """Count by the oracle's parts, without watermarks: late events count as others do."""
    counts, period = Counter[int](), wanted["threshold"]["period"]
    for _, value, _ in log:
        for event in map(in_ids, oracle._events(value, oracle.Totals())):
            if oracle._refusal(event, {wanted["client_id"]}):
                continue
            seconds = event.get("request_time")
            seconds = APPEND_MS // 1000 if seconds is None else int(seconds)
            is_left_out = (
                event.get("experimental")
                or event.get("sampled") is False
                or event.get("state") == "falsepositive"
            )
            if not is_left_out and oracle._matches("hits", event, wanted):
                counts[seconds // period * period] += 1
    return counts


def after(log: list[tuple[int, bytes, bool]], wanted: dict[str, Any]) -> tuple[Backtest, Any]:
    engine = Backtest(parse_trigger(wanted, allowed_periods=(1, 60, 3600)), CLIENTS)
    topic: list[list[Any]] = [[] for _ in range(PARTITIONS)]
    waiting: dict[int, list[Any]] = {}
    for partition, value, ends in log:
        found = record(len(topic[partition]), value)
        topic[partition].append(found)
        waiting.setdefault(partition, []).append(found)
        if ends:
            engine.count(partition, waiting.pop(partition))
    for partition, records in waiting.items():
        engine.count(partition, records)
    return engine, topic


@settings(max_examples=examples(200))
@given(logs, st.sampled_from(TRIGGERS))
def test_its_counts_and_samples_are_those_of_a_naive_reading(
    log: list[tuple[int, bytes, bool]], wanted: dict[str, Any]
) -> None:
    engine, topic = after(log, wanted)
    expected = naive(log, wanted)
    assert dict(engine.counts) == dict(expected)
    for start in expected:
        place = engine.place_of(start)
        records = topic[place.partition][place.first : place.last + 1]
        samples = list(engine.samples(start, place.partition, records))
        assert len(samples) >= place.events
        stretch = [(0, one.value, True) for one in records]
        assert len(samples) == naive(stretch, wanted)[start]


def hit(seconds: int, **more: Any) -> bytes:
    return json.dumps({"client_id": 1, "request_time": seconds, **more}).encode()


def test_late_events_count_and_are_reported() -> None:
    values = [hit(BASE), hit(BASE + 10_000), hit(BASE), hit(BASE + 10_000), hit(BASE)]
    engine, _ = after([(0, value, True) for value in values], trigger(1, 1))
    assert dict(engine.counts) == {BASE: 3, BASE + 10_000: 2}
    assert engine.figures.results["late"] == 2


def test_disabled_triggers_and_clients_that_nobody_configured_are_tried() -> None:
    log = [(0, hit(BASE), True), (0, b'{"client_id":77,"request_time":%d}' % BASE, True)]
    engine, _ = after(log, trigger(1, 60, enabled=False))
    assert dict(engine.counts) == {BASE: 1}
    assert not engine.figures.rejected


@pytest.mark.parametrize("shape", ["envelope", "flat", "applications"])
def test_events_that_name_their_client_or_application_count(shape: str) -> None:
    value = in_names({"client_id": 1, "type": "sqli", "request_time": BASE}, "Shop", shape)
    shop = {"id": "pool", "operator": "eq", "values": [7]}
    engine, topic = after([(0, value, False)] * 3, trigger(1, filters=[shop]))
    assert dict(engine.counts) == {BASE: 3}
    assert not engine.figures.rejected
    samples = list(engine.samples(BASE, 0, topic[0]))
    assert [one.facts for one in samples] == [{"type": "sqli", "poolid": "7"}] * 3


def test_a_name_that_nobody_has_is_refused_as_it_is_live() -> None:
    value = in_names({"client_id": 9, "request_time": BASE}, None, "envelope")
    engine, _ = after([(0, value, True)], trigger(1))
    assert not engine.counts
    assert engine.figures.rejected == {"unknown_client": 1}


def test_short_facts_of_an_event_are_bounded() -> None:
    values = [
        hit(BASE + 1, type="sqli", host="a" * 90, poolid=7, remote_addr4="203.0.113.9"),
        hit(BASE + 2, experimental=True),
        hit(BASE + 60),
    ]
    engine, topic = after([(0, value, False) for value in values], trigger(1))
    assert list(engine.samples(BASE, 0, topic[0])) == [
        EventSample(
            0, 0, BASE + 1,
            {"type": "sqli", "host": "a" * 59 + "…", "poolid": "7", "remote_addr4": "203.0.113.9"},
        )
    ]  # fmt: skip


def test_a_condition_that_counts_nothing_has_no_backtest() -> None:
    nothing = Trigger(1, 1, "n", "user_created", True, (), None, (), 0)
    with pytest.raises(UsageError, match="user_created counts no events"):
        Backtest(nothing, CLIENTS)
