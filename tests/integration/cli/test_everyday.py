"""`status`, `alerts` and `doctor` on a real installation; its workers are started once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.shell_completion import ShellComplete

from stream_app.cli import COMPLETE_VARIABLE, cli, completing
from stream_app.cli.operations.doctor import CHECKS
from stream_app.domain.alerts.alert import Alert
from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.history.newest_records import read_newest
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.settings import Settings
from tests.conftest import shared_kafka
from tests.integration.harness import WorkerProcess, drained, groups, put, put_objects
from tests.integration.notifier.test_notifier import KEY, SCALE, Bench, alert, integration

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: The key whose requests the sandbox lets fail.
BROKEN_KEY = "00000000-1111-2222-3333-555555555555"
TRIGGER = {
    "id": 61, "client_id": 1111, "name": "Notification about incidents", "enabled": True,
    "template_id": "incidents_exceeded", "threshold": {"count": 1, "period": 1},
    "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521, 522]}}],
}  # fmt: skip
DAY = 1_767_225_600
INCIDENT = json.dumps({"client_id": 1111, "type": "sqli", "first_time": DAY}).encode()


@dataclass
class Installation:
    """One alert has reached 521 on its second attempt, and never 522; a later one waits nowhere."""

    bench: Bench
    both: Alert
    later: Alert

    async def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        env = {
            "STREAM_APP_KEY_1111_ACME": KEY,
            "STREAM_APP_KEY_1111_BROKEN": BROKEN_KEY,
            "STREAM_APP_DELIVERY__SANDBOX_URL": self.bench.url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE),
        }
        done = await asyncio.to_thread(WorkerProcess.command, self.bench.settings, *args, **env)
        assert done.returncode == code, done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
        assert BROKEN_KEY not in done.stdout + done.stderr
        return done

    async def json(self, *args: str, code: int = 0) -> list[Any]:
        done = await self.run(*args, "--json", code=code)
        return [json.loads(line) for line in done.stdout.splitlines()]


def place(record: Any) -> tuple[int, int]:
    return record.partition, record.offset


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    settings = Settings(
        kafka=shared_kafka(kafka),
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        partitions=2,
    )
    folder: Path = tmp_path_factory.mktemp("everyday")
    bench = Bench(settings, folder / "notifier")
    await bench.start()
    broken = integration(522, bench.url)
    broken["target"]["token"] = "env:STREAM_APP_KEY_1111_BROKEN"
    await put_objects(settings, "config.integrations", [broken, integration(523, bench.url)])
    await put(kafka, f"{settings.topic_prefix}config.integrations", [(b"523", None)])  # deleted
    await put_objects(settings, "config.triggers", [TRIGGER])
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=500, requests=1, key_end=KEY[-4:]))
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=503, key_end=BROKEN_KEY[-4:]))
    notifier = bench.worker(STREAM_APP_KEY_1111_BROKEN=BROKEN_KEY)
    with WorkerProcess("detector", settings, folder / "detector") as detector:
        both, later = alert(DAY, (521, 522)), alert(DAY + 60, (521, 523))
        await bench.fire(both, later)
        await asyncio.gather(notifier.ready(), detector.ready())
        async with asyncio.timeout(60):
            while not await bench.records("deliveries.dlq"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        # `status` shows the lag of each topic, so announcements must have been read before it runs.
        await bench.put("events.incidents", (None, INCIDENT))  # one of two that `both` needs
        await drained(settings, "detector", sorted(ROLE_SOURCES["detector"]))
        await bench.drained()
        yield Installation(bench, both, later)
    await bench.stop()


async def test_the_list_says_where_each_alert_stands(installation: Installation) -> None:
    rows = await installation.json("alerts", "list")
    assert {row["id"]: row["state"] for row in rows} == {
        installation.both.id: "failed",
        installation.later.id: "sent",
    }
    (failed,) = await installation.json("alerts", "list", "--state", "failed", "--trigger", "61")
    assert {d["integration_id"]: (d["state"], d["reason"]) for d in failed["deliveries"]} == {
        521: ("sent", None),
        522: ("given_up", "exhausted"),
    }
    (only,) = await installation.json("alerts", "list", "--integration", "522")
    assert only["id"] == installation.both.id
    assert len(await installation.json("alerts", "list", "--limit", "1")) == 1
    for nobody in (
        ("--client", "7"),
        ("--trigger", "7"),
        ("--to", "1h"),
        ("--state", "pending"),
    ):
        done = await installation.run("alerts", "list", *nobody)
        assert (done.stdout, "no alerts" in done.stderr) == ("", True), nobody
    none = await installation.run("alerts", "list", "--state", "pending", "--state", "dry_run")
    assert "no alerts in state pending or dry_run; in others: 1 failed, 1 sent" in none.stderr
    either = await installation.json("alerts", "list", "--state", "sent", "--state", "failed")
    assert [row["state"] for row in either] == ["failed", "sent"]
    unknown = await installation.run("alerts", "list", "--client", "5", "--trigger", "61")
    assert unknown.stderr == (
        "no alerts; client 5 is not configured (`stream-app get clients` shows which are)\n"
    )
    table = (await installation.run("alerts", "list")).stdout
    assert "521 sent, 522 given_up" in table
    assert installation.later.id in table


async def test_the_history_of_an_alert_has_every_attempt(installation: Installation) -> None:
    digest = installation.both.id.rpartition(":")[2]
    (history,) = await installation.json("alerts", "show", digest)
    assert history["alert"]["id"] == installation.both.id
    assert history["alert"]["window_start"] == DAY
    assert history["alert"]["trigger"]["threshold"] == {"count": 1, "period": 1}
    sent, dead = history["deliveries"]
    assert [(a["attempt"], a["accepted"], a.get("status")) for a in sent["attempts"]] == [
        (1, False, 500),
        (2, True, 202),
    ]
    (shown,) = [a for a in installation.bench.sandbox.alerts if a.alias == installation.both.id]
    assert sent["message"] == shown.message
    assert sent["description"] == shown.description
    assert [a["attempt"] for a in dead["attempts"]] == list(range(1, 18))
    assert {a["status"] for a in dead["attempts"]} == {503}
    assert (dead["state"], dead["next_due_at"]) == ("given_up", None)
    (letter,) = dead["dead_letters"]
    assert (letter["reason"], letter["redriven_to"]) == ("exhausted", None)
    assert "`stream-app integrations enable 522`" in dead["next_step"]
    assert (history["count"], history["threshold"]) == (1, 1)

    text = (await installation.run("alerts", "show", installation.both.id)).stdout
    assert "window   2026-01-01T00:00:00Z to 2026-01-01T00:00:01Z" in text
    assert "events   1 (1 do not fire, more do)" in text
    assert "target eq server, database" in text
    assert "state    failed (521 sent, 522 given_up)" in text
    assert "  attempt 1, 20" in text
    (group,) = [line for line in text.splitlines() if "attempts 1 to 17" in line]
    assert group.endswith("all HTTP 503 (server_error)")
    assert "the service has a fault" in text
    assert "`stream-app dlq redrive --integration 522` then sends it" in text


async def test_an_integration_without_a_delivery_is_named_with_the_cause(
    installation: Installation,
) -> None:
    (history,) = await installation.json("alerts", "show", installation.later.id)
    assert history["count"] is None, "nothing of its window was ever there"
    (without,) = history["without_delivery"]
    assert without["integration_id"] == 523
    text = (await installation.run("alerts", "show", installation.later.id)).stdout
    assert "integration 523: no delivery" in text
    assert "it is not configured now, and was deleted before the alert was routed" in text
    assert "events   not known any more" in text


async def test_an_id_that_names_no_alert_or_several_is_an_error(
    installation: Installation,
) -> None:
    nobody = await installation.run("alerts", "show", "stream-app:9", code=1)
    assert "no alert is named stream-app:9: `stream-app alerts list`" in nobody.stderr
    several = await installation.run("alerts", "show", "stream-app:1111", code=2)
    assert "names 2 alerts" in several.stderr
    assert installation.later.id in several.stderr


async def test_a_shell_is_offered_the_ids_that_there_are(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installation.bench.settings
    monkeypatch.setattr(completing, "load_settings", lambda: settings)
    monkeypatch.setattr(completing, "MOST_SECONDS", 60.0)
    shell = ShellComplete(cli, {}, "stream-app", COMPLETE_VARIABLE)

    async def offered(*args: str, typed: str = "") -> list[tuple[str, str | None]]:
        found = await asyncio.to_thread(shell.get_completions, list(args), typed)
        return [(item.value, item.help) for item in found]

    assert [text for text, _ in await offered("delete", "integrations", typed="52")] == [
        "521", "522"
    ]  # fmt: skip
    assert await offered("get", "triggers") == [("61", TRIGGER["name"])]
    assert [text for text, _ in await offered("dlq", "list", "--client")] == ["1111"]
    parts = {alert.id.rpartition(":")[2] for alert in (installation.later, installation.both)}
    assert {text for text, _ in await offered("alerts", "show")} == parts


async def test_the_status_shows_all_parts_and_what_needs_attention(
    installation: Installation,
) -> None:
    (found,) = await installation.json("status")
    prefix = installation.bench.settings.topic_prefix
    topics = {row["topic"].removeprefix(prefix): row for row in found["topics"]}
    assert (topics["alerts"]["records"], topics["alerts"]["partitions"]) == (2, 2)
    assert topics["alerts"]["newest_at"] <= found["read_at"]
    assert topics["events.hits"]["newest_at"] is None
    assert {row["role"] for row in found["workers"]} == {"detector", "notifier"}
    notifier = next(row for row in found["workers"] if row["role"] == "notifier")
    assert notifier["partitions"] == {
        f"{prefix}{topic}": 2 for topic in ("alerts", "deliveries", "delivery-results")
    }
    assert {row["lag"] for row in found["lag"]} == {0}
    rows = {row["id"]: row for row in found["integrations"]}
    assert (rows[521]["requests"], rows[521]["failed"]) == (3, 1)
    assert (rows[522]["requests"], rows[522]["failed"]) == (17, 17)
    assert (rows[522]["state"], rows[522]["pending"]) == ("disabled", 0)
    (trigger,) = found["triggers"]
    assert (trigger["id"], trigger["enabled"], trigger["is_evaluated"]) == (61, True, True)
    assert (trigger["fired"], trigger["last_fired_at"] <= found["read_at"]) == (2, True)
    disabled, unsent = found["needs_attention"]
    assert "integration 522 (On-call 522) is disabled by the system" in disabled["what"]
    assert "stream-app integrations enable 522" in disabled["next_step"]
    assert "1 alert did not reach integration 522 (On-call 522): exhausted" in unsent["what"]
    (letters,) = found["dead_letters"]
    assert letters.pop("newest_at") <= found["read_at"]
    assert letters == {
        "topic": "deliveries", "reason": "exhausted", "integration_id": 522,
        "integration_name": "On-call 522", "count": 1,
    }  # fmt: skip

    shown = await installation.run("status", "--fail-on-problems", code=1)
    head, *lines = shown.stdout.partition("\n\n")[0].splitlines()
    assert head == "NEEDS ATTENTION"
    # A command is a line of its own, and can be copied as it stands.
    commands = [line.strip() for line in lines if line.startswith("      ")]
    assert commands[:2] == [
        "stream-app integrations test 522",
        "stream-app integrations enable 522",
    ]
    assert len(commands) > 3
    assert all(line.startswith("stream-app ") for line in commands)
    assert not any("stream-app" in line for line in lines if not line.startswith("      "))
    assert "100 % of 17" in shown.stdout


async def test_reading_joins_no_group(installation: Installation) -> None:
    settings = installation.bench.settings
    before = await groups(settings)
    for command in (("status",), ("alerts", "list"), ("doctor",)):
        await installation.run(*command)
    after = await groups(settings)
    prefix = settings.topic_prefix
    assert after - before == set()
    assert {name for name in after if name.startswith(prefix)} == {
        f"{prefix}stream-app-detector",
        f"{prefix}stream-app-notifier",
    }


async def test_a_reading_is_bounded_and_says_how_far_back_it_went(
    installation: Installation,
) -> None:
    settings = installation.bench.settings
    topic = f"{settings.topic_prefix}delivery-results"
    kept: list[Any] = []
    told: list[tuple[int, int]] = []
    whole = await read_newest(
        settings, [topic], kept.append, most=1000, progress=lambda *at: told.append(at)
    )
    results = sorted(await installation.bench.records("delivery-results"), key=place)
    assert sorted(kept, key=place) == results
    assert (whole.records, whole.cut_ms) == (20, None)
    assert (told[0], told[-1]) == ((0, 20), (20, 20))

    newest: list[Any] = []
    cut = await read_newest(settings, [topic], newest.append, most=4)
    assert 0 < cut.records == len(newest) <= 4
    for partition in {record.partition for record in newest}:
        of = [record.offset for record in newest if record.partition == partition]
        assert of == [r.offset for r in results if r.partition == partition][-len(of) :]
    assert cut.cut_ms in {record.timestamp for record in newest}
    later = max(record.timestamp for record in results) + 1
    nothing = await read_newest(settings, [topic], newest.append, most=4, since_ms=later)
    assert (nothing.records, nothing.cut_ms) == (0, None)


async def test_the_doctor_looks_at_everything(installation: Installation) -> None:
    rows = await installation.json("doctor")
    assert {row["check"] for row in rows} == {"settings", *(check.name for check in CHECKS)}
    verdicts = {(row["check"], row["verdict"]) for row in rows}
    for name in ("broker", "broker's version", "topics", "state", "workers", "clocks", "API keys"):
        assert (name, "ok") in verdicts, rows
    texts = {row["check"]: row["text"] for row in rows}
    assert texts["API keys"] == "2 can be opened"
    assert texts["state"] == "8 changelogs fit their topics", "a table is not in the list"
    assert "connection is well" in texts["endpoints"]
    assert {row["verdict"] for row in rows} == {"ok", "warn"}
    warned = {row["check"]: row for row in rows if row["verdict"] == "warn"}
    assert set(warned) == {"secret keys", "replication", "dead letters"}
    assert "1 alert did not reach integration 522" in warned["dead letters"]["text"]
    assert all(row["next_step"] for row in warned.values())


async def test_the_doctor_finds_what_is_broken(installation: Installation) -> None:
    settings = installation.bench.settings
    gone = installation.bench.url.rpartition(":")[0] + ":1"
    env = {"STREAM_APP_DELIVERY__SANDBOX_URL": gone, "STREAM_APP_KEY_1111_ACME": KEY}
    await put_objects(settings, "config.integrations", [integration(599, gone)])
    done = await asyncio.to_thread(WorkerProcess.command, settings, "doctor", "--json", **env)
    kafka, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    await put(kafka, f"{prefix}config.integrations", [(b"599", None)])
    # Other tests look at the lag.
    await drained(settings, "detector", sorted(ROLE_SOURCES["detector"]))
    assert done.returncode == 1, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [(row["check"], row["text"]) for row in rows if row["verdict"] == "fail"]
    assert {check for check, _ in failed} == {"API keys", "endpoints"}
    (key,) = [text for check, text in failed if check == "API keys"]
    assert "integration 522: env:STREAM_APP_KEY_1111_BROKEN: the variable is not set here" in key
    assert any("takes no connection" in text for check, text in failed if check == "endpoints")


async def test_a_prefix_without_topics_is_reported_in_one_line(installation: Installation) -> None:
    settings = installation.bench.settings.model_copy(update={"topic_prefix": "nobodys."})
    run = WorkerProcess.command
    found = await asyncio.to_thread(run, settings, "status", "--json")
    assert found.returncode == 0, found.stderr
    (problem,) = json.loads(found.stdout)["needs_attention"]
    what, _, others = problem["what"].partition("; the cluster has topics with ")
    assert what == "none of the 18 topics is there, nobodys.events.attacks for example"
    assert "prefix" in others, "that of this installation, and perhaps those of other tests"
    assert "export STREAM_APP_TOPIC_PREFIX=" in problem["next_step"]
    seen = await asyncio.to_thread(run, settings, "doctor", "--json")
    assert seen.returncode == 1, seen.stderr
    rows = [json.loads(line) for line in seen.stdout.splitlines()]
    assert [row["text"] for row in rows if row["check"] == "topics"] == [problem["what"]]
    skipped = {row["check"] for row in rows if "the topics are not there" in row["text"]}
    assert skipped == {check.name for check in CHECKS if check.needs_topics}
    assert {"records", "dead letters", "workers", "API keys"} <= skipped
    told = await asyncio.to_thread(run, settings, "doctor")
    assert told.stdout.splitlines()[-1] == (
        f"failed: topics; warnings: secret keys, replication; not looked at: {len(skipped)} checks"
    )
    for topic, *command in (
        ("alerts", "alerts", "list"),
        ("config.clients", "get", "triggers"),
        ("config.clients", "alerts", "explain", "nobodys.events.hits/0/0"),
        ("events.attacks", "worker", "detector"),
        ("events.attacks.dlq", "dlq", "list"),
    ):
        done = await asyncio.to_thread(run, settings, *command)
        assert done.returncode == 3, (command, done.stderr)
        assert f"none of the 18 topics is there, nobodys.{topic} for" in done.stderr, command
        assert "; the cluster has topics with " in done.stderr, command


async def test_a_prefix_without_its_dot_is_told_which_one_is_meant(
    installation: Installation,
) -> None:
    prefix = installation.bench.settings.topic_prefix
    wrong = {"topic_prefix": prefix.removesuffix(".")}
    settings = installation.bench.settings.model_copy(update=wrong)
    run = WorkerProcess.command
    listed = await asyncio.to_thread(run, settings, "alerts", "list")
    assert listed.returncode == 3
    assert f"if that is meant: export STREAM_APP_TOPIC_PREFIX={prefix};" in listed.stderr
    # Whoever makes topics there by mistake sees it before they are made.
    would = await asyncio.to_thread(run, settings, "topics", "create", "--dry-run")
    assert would.returncode == 0, would.stderr
    own = f"these are the first with the prefix {wrong['topic_prefix']}; the cluster has topics"
    assert own in would.stderr
    for command, code in (("check", 3), ("list", 0)):
        done = await asyncio.to_thread(run, settings, "topics", command)
        assert done.returncode == code
        assert "none of the topics is there; the cluster has topics with " in done.stderr


async def test_a_trigger_whose_only_integration_is_off_needs_attention(
    installation: Installation,
) -> None:
    settings = installation.bench.settings
    off = integration(529, installation.bench.url) | {"active": False}
    actions = [{"id": "send_notification", "params": {"integration_ids": [529]}}]
    await put_objects(settings, "config.integrations", [off])
    await put_objects(settings, "config.triggers", [TRIGGER | {"id": 69, "actions": actions}])
    try:
        (found,) = await installation.json("status")
        shown = await installation.run("get", "triggers", "69")
        rows = {row["id"]: row for row in await installation.json("integrations", "list")}
    finally:
        kafka, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
        await put(kafka, f"{prefix}config.triggers", [(b"69", None)])
        await put(kafka, f"{prefix}config.integrations", [(b"529", None)])
        # Other tests look at the lag.
        await drained(settings, "detector", sorted(ROLE_SOURCES["detector"]))
    (problem,) = [one for one in found["needs_attention"] if "trigger 69" in one["what"]]
    assert "no integration takes the alerts of trigger 69" in problem["what"]
    assert problem["next_step"].startswith("stream-app integrations enable 529;")
    silent = {row["id"]: row["silent_integrations"] for row in found["triggers"]}
    assert silent == {61: [], 69: [{"integration_id": 529, "reason": "off"}]}
    assert "tells nobody: integration 529 is off" in " ".join(shown.stdout.split())
    assert rows[529]["detail"].startswith("its owner has turned it off")
