"""The TLS side of the sign-in: its files, read again whenever they change."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Callable

from cryptography import x509

from stream_app.sign_in_settings import SignInSettings
from stream_app.tls_files import CertificateFiles, trusting
from stream_app.watched_files import WatchedFiles

CA_FILE = "STREAM_APP_KAFKA__SSL_CAFILE"
CERTIFICATE = "STREAM_APP_KAFKA__SSL_CERTFILE"
KEY = "STREAM_APP_KAFKA__SSL_KEYFILE"
KEY_PASSWORD = "STREAM_APP_KAFKA__SSL_KEY_PASSWORD"  # noqa: S105 - a setting's name


class TlsFiles:
    """The context of new connections.

    Args:
        kafka: names the files.
        password: returns the password of the key, or None.

    Raises:
        ConfigurationError: a file cannot be used, or they do not belong together.
    """

    def __init__(self, kafka: SignInSettings, password: Callable[[], str | None]) -> None:
        self._kafka = kafka
        self._password = password
        #: Clients live in several threads.
        self._lock = threading.Lock()
        files = {
            CA_FILE: kafka.ssl_cafile,
            CERTIFICATE: kafka.ssl_certfile,
            KEY: kafka.ssl_keyfile,
        }
        given = {setting: file for setting, file in files.items() if file is not None}
        self._context = WatchedFiles([*given], [*given.values()], self._load)

    def context(self) -> ssl.SSLContext:
        """Return a context of the newest usable files."""
        with self._lock:
            return self._context.current()

    def certificate_end(self) -> dt.datetime | None:
        """Return when the client certificate in the file ends; None if there is none to read."""
        if self._kafka.ssl_certfile is None:
            return None
        try:
            found = x509.load_pem_x509_certificates(self._kafka.ssl_certfile.read_bytes())
        except (OSError, ValueError):
            return None
        return found[0].not_valid_after_utc

    def _load(self) -> ssl.SSLContext:
        """Return a new context: a used one would keep part of what it has loaded.

        Raises:
            ConfigurationError: a file cannot be used, or they do not belong together.
        """
        kafka = self._kafka
        context = trusting(CA_FILE, kafka.ssl_cafile)
        if kafka.ssl_certfile is not None and kafka.ssl_keyfile is not None:
            names = (CERTIFICATE, KEY, self._password(), KEY_PASSWORD)
            CertificateFiles(kafka.ssl_certfile, kafka.ssl_keyfile, *names).load_into(context)
        return context
