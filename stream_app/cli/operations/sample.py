"""`stream-app sample`: write made-up events to Kafka, or print them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial

import click

from stream_app.cli.output import drop_output, print_json, print_kcat_line, say
from stream_app.cli.parameters import PositiveNumber, formerly
from stream_app.domain.foreign_text.printable import quoted
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic, TopicNames
from stream_app.logs import configure_logs
from stream_app.sample.events import DEFAULT_CLIENTS, Sample, SampleEvent, SampleEvents
from stream_app.sample.feed import events_at_rate, feed, kafka_writer
from stream_app.settings import Settings, load_settings

DEFAULT_RATE = 50.0


def _client_ids(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[int, ...]:
    """Return the ids of the clients; the option's old name took several, joined by commas."""
    found = [part for text in texts for part in text.split(",")]
    wrong = [part for part in found if not part.strip().isdecimal() or not int(part)]
    if wrong:
        raise click.BadParameter(f"{quoted(wrong[0])} is no id of a client: give one as 1111")
    return tuple(map(int, found))


@click.command(
    epilog="Example: stream-app sample --format kcat --topic events.hits --count 1000 "
    "| kcat -P -b HOST:PORT -t events.hits -K '\\t'",
)
@click.option(
    "--rate",
    metavar="EVENTS_PER_SECOND",
    type=PositiveNumber(),
    default=DEFAULT_RATE,
    show_default=True,
    help="How many events per second.",
)
@click.option("--count", type=click.IntRange(1), help="Stop after this many events.")
@click.option("--seed", type=int, help="Makes the same events again, except for their times.")
@click.option(
    "--client",
    "clients",
    metavar="ID",
    multiple=True,
    callback=_client_ids,
    default=tuple(map(str, DEFAULT_CLIENTS)),
    show_default=True,
    help="An account that the events belong to; may be given several times.",
)
@formerly("--clients", "--client", "clients", multiple=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["kafka", "kcat", "json"]),
    default="kafka",
    show_default=True,
    help="Write to Kafka, or print `key TAB value` or JSON lines.",
)
@click.option(
    "--topic",
    type=click.Choice([str(topic) for topic in EVENT_TOPICS]),
    help="Only the events of one topic, named without prefix.",
)
def sample(
    rate: float,
    count: int | None,
    seed: int | None,
    clients: tuple[int, ...],
    form: str,
    topic: str | None,
) -> None:
    """Write made-up attacks, hits and incidents to the event topics until Ctrl-C.

    Some are experimental, unsampled or false positives, which are not counted; now and then
    there is a burst that makes triggers fire. Their time is now.
    """
    if form == "kcat" and topic is None:
        raise click.UsageError("--format kcat prints no topics: name one with --topic")
    settings = load_settings()
    source = SampleEvents(seed, clients)
    rows = partial(events_at_rate, source, rate, count=count, topic=Topic(topic) if topic else None)
    try:
        asyncio.run(_run(settings, rows, form))
    except BrokenPipeError:
        drop_output()


async def _run(
    settings: Settings, rows: Callable[[asyncio.Event], AsyncIterator[Sample]], form: str
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    names = TopicNames(settings.topic_prefix)
    if form == "kafka":
        configure_logs(settings.log)
        async with kafka_writer(settings) as write:
            await feed(rows(stopped), write, say)
    else:
        await feed(rows(stopped), partial(_print_row, names, form), say)


async def _print_row(
    names: TopicNames, form: str, topic: Topic, key: str, event: SampleEvent
) -> None:
    if form == "kcat":
        print_kcat_line(key, event)
    else:
        row = {"topic": names(topic), "key": key, "value": event}
        print_json(row)
