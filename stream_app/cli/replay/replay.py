"""`stream-app replay`: which alerts recorded events give."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click

from stream_app.cli import CommandGroup
from stream_app.cli.completing import ObjectId, TopicName
from stream_app.cli.parameters import formerly, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.cli.replay.copy_events import copy_events
from stream_app.cli.replay.kcat_input import LineRecords
from stream_app.cli.replay.report import show_alerts, show_comparison, show_figures
from stream_app.cli.replay.selection import (
    REPLAYED_TOPICS,
    STDIN,
    configuration_of,
    narrow,
    range_of,
    topics_of,
)
from stream_app.detector.notice_replay import NoticeReplay
from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import UsageError
from stream_app.domain.events.model import EventKind
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.replay.comparison import (
    ACCOUNT,
    Circumstances,
    ComparedAlert,
    ComparisonResult,
    RecordedAlerts,
    compare,
)
from stream_app.domain.replay.counting_replay import CountingReplay
from stream_app.domain.replay.ranges import Extent, Range
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.history.event_log import EventLog
from stream_app.kafka.history.sent_alerts import partition_differences, read_sent_alerts
from stream_app.key_ring import secret_keys_of
from stream_app.logs import configure_logs
from stream_app.settings import Settings, load_settings

Engine = CountingReplay | NoticeReplay


class _Replay(CommandGroup):
    """A command whose arguments are topics, unless the first one names a command below it."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **more: Any,
    ) -> click.Context:
        """Return the context of the command that is meant."""
        if args and (command := self.commands.get(args[0])) is not None:
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **more)
        return super().make_context(info_name, args, parent, **more)


@click.group(
    cls=_Replay,
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="",
    context_settings={"allow_interspersed_args": True},
    epilog="Example: stream-app replay events.hits --from 2h --compare   "
    "or: kcat -C -b HOST:PORT -t events.hits -e -J | stream-app replay - -f acme.yaml",
)
@click.argument(
    "topics", metavar="TOPIC...", nargs=-1, required=True, type=TopicName(*REPLAYED_TOPICS)
)
@time_options("Only what was recorded", takes_offsets=True)
@click.option(
    "-f",
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    help="Use this file's clients, triggers and integrations; of each kind in it, no others.",
)
@formerly("--config", "--file", "files", multiple=True)
@click.option(
    "--trigger",
    "trigger_id",
    metavar="ID",
    type=ObjectId(Kind.TRIGGER),
    help="Only this trigger's alerts.",
)
@click.option(
    "--client",
    "client_id",
    metavar="ID",
    type=ObjectId(Kind.CLIENT),
    help="Only this client's alerts.",
)
@click.option(
    "--compare",
    "is_compared",
    is_flag=True,
    help="Compare them with the topic `alerts`; exit code 1 if they differ.",
)
@click.option(
    "--compare-prefix",
    metavar="PREFIX",
    help="Compare them with the alerts of the installation with this topic prefix.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each alert as it stands on the topic.")
def replay(
    topics: tuple[str, ...],
    *,
    start: str | None,
    end: str | None,
    files: tuple[str, ...],
    trigger_id: int | None,
    client_id: int | None,
    is_compared: bool,
    compare_prefix: str | None,
    as_json: bool,
) -> None:
    """Show the alerts that recorded events give.

    The rules and the configuration are those of now.

    TOPIC is events.attacks, events.hits, events.incidents or events.account, or `-` for the lines
    of `kcat -J` on stdin. Nothing is sent and no offset is committed. With the configuration and
    the partitions of the live run the alerts are the same, byte for byte.

    The range selects records by their timestamps. A window that it cuts counts only events within
    it. Events that were late in the live run may count, since earlier ones are not read.

    --compare marks an alert that only the replay gives as `missing`, one that only the topic has
    as `extra`, and says why where that is known.
    """
    settings = load_settings()
    configure_logs(settings.log)
    run = _Run(settings, trigger_id, client_id, compare_prefix if compare_prefix is not None else
               settings.topic_prefix if is_compared else None)  # fmt: skip
    if STDIN not in topics:
        named = topics_of(settings, topics)
        asyncio.run(run.from_topics(named, range_of(start, end), files))
    elif len(topics) > 1 or start is not None or end is not None:
        raise UsageError("- stands alone: neither topics nor --from nor --to go with it")
    else:
        run.from_lines(files)
    show_figures(run.engines.items(), run.records, run.seconds)
    if run.compared is None:
        show_alerts(list(run.alerts()), as_json=as_json)
        return
    show_comparison(run.compared, run.recorded.unreadable, as_json=as_json)
    if any(one.result is not ComparisonResult.SAME for one in run.compared):
        raise click.exceptions.Exit(1)


replay.add_command(copy_events)


