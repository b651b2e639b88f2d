"""The first connection of every client: to whichever of the given addresses answers first.

aiokafka tries one address after the other, each for as long as a request may take, 40 seconds or
more. So a server that accepts a connection and never answers keeps the next one from being tried.
Here the next address is tried, too, once the one before it has been silent for a moment; the first
answer wins. If none answers, the error says what happened with each. If one has refused the
sign-in, that is the error: it says more than the silence of others.

This relies on private attributes of aiokafka 0.14; `test_bootstrapping.py` fails when they change.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.domain.errors import error_text
from stream_app.kafka.brokers.cluster_client import (
    ask_any,
    connection_options_of,
    connection_to,
    random_broker,
    update_metadata,
)
from stream_app.kafka.brokers.first_answer import NoAnswerError, first_answer
from stream_app.kafka.brokers.silent_brokers import states_of, watch_silence
from stream_app.kafka.sign_in.connection import Connection
from stream_app.kafka.sign_in.refusals import SignInRefusedError

#: Longest time for all addresses together; it is always less than a request may take.
MOST_SECONDS = 12.0
SHARE_OF_REQUEST = 0.8
#: Longest wait of a client that closes for the end of what connects.
CLOSE_SECONDS = 1.0

_aiokafka_close = AIOKafkaClient.close


def install() -> None:
    """Make every client of this process connect, and close its connections, this way."""
    AIOKafkaClient.bootstrap = _bootstrap
    AIOKafkaClient.close = _close
    AIOKafkaClient.ask_addresses = _ask_addresses
    AIOKafkaClient.get_random_node = random_broker
    AIOKafkaClient._metadata_update = update_metadata  # noqa: SLF001 - not public
    AIOKafkaClient._get_conn = connection_to  # noqa: SLF001 - not public


async def _close(client: Any) -> None:
    """Do what aiokafka's own `close` does; close what connects meanwhile, too.

    aiokafka closes the connections that it has. It left one open that was about to be made.
    """
    states = states_of(client)
    states.is_closed = True
    for task in (states.watching, *states.opening.values()):
        if task is not None:
            task.cancel()
    await _aiokafka_close(client)
    connecting = dict(states.connecting)
    for connection in connecting:
        connection.close()
    if connecting:
        # One without a socket yet cannot be closed before it has one, or none.
        await asyncio.wait(connecting.values(), timeout=CLOSE_SECONDS)
        await asyncio.sleep(0)  # asyncio closes the socket a step later


async def _bootstrap(client: Any) -> None:
    """Do what aiokafka's own `bootstrap` does, with the first address that answers."""
    states = states_of(client)
    states.is_closed = False
    connection, metadata = await _first_address(client)
    client.cluster.update_metadata(metadata)
    # A cluster without topics may name no brokers yet; then this connection is all there is.
    if client.cluster.brokers():
        connection.close()
    else:
        client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection  # noqa: SLF001 - not public
    if client._sync_task is None:  # noqa: SLF001 - not public
        client._sync_task = asyncio.create_task(client._md_synchronizer())  # noqa: SLF001 - not public
        watching = watch_silence(client, partial(ask_any, client))
        states.watching = asyncio.create_task(watching)


async def _ask_addresses(client: Any, request: Any) -> Any:
    """Return the answer of the first of the given addresses that answers."""
    connection, _ = await _first_address(client)
    try:
        return await connection.send(request)
    finally:
        connection.close()


async def _first_address(client: Any) -> tuple[Any, Any]:
    """Return the connection to the first address that answers, and the metadata it gave.

    Raises:
        SignInRefusedError: none answers, and one refuses.
        KafkaConnectionError: none answers; it says what happened with each.
    """
    addresses = dict.fromkeys((host, port) for host, port, _ in client.hosts)
    ways = {address: partial(_ask, client, *address) for address in addresses}
    seconds = min(MOST_SECONDS, SHARE_OF_REQUEST * client._request_timeout_ms / 1000)  # noqa: SLF001 - not public
    try:
        return await first_answer(ways, seconds, lambda answered: answered[0].close())
    except NoAnswerError as error:
        problems = error.problems
    for why in problems.values():
        if isinstance(why, SignInRefusedError):
            raise why
    told = "; ".join(
        f"{host}:{port}: {f'no answer in {seconds:g} s' if why is None else _why(why)}"
        for (host, port), why in problems.items()
    )
    raise KafkaConnectionError(f"none of {len(addresses)} answers: {told}")


async def _ask(client: Any, host: str, port: int) -> tuple[Any, Any]:
    """Connect and ask for the cluster's brokers."""
    connection = Connection(host, port, **connection_options_of(client))
    try:
        await connection.connect()
        try:
            return connection, await connection.send(MetadataRequest([]))
        except KafkaError as error:
            # Where signing in is needed, a broker hangs up at the first request without it.
            if (refused := await connection.why_refused(error)) is not None:
                raise refused from error
            raise
    except BaseException:
        connection.close()
        raise


def _why(error: BaseException) -> str:
    """Return what happened with an address, for a person."""
    cause = error.__cause__ or error
    if isinstance(cause, TimeoutError):
        return "no answer"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    if isinstance(cause, EOFError):
        return "it closed the connection"
    return f"no Kafka: {error_text(cause):.250}"
