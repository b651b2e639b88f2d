"""Stage 1 of counting: the records of one source partition become partial counts.

A flush sends the partial counts of the changed cells (`cells.py`), and when the broker has
acknowledged them, writes these cells and the partition's progress as one: the last offset counted
and the watermark there. After a crash everything up to the progress is skipped; what is beyond it
is counted again, from the cells and the watermark as they were, so that the second run judges every
event as the first did, and sends the same partial counts. That makes counts exact under any crash
and any replay.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import msgspec

from stream_app.domain.counting.bound_triggers import UNSET, BoundClient, BoundTrigger
from stream_app.domain.counting.cells import CellRow, Cells
from stream_app.domain.counting.exclusions import Exclusion, exclusion_of
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.tally import Tally
from stream_app.domain.counting.windows import CellKey, parse_cell_key
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.batches import STEP_EVENTS, BatchDecoder, Record
from stream_app.domain.events.model import TIME_FIELDS, EventKind
from stream_app.domain.events.parts_decoder import MAX_REFUSED_PARTS, Rejected, bounded
from stream_app.domain.events.time_units import shown_number
from stream_app.domain.events.times import MAX_AHEAD_SECONDS, ahead_error, event_seconds, trusted_ms
from stream_app.domain.state.keys import NEVER, PROGRESS_KEY

#: Most signatures, and values that give them, that are remembered in one partition: a bound on
#: memory, as is that of the values' length. They are what a producer has written.
MATCH_CACHE_SIZE = 20_000
MAX_REMEMBERED_CHARS = 200


#: An event that decodes, and why it cannot be used.
Unusable = tuple[Record, Any, RejectedEventError]


@dataclass(frozen=True)
class CellChanges:
    """What one flush of a partition writes."""

    changed: list[CellRow]
    expired: list[CellKey]
    offset: int
    watermark: int
    #: Largest event time since the last cut, as `_note_newest` knows it.
    newest: int

    @property
    def cells(self) -> list[tuple[CellKey, int]]:
        """Key and count of each changed cell."""
        return [
            ((name, start), count)
            for name, flat in self.changed
            for start, count in zip(flat[::2], flat[1::2], strict=True)
        ]


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
        # That of the cells in memory, while more are restored; and what these bring it to.
        self._base = NEVER
        self._coming = (NEVER, NEVER)
        self._newest = NEVER
        self._decoder = BatchDecoder(kind)
        self._time_of = attrgetter(TIME_FIELDS[kind])
        self._index: TriggerIndex | None = None
        self._clients: dict[int, BoundClient] = {}
        self._remembered = 0
        self._now_ms: int | None = None
        #: Triggers that have counted since the last cut.
        self._running: list[BoundTrigger] = []

    @property
    def cells(self) -> dict[CellKey, int]:
        """The open cells, with all that is counted."""
        for trigger in self._running:
            trigger.settle()
        return {
            (name, start): count
            for name, cells in self._cells.by_trigger.items()
            for start, count in cells.counts.items()
        }

    @property
    def open_cells(self) -> int:
        """How many cells are open."""
        return self._cells.number

    # -- counting

    def count(
        self, records: Sequence[Record], index: TriggerIndex, now_ms: int | None = None
    ) -> Tally:
        """Count the records of one poll, in their order; say what became of their events."""
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
        """Do what `count` does, in steps none of which takes long.

        `now_ms` is the reader's clock: no producer's timestamp is taken for later (`trusted_ms`).
        After a crash it has moved on. An event ahead of it may pass then that did not before; what
        had been counted is counted the same way.

        Until the last one is done the records are not counted: cut nothing before that. What is
        left behind in the midst of them must be rolled back.
        """
        if index is not self._index:
            self._index, self._clients = index, {}
            self._decoder.use(index.names, reads_pools=index.reads_pools)
        if records and records[0].offset <= self.offset:
            fresh = [record for record in records if record.offset > self.offset]
            tally.skipped += len(records) - len(fresh)
            records = fresh
        if not records:
            return
        self._now_ms = now_ms
        is_again = records[0].offset <= self._cells.restored_offset
        unusable: list[Unusable] = []
        for events, refused in self._decoder.decode(records):
            tally.rejected += refused
            pairs = iter(events)
            while self._count(islice(pairs, STEP_EVENTS), tally, unusable, is_again=is_again):
                yield
            yield
        yield from self._reject(unusable, tally)
        self.offset = records[-1].offset

    def _count(  # noqa: C901, PLR0912, PLR0915 - runs for every event: a call costs more than it tidies
        self,
        events: Iterable[tuple[Record, Any]],
        tally: Tally,
        refused: list[Unusable],
        *,
        is_again: bool,
    ) -> bool:
        """Add events to their cells; where some are counted again, not to those that have them.

        Returns:
            Whether there were any.
        """
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
                client.enter_span(seconds)
            in_time: Sequence[BoundTrigger] = matched
            if watermark >= client.expiry:
                in_time = self._in_time(matched, seconds, watermark, tally)
            fresh = self._fresh(in_time, seconds, record.offset) if is_again else in_time
            span = client.span
            for trigger in fresh:
                if trigger.span != span:
                    self._open(trigger, seconds, span)
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
        if excluded:
            tally.exclude(excluded)
        return record is not None

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
            key = trigger.key, seconds - seconds % trigger.period
            if self._cells.ahead.get(key, NEVER) < offset:
                found.append(trigger)
        return found

    def _open(self, trigger: BoundTrigger, seconds: int, span: int) -> None:
        """Have a trigger count in its window at `seconds` for the client's turn."""
        start = seconds - seconds % trigger.period
        cells = trigger.cells
        if start != trigger.start or cells is None:
            trigger.settle()
            cells = trigger.cells = self._cells.of(trigger.key)
            trigger.start = start
        self._cells.open(cells, start)
        if trigger.span == UNSET:
            self._running.append(trigger)
        trigger.span = span

    def _bind(self, client_id: int) -> bool:
        """Put the triggers of a client at hand; tell whether it is configured."""
        triggers = self._index.clients.get(client_id) if self._index is not None else None
        if triggers is None:
            return False
        self._clients[client_id] = BoundClient(triggers)
        return True

    def _reject(self, unusable: Iterable[Unusable], tally: Tally) -> Iterator[None]:
        """Put events that decode, but cannot be used, among the rejected parts."""
        for _, group in groupby(unusable, key=lambda item: item[0].offset):
            items = list(group)
            record = items[0][0]
            found: list[Rejected] = []
            more: list[bytes] = []
            for place in self._decoder.places_of(record.value or b"", [e for _, e, _ in items]):
                if place is None:
                    yield
                    continue
                error = items[len(found) + len(more)][2]
                if len(found) <= MAX_REFUSED_PARTS:
                    found.append(Rejected(*place, error.reason, str(error)))
                else:
                    more.append(place[1])
                if not len(more) % STEP_EVENTS:
                    yield
            tally.rejected += [(record, part) for part in bounded(found, more)]

    # -- flushing

    @property
    def changes(self) -> int:
        """How many cells have changed since the last cut."""
        return self._cells.changes

    def cut(self) -> CellChanges:
        """Take what has changed since the last cut; `confirm` it or `roll_back`.

        Only windows that the acknowledged watermark has passed expire: after a crash the second
        run starts at that watermark, so it cannot count an event into a cell that is gone.
        """
        for trigger in self._running:
            trigger.settle()
            trigger.span = UNSET  # it looks for its cell anew, to note how it was
        self._running = []
        changed, expired = self._cells.cut(self._progress_watermark)
        newest, self._newest = self._newest, NEVER
        return CellChanges(changed, expired, self.offset, self.watermark, newest)

    def confirm(self, cut: CellChanges) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        self._cells.confirm(cut.offset)
        self.progress_offset = self._base = cut.offset
        self._progress_watermark = cut.watermark

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        self._cells.roll_back()
        self._running = []
        self._clients, self._newest = {}, NEVER
        self.offset, self.watermark = self.progress_offset, self._progress_watermark

    # -- the changelog

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    @property
    def version(self) -> int:
        """The source offset that the acknowledged cells are as of."""
        return self.progress_offset

    @property
    def newest_version(self) -> int:
        """The largest offset that is in any cell: that of an unfinished flush may be larger."""
        return max(self.progress_offset, self._coming[0], *self._cells.ahead.values(), NEVER)

    @property
    def can_be_packed(self) -> bool:
        """Tell whether all cells are as of the progress: no older version's flush is unfinished."""
        return not self._cells.ahead

    def rows(self, cut: CellChanges) -> list[bytes]:
        """Return the changes of a cut as they stand in the changelog, in parts of a bounded size.

        Each says the watermark, too: it belongs to the progress.
        """
        return [_encode_rows((cut.watermark, part)) for part in _parts(cut.changed)]

    def progress_rows(self) -> bytes:
        """Return rows that hold nothing but the acknowledged progress."""
        return _encode_rows((self._progress_watermark, ()))

    def snapshot(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield all acknowledged cells in slices of about `size`, each with its version.

        Events may be counted and flushed between two slices.
        """
        for rows in self._cells.acknowledged(size):
            yield self.progress_offset, _encode_rows((self._progress_watermark, rows))

    def apply(self, version: int, rows: bytes) -> None:
        """Take a part of the changelog, or of a snapshot; `restored` ends them."""
        if not rows:
            return
        watermark, changed = _decode_rows(rows)
        for name, flat in changed:
            self._cells.put(name, flat, version)
        self._coming = max(self._coming, (version, watermark))

    def restore(self, key: bytes, value: bytes | None) -> bool:
        """Take a record of an older version; False: it is none.

        Of two of a key the one with the larger offset holds: an older record behind a newer one
        was written by a worker that had lost its partition without knowing.
        """
        if key == PROGRESS_KEY:
            if value is not None:
                self._coming = max(self._coming, _decode_progress(value))
            return True
        try:
            cell_key = parse_cell_key(key)
        except ValueError:
            return False
        if value is None:
            self._cells.forget(cell_key)
        else:
            count, offset = _decode_cell(value)
            self._cells.restore(cell_key, count, offset, self._base)
        return True

    def restored(self) -> None:
        """Note that the changelog has been read to its end."""
        if self._coming[0] > self.progress_offset:
            self.progress_offset, self._progress_watermark = self._coming
            self.offset, self.watermark = self._coming
        self._base = self.progress_offset
        self._cells.restored(self.progress_offset, self._progress_watermark)


#: Cells in one part of a flush's changes: its record stays far below what a broker takes.
PART_CELLS = 20_000

_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(tuple[int, list[CellRow]]).decode
_decode_cell = msgspec.json.Decoder(tuple[int, int]).decode
_decode_progress = msgspec.json.Decoder(tuple[int, int]).decode


def _parts(changed: list[CellRow]) -> Iterator[list[CellRow]]:
    """Yield rows in parts of at most `PART_CELLS`; at least one."""
    part: list[CellRow] = []
    room = PART_CELLS
    for name, flat in changed:
        numbers = flat
        while len(numbers) // 2 > room:
            part.append((name, numbers[: 2 * room]))
            numbers = numbers[2 * room :]
            yield part
            part, room = [], PART_CELLS
        part.append((name, numbers))
        room -= len(numbers) // 2
    yield part


@functools.lru_cache(maxsize=100)
def _unknown_client(client_id: int) -> RejectedEventError:
    return RejectedEventError(
        DeadLetterReason.UNKNOWN_CLIENT,
        f"client {shown_number(client_id)} is not in config.clients",
    )
