"""Connections to Kafka: the options of every client, and the driver's errors as ours."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.conn import collect_hosts
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
)

from stream_app.domain.errors import (
    ConfigurationError,
    KafkaUnreachableError,
    StreamAppError,
    error_text,
)
from stream_app.domain.foreign_text.printable import quoted
from stream_app.kafka.cluster import bootstrapping
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings

CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
MAX_PORT = 65535
#: What to do if a broker refuses a record for its time.
CLOCK_STEP = (
    "this machine's clock is far ahead of the brokers': see `stream-app doctor`, set both by NTP"
)


def is_refusal(error: BaseException) -> bool:
    """Tell whether a broker has answered and refused, so that waiting would not help."""
    no_answer = isinstance(error, KafkaTimeoutError | KafkaUnavailableError)
    return isinstance(error, KafkaError) and not (error.retriable or no_answer)


def refusal(where: str, error: BaseException) -> StreamAppError:
    """Return the error for a broker's refusal, with the next step if it is known."""
    text = f"Kafka at {where} refuses: {error}"
    if isinstance(error, InvalidTimestampError):
        text += f": {CLOCK_STEP}"
    return StreamAppError(text)


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes.

    From then on, each client of this process starts with whichever broker answers first.

    Raises:
        ConfigurationError: a setting of the connection cannot be used.
        KafkaUnreachableError: no broker is named and no embedded one runs.
    """
    bootstrapping.install()
    kafka = settings.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": resolve_bootstrap(settings),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        if not kafka.sasl_username or kafka.sasl_password is None:
            raise ConfigurationError(
                f"STREAM_APP_KAFKA__SECURITY_PROTOCOL is {kafka.security_protocol}: set "
                "STREAM_APP_KAFKA__SASL_USERNAME and STREAM_APP_KAFKA__SASL_PASSWORD, too"
            )
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=kafka.ssl_cafile)
    except OSError as error:  # the errors of ssl are OSErrors, too
        raise ConfigurationError(
            f"STREAM_APP_KAFKA__SSL_CAFILE: {kafka.ssl_cafile} cannot be read as PEM: {error}"
        ) from None


def resolve_bootstrap(settings: Settings) -> str:
    """Return the brokers of the settings, or the address of the running embedded Kafka.

    Raises:
        ConfigurationError: the setting is not a list of `host:port`.
        KafkaUnreachableError: there is neither.
    """
    named = settings.kafka.bootstrap_servers
    if named:
        try:
            is_valid = all(host and 0 < port <= MAX_PORT for host, port, _ in collect_hosts(named))
        except ValueError:
            is_valid = False
        if not is_valid:
            raise ConfigurationError(
                f"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS: {quoted(named)} is no list of "
                "host:port,host:port"
            )
        return named
    status = EmbeddedKafka(settings.embedded).status()
    if status.bootstrap_servers is None:
        raise KafkaUnreachableError(
            f"no Kafka: none runs in {status.directory} (STREAM_APP_EMBEDDED__DIRECTORY): start "
            "one with 'stream-app kafka start', or set STREAM_APP_KAFKA__BOOTSTRAP_SERVERS to "
            "your brokers"
        )
    return status.bootstrap_servers


async def connect_producer(settings: Settings, producer: AIOKafkaProducer) -> None:
    """Start a producer, or stop it again if that fails.

    Raises:
        KafkaUnreachableError: no broker answers in time.
    """
    try:
        with kafka_errors(settings):
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
    except BaseException:
        await producer.stop()
        raise


@contextlib.contextmanager
def kafka_errors(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors into ours, which say what to do.

    Raises:
        KafkaUnreachableError: no broker answers.
        StreamAppError: one refuses, for example a record that is too large.
    """
    servers = settings.kafka.bootstrap_servers or "the embedded Kafka"
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if is_refusal(error):
            raise refusal(servers, error) from error
        raise KafkaUnreachableError(
            f"{servers}: {error_text(error)}: is the broker up, and is "
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS right?"
        ) from error
