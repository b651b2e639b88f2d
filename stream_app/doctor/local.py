"""Checks of this machine: the secret keys, the disk and the embedded Kafka."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from stream_app.doctor.check import Finding, fail, ok, warn
from stream_app.domain.errors import SealingError
from stream_app.domain.foreign_text.network_names import is_loopback
from stream_app.domain.reports.problems import amount
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.jars import INSTALL, KAFKA_VERSION, known_jars, missing_packages
from stream_app.kafka.sign_in.sign_in import sign_in
from stream_app.kafka.sign_in.tls import CERTIFICATE as CLIENT_CERTFILE
from stream_app.key_ring import KeyRing
from stream_app.settings import Settings
from stream_app.worker.tls_stream import CERTFILE, tls_contexts
from stream_app.worker.token import Token

_GIB = 1024**3
#: Who renews certificates by hand hears of the end so long before it.
RENEWAL = timedelta(days=14)
#: With less free space than the first, Kafka may stop soon; with less than the second, at once.
LOW_BYTES, FULL_BYTES = 2 * _GIB, _GIB // 4


async def secret_keys(settings: Settings) -> Sequence[Finding]:
    """Check whether the secret keys are valid, and the folder of keys can be read."""
    name = "secret keys"
    try:
        KeyRing.from_settings(settings)
    except SealingError as error:
        return [fail(name, str(error), "stream-app secrets generate")]
    if settings.key_dir is not None and not settings.key_dir.is_dir():
        return [
            fail(name, f"STREAM_APP_KEY_DIR: {settings.key_dir} is no folder", "make it, or unset")
        ]
    if settings.secret_keys is None:
        return [
            warn(
                name,
                "STREAM_APP_SECRET_KEYS is not set: no API key can be sealed or opened",
                'export STREAM_APP_SECRET_KEYS="$(stream-app secrets generate)"',
            )
        ]
    return [ok(name, f"{len(settings.secret_keys.get_secret_value().split(','))} of them, valid")]


async def disk(settings: Settings) -> Sequence[Finding]:
    """Check the free space for the embedded Kafka's data, or in the current folder."""
    place = Path() if settings.kafka.bootstrap_servers else settings.embedded.directory
    place = place.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / _GIB:.1f} GiB free at {place}"
    if free < FULL_BYTES:
        return [fail("disk", text, "make room: Kafka stops on a full disk")]
    if free < LOW_BYTES:
        return [warn("disk", text, "make room soon")]
    return [ok("disk", text)]


async def embedded_kafka(settings: Settings) -> Sequence[Finding]:
    """Check whether the embedded Kafka, if it is in use, has its Java and its jars."""
    name = "embedded Kafka"
    if settings.kafka.bootstrap_servers:
        return [ok(name, "not in use: STREAM_APP_KAFKA__BOOTSTRAP_SERVERS names brokers")]
    if missing := missing_packages():
        return [fail(name, f"not installed: {', '.join(missing)}", INSTALL)]
    home = settings.embedded.jars_directory.absolute() / f"kafka-{KAFKA_VERSION}"
    jars = known_jars(home)
    if not jars:
        step = "stream-app kafka start downloads them once (45 MB)"
        return [warn(name, f"its jars are not in {home}", step)]
    status = EmbeddedKafka(settings.embedded).status()
    if not status.is_running:
        text = f"{len(jars)} jars, Java is there; not running in {status.directory}"
        return [warn(name, text, "stream-app kafka start")]
    return [ok(name, f"Kafka {status.version} runs in {status.directory}")]


async def metrics_page(settings: Settings) -> Sequence[Finding]:
    """Check the certificate and the token of the workers' endpoints, as they are set here."""
    name, http = "metrics page", settings.http
    # Both raise an error that names the setting.
    has_tls, has_token = tls_contexts(http) is not None, Token(http).is_set
    if http.tls_certfile is not None:
        (certificate, *_) = x509.load_pem_x509_certificates(http.tls_certfile.read_bytes())
        text = f"{CERTFILE}: {http.tls_certfile}"
        found = _ending(name, text, certificate.not_valid_after_utc, "no client takes it any more")
        if found is not None:
            return [found]
    is_local = is_loopback(http.host)
    if has_token and not (has_tls or is_local):
        text = f"the token crosses the network to {http.host} as clear text"
        return [warn(name, text, f"set {CERTFILE} and its key, too")]
    parts = [
        "https" if has_tls else "http",
        "on loopback" if is_local else f"on {http.host}",
        "with a token" if has_token else "open to whoever reaches it: it names no client",
    ]
    return [ok(name, ", ".join(parts))]


async def kafka_sign_in(settings: Settings) -> Sequence[Finding]:
    """Say how a client signs in to Kafka, and check how long its certificate is still valid."""
    name, kafka = "sign-in", settings.kafka
    # Raises an error that names the setting.
    tls = sign_in(kafka).tls
    end = None if tls is None else tls.certificate_end()
    text: str = kafka.security_protocol
    if text.startswith("SASL"):
        text += f", {kafka.sasl_mechanism}"
    if end is None:
        return [ok(name, text)]
    place = f"{CLIENT_CERTFILE}: {kafka.ssl_certfile}"
    found = _ending(name, place, end, "no broker takes it any more")
    left = (end - datetime.now(UTC)).days
    return [found or ok(name, f"{text}, a client certificate for {amount(left, 'more day')}")]


def _ending(name: str, certificate: str, end: datetime, expired: str) -> Finding | None:
    """Return the finding that a certificate has ended, or ends soon; None if it does not."""
    left = end - datetime.now(UTC)
    text = f"{certificate} ends {end:%Y-%m-%d}"
    if left < timedelta(0):
        return fail(name, f"{text}: {expired}", "put a new pair there")
    if left < RENEWAL:
        text += f", in {amount(left.days, 'day')}"
        return warn(name, text, "put a new pair there; the workers read it by themselves")
    return None
