"""What lies at a place of a topic, and the answer where that is no record to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.explanation.answers import letter_done
from stream_app.domain.reports.delivery_history import DeadLetterNote


class PlaceState(StrEnum):
    """What an offset holds; a closed list."""

    RECORD = "record"
    #: It lies behind the end of its partition.
    NOT_WRITTEN = "not_written"
    #: A transaction that is still open hides it.
    WITHHELD = "withheld"
    #: Its transaction was aborted: the record does not exist for anybody.
    ABORTED = "aborted"
    #: Only a marker of a transaction, or compaction has removed it.
    NO_RECORD = "no_record"
    #: Removed by retention, or by hand.
    REMOVED = "removed"
    UNREADABLE = "unreadable_batch"


@dataclass(frozen=True)
class PlacedRecord:
    """What was found at a place.

    `start` and `end` are the offsets that the partition has; `next_offset` is the one that the
    detector reads next (None: it has read nothing yet), and `workers` how many detectors run.
    `record` is a record or, if it cannot be read, its batch. `hint` is what to do, if anything.
    """

    place: Place
    state: PlaceState
    start: int
    end: int
    next_offset: int | None
    workers: int
    record: Any = None
    hint: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the detector has read the place."""
        return self.next_offset is not None and self.next_offset > self.place.offset

    @property
    def lag(self) -> int:
        """How many records the detector reads before it has read the place."""
        return self.place.offset + 1 - max(self.start, self.next_offset or 0)


class EventLetter(NamedTuple):
    """A dead letter, and the place in the record of the event that it holds (None: all of it)."""

    note: DeadLetterNote
    event_index: int | None
    message: str


@dataclass
class PlaceAnswer:
    """The answer in one sentence, details as (label, text), and commands that go on from it."""

    answer: str
    details: list[tuple[str, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def answer_for_place(placed: PlacedRecord, letters: Sequence[EventLetter]) -> PlaceAnswer:
    """Return the answer for a place that holds no record which could be explained."""
    found = _without_letters(placed)
    for note in (letter.note for letter in letters):
        found.details.append(("dead", f"{note.place}: {note.reason}{letter_done(note)}"))
        found.steps = [f"stream-app dlq show {note.place}"]
    return found


def _without_letters(placed: PlacedRecord) -> PlaceAnswer:
    where = f"partition {placed.place.partition} of {placed.place.topic}"
    offset = f"offset {placed.place.offset}"
    match placed.state:
        case PlaceState.NOT_WRITTEN:
            return PlaceAnswer(
                f"No such record: {where} ends before offset {placed.end}, and {offset} is asked "
                "for"
            )
        case PlaceState.REMOVED:
            read = "has read it" if placed.is_read else "never read it: its events were lost"
            return PlaceAnswer(
                f"Not known any more: {where} begins at offset {placed.start}, so {offset} was "
                "removed by retention",
                [("detector", read)],
                ["stream-app alerts list --from 7d" if placed.is_read else "stream-app status"],
            )
        case PlaceState.WITHHELD:
            return PlaceAnswer(
                f"No alert yet: an open transaction withholds {offset} of {where}",
                [("to do", placed.hint)],
                ["stream-app status"],
            )
        case PlaceState.ABORTED:
            return PlaceAnswer(
                f"No alert: the transaction that wrote {offset} of {where} was aborted, so the "
                "record counts for nobody"
            )
        case PlaceState.UNREADABLE:
            error = placed.record.error
            return PlaceAnswer(
                f"No alert: the batch with {offset} of {where} cannot be unpacked: {error}"
            )
        case _:
            return PlaceAnswer(
                f"No record: {offset} of {where} holds only the mark of a transaction, or its "
                "record was compacted away"
            )
