"""`stream-app sample` without Kafka: what it prints, and its pace."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from stream_app.cli.operations.sample import sample
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topics import EVENT_TOPICS

FAST = ("--rate", "100000", "--seed", "1")


def run(*args: str) -> Result:
    return CliRunner().invoke(sample, [*FAST, *args])


def test_json_lines_name_the_topic_with_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_TOPIC_PREFIX", "demo.")
    done = run("--format", "json", "--count", "200")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 200
    assert {row["topic"] for row in rows} == {f"demo.{topic}" for topic in EVENT_TOPICS}
    for row in rows:
        kind = EventKind(row["topic"].removeprefix("demo.events."))
        assert kind.removesuffix("s") == row["value"]["object_type"]
        EventDecoder(kind).decode(json.dumps(row["value"]).encode())


def test_kcat_lines_are_key_tab_value_of_one_topic() -> None:
    done = run("--format", "kcat", "--topic", "events.incidents", "--count", "5")
    assert done.exit_code == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len({key for key, _ in rows}) == 5
    assert [json.loads(value)["object_type"] for _, value in rows] == ["incident"] * 5
    assert done.stderr == "5 events, done\n"


def test_kcat_lines_without_a_topic_are_refused() -> None:
    done = run("--format", "kcat")
    assert done.exit_code == 2
    assert "--topic" in done.stderr


@pytest.mark.parametrize("args", [("--client", "5", "--client", "6"), ("--clients", "5,6")])
def test_the_events_belong_to_the_clients_asked_for(args: tuple[str, ...]) -> None:
    done = run("--format", "json", "--count", "100", *args)
    assert ("--clients is called --client now" in done.stderr) == (args[0] == "--clients")
    found = {json.loads(line)["value"]["client_id"] for line in done.stdout.splitlines()}
    assert found == {5, 6}


@pytest.mark.parametrize("text", ["", "5,", "five", "0", "-1", "5;6"])
def test_a_malformed_list_of_clients_is_refused(text: str) -> None:
    done = run("--format", "json", "--count", "1", "--client", text)
    assert done.exit_code == 2
    assert "is no id of a client: give one as 1111" in done.stderr


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1", "fast"])
def test_an_invalid_rate_is_refused(rate: str) -> None:
    done = run("--format", "json", "--count", "1", "--rate", rate)
    assert done.exit_code == 2
    assert "--rate" in done.stderr


def test_a_seed_makes_the_same_events_again() -> None:
    def ids() -> list[str]:
        lines = run("--format", "json", "--count", "100").stdout.splitlines()
        return [json.loads(line)["value"]["id"][1] for line in lines]

    assert ids() == ids()
