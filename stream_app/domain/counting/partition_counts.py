"""Stage 1 of counting: the records of one source partition become partial counts.

A flush sends the partial counts of the changed cells (`cells.py`). When the broker has acknowledged
them, it writes these cells together with the partition's progress: the last offset counted, and the
watermark there. After a crash the events up to the progress are skipped. The later ones are counted
again, from the same cells and the same watermark, so the second run gives the same partial counts.
That keeps counts exact under any crash and any replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from stream_app.domain.counting.bound_triggers import UNSET, BoundClient, BoundTrigger
from stream_app.domain.counting.exclusions import Exclusion, exclusion_of
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.stored_counts import CellChanges, StoredCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.counting.unusable_events import Unusable, reject, unknown_client
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events.batches import STEP_EVENTS, BatchDecoder, Record
from stream_app.domain.events.model import TIME_FIELDS, EventKind
from stream_app.domain.events.times import MAX_AHEAD_SECONDS, ahead_error, event_seconds, trusted_ms
from stream_app.domain.state.keys import NEVER

#: Most signatures and cache keys that a partition caches, and the longest such key. Producers
#: decide how many there are, so memory needs a bound.
MATCH_CACHE_SIZE = 20_000
MAX_CACHED_KEY_CHARS = 200


class PartitionCounts(StoredCounts):
    """The cells, the watermark and the progress of one source partition."""

    def __init__(self, kind: EventKind) -> None:
        super().__init__()
        self.kind = kind
        self._newest = NEVER
        self._decoder = BatchDecoder(kind)
        self._time_of = attrgetter(TIME_FIELDS[kind])
        self._index: TriggerIndex | None = None
        self._clients: dict[int, BoundClient] = {}
        self._cached = 0
        self._now_ms: int | None = None
        #: Triggers that have counted since the last cut.
        self._running: list[BoundTrigger] = []

    @property
    def cells(self) -> dict[CellKey, int]:
        """The open cells, with all that is counted."""
        for trigger in self._running:
            trigger.add_pending()
        return {
            (name, start): count
            for name, cells in self._cells.by_trigger.items()
            for start, count in cells.counts.items()
        }

    # -- counting

    def count(
        self, records: Sequence[Record], index: TriggerIndex, now_ms: int | None = None
    ) -> Tally:
        """Count the records of one poll, in their order. Return the results of their events."""
        tally = Tally()
        for _ in self.count_in_steps(records, index, tally, now_ms):
            pass
        return tally

    def count_in_steps(
        self,
        records: Sequence[Record],
        index: TriggerIndex,
        tally: Tally,
        now_ms: int | None = None,
    ) -> Iterator[None]:
        """Count as `count` does, in short steps.

        `now_ms` is the reader's clock. A producer's timestamp is never taken for a later time
        (`trusted_ms`). After a crash the clock has moved on, so an event that was refused as ahead
        of it may be counted. Events that had been counted are counted the same way.

        Do not cut before the last step: until then the records count as unread. If the steps are
        not finished, roll back.
        """
        if index is not self._index:
            self._index, self._clients = index, {}
            self._decoder.use_names(index.names, reads_pools=index.reads_pools)
        if records and records[0].offset <= self.offset:
            fresh = [record for record in records if record.offset > self.offset]
            tally.skipped += len(records) - len(fresh)
            records = fresh
        if not records:
            return
        self._now_ms = now_ms
        unusable: list[Unusable] = []
        for events, refused in self._decoder.decode(records):
            tally.rejected += refused
            pairs = iter(events)
            while self._count(islice(pairs, STEP_EVENTS), tally, unusable):
                yield
            yield
        yield from reject(unusable, self._decoder, tally)
        self.offset = records[-1].offset

    def _count(  # noqa: C901, PLR0912, PLR0915 - runs for every event: a call costs more than it tidies
        self,
        events: Iterable[tuple[Record, Any]],
        tally: Tally,
        refused: list[Unusable],
    ) -> bool:
        """Add events to their cells, and return whether there were any."""
        clients, time_of = self._clients, self._time_of
        watermark = self.watermark
        counted = unmatched = 0
        excluded: list[Exclusion] = []
        timestamp: int | None = None
        latest = trusted = 0
        seconds: Any = NEVER
        record: Record | None = None
        for record, event in events:
            try:
                client = clients[event.client_id]
            except KeyError:
                if not self._bind(event.client_id):
                    refused.append((record, event, unknown_client(event.client_id)))
                    continue
                client = clients[event.client_id]
            seconds = time_of(event)
            if seconds.__class__ is not int:
                try:
                    seconds = event_seconds(event, self.kind, record.timestamp)
                except RejectedEventError as error:
                    refused.append((record, event, error))
                    continue
            if record.timestamp != timestamp:
                # Records that a broker appended together share a timestamp.
                timestamp = record.timestamp
                trusted = trusted_ms(record, self._now_ms)
                latest = trusted // 1000 + MAX_AHEAD_SECONDS
            if seconds > latest:
                refused.append((record, event, ahead_error(seconds, timestamp, trusted)))
                continue
            if seconds > watermark:  # noqa: PLR1730 - a call of max() takes three times as long
                watermark = seconds
            # What is not counted is one of these; `exclusion_of` has the rule.
            if event.experimental or not event.sampled or event.state:
                exclusion = exclusion_of(event)
                if exclusion is not None:
                    excluded.append(exclusion)
                    continue
            try:
                signature = client.cached_parts[client.cache_key(event)]
            except KeyError:
                signature = self._cacheable_part(client, event)
            for lookup in client.lookups:
                signature |= lookup(event)
            try:
                matched = client.matches[signature]
            except KeyError:
                matched = self._match(client, signature)
            if not matched:
                unmatched += 1
                continue
            if not client.first <= seconds < client.end:
                client.enter_span(seconds)
            in_time: Sequence[BoundTrigger] = matched
            if watermark >= client.expiry:
                in_time = self._in_time(matched, seconds, watermark, tally)
            span = client.span
            for trigger in in_time:
                if trigger.span != span:
                    self._open(trigger, seconds, span)
                trigger.pending += 1
            if in_time:
                counted += 1
            else:
                tally.late += 1
        self._note_newest(watermark, seconds)
        self.watermark = watermark
        tally.counted += counted
        tally.unmatched += unmatched
        if excluded:
            tally.exclude(excluded)
        return record is not None

    def _note_newest(self, watermark: int, last: Any) -> None:
        """Note the largest event time of a batch, at no cost per event.

        If the batch has moved the watermark, it is the watermark. Else the time of the `last` event
        stands for all: the watermark may come from an event that is minutes ahead, and would hide
        how late these are.
        """
        if watermark > self.watermark:
            last = watermark
        # A refused event has no time, or one ahead of the watermark.
        if isinstance(last, int) and self._newest < last <= watermark:
            self._newest = last

    def _cacheable_part(self, client: BoundClient, event: Any) -> int:
        """Find the cacheable part of a signature, and cache it."""
        key, found = client.cache_key(event), client.triggers.cacheable_part(event)
        if len(repr(key)) <= MAX_CACHED_KEY_CHARS:
            self._make_room()
            client.cached_parts[key] = found
        return found

    def _match(self, client: BoundClient, signature: int) -> tuple[BoundTrigger, ...]:
        """Find the triggers that count events of a signature, and cache them."""
        self._make_room()
        matched = client.matches[signature] = client.match(signature)
        return matched

    def _make_room(self) -> None:
        """Clear the caches when they hold too much."""
        self._cached += 1
        if self._cached > MATCH_CACHE_SIZE:
            for known in self._clients.values():
                known.cached_parts.clear()
                known.matches.clear()
            self._cached = 1

    @staticmethod
    def _in_time(
        matched: Sequence[BoundTrigger], seconds: int, watermark: int, tally: Tally
    ) -> Sequence[BoundTrigger]:
        """Leave out the triggers whose windows take no more events of the time `seconds`."""
        found = []
        for trigger in matched:
            start = seconds - seconds % trigger.period
            if not trigger.keep:
                tally.pulses += 1
                found.append(trigger)
            elif start + trigger.keep <= watermark:
                tally.late_windows[trigger.key, start] += 1
            else:
                found.append(trigger)
        return found

    def _open(self, trigger: BoundTrigger, seconds: int, span: int) -> None:
        """Open the trigger's window at `seconds` for the client's current span."""
        start = seconds - seconds % trigger.period
        cells = trigger.cells
        if start != trigger.start or cells is None:
            trigger.add_pending()
            cells = trigger.cells = self._cells.cells_of(trigger.key)
            trigger.start = start
        self._cells.open(cells, start)
        if trigger.span == UNSET:
            self._running.append(trigger)
        trigger.span = span

    def _bind(self, client_id: int) -> bool:
        """Bind the triggers of a client; return whether the client is configured."""
        triggers = self._index.clients.get(client_id) if self._index is not None else None
        if triggers is None:
            return False
        self._clients[client_id] = BoundClient(triggers)
        return True

    # -- flushing

    def cut(self) -> CellChanges:
        """Take what has changed since the last cut; `confirm` it or `roll_back`.

        Only windows that the acknowledged watermark has passed expire: after a crash the second
        run starts at that watermark, so it cannot count an event into a cell that is gone.
        """
        for trigger in self._running:
            trigger.add_pending()
            trigger.span = UNSET  # so that it opens its cell again, which notes the count
        self._running = []
        changed, expired = self._cells.cut(self._progress_watermark)
        newest, self._newest = self._newest, NEVER
        return CellChanges(changed, expired, self.offset, self.watermark, newest)

    def roll_back(self) -> None:
        """Undo all changes that are not acknowledged."""
        self._cells.roll_back()
        self._running = []
        self._clients, self._newest = {}, NEVER
        self.offset, self.watermark = self.progress_offset, self._progress_watermark
