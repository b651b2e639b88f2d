"""How a client of aiokafka chooses brokers, connects to them, and learns the cluster's state.

These functions take the place of methods of `AIOKafkaClient` (aiokafka 0.14) and rely on its
private attributes; the tests of three brokers fail when they change.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaConnectionError, KafkaError, StaleMetadata
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.kafka.brokers.first_answer import NoAnswerError, first_answer
from stream_app.kafka.brokers.silent_brokers import states_of
from stream_app.kafka.sign_in.connection import Connection

log = logging.getLogger("aiokafka")

BOOTSTRAP = ("bootstrap", ConnectionGroup.DEFAULT)
#: What a client hands on to its connections under the same name.
CONNECTION_OPTIONS = (
    "client_id",
    "request_timeout_ms",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_oauth_token_provider",
)
#: Longest time to connect, the sign-in included; aiokafka's own is that of a request.
CONNECT_SECONDS = 10.0
#: Longest wait for the slowest of all brokers, if another one has answered.
EACH_SECONDS = 2.0


def brokers_in_order(client: Any) -> list[int]:
    """Return the known brokers in random order, last those that are silent or not connected."""
    states, conns = states_of(client), client._conns  # noqa: SLF001 - not public
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    random.shuffle(nodes)
    connected = {node for (node, _), conn in conns.items() if conn.connected()}
    return sorted(nodes, key=lambda node: (node in states.silent, node not in connected))


def random_broker(client: Any) -> int | None:
    """Return a broker that answers, as far as is known; None if no broker is known."""
    return next(iter(brokers_in_order(client)), None)


def connection_options_of(client: Any) -> dict[str, Any]:
    """Return the keyword arguments of each new connection of a client."""
    return {name: getattr(client, f"_{name}") for name in CONNECTION_OPTIONS} | {
        "max_idle_ms": client._connections_max_idle_ms  # noqa: SLF001 - not public
    }


async def ask_any(client: Any, request: Any) -> Any:
    """Send a request that every broker can answer; return the first answer.

    Raises:
        KafkaError: none answers.
    """
    ways = {node: partial(client.send, node, request) for node in brokers_in_order(client)}
    try:
        return await first_answer(ways, client._request_timeout_ms / 1000)  # noqa: SLF001 - not public
    except NoAnswerError as error:
        known = [problem for problem in error.problems.values() if problem is not None]
        raise known[-1] if known else KafkaConnectionError("no broker answers") from None


async def ask_each(client: Any, request: Any) -> list[Any]:
    """Return the answers of all brokers to a request; one that is silent is soon left out.

    A broker learns of a new or deleted topic a moment after another one.

    Raises:
        KafkaError: none answers.
    """
    tasks = {asyncio.create_task(client.send(n, request)) for n in brokers_in_order(client)}
    done, silent = await asyncio.wait(tasks, timeout=EACH_SECONDS) if tasks else (tasks, set())
    for task in silent:
        task.cancel()
    answers = [task.result() for task in done if task.exception() is None]
    return answers or [await ask_any(client, request)]


async def update_metadata(client: Any, metadata: Any, topics: Any) -> bool:
    """Bring what a client knows of the cluster up to date; return whether a broker has answered.

    If none of the known brokers answers, the configured addresses are tried again: the cluster may
    have other brokers by now.
    """
    request = MetadataRequest(list(topics) if topics else None)
    nodes: list[Any] = brokers_in_order(client)
    if BOOTSTRAP in client._conns:  # noqa: SLF001 - not public
        nodes.append(BOOTSTRAP[0])
    ways = {node: partial(_ask, client, node, request) for node in nodes}
    ways["the configured addresses"] = partial(client.ask_addresses, request)
    try:
        answer = await first_answer(ways, client._request_timeout_ms / 1000)  # noqa: SLF001 - not public
    except NoAnswerError:
        log.error("Unable to update metadata from %s", nodes)  # noqa: TRY400 - aiokafka's line
        metadata.failed_update(None)
        return False
    # Without brokers there is nothing to learn: what is asked for may still be being made.
    if not answer.brokers:
        return False
    metadata.update_metadata(answer)
    if client.cluster.brokers() and (conn := client._conns.pop(BOOTSTRAP, None)):  # noqa: SLF001
        conn.close()
    return True


async def _ask(client: Any, node: Any, request: Any) -> Any:
    conn = await connection_to(client, node)
    if conn is None:
        raise KafkaConnectionError(f"no connection to broker {node}")
    return await conn.send(request)


async def connection_to(
    client: Any,
    node: Any,
    *,
    group: Any = ConnectionGroup.DEFAULT,
    no_hint: bool = False,  # noqa: ARG001 - aiokafka's signature
) -> Any:
    """Return the connection to a broker, made if there is none; None if it cannot be made.

    aiokafka makes one connection at a time, whatever the broker. Here callers wait only for the
    one that they want.
    """
    key, conns, states = (node, group), client._conns, states_of(client)  # noqa: SLF001 - not public
    conn = conns.get(key)
    if conn is not None and conn.connected():
        return conn
    conns.pop(key, None)
    task = states.opening.get(key)
    if task is None:
        task = states.opening[key] = asyncio.create_task(_open(client, node, group))
        task.add_done_callback(lambda _: states.opening.pop(key, None))
    # A caller that is cancelled must not take the connection away from the others.
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


async def _open(client: Any, node: Any, group: Any) -> Any:
    """Connect to a broker; return None if it cannot be done."""
    try:
        broker = client.cluster.broker_metadata(node)
        if broker is None:
            raise StaleMetadata(f"Broker id {node} not in current metadata")
        async with asyncio.timeout(CONNECT_SECONDS):
            conn = await _connect(client, broker)
    except (OSError, TimeoutError, KafkaError) as error:
        log.error("Unable connect to node with id %s: %s", node, error)  # noqa: TRY400 - as above
        # The cluster may have changed.
        client.force_metadata_update()
        return None
    client._conns[node, group] = conn  # noqa: SLF001 - not public
    return conn


async def _connect(client: Any, broker: Any) -> Connection:
    """Connect to a broker, unless the client is closed before the connection stands.

    Raises:
        KafkaConnectionError: the client is closed.
    """
    states, options = states_of(client), connection_options_of(client)
    on_close = client._on_connection_closed  # noqa: SLF001 - not public
    conn = Connection(broker.host, broker.port, on_close=on_close, **options)
    ended = states.connecting[conn] = asyncio.get_running_loop().create_future()
    try:
        await conn.connect()
        if states.is_closed:
            conn.close()
            raise KafkaConnectionError("the client is closed")
    finally:
        del states.connecting[conn]
        ended.set_result(None)
    return conn
