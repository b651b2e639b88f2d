"""Which user runs which command: each one of the command line that asks Kafka for something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import click

from stream_app.cli import COMMANDS, LazyGroup

#: Nothing of Kafka's, or a Kafka of their own.
WITHOUT_KAFKA = {
    *("cloud-ips", "completion", "demo", "secrets generate"),
    *("kafka start", "kafka status", "kafka stop"),
    *("sandbox", "sandbox fail", "sandbox faults", "sandbox heal"),
}
#: Its users are the roles, and it does not end by itself.
WORKER = {"worker"}


class Run(NamedTuple):
    """A command of a user; braces stand for what is known only in the test."""

    user: str
    command: str
    args: str = ""
    env: Mapping[str, str] = MappingProxyType({})


#: The heartbeat that the test's sandbox has.
HEARTBEAT = {
    "STREAM_APP_HEARTBEAT__TARGET": "opsgenie",
    "STREAM_APP_HEARTBEAT__NAME": "pager",
    "STREAM_APP_HEARTBEAT__INTEGRATION_ID": "521",
}


#: They change nothing, so they may run side by side.
READING = (
    Run("reader", "alerts explain", "{event}"),
    Run("reader", "alerts explain", "--trigger 61 --at 2026-01-01T00:00:00Z"),
    Run("reader", "alerts list"),
    Run("reader", "alerts show", "{alert}"),
    Run("reader", "dlq list"),
    Run("reader", "dlq show", "{letter}"),
    Run("reader", "doctor"),
    Run("reader", "get", "clients"),
    Run("reader", "get", "triggers"),
    Run("reader", "integrations list"),
    Run("reader", "replay", "events.hits --from 1h"),
    Run("reader", "status"),
    Run("reader", "topics check"),
    Run("reader", "topics list"),
    Run("reader", "triggers backtest", "--trigger 61 --from 1h"),
    Run("reader", "validate", "events.account"),
    Run("operator", "doctor"),
    Run("operator", "status"),
)
#: They change something, one after the other; the workers are stopped.
CHANGING = (
    Run("producer-events", "sample", "--count 3 --rate 100"),
    Run("operator", "topics create"),
    Run("operator", "apply", "-f {objects}"),
    Run("operator", "integrations test", "521"),
    Run("operator", "heartbeat", "--ping", HEARTBEAT),
    Run("operator", "integrations disable", "521 --yes"),
    Run("operator", "integrations enable", "521"),
    Run("operator", "secrets rotate"),
    Run("operator", "dlq redrive", "events.hits --all"),
    Run("operator", "dlq dismiss", "events.hits --all --yes"),
    Run("operator", "replay copy", "events.hits --to-prefix {dry_run}"),
    Run("operator", "state reset", "detector --yes"),
    Run("operator", "state reset", "notifier --yes"),
    Run("operator", "delete", "triggers 61 --yes"),
    Run("operator", "integrations delete", "521 --yes"),
)


def all_commands() -> set[str]:
    """Return all commands that do something, groups that do included, as they are typed."""
    root = LazyGroup("stream-app", commands=COMMANDS)
    return {" ".join(path) for path in _walk(root, ())}


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        yield path
        return
    if command.invoke_without_command:
        yield path
    with click.Context(command) as context:
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _walk(found, (*path, name))
