"""`stream-app replay TOPIC... --to-prefix PREFIX`: copy recorded events to another installation."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from stream_app.cli.output import print_json, print_table, say
from stream_app.cli.progress import Progress
from stream_app.cli.replay.selection import REPLAYED_TOPICS, STDIN, range_of, topics_of
from stream_app.domain.errors import UsageError
from stream_app.domain.events.model import EventKind
from stream_app.domain.replay.copying import Spans, Speed, parse_spans, seconds_to_now, spans_text
from stream_app.domain.replay.ranges import Range
from stream_app.domain.replay.time_shift import Shifter
from stream_app.domain.text.printable import quoted
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, EVENT_TOPICS, Topic
from stream_app.kafka.history.copier import Copied, Republisher
from stream_app.kafka.history.copy_target import Target, find_target
from stream_app.kafka.history.event_log import EventLog
from stream_app.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: An event further ahead of its record is a dead letter, and no measure of what is now.
_MAX_AHEAD_SECONDS = 300


@dataclass(frozen=True)
class Wish:
    """What the options say. `shift_by` is in seconds; None: not given."""

    to_prefix: str | None
    speed: str
    shift_to_now: bool
    shift_by: int | None
    resume: tuple[str, ...]
    dry_run: bool

    def refuse_alone(self) -> None:
        """See that nothing of it was given without a prefix.

        Raises:
            UsageError: something was.
        """
        rest = (self.speed != Speed.MAX, self.shift_to_now, self.shift_by, self.resume)
        if any(rest) or self.dry_run:
            raise UsageError(
                "--speed, --shift-to-now, --shift-by, --resume and --dry-run are for copies: add "
                "--to-prefix PREFIX, or leave them out"
            )


def republish_options(command: _Command) -> _Command:
    """Give `replay` the options of copying."""
    for option in reversed(
        (
            click.option(
                "--to-prefix",
                metavar="PREFIX",
                help="Copy the records to the topics with this prefix instead; not to live ones.",
            ),
            click.option(
                "--speed",
                type=click.Choice([str(speed) for speed in Speed]),
                default=Speed.MAX.value,
                show_default=True,
                help="Of a copy: as fast as it goes, as recorded, or ten times as fast.",
            ),
            click.option(
                "--shift-to-now",
                is_flag=True,
                help="Move all times inside copied events so that the newest is now.",
            ),
            click.option(
                "--shift-by",
                metavar="SECONDS",
                type=int,
                help="Move them by so much, as a run that goes on with another.",
            ),
            click.option(
                "--resume",
                metavar="TOPIC=FIRST:END,...",
                multiple=True,
                help="Go on with an interrupted copy, as it has printed it.",
            ),
            click.option("--dry-run", is_flag=True, help="Only show what would be copied."),
        )
    ):
        command = option(command)
    return command


def republish(
    settings: Settings, given: Sequence[str], bounds: tuple[str | None, str | None],
    wish: Wish, *, as_json: bool,
) -> None:  # fmt: skip
    """Copy a part of topics.

    Raises:
        StreamAppError: the target may not be copied to, or there is nothing to copy.
    """
    if STDIN in given:
        raise UsageError("- cannot be copied, as kcat's lines keep no bytes: name topics")
    if wish.shift_to_now and wish.shift_by is not None:
        raise UsageError("--shift-by and --shift-to-now say two things: leave one of them out")
    if wish.resume and bounds != (None, None):
        raise UsageError("--resume says what is left, so leave --from and --to out")
    if wish.resume and wish.shift_to_now:
        raise UsageError(
            "--resume goes on with the same shift: give the --shift-by that was printed with it"
        )
    topics = topics_of(settings, given, (*REPLAYED_TOPICS, *CONFIG_TOPICS))
    configured = [topic for topic in topics.values() if topic in CONFIG_TOPICS]
    if configured and (len(configured) < len(topics) or wish.shift_to_now or wish.shift_by):
        raise UsageError(
            f"{configured[0]} holds no events: copy the configuration first, by itself and "
            "without a shift"
        )
    copy = _Copy(settings, topics, wish, as_json=as_json)
    asyncio.run(copy.run(range_of(*bounds), _left(topics, wish.resume)))


def _left(topics: Mapping[str, Topic], resume: Sequence[str]) -> Spans:
    """Return what is left to be copied, by full names of topics; none: it is no resumed copy."""
    given = parse_spans(resume)
    left: Spans = {}
    for name, topic in topics.items() if given else ():
        left[name] = given.pop(name if name in given else topic, [])
    if given:
        raise UsageError(f"--resume names {', '.join(given)}, which is not among the topics given")
    return left


class _Copy:
    """One call of the command."""

    def __init__(
        self, settings: Settings, topics: Mapping[str, Topic], wish: Wish, *, as_json: bool
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._wish = wish
        self._speed = Speed(wish.speed)
        self._as_json = as_json
        self._seconds = wish.shift_by or 0

    async def run(self, wanted: Range, left: Spans) -> None:
        prefix = self._wish.to_prefix or ""
        target = await find_target(self._settings, prefix, list(self._topics.values()))
        async with EventLog(self._settings, list(self._topics)) as log:
            await (log.choose_offsets(left) if left else log.choose(wanted))
            self._say_what(log, target)
            shifters = self._shifters()
            if self._wish.dry_run:
                self._show_plan(log, target)
                return
            if self._wish.shift_to_now:
                self._seconds = await self._seconds_to_now(log, shifters)
                say(f"all times inside events are moved by {self._seconds} s")
            copier = Republisher(self._settings, log, self._topics, target, shifters, self._seconds)
            async with copier:
                await self._copy(log, copier)

    async def _copy(self, log: EventLog, copier: Republisher) -> None:
        progress = Progress(log.size, at_stop="the rest is not copied")
        try:
            with progress:
                await copier.copy(self._speed, progress.report)
        except BaseException:
            self._say_how_to_go_on(log, copier.copied)
            raise
        self._show_result(copier.copied, progress.seconds)
        if copier.copied.too_large:
            say(f"{copier.copied.too_large:,} records are larger than the topic there allows")
            raise click.exceptions.Exit(1)

    def _shifters(self) -> dict[str, Shifter]:
        """Return what moves times, by topic; nothing does without a shift."""
        if not self._wish.shift_to_now and self._wish.shift_by is None:
            return {}
        return {
            name: Shifter(EventKind(topic.rpartition(".")[2]) if topic in EVENT_TOPICS else None)
            for name, topic in self._topics.items()
        }

    async def _seconds_to_now(self, log: EventLog, shifters: Mapping[str, Shifter]) -> int:
        """Read it once to find its newest event, and return by how much it is moved."""
        newest = None
        with Progress(log.size, at_stop="nothing is copied yet") as progress:
            async for tp, records, _ in log.batches(progress.report):
                seconds_of = shifters[tp.topic].seconds_of
                for record in records:
                    latest = record.timestamp // 1000 + _MAX_AHEAD_SECONDS
                    for seconds in seconds_of(record.value):
                        if seconds <= latest and (newest is None or seconds > newest):
                            newest = seconds
        first = min(first for first, _ in log.times.values())
        last = max(last for _, last in log.times.values())
        newest = last // 1000 if newest is None else newest
        return seconds_to_now(newest, (first, last), self._speed, time.time_ns() // 1_000_000)

    # -- what it says

    def _say_what(self, log: EventLog, target: Target) -> None:
        """Say what is special about this copy."""
        for name, topic in self._topics.items():
            here, there = sum(tp.topic == name for tp in log.spans), target.partitions[topic]
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

    def _show_plan(self, log: EventLog, target: Target) -> None:
        rows = [
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "first": span.start,
                "end": span.end,
                "records": span.size,
                "to": target.name(self._topics[tp.topic]),
            }
            for tp, span in sorted(log.spans.items())
            if span.size
        ]
        if self._as_json:
            print_json({"dry_run": True, "partitions": rows})
        else:
            print_table([name.upper() for name in rows[0]], [list(row.values()) for row in rows])
        say(f"dry run: about {log.size:,} records would be copied")

    def _show_result(self, copied: Copied, seconds: float) -> None:
        total = copied.records.total()
        if self._as_json:
            print_json(
                {
                    "records": dict(copied.records),
                    "seconds": round(seconds, 3),
                    "shifted_by_seconds": self._seconds,
                    "not_shifted": dict(copied.untouched),
                    "too_large": copied.too_large,
                }
            )
        for name in self._topics:
            bad = copied.untouched[name]
            rest = f", of which {bad:,} events or records could not be shifted" if bad else ""
            say(f"{name}: {copied.records[name]:,} records{rest}")
        rate = total / seconds if seconds else 0
        say(f"{total:,} records copied to {quoted(self._wish.to_prefix)} in {seconds:.1f} s "
            f"({rate:,.0f}/s)")  # fmt: skip

    def _say_how_to_go_on(self, log: EventLog, copied: Copied) -> None:
        """Print the command that copies the rest."""
        left: Spans = {name: [] for name in self._topics}
        for tp, span in sorted(log.spans.items()):
            left[tp.topic].append((copied.following[tp], span.end))
        words = ["stream-app", "replay", *self._topics, "--to-prefix", self._wish.to_prefix or ""]
        words += ["--speed", self._speed] if self._speed is not Speed.MAX else []
        words += ["--shift-by", str(self._seconds)] if self._shifters() else []
        for text in spans_text(left):
            words += ["--resume", text]
        say(f"{copied.records.total():,} records are copied; to go on: {shlex.join(words)}")
