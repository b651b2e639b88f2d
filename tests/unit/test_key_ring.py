from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from stream_app.domain.errors import ResourceShortageError, SealingError
from stream_app.key_ring import KeyRing, generate_secret_key
from stream_app.settings import Settings

CLEAR = "fake-key-not-real"
HERE = "1111/521@api.opsgenie.com"
OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_a_sealed_key_opens_again_and_does_not_show_the_key() -> None:
    ring = KeyRing([NEW])
    sealed = ring.seal(CLEAR, HERE)
    assert sealed.startswith("sealed:v1:")
    assert CLEAR not in sealed
    assert ring.open(sealed, HERE) == CLEAR


def test_a_generated_key_seals() -> None:
    ring = KeyRing([generate_secret_key()])
    assert ring.open(ring.seal(CLEAR, HERE), HERE) == CLEAR


@pytest.mark.parametrize("elsewhere", ["1111/522@api.opsgenie.com", "1111/521@api.eu.opsgenie.com"])
def test_a_sealed_key_opens_nowhere_else(elsewhere: str) -> None:
    ring = KeyRing([NEW])
    with pytest.raises(SealingError, match=f"does not belong to {elsewhere}: apply"):
        ring.open(ring.seal(CLEAR, HERE), elsewhere)


def test_all_keys_of_the_ring_open_and_the_newest_seals() -> None:
    sealed_before = KeyRing([OLD]).seal(CLEAR, HERE)
    ring = KeyRing([NEW, OLD])
    assert ring.open(sealed_before, HERE) == CLEAR
    assert KeyRing([NEW]).open(ring.seal(CLEAR, HERE), HERE) == CLEAR


def test_a_key_sealed_with_an_older_secret_is_to_be_sealed_again() -> None:
    ring = KeyRing([NEW, OLD])
    assert ring.is_sealed_with_newest(CLEAR, ring.seal(CLEAR, HERE), HERE)
    assert not ring.is_sealed_with_newest(CLEAR, KeyRing([OLD]).seal(CLEAR, HERE), HERE)
    assert not ring.is_sealed_with_newest("another", ring.seal(CLEAR, HERE), HERE)
    assert not ring.is_sealed_with_newest(
        CLEAR, ring.seal(CLEAR, HERE), "1111/522@api.opsgenie.com"
    )


def test_a_ring_without_the_key_says_what_to_do() -> None:
    sealed = KeyRing([OLD]).seal(CLEAR, HERE)
    with pytest.raises(SealingError, match="none of the keys in STREAM_APP_SECRET_KEYS"):
        KeyRing([NEW]).open(sealed, HERE)
    with pytest.raises(SealingError, match="STREAM_APP_SECRET_KEYS is not set"):
        KeyRing().open(sealed, HERE)
    with pytest.raises(SealingError, match="stream-app secrets generate"):
        KeyRing().seal(CLEAR, HERE)


@pytest.mark.parametrize("stored", ["sealed:v1:", "sealed:v1:abc", "sealed:v1:é"])
def test_a_broken_seal_is_a_sealing_error(stored: str) -> None:
    with pytest.raises(SealingError):
        KeyRing([NEW]).open(stored, HERE)


def test_a_key_in_the_clear_is_neither_opened_nor_shown() -> None:
    with pytest.raises(SealingError, match="stream-app apply") as caught:
        KeyRing([NEW]).open(CLEAR, HERE)
    assert CLEAR not in str(caught.value)


@pytest.mark.parametrize("clear", ["", "two words", "line\nbreak", "ключ", "x" * 4097])
def test_a_key_that_cannot_stand_in_a_header_is_neither_sealed_nor_shown(clear: str) -> None:
    with pytest.raises(SealingError, match="is not an API key") as caught:
        KeyRing([NEW]).seal(clear, HERE)
    assert not clear or clear not in str(caught.value)


