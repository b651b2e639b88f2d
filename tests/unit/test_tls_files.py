"""Certificates and keys in files: each thing that people name instead is said in one line."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stream_app import tls_files
from stream_app.domain.errors import ConfigurationError
from stream_app.tls_files import CertificateFiles, trusting
from tests.tls.authority import Authority


def files_of(folder: Path, password: str | None = None) -> CertificateFiles:
    pair = Authority(folder).pair("localhost", password=password)
    return CertificateFiles(pair.certfile, pair.keyfile, "CERT", "KEY", password, "PASSWORD")


def load(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files.load_into(context)
    return context


def problem(files: CertificateFiles) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(files)
    return str(raised.value)


@pytest.mark.parametrize("password", [None, "a secret"])
def test_a_pair_is_loaded(tmp_path: Path, password: str | None) -> None:
    load(files_of(tmp_path, password))


def test_a_certificate_and_its_key_may_be_in_one_file_with_text(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    both = tmp_path / "both"
    both.write_bytes(b"\xfc text\n" + files.keyfile.read_bytes() + files.certfile.read_bytes())
    load(replace(files, certfile=both, keyfile=both))


def test_a_key_in_the_older_form_is_loaded(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    key = serialization.load_pem_private_key(files.keyfile.read_bytes(), None)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    none = serialization.NoEncryption()
    files.keyfile.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    load(files)
    locked = serialization.BestAvailableEncryption(b"a secret")
    files.keyfile.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))
    assert problem(files) == f"KEY: {files.keyfile}: the key is encrypted: set PASSWORD"
    load(replace(files, password="a secret"))


def not_a_pair(files: CertificateFiles) -> str:
    return (
        f"KEY: {files.keyfile}: is not the key of the certificate in {files.certfile}: "
        "name the two files of one pair"
    )


def test_each_thing_that_people_name_instead_is_said(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    there, folder, empty = files.certfile, tmp_path, tmp_path / "empty"
    empty.write_bytes(b"")
    gone = tmp_path / "gone"
    other = Authority(tmp_path, "other").pair("localhost").keyfile
    named = [
        (replace(files, certfile=gone), f"CERT: {gone}: No such file or directory"),
        (replace(files, keyfile=gone), f"KEY: {gone}: No such file or directory"),
        (replace(files, certfile=folder), f"CERT: {folder}: Is a directory"),
        (replace(files, certfile=Path("a\0b")), "CERT: a\0b: is no path"),
    ]
    for wrong, expected in named:
        assert problem(wrong) == f"{expected}: name a file that can be read"
    assert [
        problem(replace(files, certfile=empty)),
        problem(replace(files, certfile=files.keyfile)),
        problem(replace(files, keyfile=there)),
        problem(replace(files, keyfile=other)),
    ] == [
        f"CERT: {empty}: holds no certificate in PEM form",
        f"CERT: {files.keyfile}: holds no certificate in PEM form",
        f"KEY: {there}: holds no private key in PEM form",
        not_a_pair(replace(files, keyfile=other)),
    ]


def test_a_file_without_an_end_is_not_read_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_files, "MAX_PEM_BYTES", 1000)
    endless = Path("/dev/zero")
    assert problem(replace(files_of(tmp_path), certfile=endless)) == (
        "CERT: /dev/zero: holds more than 1000 bytes: is no PEM file"
    )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    expected = f"{pipe}: is a pipe: name a file, which can be read again"
    assert problem(replace(files_of(tmp_path), certfile=pipe)) == f"CERT: {expected}"
    with pytest.raises(ConfigurationError) as caught:
        trusting("CA", pipe)
    assert str(caught.value) == f"CA: {expected}"


def test_damaged_files_are_said_to_be_damaged(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    content = files.certfile.read_bytes()
    for damaged in (content[:200], content.replace(b"M", b"N"), content.replace(b"MII", b"!!!")):
        files.certfile.write_bytes(damaged)
        text = problem(files)
        assert text.startswith(f"CERT and KEY: {files.certfile} and {files.keyfile}: ")
        assert text.endswith("one is damaged or too weak")


def test_a_wrong_password_is_one_of_the_reasons_and_is_not_shown(tmp_path: Path) -> None:
    files = replace(files_of(tmp_path, "a secret"), password="another")
    text = problem(files)
    assert text.endswith(": one is damaged or too weak, or PASSWORD is wrong")
    assert "another" not in text


def test_an_encrypted_key_never_asks_on_the_terminal(tmp_path: Path) -> None:
    files = replace(files_of(tmp_path, "a secret"), password=None)
    assert problem(files) == f"KEY: {files.keyfile}: the key is encrypted: set PASSWORD"
    nowhere = replace(files, password_setting=None)
    assert problem(nowhere) == f"KEY: {files.keyfile}: the key is encrypted: decrypt it"


def test_the_key_of_another_kind_is_no_pair(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files.keyfile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    assert problem(files) == not_a_pair(files)
