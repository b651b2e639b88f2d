"""Recorded events copied to a dry run: the same bytes, the same alerts, and nobody is paged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic
from cryptography.fernet import Fernet

from stream_app.cli.replay import copy_events
from stream_app.domain.replay.copying import Remainder
from stream_app.domain.replay.ranges import Range
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.history.copier import Copier
from stream_app.kafka.history.time_order import Placed
from stream_app.settings import Settings
from tests.integration.cli.test_replay import SUBSCRIBED, command, live_alerts, produce
from tests.integration.harness import (
    WorkerProcess,
    configure_topics,
    drained,
    put,
    put_objects,
    read_all,
)
from tests.integration.test_exactness import KINDS, TOPICS, clients, triggers

EVENTS = [f"events.{name}" for name in (*KINDS, "account")]
CONFIG = ["config.clients", "config.triggers", "config.integrations"]
#: A key that no secret of this test opens.
UNREADABLE = f"sealed:v1:{Fernet(Fernet.generate_key()).encrypt(b'{}').decode()}"
#: The events happen within ten minutes, except those that come late.
SECONDS, MOST_LATE_SECONDS = 600, 5000


class Endpoint:
    """A server that only counts who connects to it."""

    def __init__(self) -> None:
        self.connections = 0
        self.url = ""

    async def _connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Endpoint]:
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


def dry(settings: Settings, name: str = "trial.") -> Settings:
    prefix = f"{settings.topic_prefix}{name}"
    return settings.model_copy(update={"topic_prefix": prefix, "dry_run": True})


async def rows(settings: Settings, topic: str) -> dict[int, list[Any]]:
    """Return what a copy keeps of each record, by partition."""
    bootstrap = settings.kafka.bootstrap_servers or ""
    found = await read_all(bootstrap, f"{settings.topic_prefix}{topic}")
    return {n: [(r.key, r.value, list(r.headers)) for r in records] for n, records in found.items()}


async def test_a_copy_gives_the_same_alerts_and_a_dry_run_connects_to_nobody(
    settings: Settings, tmp_path: Path
) -> None:
    trial = dry(settings)
    async with Endpoint().serve() as endpoint:
        target = {"api": f"{endpoint.url}/v2/alerts", "token": UNREADABLE}
        await create_topics(settings)
        await put_objects(settings, "config.clients", clients())
        await put_objects(settings, "config.triggers", triggers())
        await put_objects(settings, "config.integrations", [SUBSCRIBED | {"target": target}])
        await produce(settings, 1, 0)
        await _record_headers(settings)
        with WorkerProcess("detector", settings, tmp_path / "live.log") as live_worker:
            await live_worker.ready()
            await drained(settings, "detector", [*TOPICS, "events.account"])
            live = await live_alerts(settings)
        await create_topics(trial)
        await _copies(settings, trial)
        env = {
            "STREAM_APP_DRY_RUN": "true",
            "STREAM_APP_DELIVERY__SANDBOX_URL": endpoint.url,
            "STREAM_APP_DELIVERY__STATUS_CHECK_SHARE": "1",
            "STREAM_APP_MAX_ALERT_AGE": "60",
        }
        with (
            WorkerProcess("detector", trial, tmp_path / "detector.log", **env) as detector,
            WorkerProcess("notifier", trial, tmp_path / "notifier.log", **env) as notifier,
        ):
            await detector.ready()
            await notifier.ready()
            await _settled(trial)
            assert _comparable(await live_alerts(trial)) == _comparable(live)
            assert len(live) > 100
            assert any(b'"notice"' in value for value in live.values())
            await _nothing_was_sent(trial, notifier, target["api"])
            await _deliveries_have_ended(trial)
            await _shifted_to_now(settings, trial, live)
            await _no_last_message(trial, STREAM_APP_DELIVERY__SANDBOX_URL=endpoint.url)
        assert endpoint.connections == 0
        # The counter works: this is what a sender would have done.
        _, writer = await asyncio.open_connection(*endpoint.url.removeprefix("http://").split(":"))
        writer.close()
        await asyncio.sleep(0.1)
        assert endpoint.connections == 1


def _comparable(alerts: dict[str, bytes]) -> dict[str, bytes]:
    """Return alerts without the one thing that a copy changes: when a notice was appended."""
    return {k: re.sub(rb'"appended_ms":\d+', b"", v) for k, v in alerts.items()}


async def _record_headers(settings: Settings) -> None:
    """Add a record with headers and a key, and one without a value."""
    await put(
        settings.kafka.bootstrap_servers or "",
        f"{settings.topic_prefix}events.attacks",
        [(b"key", b"?"), (b"key", None)],
        headers=[("traceparent", b"00-1"), ("traceparent", b"00-2")],
    )


async def _copies(settings: Settings, trial: Settings) -> None:
    prefix = ("--to-prefix", trial.topic_prefix)
    assert {name: await rows(trial, name) for name in EVENTS} == {
        name: {n: [] for n in range(4)} for name in EVENTS
    }
    for topics in (CONFIG, EVENTS):
        code, lines, errors = await command(settings, "replay", "copy", *topics, *prefix, "--json")
        assert code == 0, errors
        copied = json.loads(lines[0])
        assert sum(copied["records"].values()) > len(topics)
        for name in topics:
            assert await rows(trial, name) == await rows(settings, name)


async def _settled(trial: Settings) -> None:
    await drained(trial, "detector", [*TOPICS, "events.account"])
    await drained(trial, "notifier", ["alerts", "deliveries", "delivery-results"])


async def _nothing_was_sent(trial: Settings, notifier: WorkerProcess, url: str) -> None:
    bootstrap, prefix = trial.kafka.bootstrap_servers or "", trial.topic_prefix
    found = await read_all(bootstrap, f"{prefix}delivery-results")
    results = [json.loads(r.value) for records in found.values() for r in records]
    deliveries = {
        row["id"]: row
        for records in (await read_all(bootstrap, f"{prefix}deliveries")).values()
        for row in (json.loads(r.value) for r in records)
    }
    assert len(deliveries) > 10
    assert sorted(row["delivery_id"] for row in results) == sorted(deliveries), "one attempt each"
    for row in results:
        shown = (row["type"], row["reason"], row["is_sent"], row["accepted"], row["attempt"])
        assert shown == ("attempt", "dry_run", False, False, 1)
        body, delivery = json.loads(row["body"]), deliveries[row["delivery_id"]]
        assert body["alias"] == delivery["alert_id"]
        assert row["message"] == f"dry run: not posted to {url}: {delivery['message']}"
    metrics = await notifier.metrics()
    labels = 'integration_type="opsgenie",outcome="dry_run"'
    assert metrics[f"stream_app_deliveries_total{{{labels}}}"] == len(deliveries)
    labels = 'integration_type="unknown",reason="dry_run"'
    assert metrics[f"stream_app_delivery_attempts_total{{{labels}}}"] == len(deliveries)
    assert metrics["stream_app_pending_deliveries"] == 0
    assert json.loads((await notifier.page("/readyz?verbose"))[1])["dry_run"] is True
    assert '"event": "dry_run"' in notifier.text
    assert UNREADABLE not in notifier.text


async def _deliveries_have_ended(trial: Settings) -> None:
    """The list and the history say that nothing was sent, and that nothing follows."""
    code, lines, errors = await command(
        trial, "alerts", "list", "--state", "dry_run", "--limit", "3", "--json"
    )
    assert (code, len(lines)) == (0, 3), errors
    row = json.loads(lines[0])
    assert {(one["state"], one["reason"]) for one in row["deliveries"]} == {("dry_run", None)}
    code, lines, errors = await command(trial, "alerts", "list", "--state", "pending")
    assert (code, lines) == (0, []), errors
    code, lines, errors = await command(trial, "alerts", "show", row["id"])
    assert code == 0, errors
    assert f"integration {row['deliveries'][0]['integration_id']}" in b"".join(lines).decode()
    assert b"  next     nothing: a dry run sends nothing" in b"\n".join(lines)


async def _no_last_message(trial: Settings, **env: str) -> None:
    """Disable an integration that wants a last message; only the mark tells of the dry run."""
    code, _, errors = await command(trial, "integrations", "disable", "1", "--yes", **env)
    assert code == 0, errors
    assert "dry run: no last message is sent" in errors


async def _shifted_to_now(settings: Settings, trial: Settings, live: dict[str, bytes]) -> None:
    """Copy the same events once more, as if they happened now."""
    names = [f"events.{kind}" for kind in KINDS]
    code, _, errors = await command(
        settings, "replay", "copy", *names, "--to-prefix", trial.topic_prefix, "--shift-to-now"
    )
    assert code == 0, errors
    delta = int(re.findall(r"moved by (\d+) s", errors)[0])
    assert re.search(r"events.hits: .* [1-9]\d* events or records could not be shifted", errors)
    await _settled(trial)
    now = time.time()
    shifted = [json.loads(v) for k, v in (await live_alerts(trial)).items() if k not in live]
    assert len(shifted) > 50
    for alert in shifted:
        assert alert["window_start"] <= now
        assert alert["window_end"] > now - SECONDS - MOST_LATE_SECONDS - 60
    recent = [alert for alert in shifted if alert["window_end"] > now - SECONDS - 60]
    assert len(recent) > len(shifted) / 2
    before = [json.loads(value) for value in live.values() if b'"window_start"' in value]
    # Windows of a second move by as much as their events, so order and distances stay.
    expected = {
        (a["trigger"]["id"], a["window_start"] + delta)
        for a in before
        if a["trigger"]["threshold"]["period"] == 1
    }
    found = {
        (a["trigger"]["id"], a["window_start"])
        for a in shifted
        if a["trigger"]["threshold"]["period"] == 1
    }
    assert expected
    assert found == expected


async def test_live_installations_are_refused_and_errors_are_reported(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    bootstrap, mine = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    await put(bootstrap, f"{mine}events.hits", [(None, b"{}")])
    trial, live = dry(settings), f"{mine}live."
    await create_topics(settings.model_copy(update={"topic_prefix": live}))
    for args, code, text in (
        (["events.hits", "--to-prefix", "none."], 3, "STREAM_APP_TOPIC_PREFIX=none."),
        (["config.clients", "--to-prefix", live], 3, "is no dry run"),
        (
            ["events.hits", "--to-prefix", live, "--from", "2h", "--to", "1h"],
            1,
            "holds 1 records",
        ),
        (["events.hits", "--to-prefix", live, "--resume", "events.hits=0:1"], 2, "names 1 part"),
    ):
        found, lines, errors = await command(settings, "replay", "copy", *args)
        assert (found, lines) == (code, []), errors
        assert text in errors, errors
    code, _, errors = await command(settings, "replay", "copy", "events.hits", "--to-prefix", live)
    assert code == 0, errors
    assert "is no dry run: its workers, once they run, send" in errors
    group = f"{live}stream-app-notifier"
    consumer = AIOKafkaConsumer(f"{live}alerts", bootstrap_servers=bootstrap, group_id=group)
    await consumer.start()
    try:
        code, _, errors = await command(
            settings, "replay", "copy", "events.hits", "--to-prefix", live
        )
        assert code == 1
        assert f"the group {group} has 1 members" in errors
        await consumer.commit(dict.fromkeys(consumer.assignment(), 0))
    finally:
        await consumer.stop()
    code, _, errors = await command(settings, "replay", "copy", "events.hits", "--to-prefix", live)
    assert code == 1
    assert f"the group {group} has read its topics before" in errors
    assert [len(r) for r in (await rows(settings, "events.hits")).values()].count(1) == 1
    await _dry_and_live_workers_keep_apart(settings, trial, tmp_path)


async def _dry_and_live_workers_keep_apart(
    settings: Settings, trial: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "clients.json"
    file.write_text(json.dumps(clients()))
    env = {"STREAM_APP_DRY_RUN": "true"}
    for args, text in (
        (["topics", "create"], "belongs to an installation that sends"),
        (["worker", "notifier"], "dry-run does not exist"),
        (["apply", "-f", str(file)], "dry-run does not exist"),
    ):
        code, _, errors = await command(settings, *args, **env)
        assert code == 3, errors
        assert text in errors
    made = await command(trial, "topics", "create", "--json", **env)
    assert json.loads(made[1][0])["topic"] == f"{trial.topic_prefix}dry-run"
    code, _, errors = await command(trial, "worker", "notifier")
    assert code == 3
    assert "marks this installation as a dry run" in errors
    await _any_key_will_do(trial, tmp_path)
    for more in (env, {}):
        code, _, errors = await command(trial, "integrations", "test", "1", **more)
        assert code == 2
        assert "sends nothing to anybody" in errors


async def _any_key_will_do(trial: Settings, tmp_path: Path) -> None:
    """Apply a key in the clear without a secret key: it is sealed so that nobody can open it."""
    key = "00000000-1111-2222-3333-444444444444"
    target = {"api": "https://api.opsgenie.com/v2/alerts", "token": key}
    file = tmp_path / "trial.json"
    file.write_text(json.dumps([*clients(), SUBSCRIBED | {"target": target}]))
    code, _, errors = await command(trial, "apply", "-f", str(file))
    assert code == 3
    assert "no secret key" in errors
    code, _, errors = await command(trial, "apply", "-f", str(file), STREAM_APP_DRY_RUN="true")
    assert code == 0, errors
    ((_, value, _),) = [r for found in (await rows(trial, CONFIG[2])).values() for r in found]
    assert json.loads(value)["target"]["token"].startswith("sealed:v1:")
    assert key.encode() not in value


async def _recorded_over_time(settings: Settings, number: int, apart_ms: int) -> None:
    """Write hits, each a second apart, to a topic whose owner has chosen the producers' clock."""
    name = f"{settings.topic_prefix}events.hits"
    async with Admin(settings) as client:
        await client.create_topics([NewTopic(name, 4, 1)])
    start = int(time.time() * 1000) - 3_600_000
    for n in range(number):
        row = (None if n % 2 else b"k%d" % n, b'{"request_time":%d}' % (start // 1000 + n))
        await put(
            settings.kafka.bootstrap_servers or "", name, [row],
            partition=n % 4, timestamp_ms=start + n * apart_ms,
        )  # fmt: skip


async def test_a_record_that_the_target_does_not_take_is_left_out_alone(settings: Settings) -> None:
    kafka, trial = settings.kafka.bootstrap_servers or "", dry(settings)
    hits = f"{settings.topic_prefix}events.hits"
    async with Admin(settings) as client:
        await client.create_topics([NewTopic(hits, 1, 1)])
    small = [b'{"number":%d,"text":"%s"}' % (n, b"x" * 1000) for n in range(200)]
    await put(kafka, hits, [(None, value) for value in [*small[:100], b"y" * 30_000, *small[100:]]])
    await create_topics(trial)
    limit = {f"{trial.topic_prefix}events.hits": {"max.message.bytes": "20000"}}
    await configure_topics(kafka, limit)
    code, _, errors = await command(
        settings, "replay", "copy", "events.hits", "--to-prefix", trial.topic_prefix
    )
    assert code == 1, errors
    assert "1 records are larger than the topic there allows" in errors
    copied = [
        value for found in (await rows(trial, "events.hits")).values() for _, value, _ in found
    ]
    assert sorted(copied) == sorted(small)


async def test_ctrl_c_says_how_to_go_on_and_nothing_is_missing_or_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await _recorded_over_time(settings, 60, 200)
    trial = dry(settings).model_copy(update={"partitions": 3})
    await create_topics(trial)
    topics = {f"{settings.topic_prefix}events.hits": Topic.HITS}
    hits = [f"{settings.topic_prefix}events.hits"]
    copy = copy_events._Copy(settings, topics, trial.topic_prefix, shift_to_now=True, as_json=False)
    task = asyncio.create_task(copy.run(Range(), Remainder({})))
    send = Copier._send

    async def interrupted(copier: Copier, chunk: Sequence[Placed]) -> None:
        """Send the first records of all partitions; then Ctrl-C, which cancels the command."""
        await send(copier, chunk[:10])
        task.cancel()
        await asyncio.sleep(0)

    monkeypatch.setattr(Copier, "_send", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await task
    errors = capsys.readouterr().err
    assert "has 4 partitions" in errors
    assert "from partition N to N mod 3" in errors
    shift = int(re.findall(r"moved by (\d+) s", errors)[0])
    there = sum(map(len, (await rows(trial, "events.hits")).values()))
    assert there == 10
    assert f"{there} records are copied; to go on: " in errors
    words = shlex.split(errors.partition("to go on: ")[2].splitlines()[0])
    assert words[:4] == ["stream-app", "replay", "copy", *hits]
    code, _, errors = await command(settings, *words[1:])
    assert code == 0, errors
    source, copied = await rows(settings, "events.hits"), await rows(trial, "events.hits")
    for records in copied.values():
        times = [json.loads(value)["request_time"] for _, value, _ in records]
        assert times == sorted(times), "in the order of their times, whatever partition they had"
    expected = sorted(
        json.loads(v)["request_time"] + shift for r in source.values() for _, v, _ in r
    )
    found = sorted(json.loads(v)["request_time"] for r in copied.values() for _, v, _ in r)
    assert found == expected
