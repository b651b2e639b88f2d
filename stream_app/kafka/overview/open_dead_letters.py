"""The dead letters that nobody has redriven or dismissed, up to a bound; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.kafka.dead_letters.reading import index_record, sources_of
from stream_app.kafka.history.newest_records import Reach, ReportRead, read_newest

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: Most records that are read. Each partition has its share, so that a flood of bad events leaves
#: those of `deliveries` in sight.
MOST_DEAD_LETTERS = 50_000


async def read_open_dead_letters(
    settings: Settings,
    topics: Sequence[str],
    selection: Selection = Selection(),  # noqa: B008 - immutable
    progress: ReportRead = lambda _read, _all: None,
) -> tuple[DeadLetterIndex, Reach]:
    """Return the newest open dead letters of topics; what a crash has written twice counts once.

    Args:
        settings: those of the installation.
        topics: full names of existing dead-letter topics.
        selection: of the dead letters.
        progress: called now and then.
    """
    index, sources = DeadLetterIndex(selection), sources_of(settings)
    reach = await read_newest(
        settings,
        topics,
        lambda record: index_record(index, record, sources),
        most=MOST_DEAD_LETTERS,
        progress=progress,
    )
    index.share_targets()
    index.drop_done()
    index.drop_repeats()
    return index, reach