def test_an_invalid_secret_key_is_named_by_its_place_and_never_shown() -> None:
    with pytest.raises(SealingError, match="key 2 of 2") as caught:
        KeyRing([NEW, CLEAR])
    # Neither in the error nor in the one it was raised from.
    shown = f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"
    assert CLEAR not in shown


def test_the_settings_hold_the_ring_newest_first() -> None:
    settings = Settings.model_validate({"secret_keys": f"{NEW}, {OLD},"})
    ring = KeyRing.from_settings(settings)
    assert KeyRing([NEW]).open(ring.seal(CLEAR, HERE), HERE) == CLEAR
    assert ring.open(KeyRing([OLD]).seal(CLEAR, HERE), HERE) == CLEAR
    assert repr(ring) == "KeyRing(2 secret keys)"
    assert repr(KeyRing.from_settings(Settings())) == "KeyRing(0 secret keys)"


def test_a_variable_with_the_prefix_is_read() -> None:
    ring = KeyRing(environ={"STREAM_APP_KEY_1111_ACME": f"{CLEAR}\n"})
    assert ring.open("env:STREAM_APP_KEY_1111_ACME", HERE) == CLEAR


@pytest.mark.parametrize("name", ["PATH", "STREAM_APP_SECRET_KEYS", "STREAM_APP_KEY_DIR"])
def test_no_other_variable_is_read(name: str) -> None:
    with pytest.raises(
        SealingError, match="only variables STREAM_APP_KEY_<CLIENT>_<NAME>"
    ) as caught:
        KeyRing(environ={name: CLEAR}).open(f"env:{name}", HERE)
    assert CLEAR not in str(caught.value)


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(SealingError, match="env:STREAM_APP_KEY_1111_ACME: the variable is not set"):
        KeyRing(environ={"STREAM_APP_KEY_1111_ACME": ""}).open("env:STREAM_APP_KEY_1111_ACME", HERE)


def test_a_file_below_the_folder_of_the_client_is_read(tmp_path: Path) -> None:
    (tmp_path / "1111" / "acme").mkdir(parents=True)
    (tmp_path / "1111" / "acme" / "on-call").write_text(f"{CLEAR}\n")
    (tmp_path / "1111" / "link").symlink_to(tmp_path / "1111" / "acme" / "on-call")
    ring = KeyRing(key_dir=tmp_path)
    assert ring.open("file:1111/acme/on-call", HERE) == CLEAR
    assert ring.open("file:1111/link", HERE) == CLEAR


def test_a_folder_as_kubernetes_mounts_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "..2026" / "1111").mkdir(parents=True)
    (tmp_path / "..2026" / "1111" / "acme").write_text(CLEAR)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "1111").symlink_to("..data/1111")
    assert KeyRing(key_dir=tmp_path).open("file:1111/acme", HERE) == CLEAR


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("env:STREAM_APP_KEY_2222_ACME", "is a key of client 2222, and this one is client 1111's"),
        ("env:STREAM_APP_KEY_11_11_ACME", "is a key of client 11, "),
        ("env:STREAM_APP_KEY_01111_ACME", "is a key of client 01111, "),
        ("env:STREAM_APP_KEY_11112_ACME", "is a key of client 11112, "),
        ("file:2222/acme", "is a key of client 2222, and this one is client 1111's"),
        (
            "env:STREAM_APP_KEY_ACME",
            "rename the variable where notifiers run, and write env:STREAM_APP_KEY_1111_ACME",
        ),
        ("env:STREAM_APP_KEY_1111", "rename the variable where notifiers run"),
        ("env:STREAM_APP_KEY_1111_", "rename the variable where notifiers run"),
        ("file:acme", "move the file where notifiers run, and write file:1111/acme"),
        ("file:1111", "move the file where notifiers run, and write file:1111/1111"),
    ],
)
def test_a_key_is_named_for_its_client(tmp_path: Path, name: str, text: str) -> None:
    for folder in ("2222", "1111"):
        (tmp_path / folder).mkdir()
    (tmp_path / "2222" / "acme").write_text(CLEAR)
    (tmp_path / "acme").write_text(CLEAR)
    ring = KeyRing(key_dir=tmp_path, environ={name.removeprefix("env:"): CLEAR})
    with pytest.raises(SealingError) as caught:
        ring.open(name, HERE)
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"{name}: ")


