"""`stream-app kafka`: the embedded Kafka."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from typing import Any

import click

from stream_app.cli import CommandGroup
from stream_app.cli.output import is_terminal, print_json, print_line, say
from stream_app.cli.sandbox.faults import DEFAULT_URL
from stream_app.demo.environment_file import local_environment, write_environment
from stream_app.domain.times import iso_utc
from stream_app.kafka.embedded.broker import EmbeddedKafka, KafkaStatus
from stream_app.settings import Settings, load_settings


@click.group(cls=CommandGroup, epilog="Example: stream-app kafka start")
def kafka() -> None:
    """Run a Kafka broker on this machine, for trying things out and for tests.

    It needs no Docker and no Java. A real cluster is used instead as soon as
    STREAM_APP_KAFKA__BOOTSTRAP_SERVERS is set.
    """
    # aiokafka's messages about a broker that is not ready yet are expected here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@kafka.command(epilog="Example: stream-app kafka start")
@click.option("--json", "as_json", is_flag=True, help="Print its status as JSON.")
def start(*, as_json: bool) -> None:
    """Start the broker unless it runs; print its address.

    The file `env` in its folder gives a terminal what the other commands need for a trial: this
    broker, a secret key, and the address of `stream-app sandbox`.
    """
    settings = load_settings()
    broker = EmbeddedKafka(settings.embedded)
    address = broker.start(progress=say)
    use_line = _write_environment(settings)
    if as_json:
        print_json(_facts(broker.status()))
    else:
        print_line(address)
    if is_terminal():
        say(f"for stream-app in this and in other terminals:  {use_line}")


@kafka.command(epilog="Example: stream-app kafka stop")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def stop(*, quiet: bool) -> None:
    """Stop the broker; its data stays."""
    broker = EmbeddedKafka(load_settings().embedded)
    was_running, directory = broker.stop(), broker.status().directory
    if not quiet:
        say(f"{'Kafka is stopped' if was_running else 'no Kafka was running'} in {directory}")


@kafka.command(epilog="Example: stream-app kafka status --json")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(*, as_json: bool) -> None:
    """Tell whether the broker runs; exit code 1 if not."""
    found = EmbeddedKafka(load_settings().embedded).status()
    if as_json:
        print_json(_facts(found))
    elif found.is_running:
        print_line(
            f"Kafka {found.version} runs at {found.bootstrap_servers} (process {found.pid}, "
            f"data in {found.directory})"
        )
    else:
        print_line(
            f"no Kafka is running in {found.directory} (STREAM_APP_EMBEDDED__DIRECTORY): "
            "stream-app kafka start"
        )
    if not found.is_running:
        raise click.exceptions.Exit(1)


def _write_environment(settings: Settings) -> str:
    """Write the file for terminals; return the line that uses it."""
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": None})
    url = settings.delivery.sandbox_url or DEFAULT_URL
    delivery = settings.delivery.model_copy(update={"sandbox_url": url})
    trial = settings.model_copy(update={"kafka": kafka, "delivery": delivery})
    folder = settings.embedded.directory
    return write_environment(folder, local_environment(trial, folder, os.environ))


def _facts(status: KafkaStatus) -> dict[str, Any]:
    """Return the status with its time as ISO 8601 in UTC."""
    at = status.started_at
    return asdict(status) | {"started_at": None if at is None else iso_utc(int(at * 1000))}
