"""Addresses that do not answer, or not as Kafka does, before one that does."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.brokers import bootstrapping
from stream_app.kafka.brokers.silent_brokers import states_of
from stream_app.kafka.cluster.admin import probe
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.configuration.records import open_configuration
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never answer."""
    while await reader.read(1000):
        pass


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as another kind of server does."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await silent(reader, writer)


async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a frame that holds nothing of what was asked for."""
    await reader.read(1000)
    writer.write(struct.pack(">ii", 6, 1) + b"\xff\xff")
    await silent(reader, writer)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and reset the connection."""
    await reader.read(1000)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def closing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Hang up at once."""


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    yield "127.0.0.1:1"


@contextlib.asynccontextmanager
async def unknown_name() -> AsyncIterator[str]:
    yield "kafka.invalid:9092"


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """Yield a port whose connection queue is full: further connections get no answer at all."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


FAULTS = {
    "silent": lambda: serving(silent),
    "garbage": lambda: serving(garbage),
    "short": lambda: serving(short),
    "reset": lambda: serving(reset),
    "closing": lambda: serving(closing),
    "refusing": refusing,
    "unknown_name": unknown_name,
    "black_hole": black_hole,
}


def with_servers(settings: Settings, *servers: str) -> Settings:
    kafka = KafkaSettings(bootstrap_servers=",".join(servers))
    return settings.model_copy(update={"kafka": kafka})


@pytest.mark.parametrize("name", FAULTS)
async def test_a_bad_address_before_a_good_one_costs_only_a_moment(
    settings: Settings, kafka: str, name: str
) -> None:
    async with FAULTS[name]() as bad:
        # A command waits 8 s for all addresses together; one after the other would take longer.
        await probe(with_servers(settings, bad, kafka))


async def test_each_address_is_named_with_what_came_of_it_when_none_answers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrapping, "MOST_SECONDS", 3.0)
    async with contextlib.AsyncExitStack() as stack:
        bad = {name: await stack.enter_async_context(new()) for name, new in FAULTS.items()}
        nobody = with_servers(settings, *bad.values())
        with pytest.raises(KafkaUnreachableError) as told:
            await probe(nobody)
        with pytest.raises(KafkaUnreachableError) as told_reader:
            await open_configuration(nobody, [Topic.CLIENTS])
    for name, why in {
        "silent": "no answer in 3 s",
        "black_hole": "no answer in 3 s",
        "refusing": "Connect call failed",
        "unknown_name": "",
    }.items():
        for text in (str(told.value), str(told_reader.value)):
            assert f"{bad[name]}: {why}" in text
    assert all(f"{address}: " in str(told.value) for address in bad.values())


async def test_workers_start_and_commands_answer_behind_silent_servers(
    settings: Settings, kafka: str, tmp_path: Path
) -> None:
    await create_topics(settings)
    async with serving(silent) as one, black_hole() as two, serving(silent) as three:
        mixed = with_servers(settings, one, two, three, kafka)
        with WorkerProcess("notifier", mixed, tmp_path / "log") as worker:
            await worker.ready()
            done = await asyncio.to_thread(WorkerProcess.command, mixed, "topics", "check")
            assert done.returncode == 0, done.stderr
            done = await asyncio.to_thread(WorkerProcess.command, mixed, "get", "clients")
            assert done.returncode == 0, done.stderr
            assert worker.stop() == 0


def test_aiokafka_still_has_what_the_first_connection_relies_on() -> None:
    source = inspect.getsource(AIOKafkaClient)
    for line in (
        "for host, port, _ in self.hosts:",
        'bootstrap_id = ("bootstrap", ConnectionGroup.DEFAULT)',
        "self._sync_task = create_task(self._md_synchronizer())",
        "self.cluster.update_metadata(metadata)",
    ):
        assert line in source
    given = set(inspect.signature(AIOKafkaConnection).parameters)
    assert {"client_id", "request_timeout_ms", "max_idle_ms", "sasl_plain_password"} <= given


async def test_a_connection_that_is_made_while_its_client_closes_does_not_stay_open(
    kafka: str,
) -> None:
    bootstrapping.install()
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    (broker,) = client.cluster.brokers()
    connecting = asyncio.create_task(client._get_conn(broker.nodeId))
    while not states_of(client).connecting:  # noqa: ASYNC110 - the client has no event for it
        await asyncio.sleep(0)
    await client.close()
    assert states_of(client).connecting == {}, "it has waited for what was connecting"
    assert await connecting is None
    assert client._conns == {}
