"""Replay against a live run: the same alerts, byte for byte, and what differs is found."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.integration.harness import (
    WorkerProcess,
    drained,
    environment,
    put,
    put_objects,
    read_all,
)
from tests.integration.test_exactness import KINDS, TOPICS, clients, event, triggers

EVENTS = 12_000
SUBSCRIBED = {
    "id": 1,
    "client_id": 1,
    "name": "On-call",
    "type": "opsgenie",
    "active": True,
    "events": [{"event": "system", "active": True}],
    "target": {"api": "https://api.opsgenie.com/v2/alerts", "token": "env:STREAM_APP_KEY_1111_A"},
}


async def prepared(settings: Settings) -> None:
    await create_topics(settings)
    await put_objects(settings, "config.clients", clients())
    await put_objects(settings, "config.triggers", triggers())
    await put_objects(settings, "config.integrations", [SUBSCRIBED])


async def produce(settings: Settings, parts: int, pause_seconds: float) -> None:
    """Write events of all kinds and notices, some of them bad or late, in `parts` portions."""
    chance, start = random.Random(5), int(time.time()) - 7200
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    for part in range(parts):
        rows: dict[str, list[tuple[bytes | None, bytes | None]]] = {kind: [] for kind in KINDS}
        for number in range(EVENTS // parts):
            kind = KINDS[number % 3]
            now = start + part * 3600 // parts + number * 600 // EVENTS
            value = json.dumps(event(chance, kind, now)).encode()
            rows[kind].append((None, b"{" if chance.random() < 0.01 else value))
        for kind, found in rows.items():
            await put(bootstrap, f"{prefix}events.{kind}", found)
        notices = [
            {
                "client_id": 1 + number % 2,
                "summary": f"A user was created, {part}/{number}",
                "details": {"notification_type": "create_user", "user": {"number": number}},
            }
            for number in range(10)
        ]
        lines = [(b"1", json.dumps(notice).encode()) for notice in notices]
        await put(bootstrap, f"{prefix}events.account", [*lines, (None, b"?")])
        await asyncio.sleep(pause_seconds)


async def live_alerts(settings: Settings) -> dict[str, bytes]:
    found = await read_all(settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}alerts")
    return {json.loads(r.value)["id"]: r.value for rows in found.values() for r in rows}


async def command(settings: Settings, *args: str, **env: str) -> tuple[int, list[bytes], str]:
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args, **env)
    return done.returncode, done.stdout.encode().splitlines(), done.stderr


async def test_a_replay_equals_the_live_run_of_two_workers_and_a_kill_byte_for_byte(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    topics = [f"events.{name}" for name in (*KINDS, "account")]
    with (
        WorkerProcess("detector", settings, tmp_path / "a.log") as first,
        WorkerProcess("detector", settings, tmp_path / "b.log") as second,
    ):
        await first.ready()
        await second.ready()
        producing = asyncio.create_task(produce(settings, 6, 0.7))
        await asyncio.sleep(2)
        first.kill()
        assert not producing.done()
        await producing
        await drained(settings, "detector", [*TOPICS, "events.account"])
        live = await live_alerts(settings)
        assert len(live) > 100
        assert any(b'"notice"' in value for value in live.values())

        code, lines, errors = await command(settings, "replay", *topics, "--json")
        assert code == 0, errors
        assert sorted(lines) == sorted(live.values())
        assert "late" in errors
        assert "would be dead letters" in errors
        assert "\x1b" not in errors
        code, lines, errors = await command(settings, "replay", *topics, "--compare")
        assert code == 0, errors
        (verdict,) = lines
        assert verdict.decode().replace(",", "", 1).startswith(f"{len(live)} alerts as before")
    await _compare_with_another(settings, live, topics)


async def _compare_with_another(
    settings: Settings, live: dict[str, bytes], topics: list[str]
) -> None:
    """Compare with an installation that lacks an alert, has another one and a changed one."""
    other = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}other."})
    await create_topics(other)
    # The last windows: the first ones may have begun before the first event that was read.
    counted = sorted(
        (value for value in live.values() if b'"notice"' not in value),
        key=lambda value: -json.loads(value)["window_start"],
    )
    removed, renamed = json.loads(counted[0]), json.loads(counted[1])
    kept = [value for value in live.values() if value not in counted[:2]]
    by_hand: dict[str, Any] = removed | {"id": "stream-app:1:by-hand"}
    period = removed["trigger"]["threshold"]["period"]
    # A day later, when nothing has happened any more.
    by_hand["window_start"] = removed["window_start"] // 86400 * 86400 + 2 * 86400
    by_hand["window_end"] = by_hand["window_start"] + period
    renamed["client_name"] = "Acme before it was renamed"
    added = [json.dumps(row).encode() for row in (by_hand, renamed)]
    await put(
        settings.kafka.bootstrap_servers or "",
        f"{other.topic_prefix}alerts",
        [(b"1", value) for value in [*kept, *added]],
    )
    code, lines, errors = await command(
        settings, "replay", *topics, "--compare-prefix", other.topic_prefix, "--json"
    )
    assert code == 1, errors
    rows = [json.loads(line) for line in lines]
    found = {row["result"]: row for row in rows if row["result"] != "same"}
    assert set(found) == {"new", "no_longer_fires", "different"}
    assert len(rows) == len(live) + 1
    new, gone = found["new"], found["no_longer_fires"]
    assert (new["id"], new["reason"]) == (removed["id"], "unknown")
    assert (new["recorded"]["fires"], new["replayed"]["fires"]) == (False, True)
    assert new["replayed"]["count"] > new["replayed"]["threshold"]
    assert (gone["id"], gone["replayed"]["count"]) == (by_hand["id"], 0)
    assert gone["recorded"]["window_start_at"].endswith("T00:00:00Z")
    assert found["different"]["reason"] == "stale_config"
    assert "client_name Acme before it was renamed → " in found["different"]["detail"]


async def test_files_and_a_narrower_choice_decide_what_fires(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    now = int(time.time()) // 60 * 60 - 600
    rows = [(None, json.dumps({"client_id": 3, "request_time": now + n}).encode()) for n in (1, 2)]
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    await put(bootstrap, f"{prefix}events.hits", rows)
    file = tmp_path / "trigger.json"
    mine = triggers()[1] | {"id": 900, "client_id": 3, "filters": []}
    mine["threshold"] = {"count": 1, "period": 3600}
    file.write_text(json.dumps(mine))
    code, lines, errors = await command(
        settings, "replay", "events.hits", "-f", str(file), "--json", "--from", "1h"
    )
    assert code == 0, errors
    assert [json.loads(line)["trigger"]["id"] for line in lines] == [900]
    code, lines, errors = await command(
        settings, "replay", f"{prefix}events.hits", "-f", str(file), "--client", "4"
    )
    assert (code, lines) == (0, [])
    # The same from a pipe, with everything in the file: no broker is needed.
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps([mine, *clients()]))
    piped = [
        json.dumps({"topic": "x.events.hits", "partition": 0, "offset": n, "ts": now * 1000 + 9999,
                    "payload": (value or b"").decode()})
        for n, (_, value) in enumerate(rows)
    ]  # fmt: skip
    text = "\n".join([piped[0], "no json", piped[1], '{"topic": "alerts"}'])
    done = await _piped(settings, text, "replay", "-", "-f", str(whole))
    assert done[0] == 0, done[2]
    assert "more than 1 in 1 hour" in done[1]
    assert "2 of 4 lines left out; line 2 is no line of `kcat -J`" in done[2]


async def _piped(settings: Settings, text: str, *args: str) -> tuple[int, str, str]:
    env = environment(settings) | {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stream_app", *args],
        input=text, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


async def test_an_error_is_reported_with_its_exit_code(settings: Settings) -> None:
    await prepared(settings)
    for args, code, text in (
        (["events.nothing"], 2, "events.nothing holds no events"),
        (["events.hits", "--from", "yesterday"], 2, "neither a time nor an offset"),
        (["events.hits", "--from", "1h", "--to", "2h"], 2, "nothing lies between them"),
        (["events.hits", "--from", "1h"], 1, "holds 0 records"),
        (["events.hits", "--trigger", "999"], 1, "trigger 999 is not configured"),
        (["-", "--from", "1h"], 2, "stands alone"),
    ):
        found, lines, errors = await command(settings, "replay", *args)
        assert (found, lines) == (code, []), errors
        assert text in errors
    found, _, errors = await command(
        settings, "replay", "events.hits", STREAM_APP_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"
    )
    assert found == 4, errors
    missing = settings.model_copy(update={"topic_prefix": "none."})
    found, _, errors = await command(missing, "replay", "events.hits")
    assert found == 3
    assert "none.config" in errors


async def test_ctrl_c_reports_how_far_the_replay_came(settings: Settings, tmp_path: Path) -> None:
    await prepared(settings)
    line = json.dumps({"topic": "events.hits", "payload": "{}", "ts": 1}) + "\n"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", "replay", "-",
        env=environment(settings),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(line.encode() * 25_000)
    await process.stdin.drain()
    await asyncio.sleep(4)
    process.send_signal(signal.SIGINT)
    errors = await process.stderr.read()
    assert await process.wait() == 130, errors
    assert b"stopped after 20,000 records" in errors
    assert b"interrupted" in errors


async def test_a_range_is_of_times_or_offsets_and_a_cut_window_is_not_judged(
    settings: Settings, tmp_path: Path
) -> None:
    one = settings.model_copy(update={"partitions": 1})
    await prepared(one)
    bootstrap, prefix = one.kafka.bootstrap_servers or "", one.topic_prefix
    second = int(time.time()) - 100
    rows = [
        (None, json.dumps({"client_id": 9, "request_time": second // 60 * 60 + n}).encode())
        for n in range(6)
    ]
    mine = next(t for t in triggers() if t["template_id"] == "hits_exceeded" and not t["filters"])
    mine |= {"client_id": 9, "threshold": {"count": 2, "period": 60}}
    await put_objects(one, "config.triggers", [mine])
    await put(bootstrap, f"{prefix}events.hits", rows[:3])
    await asyncio.sleep(0.2)
    between = f"{time.time():.3f}"
    await asyncio.sleep(0.2)
    await put(bootstrap, f"{prefix}events.hits", rows[3:])
    moment = datetime.fromtimestamp(float(between), UTC).isoformat()
    base = ["replay", "events.hits", "--trigger", str(mine["id"])]
    for args, events in (
        ([], "6"),
        (["--to", moment], "3"),
        (["--from", moment], "3"),
        (["--from", "1", "--to", "5"], "4"),
        (["--from", "4"], None),
        (["--from", "0", "--to", "2"], None),
    ):
        code, lines, errors = await command(one, *base, *args)
        assert code == 0, errors
        shown = lines[-1].split(b" in 1 minute")[1].split()[0].decode() if lines else None
        assert shown == events, (args, lines)
    # The topic has the alert of the whole range; compared with a part of it, that alert is cut.
    _, lines, _ = await command(one, *base, "--json")
    await put(bootstrap, f"{prefix}alerts", [(b"9", lines[0])])
    # No detector has counted: the events are counted again.
    code, shown_lines, errors = await command(one, "alerts", "show", "stream-app:9", "--json")
    assert code == 0, errors
    assert json.loads(shown_lines[0])["count"] == 6
    name = f"trigger {mine['id']} '{mine['name']}'".encode()
    code, lines, errors = await command(one, *base, "--compare")
    assert (code, lines) == (0, [name + b": 1 alert as before"]), errors
    code, lines, errors = await command(one, *base, "--compare", "--json", "--to", "2")
    assert code == 1, errors
    (row,) = [json.loads(line) for line in lines]
    assert (row["result"], row["reason"]) == ("not_judged", "range_cut")
    assert (row["replayed"]["count"], row["replayed"]["threshold"]) == (2, 2)
    await _changed_triggers_are_judged(one, base, mine, tmp_path)
    # Events that were uploaded within the range and happened before it: their alert is not missing.
    late = {"client_id": 9, "request_time": second - 3600}
    await put(bootstrap, f"{prefix}events.hits", [(None, json.dumps(late).encode())] * 3)
    _, lines, errors = await command(one, *base, "--json", "--from", moment)
    assert len(lines) == 2, errors
    await put(bootstrap, f"{prefix}alerts", [(b"9", line) for line in lines])
    code, lines, errors = await command(one, *base, "--compare", "--from", moment)
    assert (code, lines) == (0, [name + b": 2 alerts as before"]), errors


async def _changed_triggers_are_judged(
    settings: Settings, base: list[str], mine: dict[str, Any], tmp_path: Path
) -> None:
    """A window of six events has fired at more than two in a minute; judge other thresholds."""
    file = tmp_path / "changed.json"

    async def judged(**changes: Any) -> tuple[int, dict[str, Any], str]:
        file.write_text(json.dumps(mine | changes))
        code, lines, errors = await command(settings, *base, "-f", str(file), "--compare", "--json")
        (row,) = [json.loads(line) for line in lines]
        return code, row, errors

    code, row, errors = await judged(threshold={"count": 5, "period": 60})
    assert (code, row["result"]) == (0, "same"), errors
    assert (row["recorded"]["threshold"], row["replayed"]["threshold"]) == (2, 5)
    assert (row["recorded"]["count"], row["replayed"]["count"]) == (6, 6)
    code, row, errors = await judged(threshold={"count": 6, "period": 60})
    assert (code, row["result"], row["reason"]) == (1, "no_longer_fires", "changed_trigger")
    assert row["detail"] == "threshold 2 → 6"
    assert (row["recorded"]["count"], row["replayed"]["count"]) == (6, 6)
    filters = [{"id": "attack_type", "operator": "eq", "values": ["sqli"]}]
    code, row, errors = await judged(filters=filters)
    assert (row["recorded"]["count"], row["replayed"]["count"]) == (6, 0)
    code, row, errors = await judged(threshold={"count": 3, "period": 3600})
    assert (code, row["result"]) == (0, "same"), errors
    assert "period 1 minute → 1 hour, so its windows are others" in errors
