"""`stream-app replay copy`: copy recorded events to another installation, for a real run."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence

import click

from stream_app.cli.completing import offer
from stream_app.cli.output import print_json, say
from stream_app.cli.parameters import start_command, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.cli.replay.selection import (
    REPLAYED_TOPICS,
    STDIN,
    range_of,
    topics_of,
)
from stream_app.domain.errors import UsageError
from stream_app.domain.events.model import EventKind
from stream_app.domain.events.times import MAX_AHEAD_SECONDS
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.replay.copying import (
    Remainder,
    Spans,
    parse_remainder,
    remainder_texts,
    seconds_to_now,
)
from stream_app.domain.replay.ranges import Range
from stream_app.domain.replay.time_shift import TimeShifter
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, EVENT_TOPICS, Topic
from stream_app.kafka.history.copier import Copied, Copier
from stream_app.kafka.history.copy_target import Target, find_target
from stream_app.kafka.history.event_log import EventLog
from stream_app.settings import Settings


@click.command(
    "copy",
    epilog="Example: STREAM_APP_TOPIC_PREFIX= stream-app replay copy events.hits --from 1d "
    "--to-prefix trial.",
)
@click.argument(
    "topics",
    metavar="TOPIC...",
    nargs=-1,
    required=True,
    shell_complete=offer(*REPLAYED_TOPICS, *CONFIG_TOPICS),
)
@time_options("Only what was recorded", takes_offsets=True)
@click.option(
    "--to-prefix",
    metavar="PREFIX",
    required=True,
    help="Prefix of the topics to copy to; not that of a live installation.",
)
@click.option(
    "--shift-to-now",
    is_flag=True,
    help="Move all times inside the events so that the newest is now.",
)
@click.option(
    "--resume",
    metavar="TOPIC=FIRST:END,...",
    multiple=True,
    help="Resume an interrupted copy; it prints what to give here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as JSON.")
def copy_events(
    topics: tuple[str, ...],
    *,
    start: str | None,
    end: str | None,
    to_prefix: str,
    shift_to_now: bool,
    resume: tuple[str, ...],
    as_json: bool,
) -> None:
    """Copy recorded events to another installation, for a real run there.

    Keys, values and headers go to the same topics of an installation that was made with
    STREAM_APP_DRY_RUN=true: same partitions, same event times. Records get the append time of
    their copy, and so do events without a time of their own. --shift-to-now moves all times inside
    the events by the same whole seconds. config.clients, config.triggers and config.integrations
    can be copied first: with them the alerts have the same ids.

    The range selects records by their timestamps. Ctrl-C prints the command that copies the rest.
    """
    settings = start_command()
    if STDIN in topics:
        raise UsageError("- cannot be copied, as kcat's lines keep no bytes: name topics")
    if resume and (start, end) != (None, None):
        raise UsageError("--resume says what is left, so leave --from and --to out")
    if resume and shift_to_now:
        raise UsageError("--resume goes on with the shift that it names: leave --shift-to-now out")
    named = topics_of(settings, topics, (*REPLAYED_TOPICS, *CONFIG_TOPICS))
    rest = _remainder(named, resume)
    is_shifted = shift_to_now or rest.shift_seconds is not None
    configured = [topic for topic in named.values() if topic in CONFIG_TOPICS]
    if configured and (len(configured) < len(named) or is_shifted):
        raise UsageError(
            f"{configured[0]} holds no events: copy the configuration first, by itself and "
            "without a shift"
        )
    copy = _Copy(settings, named, to_prefix, shift_to_now=shift_to_now, as_json=as_json)
    asyncio.run(copy.run(range_of(start, end), rest))


def _remainder(topics: Mapping[str, Topic], resume: Sequence[str]) -> Remainder:
    """Return what is left to be copied, by full names of topics; empty: no copy is resumed."""
    rest = parse_remainder(resume)
    left: Spans = {}
    for name, topic in topics.items() if resume else ():
        left[name] = rest.spans.pop(name if name in rest.spans else topic, [])
    if rest.spans:
        raise UsageError(
            f"--resume names {', '.join(rest.spans)}, which is not among the topics given"
        )
    return Remainder(left, rest.shift_seconds)


class _Copy:
    """One call of the command."""

    def __init__(
        self,
        settings: Settings,
        topics: Mapping[str, Topic],
        prefix: str,
        *,
        shift_to_now: bool,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._prefix = prefix
        self._shift_to_now = shift_to_now
        self._as_json = as_json
        self._seconds: int | None = None

    async def run(self, selected: Range, rest: Remainder) -> None:
        target = await find_target(self._settings, self._prefix, list(self._topics.values()))
        self._seconds = rest.shift_seconds
        async with EventLog(self._settings, list(self._topics)) as log:
            await (log.select_offsets(rest.spans) if rest.spans else log.select(selected))
            self._warn(log, target)
            if self._shift_to_now:
                self._seconds = await self._seconds_to_now(log)
                say(f"all times inside events are moved by {self._seconds} s")
            shifters = self._shifters() if self._seconds is not None else {}
            seconds = self._seconds or 0
            copier = Copier(self._settings, log, self._topics, target, shifters, seconds)
            async with copier:
                await self._copy(log, copier)

    async def _copy(self, log: EventLog, copier: Copier) -> None:
        progress = ProgressLine(log.spans.size, at_stop="the rest is not copied")
        try:
            with progress:
                await copier.copy(progress.report)
        except BaseException:
            self._say_how_to_resume(log, copier.copied)
            raise
        self._show_result(copier.copied, progress.seconds)
        if copier.copied.too_large:
            say(f"{copier.copied.too_large:,} records are larger than the topic there allows")
            raise click.exceptions.Exit(1)

    def _shifters(self) -> dict[str, TimeShifter]:
        """Return the shifter of times for each topic."""
        return {
            name: TimeShifter(
                EventKind(topic.rpartition(".")[2]) if topic in EVENT_TOPICS else None
            )
            for name, topic in self._topics.items()
        }

    async def _seconds_to_now(self, log: EventLog) -> int:
        """Read all records to find the newest event; return by how many seconds it is moved."""
        newest, shifters = None, self._shifters()
        with ProgressLine(log.spans.size, at_stop="nothing is copied yet") as progress:
            async for tp, records, _ in log.batches(progress.report):
                seconds_of = shifters[tp.topic].seconds_of
                for record in records:
                    # An event that is further ahead becomes a dead letter, so it is not the newest.
                    latest = record.timestamp // 1000 + MAX_AHEAD_SECONDS
                    for seconds in seconds_of(record.value):
                        if seconds <= latest and (newest is None or seconds > newest):
                            newest = seconds
        if newest is None:
            newest = max(last for _, last in log.spans.times.values()) // 1000
        return seconds_to_now(newest, time.time_ns() // 1_000_000)

    def _warn(self, log: EventLog, target: Target) -> None:
        """Warn of other partition counts, and of a target that sends."""
        for name, topic in self._topics.items():
            here, there = log.spans.partition_count(name), target.partitions[topic]
            if here != there:
                say(
                    f"{name} has {here} partitions, {target.name(topic)} {there}: records go by "
                    f"their key, those without one from partition N to N mod {there}"
                )
        if not target.is_dry_run:
            say(
                f"{quoted(target.prefix)} is no dry run: its workers, once they run, send what "
                "these events trigger"
            )

    def _show_result(self, copied: Copied, seconds: float) -> None:
        total = copied.records.total()
        if self._as_json:
            print_json(
                {
                    "records": dict(copied.records),
                    "seconds": round(seconds, 3),
                    "shifted_by_seconds": self._seconds or 0,
                    "not_shifted": dict(copied.untouched),
                    "too_large": copied.too_large,
                }
            )
        for name in self._topics:
            bad = copied.untouched[name]
            rest = f", of which {bad:,} events or records could not be shifted" if bad else ""
            say(f"{name}: {copied.records[name]:,} records{rest}")
        rate = total / seconds if seconds else 0
        say(f"{total:,} records copied to {quoted(self._prefix)} in {seconds:.1f} s "
            f"({rate:,.0f}/s)")  # fmt: skip

    def _say_how_to_resume(self, log: EventLog, copied: Copied) -> None:
        """Print the command that copies the rest."""
        left: Spans = {name: [] for name in self._topics}
        for tp, span in sorted(log.spans.items()):
            left[tp.topic].append((copied.following[tp], span.end))
        words = ["stream-app", "replay", "copy", *self._topics, "--to-prefix", self._prefix]
        for text in remainder_texts(Remainder(left, self._seconds)):
            words += ["--resume", text]
        say(f"{copied.records.total():,} records are copied; to go on: {shlex.join(words)}")
