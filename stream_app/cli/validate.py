"""`stream-app validate`: which records break the contract, and where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from stream_app.cli.completing import offer
from stream_app.cli.output import is_watched, paint_over, print_json, print_line, say, text_of
from stream_app.cli.parameters import files_option, start_command
from stream_app.cli.record_files import InputRecord, file_records
from stream_app.contract.checking import CONFIGURED, Breach, Checker
from stream_app.contract.records import EVENT_KINDS, RecordName, record_of
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.reports.problems import amount
from stream_app.kafka.cluster.connection import CONNECT_SECONDS
from stream_app.kafka.cluster.consumers import end_offsets, reading, records_to_end
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, Topic
from stream_app.settings import Settings

STDIN = "-"
_PROGRESS_SECONDS = 1.0


@click.command(
    epilog="Examples: stream-app validate events.hits; stream-app validate -f hits.ndjson --schema "
    "hit; kcat -C -e -J -b HOST:PORT -t events.hits | stream-app validate -f -",
)
@click.argument(
    "topic",
    metavar="[TOPIC]",
    required=False,
    shell_complete=offer(*Topic, *(f"{source}.dlq" for source in DEAD_LETTER_SOURCES)),
)
@files_option("Check this file and no topic; `-` is stdin. May be repeated.")
@click.option(
    "--schema",
    metavar="NAME",
    type=click.Choice([name.value for name in RecordName]),
    help="What the records should be; needed if neither a topic nor an envelope says it. "
    f"One of {', '.join(RecordName)}.",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), help="Stop at the Nth broken record.")
@click.option("--json", "as_json", is_flag=True, help="Print each breach as JSON, one per line.")
def validate(
    topic: str | None,
    files: tuple[str, ...],
    schema: str | None,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Show which records break the contract (`schemas/`), and where.

    TOPIC is one of this installation, with or without its prefix, or its dead letters; it is read
    to its present end, without a group. A file holds JSON, an array, lines of either, or what
    `kcat -J` prints. Where a record's timestamp is known, the times of its events are checked
    against it, as a worker does. Keys are never shown.

    Each record is tested by itself: the last line says what that leaves untested.

    Exit code 0: all records are good; 1: some are broken.
    """
    settings = start_command()
    report = _Report(settings, RecordName(schema) if schema else None, limit, as_json=as_json)
    name, files = _sources(settings, topic, files, schema)
    if name is not None:
        asyncio.run(_of_topic(settings, name, report))
    for file in files:
        with _opened(file) as stream:
            if not _of_file(file_records(stream, "stdin" if file == STDIN else file), report):
                break
    report.end()
    if report.broken:
        raise click.exceptions.Exit(1)


async def _of_topic(settings: Settings, topic: str, report: _Report) -> None:
    """Check the records that a topic holds now. Nothing joins a group or commits.

    Raises:
        KafkaUnreachableError: no broker answers, or no more.
        TopicMismatchError: the topic is missing.
    """
    async with reading(settings, [topic]) as consumer:
        ends = await end_offsets(consumer, CONNECT_SECONDS)
        starts = await consumer.beginning_offsets(consumer.assignment())
        report.total = sum(ends.values()) - sum(starts.values())
        async for record in records_to_end(consumer):
            place = str(Place(topic, record.partition, record.offset))
            headers = {name: text_of(value) for name, value in record.headers}
            key = record.key or b""
            item = InputRecord(place, topic, key, record.value, headers, record.timestamp)
            if not report.take(item):
                return


def _of_file(items: Iterator[InputRecord], report: _Report) -> bool:
    """Check the records of a file; return whether more are wanted."""
    return all(map(report.take, items))


