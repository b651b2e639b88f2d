"""Workers, commands and producers with the rights of `deploy/acls.md` alone, on a real broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest

from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.topic_creation import raise_partitions
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.acls import OPERATORS_OWN, WORKERS_OWN, Right, rights
from tests.integration.cluster.users_of_commands import (
    CHANGING,
    HEARTBEAT,
    READING,
    WITHOUT_KAFKA,
    WORKER,
    Run,
    all_commands,
)
from tests.integration.harness import WorkerProcess
from tests.integration.listeners import AUTHORIZER, Listener, listening_kafka, plain_users

PREFIX = "acl."
DRY_RUN = f"{PREFIX}dry."
#: Detectors that lack an operation on the topics of their state, and what is said of it.
LACKING = {
    "Create": "the user lacks Create on topic",
    "AlterConfigs": "the user lacks DescribeConfigs on topic",
    "Delete": "the user lacks Delete on topic",
}
#: A notifier that may not know how far the detector is.
UNKNOWING, GROUP = "unknowing", "stream-app-detector"
USERS = (*rights(), *LACKING, UNKNOWING, "nobody")
#: Kafka's own numbers.
RESOURCES = {"topic": 2, "group": 3, "cluster": 4}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8,
    "DescribeConfigs": 10, "AlterConfigs": 11,
}  # fmt: skip


def password(user: str) -> str:
    return f"fake-{user}-password"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return a broker's two addresses: an open one, and one where users need rights."""
    users = plain_users({user: password(user) for user in USERS})
    listener = Listener("SASL_PLAINTEXT", "SASL_PLAINTEXT", users)
    with listening_kafka(tmp_path_factory.mktemp("guarded"), [listener], AUTHORIZER) as found:
        yield found.addresses["PLAINTEXT"], found.addresses["SASL_PLAINTEXT"]


def settings_of(user: str, address: str) -> Settings:
    kafka = {
        "bootstrap_servers": address,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": user,
        "sasl_password": password(user),
    }
    return Settings.model_validate({"kafka": kafka, "topic_prefix": PREFIX, "partitions": 2})


def without(found: Sequence[Right], operation: str) -> Iterator[Right]:
    """Yield rights without one operation on the topics of a worker's state."""
    for right in found:
        is_state = right.resource == "topic" and right.is_prefix
        kept = tuple(one for one in right.operations if not (is_state and one == operation))
        yield right._replace(operations=kept)


