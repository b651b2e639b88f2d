"""`stream-app sample` as a process, against a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests import processes
from tests.integration.harness import environment, read_all
from tests.processes import STREAM_APP, Program

WAIT_SECONDS = 30


def start(settings: Settings, errors: Path, *args: str) -> Program:
    """Start the command with a file for its stderr."""
    words, output = (*STREAM_APP, "sample", *args), Path(os.devnull)
    return Program(words, environment(settings), stdout=output, stderr=errors)


def wait_for_events(settings: Settings, process: Program) -> None:
    while not any(written(settings).values()):
        assert process.poll() is None
        time.sleep(0.2)


def run(settings: Settings, *args: str) -> tuple[int, str]:
    """Return the exit code and stderr."""
    words = (*STREAM_APP, "sample", *args)
    done = processes.run(words, environment(settings), timeout=WAIT_SECONDS)
    return done.returncode, done.stderr


def written(settings: Settings) -> dict[str, list[Any]]:
    """Return the records of the event topics by kind."""

    async def read() -> dict[str, list[Any]]:
        bootstrap = settings.kafka.bootstrap_servers or ""
        found: dict[str, list[Any]] = {}
        for kind in EventKind:
            parts = await read_all(bootstrap, f"{settings.topic_prefix}events.{kind}")
            found[kind] = [record for records in parts.values() for record in records]
        return found

    return asyncio.run(read())


def test_events_of_all_kinds_arrive_on_their_topics_and_spread_over_partitions(
    settings: Settings,
) -> None:
    asyncio.run(create_topics(settings))
    code, errors = run(settings, "--count", "400", "--rate", "5000", "--seed", "1")
    assert code == 0, errors
    assert errors.endswith("400 events, done\n")
    found = written(settings)
    assert sum(map(len, found.values())) == 400
    for kind, records in found.items():
        assert records
        types = {json.loads(record.value)["object_type"] for record in records}
        assert types == {kind.removesuffix("s")}
    assert {record.partition for record in found[EventKind.HITS]} == set(range(4))


def test_ctrl_c_ends_it_in_order_and_nothing_it_reported_is_missing(
    settings: Settings, tmp_path: Path
) -> None:
    asyncio.run(create_topics(settings))
    log = tmp_path / "errors"
    process = start(settings, log, "--rate", "200")
    wait_for_events(settings, process)
    process.send_signal(signal.SIGINT)
    code, errors = process.wait(WAIT_SECONDS), log.read_text()
    assert code == 0, errors
    reported = int(errors.splitlines()[-1].removesuffix(" events, done"))
    assert sum(map(len, written(settings).values())) == reported > 0


def test_missing_topics_are_an_error_that_says_how_to_make_them(settings: Settings) -> None:
    code, errors = run(settings, "--count", "1")
    assert code == 3
    assert "stream-app topics create" in errors


def test_without_a_broker_it_ends_with_exit_code_4() -> None:
    nowhere = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    code, errors = run(nowhere, "--count", "1")
    assert code == 4
    assert "127.0.0.1:1" in errors


def test_a_broker_that_goes_away_ends_it_with_exit_code_4(
    own_kafka: Callable[[], EmbeddedKafka], topic_prefix: str, tmp_path: Path
) -> None:
    broker = own_kafka()
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=broker.status().bootstrap_servers),
        topic_prefix=topic_prefix,
        partitions=2,
    )
    asyncio.run(create_topics(settings))
    log = tmp_path / "errors"
    process = start(settings, log, "--rate", "200")
    wait_for_events(settings, process)
    broker.kill()
    code, errors = process.wait(WAIT_SECONDS + 15), log.read_text()
    assert code == 4, errors
    assert "Kafka did not acknowledge an event" in errors