def _sources(
    settings: Settings, topic: str | None, files: tuple[str, ...], schema: str | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return the full name of the topic, or None and the files.

    Raises:
        UsageError: it is not one of the two, or there is no such topic.
    """
    if (topic is None) != bool(files):
        raise UsageError("name either a TOPIC or a file with -f")
    if topic is None:
        return None, files
    prefix = settings.topic_prefix
    for name in (topic, f"{prefix}{topic}"):
        if record_of(name, prefix) is not None:
            return name, ()
    if topic == STDIN or Path(topic).exists():
        say(f"the file {topic} is given as -f {topic} now; the old form ends with the next version")
        return None, (topic,)
    if schema is not None and "/" not in topic:
        return topic, ()
    raise UsageError(
        f"{quoted(topic)} is no topic of this installation (`stream-app topics list`): name one, "
        "or a file with -f; a topic of another installation needs --schema"
    )


def _opened(source: str) -> BinaryIO:
    if source == STDIN:
        return click.get_binary_stream("stdin")
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise UsageError(f"{quoted(source)} cannot be read: {error.strerror}") from error


class _Report:
    """Checks records one by one, and prints where they break the contract."""

    def __init__(
        self, settings: Settings, schema: RecordName | None, limit: int | None, *, as_json: bool
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._limit = limit
        self._as_json = as_json
        self._checkers: dict[RecordName, Checker] = {}
        self._has_unbounded_times = False
        self._shown_at = time.monotonic()
        #: How many records there are, for the progress line; None: not known.
        self.total: int | None = None
        self.records = 0
        self.broken = 0

    def take(self, item: InputRecord) -> bool:
        """Check a record; return whether more are wanted."""
        checker = self._checker(item)
        self._has_unbounded_times |= checker.name in EVENT_KINDS and item.timestamp is None
        self.records += 1
        value = item.value
        if checker.name is RecordName.DEAD_LETTER and (item.topic is not None or item.headers):
            value = orjson.dumps(item.headers)
        breaches = checker.check(value, item.key, item.timestamp)
        if breaches:
            self.broken += 1
        for breach in breaches:
            self._print(item, checker.name, breach)
        self._progress()
        return self._limit is None or self.broken < self._limit

    def _checker(self, item: InputRecord) -> Checker:
        name = self._schema or (item.topic and self._record_of(item.topic)) or None
        if name is None:
            what = (
                f"the topic {quoted(item.topic)} is none of the contract"
                if item.topic
                else "a record by itself does not say what it is"
            )
            raise UsageError(f"{item.place}: {what}: give --schema, one of {', '.join(RecordName)}")
        if name not in self._checkers:
            self._checkers[name] = Checker(name, self._settings.detector.allowed_periods)
        return self._checkers[name]

    def _record_of(self, topic: str) -> RecordName | None:
        """Return the record of an envelope's topic, which may have another prefix."""
        ends = (topic[start:] for start in range(len(topic)))
        own = record_of(topic, self._settings.topic_prefix)
        return own or next((name for end in ends if (name := record_of(end, ""))), None)

    def _print(self, item: InputRecord, name: RecordName, breach: Breach) -> None:
        place = item.place if breach.part is None else f"{item.place}[{breach.part}]"
        if self._as_json:
            row = {"place": place, "schema": name, "path": breach.path}
            print_json({**row, "value": breach.value or None, "allowed": breach.allowed})
            return
        parts = (place, breach.path, breach.value, breach.allowed)
        print_line(": ".join(part for part in parts if part))

    def _progress(self) -> None:
        if not is_watched() or time.monotonic() - self._shown_at < _PROGRESS_SECONDS:
            return
        self._shown_at = time.monotonic()
        of = f" of {self.total:,}" if self.total is not None else ""
        paint_over(f"{self.records:,}{of} records, {self.broken:,} broken")

    def end(self) -> None:
        """Say how many records were checked and broken."""
        stopped = self._limit is not None and self.broken >= self._limit
        rest = f"; stopped at {self._limit} broken" if stopped else ""
        say(f"{amount(self.records, 'record')}, {self.broken:,} broken{rest}")
        if left := list(self._untested()):
            say(f"not tested: {'; '.join(left)}")

    def _untested(self) -> Iterator[str]:
        """Yield what was not tested of these records."""
        names = self._checkers.keys()
        if names & (EVENT_KINDS.keys() | {RecordName.NOTICE}):
            yield "whether the clients of events are configured"
        if self._has_unbounded_times:
            yield "event times against those of their records, which the file does not say"
        if names & CONFIGURED:
            yield (
                "whether the objects that an object names exist, and whether its key can be opened "
                "(`stream-app apply -f FILE --dry-run` tests that)"
            )
        if RecordName.DEAD_LETTER in names:
            yield "the values of dead letters"
