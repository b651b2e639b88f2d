"""aiokafka's admin client, with whichever broker answers.

aiokafka sends each request to a random broker: while one of three was away, every third command
failed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.kafka.brokers.cluster_client import ask_any, brokers_in_order
from stream_app.kafka.brokers.first_answer import NoAnswerError, first_answer


class ClusterAdminClient(AIOKafkaAdminClient):
    """Sends what any broker can answer to all of them, one after the other, until one answers."""

    @property
    def kafka(self) -> AIOKafkaClient:
        """The client below, for requests that the admin client has no call for."""
        return self._client

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await self._client.send(node_id, request)
        return await ask_any(self._client, request)

    async def _send_to_controller(self, request: Any) -> Any:
        """Send a change to the controller; brokers of Kafka 3.3 or newer pass it on to theirs.

        A change is sent once: only what has answered just now is taken.
        """
        nodes = brokers_in_order(self._client)
        if self._client.cluster.controller is not None:
            first = self._client.cluster.controller.nodeId
            nodes.sort(key=lambda node: node != first)
        ways = {node: partial(self._answering, node) for node in nodes}
        try:
            node = await first_answer(ways, self._client._request_timeout_ms / 1000)  # noqa: SLF001
        except NoAnswerError as error:
            raise KafkaConnectionError(f"no broker answers: {error.problems}") from None
        return await self._client.send(node, request)

    async def _answering(self, node: int) -> int:
        await self._client.send(node, MetadataRequest([]))
        return node
