"""`stream-app alerts explain`: why there is an alert, or why there is none."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from stream_app.cli.alerts.explain_json import document
from stream_app.cli.alerts.explain_text import report
from stream_app.cli.completing import id_option, offer
from stream_app.cli.output import print_json, print_line, say, terminal_width
from stream_app.cli.parameters import TIME_FORMS, TimeText, moments_of, start_command, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.cli.record_files import InputRecord, file_records
from stream_app.cli.replay.selection import REPLAYED_TOPICS, STDIN, topic_of_line
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.dead_letters.dead_letter import Place, parse_place
from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.times import iso_utc, parse_time
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.explanation.full_explanation import FullExplanation
from stream_app.kafka.explanation.record_gathering import LooseRecord, RecordGatherer
from stream_app.kafka.explanation.window_gathering import WindowGatherer
from stream_app.kafka.history.newest_records import ReportRead
from stream_app.key_ring import secret_keys_of
from stream_app.settings import Settings

#: Most bytes and records of a file that are explained.
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILE_RECORDS = 1_000
#: Narrowest and widest lines.
MIN_WIDTH, MAX_WIDTH = 60, 100


@click.command(
    epilog="Example: stream-app alerts explain events.hits/0/1234   "
    "or: stream-app alerts explain --trigger 61 --at 2026-11-24T08:00:00Z",
)
@click.argument("place", metavar="[PLACE]", required=False)
@click.option(
    "-f", "--file", "path", metavar="FILE",
    help="Events that are on no topic: JSON, an array, lines of either, or what `kcat -J` prints; "
    "- for stdin.",
)  # fmt: skip
@click.option(
    "--topic",
    metavar="TOPIC",
    shell_complete=offer(*REPLAYED_TOPICS),
    help="The topic of the file's events, where it does not say it.",
)
@id_option(Kind.TRIGGER, "Only this trigger.")
@id_option(Kind.CLIENT, "All the triggers of this client, at a time.")
@click.option(
    "--at", "moment", metavar="T", type=TimeText(),
    help=f"The windows at this time: {TIME_FORMS}.",
)  # fmt: skip
@time_options("Only windows that touch a time")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as one JSON document.")
def explain(
    place: str | None,
    *,
    path: str | None,
    topic: str | None,
    trigger_id: int | None,
    client_id: int | None,
    moment: str | None,
    start: str | None,
    end: str | None,
    as_json: bool,
) -> None:
    """Say why there is an alert for an event, or why there is none.

    PLACE is an event's place, as events.hits/0/1234. For each trigger of its client the answer says
    whether the event counts, in which window, and whether that has fired; or which filter or rule
    refuses it. It shows how the notifier has delivered the alert. Events of a file are
    explained as if they were written now. With --trigger and a time, the trigger's windows then are
    explained; with --client and a time, those of all its triggers. Both say what was not counted.

    The workers' own code decides, by the configuration that was in force, as far as it is still
    known. Nothing joins a group or is written.
    """
    settings = start_command()
    # The command says itself what fails; a broker that has just started makes aiokafka try again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    now_ms = time.time_ns() // 1_000_000
    signer, watcher = NoticeSigner(secret_keys_of(settings)), _Watcher()
    gatherer = RecordGatherer(settings, signer, now_ms, watcher)
    has_time = any(text is not None for text in (moment, start, end))
    if sum((place is not None, path is not None, has_time)) != 1:
        raise UsageError(
            "give one of: the PLACE of an event (events.hits/0/1234), a file of events with -f, or "
            "--trigger or --client with a time (--at, or --from and --to)"
        )
    if client_id is not None and not has_time:
        raise UsageError("--client needs a time: give --at, or --from and --to")
    if topic is not None and path is None:
        raise UsageError("--topic goes with -f: a PLACE names its topic")
    if place is not None:
        where, known = _place_of(settings, place)
        found = asyncio.run(gatherer.of_place(known, where, trigger_id))
    elif path is not None:
        records = _records(settings, path, topic, now_ms)
        found = asyncio.run(gatherer.of_records(records, trigger_id))
    else:
        from_ms, to_ms = _time(moment, start, end, now_ms)
        windows = WindowGatherer(settings, now_ms, watcher)
        found = asyncio.run(_of_time(windows, trigger_id, client_id, from_ms, to_ms))
    if as_json:
        print_json(document(found))
        return
    width = min(max(terminal_width() or MAX_WIDTH, MIN_WIDTH), MAX_WIDTH)
    for line in report(found, width):
        print_line(line)


def _time(moment: str | None, start: str | None, end: str | None, now_ms: int) -> tuple[int, int]:
    """Return the time that is asked for, Unix ms.

    Raises:
        UsageError: the options contradict each other.
    """
    if moment is not None:
        if start is not None or end is not None:
            raise UsageError("--at is one time, --from and --to are from when to when: give either")
        at_ms = parse_time(moment, now_ms)
        return at_ms, at_ms + 1
    from_ms, to_ms = moments_of(start, end)
    if from_ms is None:
        raise UsageError("--to needs --from: which is the first window?")
    return from_ms, now_ms if to_ms is None else to_ms


async def _of_time(
    gatherer: WindowGatherer,
    trigger_id: int | None,
    client_id: int | None,
    from_ms: int,
    to_ms: int,
) -> FullExplanation:
    if (trigger_id is None) == (client_id is None):
        raise UsageError("with a time, give --trigger ID or --client ID; or the PLACE of an event")
    if trigger_id is not None:
        return await gatherer.of_windows(trigger_id, from_ms, to_ms)
    return await gatherer.of_client(client_id or 0, from_ms, to_ms)


class _Watcher:
    """Shows on stderr what is read."""

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[ReportRead]:
        """Show how far a read is."""
        with ProgressLine(what=what) as progress:
            yield progress.report

    def stopped_at(self, what: str, cut_ms: int | None, most: int) -> None:
        """Say how far back a read looked, if that was not all."""
        if cut_ms is not None:
            say(f"{what}: looked back to {iso_utc(cut_ms)} only (the newest {most:,} records)")


def _place_of(settings: Settings, text: str) -> tuple[Place, Topic]:
    """Return the place that a text names, with the full name of its topic, and the topic.

    Raises:
        UsageError: it is no place of an event.
    """
    try:
        place = parse_place(text)
    except UsageError:
        raise UsageError(
            f"{quoted(text)} is no place of an event: give TOPIC/PARTITION/OFFSET, as "
            "events.hits/0/1234"
        ) from None
    if place.topic.endswith(".dlq"):
        raise UsageError(f"{text} is a dead letter: `stream-app dlq show {text}` explains it")
    topic = _topic_of(settings, place.topic)
    return place._replace(topic=TopicNames(settings.topic_prefix)(topic)), topic


def _topic_of(settings: Settings, name: str) -> Topic:
    """Return the event topic of a name, with or without the installation's prefix."""
    names = TopicNames(settings.topic_prefix)
    for topic in REPLAYED_TOPICS:
        if name in (topic.value, names(topic)):
            return topic
    raise UsageError(f"{quoted(name)} holds no events: name one of {', '.join(REPLAYED_TOPICS)}")


