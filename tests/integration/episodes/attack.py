"""Attacks on three clients, second by second, on an installation whose workers are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.episodes.oracle import Choice
from tests.integration.harness import WorkerProcess, put_objects, read_all
from tests.processes import STREAM_APP

#: Seconds of the first attack, and between it and the second one: longer than any silence below.
ATTACK, GAP = 600, 400
#: Seconds of the second attack.
SECOND_ATTACK = 20
REPEAT, CLOSE_AFTER = 60, 300
PER_INTEGRATION = 5
#: For how long the first attack is told (tests/README.md).
WALL_SECONDS = float(os.environ.get("ATTACK_SECONDS", "5"))
#: The factor on all waits, the silence before an alert is closed included: it is 4.5 seconds. In a
#: longer attack there are longer pauses.
SCALE = max(0.015, WALL_SECONDS / 10_000)

EVERY_WINDOW = Choice()
EPISODE = Choice(episodes=True)
REPEATED = Choice(episodes=True, repeat=REPEAT)
CLOSED = Choice(episodes=True, repeat=REPEAT, close_after=CLOSE_AFTER)
WITHOUT_NOTES = Choice(episodes=True, close_after=CLOSE_AFTER, notes=False)

#: Integration -> what it has chosen. The first digit is its client's id.
CHOICES = {
    101: EVERY_WINDOW,
    102: EPISODE,
    103: REPEATED,
    104: CLOSED,
    105: WITHOUT_NOTES,
    201: REPEATED,
    202: CLOSED,
    301: REPEATED,
    302: CLOSED,
}
#: Client 3 gets a new target here, and an integration that its trigger has always named.
NEW_TARGET, LATE_INTEGRATION = 301, 303
CHANGED = CHOICES | {NEW_TARGET: REPEATED._replace(epoch=1), LATE_INTEGRATION: WITHOUT_NOTES}
CLIENTS = (1, 2, 3)


def client_of(integration: int) -> int:
    return integration // 100


def key_of(integration: int) -> tuple[str, str]:
    """Return the variable with the key of an integration, and the key: it ends with the id."""
    name = f"STREAM_APP_KEY_{client_of(integration)}_N{integration}"
    return name, f"00000000-1111-2222-3333-{integration:012}"


def trigger(client: int, *, is_new: bool = False) -> dict[str, Any]:
    """Return the trigger of a client: one hit in a second fires it. A new one counts anew."""
    return {
        "id": client * 10,
        "client_id": client,
        "name": f"Hits of {client}",
        "comment": "",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": [{"id": "attack_type", "operator": "eq", "values": ["sqli"]}] if is_new else [],
        "threshold": {"count": 0, "period": 1, "operator": "gt"},
        "actions": [
            {
                "id": "send_notification",
                "params": {"integration_ids": [n for n in CHANGED if client_of(n) == client]},
            }
        ],
        "enabled_at": 1,
    }


def integration(number: int, choice: Choice, url: str) -> dict[str, Any]:
    """Return an integration as it stands on its topic."""
    alert: dict[str, Any] = {}
    if choice.episodes:
        alert["deduplicate"] = "episode"
        alert["repeat_notes"] = choice.notes
    if choice.repeat:
        alert["repeat_seconds"] = choice.repeat
    if choice.close_after:
        alert["close_after_seconds"] = choice.close_after
    return {
        "id": number,
        "client_id": client_of(number),
        "name": f"On-call {number}",
        "active": True,
        "type": "opsgenie",
        "target": {"token": f"env:{key_of(number)[0]}", "api": url},
        "events": [],
        "epoch": choice.epoch,
        "alert": alert,
    }


class Installation:
    """An installation with a sandbox, and its two workers, which may be killed."""

    def __init__(self, settings: Settings, logs: Path, **env: str) -> None:
        self.settings = settings
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self.received = 0
        self.sandbox = SandboxOpsgenie(on_request=self._count, capacity=1_000_000)
        self.url = ""
        self.kills = {"detector": 0, "notifier": 0}
        self._logs = logs
        self._env = env
        self._workers: dict[str, WorkerProcess] = {}

    def _count(self, _: object) -> None:
        self.received += 1

    async def start(
        self, choices: Mapping[int, Choice], roles: Mapping[str, Sequence[str]]
    ) -> None:
        await create_topics(self.settings)
        self.url = await self.sandbox.start()
        clients = [
            {"client_id": n, "name": f"Client {n}", "cloud": "EU", "applications": {}}
            for n in CLIENTS
        ]
        await put_objects(self.settings, "config.clients", clients)
        await self.configure(choices)
        await put_objects(self.settings, "config.triggers", [trigger(n) for n in CLIENTS])
        for role, command in roles.items():
            self.begin(role, command)
        for worker in self._workers.values():
            await worker.ready()

    async def configure(self, choices: Mapping[int, Choice]) -> None:
        found = [integration(number, choice, self.url) for number, choice in choices.items()]
        await put_objects(self.settings, "config.integrations", found)

    def begin(self, role: str, command: Sequence[str] = STREAM_APP) -> None:
        """Start the worker of a role."""
        log = self._logs / f"{self.settings.topic_prefix}{role}.{self.kills[role]}"
        keys = dict(map(key_of, CHANGED))
        more = {
            "STREAM_APP_DELIVERY__SANDBOX_URL": self.url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE),
            "STREAM_APP_DELIVERY__MAX_REQUESTS_PER_SECOND": "5000",
            "STREAM_APP_DELIVERY__MAX_IN_FLIGHT_PER_INTEGRATION": str(PER_INTEGRATION),
        }
        env = more | keys | self._env
        self._workers[role] = WorkerProcess(role, self.settings, log, command, **env)

    def worker(self, role: str) -> WorkerProcess:
        return self._workers[role]

    async def kill(self, role: str) -> None:
        """Kill a worker as `kill -9` does, and start another one."""
        await asyncio.to_thread(self._workers[role].kill)
        self._replace(role)

    async def is_killed(self, role: str, seconds: float) -> None:
        """Wait until a worker has killed itself, and start another one."""
        assert await asyncio.to_thread(self._workers[role].process.wait, seconds) == -signal.SIGKILL
        self._replace(role)

    def _replace(self, role: str) -> None:
        self.kills[role] += 1
        self.begin(role)

    async def freeze(self, role: str) -> None:
        """Stop a worker until another one has its partitions, then let it go on for a while."""
        frozen = self._workers[role]
        frozen.signal(signal.SIGSTOP)
        self._replace(role)
        await self._workers[role].ready()
        frozen.signal(signal.SIGCONT)
        await asyncio.sleep(3)
        await asyncio.to_thread(frozen.kill)

    async def stop(self) -> None:
        for worker in self._workers.values():
            worker.__exit__()
        await self.sandbox.stop()

    async def records(self, topic: str) -> list[Any]:
        """Return the records of a topic, those of a partition in their order."""
        found = await read_all(self.bootstrap, f"{self.settings.topic_prefix}{topic}")
        return [record for partition in found.values() for record in partition]


class Attacker:
    """Sends two hits for each second of an attack, to any partition."""

    def __init__(self, installation: Installation, chance: random.Random) -> None:
        self._installation = installation
        self._chance = chance
        self._producer = AIOKafkaProducer(
            bootstrap_servers=installation.bootstrap, linger_ms=5, enable_idempotence=True
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    def out_of_order(self, seconds: Iterable[int], spread: int = 20) -> list[int]:
        """Return seconds in the order in which they are heard of."""
        return sorted(seconds, key=lambda second: second + self._chance.randint(0, spread))

    async def attack(self, client: int, second: int) -> None:
        settings = self._installation.settings
        event = {"client_id": client, "request_time": second, "type": "sqli"}
        for _ in range(2):
            await self._producer.send(
                f"{settings.topic_prefix}events.hits",
                json.dumps(event).encode(),
                partition=self._chance.randrange(settings.partitions),
            )

    async def attack_all(self, rows: Iterable[tuple[int, int]], wall_seconds: float = 0) -> None:
        """Attack clients in seconds, spread over some time."""
        rows = list(rows)
        began = time.monotonic()
        for number, (client, second) in enumerate(rows):
            await self.attack(client, second)
            ahead = number / len(rows) * wall_seconds - (time.monotonic() - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
        await self._producer.flush()

    @contextlib.asynccontextmanager
    async def going_on(
        self, client: int, seconds: list[int], interval_seconds: float
    ) -> AsyncIterator[None]:
        """Go on with an attack in the background, and take its seconds from the list."""

        async def go_on() -> None:
            while seconds:
                await self.attack(client, seconds.pop(0))
                await asyncio.sleep(interval_seconds)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
