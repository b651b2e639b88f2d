"""The embedded Kafka as a process: it is found again, keeps its data and address, ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_app.domain.errors import EmbeddedKafkaError
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.ports import HOST, free_port
from stream_app.setting_groups import EmbeddedSettings
from tests.conftest import JARS
from tests.integration.harness import put, read_all

Done = subprocess.CompletedProcess[str]
TOPIC = "kept"


class Cli:
    """`stream-app kafka` on a folder of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broker = EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
        self._env = os.environ | {
            "STREAM_APP_EMBEDDED__DIRECTORY": str(directory),
            "STREAM_APP_EMBEDDED__JARS_DIRECTORY": str(JARS),
        }

    def begin(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stream_app", "kafka", *args],
            env=self._env | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *args: str, **environ: str) -> Done:
        process = self.begin(*args, **environ)
        output, said = process.communicate(timeout=120)
        return Done(args, process.returncode, output, said)


@pytest.fixture
def cli(tmp_path: Path) -> Any:
    command = Cli(tmp_path / "kafka")
    yield command
    command.broker.stop()


async def keep_a_record(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    finally:
        await admin.close()
    await put(bootstrap, TOPIC, [(b"key", b"value")])


def kept(bootstrap: str) -> list[bytes]:
    """Return the record's value from its topic."""
    return [record.value for record in asyncio.run(read_all(bootstrap, TOPIC))[0]]


def running(broker: EmbeddedKafka) -> tuple[int, str]:
    status = broker.status()
    assert status.is_running
    assert status.pid
    assert status.bootstrap_servers
    return status.pid, status.bootstrap_servers


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def brokers_in(directory: Path) -> list[int]:
    """Return the processes that are brokers of the folder."""
    marker = str(directory / "server.properties")
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-2:] == ["kafka.Kafka", marker]
    ]


def wait_for_state(directory: Path) -> None:
    deadline = time.monotonic() + 30
    while not (directory / "broker.json").exists():
        assert time.monotonic() < deadline, "no broker was launched"
        time.sleep(0.01)


def test_the_commands_start_show_and_stop_one_broker(cli: Cli) -> None:
    before = cli("status", "--json")
    assert before.returncode == 1
    assert json.loads(before.stdout)["is_running"] is False

    started = cli("start")
    assert (started.returncode, len(started.stdout.splitlines())) == (0, 1), started
    address = started.stdout.strip()
    assert kept_address(cli) == address
    again = json.loads(cli("start", "--json").stdout)
    assert (again["bootstrap_servers"], again["pid"]) == (address, running(cli.broker)[0])
    assert again["started_at"].endswith("Z")

    stopped = cli("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "")
    folder = json.loads(before.stdout)["directory"]
    assert stopped.stderr == f"Kafka is stopped in {folder}\n"
    shown = cli("status")
    assert (shown.returncode, folder in shown.stdout) == (1, True)
    twice = cli("stop")
    assert (twice.returncode, twice.stderr) == (0, f"no Kafka was running in {folder}\n")
    assert cli("stop", "--quiet").stderr == ""


def kept_address(cli: Cli) -> str:
    found = cli("status", "--json")
    assert found.returncode == 0
    address: str = json.loads(found.stdout)["bootstrap_servers"]
    return address


def test_a_second_start_needs_no_network(cli: Cli) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    cli.broker.start()
    cli.broker.stop()

    done = cli("start", HTTPS_PROXY=nowhere, HTTP_PROXY=nowhere, NO_PROXY="")

    assert done.returncode == 0, done.stderr


def test_two_starts_at_once_make_one_broker(cli: Cli) -> None:
    first, second = cli.begin("start"), cli.begin("start")
    addresses = {first.communicate(timeout=120)[0], second.communicate(timeout=120)[0]}

    assert (first.returncode, second.returncode) == (0, 0)
    assert addresses == {running(cli.broker)[1] + "\n"}
    assert brokers_in(cli.directory) == [running(cli.broker)[0]]


def test_a_start_that_is_interrupted_leaves_no_broker(cli: Cli) -> None:
    starting = cli.begin("start")
    wait_for_state(cli.directory)
    starting.send_signal(signal.SIGINT)
    starting.communicate(timeout=60)

    assert starting.returncode == 130
    assert brokers_in(cli.directory) == []


def test_a_broker_that_a_killed_start_left_is_waited_for_and_used(cli: Cli) -> None:
    starting = cli.begin("start")
    wait_for_state(cli.directory)
    starting.kill()
    starting.communicate(timeout=60)
    (left,) = brokers_in(cli.directory)

    address = cli.broker.start()

    assert running(cli.broker) == (left, address)
    asyncio.run(keep_a_record(address))


@pytest.mark.parametrize("end", ["stop", "kill", "kill by hand"])
def test_a_restarted_broker_has_its_address_and_its_data(
    own_kafka: Callable[[], EmbeddedKafka], end: str
) -> None:
    broker = own_kafka()
    pid, address = running(broker)
    asyncio.run(keep_a_record(address))

    if end == "kill by hand":
        os.kill(pid, signal.SIGKILL)
    else:
        assert (broker.stop() if end == "stop" else broker.kill()) is True

    assert broker.start() == address
    assert running(broker)[0] != pid
    assert kept(address) == [b"value"]


def test_a_restarted_broker_whose_port_is_taken_gets_another_and_keeps_its_data(
    own_kafka: Callable[[], EmbeddedKafka],
) -> None:
    broker = own_kafka()
    address = running(broker)[1]
    asyncio.run(keep_a_record(address))
    broker.stop()

    with socket.create_server((HOST, port_of(address))):
        other = broker.start()
        assert other != address
        assert kept(other) == [b"value"]


def test_a_port_lost_to_another_program_at_the_last_moment_is_replaced(tmp_path: Path) -> None:
    broker = EmbeddedKafka(EmbeddedSettings(directory=tmp_path, jars_directory=JARS))
    lost: list[str] = []
    with ExitStack() as stack:
        stack.callback(broker.stop)

        def take_the_first_port(text: str) -> None:
            if not lost and text.startswith("starting"):
                lost.append(text.rsplit(maxsplit=1)[-1])
                stack.enter_context(socket.create_server((HOST, port_of(lost[0]))))

        address = broker.start(progress=take_the_first_port)

        assert lost
        assert address not in lost
        assert running(broker)[1] == address


def test_a_configured_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        broker = EmbeddedKafka(EmbeddedSettings(directory=tmp_path, jars_directory=JARS, port=port))
        with pytest.raises(EmbeddedKafkaError, match=rf"port {port} .*STREAM_APP_EMBEDDED__PORT"):
            broker.start()
    assert not broker.status().is_running


def test_a_broker_that_ends_at_its_start_says_why_and_where_its_log_is(
    own_kafka: Callable[[], EmbeddedKafka], tmp_path: Path
) -> None:
    broker = own_kafka()
    broker.stop()
    (facts,) = tmp_path.glob("kafka-*/data/meta.properties")
    facts.write_text(facts.read_text().replace("node.id=1", "node.id=7"))

    with pytest.raises(EmbeddedKafkaError) as failure:
        broker.start()

    message = str(failure.value)
    assert "node" in message
    assert "7" in message
    assert str(facts.parents[1] / "broker.log") in message
    assert not broker.status().is_running


async def test_a_broker_starts_inside_a_running_event_loop(cli: Cli) -> None:
    address = cli.broker.start()

    await keep_a_record(address)
