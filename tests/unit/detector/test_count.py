"""What the `count` stage reports of its batches."""

from __future__ import annotations

import time
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_app.detector import count
from stream_app.detector.count import CountStage
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.events.model import EventKind
from stream_app.domain.pulse.probe import probe
from stream_app.domain.state.keys import NEVER
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from tests.unit.domain.objects import parse_trigger
from tests.unit.stages import take


class Table:
    """Holds the states of partitions, as a state table does."""

    def __init__(self) -> None:
        self.states: dict[int, PartitionCounts] = {}
        self.is_known = True

    def known_states(self) -> Collection[PartitionCounts] | None:
        return self.states.values() if self.is_known else None

    def state(self, partition: int) -> PartitionCounts:
        return self.states.setdefault(partition, PartitionCounts(EventKind.HITS))

    def flush_steps(self, _shares: object) -> list[list[Send]]:
        return [[]]


def record(offset: int, value: bytes) -> Any:
    return SimpleNamespace(
        offset=offset, timestamp=10**12, timestamp_type=1, value=value, key=None, headers=()
    )


@pytest.fixture
def stage() -> CountStage:
    configuration: Any = SimpleNamespace(
        version=1, clients={1: None}, triggers={}, trigger_position=0
    )
    table: Any = Table()
    return CountStage(EventKind.HITS, table, 4, configuration, TopicNames(), Metrics(), now_ms)


def now_ms() -> int:
    return int(time.time() * 1000)


def test_more_skips_than_a_crash_explains_are_a_warning_once_a_minute(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "EXPLAINED_SKIPS", 3)
    good = [record(offset, b'{"client_id":1}') for offset in range(3)]
    with capture_logs() as logs:
        for _ in range(4):
            take(stage, "events.hits", 0, good)
    warnings = [row for row in logs if row["event"] == "more_skipped_than_a_crash_explains"]
    assert [row["skipped"] for row in warnings] == [6]


def test_a_rebalance_resets_the_count_of_skips(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "EXPLAINED_SKIPS", 3)
    good = [record(offset, b'{"client_id":1}') for offset in range(3)]
    with capture_logs() as logs:
        for _ in range(4):
            take(stage, "events.hits", 0, good)
            stage.reset()
    assert logs == []


def test_each_result_and_each_reason_is_counted(stage: CountStage) -> None:
    values = [b'{"client_id":1}', b"{", b'{"client_id":7}', b'{"client_id":1,"sampled":false}']
    take(stage, "events.hits", 0, [record(n, value) for n, value in enumerate(values)])
    registry = stage._metrics.registry
    for result, number in (("unmatched", 1), ("rejected", 2), ("unsampled", 1), ("counted", 0)):
        labels = {"kind": "hits", "result": result}
        assert registry.get_sample_value("stream_app_events_total", labels) == number
    for reason in ("undecodable", "unknown_client"):
        labels = {"topic": "events.hits", "reason": reason}
        assert registry.get_sample_value("stream_app_dead_letters_total", labels) == 1


def test_events_that_share_a_dead_letter_are_counted_each(stage: CountStage) -> None:
    value = b"[%s]" % b",".join([b'{"client_id":7}'] * 1005)
    take(stage, "events.hits", 0, [record(0, value)])
    sample = stage._metrics.registry.get_sample_value
    labels = {"kind": "hits", "result": "rejected"}
    assert sample("stream_app_events_total", labels) == 1005
    labels = {"topic": "events.hits", "reason": "unknown_client"}
    assert sample("stream_app_dead_letters_total", labels) == 1001


