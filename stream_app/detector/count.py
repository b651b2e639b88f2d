"""`count`, stage 1 of counting: events of one kind become partial counts."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stream_app.domain.configuration.reserved import PULSE_TRIGGERS
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partial_counts import PartialCountsWriter, encoded_trigger
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.stored_counts import CellChanges
from stream_app.domain.counting.tally import EventResult, Tally
from stream_app.domain.events.model import EventKind
from stream_app.domain.events.times import trusted_ms
from stream_app.domain.state.keys import NEVER
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import event_dead_letters
from stream_app.kafka.engine.batched_sends import partition_of_key
from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.send import Send
from stream_app.logs import RepeatedWarnings, get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: After a crash the events that were not flushed are read again, and these are far fewer. More
#: skipped events mean that something else makes this worker read old records again.
EXPLAINED_SKIPS = 1_000_000

#: Shortest time between two flushes while events come one at a time: a flush of several events
#: takes no more records than a flush of one.
HOLD_SECONDS = 0.02

#: Results that a tally counts by name.
TALLIED = [result for result in EventResult if result is not EventResult.REJECTED]


class CountStage:
    """Counts the batches of one event topic."""

    hold_seconds = HOLD_SECONDS

    def __init__(
        self,
        kind: EventKind,
        table: PackedTable[PartitionCounts],
        counts_partitions: int,
        configuration: Configuration,
        names: TopicNames,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self.kind = kind
        self.table = table
        self.topic = TOPIC_OF_KIND[kind]
        self._counts_topic, self._counts_partitions = names(Topic.COUNTS), counts_partitions
        self._configuration = configuration
        self._names = names
        self._metrics = metrics
        self._now_ms = now_ms
        #: Partitions changed since the last cut -> append time of their newest record, Unix ms.
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

    def steps(self, _topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Count the records of one batch."""
        tally, now_ms = Tally(), self._now_ms()
        state = self.table.state(partition)
        yield from state.count_in_steps(records, self._current_index(), tally, now_ms)
        self._changed[partition] = trusted_ms(records[-1], now_ms)
        if tally.rejected:
            self._dead_letters += event_dead_letters(
                self._names, self.topic, partition, tally.rejected
            )
        self._report(tally)

    def pass_over(self, _topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Skip a batch that cannot be read."""
        state = self.table.state(partition)
        state.offset = max(state.offset, batch.offset)
        self._changed.setdefault(partition, batch.timestamp)

    async def prepare(self) -> None:
        """Do nothing: a flush needs only the cells."""

    def cut(self) -> Flush[CellChanges]:
        """Take what has changed in all partitions since the last cut."""
        started = time.monotonic()
        writer = PartialCountsWriter(self._configuration.trigger_position)
        cuts: dict[int, CellChanges] = {}
        for partition, appended_ms in self._changed.items():
            cut = cuts[partition] = self.table.state(partition).cut()
            writer.add_changes(partition, cut.changed, appended_ms)
        dead_letters, self._dead_letters, self._changed = self._dead_letters, [], {}
        newest = max((cut.newest for cut in cuts.values()), default=NEVER)
        return Flush(
            self.table,
            self._effects(dead_letters, writer),
            cuts,
            lambda: self._report_flush(time.monotonic() - started, newest),
        )

    def _effects(
        self, dead_letters: Sequence[Send], writer: PartialCountsWriter
    ) -> Iterator[Sequence[Send]]:
        yield [*dead_letters, *self._partial_counts(writer)]

    def _partial_counts(self, writer: PartialCountsWriter) -> Iterator[Send]:
        """Yield records for the partitions of `counts`, each with all counts for its partition."""
        targets: defaultdict[int, list[str]] = defaultdict(list)
        for name in writer.names:
            target = partition_of_key(encoded_trigger(name)[0], self._counts_partitions)
            targets[target].append(name)
        for target, names in targets.items():
            for value in writer.records(names):
                yield Send(self._counts_topic, None, value, target)

    def reset(self) -> None:
        """Forget what is not flushed; the table rolls back the cells."""
        self._changed, self._dead_letters, self._skipped = {}, [], 0

    def _report_flush(self, seconds: float, newest: int) -> None:
        """Report an acknowledged flush; `newest` is the largest event time in it."""
        metrics, kind = self._metrics, self.kind
        metrics.flushes.labels(kind).inc()
        metrics.flush_duration.labels(kind).observe(seconds)
        if newest != NEVER:
            metrics.event_lag.labels(kind).observe(max(0.0, self._now_ms() / 1000 - newest))

    def _count_cells(self) -> float | None:
        found = self.table.known_states()
        return None if found is None else sum(state.open_cells for state in found)

    def _watermark(self) -> float | None:
        found = [state.watermark for state in self.table.known_states() or ()]
        return max((mark for mark in found if mark != NEVER), default=None)

    def _current_index(self) -> TriggerIndex:
        configuration = self._configuration
        if self._index is None or configuration.version != self._index_version:
            self._index_version = configuration.version
            self._index = TriggerIndex(
                self.kind,
                configuration.clients,
                [*configuration.triggers.values(), *PULSE_TRIGGERS.values()],
            )
        return self._index

    def _report(self, tally: Tally) -> None:
        kind, events = self.kind, self._metrics.events
        # An event of the pulse must not look like a producer's: the alert rule that none come would
        # never fire. After a crash some of the pulse's events are skipped, and not counted.
        tally.counted = max(0, tally.counted - tally.pulses)
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
