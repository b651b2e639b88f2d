"""One call of `stream-app replay`: reads, counts, and compares."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stream_app.cli.progress import ProgressLine
from stream_app.cli.replay.kcat_input import LineRecords
from stream_app.cli.replay.selection import configuration_of, narrow
from stream_app.detector.notice_replay import NoticeReplay
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.events.model import KIND_OF_CONDITION, EventKind
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.replay.causes import Circumstances
from stream_app.domain.replay.comparison import ComparedAlert, compare
from stream_app.domain.replay.counting_replay import CountingReplay
from stream_app.domain.replay.judged_counting import JudgedCounting
from stream_app.domain.replay.ranges import Extent, Range
from stream_app.domain.replay.recorded_alerts import ACCOUNT, RecordedAlerts
from stream_app.domain.replay.recorded_triggers import FormerTriggers
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.snapshot import read_configuration
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.history.event_log import EventLog
from stream_app.kafka.history.sent_alerts import partition_differences, read_sent_alerts
from stream_app.key_ring import secret_keys_of
from stream_app.settings import Settings

Engine = JudgedCounting | NoticeReplay


@dataclass
class ReplayRun:
    """One call of the command. `against`: prefix of the installation that it is compared with."""

    settings: Settings
    trigger_id: int | None
    client_id: int | None
    against: str | None
    engines: dict[Topic, Engine] = field(default_factory=dict)
    recorded: RecordedAlerts = field(default_factory=RecordedAlerts)
    former: FormerTriggers = field(default_factory=lambda: FormerTriggers((), {}))
    #: The triggers of the files, if these are judged.
    only: frozenset[int] | None = None
    #: Recorded alerts of other triggers, which are left out.
    left_out: Counter[int] = field(default_factory=Counter)
    compared: list[ComparedAlert] | None = None
    #: The integrations that are known, by id: a replay of events need not know them.
    integrations: Mapping[int, Integration] = field(default_factory=dict)
    records: int = 0
    seconds: float = 0.0

    async def from_topics(
        self, topics: Mapping[str, Topic], selected: Range, files: Sequence[str]
    ) -> None:
        """Replay a part of topics."""
        # Alerts first: the events of each alert that is read are then already in their topics.
        configuration = await self._configuration(topics.values(), files)
        async with EventLog(self.settings, list(topics)) as log:
            await log.select(selected)
            for name, topic in topics.items():
                self.engines[topic] = self._engine(topic, configuration, log.spans.partitions(name))
            with ProgressLine(log.spans.size) as progress:
                async for tp, records, is_last in log.batches(progress.report):
                    engine = self.engines[topics[tp.topic]]
                    if records:
                        engine.replay(tp.partition, records)
                    if is_last:
                        engine.finish(tp.partition)
                self.seconds = progress.seconds
            self.records = log.records
            extents = {
                _kind(topic): log.spans.extent(name, selected) for name, topic in topics.items()
            }
            counts = {topic: log.spans.partition_count(name) for name, topic in topics.items()}
        await self._compare(configuration, extents, counts)

    def from_lines(self, files: Sequence[str]) -> None:
        """Replay the lines of stdin. Not on an event loop, where a read would block Ctrl-C."""
        lines = LineRecords(sys.stdin.buffer)
        configuration = asyncio.run(self._configuration((), files))
        seen: dict[Topic, set[int]] = {}
        with ProgressLine(0) as progress:
            for topic, partition, records in lines.batches():
                if topic not in self.engines:
                    self.engines[topic] = self._engine(topic, configuration, None)
                self.engines[topic].replay(partition, records)
                seen.setdefault(topic, set()).add(partition)
                self.records += len(records)
                progress.report(self.records)
            self.seconds = progress.seconds
        lines.finish()
        extents = {_kind(topic): lines.extent(topic) for topic in self.engines}
        counts = {topic: len(found) for topic, found in seen.items()}
        asyncio.run(self._compare(configuration, extents, counts))

    def alerts(self) -> Iterator[tuple[Alert | NoticeAlert, int]]:
        """Yield the selected alerts, each with its number of events."""
        for engine in self.engines.values():
            yield from (row for row in engine.alerts() if self._is_selected(row[0]))

    async def _configuration(self, topics: Any, files: Sequence[str]) -> Configuration:
        needed = {Kind.CLIENT, Kind.TRIGGER}
        if Topic.ACCOUNT in topics:
            needed.add(Kind.INTEGRATION)
        is_judged = self.against is not None and bool(files)
        live = await read_configuration(self.settings) if is_judged else Configuration()
        in_force = live.triggers
        found = await configuration_of(
            self.settings, files, frozenset(needed), live if is_judged else None
        )
        if is_judged and found.triggers is not in_force:
            self.only = frozenset(found.triggers)
        self.integrations = found.integrations
        found = narrow(found, self.trigger_id, self.client_id)
        await self._read_recorded(in_force if self.against == self.settings.topic_prefix else {})
        return found

    def _engine(
        self, topic: Topic, configuration: Configuration, partitions: Sequence[int] | None
    ) -> Engine:
        if topic is Topic.ACCOUNT:
            signer = NoticeSigner(secret_keys_of(self.settings))
            return NoticeReplay(configuration, TopicNames(self.settings.topic_prefix), signer)
        kind, now_ms = EventKind(_kind(topic)), time.time_ns() // 1_000_000
        former = self.former.changed(configuration.triggers)
        return JudgedCounting(
            partial(
                CountingReplay, kind, configuration.clients, partitions=partitions, now_ms=now_ms
            ),
            configuration.triggers,
            [one for one in former if KIND_OF_CONDITION.get(one.template_id) is kind],
            self.recorded.fired(),
        )

    def _is_selected(self, alert: Alert | NoticeAlert) -> bool:
        is_client = self.client_id in (None, alert.client_id)
        return is_client and self.trigger_id in (None, alert.cause.get("trigger_id"))

    def _is_compared(self, alert: Alert | NoticeAlert) -> bool:
        if not self._is_selected(alert):
            return False
        if alert.trigger is None or self.only is None or alert.trigger.id in self.only:
            return True
        self.left_out[alert.trigger.id] += 1
        return False

    async def _read_recorded(self, in_force: Mapping[int, Trigger]) -> None:
        if self.against is not None:
            self.recorded = await read_sent_alerts(self.settings, self.against, self._is_compared)
            self.former = FormerTriggers(self.recorded.fired(), in_force)

    async def _compare(
        self,
        configuration: Configuration,
        extents: Mapping[str, Extent],
        counts: Mapping[Topic, int],
    ) -> None:
        if self.against is None:
            return
        others = await partition_differences(self.settings, self.against, counts)
        engines = [one for one in self.engines.values() if isinstance(one, JudgedCounting)]
        circumstances = Circumstances(
            configuration.triggers,
            configuration.integrations,
            {kind: self._compared_extent(kind, extent) for kind, extent in extents.items()},
            self.former,
            {_kind(topic): text for topic, text in others.items()},
            # A window is of one kind, and the engines of others know nothing of it.
            late=lambda key: sum(engine.late[key] for engine in engines),
            count=lambda key: next(
                (n for engine in engines if (n := engine.count(key)) is not None), None
            ),
        )
        self.compared = list(
            compare((alert for alert, _ in self.alerts()), self.recorded, circumstances)
        )

    def _compared_extent(self, kind: str, extent: Extent) -> Extent:
        """Return the time that was read, as far as it can be compared.

        The events of another installation may be older than all that this one has: in a trial they
        were copied from some time on.
        """
        engine = next((one for topic, one in self.engines.items() if _kind(topic) == kind), None)
        is_own = self.against == self.settings.topic_prefix
        if is_own or extent.from_ms is not None or not isinstance(engine, JudgedCounting):
            return extent
        first = engine.first_seconds
        return extent if first is None else extent._replace(from_ms=first * 1000)


def _kind(topic: Topic) -> str:
    """Return the kind of event that a topic holds."""
    return ACCOUNT if topic is Topic.ACCOUNT else topic.value.rpartition(".")[2]
