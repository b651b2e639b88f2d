"""Each question of deploy/on-call.md is answered by its command, where the answer is known."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.settings import Settings
from tests.conftest import shared_kafka
from tests.documentation.pages import PAGES
from tests.integration.harness import WorkerProcess, drained, environment, put, put_objects
from tests.integration.notifier.test_notifier import KEY, Bench, integration
from tests.processes import STREAM_APP, run

BROKEN_KEY = "00000000-1111-2222-3333-555555555555"
ROWS: list[tuple[str, str]] = re.findall(
    r"^\| (.+?) \| `stream-app (.+?)` \|$", PAGES["deploy/on-call.md"], re.MULTILINE
)
DAY = 1_767_225_600  # 2026-01-01T00:00:00Z
TRIGGER = {
    "id": 7, "client_id": 1111, "name": "SQL injections", "enabled": True,
    "template_id": "hits_exceeded", "threshold": {"count": 2, "period": 60},
    "filters": [{"id": "attack_type", "operator": "eq", "values": ["sqli"]}],
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521, 522]}}],
}  # fmt: skip
OTHER = TRIGGER | {
    "id": 61, "name": "Incidents", "template_id": "incidents_exceeded", "filters": [],
    "threshold": {"count": 1, "period": 60},
}  # fmt: skip
CHANGED = TRIGGER | {"threshold": {"count": 3, "period": 60}}


def hit(second: int, **fields: object) -> bytes:
    return json.dumps(
        {"client_id": 1111, "type": "sqli", "request_time": DAY + second} | fields
    ).encode()


#: The hits of partition 0. Three of the first minute fire the trigger; one of the second does not.
HITS = [
    hit(1), hit(2), hit(3), hit(4, type="xss"), hit(5, experimental=True), hit(61), b"{no hit",
]  # fmt: skip
#: What stands for the page's placeholders here.
PLACES = {"events.hits/0/1234": "events.hits/0/3", "2026-11-24T08:00:00Z": "2026-01-01T00:01:30Z"}
#: Question -> exit code, and texts that stand in the answer.
ANSWERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "Is anything wrong?": (
        0,
        ("integration 522", "dlq redrive", "events.hits", "undecodable"),
    ),
    "What fired lately?": (0, ("trigger 7 (SQL injections)", "521 sent", "failed")),
    "What became of this alert?": (
        0,
        (
            "attempts 1 to 17",
            "HTTP 401",
            "integration 521 (On-call 521): sent",
            "events   3",
            "dlq redrive",
        ),
    ),
    "Which alerts did not reach somebody?": (0, ("522 given_up",)),
    "Why was there no alert for this event?": (0, ("attack_type eq sqli: the event has xss",)),
    "Why did this trigger not fire at that time?": (0, ("1 of more than 2",)),
    "Why did nothing of this customer fire at that time?": (
        0,
        ("none of 2 triggers of client 1111 fired", "1 of more than 2"),
    ),
    "What would become of this event now?": (
        0,
        ("It would count for trigger 7", "3 of more than 2"),
    ),
    "How many records could not be used or delivered, and why?": (
        0,
        ("undecodable", "exhausted"),
    ),
    "What was never delivered to this integration?": (0, ("exhausted",)),
    "What is wrong with this record?": (0, ("{no hit", "undecodable")),
    "What would be sent again?": (0, ("integrations enable 522",)),
    "Which integrations are in use?": (0, ("active", "off")),
    "Which triggers does this customer have?": (0, ("SQL injections", "Incidents")),
    "What would this file change?": (0, ("would change", "2 → 3")),
    "What would another threshold have meant?": (0, ("It would have fired 0 times", "3 events")),
    "Which of the alerts that were sent would a changed trigger send?": (1, ("no longer fires",)),
    "Is this event as it should be?": (0, ("1 record, 0 broken",)),
    "Are the topics there, with the right settings?": (0, ("all topics are as they must be",)),
    "What blocks the workers on this machine?": (0, ("3 can be opened", "detector: 1 worker,")),
    "From which addresses does the security cloud reach us?": (0, ("34.141.230.156",)),
    "Test an integration, with messages that are marked as tests": (
        0,
        ("the key works", "[Test message]"),
    ),
    "Use an integration again": (
        0,
        ("is in use again", "1 alert has not reached it", "dlq redrive --integration 522"),
    ),
    "Send what was never delivered": (0, ("deliveries",)),
    "Forget dead letters that nobody wants to be sent": (0, ("undecodable",)),
    "Stop telling somebody": (0, ("active: true → false",)),
}


def write_files(folder: Path) -> None:
    (folder / "event.json").write_bytes(hit(0))
    (folder / "changed.yaml").write_text(yaml.safe_dump(CHANGED))


async def happened(bench: Bench) -> dict[str, str]:
    """Let the trigger fire; return what stands for the page's placeholders once all is done."""
    settings = bench.settings
    broken = integration(522, bench.url)
    broken["target"]["token"] = "env:STREAM_APP_KEY_1111_BROKEN"
    off = integration(523, bench.url, active=False)
    await put_objects(settings, "config.integrations", [broken, off])
    await put_objects(settings, "config.triggers", [TRIGGER, OTHER])
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=401, key_end=BROKEN_KEY[-4:]))
    hits = f"{settings.topic_prefix}events.hits"
    await put(bench.bootstrap, hits, [(None, value) for value in HITS], partition=0)
    async with asyncio.timeout(90):
        for topic in ("deliveries.dlq", "status.integrations"):
            while not await bench.records(topic):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
    await drained(settings, "detector", ["events.hits"])
    await bench.drained()
    (alert,), (letter,) = await bench.records("alerts"), await bench.records("events.hits.dlq")
    return {
        "3f9a61": json.loads(alert.value)["id"].rpartition(":")[2][:8],
        "events.hits.dlq/0/0": f"events.hits.dlq/{letter.partition}/0",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, subprocess.CompletedProcess[str]]]:
    """Run the page's commands in their order; return what each question is answered with."""
    settings = Settings(
        kafka=shared_kafka(kafka), topic_prefix=f"t{uuid.uuid4().hex[:10]}.", partitions=2
    )
    folder: Path = tmp_path_factory.mktemp("on-call")
    write_files(folder)
    keys = {"STREAM_APP_KEY_1111_ACME": KEY, "STREAM_APP_KEY_1111_BROKEN": BROKEN_KEY}
    bench = Bench(settings, folder / "notifier")
    await bench.start()
    notifier = bench.worker(**keys)
    with WorkerProcess("detector", settings, folder / "detector") as detector:
        await asyncio.gather(notifier.ready(), detector.ready())
        found = PLACES | await happened(bench)
        env = environment(
            settings,
            STREAM_APP_DELIVERY__SANDBOX_URL=bench.url,
            **keys,
        )
        done = {}
        for question, command in ROWS:
            args = [found.get(word, word) for word in shlex.split(command)]
            done[question] = await asyncio.to_thread(run, (*STREAM_APP, *args), env, cwd=folder)
        yield done
    await bench.stop()


def test_each_question_of_the_page_has_an_answer_here() -> None:
    assert [question for question, _ in ROWS] == list(ANSWERS)
    assert len(ROWS) >= 15


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("question", ANSWERS)
async def test_a_question_is_answered_by_its_command(question: str, answers: Any) -> None:
    code, texts = ANSWERS[question]
    done = answers[question]
    assert done.returncode == code, done.stdout + done.stderr
    assert [text for text in texts if text not in done.stdout + done.stderr] == [], (
        done.stdout + done.stderr
    )
    assert KEY not in done.stdout + done.stderr
    assert BROKEN_KEY not in done.stdout + done.stderr
