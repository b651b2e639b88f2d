"""What counting makes of an event, for each trigger of its client.

Every event is counted once more by `PartitionCounts`, with the watermark that its partition had:
what it adds to a cell is counted. The triggers that it leaves out are explained afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.exclusions import Exclusion
from stream_app.domain.counting.matching import CountingTrigger, TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.counting.windows import keep_seconds, window_start
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events.batches import SingleEvent
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import KIND_OF_CONDITION, Event, EventKind
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.events.times import BY_THE_BROKER, MAX_AHEAD_SECONDS, event_seconds
from stream_app.domain.explanation.filter_refusals import FilterRefusal, event_refusals
from stream_app.domain.state.keys import NEVER


class TriggerResult(StrEnum):
    """What became of an event or a notice at one trigger; a closed list."""

    COUNTED = "counted"
    #: A notice, which is not counted, matches.
    MATCHED = "matched"
    REFUSED = "refused"
    LATE = "late"
    DISABLED = "disabled"
    #: The event itself is not counted, whatever the trigger says.
    NOT_USED = "not_used"
    #: It was not configured when the event came.
    NOT_CONFIGURED = "not_configured"
    OTHER_KIND = "other_kind"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True)
class TriggerVerdict:
    """What became of an event at one trigger. `window_start` (Unix seconds): where it would count.

    `refusals` are the filters that it does not pass, also of a disabled trigger.
    """

    trigger: Trigger
    result: TriggerResult
    refusals: tuple[FilterRefusal, ...] = ()
    window_start: int | None = None

    @property
    def window(self) -> tuple[int, int, int] | None:
        """Start and end of the window, and the watermark from which it takes no more events."""
        threshold = self.trigger.threshold
        if self.window_start is None or threshold is None:
            return None
        start, period = self.window_start, threshold.period
        return start, start + period, start + keep_seconds(period)


@dataclass(frozen=True)
class EventVerdict:
    """What became of one event, or of a part of a record that is none.

    `reason` is `counted`, `unmatched`, `late`, an exclusion, or why it is a dead letter, which
    `message` explains. `seconds` is the event time.
    """

    index: int | None
    reason: str
    message: str = ""
    client_id: int | None = None
    seconds: int | None = None
    triggers: tuple[TriggerVerdict, ...] = ()
    is_dead_letter: bool = False


COUNTED, UNMATCHED, LATE = "counted", "unmatched", "late"


class EventExplainer:
    """Explains events of one kind under one version of the configuration.

    Args:
        kind: of the events.
        clients: by id.
        triggers: of all kinds and clients.
        now_ms: the clock that bounds the times which producers claim.
    """

    def __init__(
        self,
        kind: EventKind,
        clients: Mapping[int, Client],
        triggers: Iterable[Trigger],
        now_ms: int | None = None,
    ) -> None:
        self.kind = kind
        self._now_ms = now_ms
        self._triggers: dict[int, list[Trigger]] = {}
        for trigger in sorted(triggers, key=lambda one: one.id):
            self._triggers.setdefault(trigger.client_id, []).append(trigger)
        every = [trigger for found in self._triggers.values() for trigger in found]
        self._index = TriggerIndex(kind, clients, every)
        #: Counts nothing, and so finds watermarks quickly.
        self._without_triggers = TriggerIndex(kind, clients, ())
        self._decoder = EventDecoder(kind, self._index.names)

    def verdicts(self, record: Any, watermark: int = NEVER) -> Iterator[EventVerdict]:
        """Yield what becomes of each event of a record.

        Args:
            record: with `value`, `timestamp` and `timestamp_type`.
            watermark: of the record's partition before the record.
        """
        for index, value, found in self._decoder.parts(record.value):
            if isinstance(found, Rejected):
                yield EventVerdict(index, found.reason, found.message, is_dead_letter=True)
                continue
            state = PartitionCounts(self.kind)
            state.watermark = watermark
            single = SingleEvent(0, record.timestamp, value, record.timestamp_type)
            tally = state.count([single], self._index, self._now_ms)
            watermark = state.watermark
            yield self._verdict(index, found, record.timestamp, state, tally)

    def parts(self, record: Any) -> Iterator[tuple[int | None, bytes, Any]]:
        """Yield the parts of a record, in the order of their verdicts."""
        return self._decoder.parts(record.value)

    def _verdict(
        self, index: int | None, event: Event, timestamp: int, state: PartitionCounts, tally: Tally
    ) -> EventVerdict:
        client_id = event.client_id
        if tally.rejected:
            part = tally.rejected[0][1]
            return EventVerdict(index, part.reason, part.message, client_id, is_dead_letter=True)
        seconds = event_seconds(event, self.kind, timestamp)
        exclusion = next((one.value for one in Exclusion if getattr(tally, one.value)), None)
        counted = {name for name, _ in state.cells}
        late = {name for name, _ in tally.late_windows}
        triggers = tuple(
            self._of_trigger(trigger, event, seconds, counted, late, is_used=exclusion is None)
            for trigger in self._triggers.get(client_id, ())
        )
        reason = exclusion or (COUNTED if counted else LATE if late else UNMATCHED)
        return EventVerdict(index, reason, "", client_id, seconds, triggers)

    def _of_trigger(
        self,
        trigger: Trigger,
        event: Event,
        seconds: int,
        counted: set[str],
        late: set[str],
        *,
        is_used: bool,
    ) -> TriggerVerdict:
        if not trigger.is_evaluated:
            return TriggerVerdict(trigger, TriggerResult.NOT_EVALUATED)
        if KIND_OF_CONDITION.get(trigger.template_id) is not self.kind:
            return TriggerVerdict(trigger, TriggerResult.OTHER_KIND)
        counting = CountingTrigger(trigger)
        start = window_start(seconds, counting.period)
        refusals = event_refusals(self.kind, counting, event)
        if counting.key in counted:
            result = TriggerResult.COUNTED
        elif counting.key in late:
            result = TriggerResult.LATE
        elif not trigger.enabled:
            result = TriggerResult.DISABLED
        elif not is_used:
            result = TriggerResult.NOT_USED
        else:
            result = TriggerResult.REFUSED
        return TriggerVerdict(trigger, result, refusals, start)

    # -- lateness

    def new_watermark(self) -> PartitionWatermark:
        """Return a watermark that has seen nothing."""
        return PartitionWatermark(self.kind, self._without_triggers, self._now_ms)

    def expiries(self, record: Any) -> tuple[int, int] | None:
        """Return the least and the largest watermark at which a trigger takes an event no more.

        None: no trigger can count one of the record's events, so lateness decides nothing.
        """
        found: list[int] = []
        for _, _, event in self._decoder.parts(record.value):
            if isinstance(event, Rejected):
                continue
            try:
                seconds = event_seconds(event, self.kind, record.timestamp)
            except RejectedEventError:
                continue
            client = self._index.clients.get(event.client_id)
            triggers = () if client is None else client.triggers
            found += (window_start(seconds, one.period) + one.keep for one in triggers)
        return (min(found), max(found)) if found else None


def largest_watermark(record: Any, now_ms: int) -> int:
    """Return what a partition's watermark cannot exceed before a record.

    No event counts that is further ahead of its record's append time. Records before this one were
    appended earlier, if the broker has stamped them.
    """
    timestamp_ms: int = record.timestamp if record.timestamp_type == BY_THE_BROKER else now_ms
    return timestamp_ms // 1000 + MAX_AHEAD_SECONDS


class PartitionWatermark:
    """The watermark of a partition, by the worker's own counting of its records."""

    def __init__(self, kind: EventKind, index: TriggerIndex, now_ms: int | None) -> None:
        self._state = PartitionCounts(kind)
        self._index = index
        self._now_ms = now_ms

    @property
    def value(self) -> int:
        """The largest event time so far."""
        return self._state.watermark

    def take(self, records: Sequence[Any]) -> None:
        """Take records in their order."""
        # Slices may come in any order: the largest time does not depend on it.
        self._state.offset = NEVER
        self._state.count(records, self._index, self._now_ms)
