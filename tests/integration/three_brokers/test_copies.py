"""How many copies topics have and writes need: what is made, what is said, and with a node away."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiokafka.admin import NewTopic

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster import topics
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_copies import check_copies
from stream_app.kafka.cluster.topic_creation import create_topics, make_topics
from stream_app.kafka.cluster.topics import MIN_INSYNC, TopicSpec, topic_specs
from stream_app.kafka.state.changelog_settings import topic_overrides
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, configure_topics
from tests.integration.three_brokers.nodes import ThreeBrokers

COPIES = {"STREAM_APP_KAFKA__REPLICATION_FACTOR": "3"}
#: Each asks other things of the cluster.
COMMANDS = (("topics", "list"), ("get", "triggers"), ("alerts", "list"), ("dlq", "list"))


@pytest.fixture
def settings(cluster: ThreeBrokers, topic_prefix: str) -> Settings:
    kafka = KafkaSettings(bootstrap_servers=cluster.bootstrap_servers, replication_factor=3)
    return Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=2)


async def run(settings: Settings, *args: str) -> tuple[int, str]:
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args, **COPIES)
    return done.returncode, done.stdout + done.stderr


async def own_settings(settings: Settings, topic: str) -> dict[str, str]:
    """Return the settings of a topic that are not the cluster's."""
    async with Admin(settings) as client:
        return (await topic_overrides(client, [topic]))[topic]


async def problems(settings: Settings, topic: str) -> list[tuple[str, str]]:
    found = await check_copies(settings)
    return [(one.problem, one.remedy) for one in found if one.topic == topic]


async def test_writes_need_two_of_three_copies_and_what_differs_is_told(
    cluster: ThreeBrokers, settings: Settings
) -> None:
    prefix, servers = settings.topic_prefix, cluster.bootstrap_servers
    await create_topics(settings)
    assert await run(settings, "topics", "check") == (0, "all topics are as they must be\n")
    counts = f"{prefix}counts"
    assert (await own_settings(settings, counts))[MIN_INSYNC] == "2"
    configs = f"kafka-configs --bootstrap-server {servers} --alter --topic {counts} --add-config"
    for needed, effect in (
        ("1", "what one broker has acknowledged alone is lost with it"),
        ("3", "no write is taken while one of their brokers restarts"),
        ("4", "no write is ever taken"),
    ):
        await configure_topics(servers, {counts: {MIN_INSYNC: needed}})
        told = f"{MIN_INSYNC} is {needed} with 3 copies: {effect}"
        assert await problems(settings, counts) == [(told, f"{configs} {MIN_INSYNC}=2")]
    code, text = await run(settings, "doctor")
    assert code == 1
    assert f"{counts}: {MIN_INSYNC} is 4 with 3 copies" in text
    assert "failed: " in text.splitlines()[-1]
    assert "replication" in text.splitlines()[-1]
    _, text = await run(settings, "status", "--json")
    assert f"{MIN_INSYNC} is 4 with 3 copies" in text
    await configure_topics(servers, {counts: {MIN_INSYNC: "2"}})
    assert await problems(settings, counts) == []

    # The workers' own topics are looked at, too; this one was made before there were three brokers.
    changelog = f"{prefix}stream-app-detector-windows-changelog"
    async with Admin(settings) as client:
        one = NewTopic(changelog, -1, -1, replica_assignments={0: [1], 1: [3]})
        await client.create_topics([one])
    await cluster.in_step()
    (needs, _), (few, remedy) = sorted(await problems(settings, changelog), reverse=True)
    assert needs == f"{MIN_INSYNC} is 2 with 1 copy: no write is ever taken"
    assert few == "has 1 copy, STREAM_APP_KAFKA__REPLICATION_FACTOR is 3"
    plan = json.loads(remedy.partition("echo '")[2].partition("'")[0])
    assert [set(part["replicas"]) for part in plan["partitions"]] == [{1, 2, 3}, {1, 2, 3}]

    # With a node away, every command works, at once and when the cluster has noticed.
    cluster.kill(2)
    for command in COMMANDS:
        assert (await run(settings, *command))[0] == 0, command
    await cluster.in_step()
    ((told, remedy),) = await problems(settings, counts)
    assert told == "partitions 0, 1 have copies that are not in step, on broker 2"
    assert remedy == "start broker 2 again, or look into its log"
    code, text = await run(settings, "topics", "check")
    assert code == 3
    assert "copies that are not in step, on broker 2" in text
    _, text = await run(settings, "doctor")
    assert "lower it, or add brokers" not in text, "the third one is only away"


async def test_a_cluster_that_refuses_says_why_and_its_own_setting_will_do(
    cluster: ThreeBrokers, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    four = settings.kafka.model_copy(update={"replication_factor": 4})
    with pytest.raises(StreamAppError, match="_FACTOR is 4, and the cluster has 3 brokers"):
        await create_topics(settings.model_copy(update={"kafka": four}))
    async with Admin(settings) as client:
        spec = TopicSpec(f"{settings.topic_prefix}other", 1, "none", {"retention.ms": "never"})
        with pytest.raises(StreamAppError, match="InvalidConfigurationError"):
            await make_topics(client, [spec], 3)
    # A cluster that forbids the setting refuses any value of it, as this one does a wrong value.
    monkeypatch.setattr(topics, "COPIES_OF_A_WRITE", 0)
    made = await create_topics(settings)
    assert [spec.name for spec in made] == [spec.name for spec in topic_specs(settings)]
    monkeypatch.undo()
    await cluster.in_step()
    assert MIN_INSYNC not in await own_settings(settings, made[0].name)
    assert await check_copies(settings) == [], "the cluster's own setting is 2"
