"""`stream-app demo` as a process: what arrives, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
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
SUMMARY = re.compile(
    r"In \d+ s: [\d,]+ events sent, [1-9]\d* alerts? fired\.\n"
    r"The notifier has [1-9]\d* deliver(y|ies): [1-9].*\.\n"
    r"The sandbox saw [1-9]\d* requests?: [1-9]\d* accepted.*\.\n"
)
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


def is_whole(directory: Path) -> bool:
    """Tell whether all processes of the demo run, or come to run on a slow machine."""
    deadline = time.monotonic() + START_SECONDS
    while len(family(directory)) != DEMO_PROCESSES and time.monotonic() < deadline:
        time.sleep(0.1)
    return len(family(directory)) == DEMO_PROCESSES


def documented(alert: dict[str, Any]) -> str:
    """Return the documented example with the seconds of the alert's window."""
    text = GOLDEN.read_text(encoding="utf-8")
    window = (alert["details"]["time_from"], alert["details"]["time_to"])
    for example, real in zip(GOLDEN_WINDOW, window, strict=True):
        text = text.replace(example, real)
    return text


def second_terminal(directory: Path, alert_id: str) -> str:
    """Run what the demo tells to type in a second terminal; return the output."""
    printed = stderr(directory).partition("Look around in a second terminal:\n")[2]
    printed = printed.replace("alerts show ID", f"alerts show {alert_id}")
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    assert len(commands) == 8, printed
    outside = {name: os.environ[name] for name in ("HOME", "PATH")}
    done = subprocess.run(
        ["/bin/bash", "-e", "-x", "-c", "\n".join(commands)],
        cwd="/", env=outside, capture_output=True, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_the_demo_shows_of_an_alert_in_two_terminals_and_again_in_a_second_run(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "it's a demo"
    directory.mkdir()
    # What a person has set for the workers of an installation is not for those of the demo.
    guarded = {f"STREAM_APP_HTTP__{name}": "x" for name in ("TLS_CERTFILE", "TLS_KEYFILE", "TOKEN")}
    for is_first in (True, False):
        started = int(time.time())
        args, environ = ([], {}) if is_first else (["--seconds", "8"], guarded)
        with demo(directory, *args, **environ) as process:
            wait_for(directory, "Ctrl-C", process)
            assert is_whole(directory)
            first = ""
            if is_first:
                first = process.stdout.readline() if process.stdout else ""
                alert_id = json.loads(first)["alias"]
                seen = second_terminal(directory, alert_id)
                assert "trigger 61 (Notification about incidents)" in seen
                assert "ok    workers           notifier: 1 worker," in seen
                assert f"alert    {alert_id}" in seen
                assert re.search("[0-9]+ windows?", seen)
                assert "the integration works" in seen
                process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0, stderr(directory)
        assert not family(directory)
        assert re.search(SUMMARY, stderr(directory)), stderr(directory)
        output = first + rest
        shown = [json.loads(line) for line in output.splitlines()]
        alerts = [alert for alert in shown if not alert["message"].startswith("[Test message]")]
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
        assert is_whole(tmp_path)
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
