"""Certificates and their keys in PEM files, loaded with errors that name the setting and the file.

Of a file that it cannot use, OpenSSL says no more than "PEM lib".
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from stream_app.domain.errors import ConfigurationError

#: No certificate with its chain, and no key, is longer.
MAX_PEM_BYTES = 1024 * 1024
_CERTIFICATE = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4,ENCRYPTED", re.MULTILINE
)

#: What OpenSSL says if the key belongs to another certificate, of the same kind or another.
_NO_PAIR = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})


@dataclass(frozen=True)
class CertificateFiles:
    """The files of a certificate (its chain may follow) and of its key.

    Attributes:
        certfile_setting: the variable that names the certificate's file; so for the others.
        password: decrypts the key; None if it is not encrypted.
    """

    certfile: Path
    keyfile: Path
    certfile_setting: str
    keyfile_setting: str
    password: str | None = None
    password_setting: str | None = None

    def load_into(self, context: ssl.SSLContext) -> None:
        """Load the certificate and its key.

        Raises:
            ConfigurationError: a file cannot be read, or they hold no certificate and its key. The
                context may then have a part of them: do not use it.
        """
        certificate = f"{self.certfile_setting}: {self.certfile}"
        key = f"{self.keyfile_setting}: {self.keyfile}"
        if not _CERTIFICATE.search(_content(certificate, self.certfile)):
            raise ConfigurationError(f"{certificate}: holds no certificate in PEM form")
        content = _content(key, self.keyfile)
        if not _KEY.search(content):
            raise ConfigurationError(f"{key}: holds no private key in PEM form")
        is_encrypted = _ENCRYPTED.search(content) is not None
        if is_encrypted and not self.password:
            step = f"set {self.password_setting}" if self.password_setting else "decrypt it"
            raise ConfigurationError(f"{key}: the key is encrypted: {step}")
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certfile, self.keyfile, self.password or "")
        except ssl.SSLError as error:
            if error.reason in _NO_PAIR:
                raise ConfigurationError(
                    f"{key}: is not the key of the certificate in {self.certfile}: "
                    "name the two files of one pair"
                ) from None
            why = (error.reason or "").lower().replace("_", " ") or "no reason given"
            password = f", or {self.password_setting} is wrong" if is_encrypted else ""
            raise ConfigurationError(
                f"{self.certfile_setting} and {self.keyfile_setting}: {self.certfile} and "
                f"{self.keyfile}: OpenSSL cannot use them ({why}): one is damaged or too weak"
                f"{password}"
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{certificate}: {error}") from None


def trusting(setting: str, cafile: Path | None) -> ssl.SSLContext:
    """Return a client's context that trusts the CAs in a file; None: those of the system.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    try:
        if cafile is not None:
            _refuse_pipe(f"{setting}: {cafile}", cafile)
        return ssl.create_default_context(cafile=cafile)
    except (OSError, ValueError) as error:  # the errors of ssl are OSErrors, too
        raise ConfigurationError(f"{setting}: {cafile} cannot be read as PEM: {error}") from None


def _refuse_pipe(what: str, file: Path) -> None:
    """Refuse a file that can be read only once: it would be waited for, perhaps for ever."""
    if file.is_fifo():
        raise ConfigurationError(f"{what}: is a pipe: name a file, which can be read again")


def _content(what: str, file: Path) -> bytes:
    try:
        _refuse_pipe(what, file)
        with file.open("rb") as opened:
            content = opened.read(MAX_PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no path"
        raise ConfigurationError(f"{what}: {why}: name a file that can be read") from None
    if len(content) > MAX_PEM_BYTES:
        raise ConfigurationError(f"{what}: holds more than {MAX_PEM_BYTES} bytes: is no PEM file")
    return content
