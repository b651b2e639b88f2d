"""aiokafka's fetches, leaner, and telling which part of the log they are all of.

Both classes take the place of aiokafka's own in its fetcher module (`install`): there is no
other way to reach a record before an object of eleven fields has been made of it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import aiokafka.consumer.fetcher
import aiokafka.consumer.subscription_state

#: How every consumer reads: an aborted transaction, or an open one, has told nothing yet. Ends are
#: last stable offsets then, in fetches and where a consumer asks for them.
READ_COMMITTED = "read_committed"


def whole_records(key: bytes | None) -> bytes | None:
    """Return the key: as `key_deserializer` it marks a consumer of aiokafka's usual records.

    The configuration is read by a consumer of its own, beside the agent on the same topics.
    """
    return key


def lean_records(key: bytes | None) -> bytes | None:
    """Return the key: as `key_deserializer` it marks a consumer that wants the decoder's records.

    States are read by a consumer of its own, and are many.
    """
    return key


class FetchedRecords(list[Any]):
    """Records of one fetch, and which part of the log they are all of."""

    start = 0
    end = 0


class WholeFetchResult(aiokafka.consumer.fetcher.FetchResult):
    """Says which part of the log its records are all of."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the records as `FetchedRecords`."""
        source = self._partition_records
        if source is None or not source.is_lean:
            found: list[Any] = super().getall(max_records)
            return found
        start = source.next_fetch_offset
        records = FetchedRecords(super().getall(max_records))
        partition = self._topic_partition
        state = self._assignment.state_value(partition)
        if (jump := state.jump if state is not None else None) and jump[1] == start:
            start = jump[0]
        if (skipped := source.skipped.pop(partition, None)) and skipped[1] == start:
            start = skipped[0]
        records.start, records.end = start, source.next_fetch_offset
        if not records:
            # Only control records of transactions: they belong to the next batch.
            source.skipped[partition] = (start, records.end)
        return records


class LeanPartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):
    """Hands out the decoder's records of batched topics, without a `ConsumerRecord` of each."""

    batched: frozenset[str] = frozenset()
    #: Parts of the log that held nothing to hand out, by partition.
    skipped: ClassVar[dict[Any, tuple[int, int]]] = {}

    def __init__(self, tp: Any, *args: Any) -> None:
        super().__init__(tp, *args)
        #: Whether these are records of a batched topic, for its agent.
        mark = self._key_deserializer
        self.is_lean = mark is lean_records or (
            tp.topic in self.batched and mark is not whole_records
        )

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        if self.is_lean:
            return record
        return super()._consumer_record(tp, record)


class WatchedPartitionState(aiokafka.consumer.subscription_state.TopicPartitionState):
    """Notices what aiokafka does in silence: it goes on where the log begins now.

    Retention has then removed records before they were fetched.
    """

    def __init__(self, assignment: Any) -> None:
        super().__init__(assignment)
        self._out_of_range: int | None = None
        #: The last such part of the log, from the first offset that is gone to the first that is
        #: there. It belongs to the next batch, as what is no record does.
        self.jump: tuple[int, int] | None = None
        #: All of them, until somebody takes them.
        self.lost: list[tuple[int, int]] = []

    def await_reset(self, strategy: Any) -> None:
        """Note where the fetch was that is out of range."""
        if self._position is not None:
            self._out_of_range = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Note how far the log has gone on meanwhile; a topic that was made anew goes back."""
        start, self._out_of_range = self._out_of_range, None
        if start is not None and start < position:
            self.lost.append((start, position))
            before = self.jump
            self.jump = (before[0] if before and before[1] == start else start, position)
        super().reset_to(position)

    def seek(self, position: int) -> None:
        """Go elsewhere: what is read from there has no part of before."""
        self._out_of_range = self.jump = None
        super().seek(position)


def install() -> None:
    """Make the consumers of this process use these classes.

    To be called before the first of them starts: aiokafka tells a result from an error by its
    class. `LeanPartitionRecords.batched` says for which topics records are handed out lean.
    """
    aiokafka.consumer.fetcher.PartitionRecords = LeanPartitionRecords
    aiokafka.consumer.fetcher.FetchResult = WholeFetchResult
    aiokafka.consumer.subscription_state.TopicPartitionState = WatchedPartitionState
