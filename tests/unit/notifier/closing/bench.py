"""A partition with open alerts, and the parts of a worker that a silence check needs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Delivery, decode_delivery, encode_delivery
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.engine.ownership import Ownership
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from stream_app.notifier.closing.barrier import PartitionEnd, Passage
from stream_app.notifier.closing.positions import GroupPositions
from stream_app.notifier.closing.silence_check import SilenceCheck

TOPICS = ("deliveries", "delivery-results")
PARTITION = 3
#: The first window begins here; it is 60 s long.
START = 1_767_225_600
PERIOD = 60
CLOSE_AFTER = 300
EVENTS, COUNTS = Passage(("events.hits",), "detector"), Passage(("counts",), "detector")
INTEGRATION = Integration(
    521,
    1111,
    "On-call",
    True,
    "opsgenie",
    "",
    "",
    (),
    repeats=RepeatOptions(Deduplicate.EPISODE, close_after_seconds=CLOSE_AFTER),
)


class Cluster:
    """Brokers on which the detector has done all, unless said otherwise."""

    def __init__(self) -> None:
        self.done, self.end = 7, 7
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.is_connected = False

    async def positions(self, passage: Passage) -> GroupPositions:
        self.asked.append(passage.topics[0])
        if self.error is not None:
            raise self.error
        self.is_connected = True
        place = (passage.topics[0], 0)
        return GroupPositions({place: self.done}, {place: PartitionEnd(self.end, self.end, "id")})

    async def close(self) -> None:
        self.is_connected = False


class Member:
    """The worker's place in its group; it counts how often its heartbeat is looked at."""

    def __init__(self) -> None:
        self.group_generation, self.looks = 1, 0
        self.age_seconds = 0.0

    @property
    def heartbeat_age_seconds(self) -> float:
        self.looks += 1
        return self.age_seconds

    async def looked_at(self) -> None:
        """Wait until somebody who waits for a heartbeat has looked twice."""
        until = self.looks + 2
        async with asyncio.timeout(60):
            while self.looks < until:  # noqa: ASYNC110 - of another task
                await asyncio.sleep(0.001)


class BrokersTime:
    """A `BrokerClock` that is set by hand; the steady clock goes along with the brokers' time."""

    def __init__(self) -> None:
        self.seconds = float(START)
        self.ahead_seconds: float | None = 0.0

    def now_ms(self) -> int:
        return round(self.seconds * 1000)

    def steady_ms(self) -> int:
        return round((self.seconds - START) * 1000) + 5000


class Bench:
    """A worker with one partition; `look` is called by hand."""

    def __init__(self, scale: float = 1.0) -> None:
        self.state = PartitionDeliveries(TOPICS, DeliveryRules())
        self.states = {PARTITION: self.state}
        self.offset = 0
        self.cluster, self.clock, self.metrics = Cluster(), BrokersTime(), Metrics()
        self.wall_seconds: float | None = None
        self.configuration = Configuration()
        self.configuration.integrations = {521: INTEGRATION}
        self.app: Any = SimpleNamespace(
            rebalancing=False,
            is_stopping=False,
            consumer_generation_id=1,
            consumer=Member(),
        )
        self.table: Any = SimpleNamespace(states=self.states, generation=1)
        self.sent: list[Send] = []
        self.check = SilenceCheck(
            self.table,
            Ownership(self.app, 10.0),
            self.cluster,
            (EVENTS, COUNTS),
            self._send,
            "deliveries",
            self.clock,
            self.configuration,
            scale,
            self.metrics,
            lambda: round((self.wall_seconds or self.clock.seconds) * 1000),
        )

    async def _send(self, sends: Any) -> None:
        self.sent += sends

    def window(
        self, start: int = START, alias: str = "alias", seen: float | None = None, **reference: Any
    ) -> None:
        """Have a window told: its delivery is taken in at a time, at its end if not said."""
        end = start + PERIOD
        self.clock.seconds = max(self.clock.seconds, end if seen is None else seen)
        episode = msgspec.structs.replace(
            EpisodeReference(alias, 61, "revision", start, end, CLOSE_AFTER), **reference
        )
        delivery = Delivery(
            f"alert {start}/521", f"alert {start}", 1111, 521, "", "", {}, episode=episode
        )
        self.take(encode_delivery(delivery), self.clock.seconds if seen is None else seen)

    def take(self, value: bytes, at: float) -> None:
        """Take in a record of `deliveries`."""
        delivery, at_ms = decode_delivery(value), round(at * 1000)
        self.offset += 1
        assert self.state.note_record("deliveries", self.offset, at_ms)
        self.state.add_create(delivery, self.offset, at_ms)
        self.state.add_delivery(new_state(delivery, value, self.offset, at_ms))

    def take_closes(self) -> None:
        """Take in the closes that were written."""
        for send in self.sent:
            assert send.value is not None
            self.take(send.value, self.clock.seconds)

    async def look_at(self, seconds: float) -> list[Delivery]:
        """Look at a time; return the closes that are written then."""
        self.clock.seconds = seconds
        before = len(self.sent)
        await self.check.look()
        return [decode_delivery(send.value or b"") for send in self.sent[before:]]

    @property
    def waiting(self) -> float | None:
        """What the metric says."""
        return self.metrics.registry.get_sample_value("stream_app_closes_waiting")
