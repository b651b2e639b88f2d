"""Checks while a worker runs whether its source topics and changelogs are there and the same."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiokafka.errors import (
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.types import TP

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_check import producers_clocks
from stream_app.kafka.cluster.topic_metadata import TopicMetadata, stable_ends, topic_metadata
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, TopicProblem, equal_pair
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.state.state_problems import source_of
from stream_app.kafka.state.topic_ids import id_mismatch, state_lost
from stream_app.kafka.state.topic_partitions import changelog_grown, is_fixed, topic_grown
from stream_app.logs import get_logger

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient

log = get_logger(__name__)

LOOK_SECONDS = 1.0
#: If no broker answers within this time, the question is asked again on a new connection.
ANSWER_SECONDS = 10.0
#: A worker whose state is lost ends after this time, before its waiting writes fail.
LOST_SECONDS = 20.0
#: Once in so many looks it is checked that the brokers, not producers, set the records' times.
LOOKS_PER_CLOCK_CHECK = 10


class TopicWatch:
    """Asks the brokers for the topics every second.

    The worker is not ready while a topic is gone. It ends if a topic was made anew or its state is
    lost, because then its work is lost, too. It also ends if a topic has got more partitions, and
    its next start would read them; if that would fail, it is not ready.

    Args:
        app: the worker's; it says which changelogs and partitions there are.
        sources: full name of each source topic -> how many partitions its state is kept for.
        ids: the ids of the topics when the worker started.
    """

    def __init__(self, app: StreamApp, sources: Mapping[str, int], ids: Mapping[str, str]) -> None:
        self._app = app
        self._settings = app.settings
        self._role = app.role
        self._sources = sources
        #: Full name of each changelog -> how many partitions it has.
        self._changelogs = {
            table.changelog_topic_name: table.partitions for table in app.state_tables
        }
        self._ids = dict(ids)
        #: Last stable offsets that the leaders have just told; empty while they do not answer.
        self.ends: Mapping[TP, int] = {}
        self._missing: list[str] = []
        self._grown: dict[str, int] = {}
        #: Changelogs that are gone -> since when, by the monotonic clock in seconds.
        self._lost: dict[str, float] = {}
        self._clocks: list[TopicProblem] = []
        self._looks = 0
        self._configuration_topics = set(map(app.settings.names, CONFIG_TOPICS))
        self._pair = equal_pair(app.settings)

    def failure(self) -> str | None:
        """Return which topics are gone, grown, or altered; None if none is."""
        found = [str(error) for error in [self.lost_state()] if error is not None]
        found += [f"topic {p.topic}: {p.problem}. Run {p.remedy}" for p in self._clocks]
        if self._missing:
            found.append(
                f"topic {', '.join(self._missing)} has disappeared: its records are not read. If "
                f"it is made anew, 'stream-app state reset {self._role} --yes' is needed"
            )
        found += [self._growth(topic, number) for topic, number in self._grown.items()]
        return "; ".join(found) or None

    def _growth(self, topic: str, number: int) -> str:
        """Say that a topic or a changelog has got more partitions, and what to do."""
        if topic in self._changelogs:
            kept = self._changelogs[topic]
            source = source_of(self._settings, self._role, topic)
            return changelog_grown(self._settings, self._role, topic, number, [source], kept)
        step = f"Stop all workers of this role, run 'stream-app state reset {self._role} --yes' and"
        if not is_fixed(self._settings, [topic]):
            step = "Run 'stream-app topics create' and" if topic in self._pair else "Then"
        return (
            f"topic {topic} had {self._sources[topic]} partitions and has {number} now: what is in "
            f"the new ones is not read, and does nothing. {step} start them again"
        )

    def lost_state(self) -> StreamAppError | None:
        """Return the error for a changelog that is gone; None if all are there."""
        return next((state_lost(changelog, self._role) for changelog in self._lost), None)

    async def run(self) -> None:
        """Look until cancelled. While no broker answers, what was last seen remains."""
        while True:
            try:
                async with Admin(self._settings) as client:
                    await self._look_regularly(client)
            except (StreamAppError, KafkaError, OSError, TimeoutError) as error:
                # The worker itself reports that the broker is away.
                log.debug("topics_not_seen", why=str(error) or type(error).__name__)
            self.ends = {}
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_regularly(self, client: ClusterAdminClient) -> None:
        app = self._app
        while True:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._check_clocks(client)
                asked = [*self._sources, *self._changelogs]
                facts = await topic_metadata(client.kafka, asked)
                self._compare(facts)
                # The source partitions that the worker has now.
                own = app.consumer.start_positions if app.started and app.consumer else ()
                self.ends = await stable_ends(client.kafka, own, facts)
            await asyncio.sleep(LOOK_SECONDS)

    async def _check_clocks(self, client: ClusterAdminClient) -> None:
        """Check now and then that no topic was altered so that producers set its records' times."""
        self._looks += 1
        if self._looks % LOOKS_PER_CLOCK_CHECK:
            return
        present = set(self._sources) - set(self._missing)
        with contextlib.suppress(TopicAuthorizationFailedError, UnknownTopicOrPartitionError):
            found = await producers_clocks(self._settings, client, present)
            if found != self._clocks:
                self._clocks = found
                for one in found:
                    log.error("topic_clock", topic=one.topic, why=one.problem, then=one.remedy)
                if not found:
                    log.info("topic_clocks_back")

    def _compare(self, facts: Mapping[str, TopicMetadata]) -> None:
        for topic, fact in facts.items():
            if fact.id and self._ids.setdefault(topic, fact.id) != fact.id:
                self._app.fail(id_mismatch(topic, self._role))
        self._compare_changelogs(facts)
        self._compare_partitions(facts)
        missing = sorted(set(self._sources) - set(facts))
        if missing != self._missing:
            self._missing = missing
            if missing:
                log.error("topics_disappeared", topics=missing)
            else:
                log.info("topics_back")

    def _compare_changelogs(self, facts: Mapping[str, TopicMetadata]) -> None:
        """End the worker if a changelog stays away, while its last write still waits.

        It does not end at the first look: a broker that has just started may not know all topics.
        """
        now = time.monotonic()
        gone = [changelog for changelog in self._changelogs if changelog not in facts]
        if gone and not self._lost:
            log.error("state_lost", changelogs=gone)
        self._lost = {changelog: self._lost.get(changelog, now) for changelog in gone}
        if self._lost and now - min(self._lost.values()) >= LOST_SECONDS:
            self._app.fail(state_lost(gone[0], self._role))

    def _compare_partitions(self, facts: Mapping[str, TopicMetadata]) -> None:
        """Notice added partitions, for which no state is kept.

        The reader of the configuration notices those that are added to its topics.
        """
        known = {**self._sources, **self._changelogs}
        grown = {
            topic: len(facts[topic].leaders)
            for topic, kept in known.items()
            if topic in facts
            and len(facts[topic].leaders) > kept
            and topic not in self._configuration_topics
        }
        if grown != self._grown:
            self._grown = grown
            for topic, number in grown.items():
                had = known[topic]
                log.error("partitions_added", topic=topic, had=had, has=number, then="not read")
        readable = self._next_start_reads(facts)
        if readable is not None:
            self._app.fail(topic_grown(readable, grown[readable], known[readable]))

    def _next_start_reads(self, facts: Mapping[str, TopicMetadata]) -> str | None:
        """Return a topic whose new partitions the next start reads; None if that would fail."""
        sources = [topic for topic in self._grown if topic in self._sources]
        pair = [len(facts[topic].leaders) for topic in self._pair if topic in facts]
        is_pair_unequal = not set(sources).isdisjoint(self._pair) and len(set(pair)) > 1
        if not sources or is_pair_unequal or is_fixed(self._settings, sources):
            return None
        return sources[0]
