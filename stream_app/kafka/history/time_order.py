"""The records of several partitions in one order: that of their timestamps."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import TopicPartition

from stream_app.kafka.history.event_log import EventLog

#: A record and its partition.
Placed = tuple[TopicPartition, Any]


async def in_time_order(
    log: EventLog, report: Callable[[int], None]
) -> AsyncIterator[list[Placed]]:
    """Yield all records of a log, the oldest first, as soon as their order is certain.

    Records of one partition keep their order. A partition is paused while its records wait for
    older ones of other partitions.
    """
    waited_for = {tp for tp, span in log.spans.items() if span.size}
    finished: set[TopicPartition] = set()
    waiting: defaultdict[TopicPartition, deque[Any]] = defaultdict(deque)
    heads: list[tuple[int, TopicPartition]] = []
    async for tp, records, is_last in log.batches(report):
        if records and not waiting[tp]:
            heapq.heappush(heads, (records[0].timestamp, tp))
        waiting[tp].extend(records)
        waited_for.discard(tp)
        if is_last:
            finished.add(tp)
        else:
            log.hold(tp)
        certain: list[Placed] = []
        while heads and not waited_for:
            _, first = heapq.heappop(heads)
            queue = waiting[first]
            certain.append((first, queue.popleft()))
            if queue:
                heapq.heappush(heads, (queue[0].timestamp, first))
            elif first not in finished:
                waited_for.add(first)
                log.release(first)
        if certain:
            yield certain
