"""`count`: events of one kind become partial counts. Stage 1 of counting."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stream_app.detector.repeated import RepeatedWarnings
from stream_app.domain.counting import Cut, PartitionCounts, Tally
from stream_app.domain.evaluation import APPENDED_HEADER, partial_count_record
from stream_app.domain.events import EventKind
from stream_app.domain.matching import TriggerIndex
from stream_app.domain.results import EventResult
from stream_app.domain.state_keys import NEVER, PROGRESS_KEY, cell_key_bytes
from stream_app.kafka.configuration import Configuration
from stream_app.kafka.dead_letters import event_dead_letters
from stream_app.kafka.flushing import Send
from stream_app.kafka.state import StateTable
from stream_app.kafka.topics import Topic, TopicNames
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

TOPICS = {
    EventKind.ATTACKS: Topic.ATTACKS,
    EventKind.HITS: Topic.HITS,
    EventKind.INCIDENTS: Topic.INCIDENTS,
}
#: A crash is followed by replays of what was not flushed, which this is far beyond. More means
#: that something else makes this worker read old records again.
EXPLAINED_SKIPS = 1_000_000

#: Results that a tally has numbers of.
TALLIED = [result for result in EventResult if result is not EventResult.REJECTED]


@dataclass(frozen=True)
class PartitionCut:
    """One partition's share of a flush."""

    partition: int
    state: PartitionCounts
    cut: Cut
    #: Append time of the newest record in it, Unix ms.
    appended_ms: int


class CountFlush:
    """Cells, partial counts and dead letters; then the progress of each partition."""

    def __init__(
        self,
        stage: CountStage,
        cuts: Sequence[PartitionCut],
        dead_letters: Sequence[Send],
        config_position: int,
    ) -> None:
        self._stage = stage
        self._cuts = cuts
        self._dead_letters = dead_letters
        self._config_position = config_position
        self._started = time.monotonic()

    def steps(self) -> Sequence[Sequence[Send]]:
        """Return the records: what the events caused, then how far they have been counted."""
        effects = list(self._dead_letters)
        for part in self._cuts:
            effects += self._cells(part)
        return [effects, [self._progress(part) for part in self._cuts]]

    def confirm(self) -> None:
        """Note the progress."""
        for part in self._cuts:
            part.state.confirm(part.cut)
        newest = max((part.cut.newest for part in self._cuts), default=NEVER)
        self._stage.flushed(time.monotonic() - self._started, newest)

    def _cells(self, part: PartitionCut) -> list[Send]:
        table, partition = self._stage.table, part.partition
        changelog, counts_topic = table.changelog_topic_name, self._stage.counts_topic
        position = self._config_position
        sends = []
        headers = ((APPENDED_HEADER, str(part.appended_ms).encode()),)
        for key, count, offset in part.cut.cells:
            value = orjson.dumps((count, offset))
            sends.append(Send(changelog, cell_key_bytes(key), value, partition, (), table))
            trigger_key, value = partial_count_record(key, partition, count, position)
            sends.append(Send(counts_topic, trigger_key, value, None, headers))
        sends += [
            Send(changelog, cell_key_bytes(key), None, partition, table=table)
            for key in part.cut.expired
        ]
        return sends

    def _progress(self, part: PartitionCut) -> Send:
        table = self._stage.table
        value = orjson.dumps((part.cut.offset, part.cut.watermark))
        return Send(table.changelog_topic_name, PROGRESS_KEY, value, part.partition, table=table)


