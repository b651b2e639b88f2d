"""The files of a connection: what is wrong with them, and how new ones come into use."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.domain.errors import ConfigurationError
from stream_app.kafka.sign_in.sign_in import SignIn
from stream_app.setting_groups import KafkaSettings
from stream_app.watched_files import LOOK_SECONDS, WatchedFiles
from tests.tls.authority import Authority

PASSWORD = "fake-key-word"


def signing_in(**given: Any) -> SignIn:
    return SignIn(KafkaSettings.model_validate({"security_protocol": "SSL", **given}))


def authorities(context: ssl.SSLContext | None) -> set[str]:
    assert context is not None
    return {str(found["subject"]) for found in context.get_ca_certs()}


@pytest.fixture
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOOK_SECONDS
    monkeypatch.setattr(f"{WatchedFiles.__module__}.LOOK_SECONDS", 0)


@pytest.mark.usefixtures("_look_each_time")
def test_a_new_ca_replaces_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "trusted.pem"
    file.write_bytes(Authority(tmp_path, "one").path.read_bytes())
    found = signing_in(ssl_cafile=file)
    first = found.context()
    assert found.context() is first
    file.write_bytes(Authority(tmp_path, "two").path.read_bytes())
    assert ["two" in name for name in authorities(found.context())] == [True]
    second = found.context()
    file.write_text("half")
    assert found.context() is second
    file.unlink()
    assert found.context() is second


def test_the_password_of_a_key_is_read_from_its_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Authority(tmp_path).pair("worker", password=PASSWORD)
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("STREAM_APP_KAFKA__SSL_KEY_PASSWORD_FILE", str(file))
    given = {"ssl_certfile": pair.certfile, "ssl_keyfile": pair.keyfile}
    signing_in(**given, ssl_key_password="fake-old-word")
    monkeypatch.delenv("STREAM_APP_KAFKA__SSL_KEY_PASSWORD_FILE")
    with pytest.raises(ConfigurationError, match="STREAM_APP_KAFKA__SSL_KEY_PASSWORD is wrong"):
        signing_in(**given, ssl_key_password="fake-old-word")
    with pytest.raises(ConfigurationError, match="set STREAM_APP_KAFKA__SSL_KEY_PASSWORD"):
        signing_in(**given)


def test_a_pipe_that_held_the_password_is_not_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    monkeypatch.setenv("STREAM_APP_KAFKA__SASL_PASSWORD_FILE", str(pipe))
    found = SignIn(
        KafkaSettings(
            security_protocol="SASL_PLAINTEXT",
            sasl_username="worker",
            sasl_password=SecretStr(PASSWORD),
        )
    )
    assert found.password() == PASSWORD


@pytest.mark.parametrize("name", ["ssl_cafile", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_cannot_be_used_is_named_at_the_start(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("worker")
    files = {"ssl_certfile": pair.certfile, "ssl_keyfile": pair.keyfile}
    files["ssl_cafile"] = authority.path
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigurationError, match=f"STREAM_APP_KAFKA__{name.upper()}: {wrong}"):
            signing_in(**files | {name: wrong})
