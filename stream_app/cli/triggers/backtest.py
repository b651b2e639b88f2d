"""`stream-app triggers backtest`: what a trigger would have done, and which threshold is right."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from stream_app.cli.completing import id_option
from stream_app.cli.configuration.files import read_objects
from stream_app.cli.output import print_json, print_line, say, terminal_width
from stream_app.cli.parameters import files_option, start_command, time_options
from stream_app.cli.progress import ProgressLine
from stream_app.cli.replay.selection import range_of
from stream_app.cli.triggers import report_html, report_text
from stream_app.domain.backtest.backtest import Backtest, EventSample
from stream_app.domain.backtest.findings import Findings, Window, busiest
from stream_app.domain.backtest.time_basis import choose_time_basis
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.plans.from_files import read_file_configuration
from stream_app.domain.replay.ranges import Range
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.snapshot import read_configuration
from stream_app.kafka.history.event_log import EventLog
from stream_app.settings import Settings

#: How many events of each of the busiest windows are shown.
SAMPLES = 5
MAX_TOP = 100


@click.command(
    epilog="Example: stream-app triggers backtest -f trigger.yaml --from 7d --html report.html"
)
@files_option(
    "The trigger, in the form for `apply`, and its client if that is not configured; `-` is "
    "stdin. Without it, --trigger names a configured one."
)
@id_option(Kind.TRIGGER, "Which trigger of the files, or of the configured ones.")
@time_options("Only what was recorded", "7d", takes_offsets=True)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1, MAX_TOP),
    default=10,
    show_default=True,
    help="How many of the busiest windows are shown.",
)
@click.option(
    "--html",
    "html",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Also write a page with charts, which loads nothing from anywhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON document.")
def backtest(
    files: tuple[str, ...],
    *,
    trigger_id: int | None,
    start: str | None,
    end: str | None,
    top: int,
    html: str | None,
    as_json: bool,
) -> None:
    """Show what a trigger would have done on the events that are recorded.

    It shows how often and when the trigger would have fired, the busiest windows with their exact
    counts and some of their events, and what other thresholds would have meant. The trigger need
    not be applied or enabled; nothing is sent and nothing is saved.

    Events count by their own time, even late ones, which count in no window of a live run.
    """  # fmt: skip
    settings = start_command()
    selected = range_of(start, end)
    found = asyncio.run(_found(settings, files, trigger_id, selected, top))
    if html is not None:
        _write(html, report_html.page(found, top))
    if as_json:
        print_json(report_text.as_json(found, top))
        return
    for line in report_text.report(found, top, terminal_width()):
        print_line(line)


async def _found(
    settings: Settings, files: Sequence[str], trigger_id: int | None, selected: Range, top: int
) -> Findings:
    """Return what the selected trigger would have done.

    Its client comes from the files, or else from Kafka: events may name it.
    """
    if files:
        periods = settings.detector.allowed_periods
        from_files = read_file_configuration(read_objects(files), allowed_periods=periods)
        trigger = _chosen(from_files.triggers, trigger_id, "in the files")
        clients, integrations = from_files.clients, from_files.integrations
        if trigger.client_id not in clients:
            live = await read_configuration(settings)
            clients, integrations = live.clients | clients, live.integrations | integrations
    elif trigger_id is not None:
        live = await read_configuration(settings)
        trigger = _chosen(live.triggers, trigger_id, "configured")
        clients, integrations = live.clients, live.integrations
    else:
        raise UsageError("which trigger? Give a file with -f, or a configured one with --trigger")
    engine = Backtest(trigger, clients, time.time_ns() // 1_000_000)
    found = await _run(settings, engine, selected, top)
    known = {n: integrations[n].repeats for n in trigger.integration_ids if n in integrations}
    return replace(found, integrations=known)


def _chosen(known: Mapping[int, Trigger], trigger_id: int | None, where: str) -> Trigger:
    """Return the selected trigger.

    Raises:
        UsageError: there are several, or none.
        StreamAppError: there is none with that id.
    """
    if trigger_id is None and len(known) != 1:
        raise UsageError(f"the files hold {len(known)} triggers: choose one with --trigger ID")
    number = next(iter(known)) if trigger_id is None else trigger_id
    if number not in known:
        raise StreamAppError(f"trigger {number} is not {where}: {len(known)} others are")
    return known[number]


async def _run(settings: Settings, engine: Backtest, selected: Range, top: int) -> Findings:
    topic = TopicNames(settings.topic_prefix)(Topic(f"events.{engine.kind}"))
    async with EventLog(settings, [topic]) as log:
        await log.select(selected)
        with ProgressLine(log.spans.size) as progress:
            async for tp, records, _ in log.batches(progress.report):
                if records:
                    engine.count(tp.partition, records)
            rate = log.records / progress.seconds
            say(f"{log.records:,} records in {progress.seconds:.1f} s ({rate:,.0f}/s)")
        read = log.spans.covered_ms(selected, time.time_ns() // 1_000_000)
        found = choose_time_basis(engine.counts, engine.threshold.period, *read)
        samples = await _samples(engine, log, topic, busiest(found.counts, top))
    return Findings(
        trigger=engine.trigger,
        counts=found.counts,
        figures=engine.figures,
        records=log.records,
        from_ms=found.from_ms,
        to_ms=found.to_ms,
        read_ms=read,
        samples=samples,
        is_loaded=found.is_loaded,
        outside=found.outside,
    )


async def _samples(
    engine: Backtest, log: EventLog, topic: str, windows: Iterable[Window]
) -> dict[int, list[EventSample]]:
    """Read a few events of the windows again."""
    found: dict[int, list[EventSample]] = {}
    for start, _ in windows:
        rows = found[start] = list[EventSample]()
        place = engine.place_of(start)
        parts = log.read_part(topic, place.partition, place.first, place.last)
        async with contextlib.aclosing(parts):
            async for records in parts:
                rows += engine.samples(start, place.partition, records)
                if len(rows) >= SAMPLES:
                    break
        del rows[SAMPLES:]
    return found


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StreamAppError(f"{path}: {error.strerror}: give --html a file to write") from None
    say(f"written to {path}")
