"""A connection to the cluster that lasts only while something is asked."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from stream_app.kafka.cluster.admin import Admin
from stream_app.notifier.closing.positions import GroupPositions, read_positions

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient
    from stream_app.notifier.closing.barrier import Passage
    from stream_app.settings import Settings

#: If no broker answers within this time, the question is asked again on a new connection.
ANSWER_SECONDS = 10.0


class Cluster:
    """Reads the positions of passages.

    Args:
        settings: of the installation.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: ClusterAdminClient | None = None
        self._connection = AsyncExitStack()

    async def positions(self, passage: Passage) -> GroupPositions:
        """Ask the brokers; connect first if there is no connection.

        Raises:
            KafkaUnreachableError: none answers.
            KafkaRefusedError: one refuses the sign-in, or the user lacks a right.
            StreamAppError: one refuses.
        """
        if self._client is None:
            self._client = await self._connection.enter_async_context(Admin(self._settings))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await read_positions(self._client, passage)
        except BaseException as error:
            self._client = None
            await self._connection.__aexit__(type(error), error, error.__traceback__)
            raise

    async def close(self) -> None:
        """Disconnect."""
        self._client = None
        await self._connection.aclose()
