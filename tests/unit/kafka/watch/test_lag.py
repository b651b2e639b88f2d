"""How a partition's lag follows from what the worker knows."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.engine.lost_records import LostRecords
from stream_app.kafka.records.fetch_states import Fetched
from stream_app.kafka.watch.lag import LagMeter, partition_lag
from stream_app.metrics import Metrics

PARTITION = TP("events.hits", 3)


def lag(
    *,
    stable: int | None = None,
    end: int = 0,
    start: int = 0,
    progress: int | None = None,
    position: int | None = None,
    is_idle: bool = True,
    waiting: int = 0,
) -> int:
    fetched = Fetched(position, stable)
    consumer = SimpleNamespace(
        end_offsets={PARTITION: end},
        start_positions={PARTITION: start},
        waiting=SimpleNamespace(number=Counter({PARTITION.topic: waiting})),
    )
    states: dict[int, PartitionProgress] = {}
    if progress is not None:
        states[3] = PartitionProgress()
        states[3].confirm(progress)
    table: Any = SimpleNamespace(states=states)
    loop: Any = SimpleNamespace(is_idle=is_idle)
    return partition_lag(PARTITION, fetched, consumer, table, loop)


@pytest.mark.parametrize(
    ("known", "records"),
    [
        ({}, 0),
        ({"end": 40}, 40),
        ({"end": 40, "start": 30}, 10),
        ({"end": 40, "stable": 50, "start": 30}, 20),
        ({"stable": 50, "progress": 44}, 5),
        ({"stable": 50, "progress": 49}, 0),
        # Fetched, and not yet taken by the agent, or not yet acknowledged: not done.
        ({"stable": 50, "progress": 44, "position": 50, "waiting": 1}, 5),
        ({"stable": 50, "progress": 44, "position": 50, "is_idle": False}, 5),
        # Only the end of a transaction is left, which is no record.
        ({"stable": 50, "progress": 48, "position": 50}, 0),
        # A topic whose older records are gone starts where it starts now.
        ({"stable": 50, "start": 45, "progress": 10}, 5),
        # The newest end is not known yet.
        ({"stable": None, "end": 40, "progress": 59}, 0),
    ],
)
def test_the_lag_counts_the_records_that_are_not_done(known: dict[str, Any], records: int) -> None:
    assert lag(**known) == records


class Worker:
    """An app with one partition of `alerts`, of which 5 records are not done."""

    def __init__(self) -> None:
        self.partition = TP("p.alerts", 3)
        self.consumer: Any = SimpleNamespace(
            end_offsets={self.partition: 5},
            start_positions={self.partition: 0},
            waiting=SimpleNamespace(number=Counter()),
            fetched=lambda: self.assigned,
            lost=LostRecords(),
            note_lost=lambda: None,
        )
        self.assigned: dict[TP, Fetched] | None = {self.partition: Fetched(None, None)}
        self.known: Any = []
        topics = [f"p.{topic}" for topic in ("alerts", "deliveries", "delivery-results")]
        table = SimpleNamespace(source_topics=topics, states={}, known_states=lambda: self.known)
        app: Any = SimpleNamespace(
            role="notifier",
            started=True,
            rebalancing=False,
            consumer=self.consumer,
            state_tables=[table],
            flush_loops=[SimpleNamespace(topics=topics, done=Counter(), is_idle=True)],
        )
        self.app, self.metrics = app, Metrics("notifier")
        self.meter = LagMeter(app, TopicNames("p."), self.metrics)

    def lag(self, topic: str = "alerts", *, is_broker_away: bool = False) -> float | None:
        self.meter.look(is_broker_away=is_broker_away)
        sample = self.metrics.registry.get_sample_value
        return sample("stream_app_consumer_lag_records", {"topic": topic})


def test_the_lag_is_absent_whenever_it_is_not_known() -> None:
    worker = Worker()
    assert (
        worker.metrics.registry.get_sample_value(
            "stream_app_consumer_lag_records", {"topic": "alerts"}
        )
        is None
    ), "before the first look"
    assert worker.lag() == 5
    assert worker.lag("deliveries") is None, "it has no partition of that topic"
    worker.known = None
    assert worker.lag() is None, "its state is being read"
    worker.known = []
    assert worker.lag() == 5
    worker.app.rebalancing = True
    assert worker.lag() is None
    worker.app.rebalancing = False
    worker.consumer.start_positions.clear()
    assert worker.lag() is None, "it does not know yet where it begins"
    worker.consumer.start_positions[worker.partition] = 5
    assert worker.lag() == 0
    worker.assigned = {}
    assert worker.lag() is None, "the partition has moved away"
    worker.assigned = None
    assert worker.lag() is None, "there is no assignment"
    worker.app.started = False
    assert worker.lag() is None


def test_lost_records_are_counted_once_however_often_they_are_noticed() -> None:
    worker = Worker()
    sample = worker.metrics.registry.get_sample_value
    name, labels = "stream_app_lost_records_total", {"topic": "alerts"}
    assert sample(name, labels) == 0
    lost = worker.consumer.lost
    for start, end, total in (
        (10, 30, 20),
        # A rebalance before the group's offset is behind it: what was fetched is lost, too.
        (4, 30, 26),
        (4, 30, 26),
        # The log goes on, and is noticed from the same place.
        (4, 40, 36),
        (40, 45, 41),
        (60, 61, 42),
        (90, 90, 42),
    ):
        lost.note(worker.partition, start, end)
        worker.meter.look()
        assert sample(name, labels) == total, (start, end)
    lost.note(TP("p.alerts", 0), 10, 30)
    worker.meter.look()
    assert sample(name, labels) == 62


def test_while_the_broker_is_silent_only_a_lag_above_zero_is_still_shown() -> None:
    worker = Worker()
    assert worker.lag(is_broker_away=True) == 5
    worker.consumer.start_positions[worker.partition] = 5
    assert worker.lag(is_broker_away=True) is None
    assert worker.lag() == 0
