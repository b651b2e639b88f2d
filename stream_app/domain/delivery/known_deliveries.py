"""The deliveries of a partition that are known: pending ones in full, others by how they ended."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from stream_app.domain.delivery.finished_deliveries import (
    FinishedDeliveries,
    FinishedDelivery,
    KnownDelivery,
)
from stream_app.domain.delivery.state import DeliveryState


class KnownDeliveries(MutableMapping[str, KnownDelivery]):
    """The known deliveries by id. The pending ones can also be found by their integration."""

    def __init__(self) -> None:
        self.pending: dict[str, DeliveryState] = {}
        self.finished = FinishedDeliveries()
        #: Ids of the pending deliveries, by integration; of those about an alert that is to be
        #: closed, by its alias; and of the notes that wait for a delivery, by that one's id.
        self._pending_ids: dict[int, dict[str, None]] = {}
        self._of_alias: dict[str, dict[str, None]] = {}
        self._of_after: dict[str, dict[str, None]] = {}

    def pending_of(self, integration_id: int) -> list[DeliveryState]:
        """Return the pending deliveries of an integration."""
        return [self.pending[name] for name in self._pending_ids.get(integration_id, ())]

    def pending_count(self, integration_id: int) -> int:
        """Return how many deliveries of an integration are pending."""
        return len(self._pending_ids.get(integration_id, ()))

    def unfinished_of(self, alias: str) -> list[DeliveryState]:
        """Return the pending deliveries that create or close the alert with an alias."""
        return [self.pending[name] for name in self._of_alias.get(alias, ())]

    @property
    def has_waiting_notes(self) -> bool:
        """Whether any note waits."""
        return bool(self._of_after)

    def waiting_for(self, delivery_id: str) -> list[DeliveryState]:
        """Return the notes that wait for a delivery."""
        return [self.pending[name] for name in self._of_after.get(delivery_id, ())]

    @property
    def pending_integrations(self) -> set[int]:
        """The integrations with pending deliveries."""
        return set(self._pending_ids)

    def restore_quickly(self, delivery_id: bytes, value: bytes | None) -> bool:
        """Restore a finished delivery whose changelog value equals an earlier one.

        Nearly all records of a changelog are of this kind.

        Returns:
            False if the value is new or the delivery is already known: then nothing was done.
        """
        end = self.finished.seen(value)
        return (
            end is not None
            and (not self.pending or delivery_id.decode() not in self.pending)
            and self.finished.put_if_new(delivery_id, end)
        )

    # -- a mapping

    def __getitem__(self, delivery_id: str) -> KnownDelivery:
        """Return what is known of a delivery."""
        found = self.pending.get(delivery_id) or self.finished.get(delivery_id)
        if found is None:
            raise KeyError(delivery_id)
        return found

    def __setitem__(self, delivery_id: str, known: KnownDelivery) -> None:
        """Keep what is known of a delivery."""
        if isinstance(known, DeliveryState) and not known.is_finished:
            self.finished.pop(delivery_id)
            self._drop_pending(delivery_id)
            self.pending[delivery_id] = known
            for index, key in self._places(known):
                index.setdefault(key, {})[delivery_id] = None
            return
        self._drop_pending(delivery_id)
        end = known if isinstance(known, FinishedDelivery) else self.finished.end_of(known)
        self.finished.put(delivery_id, end)

    def __delitem__(self, delivery_id: str) -> None:
        """Forget a delivery."""
        if not self._drop_pending(delivery_id) and self.finished.pop(delivery_id) is None:
            raise KeyError(delivery_id)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        yield from self.pending
        yield from self.finished

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self.pending) + len(self.finished)

    def _drop_pending(self, delivery_id: str) -> bool:
        state = self.pending.pop(delivery_id, None)
        if state is None:
            return False
        for index, key in self._places(state):
            del index[key][delivery_id]
            if not index[key]:
                del index[key]
        return True

    def _places(self, state: DeliveryState) -> Iterator[tuple[dict[Any, dict[str, None]], Any]]:
        """Yield the indexes that have a pending delivery, and its key in each."""
        yield self._pending_ids, state.integration_id
        if state.alias:
            yield self._of_alias, state.alias
        if state.is_waiting and state.after:
            yield self._of_after, state.after
