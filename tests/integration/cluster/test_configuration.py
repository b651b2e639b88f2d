"""The live reader on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from stream_app.domain.errors import KafkaUnreachableError, TopicMismatchError
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.configuration.view import Configuration
from stream_app.metrics import Metrics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.harness import PATIENCE_SECONDS, WorkerProcess
from tests.integration.harness import put as put_raw

CLIENT: dict[str, Any] = {"client_id": 1111, "name": "Acme", "cloud": "EU"}
TRIGGER: dict[str, Any] = {
    "id": 61,
    "client_id": 1111,
    "name": "Hits",
    "enabled": True,
    "template_id": "hits_exceeded",
    "threshold": {"count": 1, "period": 60},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
}
INTEGRATION: dict[str, Any] = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call",
    "active": True,
    "type": "opsgenie",
    "target": {"token": "file:1111/acme", "api": "https://api.opsgenie.com/v2/alerts"},
    "events": [],
}

Put = Callable[[str, int, dict[str, Any] | bytes | None], Any]


@pytest.fixture
async def put(settings: Settings) -> AsyncIterator[Put]:
    """Write one record to `config.<kind>` and return its offset."""
    await create_topics(settings)
    producer = AIOKafkaProducer(**connection_options(settings))
    await producer.start()

    async def send(kind: str, key: int, value: dict[str, Any] | bytes | None) -> int:
        raw = orjson.dumps(value) if isinstance(value, dict) else value
        topic = f"{settings.topic_prefix}config.{kind}"
        offset: int = (await producer.send_and_wait(topic, raw, str(key).encode())).offset
        return offset

    try:
        yield send
    finally:
        await producer.stop()


@asynccontextmanager
async def reading(
    settings: Settings, metrics: Metrics | None = None
) -> AsyncIterator[ConfigurationReader]:
    reader = ConfigurationReader(settings, metrics)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():  # noqa: ASYNC110 - the claim is about the reader, which has no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def administering(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def test_everything_stored_has_been_read_when_start_returns(
    settings: Settings, put: Put
) -> None:
    await put("clients", 1111, CLIENT)
    await put("integrations", 521, INTEGRATION)
    for number in range(1, 301):
        await put("triggers", number, TRIGGER | {"id": number})
    await put("triggers", 300, None)
    await put("triggers", 299, b"spoiled")
    metrics = Metrics()
    reader = ConfigurationReader(settings, metrics)
    assert not reader.is_ready
    await reader.start()
    try:
        view = reader.configuration
        assert reader.is_ready
        assert reader.last_error is None
        assert (list(view.clients), list(view.integrations)) == ([1111], [521])
        assert set(view.triggers) == set(range(1, 299))
        assert view.trigger_offsets[300] == 300
        assert view.trigger_position == 302
        value = metrics.registry.get_sample_value
        assert value("stream_app_config_invalid", {"kind": "triggers"}) == 1
        assert value("stream_app_config_objects", {"kind": "triggers"}) == 298
    finally:
        await reader.stop()
    assert not reader.is_ready
    assert len(view.triggers) == 298, "the last view stays"


async def test_empty_topics_are_read_at_once(settings: Settings, put: Put) -> None:
    async with reading(settings) as reader:
        assert reader.is_ready
        assert reader.configuration.triggers == {}


async def test_what_a_transaction_leaves_is_passed_over_and_not_waited_for(
    settings: Settings, put: Put
) -> None:
    await put("triggers", 61, TRIGGER)
    producer = AIOKafkaProducer(
        **connection_options(settings), transactional_id=settings.topic_prefix
    )
    await producer.start()
    topic, other = f"{settings.topic_prefix}config.triggers", orjson.dumps(TRIGGER | {"name": "no"})
    async with reading(settings) as reader:
        for end in (producer.abort_transaction, producer.commit_transaction):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, other, b"61")
            assert await reader.catch_up(20), "an open one has no end yet"
            assert reader.configuration.triggers[61].name == TRIGGER["name"]
            await end()
            assert await reader.catch_up(20), "the marker at its end is no record"
        assert reader.configuration.triggers[61].name == "no"
    await producer.stop()


async def test_a_change_is_seen_live_though_a_subscriber_fails(
    settings: Settings, put: Put
) -> None:
    seen: list[int] = []
    async with reading(settings) as reader:

        def fails(_view: Configuration) -> None:
            raise RuntimeError("a subscriber with a bug")

        reader.subscribe(fails)
        reader.subscribe(lambda view: seen.append(view.version))
        for name in ("one", "two", "three", "four", "five"):
            offset = await put("triggers", 61, TRIGGER | {"name": name})
            async with asyncio.timeout(60):
                while reader.configuration.trigger_position <= offset:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.001)
            assert reader.configuration.triggers[61].name == name
        await put("triggers", 61, None)
        await eventually(lambda: not reader.configuration.triggers)
        assert seen == sorted(set(seen))
        assert seen[-1] == reader.configuration.version
        assert reader.is_ready


async def test_a_bad_record_is_passed_over(settings: Settings, put: Put) -> None:
    async with reading(settings) as reader:
        await put("integrations", 521, INTEGRATION)
        await eventually(lambda: 521 in reader.configuration.integrations)
        clear = INTEGRATION | {"target": INTEGRATION["target"] | {"token": "fake-key-not-real"}}
        await put("integrations", 521, clear)
        await eventually(lambda: 521 not in reader.configuration.integrations)
        await put("integrations", 522, INTEGRATION | {"id": 522})
        await eventually(lambda: 522 in reader.configuration.integrations)


@pytest.mark.parametrize("number", [1, 3])
async def test_a_topic_that_is_made_anew_is_read_from_its_beginning(
    settings: Settings, put: Put, number: int
) -> None:
    await put("clients", 1111, CLIENT)
    await put("clients", 2222, CLIENT | {"client_id": 2222})
    name = f"{settings.topic_prefix}config.clients"
    async with reading(settings) as reader, administering(settings) as admin:
        assert set(reader.configuration.clients) == {1111, 2222}
        await admin.delete_topics([name])
        await eventually(lambda: f"{name} has disappeared" in str(reader.last_error))
        await admin.create_topics([NewTopic(name, 1, 1)])
        await asyncio.sleep(0.5)
        # With fewer records than before or with more: it is another topic, whatever its offsets.
        ids = range(3333, 3333 + number)
        for client_id in ids:
            await put("clients", client_id, CLIENT | {"client_id": client_id})
        await eventually(lambda: set(reader.configuration.clients) == set(ids))
        await eventually(lambda: reader.last_error is None)


async def test_a_missing_topic_is_named(settings: Settings) -> None:
    with pytest.raises(TopicMismatchError, match=r"config\.clients for example.*topics create"):
        await ConfigurationReader(settings).start()


async def test_several_partitions_of_triggers_are_refused(settings: Settings, put: Put) -> None:
    async with administering(settings) as admin:
        name = f"{settings.topic_prefix}config.triggers"
        await admin.create_partitions({name: NewPartitions(3)})
        async with asyncio.timeout(60):
            while len((await admin.describe_topics([name]))[0]["partitions"]) != 3:  # noqa: ASYNC110 - of the broker
                await asyncio.sleep(0.1)
    with pytest.raises(TopicMismatchError, match=r"config\.triggers has 3 partitions and must"):
        await ConfigurationReader(settings).start()


async def test_a_missing_broker_is_an_error_that_says_so() -> None:
    nowhere = Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(KafkaUnreachableError, match=r"127\.0\.0\.1:1: .*BOOTSTRAP_SERVERS"):
        await ConfigurationReader(nowhere).start()


async def test_status_names_the_records_that_stand_for_no_object_and_says_what_to_do(
    settings: Settings, put: Put
) -> None:
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    for kind in ("clients", "triggers", "integrations"):
        odd = [(b"abc", b"{}"), (b"gone", b"{}"), (b"gone", None)]
        more = [(b"K" * 10_000, b"{}")] if kind == "clients" else []
        await put_raw(bootstrap, f"{prefix}config.{kind}", [*odd, *more])
    await put_raw(bootstrap, f"{prefix}status.integrations", [(b"no id", b"{}")])
    await put("triggers", 5, b"no json")
    await put("triggers", 6, b"[]")
    await put("triggers", 7, TRIGGER)
    await put("clients", 1111, CLIENT)
    await put("clients", 2222, CLIENT | {"client_id": 2222, "cloud": "moon"})
    # Stored before such texts were refused, and not in force since then.
    await put("integrations", 521, INTEGRATION | {"alert": {"entity": "On\x07call"}})
    found = await asyncio.to_thread(WorkerProcess.command, settings, "status", "--json")
    assert found.returncode == 0, found.stderr
    rows = orjson.loads(found.stdout)["needs_attention"]
    steps = {row["what"]: row["next_step"] for row in rows}
    for part in (
        "config.triggers partition 0, offset 0: key 'abc': must be the object's id as text",
        "config.integrations partition 0, offset 0: key 'abc': must be the object's id as text",
        "config.clients partition 0, offset 0: key 'abc'",
        f"key '{'K' * 80}'… of 10,000 bytes",
        "status.integrations partition 0, offset 0: key 'no id'",
        "key '5': its value is no JSON object",
        "key '6': its value is no JSON object",
        "client 2222: cloud: 'moon': must be one of",
        "trigger 7 (Hits) cannot be used: id: 61: the record's key is 7",
        "integration 521 (On-call) cannot be used: alert.entity: 'On\\x07call': must have no",
    ):
        (what,) = [what for what in steps if part in what]
        assert "stream-app apply -f" in steps[what]
    assert not any("gone" in what for what in steps)
