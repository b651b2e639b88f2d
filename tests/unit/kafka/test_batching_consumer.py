"""How far a worker's partitions are fetched, by aiokafka's own states of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.kafka.batching_consumer import BatchingConsumer, Fetched

HITS, COUNTS = TP("events.hits", 0), TP("counts", 3)


class Consumer:
    """A batching consumer as far as it is needed here; its partitions are aiokafka's own."""

    fetched = BatchingConsumer.fetched
    is_behind = BatchingConsumer.is_behind

    def __init__(self) -> None:
        self.subscriptions = SubscriptionState()
        self._thread: Any = driver.AIOKafkaConsumerThread.__new__(driver.AIOKafkaConsumerThread)
        self._thread._consumer = SimpleNamespace(_subscription=self.subscriptions)

    def assign(self) -> Any:
        self.subscriptions.assign_from_user({HITS, COUNTS})
        return self.subscriptions.subscription.assignment


async def test_before_there_is_an_assignment_nothing_is_fetched_and_nothing_is_behind() -> None:
    consumer: Any = Consumer()
    assert consumer.fetched() is None
    assert not consumer.is_behind(["events.hits"])
    consumer.assign()
    assert consumer.fetched() == {HITS: Fetched(None, None), COUNTS: Fetched(None, None)}
    assert not consumer.is_behind(["events.hits"])


@pytest.mark.parametrize(
    ("position", "highwater", "is_behind"),
    [(0, None, False), (0, 0, False), (7, 8, True), (8, 8, False)],
)
async def test_a_topic_is_behind_where_its_last_fetch_ended_before_its_end(
    position: int, highwater: int | None, *, is_behind: bool
) -> None:
    consumer: Any = Consumer()
    state = consumer.assign().state_value(HITS)
    state.seek(position)
    state.highwater = highwater
    assert consumer.fetched()[HITS] == Fetched(position, highwater)
    assert consumer.is_behind(["events.attacks", "events.hits"]) is is_behind
    assert not consumer.is_behind(["counts"])
