"""`stream-app dlq list`: which dead letters there are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from stream_app.cli.dlq.selection import (
    dead_letter_topics,
    envelope,
    selecting,
    selection_of,
)
from stream_app.cli.output import (
    print_block,
    print_json,
    print_line,
    print_table,
    say,
    terminal_width,
)
from stream_app.cli.parameters import start_command
from stream_app.domain.dead_letters.dead_letter import DeadLetter, Place
from stream_app.domain.dead_letters.dead_letter_index import DISMISSED, DeadLetterIndex
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.admin import partition_leaders
from stream_app.kafka.dead_letters.reading import DeadLetterLog
from stream_app.settings import Settings

_COLUMNS = ("PLACE", "WHEN", "REASON", "ATTEMPT", "FROM", "INTEGRATION", "DONE", "MESSAGE")
_WHEN_WIDTH, _REASON_WIDTH, _NUMBER_WIDTH = 20, 20, 11
#: Width of all columns but the two places, with a message that can be read.
_OTHERS_WIDTH = 110


@click.command("list", epilog="Example: stream-app dlq list deliveries --integration 521 --from 2h")
@selecting
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Only the newest N.")
@click.option("--done", is_flag=True, help="Also those that were redriven or dismissed.")
@click.option("--summary", is_flag=True, help="Only how many there are, by topic and reason.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print each as JSON, one per line, as `kcat -J` does."
)
def list_(
    topics: tuple[str, ...],
    *,
    limit: int | None,
    done: bool,
    summary: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List dead letters, the newest last.

    TOPIC is the topic they failed on, such as `deliveries` or `events.hits`; without one, all are
    listed. PLACE is the position of a dead letter (`stream-app dlq show PLACE`), FROM that of the
    record it was made from.
    """
    settings = start_command()
    index = DeadLetterIndex(selection_of(**filters))
    named = dead_letter_topics(settings, topics)
    view = _Json(settings, named, with_done=done) if as_json else _Table(with_done=done)
    found = asyncio.run(
        _list(settings, named, index, None if summary else view, limit, with_done=done)
    )
    counts = [(topic, reason, number) for (topic, reason), number in sorted(found.items())]
    if summary and as_json:
        for topic, reason, number in counts:
            print_json({"topic": topic, "reason": reason, "count": number})
    elif summary and counts:
        print_table(("TOPIC", "REASON", "LETTERS"), counts)
    elif not summary:
        for topic, reason, number in counts:
            say(f"{topic}: {number} {reason}")
    if not counts:
        say("no dead letters")


async def _list(
    settings: Settings,
    topics: Sequence[str],
    index: DeadLetterIndex,
    view: _Table | _Json | None,
    limit: int | None,
    *,
    with_done: bool,
) -> Mapping[tuple[str, str], int]:
    """Print the selected dead letters; return their numbers by topic and reason."""
    async with DeadLetterLog(settings, topics) as log:
        await log.survey(index)
        if not with_done:
            index.drop_done()
        counts = index.summary()
        if limit is not None:
            index.keep_only(limit, newest=True)
        if view is None or not len(index):
            return counts
        await view.begin(index)
        async for letter in log.read(index.offsets()):
            view.row(letter, _done(index, letter.place))
    return counts


def _done(index: DeadLetterIndex, place: Place) -> str:
    """Return what became of a dead letter; empty: it is open."""
    if index.is_dismissed(place):
        return DISMISSED
    return "" if index.redriven_to(place) is None else "redriven"


class _Table:
    """Prints one dead letter a line as it comes: a usual table would have to hold all of them."""

    def __init__(self, *, with_done: bool) -> None:
        self._with_done = with_done
        self._place_width = 0
        #: The width of a terminal that is too narrow for lines: blocks are printed instead.
        self._narrow: int | None = None

    async def begin(self, index: DeadLetterIndex) -> None:
        """Print the head, with a column as wide as the longest place."""
        longest = (len(str(Place(*log, offsets[-1]))) for log, offsets in index.offsets().items())
        self._place_width = max(longest)
        width = terminal_width()
        if width is not None and width < 2 * self._place_width + _OTHERS_WIDTH:
            self._narrow = width
        else:
            self._print(*_COLUMNS)

    def row(self, letter: DeadLetter, done: str) -> None:
        """Print a dead letter; `done` says what became of it."""
        event = "" if letter.event_index is None else f"[{letter.event_index}]"
        self._print(
            str(letter.place),
            iso_utc(letter.timestamp_ms),
            letter.reason,
            str(letter.attempt),
            f"{letter.original or '?'}{event}",
            ",".join(map(str, letter.integration_ids)),
            done,
            letter.message,
        )

    def _print(self, place: str, when: str, reason: str, attempt: str, source: str,
               integration: str, done: str, message: str) -> None:  # fmt: skip
        if self._narrow is not None:
            cells = (place, when, reason, attempt, source, integration, done, message)
            print_block(_COLUMNS, cells, self._narrow)
            return
        width = self._place_width
        reason, source = printable(reason), printable(source)
        line = [
            place.ljust(width),
            when.ljust(_WHEN_WIDTH),
            reason.ljust(_REASON_WIDTH),
            attempt.rjust(len("ATTEMPT")),
            source.ljust(width),
            integration.ljust(_NUMBER_WIDTH),
            *([done.ljust(len(DISMISSED))] if self._with_done else []),
            message,
        ]
        print_line("  ".join(line))


class _Json:
    """Prints JSON Lines in the form of `kcat -J`; `with_done` adds what became of each."""

    def __init__(self, settings: Settings, topics: Sequence[str], *, with_done: bool) -> None:
        self._settings = settings
        self._topics = topics
        self._with_done = with_done
        self._leaders: Mapping[tuple[str, int], int] = {}

    async def begin(self, _index: DeadLetterIndex) -> None:
        """Find out which broker leads each partition."""
        self._leaders = await partition_leaders(self._settings, self._topics)

    def row(self, letter: DeadLetter, done: str) -> None:
        """Print a dead letter; `done` says what became of it."""
        shown = envelope(letter, self._leaders.get(letter.place.log, -1))
        more = {"redriven": done == "redriven", "dismissed": done == DISMISSED}
        print_json(shown | more if self._with_done else shown)
