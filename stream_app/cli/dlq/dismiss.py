"""`stream-app dlq dismiss`: put dead letters aside that nobody wants to be sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from stream_app.cli.dlq.selection import all_option, check_places, meant, place_option, selecting
from stream_app.cli.output import print_json, print_table, say
from stream_app.cli.parameters import end_undone, start_command, yes_option
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex
from stream_app.kafka.dead_letters.reading import DeadLetterLog
from stream_app.kafka.dead_letters.redrive import Redriver, in_batches
from stream_app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@click.command(epilog="Example: stream-app dlq dismiss events.hits --reason undecodable --yes")
@selecting
@place_option
@all_option
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def dismiss(
    topics: tuple[str, ...],
    *,
    places: tuple[str, ...],
    is_all: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Put dead letters aside that nobody wants to be sent.

    They stay in their topic until it removes them, but `status` no longer names them, and `redrive`
    leaves them out. `list --done` shows them, and `redrive --again` sends them all the same.
    """
    settings = start_command()
    selection, named = meant(settings, topics, places, is_all=is_all, filters=filters)
    counts = asyncio.run(_dismiss(settings, named, DeadLetterIndex(selection), yes=yes))
    rows = [
        {"topic": topic, "reason": reason, "count": count}
        for (topic, reason), count in sorted(counts.items())
    ]
    if as_json:
        print_json({"dry_run": not yes, "dismissed": rows})
    elif rows:
        print_table(("TOPIC", "REASON", "LETTERS"), [tuple(row.values()) for row in rows])
    total = sum(counts.values())
    say(f"{total:,} dismissed" if yes else f"{total:,} would be dismissed")
    if not yes:
        end_undone(as_json=as_json)


async def _dismiss(
    settings: Settings, topics: Sequence[str], index: DeadLetterIndex, *, yes: bool
) -> Mapping[tuple[str, str], int]:
    """Dismiss what is selected and open; return the numbers by topic and reason."""
    async with DeadLetterLog(settings, topics) as log:
        await log.survey(index)
        check_places(index)
        index.drop_done()
        counts = index.summary()
        if not yes or not len(index):
            return counts
        async with Redriver(settings) as redriver:
            async for batch in in_batches(log.read(index.offsets())):
                await redriver.dismiss(batch)
    return counts
