"""Connections to Kafka: the options of every client, and the driver's errors as ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
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
    KafkaRefusedError,
    KafkaUnreachableError,
    StreamAppError,
    error_text,
)
from stream_app.domain.foreign_text.printable import quoted
from stream_app.kafka.brokers import bootstrapping
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.sign_in.refusals import REFUSALS, SignInRefusedError
from stream_app.kafka.sign_in.rights import missing_right
from stream_app.kafka.sign_in.sign_in import sign_in
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
    if isinstance(error, SignInRefusedError):
        return (
            KafkaUnreachableError(str(error)) if error.may_pass else KafkaRefusedError(str(error))
        )
    if (denied := missing_right(error)) is not None:
        return KafkaRefusedError(f"Kafka at {where} refuses: {denied}")
    text = f"Kafka at {where} refuses: {error}"
    if isinstance(error, InvalidTimestampError):
        text += f": {CLOCK_STEP}"
    return StreamAppError(text)


def kafka_error(where: str, error: BaseException) -> StreamAppError | None:
    """Return our error for a refusal, or for one that hides behind an error of the driver.

    The driver tries a refused connection again and again, and in the end says only that it timed
    out, or that a node is not ready.
    """
    if is_refusal(error):
        return refusal(where, error)
    hidden = REFUSALS.newest()
    return None if hidden is None else refusal(where, hidden)


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes.

    From then on, each client of this process starts with whichever broker answers first.

    Raises:
        ConfigurationError: a setting of the connection cannot be used.
        KafkaUnreachableError: no broker is named and no embedded one runs.
    """
    bootstrapping.install()
    return {
        "bootstrap_servers": resolve_bootstrap(settings),
        **sign_in(settings.kafka).options(),
    }


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
        async with kafka_errors(settings), asyncio.timeout(CONNECT_SECONDS):
            await producer.start()
    except BaseException:
        await producer.stop()
        raise


@contextlib.asynccontextmanager
async def kafka_errors(settings: Settings) -> AsyncIterator[None]:
    """Turn the driver's errors into ours, which say what to do.

    Raises:
        KafkaUnreachableError: no broker answers.
        KafkaRefusedError: one refuses the sign-in, or the user has no right.
        StreamAppError: one refuses something else, for example a record that is too large.
    """
    servers = settings.kafka.bootstrap_servers or "the embedded Kafka"
    try:
        async with REFUSALS.ending():
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        if (found := kafka_error(servers, error)) is not None:
            raise found from error
        raise KafkaUnreachableError(
            f"{servers}: {error_text(error)}: is the broker up, and is "
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS right?"
        ) from error
