"""Pending deliveries follow the configuration: those of an integration that is off are cancelled.

A person has disabled or deleted the integration, or the judge has, in another partition's past.
The owner of the partition writes that down as a command for `deliver`, which alone changes states;
a command that is written twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from stream_app.domain.delivery.partition_deliveries import PartitionDeliveries
from stream_app.domain.delivery.records import Cancel
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.configuration.catching_up import catch_up
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.state.state_table import StateTable

WriteCommand = Callable[[int, Cancel], Awaitable[None]]


class Reconciler:
    """Looks for integrations that take no deliveries any more, and for what is kept of them."""

    def __init__(
        self,
        app: Any,
        reader: ConfigurationReader,
        table: StateTable[PartitionDeliveries],
        write: WriteCommand,
    ) -> None:
        self._app = app
        self._reader = reader
        self._table = table
        self._write = write
        self._is_busy = False
        self._look_again = False
        reader.subscribe(lambda _: self.look_at_all())

    def look(self, integration_ids: Iterable[int]) -> None:
        """Look at integrations that have got deliveries or attempts."""
        if any(self._why(number) for number in integration_ids):
            self._begin()

    def look_at_all(self) -> None:
        """Look at all integrations that something is kept of."""
        self.look({n for state in self._table.states.values() for n in state.known_integrations})

    def _why(self, integration_id: int) -> DeadLetterReason | None:
        """Return why an integration takes no deliveries; None: it takes them."""
        view = self._reader.configuration
        integration = view.integrations.get(integration_id)
        if integration_id in view.invalid_integrations:
            return None  # its record will be mended; until then its attempts fail
        if integration is None:
            return DeadLetterReason.INTEGRATION_DELETED
        return None if view.is_usable(integration) else DeadLetterReason.INTEGRATION_DISABLED

    def _begin(self) -> None:
        self._look_again = True
        if not self._is_busy:
            self._is_busy = True
            # An error of this task ends the app, as that of an agent does.
            self._app.add_future(self._run())

    async def _run(self) -> None:
        try:
            while self._look_again:
                self._look_again = False
                # The view may be behind: an integration just applied is not a deleted one.
                await catch_up(self._reader)
                await self._cancel()
        finally:
            self._is_busy = False

    async def _cancel(self) -> None:
        ownership = self._app.ownership
        generation = self._table.generation
        for partition, state in list(self._table.states.items()):
            for number in sorted(state.known_integrations):
                why = self._why(number)
                command = state.cancel_command(number, why) if why else None
                if command is None:
                    continue
                if not ownership.is_current(generation):
                    return  # whoever owns the partitions then begins by looking at all
                await self._write(partition, command)
