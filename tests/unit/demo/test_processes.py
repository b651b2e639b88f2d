"""Logs and ports of the demo's workers; the integration tests start and stop them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stream_app.demo.processes import WorkerProcess, end_leftovers, free_ports
from stream_app.domain.errors import StreamAppError

HOST = "127.0.0.1"


@pytest.fixture
def worker(tmp_path: Path) -> WorkerProcess:
    (tmp_path / "worker.log").touch()
    return WorkerProcess("detector", f"http://{HOST}:1", tmp_path / "worker.log")


def write(worker: WorkerProcess, text: str) -> None:
    with worker.log.open("a") as log:
        log.write(text)


def line(level: str, event: str, *, logger: str = "stream_app.worker.run", **fields: object) -> str:
    common = {"logger": logger, "timestamp": "2026-01-01T00:00:00Z"}
    return json.dumps({**fields, "event": event, "level": level, **common}) + "\n"


def test_warnings_and_worse_are_shown_once_and_the_rest_is_not(worker: WorkerProcess) -> None:
    write(worker, line("info", "worker_started") + line("warning", "late", kind="hits"))
    assert list(worker.new_warnings()) == ["detector: warning late kind=hits"]
    write(worker, "Traceback of something\n" + line("error", "lost"))
    assert list(worker.new_warnings()) == ["detector: error lost"]
    assert not list(worker.new_warnings())


def test_what_libraries_log_is_not_shown(worker: WorkerProcess) -> None:
    for name in ("aiokafka.consumer.group_coordinator", "faust.app", "stream_application"):
        write(worker, line("error", "Heartbeat failed", logger=name))
    assert not list(worker.new_warnings())
    assert "Heartbeat failed" in worker.last_lines(), "it may explain an end"


def test_a_line_that_is_being_written_is_shown_when_it_is_whole(worker: WorkerProcess) -> None:
    whole = line("warning", "late")
    write(worker, whole[:20])
    assert not list(worker.new_warnings())
    write(worker, whole[20:])
    assert list(worker.new_warnings()) == ["detector: warning late"]


def test_the_last_lines_name_the_log_and_keep_other_lines(worker: WorkerProcess) -> None:
    write(worker, "".join(line("info", f"step_{n}") for n in range(50)) + "KeyError: 'x'\n")
    shown = worker.last_lines().splitlines()
    assert str(worker.log) in shown[0]
    assert len(shown) == 13
    assert shown[-2:] == ["  info step_49", "  KeyError: 'x'"]


def test_a_taken_port_gives_the_next_free_one_and_no_port_is_given_twice() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = free_ports(HOST, [port, port])
    assert port not in found
    assert len(set(found)) == 2
    assert min(found) > port


def test_no_free_port_is_an_error_that_names_the_first() -> None:
    with pytest.raises(StreamAppError, match="no port from 65536 on is free"):
        free_ports(HOST, [65536])


async def test_stopping_what_was_not_started_does_nothing(worker: WorkerProcess) -> None:
    assert await worker.stop(0.1)


@pytest.mark.parametrize(
    ("words", "is_here", "is_ended"),
    [
        (["worker", "detector"], True, True),
        (["worker", "detector"], False, False),
        (["worker", "notifier"], True, False),
        ([], True, False),
    ],
)
def test_only_a_worker_that_a_killed_run_has_left_here_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], *, is_here: bool,
    is_ended: bool,
) -> None:  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path if is_here else tmp_path / "elsewhere")
    command = [sys.executable, "-c", "import time; time.sleep(600)", *words]
    with subprocess.Popen(command, cwd=tmp_path) as left:
        try:
            (tmp_path / "detector.pid").write_text(str(left.pid))
            # A process that has just been started shows no command for a moment.
            while not psutil.Process(left.pid).cmdline():
                time.sleep(0.01)
            assert end_leftovers(tmp_path) == (["detector"] if is_ended else [])
            assert (left.poll() is not None) == is_ended
        finally:
            left.kill()
    assert not list(tmp_path.glob("*.pid"))


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "99999999"])
def test_a_note_of_a_worker_that_is_no_number_of_a_process_is_passed_over(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "detector.pid").write_text(text)
    assert end_leftovers(tmp_path) == []
