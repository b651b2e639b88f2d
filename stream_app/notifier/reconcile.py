"""Cancels the pending deliveries of integrations that are deleted or disabled.

A person has turned them off, or the judge. Only `deliver` changes states, so the owner of the
partition writes a command for it. A command that is written twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from stream_app.domain.configuration.reserved import PULSE_INTEGRATION_ID
from stream_app.domain.delivery.partition_deliveries import PartitionDeliveries
from stream_app.domain.delivery.records import Cancel
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.configuration.view import Configuration

WriteCommand = Callable[[int, Cancel], Awaitable[None]]


class FollowedConfiguration(ConfigurationSource, Protocol):
    """A configuration that tells of its changes."""

    def subscribe(self, callback: Callable[[Configuration], None]) -> None:
        """Call `callback` after each batch of changes."""


class PartitionOwner(Protocol):
    """Knows which partitions are this worker's."""

    def is_current(self, generation: int) -> bool:
        """Tell whether the assignment of `generation` stands, and no other is coming."""


class DeliveryStates(Protocol):
    """The table of deliveries."""

    @property
    def states(self) -> Mapping[int, PartitionDeliveries]:
        """The state of each partition of this worker."""

    @property
    def generation(self) -> int:
        """The assignment that the states belong to; -1 while they are being read."""


class ReconcilerApp(Protocol):
    """The app of the worker."""

    @property
    def ownership(self) -> PartitionOwner:
        """Knows which partitions are this worker's."""

    def add_future(self, coro: Coroutine[Any, Any, None]) -> object:
        """Run a task whose error ends the app."""


class Reconciler:
    """Finds integrations that take no deliveries any more, and has what is pending cancelled."""

    def __init__(
        self,
        app: ReconcilerApp,
        reader: FollowedConfiguration,
        table: DeliveryStates,
        write: WriteCommand,
    ) -> None:
        self._app = app
        self._reader = reader
        self._table = table
        self._write = write
        self._is_busy = False
        self._check_again = False
        reader.subscribe(lambda _: self.check_all())

    def check(self, integration_ids: Iterable[int]) -> None:
        """Check integrations that have had new deliveries or attempts."""
        if any(self._cancel_reason(integration_id) for integration_id in integration_ids):
            self._begin()

    def check_all(self) -> None:
        """Check all integrations that the states know."""
        self.check({n for state in self._table.states.values() for n in state.known_integrations})

    def _cancel_reason(self, integration_id: int) -> DeadLetterReason | None:
        """Return why an integration takes no deliveries; None: it takes them."""
        view = self._reader.configuration
        integration = view.integrations.get(integration_id)
        if integration_id == PULSE_INTEGRATION_ID:
            return None  # it is configured nowhere
        if integration_id in view.invalid_integrations:
            return None  # its record will be mended; until then its attempts fail
        if integration is None:
            return DeadLetterReason.INTEGRATION_DELETED
        return None if view.is_usable(integration) else DeadLetterReason.INTEGRATION_DISABLED

    def _begin(self) -> None:
        self._check_again = True
        if not self._is_busy:
            self._is_busy = True
            # An error of this task ends the app, as that of an agent does.
            self._app.add_future(self._run())

    async def _run(self) -> None:
        try:
            while self._check_again:
                self._check_again = False
                # The view may be behind: an integration just applied must not count as deleted.
                await catch_up(self._reader)
                await self._cancel()
        finally:
            self._is_busy = False

    async def _cancel(self) -> None:
        ownership = self._app.ownership
        generation = self._table.generation
        for partition, state in list(self._table.states.items()):
            for integration_id in sorted(state.known_integrations):
                reason = self._cancel_reason(integration_id)
                command = state.cancel_command(integration_id, reason) if reason else None
                if command is None:
                    continue
                if not ownership.is_current(generation):
                    return  # the new owner of the partitions starts with a check of all
                await self._write(partition, command)
