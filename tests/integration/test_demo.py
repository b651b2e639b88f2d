"""`stream-app demo` as a process: what arrives, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from stream_app.settings import Settings
from tests.conftest import JARS

GOLDEN = Path(__file__).parents[1] / "unit" / "domain" / "alerts" / "golden" / "incidents.txt"
GOLDEN_WINDOW = ("1767225661", "1767225662")
START_SECONDS = 120
STOP_SECONDS = 20
#: The demo itself, two workers and the broker.
DEMO_PROCESSES = 4


@contextmanager
def demo(directory: Path, *args: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in a folder of its own; end all of its processes afterwards."""
    clean = {name: v for name, v in os.environ.items() if not name.startswith("STREAM_APP_")}
    env = clean | {
        "STREAM_APP_EMBEDDED__DIRECTORY": str(directory / "kafka"),
        "STREAM_APP_EMBEDDED__JARS_DIRECTORY": str(JARS),
    }
    with (directory / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "demo", "--json", *args],
            cwd=directory,
            env=env | environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield process
    finally:
        for left in family(directory):
            left.kill()
        process.communicate(timeout=STOP_SECONDS)


def family(directory: Path) -> list[psutil.Process]:
    """Return all processes of the demo in a folder: itself, its commands, the broker.

    They are recognised by the folder they work in, so orphans are found, too.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_here = Path(process.cwd()).is_relative_to(directory)
            if is_here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def stderr(directory: Path) -> str:
    return (directory / "stderr").read_text()


def wait_for(directory: Path, text: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in stderr(directory):
        assert process.poll() is None, stderr(directory)
        assert time.monotonic() < deadline, stderr(directory)
        time.sleep(0.1)


def documented(alert: dict[str, Any]) -> str:
    """Return the documented example with the seconds of the alert's window."""
    text = GOLDEN.read_text(encoding="utf-8")
    window = (alert["details"]["time_from"], alert["details"]["time_to"])
    for example, real in zip(GOLDEN_WINDOW, window, strict=True):
        text = text.replace(example, real)
    return text


def test_the_documented_alert_arrives_word_for_word_and_a_second_run_shows_only_its_own(
    tmp_path: Path,
) -> None:
    for seconds in ("25", "8"):
        started = int(time.time())
        with demo(tmp_path, "--seconds", seconds) as process:
            wait_for(tmp_path, "Ctrl-C", process)
            assert len(family(tmp_path)) == DEMO_PROCESSES
            output, _ = process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0, stderr(tmp_path)
        assert not family(tmp_path)
        alerts = [json.loads(line) for line in output.splitlines()]
        incidents = [a for a in alerts if a["details"]["template_id"] == "incidents_exceeded"]
        assert incidents, stderr(tmp_path)
        for alert in incidents:
            assert f"{alert['message']}\n\n{alert['description']}\n" == documented(alert)
            window = int(alert["details"]["time_to"]) - int(alert["details"]["time_from"])
            assert window == 1
        assert all(int(alert["details"]["time_to"]) >= started for alert in alerts)
        assert len({alert["alias"] for alert in alerts}) == len(alerts)


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGINT]]
)
def test_a_signal_ends_everything_in_time_and_leaves_no_process(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    with demo(tmp_path) as process:
        wait_for(tmp_path, "Ctrl-C", process)
        assert len(family(tmp_path)) == DEMO_PROCESSES
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0, stderr(tmp_path)
        assert not family(tmp_path)


def test_a_signal_while_it_starts_ends_it_and_leaves_no_process(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        wait_for(tmp_path, "starting Kafka", process)
        time.sleep(0.5)
        assert len(family(tmp_path)) > 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0, stderr(tmp_path)
        assert not family(tmp_path)


def test_a_worker_that_hangs_is_killed_in_time(tmp_path: Path, settings: Settings) -> None:
    with demo(tmp_path, **on(settings)) as process:
        wait_for(tmp_path, "Ctrl-C", process)
        worker_of(process, "detector").suspend()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0
        assert "the detector had to be killed" in stderr(tmp_path)
        assert not family(tmp_path)


def test_a_worker_that_dies_ends_the_demo_with_the_end_of_its_log(
    tmp_path: Path, settings: Settings
) -> None:
    with demo(tmp_path, **on(settings)) as process:
        wait_for(tmp_path, "Ctrl-C", process)
        worker_of(process, "detector").kill()
        process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 1
        assert "the detector ended with exit code -9" in stderr(tmp_path)
        assert "detector.log ends with:" in stderr(tmp_path)
        assert not family(tmp_path)


def test_a_second_demo_in_one_folder_is_refused(tmp_path: Path, settings: Settings) -> None:
    with demo(tmp_path, **on(settings)) as process:
        wait_for(tmp_path, "topics", process)
        second = subprocess.run(
            [sys.executable, "-m", "stream_app", "demo", "--seconds", "1"],
            cwd=tmp_path,
            env=os.environ | on(settings),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert second.returncode == 1
        assert "a demo is running already" in second.stderr
        assert process.poll() is None


def on(settings: Settings) -> dict[str, str]:
    """Return the environment of a demo on the tests' broker, with topics of its own."""
    return {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
    }


def worker_of(process: subprocess.Popen[str], role: str) -> psutil.Process:
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.cmdline()[-2:] == ["worker", role])
