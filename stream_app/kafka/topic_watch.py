"""Looks at the source topics while a worker runs: whether they are there, and still the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka.errors import (
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.types import TP

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.admin import Admin
from stream_app.kafka.known_topics import made_anew
from stream_app.kafka.topic_check import TopicProblem, producers_clocks
from stream_app.kafka.topic_facts import TopicFacts, stable_ends, topic_facts
from stream_app.logs import get_logger

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

    from stream_app.settings import Settings

log = get_logger(__name__)

LOOK_SECONDS = 1.0
#: A question that no broker answers in this time is asked anew, on a new connection.
ANSWER_SECONDS = 10.0
#: How many looks there are between two at whose times the topics' records have.
LOOKS_TO_CLOCKS = 10


class TopicWatch:
    """Asks the brokers for the source topics every second. It never ends a worker by itself.

    Args:
        settings: where.
        role: whose state is of them.
        topics: their full names.
        ids: those that the state is of, by topic.
        fail: called when one is not the same any more.
        partitions: returns those whose ends are wanted.
    """

    def __init__(
        self,
        settings: Settings,
        role: str,
        topics: Sequence[str],
        ids: Mapping[str, str],
        fail: Callable[[BaseException], None],
        partitions: Callable[[], Iterable[TP]],
    ) -> None:
        self._settings = settings
        self._role = role
        self._topics = topics
        self._ids = dict(ids)
        self._fail = fail
        self._partitions = partitions
        #: Last stable offsets as the leaders have just told them; empty where they do not answer.
        self.ends: Mapping[TP, int] = {}
        self._missing: list[str] = []
        self._clocks: list[TopicProblem] = []
        self._looks = 0

    def failure(self) -> str | None:
        """Return what is wrong with source topics: gone, or altered; None: nothing."""
        if self._clocks:
            return "; ".join(f"topic {p.topic}: {p.problem}. Run {p.remedy}" for p in self._clocks)
        if not self._missing:
            return None
        return (
            f"topic {', '.join(self._missing)} has disappeared: its records are not read. If it "
            f"is made anew, 'stream-app state reset {self._role} --yes' is needed"
        )

    async def run(self) -> None:
        """Look until cancelled; while no broker answers, what was seen last holds."""
        while True:
            try:
                async with Admin(self._settings) as client:
                    await self._follow(client)
            except (StreamAppError, KafkaError, OSError, TimeoutError) as error:
                # The worker itself reports that the broker is away.
                log.debug("topics_not_seen", why=str(error) or type(error).__name__)
            self.ends = {}
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self, client: AIOKafkaAdminClient) -> None:
        while True:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._look_at_clocks(client)
                facts = await topic_facts(client._client, self._topics)  # noqa: SLF001 - sends our own request
                self._take(facts)
                self.ends = await stable_ends(client._client, self._partitions(), facts)  # noqa: SLF001
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_clocks(self, client: AIOKafkaAdminClient) -> None:
        """Look now and then whether a topic has been altered to its producers' times."""
        self._looks += 1
        if self._looks % LOOKS_TO_CLOCKS:
            return
        present = set(self._topics) - set(self._missing)
        with contextlib.suppress(TopicAuthorizationFailedError, UnknownTopicOrPartitionError):
            found = await producers_clocks(self._settings, client, present)
            if found != self._clocks:
                self._clocks = found
                for one in found:
                    log.error("topic_clock", topic=one.topic, why=one.problem, then=one.remedy)
                if not found:
                    log.info("topic_clocks_back")

    def _take(self, facts: Mapping[str, TopicFacts]) -> None:
        missing = sorted(set(self._topics) - set(facts))
        if missing != self._missing:
            self._missing = missing
            if missing:
                log.error("topics_disappeared", topics=missing)
            else:
                log.info("topics_back")
        for topic, fact in facts.items():
            if fact.id and self._ids.setdefault(topic, fact.id) != fact.id:
                self._fail(made_anew(topic, self._role))
