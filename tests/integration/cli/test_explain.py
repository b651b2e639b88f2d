"""`alerts explain` on an installation whose workers have run: each answer is known beforehand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.domain.times import iso_utc
from stream_app.settings import Settings
from tests.conftest import shared_kafka
from tests.integration.harness import WorkerProcess, drained, environment, put_objects
from tests.integration.notifier.test_notifier import KEY, Bench, integration
from tests.integration.records.test_transactions import begin, transaction, transactional
from tests.processes import STREAM_APP, run
from tests.raw_batches import bomb, produce_raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = int(time.time())
#: A window of a minute that has ended.
MINUTE = (NOW - 600) // 60 * 60
DAY_AGO = NOW - 90_000


def trigger(number: int, count: int, *filters: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "client_id": 1111, "name": f"Trigger {number}", "enabled": True,
        "template_id": "hits_exceeded", "threshold": {"count": count, "period": 60},
        "filters": [{"id": name, "operator": "eq", "values": values} for name, values in filters],
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    } | changes  # fmt: skip


def hit(kind: str, at: int = MINUTE, **more: Any) -> bytes:
    return json.dumps({"client_id": 1111, "type": kind, "request_time": at} | more).encode()


def notice(kind: str, client_id: int = 1111, **details: Any) -> bytes:
    details["notification_type"] = kind
    return json.dumps({"summary": "x", "client_id": client_id, "details": details}).encode()


USERS = {"template_id": "user_created", "threshold": None}
TRIGGERS = [
    trigger(7, 5, ("attack_type", ["xss", "sqli"])),
    trigger(8, 1, ("attack_type", ["sqli"])),
    trigger(9, 0, enabled=False),
    trigger(10, 0, template_id="attacks_exceeded"),
    trigger(11, 0, ("role", ["admin"]), **USERS),
    trigger(12, 0, ("attack_type", ["rce"])),
    trigger(13, 5, template_id="incidents_exceeded"),
]
#: Events of topic `events.hits`, partition 0, by name.
HITS = {
    "below": hit("xss"),
    "first": hit("sqli"),
    "second": hit("sqli"),
    "experimental": hit("xss", experimental=True),
    "unsampled": hit("xss", sampled=False),
    "false_positive": hit("xss", state="falsepositive"),
    "late": hit("xss", DAY_AGO),
    "unknown": hit("xss", client_id=999),
    "broken": b"\xff{broken\x1b[31m",
    "ahead": hit("xss", NOW + 90_000),
    "several": b"[" + hit("path") + b"," + hit("xss", client_id=2222) + b"]",
    "changed": hit("rce"),
}
NOTICES = {
    "analyst": notice("create_user", user={"role": "analyst"}),
    "admin": notice("create_user", user={"role": "admin"}),
    "nobody": notice("create_user", 2222),
    "made_up": notice("made_up"),
}


@dataclass
class Explained:
    """The installation; `places` has the place of each named event and notice."""

    bench: Bench
    detector: WorkerProcess
    places: dict[str, str] = field(default_factory=dict)

    async def run(
        self, *args: str, code: int = 0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        env = environment(self.bench.settings, STREAM_APP_KEY_1111_ACME=KEY)
        args = (*STREAM_APP, "alerts", "explain", *args)
        done = await asyncio.to_thread(run, args, env, stdin)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    async def text(self, name: str, *args: str) -> str:
        """Return what people read, without its line breaks."""
        lines = (await self.run(self.places.get(name, name), *args)).stdout.splitlines()
        assert max(map(len, lines)) <= 120
        return " ".join(" ".join(lines).split())

    async def json(self, *args: str, stdin: str = "") -> Any:
        first, *rest = args
        done = await self.run(self.places.get(first, first), *rest, "--json", stdin=stdin)
        return json.loads(done.stdout)

    async def event(self, name: str, *args: str) -> Any:
        (event,) = (await self.json(name, *args))["events"]
        return event


async def write(settings: Settings, topic: str, partition: int, rows: dict[str, bytes]) -> Any:
    """Write rows to one partition; return the place of each."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await producer.start()
    try:
        full = f"{settings.topic_prefix}{topic}"
        found = {}
        for name, value in rows.items():
            at = await producer.send_and_wait(full, value, b"any", partition)
            found[name] = f"{topic}:{partition}:{at.offset}"
        return found
    finally:
        await producer.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def explained(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Explained]:
    settings = Settings(
        kafka=shared_kafka(kafka), topic_prefix=f"t{uuid.uuid4().hex[:10]}.", partitions=2
    )
    folder: Path = tmp_path_factory.mktemp("explain")
    bench = Bench(settings, folder / "notifier")
    await bench.start()
    empty = {"client_id": 2222, "name": "Empty", "cloud": "EU", "applications": {}}
    await put_objects(settings, "config.clients", [empty])
    users = integration(522, bench.url, name="Users", events=[{"event": "system", "active": True}])
    await put_objects(settings, "config.integrations", [users])
    await put_objects(settings, "config.triggers", TRIGGERS)
    notifier = bench.worker()
    with WorkerProcess("detector", settings, folder / "detector") as detector:
        found = Explained(bench, detector)
        await asyncio.gather(notifier.ready(), detector.ready())
        found.places |= await write(settings, "events.hits", 0, {"newest": hit("path", NOW)})
        found.places |= await write(settings, "events.hits", 0, HITS)
        found.places |= await write(settings, "events.account", 0, NOTICES)
        aborted = [("events.hits", 1, None, hit("sqli"))]
        await transaction(settings, aborted, is_aborted=True)
        incidents = f"{settings.topic_prefix}events.incidents"
        assert await produce_raw(kafka, incidents, 1, bomb(80, "gzip")) == 0
        sources = ["events.hits", "events.incidents", "events.account", "counts"]
        await drained(settings, "detector", sources)
        await bench.drained()
        # Its records explain what it did: it need not run on beside each test.
        assert notifier.stop() == 0
        changed = trigger(12, 3, ("attack_type", ["ptrav"]))
        await put_objects(settings, "config.triggers", [changed])
        yield found
    await bench.stop()


