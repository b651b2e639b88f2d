"""How the app hands records to the producer."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any

from aiokafka.client import AIOKafkaClient

from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.engine.app import StreamApp


class Producer:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._producer = SimpleNamespace(client=self)

    async def add_topic(self, topic: str) -> None:
        self.calls.append(("named", topic))

    async def send(self, topic: str, *_: Any) -> asyncio.Future[Any]:
        self.calls.append(("sent", topic))
        return asyncio.Future()


async def test_a_topic_is_named_to_the_client_once_before_its_first_record() -> None:
    producer = Producer()
    app: Any = SimpleNamespace(
        _known_topics=set(), _formats={}, producer=producer, clock=BrokerClock()
    )
    app._make_known = partial(StreamApp._make_known, app)
    app._note_sent = partial(StreamApp._note_sent, app)
    for topic in ("a", "b", "a"):
        await StreamApp.produce(app, topic, None, b"x")
    assert producer.calls == [
        ("named", "a"),
        ("sent", "a"),
        ("named", "b"),
        ("sent", "b"),
        ("sent", "a"),
    ]


def test_the_client_still_forgets_topics_that_it_was_not_told_of() -> None:
    """Otherwise `StreamApp.produce` does something that nobody needs any more."""
    source = inspect.getsource(AIOKafkaClient._wait_on_metadata)
    assert source.index("return partitions") < source.index("self.add_topic(topic)")
