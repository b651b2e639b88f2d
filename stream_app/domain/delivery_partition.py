"""The deliveries of one partition: what is due, what is done, and what is not yet acknowledged.

A delivery is pending until its message is accepted or given up; each attempt's result says which
attempt it was, so a result that comes twice, or from a worker that lost its partition, changes
nothing. What is here is a function of the records alone: the same records give the same state.

This is the first cycle of the schedule only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import orjson

from stream_app.domain.counting import NEVER, PROGRESS_KEY
from stream_app.domain.deliveries import (
    Delivery,
    DeliveryState,
    DeliveryStatus,
    Result,
    decode_state,
    encode_state,
)
from stream_app.domain.schedule import CYCLES, next_due_ms

#: The first request and the resends of the first cycle.
LAST_ATTEMPT = 1 + len(CYCLES[0])
#: A finished delivery is remembered this long after its last result, so that it is not sent again.
REMEMBER_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True)
class Settled:
    """What a result has made of a delivery."""

    before: DeliveryState
    after: DeliveryState
    result: Result


@dataclass(frozen=True)
class DeliveryCut:
    """What one flush of a partition writes; `None` for a state that is forgotten."""

    changed: list[tuple[str, DeliveryState | None]]
    settled: list[Settled]
    offsets: tuple[int, ...]


class PartitionDeliveries:
    """The deliveries of one partition of `deliveries` and `delivery-results`.

    Args:
        topics: names of the two topics, in this order.
        retry_scale: factor on the documented waits; 1 except in tests.
    """

    def __init__(self, topics: tuple[str, str], *, retry_scale: float) -> None:
        self.states: dict[str, DeliveryState] = {}
        self.pending: dict[str, DeliveryState] = {}
        #: Largest record time seen: finished deliveries are forgotten by it, not by a clock.
        self.now_ms = 0
        self._retry_scale = retry_scale
        self._offsets = dict.fromkeys(topics, NEVER)
        self._progress = dict.fromkeys(topics, NEVER)
        # What stood there before the changes since the last cut, and before those of that cut.
        self._before: dict[str, DeliveryState | None] = {}
        self._in_flight: dict[str, DeliveryState | None] = {}
        self._settled: list[Settled] = []
        # States that the changelog has an older record behind of.
        self._rewrite: set[str] = set()
        self._expiring: list[tuple[int, str]] = []

    # -- the records of the topics

    def take(self, topic: str, offset: int, timestamp_ms: int) -> bool:
        """Note a record; return whether it is new."""
        if offset <= self._offsets[topic]:
            return False
        self._offsets[topic] = offset
        self.now_ms = max(self.now_ms, timestamp_ms)
        return True

    def add_delivery(
        self, delivery: Delivery, value: bytes, offset: int, timestamp_ms: int
    ) -> bool:
        """Take a delivery, due at once; return whether it is new. A known one is ignored."""
        if delivery.id in self.states:
            return False
        state = DeliveryState(
            id=delivery.id,
            status=DeliveryStatus.PENDING,
            client_id=delivery.client_id,
            integration_id=delivery.integration_id,
            attempt=1,
            since_ms=timestamp_ms,
            epoch=delivery.epoch,
            due_ms=timestamp_ms,
            offset=offset,
            record=msgspec.Raw(value),
        )
        self._change(delivery.id, state)
        return True

    def add_result(self, result: Result, timestamp_ms: int) -> bool:
        """Take a result; return whether it is the one that its delivery waits for."""
        before = self.states.get(result.delivery_id)
        if before is None or before.is_finished or before.attempt != result.attempt:
            return False
        after = self._after(before, result, timestamp_ms)
        self._change(before.id, after)
        self._settled.append(Settled(before, after, result))
        return True

    def _after(self, before: DeliveryState, result: Result, timestamp_ms: int) -> DeliveryState:
        if result.accepted:
            return _finished(before, DeliveryStatus.SENT, timestamp_ms)
        due_ms = next_due_ms(
            result.finished_at_ms,
            result.attempt,
            scale=self._retry_scale,
            retry_after_seconds=result.retry_after_seconds,
        )
        if due_ms is None or result.attempt >= LAST_ATTEMPT:
            return _finished(before, DeliveryStatus.GIVEN_UP, timestamp_ms)
        return msgspec.structs.replace(before, attempt=before.attempt + 1, due_ms=due_ms)

    # -- flushing

    def cut(self) -> DeliveryCut:
        """Take what has changed since the last cut; `confirm` it or `roll_back`."""
        for delivery_id in self._expired():
            self._change(delivery_id, None)
        self._in_flight, self._before = self._before, {}
        settled, self._settled = self._settled, []
        changed = dict.fromkeys([*self._in_flight, *sorted(self._rewrite)])
        return DeliveryCut(
            [(delivery_id, self.states.get(delivery_id)) for delivery_id in changed],
            settled,
            tuple(self._offsets.values()),
        )

    def confirm(self, cut: DeliveryCut) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        self._in_flight = {}
        self._rewrite.difference_update(delivery_id for delivery_id, _ in cut.changed)
        self._progress = dict(zip(self._progress, cut.offsets, strict=True))

    def restored(self) -> None:
        """Nothing more to do: what is behind the progress is read again."""

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        for undone in (self._before, self._in_flight):
            for delivery_id, state in undone.items():
                self._put(delivery_id, state)
        self._before, self._in_flight, self._settled = {}, {}, []
        self._offsets = dict(self._progress)

    def durable_pending(self) -> Iterator[DeliveryState]:
        """Yield the pending deliveries whose state the broker has acknowledged."""
        for delivery_id, state in self.pending.items():
            if delivery_id not in self._before and delivery_id not in self._in_flight:
                yield state

    def _expired(self) -> Iterator[str]:
        while self._expiring and self._expiring[0][0] <= self.now_ms:
            _, delivery_id = heapq.heappop(self._expiring)
            state = self.states.get(delivery_id)
            if state is None or not state.is_finished:
                continue
            if state.finished_ms + REMEMBER_MS <= self.now_ms:
                yield delivery_id

    def _change(self, delivery_id: str, state: DeliveryState | None) -> None:
        self._before.setdefault(delivery_id, self.states.get(delivery_id))
        self._put(delivery_id, state)

    def _put(self, delivery_id: str, state: DeliveryState | None) -> None:
        self.pending.pop(delivery_id, None)
        if state is None:
            self.states.pop(delivery_id, None)
            return
        self.states[delivery_id] = state
        if state.is_finished:
            heapq.heappush(self._expiring, (state.finished_ms + REMEMBER_MS, delivery_id))
        else:
            self.pending[delivery_id] = state

    # -- the changelog

    def progress_of(self, topic: str) -> int:
        """Return the last offset of a source topic whose effects are acknowledged."""
        return self._progress[topic]

    def record(self, delivery_id: str, state: DeliveryState | None) -> tuple[bytes, bytes | None]:
        """Return the changelog record of a state."""
        return delivery_id.encode(), None if state is None else encode_state(state)

    def progress_record(self, cut: DeliveryCut) -> tuple[bytes, bytes]:
        """Return the changelog record of a cut's progress in both topics."""
        return PROGRESS_KEY, orjson.dumps(cut.offsets)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog; of two of a delivery the newer state holds.

        An older state behind a newer one was written by a worker that had lost its partition
        without knowing. The newer one is then written again with the next flush.
        """
        if key == PROGRESS_KEY:
            if value is not None:
                offsets = zip(self._progress.items(), orjson.loads(value), strict=True)
                self._progress = {topic: max(known, found) for (topic, known), found in offsets}
                self._offsets = dict(self._progress)
            return
        delivery_id = key.decode()
        if value is None:
            self._put(delivery_id, None)
            self._rewrite.discard(delivery_id)
            return
        state, known = decode_state(value), self.states.get(delivery_id)
        self.now_ms = max(self.now_ms, state.since_ms, state.finished_ms)
        if known is None or state.order >= known.order:
            self._put(delivery_id, state)
            self._rewrite.discard(delivery_id)
        else:
            self._rewrite.add(delivery_id)


def _finished(before: DeliveryState, status: DeliveryStatus, timestamp_ms: int) -> DeliveryState:
    return DeliveryState(
        id=before.id,
        status=status,
        client_id=before.client_id,
        integration_id=before.integration_id,
        attempt=before.attempt,
        since_ms=before.since_ms,
        epoch=before.epoch,
        finished_ms=timestamp_ms,
    )
