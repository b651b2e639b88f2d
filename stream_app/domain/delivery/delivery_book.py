"""What is known of the deliveries of a partition, by id: of finished ones only how they ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, MutableMapping

from stream_app.domain.delivery.finished_deliveries import Finished, Known, Remembered
from stream_app.domain.delivery.records import DeliveryState


class DeliveryBook(MutableMapping[str, Known]):
    """A mapping of delivery ids, with the pending ones at hand, in all and by integration."""

    def __init__(self) -> None:
        self.pending: dict[str, DeliveryState] = {}
        self.remembered = Remembered()
        self._of_integration: defaultdict[int, dict[str, None]] = defaultdict(dict)

    def of_integration(self, integration_id: int) -> list[DeliveryState]:
        """Return the pending deliveries of an integration."""
        return [self.pending[number] for number in self._of_integration.get(integration_id, ())]

    def count_of(self, integration_id: int) -> int:
        """Return how many deliveries of an integration are pending."""
        return len(self._of_integration.get(integration_id, ()))

    @property
    def integrations(self) -> set[int]:
        """The integrations with pending deliveries."""
        return set(self._of_integration)

    def restore(self, delivery_id: bytes, value: bytes | None) -> bool:
        """Take the changelog record of a delivery that ended, as others did that are known.

        By far the most records of a changelog are such, hence this short way.

        Returns:
            False if it is none, or the delivery is known already.
        """
        end = self.remembered.known(value)
        return (
            end is not None
            and (not self.pending or delivery_id.decode() not in self.pending)
            and self.remembered.add(delivery_id, end)
        )

    # -- a mapping

    def __getitem__(self, delivery_id: str) -> Known:
        """Return what is known of a delivery."""
        found = self.pending.get(delivery_id) or self.remembered.get(delivery_id)
        if found is None:
            raise KeyError(delivery_id)
        return found

    def __setitem__(self, delivery_id: str, known: Known) -> None:
        """Keep what is known of a delivery."""
        if isinstance(known, DeliveryState) and not known.is_finished:
            self.remembered.pop(delivery_id)
            self._drop(delivery_id)
            self.pending[delivery_id] = known
            self._of_integration[known.integration_id][delivery_id] = None
            return
        self._drop(delivery_id)
        end = known if isinstance(known, Finished) else self.remembered.of(known)
        self.remembered.put(delivery_id, end)

    def __delitem__(self, delivery_id: str) -> None:
        """Forget a delivery."""
        if not self._drop(delivery_id) and self.remembered.pop(delivery_id) is None:
            raise KeyError(delivery_id)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        yield from self.pending
        yield from self.remembered

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self.pending) + len(self.remembered)

    def _drop(self, delivery_id: str) -> bool:
        state = self.pending.pop(delivery_id, None)
        if state is None:
            return False
        of_integration = self._of_integration[state.integration_id]
        del of_integration[delivery_id]
        if not of_integration:
            del self._of_integration[state.integration_id]
        return True