class CountStage:
    """Counts the batches of one event topic."""

    def __init__(
        self,
        kind: EventKind,
        table: StateTable[PartitionCounts],
        configuration: Configuration,
        names: TopicNames,
        metrics: Metrics,
    ) -> None:
        self.kind = kind
        self.table = table
        self.topic = TOPICS[kind]
        self.counts_topic = names(Topic.COUNTS)
        self._configuration = configuration
        self._names = names
        self._metrics = metrics
        #: Partitions changed since the last cut, and the append time of their newest record.
        self._changed: dict[int, int] = {}
        self._dead_letters: list[Send] = []
        self._index: TriggerIndex | None = None
        self._index_version = -1
        self._repeated = RepeatedWarnings(log)
        self._skipped = 0
        metrics.open_cells.labels(kind).set_function(self._count_cells)
        metrics.watermark.labels(kind).set_function(self._watermark)

    @property
    def changes(self) -> int:
        """How many cells a flush would write."""
        return sum(self.table.state(partition).changes for partition in self._changed)

    def add(self, _topic: str, partition: int, records: Sequence[Any]) -> None:
        """Count the records of one batch."""
        tally = self.table.state(partition).add(records, self._current_index())
        self._changed[partition] = records[-1].timestamp
        if tally.rejected:
            self._dead_letters += event_dead_letters(
                self._names, self.topic, partition, tally.rejected
            )
        self._report(tally)

    async def prepare(self) -> None:
        """Wait for nothing: a flush needs no more than the cells."""

    def cut(self) -> CountFlush:
        """Take what has changed in all partitions since the last cut."""
        cuts = []
        for partition, appended_ms in self._changed.items():
            state = self.table.state(partition)
            cuts.append(PartitionCut(partition, state, state.cut(), appended_ms))
        dead_letters, self._dead_letters, self._changed = self._dead_letters, [], {}
        return CountFlush(self, cuts, dead_letters, self._configuration.trigger_position)

    def reset(self) -> None:
        """Forget what is not flushed; the table has rolled its partitions back."""
        self._changed, self._dead_letters, self._skipped = {}, [], 0

    def flushed(self, seconds: float, newest: int) -> None:
        """Report an acknowledged flush; `newest` is the largest event time in it."""
        metrics, kind = self._metrics, self.kind
        metrics.flushes.labels(kind).inc()
        metrics.flush_duration.labels(kind).observe(seconds)
        if newest != NEVER:
            metrics.event_lag.labels(kind).observe(max(0.0, time.time() - newest))

    def _count_cells(self) -> float | None:
        found = self.table.known_states()
        return None if found is None else sum(len(state.cells) for state in found)

    def _watermark(self) -> float | None:
        found = [state.watermark for state in self.table.known_states() or ()]
        return max((mark for mark in found if mark != NEVER), default=None)

    def _current_index(self) -> TriggerIndex:
        configuration = self._configuration
        if self._index is None or configuration.version != self._index_version:
            self._index_version = configuration.version
            self._index = TriggerIndex(
                self.kind, configuration.clients, configuration.triggers.values()
            )
        return self._index

    def _report(self, tally: Tally) -> None:
        kind, events = self.kind, self._metrics.events
        for result in TALLIED:
            if number := getattr(tally, result):
                events.labels(kind, result).inc(number)
        if tally.skipped:
            self._metrics.skipped_events.labels(kind).inc(tally.skipped)
            self._skipped += tally.skipped
            if self._skipped > EXPLAINED_SKIPS:
                self._warn("more_skipped_than_a_crash_explains", skipped=self._skipped)
        if tally.late:
            self._metrics.late_events.labels(kind).inc(tally.late)
            self._warn("events_late", number=tally.late)
        if tally.rejected:
            rejected = sum(part.events for _, part in tally.rejected)
            events.labels(kind, EventResult.REJECTED).inc(rejected)
            reasons = Counter(part.reason for _, part in tally.rejected)
            for reason, number in reasons.items():
                self._metrics.dead_letters.labels(self.topic, reason).inc(number)
                record, part = next(r for r in tally.rejected if r[1].reason == reason)
                self._warn(
                    f"events_rejected_{reason}",
                    number=number,
                    offset=record.offset,
                    why=part.message,
                )

    def _warn(self, event: str, **facts: Any) -> None:
        self._repeated.warn(event, topic=self._names(self.topic), **facts)