def triggers_of(event: Any) -> dict[int, str]:
    return {row["trigger_id"]: row["result"] for row in event["triggers"]}


async def test_an_event_below_the_threshold_names_the_window_and_its_count(
    explained: Explained,
) -> None:
    text = await explained.text("below")
    assert text.startswith("No alert: trigger 7 counted 3 of more than 5 events in 2")
    assert "attack_type eq sqli: the event has xss" in text
    step = f"stream-app triggers backtest --trigger 7 --from {iso_utc(MINUTE * 1000)} --to "
    assert text.endswith(f"next {step}{iso_utc((MINUTE + 60) * 1000)}")
    event = await explained.event("below")
    assert triggers_of(event) == {
        7: "counted", 8: "refused", 9: "disabled", 10: "other_kind", 11: "other_kind",
        12: "refused", 13: "other_kind",
    }  # fmt: skip
    (window,) = event["triggers"][0]["windows"]
    assert (window["count"], window["threshold"], window["state"]) == (
        3,
        5,
        "threshold_not_exceeded",
    )
    assert (window["count_on_topic"], window["count_recorded"], window["notes"]) == (3, 3, [])
    assert event["triggers"][1]["refusals"][0]["message"] == (
        "attack_type eq sqli: the event has xss"
    )


async def test_an_event_of_a_fired_window_says_what_the_notifier_did(explained: Explained) -> None:
    event = await explained.event("second", "--trigger", "8")
    assert event["answer"].startswith("Alert, sent: trigger 8 counted 2 of more than 1 event in ")
    (window,) = event["triggers"][0]["windows"]
    (alert,) = window["alerts"]
    assert alert["deliveries"] == ["integration 521: sent after 1 attempt"]
    assert event["next_steps"] == [f"stream-app alerts show {alert['id']}"]
    assert [one.alias for one in explained.bench.sandbox.alerts if one.alias == alert["id"]]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("experimental", "No alert: the event is experimental: it is not counted"),
        (
            "unsampled",
            "No alert: the event is outside the sample (`sampled` is false): it is not counted",
        ),
        ("false_positive", "No alert: the event is marked as a false positive: it is not counted"),
    ],
)
async def test_an_excluded_event_says_by_which_rule(
    explained: Explained, name: str, answer: str
) -> None:
    event = await explained.event(name)
    assert (event["answer"], event["reason"]) == (answer, name)
    assert triggers_of(event)[7] == "not_used"


