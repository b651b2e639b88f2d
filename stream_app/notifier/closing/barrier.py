"""Whether all that the event topics held at a moment has been counted, fired, routed and taken in.

Silence is no proof that an attack is over: a detector that stands still is silent, too. So before
an alert is closed, each topic on the way from an event to a delivery is looked at, in the order of
the way. Its ends are noted, and the group that reads it must have committed offsets up to them. A
worker commits an offset only when all that the records before it caused is acknowledged. Therefore
the ends of the next topic, noted after that, contain all of it.

In doubt, the barrier does not pass. A partition with records that nobody has committed an offset
for, an offset beyond the end, and a partition that cannot be asked are in the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stream_app.kafka.cluster.topic_metadata import PartitionId

#: How long a transaction may hold records back: Kafka's default of `transaction.max.timeout.ms`.
#: One that is open for longer was given up by its producer, and may stay open for ever.
HELD_BACK_MS = 15 * 60 * 1000


class PartitionEnd(NamedTuple):
    """Where a partition ends.

    `stable` is the end for readers of committed records, and `log` that of all records, those of
    open transactions included. `topic_id` is empty if the brokers do not tell it.
    """

    stable: int
    log: int
    topic_id: str = ""


class Passage(NamedTuple):
    """A part of the way: topics, by full name, and the group that reads them."""

    topics: tuple[str, ...]
    group: str


class OpenTransactions:
    """Remembers since when the end of committed records has stood still before others.

    A transaction that begins at that end is open all the while, even if nobody looked meanwhile.
    """

    def __init__(self) -> None:
        self._since: dict[PartitionId, tuple[PartitionEnd, int]] = {}

    def note(self, ends: Mapping[PartitionId, PartitionEnd | None], now_ms: int) -> None:
        """Note the ends of partitions at a time of a clock that is never set."""
        for place, end in ends.items():
            if end is None:
                continue
            known = self._since.get(place)
            if end.stable >= end.log:
                self._since.pop(place, None)
            elif known is None or not _is_same(known[0], end):
                self._since[place] = end, now_ms

    def is_given_up(self, place: PartitionId, now_ms: int) -> bool:
        """Tell whether a transaction has been open for so long that nobody waits for it."""
        found = self._since.get(place)
        return found is not None and now_ms - found[1] >= HELD_BACK_MS


def _is_same(one: PartitionEnd, other: PartitionEnd) -> bool:
    return (one.stable, one.topic_id) == (other.stable, other.topic_id)


class Barrier:
    """One barrier; it has passed when `passage` is None.

    Args:
        way: the passages in the order in which records take them.
        transactions: shared by all barriers of a worker.
    """

    def __init__(self, way: Sequence[Passage], transactions: OpenTransactions) -> None:
        self._left = list(way)
        self._transactions = transactions
        self._targets: Mapping[PartitionId, PartitionEnd] | None = None

    @property
    def passage(self) -> Passage | None:
        """The passage to look at next."""
        return self._left[0] if self._left else None

    def look(
        self,
        committed: Mapping[PartitionId, int],
        ends: Mapping[PartitionId, PartitionEnd | None],
        now_ms: int,
    ) -> str | None:
        """Look at the present passage; return what is in the way, None if it has been passed.

        Args:
            committed: offsets that the group has committed, read *before* `ends`: one beyond the
                end then shows that it belongs to another topic of that name.
            ends: of all partitions of the passage's topics that exist; None where nobody tells.
            now_ms: of a clock that is never set.
        """
        passage = self._left[0]
        known = {place: end for place, end in ends.items() if end is not None}
        if missing := set(passage.topics) - {topic for topic, _ in ends}:
            return f"topic {min(missing)} does not exist"
        if silent := ends.keys() - known.keys():
            topic, number = min(silent)
            return f"{topic} partition {number} has no leader that answers"
        self._transactions.note(known, now_ms)
        if self._targets is None or not _are_there(self._targets, known):
            self._targets = known
        behind = [
            why
            for place, target in sorted(self._targets.items())
            if (why := self._obstacle(place, committed.get(place), target, known[place], now_ms))
        ]
        if behind:
            more = f", and {len(behind) - 1} more partitions" if len(behind) > 1 else ""
            return behind[0] + more
        del self._left[0]
        self._targets = None
        return None

    def _obstacle(
        self,
        place: PartitionId,
        at: int | None,
        target: PartitionEnd,
        now: PartitionEnd,
        now_ms: int,
    ) -> str | None:
        """Return why a partition is not passed.

        What retention has removed is no exception: a worker may have fetched it before. A running
        one commits an offset of every partition, even of an empty one.
        """
        group, where = self._left[0].group, f"{place[0]} partition {place[1]}"
        if not target.log:
            return None  # it has never had a record
        if at is None:
            return f"group {group} has committed no offset of {where}"
        if at > now.log:
            return (
                f"group {group} has committed offset {at} of {where}, beyond its end {now.log}: "
                "it belongs to another topic of that name"
            )
        is_held_back = target.stable <= at < target.log and now.stable <= target.stable
        if at >= target.log or (is_held_back and self._transactions.is_given_up(place, now_ms)):
            return None
        if is_held_back:
            return f"a transaction holds back {where} from offset {now.stable} on"
        return f"group {group} is at offset {at} of {where}, behind {target.log}"


def _are_there(
    targets: Mapping[PartitionId, PartitionEnd], ends: Mapping[PartitionId, PartitionEnd]
) -> bool:
    """Tell whether partitions are those that they were: of the same topics, and not fewer."""
    return all(
        place in ends and ends[place].topic_id == target.topic_id
        for place, target in targets.items()
    )
