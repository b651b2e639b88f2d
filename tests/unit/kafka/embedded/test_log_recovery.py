"""A broker that reads its log is waited for: a process that writes what Kafka writes meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from stream_app.domain.errors import EmbeddedKafkaError
from stream_app.kafka.embedded import broker
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.jars import KAFKA_VERSION
from stream_app.kafka.embedded.log_recovery import LogRecovery
from stream_app.setting_groups import EmbeddedSettings

RECOVERING = (
    "2026-11-28 23:14:26.902 [log-recovery-/d-0] INFO org.apache.kafka.storage.internals.log."
    "LogLoader - [LogLoader partition={0}, dir=/d] Recovering unflushed segment 0. 0 recovered "
    "for {0}."
)
WAITING = "2026-11-28 23:14:26.902 [main] WARN org.apache.kafka.X - cannot reach node {0}"
#: Writes a line every 0.1 s, so many, then answers or stands still.
BROKER = """
import pathlib, sys, time
line, number, answers = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
for part in range(number):
    print(line.format(f"events.hits-{part}"), flush=True)
    time.sleep(0.1)
if answers:
    pathlib.Path("answers").touch()
time.sleep(600)
"""


class Bench:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.started: list[subprocess.Popen[bytes]] = []
        self._patch = monkeypatch
        (directory / "data").mkdir(parents=True)
        for part in range(40):
            (directory / "data" / f"events.hits-{part}").mkdir()
        (directory / "version").write_text(KAFKA_VERSION)

    def start(self, line: str, number: int, *, answers: bool) -> str:
        def launch(_java: object, properties: Path, log: Path, _mb: int) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", BROKER, line, str(number), str(answers)]
            with log.open("wb") as out:
                process = subprocess.Popen(command, cwd=properties.parent, stdout=out)
            self.started.append(process)
            return process

        replaced: dict[str, Callable[..., object]] = {
            "launch": launch,
            "class_path": lambda *_: [],
            "java_command": lambda _jars: [],
            "cluster_id": lambda _directory: "x",
            "answers": lambda *_: (self.directory / "answers").exists(),
        }
        for name, call in replaced.items():
            self._patch.setattr(broker, name, call)
        self._patch.setattr(broker, "READY_SECONDS", 2.0)
        self._patch.setattr(broker, "SHOW_SECONDS", 0.5)
        return EmbeddedKafka(EmbeddedSettings(directory=self.directory)).start(
            progress=self.said.append
        )

    def lives(self) -> Sequence[bool]:
        return [psutil.pid_exists(process.pid) for process in self.started]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path / "kafka", monkeypatch)


def test_a_broker_that_reads_its_log_is_waited_for_and_people_see_how_far_it_is(
    bench: Bench,
) -> None:
    address = bench.start(RECOVERING, 40, answers=True)
    try:
        assert address.startswith("127.0.0.1:")
        progress = [text for text in bench.said if text.startswith("Kafka reads its log: ")]
        assert 2 <= len(progress) <= 12
        assert all(" of 40 (events.hits-" in text for text in progress)
    finally:
        for process in bench.started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("line", [RECOVERING, WAITING])
def test_a_broker_that_stands_still_fails_with_its_log_and_is_ended(
    bench: Bench, line: str
) -> None:
    with pytest.raises(EmbeddedKafkaError) as told:
        bench.start(line, 3, answers=False)
    message = str(told.value)
    assert "has not moved for 2 s: it is ended now, its data stays" in message
    assert line.format("events.hits-2") in message
    assert "kafka stop" not in message
    assert bench.lives() == [False]


def test_other_lines_than_recovery_steps_do_not_prolong_the_wait(bench: Bench) -> None:
    with pytest.raises(EmbeddedKafkaError, match="has not moved"):
        bench.start(WAITING, 200, answers=True)


def test_lines_are_read_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    recovery = LogRecovery(log, tmp_path / "data")
    assert not recovery.has_moved(), "there is no log yet"
    text = RECOVERING.format("a-0").encode()
    log.write_bytes(text[:90])
    assert not recovery.has_moved()
    with log.open("ab") as file:
        file.write(text[90:] + b"\n\xff\xfe\n")
    assert recovery.has_moved()
    assert not recovery.has_moved()
    assert str(recovery) == "Kafka reads its log: partition 1 of 1 (a-0)"