async def test_a_late_event_is_late_by_what_its_partition_had_seen(explained: Explained) -> None:
    found = await explained.json("late")
    assert found["is_lateness_certain"]
    assert found["answer"] == "No alert: the event came too late for trigger 7"
    assert triggers_of(found["events"][0])[7] == "late"
    text = await explained.text("late")
    assert "one of " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW)) in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unknown", "unknown_client"),
        ("broken", "undecodable"),
        ("ahead", "future_timestamp"),
    ],
)
async def test_a_dead_letter_leads_to_its_place(
    explained: Explained, name: str, reason: str
) -> None:
    event = await explained.event(name)
    assert event["reason"] == reason
    (letter,) = event["dead_letters"]
    assert (letter["reason"], letter["redriven_to"]) == (reason, None)
    step = f"stream-app dlq show {letter['topic']}/{letter['partition']}/{letter['offset']}"
    assert event["next_steps"] == [step]
    text = await explained.text(name)
    assert text.startswith(f"No alert: the event cannot be used ({reason}): ")
    assert "\x1b" not in text


async def test_the_events_of_one_record_are_explained_each(explained: Explained) -> None:
    found = await explained.json("several")
    assert found["answer"] is None
    first, second = found["events"]
    assert (first["index"], first["reason"]) == (0, "unmatched")
    assert first["answer"] == "No alert: 3 triggers refuse the event, 1 more is disabled"
    assert second["answer"] == "No alert: client 2222 has no trigger for events of this kind"


async def test_a_trigger_that_was_changed_since_is_explained_as_it_was(
    explained: Explained,
) -> None:
    event = await explained.event("changed", "--trigger", "12")
    (row,) = event["triggers"]
    assert (row["configuration"], row["result"]) == ("then", "counted")
    assert row["windows"][0]["state"] == "fired"
    assert row["windows"][0]["threshold"] == 0
    assert row["today"]["result"] == "refused"
    assert row["today"]["refusals"][0]["message"] == "attack_type eq ptrav: the event has rce"
    text = await explained.text("changed", "--trigger", "12")
    assert "that is by its form at that time; changed 2" in text


async def test_a_place_without_a_record_says_why(explained: Explained) -> None:
    settings = explained.bench.settings
    full = f"{settings.topic_prefix}events.attacks"
    aborted = await explained.json("events.hits/1/0")
    assert (aborted["state"], aborted["events"]) == ("aborted", [])
    assert (await explained.json("events.hits/1/1"))["state"] == "no_record"
    assert (await explained.json("events.hits/0/1000"))["state"] == "not_written"

    places = await write(settings, "events.attacks", 0, {"gone": b"{}", "kept": b"{}"})
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(full, 0): RecordsToDelete(before_offset=1)})
    await admin.close()
    assert (await explained.json(places["gone"]))["state"] == "removed"
    assert "was removed by retention" in await explained.text(places["gone"])

    async with transactional(settings, "open") as producer:
        await begin(producer, settings, [("events.attacks", 1, None, b"{}")])
        assert (await explained.json("events.attacks/1/0"))["state"] == "withheld"
        text = await explained.text("events.attacks/1/0")
        assert f"--topic {full} --partition 1 --start-offset 0" in text
        await producer.abort_transaction()


async def test_a_batch_that_cannot_be_unpacked_leads_to_its_dead_letter(
    explained: Explained,
) -> None:
    found = await explained.json("events.incidents/1/0")
    assert (found["state"], found["events"]) == ("unreadable_batch", [])
    (letter,) = found["dead_letters"]
    assert letter["reason"] == "unreadable_batch"
    text = await explained.text("events.incidents/1/0")
    assert "cannot be unpacked" in text
    assert f"next stream-app dlq show {letter['topic']}/" in text


async def test_a_place_that_cannot_be_is_refused(explained: Explained) -> None:
    for wrong, words in (
        ("events.hits/7/0", "has no partition 7: it has 0 to 1"),
        ("deliveries:0:0", "holds no events: name one of events.attacks"),
        ("events.hits.dlq:0:0", "stream-app dlq show events.hits.dlq:0:0"),
        ("events.hits", "give TOPIC/PARTITION/OFFSET"),
        ("events.hits/0/\x1b[31m", "'events.hits/0/\\x1b[31m' is no place"),
    ):
        assert words in (await explained.run(wrong, code=2)).stderr
    assert (
        "is not known" in (await explained.run("events.hits/0/0", "--trigger", "5", code=1)).stderr
    )
    assert "give one of" in (await explained.run(code=2)).stderr


