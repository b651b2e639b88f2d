"""What is stored of the deliveries of one partition, and what one flush writes of it.

A changelog holds the deliveries, the open alerts, what the judge counts, and the pauses; and how
far the two source topics are processed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stream_app.domain.delivery.auto_disable import Bucket, Judge, JudgedEpoch, JudgeKey, Verdict
from stream_app.domain.delivery.finished_deliveries import (
    FinishedDelivery,
    KnownDelivery,
    encode_finished,
)
from stream_app.domain.delivery.known_deliveries import KnownDeliveries
from stream_app.domain.delivery.rate_limit_pauses import Pauses
from stream_app.domain.delivery.state import DeliveryState, decode_state, encode_state
from stream_app.domain.delivery.transitions import Transition
from stream_app.domain.episodes.open_alert import OpenAlert, OpenAlerts
from stream_app.domain.state.keys import NEVER, PROGRESS_KEY
from stream_app.domain.state.tracked_values import ChangelogValues
from stream_app.domain.times import HOUR_MS

#: Most deliveries that one flush forgets: after a pause a whole week's may expire at once.
MAX_EXPIRED_PER_FLUSH = 5000
#: What the changelog keys of other values than deliveries begin with.
_PREFIXES = (OpenAlerts.prefix, Judge.prefix, Pauses.prefix)


@dataclass(frozen=True)
class DeliveryCut:
    """What one flush of a partition writes; `None` for a state that is forgotten."""

    changed: list[tuple[str, KnownDelivery | None]]
    #: Deliveries that have not changed, and are only written again.
    repeated: list[tuple[str, KnownDelivery | None]]
    judged: list[tuple[JudgeKey, Bucket | JudgedEpoch | None]]
    paused: list[tuple[int, int | None]]
    opened: list[tuple[str, OpenAlert | None]]
    transitions: list[Transition]
    verdicts: list[Verdict]
    offsets: tuple[int, ...]

    @property
    def rows(self) -> tuple[Sequence[tuple[Any, Any]], ...]:
        """All values that are written, in the order of the changelog."""
        return self.opened, [*self.changed, *self.repeated], self.judged, self.paused

    @property
    def integrations(self) -> set[int]:
        """The integrations of the changed deliveries that are still pending."""
        states = [state for _, state in self.changed if isinstance(state, DeliveryState)]
        return {state.integration_id for state in states}


class TrackedDeliveries(ChangelogValues[str, KnownDelivery]):
    """The deliveries as the changelog has them: their keys have no prefix."""

    prefix = b""

    def __init__(self, states: KnownDeliveries) -> None:
        super().__init__(lambda state: state.order, values=states)
        self._finished = states.finished
        #: The largest time, Unix ms, of what was restored.
        self.restored_ms = 0

    def record(self, key: str, value: KnownDelivery | None) -> tuple[bytes, bytes | None]:
        """Return the record of a delivery; None: it is forgotten."""
        if value is None:
            return key.encode(), None
        is_end = isinstance(value, FinishedDelivery)
        return key.encode(), encode_finished(value) if is_end else encode_state(value)

    def restore_record(self, key: bytes, value: bytes | None) -> None:
        """Restore a record."""
        known: KnownDelivery | None = None
        if value is not None and (end := self._finished.decode(value)) is not None:
            self.restored_ms = max(self.restored_ms, end.hour * HOUR_MS)
            known = end
        elif value is not None:
            known = state = decode_state(value)
            self.restored_ms = max(self.restored_ms, state.since_ms, state.finished_ms)
        self.restore(key.decode(), known)


class StoredDeliveries:
    """The stored values of one partition, which are written in cuts.

    Args:
        topics: names of `deliveries` and `delivery-results`, in this order.
        judge: counts the requests of the integrations.
    """

    def __init__(self, topics: tuple[str, str], judge: Judge) -> None:
        #: The largest record time seen: finished deliveries expire by it, not by a clock.
        self.now_ms = 0
        self.judge = judge
        self.pauses = Pauses()
        self.states = KnownDeliveries()
        self.opened = OpenAlerts()
        self._tracked = TrackedDeliveries(self.states)
        # A crash may keep only the first ones. Open alerts come first: a delivery whose end is
        # stored tells them nothing a second time.
        self._parts: tuple[ChangelogValues[Any, Any], ...] = (
            self.opened,
            self._tracked,
            self.judge,
            self.pauses,
        )
        self._offsets = dict.fromkeys(topics, NEVER)
        self._progress = dict.fromkeys(topics, NEVER)
        self._transitions: list[Transition] = []
        self._verdicts: list[Verdict] = []

    def note_record(self, topic: str, offset: int, timestamp_ms: int) -> bool:
        """Note that a record was read; return whether it is new."""
        if offset <= self._offsets[topic]:
            return False
        self._offsets[topic] = offset
        self.now_ms = max(self.now_ms, timestamp_ms)
        return True

    def skip(self, topic: str, offset: int) -> None:
        """Note records that cannot be read."""
        self._offsets[topic] = max(self._offsets[topic], offset)

    def durable_pending(self) -> Iterator[DeliveryState]:
        """Yield the pending deliveries that wait for no other, and are known to be stored."""
        for delivery_id, state in self.states.pending.items():
            if not state.is_waiting and self._tracked.is_durable(delivery_id):
                yield state

    # -- flushing

    def cut(self) -> DeliveryCut:
        """Take what has changed since the last cut; `confirm` it or `roll_back`."""
        for delivery_id in self.states.finished.expired(self.now_ms, MAX_EXPIRED_PER_FLUSH):
            self._tracked.change(delivery_id, None)
        self.pauses.end_expired(self.now_ms)
        self.opened.expire(self.now_ms)
        transitions, self._transitions = self._transitions, []
        verdicts, self._verdicts = self._verdicts, []
        written, has_changed = self._tracked.cut(), self._tracked.has_changed
        return DeliveryCut(
            [row for row in written if has_changed(row[0])],
            [row for row in written if not has_changed(row[0])],
            self.judge.cut(),
            self.pauses.cut(),
            self.opened.cut(),
            transitions,
            verdicts,
            tuple(self._offsets.values()),
        )

    def confirm(self, cut: DeliveryCut) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        for part, rows in zip(self._parts, cut.rows, strict=True):
            part.confirm(rows)
        self._progress = dict(zip(self._progress, cut.offsets, strict=True))

    def restored(self) -> None:
        """Do nothing: records after the progress are read again."""

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        for part in self._parts:
            part.roll_back()
        self._transitions, self._verdicts = [], []
        self._offsets = dict(self._progress)

    def rewrite(self) -> None:
        """Write the whole state again with the next flushes."""
        for part in self._parts:
            part.rewrite()

    # -- the changelog

    def progress_of(self, topic: str) -> int:
        """Return the last offset of a source topic whose effects are acknowledged."""
        return self._progress[topic]

    def records(self, cut: DeliveryCut) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of a cut."""
        return [
            part.record(key, value)
            for part, rows in zip(self._parts, cut.rows, strict=True)
            for key, value in rows
        ]

    def progress_record(self, cut: DeliveryCut) -> tuple[bytes, bytes]:
        """Return the changelog record of a cut's progress in both topics."""
        return PROGRESS_KEY, orjson.dumps(cut.offsets)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog. Of two records of a key the newer one holds."""
        if self.states.restore_quickly(key, value):
            return
        if key == PROGRESS_KEY:
            if value is not None:
                offsets = zip(self._progress.items(), orjson.loads(value), strict=True)
                self._progress = {topic: max(known, found) for (topic, known), found in offsets}
                self._offsets = dict(self._progress)
            return
        parts = (part for part in self._parts if part.prefix and key.startswith(part.prefix))
        next(parts, self._tracked).restore_record(key, value)
        self.now_ms = max(self.now_ms, self._tracked.restored_ms)


def is_reserved(delivery_id: str) -> bool:
    """Tell whether a delivery's id could be taken for another key of the changelog."""
    key = delivery_id.encode()
    return key == PROGRESS_KEY or key.startswith(_PREFIXES)
