"""The dead letters that the workers have made of one record."""

from __future__ import annotations

from typing import Any

from stream_app.domain.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Place
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.explanation.places import EventLetter
from stream_app.domain.reports.delivery_history import DeadLetterNote
from stream_app.kafka.dead_letters.reading import (
    dead_letter_of,
    index_record,
    is_mark,
    sources_of,
)
from stream_app.kafka.history.newest_records import ReportRead, read_newest
from stream_app.settings import Settings

#: Most dead letters of a topic that are read.
MOST = 500_000
#: How far the clocks of a broker and a worker may be apart.
SKEW_MS = 300_000


async def read_letters(
    settings: Settings, origin: Place, since_ms: int | None, report: ReportRead
) -> tuple[list[EventLetter], int | None]:
    """Return the dead letters of a record, each once, and where reading stopped early (Unix ms).

    Args:
        settings: those of the installation.
        origin: the record's place, or where its unreadable batch begins.
        since_ms: the record's time, Unix ms; None: it is not known.
        report: called with the progress of the read.
    """
    index, found = DeadLetterIndex(Selection()), list[DeadLetter]()
    sources = sources_of(settings)

    def take(record: Any) -> None:
        if is_mark(record):
            index_record(index, record, sources)
            return
        letter = dead_letter_of(record, DeadLetterKind.EVENT)
        if letter.original == origin:
            index.add_if_selected(letter)
            found.append(letter)

    reach = await read_newest(
        settings,
        [f"{origin.topic}.dlq"],
        take,
        most=MOST,
        since_ms=None if since_ms is None else max(0, since_ms - SKEW_MS),
        progress=report,
    )
    index.share_targets()
    index.drop_repeats()
    letters = [
        EventLetter(
            DeadLetterNote(
                letter.place,
                letter.timestamp_ms,
                letter.reason,
                index.redriven_to(letter.place),
                is_dismissed=index.is_dismissed(letter.place),
            ),
            letter.event_index,
            letter.message,
        )
        for letter in found
        if letter.place.offset in index.entries.get(letter.place.log, ())
    ]
    return letters, reach.cut_ms
