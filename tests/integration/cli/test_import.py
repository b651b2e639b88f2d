"""Importing what the security cloud's API answers, and thousands of objects, on a real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings
from tests.api_answers import (
    CLIENT,
    INTEGRATION_BODY,
    TOKEN,
    TRIGGER_BODY,
    WRITTEN_OF_INTEGRATION,
    WRITTEN_OF_TRIGGER,
    integration,
    integrations_answer,
    trigger,
    triggers_answer,
)
from tests.integration.harness import WorkerProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
CLIENTS, INTEGRATIONS, TRIGGERS = 200, 2_000, 5_000


@pytest.fixture
def run(settings: Settings) -> Run:
    """Return a function that runs a command, and checks its exit code and that it shows no key."""
    asyncio.run(create_topics(settings))
    keys = generate_secret_key()

    def command(*args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = WorkerProcess.command(settings, *args, STREAM_APP_SECRET_KEYS=keys)
        assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
        for hidden in (TOKEN, keys, "sealed:v1"):
            assert hidden not in done.stdout + done.stderr
        return done

    return command


def test_answers_of_the_api_are_applied_and_given_back(run: Run, tmp_path: Path) -> None:
    slack = integration(id=530, type="slack", target=f"https://hooks.example/{TOKEN}")
    siem = {"event": "siem", "active": False}
    ours = integration(events=[*INTEGRATION_BODY["events"], siem])
    files = {
        "client": CLIENT,
        "integrations": integrations_answer(slack, ours),
        "triggers": triggers_answer(trigger()),
    }
    flags: list[str] = []
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
        flags += ["-f", str(tmp_path / name)]
    missing = run("apply", *flags, code=3).stderr
    assert "integration 521: client_id: is missing" in missing
    assert "or give `stream-app apply --client ID`" in missing
    done = run("apply", *flags, "--client", "1111", "--json")
    assert [(row["kind"], row["path"]) for row in json.loads(done.stdout)["left_out"]] == [
        ("integration", "type"),
        ("integration", "events[2].event"),
    ]
    assert "integration 530: type: 'slack': left out: alerts are posted to Opsgenie" in done.stderr

    given: dict[str, Any] = {}
    for kind, name in (("triggers", "t"), ("integrations", "i")):
        text = run("get", kind, "-o", "api").stdout
        (tmp_path / name).write_text(text)
        given[kind] = json.loads(text)
    (got,) = given["triggers"]["triggers"]
    assert {name: got[name] for name in WRITTEN_OF_TRIGGER} == {
        **TRIGGER_BODY["trigger"],
        "comment": None,
    }
    (got,) = given["integrations"]["body"]["object"]
    assert {name: got[name] for name in WRITTEN_OF_INTEGRATION} == {
        **INTEGRATION_BODY,
        "target": {**INTEGRATION_BODY["target"], "token": "(sealed)"},
    }
    again = run("apply", "-f", str(tmp_path / "t"), "-f", str(tmp_path / "i"))
    assert again.stderr.endswith("applied: 0 created, 0 updated, 2 unchanged\n")
    one = json.loads(run("get", "integrations", "521", "-o", "api").stdout)
    assert one["body"]["object"] == got
    assert "use -o yaml or -o json" in run("get", "clients", "-o", "api", code=2).stderr


def test_thousands_of_objects_are_one_apply(run: Run, tmp_path: Path) -> None:
    clients = [CLIENT | {"client_id": 1_000 + n, "name": f"Client {n}"} for n in range(CLIENTS)]
    integrations = [
        integration(id=1 + n, clientid=1_000 + n % CLIENTS, name=f"On-call {n}")
        for n in range(INTEGRATIONS)
    ]
    triggers = []
    for n in range(TRIGGERS):
        ids = [1 + n % CLIENTS, 1 + CLIENTS + n % CLIENTS]
        actions = [{"id": "send_notification", "params": {"integration_ids": ids}}]
        triggers.append(trigger(id=1 + n, client_id=1_000 + n % CLIENTS, actions=actions))
    file = tmp_path / "all.json"
    answers = [integrations_answer(*integrations), triggers_answer(*triggers)]
    file.write_text(json.dumps([*clients, *answers]))
    total = CLIENTS + INTEGRATIONS + TRIGGERS
    first = run("apply", "-f", str(file))
    assert first.stderr.endswith(f"applied: {total} created, 0 updated, 0 unchanged\n")
    again = run("apply", "-f", str(file))
    assert again.stderr.endswith(f"applied: 0 created, 0 updated, {total} unchanged\n")

    foreign = [{"id": "send_notification", "params": {"integration_ids": [2, 9_999]}}]
    file.write_text(
        json.dumps([*clients, *answers, triggers[0] | {"id": 7_777, "actions": foreign}])
    )
    refused = run("apply", "-f", str(file), code=3).stderr
    where = "trigger 7777: actions[0].params.integration_ids"
    assert f"{where}[0]: 2: is not an integration of client 1000\n" in refused
    assert f"{where}[1]: 9999: no such integration: apply it, too\n" in refused
    assert "nothing was applied, 2 wrong:" in refused
