"""What the `count` stage reports of its batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_app.detector import count
from stream_app.detector.count import CountStage
from stream_app.domain.counting import PartitionCounts
from stream_app.domain.events import EventKind
from stream_app.kafka.topics import TopicNames
from stream_app.metrics import Metrics


class Table:
    """Holds the states of partitions, as a state table does."""

    def __init__(self) -> None:
        self.states: dict[int, PartitionCounts] = {}

    def state(self, partition: int) -> PartitionCounts:
        return self.states.setdefault(partition, PartitionCounts(EventKind.HITS))


def record(offset: int, value: bytes) -> Any:
    return SimpleNamespace(offset=offset, timestamp=10**12, value=value, key=None, headers=())


@pytest.fixture
def stage() -> CountStage:
    configuration: Any = SimpleNamespace(version=1, clients={1: None}, triggers={})
    table: Any = Table()
    return CountStage(EventKind.HITS, table, configuration, TopicNames(), Metrics())


def test_more_skips_than_a_crash_explains_are_a_warning_once_a_minute(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "EXPLAINED_SKIPS", 3)
    good = [record(offset, b'{"client_id":1}') for offset in range(3)]
    with capture_logs() as logs:
        for _ in range(4):
            stage.add("events.hits", 0, good)
    warnings = [row for row in logs if row["event"] == "more_skipped_than_a_crash_explains"]
    assert [row["skipped"] for row in warnings] == [6]


def test_a_rebalance_begins_the_count_of_skips_anew(
    stage: CountStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "EXPLAINED_SKIPS", 3)
    good = [record(offset, b'{"client_id":1}') for offset in range(3)]
    with capture_logs() as logs:
        for _ in range(4):
            stage.add("events.hits", 0, good)
            stage.reset()
    assert logs == []


def test_each_result_and_each_reason_is_counted(stage: CountStage) -> None:
    values = [b'{"client_id":1}', b"{", b'{"client_id":7}', b'{"client_id":1,"sampled":false}']
    stage.add("events.hits", 0, [record(n, value) for n, value in enumerate(values)])
    registry = stage._metrics.registry
    for result, number in (("unmatched", 1), ("rejected", 2), ("unsampled", 1), ("counted", 0)):
        labels = {"kind": "hits", "result": result}
        assert registry.get_sample_value("stream_app_events_total", labels) == number
    for reason in ("undecodable", "unknown_client"):
        labels = {"topic": "events.hits", "reason": reason}
        assert registry.get_sample_value("stream_app_dead_letters_total", labels) == 1