async def test_the_windows_of_a_trigger_say_why_they_did_not_fire(explained: Explained) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MINUTE + 5))
    found = await explained.json("--trigger", "7", "--at", at)
    (window,) = found["windows"]
    assert (window["count"], window["state"]) == (3, "threshold_not_exceeded")
    assert found["answer"].startswith("No alert: trigger 7 counted 3 of more than 5 events in ")

    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MINUTE - 60))
    until = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MINUTE + 120))
    found = await explained.json("--trigger", "8", "--from", since, "--to", until)
    assert [(one["count"], one["state"]) for one in found["windows"]] == [
        (0, "no_events"),
        (2, "fired"),
        (0, "no_events"),
    ]
    assert (await explained.json("--trigger", "9", "--at", at))["windows"][0]["state"] == (
        "trigger_disabled"
    )
    text = (await explained.run("--trigger", "8", "--from", since, "--to", until)).stdout
    assert text.startswith("3 windows: 2 without events, 1 fired")
    for times in (("--at", at), ("--from", since, "--to", until)):
        windows = (await explained.json("--trigger", "12", *times))["windows"]
        (window,) = [one for one in windows if one["window_start_at"] == iso_utc(MINUTE * 1000)]
        assert (window["state"], window["threshold"]) == ("fired", 3)
        (alert,) = window["alerts"]
        assert window["next_steps"] == [f"stream-app alerts show {alert['id']}"]
    text = (await explained.run("--trigger", "12", "--at", at)).stdout
    assert text.startswith("Alert, sent, by an earlier form of the trigger: more than 0 in 60 s")
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW + 86_400))
    (ahead,) = (await explained.json("--trigger", "7", "--at", day))["windows"]
    assert (ahead["state"], ahead["next_steps"]) == ("in_the_future", [])
    notices = await explained.run("--trigger", "11", "--at", at, code=2)
    assert "counts no events, so it has no windows" in notices.stderr


async def test_a_time_says_what_was_not_counted_and_leads_to_it(explained: Explained) -> None:
    at, places = iso_utc((MINUTE + 5) * 1000), explained.places
    found = await explained.json("--trigger", "7", "--at", at)
    assert {(one["reason"], one["message"]): one["count"] for one in found["not_counted"]} == {
        ("refused", "refused (attack_type eq xss, sqli)"): 2,
        ("experimental", "experimental"): 1,
        ("unsampled", "outside the sample"): 1,
        ("false_positive", "marked as a false positive"): 1,
        ("unknown_client", "dead letter unknown_client"): 1,
    }
    for one in found["not_counted"]:
        place = f"{one['topic']}/{one['partition']}/{one['offset']}"
        reasons = [event["reason"] for event in (await explained.json(place))["events"]]
        assert one["reason"].replace("refused", "unmatched") in reasons
    text = " ".join((await explained.run("--trigger", "7", "--at", at)).stdout.split())
    assert "not counted in this time: 2 refused (attack_type eq xss, sqli), 1 experimental" in text
    assert f"experimental: at {_shown(explained, places['experimental'])}" in text
    late = await explained.json("--trigger", "7", "--at", iso_utc(DAY_AGO * 1000))
    assert [one["reason"] for one in late["not_counted"]] == ["late"]


async def test_the_windows_of_a_client_answer_for_all_its_triggers(explained: Explained) -> None:
    at = iso_utc((MINUTE + 5) * 1000)
    found = await explained.json("--client", "1111", "--at", at)
    assert found["answer"].startswith("2 of 6 triggers of client 1111 fired in 2")
    states = {one["trigger_id"]: one["state"] for one in found["windows"]}
    # Another test writes incidents.
    assert states.pop(13) in {"no_events", "threshold_not_exceeded"}
    assert states == {
        7: "threshold_not_exceeded", 8: "fired", 9: "trigger_disabled", 10: "no_events",
        12: "fired",
    }  # fmt: skip
    assert {one["message"]: one["count"] for one in found["not_counted"]} == {
        "refused by each of 3 triggers": 2, "experimental": 1, "outside the sample": 1,
        "marked as a false positive": 1, "dead letter unknown_client": 1,
    }  # fmt: skip
    lines = (await explained.run("--client", "1111", "--at", at)).stdout.splitlines()
    assert sum(line.startswith("trigger ") for line in lines) == 6
    assert any(line.startswith("next      stream-app alerts show ") for line in lines)

    until = iso_utc((MINUTE + 120) * 1000)
    found = await explained.json("--client", "1111", "--from", at, "--to", until)
    assert found["answer"].startswith("2 of 12 windows of 6 triggers of client 1111 fired in 2")
    nobody = await explained.json("--client", "999", "--at", at)
    assert nobody["answer"] == (
        "No alert: client 999 is not configured: its events become dead letters"
    )
    assert [one["reason"] for one in nobody["not_counted"]] == ["unknown_client"]
    empty = await explained.run("--client", "2222", "--at", at)
    assert empty.stdout.startswith("No alert: client 2222 has no trigger that counts events")
    assert "that no enabled trigger counts: at " in empty.stdout
    for args in (("--client", "1111"), ("--client", "1111", "--trigger", "7", "--at", at)):
        assert "give " in (await explained.run(*args, code=2)).stderr