def test_a_sealed_key_opens_for_its_client_only() -> None:
    ring = KeyRing([NEW])
    sealed = ring.seal(CLEAR, HERE)
    with pytest.raises(SealingError, match=r"does not belong to 2222/521@api\.opsgenie\.com"):
        ring.open(sealed, "2222/521@api.opsgenie.com")


def test_a_key_sealed_by_an_older_version_opens_and_is_bound_by_the_next_rotation() -> None:
    inner = json.dumps({"context": "521@api.opsgenie.com", "key": CLEAR}).encode()
    older = "sealed:v1:" + Fernet(NEW).encrypt(inner).decode()
    ring = KeyRing([NEW])
    assert ring.open(older, HERE) == CLEAR
    assert not ring.is_sealed_with_newest(CLEAR, older, HERE)
    with pytest.raises(SealingError, match="does not belong to 1111/522@"):
        ring.open(older, "1111/522@api.opsgenie.com")


def test_an_older_version_opens_a_key_that_is_sealed_now() -> None:
    token = KeyRing([NEW]).seal(CLEAR, HERE).removeprefix("sealed:v1:")
    inner = json.loads(Fernet(NEW).decrypt(token.encode()))
    assert (inner["context"], inner["key"]) == ("521@api.opsgenie.com", CLEAR)


def test_files_are_off_unless_a_folder_is_set(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="set STREAM_APP_KEY_DIR"):
        KeyRing().open(f"file:{tmp_path}", HERE)


def test_nothing_outside_the_folder_of_the_client_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    (folder / "1111").mkdir(parents=True)
    (folder / "2222").mkdir()
    (folder / "2222" / "key").write_text(CLEAR)
    (tmp_path / "other").write_text(CLEAR)
    (folder / "1111" / "link").symlink_to(tmp_path / "other")
    (folder / "1111" / "near").symlink_to(folder / "2222" / "key")
    ring = KeyRing(key_dir=folder)
    names = ("../2222/key", "../../other", "link", "near", "x/../link", "../1111/link")
    for name in (*(f"1111/{name}" for name in names), "../other", "x/../1111/link"):
        with pytest.raises(SealingError, match="lies outside STREAM_APP_KEY_DIR/1111"):
            ring.open(f"file:{name}", HERE)
    with pytest.raises(SealingError, match="names of keys begin with their client"):
        ring.open(f"file:{tmp_path / 'other'}", HERE)


@pytest.mark.parametrize("name", ["none", "", "folder", "a\0b", "empty", "long"])
def test_a_file_that_holds_no_key_is_a_sealing_error(tmp_path: Path, name: str) -> None:
    own = tmp_path / "1111"
    (own / "folder").mkdir(parents=True)
    (own / "empty").touch()
    (own / "long").write_text("x" * 5000)
    with pytest.raises(SealingError, match=r"^file:"):
        KeyRing(key_dir=tmp_path).open(f"file:1111/{name}", HERE)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_file_that_cannot_be_opened_now_is_told_from_a_wrong_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "acme").write_text(CLEAR)
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ResourceShortageError, match=os.strerror(number)):
        KeyRing(key_dir=tmp_path).open("file:1111/acme", HERE)


def test_a_key_in_a_local_variable_stands_in_no_logged_traceback() -> None:
    code = """
from stream_app.logs import configure_logs, get_logger
from stream_app.settings import LogSettings
configure_logs(LogSettings(format={form!r}))
def fail():
    key = "-".join(["fake", "key"])
    raise ValueError(len(key))
try:
    fail()
except ValueError:
    get_logger("x").exception("failed")
"""
    for form in ("console", "json"):
        command = [sys.executable, "-c", code.format(form=form)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "ValueError" in done.stderr
        assert "fake-key" not in done.stderr
