"""The file that gives another terminal the demo's environment."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream_app.demo.environment_file import local_environment, use_line, write_environment
from stream_app.domain.errors import StreamAppError
from stream_app.environment import FILE_SUFFIX
from stream_app.key_ring import KeyRing
from stream_app.settings import PREFIX, Settings, secret_variables

BROKERS = "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"
PRINT = "'import json, os; print(json.dumps(dict(os.environ)))'"


def settings(**kafka: str) -> Settings:
    return Settings(topic_prefix="demo.", kafka=kafka)


def ours(environ: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(PREFIX)}


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("name", ["plain", 'it\'s a "demo" $HOME `id` \\', "über\n-n"])
def test_a_shell_that_reads_it_has_exactly_these_settings(
    tmp_path: Path, name: str, shell: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    variables = local_environment(settings(), folder, {})
    line = write_environment(folder, variables)
    stale = {BROKERS: "old:9092", "STREAM_APP_SECRET_KEYS": "old", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [shell, "-euc", f"{line}\n{line}\n'{sys.executable}' -c {PRINT}; command -v stream-app"],
        env=stale, cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    printed, _, command = done.stdout.partition("\n")
    environ = json.loads(printed)
    assert ours(environ) == variables
    assert environ["PATH"] == f"{Path(sys.executable).parent}:/usr/bin:/bin", "once"
    assert command.strip() == str(Path(sys.executable).parent / "stream-app")


def test_the_secret_key_is_made_once_and_only_its_owner_can_read_it_and_the_file(
    tmp_path: Path,
) -> None:
    first = local_environment(settings(), tmp_path, {})
    write_environment(tmp_path, first)
    key = (tmp_path / "secret-key").read_text()
    assert repr(KeyRing([key])) == "KeyRing(1 secret keys)"
    assert local_environment(settings(), tmp_path, {}) == first
    assert (tmp_path / "secret-key").read_text() == key
    write_environment(tmp_path, first)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["env", "secret-key"]
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in (tmp_path / "env").read_text()


def test_a_person_s_own_settings_are_in_it_and_secrets_are_not(tmp_path: Path) -> None:
    environ = dict.fromkeys(secret_variables(), "hidden")
    environ |= {
        BROKERS: "kafka:9092",
        "STREAM_APP_KAFKA__SSL_CAFILE": "ca.pem",
        "STREAM_APP_PARTITIONS": "2",
        "STREAM_APP_KEY_1111_ACME": "hidden",
        f"STREAM_APP_KAFKA__SASL_PASSWORD{FILE_SUFFIX}": "password",
        "HOME": "/home/somebody",
    }
    found = local_environment(settings(bootstrap_servers="kafka:9092"), tmp_path, environ)
    assert found == {
        BROKERS: "kafka:9092",
        "STREAM_APP_KAFKA__SSL_CAFILE": str(Path("ca.pem").absolute()),
        "STREAM_APP_PARTITIONS": "2",
        "STREAM_APP_TOPIC_PREFIX": "demo.",
        f"STREAM_APP_KAFKA__SASL_PASSWORD{FILE_SUFFIX}": str(Path("password").absolute()),
        f"STREAM_APP_SECRET_KEYS{FILE_SUFFIX}": str(tmp_path / "secret-key"),
    }


def test_a_kill_while_it_is_written_leaves_the_file_of_the_last_run(tmp_path: Path) -> None:
    write_environment(tmp_path, {"STREAM_APP_TOPIC_PREFIX": "old."})
    (tmp_path / "env.abcd1234").write_text("export STREAM_APP_TOPIC_PREFIX=ha")
    assert "old." in (tmp_path / "env").read_text()
    write_environment(tmp_path, {"STREAM_APP_TOPIC_PREFIX": "new."})
    assert "new." in (tmp_path / "env").read_text()
    assert use_line(tmp_path) == f". {tmp_path}/env"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    with pytest.raises(StreamAppError, match=f"{tmp_path}/env cannot be written: Is a directory"):
        write_environment(tmp_path, {})


def test_two_that_write_it_at_the_same_time_leave_a_whole_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda n: write_environment(tmp_path, {"A": str(n)}), range(200)):
            assert (tmp_path / "env").read_text().startswith("# Written by stream-app.")
    assert [file.name for file in tmp_path.iterdir()] == ["env"]