def _shown(explained: Explained, place: str) -> str:
    return f"{explained.bench.settings.topic_prefix}{place.replace(':', '/')}"


async def test_a_notice_says_who_is_told(explained: Explained) -> None:
    analyst = await explained.event("analyst")
    assert analyst["answer"] == "Alert, sent: the notice create_user matches"
    assert {one["integration_id"]: one["message"] for one in analyst["integrations"]} == {
        521: "has not selected system",
        522: None,
    }
    (alert,) = analyst["alerts"]
    assert alert["deliveries"] == ["integration 522: sent after 1 attempt"]
    row = next(one for one in analyst["triggers"] if one["trigger_id"] == 11)
    assert row["refusals"][0]["message"] == "role eq admin: the notice has analytic"

    admin = await explained.event("admin", "--trigger", "11")
    assert triggers_of(admin) == {11: "matched"}
    assert admin["triggers"][0]["alerts"][0]["deliveries"] == [
        "integration 521: sent after 1 attempt"
    ]
    nobody = await explained.event("nobody")
    assert nobody["answer"] == (
        "No alert: no integration of client 2222 has selected system, and no trigger matches"
    )
    made_up = await explained.event("made_up")
    assert made_up["answer"] == ("No alert: 'made_up' is no kind of notice that can be selected")


async def test_events_of_a_file_are_explained_as_if_written_now(
    explained: Explained, tmp_path: Path
) -> None:
    file = tmp_path / "hits.json"
    file.write_bytes(b"[" + hit("sqli") + b"," + hit("xss", experimental=True) + b"]")
    found = await explained.json("-f", str(file), "--topic", "events.hits")
    counted, excluded = found["events"]
    assert counted["answer"].startswith(
        "It would count for trigger 7, and for 1 more: so far 3 of "
    )
    assert triggers_of(counted)[8] == "counted"
    assert excluded["reason"] == "experimental"
    line = json.dumps({
        "topic": "other.events.hits", "partition": 3, "offset": 9, "ts": NOW * 1000,
        "payload": hit("xss", DAY_AGO).decode(),
    })  # fmt: skip
    found = await explained.json("-f", "-", stdin=f"{line}\n{line}\n")
    assert [one["reason"] for one in found["events"]] == ["late", "late"]


async def test_a_file_that_cannot_be_used_is_refused(explained: Explained, tmp_path: Path) -> None:
    large, many, empty = (tmp_path / name for name in ("large", "many", "empty"))
    with large.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    many.write_bytes(b"{}\n" * 1_001)
    empty.touch()
    for path, words in (
        (large, "is larger than 16 MiB"),
        (many, "holds 1,001 events, and at most 1,000 are explained"),
        (empty, "holds no event"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "none", "cannot be read: No such file"),
    ):
        topic = ("--topic", "events.hits")
        assert words in (await explained.run("-f", str(path), *topic, code=2)).stderr
    loose = await explained.run("-f", "-", code=2, stdin="{}")
    assert "give --topic" in loose.stderr


async def test_an_event_that_is_not_read_yet_says_so(explained: Explained) -> None:
    assert explained.detector.stop() == 0
    # No other test asks for incidents.
    incident = json.dumps({"client_id": 1111, "first_time": MINUTE}).encode()
    rows = {"new": incident, "next": incident}
    places = await write(explained.bench.settings, "events.incidents", 0, rows)
    event = await explained.event(places["next"])
    assert event["answer"] == (
        "No alert yet: the detector has not read the event: 1 record comes before it"
    )
    assert (event["lag"], event["next_steps"]) == (2, ["stream-app status"])
    text = await explained.text(places["new"])
    assert "no detector is running; once it has read the event:" in text
    assert "No alert yet: 2 events that count are on the topic in 2" in text
    assert "the detector has counted 0 of them; no detector is running; trigger 13 fires" in text
