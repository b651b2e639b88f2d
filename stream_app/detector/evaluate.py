"""`evaluate`, stage 2 of counting: partial counts become alerts.

The broker acknowledges an alert before its window is marked as fired. A crash between the two sends
the same alert again, with the same id, but never loses it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stream_app.domain.alerts.alert import encode_alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.reserved import (
    PULSE_CLIENT,
    PULSE_CLIENT_ID,
    PULSE_TRIGGERS,
)
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.partial_counts import PartialCounts, decode_partial_counts
from stream_app.domain.counting.partition_windows import ChangedWindows, PartitionWindows
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.model import KIND_OF_CONDITION, EventKind
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.state.keys import NEVER
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: Shortest time between two flushes while nothing fires. Such a flush only saves progress; partial
#: counts that are read again give the same sums.
HOLD_SECONDS = 0.1
#: Most alerts of a flush that are logged. One record can fire tens of thousands, and logging them
#: all would hold the event loop for a second. All of them are on the topic `alerts`.
MAX_LOGGED = 1000
#: How many alerts are made, sent and reported at a time, since a flush may have tens of thousands.
STEP_ALERTS = 1000


class Fired(NamedTuple):
    """A window that exceeds its threshold, with its client and trigger."""

    key: CellKey
    client: Client
    trigger: Trigger
    #: Append time of the newest event in the window, Unix ms.
    appended_ms: int


class EvaluateStage:
    """Sums the partial counts of each window and fires the ones that exceed their threshold."""

    #: A flush never waits for further changes, because an alert must not wait.
    changes = 0

    def __init__(
        self,
        table: PackedTable[PartitionWindows],
        reader: ConfigurationSource,
        names: TopicNames,
        metrics: Metrics,
    ) -> None:
        self.table = table
        self._alerts_topic = names(Topic.ALERTS)
        self._reader = reader
        self._configuration: Configuration = reader.configuration
        self._metrics = metrics
        self._changed: dict[int, None] = {}
        self._config_position = 0
        self._may_fire = False
        metrics.windows_open.set_function(self._count_windows)

    @property
    def hold_seconds(self) -> float:
        """Shortest time to the next flush: none if a window may fire."""
        return 0.0 if self._may_fire else HOLD_SECONDS

    def steps(self, _topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Merge the partial counts of one batch."""
        state = self.table.state(partition)
        for record in records:
            yield
            if record.offset <= state.offset:
                continue
            try:
                found = decode_partial_counts(record.value)
            except (*DECODE_ERRORS, TypeError) as error:
                log.warning("partial_count_unreadable", offset=record.offset, why=str(error))
                continue
            self._merge(state, found, record.timestamp)
            self._config_position = max(self._config_position, found.config_position)
        state.offset = max(state.offset, records[-1].offset)
        self._changed[partition] = None

    def pass_over(self, _topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Skip a batch that cannot be read."""
        state = self.table.state(partition)
        state.offset = max(state.offset, batch.offset)
        self._changed[partition] = None

    def _merge(self, state: PartitionWindows, found: PartialCounts, timestamp_ms: int) -> None:
        appended_of = found.appended_ms.get
        for part in found.triggers:
            name = part.name
            limit = self._limit(part.client_id, part.trigger_id)
            for start, partition, count in part.windows:
                appended_ms = appended_of(str(partition), 0)
                window = state.take_count(name, start, partition, count, timestamp_ms, appended_ms)
                if not self._may_fire and not window.fired and window.total > limit:
                    self._may_fire = True

    def _limit(self, client_id: int, trigger_id: int) -> int:
        """Return the count above which a window of a trigger may fire.

        A trigger that is unknown now may be known once the flush has waited for the configuration,
        so its windows may fire, too.
        """
        trigger = self._configuration.triggers.get(trigger_id)
        if trigger is None or client_id not in self._configuration.clients:
            return NEVER
        return NEVER if trigger.threshold is None else trigger.threshold.count

    async def prepare(self) -> None:
        """Wait until this worker's configuration is as new as that of the counting worker.

        Otherwise the windows of a client or trigger unknown here would be skipped for good.
        """
        is_behind = self._configuration.trigger_position < self._config_position
        if is_behind or self._has_unknown():
            await catch_up(self._reader)
        # If the topic was made anew, its offsets start again: do not wait for the old ones.
        self._config_position = min(self._config_position, self._configuration.trigger_position)

    def _has_unknown(self) -> bool:
        """Tell whether a changed window belongs to a client or trigger unknown to this worker."""
        clients, triggers = self._configuration.clients, self._configuration.triggers
        for partition in self._changed:
            for name, _ in self.table.state(partition).touched:
                client_id, trigger_id = map(int, name.split(":", 2)[:2])
                if client_id == PULSE_CLIENT_ID:
                    continue
                if client_id not in clients or trigger_id not in triggers:
                    return True
        return False

    def cut(self) -> Flush[ChangedWindows]:
        """Take the changed windows of all partitions, and those that fire."""
        cuts: dict[int, ChangedWindows] = {}
        fired: list[Fired] = []
        for partition in self._changed:
            state = self.table.state(partition)
            cut = state.cut()
            found = self._fired(state, cut.touched)
            cuts[partition] = replace(cut, fired=[one.key for one in found])
            fired += found
        self.reset()
        return Flush(self.table, self._alerts(fired), cuts)

    def _alerts(self, fired: Sequence[Fired]) -> Iterator[Sequence[Send]]:
        """Yield the alerts of a flush in steps; report each step when it is acknowledged."""
        for start in range(0, max(len(fired), 1), STEP_ALERTS):
            some = fired[start : start + STEP_ALERTS]
            alerts = [fired_alert(one.client, one.trigger, one.key[1]) for one in some]
            yield [
                Send(self._alerts_topic, str(alert.client_id).encode(), encode_alert(alert))
                for alert in alerts
            ]
            self._report([one for one in some if one.client is not PULSE_CLIENT])
            for alert in alerts[: max(MAX_LOGGED - start, 0)]:
                say = log.debug if alert.client_id == PULSE_CLIENT_ID else log.info
                say(
                    "alert_fired",
                    alert_id=alert.id,
                    client_id=alert.client_id,
                    trigger_id=alert.trigger.id,
                    window_start=alert.window_start,
                )
        if (more := len(fired) - MAX_LOGGED) > 0:
            log.warning("alerts_not_logged", number=more, fired=len(fired))

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        self._changed, self._may_fire = {}, False

    def _report(self, fired: Sequence[Fired]) -> None:
        """Count alerts that the broker has acknowledged, and observe how long they took."""
        now_ms = time.time() * 1000
        by_kind: defaultdict[EventKind, list[int]] = defaultdict(list)
        for one in fired:
            by_kind[KIND_OF_CONDITION[one.trigger.template_id]].append(one.appended_ms)
        for kind, times in by_kind.items():
            self._metrics.alerts.labels(kind).inc(len(times))
            observe = self._metrics.event_to_alert.labels(kind).observe
            for appended_ms in times:
                if appended_ms:
                    observe(max(0.0, (now_ms - appended_ms) / 1000))

    def _count_windows(self) -> float | None:
        found = self.table.known_states()
        return None if found is None else sum(state.open_windows for state in found)

    def _fired(self, state: PartitionWindows, touched: Mapping[CellKey, int]) -> list[Fired]:
        """Return the windows that exceed their threshold and have not fired."""
        found = []
        owners: dict[str, tuple[Client, Trigger] | None] = {}
        for key, appended_ms in touched.items():
            window = state.window(key)
            if window is None or window.fired:
                continue
            name = key[0]
            if name not in owners:
                owners[name] = self._owner(name)
            if (owner := owners[name]) is None:
                self._metrics.stale_counts.inc()
                continue
            client, trigger = owner
            if trigger.threshold is not None and window.total > trigger.threshold.count:
                found.append(Fired(key, client, trigger, appended_ms))
        return found

    def _owner(self, name: str) -> tuple[Client, Trigger] | None:
        """Return the client and trigger of windows; None if their revision is not in force."""
        client_id, trigger_id, revision, _ = name.split(":")
        if int(client_id) == PULSE_CLIENT_ID:
            client: Client | None = PULSE_CLIENT
            trigger = PULSE_TRIGGERS.get(int(trigger_id))
        else:
            client = self._configuration.clients.get(int(client_id))
            trigger = self._configuration.triggers.get(int(trigger_id))
        if client is None or trigger is None or trigger.revision != revision or not trigger.enabled:
            return None
        return client, trigger
