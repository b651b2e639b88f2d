"""`stream-app apply` as a process, against a real broker."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.configuration.records import read_stored
from stream_app.kafka.configuration.view import Configuration
from stream_app.key_ring import KeyRing
from stream_app.settings import Settings
from tests import processes
from tests.processes import STREAM_APP

SECRET_KEY = base64.urlsafe_b64encode(bytes(32)).decode()
CLEAR = "fake-key-not-real"
CLIENT = """
name: Acme Retail
cloud: EU
client_id: 1111
applications: {-1: default, 7: Shop}
"""
INTEGRATION = f"""
id: 521
clientid: 1111
name: On-call EU
active: true
type: opsgenie
created_by: bo@acme.example
target: {{token: {CLEAR}, api: "https://api.eu.opsgenie.com/v2/alerts"}}
events: [{{event: system, active: true}}]
"""
TRIGGER: dict[str, Any] = {
    "id": 61,
    "client_id": 1111,
    "name": "Notification about incidents",
    "enabled": True,
    "template_id": "incidents_exceeded",
    "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
    "threshold": {"count": 1, "period": 1},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
}
FILES = {
    "acme.yaml": f"{CLIENT}\n---\n{INTEGRATION}",
    "triggers.json": json.dumps([{"trigger": TRIGGER}]),
}

Done = subprocess.CompletedProcess[str]
Cli = Callable[..., Done]
Apply = Callable[..., Done]


@pytest.fixture
def cli(settings: Settings, kafka: str, tmp_path: Path) -> Cli:
    """Return a function that runs `stream-app`, and checks that no key is shown."""
    asyncio.run(create_topics(settings))
    clean = {name: v for name, v in os.environ.items() if not name.startswith("STREAM_APP_")}

    def run(*arguments: str, stdin: str = "", **environ: str) -> Done:
        env = clean | {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
            "STREAM_APP_SECRET_KEYS": SECRET_KEY,
        }
        done = processes.run((*STREAM_APP, *arguments), env | environ, stdin, cwd=tmp_path)
        assert CLEAR not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def apply(cli: Cli, tmp_path: Path) -> Apply:
    """Return a function that runs `stream-app apply` on files with the given contents."""

    def run(files: dict[str, str], *flags: str, stdin: str = "", **environ: str) -> Done:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        named = [part for name in files for part in ("-f", name)]
        return cli("apply", *named, *flags, stdin=stdin, **environ)

    return run


def stored(settings: Settings) -> Stored:
    return asyncio.run(read_stored(settings))


def read(settings: Settings) -> Configuration:
    async def once() -> Configuration:
        reader = ConfigurationReader(settings)
        await reader.start()
        await reader.stop()
        return reader.configuration

    return asyncio.run(once())


def test_what_is_applied_is_what_a_worker_reads(settings: Settings, apply: Apply) -> None:
    done = apply(FILES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "created   client 1111 'Acme Retail'",
        "created   integration 521 'On-call EU'",
        "created   trigger 61 'Notification about incidents'",
    ]
    assert done.stderr.endswith("applied: 3 created, 0 updated, 0 unchanged\n")
    view = read(settings)
    assert view.clients[1111].applications == {-1: "default", 7: "Shop"}
    assert view.triggers[61].enabled_at > 1_700_000_000_000
    integration = view.integrations[521]
    assert KeyRing([SECRET_KEY]).open(integration.key, integration.key_context) == CLEAR
    assert stored(settings)[Kind.INTEGRATION][521]["created_by"] == "bo@acme.example"


def test_a_second_apply_writes_nothing(settings: Settings, apply: Apply) -> None:
    apply(FILES)
    before, position = stored(settings), read(settings).trigger_position
    done = apply(FILES)
    assert done.stderr.endswith("applied: 0 created, 0 updated, 3 unchanged\n")
    assert stored(settings) == before
    assert read(settings).trigger_position == position


def test_a_dry_run_shows_the_changes_and_writes_nothing(settings: Settings, apply: Apply) -> None:
    apply(FILES)
    before = stored(settings)
    changed = json.dumps(TRIGGER | {"threshold": {"count": 5, "period": 1}, "name": "Other"})
    done = apply({"changed.json": changed}, "--dry-run", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "dry_run": True,
        "changes": [
            {
                "kind": "trigger",
                "id": 61,
                "name": "Other",
                "action": "updated",
                "fields": ["name", "threshold.count"],
                "differences": [
                    {"field": "name", "old": TRIGGER["name"], "new": "Other", "is_hidden": False},
                    {"field": "threshold.count", "old": 1, "new": 5, "is_hidden": False},
                ],
                "disabled_by_system": False,
                "not_evaluated": [],
                "tells_nobody": False,
            }
        ],
        "left_out": [],
    }
    assert stored(settings) == before


def test_what_is_not_evaluated_is_kept_and_reported(
    settings: Settings, apply: Apply, cli: Cli
) -> None:
    block = {"id": "block_ips", "params": {"lock_time": 3600}}
    changes: list[dict[str, Any]] = [
        {"id": 62, "template_id": "vector_attack", "actions": [block]},
        {"id": 63, "actions": [*TRIGGER["actions"], block]},
        {"id": 64, "template_id": "user_created", "filters": [], "threshold": None, "actions": []},
    ]
    triggers = [TRIGGER | {"name": "T"} | change for change in changes]
    notes = {
        62: "not evaluated here: condition vector_attack, reaction block_ips",
        63: "not evaluated here: reaction block_ips",
        64: "tells nobody: no integration is named",
    }
    files = {"acme.yaml": FILES["acme.yaml"], "triggers.json": json.dumps(triggers)}
    done = apply(files)
    assert done.stdout.splitlines()[2:] == [
        f"created   trigger {number} 'T': {text}" for number, text in notes.items()
    ]
    kept = stored(settings)[Kind.TRIGGER]
    for obj in triggers:
        assert {name: kept[obj["id"]][name] for name in obj} == obj
    again = json.loads(apply(files, "--json").stdout)["changes"][2:]
    assert [(row["action"], row["not_evaluated"], row["tells_nobody"]) for row in again] == [
        ("unchanged", ["condition vector_attack", "reaction block_ips"], False),
        ("unchanged", ["reaction block_ips"], False),
        ("unchanged", [], True),
    ]
    header, *rows = cli("get", "triggers").stdout.splitlines()
    assert header.split()[-1] == "NOTES"
    assert [row[header.index("NOTES") :].strip() for row in rows] == list(notes.values())
    assert read(settings).triggers.keys() == {62, 63, 64}


def test_disabling_and_enabling_makes_a_new_revision(settings: Settings, apply: Apply) -> None:
    apply(FILES)
    first = read(settings).triggers[61]
    apply({"off.json": json.dumps(TRIGGER | {"enabled": False})})
    off = read(settings).triggers[61]
    assert (off.enabled, off.enabled_at) == (False, first.enabled_at)
    apply({"on.json": json.dumps(TRIGGER)})
    on = read(settings).triggers[61]
    assert on.enabled_at > first.enabled_at
    assert on.revision != first.revision


def test_one_bad_object_stops_them_all_and_every_problem_is_reported(
    settings: Settings, apply: Apply
) -> None:
    bad = TRIGGER | {"id": 62, "enabled": "yes", "threshold": {"count": 1, "period": 7}}
    bad["actions"] = [{"id": "send_notification", "params": {"integration_ids": [999]}}]
    evil = INTEGRATION.replace("api.eu.opsgenie.com", "evil.example").replace("521", "522")
    done = apply(FILES | {"bad.json": json.dumps(bad), "evil.yaml": evil})
    assert done.returncode == 3
    assert done.stdout == ""
    assert "nothing was applied, 4 wrong:" in done.stderr
    assert "  bad.json:1: trigger 62: enabled: 'yes': must be true or false\n" in done.stderr
    assert "  bad.json:1: trigger 62: threshold.period: 7: must be one of 1, 60," in done.stderr
    assert (
        "trigger 62: actions[0].params.integration_ids[0]: 999: no such integration" in done.stderr
    )
    assert re.search(r"  evil\.yaml:\d+: integration 522: target\.api: ", done.stderr)
    assert stored(settings) == {kind: {} for kind in Kind}


def test_a_key_cannot_be_stored_without_secret_keys(settings: Settings, apply: Apply) -> None:
    done = apply(FILES, STREAM_APP_SECRET_KEYS="")
    assert done.returncode == 3
    assert "stream-app secrets generate" in done.stderr
    assert stored(settings) == {kind: {} for kind in Kind}


def test_objects_come_from_stdin_too(settings: Settings, apply: Apply) -> None:
    done = apply({}, "-f", "-", stdin=CLIENT)
    assert done.returncode == 0, done.stderr
    assert list(read(settings).clients) == [1111]


def test_an_unreachable_broker_ends_with_its_own_exit_code(apply: Apply) -> None:
    done = apply(FILES, STREAM_APP_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 4
    assert "127.0.0.1:1" in done.stderr


def test_missing_topics_name_the_command_that_makes_them(apply: Apply) -> None:
    done = apply(FILES, STREAM_APP_TOPIC_PREFIX="nobody.")
    assert done.returncode == 3
    assert "none of the 18 topics is there, nobody.config." in done.stderr
    assert "stream-app topics create" in done.stderr
