"""How a partition's lag follows from what the worker knows."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.domain.progress import PartitionProgress
from stream_app.kafka.batching_consumer import Fetched
from stream_app.kafka.lag import partition_lag

PARTITION = TP("events.hits", 3)


def lag(
    *,
    stable: int | None = None,
    end: int = 0,
    start: int = 0,
    progress: int | None = None,
    position: int | None = None,
    is_idle: bool = True,
    waiting: int = 0,
) -> int:
    fetched = Fetched(position, stable)
    consumer = SimpleNamespace(
        end_offsets={PARTITION: end},
        start_positions={PARTITION: start},
        waiting=Counter({PARTITION.topic: waiting}),
    )
    states: dict[int, PartitionProgress] = {}
    if progress is not None:
        states[3] = PartitionProgress()
        states[3].confirm(progress)
    table: Any = SimpleNamespace(states=states)
    loop: Any = SimpleNamespace(is_idle=is_idle)
    return partition_lag(PARTITION, fetched, consumer, table, loop)


@pytest.mark.parametrize(
    ("known", "records"),
    [
        ({}, 0),
        ({"end": 40}, 40),
        ({"end": 40, "start": 30}, 10),
        ({"end": 40, "stable": 50, "start": 30}, 20),
        ({"stable": 50, "progress": 44}, 5),
        ({"stable": 50, "progress": 49}, 0),
        # Fetched, and not yet taken by the agent, or not yet acknowledged: not done.
        ({"stable": 50, "progress": 44, "position": 50, "waiting": 1}, 5),
        ({"stable": 50, "progress": 44, "position": 50, "is_idle": False}, 5),
        # Only the end of a transaction is left, which is no record.
        ({"stable": 50, "progress": 48, "position": 50}, 0),
        # A topic whose older records are gone starts where it starts now.
        ({"stable": 50, "start": 45, "progress": 10}, 5),
        # The newest end is not known yet.
        ({"stable": None, "end": 40, "progress": 59}, 0),
    ],
)
def test_what_is_not_done_is_counted(known: dict[str, Any], records: int) -> None:
    assert lag(**known) == records