# -- files


def _records(
    settings: Settings, path: str, topic: str | None, now_ms: int
) -> Sequence[LooseRecord]:
    """Return the records of a file.

    Raises:
        UsageError: it cannot be read, is too large, or does not say which topic is meant.
    """
    given = None if topic is None else _topic_of(settings, topic)
    name = "stdin" if path == STDIN else path
    found = [
        _record(item, given, now_ms) for item in file_records(io.BytesIO(_read(path, name)), name)
    ]
    if not found:
        raise UsageError(f"{quoted(name)} holds no event")
    if len(found) > MAX_FILE_RECORDS:
        raise UsageError(
            f"{quoted(name)} holds {len(found):,} events, and at most {MAX_FILE_RECORDS:,} are "
            f"explained at a time: give fewer, as with `head -n {MAX_FILE_RECORDS}`; `stream-app "
            "replay -` says which alerts many events give"
        )
    return found


def _read(path: str, name: str) -> bytes:
    try:
        with contextlib.ExitStack() as stack:
            stream: BinaryIO = (
                click.get_binary_stream("stdin")
                if path == STDIN
                else stack.enter_context(Path(path).open("rb"))
            )
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{quoted(name)} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{quoted(name)} cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(
            f"{quoted(name)} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB: give fewer "
            f"events, as with `head -n {MAX_FILE_RECORDS}`; `stream-app replay -` says which "
            "alerts many events give"
        )
    return data


def _record(item: InputRecord, given: Topic | None, now_ms: int) -> LooseRecord:
    topic = (item.topic and topic_of_line(item.topic)) or given
    if topic is None:
        what = (
            f"{quoted(item.topic)} holds no events"
            if item.topic
            else "it does not say of which topic it is"
        )
        raise UsageError(f"{item.place}: {what}: give --topic, one of {', '.join(REPLAYED_TOPICS)}")
    has_time = item.timestamp is not None and item.timestamp >= 0
    return LooseRecord(topic, item.value, item.timestamp if has_time and item.timestamp else now_ms)
