"""Records of a few kilobytes that are much work: the worker goes on with the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.domain.events.parts_decoder import MAX_RECORD_BYTES
from stream_app.settings import Settings
from tests.integration.detector.test_detector import alerts, incident, prepared, trigger, wait_for
from tests.integration.harness import WorkerProcess, drained, put, read_all
from tests.raw_batches import Raw, batch, produce_raw
from tests.unit.test_costly_records import filled

#: On a loaded machine an answer takes less than half a second. When records were taken in one go,
#: `/readyz` did not answer within five seconds.
LONGEST_ANSWER_SECONDS = 2.0
COSTLY = [
    filled(b"[]"),
    filled(b'""', b"", b"", b"\n"),
    b"[" * MAX_RECORD_BYTES,
    filled(b'{"client_id":1,"details":{"notification_type":"new_hits","hit":{}}}'),
]


async def test_a_worker_answers_and_alerts_while_records_take_long(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(settings, trigger(threshold={"count": 0, "period": 1}))
    topic, now = f"{settings.topic_prefix}events.incidents", int(time.time())
    escapes = filled(rb"\\", rb'{"client_id":1,"host":"\u0041', b'"', b"")
    packed = [batch([Raw(escapes)] * 12, "gzip"), *(batch([Raw(v)], "gzip") for v in COSTLY)]
    assert len(packed[0]) < 100_000
    with WorkerProcess("detector", settings, tmp_path / "log") as worker:
        await worker.ready()
        answers: list[tuple[str, int, float]] = []
        sent = 0
        is_over = asyncio.Event()

        async def ask() -> None:
            for page in ("/livez", "/readyz"):
                started = time.monotonic()
                status = (await worker.page(page))[0]
                answers.append((page, status, time.monotonic() - started))

        async def send_one() -> None:
            nonlocal sent
            await put(bootstrap, topic, [(None, incident(now - sent))], partition=1)
            sent += 1
            await asyncio.sleep(0.2)

        for raw in packed:
            assert await produce_raw(bootstrap, topic, 0, raw) == 0
        others = [asyncio.create_task(_repeated(call, is_over)) for call in (ask, send_one)]
        assert await wait_for(lambda: _are_read(settings, topic, 12 + len(COSTLY))), worker.text
        is_over.set()
        await asyncio.gather(*others)
        await drained(settings, "detector", ["events.incidents", "counts"])
        assert worker.stop() == 0
    letters = await _dead_letter_times(settings, topic)
    assert len(letters) >= 12 + len(COSTLY)
    longest = max(seconds for _, _, seconds in answers)
    first, last = min(letters), max(letters)
    print(f"{len(answers)} answers, the longest {longest:.3f} s; {last - first} ms of letters")
    assert {(page, status) for page, status, _ in answers} == {("/livez", 200), ("/readyz", 200)}
    assert longest < LONGEST_ANSWER_SECONDS
    found = await read_all(bootstrap, f"{settings.topic_prefix}alerts")
    times = [record.timestamp for records in found.values() for record in records]
    meanwhile = [at for at in times if at < last]
    # How many come meanwhile depends on the machine: a quick one is done before the first.
    print(f"{len(meanwhile)} of {len(times)} alerts before the last letter; {sent} sent")
    assert len(await alerts(settings)) == sent


async def _repeated(call: Callable[[], Awaitable[None]], is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        await call()


async def _are_read(settings: Settings, topic: str, end: int) -> bool:
    """Tell whether the detector has committed the end of partition 0."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers or "",
        group_id=f"{settings.topic_prefix}stream-app-detector",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        return (await consumer.committed(place) or 0) >= end
    finally:
        await consumer.stop()


async def _dead_letter_times(settings: Settings, topic: str) -> list[int]:
    """Return the times of the dead letters."""
    found = await read_all(settings.kafka.bootstrap_servers or "", f"{topic}.dlq")
    return [record.timestamp for records in found.values() for record in records]