def test_a_flush_of_any_number_of_events_is_measured_once(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_007.0)
    sample = stage._metrics.registry.get_sample_value
    assert sample("stream_app_watermark_seconds", {"kind": "hits"}) is None
    value = b'{"client_id":1,"request_time":1000000000}'
    take(stage, "events.hits", 0, [record(offset, value) for offset in range(500)])
    for name in ("event_lag", "flush_duration"):
        assert sample(f"stream_app_{name}_seconds_count", {"kind": "hits"}) == 0
    stage.cut().confirm()
    for name in ("event_lag", "flush_duration"):
        assert sample(f"stream_app_{name}_seconds_count", {"kind": "hits"}) == 1
    assert sample("stream_app_event_lag_seconds_sum", {"kind": "hits"}) == 7
    assert sample("stream_app_watermark_seconds", {"kind": "hits"}) == 1_000_000_000
    assert sample("stream_app_open_cells", {"kind": "hits"}) == 0
    table: Any = stage.table
    table.is_known = False  # partitions move, or their state is read
    assert sample("stream_app_watermark_seconds", {"kind": "hits"}) is None
    assert sample("stream_app_open_cells", {"kind": "hits"}) is None


def test_the_lag_is_that_of_the_events_in_the_flush_whatever_came_before(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000_000
    monkeypatch.setattr(time, "time", lambda: float(now))
    sample = stage._metrics.registry.get_sample_value
    found = []

    def flush(*seconds: object, partition: int = 0) -> None:
        offset = stage.table.state(partition).offset + 1
        for number, second in enumerate(seconds, offset):
            value = b'{"client_id":1,"request_time":%a}' % second
            take(stage, "events.hits", partition, [record(number, value)])
        stage.cut().confirm()
        found.append(sample("stream_app_event_lag_seconds_sum", {"kind": "hits"}))

    flush(now - 20)
    flush(now + 250)  # a producer's clock is ahead
    flush(now - 60, now - 30, now - 40)
    flush(now - 5, partition=1)
    flush(now + 400)  # refused
    flush(now - 9, now + 400)
    flush()
    assert found == [20, 20, 50, 55, 55, 64, 64]
    assert sample("stream_app_event_lag_seconds_count", {"kind": "hits"}) == 5


def test_events_of_a_lost_partition_are_not_in_the_next_flush(stage: CountStage) -> None:
    value = b'{"client_id":1,"request_time":1000000000}'
    take(stage, "events.hits", 0, [record(0, value)])
    stage.table.state(0).roll_back()
    stage.reset()
    assert stage.table.state(0).cut().newest == NEVER


def test_a_partial_count_says_when_the_newest_record_of_its_flush_was_appended() -> None:
    metrics, table = Metrics(), Table()
    found = parse_trigger(
        {
            "id": 61,
            "client_id": 1,
            "name": "counts",
            "enabled": True,
            "template_id": "hits_exceeded",
            "filters": [],
            "threshold": {"count": 2, "period": 1},
            "actions": [],
        },
        allowed_periods=(1,),
    )
    configuration: Any = SimpleNamespace(
        version=1, clients={1: None}, triggers={61: found}, trigger_position=1
    )
    states: Any = SimpleNamespace(
        state=table.state, states=table.states, flush_steps=lambda _: [[]]
    )
    stage = CountStage(EventKind.HITS, states, 4, configuration, TopicNames(), metrics, now_ms)
    rows = [record(offset, b'{"client_id":1,"request_time":1000000000}') for offset in range(3)]
    rows[2].timestamp += 77
    take(stage, "events.hits", 0, rows)
    sends, _ = stage.cut().steps()
    (sent,) = [decode_partial_counts(send.value) for send in sends if send.topic == "counts"]
    assert sent.appended_ms == {"0": 1_000_000_000_077}


def test_an_event_of_the_pulse_counts_and_looks_like_nobodys_event(stage: CountStage) -> None:
    found = probe(EventKind.HITS, 1_795_982_526_323)
    take(stage, "events.hits", 0, [record(0, found.value), record(1, b'{"client_id":1}')])
    metrics = stage._metrics.events.labels(EventKind.HITS, "counted")
    assert metrics._value.get() == 0
    (_, send), *_ = [(n, s) for n, step in enumerate(stage.cut().steps()) for s in step]
    assert [part.client_id for part in decode_partial_counts(send.value).triggers] == [
        PULSE_CLIENT_ID
    ]
