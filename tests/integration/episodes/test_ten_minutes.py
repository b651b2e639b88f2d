"""Ten minutes of a one-second trigger that fires in every second, in each mode, with two kills.

Pages, notes, folded windows and closes are compared with the oracle's: on the topics, where a kill
may repeat a record, and at the sandbox, where it may repeat the requests that were in flight.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stream_app.settings import Settings
from tests.integration.episodes.attack import (
    ATTACK,
    CHANGED,
    CHOICES,
    CLIENTS,
    GAP,
    LATE_INTEGRATION,
    SCALE,
    SECOND_ATTACK,
    WALL_SECONDS,
    Attacker,
    Installation,
    trigger,
)
from tests.integration.episodes.comparison import (
    Found,
    alias,
    compare_alerts,
    compare_closes,
    compare_notes,
    compare_records,
    compare_requests,
    fired,
    read,
)
from tests.integration.episodes.oracle import expected
from tests.integration.episodes.waiting import passed
from tests.integration.harness import WorkerProcess, drained, put, put_objects
from tests.integration.notifier.test_notifier import eventually
from tests.processes import STREAM_APP

#: For long runs by hand (tests/README.md).
SEED = int(os.environ.get("ATTACK_SEED") or random.SystemRandom().randrange(10**6))
MORE_KILLS = int(os.environ.get("ATTACK_MORE_KILLS", "0"))
#: How many of these are none: the worker is stopped, and goes on when it is replaced.
FROZEN_SHARE = 0.3
KILLED = ("-m", "tests.integration.workers.killed_in_flush")
MOST_FLUSHES = 5
#: Alerts of each client that come again.
SENT_AGAIN = 30
ROLES = ("detector", "notifier")
APPLIED = 'stream_app_config_last_applied_timestamp_seconds{kind="triggers"}'
PATIENCE = 300 + WALL_SECONDS


@pytest.fixture
def partitions() -> int:
    return 2


@pytest.fixture
def chance() -> random.Random:
    print(f"ATTACK_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture
async def installation(
    settings: Settings, tmp_path: Path, chance: random.Random
) -> AsyncIterator[Installation]:
    """Return a running one. Its workers die in a flush, when its state is not written yet."""
    installation = Installation(settings, tmp_path)
    roles = {
        role: (*KILLED, topic, str(chance.randint(1, MOST_FLUSHES)))
        for role, topic in (("detector", "alerts"), ("notifier", "deliveries"))
    }
    await installation.start(CHOICES, roles)
    yield installation
    await installation.stop()


async def kill_all(installation: Installation, chance: random.Random) -> None:
    """Wait for the two kills; then kill the workers in turn, each at any moment of its work."""
    await asyncio.gather(*(installation.is_killed(role, PATIENCE) for role in ROLES))
    began = time.monotonic()
    for number, share in enumerate(sorted(chance.random() for _ in range(MORE_KILLS))):
        await asyncio.sleep(max(0.0, began + share * WALL_SECONDS - time.monotonic()))
        role = ROLES[number % 2]
        await installation.worker(role).ready()
        if role == "notifier":
            await received(installation, chance.randrange(5, 50))
        if chance.random() < FROZEN_SHARE:
            await installation.freeze(role)
        else:
            await installation.kill(role)


async def received(installation: Installation, more: int) -> None:
    """Wait until the sandbox has received so many more requests."""
    number = installation.received + more
    await eventually(lambda: installation.received >= number)


@pytest.mark.long
@pytest.mark.timeout(300 + 3 * WALL_SECONDS)
async def test_each_mode_tells_of_ten_minutes_of_attack_as_the_oracle_says(
    installation: Installation, chance: random.Random, tmp_path: Path
) -> None:
    begin = int(time.time()) - ATTACK - GAP - SECOND_ATTACK - 60
    first = range(begin, begin + ATTACK)
    second = range(begin + ATTACK + GAP, begin + ATTACK + GAP + SECOND_ATTACK)
    late = chance.choice(first[100:500])
    async with Attacker(installation, chance) as attacker:
        order = attacker.out_of_order(one for one in first if one != late)
        killing = asyncio.create_task(kill_all(installation, chance))
        rows = [(client, one) for one in order[:400] for client in CLIENTS]
        await attacker.attack_all(rows, WALL_SECONDS)
        others, rest = order[400:], order[400:]
        async with attacker.going_on(1, rest, 0.3):
            await killing
            before = await reconfigure(installation)
        await attacker.attack_all((1, one) for one in rest)
        await attacker.attack_all((client, one) for one in others for client in (2, 3))
        await attacker.attack_all((client, one) for one in second for client in CLIENTS)
        await all_is_closed(installation)
        await attacker.attack_all((client, late) for client in CLIENTS)
        await all_is_closed(installation)
    alerts = await installation.records("alerts")
    windows = {(one.client, one.start) for one in map(fired, alerts)}
    assert windows == {(client, one) for one in (*first, *second) for client in CLIENTS}
    assert len({one.revision for one in map(fired, alerts) if one.client == 2}) == 2
    want = expected(
        (fired(record), CHOICES if record.offset < before[record.partition] else CHANGED)
        for record in alerts
    )
    found = await read(installation)
    aliases = compare_records(want, found)
    repeated = compare_requests(found, installation)
    compare_alerts(aliases, found, installation)
    compare_notes(found, installation)
    compare_closes(aliases, found, await hits_ms(installation), SCALE, late)
    again = await replayed(installation, alerts, tmp_path)
    assert decisions(again) == decisions(found)
    print(
        {
            "windows": len({record.value for record in alerts}),
            "pages": len(want.creates),
            "notes": len(want.notes),
            "folded windows": len(want.folded),
            "alerts": len(installation.sandbox.alerts),
            "closes": sum(map(len, found.closes.values())),
            "requests": len(installation.sandbox.requests),
            "requests that a kill repeated": repeated,
            "records that a kill repeated": found.repeated_records,
            "alerts that a kill repeated": len(alerts) - len({record.value for record in alerts}),
        }
    )


async def reconfigure(installation: Installation) -> dict[int, int]:
    """Change the trigger of client 2 and a target of client 3, and send alerts again.

    A person does so with one, and a detector that was killed with many. Return the end of each
    partition of `alerts` at the change. No window of the two clients is on its way then.
    """
    settings = installation.settings
    for role, topic in (
        ("detector", "events.hits"),
        ("detector", "counts"),
        ("notifier", "alerts"),
    ):
        await passed(settings, role, topic, PATIENCE)
    alerts = await installation.records("alerts")
    before: dict[int, int] = defaultdict(int)
    for record in alerts:
        before[record.partition] = record.offset + 1
    detector = installation.worker("detector")
    applied = (await detector.metrics()).get(APPLIED)
    await put_objects(settings, "config.triggers", [trigger(2, is_new=True)])
    while (await detector.metrics()).get(APPLIED) == applied:  # noqa: ASYNC110 - of a worker
        await asyncio.sleep(0.1)
    await installation.configure(CHANGED)
    letters = [
        record
        for record in await installation.records("alerts.dlq")
        if dict(record.headers)["x-integration-ids"] == str(LATE_INTEGRATION).encode()
    ]
    # It is far from the windows that the integration gets later, so it is an attack of its own.
    letter = letters[0]
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    args = ("dlq", "redrive", "alerts", "--place", place)
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    for client in CLIENTS:
        of_client = [(r.key, r.value) for r in alerts if fired(r).client == client]
        topic = f"{settings.topic_prefix}alerts"
        await put(installation.bootstrap, topic, of_client[-SENT_AGAIN:])
    return before


async def all_is_closed(installation: Installation) -> None:
    """Wait until all that has come is told, and each alert that is to be closed is closed."""
    settings = installation.settings
    await drained(settings, "detector", ["events.hits", "counts"], PATIENCE)
    await drained(settings, "notifier", ["alerts", "deliveries", "delivery-results"], PATIENCE)
    creates = (await read(installation)).of("create").values()
    names = {alias(one) for one in creates if CHANGED[one["integration_id"]].close_after}

    def is_closed() -> bool:
        alerts = [one for one in installation.sandbox.alerts if one.alias in names]
        return {one.alias for one in alerts if one.status == "closed"} == names - {
            one.alias for one in alerts if one.status == "open"
        }

    await eventually(is_closed)
    await drained(settings, "notifier", ["deliveries", "delivery-results"], PATIENCE)


async def replayed(installation: Installation, alerts: Sequence[Any], logs: Path) -> Found:
    """Return what becomes of the same alerts in another installation, which sends nothing."""
    prefix = f"{installation.settings.topic_prefix}replay."
    settings = installation.settings.model_copy(update={"topic_prefix": prefix, "dry_run": True})
    other = Installation(settings, logs, STREAM_APP_DRY_RUN="true")
    try:
        await other.start(CHANGED, {"notifier": STREAM_APP})
        rows = [(record.key, record.value) for record in alerts]
        await put(installation.bootstrap, f"{prefix}alerts", rows)
        await passed(settings, "notifier", "alerts", PATIENCE)
        return await read(other)
    finally:
        await other.stop()


def decisions(found: Found) -> dict[str, dict[str, Any]]:
    """Return pages, notes and folded windows of integrations that were configured all the time."""
    records = found.of("create") | found.of("note") | found.folded
    return {
        name: one
        for name, one in records.items()
        if CHANGED[one["integration_id"]] == CHOICES.get(one["integration_id"])
    }


async def hits_ms(installation: Installation) -> dict[tuple[object, int], int]:
    """Return when the first hit of each second of a client came, Unix ms."""
    found: dict[tuple[object, int], int] = {}
    for record in await installation.records("events.hits"):
        hit = json.loads(record.value)
        second = hit["client_id"], hit["request_time"]
        found[second] = min(record.timestamp, found.get(second, record.timestamp))
    return found