async def give_rights(address: str) -> None:
    """Give each user the rights of the page, and no other."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        everybody = rights()
        everybody["pulse"] = [*everybody["notifier"], *everybody["pulse"]]
        everybody |= {name: list(without(everybody["detector"], name)) for name in LACKING}
        everybody[UNKNOWING] = [right for right in everybody["notifier"] if right.name != GROUP]
        for user, found in everybody.items():
            for right in found:
                is_cluster = right.resource == "cluster"
                name = right.name if is_cluster else f"{PREFIX}{right.name}"
                pattern = PREFIXED if right.is_prefix else LITERAL
                for operation in right.operations:
                    request = CreateAclsRequest(
                        *(RESOURCES[right.resource], name, pattern, f"User:{user}", "*"),
                        *(OPERATIONS[operation], ALLOW),
                    )
                    answer = await admin._send_request(request)
                    assert {one[0] for one in answer.creation_responses or answer.creations} == {0}
    finally:
        await admin.close()


class Installation:
    """Processes that log in as users."""

    def __init__(self, address: str, folder: Path, sandbox: SandboxOpsgenie, url: str) -> None:
        self.address = address
        self.folder = folder
        self.sandbox = sandbox
        self.env = {
            "STREAM_APP_SECRET_KEYS": generate_secret_key(),
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        }

    def login(self, user: str) -> dict[str, str]:
        return self.env | {
            "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "STREAM_APP_KAFKA__SASL_USERNAME": user,
            "STREAM_APP_KAFKA__SASL_PASSWORD": password(user),
        }

    def worker(self, role: str, user: str = "", **env: str) -> WorkerProcess:
        user = user or role
        settings = settings_of(user, self.address)
        return WorkerProcess(role, settings, self.folder / f"{user}.log", **self.login(user), **env)

    async def lack(self) -> None:
        """Start workers that lack a right; each says which."""
        for operation in ("Create", "AlterConfigs"):
            with self.worker("detector", operation) as worker:
                assert await asyncio.to_thread(worker.process.wait, 60) == 4
                assert f"{LACKING[operation]} {PREFIX}stream-app-detector-" in worker.text
        # It goes on without deleting what two snapshots cover.
        often = {"STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "0.5"}
        with self.worker("detector", "Delete", **often) as worker:
            await worker.ready()
            async with asyncio.timeout(60):
                while "changelog_not_trimmed" not in worker.text:
                    hit = {"client_id": 1111, "request_time": int(time.time()), "type": "sqli"}
                    await self.write("producer-events", "events.hits", json.dumps(hit).encode())
                    await asyncio.sleep(0.5)
            assert f"{LACKING['Delete']} {PREFIX}stream-app-detector-" in worker.text
            assert worker.stop() == 0
        # It pages, and says that it closes nothing.
        with self.worker("notifier", UNKNOWING) as worker:
            await worker.ready()
            async with asyncio.timeout(60):
                while "closes_refused" not in worker.text:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
            assert f"the user lacks Describe on group {PREFIX}{GROUP}: " in worker.text
            assert worker.stop() == 0
        found = await asyncio.to_thread(
            WorkerProcess.command,
            settings_of(UNKNOWING, self.address),
            *("doctor", "--json"),
            **self.login(UNKNOWING),
        )
        rows = [json.loads(line) for line in found.stdout.splitlines()]
        (closing,) = [row for row in rows if row["check"] == "closing"]
        assert closing["verdict"] == "fail"
        assert f"the user lacks Describe on group {PREFIX}{GROUP}: " in closing["text"]

    async def run(self, user: str, *args: str, **env: str) -> str:
        """Run a command to its good end; return what it prints to stdout."""
        login = self.login(user) | env
        done = await asyncio.to_thread(
            partial(WorkerProcess.command, settings_of(user, self.address), *args, **login)
        )
        assert done.returncode == 0, f"{user}: {args}: {done.stdout}{done.stderr}"
        assert "uthorization" not in done.stdout + done.stderr
        return done.stdout

    async def read(self) -> None:
        """Run all commands that change nothing, each as its user."""
        (alert, *_) = (await self.run("reader", "alerts", "list", "--json")).splitlines()
        (letter, *_) = (
            await self.run("reader", "dlq", "list", "events.hits", "--json")
        ).splitlines()
        known = {
            "alert": json.loads(alert)["id"],
            "letter": f"events.hits.dlq/{json.loads(letter)['partition']}/0",
            "event": f"events.hits/{json.loads(letter)['partition']}/0",
        }
        failed = await asyncio.gather(
            *[self.run_one(one, known) for one in READING], return_exceptions=True
        )
        assert [str(error) for error in failed if error is not None] == []

    async def change(self, objects: Path) -> None:
        """Run all commands that change something, each as its user."""
        dry_run = {"STREAM_APP_TOPIC_PREFIX": DRY_RUN, "STREAM_APP_DRY_RUN": "true"}
        await self.run("operator", "topics", "create", **dry_run)
        known = {"objects": str(objects), "dry_run": DRY_RUN}
        for one in CHANGING:
            await self.run_one(one, known)

    async def run_one(self, one: Run, known: Mapping[str, str]) -> None:
        words = [word.format_map(known) for word in f"{one.command} {one.args}".split()]
        await self.run(one.user, *words, **one.env)

    async def write(self, user: str, topic: str, value: bytes) -> None:
        """Write one record as a user."""
        async with self.producer(user) as producer:
            await producer.send_and_wait(f"{PREFIX}{topic}", value, key=b"1111")

    async def refused(self, user: str, topics: Sequence[Topic]) -> list[Topic]:
        """Try to write to topics as a user; return those that the broker refuses."""
        found = []
        async with self.producer(user) as producer:
            for topic in topics:
                try:
                    await producer.send_and_wait(f"{PREFIX}{topic}", b"{}", key=b"1111")
                except TopicAuthorizationFailedError:
                    found.append(topic)
        return found

    def producer(self, user: str) -> AIOKafkaProducer:
        options = connection_options(settings_of(user, self.address))
        return AIOKafkaProducer(**options, request_timeout_ms=5000)


@pytest.fixture
async def place(guarded: tuple[str, str], tmp_path: Path) -> AsyncIterator[Installation]:
    for_all, for_users = guarded
    await give_rights(for_all)
    sandbox = SandboxOpsgenie()
    sandbox.add_heartbeat(Heartbeat(HEARTBEAT["STREAM_APP_HEARTBEAT__NAME"]))
    found = Installation(for_users, tmp_path, sandbox, await sandbox.start())
    yield found
    await sandbox.stop()


def objects(api: str) -> list[dict[str, Any]]:
    """Return a client, its integration, and a trigger that one hit fires."""
    return [
        {"client_id": 1111, "name": "Acme", "cloud": "EU"},
        {
            "id": 521,
            "client_id": 1111,
            "name": "On-call",
            "active": True,
            "type": "opsgenie",
            "target": {"token": "00000000-0000-0000-0000-000000000000", "api": api},
            "events": [{"event": "system", "active": True}],
        },
        {
            "id": 61,
            "client_id": 1111,
            "name": "Hits",
            "enabled": True,
            "template_id": "hits_exceeded",
            "threshold": {"count": 0, "period": 60},
            "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
        },
    ]


def test_every_command_has_its_user() -> None:
    assert {one.command for one in (*READING, *CHANGING)} == (
        all_commands() - WITHOUT_KAFKA - WORKER
    )


@pytest.mark.long
async def test_the_rights_of_the_page_are_enough_and_no_more_than_it_says(
    place: Installation,
) -> None:
    await place.run("operator", "topics", "create")
    file = place.folder / "objects.json"
    url = place.env["STREAM_APP_DELIVERY__SANDBOX_URL"]
    file.write_text(json.dumps(objects(f"{url}/v2/alerts")))
    await place.run("operator", "apply", "-f", str(file))
    hit = {"client_id": 1111, "request_time": 1767225600, "type": "sqli"}
    with place.worker("detector") as detector, place.worker("notifier") as notifier:
        await detector.ready()
        await notifier.ready()
        await place.write("producer-events", "events.hits", json.dumps(hit).encode())
        await place.write("producer-events", "events.hits", b"{broken")
        user = {"notification_type": "delete_user", "user": {"email": "a@acme.example"}}
        notice = {"client_id": 1111, "summary": "A user", "details": user}
        await place.write("producer-notices", "events.account", json.dumps(notice).encode())
        async with asyncio.timeout(60):
            while len(place.sandbox.requests) < 2:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        await place.read()
        assert (detector.stop(), notifier.stop()) == (0, 0)
        for worker in (detector, notifier):
            assert "uthorization" not in worker.text
        assert "closes_refused" not in notifier.text
    # Topics get more partitions, and the workers' states follow at the next start.
    more = settings_of("operator", place.address).partitions + 1
    wanted = {f"{PREFIX}{topic}": more for topic in (Topic.HITS, Topic.DELIVERIES)}
    async with Admin(settings_of("operator", place.address)) as client:
        await raise_partitions(client, wanted)
    assert "raised" in await place.run("operator", "topics", "create")
    for role in ROLE_SOURCES:
        (place.folder / f"{role}.log").unlink()
    beat = {
        "STREAM_APP_HEARTBEAT__TARGET": "url",
        "STREAM_APP_HEARTBEAT__URL": f"{url}/",
        "STREAM_APP_HEARTBEAT__URL_HOSTS": "127.0.0.1",
    }
    with (
        place.worker("detector") as detector,
        place.worker("notifier", "pulse", **beat) as notifier,
    ):
        await detector.ready()
        # It pings, so its events have come through; the sandbox's own page stands for a heartbeat.
        pinged = "stream_app_pulse_last_ping_timestamp_seconds"
        await notifier.ready()
        async with asyncio.timeout(60):
            while pinged not in await notifier.metrics():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        assert (detector.stop(), notifier.stop()) == (0, 0)
        assert "uthorization" not in notifier.text
    await place.lack()
    await place.change(file)
    denied: dict[str, list[Topic]] = {
        "producer-events": [Topic.ACCOUNT, *WORKERS_OWN],
        "producer-notices": [*EVENT_TOPICS, *WORKERS_OWN],
        "reader": [*Topic],
        "nobody": [*Topic],
        "detector": [*EVENT_TOPICS, *OPERATORS_OWN, Topic.STATUS, Topic.DELIVERIES, Topic.RESULTS],
        "notifier": [*EVENT_TOPICS, *OPERATORS_OWN, Topic.ALERTS, Topic.COUNTS],
    }
    for name, topics in denied.items():
        assert await place.refused(name, topics) == topics, name
