"""What `replay` and `backtest` share: how events and configuration are selected."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stream_app.cli.configuration.files import read_objects
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.plans.from_files import as_enabled, read_file_configuration
from stream_app.domain.replay.ranges import Range, parse_range
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic, TopicNames
from stream_app.kafka.configuration.snapshot import read_configuration
from stream_app.kafka.configuration.view import Configuration
from stream_app.settings import Settings

STDIN = "-"
REPLAYED_TOPICS = (*EVENT_TOPICS, Topic.ACCOUNT)


def range_of(start: str | None, end: str | None) -> Range:
    """Return the range of the options.

    Raises:
        UsageError: a bound is malformed, or nothing lies between them.
    """
    return parse_range(start, end, time.time_ns() // 1_000_000)


def topics_of(
    settings: Settings, named: Sequence[str], allowed: Sequence[Topic] = REPLAYED_TOPICS
) -> dict[str, Topic]:
    """Return the named topics by their full names.

    They may be named with or without the installation's prefix.

    Raises:
        UsageError: one of them holds no events.
    """
    names = TopicNames(settings.topic_prefix)
    known = {name: topic for topic in allowed for name in (topic.value, names(topic))}
    for name in named:
        if name not in known:
            raise UsageError(
                f"{name} holds no events: name one of {', '.join(allowed)}, or - for "
                "the lines of `kcat -J` on stdin"
            )
    return {names(known[name]): known[name] for name in named}


def topic_of_line(name: str) -> Topic | None:
    """Return the event topic that a name ends with, whatever the prefix; None: no such topic."""
    return next((topic for topic in REPLAYED_TOPICS if name.endswith(topic.value)), None)


async def configuration_of(
    settings: Settings,
    files: Sequence[str],
    needed: frozenset[Kind],
    live: Configuration | None = None,
) -> Configuration:
    """Return the configuration; each kind that the files hold is taken from them alone.

    Kafka is read only for kinds that the files do not hold, and not if `live`, what it holds, is
    given. A trigger of a file that is also configured then keeps the time at which it was enabled,
    and so its revision.

    Raises:
        ConfigurationError: a file cannot be used.
        KafkaUnreachableError: no broker answers.
    """
    periods = settings.detector.allowed_periods
    from_files = (
        read_file_configuration(read_objects(files), allowed_periods=periods) if files else None
    )
    if live is not None:
        found = live
    elif from_files is None or needed - from_files.kinds:
        found = await read_configuration(settings)
    else:
        found = Configuration()
    if from_files is not None:
        if Kind.CLIENT in from_files.kinds:
            found.clients = from_files.clients
        if Kind.INTEGRATION in from_files.kinds:
            found.integrations = from_files.integrations
        if Kind.TRIGGER in from_files.kinds:
            found.triggers = as_enabled(from_files.triggers, found.triggers)
        found.version += 1
    return found


def narrow(
    configuration: Configuration, trigger_id: int | None, client_id: int | None
) -> Configuration:
    """Keep only the selected triggers. All clients stay, or their events would be refused.

    Raises:
        StreamAppError: one of the two is not configured.
    """
    if trigger_id is not None and trigger_id not in configuration.triggers:
        raise StreamAppError(
            f"trigger {trigger_id} is not configured: `stream-app get triggers` shows which are"
        )
    if client_id is not None and client_id not in configuration.clients:
        raise StreamAppError(
            f"client {client_id} is not configured: `stream-app get clients` shows which are"
        )
    configuration.triggers = {
        number: trigger
        for number, trigger in configuration.triggers.items()
        if trigger_id in (None, number) and client_id in (None, trigger.client_id)
    }
    return configuration
