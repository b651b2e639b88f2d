"""Dead letters on a real broker: they are listed, shown and redriven once, and go nowhere else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from stream_app.domain.dead_letters.dead_letter import DeadLetter
from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex, Selection
from stream_app.domain.delivery.records import (
    Cancel,
    Delivery,
    Result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.errors import DeadLetterReason, KafkaUnreachableError
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.dead_letters.reading import DeadLetterLog
from stream_app.kafka.dead_letters.redrive import Redriven, Redriver, redriven
from stream_app.settings import Settings
from tests.integration.harness import (
    WorkerProcess,
    drained,
    partial_counts,
    put,
    put_objects,
    read_all,
)
from tests.integration.notifier.test_notifier import Bench, alert, eventually

NOW = int(time.time())


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    yield bench
    await bench.stop()


async def run(settings: Settings, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done


async def dlq(settings: Settings, *args: str, code: int = 0) -> list[dict[str, Any]]:
    """Run `stream-app dlq ... --json` and return what it prints."""
    done = await run(settings, "dlq", *args, "--json", code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


async def records(settings: Settings, topic: str) -> list[Any]:
    name = f"{settings.topic_prefix}{topic}"
    found = await read_all(settings.kafka.bootstrap_servers or "", name)
    return [record for rows in found.values() for record in rows]


async def dead_letters(settings: Settings, topic: str) -> list[Any]:
    """Return the dead letters of a topic, without the marks of those redriven."""
    found = await records(settings, f"{topic}.dlq")
    return [record for record in found if "x-error-reason" in dict(record.headers)]


async def problems(settings: Settings, text: str) -> list[tuple[str, str]]:
    """Return what `status` says needs attention, and the next steps, as far as it has the text."""
    found = json.loads((await run(settings, "status", "--json")).stdout)["needs_attention"]
    return [(row["what"], row["next_step"]) for row in found if text in row["what"]]


def actions(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["action"] for row in rows]


async def test_a_refused_event_is_counted_once_after_its_client_is_configured(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    client = {"client_id": 1, "name": "Acme", "cloud": "EU", "applications": {}}
    await put_objects(settings, "config.clients", [client])
    bootstrap = settings.kafka.bootstrap_servers or ""
    topic = f"{settings.topic_prefix}events.incidents"
    event = b'{"client_id": 2, "first_time": %d}' % NOW
    value = b'[{"client_id":1,"first_time":%d},%s]' % (NOW, event)
    with WorkerProcess("detector", settings, tmp_path / "detector") as worker:
        await worker.ready()
        await put(bootstrap, topic, [(b"any", value)], partition=2, headers=[("trace", b"t1")])
        await drained(settings, "detector", ["events.incidents"])

        (listed,) = await dlq(settings, "list", "--reason", "unknown_client", "--from", "5m")
        headers = dict(zip(listed["headers"][::2], listed["headers"][1::2], strict=True))
        assert (listed["topic"], listed["payload"]) == (f"{topic}.dlq", event.decode())
        assert (headers["x-event-index"], headers["x-attempt"]) == ("1", "1")
        assert (listed["tstype"], listed["key"], listed["broker"] >= 0) == ("create", "any", True)

        trigger = {
            "id": 7, "client_id": 2, "name": "Incidents", "enabled": True, "filters": [],
            "template_id": "incidents_exceeded", "threshold": {"count": 5, "period": 1},
            "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
        }  # fmt: skip
        await put_objects(settings, "config.clients", [client | {"client_id": 2}])
        await put_objects(settings, "config.triggers", [trigger])
        ((what, step),) = await problems(settings, "could not be used")
        assert "1 event of events.incidents could not be used: unknown_client" in what
        assert "stream-app dlq redrive events.incidents --reason unknown_client" in step
        (dry,) = await dlq(settings, "redrive", "--reason", "unknown_client", "--dry-run")
        assert (dry["action"], dry["topic"], dry["partition"]) == ("would_redrive", topic, 2)
        assert len(await records(settings, "events.incidents")) == 1
        (sent,) = await dlq(settings, "redrive", "--reason", "unknown_client")
        assert sent | {"action": "would_redrive", "offset": None} == dry
        assert await dlq(settings, "redrive", "--reason", "unknown_client") == []
        await drained(settings, "detector", ["events.incidents"])

    _, back = await records(settings, "events.incidents")
    assert (back.key, back.value, back.partition) == (b"any", event, 2)
    assert dict(back.headers)["trace"] == b"t1"
    assert dict(back.headers)["x-attempt"] == b"2"
    assert [(row[0], row[-1]) for row in await partial_counts(settings)] == [(7, 1)]
    assert await dlq(settings, "list") == []
    (done,) = await dlq(settings, "list", "--done")
    assert (done["redriven"], done["offset"]) == (True, listed["offset"])
    assert len(await dead_letters(settings, "events.incidents")) == 1


async def test_a_stale_alert_that_is_redriven_pages_once(bench: Bench) -> None:
    await bench.worker(STREAM_APP_MAX_ALERT_AGE="3600").ready()
    old = alert()
    await bench.fire(old)
    await bench.drained()
    assert bench.sandbox.requests == []
    (letter,) = await dlq(bench.settings, "list", "alerts", "--integration", "521")
    place = f"alerts.dlq/{letter['partition']}/{letter['offset']}"
    shown = await run(bench.settings, "dlq", "show", place)
    assert "too old to page anybody" in shown.stdout
    assert f"dlq redrive --place {bench.settings.topic_prefix}{place}" in shown.stdout
    (sent,) = await dlq(bench.settings, "redrive", "--place", place)
    assert sent["action"] == "redriven"
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    refused = await run(bench.settings, "dlq", "redrive", "--place", place, code=1)
    assert "has been redriven to" in refused.stderr
    await bench.drained()
    (again,) = await dlq(bench.settings, "redrive", "alerts", "--again")
    assert (again["action"], again["message"]) == ("skipped", "it has been accepted meanwhile")
    assert [one.alias for one in bench.sandbox.alerts] == [old.id]
    assert len(bench.sandbox.requests) == 1


async def test_what_a_disabled_integration_missed_comes_back_once_and_disables_nothing(
    bench: Bench,
) -> None:
    worker = await bench.worker().ready()
    fired = [alert(1_767_225_600 + number) for number in range(8)]
    bench.fail(500)
    await bench.fire(*fired)
    await eventually(lambda: "integration_disabled" in worker.text)
    await bench.drained()
    dead = await dead_letters(bench.settings, "deliveries")
    assert len(dead) == 8
    disabled, *unsent = await problems(bench.settings, "integration 521")
    assert "disabled by the system" in disabled[0]
    assert sum(int(what.partition(" alert")[0]) for what, _ in unsent) == 8

    skipped = await dlq(bench.settings, "redrive", "--integration", "521")
    assert actions(skipped) == ["skipped"] * 8
    assert "`stream-app integrations enable 521` first" in skipped[0]["message"]
    (forced,) = await dlq(bench.settings, "redrive", "deliveries", "--limit", "1", "--force")
    await bench.drained()
    again = (await dead_letters(bench.settings, "deliveries"))[-1]
    assert (dict(again.headers)["x-attempt"], again.value) == (b"2", forced["payload"].encode())
    made = len(bench.sandbox.requests)

    bench.sandbox.heal()
    enabled = await run(bench.settings, "integrations", "enable", "521", "--json")
    assert json.loads(enabled.stdout)["dead_letters"] == {
        "count": 8,
        "next_step": "stream-app dlq redrive --integration 521",
        "looked_back_to_at": None,
    }
    found = json.loads((await run(bench.settings, "status", "--json")).stdout)
    (row,) = found["integrations"]
    assert (row["state"], row["requests"], row["failed_percent"]) == ("active", 0, None)
    told = await run(bench.settings, "integrations", "enable", "521")
    assert "8 alerts have not reached it: stream-app dlq redrive --integration 521" in told.stderr
    live = await dlq(bench.settings, "redrive", "--integration", "521", "--limit", "4")
    assert actions(live) == ["redriven"] * 4
    await eventually(lambda: len(bench.sandbox.alerts) == 4)
    await bench.drained()
    worker.kill()
    rest = await dlq(bench.settings, "redrive", "--integration", "521")
    assert actions(rest) == ["redriven"] * 4
    assert actions(await dlq(bench.settings, "redrive", "--integration", "521")) == []
    # Written by a worker that had not heard of the enabling.
    old = Cancel(1111, 521, DeadLetterReason.INTEGRATION_DISABLED, epoch=0)
    await bench.put("delivery-results", (b"521", encode_result(old)))
    await bench.worker().ready()
    await eventually(lambda: len(bench.sandbox.alerts) == 8)
    await bench.drained()

    assert sorted(one.alias for one in bench.sandbox.alerts) == sorted(one.id for one in fired)
    assert len(bench.sandbox.requests) == made + 8
    assert len(await dead_letters(bench.settings, "deliveries")) == 9, (
        "there are no new dead letters"
    )
    by_key = DefaultPartitioner()(b"521", [0, 1, 2, 3], [0, 1, 2, 3])
    assert {row["partition"] for row in (*live, *rest)} == {by_key}
    assert {record.partition for record in await records(bench.settings, "deliveries")} == {by_key}
    row = json.loads((await run(bench.settings, "integrations", "list", "--json")).stdout)
    assert (row["id"], row["state"]) == (521, "active")
    assert await problems(bench.settings, "521") == []
    await fail_three_times(bench, row["epoch"])


async def fail_three_times(bench: Bench, epoch: int) -> None:
    """Let one message fail until `status` says that the integration does not work."""
    for attempt in (1, 2, 3):
        assert await problems(bench.settings, "521") == []
        result = Result(
            "x/521", 1111, 521, "opsgenie", attempt, accepted=False, reason="unauthorized",
            message="HTTP 401", finished_at_ms=NOW * 1000, duration_seconds=0.1, epoch=epoch,
        )  # fmt: skip
        await bench.put("delivery-results", (b"521", encode_result(result)))
    ((what, step),) = await problems(bench.settings, "521")
    assert "(On-call 521): its newest 3 requests have all failed, since 20" in what
    assert what.endswith(": unauthorized")
    assert step == "stream-app integrations test 521"


OFFSETS = count(17)
DELIVERY = Delivery("a/521", "a", 1111, 521, "Title", "Text", {}, epoch=1)


def dead_letter_headers(settings: Settings, topic: str, **changes: str) -> list[tuple[str, bytes]]:
    facts = {
        "x-original-topic": f"{settings.topic_prefix}{topic}",
        "x-original-partition": "1",
        "x-original-offset": str(next(OFFSETS)),
        "x-original-timestamp": str(NOW * 1000),
        "x-error-reason": "exhausted",
        "x-error-message": "no\x1b[2J",
        "x-attempt": "1",
    }
    return [(name, text.encode()) for name, text in (facts | changes).items()]


async def test_accepted_cut_and_misdirected_dead_letters_are_not_sent(bench: Bench) -> None:
    settings, prefix = bench.settings, bench.settings.topic_prefix
    one, two = (
        encode_delivery(DELIVERY),
        b'{"id":"b/521","alert_id":"b","client_id":1111,"integration_id":521}',
    )

    async def bury(topic: str, value: bytes, **changes: str) -> None:
        headers = dead_letter_headers(settings, changes.pop("source", topic), **changes)
        name = f"{prefix}{topic}.dlq"
        await put(bench.bootstrap, name, [(b"521", value)], partition=1, headers=headers)

    await bury("deliveries", one)
    await bury("deliveries", two)
    await bury("deliveries", one[:20], **{"x-original-size": "99"})
    await bury("deliveries", one, source="config.integrations")
    await bury("events.hits", one, source="deliveries")
    accepted = Result(
        "a/521", 1111, 521, "opsgenie", 3, accepted=True, reason="accepted", message="",
        finished_at_ms=NOW * 1000 + 5, duration_seconds=0.1,
    )  # fmt: skip
    await bench.put("delivery-results", (b"521", encode_result(accepted)))

    usage = await run(settings, "dlq", "redrive", code=2)
    assert "say which dead letters are meant" in usage.stderr
    rows = await dlq(settings, "redrive", "--all")
    why = {row["place"].removeprefix(prefix): row.get("message", "") for row in rows}
    assert "accepted meanwhile" in why["deliveries.dlq/1/0"]
    assert why["deliveries.dlq/1/1"] == ""
    assert "cut short" in why["deliveries.dlq/1/2"]
    assert f"'{prefix}config.integrations'" in why["deliveries.dlq/1/3"]
    assert f"must be '{prefix}events.hits'" in why["events.hits.dlq/1/0"]
    (sent,) = await records(settings, "deliveries")
    assert (sent.key, sent.value, sent.partition) == (b"521", two, 1)
    assert len(await records(settings, "config.integrations")) == 1
    assert await records(settings, "events.hits") == []

    listed = (await run(settings, "dlq", "list", "--done", "--client", "1111")).stdout
    assert "\x1b" not in listed
    assert [line.split()[0].removeprefix(prefix) for line in listed.splitlines()[1:]] == [
        "deliveries.dlq/1/0", "deliveries.dlq/1/1", "deliveries.dlq/1/3", "events.hits.dlq/1/0"
    ]  # fmt: skip
    raw = await run(settings, "dlq", "show", "deliveries", "1", "2", "--raw")
    assert raw.stdout == one[:20].decode()
    missing = await run(settings, "dlq", "show", "deliveries", "1", "4", code=1)
    assert f"no dead letter lies at {prefix}deliveries.dlq/1/4" in missing.stderr, "it is a mark"
    counted = await dlq(settings, "list", "--summary")
    assert {row["topic"].removeprefix(prefix): row["count"] for row in counted} == {
        "deliveries.dlq": 3,
        "events.hits.dlq": 1,
    }
    await dismiss_deliveries(settings)


async def dismiss_deliveries(settings: Settings) -> None:
    """Dismiss the three open dead letters of `deliveries`; a fourth one is redriven already."""
    topic = f"{settings.topic_prefix}deliveries.dlq"
    meant = await run(settings, "dlq", "dismiss", "deliveries", code=2)
    assert meant.stdout.splitlines()[-1] == "nothing is done yet: add --yes to do it"
    assert len(await dlq(settings, "list", "deliveries")) == 3
    (done,) = await dlq(settings, "dismiss", "deliveries", "--yes")
    assert done == {
        "dry_run": False,
        "dismissed": [{"topic": topic, "reason": "exhausted", "count": 3}],
    }
    assert await dlq(settings, "list", "deliveries") == []
    rows = await dlq(settings, "list", "deliveries", "--done")
    assert [(row["redriven"], row["dismissed"]) for row in rows] == [
        (False, True), (True, False), (False, True), (False, True)
    ]  # fmt: skip
    assert await dlq(settings, "redrive", "deliveries") == []
    again = await dlq(settings, "redrive", "deliveries", "--again", "--dry-run")
    assert len(again) == 4
    shown = (await run(settings, "dlq", "show", "deliveries", "1", "0")).stdout
    assert "next     nothing: somebody has dismissed it" in shown
    refused = await run(settings, "dlq", "redrive", "--place", f"{topic}/1/0", code=1)
    assert "has been dismissed: --again sends it all the same" in refused.stderr
    nowhere = await run(settings, "dlq", "dismiss", "--place", f"{topic}/1/99", code=1)
    assert "no dead letter lies at" in nowhere.stderr


class UnmarkedRedriver(Redriver):
    """A redriver that loses the broker before it writes the marks."""

    async def _mark(self, dead_letter: DeadLetter, target: str) -> None:
        raise KafkaTimeoutError(f"{dead_letter.place} {target}")


async def open_dead_letters(settings: Settings) -> list[DeadLetter]:
    index = DeadLetterIndex(Selection())
    async with DeadLetterLog(settings, [f"{settings.topic_prefix}events.hits.dlq"]) as log:
        await log.survey(index)
        index.drop_done()
        return [letter async for letter in log.read(index.offsets())]


async def test_a_broker_lost_before_the_mark_repeats_and_an_interruption_does_not(
    settings: Settings,
) -> None:
    await create_topics(settings)
    topic, bootstrap = f"{settings.topic_prefix}events.hits", settings.kafka.bootstrap_servers or ""
    rows = [(None, b"{"), (b"k", None), (b"k", b"{")]
    headers = dead_letter_headers(settings, "events.hits")
    await put(bootstrap, f"{topic}.dlq", rows, partition=1, headers=headers)

    async def batch() -> list[Redriven]:
        found = await open_dead_letters(settings)
        return [redriven(letter, topic, settings.partitions, None) for letter in found]

    async with UnmarkedRedriver(settings) as unlucky:
        with pytest.raises(KafkaUnreachableError, match=r"3 letters from .*/1/0 on are sent, but"):
            await unlucky.send(await batch())
    again = await batch()
    assert [(one.dead_letter.key, one.dead_letter.value) for one in again] == rows, "none is done"
    async with Redriver(settings) as redriver:
        sending = asyncio.create_task(redriver.send(again))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert await batch() == []
    sent = await records(settings, "events.hits")
    assert [(record.key, record.value) for record in sent] == [*rows, *rows]


async def test_dead_letters_of_many_partitions_are_listed_by_their_time(settings: Settings) -> None:
    await create_topics(settings)
    topic, bootstrap = f"{settings.topic_prefix}events.hits", settings.kafka.bootstrap_servers or ""
    minutes_ago, now = {0: (50, 30, 10), 1: (40, 5), 3: (45, 20)}, time.time()
    for partition, times in minutes_ago.items():
        for minutes in times:
            headers = dead_letter_headers(settings, "events.hits")
            at_ms = int((now - minutes * 60) * 1000)
            row = (b"k", str(minutes).encode())
            await put(
                bootstrap, f"{topic}.dlq", [row], partition=partition, headers=headers,
                timestamp_ms=at_ms,
            )  # fmt: skip

    async def listed(*args: str) -> list[int]:
        return [int(row["payload"]) for row in await dlq(settings, "list", *args)]

    assert await listed() == [50, 45, 40, 30, 20, 10, 5]
    assert await listed("events.hits", "--from", "42m", "--to", "7m") == [40, 30, 20, 10]
    assert await listed("--limit", "3") == [20, 10, 5]
    oldest = await dlq(settings, "redrive", "events.hits", "--limit", "2", "--dry-run")
    assert [int(row["payload"]) for row in oldest] == [50, 45]


async def test_a_dead_letter_that_a_crash_has_written_twice_comes_back_once(
    settings: Settings,
) -> None:
    await create_topics(settings)
    topic, bootstrap = f"{settings.topic_prefix}events.hits", settings.kafka.bootstrap_servers or ""
    headers = dead_letter_headers(settings, "events.hits")
    for partition in (0, 3):
        await put(
            bootstrap, f"{topic}.dlq", [(None, b"{}")], partition=partition, headers=headers
        )  # fmt: skip
    assert len(await dlq(settings, "list")) == 2
    assert actions(await dlq(settings, "redrive", "events.hits")) == ["redriven"]
    assert await dlq(settings, "redrive", "events.hits") == []
    assert await dlq(settings, "list") == []
    assert [row["redriven"] for row in await dlq(settings, "list", "--done")] == [True, True]
    assert len(await records(settings, "events.hits")) == 1
