"""`stream-app dlq show`: one dead letter, and what to do about it."""

from __future__ import annotations

import asyncio
import re

import click
import orjson

from stream_app.cli.completing import offer
from stream_app.cli.dlq.selection import envelope, not_found, place_of, shown_bytes
from stream_app.cli.output import print_data, print_json, print_line, print_lines
from stream_app.cli.parameters import start_command
from stream_app.domain.dead_letters.dead_letter import DeadLetter, Place
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.dead_letters.redrive_rules import next_step
from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import printable, printable_json
from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.admin import partition_leaders
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES
from stream_app.kafka.dead_letters.reading import DeadLetterLog
from stream_app.kafka.dead_letters.writing import HEADERS
from stream_app.settings import Settings

_PARTS = 3
#: Most width of the column of header names; a longer name exceeds it.
_MAX_WIDTH = 40


@click.command(
    epilog="Example: stream-app dlq show deliveries.dlq/3/17, or: "
    "stream-app dlq show deliveries 3 17"
)
@click.argument(
    "place",
    metavar="PLACE | TOPIC PARTITION OFFSET",
    nargs=-1,
    required=True,
    shell_complete=offer(*DEAD_LETTER_SOURCES),
)
@click.option(
    "--raw",
    is_flag=True,
    help="Print only the payload, byte for byte; on a terminal, control characters are escaped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, as `kcat -J` does.")
def show(place: tuple[str, ...], *, raw: bool, as_json: bool) -> None:
    """Show a dead letter: its headers and what they mean, its payload, and the next step.

    PLACE is what `stream-app dlq list` prints: topic/partition/offset.
    """
    settings = start_command()
    if len(place) not in {1, _PARTS} or (raw and as_json):
        raise UsageError(
            "give one place, as deliveries.dlq/3/17 or `deliveries 3 17`, and at most one of "
            "--raw and --json"
        )
    where = place_of(settings, "/".join(place))
    letter, target, dismissed = asyncio.run(_read(settings, where))
    if raw:
        print_data(letter.value or b"")
    elif as_json:
        leaders = asyncio.run(partition_leaders(settings, [where.topic]))
        print_json(envelope(letter, leaders.get(where.log, -1)))
    else:
        _print(letter, next_step(letter, target, is_dismissed=dismissed))


async def _read(settings: Settings, place: Place) -> tuple[DeadLetter, str | None, bool]:
    index = DeadLetterIndex(Selection(places=frozenset({place})))
    async with DeadLetterLog(settings, [place.topic]) as log:
        await log.survey(index)
        async for letter in log.read(index.offsets()):
            return letter, index.redriven_to(place), index.is_dismissed(place)
    raise not_found(place)


def _print(letter: DeadLetter, step: str) -> None:
    key = "none" if letter.key is None else shown_bytes(letter.key)
    print_line(f"place    {letter.place}")
    print_line(f"when     {iso_utc(letter.timestamp_ms)}")
    print_line(f"key      {key}")
    print_line()
    print_line("headers")
    rows = [(printable(name), printable(shown_bytes(value))) for name, value in letter.headers]
    width = min(_MAX_WIDTH, max((len(name) for name, _ in rows), default=0))
    for name, text in rows:
        meaning = HEADERS.get(name)
        time = f" ({iso_utc(int(text))})" if _is_time(name, text) else ""
        note = f"  # {meaning}" if meaning else ""
        print_line(f"  {name.ljust(width)}  {text}{time}{note}")
    print_line()
    print_line(f"payload  {len(letter.value or b'')} bytes")
    print_lines(_pretty(letter.value))
    print_line()
    print_line(f"next     {step}")


def _is_time(name: str, text: str) -> bool:
    return (
        name in {"x-original-timestamp", "x-epoch"}
        and re.fullmatch(r"[0-9]{1,18}", text) is not None
    )


def _pretty(value: bytes | None) -> str:
    """Return a payload for people: indented JSON, or text with control characters escaped."""
    if value is None:
        return "none"
    try:
        text = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return shown_bytes(value)
    return printable_json(text)
