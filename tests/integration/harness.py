"""Workers as processes, topics read whole, and waiting for a group to be done."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.settings import Settings
from tests.processes import STREAM_APP, Program, run

#: The folder of the programs that run a worker in some special way.
PROGRAMS = Path(__file__).with_name("workers")
START_SECONDS = 60.0
#: How long tests wait for what must come. No machine that runs them is as slow as this.
PATIENCE_SECONDS = 90.0
#: For clients of servers on loopback without TLS. It trusts nobody: the certificates of all the
#: world's authorities take a client 15 ms of a core to read, more than what it asks for.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HEALTH_LINE = re.compile(r'"health": ?"(https?://[^"]+)"')


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Return the environment of a worker that shares the test's installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_APP_")}
    return kept | {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "STREAM_APP_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
        "STREAM_APP_KAFKA__FETCH_MAX_WAIT_MS": str(settings.kafka.fetch_max_wait_ms),
        "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
        "STREAM_APP_PARTITIONS": str(settings.partitions),
        "STREAM_APP_HTTP__PORT": "0",
        "STREAM_APP_LOG__FORMAT": "json",
        # Tests count the requests that a sandbox gets.
        "STREAM_APP_DELIVERY__STATUS_CHECK_SHARE": "0",
        # Most tests use windows of a fixed time, which is long ago.
        "STREAM_APP_MAX_ALERT_AGE": str(10**9),
        **more,
    }


class WorkerProcess:
    """`stream-app worker ROLE` in a process of its own; its log is a file."""

    #: What starts the process.
    program: Callable[..., Program | subprocess.Popen[bytes]] = Program

    def __init__(
        self,
        role: str,
        settings: Settings,
        log: Path,
        command: Sequence[str] = STREAM_APP,
        **env: str,
    ) -> None:
        self.log = log
        # Tests read the log before the worker has written to it.
        log.touch()
        args = (*command, "worker", role)
        self.process = self.program(args, environment(settings, **env), stdout=log, stderr=log)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str | None:
        found = HEALTH_LINE.search(self.text)
        return found.group(1) if found else None

    async def ready(self, timeout_seconds: float = START_SECONDS) -> WorkerProcess:
        """Wait until `/readyz` is 200; it is a failure if the process ends before that."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.poll()}:\n{self.text}")
            if self.url and (await get(f"{self.url}/readyz"))[0] == 200:
                return self
            await asyncio.sleep(0.1)
        raise AssertionError(
            f"the worker is not ready after {timeout_seconds} s:\n{self.text[-4000:]}"
        )

    @staticmethod
    def command(settings: Settings, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `stream-app` with the settings of a worker."""
        return run((*STREAM_APP, *args), environment(settings, **env))

    async def page(self, path: str) -> tuple[int, str]:
        """GET a page of the worker."""
        return await get(f"{self.url}{path}")

    async def metrics(self) -> dict[str, float]:
        """Return the samples of `/metrics` by their names and labels, as written there."""
        status, body = await get(f"{self.url}/metrics")
        assert status == 200, body
        rows = (line.rpartition(" ") for line in body.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it without warning, as `kill -9` does."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self, timeout_seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM, then return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)


async def get(url: str) -> tuple[int, str]:
    """GET a page; status 0 when nobody answers."""
    try:
        async with httpx.AsyncClient(timeout=5, verify=NO_TLS) as client:
            response = await client.get(url)
    except httpx.HTTPError:
        return 0, ""
    return response.status_code, response.text


async def put(
    bootstrap: str, topic: str, rows: Iterable[tuple[bytes | None, bytes | None]], **more: Any
) -> None:
    """Send (key, value) records and wait for the broker."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    try:
        futures = [await producer.send(topic, value, key=key, **more) for key, value in rows]
        await asyncio.gather(*futures)
    finally:
        await producer.stop()


async def put_objects(settings: Settings, topic: str, objects: Iterable[Mapping[str, Any]]) -> None:
    """Write configuration objects as they stand on their topic."""
    await put(
        settings.kafka.bootstrap_servers or "",
        f"{settings.topic_prefix}{topic}",
        [
            (
                str(item["client_id"] if topic == "config.clients" else item["id"]).encode(),
                json.dumps(item).encode(),
            )
            for item in objects
        ],
    )


async def configure_topics(bootstrap: str, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Set the whole configuration of topics, by their names, and wait until the broker applies it.

    The broker answers before that: reads and writes right after its answer are under the old one.
    """
    wanted = {name: dict(config) for name, config in topics.items()}

    def asked(values: Callable[[dict[str, str]], Any]) -> list[ConfigResource]:
        kind = ConfigResourceType.TOPIC
        return [ConfigResource(kind, name, values(config)) for name, config in wanted.items()]

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.alter_configs(asked(lambda config: config))
        async with asyncio.timeout(START_SECONDS):
            found: dict[str, dict[str, str]] = {}
            while found != wanted:
                found = {
                    name: {key: value for key, value, *_ in entries if key in wanted[name]}
                    for answer in await admin.describe_configs(asked(dict.fromkeys))
                    for _, _, _, name, entries in answer.resources
                }
    finally:
        await admin.close()


async def read_all(bootstrap: str, topic: str) -> dict[int, list[Any]]:
    """Return all records of a topic as they are now, by partition, in their order.

    Batches that cannot be read are left out.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, n) for n in await _numbers(bootstrap, topic)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: dict[int, list[Any]] = {tp.partition: [] for tp in partitions}
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for tp, found in (await consumer.getmany(timeout_ms=500)).items():
                records[tp.partition] += found
        return records
    finally:
        await consumer.stop()


async def partial_counts(settings: Settings) -> list[tuple[int, int, int, int]]:
    """Return trigger, window start, source partition and count of all on `counts`, in order."""
    topic = f"{settings.topic_prefix}counts"
    found = await read_all(settings.kafka.bootstrap_servers or "", topic)
    return [
        (part.trigger_id, start, partition, count)
        for records in found.values()
        for record in records
        for part in decode_partial_counts(record.value).triggers
        for start, partition, count in part.windows
    ]


async def _numbers(bootstrap: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return sorted(row["partition"] for row in found[0]["partitions"])


#: How the prefix of an installation of a test begins.
TEST_PREFIX = re.compile(r"t[0-9a-f]{10}\.")


async def groups(settings: Settings) -> set[str]:
    """Return the names of all consumer groups but those of other tests' installations."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        names = {name for name, _ in await admin.list_consumer_groups()}
    finally:
        await admin.close()
    prefix = settings.topic_prefix
    return {name for name in names if name.startswith(prefix) or not TEST_PREFIX.match(name)}


async def drained(
    settings: Settings, role: str, topics: Sequence[str], timeout_seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until the role's group has committed the end of all the topics, and stays there."""
    bootstrap = settings.kafka.bootstrap_servers or ""
    group = f"{settings.topic_prefix}stream-app-{role}"
    deadline, quiet = time.monotonic() + timeout_seconds, 0
    lag: dict[str, int] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(name, number)
            for topic in topics
            for name in [f"{settings.topic_prefix}{topic}"]
            for number in await _numbers(bootstrap, name)
        ]
        consumer.assign(partitions)
        while time.monotonic() < deadline:
            ends = await consumer.end_offsets(partitions)
            lag = {
                f"{tp.topic}[{tp.partition}]": ends[tp] - (await consumer.committed(tp) or 0)
                for tp in partitions
            }
            quiet = quiet + 1 if not any(lag.values()) else 0
            if quiet >= 2:
                return
            await asyncio.sleep(0.7)
    finally:
        await consumer.stop()
    raise AssertionError(
        f"not drained after {timeout_seconds} s: { ({k: v for k, v in lag.items() if v}) }"
    )