@dataclass
class _Run:
    """One call of the command. `against`: prefix of the installation that it is compared with."""

    settings: Settings
    trigger_id: int | None
    client_id: int | None
    against: str | None
    engines: dict[Topic, Engine] = field(default_factory=dict)
    recorded: RecordedAlerts = field(default_factory=RecordedAlerts)
    compared: list[ComparedAlert] | None = None
    records: int = 0
    seconds: float = 0.0

    async def from_topics(
        self, topics: Mapping[str, Topic], selected: Range, files: Sequence[str]
    ) -> None:
        """Replay a part of topics."""
        configuration = await self._configuration(topics.values(), files)
        # Alerts first: the events of each alert that is read are then already in their topics.
        await self._read_recorded()
        async with EventLog(self.settings, list(topics)) as log:
            await log.select(selected)
            for name, topic in topics.items():
                self.engines[topic] = self._engine(topic, configuration, log.spans.partitions(name))
            with ProgressLine(log.spans.size) as progress:
                async for tp, records, is_last in log.batches(progress.report):
                    engine = self.engines[topics[tp.topic]]
                    if records:
                        engine.replay(tp.partition, records)
                    if is_last:
                        engine.finish(tp.partition)
                self.seconds = progress.seconds
            self.records = log.records
            extents = {
                _kind(topic): log.spans.extent(name, selected) for name, topic in topics.items()
            }
            counts = {topic: log.spans.partition_count(name) for name, topic in topics.items()}
        await self._compare(configuration, extents, counts)

    def from_lines(self, files: Sequence[str]) -> None:
        """Replay the lines of stdin. Not on an event loop, where a read would block Ctrl-C."""
        lines = LineRecords(sys.stdin.buffer)
        configuration = asyncio.run(self._before_lines(files))
        seen: dict[Topic, set[int]] = {}
        with ProgressLine(0) as progress:
            for topic, partition, records in lines.batches():
                if topic not in self.engines:
                    self.engines[topic] = self._engine(topic, configuration, None)
                self.engines[topic].replay(partition, records)
                seen.setdefault(topic, set()).add(partition)
                self.records += len(records)
                progress.report(self.records)
            self.seconds = progress.seconds
        lines.finish()
        extents = {_kind(topic): lines.extent(topic) for topic in self.engines}
        counts = {topic: len(found) for topic, found in seen.items()}
        asyncio.run(self._compare(configuration, extents, counts))

    async def _before_lines(self, files: Sequence[str]) -> Configuration:
        configuration = await self._configuration((), files)
        await self._read_recorded()
        return configuration

    def alerts(self) -> Iterator[tuple[Alert | NoticeAlert, int]]:
        """Yield the selected alerts, each with its number of events."""
        for engine in self.engines.values():
            yield from (row for row in engine.alerts() if self._is_selected(row[0]))

    async def _configuration(self, topics: Any, files: Sequence[str]) -> Configuration:
        needed = {Kind.CLIENT, Kind.TRIGGER}
        if Topic.ACCOUNT in topics:
            needed.add(Kind.INTEGRATION)
        found = await configuration_of(self.settings, files, frozenset(needed))
        return narrow(found, self.trigger_id, self.client_id)

    def _engine(
        self, topic: Topic, configuration: Configuration, partitions: Sequence[int] | None
    ) -> Engine:
        if topic is Topic.ACCOUNT:
            signer = NoticeSigner(secret_keys_of(self.settings))
            return NoticeReplay(configuration, TopicNames(self.settings.topic_prefix), signer)
        return CountingReplay(
            EventKind(_kind(topic)),
            configuration.clients,
            configuration.triggers.values(),
            partitions,
            self.recorded.windows,
            time.time_ns() // 1_000_000,
        )

    def _is_selected(self, alert: Alert | NoticeAlert) -> bool:
        is_client = self.client_id in (None, alert.client_id)
        return is_client and self.trigger_id in (None, alert.cause.get("trigger_id"))

    async def _read_recorded(self) -> None:
        if self.against is not None:
            self.recorded = await read_sent_alerts(self.settings, self.against, self._is_selected)

    async def _compare(
        self,
        configuration: Configuration,
        extents: Mapping[str, Extent],
        counts: Mapping[Topic, int],
    ) -> None:
        if self.against is None:
            return
        others = await partition_differences(self.settings, self.against, counts)
        engines = {
            _kind(topic): engine
            for topic, engine in self.engines.items()
            if isinstance(engine, CountingReplay)
        }
        circumstances = Circumstances(
            configuration.triggers,
            configuration.integrations,
            extents,
            {_kind(topic): text for topic, text in others.items()},
            late=partial(_sum, [engine.late.__getitem__ for engine in engines.values()]),
            total=partial(_sum, [engine.total for engine in engines.values()]),
        )
        self.compared = list(
            compare((alert for alert, _ in self.alerts()), self.recorded, circumstances)
        )


def _sum(functions: Sequence[Any], key: Any) -> int:
    """Return the sum over all kinds: a window is of one kind, and the others return 0."""
    return sum(function(key) for function in functions)


def _kind(topic: Topic) -> str:
    """Return the kind of event that a topic holds."""
    return ACCOUNT if topic is Topic.ACCOUNT else topic.value.rpartition(".")[2]
