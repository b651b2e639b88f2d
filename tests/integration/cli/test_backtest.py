"""A backtest of a real topic against a naive count of it."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.integration.cli.test_replay import command
from tests.integration.harness import WorkerProcess, put, put_objects
from tests.integration.test_exactness import event, triggers

#: A trigger of client 2 with windows of a second, which are kept for an hour.
TRIGGER = triggers()[1] | {"filters": [], "threshold": {"count": 1, "period": 1}}
CLIENT = {"client_id": 2, "name": "Bravo Foods", "cloud": "EU"}
INTEGRATION = {
    "id": 1, "client_id": 2, "name": "On-call", "type": "opsgenie", "active": True, "events": [],
    "target": {"token": "env:STREAM_APP_KEY_2_BRAVO", "api": "https://api.opsgenie.com"},
    "alert": {"deduplicate": "episode", "repeat_seconds": 600},
}  # fmt: skip
EVENTS = 9000


def in_envelope(row: dict[str, Any]) -> bytes:
    """Return an event as the documented webhook writes it: it gives the client's name."""
    hit = {name: value for name, value in row.items() if name != "client_id"}
    about = {"client_name": CLIENT["name"], "notification_type": "new_hits", "hit": hit}
    return json.dumps({"summary": "New hit", "details": about}).encode()


def naive(rows: list[dict[str, Any]]) -> Counter[int]:
    return Counter(
        row["request_time"]
        for row in rows
        if row["client_id"] == TRIGGER["client_id"]
        and not row["experimental"]
        and row["sampled"]
        and row["state"] is None
    )


async def test_its_windows_are_those_of_a_naive_count(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    chance, start = random.Random(3), int(time.time()) - 3 * 3600
    rows = [event(chance, "hits", start + n // 3) for n in range(EVENTS)]
    bootstrap, topic = settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}events.hits"
    await put_objects(settings, "config.clients", [CLIENT])
    await put_objects(settings, "config.integrations", [INTEGRATION])
    values = [in_envelope(row) if row["client_id"] == 2 and n % 2 else json.dumps(row).encode()
              for n, row in enumerate(rows)]  # fmt: skip
    await put(bootstrap, topic, [(None, value) for value in [*values, b"{"]])
    file, html = tmp_path / "trigger.json", tmp_path / "report.html"
    file.write_text(json.dumps(TRIGGER))
    args = ["triggers", "backtest", "-f", str(file), "--from", "1d", "--html", str(html)]

    code, lines, errors = await command(settings, *args, "--json")
    assert code == 0, errors
    found, expected = json.loads(lines[0]), naive(rows)
    assert found["windows"] == len(expected)
    assert {row["window_start_at"]: row["count"] for row in found["fired"]} == {
        iso_utc(start * 1000): events for start, events in expected.items() if events > 1
    }
    assert found["events"]["in_windows"] == expected.total()
    assert found["events"]["late"] > 0
    assert found["events"]["dead_letters"] == {"undecodable": 1}
    assert found["busiest"][0]["count"] == max(expected.values())
    for sample in found["busiest"][0]["samples"]:
        assert sample["occurred_at"] == found["busiest"][0]["window_start_at"]
        assert sample["facts"]["type"]
    assert found["busiest"][0]["samples"]
    assert "<svg" in html.read_text()
    each, mine = found["pages"][0], next(r for r in found["pages"] if r["integration_ids"] == [1])
    assert (each["deduplicate"], each["pages"]) == ("window", found["alerts"])
    # 50 minutes of events are one attack; it is repeated every ten of them.
    assert (mine["repeat_seconds"], mine["pages"], mine["repeats"]) == (600, 1, 4)
    assert mine["pages"] + mine["repeats"] + mine["folded"] == found["alerts"]

    code, lines, errors = await command(settings, *args, "--top", "2")
    assert code == 0, errors
    text = b"\n".join(lines).decode()
    assert f"It would have fired {found['alerts']:,} times" in text
    assert "they were loaded at once" in text
    assert "THRESHOLD" in text
    assert f"{found['alerts']:,} windows, 1 page at integration 1." in text
    assert "\x1b" not in text
    assert "written to" in errors


async def test_a_range_with_offsets_and_no_records_is_empty(
    settings: Settings, tmp_path: Path
) -> None:
    one = settings.model_copy(update={"partitions": 1})
    await create_topics(one)
    producer = AIOKafkaProducer(
        bootstrap_servers=one.kafka.bootstrap_servers, transactional_id=f"{one.topic_prefix}tx"
    )
    await producer.start()
    try:
        async with producer.transaction():
            value = json.dumps({"client_id": 2, "request_time": int(time.time())}).encode()
            await producer.send_and_wait(f"{one.topic_prefix}events.hits", value)
    finally:
        await producer.stop()
    file = tmp_path / "trigger.json"
    file.write_text(json.dumps([TRIGGER, CLIENT]))
    args = ["triggers", "backtest", "-f", str(file)]
    code, lines, errors = await command(one, *args, "--from", "0")
    assert code == 0, errors
    # The second offset is the marker at the end of the transaction.
    code, lines, errors = await command(one, *args, "--from", "1")
    assert (code, lines) == (1, []), errors
    assert "nothing to read in this range: its offsets hold no records" in errors
    assert "Traceback" not in errors


async def test_an_error_is_reported_with_its_exit_code(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    one, two, bad = (tmp_path / name for name in ("one.json", "two.json", "bad.json"))
    one.write_text(json.dumps(TRIGGER))
    two.write_text(json.dumps([TRIGGER, TRIGGER | {"id": 99}]))
    bad.write_text(json.dumps(TRIGGER | {"threshold": {"count": -1, "period": 7}}))
    for args, code, text in (
        ([], 2, "which trigger?"),
        (["-f", str(two)], 2, "the files hold 2 triggers"),
        (["-f", str(two), "--trigger", "5"], 1, "trigger 5 is not in the files"),
        (["--trigger", "5"], 1, "trigger 5 is not configured"),
        (["-f", str(bad)], 3, "threshold.count: -1"),
        (["-f", str(tmp_path / "none")], 3, "no such file: give one that is there"),
        (["-f", str(one), "--from", "soon"], 2, "neither a time nor an offset"),
        (["-f", str(one)], 1, "no event has come"),
    ):
        found, lines, errors = await command(settings, "triggers", "backtest", *args)
        assert (found, lines) == (code, []), errors
        assert text in errors
    unreachable = WorkerProcess.command(
        settings, "triggers", "backtest", "-f", str(one),
        STREAM_APP_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
    )  # fmt: skip
    assert unreachable.returncode == 4, unreachable.stderr
