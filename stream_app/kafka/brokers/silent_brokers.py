"""Connections of a client to brokers that have stopped answering.

A broker that is stopped, or cut off from the network, keeps its connections: what was sent to it
waits for as long as a request may take. The cluster itself gives up such a broker after some
seconds, and another one leads its partitions. So a client with a request that waits asks the others
who is in the cluster, and closes what it has with a broker that is not in the cluster any more.
aiokafka then sends the request again, to the new leader.

A broker that is still in the cluster may have a reason to be slow, such as a copy that lags; its
requests keep waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

LOOK_SECONDS = 1.0


@dataclass
class BrokerStates:
    """What a client knows of its brokers, and its connections in the making."""

    #: Brokers with a request that has waited from one look to the next.
    silent: set[int] = field(default_factory=set)
    #: (broker, group of connections) -> the task that connects.
    opening: dict[Any, asyncio.Task[Any]] = field(default_factory=dict)
    #: Connections that do not stand yet -> done when they do, or have failed.
    connecting: dict[Any, asyncio.Future[None]] = field(default_factory=dict)
    watching: asyncio.Task[None] | None = None
    is_closed: bool = False


def states_of(client: Any) -> BrokerStates:
    """Return what a client of aiokafka knows; it is made at the first call."""
    found: BrokerStates = vars(client).setdefault("broker_states", BrokerStates())
    return found


async def watch_silence(client: Any, ask: Callable[[Any], Awaitable[Any]]) -> None:
    """Look once a second whether requests wait; runs until it is cancelled.

    Args:
        client: of aiokafka.
        ask: sends a request to any broker that answers.
    """
    states, before = states_of(client), frozenset[Any]()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = _waiting(client, states)
        states.silent = {node for node, _, _ in now & before}
        before = now
        if states.silent:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                answer = await ask(MetadataRequest([]))
                _give_up(client, states, {node for node, *_ in answer.brokers})


def _waiting(client: Any, states: BrokerStates) -> frozenset[Any]:
    """Return the oldest request of each connection, and what is being connected."""
    waiting = {
        (node, group, conn._requests[0][0])  # noqa: SLF001 - not public
        for (node, group), conn in client._conns.items()  # noqa: SLF001 - not public
        if conn._requests  # noqa: SLF001 - not public
    }
    opening = {(node, group, id(task)) for (node, group), task in states.opening.items()}
    return frozenset(waiting | opening)


def _give_up(client: Any, states: BrokerStates, brokers: set[int]) -> None:
    """Close what waits for a broker that is not among those of the cluster any more."""
    gone = states.silent - brokers
    for (node, _), conn in list(client._conns.items()):  # noqa: SLF001 - not public
        if node in gone:
            conn.close(reason=CloseReason.CONNECTION_BROKEN)
    for (node, _), task in list(states.opening.items()):
        if node in gone:
            task.cancel()
