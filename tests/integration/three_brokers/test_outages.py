"""The system under load while nodes die, freeze, restart and hand over what they lead.

Counts, alerts and requests are compared with the oracle's: nothing is lost, and nothing is sent
twice. No worker is killed here, and none may end: what a broker has not acknowledged is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream_app.kafka.cluster.topics import TopicNames
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.three_brokers.installation import Installation
from tests.integration.three_brokers.nodes import NODES, ThreeBrokers

GO_ON_SECONDS = 90.0
#: Alerts that arrive after a fault show that all steps go on: those of each kind of events.
GO_ON_ALERTS = 12


@pytest.fixture
async def installation(
    cluster: ThreeBrokers, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    kafka = KafkaSettings(
        bootstrap_servers=cluster.bootstrap_servers, fetch_max_wait_ms=200, replication_factor=3
    )
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)
    found = Installation(settings, tmp_path)
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


async def goes_on(installation: Installation) -> None:
    """Wait until further alerts arrive, and all workers are ready."""
    wanted = len(installation.sandbox.requests) + GO_ON_ALERTS
    async with asyncio.timeout(GO_ON_SECONDS):
        while len(installation.sandbox.requests) < wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    for worker in installation.workers:
        await worker.ready(GO_ON_SECONDS)


async def stands_still(installation: Installation) -> None:
    """Wait until every worker is not ready."""
    async with asyncio.timeout(GO_ON_SECONDS):
        for worker in installation.workers:
            while (await worker.page("/readyz"))[0] != 503:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_while_any_node_is_away(
    cluster: ThreeBrokers, installation: Installation
) -> None:
    names = TopicNames(installation.settings.topic_prefix)
    installation.load.start()
    await goes_on(installation)

    coordinator = await cluster.coordinator(names.group("detector"))
    cluster.kill(coordinator)
    await goes_on(installation)
    await cluster.start(coordinator)

    # The next one, by its own part in the cluster: the controllers' leader.
    controller = await cluster.controller()
    cluster.kill(controller)
    await goes_on(installation)
    await cluster.start(controller)

    # Its connections stay, and nothing on them is answered.
    leader = (await cluster.topics())[f"{names.prefix}counts"][0]["leader"]
    cluster.freeze(leader)
    await goes_on(installation)
    cluster.thaw(leader)
    await cluster.in_step()

    assert await cluster.move_leaders() > 0
    await goes_on(installation)

    for node in NODES:
        await cluster.stop(node)
        await cluster.start(node)
    await goes_on(installation)

    # Below min.insync.replicas, and without a quorum of controllers.
    cluster.kill(1)
    cluster.kill(2)
    await stands_still(installation)
    await cluster.start(1)
    await goes_on(installation)

    await installation.load.end()
    await installation.settled()
    figures = await installation.compare()
    print(figures)
    assert figures["requests sent again"] == 0
    assert installation.ended() == []
    assert [worker.stop() for worker in installation.workers] == [0, 0, 0, 0]
