"""Topics whose records have the times of their producers (CreateTime), on a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.kafka.watch import topic_watch
from stream_app.settings import Settings
from tests.integration.detector.test_detector import alerts, incident, prepared, trigger, wait_for
from tests.integration.harness import WorkerProcess, drained, put, read_all
from tests.integration.records.test_unreadable_batches import configure

TWO_DAYS = 2 * 86400
ACCEPTED = {"STREAM_APP_ACCEPT_PRODUCER_TIME": "true"}
#: Today's brokers refuse records an hour ahead, unless they are told not to.
CREATE_TIME = {
    "message_timestamp_type": "CreateTime",
    "message_timestamp_after_max_ms": str(2**63 - 1),
}


async def set_clock(settings: Settings, topic: str, **values: str) -> str:
    name = f"{settings.topic_prefix}{topic}"
    await configure(settings, [name], **(values or CREATE_TIME))
    return name


@pytest.mark.parametrize(
    ("role", "topic", "accepted"),
    [
        ("detector", "events.incidents", {}),
        ("detector", "events.account", {}),
        ("detector", "counts", ACCEPTED),
        ("notifier", "delivery-results", ACCEPTED),
    ],
)
async def test_a_worker_does_not_start_on_the_clocks_of_producers(
    settings: Settings, tmp_path: Path, role: str, topic: str, accepted: dict[str, str]
) -> None:
    await prepared(settings)
    name = await set_clock(settings, topic)
    with WorkerProcess(role, settings, tmp_path / "worker.log", **accepted) as worker:
        assert await wait_for(lambda: _has_ended(worker))
        assert worker.process.returncode == 3
        assert f"topic {name}: message.timestamp.type is CreateTime" in worker.text
        assert f"--topic {name} --add-config message.timestamp.type=LogAppendTime" in worker.text
        can_be_accepted = topic.startswith("events.")
        assert ("STREAM_APP_ACCEPT_PRODUCER_TIME=true" in worker.text) is can_be_accepted


async def _has_ended(worker: WorkerProcess) -> bool:
    return worker.process.poll() is not None


async def test_a_record_two_days_ahead_closes_no_windows_and_its_neighbours_count(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 3, "period": 60, "operator": "gt"}))
    name = await set_clock(settings, "events.incidents")
    bootstrap = settings.kafka.bootstrap_servers or ""
    now = int(time.time()) // 60 * 60
    ahead, behind = now + TWO_DAYS, now - TWO_DAYS
    timeless = json.dumps({"client_id": 1}).encode()
    refused: list[tuple[int, bytes]] = [
        (ahead, incident(ahead)),
        (ahead, timeless),
        (ahead, b"[" + incident(ahead) + b"," + incident(ahead + 1) + b"]"),
        (now, incident(ahead)),
        (behind, incident(now)),
    ]
    good = [(now, incident(now)), (ahead, incident(now))]
    rows = [*refused, *good, (behind, timeless), (now, timeless), *refused, good[0]]

    async def write() -> None:
        for seconds, value in rows:
            at = {"timestamp_ms": seconds * 1000, "partition": 0}
            await put(bootstrap, name, [(None, value)], **at)

    with WorkerProcess("detector", settings, tmp_path / "worker.log", **ACCEPTED) as worker:
        await worker.ready()
        await write()
        await drained(settings, "detector", ["events.incidents", "counts"])
        found = await worker.metrics()
        assert worker.stop() == 0
    event = 'stream_app_events_total{kind="incidents",result="%s"}'
    assert found[event % "counted"] == 4
    # The event without a time of its own, in a record that claims to be two days old.
    assert found['stream_app_late_events_total{kind="incidents"}'] == 1
    assert found['stream_app_watermark_seconds{kind="incidents"}'] <= time.time()
    letters = [r for rows in (await read_all(bootstrap, f"{name}.dlq")).values() for r in rows]
    assert len(letters) == 2 * (len(refused) + 1)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["x-error-reason"] == b"future_timestamp"
    assert len(await alerts(settings)) == 1


async def test_a_topic_that_is_altered_while_its_worker_runs_is_reported(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        name = await set_clock(settings, "counts")
        told = f"topic {name}: message.timestamp.type is CreateTime"
        assert await wait_for(
            _ready_says(worker, 503, told), topic_watch.LOOKS_PER_CLOCK_CHECK + 30
        )
        shown = WorkerProcess.command(settings, "status")
        assert f"{name}: message.timestamp.type is CreateTime" in " ".join(shown.stdout.split())
        assert "CreateTime" in WorkerProcess.command(settings, "doctor").stdout
        await set_clock(settings, "counts", message_timestamp_type="LogAppendTime")
        assert await wait_for(_ready_says(worker, 200, ""), topic_watch.LOOKS_PER_CLOCK_CHECK + 30)
        assert worker.stop() == 0


def _ready_says(worker: WorkerProcess, status: int, text: str) -> Callable[[], object]:
    async def claim() -> bool:
        found, body = await worker.page("/readyz?verbose")
        return found == status and text in body

    return claim
