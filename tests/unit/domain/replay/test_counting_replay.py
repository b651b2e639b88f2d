"""The replay of counted events compared with the oracle, and the bound on what it keeps."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.alerts.alert import encode_alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Threshold
from stream_app.domain.events.model import EventKind
from stream_app.domain.replay.counting_replay import CountingReplay
from stream_app.domain.replay.judged_counting import JudgedCounting
from stream_app.domain.replay.recorded_triggers import counted_key
from tests import oracle
from tests.examples import examples
from tests.unit.domain.counting.test_partition_counts import BASE, TRIGGERS
from tests.unit.domain.objects import parse_trigger

CLIENTS = {n: Client(n, f"Client {n}", "EU", {}) for n in (1, 2)}
PARSED = [parse_trigger(t, allowed_periods=(1, 60, 3600)) for t in TRIGGERS]
PARTITIONS = 3
#: Long after every event.
APPEND_MS = (BASE + 10**6) * 1000

events = st.fixed_dictionaries(
    {"client_id": st.sampled_from([1, 2, 9])},
    optional={
        "type": st.sampled_from(["sqli", "xss", "rce"]),
        "poolid": st.sampled_from([-1, 7]),
        "request_time": st.integers(0, 12_000).map(lambda n: BASE + n // 3 * 3),
        "experimental": st.booleans(),
        "sampled": st.booleans(),
        "state": st.sampled_from([None, "falsepositive"]),
    },
)
values = st.one_of(
    events.map(lambda one: json.dumps(one).encode()),
    st.lists(events, max_size=3).map(lambda rows: json.dumps(rows).encode()),
    st.sampled_from([b"{", b"", b'{"client_id":"x"}']),
)
#: (partition, value) in the order in which they are read, and where batches end.
logs = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), values, st.booleans()), max_size=60)


def replayed(log: list[tuple[int, bytes, bool]], **more: Any) -> CountingReplay:
    replay = CountingReplay(EventKind.HITS, CLIENTS, PARSED, range(PARTITIONS), **more)
    offsets, waiting = [0] * PARTITIONS, dict[int, list[Any]]()
    for partition, value, ends in log:
        record = SimpleNamespace(offset=offsets[partition], timestamp=APPEND_MS, value=value)
        offsets[partition] += 1
        waiting.setdefault(partition, []).append(record)
        if ends:
            replay.replay(partition, waiting.pop(partition))
    for partition, records in waiting.items():
        replay.replay(partition, records)
        replay.finish(partition)
    return replay


@settings(max_examples=examples(200))
@given(logs)
def test_its_alerts_are_those_of_the_oracle_however_partitions_interleave(
    log: list[tuple[int, bytes, bool]],
) -> None:
    totals = oracle.Totals()
    for number in range(PARTITIONS):
        rows = [(value, APPEND_MS) for partition, value, _ in log if partition == number]
        oracle.count("hits", rows, TRIGGERS, set(CLIENTS), totals)
    replay = replayed(log)
    by_id = {trigger.id: trigger for trigger in PARSED}
    expected = {
        encode_alert(fired_alert(CLIENTS[by_id[number].client_id], by_id[number], start)): count
        for number, start in totals.fired(TRIGGERS)
        for count in [totals.counts[number, start]]
    }
    assert {encode_alert(alert): events for alert, events in replay.alerts()} == expected
    assert replay.figures.rejected == {k: n for k, n in totals.refused.items() if n}
    assert replay.figures.results["late"] == totals.late


def hit(number: int, seconds: int) -> tuple[int, bytes, bool]:
    return number, json.dumps({"client_id": 2, "request_time": seconds, "poolid": 7}).encode(), True


def test_a_window_is_forgotten_when_every_partition_has_passed_it() -> None:
    log = [hit(n, BASE + 3600 * hour) for hour in range(200) for n in range(PARTITIONS)]
    replay = replayed(log)
    assert len(list(replay.alerts())) == 200
    # Windows of an hour are kept for a day.
    assert len(replay._windows) == 25
    behind = replayed([hit(0, BASE + 3600 * hour) for hour in range(200)])
    assert len(behind._windows) == 200, "the others may still bring events for all of them"


def test_watched_windows_tell_their_sums_and_what_came_late() -> None:
    key = f"2:3:{PARSED[2].revision}:3600", BASE
    log = [hit(n, BASE + 3600 * hour) for hour in range(100) for n in range(PARTITIONS)]
    replay = replayed([*log, hit(1, BASE + 5), hit(2, BASE + 6)], watched={key})
    assert replay.total(key) == 3
    assert replay.late[key] == 2
    assert replay.total((key[0], BASE + 7200 * 3600)) == 0
    assert replay.total(("2:3:other:3600", BASE)) is None, "no such trigger"


def test_a_window_that_fires_now_has_a_count_by_the_former_trigger_too() -> None:
    """Former windows are forgotten like the others, but for those whose peers fire."""
    now = PARSED[2]
    former = msgspec.structs.replace(now, threshold=Threshold(99, 3600), enabled_at=0)
    made: list[CountingReplay] = []

    def make(triggers: Any, **more: Any) -> CountingReplay:
        partitions = range(PARTITIONS)
        one = CountingReplay(EventKind.HITS, CLIENTS, triggers, partitions=partitions, **more)
        made.append(one)
        return one

    counting = JudgedCounting(make, {now.id: now}, [former], [])
    busy = {BASE: 3, BASE + 3600: 1, BASE + 100 * 3600: 1}
    for seconds, events in busy.items():
        for partition in range(PARTITIONS):
            value = json.dumps({"client_id": 2, "request_time": seconds, "poolid": 7}).encode()
            rows = [
                SimpleNamespace(offset=seconds + n, timestamp=APPEND_MS, value=value)
                for n in range(events)
            ]
            counting.replay(partition, rows)
    fired = {alert.window_start: events for alert, events in counting.alerts()}
    assert fired[BASE] == 9
    assert counting.count(counted_key(now, BASE)) == 9
    assert counting.count(counted_key(former, BASE)) == 9
    assert (counted_key(former, BASE) in made[1]._windows) is True
    assert (counted_key(now, BASE) in made[0]._windows) is False
    assert counting.count(("1:1:nobody:60", BASE)) is None
