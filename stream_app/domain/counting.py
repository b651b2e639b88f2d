"""Stage 1 of counting: the records of one source partition become partial counts.

A flush writes the changed cells (`cells.py`), and when the broker has acknowledged them, the
partition's progress: the last offset counted and the watermark there. After a crash everything up
to the progress is skipped at once; beyond it each cell skips by its own offset, and the watermark
goes on from where it was, so that the second run judges every event as the first did. That makes
counts exact under any crash and any replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import orjson

from stream_app.domain.bound_triggers import UNSET, BoundClient, BoundTrigger
from stream_app.domain.cells import Cell, Cells
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.event_batches import BatchDecoder, Record
from stream_app.domain.event_times import ahead_error, event_seconds
from stream_app.domain.events import TIME_FIELDS, EventKind, Rejected, bounded
from stream_app.domain.matching import TriggerIndex
from stream_app.domain.state_keys import NEVER, PROGRESS_KEY, CellKey, parse_cell_key
from stream_app.domain.windows import MAX_AHEAD_SECONDS

#: Most signatures, and values that give them, that are remembered in one partition: a bound on
#: memory, as is that of the values' length. They are what a producer has written.
MATCH_CACHE_SIZE = 20_000
MAX_REMEMBERED_CHARS = 200


@dataclass
class Tally:
    """What became of the events of a call, for the metrics."""

    counted: int = 0
    unmatched: int = 0
    experimental: int = 0
    unsampled: int = 0
    false_positive: int = 0
    late: int = 0
    skipped: int = 0
    rejected: list[tuple[Any, Rejected]] = field(default_factory=list)
    #: How many events came late for each window.
    late_windows: Counter[CellKey] = field(default_factory=Counter)


@dataclass(frozen=True)
class Cut:
    """What one flush of a partition writes, in this order: cells and expiries, then progress."""

    cells: list[tuple[CellKey, int, int]]
    expired: list[CellKey]
    offset: int
    watermark: int
    #: Largest event time since the last cut, as `_note_newest` knows it.
    newest: int


class PartitionCounts:
    """The cells, the watermark and the progress of one source partition."""

    def __init__(self, kind: EventKind) -> None:
        self.kind = kind
        self._cells = Cells()
        #: Largest event time seen (Unix seconds), and the last offset counted.
        self.watermark = NEVER
        self.offset = NEVER
        #: The same as of the last flush that the broker acknowledged.
        self.progress_offset = NEVER
        self._progress_watermark = NEVER
        self._newest = NEVER
        self._decoder = BatchDecoder(kind)
        self._time_of = attrgetter(TIME_FIELDS[kind])
        self._index: TriggerIndex | None = None
        self._clients: dict[int, BoundClient] = {}
        self._remembered = 0
        #: Triggers that have counted since the last cut.
        self._running: list[BoundTrigger] = []

    @property
    def cells(self) -> dict[CellKey, Cell]:
        """The open cells, with all that is counted."""
        for trigger in self._running:
            trigger.settle()
        return self._cells.open

    # -- counting

    def add(self, records: Sequence[Record], index: TriggerIndex) -> Tally:
        """Count the records of one poll, in their order; say what became of their events."""
        tally = Tally()
        if index is not self._index:
            self._index, self._clients = index, {}
            self._decoder.use(index.names, reads_pools=index.reads_pools)
        if records and records[0].offset <= self.offset:
            fresh = [record for record in records if record.offset > self.offset]
            tally.skipped += len(records) - len(fresh)
            records = fresh
        if records:
            events, refused = self._decoder.decode(records)
            tally.rejected += refused
            is_again = records[0].offset <= self._cells.restored_offset
            self._count(events, tally, is_again=is_again)
            self.offset = records[-1].offset
        return tally

    def _count(  # noqa: C901, PLR0912, PLR0915 - runs for every event: a call costs more than it tidies
        self, events: Iterable[tuple[Record, Any]], tally: Tally, *, is_again: bool
    ) -> None:
        """Add events to their cells; where some are counted again, not to those that have them."""
        clients, time_of = self._clients, self._time_of
        watermark = self.watermark
        counted = unmatched = 0
        timestamp: int | None = None
        latest = 0
        seconds: Any = NEVER
        refused: list[tuple[Record, Any, RejectedEventError]] = []
        for record, event in events:
            try:
                client = clients[event.client_id]
            except KeyError:
                if not self._bind(event.client_id):
                    refused.append((record, event, _unknown_client(event.client_id)))
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
                # The records that a broker has appended at once have one timestamp.
                timestamp = record.timestamp
                latest = timestamp // 1000 + MAX_AHEAD_SECONDS
            if seconds > latest:
                refused.append((record, event, ahead_error(seconds, record.timestamp)))
                continue
            if seconds > watermark:  # noqa: PLR1730 - a call of max() takes three times as long
                watermark = seconds
            if event.experimental:
                tally.experimental += 1
                continue
            if event.sampled is False:
                tally.unsampled += 1
                continue
            if event.state == "falsepositive":
                tally.false_positive += 1
                continue
            try:
                signature = client.few[client.values(event)]
            except KeyError:
                signature = self._few(client, event)
            for look in client.looks:
                signature |= look(event)
            try:
                matched = client.matches[signature]
            except KeyError:
                matched = self._match(client, signature)
            if not matched:
                unmatched += 1
                continue
            if not client.first <= seconds < client.end:
                client.turn_to(seconds)
            in_time: Sequence[BoundTrigger] = matched
            if watermark >= client.expiry:
                in_time = self._in_time(matched, seconds, watermark, tally)
            fresh = self._fresh(in_time, seconds, record.offset) if is_again else in_time
            turn = client.turn
            for trigger in fresh:
                if trigger.turn != turn:
                    self._open(trigger, seconds, turn)
                trigger.pending += 1
            if fresh:
                counted += 1
            elif len(in_time) < len(matched):
                tally.late += 1
            else:
                tally.skipped += 1
        self._note_newest(watermark, seconds)
        self.watermark = watermark
        tally.counted += counted
        tally.unmatched += unmatched
        self._reject(refused, tally)

    def _note_newest(self, watermark: int, last: Any) -> None:
        """Note the largest event time of a batch, at no cost for each event.

        Where the batch has moved the watermark, it is that. Else the `last` event stands for all:
        the watermark may be that of an event minutes ahead, and would hide how late they come.
        """
        if watermark > self.watermark:
            last = watermark
        # That of an event that was refused is no time, or is ahead of the watermark.
        if isinstance(last, int) and self._newest < last <= watermark:
            self._newest = last

    def _few(self, client: BoundClient, event: Any) -> int:
        """Return the signature's part of the fields with few values, and keep it."""
        values, found = client.values(event), client.triggers.few(event)
        if len(repr(values)) <= MAX_REMEMBERED_CHARS:
            self._make_room()
            client.few[values] = found
        return found

    def _match(self, client: BoundClient, signature: int) -> tuple[BoundTrigger, ...]:
        """Find out which triggers count events of this signature, and keep the answer."""
        self._make_room()
        matched = client.matches[signature] = client.match(signature)
        return matched

    def _make_room(self) -> None:
        """Forget all that is remembered of events when it is too much."""
        self._remembered += 1
        if self._remembered > MATCH_CACHE_SIZE:
            for known in self._clients.values():
                known.few.clear()
                known.matches.clear()
            self._remembered = 1

    @staticmethod
    def _in_time(
        matched: Sequence[BoundTrigger], seconds: int, watermark: int, tally: Tally
    ) -> Sequence[BoundTrigger]:
        """Leave out the triggers whose windows take no more events of the time `seconds`."""
        found = []
        for trigger in matched:
            start = seconds - seconds % trigger.period
            if start + trigger.keep <= watermark:
                tally.late_windows[trigger.key, start] += 1
            else:
                found.append(trigger)
        return found

    def _fresh(
        self, in_time: Sequence[BoundTrigger], seconds: int, offset: int
    ) -> Sequence[BoundTrigger]:
        """Leave out the triggers whose cells have counted the event before a crash."""
        found = []
        for trigger in in_time:
            cell = self._cells.open.get((trigger.key, seconds - seconds % trigger.period))
            if cell is None or cell[1] < offset:
                found.append(trigger)
        return found

    def _open(self, trigger: BoundTrigger, seconds: int, turn: int) -> None:
        """Have a trigger count in its window at `seconds` for the client's turn."""
        start = seconds - seconds % trigger.period
        if start != trigger.start or not trigger.cell:
            trigger.settle()
            trigger.cell = self._cells.at((trigger.key, start), start + trigger.keep)
            trigger.start = start
        self._cells.will_change((trigger.key, start), trigger.cell)
        if trigger.turn == UNSET:
            self._running.append(trigger)
        trigger.turn = turn

    def _bind(self, client_id: int) -> bool:
        """Put the triggers of a client at hand; tell whether it is configured."""
        triggers = self._index.clients.get(client_id) if self._index is not None else None
        if triggers is None:
            return False
        self._clients[client_id] = BoundClient(triggers)
        return True

    def _reject(
        self, refused: Iterable[tuple[Record, Any, RejectedEventError]], tally: Tally
    ) -> None:
        """Put events that decode, but cannot be used, among the rejected parts."""
        for _, group in groupby(refused, key=lambda item: item[0].offset):
            items = list(group)
            value = items[0][0].value or b""
            places = self._decoder.places_of(value, [event for _, event, _ in items])
            found = [
                Rejected(index, part, error.reason, str(error))
                for (_, _, error), (index, part) in zip(items, places, strict=True)
            ]
            tally.rejected += [(items[0][0], part) for part in bounded(found)]

    # -- flushing

    @property
    def changes(self) -> int:
        """How many cells have changed since the last cut."""
        return self._cells.changes

    def cut(self) -> Cut:
        """Take what has changed since the last cut; `confirm` it or `roll_back`.

        Only windows that the acknowledged watermark has passed expire: after a crash the second
        run starts at that watermark, so it cannot count an event into a cell that is gone.
        """
        for trigger in self._running:
            trigger.settle()
            trigger.turn = UNSET  # it looks for its cell anew, to note how it was
        self._running = []
        changed, expired = self._cells.cut(self.offset, self._progress_watermark)
        newest, self._newest = self._newest, NEVER
        return Cut(changed, expired, self.offset, self.watermark, newest)

    def confirm(self, cut: Cut) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        self._cells.confirm()
        self.progress_offset, self._progress_watermark = cut.offset, cut.watermark

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        self._cells.roll_back()
        self._running = []
        self._clients, self._newest = {}, NEVER
        self.offset, self.watermark = self.progress_offset, self._progress_watermark

    def rewrite(self) -> None:
        """Write all cells once more with the next flush."""
        self._cells.rewrite()

    # -- the changelog

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog; of two of a key the one with the larger offset holds.

        An older record behind a newer one was written by a worker that had lost its partition
        without knowing. The newer one is then written again with the next flush.
        """
        if key == PROGRESS_KEY:
            if value is not None:
                offset, watermark = orjson.loads(value)
                if offset >= self.progress_offset:
                    self.progress_offset = self.offset = offset
                    self._progress_watermark = self.watermark = watermark
            return
        cell_key = parse_cell_key(key)
        if value is None:
            self._cells.forget(cell_key)
        else:
            count, offset = orjson.loads(value)
            self._cells.restore(cell_key, count, offset)

    def restored(self) -> None:
        """Write the cells of an unfinished flush once more with the next one.

        Such a flush may have ended between a cell and its partial count for stage 2.
        """
        self._cells.rewrite(beyond=self.progress_offset)


def _unknown_client(client_id: int) -> RejectedEventError:
    return RejectedEventError(
        DeadLetterReason.UNKNOWN_CLIENT, f"client {client_id} is not in config.clients"
    )
