"""Backtest: how many recorded events each window of one trigger holds, and which events.

The workers' own code counts. Late events are added to their windows: a threshold is chosen by what
the recorded events hold, not by when they arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Threshold, Trigger
from stream_app.domain.counting.matching import ClientMatcher, TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.errors import UsageError
from stream_app.domain.events.batches import Record, SingleEvent
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import KIND_OF_CONDITION, Event, EventKind
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.events.times import event_seconds
from stream_app.domain.replay.counting_replay import ReplayFigures

#: The fields that are shown of a sample, in this order.
_FACTS = (
    "type", "host", "poolid", "target", "remote_addr4", "remote_addr6", "remote_addrs",
    "response_status", "response_statuses",
)  # fmt: skip
MAX_FACT_CHARS = 60


class BatchPlace(NamedTuple):
    """The offsets of a batch, both ends inclusive, and how many events of a window it holds."""

    partition: int
    first: int
    last: int
    events: int


class EventSample(NamedTuple):
    """An event of a window: its place, its time (Unix seconds) and short facts."""

    partition: int
    offset: int
    seconds: int
    facts: Mapping[str, str]


class _MatchersOfAllClients(dict[int, ClientMatcher]):
    """A matcher for every client id: one without triggers, unless the client is known.

    So events of clients that nobody has configured are not rejected.
    """

    def __init__(self, kind: EventKind, known: Mapping[int, ClientMatcher]) -> None:
        super().__init__(known)
        self._without_triggers = ClientMatcher(kind, ())

    def get(self, key: int, _default: Any = None) -> ClientMatcher:
        """Return the matcher of a client."""
        return super().get(key, self._without_triggers)


class Backtest:
    """Counts the events of one trigger, whether it is enabled or not.

    Args:
        trigger: whose events are counted.
        clients: the configured clients. Events may name them and their applications instead of
            ids. An event with an id counts even if its client is not among them.
        now_ms: the clock that bounds the times which producers claim.

    Raises:
        UsageError: the trigger's condition counts no events.
    """

    def __init__(
        self, trigger: Trigger, clients: Mapping[int, Client], now_ms: int | None = None
    ) -> None:
        if trigger.template_id not in KIND_OF_CONDITION or trigger.threshold is None:
            raise UsageError(
                f"trigger {trigger.id}: {trigger.template_id} counts no events, so it has no "
                f"threshold to choose: give one of {', '.join(KIND_OF_CONDITION)}"
            )
        self.trigger = trigger
        self._now_ms = now_ms
        self.threshold: Threshold = trigger.threshold
        self.kind = KIND_OF_CONDITION[trigger.template_id]
        self.figures = ReplayFigures()
        #: Window start -> how many events it holds, the late ones included.
        self.counts: Counter[int] = Counter()
        self._index = self._make_index(clients)
        self._states: dict[int, PartitionCounts] = {}
        #: (partition, window start) -> the count of the open cell after the last batch.
        self._known: dict[tuple[int, int], int] = {}
        #: Window start -> the batch that holds most of the window's events.
        self._places: dict[int, BatchPlace] = {}

    def _make_index(self, clients: Mapping[int, Client]) -> TriggerIndex:
        enabled = msgspec.structs.replace(self.trigger, enabled=True)
        index = TriggerIndex(self.kind, {self.trigger.client_id}, [enabled])
        index.names = ClientNames(clients)
        index.clients = _MatchersOfAllClients(self.kind, index.clients)
        return index

    def count(self, partition: int, records: Sequence[Record]) -> None:
        """Count the records of one batch of a partition, in their order."""
        state = self._states.setdefault(partition, PartitionCounts(self.kind))
        tally = state.count(records, self._index, self._now_ms)
        cut = state.cut()
        first, last = records[0].offset, records[-1].offset
        for (_, start), count in cut.cells:
            new = count - self._known.get((partition, start), 0)
            self._known[partition, start] = count
            self._note(start, BatchPlace(partition, first, last, new))
        for _, start in cut.expired:
            self._known.pop((partition, start), None)
        state.confirm(cut)
        for (_, start), number in tally.late_windows.items():
            self._note(start, BatchPlace(partition, first, last, number))
        self.figures.count(tally)

    def _note(self, start: int, place: BatchPlace) -> None:
        self.counts[start] += place.events
        best = self._places.get(start)
        if best is None or place.events > best.events:
            self._places[start] = place

    def place_of(self, start: int) -> BatchPlace:
        """Return the batch that holds most of a window's events."""
        return self._places[start]

    def samples(self, start: int, partition: int, records: Sequence[Any]) -> Iterator[EventSample]:
        """Yield the events of a window among the records of one partition."""
        state, decoder = PartitionCounts(self.kind), EventDecoder(self.kind, self._index.names)
        before = 0
        for number, (record, value, event) in enumerate(_events(decoder, records)):
            # One event at a time, so that the counter tells for each whether it counts.
            part = SingleEvent(number, record.timestamp, value, record.timestamp_type)
            tally = state.count([part], self._index, self._now_ms)
            late = sum(n for (_, found), n in tally.late_windows.items() if found == start)
            counted = sum(count for (_, found), count in state.cells.items() if found == start)
            if late or counted > before:
                before = counted
                seconds = event_seconds(event, self.kind, record.timestamp)
                yield EventSample(partition, record.offset, seconds, _facts(event))


def _events(decoder: EventDecoder, records: Sequence[Any]) -> Iterator[tuple[Any, bytes, Event]]:
    for record in records:
        for _, value, found in decoder.parts(record.value):
            if not isinstance(found, Rejected):
                yield record, value, found


def _facts(event: Event) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _FACTS:
        value = getattr(event, name, None)
        if value is not None and value != ():
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            found[name] = text if len(text) <= MAX_FACT_CHARS else text[: MAX_FACT_CHARS - 1] + "…"
    return found
