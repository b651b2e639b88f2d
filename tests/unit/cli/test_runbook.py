"""The commands of the runbook can be typed as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.unit.cli.test_every_command import NO_BROKER, code_of

RUNBOOK = " ".join((ROOT / "deploy" / "runbook.md").read_text().split())
#: What stands in capitals, and what a person puts there; `{file}` is one with an object.
PLACES = {
    "FILE": "{file}",
    "ID": "521",
    "KIND": "triggers",
    "PLACE": "deliveries.dlq/3/17",
    "ROLE": "detector",
    "TOPIC": "deliveries",
}
COMMANDS = sorted(set(re.findall(r"`stream-app ([^`]+)`", RUNBOOK)))
#: Asks for its settings first.
HEARTBEAT = {
    "STREAM_APP_HEARTBEAT__TARGET": "opsgenie",
    "STREAM_APP_HEARTBEAT__NAME": "pager",
    "STREAM_APP_HEARTBEAT__INTEGRATION_ID": "521",
}
#: Waits for the broker until it is told to stop.
WORKERS = {"worker detector", "worker notifier"}


def test_the_commands_are_found_and_their_capitals_are_known() -> None:
    assert set(COMMANDS) > WORKERS
    assert RUNBOOK.count("`stream-app ") >= len(COMMANDS) > len(PLACES)
    capitals = {word for command in COMMANDS for word in re.findall(r"\b[A-Z]{2,}\b", command)}
    assert capitals == PLACES.keys()


@pytest.mark.usefixtures("_logs_stay")
@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in WORKERS])
def test_a_command_of_the_runbook_gets_as_far_as_the_broker(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "client.yaml"
    file.write_text("client_id: 1111\nname: Acme\ncloud: EU\napplications: {}\n")
    monkeypatch.setenv("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", NO_BROKER)
    for name, value in HEARTBEAT.items():
        monkeypatch.setenv(name, value)
    words = [PLACES.get(word, word).format(file=file) for word in shlex.split(command)]
    # Wrong usage would be 2: it is told before the broker is looked for.
    assert code_of(*words) == 4


@pytest.mark.parametrize("command", sorted(WORKERS))
def test_the_command_of_a_worker_is_valid(command: str) -> None:
    assert code_of(*command.split(), "--help") == 0
