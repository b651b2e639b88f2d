"""`stream-app validate` on files and stdin: the forms it reads, what it prints, its exit codes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.cli.validate import validate
from stream_app.domain.errors import StreamAppError

GOOD: dict[str, Any] = {"client_id": 1, "type": "sqli"}
BAD: dict[str, Any] = {"client_id": 1, "sampled": "no"}
UNTESTED = re.compile(r"^not tested: .*\n", re.MULTILINE)
BROKEN = 'sampled: "no": must be boolean or null'


def run(*args: str, text: str = "", **env: str) -> tuple[int, str, str]:
    """Return the exit code that `stream-app` ends with, stdout and stderr."""
    done = CliRunner().invoke(validate, args, input=text, env=env)
    if isinstance(done.exception, StreamAppError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, UNTESTED.sub("", done.stderr)


def envelope(topic: str, value: object, **more: Any) -> str:
    payload = None if value is None else json.dumps(value)
    found = {"topic": topic, "partition": 3, "offset": 17, "tstype": "create", "ts": 1}
    return json.dumps({**found, "broker": 1, "key": None, "payload": payload, **more})


def test_all_good_is_exit_code_0() -> None:
    assert run("-f", "-", "--schema", "hit", text=json.dumps(GOOD)) == (
        0,
        "",
        "1 record, 0 broken\n",
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (json.dumps(BAD), "stdin:1"),
        (json.dumps(BAD, indent=2), "stdin"),
        (f"\n{json.dumps(GOOD)}\n\n{json.dumps(BAD)}\n", "stdin:4"),
        (json.dumps([GOOD, BAD]), "stdin:1[1]"),
        (json.dumps([GOOD, BAD], indent=2), "stdin[1]"),
        (f"{json.dumps(GOOD)}\n{json.dumps([GOOD, BAD])}", "stdin:2[1]"),
        (envelope("events.hits", [GOOD, BAD]), "events.hits/3/17[1]"),
        (f"[{envelope('events.hits', GOOD)},\n{envelope('events.hits', BAD)}]",
         "events.hits/3/17"),
    ],
)  # fmt: skip
def test_each_form_tells_the_place_of_a_broken_record(text: str, place: str) -> None:
    code, out, _ = run("-f", "-", "--schema", "hit", text=text)
    assert (code, out) == (1, f"{place}: {BROKEN}\n")


def test_a_line_that_is_no_json_is_reported_beside_its_neighbours() -> None:
    text = f"{{broken\n{json.dumps(GOOD)}\n{json.dumps(BAD)}\n"
    code, out, err = run("-f", "-", "--schema", "hit", text=text)
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith("stdin:1: undecodable: ")
    assert lines[1:] == [f"stdin:3: {BROKEN}"]
    assert err == "3 records, 2 broken\n"


def test_envelopes_of_several_topics_need_no_schema() -> None:
    lines = [
        envelope("events.hits", GOOD),
        envelope("config.triggers", None, key="61"),
        envelope("demo.events.account", {"summary": "x", "details": {}}),
        envelope("events.hits.dlq", BAD, headers=["x-original-topic", "events.hits"]),
    ]
    code, out, err = run("-f", "-", text="\n".join(lines), STREAM_APP_TOPIC_PREFIX="")
    assert code == 1
    assert [line.partition(": is missing")[0] for line in out.splitlines()] == [
        "demo.events.account/3/17: details.notification_type",
        "events.hits.dlq/3/17: x-original-partition",
        "events.hits.dlq/3/17: x-original-offset",
        "events.hits.dlq/3/17: x-error-reason",
    ]
    assert err == "4 records, 2 broken\n"


NOW = 1767225600


@pytest.mark.parametrize(
    ("topic", "field"),
    [("events.hits", "request_time"), ("events.attacks", "first_time")],
)
def test_an_event_is_held_against_the_time_of_its_record_as_a_worker_does(
    topic: str, field: str
) -> None:
    ahead, last = GOOD | {field: NOW + 301}, GOOD | {field: NOW + 300.9}
    text = envelope(topic, [GOOD, last, ahead, ahead | {"experimental": True}], ts=NOW * 1000 + 999)
    code, out, err = run("-f", "-", text=text)
    assert code == 1
    assert out.splitlines() == [
        f"{topic}/3/17[{part}]: future_timestamp: event time {NOW + 301} is 301 s ahead of the "
        "record's append time, more than 300 s"
        for part in (2, 3)
    ]
    assert err == "1 record, 1 broken\n"


def test_a_record_without_a_timestamp_can_hold_no_event_and_an_unknown_one_any() -> None:
    timed = GOOD | {"request_time": NOW}
    code, out, _ = run(
        "-f", "-", text="\n".join(envelope("events.hits", e, ts=-1) for e in (GOOD, timed))
    )
    assert code == 1
    untimed, unchecked = out.splitlines()
    assert untimed.startswith("events.hits/3/17: missing_time: no request_time, no create_time, ")
    assert unchecked.startswith("events.hits/3/17: missing_time: the record has no timestamp ")
    for ts in (None, "1", True):
        assert run("-f", "-", text=envelope("events.hits", timed, ts=ts))[0] == 0
    assert run("-f", "-", "--schema", "hit", text=json.dumps(timed))[0] == 0


def test_json_has_one_line_for_each_breach() -> None:
    code, out, _ = run("-f", "-", "--json", text=envelope("events.hits", BAD))
    assert code == 1
    assert json.loads(out) == {
        "place": "events.hits/3/17",
        "schema": "hit",
        "path": "sampled",
        "value": '"no"',
        "allowed": "must be boolean or null",
    }


def test_limit_stops_at_so_many_broken_records() -> None:
    text = "\n".join([json.dumps(BAD)] * 5)
    code, out, err = run("-f", "-", "--schema", "hit", "--limit", "2", text=text)
    assert (code, len(out.splitlines())) == (1, 2)
    assert err == "2 records, 2 broken; stopped at 2 broken\n"


def test_a_file_is_read_and_an_empty_one_is_good(tmp_path: Path) -> None:
    path = tmp_path / "hits.ndjson"
    path.write_text(f"{json.dumps(GOOD)}\n{json.dumps(BAD)}\n")
    assert run("-f", str(path), "--schema", "hit")[:2] == (1, f"{path}:2: {BROKEN}\n")
    path.write_text("")
    assert run("-f", str(path), "--schema", "hit")[0] == 0


def test_a_key_in_a_file_is_not_printed() -> None:
    key = "00000000-1111-2222-3333-444444444444"
    obj = {"id": 521, "target": {"api": key, "token": key}, "name": key, "type": key}
    code, out, err = run("-f", "-", "--schema", "integration", text=json.dumps(obj))
    assert code == 1
    assert key not in out + err


def test_a_record_that_does_not_say_what_it_is_needs_a_schema() -> None:
    code, _, err = run("-f", "-", text=json.dumps(GOOD))
    assert code == 2
    assert "give --schema, one of attack, hit" in err


def test_neither_topic_nor_file_is_wrong_usage() -> None:
    code, _, err = run("events.hitz")
    assert code == 2
    assert "'events.hitz' is no topic of this installation" in err


def test_a_wrong_setting_is_exit_code_3() -> None:
    assert run("-f", "-", STREAM_APP_PARTITIONS="none")[0] == 3


def test_a_topic_without_kafka_is_exit_code_4() -> None:
    servers = {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    code, _, err = run("events.hits", **servers)
    assert code == 4, err


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("hit", ["whether the clients of events are configured", "event times against those of"]),
        ("notice", ["whether the clients of events are configured"]),
        ("trigger", ["`stream-app apply -f FILE --dry-run` tests that"]),
        ("dead-letter", ["the values of dead letters"]),
        ("alert", []),
    ],
)
def test_it_says_what_it_does_not_test(schema: str, said: list[str]) -> None:
    done = CliRunner().invoke(validate, ["-f", "-", "--schema", schema], input="{}")
    parts = done.stderr.partition("not tested: ")[2].strip().split("; ") if said else []
    assert len(parts) == len(said)
    assert all(text in part for text, part in zip(said, parts, strict=True))
    assert ("not tested" in done.stderr) == bool(said)


@pytest.mark.parametrize(
    ("field", "number", "unit"),
    [
        ("request_time", NOW * 1000, "milliseconds"),
        ("create_time", NOW * 1000.5, "milliseconds"),
        ("time", NOW * 10**6, "microseconds"),
    ],
)
def test_a_time_in_milliseconds_is_called_one(field: str, number: float, unit: str) -> None:
    code, out, _ = run("-f", "-", "--schema", "hit", text=json.dumps(GOOD | {field: number}))
    assert code == 1
    assert out.startswith(f"stdin:1: {field}: {str(number)[:10]}")
    assert out.endswith(f": is far in the future; it looks like {unit}: send seconds\n")
    in_record = envelope("events.hits", GOOD | {field: number}, ts=NOW * 1000)
    assert f"it looks like {unit}: send seconds" in run("-f", "-", text=in_record)[1]


def test_a_timestamp_in_seconds_is_called_one() -> None:
    text = envelope("events.hits", GOOD | {"request_time": NOW}, ts=NOW)
    assert "the record's own timestamp looks like seconds" in run("-f", "-", text=text)[1]


def test_a_file_and_a_topic_do_not_go_together_and_the_old_form_says_so(tmp_path: Path) -> None:
    for args in ((), ("events.hits", "-f", "-")):
        assert run(*args)[::2] == (2, "name either a TOPIC or a file with -f")
    file = tmp_path / "hits.json"
    file.write_text(json.dumps(BAD))
    code, out, err = run(str(file), "--schema", "hit")
    assert (code, out) == (1, f"{file}:1: {BROKEN}\n")
    assert err.splitlines()[0].startswith(f"the file {file} is given as -f {file} now")
    both = run("-f", str(file), "-f", "-", "--schema", "hit", text=json.dumps(BAD))
    assert both[1].splitlines() == [f"{file}:1: {BROKEN}", f"stdin:1: {BROKEN}"]


def test_progress_is_shown_to_a_person_only(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[validate.callback.__module__]
    monkeypatch.setattr(module, "_PROGRESS_SECONDS", 0)
    text = f"{json.dumps(BAD)}\n" * 2
    assert "\r" not in run("-f", "-", "--schema", "hit", text=text)[2]
    monkeypatch.setattr(module, "is_watched", lambda: True)
    _, out, err = run("-f", "-", "--schema", "hit", text=text)
    painted = ["1 records, 1 broken", "", "2 records, 2 broken"]
    assert err.split("\r\x1b[2K") == ["", *painted, "2 records, 2 broken\n"]
    assert "\r" not in out
