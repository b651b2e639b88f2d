"""A Kafka cluster of three nodes on loopback, as small and as quick to start as it can be.

Each node is a broker and a controller. A topic has three copies, and a write needs two of them
(`min.insync.replicas`). A node can be killed, stopped, frozen and started again, at its own address
and with its own data.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.kafka.cluster.requests import DescribeQuorum
from stream_app.kafka.embedded.jars import class_path
from stream_app.kafka.embedded.ports import HOST, free_or_new
from stream_app.kafka.embedded.process import (
    DATA,
    format_data,
    java_command,
    last_lines,
    launch,
    write_properties,
)
from tests.integration.three_brokers.requests import Elect, Reassign
from tests.java_cache import JARS

NODES = (1, 2, 3)
HEAP_MB = 256
START_SECONDS = 90.0
END_SECONDS = 30.0
POLL_SECONDS = 0.3
#: A node that is not there any more is taken out of the copies in step after 3 s, as the
#: embedded broker's session says. One that only lags is taken out after this time.
LAG_MS = 3000
PROPERTIES = """\
node.id={node}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
replica.lag.time.max.ms={lag_ms}
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
"""


class Node:
    """One node: its folder, its ports and its process."""

    def __init__(self, number: int, directory: Path, taken: set[int]) -> None:
        self.number = number
        self.directory = directory
        self.log = directory / "broker.log"
        self.port = free_or_new(0, taken)
        self.controller = free_or_new(0, taken | {self.port})
        taken |= {self.port, self.controller}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends the process, and wait for its end."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_SECONDS)


class ThreeBrokers:
    """A cluster of three nodes in a folder."""

    def __init__(self, directory: Path) -> None:
        taken: set[int] = set()
        self.nodes = {n: Node(n, directory / f"node-{n}", taken) for n in NODES}
        self._java = java_command(class_path(JARS, lambda _: None))

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes.values())

    def format(self) -> None:
        """Make the data folders. Kafka's tool is slow, so it makes one, which the others copy."""
        first, *others = self.nodes.values()
        first.directory.mkdir(parents=True)
        format_data(self._java, first.directory)
        for node in others:
            shutil.copytree(first.directory / DATA, node.directory / DATA)
            properties = node.directory / DATA / "meta.properties"
            facts = dict(
                line.split("=", 1) for line in properties.read_text().splitlines() if "=" in line
            )
            own = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            facts |= {"node.id": str(node.number), "directory.id": own}
            properties.write_text("".join(f"{name}={value}\n" for name, value in facts.items()))

    def launch(self, *numbers: int) -> None:
        """Start nodes, without waiting for their answer."""
        voters = ",".join(f"{n}@{HOST}:{node.controller}" for n, node in self.nodes.items())
        for number in numbers:
            node = self.nodes[number]
            assert node.process is None
            file = write_properties(node.directory, node.port, node.controller)
            more = PROPERTIES.format(node=number, voters=voters, lag_ms=LAG_MS)
            # Of two lines with one key, the later one counts.
            file.write_text(file.read_text() + more)
            node.process = launch(self._java, file, node.log, HEAP_MB)

    async def start(self, *numbers: int) -> None:
        """Start nodes, and wait until the brokers that run are all in step."""
        self.launch(*numbers)
        await self.in_step()

    def kill(self, number: int) -> None:
        """End a node without warning, as `kill -9` does."""
        self.nodes[number].end(signal.SIGKILL)

    async def stop(self, number: int) -> None:
        """End a node in order, as a rolling restart does: it hands over what it leads."""
        await asyncio.to_thread(self.nodes[number].end, signal.SIGTERM)

    def freeze(self, number: int) -> None:
        """Stop a node's process; its connections stay, and nothing on them is answered."""
        self._signal(number, signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        self._signal(number, signal.SIGCONT)

    def _signal(self, number: int, what: signal.Signals) -> None:
        process = self.nodes[number].process
        assert process is not None
        process.send_signal(what)

    def end(self) -> None:
        """End all that runs; the data is not needed any more."""
        for node in self.nodes.values():
            node.end(signal.SIGKILL)

    @property
    def running(self) -> list[int]:
        return [n for n, node in self.nodes.items() if node.process is not None]

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Connect to a node that runs."""
        servers = [self.nodes[n].address for n in self.running]
        client = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def topics(self) -> dict[str, list[dict[str, Any]]]:
        """Return the partitions of every topic: their leaders, replicas, and copies in step."""
        async with self.admin() as client:
            return {row["topic"]: row["partitions"] for row in await client.describe_topics()}

    async def coordinator(self, group: str) -> int:
        """Return the node that coordinates a consumer group."""
        async with self.admin() as client:
            return int(await client.find_coordinator(group))

    async def controller(self) -> int:
        """Return the node whose controller leads the others."""
        async with self.admin() as client:
            answer: Any = await client._send_request(DescribeQuorum())
        return int(answer.to_object()["topics"][0]["partitions"][0]["leader_id"])

    async def move_leaders(self) -> int:
        """Hand every partition to the next of its brokers; return how many have another leader."""
        before = await self.topics()
        turned = {
            name: {p["partition"]: [*p["replicas"][1:], p["replicas"][0]] for p in parts}
            for name, parts in before.items()
        }
        async with self.admin() as client:
            for request in (Reassign(turned), Elect(turned)):
                answer = await client._send_request(request)
                assert answer.error_code == 0, answer
        after = await self.topics()
        return sum(
            old["leader"] != new["leader"]
            for name, parts in before.items()
            for old, new in zip(_sorted(parts), _sorted(after[name]), strict=True)
        )

    async def in_step(self) -> None:
        """Wait until each node that runs knows all that run, and all their copies are in step."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._is_in_step():
                await asyncio.sleep(POLL_SECONDS)
                for node in self.nodes.values():
                    if node.process is not None and node.process.poll() is not None:
                        raise AssertionError(f"node {node.number}: {last_lines(node.log)}")

    async def _is_in_step(self) -> bool:
        running = set(self.running)
        try:
            async with self.admin() as client:
                # Each is asked: one that has just started may know less than the others.
                told = [await client._client.send(n, MetadataRequest(None)) for n in running]
        except (KafkaError, OSError, TimeoutError):
            return False
        return all(_knows(answer.to_object(), running) for answer in told)


def _sorted(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(parts, key=lambda part: part["partition"])


def _knows(told: Mapping[str, Any], running: set[int]) -> bool:
    parts = [part for topic in told["topics"] for part in topic["partitions"]]
    return {row["node_id"] for row in told["brokers"]} == running and all(
        part["leader"] in running and set(part["isr"]) == set(part["replicas"]) & running
        for part in parts
    )
